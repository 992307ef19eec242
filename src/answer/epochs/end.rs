//! The end of an epoch: retired, aborted, destroyed, each by two people. What was destroyed stays so, whatever database
//! is put back.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::aside::aside;
use super::super::decision::store_problem;
use super::super::four_eyes::Proposed;
use super::super::identity::Identity;
use super::super::json::Json;
use super::super::problem::Problem;
use super::super::proposals::drop_overtaken;
use super::super::wire::{Destroyed, Destruction, Ending};
use super::super::{App, Caller, EpochInForce, StartError};
use super::illegal;
use crate::audit::{Action, Entry, Outcome};
use crate::epoch::{Epoch, IllegalStep, Move, State, Step};
use crate::ids::EpochId;
use crate::regulate::Act;
use crate::store::{Registers, StoreError, Taken, Tx};

/// How long questions under way may hold a register that is being destroyed.
const LAST_READERS: Duration = Duration::from_secs(10);

/// How an epoch ends. Each takes two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum End {
    /// It answers no more from now on, without a successor or before its grace ends.
    Retire,
    /// It never answered.
    Abort,
    /// Its grace has ended.
    Destroy,
}

impl End {
    /// As a proposal names it.
    pub(in super::super) fn kind(self) -> &'static str {
        match self {
            Self::Retire => "retire-epoch",
            Self::Abort => "abort-epoch",
            Self::Destroy => "destroy-epoch",
        }
    }

    pub(in super::super) fn action(self) -> Action {
        match self {
            Self::Retire => Action::EpochRetire,
            Self::Abort => Action::EpochAbort,
            Self::Destroy => Action::EpochDestroy,
        }
    }

    pub(in super::super) fn step(self) -> Step {
        match self {
            Self::Retire => Step::Retire,
            Self::Abort => Step::Abort,
            Self::Destroy => Step::Destroy,
        }
    }
}

