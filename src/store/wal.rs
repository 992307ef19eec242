//! The write-ahead log as a file. A commit is one sync of it and nothing else: it has its length from the start, because
//! growing costs a second write of the file system's own, and its pages are copied into the database beside the answers.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, OpenFlags, Row};

use super::StoreError;

/// Pages that the file has room for from the start: 4 MB.
const ROOM: u64 = 1024;

/// From so many pages on they are copied into the database,
const COPY: i64 = 512;

/// and the last ones, while nobody writes, by the writer: the log begins anew only when all are copied.
const LAST: i64 = 64;

/// From so many on it copies all of them, because the copier does not keep up.
const BEHIND: i64 = 8192;

/// Header of the file, and of each page in it (<https://www.sqlite.org/fileformat2.html#walformat>).
const FILE_HEADER: u64 = 32;
const PAGE: u64 = 24 + 4096;

/// Gives the file its length, with zeros, which SQLite takes for the end of what was written. Only where nobody commits:
/// before the writer starts, or on its thread.
///
/// # Errors
/// If the disk does not take it.
pub(super) fn lengthen(database: &Path) -> Result<(), StoreError> {
    let path = beside(database);
    let put = || -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let missing = (FILE_HEADER + ROOM * PAGE).saturating_sub(file.metadata()?.len());
        io::copy(&mut io::repeat(0).take(missing), &mut file)?;
        file.sync_all()
    };
    put().map_err(|source| StoreError::Folder { path: path.clone(), source })
}

/// Copies every page into the database, syncs it, and begins the log anew. After a sync that failed the kernel may
/// show pages of the log as written that it never wrote: what is acknowledged next must not stand behind them, where a
/// power cut would cut it off.
///
/// # Errors
/// If the disk does not take it, or another process still reads from the log.
pub(super) fn empty(db: &Connection, database: &Path) -> Result<(), StoreError> {
    let busy: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy { Err(StoreError::InUse { path: database.to_owned() }) } else { Ok(()) }
}

/// The file that SQLite has open.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    path: PathBuf,
    inode: (u64, u64),
}

impl Opened {
    /// # Errors
    /// If it is not there.
    pub(super) fn new(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database);
        let inode = inode(&path).map_err(|source| StoreError::Folder { path: path.clone(), source })?;
        Ok(Self { path, inode })
    }

    /// That it still lies at its path; while it is open no other file has its inode. Another program that closes the
    /// database, and takes itself for the last one, deletes it: what is committed then goes into a file without a name.
    ///
    /// # Errors
    /// [`StoreError::WalLost`].
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let is_there = inode(&self.path).is_ok_and(|found| found == self.inode);
        if is_there { Ok(()) } else { Err(StoreError::WalLost) }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Copies pages into the database on a thread of its own, so that answers do not wait for it; but for the last ones, and
