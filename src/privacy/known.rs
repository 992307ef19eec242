//! The known-pair attack. Some stolen codes are known by name: K pairs. Under keys of its own the attacker sees how
//! similar every other person is to the known ones, and predicts each bit of that person's stolen code from the known
//! stolen codes by simple kriging: mean `C (G + r I)^-1 S`, variance `1 + r - c (G + r I)^-1 c`. G are the expected
//! correlations among known people, C those of the others to them, S the known stolen codes in -1 and 1, r a ridge.
//! Every stolen code that is not known is given to whoever predicts it best.
//!
//! No bit is ever touched: means and scores need only the inner products of stolen codes, so a pass costs three
//! products of K by K matrices whatever its length. Sources: Rasmussen and Williams, Gaussian Processes for Machine
//! Learning, 2006, chapter 2 (the prediction); Armknecht, Heng, Schnell, PoPETs 2023(2) 298-311 (its covariance).

use faer::Mat;
use faer::prelude::Solve;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::sample::random;
use super::similarity::{Square, largest};
use super::{Attacker, Covariance, PrivacyError, Sample, Score};

/// Ridges tried; the best result counts, as if the attacker knew which one to take.
const RIDGES: [f32; 4] = [0.002, 0.02, 0.1, 0.5];
/// Least variance of a prediction.
const LEAST_VARIANCE: f32 = 0.02;
/// People to look for that must be left.
const LEAST_LEFT: usize = 10;

/// Which passes an attacker looks at together.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Positions of the passes.
    pub passes: Vec<usize>,
}

/// What the attack found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownPairs {
    /// Of all whose pair was not known.
    pub everybody: Score,
    /// Of those none of whose address-mates is known. Who knows one member of a household and sees equal address
    /// tokens has the others without any code.
    pub no_known_mate: Score,
}

/// Attacks with `known` known pairs, once with the codes of each view. `attackers[p]` is of pass `p` of the sample.
///
/// # Errors
/// [`PrivacyError::TooManyKnown`] if fewer than ten people are left to look for.
pub fn known_pairs(
    sample: &Sample,
    attackers: &[&Attacker],
    covariance: Covariance,
    known: usize,
    views: &[View],
) -> Result<Vec<KnownPairs>, PrivacyError> {
    if known == 0 || known + LEAST_LEFT >= sample.people() {
        return Err(PrivacyError::TooManyKnown { known, people: sample.people() });
    }
    let split = Split::new(sample, known);
    let passes: Vec<Pass> =
        sample.stolen.iter().zip(attackers).map(|(stolen, attacker)| Pass::new(stolen, attacker, covariance)).collect();
    let variants = passes.iter().map(|pass| pass.expected.len()).min().unwrap_or(0);
    let tries: Vec<(f32, usize)> = RIDGES.iter().flat_map(|&r| (0..variants).map(move |v| (r, v))).collect();
    let found = tries.into_par_iter().map(|(ridge, variant)| {
        let guesses: Vec<Guesses> = passes.iter().map(|pass| pass.guess(&split, ridge, variant)).collect();
        views.iter().map(|view| split.best(&guesses, &view.passes)).collect::<Vec<_>>()
    });
    let found: Vec<Vec<(usize, usize)>> = found.collect();
    let most = |view: usize| {
        let best = |of: fn(&(usize, usize)) -> usize| found.iter().map(|tried| of(&tried[view])).max().unwrap_or(0);
        split.result(best(|hits| hits.0), best(|hits| hits.1))
    };
    Ok((0..views.len()).map(most).collect())
}

/// Who is known, and who is looked for where.
struct Split {
    /// Stolen records that are known, and their rows in the attacker's list.
    known: Vec<usize>,
    known_rows: Vec<usize>,
    /// Stolen records that are not.
    rest: Vec<usize>,
    /// Rows of the attacker's list that they can be.
    candidates: Vec<usize>,
    /// Per record of `rest`: the position of its person in `candidates`, and whether an address-mate is known.
    truth: Vec<usize>,
    has_mate: Vec<bool>,
}

impl Split {
    fn new(sample: &Sample, known: usize) -> Self {
        let people = sample.people();
        let mut order: Vec<usize> = (0..people).collect();
        order.shuffle(&mut random(sample.seed, 2));
        let mut rest = order.split_off(known);
        rest.sort_unstable();
        let known_rows: Vec<usize> = order.iter().map(|&record| sample.truth[record]).collect();
        let mut candidates: Vec<usize> = rest.iter().map(|&record| sample.truth[record]).collect();
        candidates.sort_unstable();
        let mut known_addresses = vec![false; sample.addresses()];
        known_rows.iter().for_each(|&row| known_addresses[sample.address[row]] = true);
        let place =
            |&record: &usize| candidates.binary_search(&sample.truth[record]).expect("whoever is left is a candidate");
        Self {
            truth: rest.iter().map(place).collect(),
            has_mate: rest.iter().map(|&record| known_addresses[sample.address[sample.truth[record]]]).collect(),
            known: order,
            known_rows,
            rest,
            candidates,
        }
    }

