//! An officer's own copy of the access log: what she has once verified is held against everything that the service
//! shows later, and is read without the service.
//!
//! `entries` holds every entry with its length before it (16 bits, big-endian), as the bundles of c2sp.org/tlog-tiles
//! do; a length of 0, which no entry has, stands before the leaf hash of one whose contents have expired. `state.json`
//! says how much of it counts, under which checkpoint; both are whole after a power cut. What the log has deleted by
//! rule is deleted here too, into a new file `entries.1` and so on.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{LogBroken, Unusable};
use crate::audit::{CheckpointKeys, Due, Entry, Frontier, Gone, Hash, Line, Range, VerifyError};
use crate::cli::output::Output;

const UNWRITABLE: &str = "cannot write the copy of the log";

/// Where the copy is filled from.
pub trait Source {
    /// The newest signed checkpoint.
    ///
    /// # Errors
    /// If there is none to be had.
    fn checkpoint(&mut self) -> anyhow::Result<String>;

    /// Lines from a position on, at least one where the log has any.
    ///
    /// # Errors
    /// If they cannot be had.
    fn lines(&mut self, from: u64) -> anyhow::Result<Vec<Line>>;
}

/// How much of the file of entries counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Drawn when the copy was begun: what was made from another copy does not fit.
    id: String,
    /// The signed note over exactly what is here; none yet at first.
    checkpoint: Option<String>,
    size: u64,
    /// Length of the file of entries.
    bytes: u64,
    /// How often contents were deleted: each time into another file.
    round: u32,
    /// Roots of the complete subtrees at the right edge, largest first.
    edge: Vec<Hash>,
}

/// The copy on this machine.
pub struct Copy {
    folder: PathBuf,
    state: State,
    /// Held while this is open: two runs at once would write into each other's file.
    _lock: File,
}

impl Copy {
    /// Opens or begins a copy.
    ///
    /// # Errors
    /// If the folder cannot be used, another run has it, or its state cannot be read.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let (lock, place) = (lock(folder)?, folder.display());
        let state = match fs::read(folder.join("state.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| damaged("has a state.json that cannot be read"))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                State { id: Entry::fresh_salt(), checkpoint: None, size: 0, bytes: 0, round: 0, edge: Vec::new() }
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {place}/state.json")),
        };
        let copy = Self { folder: folder.to_owned(), state, _lock: lock };
        copy.drop_round_before()?;
        Ok(copy)
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.state.size
    }

    /// The checkpoint that everything here was held against.
    pub fn checkpoint(&self) -> Option<&str> {
        self.state.checkpoint.as_deref()
    }

    /// What stays the same while this copy only grows.
    pub(super) fn id(&self) -> &str {
        &self.state.id
    }

    /// Length of the entries, bytes.
    pub fn bytes(&self) -> u64 {
        self.state.bytes
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes what the log has grown by. What is here already must be what the log still says: the new root is computed
    /// from it. Contents that the log has deleted by rule since are deleted here too.
    ///
    /// # Errors
    /// [`LogBroken::RolledBack`], [`LogBroken::Forked`], [`LogBroken::NoEntry`], or [`LogBroken::Verify`] where contents
    /// went early or entries are missing; the copy stays as it was then.
    pub fn follow(
        &mut self,
        source: &mut impl Source,
        keys: &impl CheckpointKeys,
        due: impl Into<Due>,
    ) -> anyhow::Result<()> {
        let due = due.into();
        let mut note = source.checkpoint()?;
        let mut now = keys.checkpoint(&note).map_err(LogBroken::Checkpoint)?;
        let known = self.state.size;
        if now.size < known {
            return Err(LogBroken::RolledBack { known, size: now.size }.into());
        }
        let mut frontier = Frontier::from_edge(known, self.state.edge.clone())
            .ok_or_else(|| damaged("has a state.json that does not hold together"))?;
        let (mut file, mut bytes, mut gone) = (self.append_to()?, self.state.bytes, Gone::new(due));
        for round in 0..=1 {
            while frontier.size() < now.size {
                let lines = source.lines(frontier.size())?;
                if lines.is_empty() {
                    let (entries, size) = (frontier.size(), now.size);
                    return Err(LogBroken::verify(VerifyError::Size { entries, size }).into());
                }
                let missing = usize::try_from(now.size - frontier.size()).unwrap_or(usize::MAX);
                for line in lines.into_iter().take(missing) {
                    if line.entry().is_some_and(|entry| !(1..=usize::from(u16::MAX)).contains(&entry.len())) {
                        let what = "an entry that is empty or longer than 65,535 bytes";
                        return Err(LogBroken::NoEntry { index: frontier.size(), what }.into());
                    }
                    bytes += write_line(&mut file, &line).context(UNWRITABLE)?;
                    gone.line(frontier.size(), line.entry());
                    frontier.push(line.leaf());
                }
            }
            if frontier.root() != now.root {
                return Err(LogBroken::Forked { known, size: now.size }.into());
            }
            if round == 1 || gone.early().is_none() {
                break;
            }
            // What expired while it was fetched is recorded beyond the checkpoint that was taken before.
            let newer = source.checkpoint()?;
            let then = keys.checkpoint(&newer).map_err(LogBroken::Checkpoint)?;
            if then.size < now.size {
                return Err(LogBroken::RolledBack { known: now.size, size: then.size }.into());
            }
            (note, now) = (newer, then);
        }
        file.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all()).context(UNWRITABLE)?;
        in_time(&gone)?;
        let (edge, id, round) = (frontier.edge().to_vec(), self.state.id.clone(), self.state.round);
        let state = State { id, checkpoint: Some(note), size: now.size, bytes, round, edge };
        if gone.recorded().is_empty() { self.save(state) } else { self.delete(gone.recorded(), state, due) }
    }

