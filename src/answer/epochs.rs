//! Epochs as administrators and custodians see them. The service keeps sealed shares; it has no code that opens one.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Path};

use super::decision::{only, store_problem};
use super::identity::Identity;
use super::problem::{Problem, trace_of};
use super::wire::{self, Envelope, EpochView, NewEpoch, SealedShare, Source};
use super::{App, Caller, EpochInForce};
use crate::audit::{Action, Entry, Outcome, Receipt};
use crate::epoch::{Epoch, MIN_CONTRIBUTORS, Participant, State};
use crate::ids::EpochId;
use crate::regulate::{Act, Regulation, Role};
use crate::store::{StoreError, Tx};

/// Most bytes of a sealed share: an age file for 50 recipients is under 8 KiB.
const SHARE_BYTES: usize = 16 << 10;

/// Announces an epoch.
pub(super) async fn announce(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    new: Json<NewEpoch>,
) -> Result<Json<EpochView>, Problem> {
    let caller = Caller { identity, trace: trace_of(&request) };
    let regulation = app.regulation(&new.regulation).map_err(|problem| problem.traced(caller.trace))?;
    let entry = app.epoch_entry(&caller, regulation, Act::AnnounceEpoch, Action::EpochAnnounce, &new.id).await?;
    let epoch = match app.announced(regulation, new.into_inner()) {
        Ok(epoch) => epoch,
        Err(problem) => return Err(app.refuse(entry, problem).await),
    };
    let row = epoch.clone();
    let _changing = app.changing.lock().await;
    app.change(entry, move |tx| tx.insert_epoch(&row)).await?;
    let in_force = EpochInForce { epoch, contributed: vec![], population: None, care: None, registers: None };
    let view = app.epoch_view(&in_force);
    app.replace(in_force);
    Ok(Json(view))
}

