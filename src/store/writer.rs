//! The one thread that writes. It takes every waiting job, runs each in a savepoint, signs one checkpoint, commits
//! once, and only then answers.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::anchor::AnchorDesk;
use super::log::{Appended, Log};
use super::room::Room;
use super::wal::Copier;
use super::wrapping::EpochKeys;
use super::{StoreError, Written};
use crate::audit::Receipt;

/// Most jobs in one commit: bounds what one caller waits for others.
const GROUP: usize = 256;

/// Commits between two looks at the length of the write-ahead log.
const LOOK: u64 = 8;

/// What the writer has done since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    pub commits: u64,
    pub jobs: u64,
    /// A commit failed: every write is refused until a restart.
    pub poisoned: bool,
}

/// What a job changes the store through. It lives as long as the job.
pub struct Tx<'a> {
    pub(super) db: &'a Connection,
    pub(super) log: &'a RefCell<Log>,
    pub(super) keys: &'a EpochKeys,
    pub(super) appended: RefCell<Vec<Appended>>,
}

#[derive(Debug)]
pub(super) struct Writer {
    /// `None` only while dropping: the closed channel ends the thread.
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    commits: AtomicU64,
    jobs: AtomicU64,
    poisoned: AtomicBool,
}

impl Counts {
    /// After a failed sync the kernel may have dropped the pages: reading back proves nothing, only a restart does.
    fn poison(&self, error: &StoreError) {
        self.poisoned.store(true, Ordering::Release);
        tracing::error!(
            error = error as &dyn std::error::Error,
            "the disk failed; every write is refused until a restart"
        );
    }
}

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
    ) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let uncertain = Arc::clone(&counts);
        let database = PathBuf::from(db.path().unwrap_or_default());
        let copier = Copier::start(&database, move |error| uncertain.poison(error))?;
        let desk = Desk { copier, db, log: RefCell::new(log), keys, counts: Arc::clone(&counts), anchor, room };
        let thread = thread::spawn(move || desk.run(&waiting));
        Ok(Self { jobs: Some(jobs), thread: Some(thread), counts })
    }

    /// Hands in a job. A closed reply means that the writer stopped or the job panicked.
    pub(super) fn send<T, E>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> oneshot::Receiver<Result<Written<T>, E>>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { job: Some(job), result: None, reply };
        if let Some(jobs) = &self.jobs {
            // A writer that is gone drops the job, and with it the reply.
            drop(jobs.send(Box::new(waiting)));
        }
        answer
    }

    /// Refuses every write until a restart.
    pub(super) fn poison(&self, error: &StoreError) {
        self.counts.poison(error);
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            commits: self.counts.commits.load(Ordering::Relaxed),
            jobs: self.counts.jobs.load(Ordering::Relaxed),
            poisoned: self.counts.poisoned.load(Ordering::Acquire),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // The thread catches the panics of jobs; one of its own has already refused every caller.
            drop(thread.join());
        }
    }
}

/// A job without its types.
trait Job: Send {
    /// Runs it; whether its savepoint is to be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    fn answer(self: Box<Self>, receipts: Result<Vec<Receipt>, StoreError>);
}

struct Waiting<T, E, F> {
    job: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<Written<T>, E>>,
}

impl<T, E, F> Job for Waiting<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(job) = self.job.take() else { return false };
        // What a panicking job has touched is rolled back, so nothing broken is seen.
        self.result = catch_unwind(AssertUnwindSafe(|| job(tx))).ok();
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, receipts: Result<Vec<Receipt>, StoreError>) {
        let answer = match (self.result, receipts) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (Some(Ok(value)), Ok(receipts)) => Ok(Written { value, receipts }),
            (None, Ok(_)) => Err(StoreError::Stopped.into()),
        };
        // A caller that no longer waits has lost the answer, not the write.
        drop(self.reply.send(answer));
    }
}

/// What the thread owns.
struct Desk {
    copier: Copier,
    db: Connection,
    log: RefCell<Log>,
    keys: Arc<EpochKeys>,
    counts: Arc<Counts>,
    anchor: Option<Arc<AnchorDesk>>,
    room: Room,
}

/// A job that has run, and the entries it appended.
type Ran = (Box<dyn Job>, Vec<Appended>);

