//! What a reader may infer: the probability that a household is in the OGGZ group, given the answer, for a reader who
//! has a view of the population register, for one who knows the ages alone, and for one who knows nothing.
//!
//! Bayes' rule over five counts. A household in which a linked answer rests on an open group is answered `priority`
//! whoever else is in it; one in a shielded group alone is answered `undetermined`; a share of all households is
//! answered `undetermined` for another reason, which a view of the register excludes: who sees that all tenants are
//! registered in one household knows that they were found. The care side is left out: it is told about its own clients.

use super::disclose::{GroupRule, Posterior, WhoseAge};
use super::{Answer, Form, Regulation, Role};
use crate::code::Group;

/// Smaller counts than this are counted as this many: nobody may count people by what this prints.
const SMALL: u64 = 10;

/// How a household looks to who knows the ages of those who live there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Posture {
    Minor,
    /// No minor, and a tenant who is a senior.
    Senior,
    /// No minor, and a senior who is no tenant. Registers do not know tenants, so nobody can count these alone: their share
    /// in the group is taken from all households without a minor.
    SeniorResident,
    Neither,
}

impl Posture {
    /// All.
    pub const ALL: [Self; 4] = [Self::Minor, Self::Senior, Self::SeniorResident, Self::Neither];
}

/// What the reader knows beside the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reader {
    /// Has a view of the register: sees that the tenants are registered in one household, and its [`Posture`].
    Registered(Posture),
    /// Knows the household's [`Posture`] from elsewhere, and not whether its tenants are registered.
    Sees(Posture),
    /// Knows nothing.
    Blind,
}

impl Reader {
    /// Whether the reader has a view of the register.
    pub fn is_registered(self) -> bool {
        matches!(self, Self::Registered(_))
    }
}

/// Households of a municipality, counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cells {
    /// With a minor, else with a senior, else: all, and those in the OGGZ group.
    pub households: [(u64, u64); 3],
    /// Share answered `undetermined` for another reason than a shield, 0 to 1.
    pub undetermined_share: f64,
}

/// What one reader infers from one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inference {
    pub reader: Reader,
    pub answer: Answer,
    /// That the household is in the OGGZ group: before the answer,
    pub prior: f64,
    /// and after it.
    pub posterior: f64,
}

impl Cells {
    /// A town of estimates: the regulation's own shares. One in four households has a minor, one in four a senior.
    pub fn estimated(posterior: &Posterior) -> Self {
        const HOUSEHOLDS: u64 = 1_000_000;
        let of = |all: u64| (all, (posterior.oggz_share * all as f64).round() as u64);
        Self {
            households: [of(HOUSEHOLDS / 4), of(HOUSEHOLDS / 4), of(HOUSEHOLDS / 2)],
            undetermined_share: posterior.undetermined_share,
        }
    }

    /// All households of a posture and those in the group; small counts raised, so that the result is never too low and
    /// tells no count.
    fn protected(&self, posture: Posture) -> (f64, f64) {
        let [minor, senior, neither] = self.households;
        let (all, oggz) = match posture {
            Posture::Minor => minor,
            Posture::Senior => senior,
            Posture::SeniorResident => (senior.0 + neither.0, senior.1 + neither.1),
            Posture::Neither => neither,
        };
        let oggz = oggz.max(SMALL.min(all));
        (all.max(oggz) as f64, oggz as f64)
    }

    /// What each reader infers from each answer that a corporation can get, the worst first.
    pub fn inferences(&self, regulation: &Regulation) -> Vec<Inference> {
        let form = regulation.disclosures().iter().find(|told| told.recipient == Role::Corporation);
        form.map_or_else(Vec::new, |told| self.inferences_as(regulation, told.form))
    }

