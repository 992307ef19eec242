//! Fills the officer's copy from the service, and finds where a log that does not fit differs.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::copy::{Copy, Source, in_time, lock};
use super::{LogBroken, Memory};
use crate::answer::wire::LogPage;
use crate::audit::{CheckpointKeys, Due, Gone, Hash, Line};
use crate::cli::client::Client;
use crate::clock::Clock;

/// Where the checkpoint is kept that does not go on from what was seen; of later ones, with a number.
const DIFFERS: &str = "log-that-differs.checkpoint";

/// The log as the service shows it.
pub struct Service<'a>(pub &'a Client);

impl Source for Service<'_> {
    fn checkpoint(&mut self) -> anyhow::Result<String> {
        self.0.get_text("access-log/checkpoint")
    }

    fn lines(&mut self, from: u64) -> anyhow::Result<Vec<Line>> {
        let page: LogPage = self.0.get(&format!("access-log/entries?from={from}"))?;
        let none = |index, what| LogBroken::NoEntry { index, what };
        if page.from != from {
            return Err(none(from, "other entries than it was asked for").into());
        }
        let expired: HashMap<u64, Hash> = page.expired.into_iter().map(|line| (line.index, line.leaf)).collect();
        let line = |(text, index): (&String, u64)| match expired.get(&index) {
            Some(leaf) => Ok(Line::Expired(*leaf)),
            None => Ok(Line::Entry(STANDARD.decode(text).map_err(|_| none(index, "a text that is not base64"))?)),
        };
        page.entries.iter().zip(from..).map(line).collect()
    }
}

/// A source, and the checkpoint that it showed last: the one that is found to differ is the evidence, and who asks for it
/// again may be shown another.
pub(super) struct Shown<S> {
    source: S,
    note: Option<String>,
}

impl<S: Source> Shown<S> {
    pub(super) fn of(source: S) -> Self {
        Self { source, note: None }
    }

    /// Keeps what was shown, if it accuses the log. Nothing that fails meanwhile takes the place of what was found.
    fn accuse(&self, error: &anyhow::Error, keep: impl Fn(&str) -> anyhow::Result<()>) {
        let Some(note) = self.note.as_ref().filter(|_| error.downcast_ref::<LogBroken>().is_some()) else { return };
        if let Err(unwritten) = keep(note) {
            eprintln!("The checkpoint that differs could not be written ({unwritten:#}); keep it:\n{note}");
        }
    }
}

impl<S: Source> Source for Shown<S> {
    fn checkpoint(&mut self) -> anyhow::Result<String> {
        let note = self.source.checkpoint()?;
        self.note = Some(note.clone());
        Ok(note)
    }

    fn lines(&mut self, from: u64) -> anyhow::Result<Vec<Line>> {
        self.source.lines(from)
    }
}

/// The copy, with what the log has grown by.
///
/// # Errors
/// [`LogBroken`] if the log is not the one that is in the copy; [`LogBroken::Rewritten`] if it can be said from where.
pub fn follow(client: &Client, folder: &Path, memory: &Memory) -> anyhow::Result<Copy> {
    let mut copy = Copy::open(folder)?;
    let mut shown = Shown::of(Service(client));
    follow_or_accuse(&mut copy, &mut shown, &memory.keys, memory.due, |note| keep(client, note))?;
    Ok(copy)
}

/// [`Copy::follow`]; the checkpoint of a log that does not fit goes to `kept` first.
pub(super) fn follow_or_accuse<S: Source>(
    copy: &mut Copy,
    shown: &mut Shown<S>,
    keys: &impl CheckpointKeys,
    due: impl Into<Due>,
    kept: impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Err(error) = copy.follow(shown, keys, due) else { return Ok(()) };
    shown.accuse(&error, kept);
    if !matches!(error.downcast_ref(), Some(LogBroken::Forked { .. } | LogBroken::RolledBack { .. })) {
        return Err(error);
    }
    match first_difference(copy, shown) {
        Ok(Some(index)) => Err(error.context(LogBroken::Rewritten { index })),
        Ok(None) => Err(error),
        Err(unknown) => {
            eprintln!("Which entry is the first that differs is not known: {unknown:#}");
            Err(error)
        }
    }
}

/// Keeps a checkpoint that differs beside those that were kept before.
fn keep(client: &Client, note: &str) -> anyhow::Result<()> {
    let names = std::iter::once(DIFFERS.to_owned()).chain((2..).map(|number| format!("{DIFFERS}.{number}")));
    for name in names {
        match fs::read_to_string(client.remembered(&name)) {
            Ok(known) if known == note => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return client.remember(&name, note),
            _ => {}
        }
    }
    Ok(())
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
    let mut shown = Shown::of(Service(client));
    let fetched = copy.follow(&mut shown, &memory.keys, memory.due).and_then(|()| {
        super::verify::tree_of(&copy, &memory.keys, &memory.checkpoints, &[], memory.due)?;
        old.as_ref().map_or(Ok(false), |old| compare(&copy, old, memory.due))
    });
    let whole = fetched.inspect_err(|error| shown.accuse(error, |note| keep(client, note)))?;
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
