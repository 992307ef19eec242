//! The end of an epoch, so that nothing of it can be read again: not in the database, its write-ahead log, a backup
//! from before, or a core dump.
//!
//! The step comes first, with its entry in the access log; then the tombstone, the wrapping key, the rows, the free
//! pages, the write-ahead log, and last a signed record. Whatever a crash cuts short, the next start goes on with: every
//! part can be done twice.

use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::steps::Taken;
use super::wrapping::Gone;
use super::{Store, StoreError, Tx, wal};
use crate::epoch::{Epoch, Move, State};
use crate::ids::EpochId;

/// Chunks that are deleted, and zeroed, in one go: at most 16 MiB, so that answers wait for little.
const CHUNKS: u32 = 4;

/// How long it is told of a batch that it went with its epoch: as long as clients remember their runs.
const NEWS: time::Duration = time::Duration::days(30);

/// Results of batches that are deleted in one go.
const RESULTS: u32 = 2000;

/// Free pages that are given back in one go: 4 MiB.
const PAGES: u32 = 1024;

/// Attempts to empty the write-ahead log while others read.
const ATTEMPTS: u32 = 50;

/// Lines of the record: what became of the wrapping key,
const OVERWRITTEN: &str = "wrapping key overwritten, unlinked, its folder synced\n";
const NOT_THERE: &str =
    "wrapping key NOT overwritten by this erasure: it was not there, moved or removed before; see to its copies\n";
const CUT_SHORT: &str = "wrapping key was being removed by a run that was cut short, and is gone\n";

/// what a tombstone says while that run is at it,
const BEGUN: &str = "begun: the wrapping key is being removed\n";

/// and what is done whenever a record is signed.
const ERASED: &str = "wrapped data key, sealed shares, loads, stocks, questions and answers of batches deleted\n\
                      free pages zeroed and given back, write-ahead log cut\n";

/// What became of the registers in the service's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    LetGo,
    /// Questions under way did not let go of them while somebody waited.
    Held,
    /// Nobody looked: the end was cut short.
    Unseen,
}

impl Registers {
    fn told(self) -> &'static str {
        match self {
            Self::LetGo => "registers let go of memory\n",
            Self::Held => "registers still in memory, held by questions under way: restart the service to be sure\n",
            Self::Unseen => "registers not looked for in memory: the erasure was cut short and went on later\n",
        }
    }
}

/// What shows that an epoch is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destruction {
    pub epoch: EpochId,
    /// Signed note of the log's key: what was destroyed, when, and which entry of the access log says by whom.
    pub note: String,
}

impl Store {
    /// Whether the epoch's wrapping key is one that this process can remove.
    ///
    /// # Errors
    /// [`StoreError::EpochCredential`] says who must.
    pub fn check_removable(&self, epoch: &EpochId) -> Result<(), StoreError> {
        self.epoch_keys.refuse_credential(epoch)
    }
}

impl Tx<'_> {
    /// Takes the last step: from the commit on nothing of the epoch opens, though its bytes are still there.
    /// [`Store::erase`] must follow.
    ///
    /// # Errors
    /// Those of [`Tx::take_step`], or [`StoreError::EpochCredential`]; then nothing is changed.
    pub fn end_epoch(&self, epoch: &EpochId, step: Move, taken: &Taken) -> Result<(), StoreError> {
        self.keys.refuse_credential(epoch)?;
        self.take_step(epoch, step, taken)?;
        for sql in [
            "UPDATE epoch SET data_key = NULL WHERE id = ?1",
            "DELETE FROM resealed WHERE epoch = ?1",
            "DELETE FROM share WHERE epoch = ?1",
            "DELETE FROM stock WHERE epoch = ?1",
            "DELETE FROM mark WHERE epoch = ?1",
            "DELETE FROM spelling WHERE epoch = ?1",
            "DELETE FROM opening WHERE epoch = ?1",
            "DELETE FROM proposal WHERE sealed_in = ?1",
            "UPDATE load SET state = 'superseded' WHERE epoch = ?1",
        ] {
            self.db.execute(sql, [epoch.as_str()])?;
        }
        // Whose they were stays for a while, and how many answers they had: who comes for them is to be told.
        let sql = "UPDATE batch SET state = 'cancelled', plan = '', asker = '', expires_at = ?2 WHERE epoch = ?1";
        self.db.execute(sql, params![epoch.as_str(), (taken.at + NEWS).unix_timestamp()])?;
        Ok(())
    }

    /// Gives free pages back, up to `pages`. Whether there are more.
    fn vacuum(&self, pages: u32) -> Result<bool, StoreError> {
        let mut statement = self.db.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        let free: u32 = self.db.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        Ok(free > 0)
    }

    fn put_destruction(&self, epoch: &EpochId, text: &str) -> Result<String, StoreError> {
        let note = self.log.borrow().sign(text);
        let sql = "INSERT INTO destruction (epoch, note) VALUES (?1, ?2)";
        self.db.prepare_cached(sql)?.execute(params![epoch.as_str(), note])?;
        Ok(note)
    }
}

