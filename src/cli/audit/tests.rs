use std::fs;

use time::Duration;
use time::macros::datetime;

use super::copy::{Copy, Source};
use super::filter::Filter;
use super::list::{self, wanted};
use super::reading::{Reading, Told};
use super::testing::{Log, ONE, OTHER, START};
use super::{LogBroken, export, fetch, subject, verify};
use crate::audit::{Action, Actor, AuditError, Due, Entry, Line, NoteSigner, Outcome, Range, VerifyError};
use crate::ids::TraceId;

fn broken<T>(result: anyhow::Result<T>) -> LogBroken {
    result.err().expect("it fails").downcast().expect("the log is broken")
}

#[test]
fn a_copy_follows_the_log_and_survives() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(4));
    drop(log.copy(home.path()));
    log = log.grown(5);
    let copy = log.copy(home.path());
    assert_eq!(copy.size(), 10);
    let lines: Vec<Line> = copy.lines().unwrap().map(|line| line.unwrap().1).collect();
    assert_eq!(lines, log.lines);
    assert!(verify::tree_of(&copy, &log.key(), &[], &[], 1).is_ok());
    assert!(Copy::open(home.path()).is_err(), "another run has it");
}

#[test]
fn a_log_that_was_rolled_back_forked_or_signed_by_another_key_leaves_the_copy_alone() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(6));
    let (mut copy, key) = (log.copy(home.path()), log.key());
    let last = log.lines.pop().unwrap();
    assert!(matches!(broken(copy.follow(&mut log, &key, 1)), LogBroken::RolledBack { known: 7, size: 6 }));
    log.lines.push(last);
    log.lines.swap(2, 3);
    assert!(matches!(broken(copy.follow(&mut log, &key, 1)), LogBroken::Forked { known: 7, size: 7 }));
    log = log.grown(2);
    assert!(matches!(broken(copy.follow(&mut log, &key, 1)), LogBroken::Forked { known: 7, size: 9 }));
    log.lines.swap(2, 3);
    let own = std::mem::replace(&mut log.signer, NoteSigner::generate(super::testing::LOG).unwrap().0);
    let foreign = broken(copy.follow(&mut log, &key, 1));
    assert!(matches!(foreign, LogBroken::Checkpoint(AuditError::Signature { .. })));
    assert_eq!((copy.size(), copy.lines().unwrap().count()), (7, 7));
    log.signer = own;
    assert!(copy.follow(&mut log, &key, 1).is_ok() && copy.size() == 9);
}

/// A log that shows one checkpoint, and then no more than so many pages, the last of them empty or an error.
struct Once<'a>(&'a mut Log, bool, usize, bool);

impl Source for Once<'_> {
    fn checkpoint(&mut self) -> anyhow::Result<String> {
        anyhow::ensure!(!std::mem::replace(&mut self.1, true), "it says no more");
        self.0.checkpoint()
    }

    fn lines(&mut self, from: u64) -> anyhow::Result<Vec<Line>> {
        let Some(left) = self.2.checked_sub(1) else {
            anyhow::ensure!(self.3, "it says no more");
            return Ok(Vec::new());
        };
        self.2 = left;
        self.0.lines(from)
    }
}

#[test]
fn what_differs_is_kept_first_and_no_later_error_hides_it() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(6));
    let (mut copy, key) = (log.copy(home.path()), log.key());
    log.lines.swap(2, 3);
    for is_full in [false, true] {
        let (shown, kept) = (log.checkpoint().unwrap(), std::cell::RefCell::new(Vec::new()));
        let keep = |note: &str| {
            kept.borrow_mut().push(note.to_owned());
            anyhow::ensure!(!is_full, "the disk is full");
            Ok(())
        };
        let mut source = fetch::Shown::of(Once(&mut log, false, 0, false));
        let error = fetch::follow_or_accuse(&mut copy, &mut source, &key, 1, keep).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(LogBroken::Forked { known: 7, size: 7 })), "{error:#}");
        assert_eq!((crate::cli::exit_code(&error), kept.into_inner()), (5, vec![shown]));
    }
}

