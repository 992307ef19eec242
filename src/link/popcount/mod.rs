//! Hamming distances of a few queries to many rows, as fast as this machine can.
//!
//! [`Kernel::within`] reads each row once and reports the pairs at or below a limit. Hits are rare by the choice of
//! the limit, so that the inner loop neither allocates nor takes an unforeseen branch. `scalar` is the definition;
//! every other kernel equals it bit for bit, order of the hits included.

mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::fmt;

/// 512 bits, one cache line, and aligned like one. Codes are padded with zeros to whole lines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, align(64))]
pub struct Line(pub [u64; 8]);

impl Line {
    /// Bits of a line.
    pub const BITS: usize = 512;

    /// From at most 8 words; missing ones are zero.
    ///
    /// # Panics
    /// If there are more.
    pub fn from_words(words: &[u64]) -> Self {
        let mut line = [0; 8];
        line[..words.len()].copy_from_slice(words);
        Self(line)
    }
}

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

impl fmt::Debug for Line {
    /// A code is personal data: its bits are never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(..)")
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

/// A way to count bits that this machine has: it can only be made where its CPU features were detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Isa);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isa {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Popcnt(x86_64::Popcnt),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86_64::Avx512),
}

impl Kernel {
    /// The definition; runs everywhere.
    pub const SCALAR: Self = Self(Isa::Scalar);

    /// All kernels of this machine, the slowest first.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let detected = [x86_64::Popcnt::detect().map(Isa::Popcnt), x86_64::Avx512::detect().map(Isa::Avx512)];
        #[cfg(not(target_arch = "x86_64"))]
        let detected: [Option<Isa>; 0] = [];
        std::iter::once(Self::SCALAR).chain(detected.into_iter().flatten().map(Self)).collect()
    }

    /// The fastest kernel of this machine.
    pub fn best() -> Self {
        *Self::available().last().expect("the scalar kernel is always there")
    }

    /// For reports: `scalar`, `popcnt` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Isa::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Popcnt(_) => "popcnt",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512",
        }
    }

    /// Appends every pair within its query's limit, by row and then by query.
    ///
    /// # Panics
    /// If the lengths of the scan do not fit together.
    pub fn within(self, scan: Scan<'_>, hits: &mut Vec<Hit>) {
        scan.check();
        match self.0 {
            Isa::Scalar => scalar::within(scan, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Popcnt(kernel) => kernel.within(scan, hits),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(kernel) => kernel.within(scan, hits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn hits(kernel: Kernel, scan: Scan<'_>) -> Vec<Hit> {
        let mut hits = Vec::new();
        kernel.within(scan, &mut hits);
        hits
    }

    fn line() -> impl Strategy<Value = Line> {
        prop_oneof![1 => Just(Line([0; 8])), 1 => Just(Line([u64::MAX; 8])), 4 => any::<[u64; 8]>().prop_map(Line)]
    }

    /// Queries, limits and rows of codes with 1 to 5 lines; odd numbers of rows and no rows among them.
    fn scans() -> impl Strategy<Value = (usize, Vec<Line>, Vec<u32>, Vec<Line>)> {
        (1_usize..6, 0_usize..5, 0_usize..40).prop_flat_map(|(lines, queries, rows)| {
            (Just(lines), vec(line(), queries * lines), vec(0..=lines as u32 * 512, queries), vec(line(), rows * lines))
        })
    }

    proptest! {
        #[test]
        fn kernels_match_scalar((code_lines, queries, limits, rows) in scans()) {
            let scan = Scan { queries: &queries, limits: &limits, rows: &rows, code_lines };
            let want = hits(Kernel::SCALAR, scan);
            for kernel in Kernel::available() {
                prop_assert_eq!(&hits(kernel, scan), &want, "{}", kernel.name());
            }
        }
    }

    #[test]
    fn distances_of_constant_codes_are_zero_and_all_bits_in_every_kernel() {
        let (zeros, ones) = ([Line([0; 8]); 4], [Line([u64::MAX; 8]); 4]);
        let rows = [zeros, ones, zeros].concat();
        for kernel in Kernel::available() {
            let scan = Scan { queries: &zeros, limits: &[2048], rows: &rows, code_lines: 4 };
            let distances: Vec<_> = hits(kernel, scan).iter().map(|hit| hit.distance).collect();
            assert_eq!(distances, [0, 2048, 0], "{}", kernel.name());
            let below = Scan { limits: &[2047], ..scan };
            let rows: Vec<_> = hits(kernel, below).iter().map(|hit| hit.row).collect();
            assert_eq!(rows, [0, 2], "{}", kernel.name());
        }
    }

    #[test]
    #[should_panic(expected = "one limit a query")]
    fn a_scan_that_does_not_fit_is_never_run() {
        hits(Kernel::best(), Scan { queries: &[Line([0; 8])], limits: &[], rows: &[], code_lines: 1 });
    }
}
