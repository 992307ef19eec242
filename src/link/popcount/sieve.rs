//! The face for joins: which pairs may overlap enough, decided from the first words of the codes alone.
//!
//! A pair of codes a and b that agrees in `i` bits of the words that were read can agree in at most
//! `min(rest(a), rest(b))` more, where `rest` counts the set bits of the words that were not. It is dropped if even
//! that is not enough; most pairs are, after half of their words. Who stays is compared in full by the caller.

use std::fmt;

use super::{Isa, Kernel};

/// Codes and what the sieve must know of each.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Words of a code.
    pub words: usize,
    /// The codes, one after the other.
    pub codes: &'a [u64],
    /// Per code its share of the overlap that a pair needs: a pair needs the sum of both shares. Each at most
    /// [`MOST_NEED`] from zero.
    pub need: &'a [i32],
    /// Per code the set bits of the words that the sieve does not read.
    pub rest: &'a [i32],
}

/// A code has at most so many bits: sums of needs stay far from the ends of an `i32`.
pub const MOST_NEED: i32 = 1 << 24;

impl Side<'_> {
    /// Number of codes.
    pub fn len(&self) -> usize {
        self.need.len()
    }

    /// Whether there is no code.
    pub fn is_empty(&self) -> bool {
        self.need.is_empty()
    }

    /// # Panics
    /// If lengths do not fit together.
    fn check(&self) {
        assert!(self.words > 0, "a code has at least one word");
        assert_eq!(self.codes.len(), self.need.len() * self.words, "one need a code");
        assert_eq!(self.rest.len(), self.need.len(), "one rest a code");
    }
}

/// Positions of a pair that may overlap enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub query: u32,
    pub row: u32,
}

/// Queries laid out for one kernel, to be held against many rows.
pub struct Sieve<'a> {
    queries: Queries<'a>,
    layout: Layout,
    kernel: Kernel,
}

/// What every kernel is told of the queries.
pub(super) struct Queries<'a> {
    /// Words that are read.
    pub read: usize,
    pub need: &'a [i32],
    pub rest: &'a [i32],
}

/// The first words of the queries as a kernel wants them.
pub(super) enum Layout {
    /// One query after the other.
    Words(Vec<u64>),
    /// The same in halves: the low one of a word first.
    #[cfg(target_arch = "x86_64")]
    Halves(Vec<u32>),
    #[cfg(target_arch = "x86_64")]
    Tiles(super::x86_64::Tiles),
}

impl Layout {
    pub fn words(queries: Side<'_>, read: usize) -> Vec<u64> {
        queries.codes.chunks_exact(queries.words).flat_map(|code| &code[..read]).copied().collect()
    }

    #[cfg(target_arch = "x86_64")]
    pub fn halves(queries: Side<'_>, read: usize) -> Vec<u32> {
        let words = queries.codes.chunks_exact(queries.words).flat_map(|code| &code[..read]);
        words.flat_map(|word| [*word as u32, (*word >> 32) as u32]).collect()
    }
}

impl<'a> Sieve<'a> {
    /// A sieve that reads the first `read` words of each code.
    ///
    /// # Panics
    /// If the lengths do not fit together, or a code has fewer words.
    pub fn new(kernel: Kernel, queries: Side<'a>, read: usize) -> Self {
        queries.check();
        assert!((1..=queries.words).contains(&read), "a sieve reads some words of a code");
        let layout = kernel.0.layout(queries, read);
        Self { queries: Queries { read, need: queries.need, rest: queries.rest }, layout, kernel }
    }

    /// Appends every pair of a query and a row that may overlap enough, in no order.
    ///
    /// # Panics
    /// If the lengths do not fit together, or a code has fewer words than the sieve reads.
    pub fn sift(&self, rows: Side<'_>, pairs: &mut Vec<Pair>) {
        rows.check();
        assert!(self.queries.read <= rows.words, "rows are as long as queries");
        self.kernel.0.sift(&self.queries, &self.layout, rows, pairs);
    }
}

impl Isa {
    fn layout(self, queries: Side<'_>, read: usize) -> Layout {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Layout::Halves(Layout::halves(queries, read)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(kernel) => kernel.layout(queries, read),
            #[cfg(target_arch = "x86_64")]
            Self::Amx(kernel) => Layout::Tiles(kernel.tiles(queries, read)),
            _ => Layout::Words(Layout::words(queries, read)),
        }
    }

    fn sift(self, queries: &Queries<'_>, layout: &Layout, rows: Side<'_>, pairs: &mut Vec<Pair>) {
        match (self, layout) {
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2(kernel), Layout::Halves(halves)) => kernel.sift(queries, halves, rows, pairs),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512(kernel), Layout::Halves(halves)) => kernel.sift(queries, halves, rows, pairs),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512(kernel), Layout::Words(words)) => kernel.sift_few(queries, words, rows, pairs),
            #[cfg(target_arch = "x86_64")]
            (Self::Amx(kernel), Layout::Tiles(tiles)) => kernel.sift(queries, tiles, rows, pairs),
            #[cfg(target_arch = "x86_64")]
            (Self::Popcnt(kernel), Layout::Words(words)) => kernel.sift(queries, words, rows, pairs),
            #[cfg(target_arch = "aarch64")]
            (Self::Neon(kernel), Layout::Words(words)) => kernel.sift(queries, words, rows, pairs),
            (_, Layout::Words(words)) => super::portable::sift(queries, words, rows, pairs),
            #[cfg(target_arch = "x86_64")]
            _ => unreachable!("`layout` made what the kernel wants"),
        }
    }
}

impl fmt::Debug for Sieve<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sieve({} queries, {} words, {})", self.queries.need.len(), self.queries.read, self.kernel.name())
    }
}
