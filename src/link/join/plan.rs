//! How much of each code the sieve reads: little costs false survivors, much costs reading.

use std::ops::Range;

use super::Clks;
use super::threshold::Threshold;
use crate::link::popcount::{Costs, Kernel, Side};

/// Codes of each file that are sampled. Their pairs are enough to see one survivor in some thousands, at the cost of a
/// few rows.
const SAMPLE: [usize; 2] = [64, 256];

/// What the sieve is told of both files, and how many words it reads.
pub(super) struct Plan {
    pub read: usize,
    kernel: Kernel,
    left: Bounds,
    /// By a right code's set bits, its share of what a pair needs in common.
    shares: Vec<i32>,
}

/// Of some codes.
#[derive(Default)]
pub(super) struct Bounds {
    need: Vec<i32>,
    rest: Vec<i32>,
}

impl Plan {
    /// For two files that are not empty and of one length.
    pub fn new(left: &Clks, right: &Clks, threshold: Threshold, kernel: Kernel) -> Self {
        let read = words_to_read(left, right, threshold, (kernel, kernel.costs()));
        let mut rest = Vec::with_capacity(left.len());
        kernel.rests(left.codes(), left.words(), read, &mut rest);
        let need = left.ones().iter().map(|ones| threshold.shares(*ones).0).collect();
        let shares = (0..=right.bits() as u32).map(|ones| threshold.shares(ones).1).collect();
        Self { read, kernel, left: Bounds { need, rest }, shares }
    }

    /// Some CLKs of the left file.
    pub fn left<'a>(&'a self, clks: &'a Clks, range: Range<usize>) -> Side<'a> {
        let Bounds { need, rest } = &self.left;
        side(clks, range.clone(), (&need[range.clone()], &rest[range]))
    }

    /// Some CLKs of the right file. What is told of them is counted as they come: they are in a cache for the sieve then.
    pub fn right<'a>(&self, clks: &'a Clks, range: Range<usize>, bounds: &'a mut Bounds) -> Side<'a> {
        bounds.need.clear();
        bounds.need.extend(clks.ones()[range.clone()].iter().map(|ones| self.shares[*ones as usize]));
        bounds.rest.clear();
        self.kernel.rests(codes(clks, range.clone()), clks.words(), self.read, &mut bounds.rest);
        side(clks, range, (&bounds.need, &bounds.rest))
    }
}

fn side<'a>(clks: &'a Clks, range: Range<usize>, (need, rest): (&'a [i32], &'a [i32])) -> Side<'a> {
    Side { words: clks.words(), codes: codes(clks, range), need, rest }
}

fn codes(clks: &Clks, range: Range<usize>) -> &[u64] {
    &clks.codes()[range.start * clks.words()..range.end * clks.words()]
}

/// The number of words with the least expected time a pair.
pub(super) fn words_to_read(
    left: &Clks,
    right: &Clks,
    threshold: Threshold,
    (kernel, costs): (Kernel, Costs),
) -> usize {
    let survivors = survivors(left, right, threshold, kernel);
    let cost = |read: &usize| {
        let survivors = survivors[read - 1] as f64 / (SAMPLE[0] * SAMPLE[1]) as f64;
        costs.word * *read as f64 + costs.survivor * survivors
    };
    (1..=left.words()).min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("a code has at least one word")
}

/// Of sampled pairs, those that survive a sieve that reads 1, 2, 3 and so on words.
fn survivors(left: &Clks, right: &Clks, threshold: Threshold, kernel: Kernel) -> Vec<usize> {
    let words = left.words();
    // Evenly over both files, whatever their order is.
    let places = |clks: &Clks, count: usize| (0..count).map(|at| at * clks.len() / count).collect::<Vec<_>>();
    let shares = |clks: &Clks, at: usize| threshold.shares(clks.ones()[at]);
    let lefts = places(left, SAMPLE[0]).into_iter().map(|at| Sampled::new(left, at, shares(left, at).0, kernel));
    let rights = places(right, SAMPLE[1]).into_iter().map(|at| Sampled::new(right, at, shares(right, at).1, kernel));
    let (lefts, rights): (Vec<_>, Vec<_>) = (lefts.collect(), rights.collect());
    let (mut survivors, mut common) = (vec![0; words], vec![0; words]);
    for (a, b) in lefts.iter().flat_map(|a| rights.iter().map(move |b| (a, b))) {
        kernel.overlaps(a.code, b.code, &mut common);
        for (at, survivors) in survivors.iter_mut().enumerate() {
            *survivors += usize::from(common[at] as i32 + a.rests[at].min(b.rests[at]) >= a.need + b.need);
        }
    }
    survivors
}

struct Sampled<'a> {
    code: &'a [u64],
    need: i32,
    /// Set bits behind the first word, the first two and so on.
    rests: Vec<i32>,
}

impl<'a> Sampled<'a> {
    fn new(clks: &'a Clks, at: usize, need: i32, kernel: Kernel) -> Self {
        let code = clks.code(at);
        let mut rests = Vec::with_capacity(code.len());
        (1..=code.len()).for_each(|read| kernel.rests(code, code.len(), read, &mut rests));
        Self { code, need, rests }
    }
}
