//! A party's memory folder: what it keeps between runs, and which run has it.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;

use super::super::output::Output;
use super::Client;
use crate::answer::wire::law::RegulationTexts;
use crate::answer::wire::{Ages, RegulationView};
use crate::clock::Clock;
use crate::regulate::{Party, Regulation, SignatureState, Signatures};

/// The ages of a regulation as they were remembered; earlier programs kept the whole regulation beside them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    minor_below: u16,
    senior_from: u16,
}

fn said(Ages { minor_below, senior_from }: Ages) -> String {
    format!("minors below {minor_below}, seniors from {senior_from}")
}

impl Client {
    /// Remembers the ages of a regulation the first time, and holds every later time against them: group codes are made by
    /// them, and who runs the service does not choose them. Others are taken where this party signed the version that has
    /// them.
    pub(super) fn hold_ages(&self, shown: &RegulationView) -> anyhow::Result<Ages> {
        let name = format!("regulation-{}.json", shown.id);
        let place = self.remembered(&name);
        let ages = Ages { minor_below: shown.minor_below, senior_from: shown.senior_from };
        let remember = || self.remember(&name, &serde_json::to_string(&ages)?).map(|()| ages);
        let text = match fs::read_to_string(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return remember(),
            text => text.with_context(|| format!("cannot read {}; do not go on without it", place.display()))?,
        };
        let Remembered { minor_below, senior_from } = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no ages; do not go on without them", place.display()))?;
        let known = Ages { minor_below, senior_from };
        if known == ages {
            return Ok(ages);
        }
        let (now, before) = (said(ages), said(known));
        self.signed(ages).with_context(|| {
            format!(
                "the service's regulation has other ages ({now}) than those remembered in {} ({before}); if your party \
                 signed a version with them (`voorrang regulation show`), remove that file and load again, else ask the \
                 administrator",
                place.display()
            )
        })?;
        eprintln!("The regulation has other ages now, in a version that this party signed: {now}; they were {before}.");
        remember()
    }

    /// Whether the version that this party signed has these ages.
    fn signed(&self, ages: Ages) -> anyhow::Result<()> {
        let (minor_below, senior_from) = self.signed_regulation()?.ages();
        ensure!(ages == Ages { minor_below, senior_from }, "the version that this party signed has other ages");
        Ok(())
    }

    /// The version that the service has in force, with a signature by this party's own key: whoever runs the service can
    /// write another one, with other parties' keys.
    ///
    /// # Errors
    /// That this party's key is not here or did not sign it, or that it does not hold today.
    pub(in super::super) fn signed_regulation(&self) -> anyhow::Result<Regulation> {
        let key =
            self.signer().context("whether this party signed the regulation is not known here")?.verifier().vkey();
        let texts: RegulationTexts = self.get(&format!("regulations/{}", self.config.regulation))?;
        let regulation = Regulation::activated(&self.config.regulation, &texts.toml, &texts.cedar)?;
        let own = self.oin()?;
        let states = Signatures::from_note(&texts.signatures)?.state(&regulation)?;
        let holds = |(party, state): &(&Party, SignatureState)| {
            party.oin == own && party.key.as_ref() == Some(&key) && *state == SignatureState::Valid
        };
        ensure!(states.iter().any(holds), "the key of this party signed no such version");
        ensure!(regulation.holds_on(Clock::System.today()), "the version that this party signed does not hold today");
        Ok(regulation)
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
