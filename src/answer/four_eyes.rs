//! Acts that need two people of different parties with different keys: one proposes, another confirms. A proposal
//! does nothing; both steps are in the log. What lapses unconfirmed after a week was never done.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::aside::aside;
use super::decision::{action_of, only, store_problem};
use super::epochs::End;
use super::epochs::end::{self, LastStep};
use super::identity::Identity;
use super::json::Json;
use super::problem::{Problem, trace_of};
use super::proposals::{Known, withdrawn};
use super::repeats::{Kept, receipt_of};
use super::wire::law::{Confirmed, OpenTap, Pending, ProposalView};
use super::{App, Caller, EpochInForce, laws, stock};
use crate::audit::{Action, Entry, Outcome};
use crate::epoch::State;
use crate::ids::{EpochId, Oin, ProposalId, RegulationId};
use crate::regulate::{Act, Facts, Party, Permit, Regulation, RegulationError, Role};
use crate::store::{self, ActivatedRegulation, Gone, Proposal, StoreError, Tx};

/// A proposal that nobody confirms is forgotten after this.
pub(super) const LAPSES_AFTER: Duration = Duration::days(7);

/// What waits for a second person.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Proposed {
    /// A corporation's housing stock; `filter` is sealed by the store, in base64.
    Stock {
        epoch: EpochId,
        dwellings: u32,
        /// Not there where it was proposed to an earlier version.
        #[serde(default)]
        addresses: Option<usize>,
        filter: String,
    },
    Regulation {
        toml: String,
        cedar: String,
        signatures: String,
    },
    OpenTap {
        oin: Oin,
    },
    EndEpoch {
        epoch: EpochId,
        end: End,
        /// Whether answers that nobody has read may be lost with it.
        #[serde(default)]
        accept_unread: bool,
    },
}

impl Proposed {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Stock { .. } => "stock",
            Self::Regulation { .. } => "regulation",
            Self::OpenTap { .. } => "open-tap",
            Self::EndEpoch { end, .. } => end.kind(),
        }
    }

    fn act(&self) -> Act {
        match self {
            Self::Stock { .. } => Act::RegisterStock,
            Self::Regulation { .. } => Act::ActivateRegulation,
            Self::OpenTap { .. } => Act::OpenTap,
            Self::EndEpoch { .. } => Act::EndEpoch,
        }
    }

    fn action(&self) -> Action {
        if let Self::EndEpoch { end, .. } = self { end.action() } else { action_of(self.act()) }
    }

    pub(super) fn epoch(&self) -> Option<EpochId> {
        match self {
            Self::Stock { epoch, .. } | Self::EndEpoch { epoch, .. } => Some(epoch.clone()),
            Self::Regulation { .. } | Self::OpenTap { .. } => None,
        }
    }
}

/// An act about an epoch that waits: an end, or a stock.
pub(super) struct Waits {
    pub proposal: ProposalId,
    pub by: Oin,
    pub end: Option<End>,
    /// What comes of it.
    pub effect: Option<String>,
    /// Who may confirm it.
    pub seconds: Vec<Party>,
    pub lapses: OffsetDateTime,
}

/// The acts that wait in regulations of the caller.
pub(super) async fn waiting(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
) -> Result<Json<Vec<ProposalView>>, Problem> {
    let trace = trace_of(&request);
    // Households of a stock are counted in the whole register.
    let found = aside(move || app.waiting_for(&identity.oin)).await;
    let found = found.unwrap_or_else(|_| Err(Problem::unavailable("the service is stopping")));
    found.map(Json).map_err(|problem| problem.traced(trace))
}

/// Proposes to open a tap that probing closed.
pub(super) async fn open_tap(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<RegulationId>,
    body: Json<OpenTap>,
) -> Result<Json<Pending>, Problem> {
    let caller = Caller::of(identity, &request);
    let visible = app.visible_regulation(&caller.identity, &id);
    let regulation = visible.map_err(|problem| problem.traced(caller.trace))?;
    let oin = body.into_inner().oin;
    if regulation.party(&oin).is_none_or(|party| party.role != Role::Corporation) {
        let problem = Problem::unprocessable("no_corporation", "a tap is one of a corporation of the regulation");
        return Err(app.refuse(app.entry(&caller, Some(&regulation), Action::TapOpen, Outcome::Done), problem).await);
    }
    let proposed = Proposed::OpenTap { oin };
    app.propose(&caller, &regulation, Act::OpenTap, proposed, None).await.map(Json)
}

