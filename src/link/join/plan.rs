//! How much of each code the sieve reads: little costs false survivors, much costs reading.

use super::Clks;
use super::threshold::Threshold;
use crate::link::popcount::{Costs, Side};

/// Codes of each file that are sampled. Their pairs are enough to see one survivor in some thousands, at the cost of a
/// few rows.
const SAMPLE: [usize; 2] = [64, 256];

/// What the sieve is told of both files, and how many words it reads.
pub(super) struct Plan {
    pub read: usize,
    left: Bounds,
    right: Bounds,
}

struct Bounds {
    need: Vec<i32>,
    rest: Vec<i32>,
}

impl Bounds {
    fn new(clks: &Clks, read: usize, share: impl Fn(u32) -> i32) -> Self {
        let rest = clks.codes().chunks_exact(clks.words()).map(|code| ones(&code[read..]));
        Self { need: clks.ones().iter().map(|ones| share(*ones)).collect(), rest: rest.collect() }
    }

    fn side<'a>(&'a self, clks: &'a Clks, range: std::ops::Range<usize>) -> Side<'a> {
        let words = clks.words();
        let codes = &clks.codes()[range.start * words..range.end * words];
        Side { words, codes, need: &self.need[range.clone()], rest: &self.rest[range] }
    }
}

impl Plan {
    /// For two files that are not empty and of one length.
    pub fn new(left: &Clks, right: &Clks, threshold: Threshold, costs: Costs) -> Self {
        let read = words_to_read(left, right, threshold, costs);
        let bounds = |clks, share: fn((i32, i32)) -> i32| Bounds::new(clks, read, |ones| share(threshold.shares(ones)));
        Self { read, left: bounds(left, |(down, _)| down), right: bounds(right, |(_, up)| up) }
    }

    /// Some CLKs of the left file.
    pub fn left<'a>(&'a self, clks: &'a Clks, range: std::ops::Range<usize>) -> Side<'a> {
        self.left.side(clks, range)
    }

    /// Some CLKs of the right file.
    pub fn right<'a>(&'a self, clks: &'a Clks, range: std::ops::Range<usize>) -> Side<'a> {
        self.right.side(clks, range)
    }
}

fn ones(words: &[u64]) -> i32 {
    words.iter().map(|word| word.count_ones() as i32).sum()
}

/// The number of words with the least expected time a pair.
fn words_to_read(left: &Clks, right: &Clks, threshold: Threshold, costs: Costs) -> usize {
    let survivors = survivors(left, right, threshold);
    let cost = |read: &usize| {
        let survivors = survivors[read - 1] as f64 / (SAMPLE[0] * SAMPLE[1]) as f64;
        costs.word * *read as f64 + costs.survivor * survivors
    };
    (1..=left.words()).min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("a code has at least one word")
}

/// Of sampled pairs, those that survive a sieve that reads 1, 2, 3 and so on words.
fn survivors(left: &Clks, right: &Clks, threshold: Threshold) -> Vec<usize> {
    let mut survivors = vec![0; left.words()];
    // Evenly over both files, whatever their order is.
    let places = |clks: &Clks, count: usize| (0..count).map(|at| at * clks.len() / count).collect::<Vec<_>>();
    let (lefts, rights) = (places(left, SAMPLE[0]), places(right, SAMPLE[1]));
    for (left_at, right_at) in lefts.iter().flat_map(|left| rights.iter().map(|right| (*left, *right))) {
        let (a, b) = (left.code(left_at), right.code(right_at));
        let need = threshold.shares(left.ones()[left_at]).0 + threshold.shares(right.ones()[right_at]).1;
        let (mut rest_a, mut rest_b) = (left.ones()[left_at] as i32, right.ones()[right_at] as i32);
        let mut common = 0;
        for ((a, b), survivors) in a.iter().zip(b).zip(&mut survivors) {
            common += (a & b).count_ones() as i32;
            rest_a -= a.count_ones() as i32;
            rest_b -= b.count_ones() as i32;
            *survivors += usize::from(common + rest_a.min(rest_b) >= need);
        }
    }
    survivors
}
