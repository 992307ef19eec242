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

/// Per epoch, how long a decision about one tenant takes.
#[derive(Debug, Default)]
pub(super) struct Pace(RwLock<HashMap<EpochId, Duration>>);

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
        let worst = (0..TRIALS).map(|_| trial()).max().unwrap_or_default();
        tracing::info!(epoch = %epoch, search_us = worst.as_micros() as u64, "the register's slowest search");
        self.0.write().unwrap_or_else(|broken| broken.into_inner()).insert(epoch.clone(), worst * SLACK);
    }

    /// Waits until a decision about so many tenants, begun at `started`, may show. Blocks.
    pub(super) fn hold(&self, epoch: &EpochId, started: Instant, tenants: usize) {
        let each = self.0.read().unwrap_or_else(|broken| broken.into_inner()).get(epoch).copied();
        let due = started + each.unwrap_or_default() * u32::try_from(tenants).unwrap_or(1);
        wait_until(due);
    }
}

impl Pace {
    /// Waits until decisions about so many tenants of several questions, begun at `started`, may show together. A sum of
    /// searches varies less than one, and nobody waits for it: it needs no room for a busy machine. Blocks.
    pub(super) fn hold_several(&self, epoch: &EpochId, started: Instant, tenants: usize) {
        let each = self.0.read().unwrap_or_else(|broken| broken.into_inner()).get(epoch).copied();
        std::thread::sleep(
            (each.unwrap_or_default() / SLACK * u32::try_from(tenants).unwrap_or(u32::MAX))
                .saturating_sub(started.elapsed()),
        );
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
        pace.0.write().unwrap().insert(epoch.clone(), Duration::from_micros(900));
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
    fn an_epoch_that_was_not_measured_is_not_held() {
        let started = Instant::now();
        Pace::default().hold(&"haarlem-1".parse().unwrap(), started, 8);
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}
