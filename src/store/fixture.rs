//! What the tests of this room share.

use std::path::Path;

use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::{date, datetime};

use super::{NewLoad, Store, StoreError};
use crate::audit::{Action, Actor, Entry, Outcome, Receipt};
use crate::epoch::{Epoch, Participant, State};
use crate::ids::{EpochId, LoadId, Oin, TraceId};

pub const ORIGIN: &str = "linkage.example/access-log";
pub const NOW: OffsetDateTime = datetime!(2026-11-02 9:30 UTC);

/// Something that is read of a store.
pub type Reading = dyn Fn(&Store) -> Result<(), StoreError>;

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub fn open(home: &TempDir) -> Store {
    open_in(home.path())
}

pub fn open_in(folder: &Path) -> Store {
    Store::open(folder, ORIGIN).unwrap()
}

pub fn oin() -> Oin {
    "00000099000000001000".parse().unwrap()
}

pub fn epoch_id() -> EpochId {
    "haarlem-2026-1".parse().unwrap()
}

pub fn entry() -> Entry {
    let actor = Actor { oin: Some(oin()), certificate: "ab".repeat(32), person: None, role: "corporation".into() };
    Entry { stage: Some(2.0), ..Entry::new(NOW, TraceId::random(), actor, Action::Ask, Outcome::Answered) }
}

pub fn append(store: &Store) -> Receipt {
    store.write(|tx| tx.append(&entry())).unwrap().receipts.remove(0)
}

pub fn new_epoch() -> Epoch {
    Epoch {
        id: epoch_id(),
        regulation: "haarlem".parse().unwrap(),
        profile: "nl-household-1".into(),
        schema_hash: "cd".repeat(32),
        key_check: None,
        state: State::Announced,
        answers_until: None,
        announced_at: NOW,
        contribute_by: date!(2026 - 11 - 16),
        load_by: date!(2026 - 11 - 30),
        grace_days: 30,
        participants: vec![Participant { oin: oin(), recipient: "age1example".into(), contributes: true }],
    }
}

pub fn insert_epoch(store: &Store) {
    store.write(|tx| tx.insert_epoch(&new_epoch(), 0)).unwrap();
}

pub fn begin_load(store: &Store, records: u64) -> LoadId {
    let load = NewLoad {
        epoch: epoch_id(),
        source: "population".into(),
        header: "{}".into(),
        base: None,
        lines: records,
        reference_date: date!(2026 - 11 - 01),
        ages: None,
        begun_at: NOW,
    };
    store.write(move |tx| tx.begin_load(&load)).unwrap().value
}

/// A load of a line that answers.
pub fn load(store: &Store, source: &str) -> LoadId {
    let new = NewLoad {
        epoch: epoch_id(),
        source: source.into(),
        header: "{}".into(),
        base: None,
        lines: 1,
        reference_date: date!(2026 - 01 - 01),
        ages: None,
        begun_at: NOW,
    };
    let id = store.write(move |tx| tx.begin_load(&new)).unwrap().value;
    store.put_chunk(&id, 0, 1, b"codes").unwrap();
    let read = store.load(&id).unwrap();
    store.write(move |tx| tx.commit_load(&read, 1, NOW, "{}")).unwrap();
    id
}
