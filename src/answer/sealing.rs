//! Seals what is disclosed for the privacy officers of the regulation: a data key a version and day, in the log
//! before it seals anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use time::Date;

use super::decision::store_problem;
use super::problem::Problem;
use super::{App, reference};
use crate::audit::{Action, DayKey, is_recipient};
use crate::ids::{Oin, RegulationId};
use crate::regulate::{Party, Regulation, Role};
use crate::store::{StoreError, Tx};

/// The keys of the day. They are in memory only, so a restart draws new ones.
#[derive(Default)]
pub(super) struct Sealing {
    keys: Mutex<HashMap<RegulationId, Today>>,
}

/// A key serves one version of a regulation for a day: the next one may name other officers.
struct Today {
    day: Date,
    digest: String,
    key: Arc<DayKey>,
}

/// The public keys of the regulation's privacy officers, which all parties signed.
///
/// # Errors
/// The officer who has none.
pub(super) fn officers_of(regulation: &Regulation) -> Result<Vec<String>, NoOfficerKey> {
    let officers = regulation.parties().iter().filter(|party| party.role == Role::PrivacyOfficer);
    let key = |party: &Party| {
        let key = party.recipient.clone().filter(|key| is_recipient(key));
        key.ok_or_else(|| NoOfficerKey(party.oin.clone()))
    };
    officers.map(key).collect()
}

/// Nobody could read what was answered, so nothing is.
#[derive(Debug, thiserror::Error)]
#[error(
    "the regulation has no public age key for privacy officer {0}: put it there as `recipient`, have all sign anew"
)]
pub struct NoOfficerKey(Oin);

impl App {
    /// The regulation's key of today; a new one is durably in the log when this returns. Blocks, once a
    /// day for a sync.
    pub(super) fn day_key(&self, regulation: &Regulation) -> Result<Arc<DayKey>, Problem> {
        let today = self.today();
        let mut keys = self.sealing.keys.lock().unwrap_or_else(|broken| broken.into_inner());
        if let Some(now) = keys.get(regulation.id())
            && (now.day, now.digest.as_str()) == (today, regulation.digest())
        {
            return Ok(now.key.clone());
        }
        let unavailable = || Problem::unavailable("no privacy officer's key seals the answers, so there are none");
        let officers = officers_of(regulation).map_err(|_| unavailable())?;
        let (key, file) = DayKey::draw(&officers).map_err(|_| unavailable())?;
        let mut entry = self.own_entry(Action::DayKey);
        entry.regulation = Some(reference(regulation));
        entry.day_key = Some(file);
        let written = self.store.write(move |tx: &Tx<'_>| tx.append(&entry).map(drop));
        written.map_err(|error: StoreError| store_problem(&error))?;
        let key = Arc::new(key);
        let digest = regulation.digest().to_owned();
        keys.insert(regulation.id().clone(), Today { day: today, digest, key: key.clone() });
        Ok(key)
    }
}
