//! What the attacker expects of the similarity of two people's codes under a key that it does not have.

use super::Attacker;
use super::similarity::{Square, median};

/// Estimates that lie below this many standard deviations of their noise are no similarity.
const NOISE: f32 = 3.0;

/// How an attacker estimates similarities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covariance {
    /// From own filters before diffusion, to the power of the diffusion: exact but for the noise of few own keys.
    /// This is the strong attacker.
    Exact,
    /// From own finished codes, as they are: the weak attacker.
    Measured,
    /// From own filters as they are, against undiffused codes: the positive control.
    Control,
}

impl Covariance {
    /// Expected correlations of a pass in the order of the attacker's list, 1 on the diagonal, strangers about 0.
    /// There can be two: hard zeros denoise weak codes and spoil strong ones, and the attacker tries both.
    pub(super) fn of(self, pass: &Attacker) -> Vec<Square> {
        match self {
            Self::Exact => {
                let power = i32::try_from(pass.diffusion).expect("a profile diffuses 32 positions at most");
                vec![scaled(mean(&pass.filters).0, power, 0.0)]
            }
            Self::Control => vec![scaled(mean(&pass.filters).0, 1, 0.0)],
            Self::Measured => {
                let (mean, noise) = mean(&pass.codes);
                vec![scaled(mean.clone(), 1, 0.0), scaled(mean, 1, NOISE * noise)]
            }
        }
    }
}

/// Mean correlations over the own keys, and the standard deviation of their noise, from the differences between keys.
fn mean(keys: &[Vec<crate::code::Code>]) -> (Square, f32) {
    let mut sum = Square::correlations(&keys[0]);
    let mut last = sum.clone();
    let mut deviations = Vec::new();
    for codes in &keys[1..] {
        let next = Square::correlations(codes);
        sum.join(&next, |sum, next| sum + next);
        last.join(&next, |last, next| last - next);
        let differences = last.pairs();
        let middle = median(differences.clone());
        deviations.push(median(differences.into_iter().map(|value| (value - middle).abs()).collect()));
        last = next;
    }
    let count = keys.len() as f32;
    sum.change(|sum| sum / count);
    let deviation = deviations.iter().sum::<f32>() / deviations.len().max(1) as f32;
    // 1.4826 makes a median of deviations a standard deviation; a difference has the noise of two.
    (sum, 1.4826 * deviation / (2.0 * count).sqrt())
}

/// To the power, strangers moved to 0, everything up to `floor` set to 0.
fn scaled(mut mean: Square, power: i32, floor: f32) -> Square {
    mean.change(|value| value.clamp(0.0, 1.0).powi(power));
    let base = median(mean.pairs());
    mean.change(|value| {
        let value = (value - base) / (1.0 - base);
        if value > floor { value } else { 0.0 }
    });
    mean.set_diagonal(1.0);
    mean
}

#[cfg(test)]
mod tests {
    use super::super::testing::Town;
    use super::*;

    #[test]
    fn the_power_of_undiffused_correlations_is_the_correlation_after_diffusion() {
        let town = Town::new(60, 3);
        let expected = &Covariance::Exact.of(&town.pass)[0];
        let seen = Square::correlations(&town.stolen);
        // Two people who share half of their bits: .5 to the power 3.
        let mates: Vec<(usize, usize)> = (0..30).map(|pair| (2 * pair, 2 * pair + 1)).collect();
        let mean = |of: &Square| mates.iter().map(|&(a, b)| of.at(a, b)).sum::<f32>() / 30.0;
        assert!((mean(expected) - mean(&seen)).abs() < 0.02, "{} {}", mean(expected), mean(&seen));
        assert!(mean(expected) > 0.04);
    }

    #[test]
    fn strangers_are_expected_at_zero_and_noise_is_cut_by_the_weak_attacker() {
        let town = Town::new(60, 3);
        let both = Covariance::Measured.of(&town.pass);
        let zeros = |of: &Square| of.pairs().iter().filter(|&&value| value == 0.0).count();
        assert_eq!(both.len(), 2);
        assert!(zeros(&both[1]) > zeros(&both[0]));
        assert!(median(both[0].pairs()).abs() < 0.01);
    }
}
