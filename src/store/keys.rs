//! Key files: the log's signing key, the key of repeated requests. Each is 0600 in a folder 0700, outside the database,
//! on the disk before anything uses it. Those of epochs have rooms of their own, [`super::wrapping`] and
//! [`super::subjects`].

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

/// The key files that a log that has begun always has.
const ALWAYS: [&str; 2] = ["log.key", "repeat.key"];

/// What a key that is missing takes.
pub(super) const MISSING: &str = "it is missing: put the folder keys/ back, or open the sealed keys of a backup";

/// The keys folder, open. `Debug` hides the keys.
pub(super) struct Keys {
    folder: PathBuf,
    repeat: hmac::Key,
}

impl Keys {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        open::make_folder(folder)?;
        let repeat = match read(&folder.join("repeat.key"))? {
            Some(bytes) => key_of_32(&bytes, &folder.join("repeat.key"))?,
            None => create_random(&folder.join("repeat.key"))?,
        };
        let repeat = hmac::Key::new(hmac::HMAC_SHA256, repeat.as_ref());
        Ok(Self { folder: folder.to_owned(), repeat })
    }

    /// The folder of a log that has begun: nothing is drawn that is missing.
    pub(super) fn existing(folder: &Path) -> Result<Self, StoreError> {
        let missing = ALWAYS.iter().map(|name| folder.join(name)).find(|path| !path.exists());
        missing.map_or_else(|| Self::open(folder), |path| Err(StoreError::Key { path, what: MISSING }))
    }

    /// What a request that may come again is called in the database: 32 hexadecimal digits.
    pub(super) fn of_request(&self, request: &[u8]) -> String {
        hex::encode(&hmac::sign(&self.repeat, request).as_ref()[..16])
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

/// Names of the key files in a folder: those of the log, and of epochs' pseudonyms.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = || -> io::Result<Vec<String>> {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        names.collect()
    };
    let mut names = entries().map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
    names.retain(|name| is_key(name));
    names.sort();
    Ok(names)
}

/// Whether a file of this name is a key; `log.next` is there only while the log's key is being replaced.
pub(super) fn is_key(name: &str) -> bool {
    name.ends_with(".key") || name == "log.next"
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
    fn keys_survive_and_what_requests_are_called_stays() {
        let (home, other) = (folder(), folder());
        let keys = Keys::open(&home.path().join("keys")).unwrap();
        let called = keys.of_request(b"household");
        assert_eq!(called.len(), 32);
        assert_eq!(Keys::open(&home.path().join("keys")).unwrap().of_request(b"household"), called);
        assert_ne!(Keys::open(&other.path().join("keys")).unwrap().of_request(b"household"), called);
        assert_eq!(format!("{keys:?}"), "Keys(..)");
    }

    #[test]
    fn a_key_file_that_is_cut_or_open_to_others_is_refused() {
        let home = folder();
        let path = home.path().join("repeat.key");
        Keys::open(home.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keys::open(home.path()), Err(StoreError::Key { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, [1; 31]).unwrap();
        assert!(matches!(Keys::open(home.path()), Err(StoreError::Key { .. })));
    }
}
