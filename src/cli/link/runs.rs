//! Sorts matches in bounded memory: what is too much waits on the disk in sorted runs, in files without a name that
//! vanish with the process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::link::join::Match;

/// Matches in memory: 64 MiB.
const MOST_HELD: usize = (64 << 20) / RECORD;
/// Open files, at most. So many runs are merged into one.
const MOST_RUNS: usize = 128;
/// Bytes of a match in memory and on the disk.
const RECORD: usize = 16;

/// Takes matches in any order and gives them back sorted.
pub struct Sorter {
    held: Vec<Match>,
    runs: Vec<File>,
    folder: PathBuf,
    most_held: usize,
}

impl Sorter {
    /// A sorter that puts its runs into this folder.
    pub fn new(folder: &Path) -> Self {
        Self { held: Vec::new(), runs: Vec::new(), folder: folder.to_owned(), most_held: MOST_HELD }
    }

    /// Takes some matches.
    ///
    /// # Errors
    /// If a run cannot be written.
    pub fn push(&mut self, found: &[Match]) -> io::Result<()> {
        self.held.extend_from_slice(found);
        if self.held.len() < self.most_held {
            return Ok(());
        }
        let mut run = Run::create(&self.folder)?;
        sort(&mut self.held);
        self.held.drain(..).try_for_each(|found| run.write(found))?;
        self.runs.push(run.finish()?);
        if self.runs.len() == MOST_RUNS {
            let mut run = Run::create(&self.folder)?;
            merge(std::mem::take(&mut self.runs), &[], |found| run.write(found))?;
            self.runs.push(run.finish()?);
        }
        Ok(())
    }

    /// Gives everything taken so far, by left and then by right position, and is empty afterwards.
    ///
    /// # Errors
    /// What `give` says, or if a run cannot be read.
    pub fn drain(&mut self, mut give: impl FnMut(Match) -> io::Result<()>) -> io::Result<()> {
        sort(&mut self.held);
        merge(std::mem::take(&mut self.runs), &self.held, &mut give)?;
        self.held.clear();
        Ok(())
    }
}

fn sort(matches: &mut [Match]) {
    matches.sort_unstable_by_key(key);
}

fn key(found: &Match) -> (u32, u32) {
    (found.left, found.right)
}

/// Merges sorted runs and what is in memory.
fn merge(runs: Vec<File>, held: &[Match], mut give: impl FnMut(Match) -> io::Result<()>) -> io::Result<()> {
    let mut sources: Vec<Source<'_>> = vec![Source::Memory(held.iter())];
    for mut run in runs {
        run.rewind()?;
        sources.push(Source::Disk(BufReader::new(run)));
    }
    let mut next = Vec::with_capacity(sources.len());
    for source in &mut sources {
        next.push(source.next()?);
    }
    let first = next.iter().enumerate().filter_map(|(at, found)| Some(Reverse((key(found.as_ref()?), at))));
    let mut heap: BinaryHeap<_> = first.collect();
    while let Some(Reverse((_, at))) = heap.pop() {
        let following = sources[at].next()?;
        heap.extend(following.iter().map(|found| Reverse((key(found), at))));
        if let Some(found) = std::mem::replace(&mut next[at], following) {
            give(found)?;
        }
    }
    Ok(())
}

enum Source<'a> {
    Memory(std::slice::Iter<'a, Match>),
    Disk(BufReader<File>),
}

impl Source<'_> {
    fn next(&mut self) -> io::Result<Option<Match>> {
        match self {
            Self::Memory(held) => Ok(held.next().copied()),
            Self::Disk(run) => read(run),
        }
    }
}

/// A sorted run that is being written.
struct Run(BufWriter<File>);

impl Run {
    /// Readable by this user only, and without a name.
    fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self(BufWriter::new(tempfile::tempfile_in(folder)?)))
    }

    fn write(&mut self, found: Match) -> io::Result<()> {
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&found.left.to_le_bytes());
        record[4..8].copy_from_slice(&found.right.to_le_bytes());
        record[8..].copy_from_slice(&found.dice.to_le_bytes());
        self.0.write_all(&record)
    }

    fn finish(self) -> io::Result<File> {
        Ok(self.0.into_inner()?)
    }
}

fn read(run: &mut impl Read) -> io::Result<Option<Match>> {
    let (mut position, mut dice) = ([0; 4], [0; 8]);
    match run.read_exact(&mut position) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let left = u32::from_le_bytes(position);
    run.read_exact(&mut position)?;
    run.read_exact(&mut dice)?;
    Ok(Some(Match { left, right: u32::from_le_bytes(position), dice: f64::from_le_bytes(dice) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(folder: &Path, most_held: usize, matches: &[Match]) -> Vec<Match> {
        let mut sorter = Sorter { most_held, ..Sorter::new(folder) };
        matches.chunks(3).for_each(|found| sorter.push(found).unwrap());
        assert!(sorter.held.len() < most_held);
        let mut all = Vec::new();
        let mut drain = |sorter: &mut Sorter| {
            sorter.drain(|found| {
                all.push(found);
                Ok(())
            })
        };
        drain(&mut sorter).unwrap();
        drain(&mut sorter).unwrap();
        assert!(sorter.held.is_empty() && sorter.runs.is_empty());
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn runs_on_the_disk_give_the_order_that_memory_gives(
            pairs in proptest::collection::btree_set((0..500_u32, 0..500_u32), 0..900),
            seed in any::<u64>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let want: Vec<Match> =
                pairs.iter().map(|&(left, right)| Match { left, right, dice: f64::from(left) / 7.0 }).collect();
            let mut mixed = want.clone();
            mixed.sort_by_key(|found| u64::from(found.left * 500 + found.right).wrapping_mul(seed | 1));
            // A budget of one match makes more runs than may be open, so that runs are merged into runs.
            for most_held in [1, 7, 100, 10_000] {
                prop_assert_eq!(&sorted(folder.path(), most_held, &mixed), &want);
            }
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_folder_that_takes_no_run_is_an_error() {
        let mut sorter = Sorter { most_held: 1, ..Sorter::new(Path::new("/nowhere/at/all")) };
        assert!(sorter.push(&[Match { left: 0, right: 0, dice: 1.0 }]).is_err());
    }
}
