//! Moments of arrears, and the steps that the parties agreed for them.

use serde::{Deserialize, Serialize};

use super::{Answer, Arrears};
use crate::ids::Oin;

/// The earliest moment at which corporations may ask.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    pub parties: Vec<Oin>,
    /// Months of arrears, fractions allowed.
    pub months: f64,
    /// Days after those months.
    pub days: u32,
    /// Where it is agreed.
    pub reference: String,
}

impl Moment {
    /// The moment as arrears.
    pub fn arrears(&self) -> Arrears {
        Arrears { months: self.months, days: self.days }
    }
}

/// Where an arrears case stands: the phases 0 to 6 of the ministry (P31:111-119).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Arrears,
    Signal,
    Bailiff,
    Court,
    Verdict,
    Eviction,
    After,
}

/// For which households a step is agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppliesTo {
    /// Those with priority, and those of whom it is undetermined: they count as priority until cleared.
    Priority,
    All,
    /// Those with minors. Only the care side can know; a corporation is never told such a step.
    Families,
}

/// What the tenant must have said before something is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consent {
    /// The tenant wants it.
    OptIn,
    /// The tenant does not object.
    OptOut,
    /// No condition is stated.
    None,
    /// Nothing is passed on.
    NotApplicable,
}

/// Who is to do it. A corporation is told its own steps only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    #[default]
    Corporation,
    /// The municipality's debt service or credit bank.
    DebtService,
    /// A district or care team, or who works for it.
    CareTeam,
    Bailiff,
    Municipality,
}

/// Who takes part in a step or is told of it: every body that the sources name. A step sends people's data there, so
/// that another one is refused, and comes with the regulation that needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressee {
    Tenant,
    Corporation,
    SocialDistrictTeam,
    /// The municipality's debt service or credit bank.
    DebtService,
    Municipality,
    /// Rotterdam: Meldpunt Preventie Huisuitzetting.
    EvictionPreventionDesk,
    /// Zaanstad: Stedelijke Toegang.
    MunicipalAccessDesk,
    /// Sittard-Geleen: Partners in Welzijn.
    WelfareOrganisation,
    /// Sittard-Geleen.
    AreaTeam,
    /// Deventer: Meldpunt Bijzondere Zorg, BZT.
    CareDesk,
    /// Deventer: Team Toegang Jeugd.
    YouthAccessTeam,
    /// Deventer.
    Shelter,
    /// Groningen: Meldpunt Overlast en Zorg.
    NuisanceAndCareDesk,
    /// Groningen: Bureau Woonkans.
    SecondChanceDesk,
    /// Amsterdam: Vroeg Eropaf.
    EarlyOutreachDesk,
}

/// What must have happened for a step to be due; the corporation knows it, the service does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    NoContact,
    NoContactOrMoreDebts,
    HelpWanted,
    ArrangementMade,
    VisitDone,
    BailiffUnavoidable,
    NewLease,
    Verdict,
    EvictionAsked,
    EvictionPlanned,
    ReminderSent,
    Reported,
    NoResult,
    AgreementBroken,
    ArrangementSought,
    ReferralMade,
    Nuisance,
    StayPossible,
    Stuck,
    BailiffPhase,
}

/// One agreed step.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Rule of the covenant, for example `HLM-YM-1`.
    pub id: String,
    /// What is to be done, for programs.
    pub code: String,
    pub stage: Stage,
    pub parties: Vec<Oin>,
    /// Left out where it is the corporation.
    #[serde(default)]
    pub by: By,
    /// Due from these months of arrears, fractions allowed,
    pub months: f64,
    /// and days after them.
    pub days: u32,
    pub applies_to: AppliesTo,
    pub condition: Option<Condition>,
    /// Who takes part or is told.
    pub to: Vec<Addressee>,
    pub consent: Consent,
    /// Days in which it is to be done, from the moment that it is due or its condition is met.
    pub within_days: Option<u16>,
    /// Days from that moment before which it is not to be done.
    pub after_days: Option<u16>,
    /// The next stage may not begin before it is done.
    #[serde(default)]
    pub gate: bool,
    pub nl: String,
    pub en: String,
    /// Where it is agreed.
    pub reference: String,
}

impl Step {
    /// The moment from which the step is due.
    pub fn arrears(&self) -> Arrears {
        Arrears { months: self.months, days: self.days }
    }

    /// Whether it is the corporation's to do, and due for this party, at this moment, after this answer.
    pub(super) fn is_due(&self, actor: &Oin, arrears: Arrears, answer: Answer) -> bool {
        let applies = match self.applies_to {
            AppliesTo::All => true,
            AppliesTo::Priority => answer != Answer::NoPriority,
            AppliesTo::Families => false,
        };
        applies
            && self.by == By::Corporation
            && self.parties.contains(actor)
            && arrears.in_days() >= self.arrears().in_days()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regulate::Regulation;

    fn ids(actor: &str, months: f64, days: u32, answer: Answer) -> Vec<String> {
        let haarlem = Regulation::built_in().remove(0);
        let actor = actor.parse().unwrap();
        haarlem.steps(&actor, Arrears { months, days }, answer).iter().map(|step| step.id.clone()).collect()
    }

    const YMERE: &str = "00000099000000004001";
    const ELAN: &str = "00000099000000004003";

    #[test]
    fn ymere_is_due_on_the_eighth_day_and_elan_at_the_month() {
        assert!(!ids(YMERE, 1.0, 7, Answer::Priority).contains(&"HLM-YM-1".into()));
        assert!(ids(YMERE, 1.0, 8, Answer::Priority).contains(&"HLM-YM-1".into()));
        assert!(ids(ELAN, 1.0, 0, Answer::Priority).contains(&"HLM-PE-1a".into()));
        assert!(!ids(ELAN, 9.0, 0, Answer::Priority).iter().any(|id| id.starts_with("HLM-YM")));
    }

    #[test]
    fn undetermined_has_the_gate_of_priority_and_no_has_not() {
        let gate = "HLM-G1".to_owned();
        assert!(ids(YMERE, 3.0, 0, Answer::Undetermined).contains(&gate));
        assert_eq!(ids(YMERE, 3.0, 0, Answer::Undetermined), ids(YMERE, 3.0, 0, Answer::Priority));
        assert!(!ids(YMERE, 3.0, 0, Answer::NoPriority).contains(&gate));
        assert!(ids(YMERE, 3.0, 0, Answer::NoPriority).contains(&"HLM-YM-2a".into()), "no is not no help");
    }

    #[test]
    fn the_third_month_starts_on_its_first_day() {
        assert!(!ids(YMERE, 2.0, 0, Answer::NoPriority).contains(&"HLM-YM-3a".into()));
        assert!(ids(YMERE, 2.0, 1, Answer::NoPriority).contains(&"HLM-YM-3a".into()));
    }
}
