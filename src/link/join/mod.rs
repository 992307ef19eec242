//! All pairs of two files of plain CLKs whose Dice coefficient reaches a threshold: exactly those, whatever the kernel.
//!
//! CLKs go into [`Clks`], one a file; [`Join::run`] gives every [`Match`] away as it is found, block by block of the
//! left file, so that no more than a block's matches need ever be kept. Most pairs are dropped by a sieve that reads
//! only the first words of both codes (see [`popcount`](super::popcount)); those that stay are compared in full and
//! decided by [`Threshold`]'s rule. One question against a register that stays in memory is asked of [`Planes`].
//! [`Join::run_lsh`] is faster with very many CLKs and misses some pairs;
//! [`suggest()`] estimates what a threshold would give.

mod clks;
mod lsh;
mod plan;
mod planes;
mod run;
mod share;
mod suggest;
mod threshold;

use std::num::NonZeroUsize;

pub use clks::{Clks, MOST_BITS};
pub use lsh::Lsh;
pub use planes::Planes;
pub use run::Progress;
pub use suggest::{Expected, STEPS, Suggestion, suggest};
pub use threshold::Threshold;

use super::popcount::Kernel;

/// Why CLKs cannot be joined. One variant per thing a caller can do about it; positions are counted from 0, as in the
/// results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// A length that no kernel takes.
    #[error(
        "the CLK at position {position} has {bits} bits; CLKs of 64 to {MOST_BITS} bits, a multiple of 64, can be compared"
    )]
    Length { position: usize, bits: usize },
    /// The first CLK that is not as long as those before it.
    #[error(
        "the CLK at position {position} has {bits} bits where those before it have {want}; make all with one schema"
    )]
    Mixed { position: usize, bits: usize, want: usize },
    /// A file without any.
    #[error("there is no CLK to compare")]
    Empty,
    /// Two files that were made with different schemas.
    #[error("left CLKs have {left} bits and right ones {right}; make both with one schema")]
    Sides { left: usize, right: usize },
    /// Not a similarity.
    #[error("a threshold is above 0 and at most 1")]
    Threshold,
    /// Nobody to learn from what strangers have in common.
    #[error("a single right CLK tells nothing of strangers; give more")]
    TooFew,
    /// Positions are numbers of 32 bits.
    #[error("more than {} CLKs; split the file", u32::MAX)]
    TooMany,
}

/// A pair that reaches the threshold: positions from 0, and the Dice coefficient as [`Threshold`] computes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    pub left: u32,
    pub right: u32,
    pub dice: f64,
}

/// What is compared, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Join<'a> {
    pub left: &'a Clks,
    pub right: &'a Clks,
    pub threshold: Threshold,
    /// The fastest one for so many CLKs if not given.
    pub kernel: Option<Kernel>,
    pub threads: NonZeroUsize,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Pairs that there are.
    pub pairs: u64,
    /// Comparisons: all pairs, unless only candidates were looked at.
    pub compared: u64,
    /// Those that reach the threshold.
    pub matches: u64,
    pub kernel: Kernel,
    /// Words of 64 bits that the sieve read of each code.
    pub words_read: usize,
}

#[cfg(test)]
mod tests;
