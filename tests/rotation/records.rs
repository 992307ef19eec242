//! The signed record of each destruction, held against what is there: who signed it, what it says of the epoch and its
//! steps, and that what it says is gone is gone.

use std::fs;

use rusqlite::Connection;
use time::format_description::well_known::Rfc3339;
use voorrang::answer::wire::EpochView;
use voorrang::audit::{Action, Entry, LogKeys};
use voorrang::cli::epoch::{EndArgs, EpochCommand, check_record, perform};
use voorrang::regulate::Role;

use super::town::Town;

/// What a record says became of the wrapping key. That it was not there nobody here has to say.
const KEY: [&str; 2] = [
    "wrapping key overwritten, unlinked, its folder synced",
    "wrapping key was being removed by a run that was cut short, and is gone",
];

/// What it says of the registers in memory, where the service that let go of them was not killed, and where it was.
const REGISTERS: [&str; 2] =
    ["registers let go of memory", "registers not looked for in memory: the erasure was cut short and went on later"];

/// What is gone with an epoch, as rows of the database.
const ROWS: [(&str, &str); 8] = [
    ("its data key", "SELECT count(*) FROM epoch WHERE id = ?1 AND data_key IS NOT NULL"),
    ("shares", "SELECT count(*) FROM share WHERE epoch = ?1"),
    ("shares sealed again", "SELECT count(*) FROM resealed WHERE epoch = ?1"),
    ("stocks", "SELECT count(*) FROM stock WHERE epoch = ?1"),
    ("proposals", "SELECT count(*) FROM proposal WHERE sealed_in = ?1"),
    ("loads", "SELECT count(*) FROM load WHERE epoch = ?1"),
    ("chunks", "SELECT count(*) FROM chunk JOIN load ON load.id = chunk.upload WHERE epoch = ?1"),
    ("batches", "SELECT count(*) FROM batch WHERE epoch = ?1"),
];

/// The record of every destroyed epoch among these.
pub fn check(town: &Town, epochs: &[EpochView], log: &[Entry]) {
    let destroyed: Vec<&EpochView> = epochs.iter().filter(|epoch| epoch.state == "destroyed").collect();
    let keys = town.client(Role::PrivacyOfficer).log_keys().unwrap();
    let db = Connection::open(town.state().join("voorrang.db")).unwrap();
    for epoch in &destroyed {
        let path = town.epoch_keys().join(format!("epoch-{}.destroyed", epoch.id));
        let note = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        check_one(epoch, &note, &keys, log);
        let stored: String = db
            .query_row("SELECT note FROM destruction WHERE epoch = ?1", [epoch.id.as_str()], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{}: no record in the database: {error}", epoch.id));
        assert_eq!(stored, note, "{}: tombstone and record", epoch.id);
        for (what, sql) in ROWS {
            let left: i64 = db.query_row(sql, [epoch.id.as_str()], |row| row.get(0)).unwrap();
            assert_eq!(left, 0, "{}: {what} are left, and the record says that they are deleted", epoch.id);
        }
    }
    // As a party gets it, of the newest alone: each time is an entry.
    if let Some(epoch) = destroyed.last() {
        let args = EndArgs { epoch: town.step(Role::Administrator, epoch.id.as_str()), output: None };
        let told = perform(&EpochCommand::destroy(args)).unwrap();
        check_record(&town.client(Role::PrivacyOfficer), &told).unwrap();
        check_one(epoch, &told, &keys, log);
    }
    let tombstones = fs::read_dir(town.epoch_keys())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "destroyed"));
    assert_eq!(tombstones.count(), destroyed.len(), "a tombstone an epoch that is destroyed, and no other");
}

fn check_one(epoch: &EpochView, note: &str, keys: &LogKeys, log: &[Entry]) {
    let id = &epoch.id;
    let end = epoch.steps.last().filter(|step| step.state == "destroyed").unwrap();
    let text = keys.verify_at(note, end.log_index).unwrap_or_else(|error| panic!("{id}: signature: {error}"));
    for changed in [note.replacen(id.as_str(), "rotation-0", 1), note.replacen("erased ", "erased  ", 1)] {
        assert!(keys.verify_at(&changed, end.log_index).is_err(), "{id}: a changed record passes");
    }
    let seconds = |at: time::OffsetDateTime| at.truncate_to_second().format(&Rfc3339).unwrap();
    let key_check = epoch.key_check.as_deref().unwrap_or("none: nothing was loaded");
    let mut lines = text.lines();
    for want in [
        "voorrang destruction record v1".to_owned(),
        format!("epoch {id}"),
        format!("regulation {}", epoch.regulation),
        format!("key check {key_check}"),
        format!("announced {}", seconds(epoch.steps[0].at)),
        format!("destroyed {}", seconds(end.at)),
        format!("access log entry {}", end.log_index),
    ] {
        assert_eq!(lines.next(), Some(want.as_str()), "{id}");
    }
    let erased = lines.next().and_then(|line| line.strip_prefix("erased ")).unwrap_or_else(|| panic!("{id}: {text}"));
    assert!(erased >= seconds(end.at).as_str(), "{id}: erased before it was destroyed");
    assert!(lines.next().is_some_and(|line| KEY.contains(&line)), "{id}: {text}");
    assert!(lines.next().is_some_and(|line| REGISTERS.contains(&line)), "{id}: {text}");
    let rest: Vec<&str> = lines.collect();
    let deleted = "wrapped data key, sealed shares, loads, stocks, questions and answers of batches deleted";
    assert_eq!(rest, [deleted, "free pages zeroed and given back, write-ahead log cut"], "{id}");
    let entry = &log[usize::try_from(end.log_index).unwrap()];
    assert_eq!((entry.action, entry.epoch.as_ref()), (Action::EpochDestroy, Some(id)), "the entry that it names");
}
