//! What must survive a power cut: the access log, epochs with their sealed shares, sealed loads and batches of questions,
//! stocks and budgets.
//! One SQLite file (WAL, synchronous=FULL), one desk where it is written, many readers. Only this room knows SQL and the
//! sealing at rest; it knows no HTTP and no law.
//!
//! A [`Store::write`] returns only when its change is on the disk. Waiting jobs share one commit, so one sync; each
//! runs in a savepoint of its own and fails alone. If a commit fails, nobody knows what the disk holds: every write
//! is refused from then on, until a restart has read back what is really there.
//!
//! Keys are files, readable by the service only: those of the log in `keys/` beside the database, those of epochs in a
//! folder of their own. Whoever destroys the file of an epoch destroys its loads, in every copy of the database.

mod anchor;
mod backup;
mod batches;
mod budgets;
mod chunks;
mod desk;
mod destroy;
mod epochs;
mod inspect;
mod keys;
mod loads;
mod log;
mod marks;
mod open;
mod outbox;
mod owner;
mod proofs;
mod regulations;
mod repeats;
mod restore;
mod retention;
mod room;
mod rotate;
mod spellings;
mod steps;
mod stocks;
mod subjects;
mod wal;
mod wrapping;
mod writer;

use std::io;
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;
use std::sync::{Mutex, RwLock};

use rusqlite::Connection;

use crate::audit::{AuditError, NoteVerifier, Receipt, Subtrees};
use crate::ids::EpochId;

pub use backup::{BackedUp, back_up};
pub use batches::{Batch, BatchResult, BatchState, NewBatch, ResultSealer, SealedResult, Unread};
pub use budgets::Asked;
pub use chunks::{ChunkKept, Chunks, SealedChunk};
pub use desk::Tx;
pub use destroy::{Destruction, Registers};
pub use epochs::{Reseal, Share};
pub use inspect::{Inspection, Seen, in_use, inspect};
pub use loads::{Load, LoadState, NewLoad};
pub use log::{Appended, LogLine};
pub use marks::{Mark, Marker, Marks};
pub use outbox::{Outbox, Waiting};
pub use owner::give_back;
pub use proofs::{ConsistencyProof, InclusionProof};
pub use regulations::{ActivatedRegulation, Gone, Proposal};
pub use repeats::{RepeatKey, Repeated};
pub use restore::{Restored, Terms, restore};
pub use retention::{Expiry, Hold, Step, Timed};
pub use rotate::{HandOver, rotate_log_key};
pub use spellings::Spellings;
pub use steps::Taken;
pub use stocks::Stock;
pub use writer::Stats;

