//! Hamming distances with AVX-512 for a handful of queries and more: eight rows are turned, so that a vector holds one
//! word of each, and every query is held against them.
//!
//! Bits are added by logic before they are counted: of a running sum and two words of differing bits one instruction
//! makes the new sum, another one the carries (Harley and Seal's counter), so that only every other word is counted.
//! Differing bits are never made: an instruction of three operands takes query and row as they are.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_cmple_epi64_mask, _mm512_load_si512, _mm512_loadu_si512, _mm512_popcnt_epi64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_slli_epi64, _mm512_store_si512,
    _mm512_ternarylogic_epi64, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use super::Line;
use super::avx512::fetch_ahead;
use crate::link::popcount::hamming::{Asked, Place, Rows};
use crate::link::popcount::sieve::Pair;

/// Rows of a panel.
const ROWS: usize = 8;
/// Codes of one place that share a load of the panel.
const MOST: usize = 4;

/// What is asked as this kernel wants it, and room for eight rows.
pub(super) struct Panels {
    groups: Vec<Group>,
    panel: Vec<Line>,
}

/// Codes that are held against the same place, from position `first` of all that are asked on.
struct Group {
    first: usize,
    place: Place,
    codes: Codes,
}

/// By their number, so that the loop over them is unrolled.
enum Codes {
    One(Together<1>),
    Two(Together<2>),
    Three(Together<3>),
    Four(Together<MOST>),
}

/// Codes side by side.
struct Together<const N: usize> {
    /// Two words of each, then the next two.
    words: Vec<[[u64; 2]; N]>,
    near: [i64; N],
}

impl Panels {
    /// Neighbours with the same place are held against it together.
    pub fn new(rows: Rows<'_>, asked: &[Asked<'_>]) -> Self {
        let mut groups = Vec::new();
        let mut first = 0;
        for same in asked.chunk_by(|one, next| one.place == next.place) {
            for some in same.chunks(MOST) {
                groups.push(Group { first, place: some[0].place, codes: Codes::new(some) });
                first += some.len();
            }
        }
        Self { groups, panel: vec![Line([0; 8]); ROWS * rows.first_words.div_ceil(8)] }
    }
}

impl Codes {
    fn new(asked: &[Asked<'_>]) -> Self {
        match asked.len() {
            1 => Self::One(Together::new(asked)),
            2 => Self::Two(Together::new(asked)),
            3 => Self::Three(Together::new(asked)),
            _ => Self::Four(Together::new(asked)),
        }
    }
}

impl<const N: usize> Together<N> {
    fn new(asked: &[Asked<'_>]) -> Self {
        let two = |pair: usize| std::array::from_fn(|at| [asked[at].code[2 * pair], asked[at].code[2 * pair + 1]]);
        let words = (0..asked[0].place.read / 2).map(two).collect();
        Self { words, near: std::array::from_fn(|at| i64::from(asked[at].near)) }
    }
}

/// Appends who comes near among whole panels of rows; gives the number of rows that it looked at.
#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
pub(super) fn near(panels: &mut Panels, rows: Rows<'_>, pairs: &mut Vec<Pair>) -> usize {
    let whole = if rows.first_words.is_multiple_of(8) { rows.len() / ROWS * ROWS } else { 0 };
    for (panel, eight) in rows.first.chunks_exact(ROWS * rows.first_words).take(whole / ROWS).enumerate() {
        turn(eight, &mut panels.panel);
        let row = panel * ROWS;
        for Group { first, place, codes } in &panels.groups {
            let columns = &panels.panel[place.first..place.first + place.read];
            match codes {
                Codes::One(codes) => note(columns, codes, (*first, row), pairs),
                Codes::Two(codes) => note(columns, codes, (*first, row), pairs),
                Codes::Three(codes) => note(columns, codes, (*first, row), pairs),
                Codes::Four(codes) => note(columns, codes, (*first, row), pairs),
            }
        }
    }
    whole
}

/// Appends those of eight rows that are near enough to some codes; of both the first one's position is given.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
fn note<const N: usize>(columns: &[Line], codes: &Together<N>, first: (usize, usize), pairs: &mut Vec<Pair>) {
    let distances = distances(columns, &codes.words);
    let mut near = [0; N];
    for at in 0..N {
        near[at] = _mm512_cmple_epi64_mask(distances[at], _mm512_set1_epi64(codes.near[at]));
    }
    if near.iter().fold(0, |any, near| any | near) != 0 {
        keep(&near, first, pairs);
    }
}

/// Seldom needed, and out of the way of what always is.
#[cold]
#[inline(never)]
fn keep(near: &[u8], first: (usize, usize), pairs: &mut Vec<Pair>) {
    for (at, near) in near.iter().enumerate() {
        for row in (0..ROWS).filter(|row| near >> row & 1 == 1) {
            pairs.push(Pair { query: (first.0 + at) as u32, row: (first.1 + row) as u32 });
        }
    }
}

/// Differing bits of each of some queries and eight rows, a row a lane.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn distances<const N: usize>(columns: &[Line], codes: &[[[u64; 2]; N]]) -> [__m512i; N] {
    let mut sums = [_mm512_setzero_si512(); N];
    let mut counts = [_mm512_setzero_si512(); N];
    for (rows, asked) in columns.as_chunks::<2>().0.iter().zip(codes) {
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

/// Rows into columns: eight words of eight rows after the other. Between two of them memory is asked for what follows:
/// all at once would be more than a core can wait for.
#[inline]
#[target_feature(enable = "avx512f")]
fn turn(rows: &[u64], panel: &mut [Line]) {
    let (lines, _) = rows.as_chunks::<8>();
    let each = lines.len() / ROWS;
    for (line, columns) in panel.chunks_exact_mut(8).enumerate() {
        fetch_ahead(lines[8 * line..8 * line + 8].as_flattened());
        let mut even = [_mm512_setzero_si512(); 4];
        let mut odd = even;
        for at in 0..4 {
            let (a, b) = (load_words(&lines[2 * at * each + line]), load_words(&lines[(2 * at + 1) * each + line]));
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
fn load_words(words: &[u64; 8]) -> __m512i {
    // SAFETY: eight `u64` are 64 readable bytes, and this load takes them wherever they lie.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
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
