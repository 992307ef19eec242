//! Whoever runs the service stops it, changes the log in its database and signs again with the log's key. Beside its
//! anchor the service does not start; where the anchor was changed too, the officer finds it, who has looked before.

#[path = "../tamper/operations.rs"]
mod operations;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use voorrang::answer::server;
use voorrang::audit::{Checkpoint, Frontier, Line, NoteSigner};
use voorrang::cli::audit::LogBroken;
use voorrang::cli::exit_code;
use voorrang::store::StoreError;

use self::operations::{Lines, NOW, OPERATIONS, Operation, PLACES, REMEMBERED, honest};
use crate::support::{ADMINISTRATOR, House, OFFICER};

/// A house whose service stands still, with all that its operator has.
struct Operator {
    house: House,
    key: NoteSigner,
    /// The log that has grown since the officer looked.
    log: Lines,
    /// The database with it, and the anchor beside.
    whole: PathBuf,
}

impl Operator {
    fn new() -> Self {
        let mut house = House::empty();
        house.stop();
        let key = fs::read(house.state().join("keys/log.key")).unwrap();
        let key = NoteSigner::new(&house.config().log_origin, &key).unwrap();
        let whole = house.file("whole.db");
        let mut log = shown(&house);
        // The start has entries of its own; readings make up for the rest.
        log.extend((log.len()..REMEMBERED - 10).map(honest));
        fs::write(anchor(&house), put(&house, &log, &key)).unwrap();
        house.start();
        let mut line = house.line(OFFICER);
        let size = |note: &str| note.lines().nth(1).unwrap().parse::<usize>().unwrap();
        while size(&line.get("/v1/access-log/checkpoint").text()) < REMEMBERED {
            assert_eq!(line.get("/v1/access-log/entries?from=0").status, 200);
        }
        drop(line);
        assert_eq!(house.verify(&[]).unwrap().entries, REMEMBERED as u64);
        house.stop();
        log = shown(&house);
        log.extend((log.len()..NOW).map(honest));
        fs::write(anchor(&house), put(&house, &log, &key)).unwrap();
        fs::copy(database(&house), &whole).unwrap();
        Self { house, key, log, whole }
    }

    /// Puts this log in place of the true one; the anchor knows nothing of it. The checkpoint that goes with it.
    fn falsify(&self, log: &[Line], key: &NoteSigner) -> String {
        fs::copy(&self.whole, database(&self.house)).unwrap();
        fs::write(anchor(&self.house), note(&self.log, &self.key)).unwrap();
        put(&self.house, log, key)
    }

    /// Why it does not start.
    fn refused(&self) -> anyhow::Error {
        let refused = server::start(self.house.config(), self.house.clock.clone());
        let error = anyhow::Error::from(refused.err().expect("it does not start"));
        assert_eq!(exit_code(&error), 5, "{error:#}");
        error
    }

    /// What the officer finds who has looked before, where the anchor was replaced too.
    fn found(&mut self, note: &str) -> anyhow::Error {
        fs::write(anchor(&self.house), note).unwrap();
        self.house.start();
        let error = self.house.verify(&[]).unwrap_err();
        self.house.stop();
        assert_eq!(exit_code(&error), 5, "{error:#}");
        error
    }
}

fn database(house: &House) -> PathBuf {
    house.state().join("voorrang.db")
}

fn anchor(house: &House) -> PathBuf {
    house.config().access_log.anchor
}

/// The log in the database.
fn shown(house: &House) -> Lines {
    let db = Connection::open(database(house)).unwrap();
    let mut query = db.prepare("SELECT text FROM entry ORDER BY idx").unwrap();
    let texts = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    texts.map(|text| Line::Entry(text.unwrap().into_bytes())).collect()
}

