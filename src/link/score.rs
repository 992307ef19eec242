//! From Hamming distance to the scale on which thresholds are written.

/// Standardised agreement of two codes: `(m - 2·Hamming) / sqrt(m)`, m the bits of a code. Codes of strangers are
/// like coin tosses, so that theirs is about N(0, 1); equal codes have `sqrt(m)`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Z(f64);

impl Z {
    /// From the number of differing bits of two codes with `bits` bits.
    pub fn from_distance(hamming: u32, bits: usize) -> Self {
        // At most 65,536 bits by the profile: exact in f64.
        let bits = bits as f64;
        Self((bits - 2.0 * f64::from(hamming)) / bits.sqrt())
    }

    /// The root of the sum of squares.
    pub(super) fn together(agreements: impl Iterator<Item = f64>) -> Self {
        Self(agreements.map(|z| z * z).sum::<f64>().sqrt())
    }

    /// The number itself.
    pub fn value(self) -> f64 {
        self.0
    }
}

/// Largest distance of two codes with `bits` bits whose [`Z`] is at least `z`: none if even equal codes have less.
///
/// Comparing integers with it decides exactly as comparing `Z` with `z` would.
pub(super) fn farthest(z: f64, bits: usize) -> Option<u32> {
    let bits_u32 = u32::try_from(bits).expect("a profile's codes have at most 65,536 bits");
    let reaches = |distance: &u32| Z::from_distance(*distance, bits).0 >= z;
    let guess = (bits as f64 - z * (bits as f64).sqrt()) / 2.0;
    // Saturates below zero; one either side repairs the rounding.
    let guess = guess as u32;
    (guess.saturating_sub(1)..=guess.saturating_add(1).min(bits_u32)).rev().find(reaches)
}

/// Of a hundred pairs that agree by just `z`, so many agree by [`glance`] in their first bits: 99. A normal quantile.
const SURE: f64 = 2.326;

/// What pairs that agree by `z` in all their bits agree by in the first of them, one in a hundred excepted.
///
/// Given the whole, a share f of the bits agrees by `z·sqrt(f)`, give or take `sqrt(1 - f)`: who is sampled without
/// replacement varies less than strangers do. Pairs that agree more are missed far more rarely still: by one more than
/// `z`, with five of eight bits, one in 6,900.
pub(super) fn glance(z: f64, first_bits: usize, bits: usize) -> f64 {
    let share = first_bits as f64 / bits as f64;
    z * share.sqrt() - SURE * (1.0 - share).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_codes_score_the_root_of_their_length_and_opposite_ones_its_negative() {
        assert_eq!(Z::from_distance(0, 1024).value(), 32.0);
        assert_eq!(Z::from_distance(512, 1024).value(), 0.0);
        assert_eq!(Z::from_distance(1024, 1024).value(), -32.0);
    }

    #[test]
    fn a_threshold_beyond_equality_is_never_reached() {
        assert_eq!(farthest(32.0, 1024), Some(0));
        assert_eq!(farthest(32.1, 1024), None);
        assert_eq!(farthest(f64::MAX, 64), None);
    }

    #[test]
    fn a_glance_at_everything_takes_what_everything_takes_and_at_less_of_it_less() {
        assert_eq!(glance(5.6, 256, 256), 5.6);
        assert!((glance(5.6, 640, 1024) - 3.003).abs() < 0.001);
        assert!(glance(32.0, 640, 1024) <= 640_f64.sqrt());
    }

    proptest! {
        #[test]
        fn the_farthest_distance_reaches_and_the_next_does_not(z in 0.1..60.0_f64, words in 1_usize..64) {
            let bits = words * 64;
            match farthest(z, bits) {
                Some(distance) => {
                    prop_assert!(Z::from_distance(distance, bits).value() >= z);
                    prop_assert!(Z::from_distance(distance + 1, bits).value() < z);
                }
                None => prop_assert!(Z::from_distance(0, bits).value() < z),
            }
        }
    }
}
