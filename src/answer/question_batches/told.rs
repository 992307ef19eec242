//! What a party is told of its batches: how far they are, and what became of their questions.

use actix_web::http::StatusCode;
use time::OffsetDateTime;

use super::super::chunks;
use super::super::decision::store_problem;
use super::super::problem::Problem;
use super::super::questions::padded;
use super::super::repeats::receipt_of;
use super::super::wire::batches::{BATCHES_AT_ONCE, BatchView, RESULTS_AT_ONCE, ResultLine};
use super::super::wire::{ANSWER_BYTES, Answered};
use super::super::{App, Caller};
use super::{CHUNK_BYTES, Came, damaged};
use crate::audit::{Range, Receipt};
use crate::epoch::State;
use crate::ids::{BatchId, Oin};
use crate::store::{Batch, BatchState, StoreError, Tx};

/// Bytes of an answer among others, so that length tells nothing: the answer, and room for the question's number.
const LINE_BYTES: usize = ANSWER_BYTES + 64;

/// What became of one of several questions, as it is sent. A refusal is as long as it is: it tells of no register.
pub(in super::super) fn one_of_many(came: &impl serde::Serialize, is_answer: bool) -> Vec<u8> {
    if is_answer { padded(came, LINE_BYTES) } else { serde_json::to_vec(came).expect("plain data have a JSON form") }
}

/// What is said of a batch whose epoch was destroyed: whether answers went with it that were charged.
fn gone(batch: &Batch) -> Problem {
    if batch.answered == 0 {
        let detail = "the epoch of this batch is destroyed; nothing of it was answered or charged: ask anew in the one in \
                      force, see GET /v1/service";
        return Problem::new(StatusCode::GONE, "epoch_destroyed", detail);
    }
    let detail = format!(
        "the epoch of this batch is destroyed, and with it the batch's {} answers, which were charged; those that nobody \
         fetched are lost: ask anew in the epoch in force, which is charged again",
        batch.answered
    );
    Problem::new(StatusCode::GONE, "answers_destroyed", detail)
}

/// How far a batch is, but for the chunks of one that is open.
fn without_chunks(batch: &Batch) -> BatchView {
    BatchView {
        batch: batch.id,
        state: batch.state.as_str().into(),
        questions: batch.questions,
        answered: batch.answered,
        refused: batch.refused,
        chunk_bytes: CHUNK_BYTES,
        chunks: Vec::new(),
        begun_at: batch.begun_at,
        ended_at: batch.ended_at,
        expires_at: batch.expires_at,
    }
}

/// A page of results.
pub(super) struct Page {
    pub lines: Vec<u8>,
    /// From the first to behind the last of their entries; `None` on an empty page.
    pub entries: Option<Range>,
    /// How many results it brings.
    pub count: u32,
}

impl App {
    /// A batch of this caller. Those of others do not exist.
    pub(super) fn own_batch(&self, caller: &Caller, id: &BatchId) -> Result<Batch, Problem> {
        let is_there = |batch: &Batch| batch.expires_at.is_none_or(|end| self.clock.now() < end);
        match self.store.batch(id) {
            Ok(batch) if batch.oin == caller.identity.oin && is_there(&batch) => {
                if self.epoch(&batch.epoch)?.epoch.state == State::Destroyed { Err(gone(&batch)) } else { Ok(batch) }
            }
            Ok(_) | Err(StoreError::NotFound(_)) => {
                Err(Problem::not_found("unknown_batch", "you have no batch of this name, or it has expired"))
            }
            Err(error) => Err(store_problem(&error)),
        }
    }

    /// A batch as its party sees it.
    pub(in super::super) fn batch_view(&self, id: &BatchId) -> Result<BatchView, Problem> {
        let read = || {
            let batch = self.store.batch(id)?;
            let is_open = batch.state == BatchState::Open;
            let chunks = if is_open { self.store.question_chunks_there(id)? } else { Vec::new() };
            Ok(BatchView { chunks: chunks.into_iter().map(chunks::kept).collect(), ..without_chunks(&batch) })
        };
        read().map_err(|error: StoreError| store_problem(&error))
    }

    /// The batches of a party as it sees them, without their chunks.
    pub(super) fn batch_views(&self, oin: &Oin) -> Result<Vec<BatchView>, StoreError> {
        let batches = self.store.batches_of(oin, self.clock.now(), BATCHES_AT_ONCE)?;
        let is_there = |batch: &Batch| self.epoch(&batch.epoch).is_ok_and(|of| of.epoch.state != State::Destroyed);
        Ok(batches.iter().filter(|batch| is_there(batch)).map(without_chunks).collect())
    }

    /// A page of results, each with a receipt that the newest checkpoint covers; or, where none may be told any more, with
    /// the reason in the place of the answer.
    pub(super) fn result_lines(
        &self,
        batch: &Batch,
        from: u32,
        withheld: Option<&Problem>,
    ) -> Result<Page, StoreError> {
        let results = self.store.results(batch, from, RESULTS_AT_ONCE)?;
        // Behind the results: it covers them all.
        let checkpoint = if results.is_empty() { String::new() } else { self.store.checkpoint()? };
        let indexes = || results.iter().map(|result| result.entry.index);
        let entries = indexes().min().zip(indexes().max()).map(|(from, last)| Range { from, to: last + 1 });
        let count = u32::try_from(results.len()).expect("a page has a bound");
        let mut lines = Vec::with_capacity(results.len() * LINE_BYTES);
        for result in results {
            let came = serde_json::from_str(&result.kept).map_err(|_| damaged())?;
            let (answered, problem) = match (came, withheld) {
                (Came::Answer(_), Some(withheld)) => (None, Some(withheld.clone().body())),
                (Came::Answer(answer), None) => {
                    let receipt = Receipt { checkpoint: checkpoint.clone(), ..receipt_of(result.entry) };
                    (Some(Answered { answer, epoch: batch.epoch.clone(), receipt }), None)
                }
                (Came::Problem(problem), _) => (None, Some(problem)),
            };
            let is_answer = answered.is_some();
            let line = ResultLine { number: result.n, answered, problem };
            lines.append(&mut one_of_many(&line, is_answer));
            lines.push(b'\n');
        }
        Ok(Page { lines, entries, count })
    }

    /// When results of a batch that ends now are deleted.
    pub(super) fn results_expire(&self) -> OffsetDateTime {
        self.clock.now() + time::Duration::days(self.desk.bounds.results_days.into())
    }

    /// Deletes what expired of batches, and questions that nobody asks any more, bit by bit.
    pub(in super::super) fn sweep_batches(&self) -> Result<(), StoreError> {
        let now = self.settled();
        // At most 4 MiB, so that answers wait for little.
        while self.store.write(move |tx: &Tx<'_>| tx.sweep_batches(now, 4, 2000))?.value {}
        Ok(())
    }
}
