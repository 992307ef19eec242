//! The definition that every kernel must equal.

use super::{Hit, Line, Scan};

pub(super) fn within(scan: Scan<'_>, hits: &mut Vec<Hit>) {
    for (row, code) in scan.rows.chunks_exact(scan.code_lines).enumerate() {
        for (query, asked) in scan.queries.chunks_exact(scan.code_lines).enumerate() {
            let distance = distance(asked, code);
            if distance <= scan.limits[query] {
                hits.push(Hit { query, row, distance });
            }
        }
    }
}

fn distance(a: &[Line], b: &[Line]) -> u32 {
    let differing = |a: &Line, b: &Line| -> u32 { a.0.iter().zip(&b.0).map(|(a, b)| (a ^ b).count_ones()).sum() };
    a.iter().zip(b).map(|(a, b)| differing(a, b)).sum()
}
