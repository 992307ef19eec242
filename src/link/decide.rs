//! The rule: from agreement to who is linked, about whom nobody is sure, and who is nobody here.
//!
//! Per tenant: (1) the best person at the same address by all codes together, if that links, and unsure if the global code
//! links somebody of another household and not this one; (2) else the best person
//! of the whole register by a code keyed with street or postcode, then by the global code, if one links, and unsure if the
//! global code links and somebody of another household at the address may be the same; (3) else, of
//! those about whom nobody is sure, the best by all codes together, if that links; (4) else unsure, if there is anybody
//! like that; (5) else nobody. Then (6) a tenant about whom nobody is sure is linked if one of those in doubt lives with
//! another tenant of the contract. A person has several variants of each code; the best pair counts. Two persons of
//! different households with exactly the best score are nobody's to choose between: unsure; and at the address neither are
//! two whose difference noise explains, for there records are compared leniently, and what is missing in one is filled at
//! random. Where the thresholds come from says [`super::thresholds`].

use std::collections::{BTreeSet, HashSet};

use super::score::Z;
use super::search::{Candidate, Far, Probe, Search};

/// How one tenant stands to the register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// This tenant is that person.
    Linked {
        /// Position among the records with codes, in the order of the load.
        row: usize,
        /// The agreement that linked: of all codes together if `at_address`, else of the code that linked, or of all of
        /// them together; these scales do not compare.
        z: Z,
        /// Linked among the people at the question's address.
        at_address: bool,
        /// The global code alone would have linked, had this person moved.
        by_names: bool,
    },
    /// Somebody agrees too well for a stranger and not well enough for a link, or two agree equally well.
    Unsure,
    /// Nobody here agrees better than strangers do.
    Nobody,
}

/// A standing, and for an unsure one the rows between which nobody is sure.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Linked { row: usize, z: Z, at_address: bool },
    Unsure { near: Vec<usize> },
    Nobody,
}

