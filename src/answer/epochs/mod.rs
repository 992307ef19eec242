//! Epochs as administrators and custodians see them. The service keeps sealed shares; it has no code that opens one.
//!
//! Every step is one transaction: the step in the epoch's record, its entry in the access log, and what changes with it.
//! A crash leaves all of it or nothing.

mod cutover;
mod effect;
pub(super) mod end;
mod fresh;
mod reports;
mod shares;
mod silence;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use time::Duration;

use super::decision::{only, store_problem};
use super::identity::Identity;
use super::json::{Json, created};
use super::problem::{Problem, trace_of};
use super::repeats::Kept;
use super::wire::{self, EpochView, NewEpoch, Source};
use super::{App, Caller, EpochInForce};
use crate::audit::{Action, Entry, Outcome, Receipt};
use crate::epoch::{Epoch, IllegalStep, MIN_CONTRIBUTORS, Move, Participant, State, same_recipient};
use crate::ids::{EpochId, Oin};
use crate::regulate::{Act, Facts, Party, Regulation, Role};
use crate::store::{Appended, StoreError, Taken, Tx};

pub(super) use cutover::{activate, changed, counts_of, too_changed};
pub(super) use end::{End, abort, destroy, retire};
pub(super) use fresh::{Ageing, ageing};
pub(super) use reports::{reports, usable};
pub(super) use shares::{contribute, reseal, shares};

/// Most days of a grace, or between an announcement and its dates.
const MOST_DAYS: u32 = 366;

/// Announces an epoch.
pub(super) async fn announce(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    new: Json<NewEpoch>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let regulation = app.regulation(&new.regulation).map_err(|problem| problem.traced(caller.trace))?;
    let mut entry = app.epoch_entry(&caller, &regulation, Act::AnnounceEpoch, Action::EpochAnnounce, None).await?;
    let epoch = match app.announced(&caller, &regulation, new.into_inner()) {
        Ok(epoch) => epoch,
        Err(problem) => return Err(app.refuse(entry, problem).await),
    };
    // Not before: the name of an epoch that never was is free text.
    entry.epoch = Some(epoch.id.clone());
    let row = epoch.clone();
    let _changing = app.changing.lock().await;
    let kept = Kept::Announced(row.id.clone());
    app.change(&caller, entry, move |tx, entry| tx.insert_epoch(&row, entry.index).map(|()| kept)).await?;
    let in_force = EpochInForce { epoch, contributed: vec![], population: None, care: None, registers: None };
    let view = app.epoch_view(&in_force).map_err(|problem| problem.traced(caller.trace))?;
    app.replace(in_force);
    Ok(created(&view, &place(&view.id)))
}

/// Where an epoch is.
pub(super) fn place(id: &EpochId) -> String {
    format!("epochs/{id}")
}

