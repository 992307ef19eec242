//! Whether a batch can be answered at all, whether a question belongs to it, and the refusal of a whole batch.

use std::collections::HashSet;

use super::super::chunks::{self, BadLine};
use super::super::decision::{refusal_problem, refused, store_problem, unanswered};
use super::super::problem::Problem;
use super::super::questions::check_header;
use super::super::wire::Question;
use super::super::wire::batches::BatchPlan;
use super::super::{App, Caller, EpochInForce};
use super::{Came, damaged};
use crate::audit::{Action, Entry, Outcome};
use crate::ids::Purpose;
use crate::regulate::{Act, Arrears, Conditions, Facts, Regulation};
use crate::store::{Batch, BatchState, SealedChunk, StoreError, Tx};

/// Different households are counted up to here: no regulation may want more in one request.
const MOST_HOUSEHOLDS: usize = 100;

/// Results that are in memory at once.
const PAGE: u32 = 1000;

/// Why a chunk is not kept.
pub(super) enum BadChunk {
    /// It can be sent again.
    Unreadable(Problem),
    /// It does not belong to the batch, which is refused with it.
    Refused(Problem),
}

impl App {
    /// An entry about a batch as a whole.
    pub(super) fn batch_entry(&self, caller: &Caller, regulation: &Regulation, plan: &BatchPlan) -> Entry {
        let mut entry = self.entry(caller, Some(regulation), Action::Ask, Outcome::Done);
        entry.epoch = Some(plan.header.epoch.clone());
        entry.purpose = regulation.listed(purpose_of(plan).as_ref());
        entry
    }

    /// Whether questions of this plan can be answered at all. Each is decided by itself later.
    pub(super) fn check_batch(
        &self,
        caller: &Caller,
        in_force: &EpochInForce,
        regulation: &Regulation,
        plan: &BatchPlan,
        entry: &mut Entry,
    ) -> Result<(), Problem> {
        self.check_state(in_force, self.latest())?;
        check_header(in_force, &plan.header)?;
        if purpose_of(plan).is_none() {
            let detail = "a batch names the purpose of its questions, as the regulation lists it";
            return Err(Problem::unprocessable("purpose_missing", detail));
        }
        let facts = self.best_question(caller, in_force, regulation, plan).map_err(|error| store_problem(&error))?;
        if let Err(refusal) = regulation.decide(&facts) {
            entry.articles.clone_from(&refusal.articles);
            entry.result = refused(&refusal);
            return Err(refusal_problem(&refusal));
        }
        let under_way = self.store.unfinished_batches(&caller.identity.oin).map_err(|error| store_problem(&error))?;
        if under_way >= self.desk.bounds.each {
            let detail = format!("{under_way} of your batches are being sent or answered; wait, or cancel one");
            return Err(Problem::conflict("batches_under_way", detail));
        }
        Ok(())
    }

    /// A question of this plan with nothing against it but what holds for all of them.
    fn best_question(
        &self,
        caller: &Caller,
        in_force: &EpochInForce,
        regulation: &Regulation,
        plan: &BatchPlan,
    ) -> Result<Facts, StoreError> {
        let oin = &caller.identity.oin;
        let stock = self.stock(&in_force.epoch.id, oin)?;
        Ok(Facts {
            purpose: purpose_of(plan),
            arrears: Some(Arrears { months: 24.0, days: 366 }),
            conditions: Conditions::MET,
            in_stock: Some(stock.is_some()),
            stock: stock.map(|stock| stock.counted(in_force)),
            batch: u32::MAX,
            tap_closed: self.store.tap_closed(regulation.id(), oin)?,
            ..self.facts(caller, Act::Ask)
        })
    }

    /// Reads every question of a chunk, and seals it.
    pub(super) fn seal_questions(
        &self,
        batch: &Batch,
        number: u32,
        body: &[u8],
    ) -> Result<(SealedChunk, u32), BadChunk> {
        let failed = |error: StoreError| BadChunk::Unreadable(store_problem(&error));
        let plan = plan_of(batch).map_err(failed)?;
        let mut refusal = None;
        let read = chunks::each_line(body, number as usize, |question: Question| {
            self.check_question(&plan, &question).map_err(|problem| {
                refusal.get_or_insert_with(|| problem.clone());
                problem.detail
            })
        });
        let records = read.map_err(|bad: BadLine| match refusal.take().filter(|_| bad.is_read) {
            Some(problem) => {
                let detail = format!("{bad}; the batch is refused as a whole, nothing of it was asked");
                BadChunk::Refused(Problem { detail, ..problem }.with(bad.faults))
            }
            None => {
                let detail = format!("{bad}; send the chunk again");
                BadChunk::Unreadable(Problem::unprocessable("question", detail).with(bad.faults))
            }
        })?;
        let sealed = self.store.seal_questions(batch, number, records, body).map_err(failed)?;
        Ok((sealed, records))
    }

