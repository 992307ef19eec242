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

    /// Sends until the service ends. What was refused before it began is tried again: the collector may be mended.
    pub(super) fn run(&self, app: &App, ending: &Receiver<()>) {
        if let Err::<_, StoreError>(error) = app.store.write(|tx: &Tx<'_>| tx.send_refused_again()) {
            tracing::warn!(code = error.code(), "processing records that were refused are not tried again");
        }
        let mut wait = PAUSE;
        loop {
            match self.send_some(app, ending) {
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

    /// Sends the oldest records; returns how many. What the collector refuses is sent in halves, down to the one that it
    /// does not take, which stands aside: it is never the same request twice, as OTLP wants, and holds up no other.
    fn send_some(&self, app: &App, ending: &Receiver<()>) -> Result<usize, Unsent> {
        let waiting = app.store.outbox(BATCH)?;
        let mut parts = vec![waiting.as_slice()];
        while let Some(part) = parts.pop() {
            let records: Vec<Record> = part.iter().filter_map(|one| self.record_of(one)).collect();
            let posted = if records.is_empty() { Ok(()) } else { self.collector.post(&otlp(&records)) };
            match (posted, part) {
                (Ok(()), _) => {
                    let sent: Vec<u64> = part.iter().map(|one| one.index).collect();
                    app.store.write(move |tx: &Tx<'_>| tx.forwarded(&sent))?;
                }
                (Err(refusal), &[Waiting { index, .. }]) if refusal.is_final() => {
                    tracing::error!(index, error = %refusal, "a processing record was refused and stands aside");
                    app.store.write(move |tx: &Tx<'_>| tx.record_refused(index))?;
                }
                (Err(refusal), _) if refusal.is_final() => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                (Err(error), _) => return Err(error.into()),
            }
            if is_over(ending, Duration::ZERO) {
                return Ok(0);
            }
        }
        Ok(waiting.len())
    }

    fn record_of(&self, waiting: &Waiting) -> Option<Record> {
        let entry = waiting.entry.as_deref().and_then(|bytes| Entry::from_bytes(bytes).ok());
        let made = entry.and_then(|entry| record(&entry, &waiting.leaf, &self.register).ok()).flatten();
        if made.is_none() {
            tracing::error!(index = waiting.index, "an entry has no processing record; the log may be damaged");
        }
        made
    }
}
