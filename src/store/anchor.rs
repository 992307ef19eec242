//! The log's memory outside its database: a file with the newest checkpoint, written behind the answers. A database
//! that was set back to an older state does not start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Setup, StoreError};
use crate::audit::{Checkpoint, CheckpointKeys, Frontier, NoteVerifier, cosigned_at};

/// Time between two writes of the anchor at least.
const CADENCE: Duration = Duration::from_secs(1);

/// A checkpoint that the log must extend.
pub(super) struct Anchor {
    path: PathBuf,
    pub(super) checkpoint: Checkpoint,
}

impl Anchor {
    /// Reads a file that the anchor's writer, a witness or an officer left; `None` if there is none.
    pub(super) fn read(path: &Path, keys: &impl CheckpointKeys) -> Result<Option<Self>, StoreError> {
        let unreadable = || StoreError::Anchor { path: path.to_owned() };
        match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(_) => Err(unreadable()),
            Ok(note) => {
                let checkpoint = keys.checkpoint(&note).map_err(|_| unreadable())?;
                Ok(Some(Self { path: path.to_owned(), checkpoint }))
            }
        }
    }

    /// Holds the log against the anchor; `at` is the log when it had the anchor's size, if it ever had.
    pub(super) fn hold(&self, at: Option<&Frontier>, size: u64) -> Result<(), StoreError> {
        let anchored = self.checkpoint.size;
        match at {
            None => Err(StoreError::RolledBack { path: self.path.clone(), anchored, size }),
            Some(log) if log.root() != self.checkpoint.root => {
                Err(StoreError::Forked { path: self.path.clone(), anchored })
            }
            Some(_) => Ok(()),
        }
    }
}

impl Setup {
    /// Every checkpoint that the log must extend.
    pub(super) fn anchors(&self, keys: &impl CheckpointKeys) -> Result<Vec<Anchor>, StoreError> {
        let witnesses: Result<Vec<_>, _> = self.witnesses.iter().map(|key| NoteVerifier::from_vkey(key)).collect();
        let witnesses = witnesses.map_err(StoreError::WitnessKey)?;
        self.witnessed.iter().try_for_each(|path| require_cosignature(path, &witnesses))?;
        let files = self.anchor.iter().chain(&self.witnessed);
        files.filter_map(|path| Anchor::read(path, keys).transpose()).collect()
    }

    /// Whether everything that remembers the log is where it should be. At the first start nothing is.
    pub(super) fn require_anchor(&self, size: u64) -> Result<(), StoreError> {
        let missing = self.anchor.iter().chain(&self.witnessed).find(|path| size > 0 && !path.exists());
        missing.map_or(Ok(()), |path| Err(StoreError::AnchorLost { path: path.clone() }))
    }

    /// Whether nothing says that there was a log: only then a new one is begun, with keys of its own.
    pub(super) fn require_new(&self) -> Result<(), StoreError> {
        let key = self.folders.state.join("keys/log.key");
        let there = std::iter::once(&key).chain(&self.anchor).chain(&self.witnessed).find(|path| path.exists());
        there.map_or(Ok(()), |path| Err(StoreError::LogLost { path: path.clone() }))
    }
}

/// What the log alone signed, its administrator can have made: where witnesses are named, one of them has cosigned.
fn require_cosignature(path: &Path, witnesses: &[NoteVerifier]) -> Result<(), StoreError> {
    let Ok(note) = fs::read_to_string(path) else { return Ok(()) };
    let cosigned = witnesses.iter().any(|witness| cosigned_at(&note, witness).is_ok());
    if cosigned || witnesses.is_empty() {
        return Ok(());
    }
    Err(StoreError::Cosignature { path: path.to_owned() })
}

/// Where the writer leaves the newest durable checkpoint.
#[derive(Debug, Default)]
pub(super) struct AnchorDesk {
    state: Mutex<State>,
    changed: Condvar,
    /// The store ends: apart, so that no commit wakes who rests.
    ending: Condvar,
}

#[derive(Debug, Default)]
struct State {
    newest: Option<String>,
    /// Since when it cannot be written.
    failing: Option<Instant>,
    ending: bool,
}

