//! The data key of an epoch lies in the database only wrapped; what opens it is a wrapping key in a file of its own, in
//! a folder that is neither the database's nor in its backups, or in a credential that systemd hands to the service.
//! Destroying an epoch is destroying that file: every copy of the database loses the epoch's loads with it.
//!
//! Measured: deleting a key from SQLite leaves a dozen copies of it on the disk image. So no data key is ever written
//! there in the clear, and no wrapping key at all.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::keys::{create, create_random, key_of_32, read};
use super::subjects::Subjects;
use super::{Folders, StoreError, open};
use crate::code::burn_stack;
use crate::ids::EpochId;

const KEY: &str = "key";
const TOMBSTONE: &str = "destroyed";

/// The folder of wrapping keys and tombstones, open. `Debug` hides the keys.
pub(super) struct EpochKeys {
    folder: PathBuf,
    credentials: Option<PathBuf>,
    /// Data keys in use. A key leaves with its last user, and the program's allocator overwrites what is freed.
    open: Mutex<HashMap<EpochId, Arc<DataKey>>>,
    /// Keys of pseudonyms, which outlive their epochs.
    pub(super) subjects: Subjects,
}

/// Seals the loads of one epoch.
pub(super) struct DataKey {
    key: LessSafeKey,
    /// Equal keys have equal checks; the check tells nothing about the key.
    check: [u8; 16],
}

/// A data key as the database keeps it.
pub(super) struct Wrapped {
    pub(super) sealed: Vec<u8>,
    pub(super) check: [u8; 16],
}

/// What became of a wrapping key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Overwritten, unlinked, the folder synced.
    Overwritten,
    /// There was no key file: moved, removed before, or never one of this folder. Nothing can be said of it.
    NotThere,
}

impl EpochKeys {
    pub(super) fn open(folders: &Folders) -> Result<Self, StoreError> {
        open::make_folder(&folders.epoch_keys)?;
        Ok(Self::at(folders))
    }

    /// The folder as it is, if it is there.
    pub(super) fn at(folders: &Folders) -> Self {
        let (folder, credentials) = (folders.epoch_keys.clone(), folders.credentials.clone());
        Self { folder, credentials, open: Mutex::default(), subjects: Subjects::at(&folders.state) }
    }

    /// Draws the data key of a new epoch and wraps it. A wrapping key that a crash left behind before its epoch was
    /// committed, or that came as a credential, is used.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is a tombstone of that name.
    pub(super) fn create(&self, epoch: &EpochId) -> Result<Wrapped, StoreError> {
        if self.tombstone(epoch).exists() {
            return Err(StoreError::Conflict(
                "epoch was destroyed and a name is never used again; announce another one",
            ));
        }
        let wrapping = match self.wrapping(epoch)? {
            Some(key) => key,
            None => create_random(&self.file(epoch))?,
        };
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(bytes.as_mut()).expect("the system's random generator answers");
        let sealed = DataKey::new(&wrapping).seal(&place(epoch), bytes.as_ref());
        let wrapped = Wrapped { sealed, check: DataKey::new(&bytes).check };
        burn_stack();
        Ok(wrapped)
    }

