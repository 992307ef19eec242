use std::fs;

use time::Duration;
use time::macros::datetime;

use super::copy::Copy;
use super::filter::Filter;
use super::list::{self, wanted};
use super::reading::{Reading, Told};
use super::testing::{Log, ONE, OTHER, START};
use super::{LogBroken, export, subject, verify};
use crate::audit::{AuditError, Line, NoteSigner};
use crate::cli::audit::index::Index;

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
    assert!(verify::tree_of(&copy, &log.key(), &[], &[]).is_ok());
    assert!(Copy::open(home.path()).is_err(), "another run has it");
}

#[test]
fn a_log_that_was_rolled_back_forked_or_signed_by_another_key_leaves_the_copy_alone() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(6));
    let (mut copy, key) = (log.copy(home.path()), log.key());
    let last = log.lines.pop().unwrap();
    assert!(matches!(broken(copy.follow(&mut log, &key)), LogBroken::RolledBack { known: 7, size: 6 }));
    log.lines.push(last);
    log.lines.swap(2, 3);
    assert!(matches!(broken(copy.follow(&mut log, &key)), LogBroken::Forked { known: 7, size: 7 }));
    log = log.grown(2);
    assert!(matches!(broken(copy.follow(&mut log, &key)), LogBroken::Forked { known: 7, size: 9 }));
    log.lines.swap(2, 3);
    let own = std::mem::replace(&mut log.signer, NoteSigner::generate(super::testing::LOG).unwrap().0);
    let foreign = broken(copy.follow(&mut log, &key));
    assert!(matches!(foreign, LogBroken::Checkpoint(AuditError::Signature { .. })));
    assert_eq!((copy.size(), copy.lines().unwrap().count()), (7, 7));
    log.signer = own;
    assert!(copy.follow(&mut log, &key).is_ok() && copy.size() == 9);
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
    assert!(verify::tree_of(&copy, &log.key(), &[], &[]).is_err());
    fs::write(&path, &text[..text.len() - 9]).unwrap();
    let cut = verify::tree_of(&copy, &log.key(), &[], &[]).unwrap_err();
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
    let (mut log, home) = (Log::new().grown(5), tempfile::tempdir().unwrap());
    log.lines[2] = Line::Expired(log.lines[2].leaf());
    let copy = log.copy(home.path());
    let report = verify::tree_of(&copy, &log.key(), &[], &[]).unwrap();
    assert_eq!((report.entries, report.expired_ranges), (6, Vec::from([2..3; 1])));
    let mut reading = Reading::new(copy, None).unwrap();
    let found = reading.at(&[1, 2, 3]).unwrap();
    assert_eq!(found.iter().map(|found| found.position).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn an_index_that_does_not_fit_is_made_anew() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(6));
    let copy = log.copy(home.path());
    let (whole, path) = (Index::open(&copy).unwrap(), home.path().join("index"));
    let good = fs::read(&path).unwrap();
    for at in [0, 9, 41, 60, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        assert_eq!(Index::open(&copy).unwrap(), whole, "byte {at}");
        assert_eq!(fs::read(&path).unwrap(), good);
    }
    for cut in [0, 30, good.len() - 24] {
        fs::write(&path, &good[..cut]).unwrap();
        assert_eq!(Index::open(&copy).unwrap(), whole);
    }
    drop(copy);
    let copy = log.grown(3).copy(home.path());
    let longer = Index::open(&copy).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(Index::open(&copy).unwrap(), longer);
}

fn positions(reading: &mut Reading, filter: &Filter) -> Vec<u64> {
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
    assert_eq!(run(&|f| f.from = Some(next_day)), [3, 4]);
    assert_eq!(run(&|f| f.until = Some(next_day)), [0, 1, 2]);
    assert_eq!(run(&|f| (f.from, f.until) = (Some(next_day), Some(next_day + Duration::MINUTE))), [3]);
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
fn a_row_and_a_line_hold_the_entry() {
    let mut log = Log::new().ask(datetime!(2026-11-02 9:30 UTC), ONE, 1, Ok("priority"));
    let (_home, mut reading) = log.reading();
    let found = &reading.at(&[1]).unwrap()[0];
    let row = list::row(found);
    assert_eq!(row.len(), list::COLUMNS.len());
    assert_eq!(row[..2], ["1", "2026-11-02T09:30:00Z"]);
    assert_eq!(row[3..8], ["ask", "answered", "priority", "corporation", ONE]);
    let line = list::table(found);
    assert!(line.contains("answered (priority)") && line.contains("010101010101"), "{line}");
}

#[test]
fn exported_tiles_hold_the_log() {
    let (_home, reading) = Log::new().grown(300).reading();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("tiles");
    assert_eq!(export::tiles(&reading, &folder).unwrap(), 0);
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
    let mut log = Log::new().grown(300);
    log.lines[5] = Line::Expired(log.lines[5].leaf());
    let (_home, reading) = log.reading();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("tiles");
    assert_eq!(export::tiles(&reading, &folder).unwrap(), 1);
    assert!(!folder.join("tile/entries/000").exists() && folder.join("tile/entries/001.p/45").exists());
    assert_eq!(fs::read(folder.join("tile/0/000")).unwrap().len(), 8192);
}
