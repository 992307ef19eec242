//! The way back from a backup. Everything is checked beside the place where it will stand, and nothing is overwritten. A
//! log that is shorter than somebody remembers comes back only by a word of the administrator's, and says so itself.

use std::cell::RefCell;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::backup::{self, DATABASE, MANIFEST, SEALED};
use super::desk::Tx;
use super::keys::{self, Keys};
use super::log::{self, Log};
use super::wrapping::EpochKeys;
use super::{Setup, StoreError, anchor, open};
use crate::audit::{self, Action, Entry, Range};

const BESIDE: &str = "restoring";

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Entries of the access log, with the one that says so.
    pub entries: u64,
    /// Entries that the log had behind these, and that are lost.
    pub lost: u64,
    /// Whether the log's keys came back with it.
    pub keys: bool,
}

/// What the administrator says to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// Text of the identity file that opens sealed keys.
    pub identity: Option<&'a str>,
    /// That the log comes back shorter than its anchor remembers.
    pub loss: bool,
}

/// Puts a backup where there is no database, after SQLite, the log's own signatures, the anchor and every witness agree
/// with it; `entry` is what the log says of it.
///
/// # Errors
/// [`StoreError::Exists`] if there is a database, [`StoreError::InUse`] if the service runs, [`StoreError::RolledBack`]
/// and its kin if more of the log, or another one, is remembered. Nothing is in place then.
pub fn restore(setup: &Setup, from: &Path, terms: Terms<'_>, mut entry: Entry) -> Result<Restored, StoreError> {
    let state = setup.folders.state.as_path();
    open::make_folder(state)?;
    let _lock = open::lock(&state.join("voorrang.lock"))?;
    // A write-ahead log of another database would be read as this one's.
    if let Some(path) = parts(&setup.database()).into_iter().find(|path| path.exists()) {
        return resumed(setup, terms)?.ok_or(StoreError::Exists { path });
    }
    let folder = |source| StoreError::Folder { path: state.to_owned(), source };
    let beside = beside(state).map_err(folder)?;
    let keys_came = bring_keys(state, from, beside.path(), terms.identity)?;
    let home = if keys_came { beside.path() } else { state };
    let keys = Keys::existing(&home.join("keys"))?;
    let copy = beside.path().join(DATABASE);
    let unreadable = |source| StoreError::Backup { path: from.to_owned(), source };
    fs::copy(from.join(DATABASE), &copy).map_err(unreadable)?;
    let manifest = fs::read_to_string(from.join(MANIFEST)).map_err(unreadable)?;
    let digest = backup::digest_of(&copy).map_err(folder)?;
    let mut db = open::open_writer(&copy)?;
    open::migrate(&mut db, &copy)?;
    backup::whole(&db)?;
    let (log, lost) = verified(&db, &keys, setup, terms.loss)?;
    let text = log.verifier().verify(&manifest).map(str::to_owned).map_err(|_| StoreError::LogKey)?;
    if !backup::names(&text, &digest) {
        return Err(StoreError::Damaged { what: "the manifest of the backup names another database" });
    }
    let entries = log.frontier().size() + 1;
    entry.entries = (lost > 0).then(|| Range { from: entries - 1, to: entries - 1 + lost });
    let note = record(&db, log, setup, &entry)?;
    settle(db, &copy, beside.path(), setup, keys_came)?;
    drop(beside);
    if lost > 0 {
        setup.anchor.as_deref().map_or(Ok(()), |anchor| give_way(anchor, &note))?;
    }
    Ok(Restored { entries, lost, keys: keys_came })
}

