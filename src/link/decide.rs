//! The rule: from agreement to who is linked, about whom nobody is sure, and who is nobody here.
//!
//! Per tenant: (1) the best person at the same address by the address code, if that links; (2) else the best person of
//! the whole register by a code keyed with street or postcode, then by the global code, if one links; (3) else, of those
//! in the band of any code, the best by all codes together, if that links; (4) else unsure, if anybody is in a band;
//! (5) else nobody. A person has several variants of each code; the best pair counts. Two persons of different
//! households with exactly the best score are nobody's to choose between: unsure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::popcount::{Hit, Kernel, Line, Scan};
use super::register::Register;
use super::score::{Z, farthest};
use super::{HouseholdQuestion, Source};
use crate::code::AddressToken;
use crate::profile::Thresholds;

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

/// Somebody who is looked for: packed codes of all variants. Its order is one of content, not of position.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Probe<'a> {
    pub address: Option<AddressToken>,
    /// Per pass.
    codes: Vec<Cow<'a, [Line]>>,
}

impl<'a> Probe<'a> {
    /// The tenants of a question.
    pub fn tenants(question: &HouseholdQuestion) -> Vec<Probe<'static>> {
        let shape = &question.shape;
        let pack = |codes, pass| shape.pack(codes, pass).collect::<Vec<_>>().into();
        let packed = |codes| (0..shape.passes()).map(|pass| pack(codes, pass)).collect();
        let tenants = question.tenants.iter();
        tenants.map(|codes| Probe { address: question.address, codes: packed(codes) }).collect()
    }

    /// A person of another register with the same shape.
    pub fn row(register: &'a Register, row: usize) -> Self {
        let codes = (0..register.shape.passes()).map(|pass| register.codes_of(pass, row).into());
        Self { address: register.address(row), codes: codes.collect() }
    }
}

/// A register and the kernel to search it with.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub register: &'a Register,
    pub kernel: Kernel,
}

/// Somebody at or above the band.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    row: usize,
    z: Z,
}

/// Candidates of one pass, and the agreement from which it links.
#[derive(Clone, Debug)]
struct Found {
    link: f64,
    candidates: Vec<Candidate>,
}

