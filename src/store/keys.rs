//! Key files: the log's signing key, the pseudonym key. Each is 0600 in a folder 0700, outside the database, on the disk
//! before anything uses it. Those of epochs have a room of their own, [`super::wrapping`].

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::{StoreError, open};
use crate::audit::NoteSigner;

/// Every key file of a log; the last one only while its key is being replaced.
pub(super) const FILES: [&str; 3] = ["log.key", "subject.key", "log.next"];

/// The keys folder, open. `Debug` hides the keys.
pub(super) struct Keys {
    folder: PathBuf,
    subject: hmac::Key,
}

impl Keys {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        open::make_folder(folder)?;
        let subject = match read(&folder.join("subject.key"))? {
            Some(bytes) => key_of_32(&bytes, &folder.join("subject.key"))?,
            None => create_random(&folder.join("subject.key"))?,
        };
        let subject = hmac::Key::new(hmac::HMAC_SHA256, subject.as_ref());
        Ok(Self { folder: folder.to_owned(), subject })
    }

    /// The folder of a log that has begun: nothing is drawn that is missing.
    pub(super) fn existing(folder: &Path) -> Result<Self, StoreError> {
        let missing = |path: PathBuf| StoreError::Key {
            path,
            what: "it is missing: put the folder keys/ back, or open the sealed keys of a backup",
        };
        for path in FILES[..2].iter().map(|name| folder.join(name)) {
            if !path.exists() {
                return Err(missing(path));
            }
        }
        Self::open(folder)
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
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

pub(super) fn key_of_32(bytes: &[u8], path: &Path) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let what = "it does not hold 32 bytes: restore it from a backup";
    bytes.try_into().map(Zeroizing::new).map_err(|_| StoreError::Key { path: path.to_owned(), what })
}

/// The file's bytes, `None` if there is no file. A file that others may read is refused.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let refused = |what| StoreError::Key { path: path.to_owned(), what };
    match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err(refused("it cannot be read: give it to the service's user")),
        // systemd shows a credential of its own as 0440: an access list lets nobody but the service's user in.
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 && meta.permissions().mode() & 0o777 != 0o440 => {
            return Err(refused("others may read it: set mode 0600, and think whether to replace the key"));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Zeroizing::new).map(Some).map_err(|_| refused("it cannot be read"))
}

pub(super) fn create_random(path: &Path) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(bytes.as_mut()).expect("the system's random generator answers");
    create(path, bytes.as_ref())?;
    Ok(bytes)
}

/// Writes beside, syncs, renames, syncs the folder: after a power cut the file is whole or absent.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
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
}
