//! From group membership to the least word that a recipient may be told.

use serde::Deserialize;

use super::regulation::{Document, value};
use super::{Act, Answer, Permit, Regulation, RegulationError, Role};
use crate::code::Group;
use crate::link::{Finding, Groups, Source};

/// A custodian's records, as a regulation names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupSource {
    Population,
    Care,
}

impl From<GroupSource> for Source {
    fn from(source: GroupSource) -> Self {
        match source {
            GroupSource::Population => Self::Population,
            GroupSource::Care => Self::Care,
        }
    }
}

/// Whose age makes a household senior.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhoseAge {
    /// Who signed the lease.
    Tenant,
    /// Anybody who lives there.
    Resident,
}

/// Whose household counts for a tenant who is registered elsewhere than at the address that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhoseHousehold {
    /// The one in which the tenant is registered.
    Registered,
    /// Households at the address alone.
    Address,
}

/// Most tenants who live apart, and of whom something is told: two people who signed one contract. Were it told of a couple
/// beside a family where the couple is registered, and not where it is not, the answer would show who is shielded.
const MOST_APART: usize = 2;

/// What may be disclosed of: nothing of a source that is too old, or of more people apart than a contract has.
fn usable(finding: Option<&Finding>, fresh: bool) -> Option<&Finding> {
    finding.filter(|finding| fresh && (!finding.apart || finding.tenants.len() <= MOST_APART))
}

/// What counts of a finding.
#[derive(Clone, Copy)]
struct Found {
    groups: Groups,
    /// Whether the absence of a group of the population means its absence,
    certain: bool,
    /// and that of one of the care list.
    care_certain: bool,
}

impl Found {
    fn holds(&self, rule: &GroupRule) -> bool {
        rule.is_in(&self.groups)
    }

    /// Whether the household is certainly not in a group that was not found.
    fn lacks(&self, rule: &GroupRule) -> bool {
        self.certain && (rule.source == GroupSource::Population || self.care_certain)
    }
}

impl WhoseHousehold {
    /// What counts.
    fn of(self, finding: &Finding) -> Found {
        let care_certain = finding.care_certain;
        match (self, finding.moved) {
            (Self::Address, Some(groups)) => Found { groups, certain: false, care_certain },
            _ => Found { groups: finding.groups, certain: finding.certain, care_certain },
        }
    }
}

/// On what ground a group is told to whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRule {
    pub group: Group,
    /// Whose records it comes from.
    pub source: GroupSource,
    /// Senior only.
    pub whose_age: Option<WhoseAge>,
    /// Without one the group is not served.
    #[serde(default)]
    pub legal_basis: String,
    /// Without any the group is not served.
    #[serde(default)]
    pub recipients: Vec<Role>,
    /// A household in this group alone is answered `undetermined`.
    pub shield: bool,
    /// Where the group is agreed.
    pub reference: String,
}

impl GroupRule {
    /// Whether the group counts for this recipient.
    pub fn is_served_to(&self, recipient: Role) -> bool {
        !self.legal_basis.trim().is_empty() && self.recipients.contains(&recipient)
    }

    fn is_in(&self, groups: &Groups) -> bool {
        match self.group {
            Group::Minor => groups.minor,
            Group::Senior => {
                groups.senior_tenant || (self.whose_age != Some(WhoseAge::Tenant) && groups.senior_resident)
            }
            Group::Oggz => groups.oggz,
        }
    }
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Priority, no priority or undetermined.
    ThreeValued,
    /// Consult the team, which is [`Answer::Priority`], or not; undetermined counts as consult.
    Consult,
    /// The groups that the recipient has a ground for, each yes, no or undetermined. For the care side only.
    Groups,
}

impl Form {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ThreeValued => "three-valued",
            Self::Consult => "consult",
            Self::Groups => "groups",
        }
    }
}

/// What a role is told. A role without one is told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    pub recipient: Role,
    pub form: Form,
}