/// Why the store did not do it. One variant per thing a caller can do about it; none repeats content.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot write in {}: let the service's user own the folder, mode 0700, on a writable disk", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} is not writable: give the file to the service's user and remount a read-only disk", path.display())]
    ReadOnly { path: PathBuf },
    #[error("{} is in use by another process: stop that one first", path.display())]
    InUse { path: PathBuf },
    #[error("{} was written by a newer version: run that version, or restore a backup", path.display())]
    NewerSchema { path: PathBuf },
    /// Do not repair by hand: an access log that was changed is an incident.
    #[error("the database is damaged or was changed outside the service ({what}): keep a copy, restore a backup")]
    Damaged { what: &'static str },
    /// As [`StoreError::Damaged`], where one entry can be named.
    #[error(
        "entry {index} of the access log {what}: the database is damaged or was changed outside the service; keep a copy, \
         restore a backup, tell the privacy officers"
    )]
    DamagedEntry { index: u64, what: &'static str },
    #[error("{} is there already, and nothing is overwritten: move it away, or choose another place", path.display())]
    Exists { path: PathBuf },
    #[error("{} is in the service's state folder, which a backup is to outlive: choose another place", path.display())]
    Inside { path: PathBuf },
    #[error("{} cannot be read as a backup: name the folder that `voorrang backup` made", path.display())]
    Backup { path: PathBuf, source: io::Error },
    #[error("{} is there but the database holds no log: restore a backup; a new log begins where it is gone", path.display())]
    LogLost { path: PathBuf },
    #[error("the log in the database is signed by another key or origin: set the origin and restore keys/log.key")]
    LogKey,
    /// The log in the database is older than what was remembered of it: a backup was put back, or worse.
    #[error(
        "the log holds {size} entries and {} remembers {anchored}: it was set back; keep a copy, tell the privacy \
         officers, restore a newer database", path.display()
    )]
    RolledBack { path: PathBuf, anchored: u64, size: u64 },
    #[error(
        "the log does not extend the one that {} remembers at {anchored} entries: keep a copy and tell the privacy \
         officers", path.display()
    )]
    Forked { path: PathBuf, anchored: u64 },
    #[error("{} is no checkpoint of this log: restore it, or put one there that an officer or witness has", path.display())]
    Anchor { path: PathBuf },
    #[error("{} is cosigned by none of access_log.witnesses: put one there that a witness has", path.display())]
    Cosignature { path: PathBuf },
    #[error("access_log.witnesses holds a text that is no witness's key: give what `voorrang audit witness` prints")]
    WitnessKey(#[source] AuditError),
    #[error("{} is missing while the log is not empty: put the newest checkpoint there that an officer has", path.display())]
    AnchorLost { path: PathBuf },
    #[error("key file {}: {what}", path.display())]
    Key { path: PathBuf, what: &'static str },
    #[error("the key of epoch {epoch} is missing or another one: restore {}, or begin a new epoch", path.display())]
    EpochKey { epoch: EpochId, path: PathBuf },
    #[error(
        "the key of epoch {epoch} is a credential that only the machine's administrator can remove: take it out of the \
         service's unit, shred its file in /etc/credstore.encrypted and every copy, restart the service, then destroy the \
         epoch again"
    )]
    EpochCredential { epoch: EpochId },
    #[error(
        "the change may not be on the disk and all writes are refused: make room or replace the disk, then restart"
    )]
    NotDurable,
    #[error(
        "another program deleted or replaced the write-ahead log voorrang.db-wal, and all writes are refused: stop the \
         service, which saves what it still has open, keep that program away, then start it"
    )]
    WalLost,
    #[error("the disk has too little room left and nothing was written: make room; no restart is needed")]
    Full,
    #[error("something else holds the database for longer than a write waits, and nothing was written: try again")]
    Busy,
    #[error("the store has stopped, or the job panicked: nothing was written")]
    Stopped,
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Somebody else changed it first, or it is already there.
    #[error("the {0}")]
    Conflict(&'static str),
    #[error("{expected} records were announced and {got} are there, or a chunk is missing: send what is missing")]
    LoadIncomplete { expected: u64, got: u64 },
    #[error("{expected} records were announced and this chunk brings more: begin again with the right number")]
    LoadOverfull { expected: u64 },
    #[error("this chunk makes it longer than {most} bytes: send only what was announced, without padding")]
    UploadTooLong { most: u64 },
    #[error("the log entry is refused")]
    Entry(#[from] AuditError),
    #[error("the database did not do an operation")]
    Sql(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    /// A file that is no database, a torn page, and a value that its column cannot hold are damage, wherever they are met.
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match (&error, error.sqlite_error_code()) {
            (_, Some(DatabaseCorrupt | NotADatabase)) => Self::Damaged { what: "SQLite cannot read it" },
            (FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..), _) => {
                Self::Damaged { what: "a value in it is none" }
            }
            _ => Self::Sql(error),
        }
    }
}

impl StoreError {
    /// Whether the access log is not what it should be. A memory of it that is gone or is none counts: whoever sets a log
    /// back begins there.
    pub fn is_about_the_log(&self) -> bool {
        let log = matches!(self, Self::RolledBack { .. } | Self::Forked { .. } | Self::LogKey | Self::LogLost { .. });
        let memory = matches!(self, Self::Anchor { .. } | Self::AnchorLost { .. } | Self::Cosignature { .. });
        log || memory || self.is_damage()
    }

    fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::DamagedEntry { .. })
    }

    /// Stable code for clients, metrics and the access log; never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "store_folder",
            Self::ReadOnly { .. } => "store_read_only",
            Self::InUse { .. } => "store_in_use",
            Self::NewerSchema { .. } => "store_newer_schema",
            Self::Damaged { .. } | Self::DamagedEntry { .. } => "store_damaged",
            Self::Exists { .. } => "store_exists",
            Self::Inside { .. } => "store_inside",
            Self::Backup { .. } => "store_backup",
            Self::LogLost { .. } => "store_log_lost",
            Self::LogKey => "store_log_key",
            Self::RolledBack { .. } => "store_rolled_back",
            Self::Forked { .. } => "store_forked",
            Self::Anchor { .. } => "store_anchor",
            Self::Cosignature { .. } => "store_cosignature",
            Self::WitnessKey(_) => "store_witness_key",
            Self::AnchorLost { .. } => "store_anchor_lost",
            Self::Key { .. } => "store_key",
            Self::EpochKey { .. } => "store_epoch_key",
            Self::EpochCredential { .. } => "store_epoch_credential",
            Self::NotDurable | Self::WalLost => "store_not_durable",
            Self::Full => "store_full",
            Self::Busy => "store_busy",
            Self::Stopped => "store_stopped",
            Self::NotFound(_) => "store_not_found",
            Self::Conflict(_) => "store_conflict",
            Self::LoadIncomplete { .. } => "store_load_incomplete",
            Self::LoadOverfull { .. } => "store_load_overfull",
            Self::UploadTooLong { .. } => "store_upload_too_long",
            Self::Entry(_) => "store_entry",
            Self::Sql(_) => "store_sql",
        }
    }
}

/// What a job returned, and the receipts of the entries it appended, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    pub value: T,
    pub receipts: Vec<Receipt>,
}

/// Where the store keeps what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The database, and the keys of the log beside it.
    pub state: PathBuf,
    /// Wrapping keys and tombstones of epochs: on another volume than `state`, and in no backup of it.
    pub epoch_keys: PathBuf,
    /// Wrapping keys that somebody else hands to the service, as systemd does.
    pub credentials: Option<PathBuf>,
}

#[cfg(test)]
impl From<&Path> for Folders {
    fn from(home: &Path) -> Self {
        Self { state: home.to_owned(), epoch_keys: home.join("epoch-keys"), credentials: None }
    }
}

/// Where the store is, and what it does beside storing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub folders: Folders,
    /// The log's name, a URL without schema.
    pub origin: String,
    /// The file that remembers the newest checkpoint, best on another disk.
    pub anchor: Option<PathBuf>,
    /// Files in which a witness or an officer leaves the last checkpoint it saw; only at the first start they may miss.
    pub witnessed: Vec<PathBuf>,
    /// Verifier keys, of which one has cosigned what is in each of those files; not asked for if there is none.
    pub witnesses: Vec<String>,
    /// Whether processing records are made.
    pub outbox: bool,
    /// Free bytes on the database's volume below which nothing is written.
    pub reserve: u64,
}

impl Setup {
    /// No memory outside and no processing records.
    pub fn new(folders: impl Into<Folders>, origin: &str) -> Self {
        let (origin, witnessed, witnesses) = (origin.to_owned(), Vec::new(), Vec::new());
        let (folders, reserve) = (folders.into(), room::RESERVE);
        Self { folders, origin, anchor: None, witnessed, witnesses, outbox: false, reserve }
    }

    fn database(&self) -> PathBuf {
        self.folders.state.join("voorrang.db")
    }
}

