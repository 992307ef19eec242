//! AVX2 has no popcount: a table of 16 nibbles looks it up (Mula, Kurz and Lemire, "Faster population counts using
//! AVX2 instructions", 2018). Rows lie side by side, so that counts are summed up once for eight pairs.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi8, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpgt_epi32,
    _mm256_load_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_min_epi32, _mm256_movemask_ps, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srli_epi32, _mm256_sub_epi32,
};

use super::{Lanes, Panel, Popcnt};
use crate::link::popcount::hamming::{Asked, Hit, Rows};
use crate::link::popcount::sieve::{Pair, Queries, Side};

/// Proof that this CPU has AVX2, and POPCNT for what is compared row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link::popcount) struct Avx2(Popcnt);

impl Avx2 {
    pub fn detect() -> Option<Self> {
        Popcnt::detect().filter(|_| is_x86_feature_detected!("avx2")).map(Self)
    }

    pub fn popcnt(self) -> Popcnt {
        self.0
    }

    /// Rows one by one have nothing to gain from half a popcount.
    pub fn within(self, rows: Rows<'_>, asked: &[Asked<'_>], hits: &mut Vec<Hit>) {
        self.0.within(rows, asked, hits);
    }

    pub fn sift(self, queries: &Queries<'_>, halves: &[u32], rows: Side<'_>, pairs: &mut Vec<Pair>) {
        // SAFETY: `self` exists only where AVX2 was detected, and that is all that the function asks for.
        unsafe { sift(queries, halves, rows, pairs) }
    }
}

/// A byte counts up to 8 a time, and may count to 255.
const COUNTS_A_BYTE: usize = 31;

#[target_feature(enable = "avx2,popcnt")]
fn sift(queries: &Queries<'_>, halves: &[u32], rows: Side<'_>, pairs: &mut Vec<Pair>) {
    let mut panel = Panel::new(queries.read);
    for first in (0..rows.len()).step_by(16) {
        panel.fill(rows, first);
        for half in 0..2 {
            let (need, rest) = (eight(&panel.need, half), eight(&panel.rest, half));
            for (query, asked) in halves.chunks_exact(2 * queries.read).enumerate() {
                let overlap = overlaps(&panel.halves, half, asked);
                let most = _mm256_add_epi32(overlap, _mm256_min_epi32(rest, _mm256_set1_epi32(queries.rest[query])));
                let missing = _mm256_sub_epi32(_mm256_sub_epi32(need, most), _mm256_set1_epi32(-queries.need[query]));
                let short = _mm256_cmpgt_epi32(missing, _mm256_setzero_si256());
                let mut near = !_mm256_movemask_ps(_mm256_castsi256_ps(short)) as u32 & 0xff;
                while near != 0 {
                    let row = first + half * 8 + near.trailing_zeros() as usize;
                    pairs.push(Pair { query: query as u32, row: row as u32 });
                    near &= near - 1;
                }
            }
        }
    }
}

/// Set bits in common of one query and eight rows.
#[inline]
#[target_feature(enable = "avx2")]
fn overlaps(panel: &[Lanes], half: usize, asked: &[u32]) -> __m256i {
    let mut sum = _mm256_setzero_si256();
    for (panel, asked) in panel.chunks(COUNTS_A_BYTE).zip(asked.chunks(COUNTS_A_BYTE)) {
        let mut bytes = _mm256_setzero_si256();
        for (rows, asked) in panel.iter().zip(asked) {
            bytes = _mm256_add_epi8(
                bytes,
                byte_counts(_mm256_and_si256(eight(rows, half), _mm256_set1_epi32(*asked as i32))),
            );
        }
        let shorts = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(shorts, _mm256_set1_epi16(1)));
    }
    sum
}

#[inline]
#[target_feature(enable = "avx2")]
fn byte_counts(bits: __m256i) -> __m256i {
    let table = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let low = _mm256_set1_epi8(15);
    let high = _mm256_and_si256(_mm256_srli_epi32::<4>(bits), low);
    _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(bits, low)), _mm256_shuffle_epi8(table, high))
}

/// Eight of sixteen lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn eight(lanes: &Lanes, half: usize) -> __m256i {
    let lanes = &lanes.0[half * 8..][..8];
    // SAFETY: eight `u32` are 32 readable bytes, and both halves of the 64-byte-aligned lanes are aligned to 32.
    unsafe { _mm256_load_si256(lanes.as_ptr().cast()) }
}
