//! Proposals that wait no more though nobody confirmed them: their party took them back, or a step of their epoch made
//! them impossible. Both are in the log.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use time::OffsetDateTime;

use super::decision::{only, store_problem};
use super::epochs::End;
use super::four_eyes::{LAPSES_AFTER, Proposed};
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::repeats::{Kept, receipt_of};
use super::wire::law::Withdrawn;
use super::{App, Caller};
use crate::audit::{Action, Entry, Outcome};
use crate::epoch::State;
use crate::ids::ProposalId;
use crate::regulate::Regulation;
use crate::store::{Gone, Proposal, StoreError, Tx};

/// Takes a proposal back. It may be done at any time: a proposal binds nobody.
pub(super) async fn withdraw(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<ProposalId>,
) -> Result<Json<Withdrawn>, Problem> {
    let caller = Caller::of(identity, &request);
    let traced = |problem: Problem| problem.traced(caller.trace);
    let _changing = app.changing.lock().await;
    let Known { proposal, proposed, regulation } = app.known_proposal(&caller, &id).map_err(traced)?;
    let mut entry = app.entry(&caller, Some(&regulation), Action::Withdraw, Outcome::Done);
    entry.epoch = proposed.epoch();
    if proposal.by != caller.identity.oin {
        let detail = "only the party that proposed an act withdraws it";
        return Err(app.refuse(entry, Problem::new(StatusCode::FORBIDDEN, "not_the_proposer", detail)).await);
    }
    match proposal.gone {
        None => {}
        Some(Gone::Withdrawn) => return Err(app.refuse(entry, withdrawn()).await),
        Some(Gone::Overtaken) => return Err(app.refuse(entry, unknown()).await),
    }
    let (kind, refusal) = (proposed.kind(), entry.clone());
    let (once, now, remains) = (caller.once.clone(), app.clock.now(), remains(proposed));
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        tx.drop_proposal(&proposal.id, Gone::Withdrawn, &remains)?;
        let receipt = receipt_of(tx.append(&entry)?);
        once.keep(tx, &Kept::body(&Withdrawn { kind: kind.into(), receipt }), now)
    });
    match written.await {
        Ok(written) => Ok(Json(Withdrawn { kind: kind.into(), receipt: only(written.receipts) })),
        Err(error) => Err(app.refuse(refusal, store_problem(&error)).await),
    }
}

/// A proposal that has not lapsed, and the regulation that decides on it.
pub(super) struct Known {
    pub proposal: Proposal,
    pub proposed: Proposed,
    pub regulation: Arc<Regulation>,
}

fn unknown() -> Problem {
    Problem::not_found("unknown_proposal", "no act of this name waits; see GET /v1/proposals")
}

/// Of one that its party took back.
pub(super) fn withdrawn() -> Problem {
    Problem::new(StatusCode::GONE, "proposal_withdrawn", "the party that proposed it withdrew it; nothing was done")
}

impl App {
    /// The proposal of this name, for a party of its regulation.
    ///
    /// # Errors
    /// `unknown_proposal`, for strangers as for names that are none.
    pub(super) fn known_proposal(&self, caller: &Caller, id: &ProposalId) -> Result<Known, Problem> {
        let found = self.recent()?.into_iter().find(|(proposal, _)| proposal.id == *id);
        let (proposal, proposed) = found.ok_or_else(unknown)?;
        let regulation = self.law_of(&proposal, &proposed)?;
        regulation.party(&caller.identity.oin).ok_or_else(unknown)?;
        Ok(Known { proposal, proposed, regulation })
    }

    /// The proposals that wait.
    pub(super) fn alive(&self) -> Result<Vec<(Proposal, Proposed)>, Problem> {
        let recent = self.recent()?.into_iter();
        Ok(recent.filter(|(proposal, _)| proposal.gone.is_none()).collect())
    }

    /// The proposals that have not lapsed.
    fn recent(&self) -> Result<Vec<(Proposal, Proposed)>, Problem> {
        let lapsed = self.latest() - LAPSES_AFTER;
        let proposals = self.store.proposals().map_err(|error| store_problem(&error))?;
        let recent = proposals.into_iter().filter(|proposal| proposal.made_at >= lapsed);
        let recent = recent.map(|proposal| read(&proposal).map(|proposed| (proposal, proposed)));
        recent.collect::<Result<_, _>>().map_err(|error| store_problem(&error))
    }
}

fn read(proposal: &Proposal) -> Result<Proposed, StoreError> {
    serde_json::from_str(&proposal.body).map_err(|_| StoreError::Damaged { what: "a proposal" })
}

/// What is kept of one that waits no more: no addresses.
fn remains(mut proposed: Proposed) -> String {
    if let Proposed::Stock { filter, .. } = &mut proposed {
        filter.clear();
    }
    serde_json::to_string(&proposed).expect("plain data have a JSON form")
}

/// Drops the proposals that can be done no more behind a step of their epoch, which `answers` or not from then on. `step`
/// is the step's entry, `at` its time.
pub(super) fn drop_overtaken(
    tx: &Tx<'_>,
    step: &Entry,
    state: State,
    answers: bool,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    let waits = |one: &Proposal| one.gone.is_none() && one.made_at >= at - LAPSES_AFTER;
    for proposal in tx.proposals()?.into_iter().filter(waits) {
        let proposed = read(&proposal)?;
        if proposed.epoch() != step.epoch || is_possible(&proposed, state, answers) {
            continue;
        }
        tx.drop_proposal(&proposal.id, Gone::Overtaken, &remains(proposed))?;
        tx.append(&Entry { action: Action::ProposalDrop, salt: Entry::fresh_salt(), ..step.clone() })?;
    }
    Ok(())
}

/// Whether an act about an epoch could come in this state.
fn is_possible(proposed: &Proposed, state: State, answers: bool) -> bool {
    match proposed {
        Proposed::Stock { .. } => state.takes_stocks(),
        Proposed::EndEpoch { end: End::Retire, .. } => answers && End::Retire.step().from(state).is_ok(),
        Proposed::EndEpoch { end, .. } => end.step().from(state).is_ok(),
        Proposed::Regulation { .. } | Proposed::OpenTap { .. } => true,
    }
}