/// The open store. Dropping it waits for the jobs under way.
#[derive(Debug)]
pub struct Store {
    // Fields drop in this order: who reads goes, so that the writer's end empties the write-ahead log into the database,
    // then the last checkpoint is anchored, then the lock is released.
    readers: Mutex<Vec<Connection>>,
    writer: writer::Writer,
    anchor: Option<anchor::AnchorWriter>,
    database: PathBuf,
    keys: std::sync::Arc<keys::Keys>,
    epoch_keys: std::sync::Arc<wrapping::EpochKeys>,
    verifier: NoteVerifier,
    marker: std::sync::Arc<Marker>,
    subtrees: RwLock<Subtrees>,
    _lock: std::fs::File,
}

impl Store {
    /// Opens or creates the store in these folders, whose log has the name `origin` (a URL without schema).
    ///
    /// Every start reads the whole log: entries against leaf hashes, leaf hashes against the last signed checkpoint.
    /// Half loads stay, and their custodians go on with them.
    ///
    /// # Errors
    /// Anything of [`StoreError`] that a folder, a key file or a database can be wrong in: the service must not start.
    pub fn open(folders: impl Into<Folders>, origin: &str) -> Result<Self, StoreError> {
        Self::open_with(&Setup::new(folders, origin))
    }

    /// Whether there is room to write.
    pub fn has_room(&self) -> bool {
        room::Room::new(&self.database, room::RESERVE).check().is_ok()
    }

    /// [`Store::open`] with a memory outside the database and processing records.
    ///
    /// # Errors
    /// Also [`StoreError::RolledBack`] and its kin: the log is not the one that is remembered.
    pub fn open_with(setup: &Setup) -> Result<Self, StoreError> {
        open::open(setup)
    }

    /// Runs `job` in a savepoint, and returns when it is durable. Blocks: on an async thread use
    /// [`Store::write_async`].
    ///
    /// A job that returns an error leaves no trace, its log entries included; log a refusal in a job that succeeds.
    ///
    /// # Errors
    /// The job's own, or [`StoreError::NotDurable`] or [`StoreError::Stopped`].
    pub fn write<T, E>(&self, job: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<Written<T>, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.wait(self.writer.put(job))
    }

    /// [`Store::write`] for async callers. The job is under way when this returns; dropping the future does not
    /// stop it.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn write_async<T, E, F>(&self, job: F) -> impl Future<Output = Result<Written<T>, E>> + Send + use<T, E, F>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let reply = self.writer.send(job);
        async move { reply.await.unwrap_or_else(|_| Err(StoreError::Stopped.into())) }
    }

    /// [`Store::write`] for several jobs at once: they share commits, and each fails alone.
    pub fn write_each<T, E, F>(&self, jobs: impl IntoIterator<Item = F>) -> Vec<Result<Written<T>, E>>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let answers: Vec<_> = jobs.into_iter().map(|job| self.writer.put(job)).collect();
        answers.into_iter().map(|answer| self.writer.wait(answer)).collect()
    }

    /// Commits and jobs since the start, and whether writes are refused.
    pub fn stats(&self) -> Stats {
        self.writer.stats()
    }

    /// Looks whether the write-ahead log that is open still is the one at its path.
    ///
    /// # Errors
    /// [`StoreError::WalLost`]; every write is refused then.
    pub fn check_wal(&self) -> Result<(), StoreError> {
        self.writer.check_wal()
    }

    /// For how long the log's anchor could not be written; `None` if it was, or there is none.
    pub fn anchor_failing(&self) -> Option<std::time::Duration> {
        self.anchor.as_ref().and_then(anchor::AnchorWriter::failing)
    }

    /// What the log's checkpoints are checked with.
    pub fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    /// Lends a read-only connection; what it sees is committed.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let pool = || self.readers.lock().unwrap_or_else(|broken| broken.into_inner());
        let waiting = pool().pop();
        let reader = waiting.map_or_else(|| open::reader(&self.database), Ok)?;
        let result = work(&reader);
        pool().push(reader);
        result
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod flips;
