//! The face for codes of the service: all pairs of a few queries and many rows within a Hamming distance.

use super::{Isa, Kernel, Line, portable};
#[cfg(target_arch = "x86_64")]
use super::{MOST_NEED, Pair, Side, Sieve};

/// What is compared: `queries` and `rows` are codes of `code_lines` lines, one after the other.
#[derive(Clone, Copy)]
pub struct Scan<'a> {
    pub queries: &'a [Line],
    /// Per query the largest distance that is reported.
    pub limits: &'a [u32],
    pub rows: &'a [Line],
    pub code_lines: usize,
}

impl Scan<'_> {
    /// # Panics
    /// If lengths do not fit together: the scan would be of something else than was asked.
    fn check(&self) {
        assert!(self.code_lines > 0, "a code has at least one line");
        assert_eq!(self.queries.len(), self.limits.len() * self.code_lines, "one limit a query");
        assert_eq!(self.rows.len() % self.code_lines, 0, "whole rows");
    }
}

/// A query and a row that are near enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Position of the query.
    pub query: usize,
    /// Position of the row.
    pub row: usize,
    /// Differing bits.
    pub distance: u32,
}

impl Kernel {
    /// Appends every pair within its query's limit, by row and then by query.
    ///
    /// # Panics
    /// If the lengths of the scan do not fit together.
    pub fn within(self, scan: Scan<'_>, hits: &mut Vec<Hit>) {
        scan.check();
        match self.0 {
            Isa::Portable => portable::within(scan, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Popcnt(kernel) => kernel.within(scan, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(kernel) => kernel.within(scan, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(kernel) => kernel.within(scan, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(kernel) if scan.limits.len() >= FEWEST_FOR_TILES => by_tiles(kernel, scan, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(kernel) => kernel.avx512().within(scan, hits),
        }
    }
}

/// Below this, rows that are turned for AVX-512 are as fast: nothing is dropped early, and rows are spread in full.
#[cfg(target_arch = "x86_64")]
const FEWEST_FOR_TILES: usize = 128;

/// With a sieve that reads everything: codes with a and b set bits differ in a + b - 2c, c of them in common.
#[cfg(target_arch = "x86_64")]
fn by_tiles(kernel: super::x86_64::Amx, scan: Scan<'_>, hits: &mut Vec<Hit>) {
    /// Rows between two looks at what was found: bounds the memory for it.
    const LOOK: usize = 512;
    let words = 8 * scan.code_lines;
    let queries = super::x86_64::words(scan.queries);
    let limits = scan.limits.iter().map(|limit| (*limit).min(MOST_NEED as u32) as i32);
    let need: Vec<i32> = kernel.ones(queries, words).iter().zip(limits).map(|(a, limit)| (a - limit) >> 1).collect();
    let nothing = vec![0; need.len().max(LOOK)];
    let queries = Side { words, codes: queries, need: &need, rest: &nothing[..need.len()] };
    let sieve = Sieve::new(Kernel(Isa::Amx(kernel)), queries, words);
    let mut pairs = Vec::new();
    for (look, rows) in scan.rows.chunks(LOOK * scan.code_lines).enumerate() {
        let codes = super::x86_64::words(rows);
        let need: Vec<i32> = kernel.ones(codes, words).iter().map(|b| b >> 1).collect();
        sieve.sift(Side { words, codes, need: &need, rest: &nothing[..need.len()] }, &mut pairs);
        pairs.sort_unstable_by_key(|pair| (pair.row, pair.query));
        for Pair { query, row } in pairs.drain(..) {
            let (query, row) = (query as usize, row as usize);
            let (asked, code) = (&scan.queries[query * scan.code_lines..], &rows[row * scan.code_lines..]);
            let distance = portable::distance(&asked[..scan.code_lines], &code[..scan.code_lines]);
            if distance <= scan.limits[query] {
                hits.push(Hit { query, row: look * LOOK + row, distance });
            }
        }
    }
}
