//! AVX-512 counts the bits of sixteen 32-bit lanes at once (VPOPCNTD).
//!
//! For many queries sixteen rows lie side by side and no sum runs across lanes. For one or a few, rows stay as they are
//! and the sums of eight rows are turned into one vector by a tree of shuffles. Hamming distances: see `turned`.

use std::arch::x86_64::{
    __m256i, __m512i, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_add_epi32, _mm256_loadu_si256, _mm256_min_epi32,
    _mm256_set1_epi32, _mm256_sub_epi32, _mm512_add_epi32, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpge_epi32_mask,
    _mm512_cmpge_epi64_mask, _mm512_cvtepi32_epi64, _mm512_load_si512, _mm512_maskz_loadu_epi64, _mm512_min_epi32,
    _mm512_popcnt_epi32, _mm512_popcnt_epi64, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shuffle_i64x2,
    _mm512_sub_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use super::{Lanes, Panel, Popcnt, turned};
use crate::link::popcount::hamming::{Asked, Hit, Rows};
use crate::link::popcount::portable;
use crate::link::popcount::sieve::{Layout, Pair, Queries, Side};

/// Proof that this CPU has AVX-512F, VPOPCNTDQ and POPCNT, and that the operating system keeps their registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link::popcount) struct Avx512(Popcnt);

/// Fewer queries are not worth turning rows.
const FEW: usize = 8;
/// Rows of which those that come near are noted before they are measured: their second parts are on the way by then.
const LOOK: usize = 512;
/// Pairs that are measured between asking memory for a second part and its turn.
const PAIRS_AHEAD: usize = 16;

impl Avx512 {
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq");
        Popcnt::detect().filter(|_| has).map(Self)
    }

    pub fn popcnt(self) -> Popcnt {
        self.0
    }

    pub fn within(self, rows: Rows<'_>, asked: &[Asked<'_>], hits: &mut Vec<Hit>) {
        // SAFETY: `self` exists only where the features were detected, and they are all that the function asks for.
        unsafe { within(rows, asked, hits) }
    }

    pub fn layout(self, queries: Side<'_>, read: usize) -> Layout {
        if queries.len() < FEW {
            Layout::Words(Layout::words(queries, read))
        } else {
            Layout::Halves(side_by_side(&Layout::halves(queries, read), 2 * read))
        }
    }

    pub fn sift(self, queries: &Queries<'_>, halves: &[u32], rows: Side<'_>, pairs: &mut Vec<Pair>) {
        // SAFETY: as above.
        unsafe { sift(queries, halves, rows, pairs) }
    }

    pub fn sift_few(self, queries: &Queries<'_>, prefixes: &[u64], rows: Side<'_>, pairs: &mut Vec<Pair>) {
        // SAFETY: as above.
        unsafe { sift_few(queries, prefixes, rows, pairs) }
    }
}

/// Queries that share a load of the rows. Their halves lie side by side.
const TOGETHER: usize = 4;

/// Of queries of so many halves each.
fn side_by_side(halves: &[u32], step: usize) -> Vec<u32> {
    let groups = halves.chunks_exact(TOGETHER * step);
    let alone = groups.remainder().iter().copied();
    let turned = |group: &[u32]| -> Vec<u32> {
        (0..step).flat_map(|half| group.iter().skip(half).step_by(step)).copied().collect()
    };
    groups.flat_map(turned).chain(alone).collect()
}

#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
fn sift(queries: &Queries<'_>, halves: &[u32], rows: Side<'_>, pairs: &mut Vec<Pair>) {
    let step = 2 * queries.read;
    let mut panel = Panel::new(queries.read);
    for first in (0..rows.len()).step_by(16) {
        panel.fill(rows, first);
        let mut groups = halves.chunks_exact(TOGETHER * step);
        let mut query = 0;
        for group in groups.by_ref() {
            sift_group::<TOGETHER>(queries, query, group, &panel, first, pairs);
            query += TOGETHER;
        }
        for asked in groups.remainder().chunks_exact(step) {
            sift_group::<1>(queries, query, asked, &panel, first, pairs);
            query += 1;
        }
    }
}

/// A few queries, from position `query` on, and sixteen rows, from position `first` on.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
fn sift_group<const N: usize>(
    queries: &Queries<'_>,
    query: usize,
    halves: &[u32],
    panel: &Panel,
    first: usize,
    pairs: &mut Vec<Pair>,
) {
    let mut sums = [_mm512_setzero_si512(); N];
    // A word at a time: sums wait for every other addition only.
    let words = panel.halves.as_chunks::<2>().0.iter().zip(halves.as_chunks::<N>().0.as_chunks::<2>().0);
    for ([low_rows, high_rows], [low, high]) in words {
        let (low_rows, high_rows) = (sixteen(low_rows), sixteen(high_rows));
        for at in 0..N {
            let low = _mm512_and_si512(low_rows, _mm512_set1_epi32(low[at] as i32));
            let high = _mm512_and_si512(high_rows, _mm512_set1_epi32(high[at] as i32));
            let word = _mm512_add_epi32(_mm512_popcnt_epi32(low), _mm512_popcnt_epi32(high));
            sums[at] = _mm512_add_epi32(sums[at], word);
        }
    }
    let (need, rest) = (sixteen(&panel.need), sixteen(&panel.rest));
    let mut near = [0_u16; N];
    for at in 0..N {
        let most = _mm512_add_epi32(sums[at], _mm512_min_epi32(rest, _mm512_set1_epi32(queries.rest[query + at])));
        let beyond = _mm512_sub_epi32(most, need);
        near[at] = _mm512_cmpge_epi32_mask(beyond, _mm512_set1_epi32(queries.need[query + at]));
    }
    if near.iter().fold(0, |any, near| any | near) != 0 {
        for (at, near) in near.into_iter().enumerate() {
            push(u32::from(near), query + at, first, pairs);
        }
    }
}

