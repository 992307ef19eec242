//! Answers leave on a schedule, so that time does not tell who is registered. Somebody found at the question's address
//! is found in microseconds; for anybody else the whole register is searched. So a decision is held until the time
//! that the search would take at worst, measured on the register itself when it is loaded.
//!
//! What is left: a decision that is slower than the schedule, because the machine is overloaded, still shows.

use std::collections::HashMap;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use crate::code::{Code, Codes};
use crate::ids::EpochId;
use crate::link::{HouseholdQuestion, Registers};
use crate::profile::Profile;

/// Searches that are timed.
const TRIALS: usize = 9;

/// Room for a busy machine: a schedule that is often missed hides nothing.
const SLACK: u32 = 2;

/// The rest of the wait that is spent awake: a sleeping thread wakes up too late, and not equally late.
const AWAKE: Duration = Duration::from_micros(150);

/// Per epoch, how long decisions take.
#[derive(Debug, Default)]
pub(super) struct Pace(RwLock<HashMap<EpochId, Search>>);

/// How long the search for one tenant takes.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    /// At worst, with room for a busy machine.
    worst: Duration,
    /// The median: what many together take each.
    usual: Duration,
}

impl Pace {
    /// Measures how long it takes to search the register for somebody who is not there.
    pub(super) fn measure(&self, epoch: &EpochId, profile: &Profile, registers: &Registers) {
        let trial = || {
            let question = HouseholdQuestion::new(profile, None, vec![stranger(profile)]);
            let question = question.expect("random codes of the profile's shape are a question");
            let started = Instant::now();
            std::hint::black_box(registers.find(&question));
            started.elapsed()
        };
        let mut times: Vec<Duration> = (0..TRIALS).map(|_| trial()).collect();
        times.sort_unstable();
        let (worst, usual) = (times[TRIALS - 1], times[TRIALS / 2]);
        let [search_us, usual_us] = [worst, usual].map(|time| time.as_micros() as u64);
        tracing::info!(epoch = %epoch, search_us, usual_us, "the register's slowest search");
        let search = Search { worst: worst * SLACK, usual };
        self.0.write().unwrap_or_else(|broken| broken.into_inner()).insert(epoch.clone(), search);
    }

    /// Waits until a decision about so many tenants, begun at `started`, may show. Blocks.
    pub(super) fn hold(&self, epoch: &EpochId, started: Instant, tenants: usize) {
        wait_until(started + self.search(epoch).worst * u32::try_from(tenants).unwrap_or(1));
    }

    /// Waits until decisions about so many tenants of several questions, begun at `started`, may show together: a sum of
    /// searches is about so many times the usual one, whoever is found, and a few together hide behind the worst. Blocks.
    pub(super) fn hold_several(&self, epoch: &EpochId, started: Instant, tenants: usize) {
        let Search { worst, usual } = self.search(epoch);
        let all = worst.max(usual * u32::try_from(tenants).unwrap_or(u32::MAX));
        std::thread::sleep(all.saturating_sub(started.elapsed()));
    }

    fn search(&self, epoch: &EpochId) -> Search {
        self.0.read().unwrap_or_else(|broken| broken.into_inner()).get(epoch).copied().unwrap_or_default()
    }
}

fn wait_until(due: Instant) {
    if let Some(asleep) = due.checked_duration_since(Instant::now() + AWAKE) {
        std::thread::sleep(asleep);
    }
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}

/// Codes of nobody: random bits, as a code of a salt looks.
fn stranger(profile: &Profile) -> Codes {
    let code = |bits: usize| {
        let mut bytes = vec![0; bits / 8];
        SystemRandom::new().fill(&mut bytes).expect("the system's random generator answers");
        Code::from_bytes(&bytes).expect("a pass has whole words of bits")
    };
    let passes = profile.passes.iter().map(|pass| (0..pass.asked(profile)).map(|_| code(pass.code_bits)).collect());
    Codes { passes: passes.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schedule alone: decisions of different length end together, whatever the answer. Paired, in turn.
    #[test]
    fn decisions_of_different_length_end_at_the_same_moment() {
        let pace = Pace::default();
        let epoch: EpochId = "haarlem-1".parse().unwrap();
        let search = Search { worst: Duration::from_micros(900), usual: Duration::ZERO };
        pace.0.write().unwrap().insert(epoch.clone(), search);
        let timed = |work: Duration| {
            let started = Instant::now();
            while started.elapsed() < work {
                std::hint::spin_loop();
            }
            pace.hold(&epoch, started, 1);
            started.elapsed().as_secs_f64() * 1e6
        };
        let (mut long, mut short) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            long.push(timed(Duration::from_micros(500)));
            short.push(timed(Duration::from_micros(5)));
        }
        // The faster tenth: on a busy machine the others say how busy it was.
        let fast = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 10]
        };
        let difference = fast(&mut long) - fast(&mut short);
        assert!(difference.abs() < 50.0, "{difference:.2} us apart where the work differs by 495");
    }

    #[test]
    fn decisions_of_several_questions_show_no_sooner_than_their_searches_take() {
        let pace = Pace::default();
        let epoch: EpochId = "haarlem-1".parse().unwrap();
        let search = Search { worst: Duration::from_millis(20), usual: Duration::from_millis(2) };
        pace.0.write().unwrap().insert(epoch.clone(), search);
        for (tenants, least) in [(1, 20), (32, 64)] {
            let started = Instant::now();
            pace.hold_several(&epoch, started, tenants);
            let held = started.elapsed();
            assert!((Duration::from_millis(least)..Duration::from_secs(10)).contains(&held), "{tenants}: {held:?}");
        }
    }

    #[test]
    fn an_epoch_that_was_not_measured_is_not_held() {
        let started = Instant::now();
        Pace::default().hold(&"haarlem-1".parse().unwrap(), started, 8);
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}
