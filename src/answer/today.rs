//! Which day it is for regulations, budgets and epochs. A clock that goes back revives no regulation that has ended, no
//! budget that is spent and no epoch that fell silent, also after a restart: the latest time that was seen counts, and
//! the log says so.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

use super::App;
use crate::audit::{Action, AuditError};
use crate::store::{Store, StoreError, Tx};

/// A clock that is set by this much, as NTP does, did not go back.
const SLACK_SECONDS: i64 = 60;

/// The latest time that was seen.
pub(super) struct Latest {
    /// Seconds since 1970.
    seconds: AtomicI64,
    /// Whether it was told that the clock went back.
    told: AtomicBool,
}

impl Latest {
    /// From all entries of the log: one that was written while the clock was back is not the latest.
    pub(super) fn of(store: &Store) -> Result<Self, StoreError> {
        let mut seconds = i64::MIN;
        store.times(|time| {
            let malformed = |_| AuditError::Entry("time is not RFC 3339 in UTC");
            seconds = seconds.max(OffsetDateTime::parse(time, &Rfc3339).map_err(malformed)?.unix_timestamp());
            Ok(())
        })?;
        Ok(Self { seconds: AtomicI64::new(seconds), told: AtomicBool::new(false) })
    }
}

impl App {
    /// The day of [`App::latest`].
    pub(super) fn today(&self) -> Date {
        self.latest().date()
    }

    /// Now, or the latest moment that was seen where the clock went back, in whole seconds then.
    pub(super) fn latest(&self) -> OffsetDateTime {
        let now = self.clock.now();
        let latest = self.latest.seconds.fetch_max(now.unix_timestamp(), Ordering::SeqCst);
        if now.unix_timestamp() >= latest {
            return now;
        }
        if now.unix_timestamp() + SLACK_SECONDS < latest && !self.latest.told.swap(true, Ordering::SeqCst) {
            tracing::error!("the clock went back; regulations, budgets and epochs go by the latest time seen");
            let entry = self.own_entry(Action::ClockBack);
            // Not waited for: who asks did not move the clock. If it cannot be written, nothing else can either.
            drop(self.store.write_async(move |tx: &Tx<'_>| tx.append(&entry).map(drop)));
        }
        OffsetDateTime::from_unix_timestamp(latest).unwrap_or(now)
    }
}
