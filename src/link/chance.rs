//! How well strangers agree by chance, and from where on agreement is none.
//!
//! Codes of strangers are like coin tosses: the z of a pair of codes is about N(0, 1), that of several pairs the best of
//! so many, and what all passes agree together the root of the sum of their squares, where less than nothing counts as
//! nothing. All of this is known without any data, so that a threshold can be as rare as one wants.

use std::f64::consts::SQRT_2;

use super::shape::Shape;

/// Squares are counted in steps of so much.
const STEP: f64 = 0.25;
/// Up to a z of 14: beyond, nobody agrees by chance.
const STEPS: usize = 784;

/// What strangers agree. Shares are of strangers, above 0 and at most 1.
#[derive(Clone, Debug)]
pub(super) struct Chance {
    /// Per pass.
    pairs: Vec<usize>,
    /// Share of strangers who reach each step together.
    together: Vec<f64>,
}

impl Chance {
    /// Of a tenant and a record.
    pub fn new(shape: &Shape) -> Self {
        Self::of((0..shape.passes()).map(|pass| shape.pairs(pass)).collect())
    }

    /// Of two tenants.
    pub fn of_tenants(shape: &Shape) -> Self {
        Self::of((0..shape.passes()).map(|pass| shape.pairs_of_tenants(pass)).collect())
    }

    fn of(pairs: Vec<usize>) -> Self {
        let mut shares = vec![0.0; STEPS];
        shares[0] = 1.0;
        for pairs in &pairs {
            shares = sum(&shares, &squares(*pairs));
        }
        for at in (0..STEPS - 1).rev() {
            shares[at] += shares[at + 1];
        }
        Self { pairs, together: shares }
    }

    /// Least z that no larger share of strangers reaches in this pass.
    pub fn in_pass(&self, pass: usize, share: f64) -> f64 {
        let pairs = self.pairs[pass] as f64;
        // A share this small of the best of some pairs is that of one pair, times the number.
        least(|z| pairs * above(z) <= share)
    }

    /// Least agreement of all passes together that no larger share of strangers reaches.
    pub fn together(&self, share: f64) -> f64 {
        let step = self.together.iter().position(|reached| *reached <= share).unwrap_or(STEPS);
        (step as f64 * STEP).sqrt()
    }
}

/// Variance of z of one person's code less z of another's, in a pass, if both agree as well with the code that is held
/// against them: by `agreement`, and by `alike` with each other; 0 to 1 of what equal codes agree.
///
/// Two things are tossed for. Bits of the codes: those in which the two differ, (1 - alike)/2 of all, agree with either,
/// so that the difference of z has the variance 2·(1 - alike). And, before diffusion by t, bits of the filters, by what
/// fills a field that is missing and by tokens that meet on a bit: the same with the likeness of the filters, the t-th
/// root, times what diffusion makes of a difference, the square of t·(root of the agreement)^(t - 1).
pub(super) fn toss(agreement: f64, alike: f64, diffusion: usize) -> f64 {
    let t = diffusion as f64;
    let of_filter = |share: f64| share.powf(1.0 / t);
    let steep = t * of_filter(agreement).powf(t - 1.0);
    2.0 * (1.0 - alike) + 2.0 * steep * steep * (1.0 - of_filter(alike))
}

/// Least z that no larger share of N(0, 1) lies above.
pub(super) fn quantile(share: f64) -> f64 {
    least(|z| above(z) <= share)
}