impl AnchorDesk {
    pub(super) fn put(&self, note: &str) {
        self.lock().newest = Some(note.to_owned());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|broken| broken.into_inner())
    }

    /// Waits for a checkpoint; `None` once the store ends and none is left.
    fn take(&self) -> Option<String> {
        let mut state = self.lock();
        loop {
            if let Some(note) = state.newest.take() {
                return Some(note);
            }
            if state.ending {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(|broken| broken.into_inner());
        }
    }

    /// Takes note how a write went. One that failed is tried again, with a newer checkpoint where there is one, and at the
    /// end no more. The first of several in a row is told of.
    fn wrote(&self, note: String, written: Result<(), StoreError>) {
        let mut state = self.lock();
        let Err(error) = written else {
            state.failing = None;
            return;
        };
        if state.failing.is_none() {
            tracing::error!(error = &error as &dyn std::error::Error, "the log's anchor cannot be written");
        }
        state.failing.get_or_insert_with(Instant::now);
        if !state.ending {
            state.newest.get_or_insert(note);
        }
    }

    /// Waits until the next write is due or the store ends.
    fn rest(&self) {
        let state = self.lock();
        let ending = self.ending.wait_timeout_while(state, CADENCE, |state| !state.ending);
        drop(ending.unwrap_or_else(|broken| broken.into_inner()));
    }
}

/// Writes the newest checkpoint into the anchor file, once a second at most: a sync an answer would double its wait.
#[derive(Debug)]
pub(super) struct AnchorWriter {
    desk: Arc<AnchorDesk>,
    thread: Option<JoinHandle<()>>,
}

impl AnchorWriter {
    /// Writes `newest`, so that a folder that cannot be written shows at the start.
    pub(super) fn start(path: &Path, newest: &str) -> Result<Self, StoreError> {
        write(path, newest)?;
        let desk = Arc::new(AnchorDesk::default());
        let (path, waiting) = (path.to_owned(), Arc::clone(&desk));
        let thread = std::thread::spawn(move || {
            while let Some(note) = waiting.take() {
                let written = write(&path, &note);
                waiting.wrote(note, written);
                waiting.rest();
            }
        });
        Ok(Self { desk, thread: Some(thread) })
    }

    pub(super) fn desk(&self) -> Arc<AnchorDesk> {
        Arc::clone(&self.desk)
    }

    /// For how long it could not be written; `None` if it was.
    pub(super) fn failing(&self) -> Option<Duration> {
        self.desk.lock().failing.map(|since| since.elapsed())
    }
}

impl Drop for AnchorWriter {
    fn drop(&mut self) {
        self.desk.lock().ending = true;
        self.desk.changed.notify_all();
        self.desk.ending.notify_all();
        if let Some(thread) = self.thread.take() {
            // Its only fault would be a panic, and the anchor is then as old as its last write.
            drop(thread.join());
        }
    }
}

