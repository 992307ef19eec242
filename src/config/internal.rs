//! The listener for whoever runs the service.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// In place of an address.
const NONE: &str = "none";

/// Where health, metrics and the log level are, without TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Internal {
    pub listen: String,
}

impl Default for Internal {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8444".into() }
    }
}

impl Internal {
    /// Where it listens, if anywhere. A checked configuration holds an address.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    /// What is wrong with the value, if anything is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let known = self.listen == NONE || self.address().is_some();
        (!known).then_some("internal.listen is an address with a port, such as \"127.0.0.1:8444\", or \"none\"")
    }
}
