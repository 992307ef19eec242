//! Approximate candidates by bit sampling (Indyk and Motwani, "Approximate nearest neighbors", 1998): only pairs that
//! agree in all sampled bits of at least one table are compared, so that some matches are missed.
//!
//! A pair of which a share `h` of the bits differs is compared with a chance of 1 - (1 - (1 - h)^bits)^tables. Pairs
//! just above a threshold are missed first. Positions are drawn from a fixed seed: two runs find the same.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use super::run::{compare, even};
use super::share::{Give, share};
use super::threshold::Needed;
use super::{Clks, Join, JoinError, Match, Progress, Summary};
use crate::link::popcount::Kernel;

/// How bits are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lsh {
    /// Samples, each with a table of its own.
    pub tables: usize,
    /// Bits of a sample.
    pub bits: usize,
}

/// Right codes of a piece.
const RANGE: usize = 1 << 12;
/// Words that a sample is taken from: a key is made of few words, and bits of one word know as little of each other as
/// bits of several.
const WORDS: usize = 4;

impl Join<'_> {
    /// Compares the pairs that sampled bits propose, and gives those that match once. Stops at the first error of `take`.
    ///
    /// # Errors
    /// [`JoinError`] if the files cannot be compared, or what `take` says.
    pub fn run_lsh<E: From<JoinError>>(
        &self,
        lsh: Lsh,
        mut take: impl FnMut(Progress) -> Result<(), E>,
    ) -> Result<Summary, E> {
        self.check()?;
        let (left, right) = (self.left, self.right);
        let kernel = self.kernel.unwrap_or_else(Kernel::best);
        let index = Index::new(left, lsh);
        let needed = Needed::new(self.threshold, left.bits());
        let (compared, mut matches) = (AtomicU64::new(0), 0);
        let work = |(): &mut (), range: &Range<usize>, give: Give<'_>| {
            let (found, count) = index.find(left, right, range.clone(), (&needed, kernel));
            compared.fetch_add(count, Ordering::Relaxed);
            if found.is_empty() { ControlFlow::Continue(()) } else { give(found) }
        };
        share(&even(0..right.len(), RANGE, 1), self.threads.get(), work, |found| {
            matches += found.len() as u64;
            take(Progress::Matches(found))
        })?;
        take(Progress::Complete { left: left.len() })?;
        let pairs = left.len() as u64 * right.len() as u64;
        let compared = compared.into_inner();
        Ok(Summary { pairs, compared, matches, kernel, words_read: left.words() })
    }
}

/// The left codes by the keys of each table.
struct Index {
    tables: Vec<Table>,
    /// Per code its keys.
    keys: Vec<u32>,
}

struct Table {
    sample: Sample,
    /// Sorted keys and positions.
    entries: Vec<(u32, u32)>,
    /// Where the keys begin that start with these bits.
    starts: Vec<u32>,
    shift: u32,
}

impl Index {
    fn new(left: &Clks, lsh: Lsh) -> Self {
        let mut draw = Draw(0x6269_7473_616d_706c);
        let samples: Vec<_> = (0..lsh.tables).map(|_| Sample::new(&mut draw, left.words(), lsh.bits)).collect();
        let codes = left.codes().chunks_exact(left.words());
        let keys: Vec<u32> = codes.flat_map(|code| samples.iter().map(|sample| sample.key(code))).collect();
        let tables = samples.into_iter().enumerate();
        let of = |table: usize| keys.iter().skip(table).step_by(lsh.tables).copied();
        let tables = tables.map(|(at, sample)| Table::new(sample, of(at))).collect();
        Self { tables, keys }
    }

    /// Matches of some right codes, and how many pairs were compared for them.
    fn find(&self, left: &Clks, right: &Clks, range: Range<usize>, rule: (&Needed, Kernel)) -> (Vec<Match>, u64) {
        let (mut found, mut compared) = (Vec::new(), 0);
        let mut keys = vec![0; self.tables.len()];
        for position in range {
            let code = right.code(position);
            keys.iter_mut().zip(&self.tables).for_each(|(key, table)| *key = table.sample.key(code));
            for (at, table) in self.tables.iter().enumerate() {
                for candidate in table.with(keys[at]) {
                    compared += 1;
                    let Some(pair) = compare((left, candidate as usize), (right, position), rule) else { continue };
                    // The first table that proposes a pair gives it.
                    let known = &self.keys[candidate as usize * keys.len()..][..at];
                    if known.iter().zip(&keys).all(|(known, key)| known != key) {
                        found.push(pair);
                    }
                }
            }
        }
        (found, compared)
    }
}

impl Table {
    fn new(sample: Sample, keys: impl Iterator<Item = u32>) -> Self {
        // Positions fit: no file has more than `u32::MAX` CLKs.
        let mut entries: Vec<(u32, u32)> = keys.zip(0..).collect();
        entries.sort_unstable();
        let bits = entries.len().ilog2().clamp(1, 24);
        let shift = u32::BITS - bits;
        let start = |prefix: u32| entries.partition_point(|(key, _)| key >> shift < prefix) as u32;
        let starts = (0..=1 << bits).map(start).collect();
        Self { sample, entries, starts, shift }
    }

    /// Positions of codes with this key.
    fn with(&self, key: u32) -> impl Iterator<Item = u32> {
        let prefix = (key >> self.shift) as usize;
        let entries = &self.entries[self.starts[prefix] as usize..self.starts[prefix + 1] as usize];
        entries.iter().filter(move |(other, _)| *other == key).map(|(_, position)| *position)
    }
}

/// Positions of bits, as words and masks.
struct Sample(Vec<(usize, u64)>);

impl Sample {
    fn new(draw: &mut Draw, words: usize, bits: usize) -> Self {
        let mut masks = vec![0_u64; words];
        let mut places: Vec<usize> = (0..words).collect();
        let from = bits.div_ceil(64).max(WORDS).min(words);
        for at in 0..from {
            places.swap(at, at + draw.below(words - at));
        }
        for at in 0..bits.min(64 * from) {
            let mask = &mut masks[places[at % from]];
            // A word's turn comes at most 64 times: there is a bit left.
            let left = (0..64).filter(|bit| *mask >> bit & 1 == 0).nth(draw.below(64 - mask.count_ones() as usize));
            *mask |= left.map_or(0, |bit| 1 << bit);
        }
        Self(masks.into_iter().enumerate().filter(|(_, mask)| *mask != 0).collect())
    }

    /// The same for two codes that agree in all sampled bits; seldom for others.
    fn key(&self, code: &[u64]) -> u32 {
        let mixed = self.0.iter().fold(0_u64, |mixed, (word, mask)| {
            (mixed ^ (code[*word] & mask)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        });
        (mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
    }
}

/// splitmix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
