//! What was told `undetermined` stays so until a register changes: asked again in parts, with others beside or spelled
//! otherwise, a household behind a shield would differ from one of which somebody was not found. What counts as the same
//! is decided in the job that answers, so that two questions at once are as two after each other.

use std::sync::Arc;

use super::charge::Unpaid;
use super::questions::neighbours;
use super::{App, EpochInForce};
use crate::audit::{DayKey, Disclosed, Entry, Outcome};
use crate::code::{AddressToken, Code, Codes, RecordRef};
use crate::ids::{EpochId, Oin};
use crate::link::{Alike, Finding, HouseholdQuestion, Registers, Source};
use crate::regulate::{Answer, Cost, Regulation, Role};
use crate::store::{Mark, Marker, Marks, Spellings, StoreError, Tx};

/// Whose questions stick to each other, and in what.
pub(super) struct Asker<'a> {
    pub oin: &'a Oin,
    pub role: Role,
    /// The word, or a group: what is told of one leaves the other open.
    pub what: &'a str,
}

/// What a question shares with those that were told nothing.
pub(super) struct Sticky {
    marks: Marks,
    /// At an address with several households.
    spelled: Option<Spelled>,
}

/// Tenants among neighbours: whoever resembles them may be one of them.
struct Spelled {
    tenants: Vec<Codes>,
    alike: Alike,
    kept: Spellings,
}

impl Sticky {
    /// Whether an earlier one was told nothing, so that this one is not either; `told` if it would be. Keeps what later ones
    /// share with it.
    pub(super) fn holds(&self, tx: &Tx<'_>, told: bool) -> Result<bool, StoreError> {
        let kept = tx.kept_marks(&self.marks)?;
        let mut stuck = kept.contains(&true);
        if let Some(spelled) = &self.spelled {
            stuck |= spelled.resembles(tx, &self.marks.epoch)?;
        }
        let told = told && !stuck;
        tx.keep_marks(&self.marks, &kept, told)?;
        self.spelled.iter().try_for_each(|spelled| tx.keep_spelled(&self.marks, &spelled.kept, told))?;
        Ok(stuck)
    }
}

impl Spelled {
    fn new(registers: &Registers, household: &HouseholdQuestion, marker: Arc<Marker>, place: Mark) -> Self {
        let tenants = household.tenants().to_vec();
        let kept = Spellings { marker, place, tenants: tenants.iter().map(Codes::to_bytes).collect() };
        Self { tenants, alike: registers.alike(), kept }
    }

    /// Whether a tenant resembles one of whom nothing was told. All are looked at, and those as well of whom something was:
    /// how many and which would show in the time.
    fn resembles(&self, tx: &Tx<'_>, epoch: &EpochId) -> Result<bool, StoreError> {
        let mut found = false;
        for (told, bytes) in tx.spelled(epoch, &self.kept)? {
            for tenant in &self.tenants {
                let is_alike = tenant.of_same_shape(&bytes).is_some_and(|other| self.alike.holds(tenant, &other));
                found |= is_alike & !told;
            }
        }
        Ok(found)
    }
}

impl App {
    /// What this question shares with others of its party: the people who were found, wherever they were named; equal codes
    /// of its tenants; and the address, if it has one household at most. Among several households at an address, tenants who
    /// resemble one of its own. Nothing that the asker did not name: where somebody lives, and with whom, would show in what
    /// sticks to it.
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
        // As many where nobody is found, and as much work: neither tells anything.
        let person = |id: Option<RecordRef>| {
            let (mark, nobody) = (kept.mark("person", &[&id.map_or([0; 16], |id| id.0)]), Marker::nobody());
            if id.is_some() { mark } else { nobody }
        };
        // The care side is told of nobody who is registered elsewhere, and nobody's own case is closed by naming him in another.
        let elsewhere = !asker.role.is_care_side();
        let mut marks: Vec<Mark> = registers.found(found, elsewhere).map(person).collect();
        let address = household.address();
        marks.extend(kept.codes(household, address.filter(|_| !elsewhere)));
        let mut spelled = None;
        if let Some(address) = address {
            if neighbours(in_force, household) == 1 {
                marks.push(kept.mark("address", &[&address.0]));
            } else {
                let place = kept.mark("spelled", &[&address.0]);
                spelled = Some(Spelled::new(registers, household, Arc::clone(kept.marker), place));
            }
        }
        let marks = Marks {
            epoch: in_force.epoch.id.clone(),
            population: population.id,
            care: in_force.care.as_ref().filter(|_| rests_on_care).map(|load| load.id),
            marks,
        };
        Some(Sticky { marks, spelled })
    }
}

/// Makes the marks of one party.
struct Kept<'a> {
    marker: &'a Arc<Marker>,
    asker: &'a Asker<'a>,
}

impl Kept<'_> {
    fn mark(&self, kind: &str, of: &[&[u8]]) -> Mark {
        let whose = [self.asker.oin.as_str().as_bytes(), self.asker.what.as_bytes(), kind.as_bytes()];
        self.marker.mark(&[&whose, of].concat())
    }

    /// Of each tenant the barest codes. `only` at this address, if there is one.
    fn codes(&self, household: &HouseholdQuestion, only: Option<AddressToken>) -> Vec<Mark> {
        let place = only.map_or([0; 16], |address| address.0);
        let mark = |(at, code): (usize, &Code)| self.mark("codes", &[&place, &at.to_be_bytes(), &code.to_bytes()]);
        household.tenants().iter().flat_map(barest).map(mark).collect()
    }
}

/// The codes of a tenant that leave most out, each with its pass: one of them stays equal where a surname or a birth date is
/// corrected, and none where an initial, a given name or a sex is, or where there is no date and the surname is.
pub(super) fn barest(tenant: &Codes) -> impl Iterator<Item = (usize, &Code)> {
    let bits = |pass: &Vec<Code>| pass.first().map_or(0, |code| code.words().len());
    let fewest = tenant.passes.iter().map(bits).min();
    let barest = tenant.passes.iter().enumerate().filter(move |(_, pass)| Some(bits(pass)) == fewest);
    barest.flat_map(|(at, pass)| pass.iter().map(move |code| (at, code)))
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