/// Writes a checkpoint beside, syncs, renames, syncs the folder: a power cut leaves the old one or the new one.
pub(super) fn write(path: &Path, note: &str) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let put = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let beside = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&beside)?;
        file.write_all(note.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    };
    put().map_err(|source| StoreError::Folder { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::fixture::{ORIGIN, append, folder};
    use super::*;
    use crate::audit::Cosigner;
    use tempfile::TempDir;

    fn setup(home: &TempDir) -> Setup {
        let anchor = Some(home.path().join("elsewhere/checkpoint"));
        Setup { anchor, ..Setup::new(home.path().join("state").as_path(), ORIGIN) }
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to.join("keys")).unwrap();
        for name in ["voorrang.db", "keys/log.key", "keys/repeat.key"] {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }

    #[test]
    fn a_database_that_was_set_back_does_not_start() {
        let home = folder();
        let setup = setup(&home);
        let (state, backup) = (home.path().join("state"), home.path().join("backup"));
        let store = Store::open_with(&setup).unwrap();
        append(&store);
        drop(store);
        copy(&state, &backup);
        let store = Store::open_with(&setup).unwrap();
        append(&store);
        drop(store);
        fs::remove_dir_all(&state).unwrap();
        copy(&backup, &state);
        let error = Store::open_with(&setup).unwrap_err();
        assert!(matches!(error, StoreError::RolledBack { anchored: 2, size: 1, .. }), "{error:?}");
    }

    #[test]
    fn a_log_that_took_another_way_does_not_start() {
        let home = folder();
        let setup = setup(&home);
        let (state, backup) = (home.path().join("state"), home.path().join("backup"));
        drop(Store::open_with(&setup).unwrap());
        copy(&state, &backup);
        let store = Store::open_with(&setup).unwrap();
        append(&store);
        drop(store);
        fs::remove_dir_all(&state).unwrap();
        copy(&backup, &state);
        // The same key signs another history, as long as the first.
        let unanchored = Setup { anchor: None, ..setup.clone() };
        append(&Store::open_with(&unanchored).unwrap());
        assert!(matches!(Store::open_with(&setup), Err(StoreError::Forked { anchored: 1, .. })));
    }

    #[test]
    fn an_anchor_that_is_lost_or_no_checkpoint_is_not_taken_for_a_new_start() {
        let home = folder();
        let setup = setup(&home);
        append(&Store::open_with(&setup).unwrap());
        let path = setup.anchor.clone().unwrap();
        let note = fs::read_to_string(&path).unwrap();
        fs::write(&path, "nonsense").unwrap();
        let damaged = Store::open_with(&setup).unwrap_err();
        assert!(matches!(damaged, StoreError::Anchor { .. }) && damaged.is_about_the_log());
        fs::remove_file(&path).unwrap();
        let lost = Store::open_with(&setup).unwrap_err();
        assert!(matches!(lost, StoreError::AnchorLost { .. }) && lost.is_about_the_log());
        fs::write(&path, note).unwrap();
        assert!(Store::open_with(&setup).is_ok());
        // Without the database it is a log that is lost, whatever else is there.
        fs::remove_dir_all(home.path().join("state")).unwrap();
        assert!(matches!(Store::open_with(&setup), Err(StoreError::LogLost { path: lost }) if lost == path));
        assert!(!home.path().join("state/voorrang.db").exists() && !home.path().join("state/keys").exists());
    }

    #[test]
    fn an_anchor_that_cannot_be_written_is_told_of_and_written_when_it_can_be() {
        let home = folder();
        let setup = setup(&home);
        let store = Store::open_with(&setup).unwrap();
        let (path, aside) = (home.path().join("elsewhere"), home.path().join("aside"));
        let soon = |holds: &dyn Fn() -> bool| {
            let until = Instant::now() + Duration::from_secs(20);
            while !holds() {
                assert!(Instant::now() < until, "it never comes");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        // A file where the folder was.
        fs::rename(&path, &aside).unwrap();
        fs::write(&path, "in the way").unwrap();
        append(&store);
        soon(&|| store.anchor_failing().is_some());
        fs::remove_file(&path).unwrap();
        soon(&|| store.anchor_failing().is_none());
        assert_eq!(fs::read_to_string(path.join("checkpoint")).unwrap(), store.checkpoint().unwrap());
        // At the end one that fails holds up nobody.
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "in the way").unwrap();
        append(&store);
        drop(store);
    }

    #[test]
    fn what_a_witness_saw_is_held_against_the_log_too() {
        let home = folder();
        let setup = setup(&home);
        let store = Store::open_with(&setup).unwrap();
        append(&store);
        let seen = home.path().join("witness");
        fs::write(&seen, store.checkpoint().unwrap()).unwrap();
        drop(store);
        let lost = Setup { witnessed: vec![seen.clone(), home.path().join("lost")], ..setup.clone() };
        assert!(matches!(Store::open_with(&lost), Err(StoreError::AnchorLost { path }) if path.ends_with("lost")));
        let with = Setup { witnessed: vec![seen], ..setup.clone() };
        assert!(Store::open_with(&with).is_ok());
        fs::remove_dir_all(home.path().join("state")).unwrap();
        fs::remove_dir_all(home.path().join("elsewhere")).unwrap();
        // No new log is begun where one was seen, and nothing is made.
        assert!(matches!(Store::open_with(&with), Err(StoreError::LogLost { path }) if path.ends_with("witness")));
        assert!(!home.path().join("state/voorrang.db").exists() && !home.path().join("state/keys").exists());
        // A new log under a new key: the witness's checkpoint is of another.
        append(&Store::open_with(&setup).unwrap());
        assert!(matches!(Store::open_with(&with), Err(StoreError::Anchor { .. })));
    }

    #[test]
    fn where_witnesses_are_named_one_of_them_has_cosigned() {
        let home = folder();
        let store = Store::open_with(&setup(&home)).unwrap();
        append(&store);
        let (note, path) = (store.checkpoint().unwrap(), home.path().join("witness"));
        drop(store);
        let ((ours, _), (other, _)) =
            (Cosigner::generate("officer.example/w1").unwrap(), Cosigner::generate("officer.example/w1").unwrap());
        let setup = Setup { witnessed: vec![path.clone()], witnesses: vec![ours.verifier().vkey()], ..setup(&home) };
        for (cosigner, counts) in [(None, false), (Some(&other), false), (Some(&ours), true)] {
            let line = cosigner.map_or_else(String::new, |cosigner| cosigner.cosign(&note, 1_790_000_000).unwrap());
            fs::write(&path, format!("{note}{line}")).unwrap();
            match Store::open_with(&setup) {
                Ok(_) => assert!(counts),
                Err(error) => assert!(!counts && matches!(error, StoreError::Cosignature { .. }), "{error:?}"),
            }
        }
    }
}
