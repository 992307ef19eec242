//! Ages behind group codes. Who is a minor or a senior is decided by the custodian's program, so that no version of the
//! regulation reaches into a register that is loaded: each load of a population states its ages. One that does not is
//! refused, rather than taken for one by the ages of its day: a program that never heard of ages would go on with old ones.

use super::laws::Laws;
use super::loads::source_of;
use super::problem::Problem;
use super::wire::{Ages, LoadPlan, Source};
use super::{App, EpochInForce};
use crate::regulate::Regulation;
use crate::store::Load;

impl Ages {
    /// Those of this version.
    pub(super) fn of(regulation: &Regulation) -> Self {
        let (minor_below, senior_from) = regulation.ages();
        Self { minor_below, senior_from }
    }

    /// As the store keeps them.
    pub(super) fn kept(self) -> String {
        serde_json::to_string(&self).expect("plain data have a JSON form")
    }

    /// What a load states.
    pub(super) fn kept_with(load: &Load) -> Option<Self> {
        load.ages.as_deref().and_then(|kept| serde_json::from_str(kept).ok())
    }

    /// By which a load was made. One from before loads stated them was made by those of its day: they are known where no
    /// version until this one had others. A version can take the place of another one from a day that has passed, so that
    /// the day of the load alone does not say it.
    fn behind(load: &Load, laws: &Laws, regulation: &Regulation) -> Option<Self> {
        let ages = Self::of(regulation);
        match &load.ages {
            Some(_) => Self::kept_with(load),
            None => laws.until(regulation).iter().all(|version| Self::of(version) == ages).then_some(ages),
        }
    }
}

/// Whether a load that answers was made by other ages than this version of its regulation has.
pub(super) fn are_other(load: &Load, laws: &Laws, regulation: &Regulation) -> bool {
    source_of(load) == Source::Population && Ages::behind(load, laws, regulation) != Some(Ages::of(regulation))
}

impl App {
    /// Whether what is going to be loaded, and what it changes, is made by the ages of today.
    pub(super) fn check_ages(&self, in_force: &EpochInForce, plan: &LoadPlan) -> Result<(), Problem> {
        let regulation = self.regulation(&in_force.epoch.regulation)?;
        check(&regulation, plan.source, plan.ages)?;
        let base = in_force.population.as_ref().filter(|load| plan.base == Some(load.id));
        if base.is_some_and(|load| are_other(load, &self.laws, &regulation)) {
            let detail = "the load that it changes was made by other ages; send the whole register";
            return Err(Problem::conflict("load_base", detail));
        }
        Ok(())
    }

    /// The same of a load that is there: the regulation may have another version since it was begun.
    pub(super) fn check_ages_of(&self, in_force: &EpochInForce, load: &Load) -> Result<(), Problem> {
        check(&*self.regulation(&in_force.epoch.regulation)?, source_of(load), Ages::kept_with(load))
    }
}

fn check(regulation: &Regulation, source: Source, stated: Option<Ages>) -> Result<(), Problem> {
    let ages = Ages::of(regulation);
    let wanted = (source == Source::Population).then_some(ages);
    if stated == wanted {
        return Ok(());
    }
    let detail = match wanted {
        Some(Ages { minor_below, senior_from }) => format!(
            "the regulation that holds today has minors below {minor_below} and seniors from {senior_from}; make the \
             groups by these ages, and state them"
        ),
        None => "a care list has no groups by age; leave the ages out".to_owned(),
    };
    Err(Problem::unprocessable("other_ages", detail).at("/ages"))
}
