//! Contents that are gone, held against the entries that record their deletion: what was deleted without a record, or
//! sooner than a regulation allows, was not deleted by the service's rule.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

use super::{Action, Entry, Outcome, Range};

/// Stands in what counts here: parsing each entry of a large log for it would double the time of a start.
const ACTION: &str = r#""action":"log-"#;

/// By how much the clock that dated a record may be ahead of the officer's: one that is years ahead finds all due.
const AHEAD: Duration = Duration::DAY;

/// Entries are dated before they are put in order: neighbours may be out of order by less than this.
const DISORDER: Duration = Duration::HOUR;

/// How an entry begins, up to its time.
const TIME: &[u8] = br#"{"v":1,"time":""#;

/// Digits of a time up to the second: as texts they are in the order of time.
const SECOND: usize = 19;

/// Those of a day.
const DAY: usize = 10;

/// When contents may be gone, as somebody outside the service knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The shortest time for which a regulation of the log keeps contents.
    pub log_days: u32,
    /// By the reader's own clock; absent where a log is held against itself alone.
    pub now: Option<OffsetDateTime>,
}

impl From<u32> for Due {
    fn from(log_days: u32) -> Self {
        Self { log_days, now: None }
    }
}

/// Follows a log line by line, in order.
#[derive(Debug)]
pub struct Gone {
    /// How long contents are kept at least.
    kept: Duration,
    /// A record that is dated later deletes nothing.
    until: Option<OffsetDateTime>,
    /// Holds that are recorded as open.
    holds: Vec<Range>,
    /// Positions of holds' entries whose contents are gone.
    unheld: BTreeSet<u64>,
    /// By their first position: those of which no entry, so far, says that they were deleted in time.
    unrecorded: BTreeMap<u64, Run>,
    /// First position of the run that the last line belongs to, if its contents are gone.
    open: Option<u64>,
    times: Times,
    /// What records named, in their order.
    recorded: Vec<Range>,
}

/// Entries one behind another whose contents are gone.
#[derive(Clone, Copy, Debug)]
struct Run {
    end: u64,
    made: Made,
}

/// When the entries of a run were made.
#[derive(Clone, Copy, Debug)]
enum Made {
    /// Whoever has the contents knows; unless they are no entry.
    At(Option<OffsetDateTime>),
    /// Behind every entry before this position; the latest time of those.
    Behind(u64, Option<[u8; SECOND]>),
}

/// The times of the entries so far. What stands behind an entry is no older than it says: entries behind a gap say
/// nothing of it, for whoever deletes may write one with any date.
#[derive(Debug, Default)]
struct Times {
    latest: Option<[u8; SECOND]>,
    /// Where each day was met first.
    days: BTreeMap<[u8; DAY], u64>,
}

impl Times {
    fn see(&mut self, index: u64, entry: &[u8]) {
        let time = entry.strip_prefix(TIME).and_then(|text| text.first_chunk());
        let Some(time) = time.filter(|time| time.iter().all(u8::is_ascii)) else { return };
        if self.latest.is_none_or(|latest| latest[..DAY] != time[..DAY]) {
            let day = time.first_chunk().expect("a day is shorter than a second");
            self.days.entry(*day).or_insert(index);
        }
        self.latest = self.latest.max(Some(*time));
    }

    /// The latest time before a position that is not behind this moment: a clock that was ahead for a while must not make
    /// what follows look younger than it is. To the second where that is the latest of all, else to the day.
    fn before(&self, position: u64, latest: Option<[u8; SECOND]>, moment: OffsetDateTime) -> Option<OffsetDateTime> {
        let moment = moment.to_offset(UtcOffset::UTC).format(&Rfc3339).ok()?;
        let moment: &[u8; SECOND] = moment.as_bytes().first_chunk()?;
        let parse = |time: &[u8], rest: &str| {
            let text = format!("{}{rest}", str::from_utf8(time).ok()?);
            OffsetDateTime::parse(&text, &Rfc3339).ok()
        };
        let exact = latest.filter(|latest| latest <= moment).and_then(|latest| parse(&latest, "Z"));
        let day = || {
            let mut days = self.days.range(..=*moment.first_chunk::<DAY>()?).rev();
            days.find(|(_, first)| **first < position).and_then(|(day, _)| parse(day, "T00:00:00Z"))
        };
        exact.or_else(day)
    }
}

