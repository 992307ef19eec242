//! A witness of access logs: a small program of somebody else than who runs the log. It keeps the last checkpoint of
//! each log that it saw, checks that the next one extends it, and cosigns (c2sp.org/tlog-witness v1.0.0). A log that
//! shows two histories cannot have both cosigned.
//!
//! What it keeps is one file a log, replaced as a whole and on the disk before a cosignature leaves.

pub mod server;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ring::digest::{SHA256, digest};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::audit::{
    AddCheckpoint, AuditError, Checkpoint, CheckpointKeys, Cosigner, LogKeys, NoteVerifier, WitnessRefusal,
};

/// Why a witness cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The log or the caller: nothing was cosigned.
    #[error("the checkpoint is not cosigned")]
    Refused(#[from] WitnessRefusal),
    #[error("{} cannot be used: give the folder to the witness's user, mode 0700", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} is in use by another process: a witness with two memories is none", path.display())]
    InUse { path: PathBuf },
    #[error("{} holds no key yet: name the witness at its first start, for example officer.example/witness", path.display())]
    NoName { path: PathBuf },
    /// Do not begin anew: what is lost here is the memory that a witness is for.
    #[error("{} cannot be used: restore it from a backup", path.display())]
    State { path: PathBuf, source: AuditError },
    #[error("the key of the witness cannot be used")]
    Key(#[source] AuditError),
}

/// The memory of a witness on disk, and its key.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    cosigner: Cosigner,
    /// Trusted logs, by origin.
    logs: BTreeMap<String, LogKeys>,
    /// Held from reading the last checkpoint to replacing it: two at once would roll one back.
    deciding: Mutex<()>,
    _lock: File,
}

impl Keeper {
    /// Opens the folder of a witness that cosigns for these logs. The first time, `name` names it and its key is drawn.
    ///
    /// # Errors
    /// [`WitnessError`]; never for what a log did.
    pub fn open(
        folder: &Path,
        name: Option<&str>,
        logs: impl IntoIterator<Item = LogKeys>,
    ) -> Result<Self, WitnessError> {
        let failed = |source| WitnessError::Folder { path: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|_| WitnessError::InUse { path: folder.to_owned() })?;
        let cosigner = cosigner(folder, name)?;
        let logs = logs.into_iter().map(|keys| (keys.origin().to_owned(), keys)).collect();
        Ok(Self { folder: folder.to_owned(), cosigner, logs, deciding: Mutex::new(()), _lock: lock })
    }

    /// What others check the cosignatures with.
    pub fn verifier(&self) -> NoteVerifier {
        self.cosigner.verifier()
    }

    /// Checks a checkpoint against the last one of its log, keeps it, and cosigns; `seconds` since 1970. Returns the
    /// line of signature.
    ///
    /// # Errors
    /// [`WitnessError::Refused`] for what the caller or the log did wrong; then the memory stays as it is.
    pub fn add(&self, request: &AddCheckpoint, seconds: u64) -> Result<String, WitnessError> {
        let keys = self.logs.get(request.origin()).ok_or(WitnessRefusal::UnknownLog)?;
        let _deciding = self.deciding.lock().unwrap_or_else(|broken| broken.into_inner());
        let known = self.latest(keys.origin())?.map(|(checkpoint, _)| checkpoint);
        request.check(keys, known.as_ref())?;
        let line = self.cosigner.cosign(&request.note, seconds).map_err(WitnessError::Key)?;
        // Lines of strangers are not kept: enough of them would make a note that is too long to be read back.
        let note = keys.strip(&request.note).map_err(WitnessRefusal::Unsigned)?;
        self.keep(keys.origin(), &format!("{note}{line}"))?;
        Ok(line)
    }