#[test]
fn fewer_entries_than_the_checkpoint_covers_and_what_is_none_break_the_log() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(6));
    let (mut copy, key) = (Copy::open(home.path()).unwrap(), log.key());
    let mut source = fetch::Shown::of(Once(&mut log, false, 1, true));
    let kept = std::cell::Cell::new(0);
    let keep = |_: &str| {
        kept.set(kept.get() + 1);
        Ok(())
    };
    let error = fetch::follow_or_accuse(&mut copy, &mut source, &key, 1, keep).unwrap_err();
    assert_eq!((crate::cli::exit_code(&error), kept.get()), (5, 1));
    assert!(matches!(broken::<()>(Err(error)), LogBroken::Verify(VerifyError::Size { entries: 3, size: 7 }, _)));
    for entry in [vec![], vec![b'x'; 70_000]] {
        log.lines[4] = Line::Entry(entry);
        assert!(matches!(broken(copy.follow(&mut log, &key, 1)), LogBroken::NoEntry { index: 4, .. }));
    }
}

#[test]
fn a_change_in_the_copy_itself_is_found() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(6));
    let copy = log.copy(home.path());
    let path = home.path().join("entries");
    let text = fs::read(&path).unwrap();
    let mut changed = text.clone();
    let at = changed.len() - 20;
    changed[at] ^= 1;
    fs::write(&path, changed).unwrap();
    assert!(verify::tree_of(&copy, &log.key(), &[], &[], 1).is_err());
    fs::write(&path, &text[..text.len() - 9]).unwrap();
    let cut = verify::tree_of(&copy, &log.key(), &[], &[], 1).unwrap_err();
    assert!(format!("{cut:#}").contains("--fresh"), "{cut:#}");
}

#[test]
fn what_a_stopped_run_has_left_behind_does_not_count() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(3));
    drop(log.copy(home.path()));
    let path = home.path().join("entries");
    let mut text = fs::read(&path).unwrap();
    text.extend([0, 9, 1, 2, 3]);
    fs::write(&path, text).unwrap();
    let copy = log.grown(2).copy(home.path());
    assert_eq!(copy.lines().unwrap().filter(|line| line.is_ok()).count(), 6);
}

#[test]
fn an_expired_entry_keeps_its_place() {
    let home = tempfile::tempdir().unwrap();
    let mut log = Log::new().grown(5).expire(START + Duration::days(9), &[Range { from: 2, to: 3 }]);
    let copy = log.copy(home.path());
    let report = verify::tree_of(&copy, &log.key(), &[], &[], 1).unwrap();
    assert_eq!((report.entries, report.expired_ranges), (7, Vec::from([2..3; 1])));
    let mut reading = Reading::new(copy, None).unwrap();
    let found = reading.at(&[1, 2, 3]).unwrap();
    assert_eq!(found.iter().map(|found| found.position).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn what_the_log_deletes_in_time_is_deleted_from_the_copy_too() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().ask(START, OTHER, 7, Ok("priority")).grown(5));
    let canary = hex::encode([7; 16]);
    let holds_canary = || {
        let files = fs::read_dir(home.path()).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
        files.into_iter().any(|bytes| bytes.windows(canary.len()).any(|window| window == canary.as_bytes()))
    };
    drop(Reading::new(log.copy(home.path()), None).unwrap());
    assert!(holds_canary());
    log = log.expire(START + Duration::days(30), &[Range { from: 1, to: 3 }, Range { from: 4, to: 5 }]);
    let copy = log.copy(home.path());
    let report = verify::tree_of(&copy, &log.key(), &[], &[], 30).unwrap();
    assert_eq!((report.entries, report.expired_ranges), (8, vec![1..3, 4..5]));
    assert!(!holds_canary(), "nothing of it is left in any file");
    let mut reading = Reading::new(copy, None).unwrap();
    assert_eq!(reading.at(&[0, 1, 3, 6]).unwrap().len(), 3);
    drop(reading);
    // And once more, into the next file.
    log = log.expire(START + Duration::days(31), &[Range { from: 3, to: 4 }]).grown(1);
    let copy = log.copy(home.path());
    assert_eq!(verify::tree_of(&copy, &log.key(), &[], &[], 30).unwrap().expired_ranges, Vec::from([1..5; 1]));
    let names = fs::read_dir(home.path()).unwrap().filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("entries")
    });
    assert_eq!(names.count(), 1);
}

