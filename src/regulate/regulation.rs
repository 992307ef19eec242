//! The types of `regulation.toml` and what is checked beyond their shape. An unknown key is an error: a rule that
//! somebody wrote and nobody reads would be worse than none.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, de};
use time::{Date, Month};

use super::disclose::{Disclosure, Form, GroupRule, Posterior, WhoseHousehold};
use super::rotation::Rotation;
use super::signatures::MOST_LINES;
use super::steps::{AppliesTo, By, Consent, Moment, Step};
use super::{Budgets, Party, RegulationError, Role};
use crate::code::Group;
use crate::ids::{Oin, Purpose, RegulationId};
use crate::link::Source;

/// A text in both languages of the officers' pages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    pub nl: String,
    pub en: String,
}

/// Whose covenant it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Municipality {
    pub name: String,
    /// Code of Statistics Netherlands, four digits.
    pub code: String,
}

/// Which word of the tenant a question needs. An objection blocks under each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentRule {
    /// `opt-in`: the tenant agreed. `opt-out`: the tenant was asked and does not object.
    pub model: Consent,
    pub reference: String,
}

/// From when on misses close a corporation's tap. A miss is a question about an address outside its stock, about people
/// of whom one lives elsewhere, or one that is told nothing, whatever the reason. The same numbers hold for a month and
/// for each of its days, so that a long honest month pays for no burst.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probing {
    /// Misses in a month, or on a day, before anything happens.
    pub misses: u32,
    /// Share of the questions of that time that may miss, 0 to 1.
    pub miss_share: f64,
}

impl Probing {
    /// Whether so many misses among so many questions, in a month or on a day, close the tap.
    pub fn closes(&self, misses: u64, questions: u64) -> bool {
        misses >= u64::from(self.misses) && self.is_share(misses, questions)
    }

    /// Whether half as many misses as close the tap are there, and their share is that of a tap that closes.
    pub fn nears(&self, misses: u64, questions: u64) -> bool {
        2 * misses >= u64::from(self.misses) && self.is_share(misses, questions)
    }

    fn is_share(&self, misses: u64, questions: u64) -> bool {
        misses as f64 > self.miss_share * questions as f64
    }
}

/// A purpose for which may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurposeText {
    pub id: Purpose,
    pub nl: String,
    pub en: String,
}

/// How long what is kept, in days.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Contents of log entries; their hashes stay.
    pub log_days: u32,
    /// A register that answers nothing any more: by then its epoch is to be destroyed, which people do, and no clock.
    pub register_days: u32,
    /// Legal reference.
    pub reference: String,
}

/// When the parties evaluate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    pub every_months: u32,
    /// First day of the first period.
    #[serde(deserialize_with = "date")]
    pub anchor: Date,
    pub reference: String,
}

impl Evaluation {
    /// Days of the longest period that begins before `until`, at least those of the first.
    pub(super) fn longest_days(&self, until: Date) -> i64 {
        let begin = |n: i32| months_after(self.anchor, n * i32::try_from(self.every_months).unwrap_or(1));
        let later = (1..).map_while(begin);
        let mut begins = vec![self.anchor];
        for day in later {
            begins.push(day);
            if day >= until {
                break;
            }
        }
        begins.windows(2).map(|pair| (pair[1] - pair[0]).whole_days()).max().unwrap_or(0)
    }
}

/// The same day so many months later, or the last one of a month that is too short for it.
fn months_after(day: Date, months: i32) -> Option<Date> {
    let all = day.year() * 12 + i32::from(u8::from(day.month())) - 1 + months;
    let month = Month::try_from(u8::try_from(all.rem_euclid(12) + 1).ok()?).ok()?;
    let year = all.div_euclid(12);
    Date::from_calendar_date(year, month, day.day().min(month.length(year))).ok()
}

