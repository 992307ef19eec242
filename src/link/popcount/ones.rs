//! The face for codes one by one: set bits, counted by the POPCNT instruction where a kernel's machine has it.

use super::{Kernel, portable};

impl Kernel {
    /// Bits that are set in both codes.
    pub fn overlap(self, a: &[u64], b: &[u64]) -> u32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(popcnt) = self.popcnt() {
            return popcnt.overlap(a, b);
        }
        portable::overlap(a, b)
    }

    /// Of two codes of as many words as there are sums: the bits that are set in both, in the first word, the first two
    /// and so on.
    pub fn overlaps(self, a: &[u64], b: &[u64], sums: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(popcnt) = self.popcnt() {
            return popcnt.overlaps(a, b, sums);
        }
        portable::overlaps(a, b, sums);
    }

    /// Appends, for codes of so many words, the set bits of each behind its first `read` words.
    pub fn rests(self, codes: &[u64], words: usize, read: usize, rests: &mut Vec<i32>) {
        #[cfg(target_arch = "x86_64")]
        if let Some(popcnt) = self.popcnt() {
            return popcnt.rests(codes, words, read, rests);
        }
        portable::rests(codes, words, read, rests);
    }
}
