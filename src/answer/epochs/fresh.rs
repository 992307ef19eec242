//! Until when the registers of an epoch are young enough to answer from. Nobody is told by an answer that they are not.

use time::{Date, Duration};

use super::super::wire::Source;
use super::super::{App, EpochInForce};
use super::cutover::{load_of, sources};
use crate::epoch::{Epoch, State};
use crate::ids::Oin;
use crate::regulate::Regulation;
use crate::store::StoreError;

/// So long before a register is too old its custodian is told.
const SOON: Duration = Duration::days(7);

/// The sources of an epoch that are to be loaded anew, each with the last day on which it is young enough. `read_on`: the
/// day on which a source was read, if it is loaded. `only_here`: whether somebody can ask in no other epoch.
pub(in super::super) fn ageing(
    regulation: &Regulation,
    epoch: &Epoch,
    read_on: impl Fn(Source) -> Option<Date>,
    only_here: bool,
    today: Date,
) -> Vec<(Source, Date)> {
    let last = |source: Source| {
        let days = Duration::days(regulation.freshness_days(source.into()).into());
        Some((source, read_on(source)? + days))
    };
    let counts = |last: Date| match epoch.state {
        State::Announced | State::Destroyed => false,
        // It is not activated then.
        State::Loading => last < today,
        State::Active => last - SOON <= today,
        State::Retiring => {
            only_here && last - SOON <= today && epoch.answers_until.is_some_and(|until| last < until.date())
        }
    };
    sources(regulation).filter_map(last).filter(|(_, last)| counts(*last)).collect()
}

impl App {
    /// As [`ageing`], of an epoch that loads or answers.
    pub(in super::super) fn ageing(
        &self,
        in_force: &EpochInForce,
        regulation: &Regulation,
    ) -> Result<Vec<(Source, Date)>, StoreError> {
        let epoch = &in_force.epoch;
        if !epoch.takes_loads(self.latest()) {
            return Ok(Vec::new());
        }
        let only_here = epoch.state == State::Retiring && !self.only_here(epoch, regulation)?.is_empty();
        let read_on = |source| load_of(in_force, source).map(|load| load.reference_date);
        Ok(ageing(regulation, epoch, read_on, only_here, self.today()))
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
