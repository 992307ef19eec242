//! A collector that takes OTLP/HTTP with JSON: processing records and traces go to one each.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// How long a request may take; stopping waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a collector did not take what it was sent. It never repeats what that says.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsent {
    #[error("the collector cannot be reached; see the configuration")]
    Unreachable(#[source] Box<ureq::Error>),
    #[error("the collector answered with status {0}")]
    Refused(u16),
    /// Without so many.
    #[error("the collector took not all spans")]
    Partly(u64),
    #[error("the root of the collector cannot be read; see the configuration")]
    Roots,
}

impl Unsent {
    /// How many spans of so many were not taken.
    pub(super) fn of(&self, sent: usize) -> u64 {
        let sent = sent as u64;
        if let Self::Partly(rejected) = self { sent.min(*rejected) } else { sent }
    }

    /// Whether it is what was sent that the collector does not take. It never will, however often it comes; all else a
    /// collector that is mended takes.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Refused(status) => matches!(status, 400 | 413 | 422),
            Self::Partly(_) => true,
            Self::Unreachable(_) | Self::Roots => false,
        }
    }
}

/// Where it is, and whom its certificate comes from.
pub(super) struct Collector {
    address: String,
    /// PEM file; empty for the roots that browsers know.
    ca: String,
}

impl Collector {
    pub(super) fn new(address: &str, ca: &str) -> Self {
        Self { address: address.to_owned(), ca: ca.to_owned() }
    }

    /// Sends spans and waits for the confirmation of all.
    pub(super) fn post(&self, spans: &Value) -> Result<(), Unsent> {
        let unreachable = |error| Unsent::Unreachable(Box::new(error));
        let mut response = self.agent()?.post(&self.address).send_json(spans).map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(Unsent::Refused(response.status().as_u16()));
        }
        let said: Value = response.body_mut().read_json().unwrap_or_default();
        // A 64-bit integer is a string in protobuf's JSON; some senders make it a number.
        let rejected = &said["partialSuccess"]["rejectedSpans"];
        let none = rejected.is_null() || *rejected == 0 || *rejected == "0" || *rejected == "";
        let number = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok());
        // Of a number that cannot be read the most is taken.
        if none { Ok(()) } else { Err(Unsent::Partly(number.unwrap_or(u64::MAX))) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_taken_in_part_the_rest_alone_is_lost() {
        assert_eq!((Unsent::Partly(3).of(512), Unsent::Partly(u64::MAX).of(512), Unsent::Roots.of(512)), (3, 512, 512));
    }
}
