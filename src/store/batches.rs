//! Batches of questions that are answered in the background, and what became of each question. Both are sealed under the
//! data key of their epoch.

mod listed;

use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::chunks::{self, ChunkKept, Chunks, Place, SealedChunk};
use super::epochs::{at, parsed};
use super::log::{Appended, int};
use super::{Store, StoreError, Tx};
use crate::ids::{BatchId, EpochId, Oin};

/// What is kept of a question's answer is padded to a multiple of this, so that its length does not tell an answer.
const PADDED_BYTES: usize = 64;

/// A batch as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    pub epoch: EpochId,
    /// Whose it is.
    pub oin: Oin,
    /// What all its questions say, JSON.
    pub plan: String,
    /// Questions that will follow.
    pub questions: u32,
    pub begun_at: OffsetDateTime,
    /// When it is deleted, if it is not committed before.
    pub expires_at: OffsetDateTime,
}

/// Where a batch is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// Chunks arrive; nothing is asked.
    Open,
    Answering,
    /// Every question was answered or refused.
    Done,
    /// Its party ended it; what was answered stays.
    Cancelled,
    /// As a whole, before anything was asked.
    Refused,
}

impl BatchState {
    /// The word in the database and in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answering => "answering",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
        }
    }
}

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub id: BatchId,
    pub epoch: EpochId,
    pub oin: Oin,
    pub plan: String,
    pub questions: u32,
    pub state: BatchState,
    /// Grows with every chunk, repeated ones too.
    pub revision: u64,
    /// Different addresses, as counted at the commit.
    pub households: u32,
    /// Who committed it, JSON.
    pub asker: String,
    pub answered: u32,
    pub refused: u32,
    pub begun_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub expires_at: Option<OffsetDateTime>,
    /// Chunks that are there.
    pub chunks: u32,
}

/// Batches of an epoch whose answers were charged and would be lost with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    pub batches: u32,
    /// Whose they are.
    pub parties: u32,
    /// When the last of them expires; absent while one is still being answered.
    pub until: Option<OffsetDateTime>,
}

/// What became of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchResult {
    /// Of the question, from 0.
    pub n: u32,
    /// What was kept.
    pub kept: String,
    pub entry: Appended,
}

/// What is to be kept of one question; only its place opens it again. Made off the writer's thread.
#[derive(Clone, Debug)]
pub struct SealedResult {
    n: u32,
    answered: bool,
    sealed: Vec<u8>,
}

/// Seals the results of one batch. `Debug` is absent: it holds a key.
#[derive(Clone)]
pub struct ResultSealer(Place);

impl ResultSealer {
    /// What became of question `n`, and whether it was answered.
    pub fn seal(&self, n: u32, kept: &str, answered: bool) -> SealedResult {
        let padded = kept.len().next_multiple_of(PADDED_BYTES);
        SealedResult { n, answered, sealed: self.0.seal_part(n, format!("{kept:padded$}").as_bytes()) }
    }
}