/// How sure a reader may become about a group, who already knows from elsewhere that a household has no minor and
/// no senior. Shares are of such households, 0 to 1.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posterior {
    /// The most that the parties accept of a reader who does not know whether the tenants are registered.
    pub bound: f64,
    /// The most that they accept of one who does, because the register is at hand. Nothing else explains `undetermined`
    /// to that reader, so that a shield hides nothing: anything below 1 serves the group to no corporation. Left out: 1.
    pub bound_registered: Option<f64>,
    /// In the OGGZ group.
    pub oggz_share: f64,
    /// With a minor, and with a senior: wanted where a regulation shields that group, and reckoned with there alone.
    pub minor_share: Option<f64>,
    pub senior_share: Option<f64>,
    /// Answered undetermined for another reason.
    pub undetermined_share: f64,
    pub reference: String,
}

/// The most that an estimate may say.
const MOST_UNDETERMINED: f64 = 0.1;

impl Posterior {
    /// Probability that a household is in the OGGZ group, given the answer that tells most about it: `priority`
    /// where the group is open (nothing else explains it), `undetermined` where it is shielded (it hides among
    /// the other undetermined). A group that no corporation is served tells nothing: then it is the share itself.
    pub fn worst(&self, groups: &[GroupRule]) -> f64 {
        let told = |g: &&GroupRule| g.group == Group::Oggz && g.is_served_to(Role::Corporation);
        match groups.iter().find(told) {
            None => self.oggz_share,
            Some(rule) if !rule.shield => 1.0,
            Some(_) => self.oggz_share / (self.oggz_share + (1.0 - self.oggz_share) * self.undetermined_share),
        }
    }

    /// The same for who knows that all tenants are registered.
    pub fn worst_registered(&self, groups: &[GroupRule]) -> f64 {
        let told = |g: &GroupRule| g.group == Group::Oggz && g.is_served_to(Role::Corporation);
        if groups.iter().any(told) { 1.0 } else { self.oggz_share }
    }

    /// What is accepted of who knows that all tenants are registered.
    pub fn bound_registered(&self) -> f64 {
        self.bound_registered.unwrap_or(1.0)
    }

    pub(super) fn check(&self, groups: &[GroupRule]) -> Result<(), RegulationError> {
        for (name, share) in [("oggz_share", self.oggz_share), ("undetermined_share", self.undetermined_share)] {
            if !(share > 0.0 && share < 1.0) {
                return Err(value(format!("posterior.{name} must be above 0 and below 1")));
            }
        }
        if self.undetermined_share > MOST_UNDETERMINED {
            let why = "of all answers, linking leaves 4 to 10 % undetermined; a larger estimate would hide anybody";
            return Err(value(format!("posterior.undetermined_share must be at most {MOST_UNDETERMINED}: {why}")));
        }
        for (name, bound) in [("bound", self.bound), ("bound_registered", self.bound_registered())] {
            if !(bound > 0.0 && bound <= 1.0) {
                return Err(value(format!("posterior.{name} must be above 0, at most 1")));
            }
        }
        if self.worst(groups) > self.bound {
            return Err(value(
                "posterior.bound is exceeded: shield oggz, serve it to nobody, or have the bound agreed",
            ));
        }
        if self.worst_registered(groups) > self.bound_registered() {
            return Err(value(
                "posterior.bound_registered is exceeded: serve oggz to no corporation, or have the bound agreed",
            ));
        }
        self.check_shielded(groups)
    }
}

impl Permit {
    /// The answer for the party to which the permit was given. `finding` is absent where a source is missing,
    /// `fresh` is false where one is too old. A permit for another act than [`Act::Ask`], or of another
    /// regulation, opens nothing: the answer is undetermined.
    #[must_use]
    pub fn disclose(self, regulation: &Regulation, finding: Option<&Finding>, fresh: bool) -> Answer {
        if self.act != Act::Ask || *self.digest != *regulation.digest() {
            return Answer::Undetermined;
        }
        answer(&regulation.document, self.role, usable(finding, fresh))
    }
}

/// Whether a household is in a group, as the care side is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Yes,
    No,
    Undetermined,
}

impl Told {
    /// As it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Undetermined => "undetermined",
        }
    }
}

