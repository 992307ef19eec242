//! The way in: folder, lock, schema, and what a start checks before anything is answered.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{Error as MigrationError, M, MigrationDefinitionError, Migrations};

use super::anchor::AnchorWriter;
use super::keys::Keys;
use super::marks::Marker;
use super::room::Room;
use super::wrapping::EpochKeys;
use super::writer::Writer;
use super::{Setup, Store, StoreError, loads, log, wal};
use crate::epoch::{Epoch, State};

const MIGRATIONS: &[M<'_>] = &[
    M::up(include_str!("migrations/001-first.sql")),
    M::up(include_str!("migrations/002-second.sql")),
    M::up(include_str!("migrations/003-third.sql")),
];

/// The lock, the writing connection, the keys and the log, all checked.
pub(super) fn opened(setup: &Setup) -> Result<(File, Connection, Arc<Keys>, log::Log), StoreError> {
    let folder = setup.folders.state.as_path();
    make_folder(folder)?;
    let lock = lock(&folder.join("voorrang.lock"))?;
    let database = setup.database();
    if !database.exists() {
        setup.require_new()?;
    }
    let mut db = open_writer(&database)?;
    migrate(&mut db, &database)?;
    quick_check(&db)?;
    let keys = Arc::new(Keys::open(&folder.join("keys"))?);
    let log = log::start(&mut db, &keys, setup)?;
    wal::empty(&db, &database)?;
    Ok((lock, db, keys, log))
}

pub(super) fn open(setup: &Setup) -> Result<Store, StoreError> {
    let (lock, mut db, keys, log) = opened(setup)?;
    let database = setup.database();
    let epoch_keys = Arc::new(EpochKeys::open(&setup.folders)?);
    let verifier = log.verifier();
    loads::delete_superseded(&mut db)?;
    // Nobody can read them any more.
    db.execute_batch("DELETE FROM mark; DELETE FROM spelling")?;
    let newest = log::stored_note(&db)?.unwrap_or_default();
    let anchor = setup.anchor.as_deref().map(|path| AnchorWriter::start(path, &newest)).transpose()?;
    wal::lengthen(&database)?;
    let room = Room::new(&database, setup.reserve);
    let (desk, opened) = (anchor.as_ref().map(AnchorWriter::desk), wal::Opened::new(&database)?);
    let writer = Writer::start(db, log, Arc::clone(&epoch_keys), desk, room, opened)?;
    let (readers, subtrees, _lock) = (Mutex::default(), RwLock::default(), lock);
    let marker = Arc::new(Marker::new());
    let store = Store { readers, writer, anchor, database, keys, epoch_keys, verifier, marker, subtrees, _lock };
    // A tombstone counts more than a restored database: what it names is buried before anybody is answered.
    let buried = store.epoch_keys.buried()?;
    let lives = |epoch: &Epoch| epoch.state != State::Destroyed && !buried.contains(&epoch.id);
    let living = store.epochs()?.into_iter().filter(lives);
    living.map(|epoch| epoch.id).try_for_each(|epoch| store.epoch_keys.subjects.check(&epoch))?;
    Ok(store)
}

/// A connection that cannot write.
pub(super) fn reader(database: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(database, flags)?;
    db.busy_timeout(Duration::from_secs(5))?;
    Ok(db)
}

pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Folder { path: folder.to_owned(), source };
    match DirBuilder::new().mode(0o700).recursive(true).create(folder) {
        Ok(()) if fs::metadata(folder).map_err(failed)?.is_dir() => Ok(()),
        Ok(()) => Err(failed(ErrorKind::NotADirectory.into())),
        Err(source) => Err(failed(source)),
    }
}

pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let folder = |source| StoreError::Folder { path: path.parent().unwrap_or(path).to_owned(), source };
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path).map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(folder(source)),
    }
}

/// Makes the database where there is none; SQLite gives its companions -wal and -shm its mode. Whoever opens and closes
/// one that is there drops every lock that this process has on it (POSIX), SQLite's too, and another process that
/// closes the database then deletes the log under the service: <https://www.sqlite.org/howtocorrupt.html>, 2.2.
fn create(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            Err(StoreError::ReadOnly { path: path.to_owned() })
        }
        Err(source) => Err(StoreError::Folder { path: path.to_owned(), source }),
    }
}

pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    create(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    if db.is_readonly("main")? {
        return Err(StoreError::ReadOnly { path: path.to_owned() });
    }
    // Before the first table: free pages can then be given back bit by bit, where VACUUM would hold up every answer.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Damaged { what: "it cannot keep a write-ahead log" });
    }
    // FULL syncs the WAL at each commit; NORMAL was measured to lose answers at a power cut.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    // The copier does it, so that no commit waits for it.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.pragma_update(None, "trusted_schema", false)?;
    // What expires is overwritten, not only unlinked.
    db.pragma_update(None, "secure_delete", true)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

pub(super) fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    match Migrations::from_slice(MIGRATIONS).to_latest(db) {
        Ok(()) => Ok(()),
        Err(MigrationError::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead)) => {
            Err(StoreError::NewerSchema { path: path.to_owned() })
        }
        Err(MigrationError::RusqliteError { err, .. }) => Err(err.into()),
        Err(_) => Err(StoreError::Damaged { what: "its schema version makes no sense" }),
    }
}

pub(super) fn quick_check(db: &Connection) -> Result<(), StoreError> {
    let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Damaged { what: "quick_check found a fault" }) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ORIGIN, folder, open};
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_second_open_is_refused_until_the_first_ends() {
        let home = folder();
        let first = open(&home);
        assert!(matches!(Store::open(home.path(), ORIGIN), Err(StoreError::InUse { .. })));
        drop(first);
        assert!(Store::open(home.path(), ORIGIN).is_ok());
    }

    /// Without it a reader of another process, a backup tool for one, deletes the write-ahead log when it closes.
    #[test]
    fn every_start_holds_sqlite_s_lock_on_the_database() {
        let home = folder();
        for start in ["first", "second"] {
            let store = open(&home);
            let inode = fs::metadata(home.path().join("voorrang.db")).unwrap().ino();
            let held = |line: &str| line.contains("POSIX") && line.contains(&format!(":{inode} "));
            let locks = fs::read_to_string("/proc/locks").unwrap();
            assert!(locks.lines().any(held), "{start} start: {locks}");
            drop(store);
        }
    }

    #[test]
    fn everything_is_for_the_service_only() {
        let home = folder();
        let inner = home.path().join("a/b");
        let store = Store::open(inner.as_path(), ORIGIN).unwrap();
        let mode = |path: &str| fs::metadata(inner.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("keys"), mode("epoch-keys")), (0o700, 0o700, 0o700));
        for file in ["voorrang.db", "voorrang.db-wal", "voorrang.lock", "keys/log.key", "keys/repeat.key"] {
            assert_eq!(mode(file), 0o600, "{file}");
        }
        drop(store);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let home = folder();
        fs::write(home.path().join("file"), "x").unwrap();
        // As root permissions do not count: below a file, and on a file system that takes no files.
        for bad in [home.path().join("file/below"), home.path().join("file"), "/proc/self".into()] {
            let error = Store::open(bad.as_path(), ORIGIN).unwrap_err();
            assert!(matches!(error, StoreError::Folder { .. }), "{error:?}");
            assert!(error.to_string().contains("0700"), "{error}");
        }
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let home = folder();
        drop(open(&home));
        let path = home.path().join("voorrang.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Store::open(home.path(), ORIGIN), Err(StoreError::NewerSchema { .. })));
        let version = Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0));
        assert_eq!(version, Ok(99));
    }

    #[test]
    fn a_file_that_is_no_database_is_damaged() {
        let home = folder();
        fs::write(home.path().join("voorrang.db"), "no database".repeat(1000)).unwrap();
        assert!(matches!(Store::open(home.path(), ORIGIN), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_reader_cannot_write() {
        let home = folder();
        let _store = open(&home);
        let db = reader(&home.path().join("voorrang.db")).unwrap();
        assert!(db.execute("DELETE FROM leaf", []).is_err());
    }
}
