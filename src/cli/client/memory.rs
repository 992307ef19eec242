//! A party's memory folder: what it keeps between runs, and which run has it.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;

use super::super::output::Output;
use super::Client;
use crate::answer::wire::RegulationView;
use crate::clock::Clock;

/// What a custodian computes by: the youngest age that is no minor's, and the youngest of a senior.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ages {
    minor_below: u16,
    senior_from: u16,
}

impl fmt::Display for Ages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "minors below {}, seniors from {}", self.minor_below, self.senior_from)
    }
}

impl Client {
    /// Remembers the ages of a regulation the first time, and holds every later time against them.
    pub(super) fn hold_ages(&self, shown: &RegulationView) -> anyhow::Result<()> {
        let name = format!("regulation-{}.json", shown.id);
        let place = self.remembered(&name);
        let ages = Ages { minor_below: shown.minor_below, senior_from: shown.senior_from };
        let text = match fs::read_to_string(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return self.remember(&name, &serde_json::to_string(&ages)?);
            }
            text => text.with_context(|| format!("cannot read {}; do not go on without it", place.display()))?,
        };
        let known: Ages = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no ages; do not go on without them", place.display()))?;
        ensure!(
            known == ages,
            "the service's regulation has other ages ({ages}) than those remembered in {} ({known}); if your party signed \
             a version with them (`voorrang regulation show`), remove that file, else ask the administrator",
            place.display()
        );
        Ok(())
    }

    /// A file in the party's memory folder.
    pub fn remembered(&self, name: &str) -> PathBuf {
        self.config.memory.join(name)
    }

    /// Writes a file of the memory folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn remember(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let folder = &self.config.memory;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut file = Output::create(&self.remembered(name))?;
        file.write_all(text.as_bytes())?;
        file.finish()
    }

    /// Leave to be the only run of this kind with this memory folder, until it is dropped.
    ///
    /// # Errors
    /// If there is another one, and since when.
    pub fn alone(&self, kind: &str) -> anyhow::Result<File> {
        let (folder, path) = (&self.config.memory, self.remembered(&format!("{kind}.lock")));
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = File::options().read(true).append(true).create(true).open(&path);
        let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let since = fs::read_to_string(&path).unwrap_or_default();
                bail!("another `voorrang {kind}` of this party is under way, since {}; wait for its end", since.trim())
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.set_len(0)?;
        writeln!(file, "{}", Clock::System.now().format(&Rfc3339)?)?;
        Ok(file)
    }

    /// Removes what runs long ago left that nobody went on with: files whose names begin so and that nobody wrote to for
    /// so long. What cannot be removed stays.
    pub fn forget_old(&self, stem: &str, age: Duration) {
        let files = fs::read_dir(&self.config.memory).into_iter().flatten().flatten();
        for file in files.filter(|file| file.file_name().to_string_lossy().starts_with(stem)) {
            let written = file.metadata().and_then(|about| about.modified());
            if written.is_ok_and(|written| written.elapsed().is_ok_and(|since| since > age)) {
                drop(fs::remove_file(file.path()));
            }
        }
    }
}