impl Store {
    /// [`Store::erase_ended`], where the end was cut short. Once more, it returns the same record.
    ///
    /// # Errors
    /// As there.
    pub fn erase(&self, id: &EpochId, now: OffsetDateTime) -> Result<Destruction, StoreError> {
        self.erase_ended(id, Registers::Unseen, now)
    }

    /// Makes the end of an epoch true on the disk, and returns the record. Blocks; answers go on in between.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the epoch did not end, [`StoreError::Folder`] if its wrapping key cannot be removed.
    pub fn erase_ended(
        &self,
        id: &EpochId,
        registers: Registers,
        now: OffsetDateTime,
    ) -> Result<Destruction, StoreError> {
        let epoch = self.epoch(id)?;
        let end = self.steps(id)?.pop().filter(|step| step.state == State::Destroyed);
        let end = end.ok_or(StoreError::Conflict("epoch has not ended; read it again and decide anew"))?;
        if let Some(note) = self.destruction(id)? {
            // A tombstone that somebody removed is set again; so is the end of a key file that came back.
            self.epoch_keys.bury(id, &note)?;
            self.epoch_keys.destroy(id)?;
            return Ok(Destruction { epoch: id.clone(), note });
        }
        // A run that was cut short said what became of the key, or that it was about to remove it; this one finds none.
        let before = self.epoch_keys.epitaph(id)?.unwrap_or_default();
        let known = [OVERWRITTEN, CUT_SHORT].into_iter().find(|line| before.contains(line));
        let known = known.or(before.contains(BEGUN).then_some(CUT_SHORT));
        if known.is_none() {
            let held = if self.epoch_keys.holds(id) { BEGUN.to_owned() } else { format!("begun\n{NOT_THERE}") };
            self.epoch_keys.bury(id, &record(&epoch, &end, &held))?;
        }
        let key = match self.epoch_keys.destroy(id)? {
            Gone::Overwritten => OVERWRITTEN,
            Gone::NotThere => known.unwrap_or(NOT_THERE),
        };
        self.epoch_keys.bury(id, &record(&epoch, &end, &format!("begun\n{key}")))?;
        while self.write(|tx| tx.sweep_loads(CHUNKS))?.value {}
        while self.write(move |tx| tx.sweep_batches(now, CHUNKS, RESULTS))?.value {}
        while self.write(|tx| tx.vacuum(PAGES))?.value {}
        self.certain(self.empty_wal())?;
        let database = self.database.clone();
        self.certain(self.write(move |_| wal::lengthen(&database)))?;
        let erased = format!("erased {}\n{key}{}{ERASED}", seconds(now), registers.told());
        let (name, text) = (id.clone(), record(&epoch, &end, &erased));
        let note = self.write(move |tx| tx.put_destruction(&name, &text))?.value;
        self.epoch_keys.bury(id, &note)?;
        Ok(Destruction { epoch: id.clone(), note })
    }