impl Desk {
    fn run(self, waiting: &mpsc::Receiver<Box<dyn Job>>) {
        while let Ok(first) = waiting.recv() {
            let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter().take(GROUP - 1)).collect();
            self.counts.jobs.fetch_add(group.len() as u64, Ordering::Relaxed);
            if self.counts.poisoned.load(Ordering::Acquire) {
                group.into_iter().for_each(|job| job.answer(Err(StoreError::NotDurable)));
                continue;
            }
            // Even what deletes needs room to write.
            if self.room.check().is_err() {
                group.into_iter().for_each(|job| job.answer(Err(StoreError::Full)));
                continue;
            }
            self.run_group(group);
        }
    }

    fn run_group(&self, group: Vec<Box<dyn Job>>) {
        let mut ran: Vec<Ran> = Vec::with_capacity(group.len());
        let mut kept = self.execute("BEGIN IMMEDIATE");
        if matches!(&kept, Err(StoreError::Sql(error)) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)) {
            // The end of an epoch empties the write-ahead log, and a disk may be slow. Nothing was begun, so all is known.
            group.into_iter().for_each(|job| job.answer(Err(StoreError::Busy)));
            return;
        }
        for mut job in group {
            let appended = if kept.is_ok() { self.run_one(job.as_mut()) } else { Ok(Vec::new()) };
            ran.push((
                job,
                appended.unwrap_or_else(|error| {
                    kept = Err(error);
                    Vec::new()
                }),
            ));
        }
        match kept.and_then(|()| self.commit(ran.iter().any(|(_, appended)| !appended.is_empty()))) {
            Ok(note) => self.release(ran, &note),
            Err(error) => self.poison(ran, &error),
        }
    }

    /// Runs one job in its savepoint. An error is one of the transaction, not of the job.
    fn run_one(&self, job: &mut dyn Job) -> Result<Vec<Appended>, StoreError> {
        let before = self.log.borrow().frontier().clone();
        self.execute("SAVEPOINT job")?;
        let tx = Tx { db: &self.db, log: &self.log, keys: &self.keys, appended: RefCell::default() };
        let keep = job.run(&tx);
        let appended = tx.appended.into_inner();
        if self.db.is_autocommit() {
            // SQLite gave up the whole transaction (disk full, I/O error), the jobs before this one included.
            return Err(StoreError::NotDurable);
        }
        if keep {
            self.execute("RELEASE job")?;
            return Ok(appended);
        }
        self.log.borrow_mut().rewind(before);
        self.execute("ROLLBACK TO job")?;
        self.execute("RELEASE job")?;
        Ok(Vec::new())
    }

    /// The checkpoint goes into the same commit, so that a start finds exactly the log that was signed. Nobody sees
    /// the note before the commit has succeeded.
    fn commit(&self, log_grew: bool) -> Result<String, StoreError> {
        let note = if log_grew { self.log.borrow().store_checkpoint(&self.db)? } else { String::new() };
        self.execute("COMMIT")?;
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        Ok(note)
    }

    /// The answers first: nothing else that a commit brings with it is theirs to wait for.
    fn release(&self, ran: Vec<Ran>, note: &str) {
        for (job, appended) in ran {
            let receipt = |a: Appended| Receipt { index: a.index, leaf: a.leaf, checkpoint: note.to_owned() };
            job.answer(Ok(appended.into_iter().map(receipt).collect()));
        }
        if let (Some(anchor), false) = (&self.anchor, note.is_empty()) {
            anchor.put(note);
        }
        if self.counts.commits.load(Ordering::Relaxed).is_multiple_of(LOOK)
            && let Err(error) = self.copier.look(&self.db)
        {
            self.counts.poison(&error);
        }
    }

    fn poison(&self, ran: Vec<Ran>, error: &StoreError) {
        self.counts.poison(error);
        if !self.db.is_autocommit() {
            // Whether this succeeds changes nothing: nothing is written any more.
            drop(self.execute("ROLLBACK"));
        }
        ran.into_iter().for_each(|(job, _)| job.answer(Err(StoreError::NotDurable)));
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::{append, entry, folder, open, open_in};
    use super::*;
    use crate::store::Store;

    #[test]
    fn waiting_jobs_share_a_commit() {
        let home = folder();
        let store = open(&home);
        let (ready, go) = mpsc::channel::<()>();
        // The first job holds the writer until all others wait.
        let first = store.writer.send(move |_| Ok::<_, StoreError>(go.recv().is_ok()));
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