/// Ends a restore that accepted a loss and was cut between putting the database in place and telling the anchor. It is told
/// by the database's last entry, which says that everything is lost that the anchor knows beyond it.
fn resumed(setup: &Setup, terms: Terms<'_>) -> Result<Option<Restored>, StoreError> {
    let Some(anchor) = setup.anchor.as_deref().filter(|_| terms.loss && setup.database().exists()) else {
        return Ok(None);
    };
    let db = open::open_writer(&setup.database())?;
    let keys = Keys::existing(&setup.folders.state.join("keys"))?;
    let Err(StoreError::RolledBack { path, anchored, size }) = log::verified(&db, &keys, setup) else {
        return Ok(None);
    };
    let last = log::last(&db)?.and_then(|bytes| Entry::from_bytes(&bytes).ok());
    let said = last.filter(|entry| entry.action == Action::Restore).and_then(|entry| entry.entries);
    if path != *anchor || said != Some(Range { from: size - 1, to: anchored }) {
        return Ok(None);
    }
    // Whatever else remembers the log agrees with it.
    log::verified(&db, &keys, &Setup { anchor: None, ..setup.clone() })?;
    let note = log::stored_note(&db)?.ok_or(StoreError::NotFound("checkpoint"))?;
    give_way(anchor, &note)?;
    Ok(Some(Restored { entries: size, lost: anchored + 1 - size, keys: false }))
}

/// The place of the checks, which goes away with this value. What a kill left there of an earlier attempt goes first.
fn beside(state: &Path) -> io::Result<TempDir> {
    match fs::remove_dir_all(state.join(BESIDE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            let mut folder = tempfile::Builder::new();
            folder.prefix(BESIDE).rand_bytes(0).permissions(Permissions::from_mode(0o700)).tempdir_in(state)
        }
    }
}

/// Opens sealed keys beside, if the state folder has none; whether it did.
fn bring_keys(state: &Path, from: &Path, beside: &Path, identity: Option<&str>) -> Result<bool, StoreError> {
    let Some(identity) = identity.filter(|_| !state.join("keys/log.key").exists()) else {
        return Ok(false);
    };
    let folder = beside.join("keys");
    open::make_folder(&folder)?;
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Backup { path, source }
    };
    for entry in fs::read_dir(from).map_err(unreadable(from))? {
        let sealed = entry.map_err(unreadable(from))?.path();
        let name = sealed.file_name().and_then(|name| name.to_str()?.strip_suffix(SEALED)?.strip_suffix('.'));
        if let Some(name) = name.filter(|name| keys::is_key(name)) {
            let bytes = fs::read(&sealed).map_err(unreadable(&sealed))?;
            let key = audit::unwrap(&bytes, identity).map_err(|error| backup::unsealable(&sealed, &error))?;
            keys::create(&folder.join(name), &key)?;
        }
    }
    Ok(true)
}

/// The log of the copy, and how many entries of it are lost. Only the anchor gives way; a witness never does.
fn verified(db: &Connection, keys: &Keys, setup: &Setup, accept_loss: bool) -> Result<(Log, u64), StoreError> {
    let log = |setup: &Setup| log::verified(db, keys, setup)?.ok_or(StoreError::Damaged { what: "it holds no log" });
    match log(setup) {
        Err(StoreError::RolledBack { path, anchored, size }) if accept_loss && setup.anchor.as_ref() == Some(&path) => {
            Ok((log(&Setup { anchor: None, ..setup.clone() })?, anchored - size))
        }
        other => Ok((other?, 0)),
    }
}

/// Appends what the log says of its way back; the checkpoint that covers it.
fn record(db: &Connection, log: Log, setup: &Setup, entry: &Entry) -> Result<String, StoreError> {
    let (keys, log) = (EpochKeys::open(&setup.folders)?, RefCell::new(log));
    let moment = db.unchecked_transaction()?;
    let tx = Tx { db, log: &log, keys: &keys, appended: RefCell::default() };
    tx.append(entry)?;
    let note = log.borrow().store_checkpoint(db)?;
    moment.commit()?;
    Ok(note)
}

