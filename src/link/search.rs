//! Who agrees with whom: the people at an address by all codes together, and the whole register by each code that is
//! compared with it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;

use super::HouseholdQuestion;
use super::chance;
use super::desk::Desk;
use super::popcount::{Asked, Kernel, Place, Rows, distance};
use super::register::Register;
use super::score::{Z, farthest, glance};
use super::shape::{Matrix, padded};
use crate::code::{AddressToken, Codes, leaving_nothing};

/// What each pass adds by chance to the variance of how much more one of two people agrees, times the square of the
/// whole: twice 1.25, the variance of max(0, z)², by the square of one half, for the whole is a root. Where they agree it
/// is little.
const NOISE: f64 = 0.625;

/// Rows that a thread takes at least: below this, starting a thread takes longer than reading.
const ROWS: usize = 1 << 15;

/// Somebody who is looked for. Its order is one of content, not of position.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Probe {
    pub address: Option<AddressToken>,
    /// Per pass and variant the words of a code.
    codes: Vec<Vec<Vec<u64>>>,
}

impl Probe {
    /// The tenants of a question.
    pub fn tenants(question: &HouseholdQuestion) -> Vec<Self> {
        let words = |codes: &Codes| codes.passes.iter().map(|pass| pass.iter().map(padded).collect()).collect();
        let tenants = question.tenants.iter();
        tenants.map(|codes| Self { address: question.address, codes: words(codes) }).collect()
    }

    /// A person of another register with the same shape.
    pub fn row(register: &Register, row: usize) -> Self {
        let code = |place: &Place| register.rows().code(row, *place).concat();
        let codes = (0..register.shape.passes()).map(|pass| register.shape.places(pass).iter().map(code).collect());
        Self { address: register.address(row), codes: codes.collect() }
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
    pub desk: Option<&'a Desk<Probe, Far>>,
}

impl<'a> Search<'a> {
    /// On this thread alone, and waiting for nobody.
    pub fn alone(register: &'a Register, kernel: Kernel) -> Self {
        Self { register, kernel, threads: 1, desk: None }
    }

    /// Those at the person's address about whom nobody is sure or surer, by what all codes agree together.
    pub fn at_address(self, person: &Probe) -> Vec<Candidate> {
        let rows = person.address.map_or(&[][..], |address| self.register.rows_at(address));
        let unsure = self.register.thresholds().here(rows.len()).unsure;
        let candidate = |row: &u32| Candidate { row: *row as usize, z: self.together(person, *row as usize) };
        rows.iter().map(candidate).filter(|candidate| candidate.z.value() >= unsure).collect()
    }

    /// From where on somebody at the person's address is linked.
    pub fn link_here(self, person: &Probe) -> f64 {
        let rows = person.address.map_or(0, |address| self.register.rows_at(address).len());
        self.register.thresholds().here(rows).link
    }

    /// Per person the candidates of all passes that are compared with the whole register, in one scan of it, together
    /// with whoever waits for one.
    pub fn far(self, people: &[&Probe]) -> Vec<Far> {
        match self.desk {
            Some(desk) if !people.is_empty() => {
                desk.ask(people.iter().map(|person| (*person).clone()).collect(), |people| self.scan(people))
            }
            _ => self.scan(people),
        }
    }

    /// As [`Search::far`], among some rows only.
    pub fn far_among(self, rows: &[usize], people: &[&Probe]) -> Vec<Far> {
        let some = Matrix::of(self.register.rows(), rows);
        let mut far = self.within(&self.unsure(), some.rows(&self.register.shape), people);
        far.iter_mut().flatten().flatten().for_each(|candidate| candidate.row = rows[candidate.row]);
        far
    }

    /// What all codes together agree: the root of the sum of the squares of each pass's best agreement.
    pub fn together(self, person: &Probe, row: usize) -> Z {
        let best = |pass| self.best(person, pass, row).value().max(0.0);
        Z::together((0..self.register.shape.passes()).map(best))
    }