/// Confirms a proposal of somebody else: then it is done.
pub(super) async fn confirm(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<ProposalId>,
) -> Result<Json<Confirmed>, Problem> {
    let caller = Caller::of(identity, &request);
    let traced = |problem: Problem| problem.traced(caller.trace);
    let _changing = app.changing.lock().await;
    let Known { proposal, proposed, regulation } = app.known_proposal(&caller, &id).map_err(traced)?;
    let permit = app.seconded(&caller, &regulation, &proposal, &proposed).await?;
    let mut entry = app.entry(&caller, Some(&regulation), proposed.action(), Outcome::Done);
    entry.epoch = proposed.epoch();
    entry.proposal = Some(proposal.id);
    entry.articles = permit.articles().to_vec();
    if proposal.gone == Some(Gone::Withdrawn) {
        return Err(app.refuse(entry, withdrawn()).await);
    }
    let (change, effect) = match app.prepare(&proposal, proposed.clone(), &entry) {
        Ok(prepared) => prepared,
        Err(problem) => return Err(app.refuse(entry, problem).await),
    };
    let (refusal, id, once, now) = (entry.clone(), proposal.id, caller.once.clone(), app.clock.now());
    let kind = proposed.kind();
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        tx.take_proposal(&id)?;
        let appended = tx.append(&entry)?;
        change.write(tx, appended.index)?;
        let confirmed = Confirmed { kind: kind.into(), receipt: receipt_of(appended), record: None };
        once.keep(tx, &change.kept(&confirmed), now)
    });
    let written = match written.await {
        Ok(written) => written,
        Err(error) => return Err(app.refuse(refusal, store_problem(&error)).await),
    };
    let record = take_effect(app.clone(), &caller, effect).await?;
    Ok(Json(Confirmed { kind: kind.into(), receipt: only(written.receipts), record }))
}

/// What a confirmed act changes in the store,
enum Change {
    EndEpoch(Box<LastStep>),
    Stock(EpochId, Oin, store::Stock),
    Regulation(ActivatedRegulation),
    OpenTap(RegulationId, Oin),
}

/// and then in memory.
enum Effect {
    Ended(Arc<EpochInForce>, End),
    Stock(EpochId, Oin, Arc<stock::Stock>),
    Regulation(Box<Regulation>),
    Nothing,
}

impl Change {
    /// `log_index` is the act's entry in the access log.
    fn write(&self, tx: &Tx<'_>, log_index: u64) -> Result<(), StoreError> {
        match self {
            Self::EndEpoch(last) => last.write(tx, log_index),
            Self::Stock(epoch, oin, row) => tx.put_stock(epoch, oin, row),
            Self::Regulation(row) => tx.activate_regulation(row),
            Self::OpenTap(regulation, oin) => tx.open_tap(regulation, oin),
        }
    }

    /// What is answered again, should the answer be lost: of an epoch that is gone with its record, which is not there
    /// yet.
    fn kept(&self, confirmed: &Confirmed) -> Kept {
        match (self, Kept::body(confirmed)) {
            (Self::EndEpoch(last), Kept::Body(body)) if last.step.to() == State::Destroyed => {
                Kept::Ended(last.epoch.clone(), body)
            }
            (_, kept) => kept,
        }
    }
}

