//! Contents of old entries are deleted as their regulation says, and answers that were kept for a repetition a day
//! later. An officer can have it done at once, and can hold contents for a case.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use time::{Duration, OffsetDateTime};

use super::aside::aside;
use super::decision::store_problem;
use super::identity::Identity;
use super::json::{Json, Plain, created};
use super::problem::Problem;
use super::repeats::{self, Kept};
use super::wire::{Expired, HoldView, NewHold};
use super::{App, Caller};
use crate::audit::{Action, Entry, Outcome, Range};
use crate::regulate::Regulation;
use crate::store::{Expiry, Hold, StoreError, Tx};

/// Deletes what has expired, step by step, behind the answers. The timer's part.
pub(super) fn tidy(app: &App) {
    let forget = app.settled() - repeats::KEPT;
    let forgotten = app.store.write(move |tx: &Tx<'_>| tx.forget_answers(forget).map(drop));
    let swept = forgotten.map(drop).and_then(|()| app.sweep_batches());
    let done = swept.and_then(|()| app.expire(|app| app.own_entry(Action::LogExpire)).map(drop));
    if let Err::<_, StoreError>(error) = done {
        // The next round tries again.
        tracing::warn!(code = error.code(), "what has expired could not be deleted");
    }
}

/// Looks whether somebody changed or deleted contents under the running service: nothing is told from then on. The
/// timer's part; at the start it was just done.
pub(super) fn look(app: &App) {
    let since = std::time::Instant::now();
    match app.store.check_wal().and_then(|()| app.store.check_log()) {
        Ok(()) => tracing::debug!(ms = since.elapsed().as_millis() as u64, "the log is the one that was signed"),
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "the access log was not found whole, or its file is gone"
        ),
    }
}

/// Deletes what has expired, now.
pub(super) async fn expire(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    // Read to its end, though it says nothing: a connection with an unread body is closed behind the answer.
    _body: web::Bytes,
) -> Result<Json<Expired>, Problem> {
    let caller = Caller::of(identity, &request);
    let entry = app.officer_entry(&caller, Action::LogExpire).await?;
    let (worker, told) = (app.clone(), entry.clone());
    let expired = aside(move || worker.expire(|_| told.clone())).await;
    let stopping = |_| Problem::unavailable("the service is stopping").traced(caller.trace);
    let failed = |error: StoreError| store_problem(&error).traced(caller.trace);
    let expired = expired.map_err(stopping)?.map_err(failed)?;
    if expired.entries == 0 {
        app.record(Entry { result: Outcome::Done, salt: Entry::fresh_salt(), ..entry }).await?;
    }
    // Steps of their own, so this comes behind them: whoever was cut off in between is told what was left.
    let (once, kept, now) = (caller.once, Kept::body(&expired), app.clock.now());
    app.store.write_async(move |tx: &Tx<'_>| once.keep(tx, &kept, now)).await.map_err(failed)?;
    Ok(Json(expired))
}

/// Keeps contents beyond their time.
pub(super) async fn hold(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    new: Json<NewHold>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let mut entry = app.officer_entry(&caller, Action::LogHold).await?;
    if new.from >= new.to {
        let detail = "a hold begins before it ends: `from` is the first entry, `to` the one behind the last";
        return Err(app.refuse(entry, Problem::unprocessable("hold", detail)).await);
    }
    let (range, now) = (Range { from: new.from, to: new.to }, app.clock.now());
    // Before the write, which would wait for it: what expires in between is missed.
    let expired = expired_of(&app, range).await.map_err(|problem| problem.traced(caller.trace))?;
    entry.entries = Some(range);
    let once = caller.once;
    let held = app.store.write_async(move |tx: &Tx<'_>| {
        let begun = tx.append(&entry)?.index;
        let hold = view(tx.hold(range, begun, now)?, expired);
        once.keep(tx, &Kept::created(&hold, place(&hold)), now).map(|()| hold)
    });
    let held = held.await.map_err(|error: StoreError| store_problem(&error).traced(caller.trace))?;
    Ok(created(&held.value, &place(&held.value)))
}

/// Where a hold is.
fn place(hold: &HoldView) -> String {
    format!("access-log/holds/{}", hold.id)
}

/// All holds.
pub(super) async fn holds(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
) -> Result<Json<Vec<HoldView>>, Problem> {
    let caller = Caller::of(identity, &request);
    app.read_log(&caller, None).await?;
    let holds = app.store.holds().map_err(|error| store_problem(&error).traced(caller.trace))?;
    let mut all = Vec::with_capacity(holds.len());
    for hold in holds {
        let expired = expired_of(&app, hold.entries).await.map_err(|problem| problem.traced(caller.trace))?;
        all.push(view(hold, expired));
    }
    Ok(Json(all))
}

/// How many of these entries have no contents any more: no hold keeps those.
async fn expired_of(app: &Data<App>, range: Range) -> Result<u64, Problem> {
    let worker = app.clone();
    let found = aside(move || worker.store.expired(range)).await;
    found.map_err(|_| Problem::unavailable("the service is stopping"))?.map_err(|error| store_problem(&error))
}

