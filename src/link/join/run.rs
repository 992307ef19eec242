//! The work, cut into pieces that threads take without waiting for each other.
//!
//! A piece is a block of the left file, which fits into a core's cache, against a range of the right one. Some blocks
//! make a stretch: its matches are complete when all its pieces are done.

use std::ops::{ControlFlow, Range};

use super::plan::{Bounds, Plan};
use super::share::{Give, share};
use super::threshold::{Needed, dice};
use super::{Clks, Join, JoinError, Match, Summary};
use crate::link::popcount::{Kernel, Pair, Sieve};

/// Words of left codes that are held against the right ones at once: as tiles, a byte a bit, they fill 768 KiB of a
/// core's L2 cache.
const BLOCK_WORDS: usize = 12 << 10;
/// Right codes between two looks at who survived: bounds the memory for survivors to 4 MiB a thread.
const LOOK: usize = 512;
/// Right codes of a piece: a thread that has the last one is waited for, and the left block is laid out once a thread.
const RANGE: usize = 1 << 13;
/// Pairs of a stretch, at least: enough that starting threads is forgotten.
const STRETCH: usize = 1 << 29;
/// Matches that a thread keeps before it gives them away.
const BATCH: usize = 1 << 14;

/// What [`Join::run`] tells while it works.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Some matches, in no order.
    Matches(Vec<Match>),
    /// All matches of left codes before this position have been given.
    Complete { left: usize },
}

impl Join<'_> {
    /// Compares all pairs and gives every match once. Stops at the first error of `take`.
    ///
    /// # Errors
    /// [`JoinError`] if the files cannot be compared, or what `take` says.
    pub fn run<E: From<JoinError>>(&self, mut take: impl FnMut(Progress) -> Result<(), E>) -> Result<Summary, E> {
        self.check()?;
        let (left, right) = (self.left, self.right);
        let kernel = self.kernel.unwrap_or_else(|| Kernel::best_for(left.len()));
        let plan = Plan::new(left, right, self.threshold, kernel);
        let needed = Needed::new(self.threshold, left.bits());
        let mut matches = 0;
        let mut count = |progress: Progress| {
            if let Progress::Matches(found) = &progress {
                matches += found.len() as u64;
            }
            take(progress)
        };
        let ranges = even(0..right.len(), RANGE, 1);
        let block = (BLOCK_WORDS / plan.read).clamp(64, 1024);
        let blocks = even(0..left.len(), block, 32);
        let work = Work { left, right, kernel, plan, needed };
        let together = STRETCH.div_ceil(block * right.len()).max((4 * self.threads.get()).div_ceil(ranges.len()));
        for stretch in blocks.chunks(together) {
            let pieces = stretch.iter().flat_map(|block| ranges.iter().map(|range| (block.clone(), range.clone())));
            let pieces: Vec<Piece> = pieces.collect();
            let threads = self.threads.get();
            share(
                &pieces,
                threads,
                |own, piece, give| work.piece(own, piece, give),
                |found| count(Progress::Matches(found)),
            )?;
            count(Progress::Complete { left: stretch.last().map_or(0, |block| block.end) })?;
        }
        let pairs = left.len() as u64 * right.len() as u64;
        Ok(Summary { pairs, compared: pairs, matches, kernel, words_read: work.plan.read })
    }

    pub(super) fn check(&self) -> Result<(), JoinError> {
        let (left, right) = (self.left, self.right);
        if left.is_empty() || right.is_empty() {
            return Err(JoinError::Empty);
        }
        if left.bits() != right.bits() {
            return Err(JoinError::Sides { left: left.bits(), right: right.bits() });
        }
        Ok(())
    }
}

/// Cuts a range into equal parts of at most `most`, each but the last a multiple of `unit`.
pub(super) fn even(whole: Range<usize>, most: usize, unit: usize) -> Vec<Range<usize>> {
    let parts = whole.len().div_ceil(most).max(1);
    let step = whole.len().div_ceil(parts).next_multiple_of(unit);
    whole.clone().step_by(step).map(|start| start..whole.end.min(start + step)).collect()
}

type Piece = (Range<usize>, Range<usize>);

/// What a thread keeps between pieces: the left block as its kernel wants it, and room for what is told of right codes.
#[derive(Default)]
struct Own<'a> {
    laid_out: Option<(Range<usize>, Sieve<'a>)>,
    bounds: Bounds,
}

struct Work<'a> {
    left: &'a Clks,
    right: &'a Clks,
    kernel: Kernel,
    plan: Plan,
    needed: Needed,
}

impl Work<'_> {
    fn piece<'w>(&'w self, own: &mut Own<'w>, (block, range): &Piece, give: Give<'_>) -> ControlFlow<()> {
        own.laid_out.take_if(|(of, _)| of != block);
        let lay_out = || Sieve::new(self.kernel, self.plan.left(self.left, block.clone()), self.plan.read);
        let (_, sieve) = own.laid_out.get_or_insert_with(|| (block.clone(), lay_out()));
        let mut pairs = Vec::new();
        let mut found = Vec::new();
        for start in range.clone().step_by(LOOK) {
            let rows = start..range.end.min(start + LOOK);
            sieve.sift(self.plan.right(self.right, rows, &mut own.bounds), &mut pairs);
            found.extend(pairs.drain(..).filter_map(|Pair { query, row }| {
                let (left, right) = (block.start + query as usize, start + row as usize);
                compare((self.left, left), (self.right, right), (&self.needed, self.kernel))
            }));
            if found.len() >= BATCH {
                give(std::mem::take(&mut found))?;
            }
        }
        if found.is_empty() { ControlFlow::Continue(()) } else { give(found) }
    }
}

/// A left and a right code in full, if they match.
pub(super) fn compare(
    left: (&Clks, usize),
    right: (&Clks, usize),
    (needed, kernel): (&Needed, Kernel),
) -> Option<Match> {
    let common = kernel.overlap(left.0.code(left.1), right.0.code(right.1));
    let sum = left.0.ones()[left.1] + right.0.ones()[right.1];
    let reached = needed.reached(common, sum);
    // Positions fit: no file has more than `u32::MAX` CLKs.
    reached.then(|| Match { left: left.1 as u32, right: right.1 as u32, dice: dice(common, sum) })
}
