//! Sealed shares of a salt: contributed, fetched, sealed again for who comes later. None can be opened here.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};

use super::super::decision::store_problem;
use super::super::identity::Identity;
use super::super::json::Json;
use super::super::problem::Problem;
use super::super::repeats::{Kept, receipt_of};
use super::super::wire::{self, Envelope, Resealed, SealedShare};
use super::super::{App, Caller, EpochInForce};
use super::{Asked, encodes, illegal, own_key};
use crate::audit::{Action, Receipt};
use crate::epoch::{IllegalStep, Participant, State, Step, sealed};
use crate::ids::{EpochId, Oin};
use crate::regulate::Act;
use crate::store::{Reseal, Share, StoreError, Taken};

/// Takes a custodian's sealed share. The last one that is missing opens the epoch for loads.
pub(in super::super) async fn contribute(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
    share: Json<SealedShare>,
) -> Result<Json<Receipt>, Problem> {
    let caller = Caller::of(identity, &request);
    let _changing = app.changing.lock().await;
    let Asked { caller, in_force, entry, .. } =
        app.asked(caller, &id, Act::ContributeShare, Action::EpochContribute).await?;
    let complete = match Step::Complete.from(in_force.epoch.state).map_err(illegal).and_then(|step| {
        let keys = in_force.epoch.participants.iter().map(|one| one.recipient.as_str());
        check_share(&share.sealed, &in_force.epoch.id, &caller.identity.oin, keys)?;
        Ok(step)
    }) {
        Ok(step) => step,
        Err(problem) => return Err(app.refuse(entry, problem).await),
    };
    let oin = caller.identity.oin.clone();
    let last = in_force.epoch.contributors().all(|one| *one == oin || in_force.contributed.contains(one));
    let epoch = in_force.epoch.id.clone();
    let sealed = app.store.seal_share(&epoch, &oin, share.into_inner().sealed.as_bytes());
    let sealed = sealed.map_err(|error| store_problem(&error).traced(caller.trace))?;
    let taken = app.taken(complete, 0);
    let receipt = app.change(&caller, entry, move |tx, appended| {
        tx.put_share(&epoch, &oin, &sealed)?;
        if last {
            tx.take_step(&epoch, complete, &Taken { log_index: appended.index, ..taken })?;
        }
        Ok(Kept::body(&receipt_of(appended)))
    });
    let receipt = receipt.await?;
    app.reread(&caller, &id)?;
    Ok(Json(receipt))
}

/// All sealed shares, for a participant to open on its own machine.
pub(in super::super) async fn shares(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<Envelope>, Problem> {
    let caller = Caller::of(identity, &request);
    let Asked { caller, in_force, entry, .. } = app.asked(caller, &id, Act::FetchShares, Action::EpochFetch).await?;
    if let Err(problem) = check_complete(in_force.epoch.state) {
        return Err(app.refuse(entry, problem).await);
    }
    let shares = app.store.shares_for(&id, &caller.identity.oin);
    let shares = shares.map_err(|error| store_problem(&error).traced(caller.trace))?;
    app.record(entry).await?;
    let (epoch, schema_hash) = (id.into_inner(), in_force.epoch.schema_hash.clone());
    let mut envelope = Envelope { epoch, schema_hash, shares: BTreeMap::new(), resealed: BTreeMap::new() };
    for Share { from_oin, sealed } in shares {
        let text = String::from_utf8(sealed).expect("only armored shares are kept");
        // A contributor's own comes before those that were sealed again.
        match envelope.shares.entry(from_oin) {
            Entry::Vacant(place) => drop(place.insert(text)),
            Entry::Occupied(place) => envelope.resealed.entry(place.key().clone()).or_default().push(text),
        }
    }
    Ok(Json(envelope))
}

/// Takes every share, sealed again by a custodian for a party that joins after the announcement or has a new key.
pub(in super::super) async fn reseal(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    place: Path<(EpochId, Oin)>,
    body: Json<Resealed>,
) -> Result<Json<Receipt>, Problem> {
    let caller = Caller::of(identity, &request);
    let (id, oin) = place.into_inner();
    let _changing = app.changing.lock().await;
    let Asked { caller, in_force, regulation, entry } =
        app.asked(caller, &id, Act::ContributeShare, Action::EpochReseal).await?;
    let Resealed { recipient, shares } = body.into_inner();
    let to = Participant { oin: oin.clone(), recipient: recipient.clone(), contributes: false };
    let checked = || {
        check_contributor(&in_force, &caller.identity.oin)?;
        check_complete(in_force.epoch.state)?;
        encodes(&regulation, &wire::Participant { oin: oin.clone(), recipient: recipient.clone() })?;
        own_key(&to, &in_force.epoch.participants)?;
        let key = || std::iter::once(recipient.as_str());
        shares.iter().try_for_each(|(from, sealed)| check_share(sealed, &id, from, key()))
    };
    if let Err(problem) = checked() {
        return Err(app.refuse(entry, problem).await);
    }
    let (epoch, by) = (id.clone(), caller.identity.oin.clone());
    let seal = |(from_oin, share): (Oin, String)| {
        Ok(Reseal { sealed: app.store.seal_share(&id, &from_oin, share.as_bytes())?, from_oin })
    };
    let reseals: Result<Vec<_>, StoreError> = shares.into_iter().map(seal).collect();
    let reseals = reseals.map_err(|error| store_problem(&error).traced(caller.trace))?;
    let receipt = app.change(&caller, entry, move |tx, appended| {
        tx.put_resealed(&epoch, &by, &to, &reseals).map(|()| Kept::body(&receipt_of(appended)))
    });
    let receipt = receipt.await?;
    app.reread(&caller, &id)?;
    Ok(Json(receipt))
}

/// Whether it gave a share of this salt: the role alone lets seal for others in an epoch from which it was left out.
fn check_contributor(in_force: &EpochInForce, oin: &Oin) -> Result<(), Problem> {
    if in_force.epoch.contributors().any(|one| one == oin) {
        return Ok(());
    }
    let detail = "only a custodian that contributes to this epoch seals its shares again; ask one of them";
    Err(Problem::new(StatusCode::FORBIDDEN, "not_a_contributor", detail))
}

/// Whether every share is there. Before, who has lost a key is better off with a new announcement.
fn check_complete(state: State) -> Result<(), Problem> {
    match state {
        State::Announced => {
            let detail = "custodians have yet to contribute their shares; see the epoch's `missing`";
            Err(Problem::conflict("epoch_incomplete", detail))
        }
        State::Destroyed => Err(illegal(IllegalStep::Destroyed)),
        State::Loading | State::Active | State::Retiring => Ok(()),
    }
}

fn check_share<'a>(
    sealed: &str,
    epoch: &EpochId,
    from: &Oin,
    recipients: impl Iterator<Item = &'a str>,
) -> Result<(), Problem> {
    sealed::check(sealed, epoch, from, recipients).map_err(|error| Problem::unprocessable("share", error.to_string()))
}
