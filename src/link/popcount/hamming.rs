//! The face for codes of the service: all pairs of a few queries and many rows within a Hamming distance.

use super::{Isa, Kernel, Line, portable};

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
            Isa::Amx(kernel) => kernel.avx512().within(scan, hits),
        }
    }
}
