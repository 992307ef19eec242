//! The rule: from agreement to who is linked, about whom nobody is sure, and who is nobody here.
//!
//! Per tenant: (1) the best person at the same address by the address code, if that links; (2) else the best person of
//! the whole register by a code keyed with street or postcode, then by the global code, if one links; (3) else, of those
//! in the band of any code, the best by all codes together, if that links; (4) else unsure, if anybody is in a band;
//! (5) else nobody. A person has several variants of each code; the best pair counts. Two persons of different
//! households with exactly the best score are nobody's to choose between: unsure.

use std::collections::{BTreeSet, HashSet};

use super::Source;
use super::score::Z;
use super::search::{Candidate, Far, Probe, Search};

/// How one tenant stands to the register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// This tenant is that person.
    Linked {
        /// Position among the records with codes, in the order of the load.
        row: usize,
        /// The agreement that linked: of the address code if `at_address`, else of the code that linked, or of all of
        /// them together; these scales do not compare.
        z: Z,
        /// Linked by the address code, among the people at the question's address.
        at_address: bool,
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

impl Outcome {
    pub fn standing(&self) -> Standing {
        match *self {
            Self::Linked { row, z, at_address } => Standing::Linked { row, z, at_address },
            Self::Unsure { .. } => Standing::Unsure,
            Self::Nobody => Standing::Nobody,
        }
    }
}

impl Search<'_> {
    /// The tenants of one contract, of whom no two are linked to the same person at the address while another one
    /// there would do.
    pub fn household(self, tenants: &[Probe<'_>]) -> Vec<Outcome> {
        let near: Vec<_> = tenants.iter().map(|tenant| self.at_address(tenant)).collect();
        let here = self.assign(tenants, &near);
        self.complete(tenants, &near, here)
    }

    /// Somebody who has nothing to do with others, of whom a scan found `far`.
    pub fn one(self, person: &Probe<'_>, far: Option<&Far>) -> Outcome {
        let near = self.at_address(person);
        self.link_here(&near).unwrap_or_else(|| self.settle(person, &near, far.unwrap_or(&Far::new())))
    }

    /// Whether the address leaves it open who this person is, so that the whole register has to be scanned.
    pub fn is_open(self, person: &Probe<'_>) -> bool {
        self.link_here(&self.at_address(person)).is_none()
    }

    /// Steps 2 to 5 for those whom the address did not settle, in one scan for all of them.
    fn complete(self, people: &[Probe<'_>], near: &[Vec<Candidate>], here: Vec<Option<Outcome>>) -> Vec<Outcome> {
        // A care list is small and always scanned: that somebody is on it must not show in the time.
        let always = self.register.source() == Source::Care;
        let open: Vec<usize> = (0..people.len()).filter(|person| always || here[*person].is_none()).collect();
        let mut far: Vec<Far> = vec![Far::new(); people.len()];
        let probes: Vec<_> = open.iter().map(|person| &people[*person]).collect();
        open.iter().zip(self.far(&probes)).for_each(|(person, found)| far[*person] = found);
        let evidence = near.iter().zip(&far);
        here.into_iter()
            .zip(evidence)
            .zip(people)
            .map(|((here, (near, far)), person)| here.unwrap_or_else(|| self.settle(person, near, far)))
            .collect()
    }

    fn settle(self, person: &Probe<'_>, near: &[Candidate], far: &Far) -> Outcome {
        let passes = self.register.scanned().iter().zip(far);
        let linked =
            passes.into_iter().find_map(|((_, thresholds), found)| self.pick(&linking(found, thresholds.link), false));
        if let Some(outcome) = linked {
            return outcome;
        }
        let rows: BTreeSet<usize> = near.iter().chain(far.iter().flatten()).map(|candidate| candidate.row).collect();
        let together = |row: &usize| Candidate { row: *row, z: self.together(person, *row) };
        let all: Vec<_> = rows.iter().map(together).collect();
        if let Some(outcome) = self.pick(&linking(&all, self.register.link_together()), false) {
            return outcome;
        }
        if rows.is_empty() { Outcome::Nobody } else { Outcome::Unsure { near: rows.into_iter().collect() } }
    }

    /// Step 1 for one person alone.
    fn link_here(self, near: &[Candidate]) -> Option<Outcome> {
        self.pick(&linking(near, self.register.rule.link_at_address), true)
    }

    /// Step 1 for the tenants of one contract: best first, a person to one tenant. A tenant for whom nobody is
    /// left shares his best person with another one.
    fn assign(self, tenants: &[Probe<'_>], near: &[Vec<Candidate>]) -> Vec<Option<Outcome>> {
        let link = self.register.rule.link_at_address;
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
            let free: Vec<_> = near[tenant]
                .iter()
                .filter(|other| other.z == candidate.z && !taken.contains(&other.row))
                .copied()
                .collect();
            outcomes[tenant] = self.pick(&free, true);
            if let Some(Outcome::Linked { row, .. }) = outcomes[tenant] {
                taken.insert(row);
            }
        }
        outcomes.into_iter().zip(near).map(|(outcome, near)| outcome.or_else(|| self.link_here(near))).collect()
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

fn linking(candidates: &[Candidate], link: f64) -> Vec<Candidate> {
    candidates.iter().filter(|candidate| candidate.z.value() >= link).copied().collect()
}

#[cfg(test)]
mod tests;
