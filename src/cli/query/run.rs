//! Which run an answer belongs to. What a run that was cut left behind counts for the same question only: the same files,
//! day, purpose and statements of the same party.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use time::Date;

use super::super::client::Client;
use super::super::inputs::file_digest;
use super::QueryArgs;
use super::files::part_path;
use crate::answer::wire::Conditions;
use crate::ids::{Oin, RegulationId};

/// A run: everything that its answers depend on, and no contract.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Run {
    /// SHA-256, hexadecimal.
    arrears: String,
    tenants: String,
    day: String,
    purpose: Option<String>,
    conditions: Conditions,
    regulation: RegulationId,
    party: Oin,
}

impl Run {
    /// # Errors
    /// If a file or the party's certificate cannot be read.
    pub(super) fn of(args: &QueryArgs, client: &Client, day: Date) -> anyhow::Result<Self> {
        let config = &client.config;
        Ok(Self {
            arrears: file_digest(&args.arrears)?,
            tenants: file_digest(&args.tenants)?,
            day: day.to_string(),
            purpose: args.purpose.clone().or_else(|| config.query.purpose.clone()),
            conditions: config.query.conditions,
            regulation: config.regulation.clone(),
            party: client.oin()?,
        })
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("plain data have a JSON form")
    }

    /// SHA-256 of all of it, hexadecimal.
    pub(super) fn digest(&self) -> String {
        hex::encode(digest(&SHA256, self.text().as_bytes()))
    }

    /// A file of this run in the party's memory folder: another run has its own.
    pub(super) fn remembered(&self, client: &Client, stem: &str, ending: &str) -> PathBuf {
        client.remembered(&self.name(stem, ending))
    }

    pub(super) fn name(&self, stem: &str, ending: &str) -> String {
        format!("{stem}-{}{ending}", &self.digest()[..16])
    }

    /// Says beside the answers to come whose they are.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn sign(&self, output: &Path) -> anyhow::Result<()> {
        let path = note_path(output);
        fs::write(&path, self.text() + "\n").with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether the answers that are kept for an output are this run's.
    ///
    /// # Errors
    /// If they are not; says of what run they are.
    pub(super) fn owns(&self, output: &Path) -> anyhow::Result<()> {
        let (part, note) = (part_path(output), note_path(output));
        let known = match fs::read_to_string(&note) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            text => {
                serde_json::from_str::<Self>(&text.with_context(|| format!("cannot read {}", note.display()))?).ok()
            }
        };
        let other = known.map_or_else(|| vec!["nobody knows which".to_owned()], |known| self.differs(&known));
        ensure!(
            other.is_empty(),
            "{} is of another run ({}); ask anew without --resume, which keeps its answers under another name",
            part.display(),
            other.join(", ")
        );
        Ok(())
    }

    /// What another run has otherwise.
    fn differs(&self, other: &Self) -> Vec<String> {
        let say = |purpose: &Option<String>| purpose.as_deref().unwrap_or("none").to_owned();
        let parts = [
            (self.arrears != other.arrears, "other arrears".to_owned()),
            (self.tenants != other.tenants, "other tenants".to_owned()),
            (self.day != other.day, format!("--day {}", other.day)),
            (self.purpose != other.purpose, format!("purpose {}", say(&other.purpose))),
            (self.conditions != other.conditions, "other conditions".to_owned()),
            (self.regulation != other.regulation, format!("regulation {}", other.regulation)),
            (self.party != other.party, format!("party {}", other.party)),
        ];
        parts.into_iter().filter_map(|(differs, what)| differs.then_some(what)).collect()
    }
}

/// Beside the answers of a run under way: whose they are.
pub(super) fn note_path(output: &Path) -> PathBuf {
    output.with_extension("part.json")
}
