//! Keys of pseudonyms, one an epoch: what the log calls a household is made with its epoch's key. That key outlives the
//! epoch, so that an officer still finds who asked about a person, and goes when no entry's contents name a household
//! of the epoch any more: from then on the pseudonyms that other people hold are nobody's.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ring::hmac;
use rusqlite::Connection;

use super::keys::{self, create_random, key_of_32, read};
use super::wrapping::overwrite;
use super::{Store, StoreError};
use crate::epoch::State;
use crate::ids::EpochId;

/// The keys, in the folder of the log's. `Debug` hides them.
pub(super) struct Subjects {
    folder: PathBuf,
    open: Mutex<HashMap<EpochId, hmac::Key>>,
}

impl Subjects {
    pub(super) fn at(state: &Path) -> Self {
        Self { folder: state.join("keys"), open: Mutex::default() }
    }

    /// Draws the key of a new epoch; one that a crash left behind before its epoch was committed is used.
    pub(super) fn create(&self, epoch: &EpochId) -> Result<(), StoreError> {
        if !self.file(epoch).exists() {
            create_random(&self.file(epoch))?;
        }
        Ok(())
    }

    /// # Errors
    /// [`StoreError::NotFound`] if there is no key (any more).
    fn pseudonym(&self, epoch: &EpochId, subject: &[u8]) -> Result<String, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(|broken| broken.into_inner());
        if !open.contains_key(epoch) {
            let path = self.file(epoch);
            let bytes = read(&path)?.ok_or(StoreError::NotFound("key of this epoch's pseudonyms any more"))?;
            open.insert(epoch.clone(), hmac::Key::new(hmac::HMAC_SHA256, key_of_32(&bytes, &path)?.as_ref()));
        }
        Ok(hex::encode(&hmac::sign(&open[epoch], subject).as_ref()[..16]))
    }

    /// Overwrites the key, unlinks it and syncs the folder.
    fn forget(&self, epoch: &EpochId) -> Result<(), StoreError> {
        let path = self.file(epoch);
        self.open.lock().unwrap_or_else(|broken| broken.into_inner()).remove(epoch);
        let gone = match overwrite(&path).and_then(|()| fs::remove_file(&path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => File::open(&self.folder).and_then(|folder| folder.sync_all()),
        };
        gone.map_err(|source| StoreError::Folder { path: self.folder.clone(), source })
    }

    fn file(&self, epoch: &EpochId) -> PathBuf {
        self.folder.join(format!("subject-{epoch}.key"))
    }

    /// Whether the key of an epoch that is not over is there: a new one in its place would find nothing.
    pub(super) fn check(&self, epoch: &EpochId) -> Result<(), StoreError> {
        let path = self.file(epoch);
        if path.exists() { Ok(()) } else { Err(StoreError::Key { path, what: keys::MISSING }) }
    }
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subjects(..)")
    }
}

impl Store {
    /// What the log calls a subject of this epoch: 32 hexadecimal digits. Without the epoch's key it cannot be made again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if that key is gone, see [`Store::idle_pseudonyms`].
    pub fn pseudonym(&self, epoch: &EpochId, subject: &[u8]) -> Result<String, StoreError> {
        self.epoch_keys.subjects.pseudonym(epoch, subject)
    }

