//! What time counts. A clock that goes back opens nothing that was closed: the latest time that was seen counts, also
//! after a restart. One that leaps ahead closes nothing for good, and deletes nothing: a leap counts only when it has gone
//! on for as long as it takes to notice, and whoever sets the clock right has ended it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::audit::AuditError;
use crate::clock::Clock;
use crate::store::{StoreError, Timed};

/// Beyond this a step ahead is a leap, and so long it must go on: no time zone is further off.
const STEP: Duration = Duration::hours(12);

/// Beyond this it is none of a service that stood still, and must go on for as long.
pub(super) const LEAP: Duration = Duration::days(31);

/// A clock that is set by this much, as NTP does, did not go back.
const SLACK: Duration = Duration::minutes(1);

/// The times that were seen, in order.
#[derive(Debug)]
pub(super) struct Steady {
    seen: Mutex<Seen>,
    /// When somebody saw that the clock is right: what leaps to that month is no leap for questions.
    vouched: OffsetDateTime,
}

/// How the clock stands to what was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hands {
    Right,
    Back,
    /// It has leapt, and nobody knows yet whether that is right.
    Ahead,
}

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// By which questions are decided.
    pub at: OffsetDateTime,
    /// By which what cannot be undone is done: no leap ahead of it counts.
    pub settled: OffsetDateTime,
    /// When that is this time, if it goes on.
    pub settles: OffsetDateTime,
    pub hands: Hands,
    /// Whether the hands stood otherwise when they were looked at before.
    pub is_news: bool,
}

#[derive(Debug)]
struct Seen {
    /// The latest, leaps apart.
    latest: Option<OffsetDateTime>,
    leap: Option<Leap>,
    hands: Hands,
    /// How much time had passed at the last look at the clock,
    passed: Duration,
    /// and when it showed the latest.
    counted: Duration,
}

/// A leap that does not count yet.
#[derive(Clone, Copy, Debug)]
struct Leap {
    /// The first and the latest time behind it.
    first: OffsetDateTime,
    last: OffsetDateTime,
    /// Whether it is one beyond [`LEAP`].
    is_far: bool,
    /// Whether a running service saw it. A log that was quiet, or a service that stood still, looks like a leap.
    is_watched: bool,
    log_says: LogSays,
}

impl Leap {
    fn counts_from(self) -> OffsetDateTime {
        self.first + if self.is_far { LEAP } else { STEP }
    }
}

impl Moment {
    /// Why what was over by then cannot be ended for good yet, and until when.
    pub(super) fn unsettled(&self, over: OffsetDateTime) -> Option<String> {
        let minute = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        (over <= self.at && self.settled < over).then(|| {
            let hour = (self.settles + Duration::MINUTE).format(minute).expect("a year of four digits has this form");
            format!(
                "the service stood still meanwhile, or its clock leapt, and until that is sure nothing ends for good: not \
                 before {hour}"
            )
        })
    }
}

/// What the entries behind a leap say of it. A service writes `clock-ahead` when it sees one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogSays {
    Nothing,
    /// A service started behind it.
    Started,
    /// A service told of it.
    Ahead,
    /// A service that did not start behind it answered, and told nothing: the time had passed.
    Passed,
}

