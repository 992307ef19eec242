//! What was asked last, so that a run that goes on after any end, a kill too, asks it once more as it was: under the same
//! key, in the same epoch and on the same day it is the same request, and not charged again.

use std::fs;
use std::io::ErrorKind;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use time::Date;

use super::super::client::Client;
use super::super::inputs::parse_day;
use super::run::Run;
use crate::ids::EpochId;

/// The file in the party's memory folder, behind which the run's name stands.
const LOST: &str = "query-lost";

/// A request of which nobody knows whether it was answered.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Lost {
    pub epoch: EpochId,
    day: String,
    pub contracts: Vec<String>,
}

impl Lost {
    /// Remembers that this is about to be asked. Not synced: who is killed loses nothing of what was written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn note<'a>(
        client: &Client,
        run: &Run,
        epoch: EpochId,
        day: Date,
        contracts: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<()> {
        let lost = Self { epoch, day: day.to_string(), contracts: contracts.map(str::to_owned).collect() };
        let text = serde_json::to_string(&lost).expect("plain data have a JSON form");
        let (path, beside) = (run.remembered(client, LOST, ".json"), run.remembered(client, LOST, ".new"));
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// The last request of the run that is gone on with; of another run its keys are made from another seed.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub(super) fn of(client: &Client, run: &Run, resume: bool) -> anyhow::Result<Option<Self>> {
        if !resume {
            return Ok(None);
        }
        let path = run.remembered(client, LOST, ".json");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(serde_json::from_str(&text).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The day on which the arrears stood when it was asked.
    pub(super) fn day(&self) -> Option<Date> {
        parse_day(&self.day).ok()
    }

    /// Why a run does not go on where this request cannot be made again.
    pub(super) fn is_unknown(&self) -> String {
        let households = match self.contracts.len() {
            1 => "1 household".to_owned(),
            several => format!("{several} households"),
        };
        format!(
            "the last request of the run that was cut, about {households}, was made in {}: whether it was answered and \
             charged is learnt by making it again in that epoch, which failed; ask about them anew with --ask-again, \
             which may be charged again",
            self.epoch
        )
    }

    /// Everything is answered.
    ///
    /// # Errors
    /// If it is there and cannot be removed.
    pub(super) fn forget(client: &Client, run: &Run) -> anyhow::Result<()> {
        super::files::remove(&run.remembered(client, LOST, ".json"))
    }
}