/// Writes a log over the one in the database, with a checkpoint that fits it.
fn put(house: &House, log: &[Line], key: &NoteSigner) -> String {
    let mut db = Connection::open(database(house)).unwrap();
    db.pragma_update(None, "foreign_keys", false).unwrap();
    db.pragma_update(None, "synchronous", "OFF").unwrap();
    let tx = db.transaction().unwrap();
    tx.execute_batch("DELETE FROM outbox; DELETE FROM entry; DELETE FROM leaf").unwrap();
    for (line, index) in log.iter().zip(0_i64..) {
        let text = std::str::from_utf8(line.entry().unwrap()).unwrap();
        tx.prepare_cached("INSERT INTO leaf VALUES (?1, ?2)")
            .unwrap()
            .execute((index, line.leaf().as_bytes()))
            .unwrap();
        tx.prepare_cached("INSERT INTO entry VALUES (?1, ?2)").unwrap().execute((index, text)).unwrap();
    }
    let note = note(log, key);
    assert_eq!(tx.execute("UPDATE checkpoint SET note = ?1", [&note]).unwrap(), 1);
    tx.commit().unwrap();
    note
}

fn note(log: &[Line], key: &NoteSigner) -> String {
    let root = log.iter().map(Line::leaf).collect::<Frontier>().root();
    Checkpoint { origin: key.name().to_owned(), size: log.len() as u64, root }.to_note(key)
}

/// The first of this kind among the causes.
fn cause<E: Error + 'static>(error: &anyhow::Error) -> &E {
    error.chain().find_map(|cause| cause.downcast_ref()).unwrap_or_else(|| panic!("{error:#}"))
}

#[test]
fn every_operation_in_the_database_is_found_at_the_start_and_by_the_officer() {
    std::thread::scope(|scope| {
        for some in OPERATIONS.chunks(3) {
            scope.spawn(|| each_is_found(some));
        }
    });
}

fn each_is_found(operations: &[Operation]) {
    let mut operator = Operator::new();
    for &(name, operation) in operations {
        for at in PLACES {
            let mut log = operator.log.clone();
            operation(&mut log, at);
            let differs = log.iter().zip(&operator.log).take_while(|(now, before)| now == before).count();
            let note = operator.falsify(&log, &operator.key);
            let refused = operator.refused();
            match cause(&refused) {
                StoreError::RolledBack { anchored, size, .. } => {
                    assert_eq!((*anchored, *size), (NOW as u64, log.len() as u64), "{name} at {at}");
                }
                StoreError::Forked { anchored, .. } => assert_eq!(*anchored, NOW as u64, "{name} at {at}"),
                other => panic!("{name} at {at}: {other}"),
            }
            let found = operator.found(&note);
            let what: &LogBroken = cause(&found);
            let is_what = matches!(what, LogBroken::Forked { known, .. } | LogBroken::RolledBack { known, .. }
                if *known == REMEMBERED as u64);
            assert!(is_what, "{name} at {at}: {what}");
            match found.downcast_ref() {
                Some(LogBroken::Rewritten { index }) => assert_eq!(*index, differs as u64, "{name} at {at}"),
                _ => panic!("{name} at {at}: {found:#}"),
            }
        }
    }
    // The control: the same hand, and nothing changed that somebody has seen.
    let note = operator.falsify(&operator.log, &operator.key);
    fs::write(anchor(&operator.house), note).unwrap();
    operator.house.start();
    assert_eq!(operator.house.verify(&[]).unwrap().remembered_size, REMEMBERED as u64);
}

#[test]
fn a_database_that_another_key_signed_is_refused_by_the_service_and_by_the_officer() {
    let mut operator = Operator::new();
    let (thief, key) = NoteSigner::generate(operator.key.name()).unwrap();
    let note = operator.falsify(&operator.log, &thief);
    assert!(matches!(cause(&operator.refused()), StoreError::LogKey));
    fs::write(operator.house.state().join("keys/log.key"), key.as_slice()).unwrap();
    let refused = server::start(operator.house.config(), operator.house.clock.clone());
    let refused = anyhow::Error::from(refused.err().expect("the anchor is signed by the true key"));
    assert!(matches!(cause(&refused), StoreError::Anchor { .. }), "{refused:#}");
    // The administrator is in it.
    fs::remove_dir_all(operator.house.keys().join(format!("{ADMINISTRATOR}.memory"))).unwrap();
    let found = operator.found(&note);
    assert!(matches!(cause(&found), LogBroken::OtherKey { .. }), "{found:#}");
}
