//! The one desk where it is written. Whoever has it runs every waiting job in a savepoint of its own, signs one
//! checkpoint, commits once, and only then answers.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::anchor::AnchorDesk;
use super::log::{Appended, Log};
use super::room::Room;
use super::wal::{Copier, Opened};
use super::wrapping::EpochKeys;
use super::{StoreError, Written};
use crate::audit::Receipt;

/// Commits between two looks at the length of the write-ahead log.
const LOOK: u64 = 8;

/// What a job changes the store through. It lives as long as the job.
pub struct Tx<'a> {
    pub(super) db: &'a Connection,
    pub(super) log: &'a RefCell<Log>,
    pub(super) keys: &'a EpochKeys,
    pub(super) appended: RefCell<Vec<Appended>>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub commits: AtomicU64,
    pub jobs: AtomicU64,
    pub poisoned: AtomicBool,
    /// Where the log is not the one that was signed, and what of it.
    pub damaged: OnceLock<(Option<u64>, &'static str)>,
    /// The write-ahead log is no longer where SQLite opened it.
    pub wal_lost: AtomicBool,
}

impl Counts {
    /// After a failed sync the kernel may have dropped the pages: reading back proves nothing, only a restart does.
    pub fn poison(&self, error: &StoreError) {
        self.wal_lost.fetch_or(matches!(error, StoreError::WalLost), Ordering::AcqRel);
        if !self.poisoned.swap(true, Ordering::AcqRel) {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "a write is not durable; every write is refused until a restart");
        }
    }

    /// What is signed from here on would rest on a log that is not the one on the disk.
    pub fn damage(&self, error: &StoreError) {
        let found = match error {
            StoreError::DamagedEntry { index, what } => (Some(*index), *what),
            StoreError::Damaged { what } => (None, *what),
            _ => (None, "SQLite cannot read it"),
        };
        if self.damaged.set(found).is_ok() {
            tracing::error!(
                error = error as &dyn std::error::Error,
                code = error.code(),
                "the access log was changed under the service; every write is refused"
            );
        }
        self.poisoned.store(true, Ordering::Release);
    }

    /// Why nothing is written any more.
    pub fn refusal(&self) -> StoreError {
        match self.damaged.get() {
            Some(&(Some(index), what)) => StoreError::DamagedEntry { index, what },
            Some(&(None, what)) => StoreError::Damaged { what },
            None if self.wal_lost.load(Ordering::Acquire) => StoreError::WalLost,
            None => StoreError::NotDurable,
        }
    }
}

/// A job without its types.
pub(super) trait Job: Send {
    /// Runs it; whether its savepoint is to be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    fn answer(self: Box<Self>, receipts: Result<Vec<Receipt>, StoreError>);
}

pub(super) struct Waiting<T, E, F> {
    job: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<Written<T>, E>>,
}

impl<T, E, F> Waiting<T, E, F> {
    pub fn new(job: F, reply: oneshot::Sender<Result<Written<T>, E>>) -> Self {
        Self { job: Some(job), result: None, reply }
    }
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

/// What whoever has the desk works with.
pub(super) struct Desk {
    copier: Copier,
    db: Connection,
    log: RefCell<Log>,
    keys: Arc<EpochKeys>,
    counts: Arc<Counts>,
    anchor: Option<Arc<AnchorDesk>>,
    room: Room,
    wal: Opened,
}

/// A job that has run, and the entries it appended.
type Ran = (Box<dyn Job>, Vec<Appended>);

impl Desk {
    /// # Errors
    /// [`StoreError::Sql`] if the database cannot be opened once more.
    pub fn new(
        db: Connection,
        log: Log,
        keys: Arc<EpochKeys>,
        counts: Arc<Counts>,
        anchor: Option<Arc<AnchorDesk>>,
        room: Room,
        wal: Opened,
    ) -> Result<Self, StoreError> {
        let uncertain = Arc::clone(&counts);
        let database = PathBuf::from(db.path().unwrap_or_default());
        let copier = Copier::start(&database, move |error| uncertain.poison(error))?;
        Ok(Self { copier, db, log: RefCell::new(log), keys, counts, anchor, room, wal })
    }

    /// Answers each of these jobs.
    pub fn serve(&self, group: Vec<Box<dyn Job>>) {
        self.counts.jobs.fetch_add(group.len() as u64, Ordering::Relaxed);
        if self.counts.poisoned.load(Ordering::Acquire) {
            group.into_iter().for_each(|job| job.answer(Err(self.counts.refusal())));
        } else if self.room.check().is_err() {
            // Even what deletes needs room to write.
            group.into_iter().for_each(|job| job.answer(Err(StoreError::Full)));
        } else if !group.is_empty() {
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
        let alone = group.len() == 1;
        for mut job in group {
            let appended = if kept.is_ok() { self.run_one(job.as_mut(), alone) } else { Ok(Vec::new()) };
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

    /// Runs one job in its savepoint; alone, the transaction is that. An error is one of the transaction, not of the job.
    fn run_one(&self, job: &mut dyn Job, alone: bool) -> Result<Vec<Appended>, StoreError> {
        let before = self.log.borrow().frontier().clone();
        if !alone {
            self.execute("SAVEPOINT job")?;
        }
        let tx = Tx { db: &self.db, log: &self.log, keys: &self.keys, appended: RefCell::default() };
        let keep = job.run(&tx);
        let appended = tx.appended.into_inner();
        if self.db.is_autocommit() {
            // SQLite gave up the whole transaction (disk full, I/O error), the jobs before this one included.
            return Err(StoreError::NotDurable);
        }
        if !keep {
            self.log.borrow_mut().rewind(before);
        }
        let end: &[&str] = match (keep, alone) {
            (true, true) => &[],
            (true, false) => &["RELEASE job"],
            (false, true) => &["ROLLBACK"],
            (false, false) => &["ROLLBACK TO job", "RELEASE job"],
        };
        end.iter().try_for_each(|sql| self.execute(sql))?;
        Ok(if keep { appended } else { Vec::new() })
    }

    /// The checkpoint goes into the same commit, so that a start finds exactly the log that was signed. Nobody sees
    /// the note before the commit has succeeded.
    fn commit(&self, log_grew: bool) -> Result<String, StoreError> {
        if self.db.is_autocommit() {
            // The only job left no trace.
            return Ok(String::new());
        }
        let note = if log_grew { self.log.borrow().store_checkpoint(&self.db)? } else { String::new() };
        self.execute("COMMIT")?;
        self.wal.check()?;
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        Ok(note)
    }

    /// The answers first: nothing else that a commit brings with it is theirs to wait for. Only who has the desk reads its
    /// own behind all of it.
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
        ran.into_iter().for_each(|(job, _)| job.answer(Err(self.counts.refusal())));
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