#[test]
fn what_was_deleted_early_stays_in_the_copy() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(5));
    drop(log.copy(home.path()));
    log = log.expire(START + Duration::days(29), &[Range { from: 0, to: 2 }]);
    let key = log.key();
    let mut copy = Copy::open(home.path()).unwrap();
    let early = |result| matches!(broken(result), LogBroken::Verify(VerifyError::GoneEarly { index: 0 }, _));
    assert!(early(copy.follow(&mut log, &key, 30)));
    assert!(copy.lines().unwrap().all(|line| matches!(line.unwrap().1, Line::Entry(_))));
    assert!(copy.follow(&mut log, &key, 29).is_ok());
    // Nobody who begins now can know how old the first ones were; whoever has them can.
    let fresh = tempfile::tempdir().unwrap();
    assert!(Copy::open(fresh.path()).unwrap().follow(&mut log, &key, 30).is_ok());
    log.lines[3] = Line::Expired(log.lines[3].leaf());
    let found = Copy::open(fresh.path().join("2").as_path()).unwrap().follow(&mut log, &key, 1);
    assert!(matches!(broken(found), LogBroken::Verify(VerifyError::GoneEarly { index: 3 }, _)));
}

#[test]
fn what_expires_while_it_is_fetched_is_recorded_beyond_the_checkpoint() {
    /// Shows the checkpoint from before contents were deleted first.
    struct Deleting {
        log: Log,
        before: Option<String>,
    }
    impl Source for Deleting {
        fn checkpoint(&mut self) -> anyhow::Result<String> {
            self.before.take().map_or_else(|| self.log.checkpoint(), Ok)
        }
        fn lines(&mut self, from: u64) -> anyhow::Result<Vec<Line>> {
            self.log.lines(from)
        }
    }
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(5));
    let (before, key) = (Some(log.checkpoint().unwrap()), log.key());
    let mut service = Deleting { log: log.expire(START + Duration::days(30), &[Range { from: 2, to: 4 }]), before };
    let mut copy = Copy::open(home.path()).unwrap();
    copy.follow(&mut service, &key, 29).unwrap();
    assert_eq!(copy.size(), 7, "with the record");
    // Without one it went early.
    let mut log = Log::new().grown(5);
    let (before, key) = (Some(log.checkpoint().unwrap()), log.key());
    log.lines[2] = Line::Expired(log.lines[2].leaf());
    let mut service = Deleting { log: log.grown(1), before };
    let found = Copy::open(&home.path().join("2")).unwrap().follow(&mut service, &key, 29);
    assert!(matches!(broken(found), LogBroken::Verify(VerifyError::GoneEarly { index: 2 }, _)));
}

#[test]
fn what_is_held_or_deleted_in_her_future_stays_in_the_copy() {
    let range = Range { from: 1, to: 3 };
    let expired = START + Duration::days(400);
    for (held, now, kept) in
        [(false, expired, false), (true, expired, true), (false, expired - Duration::days(3), true)]
    {
        let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(5));
        if held {
            let mut hold = Entry::new(START, TraceId::random(), Actor::service(), Action::LogHold, Outcome::Done);
            hold.entries = Some(range);
            log.lines.push(Line::Entry(hold.to_bytes()));
        }
        let mut copy = log.copy(home.path());
        let (key, mut log) = (log.key(), log.expire(expired, &[range]));
        let found = copy.follow(&mut log, &key, Due { log_days: 30, now: Some(now) });
        assert_eq!(found.is_err(), kept);
        if kept {
            assert!(matches!(broken(found), LogBroken::Verify(VerifyError::GoneEarly { index: 1 }, _)));
            assert!(copy.lines().unwrap().all(|line| matches!(line.unwrap().1, Line::Entry(_))));
        }
    }
}