/// Least z of which something holds that holds of all larger ones.
fn least(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

/// Share of N(0, 1) above z.
pub(super) fn above(z: f64) -> f64 {
    libm::erfc(z / SQRT_2) / 2.0
}

/// Shares of the steps of the square of the best of so many, rounded to the nearest.
fn squares(pairs: usize) -> Vec<f64> {
    let below = |square: f64| (1.0 - above(square.sqrt())).powi(pairs as i32);
    let edge = |step: usize| (step as f64 + 0.5) * STEP;
    let inside = |step: usize| below(edge(step)) - below(edge(step - 1));
    std::iter::once(below(edge(0))).chain((1..STEPS).map(inside)).collect()
}

/// Shares of the steps of the sum of two.
fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut shares = vec![0.0; STEPS];
    for (at, a) in a.iter().enumerate().filter(|(_, a)| **a > 0.0) {
        shares[at..].iter_mut().zip(b).for_each(|(share, b)| *share += a * b);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::popcount::Kernel;
    use crate::link::search::{Probe, Search};
    use crate::link::testing::{City, Draw};
    use crate::profile::Profile;

    #[test]
    fn the_normal_distribution_is_the_one_of_the_tables() {
        assert!((quantile(3e-4) - 3.431_614).abs() < 1e-5);
        for (z, share) in [(0.0, 0.5), (1.0, 0.158_655_253_931), (3.0, 1.349_898e-3), (6.0, 9.865_9e-10)] {
            assert!((above(z) / share - 1.0).abs() < 1e-5, "{z}");
        }
    }

    #[test]
    fn a_threshold_of_a_pass_is_reached_by_the_share_that_it_was_made_for() {
        let chance = Chance::new(&Shape::of(&Profile::built_in()));
        for (pass, pairs) in [(0, 6.0), (1, 6.0), (2, 2.0), (7, 2.0)] {
            for share in [1e-2, 1e-6, 1e-12] {
                let z = chance.in_pass(pass, share);
                assert!((pairs * above(z) / share - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn strangers_reach_what_is_expected_of_all_codes_together() {
        let mut city = City::new(1);
        let strangers: Vec<_> = (0..60).map(|_| city.draw.codes()).collect();
        for person in 0..60 {
            city.resident(person, 0, &[]);
        }
        let (register, _) = city.loads();
        let chance = Chance::new(&register.shape);
        let tenants =
            strangers.chunks(8).flat_map(|some| Probe::tenants(&city.question(0, &some.iter().collect::<Vec<_>>())));
        let search = Search::alone(&register, Kernel::best());
        let all: Vec<f64> = tenants
            .flat_map(|tenant| (0..60).map(move |row| search.together(&tenant, row).value()).collect::<Vec<_>>())
            .collect();
        for share in [0.5, 0.1, 0.01] {
            let z = chance.together(share);
            let reached = all.iter().filter(|other| **other >= z).count() as f64 / all.len() as f64;
            assert!((share * 0.6..=share * 1.4).contains(&reached), "{share}: {reached}");
        }
    }

    /// Filters of tokens that all have in common and of others that each has alone, as a profile makes codes of them.
    #[test]
    fn people_who_agree_equally_are_as_far_apart_as_tossing_makes_them_and_hardly_less() {
        for (bits, t, common, own) in [(512, 4, 180, 97), (256, 3, 130, 10)] {
            let mut draw = Draw::new(4);
            let (mut squares, mut expected) = (0.0, 0.0);
            for _ in 0..200 {
                let places: Vec<Vec<usize>> = (0..bits).map(|_| (0..t).map(|_| draw.below(bits)).collect()).collect();
                let shared: Vec<usize> = (0..common).map(|_| draw.below(bits)).collect();
                let mut code = || -> Vec<bool> {
                    let mut filter = vec![false; bits];
                    shared.iter().for_each(|at| filter[*at] = true);
                    (0..own).for_each(|_| filter[draw.below(bits)] = true);
                    places.iter().map(|places| places.iter().fold(false, |parity, at| parity ^ filter[*at])).collect()
                };
                let (person, one, other) = (code(), code(), code());
                let share = |a: &[bool], b: &[bool]| {
                    let distance = a.iter().zip(b).filter(|(a, b)| a != b).count();
                    (1.0 - 2.0 * distance as f64 / bits as f64).max(0.0)
                };
                let (nearer, farther) = (share(&person, &one), share(&person, &other));
                squares += (nearer - farther).powi(2) * bits as f64;
                expected += toss(f64::midpoint(nearer, farther), share(&one, &other), t);
            }
            assert!((0.4..=1.1).contains(&(squares / expected)), "{bits}, {t}: {squares} of {expected}");
        }
    }

    #[test]
    fn what_is_rarer_wants_more() {
        let chance = Chance::new(&Shape::of(&Profile::built_in()));
        let shares = [0.1, 1e-3, 1e-5, 1e-7];
        assert!(shares.is_sorted_by_key(|share| chance.together(*share)));
        assert!(shares.is_sorted_by_key(|share| chance.in_pass(0, *share)));
    }
}
