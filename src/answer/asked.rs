//! How often a party may still ask about a household in a month. Households at one address share one count: who is meant is
//! not known before a question is allowed. Lest one flat of a tower be asked about at its neighbours' expense, each tenant
//! whom the question names there is counted besides. What is counted depends on what was asked and on how many households
//! are registered at the address, never on who is found.

use std::collections::BTreeSet;

use super::decision::store_problem;
use super::problem::Problem;
use super::questions::{month, neighbours};
use super::sticky::barest;
use super::{App, EpochInForce};
use crate::ids::Oin;
use crate::link::HouseholdQuestion;
use crate::regulate::Regulation;
use crate::store::{Store, StoreError, Tx};

/// Questions of a party about something in a month.
#[derive(Clone)]
pub(super) struct Count {
    oin: Oin,
    /// Pseudonym of a household, of a tenant at an address, or a case.
    about: String,
    month: String,
    /// The most about one household, and how many households share the count.
    each: u64,
    households: u64,
}

impl Count {
    /// So far, for each household that shares the count.
    pub(super) fn asked(&self, store: &Store) -> Result<u64, StoreError> {
        Ok(store.household_questions(&self.oin, &self.about, &self.month)? / self.households)
    }

    /// Whether one more is too many.
    pub(super) fn is_spent(&self, store: &Store) -> Result<bool, StoreError> {
        Ok(self.asked(store)? >= self.each)
    }

    /// Counts one more; `false` if it is too many.
    pub(super) fn charge(&self, tx: &Tx<'_>) -> Result<bool, StoreError> {
        Ok(tx.charge_household(&self.oin, &self.about, &self.month)? <= self.each * self.households)
    }
}

/// The highest of these counts: all are looked at, whatever the first says.
pub(super) fn most_asked(counts: &[Count], store: &Store) -> Result<u64, StoreError> {
    counts.iter().try_fold(0, |most, count| Ok(count.asked(store)?.max(most)))
}

impl App {
    /// What a question about this household counts towards: what its address shares, and there each tenant. `object` is the
    /// household's pseudonym.
    pub(super) fn counts_of(
        &self,
        (oin, regulation): (&Oin, &Regulation),
        in_force: &EpochInForce,
        household: &HouseholdQuestion,
        object: &str,
    ) -> Result<Vec<Count>, Problem> {
        let households = neighbours(in_force, household);
        let mut counts = vec![Count { households, ..self.count(oin, regulation, object.to_owned()) }];
        if let Some(address) = household.address().filter(|_| households > 1) {
            let called = |(pass, code): (usize, &[u8])| {
                let subject = [&address.0[..], &pass.to_be_bytes(), code].concat();
                self.store.pseudonym(&in_force.epoch.id, &subject)
            };
            let codes = household.tenants().iter().flat_map(barest);
            let tenants = codes.map(|(pass, code)| called((pass, &code.to_bytes())));
            // Two tenants with one code are asked about once.
            let tenants: BTreeSet<String> =
                tenants.collect::<Result<_, _>>().map_err(|error: StoreError| store_problem(&error))?;
            // No pseudonym of an address looks like it.
            counts.extend(tenants.into_iter().map(|one| self.count(oin, regulation, format!("tenant {one}"))));
        }
        Ok(counts)
    }

    /// Questions about one thing.
    pub(super) fn count(&self, oin: &Oin, regulation: &Regulation, about: String) -> Count {
        let each = regulation.budgets().household_per_month.into();
        Count { oin: oin.clone(), about, month: month(self.today()), each, households: 1 }
    }
}
