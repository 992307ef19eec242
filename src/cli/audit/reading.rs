//! Reads entries of the copy: all in order, or the few that the index names, with what was answered opened where this
//! officer can.

use std::collections::BTreeSet;

use super::LogBroken;
use super::copy::Copy;
use super::index::Index;
use super::spans::Spans;
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
    /// It does not open with the key that the log gave for it.
    Unsealed,
}

impl Told {
    /// The answer's word, `sealed`, `unsealed`, or nothing.
    pub fn word(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::This(told) => &told.answer,
            Self::Sealed => "sealed",
            Self::Unsealed => "unsealed",
        }
    }

    /// What the care side was told, a group and its answer's first letter each: `minor-y`, `oggz-u`.
    pub fn groups(&self) -> &[String] {
        match self {
            Self::This(told) => &told.groups,
            Self::Nothing | Self::Sealed | Self::Unsealed => &[],
        }
    }
}

/// The copy with its index, and the officer's key if there is one.
pub struct Reading {
    pub copy: Copy,
    pub index: Index,
    opener: Option<Opener>,
    /// Positions of those that were read whose answers do not open.
    unsealed: BTreeSet<u64>,
}

impl Reading {
    /// Brings the index up to the copy.
    ///
    /// # Errors
    /// If the copy cannot be read or the index cannot be written.
    pub fn new(copy: Copy, opener: Option<Opener>) -> anyhow::Result<Self> {
        let index = Index::open(&copy)?;
        Ok(Self { copy, index, opener, unsealed: BTreeSet::new() })
    }

    /// Every entry whose contents are there and in their format, in order.
    ///
    /// # Errors
    /// [`super::Unusable::Copy`], or `visit` fails.
    pub fn each(&mut self, mut visit: impl FnMut(Found) -> anyhow::Result<()>) -> anyhow::Result<()> {
        for (position, line) in (0..).zip(self.copy.lines()?) {
            let line = line?.1;
            self.index.hold(position, &line)?;
            if let Some(entry) = read(&line) {
                if let Some(opener) = &mut self.opener {
                    opener.learn(&entry);
                }
                let told = self.told(&entry, position)?;
                visit(Found { position, entry, told })?;
            }
        }
        Ok(())
    }

    /// The entries at these positions, which ascend; those that have expired or are malformed are left out.
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

    /// That there is nothing in the log that could not be read. Asked last: what can be read is shown all the same.
    ///
    /// # Errors
    /// [`LogBroken::Unread`].
    pub fn sound(&self) -> Result<(), LogBroken> {
        let (malformed, unsealed) = (self.index.malformed(), self.unsealed.iter().copied().collect::<Spans>());
        if malformed.is_empty() && unsealed.is_empty() {
            return Ok(());
        }
        Err(LogBroken::Unread { malformed, unsealed })
    }

    /// Of what was read, the answers that do not open.
    pub fn unsealed(&self) -> Option<LogBroken> {
        let unsealed: Spans = self.unsealed.iter().copied().collect();
        (!unsealed.is_empty()).then(|| LogBroken::Unread { malformed: Spans::default(), unsealed })
    }

    fn entries(&self, positions: &[u64]) -> anyhow::Result<Vec<(u64, Entry)>> {
        let offsets = positions.iter().filter_map(|&position| self.index.offset(position));
        let lines = self.copy.lines_at(offsets)?;
        positions.iter().zip(&lines).try_for_each(|(&position, line)| self.index.hold(position, line))?;
        Ok(positions.iter().zip(lines).filter_map(|(&position, line)| Some((position, read(&line)?))).collect())
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

    fn told(&mut self, entry: &Entry, index: u64) -> anyhow::Result<Told> {
        let Some(opener) = self.opener.as_ref().filter(|_| entry.sealed.is_some()) else {
            return Ok(if entry.sealed.is_some() { Told::Sealed } else { Told::Nothing });
        };
        match opener.open(entry) {
            Ok(told) => Ok(told.map_or(Told::Nothing, Told::This)),
            Err(AuditError::Seal(_)) => Ok(Told::Sealed),
            Err(AuditError::Unsealed) => {
                self.unsealed.insert(index);
                Ok(Told::Unsealed)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The entry, if it is one; what is none is named in the end.
fn read(line: &Line) -> Option<Entry> {
    Entry::from_bytes(line.entry()?).ok()
}
