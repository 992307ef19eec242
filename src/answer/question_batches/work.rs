//! Answers batches behind the commit: a chunk of each in turn, its questions in slices whose entries share a commit. A
//! question for which somebody waits goes first. What a stop or a crash cuts short goes on at the next start: a question
//! has its result in the transaction that charges and records it.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::super::background::is_over;
use super::super::batches::Within;
use super::super::charge::Unpaid;
use super::super::identity::Identity;
use super::super::questions::Decision;
use super::super::repeats::Once;
use super::super::wire::Question;
use super::super::{App, Caller};
use super::{Asker, Came, damaged};
use crate::ids::BatchId;
use crate::store::{Batch, BatchState, ResultSealer, StoreError, Tx};

/// Between two looks whether there is a batch.
const LOOK: Duration = Duration::from_millis(50);

/// After a failure of the store or the log's key.
const PAUSE: Duration = Duration::from_secs(5);

/// Questions that share a commit.
const SLICE: usize = 32;

/// Questions that are searched together while others ask: whoever waits may wait for one search.
const FEW: usize = 4;

/// Why a batch is not gone on with.
enum Halt {
    /// The service stops.
    Ending,
    /// It was cancelled, or its epoch ended.
    Ended,
    /// Nothing can be decided or recorded now.
    Failed,
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) | StoreError::NotFound(_) => Self::Ended,
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "a batch cannot be gone on with now");
                Self::Failed
            }
        }
    }
}

/// The worker, until the service stops.
pub(in super::super) fn answer(app: &App, ending: &Receiver<()>) {
    let mut wait = LOOK;
    while !is_over(ending, wait) {
        wait = LOOK;
        if app.desk.has_more() {
            match app.answer_batches(ending) {
                Ok(()) | Err(Halt::Ended) => {}
                Err(Halt::Ending) => return,
                Err(Halt::Failed) => {
                    app.desk.wake();
                    wait = PAUSE;
                }
            }
        }
    }
}

/// Some questions of a batch that are not answered yet.
struct Turn {
    chunk: u32,
    /// Number of the chunk's first question.
    first: u32,
    todo: Vec<u32>,
}

/// What a question needs besides itself.
struct Behalf {
    batch: Batch,
    caller: Caller,
    sealer: ResultSealer,
    /// Whether as many households were answered as the regulation wants at once, once that was asked.
    enough: Cell<bool>,
}

impl App {
    /// A chunk of each batch in turn, until none is left but those that cannot be gone on with now: they hold up no other.
    fn answer_batches(&self, ending: &Receiver<()>) -> Result<(), Halt> {
        let mut stuck: HashSet<BatchId> = HashSet::new();
        loop {
            let mut under_way = self.store.batches_under_way()?;
            under_way.retain(|id| !stuck.contains(id));
            if under_way.is_empty() {
                self.sweep_batches()?;
                return if stuck.is_empty() { Ok(()) } else { Err(Halt::Failed) };
            }
            for id in under_way {
                match self.answer_some(&id, ending) {
                    Ok(()) | Err(Halt::Ended) => {}
                    Err(Halt::Failed) => drop(stuck.insert(id)),
                    Err(Halt::Ending) => return Err(Halt::Ending),
                }
            }
        }
    }