    /// The record of a destroyed epoch, once [`Store::erase`] has come to its end.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn destruction(&self, epoch: &EpochId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT note FROM destruction WHERE epoch = ?1";
        self.read(|db| Ok(db.prepare_cached(sql)?.query_row([epoch.as_str()], |row| row.get(0)).optional()?))
    }

    /// Epochs that have a tombstone and that the database, restored from before, still shows alive.
    ///
    /// # Errors
    /// [`StoreError::Folder`], [`StoreError::Sql`].
    pub fn risen(&self) -> Result<Vec<Epoch>, StoreError> {
        let buried = self.epoch_keys.buried()?;
        let alive = |epoch: &Epoch| epoch.state != State::Destroyed && buried.contains(&epoch.id);
        Ok(self.epochs()?.into_iter().filter(alive).collect())
    }

    /// Epochs whose end was cut short.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn half_destroyed(&self) -> Result<Vec<EpochId>, StoreError> {
        let mut half = Vec::new();
        for epoch in self.epochs()?.into_iter().filter(|epoch| epoch.state == State::Destroyed) {
            // Without its record, or with a tombstone that says less than the record does.
            let record = self.destruction(&epoch.id)?;
            let is_whole = record.is_some() && record == self.epoch_keys.epitaph(&epoch.id)?;
            if !is_whole || self.epoch_keys.holds(&epoch.id) {
                half.push(epoch.id);
            }
        }
        Ok(half)
    }

    /// After a sync that failed nobody knows what the disk holds, so that nothing is written before a restart has looked.
    /// That somebody else holds the database, or that nothing was begun, is no such failure.
    fn certain<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        done.inspect_err(|error| {
            let held = [Some(ErrorCode::DatabaseBusy), Some(ErrorCode::DatabaseLocked)];
            let is_failure = match error {
                StoreError::Sql(error) => !held.contains(&error.sqlite_error_code()),
                StoreError::Folder { .. } => true,
                _ => error.is_damage(),
            };
            if is_failure {
                self.writer.poison(error);
            }
        })
    }

    /// Copies the write-ahead log into the database and cuts it to nothing. Readers hold it up for a moment.
    fn empty_wal(&self) -> Result<(), StoreError> {
        // Idle readers keep no transaction, but what they have cached is of no use any more either.
        self.readers.lock().unwrap_or_else(|broken| broken.into_inner()).clear();
        let db = Connection::open(&self.database)?;
        db.busy_timeout(Duration::from_secs(1))?;
        for _ in 0..ATTEMPTS {
            // Most of it while everybody goes on: nobody writes while the rest is copied.
            wal::copy(&db)?;
            let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if busy == 0 {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(StoreError::Conflict("write-ahead log is in use; the epoch is destroyed, ask for its record again"))
    }
}

/// What the record says. Its first line is no origin of a log, so its signature is never one under a checkpoint.
fn record(epoch: &Epoch, end: &Taken, done: &str) -> String {
    format!(
        "voorrang destruction record v1\nepoch {}\nregulation {}\nkey check {}\nannounced {}\ndestroyed {}\n\
         access log entry {}\n{done}",
        epoch.id,
        epoch.regulation,
        epoch.key_check.as_deref().unwrap_or("none: nothing was loaded"),
        seconds(epoch.announced_at),
        seconds(end.at),
        end.log_index
    )
}

fn seconds(at: OffsetDateTime) -> String {
    at.truncate_to_second().format(&Rfc3339).expect("a year of four digits has this form")
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::super::fixture::{append, folder, open};
    use super::*;

    #[test]
    fn a_sync_that_fails_at_the_end_of_an_epoch_stops_every_write() {
        let failed = |code| StoreError::Sql(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        let path = std::path::PathBuf::from("voorrang.db-wal");
        let unwritable = StoreError::Folder { path, source: std::io::ErrorKind::StorageFull.into() };
        for (error, stops) in [
            (failed(ffi::SQLITE_IOERR_FSYNC), true),
            (unwritable, true),
            (failed(ffi::SQLITE_BUSY), false),
            (failed(ffi::SQLITE_LOCKED), false),
            (StoreError::Busy, false),
            (StoreError::Full, false),
            (StoreError::Conflict("write-ahead log is in use"), false),
        ] {
            let home = folder();
            let store = open(&home);
            append(&store);
            assert!(store.certain::<()>(Err(error)).is_err());
            assert_eq!(store.stats().poisoned, stops);
        }
    }

    #[test]
    fn a_log_that_cannot_be_emptied_stops_every_write() {
        let home = folder();
        let store = open(&home);
        append(&store);
        // No disk of a test fails at will; a database that is none any more fails in the same place.
        let path = home.path().join("voorrang.db");
        let length = std::fs::metadata(&path).unwrap().len();
        std::fs::write(&path, vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
        assert!(store.certain(store.empty_wal()).is_err());
        assert!(store.stats().poisoned);
    }
}