impl Permit {
    /// The groups for the care-side party to which the permit was given: those alone for which the regulation names it
    /// a recipient with a legal basis. A shield does not hide from who has a ground. A case is a household at an address:
    /// of who is registered elsewhere nothing is told, whatever the regulation says of a corporation's answer. A permit for
    /// another act than [`Act::AskGroups`], or of another regulation, tells no group.
    #[must_use]
    pub fn disclose_groups(
        self,
        regulation: &Regulation,
        finding: Option<&Finding>,
        fresh: bool,
    ) -> Vec<(Group, Told)> {
        let document = &regulation.document;
        let form = document.disclosures.iter().find(|told| told.recipient == self.role).map(|told| told.form);
        let ours = self.act == Act::AskGroups && *self.digest == *regulation.digest();
        if !ours || form != Some(Form::Groups) || !self.role.is_care_side() {
            return Vec::new();
        }
        let found = usable(finding, fresh).map(|finding| WhoseHousehold::Address.of(finding));
        let told = |rule: &GroupRule| match found {
            Some(found) if found.holds(rule) => Told::Yes,
            Some(found) if found.lacks(rule) => Told::No,
            _ => Told::Undetermined,
        };
        let served = document.groups.iter().filter(|rule| rule.is_served_to(self.role));
        served.map(|rule| (rule.group, told(rule))).collect()
    }
}

impl Regulation {
    /// Whether anything can be told to this role.
    pub(crate) fn tells(&self, recipient: Role) -> bool {
        self.groups().iter().any(|rule| rule.is_served_to(recipient))
    }

    /// The answer to a question of this role that is told nothing.
    pub fn told_nothing(&self, recipient: Role) -> Answer {
        answer(&self.document, recipient, None)
    }

    /// What of a finding determines the answer for this role, before the form that it has: for counting, not for telling.
    pub(super) fn word(&self, recipient: Role, finding: &Finding) -> Answer {
        let found = usable(Some(finding), true).map(|finding| self.document.household.whose.of(finding));
        three_valued(&self.document.groups, recipient, found)
    }
}

fn answer(document: &Document, recipient: Role, finding: Option<&Finding>) -> Answer {
    let Some(disclosure) = document.disclosures.iter().find(|d| d.recipient == recipient) else {
        return Answer::Undetermined;
    };
    let found = finding.map(|finding| document.household.whose.of(finding));
    match (disclosure.form, three_valued(&document.groups, recipient, found)) {
        (Form::Consult, Answer::Undetermined) => Answer::Priority,
        (Form::Groups, _) => Answer::Undetermined,
        (_, answer) => answer,
    }
}