/// One epoch.
pub(super) async fn view(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<EpochView>, Problem> {
    let in_force = app.visible(&identity, &id).map_err(|problem| problem.traced(trace_of(&request)))?;
    Ok(Json(app.epoch_view(&in_force)))
}

/// Takes a custodian's sealed share. The last one that is missing opens the epoch for loads.
pub(super) async fn contribute(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
    share: Json<SealedShare>,
) -> Result<Json<Receipt>, Problem> {
    let caller = Caller { identity, trace: trace_of(&request) };
    let traced = |problem: Problem| problem.traced(caller.trace);
    let _changing = app.changing.lock().await;
    let in_force = app.visible(&caller.identity, &id).map_err(traced)?;
    let regulation = app.regulation(&in_force.epoch.regulation).map_err(traced)?;
    let entry = app.epoch_entry(&caller, regulation, Act::ContributeShare, Action::EpochContribute, &id).await?;
    if let Err(problem) = check_share(&in_force.epoch, &share) {
        return Err(app.refuse(entry, problem).await);
    }
    let (oin, epoch, sealed) = (caller.identity.oin.clone(), in_force.epoch.clone(), share.into_inner().sealed);
    let complete = contributors(&epoch).all(|one| one == oin || in_force.contributed.contains(&one));
    let id = epoch.id.clone();
    let receipt = app.change(entry, move |tx| {
        tx.put_share(&id, &oin, sealed.as_bytes())?;
        if complete { tx.set_epoch_state(&id, State::Announced, State::Loading) } else { Ok(()) }
    });
    let receipt = receipt.await?;
    app.refreshed(&caller, &epoch.id).await?;
    Ok(Json(receipt))
}

/// All sealed shares, for a participant to open on its own machine.
pub(super) async fn shares(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<Envelope>, Problem> {
    let caller = Caller { identity, trace: trace_of(&request) };
    let traced = |problem: Problem| problem.traced(caller.trace);
    let in_force = app.visible(&caller.identity, &id).map_err(traced)?;
    let regulation = app.regulation(&in_force.epoch.regulation).map_err(traced)?;
    let entry = app.epoch_entry(&caller, regulation, Act::FetchShares, Action::EpochFetch, &id).await?;
    if in_force.epoch.state == State::Announced {
        let detail = "custodians have yet to contribute their shares; see the epoch's `missing`";
        return Err(app.refuse(entry, Problem::conflict("epoch_incomplete", detail)).await);
    }
    let shares = app.store.shares(&id).map_err(|error| traced(store_problem(&error)))?;
    app.record(entry).await?;
    let text = |sealed: Vec<u8>| String::from_utf8(sealed).expect("only armored shares are kept");
    Ok(Json(Envelope {
        epoch: id.into_inner(),
        schema_hash: in_force.epoch.schema_hash.clone(),
        shares: shares.into_iter().map(|share| (share.from_oin, text(share.sealed))).collect(),
    }))
}

/// Cuts over: this epoch answers, the one before retires. One transaction, so there is never half a cut-over.
pub(super) async fn activate(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<EpochView>, Problem> {
    let caller = Caller { identity, trace: trace_of(&request) };
    let traced = |problem: Problem| problem.traced(caller.trace);
    let _changing = app.changing.lock().await;
    let in_force = app.visible(&caller.identity, &id).map_err(traced)?;
    let regulation = app.regulation(&in_force.epoch.regulation).map_err(traced)?;
    let entry = app.epoch_entry(&caller, regulation, Act::ActivateEpoch, Action::EpochActivate, &id).await?;
    if let Err(problem) = check_complete(&in_force) {
        return Err(app.refuse(entry, problem).await);
    }
    let all = app.all_epochs();
    let same = |other: &&Arc<EpochInForce>| {
        other.epoch.regulation == in_force.epoch.regulation && other.epoch.state == State::Active
    };
    let before: Vec<EpochId> = all.iter().filter(same).map(|other| other.epoch.id.clone()).collect();
    let (next, retiring) = (in_force.epoch.id.clone(), before.clone());
    app.change(entry, move |tx| {
        for old in &retiring {
            tx.set_epoch_state(old, State::Active, State::Retiring)?;
        }
        tx.set_epoch_state(&next, State::Loading, State::Active)
    })
    .await?;
    for changed in before.iter().chain([&in_force.epoch.id]) {
        app.set_state(changed, if *changed == in_force.epoch.id { State::Active } else { State::Retiring });
    }
    Ok(Json(app.epoch_view(&*app.epoch(&id).map_err(traced)?)))
}

impl App {
    /// An epoch as its parties may see it.
    pub(super) fn epoch_view(&self, in_force: &EpochInForce) -> EpochView {
        let epoch = &in_force.epoch;
        let loads = [(Source::Population, &in_force.population), (Source::Care, &in_force.care)];
        let participant =
            |one: &Participant| wire::Participant { oin: one.oin.clone(), recipient: one.recipient.clone() };
        EpochView {
            id: epoch.id.clone(),
            regulation: epoch.regulation.clone(),
            profile: epoch.profile.clone(),
            schema_hash: epoch.schema_hash.clone(),
            key_check: epoch.key_check.clone(),
            state: epoch.state.as_str().into(),
            participants: epoch.participants.iter().map(participant).collect(),
            contributed: in_force.contributed.clone(),
            missing: contributors(epoch).filter(|oin| !in_force.contributed.contains(oin)).collect(),
            loaded: loads.into_iter().filter_map(|(source, load)| load.as_ref().map(|_| source)).collect(),
        }
    }

    /// An epoch of a regulation in which the caller takes part; to others it does not exist.
    fn visible(&self, identity: &Identity, id: &EpochId) -> Result<Arc<EpochInForce>, Problem> {
        let in_force = self.epoch(id)?;
        let ours = self.regulation(&in_force.epoch.regulation).is_ok_and(|r| r.party(&identity.oin).is_some());
        if ours { Ok(in_force) } else { Err(super::unknown_epoch()) }
    }

    async fn epoch_entry(
        &self,
        caller: &Caller,
        regulation: &Regulation,
        act: Act,
        action: Action,
        epoch: &EpochId,
    ) -> Result<Entry, Problem> {
        let permit = self.permit(caller, regulation, act, Some(epoch)).await?;
        let mut entry = self.entry(caller, Some(regulation), action, Outcome::Done);
        entry.epoch = Some(epoch.clone());
        entry.articles = permit.articles().to_vec();
        Ok(entry)
    }

    /// The epoch that an announcement describes, if it can be one.
    fn announced(&self, regulation: &Regulation, new: NewEpoch) -> Result<Epoch, Problem> {
        if (&new.profile, &new.schema_hash) != (&self.profile.id, &self.profile.schema_hash()) {
            let detail = "the service runs with another profile; announce with the one of its configuration";
            return Err(Problem::unprocessable("other_profile", detail));
        }
        let mut participants = Vec::new();
        let mut organisations = BTreeSet::new();
        for one in new.participants {
            let party = regulation.party(&one.oin);
            let role = party.map(|party| party.role);
            let contributes = matches!(role, Some(Role::PopulationCustodian | Role::CareCustodian));
            if !contributes && role != Some(Role::Corporation) {
                let detail = format!("{} is no custodian and no corporation of the regulation", one.oin);
                return Err(Problem::unprocessable("participant", detail));
            }
            if contributes {
                organisations.extend(party.map(|party| party.organisation.clone()));
            }
            participants.push(Participant { oin: one.oin, recipient: one.recipient, contributes });
        }
        participants.sort_by(|a, b| a.oin.cmp(&b.oin));
        if participants.windows(2).any(|pair| pair[0].oin == pair[1].oin) {
            return Err(Problem::unprocessable("participant", "a participant is named twice"));
        }
        if organisations.len() < MIN_CONTRIBUTORS {
            let detail = "a salt needs at least two custodians of different organisations";
            return Err(Problem::unprocessable("too_few_custodians", detail));
        }
        Ok(Epoch {
            id: new.id,
            regulation: new.regulation,
            profile: new.profile,
            schema_hash: new.schema_hash,
            key_check: None,
            state: State::Announced,
            announced_at: self.clock.now(),
            participants,
        })
    }

    /// A change and its log entry in one transaction; in the log as refused if the store does not take it.
    async fn change(
        &self,
        entry: Entry,
        job: impl FnOnce(&Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Receipt, Problem> {
        let done = entry.clone();
        let written = self.store.write_async(move |tx: &Tx<'_>| {
            job(tx)?;
            tx.append(&done).map(drop)
        });
        match written.await {
            Ok(written) => Ok(only(written.receipts)),
            Err(error) => Err(self.refuse(entry, store_problem(&error)).await),
        }
    }

    /// Reads shares and state of an epoch that has no registers yet back from the store.
    async fn refreshed(&self, caller: &Caller, id: &EpochId) -> Result<(), Problem> {
        self.refresh(id).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "an epoch cannot be read back");
            Problem::unavailable("the epoch was changed but cannot be read back").traced(caller.trace)
        })
    }

    fn set_state(&self, id: &EpochId, state: State) {
        if let Ok(old) = self.epoch(id) {
            let epoch = Epoch { state, ..old.epoch.clone() };
            let (population, care) = (old.population.clone(), old.care.clone());
            let (contributed, registers) = (old.contributed.clone(), old.registers.clone());
            self.replace(EpochInForce { epoch, contributed, population, care, registers });
        }
    }
}

fn contributors(epoch: &Epoch) -> impl Iterator<Item = crate::ids::Oin> + '_ {
    epoch.participants.iter().filter(|one| one.contributes).map(|one| one.oin.clone())
}

fn check_share(epoch: &Epoch, share: &SealedShare) -> Result<(), Problem> {
    if epoch.state != State::Announced {
        return Err(Problem::conflict("epoch_complete", format!("the epoch is {}; its salt is complete", epoch.state)));
    }
    let armored = share.sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && share.sealed.is_ascii();
    if !armored || share.sealed.len() > SHARE_BYTES {
        return Err(Problem::unprocessable("share", "a share is an armored age file of at most 16 KiB"));
    }
    Ok(())
}

/// Whether everything is there that answers need.
fn check_complete(in_force: &EpochInForce) -> Result<(), Problem> {
    match in_force.epoch.state {
        State::Loading => {}
        State::Active => return Err(Problem::conflict("epoch_active", "the epoch is active already")),
        state => return Err(Problem::conflict("epoch_not_loading", format!("the epoch is {state}"))),
    }
    let missing = [("population", &in_force.population), ("care", &in_force.care)];
    let missing: Vec<_> = missing.iter().filter(|(_, load)| load.is_none()).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!("not loaded yet: {}; those custodians must load first", missing.join(", "));
    Err(Problem::conflict("source_missing", detail))
}
