//! How much of the service one party may have, and all together.

use serde::{Deserialize, Serialize};

/// Bounds of connections, requests, bodies and memory. `each` is one party; all who are no party count as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub connections: usize,
    pub connections_each: usize,
    pub requests_at_once: usize,
    pub requests_at_once_each: usize,
    pub requests_per_second_each: u32,
    pub refusals_per_minute_each: u32,
    pub records_per_minute_each: u32,
    pub batches_at_once_each: usize,
    pub body_megabytes: usize,
    pub body_megabytes_each: usize,
    pub body_megabytes_per_second_each: u32,
    pub body_seconds: u64,
    pub body_bytes_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_each: 1024,
            requests_at_once: 512,
            requests_at_once_each: 64,
            requests_per_second_each: 2000,
            refusals_per_minute_each: 600,
            records_per_minute_each: 600,
            batches_at_once_each: 4,
            body_megabytes: 256,
            body_megabytes_each: 64,
            body_megabytes_per_second_each: 128,
            body_seconds: 120,
            body_bytes_per_second: 1024,
        }
    }
}

impl Limits {
    /// What is wrong with the values, if anything is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let each = [
            self.connections_each,
            self.requests_at_once_each,
            self.batches_at_once_each,
            self.body_megabytes_each,
            self.requests_per_second_each as usize,
            self.refusals_per_minute_each as usize,
            self.records_per_minute_each as usize,
            self.body_megabytes_per_second_each as usize,
            self.body_seconds as usize,
        ];
        if each.contains(&0) {
            return Some("every key of [limits] is at least 1");
        }
        if self.connections < self.connections_each
            || self.requests_at_once < self.requests_at_once_each
            || self.body_megabytes < self.body_megabytes_each
        {
            return Some("in [limits] all together may have at least as much as each");
        }
        let most = self.connections.max(self.requests_at_once).max(self.body_megabytes);
        if most > 1 << 20 || self.body_megabytes_per_second_each > 1024 {
            return Some("a key of [limits] is too large: at most 1,048,576, and 1,024 megabytes a second");
        }
        None
    }
}
