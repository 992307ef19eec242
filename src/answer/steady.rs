//! By which time contents expire. A clock that is years ahead would find all of them due, and what is deleted does
//! not come back: a leap of the clock counts only when the log has gone on behind it for as long as it takes to notice.

use std::sync::{Mutex, PoisonError};

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::audit::AuditError;
use crate::store::{Store, StoreError};

/// Beyond this a step of the clock is a leap, and so long it must go on.
pub(super) const LEAP: Duration = Duration::days(31);

/// The times that were seen, in order.
#[derive(Debug, Default)]
pub(super) struct Steady(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The latest, leaps apart.
    latest: Option<OffsetDateTime>,
    /// The first and the latest time behind a leap that does not count yet.
    leap: Option<(OffsetDateTime, OffsetDateTime)>,
}

impl Steady {
    /// From all entries of the log.
    pub(super) fn of(store: &Store) -> Result<Self, StoreError> {
        let mut seen = Seen::default();
        store.times(|time| {
            let malformed = |_| AuditError::Entry("time is not RFC 3339 in UTC");
            seen.see(OffsetDateTime::parse(time, &Rfc3339).map_err(malformed)?);
            Ok(())
        })?;
        Ok(Self(Mutex::new(seen)))
    }

    /// The time by which contents expire now, and whether the clock has leapt.
    pub(super) fn by(&self, now: OffsetDateTime) -> (OffsetDateTime, bool) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.see(now);
        let before = seen.latest.filter(|_| seen.leap.is_some());
        (before.map_or(now, |before| before.min(now)), before.is_some())
    }
}

impl Seen {
    fn see(&mut self, time: OffsetDateTime) {
        // Whoever set the clock right again has ended the leap.
        let leap = self.leap.filter(|(first, _)| time >= *first);
        let Some((first, last)) = leap else {
            let is_leap = self.latest.is_some_and(|latest| time > latest + LEAP);
            self.leap = is_leap.then_some((time, time));
            self.latest = if is_leap { self.latest } else { self.latest.max(Some(time)) };
            return;
        };
        let first = if time > last + LEAP { time } else { first };
        let last = last.max(time);
        let counts = last >= first + LEAP;
        self.leap = (!counts).then_some((first, last));
        self.latest = if counts { Some(last) } else { self.latest };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    /// By which day contents expire after these days were seen.
    fn by(days: &[i64]) -> i64 {
        let (steady, day) = (Steady::default(), |day: &i64| START + Duration::days(*day));
        (days.iter().map(|seen| steady.by(day(seen)).0).last().unwrap() - START).whole_days()
    }

    #[test]
    fn a_leap_of_the_clock_counts_when_it_has_gone_on_for_a_month() {
        assert_eq!(by(&[5000]), 5000, "a log that begins");
        assert_eq!(by(&[0, 31, 62]), 62);
        assert_eq!(by(&[0, 10, 5000]), 10);
        assert_eq!(by(&[0, 10, 5000, 5030]), 10);
        assert_eq!(by(&[0, 10, 5000, 5030, 5031]), 5031);
        assert_eq!(by(&[0, 10, 5000, 5030, 5062, 5092]), 10, "and one more");
    }

    #[test]
    fn a_leap_is_found_in_the_log_after_each_restart() {
        use crate::audit::{Action, Actor, Entry, Outcome};
        let home = tempfile::tempdir().unwrap();
        let day = |day| START + Duration::days(day);
        for (start, (until, has_leapt)) in
            [(0, (0, false)), (5000, (0, true)), (5001, (0, true)), (5032, (5032, false))]
        {
            let store = Store::open(home.path(), "log.example/a").unwrap();
            assert_eq!(Steady::of(&store).unwrap().by(day(start)), (day(until), has_leapt));
            let trace = crate::ids::TraceId::random();
            let entry = Entry::new(day(start), trace, Actor::service(), Action::Start, Outcome::Done);
            store.write(move |tx| tx.append(&entry).map(drop)).unwrap();
        }
    }

    #[test]
    fn a_clock_that_was_set_right_ends_the_leap() {
        assert_eq!(by(&[0, 10, 5000, 11]), 11);
        assert_eq!(by(&[0, 10, 5000, 5001, 11, 40, 5000]), 40);
        assert_eq!(by(&[0, 10, 5000, 5031, 12]), 12, "also when it counted");
    }
}