/// Keys first, then the database: a start that finds a key and no database is refused.
fn settle(db: Connection, copy: &Path, beside: &Path, setup: &Setup, with_keys: bool) -> Result<(), StoreError> {
    let mode: String = db.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode != "delete" {
        return Err(StoreError::Damaged { what: "its copy keeps a write-ahead log" });
    }
    drop(db);
    let state = setup.folders.state.as_path();
    let put = || -> io::Result<()> {
        File::open(copy)?.sync_all()?;
        if with_keys {
            for key in fs::read_dir(beside.join("keys"))? {
                let key = key?;
                fs::rename(key.path(), state.join("keys").join(key.file_name()))?;
            }
            File::open(state.join("keys"))?.sync_all()?;
        }
        fs::rename(copy, setup.database())?;
        File::open(state)?.sync_all()
    };
    if with_keys {
        open::make_folder(&state.join("keys"))?;
    }
    put().map_err(|source| StoreError::Folder { path: state.to_owned(), source })
}

/// The anchor of the longer log is kept beside: it is what somebody must explain.
fn give_way(anchor: &Path, note: &str) -> Result<(), StoreError> {
    let folder = |source| StoreError::Folder { path: anchor.to_owned(), source };
    fs::rename(anchor, anchor.with_extension("lost")).map_err(folder)?;
    anchor::write(anchor, note)
}

