//! Forwards processing records to the collector of the Logboek Dataverwerkingen, over OTLP/HTTP. A record leaves the
//! outbox when the collector has confirmed it and not before; one that is sent twice has the same ids.

use std::fs;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::App;
use super::background::is_over;
use crate::audit::Entry;
use crate::audit::ldv::{Record, otlp, record};
use crate::config::Ldv;
use crate::store::{StoreError, Tx, Waiting};

/// Records of one request.
const BATCH: u32 = 256;
/// How long a request may take; stopping waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks into an empty outbox.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest wait between two attempts; the first is [`PAUSE`], each further one twice as long.
const LONGEST: Duration = Duration::from_secs(60);

/// Why records stay in the outbox. It never repeats what they say.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error("the collector cannot be reached; see [ldv] in the configuration")]
    Unreachable(#[source] Box<ureq::Error>),
    #[error("the collector answered with status {0}")]
    Refused(u16),
    #[error("the collector took not all records")]
    Partly,
    #[error("the root of the collector cannot be read; see [ldv] in the configuration")]
    Roots,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sends what waits.
pub(super) struct Forwarder {
    collector: String,
    register: String,
    /// PEM file; empty for the roots that browsers know.
    ca: String,
}

impl Forwarder {
    /// `None` if no collector is configured.
    pub(super) fn new(config: &Ldv) -> Option<Self> {
        let (register, ca) = (config.register.clone(), config.ca.clone());
        config.collector().map(|collector| Self { collector: collector.to_owned(), register, ca })
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
        self.post(&records)?;
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

    fn post(&self, records: &[Record]) -> Result<(), Unsent> {
        let unreachable = |error| Unsent::Unreachable(Box::new(error));
        let mut response = self.agent()?.post(&self.collector).send_json(otlp(records)).map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(Unsent::Refused(response.status().as_u16()));
        }
        let said: serde_json::Value = response.body_mut().read_json().unwrap_or_default();
        // A 64-bit integer is a string in protobuf's JSON; some senders make it a number.
        let rejected = &said["partialSuccess"]["rejectedSpans"];
        let none = rejected.is_null() || *rejected == 0 || *rejected == "0" || *rejected == "";
        if none { Ok(()) } else { Err(Unsent::Partly) }
    }

    /// Fresh for each request: a root that was replaced is read again.
    fn agent(&self) -> Result<Agent, Unsent> {
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        if self.ca.is_empty() {
            return Ok(config.build().into());
        }
        let pem = fs::read(&self.ca).map_err(|_| Unsent::Roots)?;
        let roots: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(root)) => Some(root),
                _ => None,
            })
            .collect();
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
        Ok(config.tls_config(tls).build().into())
    }
}
