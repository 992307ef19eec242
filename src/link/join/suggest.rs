//! What a threshold would give, estimated without knowing who is who.
//!
//! Codes of the left file are sampled and compared with all of the right one: so many pairs reach each threshold. How
//! many of them are strangers is learned from pairs within the right file, where nobody is twice: they are all strangers,
//! and as many as one likes. Where even they end, their last tail is continued as a falling exponential. What is left
//! are matches. Two assumptions, and what tells that they fail:
//!
//! - Strangers are as alike across the files as within the right one. [`Suggestion::likeness`] is how many times as many
//!   pairs across reach a low score, where matches do not count; the estimate is corrected by it, and is worth little if
//!   it is far from 1.
//! - Nobody is twice in the right file. Duplicates pass for strangers: precision then comes out too low.
//!
//! Matches that are no more alike than strangers cannot be seen. Recall is therefore of the matches at or above
//! [`Suggestion::visible_from`], and the true one is lower.

use super::threshold::{Threshold, dice};
use super::{Clks, Join, JoinError, Progress};
use std::num::NonZeroUsize;

/// Parts of the scale from 0 to 1.
pub const STEPS: usize = 100;
/// Codes of each file of which all pairs make the histogram.
const SAMPLE: usize = 2_000;
/// Pairs with sampled codes, at most: under a second.
const MOST_PAIRS: usize = 2_000_000_000;
/// Sampled codes at least, however large the other file is.
const LEAST_CODES: usize = 500;
/// Share of the histogram's pairs that is looked at more closely: those most alike.
const CLOSELY: f64 = 1e-4;
/// Sampled pairs beyond the expected strangers that are no chance: so many, and so many standard deviations.
const SURPLUS: [f64; 2] = [10.0, 4.0];
/// Pairs of which the last ones of a tail are continued, and of which its slope is taken.
const TAIL: [f64; 2] = [20.0, 200.0];

/// The estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// Sampled pairs across the files per hundredth of the scale.
    pub histogram: Vec<u64>,
    /// From the lowest score that was looked at to 1, a hundredth apart.
    pub rows: Vec<Expected>,
    /// Left codes that were compared with all right ones.
    pub sampled: usize,
    /// How many times as many strangers across the files as within the right one reach a low score.
    pub likeness: f64,
    /// From this score on, the strangers within the right file were too few to count and are extrapolated.
    pub extrapolated_from: f64,
    /// Below this score, most pairs are strangers; none if sampled matches are too few to be told from them at all.
    pub visible_from: Option<f64>,
    /// The threshold with the best balance (F1) of estimated precision and recall.
    pub best: Option<f64>,
}

/// What a threshold is expected to give for both whole files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    pub threshold: f64,
    /// Pairs that reach it.
    pub pairs: f64,
    /// Strangers among them.
    pub false_pairs: f64,
    /// Share of matches among them.
    pub precision: f64,
    /// Share of the visible matches that reach it.
    pub recall: f64,
}

/// Looks at both files and estimates.
///
/// # Errors
/// [`JoinError`] if the files cannot be compared, or the right one has a single CLK.
pub fn suggest(left: &Clks, right: &Clks, threads: NonZeroUsize) -> Result<Suggestion, JoinError> {
    let everything = Threshold::new(f64::MIN_POSITIVE).and_then(|threshold| {
        let join = Join { left, right, threshold, kernel: None, threads };
        join.check().map(|()| join)
    })?;
    if right.len() < 2 {
        return Err(JoinError::TooFew);
    }
    let (histogram, among) = (across(left, right), within(right));
    let likeness = likeness(&histogram, &among, right.len());
    let lowest = lowest(&among);
    let sampled = (MOST_PAIRS / right.len()).max(LEAST_CODES);
    let count = |of: &Clks, own: bool| closely(Join { left: of, ..everything }, sampled, lowest, own);
    let (of_pairs, of_strangers) = (count(left, false)?, count(right, true)?);
    let whole = left.len() as f64 * right.len() as f64;
    let (strangers, extrapolated_from) = of_strangers.continued();
    let sum = |at: usize| Expected {
        threshold: score(at),
        pairs: of_pairs.at_least[at] / of_pairs.pairs * whole,
        false_pairs: strangers[at] / of_strangers.pairs * whole * likeness,
        precision: 0.0,
        recall: 0.0,
    };
    let mut rows: Vec<Expected> = (lowest..=STEPS).map(sum).collect();
    let visible_from = complete(&mut rows, of_pairs.pairs / whole);
    let balance = |row: &Expected| 2.0 * row.precision * row.recall / (row.precision + row.recall).max(1e-9);
    let best = rows.iter().max_by(|a, b| balance(a).total_cmp(&balance(b))).filter(|_| visible_from.is_some());
    Ok(Suggestion {
        best: best.map(|row| row.threshold),
        histogram,
        sampled: of_pairs.codes,
        likeness,
        extrapolated_from,
        visible_from,
        rows,
    })
}

fn score(step: usize) -> f64 {
    step as f64 / STEPS as f64
}

/// The step of a score: those of a hundredth itself belong to it.
fn step(score: f64) -> usize {
    (score * STEPS as f64 + 1e-9) as usize
}

