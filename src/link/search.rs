//! Who agrees with whom: the people at an address by all codes together, and the whole register by each code that is
//! compared with it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;

use super::HouseholdQuestion;
use super::desk::Desk;
use super::popcount::{Hit, Kernel, Line, Scan};
use super::register::Register;
use super::score::{Z, farthest};
use crate::code::{AddressToken, leaving_nothing};

/// Rows that a thread takes at least: below this, starting a thread takes longer than reading.
const ROWS: usize = 1 << 15;

/// Somebody who is looked for: packed codes of all variants. Its order is one of content, not of position.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
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

    fn owned(&self) -> Probe<'static> {
        let codes = self.codes.iter().map(|codes| Cow::Owned(codes.to_vec()));
        Probe { address: self.address, codes: codes.collect() }
    }
}

/// Somebody whom nobody can rule out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub row: usize,
    pub z: Z,
}

/// One person's candidates of each pass that is compared with the whole register, in the order of these passes.
pub(super) type Far = Vec<Vec<Candidate>>;

/// A register and how to search it.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub register: &'a Register,
    pub kernel: Kernel,
    /// Of one scan.
    pub threads: usize,
    /// Where scans wait for each other; without one they do not.
    pub desk: Option<&'a Desk<Probe<'static>, Far>>,
}

impl<'a> Search<'a> {
    /// On this thread alone, and waiting for nobody.
    pub fn alone(register: &'a Register, kernel: Kernel) -> Self {
        Self { register, kernel, threads: 1, desk: None }
    }

    /// Those at the person's address about whom nobody is sure or surer, by what all codes agree together.
    pub fn at_address(self, person: &Probe<'_>) -> Vec<Candidate> {
        let rows = person.address.map_or(&[][..], |address| self.register.rows_at(address));
        let unsure = self.register.thresholds().here(rows.len()).unsure;
        let candidate = |row: &u32| Candidate { row: *row as usize, z: self.together(person, *row as usize) };
        rows.iter().map(candidate).filter(|candidate| candidate.z.value() >= unsure).collect()
    }

    /// From where on somebody at the person's address is linked.
    pub fn link_here(self, person: &Probe<'_>) -> f64 {
        let rows = person.address.map_or(0, |address| self.register.rows_at(address).len());
        self.register.thresholds().here(rows).link
    }

    /// Per person the candidates of all passes that are compared with the whole register, in one scan of it, together
    /// with whoever waits for one.
    pub fn far(self, people: &[&Probe<'_>]) -> Vec<Far> {
        match self.desk {
            Some(desk) if !people.is_empty() => {
                desk.ask(people.iter().map(|person| person.owned()).collect(), |people| self.scan(people))
            }
            _ => self.scan(people),
        }
    }

    /// As [`Search::far`], among some rows only.
    pub fn far_among(self, rows: &[usize], people: &[&Probe<'_>]) -> Vec<Far> {
        let mut far = vec![Far::new(); people.len()];
        for (pass, limits) in self.register.scanned() {
            let codes: Vec<Line> = rows.iter().flat_map(|row| self.register.codes_of(*pass, *row)).copied().collect();
            for (far, mut candidates) in far.iter_mut().zip(self.within(*pass, limits.unsure, &codes, people)) {
                candidates.iter_mut().for_each(|candidate| candidate.row = rows[candidate.row]);
                far.push(candidates);
            }
        }
        far
    }

    /// What all codes together agree: the root of the sum of the squares of each pass's best agreement.
    pub fn together(self, person: &Probe<'_>, row: usize) -> Z {
        let best = |pass| self.best(person, pass, row).map_or(0.0, Z::value);
        Z::together((0..self.register.shape.passes()).map(best))
    }

    /// Whether the global code alone links.
    pub fn is_linked_by_names(self, person: &Probe<'_>, row: usize) -> bool {
        let names = self.register.shape.names;
        let link = self.register.scanned().iter().find(|(pass, _)| *pass == names).map(|(_, limits)| limits.link);
        self.best(person, names, row).zip(link).is_some_and(|(z, link)| z.value() >= link)
    }

    /// The best agreement of any two codes of a pass; none if all agree less than strangers do.
    fn best(self, person: &Probe<'_>, pass: usize, row: usize) -> Option<Z> {
        let shape = &self.register.shape;
        let limit = shape.bits(pass) as u32 / 2;
        let (queries, code_lines) = (&person.codes[pass], shape.lines(pass));
        let limits = vec![limit; queries.len() / code_lines];
        let scan = Scan { queries, limits: &limits, rows: self.register.codes_of(pass, row), code_lines };
        let mut hits = Vec::new();
        self.kernel.within(scan, &mut hits);
        let best = hits.iter().map(|hit| hit.distance).min();
        best.map(|distance| Z::from_distance(distance, shape.bits(pass)))
    }

    /// The register in ranges, one a thread.
    fn scan(self, people: &[&Probe<'_>]) -> Vec<Far> {
        let persons = self.register.persons();
        let share = persons.div_ceil(self.threads).max(ROWS);
        let ranges: Vec<_> = (0..persons).step_by(share).map(|start| start..(start + share).min(persons)).collect();
        if let ([] | [_], _) | (_, []) = (&ranges[..], people) {
            return self.scan_range(0..persons, people);
        }
        thread::scope(|scope| {
            let start = |range: &Range<usize>| {
                let range = range.clone();
                scope.spawn(move || leaving_nothing(|| self.scan_range(range, people)))
            };
            let (first, others) = ranges.split_first().expect("two ranges at least");
            let others: Vec<_> = others.iter().map(start).collect();
            let mut all = self.scan_range(first.clone(), people);
            for other in others {
                let found = other.join().expect("a scan does not panic");
                let lists = all.iter_mut().flatten().zip(found.into_iter().flatten());
                lists.for_each(|(list, more)| list.extend(more));
            }
            all
        })
    }

    fn scan_range(self, range: Range<usize>, people: &[&Probe<'_>]) -> Vec<Far> {
        let mut far = vec![Far::new(); people.len()];
        for (pass, limits) in self.register.scanned() {
            let lines = self.register.shape.held(*pass) * self.register.shape.lines(*pass);
            let rows = &self.register.codes(*pass)[range.start * lines..range.end * lines];
            let found = self.within(*pass, limits.unsure, rows, people);
            for (far, mut candidates) in far.iter_mut().zip(found) {
                candidates.iter_mut().for_each(|candidate| candidate.row += range.start);
                far.push(candidates);
            }
        }
        far
    }

    /// Per person, those of these rows who have a code of this pass at `z` or above.
    pub fn within(self, pass: usize, z: f64, rows: &[Line], people: &[&Probe<'_>]) -> Vec<Vec<Candidate>> {
        let shape = &self.register.shape;
        let (bits, code_lines, held) = (shape.bits(pass), shape.lines(pass), shape.held(pass));
        let queries: Vec<Line> = people.iter().flat_map(|person| person.codes[pass].iter().copied()).collect();
        let codes = queries.len() / code_lines;
        let mut hits: Vec<Hit> = Vec::new();
        if let (false, Some(limit)) = (people.is_empty(), farthest(z, bits)) {
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