    fn answer_some(&self, id: &BatchId, ending: &Receiver<()>) -> Result<(), Halt> {
        let batch = self.store.batch(id)?;
        let Some(turn) = self.turn(&batch)? else {
            let (id, now, expires) = (batch.id, self.clock.now(), self.results_expire());
            self.store.write(move |tx: &Tx<'_>| tx.end_batch(&id, BatchState::Done, now, expires))?;
            return Ok(());
        };
        let chunk = self.store.question_chunks(&batch)?.from(turn.chunk).next();
        let chunk = chunk.ok_or(StoreError::NotFound("chunk"))??;
        let lines: Vec<&[u8]> = chunk.split(|&byte| byte == b'\n').collect();
        let asker: Asker = serde_json::from_str(&batch.asker).map_err(|_| damaged())?;
        let identity = Identity::remembered(batch.oin.clone(), asker.certificate.clone(), asker.person.clone());
        let caller = Caller { identity, trace: asker.trace, once: Once::default() };
        let behalf = Behalf { sealer: self.store.result_sealer(&batch)?, batch, caller, enough: Cell::default() };
        for slice in turn.todo.chunks(SLICE) {
            if is_over(ending, Duration::ZERO) {
                return Err(Halt::Ending);
            }
            if !self.desk.lets_go_on(&behalf.batch.oin, &asker) {
                tracing::warn!(
                    "a batch waits: whoever committed it is revoked or shut out, or revocation cannot be judged"
                );
                return Err(Halt::Failed);
            }
            let line = |n: u32| lines.get((n - turn.first) as usize).copied().unwrap_or_default();
            self.answer_slice(&behalf, slice, line)?;
        }
        Ok(())
    }

    /// The first chunk with questions that have no result. Slices are recorded one after the other, so what a crash left
    /// out is no further back than one.
    fn turn(&self, batch: &Batch) -> Result<Option<Turn>, StoreError> {
        let last = self.store.last_result(&batch.id)?;
        let from = last.map_or(0, |last| (last + 1).saturating_sub(SLICE as u32));
        let mut first = 0;
        for chunk in self.store.question_chunks_there(&batch.id)? {
            let end = first + chunk.records;
            if end > from {
                let done = self.store.questions_with_result(&batch.id, first, chunk.records)?;
                let done: HashSet<u32> = done.into_iter().collect();
                let todo: Vec<u32> = (first..end).filter(|n| !done.contains(n)).collect();
                if !todo.is_empty() {
                    return Ok(Some(Turn { chunk: chunk.n, first, todo }));
                }
            }
            first = end;
        }
        Ok(None)
    }

    /// Decides some questions, holds what came of them until time tells nothing, and records each by itself.
    fn answer_slice<'a>(&self, behalf: &Behalf, slice: &[u32], line: impl Fn(u32) -> &'a [u8]) -> Result<(), Halt> {
        let started = Instant::now();
        let questions = slice.iter().map(|&n| serde_json::from_slice(line(n)).map_err(|_| damaged()));
        let questions: Vec<Question> = questions.collect::<Result<_, _>>()?;
        let (mut decided, mut rest) = (Vec::with_capacity(questions.len()), &questions[..]);
        while !rest.is_empty() {
            self.desk.let_pass();
            let together = if self.desk.is_busy() { FEW.min(rest.len()) } else { rest.len() };
            let (next, behind) = rest.split_at(together);
            decided.extend(self.decide_for(behalf, next)?);
            rest = behind;
        }
        let answered = questions.iter().zip(&decided).filter(|(_, decision)| decision.outcome().is_ok());
        let tenants = answered.map(|(question, _)| question.tenants.len()).sum();
        self.pace.hold_here(&behalf.batch.epoch, started, tenants);
        let jobs = slice.iter().zip(decided).map(|(&n, decision)| behalf.job(n, decision));
        let written = self.store.write_each(jobs);
        for ((&n, question), written) in slice.iter().zip(&questions).zip(written) {
            match written {
                Ok(_) => {}
                // The budget ended within the slice: the second decision is the refusal.
                Err(Unpaid::Spent) => {
                    let again = self.decide_for(behalf, std::slice::from_ref(question))?;
                    again.into_iter().try_for_each(|decision| self.settle(behalf, n, decision))?;
                }
                Err(Unpaid::Store(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Records what was decided the second time, or that it was not paid for that time either.
    fn settle(&self, behalf: &Behalf, n: u32, decision: Decision) -> Result<(), Halt> {
        let unpaid = decision.unpaid();
        match self.store.write(behalf.job(n, decision)) {
            Ok(_) => Ok(()),
            Err(Unpaid::Spent) => match self.store.write(behalf.job(n, unpaid)) {
                Ok(_) => Ok(()),
                Err(Unpaid::Spent) => unreachable!("a refusal costs nothing"),
                Err(Unpaid::Store(error)) => Err(error.into()),
            },
            Err(Unpaid::Store(error)) => Err(error.into()),
        }
    }

    /// When the questions of a batch count as asked: now. Of one whose epoch fell silent before so many households were
    /// answered as the regulation wants at once, when it was begun: a silence behind its first question would have singled
    /// somebody out.
    fn since(&self, behalf: &Behalf) -> Result<OffsetDateTime, Halt> {
        let (batch, now) = (&behalf.batch, self.latest());
        let in_force = self.epoch(&batch.epoch).map_err(|_| Halt::Ended)?;
        if behalf.enough.get() || in_force.epoch.answers(now).is_ok() {
            return Ok(now);
        }
        behalf.enough.set(self.has_minimum(batch).map_err(|_| Halt::Failed)?);
        Ok(if behalf.enough.get() { now } else { batch.begun_at })
    }

    /// Decisions that may be recorded: a failure of ours is none.
    fn decide_for(&self, behalf: &Behalf, questions: &[Question]) -> Result<Vec<Decision>, Halt> {
        let within = Within { households: behalf.batch.households, since: self.since(behalf)? };
        let decided = self.decide_each(&behalf.caller, questions, within).into_iter();
        let recordable = |decision: Decision| match decision.outcome() {
            Err(problem) if problem.status.is_server_error() => Err(Halt::Failed),
            _ => Ok(decision.unawaited()),
        };
        decided.map(recordable).collect()
    }
}

impl Behalf {
    /// Records a decision and keeps it as the question's result.
    fn job(&self, n: u32, decision: Decision) -> impl FnOnce(&Tx<'_>) -> Result<(), Unpaid> + Send + use<> {
        let problem = decision.outcome().err().map(|problem| problem.clone().traced(self.caller.trace).body());
        let (id, sealer) = (self.batch.id, self.sealer.clone());
        move |tx| {
            let (appended, answer) = decision.record(tx)?;
            let told = answer.map(|answer| Came::Answer(answer.as_str().to_owned()));
            let came = told.or(problem.map(Came::Problem)).expect("what is not answered is a problem");
            let kept = serde_json::to_string(&came).expect("plain data have a JSON form");
            Ok(tx.put_result(&id, &sealer.seal(n, &kept, answer.is_some()), appended)?)
        }
    }
}
