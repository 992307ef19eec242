//! `voorrang link --suggest-threshold`: the estimate as a table on standard error, and as JSON with `--stats`.

use std::fmt::Write;
use std::num::NonZeroUsize;

use serde_json::{Value, json};

use super::input::InputError;
use crate::link::join::{Clks, Expected, STEPS, Suggestion, suggest};

/// Widest bar of the histogram.
const BAR: usize = 40;

/// Estimates, prints the table, and gives the JSON.
pub(super) fn run(left: &Clks, right: &Clks, threads: NonZeroUsize) -> Result<Value, InputError> {
    let suggestion = suggest(left, right, threads).map_err(InputError::Join)?;
    eprint!("{}", table(&suggestion));
    Ok(json(&suggestion))
}

fn table(suggestion: &Suggestion) -> String {
    let mut text = "Dice of sampled pairs, logarithmic bars:\n".to_owned();
    let parts = suggestion.histogram.chunks(STEPS / 20).enumerate();
    let parts: Vec<(usize, u64)> = parts.map(|(at, counts)| (at, counts.iter().sum())).collect();
    let most = parts.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let long = |count: u64| (count as f64).ln_1p() / (most as f64).ln_1p() * BAR as f64;
    for (at, count) in parts.into_iter().filter(|(_, count)| *count > 0) {
        line(
            &mut text,
            &format!("{:.2}  {:<BAR$}  {count}", at as f64 / 20.0, "#".repeat(long(count).ceil() as usize)),
        );
    }
    line(
        &mut text,
        "\nThreshold        pairs      strangers  precision  recall   (estimates, without knowing who is who)",
    );
    for row in suggestion.rows.iter().filter(|row| row.pairs > 0.0) {
        let Expected { threshold, pairs, false_pairs, precision, recall } = row;
        let numbers = format!("{threshold:<9.2}  {pairs:>10.0}  {false_pairs:>13.2}  {precision:>9.3}  {recall:>6.3}");
        line(&mut text, &numbers);
    }
    line(&mut text, &format!("\n{} left CLKs were compared with all right ones.", suggestion.sampled));
    line(&mut text, "Strangers are counted within the right file, in which nobody should be twice;");
    line(&mut text, &format!("from {:.2} on they are too few and are extrapolated.", suggestion.extrapolated_from));
    if !(0.5..=2.0).contains(&suggestion.likeness) {
        let times = suggestion.likeness;
        line(
            &mut text,
            &format!("The files differ: {times:.2} times as many strangers across them. Do not rely on this."),
        );
    }
    match (suggestion.visible_from, suggestion.best) {
        (Some(visible), Some(best)) => {
            line(
                &mut text,
                &format!("Below {visible:.2} most pairs are strangers; recall is of the matches above it,"),
            );
            line(&mut text, &format!("the true one is lower. Best balance of both estimates: --threshold {best:.2}"));
        }
        _ => line(&mut text, "No match can be told from strangers: no threshold is suggested."),
    }
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("memory takes all");
}

fn json(suggestion: &Suggestion) -> Value {
    let row = |row: &Expected| {
        json!({
            "threshold": row.threshold,
            "pairs": row.pairs,
            "expectedFalsePairs": row.false_pairs,
            "estimatedPrecision": row.precision,
            "estimatedRecall": row.recall,
        })
    };
    json!({
        "estimate": true,
        "suggestedThreshold": suggestion.best,
        "visibleFrom": suggestion.visible_from,
        "extrapolatedFrom": suggestion.extrapolated_from,
        "likeness": suggestion.likeness,
        "sampledLeft": suggestion.sampled,
        "histogram": suggestion.histogram,
        "thresholds": suggestion.rows.iter().map(row).collect::<Vec<_>>(),
    })
}