/// On which ground people with a disclosure restriction are loaded all the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restricted {
    pub legal_basis: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Household {
    pub whose: WhoseHousehold,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ages {
    pub minor_below: u16,
    pub senior_from: u16,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Freshness {
    pub population: u32,
    pub care: u32,
}

/// `undetermined` has one meaning. It is written in every regulation, so that who signs has read it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UndeterminedIs {
    ConsultTeam,
}

/// The file, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub id: RegulationId,
    pub title: Title,
    pub municipality: Municipality,
    pub replaces: Option<String>,
    #[serde(deserialize_with = "date")]
    pub valid_from: Date,
    /// The first day on which it no longer holds.
    #[serde(deserialize_with = "date")]
    pub valid_until: Date,
    #[serde(rename = "undetermined_is")]
    _undetermined_is: UndeterminedIs,
    #[serde(rename = "purpose")]
    pub purposes: Vec<PurposeText>,
    #[serde(rename = "party")]
    pub parties: Vec<Party>,
    pub restricted: Option<Restricted>,
    pub household: Household,
    pub ages: Ages,
    #[serde(rename = "group")]
    pub groups: Vec<GroupRule>,
    #[serde(rename = "disclosure")]
    pub disclosures: Vec<Disclosure>,
    pub posterior: Posterior,
    pub freshness_days: Freshness,
    pub budget: Budgets,
    pub probing: Probing,
    pub consent: ConsentRule,
    pub retention: Retention,
    pub evaluation: Evaluation,
    #[serde(default)]
    pub rotation: Rotation,
    #[serde(rename = "moment")]
    pub moments: Vec<Moment>,
    #[serde(rename = "step", default)]
    pub steps: Vec<Step>,
}

impl Document {
    pub(super) fn read(id: &RegulationId, text: &str) -> Result<Self, RegulationError> {
        let document: Self = toml::from_str(text).map_err(|e| RegulationError::Syntax(Box::new(e)))?;
        if document.id != *id {
            return Err(value("id must be the name of the regulation's folder"));
        }
        document.check_dates_and_numbers()?;
        document.check_parties()?;
        document.check_groups()?;
        document.budget.check()?;
        document.rotation.check()?;
        document.check_moments_and_steps()?;
        Ok(document)
    }

    /// The earliest moment at which this corporation may ask.
    pub(super) fn moment(&self, oin: &Oin) -> Option<&Moment> {
        self.moments.iter().find(|moment| moment.parties.contains(oin))
    }

    /// Who stands behind an act beside its actor: a party of another OIN and another key.
    pub(super) fn second(&self, actor: &Oin, second: &Oin) -> Option<&Party> {
        let find = |oin: &Oin| self.parties.iter().find(|party| party.oin == *oin);
        let (first, second) = (find(actor)?, find(second)?);
        let same_key = first.key.is_some() && first.key == second.key;
        (first.oin != second.oin && !same_key).then_some(second)
    }

    /// A privacy officer of the organisation that holds the population register.
    pub(super) fn is_municipal_officer(&self, party: &Party) -> bool {
        let municipality = self.parties.iter().find(|party| party.role == Role::PopulationCustodian);
        party.role == Role::PrivacyOfficer && municipality.is_some_and(|m| m.organisation == party.organisation)
    }

    fn check_dates_and_numbers(&self) -> Result<(), RegulationError> {
        let days = |n: u32| (1..=36_500).contains(&n);
        // Who is registered where changes within weeks: of a register older than a year no answer holds.
        let fresh = |n: u32| (1..=366).contains(&n);
        let rules = [
            (self.valid_from < self.valid_until, "valid_until must be after valid_from"),
            (!self.purposes.is_empty(), "[[purpose]] must be there: without a purpose nobody may ask"),
            (unique(self.purposes.iter().map(|p| &p.id)), "[[purpose]] ids must differ"),
            ((1..=30).contains(&self.ages.minor_below), "ages.minor_below must be 1 to 30"),
            ((40..=120).contains(&self.ages.senior_from), "ages.senior_from must be 40 to 120"),
            ((1..=10_000).contains(&self.probing.misses), "probing.misses must be 1 to 10000"),
            (
                0.0 < self.probing.miss_share && self.probing.miss_share < 1.0,
                "probing.miss_share must be above 0, below 1",
            ),
            (
                matches!(self.consent.model, Consent::OptIn | Consent::OptOut),
                "consent.model must be \"opt-in\" or \"opt-out\"",
            ),
            (is_digits(&self.municipality.code, 4), "municipality.code must have 4 digits"),
            (!self.municipality.name.trim().is_empty(), "municipality.name must not be empty"),
            (
                self.replaces.as_deref().is_none_or(|digest| digest.len() == 64 && hex::decode(digest).is_ok()),
                "replaces must be the digest of a regulation, 64 hexadecimal digits",
            ),
            (
                self.restricted.as_ref().is_none_or(|kept| !kept.legal_basis.is_empty()),
                "restricted.legal_basis must name law and article; leave [restricted] out if there is none",
            ),
            (fresh(self.freshness_days.population), "freshness_days.population must be 1 to 366"),
            (fresh(self.freshness_days.care), "freshness_days.care must be 1 to 366"),
            (days(self.retention.log_days), "retention.log_days must be 1 to 36500"),
            (days(self.retention.register_days), "retention.register_days must be 1 to 36500"),
            ((1..=60).contains(&self.evaluation.every_months), "evaluation.every_months must be 1 to 60"),
        ];
        demand(&rules)
    }

