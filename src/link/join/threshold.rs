//! When a pair is similar enough, decided in one way everywhere.
//!
//! The Dice coefficient of two codes with a and b set bits, c of them in common, is the number of type `f64` that is
//! nearest to 2c / (a + b); a pair matches if that is at least the threshold as an `f64`. So 4/5 reaches a threshold
//! that was written as 0.8, though the nearest `f64` to 0.8 is a little above it; and anonlink, which divides in the
//! same way, finds the same pairs. Two codes without any bit have no coefficient and never match.
//!
//! For every sum a + b there is a smallest c that matches. It is looked up in a table, so that pairs are decided by
//! comparing integers.

use super::JoinError;

/// A Dice coefficient from which pairs match: above 0, at most 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Threshold(f64);

impl Threshold {
    /// # Errors
    /// [`JoinError::Threshold`] for what is no number, not above 0 or above 1.
    pub fn new(value: f64) -> Result<Self, JoinError> {
        if value > 0.0 && value <= 1.0 { Ok(Self(value)) } else { Err(JoinError::Threshold) }
    }

    /// The number itself.
    pub fn value(self) -> f64 {
        self.0
    }

    /// A code's share, with so many set bits, of the common bits that a pair needs. A pair that matches has at least the
    /// left one's share, rounded down, and the right one's, rounded up, in common.
    pub(super) fn shares(self, ones: u32) -> (i32, i32) {
        // The factor is far more than rounding can add and far less than one bit of 2^17.
        let share = self.0 * f64::from(ones) / 2.0 * (1.0 - 1e-9);
        (share.floor() as i32, share.ceil() as i32)
    }
}

/// The Dice coefficient; of two empty codes, 0.
pub(super) fn dice(common: u32, sum: u32) -> f64 {
    if sum == 0 { 0.0 } else { f64::from(2 * common) / f64::from(sum) }
}

/// Per sum of set bits the smallest number of common bits that matches.
pub(super) struct Needed(Vec<u32>);

impl Needed {
    /// For codes of so many bits.
    pub fn new(threshold: Threshold, bits: usize) -> Self {
        let most = 2 * u32::try_from(bits).expect("a code has at most 65,536 bits");
        let mut common = 0;
        let least = (0..=most).map(|sum| {
            // It grows with the sum, and no pair has more in common than half of the sum.
            while common <= sum / 2 && dice(common, sum) < threshold.0 {
                common += 1;
            }
            if common <= sum / 2 { common } else { u32::MAX }
        });
        Self(least.collect())
    }

    /// Whether a pair matches.
    pub fn reached(&self, common: u32, sum: u32) -> bool {
        common >= self.0[sum as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_threshold_is_above_zero_and_at_most_one() {
        for bad in [0.0, -0.0, -0.8, 1.000_000_1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Threshold::new(bad), Err(JoinError::Threshold), "{bad}");
        }
        for good in [f64::MIN_POSITIVE, 0.8, 1.0] {
            assert_eq!(Threshold::new(good).map(Threshold::value), Ok(good));
        }
    }

    #[test]
    fn a_fraction_reaches_the_threshold_that_is_written_like_it() {
        for (threshold, common, sum) in [(0.8, 4, 10), (0.8, 360, 900), (0.9, 9, 20), (0.6, 3, 10), (1.0, 7, 14)] {
            let needed = Needed::new(Threshold::new(threshold).unwrap(), 1024);
            assert!(needed.reached(common, sum), "{threshold}");
            assert!(!needed.reached(common - 1, sum), "{threshold}");
        }
    }

    #[test]
    fn empty_codes_reach_nothing() {
        let needed = Needed::new(Threshold::new(f64::MIN_POSITIVE).unwrap(), 64);
        assert!(!needed.reached(0, 0));
        assert_eq!(dice(0, 0), 0.0);
        assert!(!needed.reached(0, 5));
        assert!(needed.reached(1, 5));
    }

    proptest! {
        #[test]
        fn the_table_decides_as_the_division_does(
            per_mille in 1_u32..=1000, nudge in -1_i64..=1, a in 0_u32..=1024, b in 0_u32..=1024, common in 0_u32..=1024,
        ) {
            let exact = f64::from(per_mille) / 1000.0;
            let nudged = f64::from_bits((exact.to_bits() as i64 + nudge) as u64).min(1.0);
            let threshold = Threshold::new(nudged).unwrap();
            let common = common.min(a).min(b);
            let reached = Needed::new(threshold, 1024).reached(common, a + b);
            prop_assert_eq!(reached, a + b > 0 && dice(common, a + b) >= nudged);
            let ((down, _), (_, up)) = (threshold.shares(a), threshold.shares(b));
            prop_assert!(!reached || common as i32 >= down + up);
        }
    }
}
