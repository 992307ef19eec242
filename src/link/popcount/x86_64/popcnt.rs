//! The portable code, compiled for the POPCNT instruction.

use crate::link::popcount::hamming::{Asked, Hit, Rows};
use crate::link::popcount::portable;
use crate::link::popcount::sieve::{Pair, Queries, Side};

/// Proof that this CPU has POPCNT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link::popcount) struct Popcnt(());

impl Popcnt {
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("popcnt").then_some(Self(()))
    }

    pub fn within(self, rows: Rows<'_>, asked: &[Asked<'_>], hits: &mut Vec<Hit>) {
        // SAFETY: `self` exists only where POPCNT was detected, and that is all that the function asks for.
        unsafe { within(rows, asked, hits) }
    }

    pub fn overlap(self, a: &[u64], b: &[u64]) -> u32 {
        // SAFETY: as above.
        unsafe { overlap(a, b) }
    }

    pub fn overlaps(self, a: &[u64], b: &[u64], sums: &mut [u32]) {
        // SAFETY: as above.
        unsafe { overlaps(a, b, sums) }
    }

    pub fn rests(self, codes: &[u64], words: usize, read: usize, rests: &mut Vec<i32>) {
        // SAFETY: as above.
        unsafe { self::rests(codes, words, read, rests) }
    }

    pub fn sift(self, queries: &Queries<'_>, prefixes: &[u64], rows: Side<'_>, pairs: &mut Vec<Pair>) {
        // SAFETY: as above.
        unsafe { sift(queries, prefixes, rows, pairs) }
    }
}

#[target_feature(enable = "popcnt")]
fn within(rows: Rows<'_>, asked: &[Asked<'_>], hits: &mut Vec<Hit>) {
    portable::within(rows, asked, hits);
}

#[target_feature(enable = "popcnt")]
fn overlap(a: &[u64], b: &[u64]) -> u32 {
    portable::overlap(a, b)
}

#[target_feature(enable = "popcnt")]
fn overlaps(a: &[u64], b: &[u64], sums: &mut [u32]) {
    portable::overlaps(a, b, sums);
}

#[target_feature(enable = "popcnt")]
fn rests(codes: &[u64], words: usize, read: usize, rests: &mut Vec<i32>) {
    portable::rests(codes, words, read, rests);
}

#[target_feature(enable = "popcnt")]
fn sift(queries: &Queries<'_>, prefixes: &[u64], rows: Side<'_>, pairs: &mut Vec<Pair>) {
    portable::sift(queries, prefixes, rows, pairs);
}
