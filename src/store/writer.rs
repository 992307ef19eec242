//! Who takes the desk. A caller that may block takes it when it is free, for itself and for all who wait: alone it wakes
//! nobody, and nobody it. For async callers a thread does.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::anchor::AnchorDesk;
use super::desk::{Counts, Desk, Job, Tx, Waiting};
use super::log::Log;
use super::room::Room;
use super::wal::Opened;
use super::wrapping::EpochKeys;
use super::{StoreError, Written};

/// Most jobs in one commit: bounds what one caller waits for others.
const GROUP: usize = 256;

/// What the writer has done since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    pub commits: u64,
    pub jobs: u64,
    /// A commit failed, or the log is damaged: every write is refused until a restart.
    pub poisoned: bool,
    /// The access log in the database is not the one that was signed.
    pub damaged: bool,
    /// Another program deleted the write-ahead log: what was committed since is in no file that a start finds.
    pub wal_lost: bool,
}

pub(super) struct Writer {
    office: Arc<Office>,
    thread: Option<JoinHandle<()>>,
}

/// Where jobs wait, and the desk.
struct Office {
    queue: Mutex<Queue>,
    /// A job came whose caller does not take the desk.
    arrived: Condvar,
    desk: Mutex<Desk>,
    counts: Arc<Counts>,
    wal: Opened,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    ending: bool,
}

type Answer<T, E> = oneshot::Receiver<Result<Written<T>, E>>;

impl Writer {
    /// `anchor` gets every checkpoint that is durable.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if the database cannot be opened once more.
    pub(super) fn start(
        db: Connection,
        log: Log,
        keys: Arc<EpochKeys>,
        anchor: Option<Arc<AnchorDesk>>,
        room: Room,
        wal: Opened,
    ) -> Result<Self, StoreError> {
        let counts = Arc::new(Counts::default());
        let desk = Mutex::new(Desk::new(db, log, keys, Arc::clone(&counts), anchor, room, wal.clone())?);
        let office = Arc::new(Office { queue: Mutex::default(), arrived: Condvar::new(), desk, counts, wal });
        let ours = Arc::clone(&office);
        let thread = thread::spawn(move || while ours.serve_next() {});
        Ok(Self { office, thread: Some(thread) })
    }

