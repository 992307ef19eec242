//! A copy of the database as it was at one moment, made while the service runs. Keys of the log leave only sealed, keys
//! of epochs never: what was destroyed is destroyed in every backup.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use ring::digest;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::keys::{self, Keys};
use super::{Setup, Store, StoreError, log, open};
use crate::audit::{self, AuditError};

/// Where a backup leaves word for the service, in the state folder: a file each, with the number of entries copied.
const WORD: &str = "backups";

/// Behind the name of a word that is being recorded.
const TAKEN: &str = "-taken";

pub(super) const DATABASE: &str = "voorrang.db";
pub(super) const MANIFEST: &str = "manifest";
pub(super) const CHECKPOINT: &str = "checkpoint";
/// First line of a manifest. It is no origin of a log, so its signature is never one under a checkpoint.
const TITLE: &str = "voorrang backup v1";
/// What a sealed key is called: `log.key.age`.
pub(super) const SEALED: &str = "age";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Entries of the access log.
    pub entries: u64,
    /// Bytes of the database.
    pub bytes: u64,
    /// Whether the log's keys are in it, sealed.
    pub keys: bool,
}

/// Copies the database into a new folder `to`, checks the copy, and signs what it is. The log's keys come with it only
/// for `recipients` (public age keys), each key an age file.
///
/// # Errors
/// [`StoreError::Exists`] if something is in `to`, [`StoreError::Inside`] if that is in the state folder;
/// [`StoreError::Damaged`] and its kin if the copy is not whole. Nothing is left behind then.
pub fn back_up(setup: &Setup, to: &Path, recipients: &[String], now: OffsetDateTime) -> Result<BackedUp, StoreError> {
    let folder = |source| StoreError::Folder { path: to.to_owned(), source };
    if is_inside(to, &setup.folders.state).map_err(folder)? {
        return Err(StoreError::Inside { path: to.to_owned() });
    }
    let beside = beside(to).map_err(folder)?;
    let copy = beside.path().join(DATABASE);
    copy_database(&setup.database(), &copy)?;
    let found = Keys::existing(&setup.folders.state.join("keys"))?;
    // Its memory outside may be ahead of the copy by now: the copy is held against itself only.
    let alone = Setup { anchor: None, witnessed: Vec::new(), ..setup.clone() };
    let db = open::reader(&copy)?;
    let log = log::verified(&db, &found, &alone)?.ok_or(StoreError::Damaged { what: "it holds no log" })?;
    let note = log::stored_note(&db)?.unwrap_or_default();
    drop(db);
    let entries = log.frontier().size();
    let manifest = log.sign(&manifest(entries, &digest_of(&copy).map_err(folder)?, now));
    put(&beside.path().join(MANIFEST), manifest.as_bytes()).map_err(folder)?;
    put(&beside.path().join(CHECKPOINT), note.as_bytes()).map_err(folder)?;
    if !recipients.is_empty() {
        seal_keys(&setup.folders.state.join("keys"), beside.path(), recipients)?;
    }
    let bytes = fs::metadata(&copy).map_err(folder)?.len();
    let word = leave_word(&setup.folders.state, entries)?;
    // Nothing was copied that somebody could use.
    settle(beside, to).inspect_err(|_| drop(fs::remove_file(&word)))?;
    Ok(BackedUp { entries, bytes, keys: !recipients.is_empty() })
}

