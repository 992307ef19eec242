//! What was told `undetermined` stays so until a register changes: asked again in parts, with others beside or spelled
//! otherwise, a household behind a shield would differ from one of which somebody was not found. What counts as the same
//! is decided in the job that answers, so that two questions at once are as two after each other.

use std::sync::Arc;

use super::charge::Unpaid;
use super::questions::neighbours;
use super::{App, EpochInForce};
use crate::audit::{DayKey, Disclosed, Entry, Outcome};
use crate::code::RecordRef;
use crate::ids::{EpochId, Oin};
use crate::link::{Finding, HouseholdQuestion, Source};
use crate::regulate::{Answer, Cost, Regulation, Role};
use crate::store::{Mark, Marker, Marks, StoreError, Tx};

/// Whose questions stick to each other, and in what.
pub(super) struct Asker<'a> {
    pub oin: &'a Oin,
    pub role: Role,
    /// The word, or a group: what is told of one leaves the other open.
    pub what: &'a str,
}

/// What a question shares with those that were told nothing.
pub(super) struct Sticky(Marks);

impl Sticky {
    /// Whether an earlier one was told nothing, so that this one is not either; `told` if it would be. Keeps what later ones
    /// share with it.
    pub(super) fn holds(&self, tx: &Tx<'_>, told: bool) -> Result<bool, StoreError> {
        let stuck = tx.is_marked(&self.0)?;
        tx.keep_marks(&self.0, told && !stuck)?;
        Ok(stuck)
    }
}

impl App {
    /// What this question shares with others of its party: the people who were found, wherever they were named, and the
    /// address, if it has one household at most. Among several households at an address, equal codes of a tenant who was not
    /// found. Nothing that the asker did not name: where somebody lives, and with whom, would show in what sticks to it.
    pub(super) fn sticky(
        &self,
        regulation: &Regulation,
        in_force: &EpochInForce,
        household: &HouseholdQuestion,
        found: &Finding,
        asker: &Asker<'_>,
    ) -> Option<Sticky> {
        let (population, registers) = (in_force.population.as_ref()?, in_force.registers.as_ref()?);
        let rests_on_care = regulation.rests_on(Source::Care, asker.role);
        let kept = Kept { marker: self.store.marker(), asker };
        // As many where nobody is found: how many there are tells nothing.
        let person = |id: Option<RecordRef>| id.map_or_else(Marker::nobody, |id| kept.mark("person", &[&id.0]));
        // The care side is told of nobody who is registered elsewhere, and nobody's own case is closed by naming him in another.
        let elsewhere = !asker.role.is_care_side();
        let mut marks: Vec<Mark> = registers.found(found, elsewhere).map(person).collect();
        if let Some(address) = household.address() {
            if neighbours(in_force, household) == 1 {
                marks.push(kept.mark("address", &[&address.0]));
            } else {
                marks.extend(kept.codes(household));
            }
        }
        Some(Sticky(Marks {
            epoch: in_force.epoch.id.clone(),
            population: population.id,
            care: in_force.care.as_ref().filter(|_| rests_on_care).map(|load| load.id),
            marks,
        }))
    }
}

/// Makes the marks of one party.
struct Kept<'a> {
    marker: &'a Marker,
    asker: &'a Asker<'a>,
}

impl Kept<'_> {
    fn mark(&self, kind: &str, of: &[&[u8]]) -> Mark {
        let whose = [self.asker.oin.as_str().as_bytes(), self.asker.what.as_bytes(), kind.as_bytes()];
        self.marker.mark(&[&whose, of].concat())
    }

    /// Of each tenant the codes that leave most out: one of them stays equal where a surname or a birth date is corrected, and
    /// none where an initial or a given name is.
    fn codes(&self, household: &HouseholdQuestion) -> Vec<Mark> {
        let mut marks = Vec::new();
        for tenant in household.tenants() {
            let bits = |pass: &Vec<crate::code::Code>| pass.first().map_or(0, |code| code.words().len());
            let fewest = tenant.passes.iter().map(bits).min();
            for (at, pass) in tenant.passes.iter().enumerate().filter(|(_, pass)| Some(bits(pass)) == fewest) {
                let mark = |code: &crate::code::Code| self.mark("codes", &[&at.to_be_bytes(), &code.to_bytes()]);
                marks.extend(pass.iter().map(mark));
            }
        }
        marks
    }
}

/// An answer that is permitted; which word it is is settled as it is recorded.
pub(super) struct Granted {
    pub epoch: EpochId,
    /// What was found, and what that costs,
    pub found: (Answer, Cost),
    /// and what nobody is told more than, and its price.
    pub nothing: (Answer, Cost),
    /// Absent where no register could tell anything.
    pub sticky: Option<(Sticky, bool)>,
    pub key: Arc<DayKey>,
}

impl Granted {
    /// What is told, what it costs, and the entry that says so to officers alone.
    pub(super) fn settle(&self, tx: &Tx<'_>, entry: &Entry) -> Result<(Answer, Cost, Entry), Unpaid> {
        let stuck = self.sticky.as_ref().map(|(sticky, told)| sticky.holds(tx, *told)).transpose()?;
        let (answer, cost) = if stuck == Some(true) { self.nothing } else { self.found };
        let disclosed = Disclosed { answer: answer.as_str().to_owned(), groups: Vec::new() };
        let sealed = Some(self.key.seal(entry, &disclosed).map_err(StoreError::from)?);
        Ok((answer, cost, Entry { sealed, result: Outcome::Answered, ..entry.clone() }))
    }
}
