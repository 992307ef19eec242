//! Answers leave on a schedule, so that time does not tell who is registered. The work is the same whoever that is:
//! every tenant is looked for at the address and in the whole register. How soon a comparison ends and how many come
//! near still differ, so an answer that is decided and recorded is held until a search would have ended that takes half
//! as long again as one of the register itself, measured when it is loaded. What is later than that waits for the next
//! tick: of its own time it shows which tick it came before, no more (Askarov, Zhang and Myers, Predictive black-box
//! mitigation of timing channels, CCS 2010). The schedule alone would not do: a core that slept until the tick sends
//! some microseconds later than one that searched (`benches/timing.rs`).
//!
//! What is left: a machine so loaded that searches miss their tick shows how often they do.

use std::collections::HashMap;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use actix_web::web;
use ring::rand::{SecureRandom, SystemRandom};

use crate::code::{Code, Codes};
use crate::ids::EpochId;
use crate::link::{HouseholdQuestion, Registers};
use crate::profile::Profile;

/// Searches that are timed, of each size: at least, and as long as they take no longer than this together. The middle one
/// counts: a hiccup of the machine while it loads is not to slow every answer until the next load; of long searches each
/// has its share of hiccups.
const TRIALS: usize = 3;
const MOST_TRIALS: usize = 9;
const TIME: Duration = Duration::from_millis(300);

/// Tenants of the larger search that is timed: about as many as a slice of a batch has.
const MANY: usize = 48;

/// Room for a busy machine, as a fraction: a schedule that is often missed hides nothing.
const SLACK: (u32, u32) = (3, 2);

/// What is late waits for a multiple of this behind its schedule. A sync of the disk is shorter, nearly always.
const TICK: Duration = Duration::from_millis(1);

/// The rest of the wait that is spent awake: a sleeping thread wakes up too late, and not equally late.
const AWAKE: Duration = Duration::from_micros(150);

/// Per epoch, how long decisions take.
#[derive(Debug, Default)]
pub(super) struct Pace(RwLock<HashMap<EpochId, Search>>);

/// How long searches take.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    /// For one tenant.
    one: Duration,
    /// For [`MANY`] at once.
    many: Duration,
}

impl Search {
    /// For so many tenants in one scan: reading the register costs the same for all, comparing something for each.
    fn of(self, tenants: usize) -> Duration {
        let more = u32::try_from(tenants.saturating_sub(1)).unwrap_or(u32::MAX);
        self.one + self.many.saturating_sub(self.one).saturating_mul(more) / (MANY as u32 - 1)
    }
}

impl Pace {
    /// Measures how long it takes to search the register for people who are not there.
    pub(super) fn measure(&self, epoch: &EpochId, profile: &Profile, registers: &Registers) {
        let usual = |tenants: usize| {
            let question = || HouseholdQuestion::new(profile, None, vec![stranger(profile)]);
            let questions: Vec<_> =
                (0..tenants).map(|_| question().expect("random codes of the profile's shape are a question")).collect();
            let trial = || {
                let started = Instant::now();
                std::hint::black_box(registers.find_each(&questions));
                started.elapsed()
            };
            let mut times: Vec<Duration> = Vec::new();
            while times.len() < TRIALS || (times.len() < MOST_TRIALS && times.iter().sum::<Duration>() < TIME) {
                times.push(trial());
            }
            times.sort_unstable();
            times[times.len() / 2]
        };
        let search = Search { one: usual(1), many: usual(MANY) };
        let [one_us, many_us] = [search.one, search.many].map(|time| time.as_micros() as u64);
        tracing::info!(epoch = %epoch, one_us, many_us, "answers leave when a search would have ended");
        self.0.write().unwrap_or_else(|broken| broken.into_inner()).insert(epoch.clone(), search);
    }

    /// Waits until an answer about so many tenants, begun at `started`, may leave.
    pub(super) async fn hold(&self, epoch: &EpochId, started: Instant, tenants: usize) {
        let search = self.search(epoch).of(tenants) * SLACK.0 / SLACK.1;
        let due = next_tick(started + search, Instant::now());
        // In two steps, so that the thread that sends was idle equally long: it wakes up the later, the longer it was.
        // A service that is stopping answers as it is: nobody asks twice in that moment.
        for wait in [sleep_until as fn(Instant), spin_until] {
            let _ = web::block(move || wait(due)).await;
        }
    }

    /// As [`Pace::hold`], for decisions about so many tenants of several questions that were searched together, with no
    /// room: nobody sees when one of them is decided, and the tick hides by how much a slice is late. Blocks.
    pub(super) fn hold_here(&self, epoch: &EpochId, started: Instant, tenants: usize) {
        let due = started + self.search(epoch).of(tenants);
        std::thread::sleep(next_tick(due, Instant::now()).saturating_duration_since(Instant::now()));
    }

    fn search(&self, epoch: &EpochId) -> Search {
        self.0.read().unwrap_or_else(|broken| broken.into_inner()).get(epoch).copied().unwrap_or_default()
    }
}

/// The first tick from `due` on that is not over.
fn next_tick(due: Instant, now: Instant) -> Instant {
    let late = now.saturating_duration_since(due).as_nanos().div_ceil(TICK.as_nanos());
    due + TICK * u32::try_from(late).unwrap_or(u32::MAX)
}

/// Until shortly before a moment.
fn sleep_until(due: Instant) {
    if let Some(asleep) = due.checked_duration_since(Instant::now() + AWAKE) {
        std::thread::sleep(asleep);
    }
}

fn spin_until(due: Instant) {
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
    #[actix_web::test]
    async fn decisions_of_different_length_end_at_the_same_moment() {
        let pace = Pace::default();
        let epoch: EpochId = "haarlem-1".parse().unwrap();
        let search = Search { one: Duration::from_micros(900), ..Search::default() };
        pace.0.write().unwrap().insert(epoch.clone(), search);
        let timed = async |work: Duration| {
            let started = Instant::now();
            while started.elapsed() < work {
                std::hint::spin_loop();
            }
            pace.hold(&epoch, started, 1).await;
            started.elapsed().as_secs_f64() * 1e6
        };
        let (mut long, mut short) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            long.push(timed(Duration::from_micros(500)).await);
            short.push(timed(Duration::from_micros(5)).await);
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
    fn several_tenants_are_held_for_one_scan_and_for_each_comparison() {
        let search = Search { one: Duration::from_millis(20), many: Duration::from_millis(67) };
        let held = [0, 1, 2, MANY, 2 * MANY - 1].map(|tenants| search.of(tenants).as_millis());
        assert_eq!(held, [20, 20, 21, 67, 114]);
        let pace = Pace::default();
        let epoch: EpochId = "haarlem-1".parse().unwrap();
        pace.0.write().unwrap().insert(epoch.clone(), search);
        let started = Instant::now();
        pace.hold_here(&epoch, started, 2);
        assert!((21..10_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    }

    #[test]
    fn what_is_late_waits_for_the_next_tick() {
        let due = Instant::now();
        let after = |us: u64| (next_tick(due, due + Duration::from_micros(us)) - due).as_micros();
        assert_eq!(next_tick(due, due - Duration::from_micros(5)), due);
        assert_eq!([after(0), after(1), after(999), after(1000), after(1001)], [0, 1000, 1000, 1000, 2000]);
    }

    #[actix_web::test]
    async fn an_epoch_that_was_not_measured_is_held_to_the_next_tick_alone() {
        let started = Instant::now();
        Pace::default().hold(&"haarlem-1".parse().unwrap(), started, 8).await;
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}
