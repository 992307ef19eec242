//! Seals what is disclosed for the privacy officers of the regulation: a data key a regulation and day, in the log
//! before it seals anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use time::Date;

use super::decision::store_problem;
use super::problem::Problem;
use super::{App, StartError, reference};
use crate::audit::{Action, DayKey, Disclosed, Entry, Sealed, is_recipient};
use crate::ids::RegulationId;
use crate::regulate::{Regulation, Role};
use crate::store::{StoreError, Tx};

/// The keys of the day. They are in memory only, so a restart draws new ones.
pub(super) struct Sealing {
    /// Public age keys, by OIN.
    officers: BTreeMap<String, String>,
    keys: Mutex<HashMap<RegulationId, (Date, Arc<DayKey>)>>,
}

impl Sealing {
    pub(super) fn new(officers: &BTreeMap<String, String>) -> Self {
        Self { officers: officers.clone(), keys: Mutex::default() }
    }

    /// The public keys of the regulation's privacy officers.
    pub(super) fn officers_of(&self, regulation: &Regulation) -> Result<Vec<String>, StartError> {
        let officers = regulation.parties().iter().filter(|party| party.role == Role::PrivacyOfficer);
        let keys = officers.map(|party| {
            let key = self.officers.get(party.oin.as_str()).filter(|key| is_recipient(key));
            key.cloned().ok_or_else(|| StartError::NoOfficerKey(party.oin.clone()))
        });
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(StartError::NoOfficer(regulation.id().clone())) } else { Ok(keys) }
    }
}

impl App {
    /// Seals what this entry's caller is told. Blocks, once a day for a sync.
    pub(super) fn seal(
        &self,
        regulation: &Regulation,
        entry: &Entry,
        disclosed: &Disclosed,
    ) -> Result<Sealed, Problem> {
        let cannot = |cause: &dyn std::fmt::Display| {
            tracing::error!(%cause, "an answer cannot be sealed");
            Problem::unavailable("the service cannot seal what it answers, so it answers nothing; try again later")
        };
        self.day_key(regulation)?.seal(entry, disclosed).map_err(|error| cannot(&error))
    }

    /// The regulation's key of today; a new one is durably in the log when this returns.
    fn day_key(&self, regulation: &Regulation) -> Result<Arc<DayKey>, Problem> {
        let today = self.today();
        let mut keys = self.sealing.keys.lock().unwrap_or_else(|broken| broken.into_inner());
        if let Some((day, key)) = keys.get(regulation.id())
            && *day == today
        {
            return Ok(key.clone());
        }
        let unavailable = || Problem::unavailable("no privacy officer's key seals the answers, so there are none");
        let officers = self.sealing.officers_of(regulation).map_err(|_| unavailable())?;
        let (key, file) = DayKey::draw(&officers).map_err(|_| unavailable())?;
        let mut entry = self.own_entry(Action::DayKey);
        entry.regulation = Some(reference(regulation));
        entry.day_key = Some(file);
        let written = self.store.write(move |tx: &Tx<'_>| tx.append(&entry).map(drop));
        written.map_err(|error: StoreError| store_problem(&error))?;
        let key = Arc::new(key);
        keys.insert(regulation.id().clone(), (today, key.clone()));
        Ok(key)
    }
}
