//! The definition that every kernel must equal, in code for every machine. `x86_64::popcnt` is the same code compiled
//! for the instruction.

use super::hamming::{Asked, Hit, Rows};
use super::sieve::{Pair, Queries, Side};

#[inline(always)]
pub(super) fn within(rows: Rows<'_>, asked: &[Asked<'_>], hits: &mut Vec<Hit>) {
    for row in 0..rows.len() {
        for (at, one) in asked.iter().enumerate() {
            let first = &rows.first[row * rows.first_words + one.place.first..][..one.place.read];
            if distance(&one.code[..one.place.read], first) <= one.near {
                hits.extend(measure(rows, asked, (row, at)));
            }
        }
    }
}

/// All of a pair's bits.
#[inline(always)]
pub(super) fn measure(rows: Rows<'_>, asked: &[Asked<'_>], (row, at): (usize, usize)) -> Option<Hit> {
    let one = &asked[at];
    let [first, second] = rows.code(row, one.place);
    let (ours, rest) = one.code.split_at(one.place.read);
    let distance = distance(ours, first) + distance(rest, second);
    (distance <= one.limit).then_some(Hit { row, asked: at, distance })
}

/// Differing bits.
#[inline(always)]
pub(super) fn distance(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// Bits that are set in both.
#[inline(always)]
pub(super) fn overlap(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum()
}

/// The same of the first word, the first two and so on.
#[inline(always)]
pub(super) fn overlaps(a: &[u64], b: &[u64], sums: &mut [u32]) {
    let mut sum = 0;
    for ((a, b), so_far) in a.iter().zip(b).zip(sums) {
        sum += (a & b).count_ones();
        *so_far = sum;
    }
}

/// Set bits of each code behind its first words.
#[inline(always)]
pub(super) fn rests(codes: &[u64], words: usize, read: usize, rests: &mut Vec<i32>) {
    let rest = |code: &[u64]| code[read..].iter().map(|word| word.count_ones() as i32).sum::<i32>();
    rests.extend(codes.chunks_exact(words).map(rest));
}

#[inline(always)]
pub(super) fn sift(queries: &Queries<'_>, prefixes: &[u64], rows: Side<'_>, pairs: &mut Vec<Pair>) {
    // The usual lengths as constants: loops of a known length are unrolled.
    match queries.read {
        4 => sift_words::<4>(queries, prefixes, rows, pairs),
        5 => sift_words::<5>(queries, prefixes, rows, pairs),
        6 => sift_words::<6>(queries, prefixes, rows, pairs),
        7 => sift_words::<7>(queries, prefixes, rows, pairs),
        8 => sift_words::<8>(queries, prefixes, rows, pairs),
        9 => sift_words::<9>(queries, prefixes, rows, pairs),
        10 => sift_words::<10>(queries, prefixes, rows, pairs),
        16 => sift_words::<16>(queries, prefixes, rows, pairs),
        _ => sift_any(queries, prefixes, rows, pairs),
    }
}

#[inline(always)]
fn sift_words<const WORDS: usize>(queries: &Queries<'_>, prefixes: &[u64], rows: Side<'_>, pairs: &mut Vec<Pair>) {
    let prefixes = prefixes.as_chunks::<WORDS>().0;
    for (row, code) in rows.codes.chunks_exact(rows.words).enumerate() {
        let code: [u64; WORDS] = std::array::from_fn(|word| code[word]);
        let (need, rest) = (rows.need[row], rows.rest[row]);
        for (query, asked) in prefixes.iter().enumerate() {
            let overlap = overlap(asked, &code) as i32;
            if overlap + rest.min(queries.rest[query]) >= need + queries.need[query] {
                pairs.push(Pair { query: query as u32, row: row as u32 });
            }
        }
    }
}

#[inline(always)]
fn sift_any(queries: &Queries<'_>, prefixes: &[u64], rows: Side<'_>, pairs: &mut Vec<Pair>) {
    for (row, code) in rows.codes.chunks_exact(rows.words).enumerate() {
        let code = &code[..queries.read];
        let (need, rest) = (rows.need[row], rows.rest[row]);
        for (query, asked) in prefixes.chunks_exact(queries.read).enumerate() {
            let overlap = overlap(asked, code) as i32;
            if overlap + rest.min(queries.rest[query]) >= need + queries.need[query] {
                pairs.push(Pair { query: query as u32, row: row as u32 });
            }
        }
    }
}