/// A process beside the service cannot append to its log, so it tells the service, which owns what root leaves there.
fn leave_word(state: &Path, entries: u64) -> Result<PathBuf, StoreError> {
    let folder = &state.join(WORD);
    open::make_folder(folder)?;
    let write = || -> io::Result<PathBuf> {
        // Its name has a dot before it until it is whole.
        let owner = fs::metadata(state)?;
        let mut file = tempfile::Builder::new().prefix(".").tempfile_in(folder)?;
        for path in [folder.as_path(), file.path()] {
            chown(path, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.write_all(entries.to_string().as_bytes())?;
        file.as_file().sync_all()?;
        let name = file.path().file_name().unwrap_or_default().to_string_lossy().replace('.', "");
        let path = folder.join(name);
        file.persist(&path)?;
        File::open(folder)?.sync_all()?;
        Ok(path)
    };
    write().map_err(|source| StoreError::Folder { path: folder.to_owned(), source })
}

impl Store {
    /// Words of backups that the log does not know of yet, and how many entries each copied. What is no file with a number
    /// is no word.
    ///
    /// # Errors
    /// [`StoreError::Folder`].
    pub fn backups_made(&self) -> Result<Vec<(PathBuf, u64)>, StoreError> {
        let folder = self.database.with_file_name(WORD);
        let failed = |source| StoreError::Folder { path: folder.clone(), source };
        let files = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(failed)?,
        };
        let mut words = Vec::new();
        for file in files {
            let file = file.map_err(failed)?;
            let is_whole = !file.file_name().to_string_lossy().starts_with('.');
            if is_whole && file.file_type().map_err(failed)?.is_file() {
                let number = fs::read_to_string(file.path()).ok().and_then(|text| text.parse().ok());
                words.extend(number.map(|number| (file.path(), number)));
            }
        }
        Ok(words)
    }

    /// Takes a word for recording; returns where it is until it is removed. One that cannot be moved could not be removed
    /// either, and would be recorded again and again.
    ///
    /// # Errors
    /// [`StoreError::Folder`].
    pub fn take_word(&self, word: &Path) -> Result<PathBuf, StoreError> {
        let name = word.file_name().unwrap_or_default().to_string_lossy();
        let taken =
            word.with_file_name(name.strip_suffix(TAKEN).map_or_else(|| format!("{name}{TAKEN}"), str::to_owned));
        let moved = fs::rename(word, &taken);
        moved.map_err(|source| StoreError::Folder { path: word.to_owned(), source })?;
        Ok(taken)
    }
}

/// Whether a backup would stand in the folder that it is to outlive.
fn is_inside(to: &Path, state: &Path) -> io::Result<bool> {
    let (Ok(state), parent) = (state.canonicalize(), parent(to)) else { return Ok(false) };
    Ok(parent.canonicalize()?.starts_with(state))
}

fn parent(to: &Path) -> &Path {
    to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A hidden folder, for its owner only, on the volume where the backup will stand.
fn beside(to: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(".voorrang-").permissions(Permissions::from_mode(0o700)).tempdir_in(parent(to))
}

/// All pages of one moment, in one file without a write-ahead log. Whoever writes meanwhile does not wait.
fn copy_database(from: &Path, to: &Path) -> Result<(), StoreError> {
    empty(to).map_err(|source| StoreError::Folder { path: to.to_owned(), source })?;
    let (source, mut target) = (open::reader(from)?, Connection::open(to)?);
    // In one step: one that is interrupted begins anew at each commit of the service.
    Backup::new(&source, &mut target)?.step(-1)?;
    let mode: String = target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode != "delete" {
        return Err(StoreError::Damaged { what: "its copy keeps a write-ahead log" });
    }
    whole(&target)
}

/// SQLite's own look at every page and index.
pub(super) fn whole(db: &Connection) -> Result<(), StoreError> {
    let found: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Damaged { what: "integrity_check found a fault" }) }
}

fn manifest(entries: u64, digest: &str, now: OffsetDateTime) -> String {
    let made = now.truncate_to_second().format(&Rfc3339).expect("a year of four digits has this form");
    let program = env!("CARGO_PKG_VERSION");
    format!("{TITLE}\nmade {made}\nprogram {program}\nentries {entries}\ndatabase sha256 {digest}\n")
}

/// Whether a manifest names this database.
pub(super) fn names(manifest: &str, digest: &str) -> bool {
    manifest.starts_with(TITLE) && manifest.lines().any(|line| line.strip_prefix("database sha256 ") == Some(digest))
}

/// SHA-256 of a file, hexadecimal.
pub(super) fn digest_of(path: &Path) -> io::Result<String> {
    struct Sum(digest::Context);
    impl Write for Sum {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut sum = Sum(digest::Context::new(&digest::SHA256));
    io::copy(&mut File::open(path)?, &mut sum)?;
    Ok(hex::encode(sum.0.finish()))
}

fn seal_keys(from: &Path, to: &Path, recipients: &[String]) -> Result<(), StoreError> {
    for name in keys::names(from)? {
        if let Some(key) = keys::read(&from.join(&name))? {
            let sealed = audit::wrap(&key, recipients).map_err(|error| unsealable(&from.join(&name), &error))?;
            let failed = |source| StoreError::Folder { path: to.to_owned(), source };
            put(&to.join(format!("{name}.{SEALED}")), &sealed).map_err(failed)?;
        }
    }
    Ok(())
}

/// Why a key cannot be sealed or opened.
pub(super) fn unsealable(path: &Path, error: &AuditError) -> StoreError {
    let what = if let AuditError::Seal(what) = error { what } else { "it cannot be sealed or opened" };
    StoreError::Key { path: path.to_owned(), what }
}

/// An empty file that only its owner reads.
pub(super) fn empty(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

pub(super) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = empty(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Durable first, then under its name, which nothing else may have.
fn settle(beside: TempDir, to: &Path) -> Result<(), StoreError> {
    let folder = |source| StoreError::Folder { path: to.to_owned(), source };
    File::open(beside.path().join(DATABASE)).and_then(|file| file.sync_all()).map_err(folder)?;
    File::open(beside.path()).and_then(|folder| folder.sync_all()).map_err(folder)?;
    match fs::rename(beside.path(), to) {
        Ok(()) => drop(beside.keep()),
        Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory) => {
            return Err(StoreError::Exists { path: to.to_owned() });
        }
        Err(error) => return Err(folder(error)),
    }
    let parent = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(folder)
}
