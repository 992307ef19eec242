//! From where on somebody is linked, and from where on nobody is sure: the profile says how rare errors are to be, and
//! codes, register and a sample of it say what that takes.
//!
//! The people of the sample are looked for in the register as if they and their household were not in it. Whom they
//! resemble are namesakes: as many as a tenant would meet who is not in the register. Namesakes are told from strangers
//! by no code, so that only a higher threshold keeps them away.

use std::num::NonZero;
use std::thread;

use super::alike::Alike;
use super::chance::{Chance, above, quantile};
use super::popcount::Kernel;
use super::register::Register;
use super::search::{Probe, Search};
use crate::code::leaving_nothing;
use crate::profile::PerThousand;

/// Of the tenants one in so many is not in the population, while nearly nobody is on the care list, so that as many
/// errors as the population's are this much rarer a stranger.
const STRANGERS: f64 = 20.0;
/// Thresholds are rounded up to a tenth: a register that grows by a few people keeps its own.
const TENTH: f64 = 10.0;
/// Pairs of people that the sample has at most: a second of work.
const PAIRS: usize = 60_000_000;
/// People of the sample.
const SAMPLE: [usize; 2] = [100, 1_000];
/// Sampled people who are looked for together.
const BATCH: usize = 64;
/// Pairs of the sample are counted from this z on, below which all is chance, in steps of a quarter.
const FROM: f64 = 4.0;
const STEPS: usize = 4 * 60;

/// From here somebody is linked, and from here nobody is sure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    pub link: f64,
    pub unsure: f64,
}

/// All thresholds of a register.
#[derive(Clone, Debug)]
pub(super) struct Thresholds {
    /// Of the passes that are compared with the whole register, in the order in which they may link.
    pub scanned: Vec<(usize, Limits)>,
    /// From here all codes together link who is in doubt.
    pub together: f64,
    /// By the number of people at the address, from none on; the last for all more.
    here: Vec<Limits>,
    /// At the address, two people of different households are equals if they are no further apart than so many standard
    /// deviations of what noise makes of equals.
    pub equals: f64,
    /// Of two tenants, neither of whom is looked for.
    pub alike: Alike,
    /// People of the sample, and per pass that is scanned how many pairs of them and others reach each step.
    pub sampled: usize,
    pub resembling: Vec<Vec<u64>>,
}

impl Thresholds {
    pub fn new(register: &Register) -> Self {
        let (shape, of) = (&register.shape, &register.rule.per_thousand);
        let chance = Chance::new(shape);
        let (sampled, resembling) = if register.has_households() { sample(register) } else { (0, vec![]) };
        let passes = shape.scanned.len() as f64;
        let people = register.persons().max(1) as f64;
        let strangers = if register.has_households() { 1.0 } else { STRANGERS };
        let share = |per_thousand: f64| per_thousand / 1000.0 / strangers / passes / people;
        let scanned = shape.scanned.iter().enumerate().map(|(at, pass)| {
            let unsure = rounded(chance.in_pass(*pass, share(of.unsure_elsewhere)));
            let link = rounded(chance.in_pass(*pass, share(of.links_elsewhere)));
            (*pass, Limits { link: link.max(namesakes(resembling.get(at), sampled, of)), unsure })
        });
        let scanned: Vec<(usize, Limits)> = scanned.collect();
        let band = scanned.iter().map(|(_, limits)| limits.unsure).fold(0.0, f64::max);
        // Of those in doubt by chance, so many may be linked by what their other codes agree besides.
        let besides = chance.together(of.links_elsewhere / of.unsure_elsewhere);
        let here = |people: usize| {
            let share = |per_thousand: f64| per_thousand / 1000.0 / people.max(1) as f64;
            let [link, unsure] = [of.links_at_address, of.unsure_at_address].map(|rate| chance.together(share(rate)));
            Limits { link, unsure }
        };
        Self {
            scanned,
            together: band.hypot(besides),
            here: (0..=register.rule.max_address_block).map(here).collect(),
            // Of equals the wrong one as rarely as a stranger.
            equals: quantile(of.links_at_address / 1000.0),
            alike: Alike::new(shape),
            sampled,
            resembling,
        }
    }

    /// Of all codes together, among so many people at the address.
    pub fn here(&self, people: usize) -> Limits {
        self.here[people.min(self.here.len() - 1)]
    }

    /// Per thousand people who are not in the register, how many reach `z` in the pass at this position: by chance, and
    /// as namesakes.
    pub fn expected(&self, register: &Register, at: usize, z: f64) -> f64 {
        let pairs = register.shape.pairs(self.scanned[at].0) * register.persons();
        let chance = pairs as f64 * above(z) * 1000.0;
        let seen = self.resembling.get(at).map_or(0, |counts| counts[step(z)..].iter().sum());
        chance.max(seen as f64 * 1000.0 / self.sampled.max(1) as f64)
    }

    #[cfg(test)]
    pub fn fixed(scanned: Vec<(usize, Limits)>, together: f64, here: Limits) -> Self {
        Self { scanned, together, here: vec![here], equals: 3.4, alike: Alike::NEVER, sampled: 0, resembling: vec![] }
    }
}

fn rounded(z: f64) -> f64 {
    (z * TENTH).ceil() / TENTH
}

fn step(z: f64) -> usize {
    (((z - FROM) * 4.0).max(0.0) as usize).min(STEPS - 1)
}