    /// The same, were corporations answered in another form.
    pub fn inferences_as(&self, regulation: &Regulation, form: Form) -> Vec<Inference> {
        let mut all = Vec::new();
        for answer in [Answer::Priority, Answer::NoPriority, Answer::Undetermined] {
            // Of households that are counted alike: how many get this answer, and how many of those are in the group.
            let told_if = |unsure: f64, posture: Posture| {
                let (households, oggz) = self.protected(posture);
                let of =
                    |count: f64, member| count * chance(regulation.groups(), form, unsure, posture, member, answer);
                (of(oggz, true) + of(households - oggz, false), of(oggz, true))
            };
            let told = |posture| told_if(self.undetermined_share.clamp(0.0, 1.0), posture);
            let mut push = |reader, (households, members): (f64, f64), (all_of, oggz): (f64, f64)| {
                if households > 0.0 && all_of > 0.0 {
                    all.push(Inference { reader, answer, prior: oggz / all_of, posterior: members / households });
                }
            };
            for one in Posture::ALL {
                push(Reader::Registered(one), told_if(0.0, one), self.protected(one));
                push(Reader::Sees(one), told(one), self.protected(one));
            }
            // Who sees nothing does not know how many seniors are tenants: whichever tells more.
            let towns =
                [&[Posture::Minor, Posture::Senior, Posture::Neither][..], &[Posture::Minor, Posture::SeniorResident]];
            let town =
                |of: &[Posture]| (sum(of.iter().map(|one| told(*one))), sum(of.iter().map(|one| self.protected(*one))));
            let share = |(households, members): (f64, f64)| if households > 0.0 { members / households } else { 0.0 };
            let worst = towns.map(town).into_iter().max_by(|one, other| share(one.0).total_cmp(&share(other.0)));
            let (answered, all_of) = worst.unwrap_or_default();
            push(Reader::Blind, answered, all_of);
        }
        all.sort_by(|a, b| b.posterior.total_cmp(&a.posterior).then(a.reader.cmp(&b.reader)));
        all
    }

    /// The worst posterior of a reader without a view of the register, and of one with it; 0 where nothing is told.
    /// The shielded groups of the population that the parties estimated are among them.
    pub fn worst(&self, regulation: &Regulation) -> Worst {
        let worst = Worst::of(&self.inferences(regulation));
        self.worst_shielded(regulation)
            .map_or(worst, |shielded| Worst { unseen: worst.unseen.max(shielded), registered: 1.0 })
    }

    /// A count that is protected, for a share that is never too low.
    pub(super) fn at_least_small(&self, count: u64) -> f64 {
        let all = self.households.iter().map(|(all, _)| all).sum();
        count.max(SMALL.min(all)) as f64
    }
}

/// The worst posteriors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// Of who does not know whether the tenants are registered.
    pub unseen: f64,
    /// Of who has a view of the register.
    pub registered: f64,
}

impl Worst {
    /// Of inferences, the worst first.
    pub fn of(all: &[Inference]) -> Self {
        let first = |registered| {
            all.iter().find(|one| one.reader.is_registered() == registered).map_or(0.0, |worst| worst.posterior)
        };
        Self { unseen: first(false), registered: first(true) }
    }

    /// Whether it is more than the parties accept.
    pub fn exceeds(self, bounds: &Posterior) -> bool {
        self.unseen > bounds.bound || self.registered > bounds.bound_registered()
    }
}

/// How likely a household of this posture, in the group or not, gets this answer, where a share of all is answered
/// `undetermined` for another reason.
fn chance(groups: &[GroupRule], form: Form, unsure: f64, posture: Posture, member: bool, answer: Answer) -> f64 {
    let rule = |group: Group| groups.iter().find(|r| r.group == group && r.is_served_to(Role::Corporation));
    let seen = match posture {
        Posture::Minor => rule(Group::Minor),
        Posture::Senior => rule(Group::Senior),
        Posture::SeniorResident => rule(Group::Senior).filter(|rule| rule.whose_age != Some(WhoseAge::Tenant)),
        Posture::Neither => None,
    };
    let rules = [seen, member.then(|| rule(Group::Oggz)).flatten()];
    let open = rules.iter().flatten().any(|rule| !rule.shield);
    let shielded = rules.iter().flatten().any(|rule| rule.shield);
    let certain = match (open, shielded) {
        (true, _) => Answer::Priority,
        (false, true) => Answer::Undetermined,
        (false, false) => Answer::NoPriority,
    };
    let told = |one: Answer| if form == Form::Consult && one == Answer::Undetermined { Answer::Priority } else { one };
    let is = |one: Answer| f64::from(u8::from(told(one) == answer));
    (1.0 - unsure) * is(certain) + unsure * is(Answer::Undetermined)
}