impl App {
    /// Keeps an act until a second person confirms it, if any could. Nothing else happens. The same act of the same party
    /// is the one that waits.
    pub(super) async fn propose(
        &self,
        caller: &Caller,
        regulation: &Regulation,
        act: Act,
        proposed: Proposed,
        epoch: Option<EpochId>,
    ) -> Result<Pending, Problem> {
        let permit = self.confirmable(caller, regulation, act, epoch.as_ref()).await?;
        let mut entry = self.entry(caller, Some(regulation), Action::Propose, Outcome::Done);
        entry.epoch = epoch;
        entry.proposed = Some(proposed.action());
        entry.articles = permit.articles().to_vec();
        let proposal = Proposal {
            id: ProposalId::random(),
            regulation: regulation.id().clone(),
            body: serde_json::to_string(&proposed).expect("plain data have a JSON form"),
            by: caller.identity.oin.clone(),
            key: caller.identity.key.clone(),
            made_at: self.clock.now(),
            sealed_in: if let Proposed::Stock { epoch, .. } = &proposed { Some(epoch.clone()) } else { None },
            gone: None,
        };
        let effect = self.effect_of(&proposed).map_err(|problem| problem.traced(caller.trace))?;
        let (now, once, told) = (self.clock.now(), caller.once.clone(), effect.clone());
        let lapsed = self.settled() - LAPSES_AFTER;
        let written = self.store.write_async(move |tx: &Tx<'_>| {
            let proposal = tx.propose(&proposal, lapsed)?;
            let receipt = receipt_of(tx.append(&Entry { proposal: Some(proposal), ..entry })?);
            once.keep(tx, &Kept::body(&Pending { proposal, receipt, effect: told }), now).map(|()| proposal)
        });
        let written = written.await.map_err(|error: StoreError| store_problem(&error).traced(caller.trace))?;
        Ok(Pending { proposal: written.value, receipt: only(written.receipts), effect })
    }

    /// The permit that the act would have with the best second person, or the logged refusal.
    pub(super) async fn confirmable(
        &self,
        caller: &Caller,
        regulation: &Regulation,
        act: Act,
        epoch: Option<&EpochId>,
    ) -> Result<Permit, Problem> {
        let facts = self.facts(caller, act);
        let others = regulation.parties().iter().filter(|party| party.oin != caller.identity.oin);
        let with = |party: &Party| regulation.decide(&Facts { second: Some(party.oin.clone()), ..facts.clone() });
        let decided = others.map(with).reduce(Result::or).unwrap_or_else(|| regulation.decide(&facts));
        self.or_refused(caller, regulation, decided, action_of(act), epoch).await
    }

    /// The permit that a proposal has with this caller as its second person, or the logged refusal.
    async fn seconded(
        &self,
        caller: &Caller,
        regulation: &Regulation,
        proposal: &Proposal,
        proposed: &Proposed,
    ) -> Result<Permit, Problem> {
        // Two keys, too: whoever has certificates of two parties for one key is one person. And nobody stands behind the opening of its own tap.
        let own = matches!(proposed, Proposed::OpenTap { oin } if *oin == caller.identity.oin);
        let other = !own && caller.identity.key != proposal.key;
        let facts = Facts {
            second: other.then(|| caller.identity.oin.clone()),
            ..Facts::new(proposal.by.clone(), proposed.act(), self.today())
        };
        let (action, epoch) = (proposed.action(), proposed.epoch());
        self.or_refused(caller, regulation, regulation.decide(&facts), action, epoch.as_ref()).await
    }

    /// The acts that wait in regulations of this party.
    fn waiting_for(&self, oin: &Oin) -> Result<Vec<ProposalView>, Problem> {
        let ours = self.alive()?.into_iter().filter_map(|(proposal, proposed)| {
            let regulation = self.law_of(&proposal, &proposed).ok()?;
            let may_confirm = regulation.is_municipal_officer(regulation.party(oin)?);
            if let Proposed::EndEpoch { epoch, end, .. } = &proposed {
                // What can be done no more waits for nobody.
                self.may_end(&*self.epoch(epoch).ok()?, *end).ok()?;
            }
            let effect = self.effect_of(&proposed).ok()?;
            let about = match &proposed {
                Proposed::Stock { .. } => self.about_stock(&proposal, &proposed, may_confirm)?,
                Proposed::Regulation { .. } => regulation.digest().to_owned(),
                Proposed::OpenTap { oin } => oin.to_string(),
                Proposed::EndEpoch { epoch, .. } => epoch.to_string(),
            };
            Some(ProposalView {
                proposal: proposal.id,
                kind: proposed.kind().into(),
                regulation: proposal.regulation,
                by: proposal.by,
                made_at: proposal.made_at.format(&Rfc3339).ok()?,
                about,
                effect,
            })
        });
        Ok(ours.collect())
    }

    /// What would come of an act now, where its name does not say it.
    fn effect_of(&self, proposed: &Proposed) -> Result<Option<String>, Problem> {
        let Proposed::EndEpoch { epoch, end, .. } = proposed else { return Ok(None) };
        self.effect(&*self.epoch(epoch)?, *end).map(Some)
    }

    /// The acts about an epoch that wait and could still be done.
    pub(super) fn waiting_about(
        &self,
        in_force: &EpochInForce,
        regulation: &Regulation,
    ) -> Result<Vec<Waits>, Problem> {
        let mut waiting = Vec::new();
        for (proposal, proposed) in self.alive()? {
            let (end, may_come) = match &proposed {
                Proposed::EndEpoch { end, .. } => (Some(*end), self.may_end(in_force, *end).is_ok()),
                _ => (None, stock::takes_stocks(&in_force.epoch).is_ok()),
            };
            if !may_come || proposed.epoch().as_ref() != Some(&in_force.epoch.id) {
                continue;
            }
            let facts = Facts::new(proposal.by.clone(), proposed.act(), self.today());
            let may = |party: &Party| {
                let with = Facts { second: Some(party.oin.clone()), ..facts.clone() };
                party.oin != proposal.by && regulation.decide(&with).is_ok()
            };
            let seconds = regulation.parties().iter().filter(|party| may(party)).cloned().collect();
            let lapses = proposal.made_at + LAPSES_AFTER;
            let effect = end.map(|end| self.effect(in_force, end)).transpose()?;
            waiting.push(Waits { proposal: proposal.id, by: proposal.by, end, effect, seconds, lapses });
        }
        Ok(waiting)
    }

    /// The regulation that decides on a proposal: a new version decides on itself.
    pub(super) fn law_of(&self, proposal: &Proposal, proposed: &Proposed) -> Result<Arc<Regulation>, Problem> {
        let Proposed::Regulation { toml, cedar, .. } = proposed else { return self.regulation(&proposal.regulation) };
        let damaged = |_| store_problem(&StoreError::Damaged { what: "a proposed regulation" });
        Regulation::from_texts(&proposal.regulation, toml, cedar).map(Arc::new).map_err(damaged)
    }

    /// What the act changes, checked once more: what was right when it was proposed may be no longer.
    fn prepare(&self, proposal: &Proposal, proposed: Proposed, entry: &Entry) -> Result<(Change, Effect), Problem> {
        let (by, id) = (proposal.by.clone(), proposal.regulation.clone());
        match proposed {
            Proposed::Stock { epoch, dwellings, filter, .. } => {
                let unfit = |why| Problem::unprocessable("stock_addresses", why);
                stock::takes_stocks(&self.epoch(&epoch)?.epoch)?;
                let filter = STANDARD.decode(&filter).map_err(|_| unfit("the filter is not base64"))?;
                let opened = self.store.open_stock(&epoch, &by, dwellings, &filter);
                let opened = opened.map_err(|error| store_problem(&error))?;
                let stock = stock::Stock::read(opened, dwellings).map_err(unfit)?;
                let row = store::Stock { dwellings, filter, registered_at: self.clock.now() };
                Ok((Change::Stock(epoch.clone(), by.clone(), row), Effect::Stock(epoch, by, stock.into())))
            }
            Proposed::Regulation { toml, cedar, signatures } => {
                let unfit = |error: RegulationError| Problem::conflict("regulation_unreadable", error.to_string());
                let regulation = Regulation::from_texts(&id, &toml, &cedar).map_err(unfit)?;
                laws::check(&regulation, &signatures)?;
                self.laws.admits(&regulation)?;
                let (digest, activated_at) = (regulation.digest().to_owned(), self.clock.now());
                let row = ActivatedRegulation { id, digest, toml, cedar, signatures, activated_at };
                Ok((Change::Regulation(row), Effect::Regulation(Box::new(regulation))))
            }
            Proposed::OpenTap { oin } => Ok((Change::OpenTap(id, oin), Effect::Nothing)),
            Proposed::EndEpoch { epoch, end, accept_unread } => {
                let in_force = self.epoch(&epoch)?;
                let (step, taken) = self.may_end(&in_force, end)?;
                self.check_unread(&epoch, end, accept_unread)?;
                let accepts = accept_unread.then(|| Entry {
                    action: Action::EpochAcceptUnread,
                    salt: Entry::fresh_salt(),
                    ..entry.clone()
                });
                let last = LastStep { epoch, step, taken, entry: entry.clone(), accepts, now: self.settled() };
                Ok((Change::EndEpoch(last.into()), Effect::Ended(in_force, end)))
            }
        }
    }
}

/// Makes a change true in memory; the signed record where an epoch is gone.
async fn take_effect(app: Data<App>, caller: &Caller, effect: Effect) -> Result<Option<String>, Problem> {
    match effect {
        Effect::Stock(epoch, oin, stock) => {
            let mut stocks = app.stocks.write().unwrap_or_else(|broken| broken.into_inner());
            stocks.insert((epoch, oin), stock);
        }
        Effect::Regulation(regulation) => {
            tracing::info!(regulation.id = %regulation.id(), regulation.digest = regulation.digest(), "regulation activated");
            app.laws.add(*regulation);
        }
        Effect::Ended(in_force, end) => return end::ended(app, caller, in_force, end).await,
        Effect::Nothing => {}
    }
    Ok(None)
}