    /// Whether a question has what its batch announced, and codes that are codes.
    fn check_question(&self, plan: &BatchPlan, question: &Question) -> Result<(), Problem> {
        if (&question.header, &question.purpose) != (&plan.header, &plan.purpose) {
            let detail = "its epoch, profile, salt or purpose is not the batch's";
            return Err(Problem::unprocessable("batch_mixed", detail));
        }
        self.household(question).map(drop)
    }

    /// A batch of which something is missing; that it was to be answered stands in the log.
    pub(super) async fn incomplete(&self, caller: &Caller, batch: &Batch, named: u32) -> Problem {
        let detail = format!(
            "{} questions were announced; the commit names {named} chunks, {} are there and do not hold as many; send \
             what is missing",
            batch.questions, batch.chunks
        );
        let problem = Problem::conflict("batch_incomplete", detail);
        match self.entry_of(caller, batch) {
            Ok(entry) => self.refuse(entry, problem).await,
            Err(unrecorded) => unrecorded.traced(caller.trace),
        }
    }

    pub(super) fn entry_of(&self, caller: &Caller, batch: &Batch) -> Result<Entry, Problem> {
        let plan = plan_of(batch).map_err(|error| store_problem(&error))?;
        let in_force = self.epoch(&plan.header.epoch)?;
        let regulation = self.regulation(&in_force.epoch.regulation)?;
        Ok(self.batch_entry(caller, &regulation, &plan))
    }

    /// Refuses a batch as a whole; that stands in the log once.
    pub(super) async fn refuse_batch(&self, caller: &Caller, batch: &Batch, problem: Problem) -> Problem {
        let recorded = async {
            let mut entry = self.entry_of(caller, batch)?;
            entry.result = unanswered(&problem);
            let (id, now, expires) = (batch.id, self.clock.now(), self.results_expire());
            let written = self.store.write_async(move |tx: &Tx<'_>| {
                if tx.end_batch(&id, BatchState::Refused, now, expires)? {
                    tx.append(&entry)?;
                }
                Ok(())
            });
            written.await.map(drop).map_err(|error: StoreError| store_problem(&error))
        };
        let problem = recorded.await.err().unwrap_or(problem);
        self.desk.wake();
        problem.traced(caller.trace)
    }

    /// Different addresses of a batch about which would be answered, as many as can matter, and at least one.
    pub(super) fn count_households(&self, caller: &Caller, batch: &Batch) -> Result<u32, StoreError> {
        let (mut addresses, now) = (HashSet::new(), self.latest());
        for (number, chunk) in self.store.question_chunks(batch)?.enumerate() {
            let take = |question: Question| {
                let new = question.address.map(|token| token.0).filter(|token| !addresses.contains(token));
                addresses.extend(new.filter(|_| self.would_answer(caller, &question, now)));
                Ok(())
            };
            chunks::each_line(&chunk?, number, take).map_err(|_| damaged())?;
            if addresses.len() >= MOST_HOUSEHOLDS {
                break;
            }
        }
        Ok(u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1))
    }

    /// Whether so many different households of a batch were answered as its regulation wants at once. Blocks.
    pub(super) fn has_minimum(&self, batch: &Batch) -> Result<bool, Problem> {
        let in_force = self.epoch(&batch.epoch)?;
        let least = self.regulation(&in_force.epoch.regulation)?.budgets().minimum_batch as usize;
        // One question more hides nobody.
        if least <= 1 || batch.state != BatchState::Answering {
            return Ok(true);
        }
        self.households_answered(batch, least).map(|found| found >= least).map_err(|error| store_problem(&error))
    }

    /// Different addresses of a batch of which something was told, counted up to `most`.
    fn households_answered(&self, batch: &Batch, most: usize) -> Result<usize, StoreError> {
        let told = |kept: &str| matches!(serde_json::from_str(kept), Ok(Came::Answer(_)));
        let mut addresses = HashSet::new();
        let (mut from, mut first) = (0, 0);
        for (number, chunk) in self.store.question_chunks(batch)?.enumerate() {
            let mut lines = Vec::new();
            let each = |question: Question| {
                lines.push(question.address.map(|token| token.0));
                Ok(())
            };
            chunks::each_line(&chunk?, number, each).map_err(|_| damaged())?;
            let end = first + u32::try_from(lines.len()).unwrap_or(u32::MAX);
            while from < end {
                let page = self.store.results(batch, from, (end - from).min(PAGE))?;
                let Some(last) = page.last().map(|one| one.n) else { return Ok(addresses.len()) };
                let answered = page.iter().filter(|one| told(&one.kept));
                addresses.extend(answered.filter_map(|one| lines[(one.n - first) as usize]));
                if addresses.len() >= most {
                    return Ok(addresses.len());
                }
                from = last + 1;
            }
            first = end;
        }
        Ok(addresses.len())
    }
}

fn purpose_of(plan: &BatchPlan) -> Option<Purpose> {
    plan.purpose.as_deref().and_then(|text| text.parse().ok())
}

pub(super) fn plan_of(batch: &Batch) -> Result<BatchPlan, StoreError> {
    serde_json::from_str(&batch.plan).map_err(|_| damaged())
}
