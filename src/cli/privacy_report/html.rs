//! The report as one HTML file: no script, nothing loaded, plots drawn in SVG.

use std::fmt::{Display, Write as _};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};

use super::report::{Attack, Report, percent};
use super::table::{attack_rows, is_text, sample_text, statistics_rows, token_rows};
use crate::privacy::PassStatistics;

/// Rates below this share are drawn at the left edge.
const LEAST_RATE: f64 = 1e-4;
/// Width of the drawing area of the plot of attacks, left of it the titles.
const PLOT: f64 = 480.0;
const TITLES: f64 = 480.0;
const ROW: f64 = 22.0;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}\
table{border-collapse:collapse;font-size:.85rem;margin:1rem 0}caption{text-align:left;font-weight:600}\
th,td{padding:.25rem .6rem;border-bottom:1px solid #ccc;text-align:right}th.t,td.t{text-align:left}\
.fail{color:#a40000;font-weight:600}.wide{overflow-x:auto}svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif}";

/// The whole page.
pub fn page(report: &Report) -> String {
    let failed = if report.gates().0 > 0 { " class=\"fail\"" } else { "" };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Privacy report</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>Privacy report</h1>\n<p{failed}><strong>{}</strong></p>\n",
        STANDARD.encode(digest(&SHA256, STYLE.as_bytes())),
        Escaped(&report.verdict())
    );
    for part in [facts(report), attacks(report), statistics(report), tokens(report), notes(report)] {
        out.push_str(&part);
    }
    out.push_str("</body>\n</html>\n");
    out
}

/// Text that cannot become markup.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            c => f.write_char(c),
        })
    }
}

fn table(caption: &str, heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("<div class=\"wide\"><table><caption>{}</caption>\n<thead><tr>", Escaped(caption));
    let is_left = |at: usize| rows.iter().any(|row| is_text(&row[at]));
    let class = |at: usize, cell: &str| match (cell.starts_with("FAILS"), is_left(at)) {
        (true, _) => " class=\"t fail\"",
        (false, true) => " class=\"t\"",
        (false, false) => "",
    };
    for (at, cell) in heading.iter().enumerate() {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(at, cell), Escaped(cell));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let _ = write!(out, "<td{}>{}</td>", class(at, cell), Escaped(cell));
        }
        out.push_str("</tr>\n");
    }
    out + "</tbody></table></div>\n"
}

fn facts(report: &Report) -> String {
    let (header, records) = (report.header, &report.files.statistics);
    let (addresses, most) = records.addresses();
    let files = report.files.files.iter().map(|(name, records)| vec![name.clone(), records.to_string()]);
    let what = format!(
        "Profile {}, epoch {}, schema hash {}, key-check value {}. {} records with codes, {} without (minors). \
         {addresses} addresses, {most} people with codes at the largest; {} people are known by the size of their \
         address alone.",
        header.profile,
        header.epoch,
        header.schema_hash,
        header.key_check,
        records.encoded,
        records.without_codes,
        records.at_unique_sizes(),
    );
    format!("<p>{}</p>\n{}", Escaped(&what), table("Files", &["file", "records"], &files.collect::<Vec<_>>()))
}

fn attacks(report: &Report) -> String {
    let Some(sample) = &report.sample else { return String::new() };
    let (heading, rows) = attack_rows(report);
    format!(
        "<h2>Attacks</h2>\n<p>{} Strong: the attacker knows the exact covariance of the codes under keys that it does \
         not have. Weak: it measures it on finished codes of its own. A control attacks filters before diffusion: an \
         attack that does not break it proves nothing. A rate above a gate fails unless chance, or for a multiple of \
         chance codes that are just at it, give as many hits in one of a hundred samples.</p>\n{}{}",
        Escaped(&sample_text(sample)),
        rates_plot(&report.attacks),
        table("Success rates", &heading, &rows)
    )
}

fn statistics(report: &Report) -> String {
    let (heading, rows) = statistics_rows(report);
    let plots: String = report.passes().map(|(name, pass)| histogram(name, pass)).collect();
    format!(
        "<h2>Codes</h2>\n<p>Beside each spread stands that of fair coins. Equal codes are people whom the pass cannot \
         tell apart.</p>\n{}{plots}",
        table("Statistics of all codes", &heading, &rows)
    )
}

fn tokens(report: &Report) -> String {
    let (heading, rows) = token_rows(report);
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<h2>Tokens</h2>\n{}",
        table("How much each kind of token tells, over the people with codes", &heading, &rows)
    )
}

fn notes(report: &Report) -> String {
    if report.notes.is_empty() {
        return String::new();
    }
    let notes: String = report.notes.iter().map(|note| format!("<li>{}</li>\n", Escaped(note))).collect();
    format!("<h2>Notes</h2>\n<ul>\n{notes}</ul>\n")
}

