//! How the service speaks TLS, and whom it believes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Longest time between two looks at the files: whoever is revoked is out within a minute.
const MOST_RELOAD_SECONDS: u64 = 60;

/// Certificates, roots, revocation, and who is bound to which key. All but `tls12` can be changed while the service
/// runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub client_roots: PathBuf,
    /// Empty: revocation is not checked.
    pub crls: Vec<PathBuf>,
    /// Whether that is meant, as where certificates live for days.
    pub without_crls: bool,
    pub tls12: bool,
    pub reload_seconds: u64,
    /// OINs and SHA-256 fingerprints of certificates that nobody lets in.
    pub shut_out: Vec<String>,
    /// By OIN or role: `key:` or `issuer:` and the SHA-256 of a public key, hexadecimal.
    pub bound: BTreeMap<String, Vec<String>>,
    /// SHA-256 of the public keys of FSC Inways that speak for others.
    pub inways: Vec<String>,
    /// The header in which an Inway names whom it speaks for.
    pub inway_header: String,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: "server.pem".into(),
            key: "server.key".into(),
            client_roots: "ca.pem".into(),
            crls: Vec::new(),
            without_crls: false,
            tls12: false,
            reload_seconds: 30,
            shut_out: Vec::new(),
            bound: BTreeMap::new(),
            inways: Vec::new(),
            inway_header: "fsc-peer-id".into(),
        }
    }
}

impl Tls {
    /// What is wrong with the values, if anything is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let oin = |text: &str| text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit());
        let pin = |text: &str| text.strip_prefix("key:").or(text.strip_prefix("issuer:")).is_some_and(hex);
        if !(1..=MOST_RELOAD_SECONDS).contains(&self.reload_seconds) {
            return Some("tls.reload_seconds is 1 to 60");
        }
        if self.without_crls && !self.crls.is_empty() {
            return Some("tls.without_crls says that there is no revocation list, and tls.crls names one");
        }
        if !self.shut_out.iter().all(|text| hex(text) || oin(text)) {
            return Some("tls.shut_out holds OINs of 20 digits and SHA-256 fingerprints of 64 lower-case hex digits");
        }
        if !self.bound.values().flatten().all(|text| pin(text)) || self.bound.values().any(Vec::is_empty) {
            return Some(
                "tls.bound gives each OIN or role at least one \"key:\" or \"issuer:\", each with a SHA-256 of 64 \
                 lower-case hex digits",
            );
        }
        if !self.inways.iter().all(|text| text.starts_with("key:") && pin(text)) {
            return Some("tls.inways holds \"key:\" with a SHA-256 of 64 lower-case hex digits");
        }
        let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.inway_header.is_empty() || !self.inway_header.bytes().all(name) {
            return Some("tls.inway_header is the name of a header, in lower case");
        }
        None
    }

    /// Every file, for whoever makes their paths absolute.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.certificate, &mut self.key, &mut self.client_roots].into_iter().chain(&mut self.crls)
    }
}