fn sum(of: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    of.fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regulate::tests::{CEDAR_TEXT, TOML_TEXT, read, replaced};

    const TOWN: Cells = Cells { households: [(2_000, 60), (1_500, 30), (6_500, 195)], undetermined_share: 0.05 };

    fn with(from: &str, to: &str) -> Regulation {
        read(&replaced(&replaced(TOML_TEXT, "bound = 0.5", "bound = 1.0"), from, to), CEDAR_TEXT).unwrap()
    }

    fn find(town: &Cells, regulation: &Regulation, reader: Reader, answer: Answer) -> f64 {
        let all = town.inferences(regulation);
        all.iter().find(|one| (one.reader, one.answer) == (reader, answer)).map_or(f64::NAN, |one| one.posterior)
    }

    #[test]
    fn an_open_group_is_certain_for_who_sees_the_register_and_a_shield_hides_it() {
        let sees = Reader::Sees(Posture::Neither);
        let open = with("shield = true", "shield = false");
        assert!((TOWN.worst(&open).unseen - 1.0).abs() < 1e-12);
        assert!((find(&TOWN, &open, sees, Answer::Priority) - 1.0).abs() < 1e-12);
        let haarlem = with("[[disclosure]]", "[[disclosure]]\n");
        // By hand: 195 members and 5 % of 6,305 others are undetermined.
        let want = 195.0 / (195.0 + 0.05 * 6_305.0);
        assert!((find(&TOWN, &haarlem, sees, Answer::Undetermined) - want).abs() < 1e-12);
        assert!((TOWN.worst(&haarlem).unseen - want).abs() < 1e-12);
        assert!((find(&TOWN, &haarlem, sees, Answer::NoPriority)).abs() < 1e-12);
    }

    #[test]
    fn one_bit_tells_who_sees_the_register_as_much_as_three_words() {
        let consult = with("form = \"three-valued\"", "form = \"consult\"");
        let three = with("[[disclosure]]", "[[disclosure]]\n");
        assert!((TOWN.worst(&consult).unseen - TOWN.worst(&three).unseen).abs() < 1e-12);
        let blind = |regulation| find(&TOWN, regulation, Reader::Blind, Answer::Priority);
        assert!(blind(&consult) > blind(&three), "consult holds the shielded ones too");
    }

    #[test]
    fn a_senior_who_is_no_tenant_hides_nobody() {
        let haarlem = with("[[disclosure]]", "[[disclosure]]\n");
        let of = |posture| find(&TOWN, &haarlem, Reader::Sees(posture), Answer::Undetermined);
        assert!((of(Posture::Senior) - 0.02).abs() < 1e-12, "a tenant of that age has priority whatever else");
        // By hand: of 8,000 households without a minor 225 are in the group.
        assert!((of(Posture::SeniorResident) - 225.0 / (225.0 + 0.05 * 7_775.0)).abs() < 1e-12);
        let anybody = with("whose_age = \"tenant\"", "whose_age = \"resident\"");
        let seen = Reader::Sees(Posture::SeniorResident);
        assert!((find(&TOWN, &anybody, seen, Answer::Undetermined) - 225.0 / 8_000.0).abs() < 1e-12);
    }

    #[test]
    fn a_family_s_answer_tells_nothing_new_about_the_group() {
        let haarlem = with("[[disclosure]]", "[[disclosure]]\n");
        assert!((find(&TOWN, &haarlem, Reader::Sees(Posture::Minor), Answer::Priority) - 0.03).abs() < 1e-12);
    }

    #[test]
    fn small_counts_are_neither_told_nor_too_low() {
        let haarlem = with("[[disclosure]]", "[[disclosure]]\n");
        let of = |oggz| Cells { households: [(0, 0), (0, 0), (400, oggz)], ..TOWN }.worst(&haarlem).unseen;
        assert!((0..=SMALL).all(|n| (of(n) - of(SMALL)).abs() < 1e-12));
        assert!(of(11) > of(SMALL));
        let nobody = Cells { households: [(0, 0); 3], ..TOWN };
        assert_eq!(nobody.inferences(&haarlem), []);
    }

    /// Counted by enumeration, household by household, from rules written down here: minors open, seniors open if they
    /// are tenants, the group shielded, open or served to no corporation.
    #[test]
    fn every_figure_is_that_of_a_town_counted_household_by_household() {
        #[derive(Clone, Copy, PartialEq)]
        enum Oggz {
            Shielded,
            Open,
            NotServed,
        }
        struct Household {
            posture: Posture,
            member: bool,
            /// Answered undetermined for another reason.
            unsure: bool,
        }
        let with_bound = |from, to| with(from, to);
        let regulations = [
            (Oggz::Shielded, with("[[disclosure]]", "[[disclosure]]\n")),
            (Oggz::Open, with_bound("shield = true", "shield = false")),
            (Oggz::NotServed, with_bound("[\"corporation\", \"care-custodian\"]", "[\"care-custodian\"]")),
        ];
        // Of 20 households each, one is unsure: 5 %.
        let town = |senior: Posture, neither: Posture| -> Vec<Household> {
            let cells =
                [(Posture::Minor, TOWN.households[0]), (senior, TOWN.households[1]), (neither, TOWN.households[2])];
            let each = cells.into_iter().flat_map(|(posture, (all, oggz))| (0..all).map(move |n| (posture, n < oggz)));
            each.flat_map(|(posture, member)| (0..20).map(move |n| Household { posture, member, unsure: n == 0 }))
                .collect()
        };
        let word = |oggz: Oggz, form: Form, household: &Household, unsure: bool| {
            let open = matches!(household.posture, Posture::Minor | Posture::Senior)
                || (household.member && oggz == Oggz::Open);
            let answer = match () {
                () if unsure => Answer::Undetermined,
                () if open => Answer::Priority,
                () if household.member && oggz == Oggz::Shielded => Answer::Undetermined,
                () => Answer::NoPriority,
            };
            if form == Form::Consult && answer == Answer::Undetermined { Answer::Priority } else { answer }
        };
        // A town in which the seniors are tenants, and one in which they are not.
        let towns = [town(Posture::Senior, Posture::Neither), town(Posture::SeniorResident, Posture::SeniorResident)];
        for (oggz, regulation) in &regulations {
            for form in [Form::ThreeValued, Form::Consult] {
                let all = TOWN.inferences_as(regulation, form);
                assert!(all.windows(2).all(|pair| pair[0].posterior >= pair[1].posterior), "the worst first");
                for answer in [Answer::Priority, Answer::NoPriority, Answer::Undetermined] {
                    let share = |town: &[Household], registered: bool, of: Option<Posture>| {
                        let seen = town.iter().filter(|one| of.is_none_or(|posture| one.posture == posture));
                        let seen = seen.filter(|one| !(registered && one.unsure));
                        let told = seen.filter(|one| word(*oggz, form, one, one.unsure) == answer);
                        let (all, members) = told.fold((0, 0), |(n, m), one| (n + 1, m + u32::from(one.member)));
                        (all > 0).then(|| f64::from(members) / f64::from(all))
                    };
                    let mut readers = vec![];
                    for posture in Posture::ALL {
                        let town = &towns[usize::from(posture == Posture::SeniorResident)];
                        readers.push((Reader::Registered(posture), share(town, true, Some(posture))));
                        readers.push((Reader::Sees(posture), share(town, false, Some(posture))));
                    }
                    let blind = towns.iter().filter_map(|town| share(town, false, None)).max_by(f64::total_cmp);
                    readers.push((Reader::Blind, blind));
                    for (reader, want) in readers {
                        let found = all.iter().find(|one| (one.reader, one.answer) == (reader, answer));
                        let found = found.map(|one| one.posterior);
                        let same = match (found, want) {
                            (Some(found), Some(want)) => (found - want).abs() < 1e-9,
                            (None, None) => true,
                            _ => false,
                        };
                        assert!(same, "{form:?} {reader:?} {answer:?}: {found:?}, by hand {want:?}");
                    }
                }
                let worst = Worst::of(&all);
                let certain = if *oggz == Oggz::NotServed { 0.03 } else { 1.0 };
                assert!((worst.registered - certain).abs() < 1e-9, "a shield hides nothing from who has the register");
                assert!(worst.unseen <= worst.registered + 1e-9);
            }
        }
    }

    #[test]
    fn the_estimate_agrees_with_the_bound_that_is_checked_at_load() {
        let haarlem = with("[[disclosure]]", "[[disclosure]]\n");
        let posterior = haarlem.posterior();
        assert!((Cells::estimated(posterior).worst(&haarlem).unseen - posterior.worst(haarlem.groups())).abs() < 1e-6);
    }
}
