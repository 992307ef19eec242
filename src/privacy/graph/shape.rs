//! What a node of a similarity graph looks like without its name.

use faer::{Mat, Side};

use super::super::similarity::{Square, quantile};
use crate::code::Code;

/// Shares at which the similarities of a node are read, evenly and at the top.
const EVEN: usize = 33;
const TOP: usize = 10;
/// Largest similarities that are read one by one.
const LARGEST: usize = 12;
/// Similarities above these shares of all make neighbours.
const NEIGHBOUR_SHARES: [f32; 3] = [0.99, 0.95, 0.8];
/// Neighbours of neighbours.
const LEVELS: usize = 2;
/// Components that are kept.
const COMPONENTS: usize = 40;

/// A row a node: quantiles of its similarities, the largest ones, its share of set bits, and the mean and spread of
/// the same among its neighbours and theirs.
pub(super) fn shapes(similarities: &Square, codes: &[Code]) -> Mat<f32> {
    let side = similarities.side();
    let rows: Vec<Vec<f32>> = (0..side).map(|row| own_shape(similarities, row, &codes[row])).collect();
    let own = standardised(&Mat::from_fn(side, rows[0].len(), |row, column| rows[row][column]));
    let thinned = Mat::from_fn(side, own.ncols().div_ceil(3), |row, column| own[(row, 3 * column)]);
    let mut parts = vec![own];
    let all = sorted(similarities.pairs());
    for share in NEIGHBOUR_SHARES {
        let weights = neighbours(similarities, quantile(&all, share));
        let mut current = thinned.clone();
        for _ in 0..LEVELS {
            let mean = &weights * &current;
            let squares = Mat::from_fn(side, current.ncols(), |row, column| current[(row, column)].powi(2));
            let mean_square = &weights * squares;
            parts.push(Mat::from_fn(side, mean.ncols(), |row, column| {
                (mean_square[(row, column)] - mean[(row, column)].powi(2)).max(0.0).sqrt()
            }));
            parts.push(mean.clone());
            current = mean;
        }
    }
    beside(&parts)
}

fn own_shape(similarities: &Square, node: usize, code: &Code) -> Vec<f32> {
    let others = similarities.row(node).iter().enumerate().filter(|(at, _)| *at != node);
    let others = sorted(others.map(|(_, &value)| value).collect());
    let even = (0..EVEN).map(|at| 0.02 + 0.96 * at as f32 / (EVEN - 1) as f32);
    // From the top .08 % to the top 1.9 %, each step by the same factor.
    let top = (0..TOP).map(|at| 1.0 - 8e-4 * (1.9e-2_f32 / 8e-4).powf(at as f32 / (TOP - 1) as f32));
    let mut shape: Vec<f32> = even.chain(top).map(|share| quantile(&others, share)).collect();
    shape.extend(others.iter().rev().take(LARGEST));
    shape.push(code.ones() as f32 / code.bits() as f32);
    shape
}

fn sorted(mut values: Vec<f32>) -> Vec<f32> {
    values.sort_unstable_by(f32::total_cmp);
    values
}

/// Similarities above the threshold, as weights that sum to 1 a row.
fn neighbours(similarities: &Square, threshold: f32) -> Mat<f32> {
    let side = similarities.side();
    let weight = |row: usize, column: usize| {
        if row == column { 0.0 } else { (similarities.at(row, column) - threshold).max(0.0) }
    };
    let sums: Vec<f32> = (0..side).map(|row| (0..side).map(|column| weight(row, column)).sum::<f32>() + 1e-9).collect();
    Mat::from_fn(side, side, |row, column| weight(row, column) / sums[row])
}

fn beside(parts: &[Mat<f32>]) -> Mat<f32> {
    let columns: Vec<(usize, usize)> =
        parts.iter().enumerate().flat_map(|(part, of)| (0..of.ncols()).map(move |column| (part, column))).collect();
    Mat::from_fn(parts[0].nrows(), columns.len(), |row, at| parts[columns[at].0][(row, columns[at].1)])
}

/// Columns with mean 0 and standard deviation 1.
fn standardised(of: &Mat<f32>) -> Mat<f32> {
    let moments: Vec<(f32, f32)> = (0..of.ncols())
        .map(|column| {
            let values = of.col_as_slice(column);
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32;
            (mean, square.sqrt() + 1e-9)
        })
        .collect();
    Mat::from_fn(of.nrows(), of.ncols(), |row, column| (of[(row, column)] - moments[column].0) / moments[column].1)
}

/// Both sets of shapes on the principal components of the second, each component with the same spread there.
pub(super) fn whitened(one: &Mat<f32>, other: &Mat<f32>) -> (Mat<f32>, Mat<f32>) {
    let (one, other) = (standardised(one), standardised(other));
    let gram = other.transpose() * &other;
    let Ok(eigen) = gram.self_adjoint_eigen(Side::Lower) else { return (one, other) };
    let (vectors, values) = (eigen.U(), eigen.S().column_vector());
    let last = gram.ncols() - 1;
    let root = |at: usize| values[last - at].max(0.0).sqrt();
    let components = Mat::from_fn(gram.nrows(), COMPONENTS.min(gram.ncols()), |row, at| {
        vectors[(row, last - at)] / (root(at) + root(0) * 3e-3)
    });
    let (one, other) = (one * &components, other * &components);
    let spread = |column: usize| {
        let values = other.col_as_slice(column);
        (values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32).sqrt().max(1e-9)
    };
    let spreads: Vec<f32> = (0..other.ncols()).map(spread).collect();
    let scaled = |of: &Mat<f32>| Mat::from_fn(of.nrows(), of.ncols(), |row, at| of[(row, at)] / spreads[at]);
    (scaled(&one), scaled(&other))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::noise;
    use super::*;

    #[test]
    fn the_shape_of_a_node_does_not_depend_on_the_order_of_nodes() {
        let codes = noise(60, 256, 1);
        let reversed: Vec<Code> = codes.iter().rev().cloned().collect();
        let of = |codes: &[Code]| shapes(&Square::correlations(codes), codes);
        let (one, other) = (of(&codes), of(&reversed));
        for row in 0..60 {
            for column in 0..one.ncols() {
                assert!((one[(row, column)] - other[(59 - row, column)]).abs() < 1e-2);
            }
        }
    }

    #[test]
    fn whitened_columns_have_one_spread() {
        let codes = noise(80, 256, 2);
        let shapes = shapes(&Square::correlations(&codes), &codes);
        let (_, white) = whitened(&shapes, &shapes);
        for column in 0..white.ncols() {
            let square: f32 = white.col_as_slice(column).iter().map(|value| value * value).sum();
            assert!((square / 80.0 - 1.0).abs() < 1e-3);
        }
    }
}