pub(in super::super) async fn retire(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<Ending>, Problem> {
    propose(app, Caller::of(identity, &request), id.into_inner(), End::Retire, false).await
}

pub(in super::super) async fn abort(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<Ending>, Problem> {
    propose(app, Caller::of(identity, &request), id.into_inner(), End::Abort, false).await
}

pub(in super::super) async fn destroy(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
    how: Json<Option<Destruction>>,
) -> Result<Json<Ending>, Problem> {
    let accept_unread = how.into_inner().unwrap_or_default().accept_unread;
    propose(app, Caller::of(identity, &request), id.into_inner(), End::Destroy, accept_unread).await
}

/// Proposes an end, if it could come now. Of an epoch that is gone it gives the record again, and brings to its end what
/// was cut short.
async fn propose(
    app: Data<App>,
    caller: Caller,
    id: EpochId,
    end: End,
    accept_unread: bool,
) -> Result<Json<Ending>, Problem> {
    let traced = |problem: Problem| problem.traced(caller.trace);
    let _changing = app.changing.lock().await;
    let in_force = app.visible(&caller.identity, &id).map_err(traced)?;
    let regulation = app.regulation(&in_force.epoch.regulation).map_err(traced)?;
    let permit = app.confirmable(&caller, &regulation, Act::EndEpoch, Some(&id)).await?;
    let mut entry = app.entry(&caller, Some(&regulation), end.action(), Outcome::Done);
    entry.epoch = Some(id.clone());
    entry.articles = permit.articles().to_vec();
    if in_force.epoch.state == State::Destroyed && end != End::Retire {
        if let Err(problem) = app.ended_as(&id, end) {
            return Err(app.refuse(entry, problem).await);
        }
        // Nothing ends a second time.
        entry.action = Action::EpochRecord;
        app.record(entry).await?;
        return Ok(Json(Ending::Destroyed(erase(app.clone(), &caller, id, Registers::Unseen).await?)));
    }
    let may = app.may_end(&in_force, end);
    if let Err(problem) = may.and_then(|_| app.check_unread(&id, end, accept_unread)) {
        return Err(app.refuse(entry, problem).await);
    }
    let proposed = Proposed::EndEpoch { epoch: id.clone(), end, accept_unread };
    let pending = app.propose(&caller, &regulation, Act::EndEpoch, proposed, Some(id)).await?;
    Ok(Json(Ending::Waits(pending)))
}

/// The step that ends an epoch, as it was checked.
pub(in super::super) struct LastStep {
    pub epoch: EpochId,
    pub step: Move,
    pub taken: Taken,
    /// Of the act.
    pub entry: Entry,
    /// In the log, if answers are lost with the epoch; without it none may be.
    pub accepts: Option<Entry>,
    /// By which results expire.
    pub now: OffsetDateTime,
}

impl LastStep {
    /// Takes it; `log_index` is its entry.
    pub(in super::super) fn write(&self, tx: &Tx<'_>, log_index: u64) -> Result<(), StoreError> {
        let taken = Taken { log_index, ..self.taken.clone() };
        drop_overtaken(tx, &self.entry, self.step.to(), false, self.now)?;
        if self.step.to() != State::Destroyed {
            return tx.take_step(&self.epoch, self.step, &taken);
        }
        match (tx.unread(&self.epoch, self.now)?, &self.accepts) {
            (None, _) => {}
            (Some(_), Some(entry)) => drop(tx.append(entry)?),
            // A batch came between the look and the step.
            (Some(_), None) => {
                return Err(StoreError::Conflict(
                    "epoch has answers that nobody has read; read it again and decide anew",
                ));
            }
        }
        tx.end_epoch(&self.epoch, self.step, &taken)
    }
}

/// What follows the step: memory, and of a destroyed epoch every copy.
pub(in super::super) async fn ended(
    app: Data<App>,
    caller: &Caller,
    in_force: Arc<EpochInForce>,
    end: End,
) -> Result<Option<String>, Problem> {
    let id = in_force.epoch.id.clone();
    app.reread(caller, &id)?;
    if end == End::Retire {
        return Ok(None);
    }
    let registers = last_readers(in_force).await;
    // Behind the last reader: a question under way may have read its stock just now.
    app.forget_stocks(&id);
    erase(app, caller, id, registers).await.map(|done| Some(done.record))
}

/// Waits until nobody reads the registers any more; the last one to let go wipes them. Not for ever: the record says so.
async fn last_readers(in_force: Arc<EpochInForce>) -> Registers {
    let until = tokio::time::Instant::now() + LAST_READERS;
    // An older view of the epoch may hold the same registers.
    let held = || Arc::strong_count(&in_force) > 1 || in_force.registers.iter().any(|one| Arc::strong_count(one) > 1);
    while held() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // If only this one is left, it goes here.
    if held() { Registers::Held } else { Registers::LetGo }
}

async fn erase(app: Data<App>, caller: &Caller, id: EpochId, registers: Registers) -> Result<Destroyed, Problem> {
    let trace = caller.trace;
    let worker = app.clone();
    let erased = aside(move || worker.store.erase_ended(&id, registers, worker.clock.now())).await;
    let erased = erased.map_err(|_| Problem::unavailable("the service is stopping").traced(trace))?;
    let done = erased.map_err(|error| store_problem(&error).traced(trace))?;
    Ok(Destroyed { epoch: done.epoch, record: done.note })
}

impl App {
    /// The step of an end, if it may come now.
    pub(in super::super) fn may_end(&self, in_force: &EpochInForce, end: End) -> Result<(Move, Taken), Problem> {
        let step = end.step().from(in_force.epoch.state).map_err(illegal)?;
        let taken = self.taken(step, 0);
        if end == End::Retire {
            if in_force.epoch.answers(self.latest()).is_err() {
                // Else the day by which it is to be destroyed could be put off for ever.
                let not_yet = self.unsettled(&in_force.epoch).map(|why| format!(" ({why})"));
                let detail = format!(
                    "the epoch has stopped answering already; destroy it instead{}",
                    not_yet.unwrap_or_default()
                );
                return Err(Problem::conflict("epoch_not_active", detail));
            }
            return Ok((step, Taken { answers_until: Some(taken.at), ..taken }));
        }
        if let Some(why) = self.unsettled(&in_force.epoch) {
            return Err(Problem::conflict("epoch_unsettled", format!("the epoch has stopped answering; {why}")));
        }
        match in_force.epoch.answers_until {
            // Somebody may be asking with it.
            Some(until) if self.latest() < until => {
                let until = until.format(&Rfc3339).expect("a year of four digits has this form");
                let detail = format!("the epoch still answers, until {until}; wait, or retire it first");
                Err(Problem::conflict("epoch_answers", detail))
            }
            _ => self.store.check_removable(&in_force.epoch.id).map(|()| (step, taken)).map_err(|e| store_problem(&e)),
        }
    }

    /// Why an epoch that is silent cannot be destroyed yet.
    pub(super) fn unsettled(&self, epoch: &Epoch) -> Option<String> {
        self.moment().unsettled(epoch.answers_until?)
    }

    /// Whether an epoch that is gone ended in this way: one that answered was never aborted.
    fn ended_as(&self, id: &EpochId, end: End) -> Result<(), Problem> {
        let answered = |step: &Taken| step.state == State::Active;
        let steps = self.store.steps(id).map_err(|error| store_problem(&error))?;
        match end {
            End::Abort if steps.iter().any(answered) => Err(illegal(IllegalStep::Answers(State::Destroyed))),
            _ => Ok(()),
        }
    }

    /// At the start: an epoch with a tombstone is dead even in a database from before, and an end that a crash cut short
    /// is brought to its end.
    ///
    /// # Errors
    /// If the store cannot: then nothing is answered.
    pub(in super::super) fn bury_the_dead(&self) -> Result<(), StartError> {
        for epoch in self.store.risen()? {
            tracing::error!(epoch = %epoch.id, "the database shows an epoch that was destroyed; it stays destroyed");
            let mut entry = self.own_entry(Action::EpochDestroy);
            entry.result = Outcome::Failed("restored_after_destruction".into());
            entry.epoch = Some(epoch.id.clone());
            let step = Step::Bury.from(epoch.state).expect("an epoch that is not destroyed can be buried");
            let taken = self.taken(step, 0);
            self.store.write(move |tx| {
                let log_index = tx.append(&entry)?.index;
                let dropping = Entry { result: Outcome::Done, ..entry };
                drop_overtaken(tx, &dropping, step.to(), false, taken.at)?;
                tx.end_epoch(&epoch.id, step, &Taken { log_index, ..taken })
            })?;
        }
        for id in self.store.half_destroyed()? {
            match self.store.erase(&id, self.clock.now()) {
                Ok(_) => tracing::warn!(epoch = %id, "a destruction that was cut short is complete"),
                // Somebody must act, and the others must go on answering. Nothing of this epoch is opened meanwhile.
                Err(StoreError::EpochCredential { .. }) => {
                    tracing::error!(epoch = %id, "the key of a destroyed epoch is still a credential; remove it");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn forget_stocks(&self, id: &EpochId) {
        self.stocks.write().unwrap_or_else(|broken| broken.into_inner()).retain(|(epoch, _), _| epoch != id);
    }
}
