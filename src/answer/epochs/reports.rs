//! What is said of the loads of an epoch: kept with each for officers to read, and held against what the parties accept
//! before anybody is answered from it.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};

use super::super::decision::store_problem;
use super::super::identity::Identity;
use super::super::json::Json;
use super::super::problem::Problem;
use super::super::wire::law::{Bounded, InferenceView, WorstView};
use super::super::wire::{LoadSummary, Source, SourceReport};
use super::super::{App, Caller, EpochInForce};
use super::Asked;
use super::cutover::load_of;
use crate::audit::Action;
use crate::code::Group;
use crate::epoch::State;
use crate::ids::EpochId;
use crate::link::Finding;
use crate::regulate::{Act, Cells, Form, Regulation, Role, Worst};
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
        let LoadSummary { persons, inference, quality, .. } = serde_json::from_str(&text).map_err(|_| damaged())?;
        let (records, reference_date) = (load.records, load.reference_date);
        let withheld = in_force.epoch.state != State::Loading && self.tells_too_much(in_force);
        Ok(Some(SourceReport { source, records, reference_date, persons, withheld, inference, quality }))
    }

    /// What readers may infer from answers about these households, once both sources are there.
    pub(in super::super) fn inference(&self, next: &EpochInForce) -> Option<InferenceView> {
        let regulation = self.regulation(&next.epoch.regulation).ok()?;
        let (Worst { unseen, registered }, bounds) = (worst(&regulation, next)?, regulation.posterior());
        let shown = |share: f64| (share * 100.0).round() / 100.0;
        // About the care list alone.
        let listed = cells(&regulation, next).filter(|_| has_care(next));
        let form = |form: Form| {
            let Worst { unseen, registered } = Worst::of(&listed.as_ref()?.inferences_as(&regulation, form));
            Some((form.as_str().to_owned(), WorstView { worst: shown(unseen), registered: shown(registered) }))
        };
        Some(InferenceView {
            worst: shown(unseen),
            bound: bounds.bound,
            registered: Some(Bounded { worst: shown(registered), bound: bounds.bound_registered() }),
            forms: [Form::ThreeValued, Form::Consult].into_iter().filter_map(form).collect(),
        })
    }

    /// Whether answers from these registers would tell more than the parties accept. Who loads is never told so. Without
    /// a regulation nothing is answered.
    pub(in super::super) fn tells_too_much(&self, next: &EpochInForce) -> bool {
        self.regulation(&next.epoch.regulation).is_ok_and(|regulation| exceeds(&regulation, next))
    }

    /// Whether that is within what the parties accept, for who begins to answer. Data change and the bound does not: nobody
    /// alone may go beyond it, and a version with another one takes the signature of every party, its officers included.
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

fn has_care(next: &EpochInForce) -> bool {
    next.registers.as_ref().is_some_and(|registers| registers.care().is_some())
}

fn cells(regulation: &Regulation, next: &EpochInForce) -> Option<Cells> {
    let undetermined_share = regulation.posterior().undetermined_share;
    next.registers.as_ref().map(|registers| Cells { households: registers.cells(), undetermined_share })
}

/// What readers may infer at worst. Without a care list nothing is known of its group, and a count of none would be taken
/// as ten: then of the population's shielded groups alone, if it has any.
fn worst(regulation: &Regulation, next: &EpochInForce) -> Option<Worst> {
    if has_care(next) { Some(cells(regulation, next)?.worst(regulation)) } else { worst_shielded(regulation, next) }
}

/// The same of the population's shielded groups, whoever is on the care list.
fn worst_shielded(regulation: &Regulation, next: &EpochInForce) -> Option<Worst> {
    let unseen = cells(regulation, next)?.worst_shielded(regulation)?;
    // A shield hides nothing from who has the register.
    Some(Worst { unseen, registered: 1.0 })
}

/// Whether answers would tell more than this regulation accepts.
pub(in super::super) fn exceeds(regulation: &Regulation, next: &EpochInForce) -> bool {
    worst(regulation, next).is_some_and(|worst| worst.exceeds(regulation.posterior()))
}

/// What may be used of a finding: to count what it costs, and to tell of it. Above the bound the care list counts for
/// nothing: whoever is on it, answer and charge are the same. Nor do the shielded groups of the population where one of
/// them alone is above it: who is in one, and who is in none, is told and charged the same. Nobody's question misses for it.
pub(in super::super) fn usable(regulation: &Regulation, next: &EpochInForce, found: &Finding) -> (Finding, Finding) {
    if !exceeds(regulation, next) {
        return (found.clone(), found.clone());
    }
    let (counted, told) = (found.without_care(true), found.without_care(false));
    if worst_shielded(regulation, next).is_none_or(|worst| !worst.exceeds(regulation.posterior())) {
        return (counted, told);
    }
    let shields = |group| {
        let rules = regulation.groups().iter();
        rules.filter(|rule| rule.group == group).any(|rule| rule.shield && rule.is_served_to(Role::Corporation))
    };
    let (minor, senior) = (shields(Group::Minor), shields(Group::Senior));
    let without = |finding: Finding| finding.without_population(minor, senior);
    (without(counted), Finding { certain: false, ..without(told) })
}

fn check_inference(regulation: &Regulation, next: &EpochInForce) -> Result<(), Problem> {
    let Some(worst) = worst(regulation, next) else { return Ok(()) };
    let bounds = regulation.posterior();
    let (reader, share, bound) = match () {
        () if !worst.exceeds(bounds) => return Ok(()),
        () if worst.unseen > bounds.bound => ("a reader of the answers", worst.unseen, bounds.bound),
        () => ("a reader of the answers who has the register at hand", worst.registered, bounds.bound_registered()),
    };
    let detail = format!(
        "{reader} could become {:.0} % sure that a household is in a group, and the parties accept {:.0} %; have the \
         load checked, shield the group or serve it to nobody, or agree on another bound and activate that version",
        share * 100.0,
        bound * 100.0
    );
    Err(Problem::conflict("posterior_bound", detail))
}