impl Steady {
    /// From all entries of the log, which `each` shows, and the first look at the clock.
    pub(super) fn of(
        each: impl FnOnce(&mut dyn FnMut(Timed<'_>) -> Result<(), StoreError>) -> Result<(), StoreError>,
        vouched: Option<OffsetDateTime>,
        clock: &Clock,
    ) -> Result<Self, StoreError> {
        let passed = clock.passed();
        let mut seen = Seen { latest: None, leap: None, hands: Hands::Right, passed, counted: passed };
        each(&mut |entry| {
            let malformed = |_| AuditError::Entry("time is not RFC 3339 in UTC");
            seen.see(OffsetDateTime::parse(entry.time, &Rfc3339).map_err(malformed)?, None);
            seen.read(entry);
            Ok(())
        })?;
        seen.count_passed();
        seen.see(clock.now(), None);
        Ok(Self { seen: Mutex::new(seen), vouched: vouched.unwrap_or(OffsetDateTime::UNIX_EPOCH) })
    }

    /// The time now.
    pub(super) fn at(&self, clock: &Clock) -> Moment {
        let (mut seen, now) = self.look(clock);
        let latest = seen.latest.unwrap_or(now);
        let is_ahead = |leap: &Leap| leap.is_watched || leap.is_far && leap.first > self.vouched + LEAP;
        let (at, hands) = match seen.leap {
            Some(leap) if is_ahead(&leap) => (latest, Hands::Ahead),
            Some(leap) => (leap.last, Hands::Right),
            None if now + SLACK < latest => (latest, Hands::Back),
            None => (latest.max(now), Hands::Right),
        };
        let is_news = seen.hands != hands;
        seen.hands = hands;
        let settles = seen.leap.map_or(at, Leap::counts_from);
        Moment { at, settled: latest, settles, hands, is_news }
    }

    /// The time by which contents expire now, and whether the clock has leapt.
    pub(super) fn expiry(&self, clock: &Clock) -> (OffsetDateTime, bool) {
        let (seen, now) = self.look(clock);
        let before = seen.latest.filter(|_| seen.leap.is_some_and(|leap| leap.is_far || leap.is_watched));
        (before.map_or(now, |before| before.min(now)), before.is_some())
    }

    fn look(&self, clock: &Clock) -> (MutexGuard<'_, Seen>, OffsetDateTime) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, passed) = (clock.now(), clock.passed());
        seen.see(now, Some(passed));
        seen.passed = passed;
        (seen, now)
    }
}

impl Seen {
    /// What an entry says of the leap that it lies behind.
    fn read(&mut self, entry: Timed<'_>) {
        let (starts, tells) = (entry.action == "start", entry.action == "clock-ahead");
        if starts {
            self.count_passed();
        }
        let Some(leap) = &mut self.leap else { return };
        leap.log_says = match leap.log_says {
            _ if starts => LogSays::Started,
            LogSays::Nothing | LogSays::Passed if tells => LogSays::Ahead,
            LogSays::Nothing if entry.is_of_party => LogSays::Passed,
            said => said,
        };
    }

    /// What a running service counted stays so when it ends, and when its clock goes back.
    fn count_passed(&mut self) {
        if let Some(leap) = self.leap.take_if(|leap| leap.log_says == LogSays::Passed) {
            (self.latest, self.counted) = (Some(leap.last), self.passed);
        }
    }

    /// `passed`: how much time has passed now, if a running service looks.
    fn see(&mut self, time: OffsetDateTime, passed: Option<Duration>) {
        if self.leap.is_some_and(|leap| time < leap.first) {
            self.count_passed();
        }
        // Whoever set the clock right again has ended the leap.
        let before = self.leap.filter(|leap| time >= leap.first);
        // Also while the clock was wrong time has passed.
        let (last, then) = before.map_or((self.latest, self.counted), |leap| (Some(leap.last), self.passed));
        let since = passed.map_or(Duration::ZERO, |passed| passed - then);
        let step = last.map_or(Duration::ZERO, |last| time - last) - since;
        let bound = if before.is_some_and(|leap| leap.is_far) { LEAP } else { STEP };
        self.leap = match before {
            Some(leap) if step <= bound => Some(Leap { last: leap.last.max(time), ..leap }),
            None if step <= bound => {
                if self.latest <= Some(time) {
                    (self.latest, self.counted) = (Some(time), passed.unwrap_or(self.passed));
                }
                None
            }
            _ => {
                // A log that was quiet counts when a leap comes behind it: what is right again lies beyond.
                let was_quiet = |leap: &Leap| !leap.is_far && !leap.is_watched && leap.log_says != LogSays::Ahead;
                if let Some(leap) = before.filter(was_quiet) {
                    (self.latest, self.counted) = (Some(leap.last), self.passed);
                }
                // One that is told of is not told of again when it leaps on.
                let log_says = before.map(|leap| leap.log_says).filter(|said| *said == LogSays::Ahead);
                Some(Leap {
                    first: time,
                    last: time,
                    is_far: before.is_some_and(|leap| leap.is_far) || step > LEAP,
                    is_watched: before.is_some_and(|leap| leap.is_watched) || passed.is_some(),
                    log_says: log_says.unwrap_or(LogSays::Nothing),
                })
            }
        };
        let lasts = |leap: &Leap| leap.last >= leap.counts_from();
        if let Some(leap) = self.leap.filter(lasts) {
            (self.latest, self.leap) = (Some(leap.last), None);
            self.counted = passed.unwrap_or(self.passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn started(now: OffsetDateTime) -> (Steady, Clock) {
        let clock = Clock::standing(now);
        (Steady::of(|_| Ok(()), None, &clock).unwrap(), clock)
    }

    /// By which day contents expire after these days were seen.
    fn by(days: &[i64]) -> i64 {
        let (first, rest) = days.split_first().unwrap();
        let (steady, clock) = started(START + Duration::days(*first));
        let by = |day: &i64| {
            let to = START + Duration::days(*day);
            let passes = (Duration::ZERO..=LEAP).contains(&(to - clock.now()));
            if passes {
                clock.pass(to)
            } else {
                clock.set(to)
            }
            steady.expiry(&clock).0
        };
        (rest.iter().map(by).last().unwrap_or_else(|| by(first)) - START).whole_days()
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
    fn contents_expire_by_no_leap_that_a_running_service_sees() {
        for leap in [1, 20, 5000] {
            let (steady, clock) = started(START);
            clock.set(START + Duration::days(leap));
            assert_eq!(steady.expiry(&clock), (START, true), "{leap}");
            clock.set(START);
            assert_eq!(steady.expiry(&clock), (START, false), "{leap} and set right");
        }
        let (steady, clock) = started(START);
        for hour in [20 * 24, 20 * 24 + 12] {
            clock.set(START + Duration::hours(hour));
            steady.expiry(&clock);
        }
        assert_eq!(steady.expiry(&clock), (clock.now(), false), "half a day later it counts");
    }

    #[test]
    fn a_leap_is_found_in_the_log_after_each_restart() {
        use crate::audit::{Action, Actor, Entry, Outcome};
        use crate::store::Store;
        let home = tempfile::tempdir().unwrap();
        let day = |day| START + Duration::days(day);
        for (start, (until, has_leapt)) in
            [(0, (0, false)), (5000, (0, true)), (5001, (0, true)), (5032, (5032, false))]
        {
            let store = Store::open(home.path(), "log.example/a").unwrap();
            let clock = Clock::standing(day(start));
            let steady = Steady::of(|take| store.times(take), None, &clock).unwrap();
            assert_eq!(steady.expiry(&clock), (day(until), has_leapt));
            let trace = crate::ids::TraceId::random();
            let entry = Entry::new(day(start), trace, Actor::service(), Action::Start, Outcome::Done);
            store.write(move |tx| tx.append(&entry).map(drop)).unwrap();
        }
    }

    #[test]
    fn a_clock_that_was_set_right_ends_the_leap() {
        assert_eq!(by(&[0, 10, 5000, 10]), 10);
        assert_eq!(by(&[0, 10, 5000, 5001, 11, 40, 5000]), 40);
        assert_eq!(by(&[0, 10, 5000, 5031, 12]), 12, "also when it counted");
    }

    /// A service that runs from the start looks at the clock after so many hours: by which hour it decides, and the hands.
    fn hands(hours: &[i64]) -> (i64, Hands) {
        let (steady, clock) = started(START);
        let at = |hour: &i64| {
            clock.set(START + Duration::hours(*hour));
            steady.at(&clock)
        };
        let last = hours.iter().map(at).last().unwrap();
        ((last.at - START).whole_hours(), last.hands)
    }

    #[test]
    fn a_clock_that_is_watched_leaps_by_more_than_half_a_day() {
        assert_eq!(hands(&[12, 24]), (24, Hands::Right));
        for leap in [24, 225 * 24, 10 * 8766] {
            assert_eq!(hands(&[1, leap]), (1, Hands::Ahead), "{leap}");
            assert_eq!(hands(&[1, leap, leap + 11]), (1, Hands::Ahead), "{leap} goes on");
            assert_eq!(hands(&[1, leap, 2]), (2, Hands::Right), "{leap} and set right");
            assert_eq!(hands(&[1, leap, 2, leap, 3]), (3, Hands::Right), "{leap} twice");
        }
        assert_eq!(hands(&[1, 225 * 24, 24, 25]), (1, Hands::Ahead), "half right");
        assert_eq!(hands(&[1, 24, 36]), (36, Hands::Right), "half a day later it counts");
        assert_eq!(hands(&[1, 800, 812]), (1, Hands::Ahead), "one that is far does not");
        assert_eq!(hands(&[1, 800, 812, 800 + 31 * 24]), (800 + 31 * 24, Hands::Right));
    }

    #[test]
    fn a_clock_that_was_wrong_for_days_is_right_as_soon_as_it_is_set_right() {
        for wrong in [START + Duration::days(400), START - Duration::days(5)] {
            let (steady, clock) = started(START);
            clock.set(wrong);
            assert_ne!(steady.at(&clock).hands, Hands::Right);
            clock.pass(wrong + Duration::days(3));
            assert_ne!(steady.at(&clock).hands, Hands::Right);
            clock.set(START + Duration::days(3));
            let moment = steady.at(&clock);
            assert_eq!((moment.at, moment.settled, moment.hands), (clock.now(), clock.now(), Hands::Right));
        }
    }

    #[test]
    fn a_clock_that_goes_back_opens_nothing_that_was_closed() {
        assert_eq!(hands(&[10, 20, 3]), (20, Hands::Back));
        assert_eq!(hands(&[24, 36, 3]), (36, Hands::Back), "a leap that counted");
        let (steady, clock) = started(START);
        clock.set(START - Duration::SECOND);
        assert_eq!((steady.at(&clock).at, steady.at(&clock).hands), (START, Hands::Right));
    }

    #[test]
    fn time_that_passes_while_nobody_looks_is_no_leap() {
        let (steady, clock) = started(START);
        clock.pass(START + Duration::days(400));
        let moment = steady.at(&clock);
        assert_eq!((moment.at, moment.settled, moment.hands), (clock.now(), clock.now(), Hands::Right));
        assert_eq!(steady.expiry(&clock), (clock.now(), false));
    }

    #[test]
    fn a_service_that_stood_still_begins_by_the_clock_and_settles_nothing_at_once() {
        let (day, first) = (|day| START + Duration::days(day), "2026-01-01T00:00:00Z");
        let started = |at, vouched: Option<i64>| {
            let clock = Clock::standing(day(at));
            let first = Timed { time: first, action: "ask", is_of_party: true };
            (Steady::of(|take| take(first), vouched.map(day), &clock).unwrap(), clock)
        };
        let at = |(steady, clock): &(Steady, Clock), now| {
            clock.set(day(now));
            steady.at(clock)
        };
        let near = started(20, None);
        let moment = at(&near, 20);
        assert_eq!((moment.at, moment.settled, moment.hands), (day(20), START, Hands::Right));
        assert_eq!((at(&near, 2).at, at(&started(20, None), 2).hands), (START, Hands::Ahead), "and was set right");
        near.1.pass(day(3));
        assert_eq!((at(&near, 3).settled, at(&near, 2).hands), (day(3), Hands::Back), "it went on");
        let far = started(40, None);
        assert_eq!((at(&far, 40).at, at(&far, 40).hands), (START, Hands::Ahead));
        for (vouched, hands) in [(8, Hands::Ahead), (9, Hands::Right)] {
            assert_eq!(at(&started(40, Some(vouched)), 40).hands, hands, "{vouched}");
        }
        let (steady, clock) = started(40, Some(39));
        assert_eq!(steady.expiry(&clock), (START, true), "contents take nobody's word");
    }

    #[test]
    fn what_a_service_counted_in_a_quiet_time_stays_behind_a_restart() {
        // An entry an hour: of a start, of a party's question, of a leap that was told, of a key of the day.
        let by = |log: &[(i64, &str)], now: i64| {
            let hour = |hour| START + Duration::hours(hour);
            let each = |take: &mut dyn FnMut(Timed<'_>) -> Result<(), StoreError>| {
                log.iter().try_for_each(|(at, action)| {
                    let time = hour(*at).format(&Rfc3339).unwrap();
                    take(Timed { time: &time, action, is_of_party: *action == "ask" })
                })
            };
            let clock = Clock::standing(hour(now));
            let moment = Steady::of(each, None, &clock).unwrap().at(&clock);
            ((moment.at - START).whole_hours(), moment.hands)
        };
        let (start, ask, ahead, key) = ("start", "ask", "clock-ahead", "day-key");
        for far in [15, 800] {
            let back = |log: &[(i64, &str)]| by(log, 2);
            assert_eq!(back(&[(0, start), (far, ask)]), (far, Hands::Back), "stopped, set back and started");
            assert_eq!(back(&[(0, start), (far, key), (far, ask), (1, ask)]), (far, Hands::Back), "set back before");
            assert_eq!(back(&[(0, start), (far, ask), (far + 1, start)]), (far + 1, Hands::Back), "started twice");
            assert_eq!(back(&[(0, start), (far, ask), (far, ahead), (1, ask)]), (2, Hands::Right), "a leap");
            assert_eq!(back(&[(0, start), (far, ahead), (far + 1, ask)]), (2, Hands::Right), "one that goes on");
            let on = [(0, start), (far, ahead), (far, ask), (9000, ask), (1, ask)];
            assert_eq!(back(&on), (2, Hands::Right), "one that leaps on");
            assert_eq!(back(&[(0, start), (far, key), (far, start), (far, ask)]), (2, Hands::Right), "stood still");
        }
        assert_eq!(by(&[(0, start), (15, ask)], 16), (16, Hands::Right), "nothing is wrong");
    }

    #[test]
    fn a_leap_is_told_once() {
        let (steady, clock) = started(START);
        let news = [1, 100, 101, 2, 100, 3].map(|hour| {
            clock.set(START + Duration::hours(hour));
            steady.at(&clock).is_news
        });
        assert_eq!(news, [false, true, false, true, true, true]);
    }
}
