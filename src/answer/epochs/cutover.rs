//! The cut-over: one epoch begins to answer, the one before begins to retire. One transaction, so there is never half of
//! it, and nobody who asks in between goes without an answer.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use time::Duration;

use super::super::decision::store_problem;
use super::super::identity::Identity;
use super::super::json::Json;
use super::super::problem::Problem;
use super::super::proposals::drop_overtaken;
use super::super::repeats::Kept;
use super::super::wire::{Activation, EpochView, Source};
use super::super::{App, Caller, EpochInForce};
use super::{Asked, illegal};
use crate::audit::{Action, Entry};
use crate::epoch::{Move, State, Step};
use crate::ids::{EpochId, Oin};
use crate::regulate::{Act, Regulation, Role};
use crate::store::{Appended, Load, StoreError, Taken};

const SOURCES: [Source; 2] = [Source::Population, Source::Care];

/// Cuts over to a loaded epoch.
pub(in super::super) async fn activate(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
    how: Json<Option<Activation>>,
) -> Result<Json<EpochView>, Problem> {
    let caller = Caller::of(identity, &request);
    let how = how.into_inner().unwrap_or_default();
    let _changing = app.changing.lock().await;
    let Asked { caller, in_force, regulation, entry } =
        app.asked(caller, &id, Act::ActivateEpoch, Action::EpochActivate).await?;
    let before = app.answering(&regulation);
    let lacking = app.lacking_stocks(&regulation, &in_force, before.as_deref());
    let lacking = lacking.map_err(|error| store_problem(&error).traced(caller.trace))?;
    let counts = app.counts(before.as_deref());
    let counts = counts.map_err(|error| store_problem(&error).traced(caller.trace))?;
    let newer = app.newer(&in_force.epoch).map_err(|error| store_problem(&error).traced(caller.trace))?;
    let checked = check(&regulation, &in_force, &counts, &lacking, how);
    let checked = checked.and_then(|step| newer.map_or(Ok(step), |newer| Err(outdated(&newer))));
    let checked = checked.and_then(|step| app.check_age(&regulation, &in_force).map(|()| step));
    let step = match checked.and_then(|step| app.check_inference(&in_force).map(|()| step)) {
        Ok(step) => step,
        Err(problem) => return Err(app.refuse(entry, problem).await),
    };
    let shrunk = how.accept_shrink && !changed(&regulation, &in_force, &counts).is_empty();
    let silenced = how.accept_missing_stock && !lacking.is_empty();
    let accepted = [(shrunk, Action::EpochAcceptShrink), (silenced, Action::EpochAcceptMissingStock)].into_iter();
    let accepted: Vec<Entry> = accepted
        .filter(|(is, _)| *is)
        .map(|(_, action)| Entry { action, salt: Entry::fresh_salt(), ..entry.clone() })
        .collect();
    let retiring = before.as_ref().and_then(|old| Some((old, Step::Retire.from(old.epoch.state).ok()?)));
    let retiring = retiring.filter(|(old, _)| old.epoch.state == State::Active).map(|(old, step)| {
        let until = app.latest() + Duration::days(old.epoch.grace_days.into());
        (old.epoch.id.clone(), step, Taken { answers_until: Some(until), ..app.taken(step, 0) })
    });
    let retire = |old: &EpochId| Entry {
        action: Action::EpochRetire,
        epoch: Some(old.clone()),
        salt: Entry::fresh_salt(),
        ..entry.clone()
    };
    let retiring = retiring.map(|(old, step, taken)| (retire(&old), old, step, taken));
    let changed_ids: Vec<EpochId> = retiring.iter().map(|(_, old, ..)| old.clone()).chain([id.clone()]).collect();
    let (next, taken, activates) = (id.clone(), app.taken(step, 0), entry.clone());
    let opening = counts_of(&in_force);
    let kept = Kept::Epoch(id.clone());
    app.change(&caller, entry, move |tx, Appended { index: log_index, .. }| {
        if let Some((retires, old, step, taken)) = retiring {
            let log_index = tx.append(&retires)?.index;
            drop_overtaken(tx, &retires, step.to(), true, taken.at)?;
            tx.take_step(&old, step, &Taken { log_index, ..taken })?;
        }
        drop_overtaken(tx, &activates, step.to(), true, taken.at)?;
        tx.take_step(&next, step, &Taken { log_index, ..taken })?;
        opening.iter().try_for_each(|(source, records)| tx.keep_opening(&next, source.as_str(), *records))?;
        accepted.iter().try_for_each(|accepted| tx.append(accepted).map(drop)).map(|()| kept)
    })
    .await?;
    // The new one first: in between both answer, and never neither.
    for changed in changed_ids.iter().rev() {
        app.reread(&caller, changed)?;
    }
    let view = app.epoch(&id).and_then(|now| app.epoch_view(&now));
    view.map(Json).map_err(|problem| problem.traced(caller.trace))
}