fn across(left: &Clks, right: &Clks) -> Vec<u64> {
    let ((left, _), (right, _)) = (left.spread(SAMPLE), right.spread(SAMPLE));
    histogram(&left, &right, |_, _| true)
}

fn within(clks: &Clks) -> Vec<u64> {
    let (clks, _) = clks.spread(SAMPLE);
    histogram(&clks, &clks, |a, b| a != b)
}

fn histogram(left: &Clks, right: &Clks, counts: impl Fn(usize, usize) -> bool) -> Vec<u64> {
    let mut histogram = vec![0; STEPS + 1];
    for (a, b) in (0..left.len()).flat_map(|a| (0..right.len()).map(move |b| (a, b))).filter(|(a, b)| counts(*a, *b)) {
        let common = left.code(a).iter().zip(right.code(b)).map(|(a, b)| (a & b).count_ones()).sum();
        histogram[step(dice(common, left.ones()[a] + right.ones()[b]))] += 1;
    }
    histogram
}

/// How many reach each step.
fn at_least(histogram: &[u64]) -> Vec<f64> {
    let mut sums: Vec<f64> = histogram.iter().map(|count| *count as f64).collect();
    for at in (0..sums.len() - 1).rev() {
        sums[at] += sums[at + 1];
    }
    sums
}

/// Compared at the highest score that enough pairs reach to make a match for each right code a rarity.
fn likeness(across: &[u64], within: &[u64], right: usize) -> f64 {
    let (across, within) = (at_least(across), at_least(within));
    let share = (20.0 / right as f64).clamp(1e-3, 0.5);
    let at = within.iter().rposition(|count| *count >= share * within[0]).unwrap_or(0);
    (across[at] / across[0]) / (within[at] / within[0])
}

/// The step from which pairs are looked at closely, by those of strangers.
fn lowest(histogram: &[u64]) -> usize {
    let reached = at_least(histogram);
    let least = (CLOSELY * reached[0]).max(TAIL[1]).min(reached[0]);
    reached.iter().rposition(|count| *count >= least).unwrap_or(0).max(1)
}

/// Pairs of sampled codes with all right ones.
struct Counted {
    codes: usize,
    pairs: f64,
    at_least: Vec<f64>,
}

fn closely(join: Join<'_>, sampled: usize, lowest: usize, own: bool) -> Result<Counted, JoinError> {
    let (codes, positions) = join.left.spread(sampled);
    let mut histogram = vec![0; STEPS + 1];
    let join = Join { left: &codes, threshold: Threshold::new(score(lowest))?, ..join };
    join.run(|progress| -> Result<(), JoinError> {
        if let Progress::Matches(found) = progress {
            let found = found.into_iter().filter(|pair| !own || positions[pair.left as usize] != pair.right as usize);
            found.for_each(|pair| histogram[step(pair.dice)] += 1);
        }
        Ok(())
    })?;
    let others = join.right.len() - usize::from(own);
    Ok(Counted { codes: codes.len(), pairs: codes.len() as f64 * others as f64, at_least: at_least(&histogram) })
}

impl Counted {
    /// Counts whose tail is continued, and the score from which it is.
    fn continued(&self) -> (Vec<f64>, f64) {
        let last = |least: f64| self.at_least.iter().rposition(|count| *count >= least);
        let (Some(end), Some(start)) = (last(TAIL[0]), last(TAIL[1])) else { return (self.at_least.clone(), 0.0) };
        // Of a tail that ends at once nothing can be said but that it falls steeply.
        let fall = (self.at_least[start] / self.at_least[end]).ln() / (end - start).max(1) as f64;
        let fall = if end == start { TAIL[0].ln() } else { fall };
        let continued = |at: usize| self.at_least[end] * (-fall * (at - end) as f64).exp();
        let counts = (0..=STEPS).map(|at| if at > end { continued(at) } else { self.at_least[at] });
        (counts.collect(), score((end + 1).min(STEPS)))
    }
}

/// Precision and recall of every row, of whose pairs a share was seen; gives the lowest threshold from which strangers
/// are no more than half.
fn complete(rows: &mut [Expected], seen: f64) -> Option<f64> {
    for row in &mut *rows {
        // Where there is no pair, none is false.
        row.precision = if row.pairs > 0.0 { (1.0 - row.false_pairs / row.pairs).max(0.0) } else { 1.0 };
    }
    let strangers = rows.iter().rposition(|row| row.pairs > 0.0 && row.precision < 0.5);
    let visible = rows.get(strangers.map_or(0, |at| at + 1)).copied()?;
    let matches = |row: &Expected| (row.pairs - row.false_pairs).max(0.0);
    let chance = SURPLUS[0] + SURPLUS[1] * (visible.false_pairs * seen).sqrt();
    if matches(&visible) * seen < chance {
        return None;
    }
    let all = rows.iter().filter(|row| row.threshold >= visible.threshold).map(matches).fold(0.0, f64::max);
    for row in rows {
        row.recall = (matches(row) / all).min(1.0);
    }
    Some(visible.threshold)
}
