//! Where the interface's document is published, and what it says of who runs the service.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::NONE;

/// What is empty stands in the document as an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Documentation {
    pub listen: String,
    /// Address of the interface as its clients reach it, with `/v1`.
    pub server: String,
    pub contact_name: String,
    pub contact_url: String,
    pub contact_email: String,
}

impl Default for Documentation {
    fn default() -> Self {
        let empty = String::new;
        let (contact_name, contact_url, contact_email) = (empty(), empty(), empty());
        Self { listen: NONE.into(), server: empty(), contact_name, contact_url, contact_email }
    }
}

impl Documentation {
    /// The listener's address, if there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    /// What is wrong with the values, if anything is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let web = |address: &str| address.starts_with("https://");
        if self.listen != NONE && self.address().is_none() {
            return Some("documentation.listen is an address and a port, or \"none\"");
        }
        if !(self.server.is_empty() || web(&self.server) && self.server.ends_with("/v1")) {
            return Some("documentation.server begins with https:// and ends with /v1");
        }
        if !self.contact_url.is_empty() && !web(&self.contact_url) {
            return Some("documentation.contact_url begins with https://");
        }
        (!self.contact_email.is_empty() && !self.contact_email.contains('@'))
            .then_some("documentation.contact_email is an address of mail")
    }
}