/// Least z that few enough namesakes reach, or the most that is worth it; zero where nothing was counted.
fn namesakes(counts: Option<&Vec<u64>>, sampled: usize, of: &PerThousand) -> f64 {
    let Some(counts) = counts.filter(|_| sampled > 0) else { return 0.0 };
    let allowed = of.namesakes / 1000.0 * sampled as f64;
    let enough = (0..STEPS).find(|from| counts[*from..].iter().sum::<u64>() as f64 <= allowed);
    let z = enough.map_or(f64::INFINITY, |step| FROM + step as f64 / 4.0);
    z.min(of.namesakes_until)
}

/// The sampled people, and per scanned pass the pairs of them and people of other households by steps.
fn sample(register: &Register) -> (usize, Vec<Vec<u64>>) {
    let count = (PAIRS / register.persons().max(1)).clamp(SAMPLE[0], SAMPLE[1]);
    let people = register.some_people(count);
    let search = Search::alone(register, Kernel::best());
    let passes: Vec<_> = register.shape.scanned.iter().map(|pass| (*pass, FROM)).collect();
    let counted = |people: &[usize]| {
        let mut counts = vec![vec![0; STEPS]; register.shape.scanned.len()];
        for batch in people.chunks(BATCH) {
            let probes: Vec<_> = batch.iter().map(|row| Probe::row(register, *row)).collect();
            let probes: Vec<_> = probes.iter().collect();
            for (row, far) in batch.iter().zip(search.within(&passes, register.rows(), &probes)) {
                let own = register.household_of(*row);
                for (counts, candidates) in counts.iter_mut().zip(far) {
                    let others = candidates.iter().filter(|other| register.household_of(other.row) != own);
                    others.for_each(|other| counts[step(other.z.value())] += 1);
                }
            }
        }
        counts
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = people.len().div_ceil(cores).max(1);
    let counts = thread::scope(|scope| {
        let workers: Vec<_> =
            people.chunks(share).map(|people| scope.spawn(|| leaving_nothing(|| counted(people)))).collect();
        let parts = workers.into_iter().map(|worker| worker.join().expect("a scan does not panic"));
        parts.reduce(|all, part| {
            let sum = |(a, b): (Vec<u64>, Vec<u64>)| a.iter().zip(&b).map(|(a, b)| a + b).collect();
            all.into_iter().zip(part).map(sum).collect()
        })
    });
    (people.len(), counts.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Codes;
    use crate::link::testing::{City, Draw, in_household, reaching};
    use crate::link::{RegisterBuilder, Source};

    /// A city of so many people, each alone, with the thresholds that its size and its people take.
    fn register(people: &[Codes]) -> Register {
        let mut city = City::new(1);
        people.iter().zip(1..).for_each(|(codes, household)| city.register(household, household, &[], codes.clone()));
        let mut builder = RegisterBuilder::new(&city.profile, Source::Population);
        city.population.iter().for_each(|record| builder.push(record.clone()).unwrap());
        builder.finish()
    }

    fn strangers(count: usize) -> Vec<Codes> {
        let mut draw = Draw::new(7);
        (0..count).map(|_| draw.codes()).collect()
    }

    #[test]
    fn a_larger_register_takes_more_agreement_elsewhere_and_as_much_at_an_address() {
        let [small, large] = [10, 1_000].map(|people| register(&strangers(people)));
        let (small, large) = (small.thresholds(), large.thresholds());
        let (few, many) = (small.scanned[0].1, large.scanned[0].1);
        assert!(few.link < many.link && few.unsure < many.unsure, "{few:?} {many:?}");
        assert_eq!(small.here(2), large.here(2));
        assert!(small.here(2).link < small.here(20).link);
    }

    #[test]
    fn by_chance_as_few_are_linked_or_in_doubt_as_the_profile_wants() {
        let register = register(&strangers(1_000));
        let (thresholds, of) = (register.thresholds(), register.rule.per_thousand);
        let Limits { link, unsure } = thresholds.scanned[0].1;
        let rounding = 0.05..=2.5;
        assert!(rounding.contains(&(thresholds.expected(&register, 0, link) / of.links_elsewhere)));
        assert!(rounding.contains(&(thresholds.expected(&register, 0, unsure) / of.unsure_elsewhere)));
    }

    #[test]
    fn namesakes_of_other_households_raise_the_threshold_until_it_is_no_longer_worth_it() {
        let alone = register(&strangers(400)).thresholds().scanned[0].1;
        let mut draw = Draw::new(8);
        let mut with_namesakes = |z: f64| {
            let mut people = strangers(400);
            // One in ten resembles somebody that much.
            for at in 0..40 {
                people[at] = draw.like(&people[100 + at].clone(), reaching(z), None);
            }
            register(&people).thresholds().scanned[0].1
        };
        let (some, all) = (with_namesakes(alone.link + 0.5), with_namesakes(30.0));
        assert!(alone.link < some.link && some.link < 9.0, "{alone:?} {some:?}");
        assert_eq!(all.link, 9.0);
        assert_eq!(all.unsure, alone.unsure);
    }

    #[test]
    fn a_care_list_on_which_hardly_anybody_is_takes_more_than_a_population_of_its_size() {
        let city = City::new(1);
        let load = |source| {
            let mut builder = RegisterBuilder::new(&city.profile, source);
            let mut draw = Draw::new(3);
            for id in 0..50 {
                let record = draw.record(id);
                let record = if source == Source::Care { record } else { in_household(id, record) };
                builder.push(record).unwrap();
            }
            builder.finish().scanned()[0].1
        };
        assert!(load(Source::Care).unsure > load(Source::Population).unsure);
    }

    #[test]
    fn a_register_that_grows_by_a_person_keeps_its_thresholds() {
        let [before, after] = [999, 1_000].map(|people| register(&strangers(people)));
        assert_eq!(before.scanned(), after.scanned());
    }
}