/// Ends a hold. What is due is deleted then, so its party alone does it: no other party destroys what one needs.
pub(super) async fn release(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<Plain<i64>>,
) -> Result<Json<HoldView>, Problem> {
    let caller = Caller::of(identity, &request);
    let mut entry = app.officer_entry(&caller, Action::LogHoldEnd).await?;
    let (Plain(id), now) = (id.into_inner(), app.clock.now());
    let holds = app.store.holds().map_err(|error| store_problem(&error).traced(caller.trace))?;
    let others = |hold: &Hold| hold.id == id && hold.by.as_ref().is_some_and(|by| *by != caller.identity.oin);
    if let Some(hold) = holds.into_iter().find(others) {
        entry.entries = Some(hold.entries);
        let detail = "only the party that holds these entries ends that; `audit holds` says which";
        return Err(app.refuse(entry, Problem::new(StatusCode::FORBIDDEN, "not_the_holder", detail)).await);
    }
    let (once, oin) = (caller.once, caller.identity.oin);
    let ended = app.store.write_async(move |tx: &Tx<'_>| {
        let hold = tx.end_hold(id)?;
        // Another one may have got its number in between.
        if hold.by.as_ref().is_some_and(|by| *by != oin) {
            return Err(StoreError::NotFound("hold"));
        }
        entry.entries = Some(hold.entries);
        tx.append(&entry)?;
        let hold = view(hold, 0);
        once.keep(tx, &Kept::body(&hold), now).map(|()| hold)
    });
    let ended = ended.await.map_err(|error: StoreError| store_problem(&error).traced(caller.trace))?;
    Ok(Json(ended.value))
}

fn view(Hold { id, entries, by }: Hold, expired: u64) -> HoldView {
    HoldView { id, from: entries.from, to: entries.to, expired: Some(expired).filter(|&expired| expired > 0), by }
}

impl App {
    /// Until when contents are kept, today. Entries under no regulation in force are kept as long as the longest says.
    /// `None` while the clock has leapt: what is deleted then has a record of a time that no officer takes for true.
    fn expiry(&self) -> Option<Expiry> {
        let (now, has_leapt) = self.steady.expiry(&self.clock);
        if has_leapt {
            tracing::error!(
                "the clock has leapt ahead of the log: nothing expires until it is right, or has stayed so"
            );
            return None;
        }
        let before = |days: u32| now - Duration::days(i64::from(days));
        let moment = |one: &Arc<Regulation>| (one.id().clone(), before(one.retention().log_days));
        let regulations: Vec<_> = self.laws.all(self.today()).iter().map(moment).collect();
        let others = regulations.iter().map(|(_, moment)| *moment).min().unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Some(Expiry { regulations, others, now })
    }

    /// Destroys the keys of pseudonyms that no entry's contents need any more. The record comes first: a crash in between
    /// leaves a second one.
    fn end_pseudonyms(&self, entry: &impl Fn(&Self) -> Entry) -> Result<(), StoreError> {
        for epoch in self.store.idle_pseudonyms()? {
            let (salt, action, result) = (Entry::fresh_salt(), Action::SubjectKeyEnd, Outcome::Done);
            let entry = Entry { salt, action, result, epoch: Some(epoch.clone()), ..entry(self) };
            self.store.write(move |tx: &Tx<'_>| tx.append(&entry).map(drop))?;
            self.store.forget_pseudonyms(&epoch)?;
        }
        Ok(())
    }

    /// Deletes contents that are due, and then the days' keys that open nothing any more.
    fn expire(&self, entry: impl Fn(&Self) -> Entry) -> Result<Expired, StoreError> {
        let Some(expiry) = self.expiry() else { return Ok(Expired { entries: 0, from: None, to: None }) };
        let given_up = self.store.write(move |tx: &Tx<'_>| tx.give_up_records(&expiry))?.value;
        if given_up > 0 {
            tracing::error!(records = given_up, "processing records were given up: no collector took them in time");
        }
        let (first, then) = (self.expire_round(&entry)?, self.expire_round(&entry)?);
        self.end_pseudonyms(&entry)?;
        let (from, to) = (first.from.into_iter().chain(then.from).min(), first.to.max(then.to));
        Ok(Expired { entries: first.entries + then.entries, from, to })
    }

    /// Each step that deletes is recorded in the same transaction, in an entry of its own.
    fn expire_round(&self, entry: &impl Fn(&Self) -> Entry) -> Result<Expired, StoreError> {
        let mut all = Expired { entries: 0, from: None, to: None };
        let (Some(expiry), mut next) = (self.expiry(), Some(0)) else { return Ok(all) };
        while let Some(from) = next {
            let (expiry, mut entry) = (expiry.clone(), entry(self));
            entry.salt = Entry::fresh_salt();
            entry.result = Outcome::Done;
            let step = self.store.write(move |tx: &Tx<'_>| {
                let step = tx.expire(&expiry, from)?;
                if !step.expired.is_empty() {
                    entry.deleted(&step.expired);
                    tx.append(&entry)?;
                }
                Ok::<_, StoreError>(step)
            })?;
            for range in &step.value.expired {
                all.entries += range.to - range.from;
                all.from = all.from.or(Some(range.from));
                all.to = Some(range.to);
            }
            next = step.value.next;
        }
        Ok(all)
    }
}
