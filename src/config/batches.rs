//! How many batches of questions there may be, and for how long.

use serde::{Deserialize, Serialize};

/// Bounds of batches that are answered in the background. `each` is one party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batches {
    pub each: u32,
    pub open_hours: u32,
    pub results_days: u32,
}

impl Default for Batches {
    fn default() -> Self {
        Self { each: 4, open_hours: 24, results_days: 7 }
    }
}

impl Batches {
    /// What is wrong with the values, if anything is.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let sensible = (1..=100).contains(&self.each)
            && (1..=168).contains(&self.open_hours)
            && (1..=90).contains(&self.results_days);
        (!sensible).then_some("[batches] has 1 to 100 each, 1 to 168 open_hours and 1 to 90 results_days")
    }
}
