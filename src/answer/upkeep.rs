//! What is done to the store from beside the service: a new key for its log, backups, and the way back from one.

use std::path::Path;

use super::{StartError, setup};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::TraceId;
use crate::store::{self, BackedUp, Restored, StoreError, Terms};

/// Replaces the access log's key, while the service does not run; returns the new verifier key.
///
/// # Errors
/// [`StartError::Store`].
pub fn rotate_log_key(config: &Config) -> Result<String, StartError> {
    Ok(store::rotate_log_key(&setup(config))?)
}

/// Copies the database into a new folder, also while the service runs; the log's keys with it, sealed, if there are
/// recipients (public age keys).
///
/// # Errors
/// As [`store::back_up`].
pub fn back_up(config: &Config, clock: &Clock, to: &Path, recipients: &[String]) -> Result<BackedUp, StoreError> {
    store::back_up(&setup(config), to, recipients, clock.now())
}

/// Puts a backup back, while the service does not run.
///
/// # Errors
/// As [`store::restore`].
pub fn restore(config: &Config, clock: &Clock, from: &Path, terms: Terms<'_>) -> Result<Restored, StoreError> {
    let entry = Entry::new(clock.now(), TraceId::random(), Actor::service(), Action::Restore, Outcome::Done);
    store::restore(&setup(config), from, terms, entry)
}
