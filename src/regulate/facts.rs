//! What articles may look at: who does what, when, and under which circumstances.

use time::Date;

use crate::ids::{Oin, Purpose};
use crate::link::Source;

/// What somebody wants to do. Every act of every role is decided by the articles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Whether one household has priority.
    Ask,
    /// Load a custodian's records.
    Load(Source),
    RegisterStock,
    AnnounceEpoch,
    ContributeShare,
    FetchShares,
    ActivateEpoch,
    /// Retire, abort or destroy one.
    EndEpoch,
    ReadLog,
    /// Which groups a household of a reported case is in: for the care side.
    AskGroups,
    ActivateRegulation,
    /// Let a corporation ask again after probing closed its tap: break-glass. Its budget stays spent.
    OpenTap,
}

impl Act {
    /// All acts.
    pub const ALL: [Self; 13] = [
        Self::Ask,
        Self::Load(Source::Population),
        Self::Load(Source::Care),
        Self::RegisterStock,
        Self::AnnounceEpoch,
        Self::ContributeShare,
        Self::FetchShares,
        Self::ActivateEpoch,
        Self::EndEpoch,
        Self::ReadLog,
        Self::AskGroups,
        Self::ActivateRegulation,
        Self::OpenTap,
    ];

    /// As articles name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Load(Source::Population) => "load-population",
            Self::Load(Source::Care) => "load-care",
            Self::RegisterStock => "register-stock",
            Self::AnnounceEpoch => "announce-epoch",
            Self::ContributeShare => "contribute-share",
            Self::FetchShares => "fetch-shares",
            Self::ActivateEpoch => "activate-epoch",
            Self::EndEpoch => "end-epoch",
            Self::ReadLog => "read-log",
            Self::AskGroups => "ask-groups",
            Self::ActivateRegulation => "activate-regulation",
            Self::OpenTap => "open-tap",
        }
    }
}

/// How far arrears have come: so many months, and so many days after them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrears {
    /// Fractions allowed: 1.5 is a month and a half.
    pub months: f64,
    /// Days after those months; since the due date where months are 0.
    pub days: u32,
}

impl Arrears {
    /// In whole days, a month counted as 30. What is no number, or below zero, counts as none: too early to ask.
    pub fn in_days(self) -> i64 {
        // In thousandths, so that 2.3 months are 69 days; the cast of NaN is 0 and saturates otherwise.
        let thousandths = (self.months.clamp(0.0, 1200.0) * 1000.0).round() as i64;
        thousandths * 30 / 1000 + i64::from(self.days)
    }

    pub(super) fn is_sensible(self) -> bool {
        (0.0..=24.0).contains(&self.months) && self.days <= 366
    }
}

/// What the law asks of a landlord first (Besluit gemeentelijke schuldhulpverlening, art. 2; Stb. 2020, 240).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Tried to reach the tenant in person.
    pub personal_contact: bool,
    /// Pointed to debt help.
    pub help_offered: bool,
    /// Sent at least one written reminder.
    pub reminder_sent: bool,
    /// Offered to pass the details on, and the tenant did not object.
    pub no_objection: bool,
    /// Asked the tenant, who agreed: for regulations with `opt-in`.
    pub tenant_agrees: bool,
}

impl Conditions {
    /// Everything was done, and the tenant agreed.
    pub const MET: Self = Self {
        personal_contact: true,
        help_offered: true,
        reminder_sent: true,
        no_objection: true,
        tenant_agrees: true,
    };
}

/// Everything that articles may look at. What is unknown is absent and counts against the one who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// From the certificate, never from the request.
    pub actor: Oin,
    pub action: Act,
    /// From the service's clock.
    pub today: Date,
    pub purpose: Option<Purpose>,
    pub arrears: Option<Arrears>,
    pub conditions: Conditions,
    /// Whether the address lies in the stock that the actor registered.
    pub in_stock: Option<bool>,
    /// Questions of the actor this month, this one not counted.
    pub asked_this_month: u64,
    /// Dwellings that the actor registered.
    pub stock: Option<u64>,
    /// Questions of the actor about this household this month, this one not counted.
    pub asked_household_this_month: u64,
    /// Households in the request.
    pub batch: u32,
    /// Whether misses closed the actor's tap.
    pub tap_closed: bool,
    /// Whether the household is one of a case: a corporation was answered about it.
    pub in_case: bool,
    /// Who of another party, with another key, stands behind the act too.
    pub second: Option<Oin>,
}

impl Facts {
    /// An act of which nothing else is known.
    pub fn new(actor: Oin, action: Act, today: Date) -> Self {
        Self {
            actor,
            action,
            today,
            purpose: None,
            arrears: None,
            conditions: Conditions::default(),
            in_stock: None,
            asked_this_month: 0,
            stock: None,
            asked_household_this_month: 0,
            batch: 0,
            tap_closed: false,
            in_case: false,
            second: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_counts_as_thirty_days() {
        for (months, days, want) in [
            (0.0, 6, 6),
            (1.0, 8, 38),
            (1.5, 0, 45),
            (2.3, 0, 69),
            (-1.0, 2, 2),
            (f64::NAN, 0, 0),
            (f64::NEG_INFINITY, 0, 0),
            (f64::INFINITY, 0, 36_000),
        ] {
            assert_eq!(Arrears { months, days }.in_days(), want, "{months} {days}");
        }
    }
}