/// A database, and what SQLite puts beside it.
fn parts(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|ending| {
        let mut name = database.as_os_str().to_owned();
        name.push(ending);
        name.into()
    })
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret;

    use super::super::fixture::{NOW, ORIGIN, append, entry, epoch_id, folder, insert_epoch};
    use super::super::{Store, Taken, back_up, inspect};
    use super::*;
    use crate::epoch::{State, Step};

    /// A store with its memory elsewhere, and a backup of it with some entries.
    struct House {
        home: TempDir,
        setup: Setup,
    }

    impl House {
        fn new() -> Self {
            let home = folder();
            let anchor = Some(home.path().join("elsewhere/checkpoint"));
            let setup = Setup { anchor, ..Setup::new(home.path().join("state").as_path(), ORIGIN) };
            Self { home, setup }
        }

        fn open(&self) -> Store {
            Store::open_with(&self.setup).unwrap()
        }

        fn backup(&self) -> PathBuf {
            self.home.path().join("backup")
        }

        fn back_up(&self, recipients: &[String]) -> Result<backup::BackedUp, StoreError> {
            back_up(&self.setup, &self.backup(), recipients, NOW)
        }

        /// The disk with the database is gone.
        fn lose(&self) {
            for path in parts(&self.setup.database()) {
                assert!(fs::remove_file(&path).is_ok() || !path.exists());
            }
        }

        fn restore(&self, terms: Terms<'_>) -> Result<Restored, StoreError> {
            restore(&self.setup, &self.backup(), terms, entry())
        }

        fn nothing_in_place(&self) {
            assert!(!self.setup.database().exists());
            assert!(!self.setup.folders.state.join(BESIDE).exists());
        }
    }

    const PLAIN: Terms<'_> = Terms { identity: None, loss: false };
    const LOSS: Terms<'_> = Terms { identity: None, loss: true };

    #[test]
    fn a_backup_of_a_store_at_work_brings_everything_back_and_overwrites_nothing() {
        let house = House::new();
        let store = house.open();
        (0..20).for_each(|_| drop(append(&store)));
        let backed_up = house.back_up(&[]).unwrap();
        assert_eq!((backed_up.entries, backed_up.keys), (20, false));
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(house.backup()), mode(house.backup().join(DATABASE))), (0o700, 0o600));
        assert!(matches!(house.back_up(&[]), Err(StoreError::Exists { .. })), "no backup is overwritten");
        assert!(matches!(house.restore(PLAIN), Err(StoreError::InUse { .. })), "not beside a service that runs");
        drop(store);
        assert!(matches!(house.restore(LOSS), Err(StoreError::Exists { .. })), "no database is overwritten");
        house.lose();
        assert_eq!(house.restore(PLAIN).unwrap(), Restored { entries: 21, lost: 0, keys: false });
        assert_eq!(append(&house.open()).index, 21);
    }

    #[test]
    fn no_file_of_a_backup_holds_a_key_in_the_clear() {
        let house = House::new();
        insert_epoch(&house.open());
        let identity = age::x25519::Identity::generate();
        house.back_up(&[identity.to_public().to_string()]).unwrap();
        let state = &house.setup.folders.state;
        let wrapping = house.setup.folders.epoch_keys.join(format!("epoch-{}.key", epoch_id()));
        let subject = format!("subject-{}.key", epoch_id());
        let keys = ["log.key", "repeat.key", &subject].map(|name| state.join("keys").join(name));
        let secrets = keys.into_iter().chain([wrapping]);
        let secrets: Vec<_> = secrets.map(|path| fs::read(path).unwrap()).collect();
        let mut names = Vec::new();
        for file in fs::read_dir(house.backup()).unwrap() {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            // The seed within PKCS #8 as well as the whole file.
            let holds = |secret: &[u8]| bytes.windows(16).any(|part| secret.windows(16).any(|piece| piece == part));
            assert!(!secrets.iter().any(|secret| holds(secret)), "{}", path.display());
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        names.sort();
        let subject = format!("{subject}.age");
        assert_eq!(names, ["checkpoint", "log.key.age", "manifest", "repeat.key.age", &subject, "voorrang.db"]);
    }

    #[test]
    fn a_log_that_was_longer_comes_back_only_by_a_word_and_says_what_is_lost() {
        let house = House::new();
        let store = house.open();
        append(&store);
        house.back_up(&[]).unwrap();
        append(&store);
        append(&store);
        drop(store);
        house.lose();
        let refused = house.restore(PLAIN);
        assert!(matches!(refused, Err(StoreError::RolledBack { anchored: 3, size: 1, .. })), "{refused:?}");
        house.nothing_in_place();
        // Nor does a start, if the file is put there by hand.
        fs::copy(house.backup().join(DATABASE), house.setup.database()).unwrap();
        assert!(matches!(Store::open_with(&house.setup), Err(StoreError::RolledBack { .. })));
        house.lose();
        assert_eq!(house.restore(LOSS).unwrap(), Restored { entries: 2, lost: 2, keys: false });
        let said = house.open().entries(1..2).unwrap().remove(0).entry.unwrap();
        assert_eq!(Entry::from_bytes(&said).unwrap().entries, Some(Range { from: 1, to: 3 }));
        assert!(house.setup.anchor.clone().unwrap().with_extension("lost").exists());
    }

    #[test]
    fn a_restore_that_was_cut_before_the_anchor_gave_way_is_ended_by_the_next() {
        let house = House::new();
        let store = house.open();
        append(&store);
        house.back_up(&[]).unwrap();
        (0..3).for_each(|_| drop(append(&store)));
        drop(store);
        let anchor = house.setup.anchor.clone().unwrap();
        let ahead = fs::read_to_string(&anchor).unwrap();
        house.lose();
        let restore = |terms| {
            let entry = Entry { action: Action::Restore, ..entry() };
            restore(&house.setup, &house.backup(), terms, entry)
        };
        let restored = restore(LOSS).unwrap();
        // As a kill leaves it: the database in place, the anchor as it was.
        fs::write(&anchor, &ahead).unwrap();
        assert!(matches!(Store::open_with(&house.setup), Err(StoreError::RolledBack { .. })));
        assert!(matches!(restore(PLAIN), Err(StoreError::Exists { .. })));
        assert_eq!(restore(LOSS).unwrap(), restored);
        assert_eq!(fs::read_to_string(anchor.with_extension("lost")).unwrap(), ahead);
        assert!(matches!(restore(LOSS), Err(StoreError::Exists { .. })), "once");
        let store = house.open();
        append(&store);
        drop(store);
        // A database that went on is none that was cut.
        fs::write(&anchor, ahead).unwrap();
        assert!(matches!(restore(LOSS), Err(StoreError::Exists { .. })));
    }

    #[test]
    fn a_witness_gives_way_to_nobody() {
        let mut house = House::new();
        let store = house.open();
        append(&store);
        house.back_up(&[]).unwrap();
        append(&store);
        let seen = house.home.path().join("witness");
        fs::write(&seen, store.checkpoint().unwrap()).unwrap();
        drop(store);
        house.lose();
        house.setup.witnessed = vec![seen];
        assert!(matches!(house.restore(LOSS), Err(StoreError::RolledBack { .. })));
        house.nothing_in_place();
    }

    #[test]
    fn a_backup_that_was_changed_is_refused() {
        let house = House::new();
        append(&house.open());
        house.back_up(&[]).unwrap();
        house.lose();
        let copy = Connection::open(house.backup().join(DATABASE)).unwrap();
        // Outside of the log, which has signatures of its own.
        copy.execute("INSERT INTO budget VALUES ('haarlem', '1', '2026-11', 0, 0, 0, 1, 0, 0)", []).unwrap();
        drop(copy);
        assert!(matches!(house.restore(PLAIN), Err(StoreError::Damaged { .. })));
        house.nothing_in_place();
        let manifest = house.backup().join(MANIFEST);
        let text = fs::read_to_string(&manifest).unwrap().replace("entries 1", "entries 2");
        fs::write(&manifest, text).unwrap();
        assert!(matches!(house.restore(PLAIN), Err(StoreError::LogKey)));
        fs::remove_file(&manifest).unwrap();
        assert!(matches!(house.restore(PLAIN), Err(StoreError::Backup { .. })));
    }

    #[test]
    fn sealed_keys_come_back_for_their_recipient_and_for_nobody_else() {
        let house = House::new();
        append(&house.open());
        let bad = house.back_up(&["age1nobody".into()]).unwrap_err().to_string();
        assert!(bad.contains("public age key is none") && !house.backup().exists(), "{bad}");
        let (ours, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
        house.back_up(&[ours.to_public().to_string()]).unwrap();
        fs::remove_dir_all(&house.setup.folders.state).unwrap();
        assert!(matches!(house.restore(PLAIN), Err(StoreError::Key { .. })), "no log is taken on without its keys");
        let secret = other.to_string();
        let terms = Terms { identity: Some(secret.expose_secret()), loss: false };
        let refused = house.restore(terms).unwrap_err().to_string();
        assert!(refused.contains("log.key.age") && refused.contains("sealed for another"), "{refused}");
        house.nothing_in_place();
        let secret = ours.to_string();
        let terms = Terms { identity: Some(secret.expose_secret()), loss: false };
        assert_eq!(house.restore(terms).unwrap(), Restored { entries: 2, lost: 0, keys: true });
        assert_eq!(append(&house.open()).index, 2);
    }

    #[test]
    fn an_epoch_that_was_destroyed_after_the_backup_stays_destroyed() {
        let house = House::new();
        let store = house.open();
        insert_epoch(&store);
        house.back_up(&[]).unwrap();
        let end = |store: &Store| {
            let taken = Taken { state: State::Destroyed, at: NOW, answers_until: None, log_index: 0 };
            let step = Step::Abort.from(State::Announced).unwrap();
            store.write(move |tx| tx.end_epoch(&epoch_id(), step, &taken)).unwrap();
            store.erase(&epoch_id(), NOW).unwrap();
        };
        append(&store);
        end(&store);
        drop(store);
        house.lose();
        assert_eq!(house.restore(LOSS).unwrap().lost, 1);
        let store = house.open();
        assert_eq!(store.risen().unwrap().len(), 1, "its tombstone says so");
        drop(store);
        // And without the tombstone nothing opens: the wrapping key is in no backup.
        fs::remove_file(house.setup.folders.epoch_keys.join(format!("epoch-{}.destroyed", epoch_id()))).unwrap();
        let seen = inspect(&house.setup, &mut |_| Ok(())).unwrap().unwrap().epochs;
        assert!(!seen[0].buried && !seen[0].key);
    }
}