/// One epoch.
pub(super) async fn view(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<EpochView>, Problem> {
    let traced = |problem: Problem| problem.traced(trace_of(&request));
    let in_force = app.visible(&identity, &id).map_err(traced)?;
    app.epoch_view(&in_force).map(Json).map_err(traced)
}

/// What a request about one epoch begins with.
struct Asked {
    caller: Caller,
    in_force: Arc<EpochInForce>,
    regulation: Arc<Regulation>,
    entry: Entry,
}

impl App {
    /// An epoch of a regulation in which the caller takes part; to others it does not exist.
    fn visible(&self, identity: &Identity, id: &EpochId) -> Result<Arc<EpochInForce>, Problem> {
        let in_force = self.epoch(id)?;
        let regulation = self.regulation_last_seen(&in_force.epoch.regulation);
        let ours = regulation.is_ok_and(|regulation| regulation.party(&identity.oin).is_some());
        if ours { Ok(in_force) } else { Err(super::unknown_epoch()) }
    }

    /// Whether this caller may do this to this epoch, and the entry for it.
    async fn asked(&self, caller: Caller, id: &EpochId, act: Act, action: Action) -> Result<Asked, Problem> {
        let in_force = self.visible(&caller.identity, id).map_err(|problem| problem.traced(caller.trace))?;
        let regulation = self.regulation(&in_force.epoch.regulation).map_err(|problem| problem.traced(caller.trace))?;
        let entry = self.epoch_entry(&caller, &regulation, act, action, Some(id)).await?;
        Ok(Asked { caller, in_force, regulation, entry })
    }

    async fn epoch_entry(
        &self,
        caller: &Caller,
        regulation: &Regulation,
        act: Act,
        action: Action,
        epoch: Option<&EpochId>,
    ) -> Result<Entry, Problem> {
        let permit = self.permit(caller, regulation, act, epoch).await?;
        let mut entry = self.entry(caller, Some(regulation), action, Outcome::Done);
        entry.epoch = epoch.cloned();
        entry.articles = permit.articles().to_vec();
        Ok(entry)
    }

    /// The epoch that an announcement describes, if it can be one.
    fn announced(&self, caller: &Caller, regulation: &Regulation, new: NewEpoch) -> Result<Epoch, Problem> {
        if self.profiles.find(&new.schema_hash).is_none_or(|profile| profile.id != new.profile) {
            let detail = "the service has no such profile; announce with one of its configuration (`profile`, \
                          `other_profiles`)";
            return Err(Problem::unprocessable("other_profile", detail));
        }
        let contributes = |one: &wire::Participant| {
            let facts = Facts { actor: one.oin.clone(), ..self.facts(caller, Act::ContributeShare) };
            regulation.decide(&facts).is_ok()
        };
        let participants = participants(regulation, &new.participants, contributes)?;
        check_custodians(regulation, &participants)?;
        check_left_out(regulation, &participants, &new.without)?;
        let (rotation, today) = (regulation.rotation(), self.today());
        let after = |days: u32| today + Duration::days(days.into());
        let contribute_by = new.contribute_by.unwrap_or_else(|| after(rotation.contribute_days));
        let load_by = new.load_by.unwrap_or_else(|| after(rotation.load_days).max(contribute_by));
        let grace_days = new.grace_days.unwrap_or(rotation.grace_days);
        if !(today <= contribute_by && contribute_by <= load_by && load_by <= after(MOST_DAYS)) {
            let detail = "the dates come in this order: today, contribute by, load by, within a year";
            return Err(Problem::unprocessable("epoch_dates", detail));
        }
        if grace_days < rotation.grace_days {
            let detail = format!(
                "a grace of {grace_days} days is shorter than the {} of the regulation, which all parties signed; an \
                 epoch that must stop sooner is retired, by two people",
                rotation.grace_days
            );
            return Err(Problem::unprocessable("epoch_dates", detail).at("/graceDays"));
        }
        if grace_days > MOST_DAYS {
            return Err(Problem::unprocessable("epoch_dates", format!("a grace is at most {MOST_DAYS} days")));
        }
        Ok(Epoch {
            id: new.id,
            regulation: new.regulation,
            profile: new.profile,
            schema_hash: new.schema_hash,
            key_check: None,
            state: State::Announced,
            answers_until: None,
            announced_at: self.clock.now(),
            contribute_by,
            load_by,
            grace_days,
            participants,
        })
    }

    /// A change and its log entry, whose place it gets, in one transaction, with what is answered if the same request
    /// comes again; in the log as refused if the store does not take it.
    async fn change(
        &self,
        caller: &Caller,
        entry: Entry,
        job: impl FnOnce(&Tx<'_>, Appended) -> Result<Kept, StoreError> + Send + 'static,
    ) -> Result<Receipt, Problem> {
        let (done, once, now) = (entry.clone(), caller.once.clone(), self.clock.now());
        let written = self.store.write_async(move |tx: &Tx<'_>| {
            let kept = job(tx, tx.append(&done)?)?;
            once.keep(tx, &kept, now)
        });
        match written.await {
            Ok(written) => Ok(only(written.receipts)),
            Err(error) => Err(self.refuse(entry, store_problem(&error)).await),
        }
    }

    /// A step as it is recorded now.
    fn taken(&self, step: Move, log_index: u64) -> Taken {
        Taken { state: step.to(), at: self.clock.now(), answers_until: None, log_index }
    }

    /// Reads an epoch back from the store after a change; its registers stay.
    fn reread(&self, caller: &Caller, id: &EpochId) -> Result<Arc<EpochInForce>, Problem> {
        let failed = |error: StoreError| {
            tracing::error!(error = &error as &dyn std::error::Error, "an epoch cannot be read back");
            Problem::unavailable("the epoch was changed but cannot be read back").traced(caller.trace)
        };
        let old = self.epoch(id).map_err(|problem| problem.traced(caller.trace))?;
        let epoch = self.store.epoch(id).map_err(failed)?;
        let contributed = self.contributed(id).map_err(failed)?;
        let (population, care, registers) = match epoch.state {
            State::Destroyed => (None, None, None),
            _ => (old.population.clone(), old.care.clone(), old.registers.clone()),
        };
        self.replace(EpochInForce { epoch, contributed, population, care, registers });
        self.epoch(id)
    }
}

fn illegal(step: IllegalStep) -> Problem {
    Problem::conflict(step.code(), step.to_string())
}

/// The participants of a new epoch: parties that encode, of whom at least two organisations may contribute a share.
fn participants(
    regulation: &Regulation,
    named: &[wire::Participant],
    may_contribute: impl Fn(&wire::Participant) -> bool,
) -> Result<Vec<Participant>, Problem> {
    let mut participants = Vec::new();
    let mut organisations = BTreeSet::new();
    for one in named {
        let party = encodes(regulation, one)?;
        let contributes = may_contribute(one);
        if contributes {
            organisations.insert(party.organisation.as_str());
        }
        participants.push(Participant { oin: one.oin.clone(), recipient: one.recipient.clone(), contributes });
    }
    participants.sort_by(|a, b| a.oin.cmp(&b.oin));
    if participants.windows(2).any(|pair| pair[0].oin == pair[1].oin) {
        return Err(Problem::unprocessable("participant", "a participant is named twice"));
    }
    for (at, one) in participants.iter().enumerate() {
        own_key(one, &participants[..at])?;
    }
    if organisations.len() < MIN_CONTRIBUTORS {
        let detail = "a salt needs at least two custodians of different organisations";
        return Err(Problem::unprocessable("too_few_custodians", detail));
    }
    Ok(participants)
}

/// Whether everybody takes part who must load before the epoch can answer: without its salt nobody loads.
fn check_custodians(regulation: &Regulation, participants: &[Participant]) -> Result<(), Problem> {
    let takes_part = |party: &Party| participants.iter().any(|one| one.oin == party.oin);
    let loads =
        |source| regulation.parties().iter().any(|party| party.role == view::custodian(source) && takes_part(party));
    let lacking: Vec<_> = cutover::sources(regulation).filter(|source| !loads(*source)).map(Source::as_str).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "nobody could load this source, which answers rest on: {}; announce with its custodian, or change the regulation \
         first",
        lacking.join(", ")
    );
    Err(Problem::unprocessable("custodian_left_out", detail))
}

