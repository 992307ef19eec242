//! Contents that are gone, held against the entries that record their deletion: what was deleted without a record, or
//! sooner than a regulation allows, was not deleted by the service's rule.

use std::collections::BTreeMap;

use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{Action, Entry, Outcome, Range};

/// Stands in every record: parsing each entry of a large log for it would double the time of a start.
const RECORD: &str = r#""action":"log-expire""#;

/// Entries are dated before they are put in order: neighbours may be out of order by less than this.
const DISORDER: Duration = Duration::HOUR;

/// Follows a log line by line, in order.
#[derive(Debug)]
pub struct Gone {
    /// How long contents are kept at least.
    kept: Duration,
    /// By their first position: those of which no entry, so far, says that they were deleted in time.
    unrecorded: BTreeMap<u64, Run>,
    /// First position of the run that the last line belongs to, if its contents are gone.
    open: Option<u64>,
    /// The last entry with contents; empty before there is one.
    before: Vec<u8>,
    /// What records named, in their order.
    recorded: Vec<Range>,
}

/// Entries one behind another whose contents are gone.
#[derive(Clone, Copy, Debug)]
struct Run {
    end: u64,
    /// No entry of it was made before this; unknown at the beginning of a log.
    made_after: Option<OffsetDateTime>,
}

impl Gone {
    /// `log_days` is the shortest time that a regulation of the log keeps contents.
    pub fn new(log_days: u32) -> Self {
        let kept = Duration::days(i64::from(log_days)) - DISORDER;
        Self { kept, unrecorded: BTreeMap::new(), open: None, before: Vec::new(), recorded: Vec::new() }
    }

    /// Takes the next line: an entry's bytes, or none if they are gone.
    pub fn line(&mut self, index: u64, entry: Option<&[u8]>) {
        let Some(entry) = entry else { return self.gone(index) };
        self.close(entry);
        if str::from_utf8(entry).is_ok_and(|text| text.contains(RECORD)) {
            self.record(index, entry);
        }
    }

    /// Takes a line whose contents are gone from the log, and which somebody outside still has: these.
    pub fn lost(&mut self, index: u64, entry: &[u8]) {
        self.close(entry);
        self.unrecorded.insert(index, Run { end: index + 1, made_after: moment(entry) });
    }

    /// Whose contents were deleted, as the records say that were met, in their order.
    pub fn recorded(&self) -> &[Range] {
        &self.recorded
    }

    /// The first position whose contents are gone without a record, or sooner than may be.
    pub fn early(&self) -> Option<u64> {
        self.unrecorded.keys().next().copied()
    }

    /// Ends the run before this entry, if it is one.
    fn close(&mut self, entry: &[u8]) {
        if let Some(run) = self.open.take().and_then(|first| self.unrecorded.get_mut(&first)) {
            // A clock that was ahead for a while must not make what follows look younger than it is.
            run.made_after = run.made_after.zip(moment(entry)).map(|(before, behind)| before.min(behind));
        }
        self.before.clear();
        self.before.extend_from_slice(entry);
    }

    fn gone(&mut self, index: u64) {
        let first = *self.open.get_or_insert(index);
        let made_after = moment(&self.before);
        self.unrecorded.entry(first).or_insert(Run { end: index, made_after }).end = index + 1;
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
        parts.iter().for_each(|part| self.take_out(*part, time));
        self.recorded.extend(parts);
    }

    /// What was deleted at this moment, as far as it was due.
    fn take_out(&mut self, part: Range, time: OffsetDateTime) {
        let before = self.unrecorded.range(..part.from).next_back().map(|(first, _)| *first);
        let within = self.unrecorded.range(part.from..part.to).map(|(first, _)| *first);
        for first in before.into_iter().chain(within).collect::<Vec<_>>() {
            let run = self.unrecorded[&first];
            let was_due = run.made_after.is_none_or(|made| time - made >= self.kept);
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

    #[test]
    fn a_clock_that_was_ahead_makes_nothing_look_younger() {
        let mut tracker = Gone::new(30);
        let days = [0, 500, 2, 3];
        for (index, day) in (0..).zip(days) {
            let entry = made(day, Action::Ask).to_bytes();
            tracker.line(index, (index != 2).then_some(entry.as_slice()));
        }
        tracker.line(4, Some(&expire(40, &[(2, 3)]).to_bytes()));
        assert_eq!(tracker.early(), None);
    }
}