impl Search<'_> {
    /// The tenants of each contract, of whom no two are linked to the same person at the address while another one
    /// there would do. All of them are looked for in the whole register, those as well whom the address settles, in one
    /// scan: who is registered where he rents must not show in the time.
    pub fn households(self, contracts: &[Vec<Probe>]) -> Vec<Vec<Outcome>> {
        let people: Vec<_> = contracts.iter().flatten().collect();
        let mut far = self.far(&people).into_iter();
        let household = |tenants: &Vec<Probe>| {
            let far: Vec<Far> = far.by_ref().take(tenants.len()).collect();
            self.household(tenants, &far)
        };
        contracts.iter().map(household).collect()
    }

    fn household(self, tenants: &[Probe], far: &[Far]) -> Vec<Outcome> {
        let near: Vec<_> = tenants.iter().map(|tenant| self.at_address(tenant)).collect();
        let here = self.assign(tenants, &near);
        let taken = taken(here.iter().flatten());
        let evidence = tenants.iter().zip(near.iter().zip(far));
        let settled = here.into_iter().zip(evidence);
        let settled = settled.map(|(here, (tenant, (near, far)))| self.settled(tenant, here, near, far, &taken));
        let mut outcomes: Vec<_> = settled.collect();
        self.support(tenants, &mut outcomes);
        outcomes
    }

    /// Tenants of one contract live together more often than not: of several about whom nobody is sure, a tenant is the
    /// best who shares a household with a tenant who is linked, and whom no tenant is linked to yet.
    fn support(self, tenants: &[Probe], outcomes: &mut [Outcome]) {
        if !self.register.has_households() {
            return;
        }
        let taken = taken(outcomes.iter());
        let households: HashSet<_> = taken.iter().map(|row| self.register.household_of(*row)).collect();
        for (tenant, outcome) in tenants.iter().zip(outcomes) {
            let Outcome::Unsure { near } = &*outcome else { continue };
            let with_them =
                |row: &&usize| households.contains(&self.register.household_of(**row)) && !taken.contains(row);
            let z = |row: &usize| Candidate { row: *row, z: self.together(tenant, *row) };
            let candidates: Vec<_> = near.iter().filter(with_them).map(z).collect();
            if let Some(supported) = self.pick(&candidates, false) {
                *outcome = supported;
            }
        }
    }

    /// Somebody who has nothing to do with others, of whom a scan found `far`.
    pub fn one(self, person: &Probe, far: Option<&Far>) -> Outcome {
        let near = self.at_address(person);
        self.settled(person, self.pick_here(person, &near), &near, far.unwrap_or(&Far::new()), &[])
    }

    /// Whether the whole register has to be scanned for this person: the address leaves it open who that is, or the register
    /// may have the same person elsewhere.
    pub fn is_open(self, person: &Probe) -> bool {
        match self.pick_here(person, &self.at_address(person)) {
            Some(Outcome::Linked { row, .. }) => !self.is_linked_by_names(person, row),
            here => here.is_none(),
        }
    }

    /// What is told of an outcome.
    pub fn standing(self, person: &Probe, outcome: &Outcome) -> Standing {
        match *outcome {
            Outcome::Linked { row, z, at_address } => {
                Standing::Linked { row, z, at_address, by_names: self.is_linked_by_names(person, row) }
            }
            Outcome::Unsure { .. } => Standing::Unsure,
            Outcome::Nobody => Standing::Nobody,
        }
    }

    /// What the address says, unless the register has the same person elsewhere; what it leaves open, by all else.
    /// Other tenants are those in the rows `taken`.
    fn settled(self, person: &Probe, here: Option<Outcome>, near: &[Candidate], far: &Far, taken: &[usize]) -> Outcome {
        match here {
            Some(Outcome::Linked { row, z, at_address }) => match self.selves_elsewhere(person, row, near, far) {
                elsewhere if elsewhere.is_empty() => Outcome::Linked { row, z, at_address },
                elsewhere => Outcome::Unsure { near: [vec![row], elsewhere].concat() },
            },
            Some(unsure) => unsure,
            None => self.settle(person, near, far, taken),
        }
    }

    /// Who of other households, and not at the address, agrees by the global code as only the same person does, if the
    /// one at the address does not: that may be a relative who stayed behind.
    fn selves_elsewhere(self, person: &Probe, here: usize, near: &[Candidate], far: &Far) -> Vec<usize> {
        if self.is_linked_by_names(person, here) {
            return Vec::new();
        }
        let names = self.register.scanned().iter().zip(far).filter(|((pass, _), _)| *pass == self.register.shape.names);
        let link = names.flat_map(|((_, limits), found)| linking(found, limits.link));
        let household = self.register.household_of(here);
        let is_elsewhere = |row: &usize| {
            self.register.household_of(*row) != household && near.iter().all(|candidate| candidate.row != *row)
        };
        link.map(|found| found.row).filter(is_elsewhere).collect()
    }

    /// Steps 2 to 5.
    fn settle(self, person: &Probe, near: &[Candidate], far: &Far, taken: &[usize]) -> Outcome {
        let mut passes = self.register.scanned().iter().zip(far);
        let linked =
            passes.find_map(|((pass, limits), found)| Some((pass, self.pick(&linking(found, limits.link), false)?)));
        if let Some((pass, outcome)) = linked {
            return if *pass == self.register.shape.names { self.unless_here(outcome, near, taken) } else { outcome };
        }
        let rows: BTreeSet<usize> = near.iter().chain(far.iter().flatten()).map(|candidate| candidate.row).collect();
        let together = |row: &usize| Candidate { row: *row, z: self.together(person, *row) };
        let all: Vec<_> = rows.iter().map(together).collect();
        if let Some(outcome) = self.pick(&linking(&all, self.register.thresholds().together), false) {
            return outcome;
        }
        if rows.is_empty() { Outcome::Nobody } else { Outcome::Unsure { near: rows.into_iter().collect() } }
    }

    /// Somebody by the global code who is not in doubt at the address, unless one of another household there is, and is no
    /// other tenant: a namesake elsewhere is then not taken for a tenant whose own record is full of errors.
    fn unless_here(self, found: Outcome, near: &[Candidate], taken: &[usize]) -> Outcome {
        let Outcome::Linked { row, .. } = found else { return found };
        let household = self.register.household_of(row);
        let is_rival = |here: &usize| self.register.household_of(*here) != household && !taken.contains(here);
        let here = || near.iter().map(|candidate| candidate.row);
        let rivals: Vec<usize> = here().filter(is_rival).collect();
        if rivals.is_empty() || here().any(|here| here == row) {
            return found;
        }
        Outcome::Unsure { near: [vec![row], rivals].concat() }
    }

    /// Step 1 for the tenants of one contract: best first, a person to one tenant. A tenant for whom nobody is
    /// left shares his best person with another one.
    fn assign(self, tenants: &[Probe], near: &[Vec<Candidate>]) -> Vec<Option<Outcome>> {
        // All ask about one address.
        let link = tenants.first().map_or(f64::INFINITY, |tenant| self.link_here(tenant));
        // Equal scores are taken in an order of content, so that no order of rows or tenants changes an answer.
        let mut order: Vec<usize> = (0..tenants.len()).collect();
        order.sort_by(|a, b| tenants[*a].cmp(&tenants[*b]));
        let mut pairs: Vec<(usize, Candidate)> = order
            .into_iter()
            .flat_map(|tenant| near[tenant].iter().map(move |candidate| (tenant, *candidate)))
            .filter(|(_, candidate)| candidate.z.value() >= link)
            .collect();
        // Stable, so that equal scores keep the order of tenants.
        pairs.sort_by(|(_, a), (_, b)| b.z.value().total_cmp(&a.z.value()));

        let mut taken = HashSet::new();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; tenants.len()];
        for (tenant, candidate) in pairs {
            if outcomes[tenant].is_some() || taken.contains(&candidate.row) {
                continue;
            }
            outcomes[tenant] = self.pick_here(&tenants[tenant], &free(&near[tenant], &taken));
            if let Some(Outcome::Linked { row, .. }) = outcomes[tenant] {
                taken.insert(row);
            }
        }
        // Between whom nobody was sure, one may have turned out to be another tenant.
        for (tenant, near) in near.iter().enumerate() {
            if let Some(Outcome::Unsure { .. }) = outcomes[tenant] {
                outcomes[tenant] = self.pick_here(&tenants[tenant], &free(near, &taken)).or(outcomes[tenant].take());
            }
        }
        let rest = tenants.iter().zip(near);
        let alone =
            |(outcome, (tenant, near)): (Option<_>, (_, &Vec<_>))| outcome.or_else(|| self.pick_here(tenant, near));
        outcomes.into_iter().zip(rest).map(alone).collect()
    }

    /// Step 1 for one person: as [`Search::pick`] of those `near` at the address who link; unsure as well if noise explains
    /// that the best of one household agrees better than somebody of another one, whether that one links or is in doubt.
    fn pick_here(self, person: &Probe, near: &[Candidate]) -> Option<Outcome> {
        let picked = self.pick(&linking(near, self.link_here(person)), true)?;
        let Outcome::Linked { row, z, .. } = picked else { return Some(picked) };
        let equals = self.register.thresholds().equals;
        let is_rival = |other: &&Candidate| {
            self.register.household_of(other.row) != self.register.household_of(row)
                && z.value() - other.z.value() <= equals * self.toss(person, row, other.row)
        };
        let rivals: Vec<usize> = near.iter().filter(is_rival).map(|other| other.row).collect();
        if rivals.is_empty() { Some(picked) } else { Some(Outcome::Unsure { near: [vec![row], rivals].concat() }) }
    }

    /// The best of those who link; unsure if two of different households are equally good.
    fn pick(self, linking: &[Candidate], at_address: bool) -> Option<Outcome> {
        let z = linking.iter().map(|candidate| candidate.z).max_by(|a, b| a.value().total_cmp(&b.value()))?;
        let equals = linking.iter().filter(|candidate| candidate.z == z).map(|candidate| candidate.row);
        let row = equals.clone().min_by_key(|row| self.register.rank(*row))?;
        let household = self.register.household_of(row);
        if equals.clone().any(|other| self.register.household_of(other) != household) {
            return Some(Outcome::Unsure { near: equals.collect() });
        }
        Some(Outcome::Linked { row, z, at_address })
    }
}

/// The rows of those who are linked.
fn taken<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Vec<usize> {
    let linked = |outcome: &Outcome| if let Outcome::Linked { row, .. } = outcome { Some(*row) } else { None };
    outcomes.filter_map(linked).collect()
}

/// Those who are no other tenant.
fn free(candidates: &[Candidate], taken: &HashSet<usize>) -> Vec<Candidate> {
    candidates.iter().filter(|candidate| !taken.contains(&candidate.row)).copied().collect()
}

fn linking(candidates: &[Candidate], link: f64) -> Vec<Candidate> {
    candidates.iter().filter(|candidate| candidate.z.value() >= link).copied().collect()
}

#[cfg(test)]
mod tests;