/// Whether who is left out is so by somebody's will: a party without the salt cannot ask once the epoch before is silent.
fn check_left_out(regulation: &Regulation, participants: &[Participant], without: &[Oin]) -> Result<(), Problem> {
    let left_out = |party: &&Party| {
        let named = participants.iter().map(|one| &one.oin).chain(without).any(|oin| *oin == party.oin);
        is_encoder(party.role) && !named
    };
    let left_out: Vec<_> = regulation.parties().iter().filter(left_out).map(|party| party.oin.as_str()).collect();
    if left_out.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "{} would have no salt and could not ask: put its public key into parties.toml, or leave it out with --without",
        left_out.join(", ")
    );
    Err(Problem::unprocessable("participant_left_out", detail))
}

/// Whether a party of this role makes codes.
fn is_encoder(role: Role) -> bool {
    !matches!(role, Role::Administrator | Role::PrivacyOfficer)
}

/// Whether a participant's key is nobody else's: who has it would open what was sealed for both.
fn own_key(one: &Participant, others: &[Participant]) -> Result<(), Problem> {
    let same = |other: &&Participant| other.oin != one.oin && same_recipient(&other.recipient, &one.recipient);
    let Some(other) = others.iter().find(same) else { return Ok(()) };
    let detail = format!("{} and {} have the same key; each party has one of its own", other.oin, one.oin);
    Err(Problem::unprocessable("recipient", detail))
}

/// The party behind a participant, if it is one that encodes, its key looks like one, and its organisation does not run
/// the service: whatever its role, it would hold a salt.
fn encodes<'a>(regulation: &'a Regulation, one: &wire::Participant) -> Result<&'a Party, Problem> {
    let party = regulation.party(&one.oin).filter(|party| is_encoder(party.role)).ok_or_else(|| {
        let detail = format!("{} is no custodian, corporation or district team of the regulation", one.oin);
        Problem::unprocessable("participant", detail)
    })?;
    let mut administrators = regulation.parties().iter().filter(|party| party.role == Role::Administrator);
    if administrators.any(|administrator| administrator.organisation == party.organisation) {
        let detail = format!(
            "an administrator and {} are of the same organisation: who runs the service would hold a salt; change the \
             regulation",
            one.oin
        );
        return Err(Problem::unprocessable("administrator_is_custodian", detail));
    }
    let kind = ["age1", "ssh-ed25519 ", "ssh-rsa "].iter().any(|start| one.recipient.starts_with(start));
    let plain = one.recipient.len() <= 4096 && one.recipient.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if kind && plain {
        return Ok(party);
    }
    let detail = format!("the key of {} is no public age, ssh-ed25519 or ssh-rsa key", one.oin);
    Err(Problem::unprocessable("recipient", detail))
}
