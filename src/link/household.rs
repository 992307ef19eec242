//! From linked people to their households, and what those hold.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use super::alike::Alike;
use super::care::{Join, Joined};
use super::decide::{Outcome, Standing};
use super::desk::Desk;
use super::popcount::Kernel;
use super::quality::Estimate;
use super::register::Register;
use super::search::{Far, Probe, Search};
use super::{HouseholdQuestion, Source};
use crate::code::{AddressToken, RecordRef};

/// The registers of one epoch, joined: which households have a member of the care list.
///
/// `Debug` shows counts only.
pub struct Registers {
    population: Arc<Register>,
    care: Option<(Arc<Register>, Join)>,
    kernel: Kernel,
    threads: usize,
    desk: Desk<Probe, Far>,
    /// Per household of the population.
    membership: Vec<Membership>,
    joined: usize,
    cells: [(u64, u64); 3],
}

/// Does a household have a member of the care list?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Membership {
    No,
    /// A member is in the band of somebody here.
    Unsure,
    Yes,
}

/// What the households of the linked tenants hold. What is too large to be a household holds only the tenants themselves:
/// in an institution others are minors, seniors or on the care list whoever the tenant is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Any resident is a minor.
    pub minor: bool,
    /// A linked tenant is a senior.
    pub senior_tenant: bool,
    /// Any resident is a senior.
    pub senior_resident: bool,
    /// A resident is on the care list, or a tenant is, registered here or not.
    pub oggz: bool,
}

/// What is known about a question. It is for `regulate` to say what of it may be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Per tenant, in the order of the question: the standing in the population.
    pub tenants: Vec<Standing>,
    /// Whether the absence of a group means its absence. False unless every tenant was linked and no linked household or
    /// address is too large to be one. Below it nothing may answer no on its own.
    pub certain: bool,
    /// Whether the same holds of the care list: no tenant is unsure there, and no member of it is in the band of a linked
    /// household that holds no certain one. Apart from `certain`, because who is told no group of that list must not
    /// see what is on it.
    pub care_certain: bool,
    /// Found groups are found, certain or not.
    pub groups: Groups,
    /// Several tenants who are not all linked in one and the same household. A tenant who is not linked lives in one of
    /// his own as far as this goes: else who is linked, and who nowhere, would show in what the others are told.
    pub apart: bool,
    /// Where a tenant is linked to somebody who is registered at another address than the question's: the groups without
    /// the households of those.
    pub moved: Option<Groups>,
}

impl Finding {
    /// What would have been found if nothing were known of the care list: whoever is on it, this is the same. With
    /// `care_certain` as if that list were empty.
    #[must_use]
    pub fn without_care(&self, care_certain: bool) -> Self {
        let without = |groups: Groups| Groups { oggz: false, ..groups };
        Self { care_certain, groups: without(self.groups), moved: self.moved.map(without), ..self.clone() }
    }

    /// What would have been found if nobody were known to be a minor, or a senior.
    #[must_use]
    pub fn without_population(&self, minor: bool, senior: bool) -> Self {
        let without = |groups: Groups| Groups {
            minor: groups.minor && !minor,
            senior_tenant: groups.senior_tenant && !senior,
            senior_resident: groups.senior_resident && !senior,
            ..groups
        };
        Self { groups: without(self.groups), moved: self.moved.map(without), ..self.clone() }
    }
}

impl Registers {
    /// Links each member of the care list to the population by the same rule as tenants, on all cores.
    ///
    /// # Panics
    /// If the registers are not one of each source, or were built with profiles of different shape.
    pub fn join(population: Arc<Register>, care: Option<Arc<Register>>) -> Self {
        Self::joined_after(None, population, care)
    }

    /// As [`Registers::join`], and what did not change since these registers were joined is not joined again. A register
    /// that did not change at all is best passed as it is, [`Registers::population`] or [`Registers::care`].
    ///
    /// # Panics
    /// As [`Registers::join`].
    #[must_use]
    pub fn rejoin(&self, population: Arc<Register>, care: Option<Arc<Register>>) -> Self {
        Self::joined_after(Some(self), population, care)
    }

