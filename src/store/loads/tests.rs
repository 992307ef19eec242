//! Loads, as they come, are cut and are kept.

use super::super::fixture::{NOW, begin_load, epoch_id, folder, insert_epoch, open, open_in};
use super::*;

const PLAIN: &[u8] = b"these bytes must not be found on the disk";

fn commit(store: &Store, id: LoadId) -> Result<Load, StoreError> {
    let read = store.load(&id)?;
    store.write(move |tx| tx.commit_load(&read, read.lines, NOW, "{}")).map(|written| written.value)
}

fn loaded(store: &Store, chunks: u32) -> LoadId {
    let id = begin_load(store, u64::from(chunks) * 2);
    (0..chunks).for_each(|n| store.put_chunk(&id, n, 2, PLAIN).unwrap());
    commit(store, id).unwrap();
    id
}

#[test]
fn a_load_counts_when_it_is_committed_and_supersedes_the_one_before() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    assert_eq!(store.current_load(&epoch_id(), "population").unwrap(), None);
    let (first, second) = (loaded(&store, 3), loaded(&store, 2));
    let current = store.current_load(&epoch_id(), "population").unwrap().unwrap();
    assert_eq!((current.id, current.records, current.chunks, current.loaded_at), (second, 4, 2, Some(NOW)));
    assert_eq!(current.reference_date.to_string(), "2026-11-01");
    assert!(store.write(|tx| tx.sweep_loads(2)).unwrap().value);
    assert!(!store.write(|tx| tx.sweep_loads(2)).unwrap().value);
    assert!(matches!(store.load(&first), Err(StoreError::NotFound("load"))));
    let opened: Vec<_> = store.chunks(&second).unwrap().map(Result::unwrap).collect();
    assert_eq!(opened, [PLAIN, PLAIN]);
}