    /// Epochs that are destroyed, have a key of pseudonyms, and of whose households no entry's contents are left.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn idle_pseudonyms(&self) -> Result<Vec<EpochId>, StoreError> {
        // A look-up names a household as well, and keeps nothing.
        let sql = "SELECT EXISTS (SELECT 1 FROM entry WHERE json_extract(text, '$.epoch') = ?1
                   AND json_extract(text, '$.object') IS NOT NULL AND json_extract(text, '$.action') <> 'subject-read')";
        let mut idle = Vec::new();
        for epoch in self.epochs()?.into_iter().filter(|epoch| epoch.state == State::Destroyed) {
            let named = |db: &Connection| Ok(db.query_row(sql, [epoch.id.as_str()], |row| row.get::<_, bool>(0))?);
            if self.epoch_keys.subjects.file(&epoch.id).exists() && !self.read(named)? {
                idle.push(epoch.id);
            }
        }
        Ok(idle)
    }

    /// Destroys an epoch's key of pseudonyms.
    ///
    /// # Errors
    /// [`StoreError::Folder`].
    pub fn forget_pseudonyms(&self, epoch: &EpochId) -> Result<(), StoreError> {
        self.epoch_keys.subjects.forget(epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW, ORIGIN, entry, epoch_id, folder, insert_epoch, open, open_in};
    use super::*;
    use crate::audit::{Action, Entry};
    use crate::epoch::Step;
    use crate::store::Taken;

    fn file(home: &tempfile::TempDir) -> PathBuf {
        home.path().join(format!("keys/subject-{}.key", epoch_id()))
    }

    #[test]
    fn an_epoch_calls_a_household_the_same_after_a_restart_and_no_other_epoch_does() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let other: EpochId = "haarlem-2026-2".parse().unwrap();
        store.epoch_keys.subjects.create(&other).unwrap();
        let called = store.pseudonym(&epoch_id(), b"household").unwrap();
        assert_eq!((called.len(), called == store.pseudonym(&epoch_id(), b"another").unwrap()), (32, false));
        assert_ne!(called, store.pseudonym(&other, b"household").unwrap());
        assert!(matches!(store.pseudonym(&"haarlem-9".parse().unwrap(), b"household"), Err(StoreError::NotFound(_))));
        drop(store);
        assert_eq!(open_in(home.path()).pseudonym(&epoch_id(), b"household").unwrap(), called);
    }

    #[test]
    fn a_living_epoch_whose_key_is_lost_stops_the_start_and_names_the_file() {
        let home = folder();
        insert_epoch(&open(&home));
        fs::remove_file(file(&home)).unwrap();
        let error = Store::open(home.path(), ORIGIN).unwrap_err();
        assert!(matches!(&error, StoreError::Key { path, .. } if *path == file(&home)), "{error}");
    }

    #[test]
    fn a_restored_epoch_with_a_tombstone_needs_no_key_of_pseudonyms() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        store.epoch_keys.bury(&epoch_id(), "its record").unwrap();
        drop(store);
        fs::remove_file(file(&home)).unwrap();
        let store = open_in(home.path());
        assert_eq!(store.risen().unwrap().len(), 1, "to be buried now");
        drop(store);
        let seen =
            crate::store::inspect(&crate::store::Setup::new(home.path(), ORIGIN), &mut |_| Ok(())).unwrap().unwrap();
        assert!(seen.epochs[0].buried);
    }

    #[test]
    fn a_key_goes_when_its_epoch_is_over_and_no_entry_names_a_household_of_it() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let named = |action| Entry { epoch: Some(epoch_id()), object: Some("ab".repeat(16)), action, ..entry() };
        for entry in [named(Action::Ask), named(Action::SubjectRead)] {
            store.write(move |tx| tx.append(&entry)).unwrap();
        }
        assert_eq!(store.idle_pseudonyms().unwrap(), []);
        let taken = Taken { state: State::Destroyed, at: NOW, answers_until: None, log_index: 0 };
        store.write(move |tx| tx.end_epoch(&epoch_id(), Step::Abort.from(State::Announced).unwrap(), &taken)).unwrap();
        assert_eq!(store.idle_pseudonyms().unwrap(), [], "an entry names one");
        store.write(|tx| Ok::<_, StoreError>(tx.db.execute("DELETE FROM entry WHERE idx = 0", [])?)).unwrap();
        assert_eq!(store.idle_pseudonyms().unwrap(), [epoch_id()]);
        store.pseudonym(&epoch_id(), b"household").unwrap();
        for _ in 0..2 {
            store.forget_pseudonyms(&epoch_id()).unwrap();
        }
        assert!(!file(&home).exists() && store.idle_pseudonyms().unwrap().is_empty());
        assert!(store.pseudonym(&epoch_id(), b"household").is_err());
    }
}