    fn joined_after(before: Option<&Self>, population: Arc<Register>, care: Option<Arc<Register>>) -> Self {
        assert_eq!(population.source(), Source::Population, "the first register is the population");
        let kernel = Kernel::best();
        let before = before.and_then(|before| {
            let (care, join) = before.care.as_ref()?;
            Some(Joined { population: &before.population, care, join })
        });
        let before = before.filter(|before| before.population.shape == population.shape);
        let care = care.map(|care| {
            assert_eq!(care.source(), Source::Care, "the second register is the care list");
            assert_eq!(population.shape, care.shape, "both registers hold codes of one profile");
            let join = Join::new(&population, &care, kernel, before);
            (care, join)
        });
        let mut membership = vec![Membership::No; population.households()];
        let mut joined = 0;
        for outcome in care.iter().flat_map(|(_, join)| &join.outcomes) {
            let (rows, found) = match outcome {
                Outcome::Linked { row, .. } => (std::slice::from_ref(row), Membership::Yes),
                Outcome::Unsure { near } => (&near[..], Membership::Unsure),
                Outcome::Nobody => continue,
            };
            joined += usize::from(found == Membership::Yes);
            for household in rows.iter().filter_map(|row| population.household_of(*row)) {
                membership[household] = membership[household].max(found);
            }
        }
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let cells = cells(&population, &membership);
        Self { population, care, kernel, threads, desk: Desk::new(), membership, joined, cells }
    }

    /// Who the tenants are, and what their households hold. The work is the same whoever is registered: both registers
    /// are scanned for every tenant. What still shows in the time, how many come near and how soon a comparison ends, is
    /// for the caller to hide.
    ///
    /// # Panics
    /// If the question was made with a profile of another shape than the registers: it would find nobody, silently.
    pub fn find(&self, question: &HouseholdQuestion) -> Finding {
        self.find_each(&[question]).pop().expect("one question has one finding")
    }

    /// As [`Registers::find`] for each, in the order of the questions and in one scan for all.
    ///
    /// # Panics
    /// As [`Registers::find`].
    pub fn find_each<Q: Borrow<HouseholdQuestion>>(&self, questions: &[Q]) -> Vec<Finding> {
        let probes = |question: &Q| {
            let question = question.borrow();
            assert_eq!(question.shape, self.population.shape, "question and registers hold codes of one profile");
            Probe::tenants(question)
        };
        let contracts: Vec<_> = questions.iter().map(probes).collect();
        let here = self.search().households(&contracts);
        let on_care_list = self.care.as_ref().map(|(care, _)| Search::alone(care, self.kernel).households(&contracts));
        let mut on_care_list = on_care_list.unwrap_or_default().into_iter();
        let found = questions.iter().zip(&contracts).zip(here);
        found
            .map(|((question, tenants), here)| {
                self.finding(question.borrow(), tenants, &here, &on_care_list.next().unwrap_or_default())
            })
            .collect()
    }