    /// The data key of an epoch.
    ///
    /// # Errors
    /// [`StoreError::EpochKey`] if the wrapping key is missing or another one.
    pub(super) fn data_key(&self, epoch: &EpochId, wrapped: &Wrapped) -> Result<Arc<DataKey>, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(|broken| broken.into_inner());
        if let Some(key) = open.get(epoch) {
            return Ok(Arc::clone(key));
        }
        let wrong = || StoreError::EpochKey { epoch: epoch.clone(), path: self.file(epoch) };
        let wrapping = self.wrapping(epoch)?.ok_or_else(wrong)?;
        let bytes = DataKey::new(&wrapping).open(&place(epoch), &wrapped.sealed).map(Zeroizing::new);
        let bytes = <[u8; 32]>::try_from(bytes.ok_or_else(wrong)?.as_slice()).map(Zeroizing::new);
        let key = Arc::new(DataKey::new(&*bytes.map_err(|_| wrong())?));
        burn_stack();
        if key.check != wrapped.check {
            return Err(wrong());
        }
        open.insert(epoch.clone(), Arc::clone(&key));
        Ok(key)
    }

    /// Overwrites the wrapping key, unlinks it and syncs the folder; the key in memory goes as well. There may be none any
    /// more: what a crash cut short is done again. What became of it stands in the record, so it is told as it was.
    ///
    /// # Errors
    /// [`StoreError::EpochCredential`] if the key is one that this process cannot remove.
    pub(super) fn destroy(&self, epoch: &EpochId) -> Result<Gone, StoreError> {
        self.refuse_credential(epoch)?;
        let path = self.file(epoch);
        let failed = |source| StoreError::Folder { path: self.folder.clone(), source };
        // Held to the end: nobody opens the key again in between.
        let mut open = self.open.lock().unwrap_or_else(|broken| broken.into_inner());
        open.remove(epoch);
        burn_stack();
        let gone = match overwrite(&path).and_then(|()| fs::remove_file(&path)) {
            Ok(()) => Gone::Overwritten,
            Err(error) if error.kind() == ErrorKind::NotFound => Gone::NotThere,
            Err(error) => return Err(failed(error)),
        };
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(gone)
    }

    /// Whether the wrapping key is one that somebody else must remove.
    pub(super) fn refuse_credential(&self, epoch: &EpochId) -> Result<(), StoreError> {
        match self.credential(epoch) {
            Some(path) if path.exists() => Err(StoreError::EpochCredential { epoch: epoch.clone() }),
            _ => Ok(()),
        }
    }

    /// Says beside the keys that the epoch is no more, for a database that is restored from before.
    pub(super) fn bury(&self, epoch: &EpochId, record: &str) -> Result<(), StoreError> {
        create(&self.tombstone(epoch), record.as_bytes())
    }

    /// What the tombstone of an epoch says, if there is one.
    pub(super) fn epitaph(&self, epoch: &EpochId) -> Result<Option<String>, StoreError> {
        match fs::read_to_string(self.tombstone(epoch)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Folder { path: self.folder.clone(), source }),
        }
    }

    /// Every epoch that has a tombstone.
    pub(super) fn buried(&self) -> Result<Vec<EpochId>, StoreError> {
        let failed = |source| StoreError::Folder { path: self.folder.clone(), source };
        let mut buried = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()?.strip_prefix("epoch-")?.parse().ok());
            if path.extension().is_some_and(|kind| kind == TOMBSTONE) {
                buried.extend(name);
            }
        }
        Ok(buried)
    }

    /// Whether a wrapping key of the epoch is within reach.
    pub(super) fn holds(&self, epoch: &EpochId) -> bool {
        self.file(epoch).exists() || self.credential(epoch).is_some_and(|path| path.exists())
    }

    fn wrapping(&self, epoch: &EpochId) -> Result<Option<Zeroizing<[u8; 32]>>, StoreError> {
        for path in self.credential(epoch).into_iter().chain([self.file(epoch)]) {
            if let Some(bytes) = read(&path)? {
                return key_of_32(&bytes, &path).map(Some);
            }
        }
        Ok(None)
    }

    fn credential(&self, epoch: &EpochId) -> Option<PathBuf> {
        self.credentials.as_ref().map(|folder| folder.join(format!("epoch-{epoch}.{KEY}")))
    }

    fn file(&self, epoch: &EpochId) -> PathBuf {
        self.folder.join(format!("epoch-{epoch}.{KEY}"))
    }

    fn tombstone(&self, epoch: &EpochId) -> PathBuf {
        self.folder.join(format!("epoch-{epoch}.{TOMBSTONE}"))
    }
}

impl fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochKeys(..)")
    }
}

/// What a wrapped key is bound to, so that none opens as another epoch's.
fn place(epoch: &EpochId) -> Vec<u8> {
    format!("voorrang epoch data key 1 {epoch}").into_bytes()
}

/// On a disk that writes in place this leaves nothing. Flash and copy-on-write file systems keep the old block until
/// they need it: put the folder on an encrypted volume.
pub(super) fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(4096);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&vec![0; length])?;
    file.sync_all()
}

impl DataKey {
    pub(super) fn new(bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 has keys of 32 bytes");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"voorrang epoch data key check 1");
        let check = tag.as_ref()[..16].try_into().expect("a tag is longer than 16 bytes");
        Self { key: LessSafeKey::new(key), check }
    }

