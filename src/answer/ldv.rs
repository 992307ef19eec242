//! Forwards processing records to the collector of the Logboek Dataverwerkingen, over OTLP/HTTP. A record leaves the
//! outbox when the collector has confirmed it and not before; one that is sent twice has the same ids.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::App;
use super::background::is_over;
use super::collector::{self, Collector};
use crate::audit::Entry;
use crate::audit::ldv::{Record, otlp, record};
use crate::config::Ldv;
use crate::store::{StoreError, Tx, Waiting};

/// Records of one request.
const BATCH: u32 = 256;
/// Between two looks into an empty outbox.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest wait between two attempts; the first is [`PAUSE`], each further one twice as long.
const LONGEST: Duration = Duration::from_secs(60);

/// Why records stay in the outbox. It never repeats what they say.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error(transparent)]
    Collector(#[from] collector::Unsent),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sends what waits.
pub(super) struct Forwarder {
    collector: Collector,
    register: String,
}

impl Forwarder {
    /// `None` if no collector is configured.
    pub(super) fn new(config: &Ldv) -> Option<Self> {
        let register = config.register.clone();
        config.collector().map(|address| Self { collector: Collector::new(address, &config.ca), register })
    }

    /// Sends until the service ends.
    pub(super) fn run(&self, app: &App, ending: &Receiver<()>) {
        let mut wait = PAUSE;
        loop {
            match self.send_some(app) {
                // More may wait: no pause while the collector keeps up.
                Ok(sent) if sent == BATCH as usize => wait = Duration::ZERO,
                Ok(_) => wait = PAUSE,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "processing records wait in the outbox");
                    wait = (wait * 2).clamp(PAUSE, LONGEST);
                }
            }
            if is_over(ending, wait) {
                return;
            }
        }
    }

    /// Sends the oldest records; returns how many the collector confirmed.
    fn send_some(&self, app: &App) -> Result<usize, Unsent> {
        let waiting = app.store.outbox(BATCH)?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let records: Vec<Record> = waiting.iter().filter_map(|one| self.record_of(one)).collect();
        self.collector.post(&otlp(&records))?;
        let sent: Vec<u64> = waiting.iter().map(|one| one.index).collect();
        let done = sent.len();
        app.store.write(move |tx: &Tx<'_>| tx.forwarded(&sent))?;
        Ok(done)
    }

    fn record_of(&self, waiting: &Waiting) -> Option<Record> {
        let entry = waiting.entry.as_deref().and_then(|bytes| Entry::from_bytes(bytes).ok());
        let made =
            entry.and_then(|entry| record(&entry, &waiting.leaf, waiting.ended_ms, &self.register).ok()).flatten();
        if made.is_none() {
            tracing::error!(index = waiting.index, "an entry has no processing record; the log may be damaged");
        }
        made
    }
}
