//! A party's memory folder: what it keeps between runs, and which run has it.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use time::format_description::well_known::Rfc3339;

use super::super::output::Output;
use super::Client;
use crate::clock::Clock;

impl Client {
    /// Remembers what the service shows the first time, and holds every later time against it.
    pub(super) fn hold(&self, name: &str, shown: &str, what: &str) -> anyhow::Result<()> {
        let place = self.remembered(name);
        match fs::read_to_string(&place) {
            Ok(known) if known.trim() == shown => Ok(()),
            Ok(_) => bail!(
                "the service shows another one than the one remembered in {}: {what}; ask the administrator, and do not \
                 go on before that file may be removed",
                place.display()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => self.remember(name, shown),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read {}; do not go on without it", place.display()))
            }
        }
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
