//! How much a kind of token tells: Shannon entropy and the share of the commonest value. Values come in, counts stay.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Counts the values of one kind of token. It keeps a keyed hash of each value, never the value.
#[derive(Default)]
pub struct Entropy {
    hasher: RandomState,
    counts: HashMap<u64, u64>,
    missing: u64,
}

impl Entropy {
    /// Counts a value; nothing is a value that is missing.
    pub fn count(&mut self, value: Option<&str>) {
        match value {
            Some(value) => *self.counts.entry(self.hasher.hash_one(value)).or_default() += 1,
            None => self.missing += 1,
        }
    }

    /// Values that are there.
    pub fn values(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Values that are missing.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Different values.
    pub fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// Shannon entropy in bits; 0 of nothing.
    pub fn bits(&self) -> f64 {
        let all = self.values() as f64;
        // Sorted: sums of the same numbers in another order differ in the last digits.
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        counts.sort_unstable();
        let bits: f64 = counts.iter().map(|&count| count as f64 / all).map(|share| -share * share.log2()).sum();
        bits.max(0.0)
    }

    /// Share of the commonest value among those that are there; 0 of nothing.
    pub fn commonest(&self) -> f64 {
        self.counts.values().max().map_or(0.0, |&most| most as f64 / self.values() as f64)
    }

    /// Values that one record alone has.
    pub fn unique(&self) -> usize {
        self.counts.values().filter(|&&count| count == 1).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_equal_values_in_four_are_two_bits() {
        let mut entropy = Entropy::default();
        ["a", "b", "c", "d"].iter().for_each(|value| entropy.count(Some(value)));
        entropy.count(None);
        assert_eq!((entropy.bits(), entropy.distinct(), entropy.missing(), entropy.unique()), (2.0, 4, 1, 4));
        entropy.count(Some("a"));
        assert!(entropy.bits() < 2.0 && entropy.commonest() == 0.4 && entropy.unique() == 3);
        assert_eq!(Entropy::default().bits(), 0.0);
    }
}
