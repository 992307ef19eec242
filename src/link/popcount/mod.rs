//! Bits that codes have in common or not, counted as fast as this machine can.
//!
//! Two faces with a kernel per instruction set. [`Kernel::within`] finds all codes within a Hamming distance of a
//! few codes: the service's questions. [`Sieve`] drops the pairs of many queries and many rows that cannot overlap
//! enough, mostly before it has read half of their bits: joins. `portable` is the definition; every other kernel
//! equals it, pair for pair.

mod hamming;
#[cfg(target_arch = "aarch64")]
mod neon;
mod ones;
mod portable;
mod sieve;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use hamming::{Asked, Hit, Place, Rows, distance};
pub use sieve::{MOST_NEED, Pair, Side, Sieve};

/// A way to count bits that this machine has: it can only be made where its CPU features were detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Isa);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isa {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Popcnt(x86_64::Popcnt),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86_64::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86_64::Avx512),
    #[cfg(target_arch = "x86_64")]
    Amx(x86_64::Amx),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
}

impl Kernel {
    /// The definition; runs everywhere.
    pub const PORTABLE: Self = Self(Isa::Portable);

    /// Names of all kernels, whether this machine has them or not, the slowest of a kind of machine first.
    pub const NAMES: [&str; 6] = ["portable", "neon", "popcnt", "avx2", "avx512", "amx"];

    /// All kernels of this machine, the slowest first.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let detected = [
            x86_64::Popcnt::detect().map(Isa::Popcnt),
            x86_64::Avx2::detect().map(Isa::Avx2),
            x86_64::Avx512::detect().map(Isa::Avx512),
            x86_64::Amx::detect().map(Isa::Amx),
        ];
        #[cfg(target_arch = "aarch64")]
        let detected = [neon::Neon::detect().map(Isa::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let detected: [Option<Isa>; 0] = [];
        std::iter::once(Self::PORTABLE).chain(detected.into_iter().flatten().map(Self)).collect()
    }

    /// The fastest kernel of this machine.
    pub fn best() -> Self {
        *Self::available().last().expect("the portable kernel is always there")
    }

    /// The fastest kernel of this machine for a sieve with so many queries: tiles pay from about fifty on.
    pub fn best_for(queries: usize) -> Self {
        let suits = |kernel: &Self| kernel.name() != "amx" || queries >= FEWEST_FOR_TILES;
        *Self::available().iter().rfind(|kernel| suits(kernel)).expect("the portable kernel is always there")
    }

    /// The kernel of this name, if this machine has it.
    pub fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|kernel| kernel.name() == name)
    }

    /// About what a sieve takes for a pair when all lies in the caches; see `cargo bench --bench popcount`.
    pub fn costs(self) -> Costs {
        match self.name() {
            "amx" => Costs { word: 0.1, survivor: 120.0 },
            "avx512" => Costs { word: 0.25, survivor: 130.0 },
            "avx2" => Costs { word: 0.7, survivor: 80.0 },
            "popcnt" => Costs { word: 1.0, survivor: 80.0 },
            // By its instructions; not measured.
            "neon" => Costs { word: 1.0, survivor: 80.0 },
            _ => Costs { word: 2.3, survivor: 80.0 },
        }
    }

    /// Every kernel of x86-64 but the definition comes with it.
    #[cfg(target_arch = "x86_64")]
    fn popcnt(self) -> Option<x86_64::Popcnt> {
        match self.0 {
            Isa::Portable => None,
            Isa::Popcnt(popcnt) => Some(popcnt),
            Isa::Avx2(kernel) => Some(kernel.popcnt()),
            Isa::Avx512(kernel) => Some(kernel.popcnt()),
            Isa::Amx(kernel) => Some(kernel.avx512().popcnt()),
        }
    }

    /// One of [`Kernel::NAMES`].
    pub fn name(self) -> &'static str {
        match self.0 {
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Popcnt(_) => "popcnt",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Amx(_) => "amx",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => "neon",
        }
    }
}

/// What a sieve costs a pair, in cycles: only ratios matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// To read a word of both codes.
    pub word: f64,
    /// To keep the pair: noted, unforeseen, and compared again in full.
    pub survivor: f64,
}

/// Below this a tile of queries is mostly empty, and rows are spread for nothing.
const FEWEST_FOR_TILES: usize = 48;