/// all where it does not keep up: for these who has the desk waits.
#[derive(Debug)]
pub(super) struct Copier {
    /// `None` only while dropping: the closed channel ends the thread.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    /// `failed` is told if the disk does not take the pages: what it holds then is not known.
    pub(super) fn start(database: &Path, failed: impl Fn(&StoreError) + Send + 'static) -> Result<Self, StoreError> {
        let db =
            Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        // One that waits already will see what comes with this one.
        let (wake, wakes) = mpsc::sync_channel(1);
        let thread = thread::spawn(move || {
            while wakes.recv().is_ok() {
                if let Err(error) = copy(&db) {
                    failed(&error);
                }
            }
        });
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// Looks how long the log has become since it was copied last; `db` is the writer's.
    ///
    /// # Errors
    /// [`StoreError::Sql`]: as after a failed commit, nobody knows what the disk holds.
    pub(super) fn look(&self, db: &Connection) -> Result<(), StoreError> {
        let sql = "PRAGMA wal_checkpoint(NOOP)";
        let look = |row: &Row<'_>| Ok((row.get(1)?, row.get(2)?));
        let (pages, copied): (i64, i64) = db.prepare_cached(sql)?.query_row([], look)?;
        if pages >= BEHIND || pages >= COPY && pages - copied <= LAST {
            return copy(db);
        }
        if let (true, Some(wake)) = (pages >= COPY, &self.wake) {
            // Full: one wake waits already.
            let _full = wake.try_send(());
        }
        Ok(())
    }
}

/// Syncs the database before the log may begin anew. Readers and the writer go on meanwhile.
pub(super) fn copy(db: &Connection) -> Result<(), StoreError> {
    Ok(db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // Its only fault would be a panic; the pages are in the log then.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::fixture::{append, entry, folder, open, open_in};
    use super::*;

    #[test]
    fn the_log_does_not_grow_while_one_after_the_other_is_appended() {
        let home = folder();
        let store = open(&home);
        let path = home.path().join("voorrang.db-wal");
        let length = || fs::metadata(&path).unwrap().len();
        assert_eq!(length(), FILE_HEADER + ROOM * PAGE);
        let (before, database) = (length(), home.path().join("voorrang.db"));
        let small = fs::metadata(&database).unwrap().len();
        // Several times as many pages as it has room for.
        (0..1500).for_each(|_| drop(append(&store)));
        assert_eq!(length(), before, "an append changes no metadata of the file");
        // Far beyond the room: the pages go into the database meanwhile.
        for _ in 0..40 {
            store.write(|tx| (0..100).try_for_each(|_| tx.append(&entry()).map(drop))).unwrap();
        }
        let until = Instant::now() + Duration::from_secs(30);
        while fs::metadata(&database).unwrap().len() == small {
            assert!(Instant::now() < until, "nothing was copied into the database");
            append(&store);
        }
    }

    /// As another program that closes the database does it; or puts another one in its place.
    #[test]
    fn nothing_is_acknowledged_that_went_into_a_write_ahead_log_without_a_name() {
        for put_back in [false, true] {
            let home = folder();
            let store = open(&home);
            append(&store);
            store.check_wal().unwrap();
            let path = home.path().join("voorrang.db-wal");
            fs::remove_file(&path).unwrap();
            if put_back {
                fs::write(&path, "").unwrap();
            } else {
                // A look finds it before anybody writes.
                assert!(matches!(store.check_wal(), Err(StoreError::WalLost)));
            }
            for _ in 0..2 {
                let error = store.write(|tx| tx.append(&entry())).unwrap_err();
                assert!(matches!(error, StoreError::WalLost), "{error:?}");
            }
            assert!(store.stats().poisoned && store.stats().wal_lost);
        }
    }

    #[test]
    fn a_start_leaves_nothing_in_the_log_that_the_database_does_not_have() {
        let home = folder();
        let store = open(&home);
        append(&store);
        let copy = folder();
        fs::create_dir(copy.path().join("keys")).unwrap();
        for name in ["voorrang.db", "voorrang.db-wal", "keys/log.key", "keys/repeat.key"] {
            fs::copy(home.path().join(name), copy.path().join(name)).unwrap();
        }
        let _revived = open_in(copy.path());
        let alone = copy.path().join("alone.db");
        fs::copy(copy.path().join("voorrang.db"), &alone).unwrap();
        let entries =
            || Connection::open(&alone).unwrap().query_row("SELECT count(*) FROM entry", [], |row| row.get(0));
        assert_eq!(entries(), Ok(1));
        let log = fs::read(copy.path().join("voorrang.db-wal")).unwrap();
        assert!(log.iter().all(|byte| *byte == 0), "it begins anew");
    }

    #[test]
    fn zeros_behind_what_was_written_are_no_entries_also_after_a_kill() {
        let home = folder();
        let store = open(&home);
        let kept = (0..20).fold(append(&store), |_, _| append(&store));
        let copy = folder();
        fs::create_dir(copy.path().join("keys")).unwrap();
        // As a kill leaves it: the log as it is, nothing copied by a close.
        for name in ["voorrang.db", "voorrang.db-wal", "keys/log.key", "keys/repeat.key"] {
            fs::copy(home.path().join(name), copy.path().join(name)).unwrap();
        }
        let revived = open_in(copy.path());
        assert_eq!(revived.checkpoint().unwrap(), kept.checkpoint);
        assert_eq!(append(&revived).index, 21);
    }
}
