//! Which day it is for regulations and budgets. A clock that goes back revives no regulation that has ended and no
//! budget that is spent: the latest time that was seen counts, and the log says so.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

use super::App;
use crate::audit::{Action, AuditError, Checkpoint, Entry};
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
    /// From the last entry of the log, where there is one.
    pub(super) fn of(store: &Store) -> Result<Self, StoreError> {
        let size = Checkpoint::parse(&store.checkpoint()?, store.verifier()).map_err(StoreError::Entry)?.size;
        let last = store.entries(size.saturating_sub(1)..size)?.pop().and_then(|line| line.entry);
        let time = last.map(|bytes| Entry::from_bytes(&bytes)).transpose()?.map(|entry| {
            OffsetDateTime::parse(&entry.time, &Rfc3339).map_err(|_| AuditError::Entry("time is not RFC 3339 in UTC"))
        });
        let seconds = time.transpose()?.map_or(i64::MIN, OffsetDateTime::unix_timestamp);
        Ok(Self { seconds: AtomicI64::new(seconds), told: AtomicBool::new(false) })
    }
}

impl App {
    /// Today, or the latest day that was seen where the clock went back.
    pub(super) fn today(&self) -> Date {
        let now = self.clock.now();
        let latest = self.latest.seconds.fetch_max(now.unix_timestamp(), Ordering::SeqCst);
        if now.unix_timestamp() >= latest {
            return now.date();
        }
        if now.unix_timestamp() + SLACK_SECONDS < latest && !self.latest.told.swap(true, Ordering::SeqCst) {
            tracing::error!("the clock went back; regulations and budgets go by the latest time seen");
            let entry = self.own_entry(Action::ClockBack);
            // Not waited for: who asks did not move the clock. If it cannot be written, nothing else can either.
            drop(self.store.write_async(move |tx: &Tx<'_>| tx.append(&entry).map(drop)));
        }
        OffsetDateTime::from_unix_timestamp(latest).map_or(now, |time| time).date()
    }
}