    /// Hits among everybody and among those without a known mate, of the better of two ways to score.
    fn best(&self, guesses: &[Guesses], passes: &[usize]) -> (usize, usize) {
        let hits = |of: fn(&Guesses) -> &Mat<f32>| {
            let parts: Vec<&Mat<f32>> = passes.iter().map(|&pass| of(&guesses[pass])).collect();
            self.hits(&parts)
        };
        let (likelihood, cosine) = (hits(|guess| &guess.likelihood), hits(|guess| &guess.cosine));
        if cosine.0 > likelihood.0 { cosine } else { likelihood }
    }

    /// A column a stolen record, a row a candidate; the sum over the passes decides.
    fn hits(&self, parts: &[&Mat<f32>]) -> (usize, usize) {
        let mut hits = (0, 0);
        for record in 0..self.rest.len() {
            let score = |candidate: usize| parts.iter().map(|part| part[(candidate, record)]).sum::<f32>();
            if largest((0..self.candidates.len()).map(score)) == Some(self.truth[record]) {
                hits.0 += 1;
                hits.1 += usize::from(!self.has_mate[record]);
            }
        }
        hits
    }

    fn result(&self, everybody: usize, no_known_mate: usize) -> KnownPairs {
        let alone = self.has_mate.iter().filter(|mate| !**mate).count();
        let chance = |people: usize| people as f64 / self.candidates.len() as f64;
        let score = |hits, people| Score { hits, people, by_chance: chance(people) };
        KnownPairs { everybody: score(everybody, self.rest.len()), no_known_mate: score(no_known_mate, alone) }
    }
}

/// How well each candidate (row) explains each stolen record (column).
struct Guesses {
    likelihood: Mat<f32>,
    cosine: Mat<f32>,
}

/// What the attacker has of one pass.
struct Pass {
    bits: f32,
    /// Correlations of the stolen codes.
    seen: Square,
    /// Mean of the bits of each stolen code in -1 and 1.
    means: Vec<f32>,
    expected: Vec<Square>,
    /// Spread of the expected correlations between people: how much this pass says.
    spread: f32,
}

impl Pass {
    fn new(stolen: &[crate::code::Code], attacker: &Attacker, covariance: Covariance) -> Self {
        let bits = stolen[0].bits() as f32;
        let expected = covariance.of(attacker);
        let pairs = expected[0].pairs();
        let between: Vec<f32> = pairs.into_iter().filter(|&value| value < 0.999).collect();
        let mean = between.iter().sum::<f32>() / between.len().max(1) as f32;
        let square = between.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / between.len().max(1) as f32;
        Self {
            bits,
            seen: Square::correlations(stolen),
            means: stolen.iter().map(|code| 2.0 * code.ones() as f32 / bits - 1.0).collect(),
            expected,
            spread: square.sqrt(),
        }
    }

    fn guess(&self, split: &Split, ridge: f32, variant: usize) -> Guesses {
        let expected = &self.expected[variant];
        let mut gram = expected.part(&split.known_rows, &split.known_rows);
        (0..gram.nrows()).for_each(|at| gram[(at, at)] += ridge);
        let cross = expected.part(&split.known_rows, &split.candidates);
        // A cut covariance need not be positive definite, so no Cholesky.
        let weights = gram.partial_piv_lu().solve(&cross);
        let centred = Centred::new(self, split);
        let products = weights.transpose() * &centred.known_rest;
        let spread = &centred.known_known * &weights;
        let candidates: Vec<Candidate> = (0..split.candidates.len())
            .map(|at| {
                let dot = |a: &Mat<f32>, b: &Mat<f32>| {
                    a.col_as_slice(at).iter().zip(b.col_as_slice(at)).map(|(a, b)| a * b).sum::<f32>()
                };
                let mean = weights.col_as_slice(at).iter().zip(&centred.known_means).map(|(w, m)| w * m).sum();
                let variance = (1.0 + ridge - dot(&cross, &weights)).max(LEAST_VARIANCE);
                Candidate { norm: dot(&weights, &spread).max(0.0), mean, variance }
            })
            .collect();
        self.score(&centred, &products, &candidates)
    }

