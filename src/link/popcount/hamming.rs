//! The face for codes of the service: whose codes lie within a Hamming distance of those that are asked.
//!
//! A row holds all codes of a person in two parts: the first words of each code that is compared with everybody, and
//! the rest of all of them. A pair that differs in more than `near` bits of the first words is dropped without a look at
//! the rest, which so lies in memory unread for nearly everybody: what is read of a register is what a question takes.

use super::{Isa, Kernel, portable};

/// Rows of people: so many words a row of either part.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub first: &'a [u64],
    pub first_words: usize,
    pub second: &'a [u64],
    pub second_words: usize,
}

/// Where a code lies in a row, in words of either part. What is read first is an even number of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub first: usize,
    /// Words in the first part.
    pub read: usize,
    pub second: usize,
    /// Words in the second part.
    pub rest: usize,
}

/// A code that is held against the code at one place of every row.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub place: Place,
    /// As many words as there are at the place, those of the first part first.
    pub code: &'a [u64],
    /// Bits that the words of the first part may differ in.
    pub near: u32,
    /// Bits that the code may differ in.
    pub limit: u32,
}

/// A code that was asked and a row whose code is near enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Position of the row.
    pub row: usize,
    /// Position of the code that was asked.
    pub asked: usize,
    /// Differing bits.
    pub distance: u32,
}

impl<'a> Rows<'a> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.first.len() / self.first_words
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Some of the rows.
    #[must_use]
    #[inline(always)]
    pub fn range(self, rows: std::ops::Range<usize>) -> Self {
        Self {
            first: &self.first[rows.start * self.first_words..rows.end * self.first_words],
            second: &self.second[rows.start * self.second_words..rows.end * self.second_words],
            ..self
        }
    }

    /// The first words of a row's code, and the rest of it.
    #[inline(always)]
    pub fn code(self, row: usize, place: Place) -> [&'a [u64]; 2] {
        let first = &self.first[row * self.first_words + place.first..][..place.read];
        [first, &self.second[row * self.second_words + place.second..][..place.rest]]
    }

    /// # Panics
    /// If lengths do not fit together: the scan would be of something else than was asked.
    fn check(&self, asked: &[Asked<'_>]) {
        assert!(self.first_words > 0 && self.first.len().is_multiple_of(self.first_words), "whole rows");
        assert_eq!(self.second.len(), self.len() * self.second_words, "as many rows of the second part");
        for Asked { place, code, .. } in asked {
            assert!(place.read > 0 && place.read.is_multiple_of(2), "words are read first, two by two");
            assert_eq!(code.len(), place.read + place.rest, "a code as long as those at its place");
            assert!(place.first + place.read <= self.first_words, "a place in the first part");
            assert!(place.second + place.rest <= self.second_words, "a place in the second part");
        }
    }
}

/// Bits in which a code and one that lies in two parts differ.
pub fn distance(code: &[u64], [first, second]: [&[u64]; 2]) -> u32 {
    let (ours, rest) = code.split_at(first.len());
    portable::distance(ours, first) + portable::distance(rest, second)
}

impl Kernel {
    /// Appends every code that was asked with every row within both of its limits, in no order.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn within(self, rows: Rows<'_>, asked: &[Asked<'_>], hits: &mut Vec<Hit>) {
        rows.check(asked);
        match self.0 {
            Isa::Portable => portable::within(rows, asked, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Popcnt(kernel) => kernel.within(rows, asked, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(kernel) => kernel.within(rows, asked, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(kernel) => kernel.within(rows, asked, hits),
            // Tiles of bytes pay where all words are read at once.
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(kernel) => kernel.avx512().within(rows, asked, hits),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(kernel) => kernel.within(rows, asked, hits),
        }
    }
}