    fn check_parties(&self) -> Result<(), RegulationError> {
        let count = |role| self.parties.iter().filter(|party| party.role == role).count();
        let custodians = |p: &&Party| matches!(p.role, Role::PopulationCustodian | Role::CareCustodian);
        let organisations: HashSet<_> = self.parties.iter().filter(custodians).map(|p| &p.organisation).collect();
        // Whoever reads the page takes Ymere and YMERE for one.
        let spelled = |text: fn(&Party) -> &String| {
            let all: HashSet<&String> = self.parties.iter().map(text).collect();
            unique(all.into_iter().map(|one| one.to_lowercase()))
        };
        let named = |p: &Party| !p.name.trim().is_empty() && !p.organisation.trim().is_empty();
        let lines = self.parties.iter().map(|party| party.keys().count().max(1)).sum::<usize>();
        demand(&[
            (
                lines <= MOST_LINES,
                "[[party]] needs more than 64 keys, former ones included, and a signed note has 64 lines; leave former \
                 keys out in a version of their own",
            ),
            (unique(self.parties.iter().map(|p| &p.oin)), "[[party]] oin must be there once: a party has one role"),
            (
                unique(self.parties.iter().flat_map(Party::key_bytes)),
                "[[party]] key must differ: two parties with one key are one signature",
            ),
            (
                self.parties.iter().all(|p| p.recipient.is_none() || p.role == Role::PrivacyOfficer),
                "[[party]] recipient is for a privacy-officer: answers are sealed for nobody else",
            ),
            (
                self.parties.iter().filter_map(|p| p.recipient.as_deref()).all(is_age_key),
                "[[party]] recipient must be a public age key, age1 and 58 letters and digits",
            ),
            (self.parties.iter().all(named), "[[party]] name and organisation must not be empty"),
            (count(Role::Administrator) > 0, "[[party]] must name an administrator"),
            (count(Role::PrivacyOfficer) > 0, "[[party]] must name a privacy-officer: somebody reads the log"),
            (count(Role::PopulationCustodian) == 1, "[[party]] must name one population-custodian"),
            (count(Role::CareCustodian) <= 1, "[[party]] must name at most one care-custodian"),
            (
                spelled(|p| &p.name) && spelled(|p| &p.organisation),
                "[[party]] names and organisations must differ by more than capitals",
            ),
            (unique(self.parties.iter().map(|p| &p.name)), "[[party]] name must be there once: who signs reads names"),
            (
                unique(self.parties.iter().filter(|p| p.role == Role::Corporation).map(|p| &p.organisation)),
                "[[party]] organisation must have one corporation: two would have two budgets for one stock",
            ),
            (
                !self.parties.iter().any(|p| p.role == Role::Administrator && organisations.contains(&p.organisation)),
                "[[party]] organisation of an administrator must be no custodian's: who runs the service would hold a salt",
            ),
            (
                count(Role::CareCustodian) == 0 || organisations.len() == 2,
                "[[party]] organisation of the two custodians must differ: one organisation alone must not hold the salt",
            ),
        ])
    }