impl Gone {
    /// At the beginning of a log.
    pub fn new(due: impl Into<Due>) -> Self {
        let Due { log_days, now } = due.into();
        Self {
            kept: Duration::days(i64::from(log_days)) - DISORDER,
            until: now.map(|now| now + AHEAD),
            holds: Vec::new(),
            unheld: BTreeSet::new(),
            unrecorded: BTreeMap::new(),
            open: None,
            times: Times::default(),
            recorded: Vec::new(),
        }
    }

    /// Takes the next line: an entry's bytes, or none if they are gone.
    pub fn line(&mut self, index: u64, entry: Option<&[u8]>) {
        let Some(entry) = entry else { return self.gone(index) };
        self.open = None;
        self.times.see(index, entry);
        match action(entry) {
            Some(Action::LogExpire) => self.record(index, entry),
            Some(action) => self.hold(action, entry),
            None => {}
        }
    }

    /// Takes a line whose contents are gone from the log, and which somebody outside still has: these.
    pub fn lost(&mut self, index: u64, entry: &[u8]) {
        self.open = None;
        self.times.see(index, entry);
        self.unrecorded.insert(index, Run { end: index + 1, made: Made::At(moment(entry)) });
        if let Some(action @ (Action::LogHold | Action::LogHoldEnd)) = action(entry) {
            self.unheld.insert(index);
            self.hold(action, entry);
        }
    }

    /// The holds that are recorded as open, so far.
    pub fn holds(&self) -> &[Range] {
        &self.holds
    }

    /// Whose contents were deleted, as the records say that were met, in their order.
    pub fn recorded(&self) -> &[Range] {
        &self.recorded
    }

    /// The first position whose contents are gone without a record, or sooner than may be.
    pub fn early(&self) -> Option<u64> {
        self.unrecorded.keys().next().into_iter().chain(self.unheld.first()).min().copied()
    }

    fn gone(&mut self, index: u64) {
        let first = *self.open.get_or_insert(index);
        let made = Made::Behind(first, self.times.latest);
        self.unrecorded.entry(first).or_insert(Run { end: index, made }).end = index + 1;
    }

    fn record(&mut self, index: u64, entry: &[u8]) {
        let Ok(entry) = Entry::from_bytes(entry) else { return };
        let parts = entry.ranges();
        let count: u64 = parts.iter().map(|part| part.to - part.from).sum();
        let is_record = entry.action == Action::LogExpire
            && entry.result == Outcome::Done
            && u64::from(entry.count.unwrap_or(1)) == count
            && parts.last().is_some_and(|part| part.to <= index);
        let Some(time) = entry.moment().filter(|_| is_record) else { return };
        // Named all the same: whoever has the contents looks whether they are gone.
        if self.until.is_none_or(|until| time <= until) {
            let free: Vec<Range> = parts.iter().flat_map(|part| self.free_of(*part)).collect();
            free.into_iter().for_each(|part| self.take_out(part, time));
        }
        self.recorded.extend(parts);
    }

    /// Takes what an entry says of a hold.
    fn hold(&mut self, action: Action, entry: &[u8]) {
        let done = Entry::from_bytes(entry).ok().filter(|entry| entry.result == Outcome::Done);
        let Some(range) = done.and_then(|entry| entry.entries) else { return };
        if action == Action::LogHold {
            self.holds.push(range);
        } else if let Some(at) = self.holds.iter().position(|held| *held == range) {
            self.holds.swap_remove(at);
        }
    }

    /// What of this is under no hold.
    fn free_of(&self, part: Range) -> Vec<Range> {
        self.holds.iter().fold(vec![part], |free, held| {
            let around = |part: Range| {
                let before = Range { to: part.to.min(held.from), ..part };
                let behind = Range { from: part.from.max(held.to), ..part };
                let both = if held.from < part.to && part.from < held.to { vec![before, behind] } else { vec![part] };
                both.into_iter().filter(|part| part.from < part.to)
            };
            free.into_iter().flat_map(around).collect()
        })
    }

    /// What was deleted at this moment, as far as it was due.
    fn take_out(&mut self, part: Range, time: OffsetDateTime) {
        let before = self.unrecorded.range(..part.from).next_back().map(|(first, _)| *first);
        let within = self.unrecorded.range(part.from..part.to).map(|(first, _)| *first);
        for first in before.into_iter().chain(within).collect::<Vec<_>>() {
            let run = self.unrecorded[&first];
            let made = match run.made {
                Made::At(made) => made,
                Made::Behind(position, latest) => self.times.before(position, latest, time),
            };
            // Unknown at the beginning of a log.
            let was_due = made.is_none_or(|made| time - made >= self.kept);
            if run.end <= part.from || !was_due {
                continue;
            }
            self.unrecorded.remove(&first);
            if first < part.from {
                self.unrecorded.insert(first, Run { end: part.from, ..run });
            }
            if part.to < run.end {
                self.unrecorded.insert(part.to, run);
            }
        }
    }
}

