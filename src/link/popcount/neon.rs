//! Kernels for AArch64: NEON counts the bits of sixteen bytes at once and adds bytes to bytes, and only what a byte cannot
//! hold is widened. What a compiler makes of the portable code widens every vector.

use std::arch::aarch64::{uint8x16_t, vaddlvq_u8, vaddq_u8, vandq_u8, vcntq_u8, vdupq_n_u8, veorq_u8, vld1q_u8};
use std::arch::is_aarch64_feature_detected;

use super::hamming::{Asked, Hit, Rows};
use super::portable;
use super::sieve::{Pair, Queries, Side};

/// Proof that this CPU has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neon(());

/// Vectors whose counts a byte holds: each adds 8 at most.
const VECTORS: usize = 31;

impl Neon {
    pub fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    pub fn within(self, rows: Rows<'_>, asked: &[Asked<'_>], hits: &mut Vec<Hit>) {
        // SAFETY: `self` exists only where NEON was detected, and that is all that the function asks for.
        unsafe { within(rows, asked, hits) }
    }

    pub fn sift(self, queries: &Queries<'_>, prefixes: &[u64], rows: Side<'_>, pairs: &mut Vec<Pair>) {
        // SAFETY: as above.
        unsafe { sift(queries, prefixes, rows, pairs) }
    }
}

#[target_feature(enable = "neon")]
fn within(rows: Rows<'_>, asked: &[Asked<'_>], hits: &mut Vec<Hit>) {
    for row in 0..rows.len() {
        for (at, one) in asked.iter().enumerate() {
            let first = &rows.first[row * rows.first_words + one.place.first..][..one.place.read];
            let differing = count::<true>(&one.code[..one.place.read], first);
            if differing <= one.near {
                hits.extend(portable::measure(rows, asked, (row, at)));
            }
        }
    }
}

#[target_feature(enable = "neon")]
fn sift(queries: &Queries<'_>, prefixes: &[u64], rows: Side<'_>, pairs: &mut Vec<Pair>) {
    for (row, code) in rows.codes.chunks_exact(rows.words).enumerate() {
        let code = &code[..queries.read];
        let (need, rest) = (rows.need[row], rows.rest[row]);
        for (query, asked) in prefixes.chunks_exact(queries.read).enumerate() {
            let overlap = count::<false>(asked, code) as i32;
            if overlap + rest.min(queries.rest[query]) >= need + queries.need[query] {
                pairs.push(Pair { query: query as u32, row: row as u32 });
            }
        }
    }
}

/// Bits that differ, or that are set in both. The shorter of the two ends it.
#[inline]
#[target_feature(enable = "neon")]
fn count<const DIFFERING: bool>(a: &[u64], b: &[u64]) -> u32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<2>(), b.as_chunks::<2>());
    let mut sum = 0;
    for (a, b) in a.chunks(VECTORS).zip(b.chunks(VECTORS)) {
        let mut counts = vdupq_n_u8(0);
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (load(a), load(b));
            let bits = if DIFFERING { veorq_u8(a, b) } else { vandq_u8(a, b) };
            counts = vaddq_u8(counts, vcntq_u8(bits));
        }
        sum += u32::from(vaddlvq_u8(counts));
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| if DIFFERING { a ^ b } else { a & b });
    sum + rest.map(u64::count_ones).sum::<u32>()
}

#[inline]
#[target_feature(enable = "neon")]
fn load(words: &[u64; 2]) -> uint8x16_t {
    // SAFETY: two words are 16 readable bytes, and bytes take any alignment.
    unsafe { vld1q_u8(words.as_ptr().cast()) }
}