    /// Standard deviation of how much more one of two people agrees with a person than the other, by all codes together,
    /// were the evidence for both equal: what [`super::chance::toss`] says of each pass, as much as that pass weighs.
    pub fn toss(self, person: &Probe, one: usize, other: usize) -> f64 {
        let shape = &self.register.shape;
        let rival = Probe::row(self.register, other);
        let (mut variance, mut weight) = (0.0, 0.0);
        for pass in 0..shape.passes() {
            let root = (shape.bits(pass) as f64).sqrt();
            let share = |person: &Probe, row: usize| (self.best(person, pass, row).value() / root).max(0.0);
            let agreement = f64::midpoint(share(person, one), share(person, other));
            let square = agreement * agreement * root * root;
            variance += square * chance::toss(agreement, share(&rival, one), shape.diffusion(pass)) + NOISE;
            weight += square;
        }
        if weight > 0.0 { (variance / weight).sqrt() } else { f64::INFINITY }
    }

    /// Whether the global code alone links.
    pub fn is_linked_by_names(self, person: &Probe, row: usize) -> bool {
        let names = self.register.shape.names;
        let link = self.register.scanned().iter().find(|(pass, _)| *pass == names).map(|(_, limits)| limits.link);
        link.is_some_and(|link| self.best(person, names, row).value() >= link)
    }

    /// The best agreement of any two codes of a pass.
    fn best(self, person: &Probe, pass: usize, row: usize) -> Z {
        let (shape, rows) = (&self.register.shape, self.register.rows());
        let pairs =
            shape.places(pass).iter().flat_map(|place| person.codes[pass].iter().map(move |code| (*place, code)));
        let best = pairs.map(|(place, code)| distance(code, rows.code(row, place))).min();
        Z::from_distance(best.expect("a pass has a code"), shape.bits(pass))
    }

    /// The register in ranges, one a thread.
    fn scan(self, people: &[&Probe]) -> Vec<Far> {
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

    fn scan_range(self, range: Range<usize>, people: &[&Probe]) -> Vec<Far> {
        let mut far = self.within(&self.unsure(), self.register.rows().range(range.clone()), people);
        far.iter_mut().flatten().flatten().for_each(|candidate| candidate.row += range.start);
        far
    }

    /// The passes that are compared with the whole register, and from where on nobody is sure.
    fn unsure(self) -> Vec<(usize, f64)> {
        self.register.scanned().iter().map(|(pass, limits)| (*pass, limits.unsure)).collect()
    }

    /// Per person and for each of these passes, those of these rows who have a code of it at its z or above.
    pub fn within(self, passes: &[(usize, f64)], rows: Rows<'_>, people: &[&Probe]) -> Vec<Far> {
        let shape = &self.register.shape;
        let (mut asked, mut whose) = (Vec::new(), Vec::new());
        for (at, (pass, z)) in passes.iter().enumerate() {
            let (bits, first_bits) = (shape.bits(*pass), shape.first_bits(*pass));
            let Some(limit) = farthest(*z, bits) else { continue };
            let near = farthest(glance(*z, first_bits, bits), first_bits).unwrap_or(0);
            for place in shape.places(*pass) {
                let codes = people
                    .iter()
                    .enumerate()
                    .flat_map(|(person, probe)| probe.codes[*pass].iter().map(move |code| (person, code)));
                for (person, code) in codes {
                    asked.push(Asked { place: *place, code, near, limit });
                    whose.push((person, at));
                }
            }
        }
        let mut hits = Vec::new();
        self.kernel.within(rows, &asked, &mut hits);
        let mut best: Vec<Vec<BTreeMap<usize, u32>>> = vec![vec![BTreeMap::new(); passes.len()]; people.len()];
        for hit in hits {
            let (person, at) = whose[hit.asked];
            let distance = best[person][at].entry(hit.row).or_insert(hit.distance);
            *distance = hit.distance.min(*distance);
        }
        let of_pass = |(rows, (pass, _)): (BTreeMap<usize, u32>, &(usize, f64))| {
            let z = |distance| Z::from_distance(distance, shape.bits(*pass));
            rows.into_iter().map(|(row, distance)| Candidate { row, z: z(distance) }).collect()
        };
        best.into_iter().map(|person| person.into_iter().zip(passes).map(of_pass).collect()).collect()
    }
}
