//! One way for every request: facts to the regulation, the decision into the log, a refusal out as a problem.

use std::sync::Arc;

use actix_web::http::StatusCode;

use super::problem::Problem;
use super::{App, Caller, EpochInForce, reference};
use crate::audit::{Action, Actor, Entry, Outcome, Receipt};
use crate::ids::EpochId;
use crate::regulate::{Act, Facts, Permit, Refusal, Regulation};
use crate::store::{StoreError, Tx};

impl App {
    /// Facts of an act that is about no household.
    pub(super) fn facts(&self, caller: &Caller, action: Act) -> Facts {
        Facts::new(caller.identity.oin.clone(), action, self.today())
    }

    /// An entry for what this caller does under this regulation.
    pub(super) fn entry(
        &self,
        caller: &Caller,
        regulation: Option<&Regulation>,
        action: Action,
        result: Outcome,
    ) -> Entry {
        let role = regulation.and_then(|regulation| regulation.party(&caller.identity.oin));
        let actor = Actor {
            oin: Some(caller.identity.oin.clone()),
            certificate: caller.identity.fingerprint.clone(),
            person: caller.identity.person.clone(),
            role: role.map_or("stranger", |party| party.role.as_str()).into(),
        };
        // A leap is told before: an entry behind one that is not told says that the time has passed.
        self.latest();
        let mut entry = Entry::new(self.clock.now(), caller.trace, actor, action, result);
        entry.regulation = regulation.map(reference);
        entry.latency = Some(caller.identity.latency());
        entry
    }

    /// Decides an act that is about no household; a refusal is in the log before it is told.
    pub(super) async fn permit(
        &self,
        caller: &Caller,
        regulation: &Regulation,
        act: Act,
        epoch: Option<&EpochId>,
    ) -> Result<Permit, Problem> {
        let decided = regulation.decide(&self.facts(caller, act));
        self.or_refused(caller, regulation, decided, action_of(act), epoch).await
    }

    /// The permit, or the refusal, which is in the log then.
    pub(super) async fn or_refused(
        &self,
        caller: &Caller,
        regulation: &Regulation,
        decided: Result<Permit, Refusal>,
        action: Action,
        epoch: Option<&EpochId>,
    ) -> Result<Permit, Problem> {
        let refusal = match decided {
            Ok(permit) => return Ok(permit),
            Err(refusal) => refusal,
        };
        let mut entry = self.entry(caller, Some(regulation), action, refused(&refusal));
        entry.articles = refusal.articles.clone();
        entry.epoch = epoch.cloned();
        self.record(entry).await?;
        Err(refusal_problem(&refusal).traced(caller.trace))
    }

    /// Puts an entry into the log, durably.
    pub(super) async fn record(&self, entry: Entry) -> Result<Receipt, Problem> {
        let trace = entry.trace_id;
        let written = self.store.write_async(move |tx: &Tx<'_>| tx.append(&entry).map(drop)).await;
        let written = written.map_err(|error: StoreError| store_problem(&error).traced(trace))?;
        Ok(only(written.receipts))
    }

    /// The epoch that a request brings codes for; that there is none is a refusal like any other.
    pub(super) async fn named_epoch(
        &self,
        caller: &Caller,
        id: &EpochId,
        action: Action,
    ) -> Result<Arc<EpochInForce>, Problem> {
        match self.epoch(id) {
            Ok(in_force) => Ok(in_force),
            Err(problem) => Err(self.refuse(self.entry(caller, None, action, Outcome::Done), problem).await),
        }
    }

    /// A refusal that no article made: codes of another salt, a state that does not allow it.
    pub(super) async fn refuse(&self, mut entry: Entry, problem: Problem) -> Problem {
        entry.result = unanswered(&problem);
        let trace = entry.trace_id;
        match self.record(entry).await {
            Ok(_) => problem.traced(trace),
            Err(unrecorded) => unrecorded,
        }
    }
}

/// The receipt of a job that appends one entry.
pub(super) fn only(receipts: Vec<Receipt>) -> Receipt {
    receipts.into_iter().next().expect("a job that appended has a receipt")
}

/// How an act stands in the log.
pub(super) fn action_of(act: Act) -> Action {
    match act {
        Act::Ask => Action::Ask,
        Act::Load(_) => Action::Load,
        Act::RegisterStock => Action::Stock,
        Act::AnnounceEpoch => Action::EpochAnnounce,
        Act::ContributeShare => Action::EpochContribute,
        Act::FetchShares => Action::EpochFetch,
        Act::ActivateEpoch => Action::EpochActivate,
        // Of a refusal by an article; what was proposed knows its own end.
        Act::EndEpoch => Action::EpochRetire,
        Act::ReadLog => Action::LogRead,
        Act::AskGroups => Action::AskGroups,
        Act::ActivateRegulation => Action::RegulationActive,
        Act::OpenTap => Action::TapOpen,
    }
}

/// A refusal's result in the log.
pub(super) fn refused(refusal: &Refusal) -> Outcome {
    Outcome::Refused(refusal.article.clone())
}

/// A problem's result in the log: ours, or the caller's.
pub(super) fn unanswered(problem: &Problem) -> Outcome {
    let code = problem.code.to_owned();
    if problem.status.is_server_error() { Outcome::Failed(code) } else { Outcome::Refused(code) }
}

/// A refusal as the caller sees it.
pub(super) fn refusal_problem(refusal: &Refusal) -> Problem {
    let detail = format!("{}. {}", refusal.title, refusal.remedy);
    let mut problem = Problem::new(StatusCode::FORBIDDEN, "refused", detail);
    problem.article = Some(refusal.article.clone());
    problem
}

/// What the store could not do, as the caller sees it; the cause goes to the operational log, once.
pub(super) fn store_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::NotFound(what) => Problem::not_found(error.code(), format!("no such {what}")),
        StoreError::Conflict(_)
        | StoreError::LoadIncomplete { .. }
        | StoreError::LoadOverfull { .. }
        | StoreError::EpochCredential { .. } => Problem::conflict(error.code(), error.to_string()),
        StoreError::UploadTooLong { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.code(), error.to_string())
        }
        StoreError::EpochKey { epoch, .. } => {
            tracing::error!(error = error as &dyn std::error::Error, "an epoch's key is lost");
            let detail = format!(
                "the service has no key that opens the epoch {epoch}; its operator puts the key back, or a new epoch is begun"
            );
            Problem::conflict(error.code(), detail)
        }
        _ => {
            tracing::error!(error = error as &dyn std::error::Error, code = error.code(), "the store failed");
            Problem::unavailable("the service cannot record what it does, so it does nothing; try again later")
        }
    }
}
