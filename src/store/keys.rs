//! Key files: the log's signing key, the pseudonym key, one data key an epoch. Each is 0600 in a folder 0700, outside
//! the database, on the disk before anything uses it.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::{StoreError, open};
use crate::audit::NoteSigner;
use crate::ids::EpochId;

/// The keys folder, open. `Debug` hides the keys.
pub(super) struct Keys {
    folder: PathBuf,
    subject: hmac::Key,
    epochs: Mutex<HashMap<EpochId, Arc<DataKey>>>,
}

/// Seals the loads of one epoch.
pub(super) struct DataKey {
    key: LessSafeKey,
    /// Equal keys have equal checks; the check tells nothing about the key.
    check: [u8; 16],
}

impl Keys {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        open::make_folder(folder)?;
        let subject = match read(&folder.join("subject.key"))? {
            Some(bytes) => key_of_32(&bytes, &folder.join("subject.key"))?,
            None => create_random(&folder.join("subject.key"))?,
        };
        let subject = hmac::Key::new(hmac::HMAC_SHA256, subject.as_ref());
        Ok(Self { folder: folder.to_owned(), subject, epochs: Mutex::default() })
    }

    pub(super) fn pseudonym(&self, subject: &[u8]) -> String {
        hex::encode(&hmac::sign(&self.subject, subject).as_ref()[..16])
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.folder.join("log.key")
    }

    /// The log's signing key, if it was ever made.
    pub(super) fn log_signer(&self, origin: &str) -> Result<Option<NoteSigner>, StoreError> {
        let Some(pkcs8) = read(&self.log_path())? else { return Ok(None) };
        let what = "it holds no Ed25519 key in PKCS #8 for this origin: restore it from a backup";
        NoteSigner::new(origin, &pkcs8).map(Some).map_err(|_| StoreError::Key { path: self.log_path(), what })
    }

    pub(super) fn create_log_signer(&self, origin: &str) -> Result<NoteSigner, StoreError> {
        let (signer, pkcs8) = NoteSigner::generate(origin)?;
        create(&self.log_path(), &pkcs8)?;
        Ok(signer)
    }

    fn next_log_path(&self) -> PathBuf {
        self.folder.join("log.next")
    }

    /// Draws the key that is to follow, over one that was never announced.
    pub(super) fn create_next_log_signer(&self, origin: &str) -> Result<NoteSigner, StoreError> {
        let (signer, pkcs8) = NoteSigner::generate(origin)?;
        create(&self.next_log_path(), &pkcs8)?;
        Ok(signer)
    }

    /// The key that is to follow, if one was drawn.
    pub(super) fn next_log_signer(&self, origin: &str) -> Result<Option<NoteSigner>, StoreError> {
        let Some(pkcs8) = read(&self.next_log_path())? else { return Ok(None) };
        Ok(NoteSigner::new(origin, &pkcs8).ok())
    }

    /// Puts the key that was to follow in the place of the old one, which is gone then.
    pub(super) fn adopt_next_log_signer(&self) -> Result<(), StoreError> {
        let adopt = || {
            fs::rename(self.next_log_path(), self.log_path())?;
            File::open(&self.folder)?.sync_all()
        };
        adopt().map_err(|source| StoreError::Folder { path: self.folder.clone(), source })
    }

    /// Makes the data key of a new epoch. A key that a crash left behind before its epoch was committed is used.
    pub(super) fn create_epoch(&self, epoch: &EpochId) -> Result<Arc<DataKey>, StoreError> {
        match self.epoch(epoch, None) {
            Err(StoreError::EpochKey { .. }) if read(&self.epoch_path(epoch))?.is_none() => {
                create_random(&self.epoch_path(epoch))?;
                self.epoch(epoch, None)
            }
            found => found,
        }
    }

    /// The data key of an epoch, whose check must be `want` where that is known.
    pub(super) fn epoch(&self, epoch: &EpochId, want: Option<&[u8]>) -> Result<Arc<DataKey>, StoreError> {
        let wrong = || StoreError::EpochKey { epoch: epoch.clone() };
        let mut known = self.epochs.lock().unwrap_or_else(|broken| broken.into_inner());
        let key = match known.get(epoch) {
            Some(key) => Arc::clone(key),
            None => {
                let path = self.epoch_path(epoch);
                let bytes = read(&path)?.ok_or_else(wrong)?;
                Arc::new(DataKey::new(&*key_of_32(&bytes, &path)?))
            }
        };
        if want.is_some_and(|want| want != key.check) {
            return Err(wrong());
        }
        known.insert(epoch.clone(), Arc::clone(&key));
        Ok(key)
    }

    fn epoch_path(&self, epoch: &EpochId) -> PathBuf {
        self.folder.join(format!("epoch-{epoch}.key"))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl DataKey {
    pub(super) fn new(bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 has keys of 32 bytes");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"voorrang epoch data key check 1");
        let check = tag.as_ref()[..16].try_into().expect("a tag is longer than 16 bytes");
        Self { key: LessSafeKey::new(key), check }
    }

    pub(super) fn check(&self) -> [u8; 16] {
        self.check
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

fn key_of_32(bytes: &[u8], path: &Path) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let what = "it does not hold 32 bytes: restore it from a backup";
    bytes.try_into().map(Zeroizing::new).map_err(|_| StoreError::Key { path: path.to_owned(), what })
}

/// The file's bytes, `None` if there is no file. A file that others may read is refused.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let refused = |what| StoreError::Key { path: path.to_owned(), what };
    match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err(refused("it cannot be read: give it to the service's user")),
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            return Err(refused("others may read it: set mode 0600, and think whether to replace the key"));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Zeroizing::new).map(Some).map_err(|_| refused("it cannot be read"))
}

fn create_random(path: &Path) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(bytes.as_mut()).expect("the system's random generator answers");
    create(path, bytes.as_ref())?;
    Ok(bytes)
}

/// Writes beside, syncs, renames, syncs the folder: after a power cut the file is whole or absent.
fn create(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().expect("a key file has a folder");
    let write = || -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| StoreError::Folder { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::folder;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_survive_and_pseudonyms_stay() {
        let (home, other) = (folder(), folder());
        let keys = Keys::open(&home.path().join("keys")).unwrap();
        let pseudonym = keys.pseudonym(b"household");
        assert_eq!(pseudonym.len(), 32);
        assert_eq!(Keys::open(&home.path().join("keys")).unwrap().pseudonym(b"household"), pseudonym);
        assert_ne!(Keys::open(&other.path().join("keys")).unwrap().pseudonym(b"household"), pseudonym);
        assert_eq!(format!("{keys:?}"), "Keys(..)");
    }

    #[test]
    fn a_key_file_that_is_cut_or_open_to_others_is_refused() {
        let home = folder();
        let path = home.path().join("subject.key");
        Keys::open(home.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keys::open(home.path()), Err(StoreError::Key { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, [1; 31]).unwrap();
        assert!(matches!(Keys::open(home.path()), Err(StoreError::Key { .. })));
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