fn three_valued(groups: &[GroupRule], recipient: Role, found: Option<Found>) -> Answer {
    let served: Vec<_> = groups.iter().filter(|rule| rule.is_served_to(recipient)).collect();
    match found {
        // Even when not certain: more protection, never less.
        Some(found) if served.iter().any(|rule| !rule.shield && found.holds(rule)) => Answer::Priority,
        // Nothing served: a "no" would say that groups were looked at.
        Some(found) if !served.is_empty() && served.iter().all(|rule| !found.holds(rule) && found.lacks(rule)) => {
            Answer::NoPriority
        }
        _ => Answer::Undetermined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(shield: bool, whose_age: WhoseAge) -> Vec<GroupRule> {
        [Group::Minor, Group::Senior, Group::Oggz]
            .map(|group| GroupRule {
                group,
                source: if group == Group::Oggz { GroupSource::Care } else { GroupSource::Population },
                whose_age: (group == Group::Senior).then_some(whose_age),
                legal_basis: "covenant".into(),
                recipients: vec![Role::Corporation],
                shield: shield && group == Group::Oggz,
                reference: String::new(),
            })
            .into()
    }

    const NONE: Groups = Groups { minor: false, senior_tenant: false, senior_resident: false, oggz: false };
    const MINOR: Groups = Groups { minor: true, ..NONE };
    const RESIDENT: Groups = Groups { senior_resident: true, ..NONE };
    const OGGZ: Groups = Groups { oggz: true, ..NONE };

    fn told(rules: &[GroupRule], certain: bool, groups: Groups) -> Answer {
        three_valued(rules, Role::Corporation, Some(Found { groups, certain, care_certain: true }))
    }

    #[test]
    fn a_served_group_has_priority_even_when_unsure() {
        let rules = rules(false, WhoseAge::Tenant);
        for certain in [true, false] {
            assert_eq!(told(&rules, certain, MINOR), Answer::Priority);
            assert_eq!(told(&rules, certain, OGGZ), Answer::Priority);
        }
        assert_eq!(told(&rules, true, NONE), Answer::NoPriority);
        assert_eq!(told(&rules, false, NONE), Answer::Undetermined);
        assert_eq!(three_valued(&rules, Role::Corporation, None), Answer::Undetermined);
    }

    #[test]
    fn whose_age_decides_which_seniors_count() {
        assert_eq!(told(&rules(false, WhoseAge::Tenant), true, RESIDENT), Answer::NoPriority);
        assert_eq!(told(&rules(false, WhoseAge::Resident), true, RESIDENT), Answer::Priority);
        let tenant = Groups { senior_tenant: true, ..NONE };
        assert_eq!(told(&rules(false, WhoseAge::Resident), true, tenant), Answer::Priority);
    }

    #[test]
    fn a_shielded_group_hides_alone_and_not_beside_another() {
        let rules = rules(true, WhoseAge::Tenant);
        assert_eq!(told(&rules, true, OGGZ), Answer::Undetermined);
        assert_eq!(told(&rules, true, Groups { minor: true, ..OGGZ }), Answer::Priority);
    }

    #[test]
    fn a_group_without_legal_basis_or_recipient_is_not_served() {
        let mut without = rules(false, WhoseAge::Tenant);
        without[2].legal_basis = " ".into();
        assert_eq!(told(&without, true, OGGZ), Answer::NoPriority);
        without[0].recipients = vec![Role::CareCustodian];
        assert_eq!(told(&without, true, MINOR), Answer::NoPriority);
        without[1].recipients.clear();
        assert_eq!(told(&without, true, NONE), Answer::Undetermined, "nothing served says nothing");
    }

    #[test]
    fn the_worst_posterior_is_one_when_open_and_falls_with_a_shield() {
        let (oggz_share, undetermined_share) = (0.03, 0.05);
        let posterior = Posterior {
            bound: 0.5,
            bound_registered: None,
            oggz_share,
            minor_share: None,
            senior_share: None,
            undetermined_share,
            reference: String::new(),
        };
        let open = rules(false, WhoseAge::Tenant);
        let shielded = rules(true, WhoseAge::Tenant);
        assert!((posterior.worst(&open) - 1.0).abs() < 1e-12);
        assert!((posterior.worst(&shielded) - 0.03 / 0.0785).abs() < 1e-12);
        assert!((posterior.worst(&shielded[..2]) - 0.03).abs() < 1e-12);
        assert!(posterior.check(&open).is_err());
        assert!(posterior.check(&shielded).is_ok());
        assert!(Posterior { bound: f64::NAN, ..posterior.clone() }.check(&shielded).is_err());
        // A shield hides nothing from who knows that all are registered.
        for (bound, groups, holds) in
            [(1.0, &shielded[..], true), (0.99, &shielded[..], false), (0.03, &shielded[..2], true)]
        {
            let agreed = Posterior { bound_registered: Some(bound), ..posterior.clone() };
            assert_eq!(agreed.check(groups).is_ok(), holds, "{bound}");
        }
    }

    proptest! {
        #[test]
        fn more_groups_never_mean_less_protection(
            minor: bool, senior_tenant: bool, senior_resident: bool, oggz: bool, certain: bool, shield: bool,
        ) {
            let rules = rules(shield, WhoseAge::Resident);
            let groups = || Groups { minor, senior_tenant, senior_resident, oggz };
            let rank = |a| match a { Answer::NoPriority => 0, Answer::Undetermined => 1, Answer::Priority => 2 };
            let now = rank(told(&rules, certain, groups()));
            for more in [Groups { minor: true, ..groups() }, Groups { oggz: true, ..groups() },
                         Groups { senior_tenant: true, ..groups() }, Groups { senior_resident: true, ..groups() }] {
                prop_assert!(rank(told(&rules, certain, more)) >= now);
            }
            prop_assert!(rank(told(&rules, false, groups())) >= rank(told(&rules, true, groups())));
        }
    }
}
