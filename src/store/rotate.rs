//! A new key for the log. The old and the new key sign one checkpoint, which everybody is shown: who knows the old key
//! needs no other word for the new one, and the old one, if it is ever stolen, cannot go on with the log.

use std::cell::RefCell;

use rusqlite::{Connection, params};

use super::keys::Keys;
use super::wrapping::EpochKeys;
use super::{Setup, Store, StoreError, Tx, open};
use crate::audit::{Entry, LogKeys, NoteSigner, NoteVerifier};

/// One key replaced by the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Verifier keys.
    pub old: String,
    pub new: String,
    /// The checkpoint that both signed.
    pub checkpoint: String,
}

impl Store {
    /// How the log came to its key, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn hand_overs(&self) -> Result<Vec<HandOver>, StoreError> {
        self.read(hand_overs)
    }
}

/// Replaces the log's key, while the service does not run; returns the new verifier key. `entry` is what the log says of
/// it: the last one under the old key, and the checkpoint that both sign covers it.
///
/// A process that is killed in between leaves either key in force, never none: the new one is on the disk before it is
/// announced, and the next start finishes what was announced.
///
/// # Errors
/// As [`Store::open_with`].
pub fn rotate_log_key(setup: &Setup, entry: &Entry) -> Result<String, StoreError> {
    let (_lock, mut db, keys, log) = open::opened(setup)?;
    let next = keys.create_next_log_signer(&setup.origin)?;
    let (old, new) = (log.verifier().vkey(), next.verifier().vkey());
    let (epoch_keys, log) = (EpochKeys::open(&setup.folders)?, RefCell::new(log));
    let tx = db.transaction()?;
    Tx { db: &tx, log: &log, keys: &epoch_keys, appended: RefCell::default() }.append(entry)?;
    let note = next.sign_also(&log.borrow().store_checkpoint(&tx)?)?;
    tx.execute("UPDATE checkpoint SET note = ?1", [&note])?;
    tx.execute("INSERT INTO hand_over (old_key, new_key, note) VALUES (?1, ?2, ?3)", params![old, new, note])?;
    tx.commit()?;
    keys.adopt_next_log_signer()?;
    Ok(new)
}

/// The log's signing key, if it was ever made, and whether it is the next one: a rotation was cut after its announcement.
pub(super) fn signer(db: &Connection, keys: &Keys, origin: &str) -> Result<Option<(NoteSigner, bool)>, StoreError> {
    let announced = hand_overs(db)?.pop().map(|last| last.new);
    let signer = keys.log_signer(origin)?;
    let in_force = signer.as_ref().map(|signer| signer.verifier().vkey());
    if announced.is_none() || announced == in_force {
        return Ok(signer.map(|signer| (signer, false)));
    }
    match keys.next_log_signer(origin)? {
        Some(next) if announced == Some(next.verifier().vkey()) => Ok(Some((next, true))),
        _ => Err(StoreError::LogKey),
    }
}

/// Every key that the log has had, each announced by the one before.
pub(super) fn log_keys(db: &Connection, current: &NoteVerifier) -> Result<LogKeys, StoreError> {
    let hand_overs = hand_overs(db)?;
    let Some(first) = hand_overs.first() else { return Ok(current.clone().into()) };
    let mut keys = LogKeys::from(NoteVerifier::from_vkey(&first.old)?);
    for HandOver { new, checkpoint, .. } in &hand_overs {
        keys.hand_over(checkpoint, NoteVerifier::from_vkey(new)?)?;
    }
    if keys.current() == current { Ok(keys) } else { Err(StoreError::LogKey) }
}

fn hand_overs(db: &Connection) -> Result<Vec<HandOver>, StoreError> {
    let mut query = db.prepare_cached("SELECT old_key, new_key, note FROM hand_over ORDER BY n")?;
    let row = |row: &rusqlite::Row<'_>| Ok(HandOver { old: row.get(0)?, new: row.get(1)?, checkpoint: row.get(2)? });
    Ok(query.query_map([], row)?.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::fixture::{ORIGIN, append, entry, folder};
    use super::*;
    use crate::audit::{CheckpointKeys, verify_log};

    fn rotate_log_key(setup: &Setup) -> Result<String, StoreError> {
        super::rotate_log_key(setup, &entry())
    }

    fn setup(home: &tempfile::TempDir) -> Setup {
        let folder = home.path().join("state");
        Setup { anchor: Some(home.path().join("anchor")), ..Setup::new(folder.as_path(), ORIGIN) }
    }

    #[test]
    fn a_log_goes_on_under_a_new_key_and_what_the_old_one_signed_still_counts() {
        let home = folder();
        let setup = setup(&home);
        let store = Store::open_with(&setup).unwrap();
        let (old, before) = (store.verifier().clone(), append(&store));
        drop(store);
        let mut known = LogKeys::from(old.clone());
        let mut receipts = vec![before];
        for _ in 0..2 {
            let new = rotate_log_key(&setup).unwrap();
            let store = Store::open_with(&setup).unwrap();
            assert_eq!(store.verifier().vkey(), new);
            receipts.push(append(&store));
        }
        let store = Store::open_with(&setup).unwrap();
        for HandOver { new, checkpoint, .. } in store.hand_overs().unwrap() {
            known.hand_over(&checkpoint, NoteVerifier::from_vkey(&new).unwrap()).unwrap();
        }
        assert_eq!(known.current(), store.verifier());
        let lines = store.entries(0..9).unwrap().into_iter().map(|line| line.entry.unwrap());
        let report = verify_log(lines, &store.checkpoint().unwrap(), &known, &[], &receipts, 1).unwrap();
        assert_eq!((report.entries, report.receipts), (5, 3), "each new key has an entry");
        assert!(known.checkpoint(&receipts[2].checkpoint).is_ok());
        assert!(old.verify(&receipts[2].checkpoint).is_err(), "the old key signs no more");
    }

    #[test]
    fn a_rotation_that_was_cut_is_finished_or_never_was() {
        let home = folder();
        let setup = setup(&home);
        drop(append(&Store::open_with(&setup).unwrap()));
        let keys = home.path().join("state/keys");
        let old = fs::read(keys.join("log.key")).unwrap();
        // Cut before the announcement: a next key lies there, and nobody knows it.
        rotate_log_key(&setup).unwrap();
        let new = fs::read(keys.join("log.key")).unwrap();
        // Cut behind it: the old key is still in its place.
        fs::rename(keys.join("log.key"), keys.join("log.next")).unwrap();
        fs::write(keys.join("log.key"), &old).unwrap();
        set_private(&keys.join("log.key"));
        drop(Store::open_with(&setup).unwrap());
        assert_eq!(fs::read(keys.join("log.key")).unwrap(), new);
        assert!(!keys.join("log.next").exists());
        // The announced key is lost: that is said, and the old one does not go on.
        fs::write(keys.join("log.key"), &old).unwrap();
        assert!(matches!(Store::open_with(&setup), Err(StoreError::LogKey)));
    }

    #[test]
    fn a_next_key_that_was_never_announced_changes_nothing() {
        let home = folder();
        let setup = setup(&home);
        let store = Store::open_with(&setup).unwrap();
        let key = store.verifier().clone();
        drop(append(&store));
        drop(store);
        let keys = home.path().join("state/keys");
        fs::write(keys.join("log.next"), "half a key").unwrap();
        assert_eq!(*Store::open_with(&setup).unwrap().verifier(), key);
        assert_ne!(rotate_log_key(&setup).unwrap(), key.vkey());
        assert!(Store::open_with(&setup).is_ok());
    }

    fn set_private(path: &std::path::Path) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