impl Tx<'_> {
    /// Begins a batch.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such epoch.
    pub fn begin_batch(&self, new: &NewBatch) -> Result<BatchId, StoreError> {
        self.epoch(&new.epoch)?;
        let id = BatchId::random();
        let sql = "INSERT INTO batch (id, epoch, oin, plan, questions, state, begun_at, expires_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, 'open', ?6, ?7)";
        let (begun, expires) = (new.begun_at.unix_timestamp(), new.expires_at.unix_timestamp());
        let row =
            params![id.to_string(), new.epoch.as_str(), new.oin.as_str(), new.plan, new.questions, begun, expires];
        self.db.prepare_cached(sql)?.execute(row)?;
        Ok(id)
    }

    /// Keeps a chunk. The same chunk again replaces the first.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the batch is not open, or [`StoreError::LoadOverfull`] if it would hold more questions
    /// than it announced.
    pub fn put_questions(&self, id: &BatchId, chunk: &SealedChunk) -> Result<(), StoreError> {
        let batch = self.batch_in(id, BatchState::Open)?;
        self.keep_chunk(chunk, batch.questions.into())?;
        let sql = "UPDATE batch SET revision = revision + 1 WHERE id = ?1";
        self.db.prepare_cached(sql)?.execute([id.to_string()])?;
        Ok(())
    }

    /// Has a complete batch, as it was read, answered.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is not open, or a chunk arrived after it was read;
    /// [`StoreError::LoadIncomplete`] if questions or a chunk in between are missing.
    pub fn commit_batch(&self, read: &Batch, households: u32, asker: &str) -> Result<(), StoreError> {
        let batch = self.batch_in(&read.id, BatchState::Open)?;
        if batch.revision != read.revision {
            return Err(StoreError::Conflict(
                "batch got another chunk while it was committed; read it again and decide anew",
            ));
        }
        let id = read.id.to_string();
        chunks::complete(self.db, &id, batch.questions.into())?;
        let sql = "UPDATE batch SET state = 'answering', households = ?2, asker = ?3, expires_at = NULL WHERE id = ?1";
        self.db.execute(sql, params![id, households, asker])?;
        Ok(())
    }

    /// Keeps what became of a question, in the job that records it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the batch is not being answered any more, or the question was: then it is not asked.
    pub fn put_result(&self, id: &BatchId, result: &SealedResult, entry: Appended) -> Result<(), StoreError> {
        let id = id.to_string();
        let sql = "UPDATE batch SET answered = answered + ?2, refused = refused + 1 - ?2
                   WHERE id = ?1 AND state = 'answering'";
        if self.db.prepare_cached(sql)?.execute(params![id, result.answered])? == 0 {
            return Err(StoreError::Conflict("batch has ended; read it again and decide anew"));
        }
        let sql = "INSERT OR IGNORE INTO result (batch, n, idx, sealed) VALUES (?1, ?2, ?3, ?4)";
        let row = params![id, result.n, int(entry.index)?, result.sealed];
        match self.db.prepare_cached(sql)?.execute(row)? {
            0 => Err(StoreError::Conflict("question of the batch was answered before")),
            _ => Ok(()),
        }
    }

    /// Notes that `count` results from question `from` on were handed out. Only what joins those before counts: who reads
    /// the last page has not read the first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn note_read(&self, id: &BatchId, from: u32, count: u32) -> Result<(), StoreError> {
        let sql = "UPDATE batch SET read = max(read, ?3) WHERE id = ?1 AND read >= ?2";
        self.db.prepare_cached(sql)?.execute(params![id.to_string(), from, from.saturating_add(count)])?;
        Ok(())
    }

    /// As [`Store::unread`], as this job sees it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn unread(&self, epoch: &EpochId, now: OffsetDateTime) -> Result<Option<Unread>, StoreError> {
        unread(self.db, epoch, now)
    }

    /// Ends a batch that is open or being answered; whether it was. Its questions are deleted by [`Tx::sweep_batches`],
    /// its results once they expire.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn end_batch(
        &self,
        id: &BatchId,
        state: BatchState,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE batch SET state = ?2, ended_at = ?3, expires_at = ?4
                   WHERE id = ?1 AND state IN ('open', 'answering')";
        let row = params![id.to_string(), state.as_str(), now.unix_timestamp(), expires_at.unix_timestamp()];
        Ok(self.db.prepare_cached(sql)?.execute(row)? > 0)
    }

    /// Cancels a batch, as [`Tx::end_batch`] ends one: unless questions of it were answered and it is not `enough`. Whether
    /// it has ended, now or before.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn cancel_batch(
        &self,
        id: &BatchId,
        enough: bool,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM batch WHERE id = ?1 AND state = 'answering' AND answered > 0";
        let begun = || self.db.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get::<_, u32>(0));
        if !enough && begun()? > 0 {
            return Ok(false);
        }
        self.end_batch(id, BatchState::Cancelled, now, expires_at).map(|_| true)
    }

    /// Deletes up to `chunks` chunks of questions that nobody asks any more, up to `rows` results that have expired or whose
    /// epoch is over, and batches of which nothing is left. Whether there is more: call again, in another job.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn sweep_batches(&self, now: OffsetDateTime, chunks: u32, rows: u32) -> Result<bool, StoreError> {
        let now = now.unix_timestamp();
        let sql =
            "DELETE FROM chunk WHERE rowid IN (SELECT chunk.rowid FROM chunk JOIN batch ON batch.id = chunk.upload
                   WHERE state NOT IN ('open', 'answering') OR expires_at <= ?1 LIMIT ?2)";
        let questions = self.db.prepare_cached(sql)?.execute(params![now, chunks])?;
        let sql = "DELETE FROM result WHERE (batch, n) IN (SELECT batch, n FROM result
                   JOIN batch ON batch.id = result.batch JOIN epoch ON epoch.id = batch.epoch
                   WHERE expires_at <= ?1 OR data_key IS NULL LIMIT ?2)";
        let results = self.db.prepare_cached(sql)?.execute(params![now, rows])?;
        let sql = "DELETE FROM batch WHERE expires_at <= ?1 AND id NOT IN (SELECT batch FROM result)
                   AND id NOT IN (SELECT upload FROM chunk)";
        self.db.prepare_cached(sql)?.execute([now])?;
        Ok(questions == chunks as usize || results == rows as usize)
    }

    fn batch_in(&self, id: &BatchId, state: BatchState) -> Result<Batch, StoreError> {
        let batch = find(self.db, id)?;
        if batch.state == state {
            Ok(batch)
        } else {
            Err(StoreError::Conflict("batch is no longer open; read it again and decide anew"))
        }
    }
}