impl App {
    /// The epoch of a regulation that answers; where none is active, the newest that did.
    fn answering(&self, regulation: &Regulation) -> Option<Arc<EpochInForce>> {
        let all = self.all_epochs();
        let of = |state| {
            let mine = |one: &&Arc<EpochInForce>| one.epoch.regulation == *regulation.id() && one.epoch.state == state;
            all.iter().rev().find(mine).cloned()
        };
        of(State::Active).or_else(|| of(State::Retiring))
    }

    /// Whether its sources are fit to answer from: else all would be undetermined where the epoch before knows.
    fn check_age(&self, regulation: &Regulation, next: &EpochInForce) -> Result<(), Problem> {
        let old = |source: &Source| load_of(next, *source).is_some_and(|load| !self.is_fit(regulation, load, *source));
        let old: Vec<_> = sources(regulation).filter(old).map(Source::as_str).collect();
        if old.is_empty() {
            return Ok(());
        }
        let detail = format!(
            "too old to answer from, or made by other ages than the regulation has: {}; those custodians load again first",
            old.join(", ")
        );
        Err(Problem::conflict("source_stale", detail))
    }

    /// What the next epoch is held against: the records of the one before now, and when it began to answer. With the
    /// first alone, whatever happened to a register in between would pass.
    fn counts(&self, before: Option<&EpochInForce>) -> Result<Vec<(Source, u64)>, StoreError> {
        let Some(before) = before else { return Ok(vec![]) };
        let opening = self.store.opening(&before.epoch.id)?;
        let began =
            |source: Source| opening.iter().find(|(name, _)| name == source.as_str()).map(|(_, n)| (source, *n));
        Ok(counts_of(before).into_iter().chain(SOURCES.into_iter().filter_map(began)).collect())
    }

    /// Parties that can ask now and could not ask in the next epoch, whether they take part in it or not.
    fn lacking_stocks(
        &self,
        regulation: &Regulation,
        next: &EpochInForce,
        before: Option<&EpochInForce>,
    ) -> Result<Vec<Oin>, StoreError> {
        let Some(before) = before.filter(|one| one.epoch.answers(self.latest()).is_ok()) else { return Ok(vec![]) };
        let there = self.store.stock_parties(&next.epoch.id)?;
        let mut asking = self.store.stock_parties(&before.epoch.id)?;
        asking.retain(|oin| regulation.party(oin).is_some() && !there.contains(oin));
        Ok(asking)
    }
}