    /// Saves the state, with contents deleted that records named: all of them were due.
    fn delete(&mut self, recorded: &[Range], mut state: State, may_be_gone: Due) -> anyhow::Result<()> {
        let mut due = recorded.to_vec();
        due.sort_unstable_by_key(|range| range.from);
        let (mut due, mut gone, mut lost) = (due.into_iter().peekable(), Gone::new(may_be_gone), 0_u64);
        let path = self.entries(state.round + 1);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let mut file = BufWriter::with_capacity(1 << 20, file.context(UNWRITABLE)?);
        let (lines, mut bytes) = (Lines { file: Some(self.reader()?), offset: 0, left: state.size }, 0);
        for (index, line) in (0..).zip(lines) {
            let mut line = line?.1;
            while due.next_if(|range| range.to <= index).is_some() {}
            match &line {
                Line::Entry(entry) if due.peek().is_some_and(|range| range.from <= index) => {
                    gone.lost(index, entry);
                    (line, lost) = (Line::Expired(line.leaf()), lost + 1);
                }
                line => gone.line(index, line.entry()),
            }
            bytes += write_line(&mut file, &line).context(UNWRITABLE)?;
        }
        file.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all()).context(UNWRITABLE)?;
        in_time(&gone)?;
        if lost > 0 {
            // What was made from the file before, as the index, does not fit any more.
            (state.id, state.bytes, state.round) = (Entry::fresh_salt(), bytes, state.round + 1);
        }
        self.save(state)?;
        self.drop_round_before()
    }

    /// The file of entries of a round.
    fn entries(&self, round: u32) -> PathBuf {
        self.folder.join(if round == 0 { "entries".to_owned() } else { format!("entries.{round}") })
    }

    /// Removes the files beside the one that counts: what was deleted is in one of them.
    fn drop_round_before(&self) -> anyhow::Result<()> {
        let rounds = self.state.round.checked_sub(1).into_iter().chain([self.state.round + 1]);
        for path in rounds.map(|round| self.entries(round)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The file of entries, cut to what counts: a run that was stopped may have left more.
    fn append_to(&self) -> anyhow::Result<BufWriter<File>> {
        let path = self.entries(self.state.round);
        let unwritable = || format!("cannot write {}", path.display());
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = file.with_context(unwritable)?;
        let length = file.metadata().with_context(unwritable)?.len();
        if length < self.state.bytes {
            return Err(damaged("was cut").into());
        }
        file.set_len(self.state.bytes).with_context(unwritable)?;
        file.seek(SeekFrom::End(0)).with_context(unwritable)?;
        Ok(BufWriter::with_capacity(1 << 20, file))
    }

    fn save(&mut self, state: State) -> anyhow::Result<()> {
        let mut file = Output::create(&self.folder.join("state.json"))?;
        file.write_all(&serde_json::to_vec(&state)?)?;
        file.finish()?;
        self.state = state;
        Ok(())
    }

    /// Every line, in order.
    ///
    /// # Errors
    /// If the file cannot be read; a line that cannot is an error of the iterator.
    pub fn lines(&self) -> anyhow::Result<Lines> {
        self.lines_from(0, 0)
    }

    /// The lines from position `index` on, which begins at byte `offset`.
    pub(super) fn lines_from(&self, index: u64, offset: u64) -> anyhow::Result<Lines> {
        let file = if self.state.size == 0 { None } else { Some(self.reader()?) };
        let mut lines = Lines { file, offset: 0, left: self.state.size.saturating_sub(index) };
        lines.seek(offset)?;
        Ok(lines)
    }

    /// The lines that begin at these bytes, which come in ascending order.
    pub(super) fn lines_at(&self, offsets: impl Iterator<Item = u64>) -> anyhow::Result<Vec<Line>> {
        let mut lines = self.lines()?;
        offsets
            .map(|offset| {
                lines.seek(offset)?;
                lines.left = 1;
                lines.next().ok_or_else(|| damaged("ends too early"))?.map(|(_, line)| line)
            })
            .collect()
    }

    /// Whether the entries are those that the checkpoint was held against when they were fetched. Reads them all.
    ///
    /// # Errors
    /// As [`Copy::lines`].
    pub(super) fn is_as_fetched(&self) -> anyhow::Result<bool> {
        let leaves = self.lines()?.map(|line| Ok(line?.1.leaf()));
        Ok(leaves.collect::<anyhow::Result<Frontier>>()?.edge() == self.state.edge)
    }

    fn reader(&self) -> anyhow::Result<BufReader<File>> {
        let path = self.entries(self.state.round);
        let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(BufReader::with_capacity(1 << 17, file))
    }
}

/// That the copy is not what it was.
pub(super) fn damaged(what: &str) -> Unusable {
    Unusable::Copy { what: what.to_owned(), source: None }
}

/// # Errors
/// [`LogBroken::Verify`] if contents are gone that no record covers, or that were not due.
pub(super) fn in_time(gone: &Gone) -> Result<(), LogBroken> {
    gone.early().map_or(Ok(()), |index| Err(LogBroken::verify(VerifyError::GoneEarly { index })))
}

/// Makes the folder and takes it for this run, whatever is in it.
pub(super) fn lock(folder: &Path) -> anyhow::Result<File> {
    let place = folder.display();
    // Who asked about whom is in it, under pseudonyms: for the officer's eyes only.
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make {place}"))?;
    let lock = File::create(folder.join("lock")).with_context(|| format!("cannot write into {place}"))?;
    lock.try_lock().with_context(|| format!("another run uses {place}; wait for it"))?;
    Ok(lock)
}

/// Lines of a copy, each with the byte at which it begins.
pub struct Lines {
    file: Option<BufReader<File>>,
    offset: u64,
    left: u64,
}

impl Lines {
    fn seek(&mut self, offset: u64) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            let step = i64::try_from(offset).ok().zip(i64::try_from(self.offset).ok()).map(|(to, at)| to - at);
            file.seek_relative(step.context("the copy of the log is larger than a file can be")?)?;
            self.offset = offset;
        }
        Ok(())
    }

    fn read(&mut self) -> std::io::Result<(u64, Line)> {
        let file = self.file.as_mut().ok_or(ErrorKind::UnexpectedEof)?;
        let mut length = [0; 2];
        file.read_exact(&mut length)?;
        let begins = self.offset;
        if length == [0, 0] {
            let mut leaf = [0; 32];
            file.read_exact(&mut leaf)?;
            self.offset += 34;
            return Ok((begins, Line::Expired(leaf.into())));
        }
        let mut entry = vec![0; u16::from_be_bytes(length).into()];
        file.read_exact(&mut entry)?;
        self.offset += 2 + entry.len() as u64;
        Ok((begins, Line::Entry(entry)))
    }
}

impl Iterator for Lines {
    type Item = anyhow::Result<(u64, Line)>;
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let damaged = |source| Unusable::Copy { what: "cannot be read, or was cut".into(), source: Some(source) };
        Some(self.read().map_err(|source| damaged(source).into()))
    }
}

/// Writes one line; returns its bytes.
fn write_line(file: &mut impl Write, line: &Line) -> anyhow::Result<u64> {
    match line {
        Line::Entry(entry) => {
            let length = u16::try_from(entry.len()).ok().filter(|&length| length > 0);
            let length = length.context("an entry is empty or longer than 65,535 bytes")?;
            file.write_all(&length.to_be_bytes())?;
            file.write_all(entry)?;
            Ok(2 + u64::from(length))
        }
        Line::Expired(leaf) => {
            file.write_all(&[0, 0])?;
            file.write_all(leaf.as_bytes())?;
            Ok(34)
        }
    }
}