    fn search(&self) -> Search<'_> {
        let (kernel, threads, desk) = (self.kernel, self.threads, Some(&self.desk));
        Search { register: &self.population, kernel, threads, desk }
    }

    fn finding(
        &self,
        question: &HouseholdQuestion,
        tenants: &[Probe],
        here: &[Outcome],
        on_care_list: &[Outcome],
    ) -> Finding {
        let search = self.search();
        let linked: Vec<usize> = here.iter().filter_map(linked_row).collect();
        let households = self.households(&linked);
        let listed = on_care_list.iter().any(|outcome| linked_row(outcome).is_some());
        let groups = |linked: &[usize]| {
            let groups = self.groups(linked);
            Groups { oggz: groups.oggz || listed, ..groups }
        };
        let staying: Vec<usize> = linked.iter().copied().filter(|row| self.is_at(*row, question.address())).collect();
        // Every tenant is found, or nothing is certain. Were a tenant whom nobody knows no doubt, whoever asks about X and
        // then about X and Z, of whom no group is known, reads from a no that X is not registered, and from its absence
        // that a shield hides X.
        let found = linked.len() == tenants.len();
        let unsure = on_care_list.iter().any(|outcome| matches!(outcome, Outcome::Unsure { .. }));
        // An institution is no household that people share.
        let together = found && households.len() == 1 && households.iter().all(|one| self.is_household(*one));
        Finding {
            certain: found && self.are_clear(&linked, &households),
            care_certain: !unsure && households.iter().all(|one| self.membership[*one] != Membership::Unsure),
            tenants: tenants.iter().zip(here).map(|(tenant, outcome)| search.standing(tenant, outcome)).collect(),
            groups: groups(&linked),
            apart: tenants.len() > 1 && !together,
            moved: (staying.len() < linked.len()).then(|| groups(&staying)),
        }
    }

    /// Whether a person of the population is registered at this address.
    fn is_at(&self, row: usize, address: Option<AddressToken>) -> bool {
        address.is_some() && self.population.address(row) == address
    }

    /// Of each tenant the custodian's reference of who was found, at the address or also `elsewhere`.
    pub fn found(&self, finding: &Finding, elsewhere: bool) -> impl Iterator<Item = Option<RecordRef>> {
        finding.tenants.iter().map(move |standing| match standing {
            Standing::Linked { row, at_address, .. } if *at_address || elsewhere => self.population.reference(*row),
            _ => None,
        })
    }

    /// Whether two tenants may be one person.
    pub fn alike(&self) -> Alike {
        self.population.thresholds().alike
    }

    /// The population.
    pub fn population(&self) -> &Arc<Register> {
        &self.population
    }

    /// The care list, where there is one.
    pub fn care(&self) -> Option<&Arc<Register>> {
        self.care.as_ref().map(|(care, _)| care)
    }

    /// How well the members of the care list were linked to the population; none without such a list.
    pub fn care_estimate(&self) -> Option<Estimate> {
        let (care, join) = self.care.as_ref()?;
        let search = Search::alone(&self.population, self.kernel);
        let members = join.outcomes.iter().enumerate();
        let standings = members.map(|(row, outcome)| search.standing(&Probe::row(care, row), outcome));
        Some(self.population.estimate(&standings.collect::<Vec<_>>()))
    }

    /// Households, counted: those with a minor, then those without a minor and with a senior, then the others; each all,
    /// and those in the OGGZ group.
    pub fn cells(&self) -> [(u64, u64); 3] {
        self.cells
    }

    /// Members of the care list who were linked to somebody of the population.
    pub fn joined(&self) -> usize {
        self.joined
    }

    /// Pairs of a member of the care list and a resident that scans compared when these registers were joined.
    pub fn compared(&self) -> usize {
        self.care.as_ref().map_or(0, |(_, join)| join.compared)
    }

    /// Per household, in the order in which the population has them, whether the care list has somebody in it.
    #[cfg(test)]
    pub(super) fn households_on_list(&self) -> Vec<String> {
        self.membership.iter().map(|membership| format!("{membership:?}")).collect()
    }

    fn households(&self, linked: &[usize]) -> BTreeSet<usize> {
        linked.iter().filter_map(|row| self.population.household_of(*row)).collect()
    }

    fn groups(&self, linked: &[usize]) -> Groups {
        let households = self.households(linked);
        let any = |holds: &dyn Fn(usize) -> bool| {
            households.iter().any(|household| self.is_household(*household) && holds(*household))
        };
        let senior_tenant = linked.iter().any(|row| self.population.is_senior(*row));
        Groups {
            minor: any(&|household| self.population.household(household).minor)
                || linked.iter().any(|row| self.population.is_minor(*row)),
            senior_tenant,
            senior_resident: senior_tenant || any(&|household| self.population.household(household).senior),
            oggz: any(&|household| self.membership[household] == Membership::Yes),
        }
    }

    /// Neither an institution nor a student house.
    fn is_household(&self, position: usize) -> bool {
        self.population.household(position).size <= self.population.rule.max_household
    }

    /// All of it is households that the register can speak for.
    fn are_clear(&self, linked: &[usize], households: &BTreeSet<usize>) -> bool {
        let rule = &self.population.rule;
        households.iter().all(|household| self.is_household(*household))
            && linked.iter().all(|row| self.population.neighbours(*row) <= rule.max_address_block)
    }
}

impl fmt::Debug for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registers({:?}, {:?}, {} joined)", self.population, self.care(), self.joined)
    }
}

fn cells(population: &Register, membership: &[Membership]) -> [(u64, u64); 3] {
    let mut cells = [(0, 0); 3];
    for (position, membership) in membership.iter().enumerate() {
        let household = population.household(position);
        let cell = &mut cells[if household.minor { 0 } else { 2 - usize::from(household.senior) }];
        cell.0 += 1;
        cell.1 += u64::from(*membership == Membership::Yes);
    }
    cells
}

fn linked_row(outcome: &Outcome) -> Option<usize> {
    match outcome {
        Outcome::Linked { row, .. } => Some(*row),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