/// Whether everything is there that answers need, as much of it as before, and whoever asks now can go on.
fn check(
    regulation: &Regulation,
    next: &EpochInForce,
    counts: &[(Source, u64)],
    lacking: &[Oin],
    how: Activation,
) -> Result<Move, Problem> {
    let step = Step::Activate.from(next.epoch.state).map_err(illegal)?;
    let missing: Vec<_> =
        sources(regulation).filter(|source| load_of(next, *source).is_none()).map(Source::as_str).collect();
    if !missing.is_empty() {
        let detail = format!("not loaded yet: {}; those custodians must load first", missing.join(", "));
        return Err(Problem::conflict("source_missing", detail));
    }
    let changed = changed(regulation, next, counts);
    if !changed.is_empty() && !how.accept_shrink {
        return Err(too_changed(regulation, &changed, "in the epoch before"));
    }
    if !lacking.is_empty() && !how.accept_missing_stock {
        let names = |oins: &[&Oin]| oins.iter().map(|oin| oin.as_str()).collect::<Vec<_>>().join(", ");
        let outside: Vec<&Oin> = lacking.iter().filter(|oin| !next.epoch.has(oin)).collect();
        let mut detail = format!(
            "no confirmed stock in this epoch of {}, which can ask now; have it loaded and confirmed first, or accept \
             with --accept-missing-stock that it asks in the old epoch until the grace ends, which is logged",
            names(&lacking.iter().collect::<Vec<_>>())
        );
        if !outside.is_empty() {
            detail += &format!(
                "; {} takes no part in it: a custodian that contributed runs `epoch reseal {} --for` its OIN",
                names(&outside),
                next.epoch.id
            );
        }
        return Err(Problem::conflict("stock_missing", detail));
    }
    Ok(step)
}

/// Why an epoch does not take over any more.
fn outdated(newer: &EpochId) -> Problem {
    let detail = format!(
        "{newer} was announced behind this epoch and has taken over: an older salt does not come back; abort this epoch, \
         and announce a new one if another is needed"
    );
    Problem::conflict("epoch_outdated", detail)
}

/// Sources with another number of records than the regulation expects behind any of these counts.
pub(in super::super) fn changed(
    regulation: &Regulation,
    next: &EpochInForce,
    counts: &[(Source, u64)],
) -> Vec<&'static str> {
    let differs = |(source, after): &(Source, u64)| {
        let mut before = counts.iter().filter(|(known, _)| known == source);
        before.any(|(_, before)| !regulation.rotation().allows(*before, *after))
    };
    let needed: Vec<Source> = sources(regulation).collect();
    let counted = counts_of(next).into_iter().filter(|(source, _)| needed.contains(source));
    counted.filter(differs).map(|(source, _)| source.as_str()).collect()
}

/// Records of each source that is loaded.
pub(in super::super) fn counts_of(epoch: &EpochInForce) -> Vec<(Source, u64)> {
    SOURCES.into_iter().filter_map(|source| load_of(epoch, source).map(|load| (source, load.records))).collect()
}

/// Why sources that differ from what was there before do not take its place unasked.
pub(in super::super) fn too_changed(regulation: &Regulation, changed: &[&str], than: &str) -> Problem {
    let most = regulation.rotation().most_change * 100.0;
    let detail = format!(
        "{}: more or fewer records than {than} by over {most} %; have the custodian check its file, or accept it with \
         --accept-shrink, which is logged",
        changed.join(", ")
    );
    Problem::conflict("source_changed", detail)
}

/// The sources that the regulation has a custodian for and that somebody is told something from.
pub(super) fn sources(regulation: &Regulation) -> impl Iterator<Item = Source> {
    let has = |role| regulation.parties().iter().any(|party| party.role == role);
    let both = [(Source::Population, Role::PopulationCustodian), (Source::Care, Role::CareCustodian)];
    let needed = move |(source, custodian): &(Source, Role)| {
        has(*custodian) && (*source == Source::Population || regulation.needs((*source).into()))
    };
    both.into_iter().filter(needed).map(|(source, _)| source)
}

pub(super) fn load_of(epoch: &EpochInForce, source: Source) -> Option<&Load> {
    match source {
        Source::Population => epoch.population.as_ref(),
        Source::Care => epoch.care.as_ref(),
    }
}
