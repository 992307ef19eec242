//! Fills the officer's copy from the service, and finds where a log that does not fit differs.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::copy::{Copy, Source, in_time, lock};
use super::{LogBroken, Memory};
use crate::answer::wire::LogPage;
use crate::audit::{Due, Gone, Hash, Line};
use crate::cli::client::Client;
use crate::clock::Clock;

/// Where the checkpoint is kept that does not go on from what was seen.
const DIFFERS: &str = "log-that-differs.checkpoint";

/// The log as the service shows it.
pub struct Service<'a>(pub &'a Client);

impl Source for Service<'_> {
    fn checkpoint(&mut self) -> anyhow::Result<String> {
        self.0.get_text("access-log/checkpoint")
    }

    fn lines(&mut self, from: u64) -> anyhow::Result<Vec<Line>> {
        let page: LogPage = self.0.get(&format!("access-log/entries?from={from}"))?;
        ensure!(page.from == from, "the service sent other entries than it was asked for");
        let expired: HashMap<u64, Hash> = page.expired.into_iter().map(|line| (line.index, line.leaf)).collect();
        let line = |(text, index): (&String, u64)| match expired.get(&index) {
            Some(leaf) => Ok(Line::Expired(*leaf)),
            None => STANDARD.decode(text).map(Line::Entry).context("the service sent an entry that is not base64"),
        };
        page.entries.iter().zip(from..).map(line).collect()
    }
}

/// The copy, with what the log has grown by.
///
/// # Errors
/// [`LogBroken`] if the log is not the one that is in the copy; [`LogBroken::Rewritten`] if it can be said from where.
pub fn follow(client: &Client, folder: &Path, memory: &Memory) -> anyhow::Result<Copy> {
    let (mut copy, mut service) = (Copy::open(folder)?, Service(client));
    match copy.follow(&mut service, &memory.keys, memory.due) {
        Ok(()) => Ok(copy),
        Err(error) => match error.downcast_ref::<LogBroken>() {
            Some(LogBroken::Forked { .. } | LogBroken::RolledBack { .. }) => {
                // The first one that differs is what shows most.
                if !client.remembered(DIFFERS).exists() {
                    client.remember(DIFFERS, &service.checkpoint()?)?;
                }
                match first_difference(&copy, &mut service)? {
                    Some(index) => Err(error.context(LogBroken::Rewritten { index })),
                    None => Err(error),
                }
            }
            _ => Err(error),
        },
    }
}

/// Position of the first entry that the service shows otherwise than the copy has it. A leaf that has expired since is
/// the same.
fn first_difference(copy: &Copy, service: &mut impl Source) -> anyhow::Result<Option<u64>> {
    let (mut shown, mut index) = (Vec::new().into_iter(), 0);
    for line in copy.lines()? {
        if shown.len() == 0 {
            shown = service.lines(index)?.into_iter();
        }
        let Some(other) = shown.next() else { return Ok(None) };
        if other.leaf() != line?.1.leaf() {
            return Ok(Some(index));
        }
        index += 1;
    }
    Ok(None)
}

/// A copy fetched from its first entry on, in place of the one that was there. It is held against every checkpoint that
/// is remembered first, and against the old copy: contents that are in it and gone from the log were due. An old copy
/// that cannot be read to its end is kept beside.
///
/// # Errors
/// [`LogBroken`]; then the old copy stays.
pub fn anew(client: &Client, folder: &Path, memory: &Memory) -> anyhow::Result<Copy> {
    // Taken while it is replaced, also where it cannot be read.
    let (old, _lock) = match Copy::open(folder) {
        Ok(old) => (Some(old), None),
        Err(_) => (None, Some(lock(folder)?)),
    };
    let (beside, aside) = (folder.with_extension("new"), folder.with_extension("old"));
    for leftover in [&beside, &aside] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).with_context(|| format!("cannot remove {}", leftover.display()))?;
        }
    }
    let mut copy = Copy::open(&beside)?;
    copy.follow(&mut Service(client), &memory.keys, memory.due)?;
    super::verify::tree_of(&copy, &memory.keys, &memory.checkpoints, &[], memory.due)?;
    let whole = old.as_ref().map_or(Ok(false), |old| compare(&copy, old, memory.due))?;
    let evidence = folder.with_extension(format!("kept-{}", Clock::System.now().unix_timestamp()));
    let replace = || -> std::io::Result<()> {
        fs::rename(folder, &aside)?;
        fs::rename(&beside, folder)?;
        if whole { fs::remove_dir_all(&aside) } else { fs::rename(&aside, &evidence) }
    };
    replace().with_context(|| format!("cannot replace {}", folder.display()))?;
    if !whole {
        eprintln!(
            "The old copy cannot be read to its end, so that it was not compared: it is kept in {}. Remove it when \
             nobody needs it as evidence.",
            evidence.display()
        );
    }
    drop((old, copy));
    Copy::open(folder)
}

/// Whether the old copy was there to be compared to its end. Contents that only it has were due when they were deleted.
pub(super) fn compare(new: &Copy, old: &Copy, due: impl Into<Due>) -> anyhow::Result<bool> {
    let (mut gone, mut whole, mut before) = (Gone::new(due), true, old.lines().ok());
    for (index, line) in (0..).zip(new.lines()?) {
        let line = line?.1;
        let known = before.as_mut().and_then(Iterator::next).transpose().ok().flatten().map(|(_, known)| known);
        // What differs was damaged on this machine: the new copy is the one that is remembered.
        let known = known.filter(|known| known.leaf() == line.leaf());
        whole &= known.is_some() || index >= old.size();
        match (line.entry(), known.as_ref().and_then(Line::entry)) {
            (None, Some(entry)) => gone.lost(index, entry),
            (entry, _) => gone.line(index, entry),
        }
    }
    in_time(&gone)?;
    Ok(whole)
}