/// What an entry says of contents, if it does.
fn action(entry: &[u8]) -> Option<Action> {
    let text = str::from_utf8(entry).ok()?;
    let behind = &text[text.find(ACTION)? + ACTION.len()..];
    match behind.split('"').next()? {
        "expire" => Some(Action::LogExpire),
        "hold" => Some(Action::LogHold),
        "hold-end" => Some(Action::LogHoldEnd),
        _ => None,
    }
}

/// When an entry was made; `None` for what is no entry, which others report.
fn moment(entry: &[u8]) -> Option<OffsetDateTime> {
    #[derive(Deserialize)]
    struct Dated<'a> {
        time: &'a str,
    }
    let dated: Dated<'_> = serde_json::from_slice(entry).ok()?;
    OffsetDateTime::parse(dated.time, &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Actor;
    use crate::ids::TraceId;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn made(day: i64, action: Action) -> Entry {
        Entry::new(START + Duration::days(day), TraceId::random(), Actor::service(), action, Outcome::Done)
    }

    fn expire(day: i64, parts: &[(u64, u64)]) -> Entry {
        let mut entry = made(day, Action::LogExpire);
        let parts: Vec<Range> = parts.iter().map(|&(from, to)| Range { from, to }).collect();
        entry.deleted(&parts);
        entry
    }

    /// The first that went early of ten entries, a day each, of which these are gone, and these records.
    fn early(gone: &[u64], records: &[Entry]) -> Option<u64> {
        let mut tracker = Gone::new(30);
        for index in 0..10 {
            let entry = made(index as i64, Action::Ask).to_bytes();
            tracker.line(index, (!gone.contains(&index)).then_some(entry.as_slice()));
        }
        (10..).zip(records).for_each(|(index, record)| tracker.line(index, Some(&record.to_bytes())));
        tracker.early()
    }

    #[test]
    fn what_is_gone_is_recorded_by_a_later_entry() {
        assert_eq!(early(&[], &[]), None);
        assert_eq!(early(&[2, 3], &[]), Some(2));
        assert_eq!(early(&[2, 3], &[expire(40, &[(2, 4)])]), None);
        assert_eq!(early(&[2, 3, 4, 6, 7], &[expire(40, &[(2, 3), (4, 5), (6, 8)]), expire(41, &[(3, 4)])]), None);
        // One that was deleted beside those that were recorded.
        assert_eq!(early(&[1, 2, 3], &[expire(40, &[(2, 4)])]), Some(1));
        assert_eq!(early(&[2, 3, 4], &[expire(40, &[(2, 4)])]), Some(4));
        assert_eq!(early(&[2, 3, 4, 6], &[expire(40, &[(2, 3), (4, 7)])]), Some(3));
        assert_eq!(early(&[2, 5], &[expire(40, &[(2, 3), (6, 7)])]), Some(5));
    }

    #[test]
    fn what_went_before_it_was_due_went_early() {
        // Entry 1 is from the second day: what follows was not 30 days old on the thirtieth.
        assert_eq!(early(&[2, 3], &[expire(30, &[(2, 4)])]), Some(2));
        assert_eq!(early(&[2, 3], &[expire(31, &[(2, 4)])]), None);
        // Who recorded it too early may do so again in time.
        assert_eq!(early(&[2, 3], &[expire(30, &[(2, 4)]), expire(31, &[(2, 4)])]), None);
        assert_eq!(early(&[0, 1], &[expire(10, &[(0, 2)])]), None, "nothing says how old the first ones were");
    }

    #[test]
    fn what_is_no_sound_record_vouches_for_nothing() {
        let good = expire(40, &[(2, 4)]);
        for record in [
            Entry { count: None, ..good.clone() },
            Entry { count: Some(3), ..good.clone() },
            Entry { action: Action::LogRead, ..good.clone() },
            Entry { result: Outcome::Failed("x".into()), ..good.clone() },
            Entry { entries: None, ..good.clone() },
            expire(40, &[(2, 12)]),
        ] {
            assert_eq!(early(&[2, 3], &[record]), Some(2));
        }
        assert_eq!(early(&[2, 3], &[good]), None);
    }

    #[test]
    fn whoever_has_the_contents_knows_how_old_they_were() {
        let kept = made(5, Action::Ask).to_bytes();
        for (day, early) in [(34, Some(1)), (35, None)] {
            let mut tracker = Gone::new(30);
            tracker.line(0, Some(&made(0, Action::Ask).to_bytes()));
            tracker.lost(1, &kept);
            tracker.line(2, None);
            tracker.line(3, Some(&expire(day, &[(1, 3)]).to_bytes()));
            assert_eq!((tracker.early(), tracker.recorded()), (early, &[Range { from: 1, to: 3 }][..]));
        }
    }

    fn holding(day: i64, action: Action, (from, to): (u64, u64)) -> Entry {
        Entry { entries: Some(Range { from, to }), ..made(day, action) }
    }

    #[test]
    fn what_is_held_is_not_due_before_the_hold_ends() {
        let hold = |action| holding(20, action, (2, 4));
        let (begun, ended) = (hold(Action::LogHold), hold(Action::LogHoldEnd));
        let due = expire(40, &[(1, 6)]);
        let gone = [1, 2, 3, 4, 5];
        assert_eq!(early(&gone, &[begun.clone(), due.clone()]), Some(2));
        assert_eq!(early(&[1, 4, 5], &[begun.clone(), expire(40, &[(1, 2), (4, 6)])]), None);
        assert_eq!(early(&gone, &[begun.clone(), ended.clone(), due.clone()]), None);
        assert_eq!(early(&gone, &[begun.clone(), begun.clone(), ended.clone(), due.clone()]), Some(2), "held twice");
        assert_eq!(early(&gone, &[begun.clone(), holding(20, Action::LogHoldEnd, (2, 3)), due.clone()]), Some(2));
        let refused = Entry { result: Outcome::Refused("x".into()), ..begun.clone() };
        assert_eq!(early(&gone, &[refused, due.clone()]), None);
        let refused = Entry { result: Outcome::Refused("x".into()), ..ended.clone() };
        assert_eq!(early(&gone, &[begun.clone(), refused, due.clone()]), Some(2));
        assert_eq!(early(&gone, &[begun, due.clone(), ended, due]), None, "deleted again when it is due");
    }

    #[test]
    fn the_entries_of_holds_are_never_gone() {
        for action in [Action::LogHold, Action::LogHoldEnd] {
            let mut tracker = Gone::new(30);
            tracker.lost(0, &holding(0, action, (7, 9)).to_bytes());
            tracker.line(1, Some(&expire(400, &[(0, 1)]).to_bytes()));
            assert_eq!(tracker.early(), Some(0), "{action:?}");
        }
    }

    #[test]
    fn a_record_of_the_reader_s_future_deletes_nothing() {
        for (ahead, early) in [(Duration::HOUR, None), (Duration::days(2), Some(1))] {
            let mut tracker = Gone::new(Due { log_days: 30, now: Some(START + Duration::days(400) - ahead) });
            tracker.line(0, Some(&made(0, Action::Ask).to_bytes()));
            tracker.line(1, None);
            tracker.line(2, Some(&expire(400, &[(1, 2)]).to_bytes()));
            assert_eq!((tracker.early(), tracker.recorded().len()), (early, 1));
        }
    }

    /// Entries of these days, of which the third is gone and was deleted by a record of day 40.
    fn third_is_early(days: &[i64]) -> bool {
        let mut tracker = Gone::new(30);
        for (index, day) in (0..).zip(days) {
            let entry = made(*day, Action::Ask).to_bytes();
            tracker.line(index, (index != 2).then_some(entry.as_slice()));
        }
        tracker.line(days.len() as u64, Some(&expire(40, &[(2, 3)]).to_bytes()));
        tracker.early() == Some(2)
    }

    #[test]
    fn a_clock_that_was_ahead_makes_nothing_look_younger() {
        assert!(!third_is_early(&[0, 500, 2, 3]));
        assert!(third_is_early(&[11, 500, 12, 13]));
    }

    #[test]
    fn an_entry_behind_that_is_dated_back_makes_nothing_look_older() {
        assert!(third_is_early(&[38, 39, 39, -2000]));
        assert!(third_is_early(&[38, -2000, 39, -2000]), "nor one before it");
        assert!(third_is_early(&[39, 9000, 39, -2000]), "nor one of the future before it");
        assert!(!third_is_early(&[0, 9, 9, -2000]));
    }
}
