//! Reads entries of the copy: all in order, or the few that the index names, with what was answered opened where this
//! officer can.

use std::collections::BTreeSet;

use anyhow::Context;

use super::LogBroken;
use super::copy::Copy;
use super::index::Index;
use crate::audit::{AuditError, Disclosed, Entry, Line, Opener};

/// One entry, with its position and what was answered.
#[derive(Clone, Debug)]
pub struct Found {
    pub position: u64,
    pub entry: Entry,
    pub told: Told,
}

/// What the caller was told, as far as this officer can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing was to be told.
    Nothing,
    This(Disclosed),
    /// Sealed for other officers, or no identity is configured.
    Sealed,
}

impl Told {
    /// The answer's word, `sealed`, or nothing.
    pub fn word(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::This(told) => &told.answer,
            Self::Sealed => "sealed",
        }
    }

    /// What the care side was told, a group and its answer's first letter each: `minor-y`, `oggz-u`.
    pub fn groups(&self) -> &[String] {
        match self {
            Self::This(told) => &told.groups,
            Self::Nothing | Self::Sealed => &[],
        }
    }
}

/// The copy with its index, and the officer's key if there is one.
pub struct Reading {
    pub copy: Copy,
    pub index: Index,
    opener: Option<Opener>,
}

impl Reading {
    /// Brings the index up to the copy.
    ///
    /// # Errors
    /// If the copy cannot be read or the index cannot be written.
    pub fn new(copy: Copy, opener: Option<Opener>) -> anyhow::Result<Self> {
        let index = Index::open(&copy)?;
        Ok(Self { copy, index, opener })
    }

    /// Every entry whose contents are there, in order.
    ///
    /// # Errors
    /// [`LogBroken::Unsealed`]; or the copy cannot be read, an entry is malformed, or `visit` fails.
    pub fn each(&mut self, mut visit: impl FnMut(Found) -> anyhow::Result<()>) -> anyhow::Result<()> {
        for (position, line) in (0..).zip(self.copy.lines()?) {
            if let Line::Entry(bytes) = line?.1 {
                let entry = read(&bytes, position)?;
                if let Some(opener) = &mut self.opener {
                    opener.learn(&entry);
                }
                let told = self.told(&entry, position)?;
                visit(Found { position, entry, told })?;
            }
        }
        Ok(())
    }

    /// The entries at these positions, which ascend; expired ones are left out.
    ///
    /// # Errors
    /// As [`Reading::each`].
    pub fn at(&mut self, positions: &[u64]) -> anyhow::Result<Vec<Found>> {
        let entries = self.entries(positions)?;
        let keys: BTreeSet<&str> =
            entries.iter().filter_map(|(_, entry)| entry.sealed.as_ref()).map(|sealed| sealed.key.as_str()).collect();
        for key in keys {
            self.learn(key)?;
        }
        let found = entries.into_iter().map(|(position, entry)| {
            let told = self.told(&entry, position)?;
            Ok(Found { position, entry, told })
        });
        found.collect()
    }

    fn entries(&self, positions: &[u64]) -> anyhow::Result<Vec<(u64, Entry)>> {
        let offsets = positions.iter().filter_map(|&position| self.index.offset(position));
        let lines = self.copy.lines_at(offsets)?;
        let entries = positions.iter().zip(lines).filter_map(|(&position, line)| match line {
            Line::Entry(bytes) => Some(read(&bytes, position).map(|entry| (position, entry))),
            Line::Expired(_) => None,
        });
        entries.collect()
    }

    /// Takes the data key of this id, if an entry brings it; of several the first, as everywhere.
    fn learn(&mut self, id: &str) -> anyhow::Result<()> {
        let bringing = self.entries(&self.index.about(id))?;
        if let Some(opener) = &mut self.opener {
            let key = bringing.iter().find(|(_, entry)| entry.day_key.as_ref().is_some_and(|key| key.id == id));
            key.iter().for_each(|(_, entry)| opener.learn(entry));
        }
        Ok(())
    }

    /// Whether what was answered can be opened, where it was sealed for this officer.
    pub fn opens(&self) -> bool {
        self.opener.is_some()
    }

    fn told(&self, entry: &Entry, index: u64) -> anyhow::Result<Told> {
        let Some(opener) = self.opener.as_ref().filter(|_| entry.sealed.is_some()) else {
            return Ok(if entry.sealed.is_some() { Told::Sealed } else { Told::Nothing });
        };
        match opener.open(entry) {
            Ok(told) => Ok(told.map_or(Told::Nothing, Told::This)),
            Err(AuditError::Seal(_)) => Ok(Told::Sealed),
            Err(AuditError::Unsealed) => Err(LogBroken::Unsealed { index }.into()),
            Err(error) => Err(error.into()),
        }
    }
}

fn read(bytes: &[u8], position: u64) -> anyhow::Result<Entry> {
    Entry::from_bytes(bytes).with_context(|| format!("entry {position} of the copy; see `voorrang audit verify`"))
}
