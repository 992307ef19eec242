//! The care list joined with the population, once a load: which members live in which household. After a change of
//! either register only what changed is joined again, with the same outcome as if all were.

use std::collections::HashMap;
use std::num::NonZero;
use std::thread;

use super::decide::Outcome;
use super::popcount::Kernel;
use super::register::Register;
use super::search::{Candidate, Far, Probe, Search};
use super::thresholds::Limits;
use crate::code::{RecordRef, leaving_nothing};

/// Members whom one scan of the population looks for together: their codes and a row stay in the first cache.
const BATCH: usize = 16;

/// How the members of a care list stand to a population.
pub(super) struct Join {
    /// Per member, in the order of the list.
    pub outcomes: Vec<Outcome>,
    /// What scans of the whole population found; none for a member whom the address settled.
    far: Vec<Option<Far>>,
    /// Pairs of a member and a resident that scans compared: what the join cost.
    pub compared: usize,
}

/// Two registers and how they were joined.
#[derive(Clone, Copy)]
pub(super) struct Joined<'a> {
    pub population: &'a Register,
    pub care: &'a Register,
    pub join: &'a Join,
}

/// What has become of the population since an earlier join.
struct Change {
    /// Per row of the earlier population the row of the same person with the same codes.
    now: Vec<Option<usize>>,
    /// Rows of persons who are new, or have other codes.
    new: Vec<usize>,
}

impl Join {
    /// Joins on all cores; what an earlier join found is taken over where it is still true.
    pub fn new(population: &Register, care: &Register, kernel: Kernel, before: Option<Joined<'_>>) -> Self {
        let search = Search::alone(population, kernel);
        let change = before.map(|before| Change::between(before.population, population));
        // Who was below a threshold that has fallen was never noted; and of few persons, it is no faster.
        let bands =
            |register: &Register| register.scanned().iter().map(|(_, limits)| limits.unsure).collect::<Vec<_>>();
        let before = before.zip(change.as_ref()).filter(|(before, change)| {
            let fallen = bands(population).iter().zip(bands(before.population)).any(|(now, then)| *now < then);
            !fallen && change.new.len() < population.persons() / 2
        });
        let known = before.map(|(before, _)| known(before, care));
        let far = |rows: &[usize]| -> Vec<Option<Far>> {
            let Some(((before, change), known)) = before.zip(known.as_ref()) else {
                return scanned(search, care, rows);
            };
            let (mut old, mut open) = (Vec::new(), Vec::new());
            for row in rows {
                match known[*row].and_then(|old| before.join.far[old].as_ref()) {
                    Some(far) => old.push((*row, change.carried(far, population))),
                    None => open.push(*row),
                }
            }
            let found =
                change.completed(search, care, old).chain(open.iter().copied().zip(scanned(search, care, &open)));
            let mut found: HashMap<usize, Option<Far>> = found.collect();
            rows.iter().map(|row| found.remove(row).flatten()).collect()
        };
        let rows: Vec<usize> = (0..care.persons()).collect();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let far: Vec<Option<Far>> = thread::scope(|scope| {
            let share = rows.len().div_ceil(cores).max(1);
            let workers: Vec<_> =
                rows.chunks(share).map(|rows| scope.spawn(|| leaving_nothing(|| far(rows)))).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("a scan does not panic")).collect()
        });
        let outcome = |(row, far): (usize, &Option<Far>)| search.one(&Probe::row(care, row), far.as_ref());
        let carried = |row: usize| {
            let (before, known) = before.zip(known.as_ref())?;
            before.0.join.far[known[row]?].as_ref().map(|_| before.1.new.len())
        };
        let scans = far.iter().enumerate().filter(|(_, far)| far.is_some());
        let compared = scans.map(|(row, _)| carried(row).unwrap_or(population.persons())).sum();
        Self { outcomes: far.iter().enumerate().map(outcome).collect(), far, compared }
    }
}

/// Scans for those members whom the address does not settle.
fn scanned(search: Search<'_>, care: &Register, rows: &[usize]) -> Vec<Option<Far>> {
    let mut all = Vec::with_capacity(rows.len());
    for batch in rows.chunks(BATCH) {
        let probes: Vec<_> = batch.iter().map(|row| Probe::row(care, *row)).collect();
        let open: Vec<bool> = probes.iter().map(|probe| search.is_open(probe)).collect();
        let asked: Vec<_> = probes.iter().zip(&open).filter(|(_, open)| **open).map(|(probe, _)| probe).collect();
        let mut found = search.far(&asked).into_iter();
        all.extend(open.into_iter().map(|open| if open { found.next() } else { None }));
    }
    all
}

/// Per member the row that the same member with the same codes had.
fn known(before: Joined<'_>, care: &Register) -> Vec<Option<usize>> {
    let rows = rows_of(before.care);
    let same = |row| rows.get(&care.reference(row)?).copied().filter(|old| care.is_same(row, before.care, *old));
    (0..care.persons()).map(same).collect()
}

fn rows_of(register: &Register) -> HashMap<RecordRef, usize> {
    (0..register.persons()).filter_map(|row| Some((register.reference(row)?, row))).collect()
}

