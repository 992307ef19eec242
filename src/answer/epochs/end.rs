//! The end of an epoch: retired, aborted, destroyed. What was destroyed stays so, whatever database is put back.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Data, Path};
use time::format_description::well_known::Rfc3339;

use super::super::decision::store_problem;
use super::super::identity::Identity;
use super::super::json::Json;
use super::super::problem::Problem;
use super::super::repeats::Kept;
use super::super::wire::{Destroyed, EpochView};
use super::super::{App, Caller, EpochInForce, StartError};
use super::{Asked, illegal};
use crate::audit::{Action, Outcome};
use crate::epoch::{State, Step};
use crate::ids::EpochId;
use crate::regulate::Act;
use crate::store::{Appended, StoreError, Taken};

/// How long questions under way may hold a register that is being destroyed.
const LAST_READERS: Duration = Duration::from_secs(10);

/// Lets an epoch answer no more from now on, without a successor or before its grace ends.
pub(in super::super) async fn retire(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<EpochView>, Problem> {
    let caller = Caller::of(identity, &request);
    let _changing = app.changing.lock().await;
    let Asked { caller, in_force, entry, .. } = app.asked(caller, &id, Act::EndEpoch, Action::EpochRetire).await?;
    let step = match Step::Retire.from(in_force.epoch.state) {
        Ok(step) => step,
        Err(why) => return Err(app.refuse(entry, illegal(why)).await),
    };
    let taken = Taken { answers_until: Some(app.clock.now()), ..app.taken(step, 0) };
    let epoch = id.clone();
    app.change(&caller, entry, move |tx, Appended { index: log_index, .. }| {
        tx.take_step(&epoch, step, &Taken { log_index, ..taken }).map(|()| Kept::Epoch(epoch))
    })
    .await?;
    let now = app.reread(&caller, &id)?;
    app.epoch_view(&now).map(Json).map_err(|problem| problem.traced(caller.trace))
}

/// Ends an epoch that never answered.
pub(in super::super) async fn abort(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<Destroyed>, Problem> {
    end(app, Caller::of(identity, &request), id.into_inner(), Step::Abort).await
}

/// Destroys an epoch whose grace has ended. Once more, it gives the record again.
pub(in super::super) async fn destroy(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<Destroyed>, Problem> {
    end(app, Caller::of(identity, &request), id.into_inner(), Step::Destroy).await
}

async fn end(app: Data<App>, caller: Caller, id: EpochId, step: Step) -> Result<Json<Destroyed>, Problem> {
    let action = if step == Step::Abort { Action::EpochAbort } else { Action::EpochDestroy };
    let _changing = app.changing.lock().await;
    let Asked { caller, in_force, entry, .. } = app.asked(caller, &id, Act::EndEpoch, action).await?;
    if in_force.epoch.state == State::Destroyed {
        app.record(entry).await?;
        return erase(app.clone(), caller, id).await;
    }
    let step = match step.from(in_force.epoch.state).map_err(illegal).and_then(|step| {
        still_answers(&app, &in_force)?;
        Ok(step)
    }) {
        Ok(step) => step,
        Err(problem) => return Err(app.refuse(entry, problem).await),
    };
    let (epoch, taken) = (id.clone(), app.taken(step, 0));
    app.change(&caller, entry, move |tx, Appended { index: log_index, .. }| {
        tx.end_epoch(&epoch, step, &Taken { log_index, ..taken }).map(|()| Kept::Ended(epoch))
    })
    .await?;
    app.reread(&caller, &id)?;
    app.forget_stocks(&id);
    last_readers(in_force).await;
    erase(app.clone(), caller, id).await
}

/// A retiring epoch within its grace is not destroyed: somebody may be asking with it.
fn still_answers(app: &App, in_force: &EpochInForce) -> Result<(), Problem> {
    match in_force.epoch.answers_until {
        Some(until) if app.clock.now() < until => {
            let until = until.format(&Rfc3339).expect("a year of four digits has this form");
            let detail = format!("the epoch still answers, until {until}; wait, or retire it first");
            Err(Problem::conflict("epoch_answers", detail))
        }
        _ => Ok(()),
    }
}

/// Waits until nobody reads the registers any more; the last one to let go wipes them.
async fn last_readers(in_force: Arc<EpochInForce>) {
    let until = tokio::time::Instant::now() + LAST_READERS;
    while Arc::strong_count(&in_force) > 1 && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn erase(app: Data<App>, caller: Caller, id: EpochId) -> Result<Json<Destroyed>, Problem> {
    let trace = caller.trace;
    let worker = app.clone();
    let erased = web::block(move || worker.store.erase(&id, worker.clock.now())).await;
    let erased = erased.map_err(|_| Problem::unavailable("the service is stopping").traced(trace))?;
    let done = erased.map_err(|error| store_problem(&error).traced(trace))?;
    Ok(Json(Destroyed { epoch: done.epoch, record: done.note }))
}

impl App {
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
