//! A look at the store from outside, also while the service runs: nothing is written, drawn or put right.

use std::fs::{File, TryLockError};

use rusqlite::{Connection, params};

use super::keys::Keys;
use super::wrapping::{EpochKeys, Wrapped};
use super::{
    ActivatedRegulation, Load, Setup, Store, StoreError, Timed, epochs, loads, log, open, regulations, retention,
    stocks,
};
use crate::epoch::{Epoch, State};
use crate::ids::{EpochId, Oin};

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Entries of the access log, all of them verified.
    pub entries: u64,
    /// Versions of regulations that were activated.
    pub regulations: Vec<ActivatedRegulation>,
    /// Every epoch, oldest first.
    pub epochs: Vec<Seen>,
}

/// An epoch, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub epoch: Epoch,
    /// The loads that answer, by source.
    pub loaded: Vec<Load>,
    /// Parties that registered a stock.
    pub stocks: Vec<Oin>,
    /// Whether its wrapping key is there and opens its data key.
    pub key: bool,
    /// Whether a tombstone says that it was destroyed.
    pub buried: bool,
}

/// Whether a process has the store open. Makes nothing.
pub fn in_use(setup: &Setup) -> bool {
    let lock = File::open(setup.folders.state.join("voorrang.lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Checks database, log and epochs, and shows when each entry with contents was written; `None` without a database.
///
/// # Errors
/// What a start would refuse the store for.
pub fn inspect(
    setup: &Setup,
    time: &mut dyn FnMut(Timed<'_>) -> Result<(), StoreError>,
) -> Result<Option<Inspection>, StoreError> {
    let database = setup.database();
    let keys = setup.folders.state.join("keys");
    if !database.exists() {
        return setup.require_new().map(|()| None);
    }
    let db = open::reader(&database)?;
    open::quick_check(&db)?;
    let keys = Keys::existing(&keys)?;
    let log = log::verified(&db, &keys, setup)?.ok_or(StoreError::Damaged { what: "it holds no log" })?;
    let wrapping = EpochKeys::at(&setup.folders);
    let buried = if setup.folders.epoch_keys.exists() { wrapping.buried()? } else { Vec::new() };
    let seen = |epoch: Epoch| -> Result<Seen, StoreError> {
        let (loaded, key) = (loads::current(&db, &epoch.id)?, opens(&db, &wrapping, &epoch.id)?);
        let stocks = stocks::parties(&db, &epoch.id)?;
        Ok(Seen { loaded, stocks, key, buried: buried.contains(&epoch.id), epoch })
    };
    let epochs = epochs::all(&db)?;
    let lives = |epoch: &&Epoch| epoch.state != State::Destroyed && !buried.contains(&epoch.id);
    let mut living = epochs.iter().filter(lives);
    living.try_for_each(|epoch| wrapping.subjects.check(&epoch.id))?;
    let epochs = epochs.into_iter().map(seen).collect::<Result<_, _>>()?;
    retention::times(&db, time)?;
    let (entries, regulations) = (log.frontier().size(), regulations::all(&db)?);
    Ok(Some(Inspection { entries, regulations, epochs }))
}

impl Store {
    /// Whether the key of an epoch is at hand; without it nothing of the epoch is answered.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn has_epoch_key(&self, epoch: &EpochId) -> Result<bool, StoreError> {
        self.read(|db| opens(db, &self.epoch_keys, epoch))
    }
}

/// Whether the wrapping key at hand opens the epoch's data key.
fn opens(db: &Connection, keys: &EpochKeys, epoch: &EpochId) -> Result<bool, StoreError> {
    let sql = "SELECT coalesce(data_key, x''), data_key_check FROM epoch WHERE id = ?1";
    let wrapped =
        db.query_row(sql, params![epoch.as_str()], |row| Ok(Wrapped { sealed: row.get(0)?, check: row.get(1)? }))?;
    match keys.data_key(epoch, &wrapped) {
        Ok(_) => Ok(true),
        Err(StoreError::EpochKey { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
