//! What is done to the store from beside the service: a new key for its log, backups, and the way back from one.

use std::path::Path;

use super::{App, StartError, setup};
use crate::audit::{Action, Actor, Entry, Outcome, Range};
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::TraceId;
use crate::store::{self, BackedUp, Restored, Setup, StoreError, Terms, Tx};

/// Replaces the access log's key, while the service does not run; returns the new verifier key.
///
/// # Errors
/// [`StartError::Store`].
pub fn rotate_log_key(config: &Config, clock: &Clock) -> Result<String, StartError> {
    let setup = setup(config);
    Ok(given_back(&setup, store::rotate_log_key(&setup, &entry(clock, Action::LogKey)))?)
}

fn entry(clock: &Clock, action: Action) -> Entry {
    Entry::new(clock.now(), TraceId::random(), Actor::service(), action, Outcome::Done)
}

/// Copies the database into a new folder, also while the service runs; the log's keys with it, sealed, if there are
/// recipients (public age keys). The log says so within a second if the service runs, else at its next start.
///
/// # Errors
/// As [`store::back_up`].
pub fn back_up(config: &Config, clock: &Clock, to: &Path, recipients: &[String]) -> Result<BackedUp, StoreError> {
    store::back_up(&setup(config), to, recipients, clock.now())
}

impl App {
    /// Records backups that were made beside the service, unless nothing can be recorded until the next start. A word that
    /// was recorded and not taken away, as by a kill, is recorded twice.
    pub(super) fn record_backups(&self) {
        if self.store.stats().poisoned {
            return;
        }
        let failed = |error: StoreError| {
            tracing::error!(error = &error as &dyn std::error::Error, "a backup could not be recorded");
        };
        // One that stays must not keep the others out of the log.
        for (word, copied) in self.store.backups_made().map_err(failed).unwrap_or_default() {
            self.record_backup(&word, copied).unwrap_or_else(failed);
        }
    }

    fn record_backup(&self, word: &Path, copied: u64) -> Result<(), StoreError> {
        let word = self.store.take_word(word)?;
        let mut entry = self.own_entry(Action::Backup);
        entry.entries = Some(Range { from: 0, to: copied });
        self.store.write(move |tx: &Tx<'_>| tx.append(&entry).map(drop))?;
        std::fs::remove_file(&word).map_err(|source| StoreError::Folder { path: word, source })
    }
}

/// Puts a backup back, while the service does not run.
///
/// # Errors
/// As [`store::restore`].
pub fn restore(config: &Config, clock: &Clock, from: &Path, terms: Terms<'_>) -> Result<Restored, StoreError> {
    let setup = setup(config);
    given_back(&setup, store::restore(&setup, from, terms, entry(clock, Action::Restore)))
}

/// What was done, or not, and whatever root left there is the service's.
fn given_back<T>(setup: &Setup, done: Result<T, StoreError>) -> Result<T, StoreError> {
    let given = store::give_back(setup);
    done.and_then(|done| given.map(|()| done))
}