impl Store {
    /// One batch, whatever its state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn batch(&self, id: &BatchId) -> Result<Batch, StoreError> {
        self.read(|db| find(db, id))
    }

    /// Batches of a party that are open or being answered.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn unfinished_batches(&self, oin: &Oin) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM batch WHERE oin = ?1 AND state IN ('open', 'answering')";
        self.read(|db| Ok(db.prepare_cached(sql)?.query_row([oin.as_str()], |row| row.get(0))?))
    }

    /// Batches of an epoch that are being answered, or have answers that their party has not read to the end and still can.
    /// What is still open was not asked: nothing of it is lost.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn unread(&self, epoch: &EpochId, now: OffsetDateTime) -> Result<Option<Unread>, StoreError> {
        self.read(|db| unread(db, epoch, now))
    }

    /// Batches that are being answered, in no order that tells anything.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn batches_under_way(&self) -> Result<Vec<BatchId>, StoreError> {
        let sql = "SELECT id FROM batch WHERE state = 'answering'";
        self.read(|db| Ok(db.prepare_cached(sql)?.query_map([], |row| parsed(row, 0))?.collect::<Result<_, _>>()?))
    }

    /// Which chunks of a batch are there, in order.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn question_chunks_there(&self, id: &BatchId) -> Result<Vec<ChunkKept>, StoreError> {
        self.read(|db| chunks::there(db, &id.to_string()))
    }

    /// Seals chunk `n` (from 0) of a batch, with its number of questions.
    ///
    /// # Errors
    /// [`StoreError::EpochKey`] if the epoch's data key is missing or another one.
    pub fn seal_questions(
        &self,
        batch: &Batch,
        n: u32,
        questions: u32,
        plain: &[u8],
    ) -> Result<SealedChunk, StoreError> {
        Ok(self.batch_place(batch, "questions")?.seal(n, questions, chunks::sha256(plain), plain))
    }

    /// The opened chunks of a batch, in order, one in memory at a time.
    ///
    /// # Errors
    /// [`StoreError::EpochKey`] if the epoch's data key is missing or another one.
    pub fn question_chunks(&self, batch: &Batch) -> Result<Chunks<'_>, StoreError> {
        Ok(Chunks::new(self, self.batch_place(batch, "questions")?, batch.chunks))
    }

    /// What seals the results of a batch.
    ///
    /// # Errors
    /// [`StoreError::EpochKey`] if the epoch's data key is missing or another one.
    pub fn result_sealer(&self, batch: &Batch) -> Result<ResultSealer, StoreError> {
        self.batch_place(batch, "results").map(ResultSealer)
    }

    /// Number of the last question that has a result.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn last_result(&self, id: &BatchId) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT max(n) FROM result WHERE batch = ?1";
        self.read(|db| Ok(db.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0))?))
    }

    /// Numbers of the questions from `first` on, `count` of them, that have a result.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn questions_with_result(&self, id: &BatchId, first: u32, count: u32) -> Result<Vec<u32>, StoreError> {
        let sql = "SELECT n FROM result WHERE batch = ?1 AND n >= ?2 AND n < ?3 ORDER BY n";
        let row = params![id.to_string(), first, first.saturating_add(count)];
        self.read(|db| Ok(db.prepare_cached(sql)?.query_map(row, |row| row.get(0))?.collect::<Result<_, _>>()?))
    }

    /// Results from question `from` on, at most so many, up to the first question that has none yet.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if one does not open.
    pub fn results(&self, batch: &Batch, from: u32, most: u32) -> Result<Vec<BatchResult>, StoreError> {
        let place = self.batch_place(batch, "results")?;
        let sql = "SELECT n, sealed, idx, hash FROM result JOIN leaf USING (idx)
                   WHERE batch = ?1 AND n >= ?2 ORDER BY n LIMIT ?3";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let rows: Vec<(u32, Vec<u8>, i64, [u8; 32])> = self.read(|db| {
            let rows = params![batch.id.to_string(), from, most];
            Ok(db.prepare_cached(sql)?.query_map(rows, read)?.collect::<Result<_, _>>()?)
        })?;
        let without_gap = rows.into_iter().zip(from..).take_while(|((n, ..), want)| n == want);
        let open = |((n, sealed, index, leaf), _): ((u32, Vec<u8>, i64, [u8; 32]), u32)| {
            let kept = place.open_part(n, &sealed).and_then(|plain| String::from_utf8(plain).ok());
            let kept = kept.ok_or(StoreError::Damaged { what: "a result of a batch" })?.trim_end().to_owned();
            Ok(BatchResult { n, kept, entry: Appended { index: index.unsigned_abs(), leaf: leaf.into() } })
        };
        without_gap.map(open).collect()
    }

    fn batch_place(&self, batch: &Batch, what: &str) -> Result<Place, StoreError> {
        self.place(&batch.epoch, &batch.id.to_string(), &[batch.oin.as_str(), what])
    }
}