impl Change {
    fn between(before: &Register, now: &Register) -> Self {
        if std::ptr::eq(before, now) {
            return Self { now: (0..now.persons()).map(Some).collect(), new: vec![] };
        }
        let rows = rows_of(before);
        let mut change = Self { now: vec![None; before.persons()], new: vec![] };
        for row in 0..now.persons() {
            let old = now.reference(row).and_then(|reference| rows.get(&reference));
            match old.filter(|old| now.is_same(row, before, **old)) {
                Some(old) => change.now[*old] = Some(row),
                None => change.new.push(row),
            }
        }
        change
    }

    /// What was found among those who are still there, under their rows of today and by the thresholds of today.
    fn carried(&self, far: &Far, population: &Register) -> Far {
        let today = |(candidates, (_, limits)): (&Vec<Candidate>, &(usize, Limits))| {
            let reach = candidates.iter().filter(|candidate| candidate.z.value() >= limits.unsure);
            reach.filter_map(|candidate| Some(Candidate { row: self.now[candidate.row]?, ..*candidate })).collect()
        };
        far.iter().zip(population.scanned()).map(today).collect()
    }

    /// The same with what is found among the new ones.
    fn completed(
        &self,
        search: Search<'_>,
        care: &Register,
        mut known: Vec<(usize, Far)>,
    ) -> impl Iterator<Item = (usize, Option<Far>)> {
        if !self.new.is_empty() {
            for batch in known.chunks_mut(BATCH) {
                let probes: Vec<_> = batch.iter().map(|(row, _)| Probe::row(care, *row)).collect();
                let found = search.far_among(&self.new, &probes.iter().collect::<Vec<_>>());
                let lists = batch.iter_mut().flat_map(|(_, far)| far).zip(found.into_iter().flatten());
                lists.for_each(|(list, more)| list.extend(more));
            }
        }
        known.into_iter().map(|(row, far)| (row, Some(far)))
    }
}

#[cfg(test)]
mod tests {
    use crate::code::{Codes, Group};
    use crate::link::testing::{City, Draw, missing, reaching};
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Residents, and members who are some of them, resemble some of them, or are nobody here.
    fn city(seed: u64, residents: usize, members: usize) -> City {
        let mut city = City::new(seed);
        for person in 0..residents as u64 {
            city.resident(person / 2, 1 + person / 3, &[]);
        }
        (0..members).for_each(|_| member(&mut city));
        city
    }

    fn member(city: &mut City) {
        let distances = [Some(0), reaching(7.0), reaching(5.5), missing(5.0), reaching(3.0), None];
        let (names, home) = (distances[city.draw.below(6)], distances[city.draw.below(6)]);
        let model = city.population[city.draw.below(city.population.len())].clone();
        let codes = city.draw.like(&model.codes, names, home);
        let home = city.draw.below(city.population.len());
        city.member(home as u64, codes);
    }

    fn other_codes(draw: &mut Draw, codes: &mut Codes) {
        codes.passes[0][0] = draw.flip(&codes.passes[0][0], 300);
    }

    /// Somebody leaves, comes, moves or is corrected, in either register.
    fn change(city: &mut City) {
        let (resident, listed) = (city.draw.below(city.population.len()), city.draw.below(city.care.len()));
        match city.draw.below(7) {
            0 => drop(city.population.remove(resident)),
            1 => drop(city.resident(900, 1, &[Group::Senior])),
            2 => city.population[resident].address = city.population[0].address,
            3 => other_codes(&mut city.draw, &mut city.population[resident].codes),
            4 => drop(city.care.remove(listed)),
            5 => member(city),
            _ => other_codes(&mut city.draw, &mut city.care[listed].codes),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn joining_what_changed_gives_what_joining_everything_gives(
            seed: u64, changes in 0_usize..6, threshold in -1..=1,
        ) {
            let mut city = city(seed, 40, 12);
            let before = city.registers();
            (0..changes).for_each(|_| change(&mut city));
            city.limits.names.unsure += 0.4 * f64::from(threshold);
            let (population, care) = city.loads();
            let again = before.rejoin(population, care);
            prop_assert_eq!(again.households_on_list(), city.registers().households_on_list());
            prop_assert_eq!(again.joined(), city.registers().joined());
        }
    }

    #[test]
    fn a_changed_list_alone_takes_the_population_as_it_is() {
        let mut city = city(1, 40, 12);
        let before = city.registers();
        member(&mut city);
        let again = before.rejoin(before.population().clone(), city.loads().1);
        assert!(Arc::ptr_eq(again.population(), before.population()));
        assert_eq!(again.households_on_list(), city.registers().households_on_list());
    }

    #[test]
    fn a_member_more_or_a_resident_more_costs_a_fraction_of_the_join() {
        let mut city = city(2, 500, 60);
        let before = city.registers();
        member(&mut city);
        city.resident(9_000, 1, &[]);
        let (population, care) = city.loads();
        let again = before.rejoin(population, care);
        assert!(before.compared() > 10_000, "{}", before.compared());
        assert!(again.compared() * 10 < before.compared(), "{} of {}", again.compared(), before.compared());
    }
}
