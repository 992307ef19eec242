//! What is said of the loads of an epoch: kept with each for officers to read, and held against what the parties accept
//! before anybody is answered from it.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};

use super::super::decision::store_problem;
use super::super::identity::Identity;
use super::super::json::Json;
use super::super::problem::Problem;
use super::super::wire::law::InferenceView;
use super::super::wire::{LoadSummary, Source, SourceReport};
use super::super::{App, Caller, EpochInForce};
use super::Asked;
use super::cutover::load_of;
use crate::audit::Action;
use crate::epoch::State;
use crate::ids::EpochId;
use crate::regulate::{Act, Cells, Regulation};
use crate::store::StoreError;

/// The reports of the loads that answer, for privacy officers. That they were read is an entry.
pub(in super::super) async fn reports(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<EpochId>,
) -> Result<Json<Vec<SourceReport>>, Problem> {
    let caller = Caller::of(identity, &request);
    let Asked { caller, in_force, entry, .. } = app.asked(caller, &id, Act::ReadLog, Action::LogRead).await?;
    app.record(entry).await?;
    let sources = [Source::Population, Source::Care];
    let all = sources.into_iter().filter_map(|source| app.report_of(&in_force, source).transpose());
    all.collect::<Result<_, _>>().map(Json).map_err(|error| store_problem(&error).traced(caller.trace))
}

impl App {
    fn report_of(&self, in_force: &EpochInForce, source: Source) -> Result<Option<SourceReport>, StoreError> {
        let Some(load) = load_of(in_force, source) else { return Ok(None) };
        let damaged = || StoreError::Damaged { what: "the report of a load" };
        let text = self.store.load_report(&load.id)?.ok_or_else(damaged)?;
        let LoadSummary { persons, inference, quality } = serde_json::from_str(&text).map_err(|_| damaged())?;
        let (records, reference_date) = (load.records, load.reference_date);
        Ok(Some(SourceReport { source, records, reference_date, persons, inference, quality }))
    }

    /// What readers may infer from answers about these households, once both sources are there.
    pub(in super::super) fn inference(&self, next: &EpochInForce) -> Option<InferenceView> {
        let (worst, bound) = worst(&*self.regulation(&next.epoch.regulation).ok()?, next)?;
        Some(InferenceView { worst: (worst * 100.0).round() / 100.0, bound })
    }

    /// Whether that is within what the parties accept. Data change and the bound does not: nobody alone may go beyond it,
    /// and a version with another one takes the signature of every party, its officers included.
    pub(in super::super) fn check_inference(&self, next: &EpochInForce) -> Result<(), Problem> {
        check_inference(&*self.regulation(&next.epoch.regulation)?, next)
    }

    /// The same of every epoch that answers, under a version that would decide from now on.
    pub(in super::super) fn check_inferences(&self, regulation: &Regulation) -> Result<(), Problem> {
        let answering = |one: &&Arc<EpochInForce>| {
            one.epoch.regulation == *regulation.id() && matches!(one.epoch.state, State::Active | State::Retiring)
        };
        self.all_epochs().iter().filter(answering).try_for_each(|one| check_inference(regulation, one))
    }
}

fn worst(regulation: &Regulation, next: &EpochInForce) -> Option<(f64, f64)> {
    let registers = next.registers.as_ref().filter(|registers| registers.care().is_some())?;
    let undetermined_share = regulation.posterior().undetermined_share;
    let cells = Cells { households: registers.cells(), undetermined_share };
    Some((cells.worst(regulation), regulation.posterior().bound))
}

fn check_inference(regulation: &Regulation, next: &EpochInForce) -> Result<(), Problem> {
    let Some((worst, bound)) = worst(regulation, next).filter(|(worst, bound)| worst > bound) else {
        return Ok(());
    };
    let detail = format!(
        "a reader of the answers could become {:.0} % sure that a household is in the OGGZ group, and the parties accept \
         {:.0} %; have the load checked, shield the group, or agree on another bound and activate that version",
        worst * 100.0,
        bound * 100.0
    );
    Err(Problem::conflict("posterior_bound", detail))
}
