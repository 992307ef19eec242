//! `client.toml`: who a party is and where it keeps what.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::answer::wire::Conditions;
use crate::ids::RegulationId;

/// `client.toml`; `config/client.toml` explains every key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    pub service: String,
    pub regulation: RegulationId,
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub identity: Option<PathBuf>,
    pub note_key: Option<PathBuf>,
    pub parties: PathBuf,
    pub memory: PathBuf,
    pub log_days: Option<NonZeroU32>,
    #[serde(default)]
    pub retry: Retry,
    #[serde(default)]
    pub query: QueryDefaults,
}

/// How long `load` and `query` wait for a service that is away.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    pub seconds: u32,
}

impl Default for Retry {
    /// Longer than a restart, an update or a busy quarter.
    fn default() -> Self {
        Self { seconds: 15 * 60 }
    }
}

/// What a corporation states with every question.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryDefaults {
    pub purpose: Option<String>,
    pub conditions: Conditions,
}

impl ClientConfig {
    /// Reads a file; its relative paths count from its folder.
    ///
    /// # Errors
    /// Names file and line.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut config: Self = toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let own = &mut config;
        let files = [&mut own.ca, &mut own.certificate, &mut own.key, &mut own.parties, &mut own.memory];
        for file in files.into_iter().chain(&mut own.identity).chain(&mut own.note_key) {
            *file = folder.join(&*file);
        }
        Ok(config)
    }

    /// The files that it names: none is ever an output.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let always = [&self.ca, &self.certificate, &self.key, &self.parties];
        always.into_iter().chain(&self.identity).chain(&self.note_key).map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../config/client.toml");

    #[test]
    fn the_shipped_client_file_explains_every_key() {
        let shipped: toml::Table = toml::from_str(SHIPPED).unwrap();
        let read: ClientConfig = toml::from_str(SHIPPED).unwrap();
        // A key that is missing in the file is missing on one side, and an unknown one is refused above.
        assert_eq!(toml::Table::try_from(&read).unwrap(), shipped);
        let every_key = (read.identity.is_some(), read.note_key.is_some(), read.query.purpose.is_some());
        assert_eq!(every_key, (true, true, true));
    }

    #[test]
    fn an_unknown_key_is_refused() {
        for text in [format!("surprise = 1\n{SHIPPED}"), format!("{SHIPPED}surprise = true\n")] {
            let error = toml::from_str::<ClientConfig>(&text).unwrap_err().to_string();
            assert!(error.contains("surprise"), "{error}");
        }
    }
}