    /// A fresh random 96-bit nonce, then ciphertext and tag. SP 800-38D allows 2^32 of these under one key.
    pub(super) fn seal(&self, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).expect("the system's random generator answers");
        let mut body = plain.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body)
            .expect("a chunk is shorter than 64 GB");
        [nonce.as_slice(), &body].concat()
    }

    /// The plaintext; `None` if key, `aad` or bytes are not those of [`DataKey::seal`].
    pub(super) fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::folder;
    use super::*;
    use proptest::prelude::*;

    fn id() -> EpochId {
        "haarlem-1".parse().unwrap()
    }

    fn folders(home: &Path, credentials: Option<PathBuf>) -> Folders {
        Folders { state: home.join("state"), epoch_keys: home.join("epoch-keys"), credentials }
    }

    #[test]
    fn a_data_key_opens_only_with_the_file_that_wrapped_it() {
        let home = folder();
        let keys = || EpochKeys::open(&folders(home.path(), None)).unwrap();
        let wrapped = keys().create(&id()).unwrap();
        let sealed = keys().data_key(&id(), &wrapped).unwrap().seal(b"place", b"codes");
        assert_eq!(keys().data_key(&id(), &wrapped).unwrap().open(b"place", &sealed).unwrap(), b"codes");
        let other = "haarlem-2".parse().unwrap();
        fs::copy(
            home.path().join("epoch-keys/epoch-haarlem-1.key"),
            home.path().join("epoch-keys/epoch-haarlem-2.key"),
        )
        .unwrap();
        assert!(matches!(keys().data_key(&other, &wrapped), Err(StoreError::EpochKey { .. })), "bound to its epoch");
        fs::write(home.path().join("epoch-keys/epoch-haarlem-1.key"), [7; 32]).unwrap();
        let error = keys().data_key(&id(), &wrapped).err().unwrap().to_string();
        assert!(error.contains("epoch-haarlem-1.key"), "{error}");
    }

    #[test]
    fn a_destroyed_key_is_gone_from_file_and_memory_and_its_name_is_taken() {
        let home = folder();
        let keys = EpochKeys::open(&folders(home.path(), None)).unwrap();
        let wrapped = keys.create(&id()).unwrap();
        let path = home.path().join("epoch-keys/epoch-haarlem-1.key");
        // Another name for the same bytes shows whether they were overwritten before they were unlinked.
        fs::hard_link(&path, home.path().join("witness")).unwrap();
        assert!(keys.data_key(&id(), &wrapped).is_ok() && keys.holds(&id()));
        keys.bury(&id(), "gone").unwrap();
        assert_eq!(keys.destroy(&id()).unwrap(), Gone::Overwritten);
        assert!(!path.exists() && !keys.holds(&id()));
        assert_eq!(fs::read(home.path().join("witness")).unwrap(), [0; 32]);
        assert!(matches!(keys.data_key(&id(), &wrapped), Err(StoreError::EpochKey { .. })));
        assert!(matches!(keys.create(&id()), Err(StoreError::Conflict(_))));
        assert_eq!(keys.buried().unwrap(), [id()]);
        assert_eq!(keys.destroy(&id()).unwrap(), Gone::NotThere, "what a crash cut short is done again");
        assert_eq!(keys.epitaph(&id()).unwrap().as_deref(), Some("gone"));
    }

    #[test]
    fn a_credential_wraps_and_somebody_else_must_remove_it() {
        let home = folder();
        let credentials = home.path().join("credentials");
        fs::create_dir(&credentials).unwrap();
        let path = credentials.join("epoch-haarlem-1.key");
        create(&path, &[5; 32]).unwrap();
        let keys = EpochKeys::open(&folders(home.path(), Some(credentials))).unwrap();
        let wrapped = keys.create(&id()).unwrap();
        assert!(!home.path().join("epoch-keys/epoch-haarlem-1.key").exists());
        assert!(keys.data_key(&id(), &wrapped).is_ok());
        assert!(matches!(keys.destroy(&id()), Err(StoreError::EpochCredential { .. })));
        fs::remove_file(&path).unwrap();
        assert_eq!(keys.destroy(&id()).unwrap(), Gone::NotThere);
    }

    proptest! {
        #[test]
        fn only_the_same_key_place_and_bytes_open_what_was_sealed(plain: Vec<u8>, at: prop::sample::Index) {
            let (key, other) = (DataKey::new(&[1; 32]), DataKey::new(&[2; 32]));
            let mut sealed = key.seal(b"place", &plain);
            prop_assert_eq!(key.open(b"place", &sealed), Some(plain.clone()));
            prop_assert_ne!(key.seal(b"place", &plain), sealed.clone());
            prop_assert_eq!(key.open(b"elsewhere", &sealed), None);
            prop_assert_eq!(other.open(b"place", &sealed), None);
            let at = at.index(sealed.len());
            sealed[at] ^= 1;
            prop_assert_eq!(key.open(b"place", &sealed), None);
            prop_assert_eq!(key.open(b"place", &sealed[..at.min(27)]), None);
        }
    }
}
