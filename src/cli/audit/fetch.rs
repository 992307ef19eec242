//! Fills the officer's copy from the service, and finds where a log that does not fit differs.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::copy::{Copy, Source, lock};
use super::{LogBroken, Memory};
use crate::answer::wire::LogPage;
use crate::audit::{Hash, Line};
use crate::cli::client::Client;

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
    match copy.follow(&mut service, &memory.keys) {
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
/// is remembered first.
///
/// # Errors
/// [`LogBroken`]; then the old copy stays.
pub fn anew(client: &Client, folder: &Path, memory: &Memory) -> anyhow::Result<Copy> {
    // Of the old copy, while it is replaced: it may be one that cannot be read any more.
    let old = lock(folder)?;
    let (beside, aside) = (folder.with_extension("new"), folder.with_extension("old"));
    for leftover in [&beside, &aside] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).with_context(|| format!("cannot remove {}", leftover.display()))?;
        }
    }
    let mut copy = Copy::open(&beside)?;
    copy.follow(&mut Service(client), &memory.keys)?;
    super::verify::tree_of(&copy, &memory.keys, &memory.checkpoints, &[])?;
    let replace = || -> std::io::Result<()> {
        fs::rename(folder, &aside)?;
        fs::rename(&beside, folder)?;
        fs::remove_dir_all(&aside)
    };
    replace().with_context(|| format!("cannot replace {}", folder.display()))?;
    drop((old, copy));
    Copy::open(folder)
}