impl Found {
    fn linking(&self) -> Vec<Candidate> {
        self.candidates.iter().filter(|candidate| candidate.z.value() >= self.link).copied().collect()
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

    /// Persons who have nothing to do with each other.
    pub fn each(self, people: &[Probe<'_>]) -> Vec<Outcome> {
        let near: Vec<_> = people.iter().map(|person| self.at_address(person)).collect();
        let here = near.iter().map(|candidates| self.link_here(candidates)).collect();
        self.complete(people, &near, here)
    }

    /// Steps 2 to 5 for those whom the address did not settle, in one scan for all of them.
    fn complete(self, people: &[Probe<'_>], near: &[Vec<Candidate>], here: Vec<Option<Outcome>>) -> Vec<Outcome> {
        // A care list is small and always scanned: that somebody is on it must not show in the time.
        let always = self.register.source() == Source::Care;
        let open: Vec<usize> = (0..people.len()).filter(|person| always || here[*person].is_none()).collect();
        let mut far: Vec<Vec<Found>> = vec![Vec::new(); people.len()];
        let probes: Vec<_> = open.iter().map(|person| &people[*person]).collect();
        for (pass, thresholds) in self.scanned() {
            let found = self.everywhere(pass, thresholds.band, &probes);
            let found = found.into_iter().map(|candidates| Found { link: thresholds.link, candidates });
            open.iter().zip(found).for_each(|(person, found)| far[*person].push(found));
        }
        let evidence = near.iter().zip(&far);
        here.into_iter()
            .zip(evidence)
            .zip(people)
            .map(|((here, (near, far)), person)| here.unwrap_or_else(|| self.settle(person, near, far)))
            .collect()
    }

    /// The passes that are compared with the whole register, in the order in which they may link.
    fn scanned(self) -> Vec<(usize, Thresholds)> {
        let Register { shape, rule, .. } = self.register;
        let row = rule.elsewhere(self.register.persons());
        let raised = |thresholds: Thresholds| Thresholds {
            link: thresholds.link + row.nearby,
            band: thresholds.band + row.nearby,
        };
        let nearby = shape.nearby.iter().map(|(pass, thresholds)| (*pass, raised(*thresholds)));
        nearby.chain([(shape.names, Thresholds { link: row.link, band: row.band })]).collect()
    }

    fn settle(self, person: &Probe<'_>, near: &[Candidate], far: &[Found]) -> Outcome {
        if let Some(outcome) = far.iter().find_map(|found| self.pick(&found.linking(), false)) {
            return outcome;
        }
        let far = far.iter().flat_map(|found| &found.candidates);
        let rows: BTreeSet<usize> = near.iter().chain(far).map(|candidate| candidate.row).collect();
        let together = |row: &usize| Candidate { row: *row, z: self.together(person, *row) };
        let link = self.register.rule.elsewhere(self.register.persons()).together;
        let all = Found { link, candidates: rows.iter().map(together).collect() };
        if let Some(outcome) = self.pick(&all.linking(), false) {
            return outcome;
        }
        if rows.is_empty() { Outcome::Nobody } else { Outcome::Unsure { near: rows.into_iter().collect() } }
    }

    /// What all codes together agree: the root of the sum of the squares of each pass's best agreement.
    fn together(self, person: &Probe<'_>, row: usize) -> Z {
        let shape = &self.register.shape;
        let of_pass = |pass: usize| {
            let (bits, code_lines) = (shape.bits(pass), shape.lines(pass));
            let queries = &person.codes[pass];
            let limits = vec![bits as u32 / 2; queries.len() / code_lines];
            let scan = Scan { queries, limits: &limits, rows: self.register.codes_of(pass, row), code_lines };
            let mut hits = Vec::new();
            self.kernel.within(scan, &mut hits);
            let best = hits.iter().map(|hit| hit.distance).min();
            best.map_or(0.0, |distance| Z::from_distance(distance, bits).value())
        };
        Z::together((0..shape.passes()).map(of_pass))
    }

    /// Step 1 for one person alone.
    fn link_here(self, near: &[Candidate]) -> Option<Outcome> {
        let link = self.register.rule.link_at_address;
        let linking: Vec<_> = near.iter().filter(|candidate| candidate.z.value() >= link).copied().collect();
        self.pick(&linking, true)
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

    /// Those at the person's address who are in the band or above it, by the address code.
    fn at_address(self, person: &Probe<'_>) -> Vec<Candidate> {
        let Some(address) = person.address else { return vec![] };
        let shape = &self.register.shape;
        let bits = shape.bits(shape.home);
        let Some(limit) = farthest(self.register.rule.band_at_address, bits) else { return vec![] };
        let queries = &person.codes[shape.home];
        let limits = vec![limit; queries.len() / shape.lines(shape.home)];
        let mut hits = Vec::new();
        let mut candidates = Vec::new();
        for row in self.register.rows_at(address) {
            let row = *row as usize;
            let rows = self.register.codes_of(shape.home, row);
            let scan = Scan { queries, limits: &limits, rows, code_lines: shape.lines(shape.home) };
            self.kernel.within(scan, &mut hits);
            let best = hits.drain(..).map(|hit| hit.distance).min();
            candidates.extend(best.map(|distance| Candidate { row, z: Z::from_distance(distance, bits) }));
        }
        candidates
    }

    /// Per person, those of the whole register who are in the band of a pass or above it. One scan.
    fn everywhere(self, pass: usize, band: f64, people: &[&Probe<'_>]) -> Vec<Vec<Candidate>> {
        let shape = &self.register.shape;
        let (bits, code_lines, held) = (shape.bits(pass), shape.lines(pass), shape.held(pass));
        let queries: Vec<Line> = people.iter().flat_map(|person| person.codes[pass].iter().copied()).collect();
        let codes = queries.len() / code_lines;
        let mut hits: Vec<Hit> = Vec::new();
        if let (false, Some(limit)) = (people.is_empty(), farthest(band, bits)) {
            let rows = self.register.codes(pass);
            self.kernel.within(Scan { queries: &queries, limits: &vec![limit; codes], rows, code_lines }, &mut hits);
        }
        let mut best: Vec<BTreeMap<usize, u32>> = vec![BTreeMap::new(); people.len()];
        for hit in hits {
            let person = hit.query * people.len() / codes;
            let distance = best[person].entry(hit.row / held).or_insert(hit.distance);
            *distance = hit.distance.min(*distance);
        }
        let candidate = |(row, distance)| Candidate { row, z: Z::from_distance(distance, bits) };
        best.into_iter().map(|rows| rows.into_iter().map(candidate).collect()).collect()
    }
}

#[cfg(test)]
mod tests;