#[inline]
fn push(mut near: u32, query: usize, first: usize, pairs: &mut Vec<Pair>) {
    while near != 0 {
        pairs.push(Pair { query: query as u32, row: first as u32 + near.trailing_zeros() });
        near &= near - 1;
    }
}

#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
fn sift_few(queries: &Queries<'_>, prefixes: &[u64], rows: Side<'_>, pairs: &mut Vec<Pair>) {
    let (read, words) = (queries.read, rows.words);
    let whole = rows.len() / 8 * 8;
    for first in (0..whole).step_by(8) {
        let block = &rows.codes[first * words..][..8 * words];
        fetch_ahead(block);
        let (need, rest) = (eight(&rows.need[first..first + 8]), eight(&rows.rest[first..first + 8]));
        for (query, asked) in prefixes.chunks_exact(read).enumerate() {
            let rest = _mm256_min_epi32(rest, _mm256_set1_epi32(queries.rest[query]));
            let enough = _mm256_sub_epi32(_mm256_add_epi32(need, _mm256_set1_epi32(queries.need[query])), rest);
            let sums = sums_of_eight(asked, block, words);
            let near = _mm512_cmpge_epi64_mask(sums, _mm512_cvtepi32_epi64(enough));
            push(u32::from(near), query, first, pairs);
        }
    }
    let tail =
        Side { words, codes: &rows.codes[whole * words..], need: &rows.need[whole..], rest: &rows.rest[whole..] };
    let known = pairs.len();
    portable::sift(queries, prefixes, tail, pairs);
    pairs[known..].iter_mut().for_each(|pair| pair.row += whole as u32);
}

#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
fn within(rows: Rows<'_>, asked: &[Asked<'_>], hits: &mut Vec<Hit>) {
    let mut panels = turned::Panels::new(rows, asked);
    let mut pairs: Vec<Pair> = Vec::new();
    for start in (0..rows.len()).step_by(LOOK) {
        let some = rows.range(start..rows.len().min(start + LOOK));
        let known = hits.len();
        let whole = turned::near(&mut panels, some, &mut pairs);
        for (at, pair) in pairs.iter().enumerate() {
            if let Some(next) = pairs.get(at + PAIRS_AHEAD) {
                fetch(some.code(next.row as usize, asked[next.query as usize].place)[1]);
            }
            hits.extend(portable::measure(some, asked, (pair.row as usize, pair.query as usize)));
        }
        pairs.clear();
        hits[known..].iter_mut().for_each(|hit| hit.row += start);
        let known = hits.len();
        portable::within(some.range(whole..some.len()), asked, hits);
        hits[known..].iter_mut().for_each(|hit| hit.row += start + whole);
    }
}

/// Words that are asked of memory before they are needed: 8 KiB. The processor's own foresight ends at a page.
const AHEAD: usize = 1024;

/// Asks memory for what follows a while after these rows.
#[inline]
#[target_feature(enable = "sse")]
pub(super) fn fetch_ahead(rows: &[u64]) {
    for line in (0..rows.len()).step_by(8) {
        // Only a hint: nothing is read, wherever this points.
        _mm_prefetch::<_MM_HINT_T1>(rows.as_ptr().wrapping_add(AHEAD + line).cast());
    }
}

/// Asks memory for these words.
#[inline]
#[target_feature(enable = "sse")]
fn fetch(words: &[u64]) {
    for line in words.chunks(8) {
        // As above.
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
    }
}

/// Set bits in common of one query and eight rows of so many words, lane by lane.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn sums_of_eight(asked: &[u64], rows: &[u64], words: usize) -> __m512i {
    assert!(asked.len() <= words && rows.len() >= 8 * words, "eight rows as long as the query");
    let mut sums = [_mm512_setzero_si512(); 8];
    for start in (0..asked.len()).step_by(8) {
        // Of the last words the lanes that there are.
        let mask = 0xff >> (start + 8).saturating_sub(asked.len());
        // SAFETY: the mask leaves out what is behind the query's end.
        let query = unsafe { _mm512_maskz_loadu_epi64(mask, asked.as_ptr().add(start).cast()) };
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the row has at least the query's words, and there are eight rows.
            let row = unsafe { _mm512_maskz_loadu_epi64(mask, rows.as_ptr().add(row * words + start).cast()) };
            *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(_mm512_and_si512(query, row)));
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    let (ab, cd, ef, gh) = (add_neighbours(a, b), add_neighbours(c, d), add_neighbours(e, f), add_neighbours(g, h));
    add_quarters(add_quarters(ab, cd), add_quarters(ef, gh))
}

/// a0+a1, b0+b1, a2+a3, b2+b3 and so on.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_neighbours(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
}

/// Of quarters of 128 bits: a0+a1, a2+a3, b0+b1, b2+b3.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_quarters(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi64(_mm512_shuffle_i64x2::<0b10_00_10_00>(a, b), _mm512_shuffle_i64x2::<0b11_01_11_01>(a, b))
}

#[inline]
#[target_feature(enable = "avx2")]
fn eight(numbers: &[i32]) -> __m256i {
    assert_eq!(numbers.len(), 8);
    // SAFETY: eight `i32` are 32 readable bytes.
    unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sixteen(lanes: &Lanes) -> __m512i {
    // SAFETY: `Lanes` are 64 readable bytes, aligned to 64 as this load wants.
    unsafe { _mm512_load_si512((&raw const *lanes).cast()) }
}
