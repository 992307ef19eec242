//! Files of people as several commands take them: their form, who is left out, and what is said of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::ensure;
use clap::ValueEnum;

use crate::encode::read::{self, Chunks, Format, LeftOut, Listed, ReadError, Restricted, Unreadable};
use crate::encode::{CareMember, Resident, Tenant};
use crate::regulate::Regulation;

/// People that are encoded at a time, some for each core; of a CSV population also read, so that memory grows by a key a
/// row only.
pub const CHUNK: usize = 1024;

/// People that one thread encodes at a time.
pub const SHARE: usize = 64;

/// Form of a file of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// This program's own columns
    #[default]
    Csv,
    /// Person lists of the population register, as GBA-V exports them
    Gbav,
    /// Persons of the BRP API Personen
    BrpJson,
    /// A corporation's tenancy agreements, persons and dwellings (VERA)
    Vera,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Csv => Self::Csv,
            FormatName::Gbav => Self::Gbav,
            FormatName::BrpJson => Self::BrpJson,
            FormatName::Vera => Self::Vera,
        }
    }
}

/// How a file of people is read.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PeopleArgs {
    /// Form of the input
    #[arg(long, value_enum, default_value = "csv")]
    pub format: FormatName,
    /// Read people with a disclosure restriction too, on this legal basis. Else they are left out, and in a
    /// population their households with them: those are answered "undetermined". In the form csv a column
    /// `indicatie_geheim` says who has one
    #[arg(long, value_name = "LEGAL BASIS")]
    pub with_restricted: Option<String>,
}

/// Why people were not read.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error("--with-restricted wants the article that allows it, and a register or care list")]
    NoBasis,
    #[error(
        "the signed regulation has no such [restricted] legal_basis: give --with-restricted as it stands there, or leave it out"
    )]
    NotAgreed,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl PeopleError {
    /// Of the file itself, or of the way in which the command was used.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreadable(Unreadable::File(_)) => 4,
            Self::Unreadable(Unreadable::Format { .. }) | Self::NoBasis | Self::NotAgreed => 2,
        }
    }
}

impl From<ReadError> for PeopleError {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error.into())
    }
}

/// How much of a file is read, for who shows it.
#[derive(Clone, Default)]
pub struct ReadSoFar {
    bytes: Arc<AtomicU64>,
    /// Of the file; 0 where nobody knows.
    pub total: u64,
}

impl ReadSoFar {
    /// Bytes that are read.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A file that counts what is read of it.
struct Counted {
    file: File,
    so_far: ReadSoFar,
}

impl Counted {
    fn new(file: File) -> (Self, ReadSoFar) {
        let total = file.metadata().map_or(0, |metadata| metadata.len());
        let so_far = ReadSoFar { total, ..ReadSoFar::default() };
        (Self { file, so_far: so_far.clone() }, so_far)
    }
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.so_far.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl PeopleArgs {
    /// Residents of a file; says on standard error who is left out.
    ///
    /// # Errors
    /// [`PeopleError`]: nothing is returned if one record is bad.
    pub fn residents(&self, path: &Path) -> Result<Vec<Resident>, PeopleError> {
        self.told(read::residents_in(path, self.format.into(), self.restricted()?)?)
    }

    /// As [`PeopleArgs::residents`], some at a time: a CSV file that marks no restrictions is read as it goes. Others are
    /// read whole first, because a restriction anywhere in them takes its household along.
    ///
    /// # Errors
    /// [`PeopleError`]; about the rows of a CSV file at the end of the chunks.
    pub fn resident_chunks(&self, path: &Path) -> Result<(Chunks<Resident>, ReadSoFar), PeopleError> {
        if self.format != FormatName::Csv {
            return Ok((Chunks::of(self.residents(path)?), ReadSoFar::default()));
        }
        let (file, name) = read::open(path)?;
        let (file, so_far) = Counted::new(file);
        let (chunks, left_out) = read::resident_chunks(file, &name, self.restricted()?)?;
        self.say(left_out);
        Ok((chunks, so_far))
    }

    /// As [`PeopleArgs::residents`], for a care list.
    ///
    /// # Errors
    /// As there.
    pub fn care_members(&self, path: &Path) -> Result<Vec<CareMember>, PeopleError> {
        self.told(read::care_members_in(path, self.format.into(), self.restricted()?)?)
    }

    /// As [`PeopleArgs::residents`], for a corporation's tenants.
    ///
    /// # Errors
    /// As there.
    pub fn tenants(&self, path: &Path) -> Result<Vec<Tenant>, PeopleError> {
        if self.with_restricted.is_some() {
            return Err(PeopleError::NoBasis);
        }
        self.told(read::tenants_in(path, self.format.into())?)
    }

    /// Holds people with a disclosure restriction, if they are read, against the ground that every party signed.
    ///
    /// # Errors
    /// [`PeopleError::NotAgreed`], and why there is no signed regulation.
    pub(super) fn agreed(&self, signed: impl FnOnce() -> anyhow::Result<Regulation>) -> anyhow::Result<()> {
        let Some(basis) = &self.with_restricted else { return Ok(()) };
        let regulation = signed()?;
        ensure!(regulation.restricted_basis().map(str::trim) == Some(basis.trim()), PeopleError::NotAgreed);
        Ok(())
    }

    fn restricted(&self) -> Result<Restricted, PeopleError> {
        let Some(basis) = &self.with_restricted else { return Ok(Restricted::LeaveOut) };
        if basis.trim().is_empty() || self.format == FormatName::Vera {
            return Err(PeopleError::NoBasis);
        }
        Ok(Restricted::Keep)
    }

    fn told<T>(&self, listed: Listed<T>) -> Result<Vec<T>, PeopleError> {
        if listed.earlier_lines > 0 {
            let lines = listed.earlier_lines;
            eprintln!("Read past: {lines} lines with earlier states and further relatives of the people read.");
        }
        if self.format != FormatName::Csv {
            eprintln!("Read {} people; {}.", listed.people.len() + listed.left_out.total(), listed.left_out);
            self.say(LeftOut::default());
        } else {
            self.say(listed.left_out);
        }
        Ok(listed.people)
    }

    /// Who was left out, and on which basis nobody was.
    fn say(&self, left_out: LeftOut) {
        if left_out.total() > 0 {
            eprintln!("Of the people of the file {left_out}.");
        }
        if let Some(basis) = &self.with_restricted {
            eprintln!("People with a disclosure restriction are read too, on this basis: {}.", basis.trim());
        }
    }
}
