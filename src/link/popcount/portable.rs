//! The definition that every kernel must equal, in code for every machine. `x86_64::popcnt` is the same code compiled
//! for the instruction.

use super::Line;
use super::hamming::{Hit, Scan};
use super::sieve::{Pair, Queries, Side};

#[inline(always)]
pub(super) fn within(scan: Scan<'_>, hits: &mut Vec<Hit>) {
    for (row, code) in scan.rows.chunks_exact(scan.code_lines).enumerate() {
        for (query, asked) in scan.queries.chunks_exact(scan.code_lines).enumerate() {
            let distance = distance(asked, code);
            if distance <= scan.limits[query] {
                hits.push(Hit { query, row, distance });
            }
        }
    }
}

/// Differing bits.
#[inline(always)]
pub(super) fn distance(a: &[Line], b: &[Line]) -> u32 {
    let mut sum = 0;
    for (Line(a), Line(b)) in a.iter().zip(b) {
        for word in 0..8 {
            sum += (a[word] ^ b[word]).count_ones();
        }
    }
    sum
}

/// Bits that are set in both.
#[inline(always)]
pub(super) fn overlap(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum()
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