#[test]
fn the_ages_behind_a_load_are_known_before_it_is_committed_and_stay_in_its_report() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let id = begin_load(&store, 1);
    assert_eq!(store.load(&id).unwrap().ages, None);
    let new = NewLoad {
        epoch: epoch_id(),
        source: "population".into(),
        header: "{}".into(),
        base: None,
        lines: 1,
        reference_date: NOW.date(),
        ages: Some(r#"{"a":1}"#.into()),
        begun_at: NOW,
    };
    let id = store.write(move |tx| tx.begin_load(&new)).unwrap().value;
    store.put_chunk(&id, 0, 1, PLAIN).unwrap();
    let read = store.load(&id).unwrap();
    assert_eq!(read.ages.as_deref(), Some(r#"{"a":1}"#));
    let report = r#"{"persons":1,"ages":{"a":1}}"#;
    store.write(move |tx| tx.commit_load(&read, 1, NOW, report)).unwrap();
    let current = store.current_load(&epoch_id(), "population").unwrap().unwrap();
    assert_eq!(
        (current.ages.as_deref(), store.load_report(&id).unwrap().as_deref()),
        (Some(r#"{"a":1}"#), Some(report))
    );
}

#[test]
fn an_incomplete_load_is_refused() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let id = begin_load(&store, 4);
    let commit = || commit(&store, id);
    store.put_chunk(&id, 0, 2, PLAIN).unwrap();
    assert!(matches!(commit(), Err(StoreError::LoadIncomplete { expected: 4, got: 2 })));
    store.put_chunk(&id, 2, 2, PLAIN).unwrap();
    assert!(commit().is_err(), "chunk 1 is missing");
    assert!(matches!(store.put_chunk(&id, 1, 1, PLAIN), Err(StoreError::LoadOverfull { expected: 4 })));
    store.write(move |tx| tx.abort_load(&id)).unwrap();
    assert!(matches!(store.put_chunk(&id, 1, 2, PLAIN), Err(StoreError::NotFound("load in progress"))));
    assert!(matches!(commit(), Err(StoreError::NotFound("load in progress"))));
}

#[test]
fn a_repeated_chunk_is_one_chunk() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let id = begin_load(&store, 2);
    (0..3).for_each(|_| store.put_chunk(&id, 0, 2, PLAIN).unwrap());
    assert_eq!(commit(&store, id).unwrap().chunks, 1);
}

#[test]
fn a_chunk_after_the_load_was_read_takes_its_commit_away() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let id = begin_load(&store, 2);
    store.put_chunk(&id, 0, 2, PLAIN).unwrap();
    let read = store.load(&id).unwrap();
    store.put_chunk(&id, 0, 2, b"other records").unwrap();
    assert!(matches!(
        store.write(move |tx| tx.commit_load(&read, read.lines, NOW, "{}")),
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(commit(&store, id).unwrap().state, LoadState::Current);
}

#[test]
fn a_source_has_one_load_in_progress() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let (first, second) = (begin_load(&store, 2), begin_load(&store, 2));
    assert!(matches!(store.put_chunk(&first, 0, 2, PLAIN), Err(StoreError::NotFound("load in progress"))));
    store.put_chunk(&second, 0, 2, PLAIN).unwrap();
    assert_eq!(commit(&store, second).unwrap().state, LoadState::Current);
}

#[test]
fn a_half_load_is_there_after_a_restart_and_goes_on() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let (_whole, half) = (loaded(&store, 2), begin_load(&store, 9));
    store.put_chunk(&half, 0, 2, PLAIN).unwrap();
    drop(store);
    let store = open_in(home.path());
    let there = store.chunks_there(&half).unwrap();
    assert_eq!((there.len(), there[0].n, there[0].records), (1, 0, 2));
    assert_eq!(there[0].digest.as_slice(), ring::digest::digest(&ring::digest::SHA256, PLAIN).as_ref());
    store.put_chunk(&half, 1, 7, PLAIN).unwrap();
    commit(&store, half).unwrap();
    assert_eq!(store.chunks(&half).unwrap().filter_map(Result::ok).count(), 2);
}

#[test]
fn the_disk_does_not_hold_the_plaintext() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    loaded(&store, 2);
    for file in ["voorrang.db", "voorrang.db-wal"] {
        let bytes = std::fs::read(home.path().join(file)).unwrap();
        assert!(!bytes.windows(12).any(|window| PLAIN.windows(12).any(|plain| plain == window)), "{file}");
    }
}

#[test]
fn a_moved_chunk_is_damage() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let id = loaded(&store, 2);
    store.write(|tx| Ok::<_, StoreError>(tx.db.execute("UPDATE chunk SET n = 7 - n", []).map(drop)?)).unwrap();
    store.write(|tx| Ok::<_, StoreError>(tx.db.execute("UPDATE chunk SET n = n - 6", []).map(drop)?)).unwrap();
    let opened: Vec<_> = store.chunks(&id).unwrap().collect();
    assert!(matches!(opened[..], [Err(StoreError::Damaged { .. })]), "{opened:?}");
}

#[test]
fn a_load_with_another_header_does_not_open() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let id = loaded(&store, 1);
    store.write(|tx| Ok::<_, StoreError>(tx.db.execute("UPDATE load SET header = '{ }'", []).map(drop)?)).unwrap();
    assert!(matches!(store.chunks(&id).unwrap().next(), Some(Err(StoreError::Damaged { .. }))));
}

#[test]
fn another_wrapping_key_is_named() {
    let home = folder();
    let store = open(&home);
    insert_epoch(&store);
    let id = loaded(&store, 2);
    drop(store);
    let path = home.path().join("epoch-keys/epoch-haarlem-2026-1.key");
    std::fs::write(&path, [9; 32]).unwrap();
    let store = open_in(home.path());
    let error = store.chunks(&id).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::EpochKey { .. }));
    assert!(error.to_string().contains("epoch-keys/epoch-haarlem-2026-1.key"), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(store.chunks(&id).map(drop), Err(StoreError::EpochKey { .. })));
}
