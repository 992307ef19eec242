//! Similarities of all pairs of codes, and what the attacks do with such matrices.

use faer::Mat;
use rayon::prelude::*;

use crate::code::Code;

/// A symmetric matrix of a number for each pair.
#[derive(Clone)]
pub(super) struct Square {
    side: usize,
    values: Vec<f32>,
}

impl Square {
    /// Of a function of every pair, on all cores. The function is symmetric.
    pub(super) fn of(side: usize, value: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let mut values = vec![0.0; side * side];
        values.par_chunks_mut(side.max(1)).enumerate().for_each(|(row, cells)| {
            cells.iter_mut().enumerate().for_each(|(column, cell)| *cell = value(row, column));
        });
        Self { side, values }
    }

    /// 1 - 2 * the share of differing bits: 1 for equal codes, about 0 for codes that say nothing of each other.
    pub(super) fn correlations(codes: &[Code]) -> Self {
        let bits = codes.first().map_or(1, Code::bits) as f32;
        Self::of(codes.len(), |a, b| 1.0 - 2.0 * differing(&codes[a], &codes[b]) as f32 / bits)
    }

    pub(super) fn side(&self) -> usize {
        self.side
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.side..][..self.side]
    }

    pub(super) fn at(&self, row: usize, column: usize) -> f32 {
        self.values[row * self.side + column]
    }

    /// Each cell changed, on all cores.
    pub(super) fn change(&mut self, change: impl Fn(f32) -> f32 + Sync) {
        self.values.par_iter_mut().for_each(|value| *value = change(*value));
    }

    /// Each cell changed by the same one of another matrix.
    pub(super) fn join(&mut self, other: &Self, join: impl Fn(f32, f32) -> f32 + Sync) {
        self.values.par_iter_mut().zip(&other.values).for_each(|(value, other)| *value = join(*value, *other));
    }

    pub(super) fn set_diagonal(&mut self, value: f32) {
        (0..self.side).for_each(|at| self.values[at * self.side + at] = value);
    }

    /// The cells above the diagonal.
    pub(super) fn pairs(&self) -> Vec<f32> {
        (0..self.side).flat_map(|row| &self.row(row)[row + 1..]).copied().collect()
    }

    /// Some rows and columns.
    pub(super) fn part(&self, rows: &[usize], columns: &[usize]) -> Mat<f32> {
        Mat::from_fn(rows.len(), columns.len(), |row, column| self.at(rows[row], columns[column]))
    }
}

/// Bits in which two codes of one length differ.
pub(super) fn differing(a: &Code, b: &Code) -> u32 {
    a.words().iter().zip(b.words()).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// Bits set in both codes.
pub(super) fn shared(a: &Code, b: &Code) -> u32 {
    a.words().iter().zip(b.words()).map(|(a, b)| (a & b).count_ones()).sum()
}

/// The value below which a share of the others lies, between two neighbours linearly. `sorted` has a value.
pub(super) fn quantile(sorted: &[f32], share: f32) -> f32 {
    let place = share * (sorted.len() - 1) as f32;
    let below = place as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f32)
}

/// The middle value; 0 of nothing.
pub(super) fn median(mut values: Vec<f32>) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Position of the largest number; what is no number is never the largest.
pub(super) fn largest(values: impl IntoIterator<Item = f32>) -> Option<usize> {
    let numbers = values.into_iter().enumerate().filter(|(_, value)| !value.is_nan());
    // The first of equals, so that the result does not depend on the way of searching.
    numbers.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_one_zero_and_minus_one() {
        let codes = [vec![0_u64], vec![u64::MAX], vec![u64::from(u32::MAX)]].map(Code::from);
        let all = Square::correlations(&codes);
        assert_eq!(all.pairs(), [-1.0, 0.0, 0.0]);
        assert_eq!(all.at(2, 2), 1.0);
        assert_eq!(shared(&codes[1], &codes[2]), 32);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.25), 1.5);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 1.0), 4.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn what_is_no_number_is_never_the_largest() {
        assert_eq!(largest([f32::NAN, 1.0, 3.0, 3.0]), Some(2));
        assert_eq!(largest([f32::NAN]), None);
    }
}
