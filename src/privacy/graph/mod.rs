//! The graph-matching attack: no pair is known. Stolen codes are a graph whose edges are similarities; so are the
//! attacker's own. `shape` describes each node by how its similarities are spread and what its neighbours are like,
//! which gives a first guess; the spectral embeddings of both graphs are then turned onto each other by the pairs that
//! choose each other (orthogonal Procrustes), in more and more dimensions; last, pairs that choose each other serve as
//! landmarks, and an assignment makes the guess one to one.
//!
//! Sources: Vidanage et al., CIKM 2020 (the attack); Schaefer, Armknecht, Heng, ACSAC 2024 (no shared key); Lample et
//! al., ICLR 2018 (cross-domain similarity local scaling against nodes that are near to everybody).

mod matrix;
mod shape;

use faer::{Mat, Side};

use super::similarity::{Square, shared};
use super::{Attacker, Sample, Score};
use crate::code::Code;
use matrix::{centred_columns, deviation, local_scaling, mutual, negative_distances, unit_rows, unit_rows_by_spread};
use shape::{shapes, whitened};

/// Dimensions of the embedding, step by step.
const DIMENSIONS: [usize; 8] = [8, 12, 16, 24, 32, 48, 64, 96];
const ROUNDS: usize = 3;
const LANDMARK_ROUNDS: usize = 5;
/// Fewer pairs that choose each other than this turn nothing.
const LEAST_MUTUAL: usize = 4;
/// The surest pairs that are used at least.
const LEAST_KEPT: usize = 60;

/// People whose stolen codes are given their name. `attackers[p]` is of pass `p`; `finished` takes the finished codes
/// of the first own key, otherwise its filters, for the control.
pub fn graph_match(sample: &Sample, attackers: &[&Attacker], finished: bool) -> Score {
    let own = attackers.iter().map(|attacker| if finished { &attacker.codes[0] } else { &attacker.filters[0] });
    let (stolen, own) = (joined(sample.stolen.iter()), joined(own));
    let people = sample.people();
    let guess = matched(&stolen, &own);
    let hits = guess.into_iter().zip(&sample.truth).filter(|(guess, truth)| guess == *truth).count();
    Score { hits, people, by_chance: 1.0 }
}

/// The codes of all passes of a person as one.
fn joined<'a>(passes: impl Iterator<Item = &'a Vec<Code>>) -> Vec<Code> {
    let mut people: Vec<Vec<u64>> = Vec::new();
    for codes in passes {
        people.resize(codes.len(), Vec::new());
        people.iter_mut().zip(codes).for_each(|(words, code)| words.extend(code.words()));
    }
    people.into_iter().map(Code::from).collect()
}

/// Per stolen code the own code that it is taken for, one to one.
fn matched(stolen: &[Code], own: &[Code]) -> Vec<usize> {
    let people = stolen.len();
    let (left, right) = (dice(stolen), dice(own));
    let (a, b) = whitened(&shapes(&left, stolen), &shapes(&right, own));
    let mut prior = local_scaling(&negative_distances(&a, &b));
    prior *= faer::Scale(1.0 / deviation(&prior));
    let most = DIMENSIONS[DIMENSIONS.len() - 1].min(people - 2);
    let turned = turned(&embedding(&left, most), &embedding(&right, most), &prior);
    let choice = landmarks(&left, &right, turned);
    let costs: Vec<f64> = (0..people)
        .flat_map(|row| (0..people).map(move |column| (row, column)))
        .map(|at| -f64::from(choice[at]))
        .collect();
    lsap::solve(people, people, &costs, false).map_or_else(|_| vec![0; people], |(_, columns)| columns)
}

/// Dice coefficients of all pairs.
fn dice(codes: &[Code]) -> Square {
    let ones: Vec<u32> = codes.iter().map(Code::ones).collect();
    Square::of(codes.len(), |a, b| 2.0 * shared(&codes[a], &codes[b]) as f32 / (ones[a] + ones[b]).max(1) as f32)
}

/// The leading eigenvectors of the centred similarities, each by the root of its eigenvalue; a row a node.
fn embedding(similarities: &Square, dimensions: usize) -> Mat<f32> {
    let side = similarities.side();
    let means: Vec<f32> = (0..side).map(|row| similarities.row(row).iter().sum::<f32>() / side as f32).collect();
    let mean = means.iter().sum::<f32>() / side as f32;
    let centred = Mat::from_fn(side, side, |row, column| {
        if row == column { 0.0 } else { similarities.at(row, column) - means[row] - means[column] + mean }
    });
    let Ok(eigen) = centred.self_adjoint_eigen(Side::Lower) else { return Mat::zeros(side, dimensions) };
    let (vectors, values) = (eigen.U(), eigen.S().column_vector());
    // Ascending: the largest come last.
    Mat::from_fn(side, dimensions, |row, at| {
        let from_last = side - 1 - at;
        vectors[(row, from_last)] * values[from_last].max(1e-9).sqrt()
    })
}

