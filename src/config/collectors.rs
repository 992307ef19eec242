//! Collectors of processing records and of spans.

use serde::{Deserialize, Serialize};

use super::NONE;

/// Where processing records go (Logboek Dataverwerkingen).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ldv {
    pub collector: String,
    pub ca: String,
    pub register: String,
}

impl Default for Ldv {
    fn default() -> Self {
        let register = "https://voorrang.example/verwerkingen".into();
        Self { collector: NONE.into(), ca: String::new(), register }
    }
}

impl Ldv {
    /// The collector's address, if there is one.
    pub fn collector(&self) -> Option<&str> {
        Some(self.collector.as_str()).filter(|address| *address != NONE)
    }
}

/// Where spans of requests go (OpenTelemetry).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    pub collector: String,
    pub ca: String,
}

impl Default for Traces {
    fn default() -> Self {
        Self { collector: NONE.into(), ca: String::new() }
    }
}

impl Traces {
    /// The collector's address, if there is one.
    pub fn collector(&self) -> Option<&str> {
        Some(self.collector.as_str()).filter(|address| *address != NONE)
    }
}
