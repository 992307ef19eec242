//! Hamming distances with AVX-512 for a handful of queries and more: eight rows are turned, so that a vector holds one
//! word of each, and every query is held against them.
//!
//! Bits are added by logic before they are counted: of a running sum and two words of differing bits one instruction
//! makes the new sum, another one the carries (Harley and Seal's counter), so that only every other word is counted.
//! Differing bits are never made: an instruction of three operands takes query and row as they are.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_cmple_epi64_mask, _mm512_load_si512, _mm512_popcnt_epi64, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_slli_epi64, _mm512_store_si512, _mm512_ternarylogic_epi64,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use super::avx512::fetch_ahead;
use super::words;
use crate::link::popcount::hamming::{Hit, Scan};
use crate::link::popcount::{Line, portable};

/// Rows of a panel.
const ROWS: usize = 8;
/// Queries that share a load of the panel.
const TOGETHER: usize = 4;

/// All hits among whole panels of rows, panel by panel; gives the number of rows that it looked at.
#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
pub(super) fn within(scan: Scan<'_>, hits: &mut Vec<Hit>) -> usize {
    let lines = scan.code_lines;
    let whole = scan.rows.len() / lines / ROWS * ROWS;
    let groups: Vec<Group> = scan.queries.chunks(TOGETHER * lines).map(|queries| Group::new(queries, lines)).collect();
    let mut panel = vec![Line([0; 8]); ROWS * lines];
    for first in (0..whole).step_by(ROWS) {
        let start = hits.len();
        let rows = &scan.rows[first * lines..][..ROWS * lines];
        turn(rows, &mut panel);
        for (at, group) in groups.iter().enumerate() {
            let query = at * TOGETHER;
            match group {
                Group::One(words) => note(scan, (query, first), distances(&panel, words), hits),
                Group::Two(words) => note(scan, (query, first), distances(&panel, words), hits),
                Group::Three(words) => note(scan, (query, first), distances(&panel, words), hits),
                Group::Four(words) => note(scan, (query, first), distances(&panel, words), hits),
            }
        }
        hits[start..].sort_unstable_by_key(|hit| (hit.row, hit.query));
    }
    whole
}

/// Queries side by side: two words of each, then the next two.
enum Group {
    One(Vec<[[u64; 2]; 1]>),
    Two(Vec<[[u64; 2]; 2]>),
    Three(Vec<[[u64; 2]; 3]>),
    Four(Vec<[[u64; 2]; TOGETHER]>),
}

impl Group {
    fn new(queries: &[Line], lines: usize) -> Self {
        match queries.len() / lines {
            1 => Self::One(side_by_side(words(queries))),
            2 => Self::Two(side_by_side(words(queries))),
            3 => Self::Three(side_by_side(words(queries))),
            _ => Self::Four(side_by_side(words(queries))),
        }
    }
}

fn side_by_side<const N: usize>(queries: &[u64]) -> Vec<[[u64; 2]; N]> {
    let pairs = queries.as_chunks::<2>().0;
    let each = pairs.len() / N;
    (0..each).map(|pair| std::array::from_fn(|query| pairs[query * each + pair])).collect()
}

/// Appends those of eight rows that are near enough to some queries; of both the first one's position is given.
#[inline]
#[target_feature(enable = "avx512f,popcnt")]
fn note<const N: usize>(scan: Scan<'_>, first: (usize, usize), distances: [__m512i; N], hits: &mut Vec<Hit>) {
    let lines = scan.code_lines;
    for (query, distances) in (first.0..).zip(distances) {
        let mut near = _mm512_cmple_epi64_mask(distances, _mm512_set1_epi64(i64::from(scan.limits[query])));
        while near != 0 {
            let row = first.1 + near.trailing_zeros() as usize;
            let (asked, code) = (&scan.queries[query * lines..], &scan.rows[row * lines..]);
            hits.push(Hit { query, row, distance: portable::distance(&asked[..lines], &code[..lines]) });
            near &= near - 1;
        }
    }
}

/// Differing bits of each of some queries and eight rows, a row a lane.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn distances<const N: usize>(panel: &[Line], queries: &[[[u64; 2]; N]]) -> [__m512i; N] {
    let mut sums = [_mm512_setzero_si512(); N];
    let mut counts = [_mm512_setzero_si512(); N];
    for (rows, asked) in panel.as_chunks::<2>().0.iter().zip(queries) {
        let rows = [load(&rows[0]), load(&rows[1])];
        for at in 0..N {
            let one = odd(sums[at], broadcast(asked[at][0]), rows[0]);
            let both = odd(one, broadcast(asked[at][1]), rows[1]);
            let carries = carries(sums[at], one, both);
            sums[at] = both;
            counts[at] = _mm512_add_epi64(counts[at], _mm512_popcnt_epi64(carries));
        }
    }
    for at in 0..N {
        counts[at] = _mm512_add_epi64(_mm512_slli_epi64::<1>(counts[at]), _mm512_popcnt_epi64(sums[at]));
    }
    counts
}

/// Bits that are set in one of three or in all.
#[inline]
#[target_feature(enable = "avx512f")]
fn odd(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0b1001_0110>(a, b, c)
}

/// Carries of a sum to which two words were added, of which nobody has seen but the sums: where the first word changed
/// nothing, it was the sum that is carried; where it did, the second one, and that is what changed nothing now.
#[inline]
#[target_feature(enable = "avx512f")]
fn carries(sum: __m512i, one: __m512i, both: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0b0111_0100>(sum, one, both)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(word: u64) -> __m512i {
    _mm512_set1_epi64(word.cast_signed())
}

/// Rows into columns: line by line eight words of eight rows. Between two lines memory is asked for what follows: all at
/// once would be more than a core can wait for.
#[inline]
#[target_feature(enable = "avx512f")]
fn turn(rows: &[Line], panel: &mut [Line]) {
    let lines = rows.len() / ROWS;
    for (line, columns) in panel.chunks_exact_mut(8).enumerate() {
        fetch_ahead(words(&rows[8 * line..8 * line + 8]));
        let mut even = [_mm512_setzero_si512(); 4];
        let mut odd = even;
        for (at, two) in rows.chunks_exact(2 * lines).enumerate() {
            let (a, b) = (load(&two[line]), load(&two[lines + line]));
            even[at] = _mm512_unpacklo_epi64(a, b);
            odd[at] = _mm512_unpackhi_epi64(a, b);
        }
        for (first, [ab, cd, ef, gh]) in [even, odd].into_iter().enumerate() {
            // Quarters 0 and 2 of both, then 1 and 3; and the same of those.
            let (left, right) = (quarters(ab, cd), quarters(ef, gh));
            for word in 0..2 {
                let halves = quarters(left[word], right[word]);
                store(&mut columns[2 * word + first], halves[0]);
                store(&mut columns[2 * word + first + 4], halves[1]);
            }
        }
    }
}

/// Even and odd quarters: a0, a2, b0, b2 and a1, a3, b1, b3.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarters(a: __m512i, b: __m512i) -> [__m512i; 2] {
    [_mm512_shuffle_i64x2::<0b10_00_10_00>(a, b), _mm512_shuffle_i64x2::<0b11_01_11_01>(a, b)]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> __m512i {
    // SAFETY: a `Line` is 64 readable bytes, aligned to 64 as this load wants.
    unsafe { _mm512_load_si512((&raw const *line).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(line: &mut Line, vector: __m512i) {
    // SAFETY: a `Line` is 64 bytes that are ours to write, aligned to 64 as this store wants.
    unsafe { _mm512_store_si512((&raw mut *line).cast(), vector) }
}