fn unread(db: &Connection, epoch: &EpochId, now: OffsetDateTime) -> Result<Option<Unread>, StoreError> {
    let sql =
        "SELECT count(*), count(DISTINCT oin), iif(count(expires_at) = count(*), max(expires_at), NULL) FROM batch
               WHERE epoch = ?1 AND (state = 'answering'
               OR answered > 0 AND read < answered + refused AND expires_at > ?2)";
    let found = |row: &Row<'_>| {
        let until = row.get::<_, Option<i64>>(2)?.map(|_| at(row, 2)).transpose()?;
        Ok(Unread { batches: row.get(0)?, parties: row.get(1)?, until })
    };
    let found = db.prepare_cached(sql)?.query_row(params![epoch.as_str(), now.unix_timestamp()], found)?;
    Ok(Some(found).filter(|found| found.batches > 0))
}

fn find(db: &Connection, id: &BatchId) -> Result<Batch, StoreError> {
    let sql = "SELECT epoch, oin, plan, questions, state, revision, households, asker, answered, refused, begun_at,
               ended_at, expires_at, (SELECT count(*) FROM chunk WHERE upload = batch.id) FROM batch WHERE id = ?1";
    let moment = |row: &Row<'_>, column| row.get::<_, Option<i64>>(column)?.map(|_| at(row, column)).transpose();
    let batch = |row: &Row<'_>| {
        Ok(Batch {
            id: *id,
            epoch: parsed(row, 0)?,
            oin: parsed(row, 1)?,
            plan: row.get(2)?,
            questions: row.get(3)?,
            state: state(row, 4)?,
            revision: row.get::<_, i64>(5)?.unsigned_abs(),
            households: row.get(6)?,
            asker: row.get(7)?,
            answered: row.get(8)?,
            refused: row.get(9)?,
            begun_at: at(row, 10)?,
            ended_at: moment(row, 11)?,
            expires_at: moment(row, 12)?,
            chunks: row.get(13)?,
        })
    };
    db.prepare_cached(sql)?.query_row([id.to_string()], batch).optional()?.ok_or(StoreError::NotFound("batch"))
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<BatchState> {
    Ok(match row.get_ref(column)?.as_str()? {
        "open" => BatchState::Open,
        "answering" => BatchState::Answering,
        "done" => BatchState::Done,
        "cancelled" => BatchState::Cancelled,
        _ => BatchState::Refused,
    })
}

#[cfg(test)]
mod tests;