/// Place of a rate on the logarithmic axis.
fn place(rate: f64) -> f64 {
    PLOT * (1.0 - rate.max(LEAST_RATE).log10() / LEAST_RATE.log10())
}

/// A bar a rate, a line at chance, a mark at the gate.
fn rates_plot(attacks: &[Attack]) -> String {
    let (width, height) = (TITLES + PLOT + 80.0, 30.0 + ROW * attacks.len() as f64);
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"Success rates of the attacks on a logarithmic axis\">\n"
    );
    for rate in [1e-4, 1e-3, 1e-2, 1e-1, 1.0] {
        let x = TITLES + place(rate);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"20\" x2=\"{x:.1}\" y2=\"{height}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"14\" \
             text-anchor=\"middle\">{}</text>",
            percent(rate)
        );
    }
    for (at, attack) in attacks.iter().enumerate() {
        out.push_str(&rate_bar(attack, 24.0 + ROW * at as f64));
    }
    out + "</svg>\n<p>Bar: people found. Thin line: chance. Red mark: the gate. Grey: control.</p>\n"
}

fn rate_bar(attack: &Attack, y: f64) -> String {
    let known = attack.known.map(|known| format!(", {known} known")).unwrap_or_default();
    let title = format!("{}{known}: {}", attack.title, attack.codes);
    let rate = attack.score.rate();
    let colour = match (attack.is_control, attack.holds()) {
        (true, Some(false)) | (false, Some(false)) => "#a40000",
        (true, _) => "#8a8a8a",
        (false, _) => "#1f5fa8",
    };
    let (middle, bar, chance) = (y + 12.0, place(rate).max(1.0), TITLES + place(attack.score.chance()));
    let mut out = format!(
        "<text x=\"{:.1}\" y=\"{middle}\" text-anchor=\"end\">{}</text><rect x=\"{TITLES}\" y=\"{y}\" width=\"{bar:.1}\" \
         height=\"14\" fill=\"{colour}\"/><line x1=\"{chance:.1}\" y1=\"{y}\" x2=\"{chance:.1}\" y2=\"{:.1}\" \
         stroke=\"#000\"/><text x=\"{:.1}\" y=\"{middle}\">{}</text>",
        TITLES - 6.0,
        Escaped(&title),
        y + 14.0,
        TITLES + bar + 6.0,
        percent(rate),
    );
    if let Some(limit) = attack.limit() {
        let x = TITLES + place(limit);
        let _ =
            write!(out, "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"3\" height=\"18\" fill=\"#d40000\"/>", x - 1.5, y - 2.0);
    }
    out + "\n"
}

/// Codes by the number of set bits, with the curve of fair coins.
fn histogram(name: &str, pass: &PassStatistics) -> String {
    const WIDTH: f64 = 660.0;
    const HEIGHT: f64 = 160.0;
    let counts = pass.histogram();
    let step = WIDTH / counts.len() as f64;
    // Width of a class in standard deviations, and the normal curve in a class.
    let width = 2.0 * pass.class_width() as f64 / (pass.bits() as f64).sqrt();
    let fair = |at: usize| {
        let deviation = width * (at as f64 - (counts.len() / 2) as f64);
        pass.codes() as f64 * width * (-deviation * deviation / 2.0).exp() / std::f64::consts::TAU.sqrt()
    };
    let most = (0..counts.len()).map(|at| fair(at).max(counts[at] as f64)).fold(1.0, f64::max);
    let y = |count: f64| HEIGHT * (1.0 - count / most);
    let mut out = format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" \
         aria-label=\"Codes by number of set bits\">\n"
    );
    for (at, &count) in counts.iter().enumerate() {
        let top = y(count as f64);
        let _ = write!(
            out,
            "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#1f5fa8\"/>",
            step * at as f64 + 1.0,
            step - 2.0,
            HEIGHT - top
        );
    }
    let points: Vec<String> =
        (0..counts.len()).map(|at| format!("{:.1},{:.1}", step * (at as f64 + 0.5), y(fair(at)))).collect();
    let _ = write!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"#000\"/>\n</svg>", points.join(" "));
    let half = pass.bits() / 2;
    let _ = writeln!(
        out,
        "<figcaption>Pass {}: codes by number of set bits, about {half}; the curve is that of \
         fair coins.</figcaption></figure>",
        Escaped(name)
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(Escaped("<script a=\"&\">").to_string(), "&lt;script a=&quot;&amp;&quot;&gt;");
        let rows = [vec!["<b>.ndjson".to_owned(), "3".to_owned()]];
        assert!(!table("Files", &["file", "records"], &rows).contains("<b>"));
    }

    #[test]
    fn the_axis_goes_from_one_in_ten_thousand_to_all() {
        assert_eq!((place(0.0), place(1e-4), place(1.0)), (0.0, 0.0, PLOT));
        assert!((place(1e-2) - PLOT / 2.0).abs() < 1e-9);
    }
}