    fn check_groups(&self) -> Result<(), RegulationError> {
        let source_fits = |g: &GroupRule| (Source::from(g.source) == Source::Care) == (g.group == Group::Oggz);
        let cares = self.parties.iter().any(|p| p.role == Role::CareCustodian);
        demand(&[
            (unique(self.groups.iter().map(|g| g.group)), "[[group]] group must be there once"),
            (
                self.groups.iter().all(source_fits),
                "[[group]] source must be \"care\" for oggz and \"population\" otherwise",
            ),
            (
                cares || self.groups.iter().all(|g| g.group != Group::Oggz),
                "[[group]] oggz needs a [[party]] that is care-custodian",
            ),
            (
                self.groups.iter().all(|g| g.whose_age.is_some() == (g.group == Group::Senior)),
                "[[group]] whose_age must be given for senior, and only there",
            ),
            (unique(self.disclosures.iter().map(|d| d.recipient)), "[[disclosure]] recipient must be there once"),
            (
                self.disclosures.iter().all(|d| d.form != Form::Groups || d.recipient.is_care_side()),
                "[[disclosure]] form \"groups\" is for district-team and care-custodian only",
            ),
            (
                self.groups.iter().all(|g| g.group != Group::Oggz || !g.recipients.contains(&Role::DistrictTeam)),
                "[[group]] oggz is told to no district-team: only the care-custodian may know its own clients",
            ),
        ])?;
        self.posterior.check(&self.groups)
    }

    fn check_moments_and_steps(&self) -> Result<(), RegulationError> {
        for party in self.parties.iter().filter(|party| party.role == Role::Corporation) {
            if self.moments.iter().filter(|moment| moment.parties.contains(&party.oin)).count() != 1 {
                return Err(value(format!("[[moment]] must be there once for corporation {}", party.oin)));
            }
        }
        let corporation = |oin: &Oin| self.parties.iter().any(|p| p.oin == *oin && p.role == Role::Corporation);
        let named = self.moments.iter().map(|m| &m.parties).chain(self.steps.iter().map(|s| &s.parties));
        let mut all = named.flatten();
        demand(&[
            (all.all(corporation), "[[moment]] and [[step]] parties must be corporations of this regulation"),
            (
                self.moments.iter().all(|m| m.arrears().is_sensible()),
                "[[moment]] must be 0 to 24 months, 0 to 366 days",
            ),
            (self.steps.iter().all(|s| s.arrears().is_sensible()), "[[step]] must be 0 to 24 months, 0 to 366 days"),
            (
                self.steps.iter().all(|s| s.within_days.is_none_or(|days| days <= 366)),
                "[[step]] within_days must be 0 to 366",
            ),
            (
                self.steps.iter().all(|s| s.after_days.is_none_or(|days| days <= s.within_days.unwrap_or(366))),
                "[[step]] after_days must be 0 to 366, and no more than within_days",
            ),
            (unique(self.steps.iter().map(|s| &s.id)), "[[step]] ids must differ"),
            (
                self.steps.iter().all(|s| s.applies_to != AppliesTo::Families || s.by != By::Corporation),
                "[[step]] a step of the corporation cannot apply to families: it would tell the group",
            ),
        ])
    }
}

/// The form; whether it is a point of the curve, who seals for it finds out.
fn is_age_key(text: &str) -> bool {
    let rest = text.strip_prefix("age1");
    rest.is_some_and(|rest| rest.len() == 58 && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The first rule that does not hold becomes the error.
pub(super) fn demand(rules: &[(bool, &str)]) -> Result<(), RegulationError> {
    rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(value(*what)))
}

pub(super) fn value(what: impl Into<String>) -> RegulationError {
    RegulationError::Value(what.into())
}

fn unique<T: Eq + std::hash::Hash>(items: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    items.into_iter().all(|item| seen.insert(item))
}

/// A day as TOML writes it, without quotes and without a time.
fn date<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
    let written = toml::value::Datetime::deserialize(from)?;
    let (Some(day), None, None) = (written.date, written.time, written.offset) else {
        return Err(de::Error::custom("a day such as 2025-07-01 is expected, without a time"));
    };
    Month::try_from(day.month)
        .and_then(|month| Date::from_calendar_date(day.year.into(), month, day.day))
        .map_err(|_| de::Error::custom("no such day"))
}