/// Turns the left embedding onto the right one, in more and more dimensions. Returns how well each left node (row)
/// fits each right one.
fn turned(left: &Mat<f32>, right: &Mat<f32>, prior: &Mat<f32>) -> Mat<f32> {
    let mut choice = prior.clone();
    for (step, dimensions) in DIMENSIONS.into_iter().filter(|&d| d <= left.ncols()).enumerate() {
        for _ in 0..ROUNDS {
            let pairs = surest(&choice, 0.3 + 0.7 * step as f32 / DIMENSIONS.len() as f32);
            if pairs.len() < LEAST_MUTUAL {
                break;
            }
            let (x, y) = (left.subcols(0, dimensions), right.subcols(0, dimensions));
            let rows: Vec<usize> = pairs.iter().map(|pair| pair.0).collect();
            let columns: Vec<usize> = pairs.iter().map(|pair| pair.1).collect();
            let (x, x_kept) = centred_columns(x, &rows);
            let (y, y_kept) = centred_columns(y, &columns);
            let Ok(svd) = (x_kept.transpose() * &y_kept).svd() else { break };
            let rotation = svd.U() * svd.V().transpose();
            let fit = unit_rows(x * rotation) * unit_rows(y).transpose();
            let scaled = local_scaling(&fit);
            let trust = (0.6 - 0.1 * step as f32).max(0.0);
            choice = scaled.as_ref() * faer::Scale(1.0 / deviation(&scaled)) + prior * faer::Scale(trust);
        }
    }
    choice
}

/// Pairs that choose each other, those first whose second choice is far behind; this share of them.
fn surest(choice: &Mat<f32>, share: f32) -> Vec<(usize, usize)> {
    let mut pairs = mutual(choice);
    let gap = |row: usize| {
        let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
        for column in 0..choice.ncols() {
            let value = choice[(row, column)];
            if value > first {
                (first, second) = (value, first);
            } else if value > second {
                second = value;
            }
        }
        first - second
    };
    pairs.sort_by_cached_key(|pair| std::cmp::Reverse(ordered(gap(pair.0))));
    let kept = LEAST_KEPT.max((share.min(1.0) * pairs.len() as f32) as usize);
    pairs.truncate(kept);
    pairs
}

/// A number as bits that sort like it.
fn ordered(value: f32) -> i32 {
    let bits = value.to_bits().cast_signed();
    if bits < 0 { bits ^ i32::MAX } else { bits }
}

/// Fits by the similarities to the pairs that choose each other, some rounds.
fn landmarks(left: &Square, right: &Square, mut choice: Mat<f32>) -> Mat<f32> {
    for _ in 0..LANDMARK_ROUNDS {
        let pairs = mutual(&choice);
        if pairs.len() < LEAST_MUTUAL {
            break;
        }
        let to = |all: &Square, nodes: Vec<usize>| {
            // Nobody is a landmark of itself: its own similarity is no evidence.
            let seen =
                Mat::from_fn(
                    all.side(),
                    nodes.len(),
                    |row, at| {
                        if row == nodes[at] { 0.0 } else { all.at(row, nodes[at]) }
                    },
                );
            let every: Vec<usize> = (0..all.side()).collect();
            unit_rows_by_spread(centred_columns(seen.as_ref(), &every).0)
        };
        let x = to(left, pairs.iter().map(|pair| pair.0).collect());
        let y = to(right, pairs.iter().map(|pair| pair.1).collect());
        choice = local_scaling(&(x * y.transpose()));
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Town, noise};
    use super::*;

    #[test]
    fn the_graph_of_undiffused_filters_is_matched_and_that_of_noise_is_not() {
        let town = Town::new(160, 3);
        let of = |codes: &Vec<Code>, finished| {
            let sample = Sample::new(std::slice::from_ref(codes), &town.addresses, 1).unwrap();
            graph_match(&sample, &[&town.pass], finished)
        };
        let shown = of(&town.stolen_filters, false);
        assert!(shown.rate() > 0.8, "{shown:?}");
        let hidden = of(&noise(160, 2048, 4), true);
        assert!(hidden.hits <= 5 && hidden.by_chance == 1.0, "{hidden:?}");
    }

    #[test]
    fn numbers_sort_by_their_bits() {
        let mut values = [3.0_f32, -1.0, 0.0, -7.5, f32::NEG_INFINITY];
        values.sort_by_key(|&value| ordered(value));
        assert_eq!(values, [f32::NEG_INFINITY, -7.5, -1.0, 0.0, 3.0]);
    }
}
