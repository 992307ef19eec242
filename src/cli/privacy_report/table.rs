//! The report as text for a terminal.

use std::fmt::Write as _;

use super::report::{Attack, Report, percent};

/// The whole report.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let parts = [head(report), statistics(report), tokens(report), attacks(report), notes(report)];
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        let _ = writeln!(out, "{part}");
    }
    let _ = writeln!(out, "{}", report.verdict());
    out
}

fn head(report: &Report) -> String {
    let header = report.header;
    let records = &report.files.statistics;
    let (addresses, most) = records.addresses();
    format!(
        "Privacy report: profile {}, epoch {}, schema {}\n{} records with codes, {} without (minors); \
         {addresses} addresses, {most} people at the largest, {} known by the size of their address alone\n",
        header.profile,
        header.epoch,
        header.schema_hash.get(..12).unwrap_or(&header.schema_hash),
        records.encoded,
        records.without_codes,
        records.at_unique_sizes(),
    )
}

/// Rows under a heading, columns as wide as they need; the first column to the left.
pub fn columns(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([heading[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut out = String::new();
    let heading: Vec<String> = heading.iter().map(|&cell| cell.to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
            if at == 0 || is_text(cell) { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    out
}

/// Whether a cell reads from the left: it has a word.
pub fn is_text(cell: &str) -> bool {
    cell.chars().any(|c| c.is_alphabetic())
}

/// Heading and rows of the statistics.
pub fn statistics_rows(report: &Report) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let heading = vec![
        "pass",
        "bits",
        "codes",
        "fill",
        "bit frequency",
        "spread",
        "fair",
        "set bits",
        "spread",
        "fair",
        "equal",
        "span",
    ];
    let row = |(name, pass): (&str, &crate::privacy::PassStatistics)| {
        let ((least, most), (fewest, largest)) = (pass.frequency_range(), pass.set_range());
        let ((frequency, fair_frequency), (set, fair_set)) = (pass.frequency_spread(), pass.set_spread());
        vec![
            name.to_owned(),
            pass.bits().to_string(),
            pass.codes().to_string(),
            format!("{:.4}", pass.fill()),
            format!("{least:.3} - {most:.3}"),
            format!("{frequency:.4}"),
            format!("{fair_frequency:.4}"),
            format!("{fewest} - {largest}"),
            format!("{set:.1}"),
            format!("{fair_set:.1}"),
            pass.equal().to_string(),
            pass.dimensions().to_string(),
        ]
    };
    (heading, report.passes().map(row).collect())
}

fn statistics(report: &Report) -> String {
    let (heading, rows) = statistics_rows(report);
    columns(&heading, &rows)
}

/// Heading and rows of the tokens.
pub fn token_rows(report: &Report) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let heading = vec!["token", "values", "missing", "distinct", "unique", "entropy, bits", "commonest"];
    let row = |(kind, entropy): &(&'static str, crate::privacy::Entropy)| {
        vec![
            (*kind).to_owned(),
            entropy.values().to_string(),
            entropy.missing().to_string(),
            entropy.distinct().to_string(),
            entropy.unique().to_string(),
            format!("{:.2}", entropy.bits()),
            percent(entropy.commonest()),
        ]
    };
    (heading, report.tokens.iter().map(row).collect())
}

fn tokens(report: &Report) -> String {
    let (heading, rows) = token_rows(report);
    if rows.is_empty() { String::new() } else { columns(&heading, &rows) }
}

/// Heading and rows of the attacks.
pub fn attack_rows(report: &Report) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let heading = vec!["attack", "on", "known", "people", "found", "rate", "chance", "gate", "verdict"];
    let row = |attack: &Attack| {
        vec![
            attack.title.clone(),
            attack.codes.clone(),
            attack.known.map_or_else(|| "0".to_owned(), |known| known.to_string()),
            attack.score.people.to_string(),
            attack.score.hits.to_string(),
            percent(attack.score.rate()),
            percent(attack.score.chance()),
            attack.gate_text(),
            attack.verdict().to_owned(),
        ]
    };
    (heading, report.attacks.iter().map(row).collect())
}

fn attacks(report: &Report) -> String {
    let Some(sample) = &report.sample else { return String::new() };
    let (heading, rows) = attack_rows(report);
    format!("{}\n{}", sample_text(sample), columns(&heading, &rows))
}

/// Who was attacked, in a sentence.
pub fn sample_text(sample: &super::report::SampleFacts) -> String {
    format!(
        "Attacks on {} people at {} addresses, drawn with seed {}; the attacker encodes with {} keys of its own.",
        sample.people, sample.addresses, sample.seed, sample.keys
    )
}

fn notes(report: &Report) -> String {
    report.notes.iter().map(|note| format!("Note: {note}\n")).collect()
}
