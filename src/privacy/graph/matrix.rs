//! Small operations on matrices whose rows are stolen nodes and whose columns are the attacker's.

use faer::{Mat, MatRef};

use super::super::similarity::largest;

/// Neighbours that say how near a node is to everybody.
const NEIGHBOURS: usize = 10;

/// Standard deviation of all cells; 1 where all are equal.
pub(super) fn deviation(of: &Mat<f32>) -> f32 {
    let count = (of.nrows() * of.ncols()).max(1) as f64;
    let cells = || (0..of.ncols()).flat_map(|column| of.col_as_slice(column));
    let mean = cells().map(|&value| f64::from(value)).sum::<f64>() / count;
    let square = cells().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    if square > 0.0 { square.sqrt() as f32 } else { 1.0 }
}

/// Pairs of a row and a column that are each other's largest.
pub(super) fn mutual(of: &Mat<f32>) -> Vec<(usize, usize)> {
    let rows = of.transpose().to_owned();
    let best_row: Vec<Option<usize>> =
        (0..of.ncols()).map(|column| largest(of.col_as_slice(column).iter().copied())).collect();
    let best_column = |row: usize| largest(rows.col_as_slice(row).iter().copied());
    let chosen = (0..of.nrows()).filter_map(|row| best_column(row).map(|column| (row, column)));
    chosen.filter(|&(row, column)| best_row[column] == Some(row)).collect()
}

/// Twice each cell less the mean of the ten largest of its row and of its column.
pub(super) fn local_scaling(of: &Mat<f32>) -> Mat<f32> {
    let columns: Vec<f32> = (0..of.ncols()).map(|column| mean_of_largest(of.col_as_slice(column))).collect();
    let transposed = of.transpose().to_owned();
    let rows: Vec<f32> = (0..of.nrows()).map(|row| mean_of_largest(transposed.col_as_slice(row))).collect();
    Mat::from_fn(of.nrows(), of.ncols(), |row, column| 2.0 * of[(row, column)] - rows[row] - columns[column])
}

fn mean_of_largest(values: &[f32]) -> f32 {
    let mut values = values.to_vec();
    let count = NEIGHBOURS.min(values.len());
    if count < values.len() {
        values.select_nth_unstable_by(count, |a, b| b.total_cmp(a));
    }
    values[..count].iter().sum::<f32>() / count.max(1) as f32
}

/// Negative squared distances of the rows of one to the rows of the other.
pub(super) fn negative_distances(one: &Mat<f32>, other: &Mat<f32>) -> Mat<f32> {
    let norms = |of: &Mat<f32>| -> Vec<f32> { (0..of.nrows()).map(|row| of.row(row).squared_norm_l2()).collect() };
    let (left, right) = (norms(one), norms(other));
    let products = one * other.transpose();
    Mat::from_fn(left.len(), right.len(), |row, column| 2.0 * products[(row, column)] - left[row] - right[column])
}

/// All rows less the mean of some, and those some.
pub(super) fn centred_columns(of: MatRef<'_, f32>, some: &[usize]) -> (Mat<f32>, Mat<f32>) {
    let mean = |column: usize| some.iter().map(|&row| of[(row, column)]).sum::<f32>() / some.len().max(1) as f32;
    let means: Vec<f32> = (0..of.ncols()).map(mean).collect();
    let all = Mat::from_fn(of.nrows(), of.ncols(), |row, column| of[(row, column)] - means[column]);
    let kept = Mat::from_fn(some.len(), of.ncols(), |at, column| all[(some[at], column)]);
    (all, kept)
}

/// Rows of length 1.
pub(super) fn unit_rows(mut of: Mat<f32>) -> Mat<f32> {
    for row in 0..of.nrows() {
        let length = of.row(row).norm_l2() + 1e-9;
        (0..of.ncols()).for_each(|column| of[(row, column)] /= length);
    }
    of
}

/// Rows with mean 0 and length 1: their products are correlations.
pub(super) fn unit_rows_by_spread(mut of: Mat<f32>) -> Mat<f32> {
    for row in 0..of.nrows() {
        let mean = of.row(row).sum() / of.ncols() as f32;
        (0..of.ncols()).for_each(|column| of[(row, column)] -= mean);
    }
    unit_rows(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_mutual() {
        let of = Mat::from_fn(3, 3, |row, column| [[3.0, 1.0, 0.0], [4.0, 1.0, 0.0], [0.0, 0.0, 2.0]][row][column]);
        assert_eq!(mutual(&of), [(1, 0), (2, 2)]);
    }

    #[test]
    fn a_node_that_is_near_to_everybody_is_moved_back() {
        let near_to_all = Mat::from_fn(
            20,
            20,
            |row, column| if row == column { 1.5 } else { 0.0 } + if column == 0 { 2.0 } else { 0.0 },
        );
        assert_eq!(mutual(&near_to_all).len(), 1);
        assert_eq!(mutual(&local_scaling(&near_to_all)).len(), 20);
    }

    #[test]
    fn distances_are_those_of_rows() {
        let one = Mat::from_fn(1, 2, |_, column| [3.0, 4.0][column]);
        let zero = Mat::zeros(1, 2);
        assert_eq!(negative_distances(&one, &zero)[(0, 0)], -25.0);
        assert_eq!(unit_rows(one)[(0, 1)], 0.8);
        assert_eq!(deviation(&zero), 1.0);
    }
}
