//! One question, or a few that wait together, against a whole register in memory: bound by how fast memory is read.
//!
//! The first words of all codes lie in one plane, the others in a second one, which is only read for who survives.

use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};

use super::clks::Clks;
use super::plan::words_to_read;
use super::run::even;
use super::share::{Give, share};
use super::threshold::{Needed, Threshold, dice};
use super::{JoinError, Match};
use crate::link::popcount::{Costs, Kernel, Pair, Side, Sieve};

/// Rows between two looks at who survived.
const LOOK: usize = 4096;

/// Rows that a thread takes at once: below this, starting threads takes longer than reading.
const RANGE: usize = 1 << 17;

/// In cycles: a word at about 10 GB/s, and two lines from anywhere in memory.
const FROM_MEMORY: Costs = Costs { word: 2.8, survivor: 300.0 };

/// A register that is ready for questions at one threshold. `Debug` shows no bits.
pub struct Planes {
    threshold: Threshold,
    needed: Needed,
    words: usize,
    read: usize,
    first: Vec<u64>,
    second: Vec<u64>,
    need: Vec<i32>,
    rest: Vec<i32>,
}

impl Planes {
    /// Lays out a register so that questions like these read as little as pays.
    ///
    /// # Errors
    /// [`JoinError::Empty`] and [`JoinError::Sides`].
    pub fn new(register: &Clks, like: &Clks, threshold: Threshold) -> Result<Self, JoinError> {
        check(like, register.bits(), register.is_empty())?;
        let words = register.words();
        let read = words_to_read(like, register, threshold, (Kernel::best(), FROM_MEMORY));
        let mut planes = Self {
            threshold,
            needed: Needed::new(threshold, register.bits()),
            words,
            read,
            first: Vec::with_capacity(register.len() * read),
            second: Vec::with_capacity(register.len() * (words - read)),
            need: register.ones().iter().map(|ones| threshold.shares(*ones).1).collect(),
            rest: Vec::with_capacity(register.len()),
        };
        for code in register.codes().chunks_exact(words) {
            let (first, second) = code.split_at(read);
            planes.first.extend_from_slice(first);
            planes.second.extend_from_slice(second);
            planes.rest.push(ones(second) as i32);
        }
        Ok(planes)
    }

    /// Codes in the register.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether the register is empty; it never is.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> usize {
        let words = self.first.capacity() + self.second.capacity();
        words * size_of::<u64>() + (self.need.capacity() + self.rest.capacity()) * size_of::<i32>()
    }

    /// Bytes of the register that are read for every question.
    pub fn bytes_read(&self) -> usize {
        self.first.len() * size_of::<u64>() + 2 * self.len() * size_of::<i32>()
    }

    /// All pairs of the questions, which are `left`, and the register, in one pass that threads share; by register
    /// position.
    ///
    /// # Errors
    /// [`JoinError::Empty`] and [`JoinError::Sides`].
    pub fn find(&self, asked: &Clks, kernel: Kernel, threads: NonZeroUsize) -> Result<Vec<Match>, JoinError> {
        check(asked, self.words * 64, false)?;
        let need: Vec<i32> = asked.ones().iter().map(|ones| self.threshold.shares(*ones).0).collect();
        let rest: Vec<i32> = (0..asked.len()).map(|at| ones(&asked.code(at)[self.read..]) as i32).collect();
        let side = Side { words: self.words, codes: asked.codes(), need: &need, rest: &rest };
        let sieve = Sieve::new(kernel, side, self.read);
        let work = |(): &mut (), range: &Range<usize>, give: Give<'_>| {
            let found = self.scan(asked, &sieve, range.clone());
            if found.is_empty() { ControlFlow::Continue(()) } else { give(found) }
        };
        let mut all = Vec::new();
        share(&even(0..self.len(), RANGE, LOOK), threads.get(), work, |found| {
            all.extend(found);
            Ok::<(), JoinError>(())
        })?;
        all.sort_unstable_by_key(|found: &Match| (found.right, found.left));
        Ok(all)
    }

    fn scan(&self, asked: &Clks, sieve: &Sieve<'_>, range: Range<usize>) -> Vec<Match> {
        let (mut pairs, mut found) = (Vec::new(), Vec::new());
        for start in range.clone().step_by(LOOK) {
            let rows = start..range.end.min(start + LOOK);
            let codes = &self.first[rows.start * self.read..rows.end * self.read];
            let side = Side { words: self.read, codes, need: &self.need[rows.clone()], rest: &self.rest[rows] };
            sieve.sift(side, &mut pairs);
            found.extend(pairs.drain(..).filter_map(|pair| self.compare(asked, pair, start)));
        }
        found
    }

    fn compare(&self, asked: &Clks, pair: Pair, start: usize) -> Option<Match> {
        let (left, right) = (pair.query as usize, start + pair.row as usize);
        let rest = self.words - self.read;
        let (first, second) = (&self.first[right * self.read..][..self.read], &self.second[right * rest..][..rest]);
        let code = asked.code(left).iter().zip(first.iter().chain(second));
        let common = code.map(|(a, b)| (a & b).count_ones()).sum();
        let sum = asked.ones()[left] + ones(first) + ones(second);
        let reached = self.needed.reached(common, sum);
        reached.then(|| Match { left: pair.query, right: right as u32, dice: dice(common, sum) })
    }
}

fn check(asked: &Clks, bits: usize, empty: bool) -> Result<(), JoinError> {
    if asked.is_empty() || empty {
        return Err(JoinError::Empty);
    }
    if asked.bits() != bits {
        return Err(JoinError::Sides { left: asked.bits(), right: bits });
    }
    Ok(())
}

fn ones(words: &[u64]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

impl std::fmt::Debug for Planes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Planes({} of {} bits, {} words first)", self.len(), self.words * 64, self.read)
    }
}
