//! Connections that were refused before they could ask, as the access log has them: the first ones with the
//! certificate they showed, the rest of a minute as numbers. Whoever knocks thousands of times fills no disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::App;
use super::metrics::Metrics;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::ids::TraceId;
use crate::store::{StoreError, Tx};

/// Refusals that get an entry of their own in a minute.
const NAMED: usize = 16;
const MINUTE: Duration = Duration::from_secs(60);

/// A connection that names nobody who may ask.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refused {
    /// Stable code.
    pub(super) code: &'static str,
    /// SHA-256 of the certificate, hexadecimal; empty without one.
    pub(super) fingerprint: String,
}

/// Refusals that wait for their entry.
#[derive(Debug)]
pub(super) struct Knocks {
    minute: Mutex<Minute>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Minute {
    began: Instant,
    /// Those that have an entry, or get one at the next look, with how many more there were.
    named: BTreeMap<Refused, Told>,
    /// All others, by code.
    others: BTreeMap<&'static str, u32>,
}

#[derive(Debug, Default)]
struct Told {
    waiting: u32,
    once: bool,
}

impl Knocks {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let (named, others) = Default::default();
        Self { minute: Mutex::new(Minute { began: Instant::now(), named, others }), metrics }
    }

    /// Takes note.
    pub(super) fn tell(&self, refused: Refused) {
        self.metrics.refused(refused.code);
        self.count(refused, 1);
    }

    fn count(&self, refused: Refused, times: u32) {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = if minute.named.contains_key(&refused) || minute.named.len() < NAMED {
            &mut minute.named.entry(refused).or_default().waiting
        } else {
            minute.others.entry(refused.code).or_default()
        };
        *counter = counter.saturating_add(times);
    }

    /// What is to be recorded now: what is new, and at a minute's end, or at the service's, everything.
    fn due(&self, now: Instant, ending: bool) -> Vec<(Refused, u32)> {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = ending || now.saturating_duration_since(minute.began) >= MINUTE;
        let mut due = Vec::new();
        for (refused, told) in minute.named.iter_mut().filter(|(_, told)| told.waiting > 0) {
            if is_over || !told.once {
                due.push((refused.clone(), std::mem::take(&mut told.waiting)));
                told.once = true;
            }
        }
        if is_over {
            let others = std::mem::take(&mut minute.others).into_iter();
            due.extend(others.map(|(code, count)| (Refused { code, fingerprint: String::new() }, count)));
            minute.named.clear();
            minute.began = now;
        }
        due
    }
}

impl App {
    /// Records refused connections, alike ones in one entry.
    pub(super) fn record_knocks(&self, knocks: &Knocks, ending: bool) {
        let due = knocks.due(Instant::now(), ending);
        if due.is_empty() {
            return;
        }
        let entry = |(Refused { code, fingerprint }, count): (Refused, u32)| {
            let actor = Actor { oin: None, certificate: fingerprint, person: None, role: "stranger".into() };
            let result = Outcome::Refused(code.to_owned());
            let entry = Entry::new(self.clock.now(), TraceId::random(), actor, Action::Connect, result);
            Entry { count: Some(count).filter(|count| *count > 1), ..entry }
        };
        let entries: Vec<Entry> = due.iter().cloned().map(entry).collect();
        let written = self.store.write(move |tx: &Tx<'_>| entries.iter().try_for_each(|one| tx.append(one).map(drop)));
        if let Err::<_, StoreError>(error) = written {
            tracing::error!(code = error.code(), "refused connections could not be recorded; they stay counted");
            due.into_iter().for_each(|(refused, times)| knocks.count(refused, times));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knock(code: &'static str, number: usize) -> Refused {
        Refused { code, fingerprint: format!("{number:064x}") }
    }

    #[test]
    fn the_first_knock_is_recorded_at_once_and_its_repetitions_at_the_minutes_end() {
        let (knocks, now) = (Knocks::new(Arc::default()), Instant::now());
        knocks.tell(knock("a", 1));
        assert_eq!(knocks.due(now, false), [(knock("a", 1), 1)]);
        for _ in 0..1000 {
            knocks.tell(knock("a", 1));
            assert_eq!(knocks.due(now, false), []);
        }
        assert_eq!(knocks.due(now + MINUTE, false), [(knock("a", 1), 1000)]);
        assert_eq!(knocks.due(now + MINUTE * 2, true), [], "nothing twice");
    }

    #[test]
    fn what_could_not_be_recorded_is_told_at_a_later_look() {
        let (knocks, now) = (Knocks::new(Arc::default()), Instant::now());
        (0..3).for_each(|_| knocks.tell(knock("a", 1)));
        for (refused, times) in knocks.due(now, false) {
            knocks.count(refused, times);
        }
        knocks.tell(knock("a", 1));
        assert_eq!(knocks.due(now + MINUTE, false), [(knock("a", 1), 4)]);
    }

    #[test]
    fn a_flood_of_certificates_makes_few_entries_and_none_is_left_uncounted() {
        let (knocks, now) = (Knocks::new(Arc::default()), Instant::now());
        let mut entries = Vec::new();
        for number in 0..100_000 {
            knocks.tell(knock(if number % 2 == 0 { "a" } else { "b" }, number));
            if number % 1000 == 0 {
                entries.extend(knocks.due(now, false));
            }
        }
        entries.extend(knocks.due(now, true));
        assert!(entries.len() <= NAMED + 2, "{}", entries.len());
        assert_eq!(entries.iter().map(|(_, count)| count).sum::<u32>(), 100_000);
    }
}