#[test]
fn a_new_copy_is_held_against_the_old_one() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(5));
    let old = log.copy(&home.path().join("old"));
    log = log.expire(START + Duration::days(29), &[Range { from: 0, to: 2 }]);
    let new = log.copy(&home.path().join("new"));
    assert!(fetch::compare(&new, &old, 29).unwrap());
    let early = broken(fetch::compare(&new, &old, 30));
    assert!(matches!(early, LogBroken::Verify(VerifyError::GoneEarly { index: 0 }, _)));
    let path = home.path().join("old/entries");
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 9]).unwrap();
    assert!(!fetch::compare(&new, &old, 29).unwrap(), "it is kept: its end was not compared");
    assert!(fetch::compare(&new, &old, 30).is_err(), "what can be read counts");
}

pub(super) fn positions(reading: &mut Reading, filter: &Filter) -> Vec<u64> {
    let mut found = Vec::new();
    wanted(reading, filter, |one| {
        found.push(one.position);
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn entries_are_found_by_time_party_result_article_and_epoch() {
    let next_day = START + Duration::DAY;
    let mut log = Log::new()
        .ask(START, ONE, 1, Ok("priority"))
        .ask(START, OTHER, 2, Err("stock"))
        .ask(next_day, ONE, 1, Ok("undetermined"))
        .ask(next_day + Duration::HOUR, OTHER, 3, Err("stage"));
    let (_home, mut reading) = log.reading();
    let mut run = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        positions(&mut reading, &filter)
    };
    assert_eq!(run(&|_| {}), [0, 1, 2, 3, 4]);
    assert_eq!(run(&|f| f.party = Some(OTHER.parse().unwrap())), [2, 4]);
    assert_eq!(run(&|f| f.result = Some("refused".into())), [2, 4]);
    assert_eq!(run(&|f| f.result = Some("refused:stock".into())), [2]);
    assert_eq!(run(&|f| f.article = Some("stage".into())), [4]);
    assert_eq!(run(&|f| f.action = Some(crate::audit::Action::DayKey)), [0]);
    assert_eq!(run(&|f| f.epoch = Some("e-2".parse().unwrap())), [0_u64; 0]);
    assert_eq!(run(&|f| f.result = Some("refused:stok".into())), [0_u64; 0]);
    assert_eq!(run(&|f| f.from = Some(next_day)), [3, 4]);
    assert_eq!(run(&|f| f.until = Some(next_day)), [0, 1, 2]);
    assert_eq!(run(&|f| (f.from, f.until) = (Some(next_day), Some(next_day + Duration::MINUTE))), [3]);
}

#[test]
fn a_name_that_no_entry_has_is_told_from_one_that_nothing_fits() {
    let mut log = Log::new().ask(START, ONE, 1, Ok("priority")).ask(START, OTHER, 2, Err("stock"));
    let (_home, mut reading) = log.reading();
    let known = Filter {
        article: Some("stock".into()),
        epoch: Some("e-1".parse().unwrap()),
        result: Some("refused:stock".into()),
        ..Filter::default()
    };
    assert!(known.unknown(&mut reading).unwrap().is_empty());
    let unknown = Filter {
        article: Some("stok".into()),
        epoch: Some("e-2".parse().unwrap()),
        result: Some("refused:stok".into()),
        ..Filter::default()
    };
    let names = ["the article stok", "the epoch e-2", "the result refused:stok"];
    assert_eq!(unknown.unknown(&mut reading).unwrap(), names);
}

#[test]
fn a_household_is_found_with_what_was_answered() {
    let mut log = Log::new().ask(START, ONE, 1, Ok("priority")).grown(3).ask(START, OTHER, 7, Ok("no_priority"));
    let (_home, mut reading) = log.reading();
    let found = subject::about(&mut reading, [hex::encode([7; 16]).as_str()].into_iter()).unwrap();
    assert_eq!((found.len(), found[0].position, found[0].told.word()), (1, 5, "no_priority"));
    // The index knows the first half of a pseudonym only.
    let other = format!("{}{}", hex::encode([7; 8]), hex::encode([8; 8]));
    assert!(subject::about(&mut reading, [other.as_str()].into_iter()).unwrap().is_empty());
}

#[test]
fn another_officer_sees_that_something_was_answered_and_not_what() {
    let mut log = Log::new().ask(START, ONE, 1, Ok("priority"));
    let home = tempfile::tempdir().unwrap();
    let mut reading = Reading::new(log.copy(home.path()), None).unwrap();
    assert_eq!(reading.at(&[1]).unwrap()[0].told, Told::Sealed);
    assert!(!list::json(&reading.at(&[1]).unwrap()[0]).unwrap().contains("priority"));
}

#[test]
fn what_is_sealed_and_does_not_open_with_its_own_key_breaks_the_log() {
    let mut log = Log::new().ask(START, ONE, 1, Ok("priority"));
    let mut entry = Entry::from_bytes(log.lines[1].entry().unwrap()).unwrap();
    let text = &mut entry.sealed.as_mut().unwrap().text;
    let other = if text.as_bytes()[40] == b'A' { "B" } else { "A" };
    text.replace_range(40..41, other);
    log.lines[1] = Line::Entry(entry.to_bytes());
    let (_home, mut reading) = log.reading();
    assert_eq!(reading.at(&[1]).unwrap()[0].told, Told::Unsealed);
    let unread = |reading: &Reading| matches!(reading.sound(), Err(LogBroken::Unread { unsealed, .. }) if unsealed.first() == Some(1));
    assert!(unread(&reading));
    let (_home, mut reading) = log.reading();
    assert!(reading.sound().is_ok() && reading.each(|_| Ok(())).is_ok() && unread(&reading));
    // Without a key nobody can tell.
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Reading::new(log.copy(home.path()), None).unwrap().at(&[1]).unwrap()[0].told, Told::Sealed);
}

#[test]
fn a_row_and_a_line_hold_the_entry() {
    let mut log = Log::new().ask(datetime!(2026-11-02 9:30 UTC), ONE, 1, Ok("priority"));
    let (_home, mut reading) = log.reading();
    let found = &reading.at(&[1]).unwrap()[0];
    let row = list::row(found);
    assert_eq!(row.len(), list::COLUMNS.len());
    assert_eq!(row[..2], ["1", "2026-11-02T09:30:00Z"]);
    assert_eq!(row[3..9], ["ask", "answered", "priority", "", "corporation", ONE]);
    let line = list::table(found);
    assert!(line.contains("answered (priority)") && line.contains("010101010101"), "{line}");
}

#[test]
fn exported_tiles_hold_the_log() {
    let (_home, reading) = Log::new().grown(300).reading();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("tiles");
    assert!(export::tiles(&reading, &folder).unwrap().is_empty() && !folder.join("pruned").exists());
    let read = |path: &str| fs::read(folder.join(path)).unwrap();
    assert_eq!(read("checkpoint"), reading.copy.checkpoint().unwrap().as_bytes());
    let bundles = [read("tile/entries/000"), read("tile/entries/001.p/45")].concat();
    let lines: Vec<Line> = reading.copy.lines().unwrap().map(|line| line.unwrap().1).collect();
    let entries = crate::audit::read_bundle(&bundles).unwrap();
    assert_eq!(entries.iter().map(|entry| Line::Entry(entry.to_vec())).collect::<Vec<_>>(), lines);
    assert_eq!(read("tile/0/001.p/45")[..32], *lines[256].leaf().as_bytes());
    assert_eq!(read("tile/1/000.p/1").len(), 32);
    assert!(export::tiles(&reading, &folder).is_err(), "the folder exists");
}

#[test]
fn a_bundle_with_an_expired_entry_is_left_out_and_its_hashes_stay() {
    let mut log = Log::new().grown(300).expire(START + Duration::days(9), &[Range { from: 5, to: 6 }]);
    let (_home, reading) = log.reading();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("tiles");
    assert_eq!(export::tiles(&reading, &folder).unwrap(), ["tile/entries/000"]);
    assert_eq!(fs::read_to_string(folder.join("pruned")).unwrap(), "tile/entries/000\n");
    assert!(!folder.join("tile/entries/000").exists() && folder.join("tile/entries/001.p/46").exists());
    assert_eq!(fs::read(folder.join("tile/0/000")).unwrap().len(), 8192);
}