    /// The last checkpoint of a log, and the note with this witness's signature on it.
    ///
    /// # Errors
    /// [`WitnessError::State`] if what was kept cannot be read back.
    pub fn latest(&self, origin: &str) -> Result<Option<(Checkpoint, String)>, WitnessError> {
        let Some(keys) = self.logs.get(origin) else { return Ok(None) };
        let path = self.place(origin);
        let damaged = |source| WitnessError::State { path: path.clone(), source };
        match fs::read_to_string(&path) {
            Ok(note) => {
                self.verifier().verify(&note).map_err(damaged)?;
                Ok(Some((keys.checkpoint(&note).map_err(damaged)?, note)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(WitnessError::Folder { path, source }),
        }
    }

    /// The last note of the log whose origin has this SHA-256, hexadecimal.
    ///
    /// # Errors
    /// As [`Keeper::latest`].
    pub fn latest_of(&self, hash: &str) -> Result<Option<String>, WitnessError> {
        let origin = self.logs.keys().find(|origin| hashed(origin) == hash);
        let latest = origin.map(|origin| self.latest(origin)).transpose()?.flatten();
        Ok(latest.map(|(_, note)| note))
    }

    /// What a checkpoint that was not cosigned says against its log, if a key of the log signed it: two roots of one size
    /// are a `fork`, whatever else the request says; a larger one whose proof failed is a `suspicion`, because anybody may
    /// have sent it with a wrong proof.
    ///
    /// # Errors
    /// As [`Keeper::latest`].
    pub fn suspect(&self, request: &AddCheckpoint) -> Result<Option<&'static str>, WitnessError> {
        let keys = self.logs.get(request.origin());
        let Some(shown) = keys.and_then(|keys| keys.checkpoint(&request.note).ok()) else { return Ok(None) };
        let known = self.latest(request.origin())?.map(|(checkpoint, _)| checkpoint);
        let size = known.as_ref().map_or(0, |known| known.size);
        Ok(match known {
            Some(known) if known.size == shown.size && known.root != shown.root => Some("fork"),
            _ if shown.size > size && request.old_size == size => Some("suspicion"),
            _ => None,
        })
    }

    /// Keeps what was known and what was shown, under the digest of what was shown: nothing is ever overwritten. Says
    /// where, and whether it is new.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn accuse(&self, origin: &str, kind: &str, shown: &str) -> Result<(PathBuf, bool), WitnessError> {
        let known = self.latest(origin)?.map(|(_, note)| note).unwrap_or_default();
        // Of the text that was signed: who adds lines of signatures makes no other evidence.
        let text = shown.split_once("\n\n").map_or(shown, |(text, _)| text);
        let path = self.folder.join(format!("{kind}-{}.txt", &hashed(text)[..32]));
        let is_new = !path.exists();
        if is_new {
            write(&self.folder, &path, format!("{known}\n----\n\n{shown}").as_bytes())?;
        }
        Ok((path, is_new))
    }

    fn keep(&self, origin: &str, note: &str) -> Result<(), WitnessError> {
        write(&self.folder, &self.place(origin), note.as_bytes())
    }

    fn place(&self, origin: &str) -> PathBuf {
        self.folder.join(format!("{}.checkpoint", hashed(origin)))
    }
}

fn hashed(origin: &str) -> String {
    hex::encode(digest(&SHA256, origin.as_bytes()))
}

/// The key in the folder, or a new one under this name. Its file holds the name too: they belong together.
fn cosigner(folder: &Path, name: Option<&str>) -> Result<Cosigner, WitnessError> {
    let path = folder.join("witness.key");
    match fs::read(&path).map(Zeroizing::new) {
        Ok(bytes) => {
            let at = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
            let own = str::from_utf8(&bytes[..at]).unwrap_or_default();
            let unusable = |source| WitnessError::State { path: path.clone(), source };
            if name.is_some_and(|name| name != own) {
                return Err(unusable(AuditError::Key("belongs to a witness of another name")));
            }
            Cosigner::new(own, bytes.get(at + 1..).unwrap_or_default()).map_err(unusable)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let name = name.ok_or_else(|| WitnessError::NoName { path: folder.to_owned() })?;
            let (cosigner, pkcs8) = Cosigner::generate(name).map_err(WitnessError::Key)?;
            let bytes = Zeroizing::new([name.as_bytes(), b"\n", &pkcs8].concat());
            write(folder, &path, &bytes)?;
            Ok(cosigner)
        }
        Err(source) => Err(WitnessError::Folder { path, source }),
    }
}

/// Whole or absent after a power cut, and read by nobody else: beside, synced, renamed, the folder synced.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), WitnessError> {
    let write = || -> io::Result<()> {
        let mut file = NamedTempFile::new_in(folder)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| WitnessError::Folder { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