    /// All inner products are a bit's; a code has `bits` of them.
    fn score(&self, centred: &Centred, products: &Mat<f32>, candidates: &[Candidate]) -> Guesses {
        let (rows, columns) = (products.nrows(), products.ncols());
        let likelihood = Mat::from_fn(rows, columns, |row, column| {
            let candidate = &candidates[row];
            let distance = centred.rest_norms[column] + candidate.norm - 2.0 * products[(row, column)];
            -0.5 * self.bits * (distance / candidate.variance + candidate.variance.ln())
        });
        let weight = self.bits.powf(1.5) * (self.spread + 1e-6);
        let cosine = Mat::from_fn(rows, columns, |row, column| {
            let (candidate, mean) = (&candidates[row], centred.rest_means[column]);
            let deviation = |norm: f32, mean: f32| (norm - mean * mean).max(0.0).sqrt() + 1e-9;
            let scale = deviation(candidate.norm, candidate.mean) * deviation(centred.rest_norms[column], mean);
            weight * (products[(row, column)] - candidate.mean * mean) / scale
        });
        Guesses { likelihood, cosine }
    }
}

/// A predicted code: its squared length a bit, the mean of its bits, the variance of the prediction.
struct Candidate {
    norm: f32,
    mean: f32,
    variance: f32,
}

/// Inner products of stolen codes, a bit's, after the mean of the known ones is taken off each bit.
struct Centred {
    known_known: Mat<f32>,
    known_rest: Mat<f32>,
    rest_norms: Vec<f32>,
    known_means: Vec<f32>,
    rest_means: Vec<f32>,
}

impl Centred {
    fn new(pass: &Pass, split: &Split) -> Self {
        let (known, rest) = (&split.known, &split.rest);
        let count = known.len() as f32;
        let to_known = |&record: &usize| known.iter().map(|&other| pass.seen.at(record, other)).sum::<f32>() / count;
        let of_known: Vec<f32> = known.iter().map(to_known).collect();
        let of_rest: Vec<f32> = rest.iter().map(to_known).collect();
        let all = of_known.iter().sum::<f32>() / count;
        let mean = known.iter().map(|&record| pass.means[record]).sum::<f32>() / count;
        let means = |records: &[usize]| records.iter().map(|&record| pass.means[record] - mean).collect();
        Self {
            known_known: Mat::from_fn(known.len(), known.len(), |a, b| {
                pass.seen.at(known[a], known[b]) - of_known[a] - of_known[b] + all
            }),
            known_rest: Mat::from_fn(known.len(), rest.len(), |a, b| {
                pass.seen.at(known[a], rest[b]) - of_known[a] - of_rest[b] + all
            }),
            rest_norms: of_rest.iter().map(|to_known| 1.0 - 2.0 * to_known + all).collect(),
            known_means: means(known),
            rest_means: means(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Town;
    use super::*;

    fn attacked(diffusion: u32, covariance: Covariance, known: usize) -> KnownPairs {
        let town = Town::new(160, diffusion);
        let views = [View { passes: vec![0] }];
        let stolen = if covariance == Covariance::Control { &town.stolen_filters } else { &town.stolen };
        let sample = Sample::new(std::slice::from_ref(stolen), &town.addresses, 1).unwrap();
        known_pairs(&sample, &[&town.pass], covariance, known, &views).unwrap()[0]
    }

    #[test]
    fn undiffused_filters_are_broken_with_half_of_the_people_known() {
        let found = attacked(3, Covariance::Control, 80);
        assert!(found.everybody.rate() > 0.95, "{found:?}");
        assert_eq!((found.everybody.people, found.everybody.by_chance), (80, 1.0));
    }

    #[test]
    fn diffusion_leaves_strangers_unknown_and_weak_diffusion_leaves_housemates_known() {
        let strong = attacked(9, Covariance::Exact, 80);
        assert!(strong.everybody.rate() < 0.1, "{strong:?}");
        let weak = attacked(2, Covariance::Exact, 80);
        assert!(weak.everybody.rate() > 0.3, "{weak:?}");
        assert!(weak.no_known_mate.people < weak.everybody.people);
    }

    #[test]
    fn the_weak_attacker_finds_no_more_than_the_strong_one() {
        let (weak, strong) = (attacked(2, Covariance::Measured, 80), attacked(2, Covariance::Exact, 80));
        assert!(weak.everybody.hits > 0 && weak.everybody.hits <= strong.everybody.hits + 4, "{weak:?} {strong:?}");
    }

    #[test]
    fn too_many_known_leave_nobody() {
        let town = Town::new(60, 3);
        let sample = Sample::new(std::slice::from_ref(&town.stolen), &town.addresses, 1).unwrap();
        for known in [0, 50, 60, 1_000] {
            let result = known_pairs(&sample, &[&town.pass], Covariance::Exact, known, &[]);
            assert_eq!(result.err(), Some(PrivacyError::TooManyKnown { known, people: 60 }));
        }
    }
}