    /// Hands in a job for the thread. A closed reply means that the job panicked.
    pub(super) fn send<T, E>(&self, job: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static) -> Answer<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let answer = self.put(job);
        self.office.arrived.notify_one();
        answer
    }

    /// Hands in a job whose caller then calls [`Writer::wait`]: nobody else might.
    pub(super) fn put<T, E>(&self, job: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static) -> Answer<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.office.queue().jobs.push_back(Box::new(Waiting::new(job, reply)));
        answer
    }

    /// The answer to a job: from who has the desk, or at the desk itself. Blocks.
    pub(super) fn wait<T, E: From<StoreError>>(&self, mut answer: Answer<T, E>) -> Result<Written<T>, E> {
        let desk = self.office.desk();
        loop {
            match answer.try_recv() {
                Ok(answer) => return answer,
                Err(TryRecvError::Closed) => return Err(StoreError::Stopped.into()),
                Err(TryRecvError::Empty) => desk.serve(self.office.group()),
            }
        }
    }

    /// Refuses every write until a restart.
    pub(super) fn poison(&self, error: &StoreError) {
        self.office.counts.poison(error);
    }

    /// As [`Writer::poison`], because the log is not the one that was signed.
    pub(super) fn damage(&self, error: &StoreError) {
        self.office.counts.damage(error);
    }

    /// Looks whether what is committed is still in a file that a start finds; else it poisons.
    pub(super) fn check_wal(&self) -> Result<(), StoreError> {
        self.office.wal.check().inspect_err(|error| self.poison(error))
    }

    pub(super) fn stats(&self) -> Stats {
        let counts = &self.office.counts;
        Stats {
            commits: counts.commits.load(Ordering::Relaxed),
            jobs: counts.jobs.load(Ordering::Relaxed),
            poisoned: counts.poisoned.load(Ordering::Acquire),
            damaged: counts.damaged.get().is_some(),
            wal_lost: counts.wal_lost.load(Ordering::Acquire),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.office.queue().ending = true;
        self.office.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // The desk catches the panics of jobs; one of its own has already refused every caller.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Office {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The desk, when it is free. Who left it in a panic may have left half a transaction.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(|broken| {
            self.counts.poison(&StoreError::Stopped);
            broken.into_inner()
        })
    }

    /// The jobs of the next commit, in the order in which they came.
    fn group(&self) -> Vec<Box<dyn Job>> {
        let jobs = &mut self.queue().jobs;
        let many = jobs.len().min(GROUP);
        jobs.drain(..many).collect()
    }

    /// Waits for jobs and serves a group of them; `false` once the store ends and none is left.
    fn serve_next(&self) -> bool {
        let idle = |queue: &mut Queue| queue.jobs.is_empty() && !queue.ending;
        let queue = self.arrived.wait_while(self.queue(), idle).unwrap_or_else(PoisonError::into_inner);
        let left = !queue.jobs.is_empty();
        drop(queue);
        if left {
            let desk = self.desk();
            // Taken now: whoever had the desk may have served them.
            desk.serve(self.group());
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::fixture::{append, entry, folder, open, open_in};
    use super::*;
    use crate::store::Store;

    #[test]
    fn who_finds_the_desk_free_commits_on_its_own_thread() {
        let home = folder();
        let store = open(&home);
        let at_the_desk = store.write(|_| Ok::<_, StoreError>(thread::current().id())).unwrap().value;
        assert_eq!(at_the_desk, thread::current().id());
    }

    #[test]
    fn everybody_is_answered_whoever_has_the_desk() {
        let home = folder();
        let store = open(&home);
        let ask = |_| -> Vec<u64> {
            let one = || store.writer.send(|tx| tx.append(&entry()));
            let sent: Vec<_> = (0..25).map(|_| one()).collect();
            let mut indexes: Vec<_> = (0..25).map(|_| append(&store).index).collect();
            let each = (0..25).map(|_| |tx: &Tx<'_>| tx.append(&entry()));
            indexes.extend(store.write_each(each).into_iter().map(|one| one.unwrap().value.index));
            indexes.extend(sent.into_iter().map(|one| one.blocking_recv().unwrap().unwrap().value.index));
            indexes
        };
        let mut indexes: Vec<u64> = thread::scope(|scope| {
            let callers: Vec<_> = (0..8).map(|caller| scope.spawn(move || ask(caller))).collect();
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
        });
        indexes.sort_unstable();
        assert_eq!(indexes, (0..600).collect::<Vec<_>>());
        assert!(store.stats().commits < 600);
    }

    #[test]
    fn waiting_jobs_share_a_commit() {
        let home = folder();
        let store = open(&home);
        let (ready, go) = mpsc::channel::<()>();
        let (begins, begun) = mpsc::channel::<()>();
        // The first job holds the writer until all others wait, and is alone in its commit.
        let first = store.writer.send(move |_| {
            begins.send(()).unwrap();
            Ok::<_, StoreError>(go.recv().is_ok())
        });
        begun.recv().unwrap();
        let before = store.stats();
        let others: Vec<_> = (0..100).map(|_| store.writer.send(|tx| tx.append(&entry()))).collect();
        ready.send(()).unwrap();
        assert!(first.blocking_recv().unwrap().unwrap().value);
        let receipts: Vec<_> =
            others.into_iter().map(|o| o.blocking_recv().unwrap().unwrap().receipts.remove(0)).collect();
        let after = store.stats();
        assert!(after.commits - before.commits <= 2, "{before:?} {after:?}");
        assert!(receipts.iter().enumerate().all(|(at, r)| r.index == at as u64));
        assert!(receipts.iter().all(|r| r.checkpoint == receipts[0].checkpoint));
    }

    #[test]
    fn a_failing_or_panicking_job_leaves_no_trace_and_stops_nobody() {
        let home = folder();
        let store = open(&home);
        append(&store);
        let failed = store.write(|tx| {
            tx.append(&entry())?;
            tx.charge(&"haarlem".parse().unwrap(), &"00000099000000001000".parse().unwrap(), "2026-11", 2, 5, 0)?;
            Err::<(), _>(StoreError::NotFound("thing"))
        });
        assert!(matches!(failed, Err(StoreError::NotFound("thing"))));
        let panicked = store.write(|tx| {
            tx.append(&entry())?;
            if tx.appended.borrow().len() == 1 {
                panic!("a job's own fault")
            }
            Ok::<_, StoreError>(())
        });
        assert!(matches!(panicked, Err(StoreError::Stopped)));
        assert_eq!(append(&store).index, 1);
        let charged = store.write(|tx| {
            tx.charge(&"haarlem".parse().unwrap(), &"00000099000000001000".parse().unwrap(), "2026-11", 2, 1, 0)
        });
        assert_eq!(charged.unwrap().value.questions, 1);
        let root = store.checkpoint().unwrap();
        drop(store);
        assert_eq!(open_in(home.path()).checkpoint().unwrap(), root);
    }

    #[test]
    fn a_job_that_fails_among_others_fails_alone_and_one_that_fails_alone_costs_no_commit() {
        let home = folder();
        let store = open(&home);
        let job = |fails: bool| {
            move |tx: &Tx<'_>| {
                tx.append(&entry())?;
                if fails { Err(StoreError::NotFound("thing")) } else { Ok(()) }
            }
        };
        let before = store.stats().commits;
        let results = store.write_each([false, true, false].map(job));
        let indexes: Vec<_> = results.into_iter().map(|one| one.ok().map(|one| one.receipts[0].index)).collect();
        assert_eq!((indexes, store.stats().commits), (vec![Some(0), None, Some(1)], before + 1));
        assert!(store.write(job(true)).is_err());
        assert_eq!(store.stats().commits, before + 1);
        assert_eq!(append(&store).index, 2);
    }

    /// A violation that SQLite finds only at COMMIT.
    fn spoil(tx: &Tx<'_>) -> Result<(), StoreError> {
        tx.append(&entry())?;
        tx.db.pragma_update(None, "defer_foreign_keys", true)?;
        tx.db.execute("INSERT INTO entry (idx, text) VALUES (999, '{}')", [])?;
        Ok(())
    }

    fn assert_poisoned(store: &Store) {
        assert!(store.stats().poisoned);
        assert!(matches!(store.write(|tx| tx.append(&entry())), Err(StoreError::NotDurable)));
    }

    #[test]
    fn after_a_failed_commit_every_write_is_refused_until_a_restart() {
        let home = folder();
        let store = open(&home);
        append(&store);
        let note = store.checkpoint().unwrap();
        assert!(matches!(store.write(spoil), Err(StoreError::NotDurable)));
        assert_poisoned(&store);
        assert_eq!(store.checkpoint().unwrap(), note, "what is durable can still be read");
        drop(store);
        let store = open_in(home.path());
        assert_eq!((store.checkpoint().unwrap(), append(&store).index), (note, 1));
    }

    #[test]
    fn a_write_that_finds_the_database_held_writes_nothing_and_breaks_nothing() {
        let home = folder();
        let store = open(&home);
        let short = |tx: &Tx<'_>| Ok::<_, StoreError>(tx.db.busy_timeout(Duration::from_millis(50))?);
        store.write(short).unwrap();
        let other = Connection::open(home.path().join("voorrang.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(matches!(store.write(|tx| tx.append(&entry())), Err(StoreError::Busy)));
        assert!(!store.stats().poisoned);
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(append(&store).index, 0);
    }

    #[test]
    fn a_full_database_loses_no_acknowledged_entry() {
        let home = folder();
        let store = open(&home);
        store
            .write(|tx| {
                let pages: u32 = tx.db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
                tx.db.query_row(&format!("PRAGMA max_page_count = {}", pages + 8), [], |_| Ok(()))?;
                Ok::<_, StoreError>(())
            })
            .unwrap();
        let kept = (0..10_000).map_while(|_| store.write(|tx| tx.append(&entry())).ok()).count() as u64;
        assert!(kept > 0 && kept < 10_000, "{kept}");
        drop(store);
        assert_eq!(append(&open_in(home.path())).index, kept);
    }

    #[test]
    fn an_async_caller_waits_without_blocking() {
        let home = folder();
        let store = open(&home);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let written = runtime.block_on(async {
            let (a, b) = (store.write_async(|tx| tx.append(&entry())), store.write_async(|tx| tx.append(&entry())));
            (a.await.unwrap(), b.await.unwrap())
        });
        assert_eq!((written.0.receipts[0].index, written.1.receipts[0].index), (0, 1));
    }
}
