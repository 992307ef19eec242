//! Until when the registers of an epoch are fit to answer from: young enough, and made by the ages of the regulation. Nobody
//! is told by an answer that they are not.

use time::{Date, Duration};

use super::super::ages;
use super::super::laws::Laws;
use super::super::wire::Source;
use super::super::{App, EpochInForce};
use super::cutover::{load_of, sources};
use crate::epoch::{Epoch, State};
use crate::ids::Oin;
use crate::link;
use crate::regulate::{Regulation, Role};
use crate::store::{Load, StoreError};

/// So long before a register is too old its custodian is told.
const SOON: Duration = Duration::days(7);

/// A source of an epoch that is to be loaded anew.
pub(in super::super) struct Ageing {
    pub source: Source,
    /// On which it is fit to answer from.
    pub last: Date,
    /// Whether a version of the regulation with other ages ended that, and not its age.
    pub other_ages: bool,
}

/// The sources of an epoch that are to be loaded anew. `load`: the one that answers, if there is one. `only_here`: whether
/// somebody can ask in no other epoch.
pub(in super::super) fn ageing<'a>(
    laws: &Laws,
    regulation: &Regulation,
    epoch: &Epoch,
    load: impl Fn(Source) -> Option<&'a Load>,
    only_here: bool,
    today: Date,
) -> Vec<Ageing> {
    let last = |source: Source| {
        let load = load(source)?;
        let days = Duration::days(regulation.freshness_days(source.into()).into());
        let (old, other_ages) = (load.reference_date + days, ages::are_other(load, laws, regulation));
        let last = if other_ages { old.min(regulation.validity().0 - Duration::DAY) } else { old };
        Some(Ageing { source, last, other_ages })
    };
    let counts = |Ageing { last, .. }: &Ageing| match epoch.state {
        State::Announced | State::Destroyed => false,
        // It is not activated then.
        State::Loading => *last < today,
        State::Active => *last - SOON <= today,
        State::Retiring => {
            only_here && *last - SOON <= today && epoch.answers_until.is_some_and(|until| *last < until.date())
        }
    };
    sources(regulation).filter_map(last).filter(counts).collect()
}

impl App {
    /// Whether every source that an answer for this role rests on is loaded and fit for it.
    pub(in super::super) fn is_fresh(&self, regulation: &Regulation, in_force: &EpochInForce, role: Role) -> bool {
        let fit = |load: Option<&Load>, source| load.is_some_and(|load| self.is_fit(regulation, load, source));
        let needs_care = regulation.rests_on(link::Source::Care, role);
        fit(in_force.population.as_ref(), Source::Population)
            && (!needs_care || fit(in_force.care.as_ref(), Source::Care))
    }

    /// Whether a load is as young as answers need, and made by the regulation's ages.
    pub(super) fn is_fit(&self, regulation: &Regulation, load: &Load, source: Source) -> bool {
        self.is_young(regulation, load, source) && !ages::are_other(load, &self.laws, regulation)
    }

    /// Whether a load is as young as answers need.
    pub(in super::super) fn is_young(
        &self,
        regulation: &Regulation,
        load: &Load,
        source: impl Into<link::Source>,
    ) -> bool {
        let days = i64::from(regulation.freshness_days(source.into()));
        (self.today() - load.reference_date).whole_days() <= days
    }

    /// As [`ageing`], of an epoch that loads or answers.
    pub(in super::super) fn ageing(
        &self,
        in_force: &EpochInForce,
        regulation: &Regulation,
    ) -> Result<Vec<Ageing>, StoreError> {
        let epoch = &in_force.epoch;
        if !epoch.takes_loads(self.latest()) {
            return Ok(Vec::new());
        }
        let only_here = epoch.state == State::Retiring && !self.only_here(epoch, regulation)?.is_empty();
        Ok(ageing(&self.laws, regulation, epoch, |source| load_of(in_force, source), only_here, self.today()))
    }

    /// Who can ask in this epoch and in no other one that answers.
    pub(super) fn only_here(&self, epoch: &Epoch, regulation: &Regulation) -> Result<Vec<Oin>, StoreError> {
        let mut here = self.store.stock_parties(&epoch.id)?;
        here.retain(|oin| regulation.party(oin).is_some());
        for other in self.all_answering().iter().map(|one| &one.epoch) {
            if other.id != epoch.id && other.regulation == epoch.regulation {
                let there = self.store.stock_parties(&other.id)?;
                here.retain(|oin| !there.contains(oin));
            }
        }
        Ok(here)
    }
}
