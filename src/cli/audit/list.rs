//! `voorrang audit list`: entries as a table, as JSON lines or as CSV.

use std::borrow::Cow;
use std::io::{self, Write};

use super::filter::Filter;
use super::reading::{Found, Reading};
use crate::audit::Action;
use crate::ids::EpochId;

/// What listing takes.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub log: super::LogArgs,
    #[command(flatten)]
    pub filter: Filter,
    /// As JSON, an entry a line
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// As CSV
    #[arg(long)]
    pub csv: bool,
}

/// Columns of the CSV form.
pub const COLUMNS: [&str; 22] = [
    "position",
    "time",
    "trace_id",
    "action",
    "result",
    "answer",
    "groups",
    "role",
    "oin",
    "person",
    "certificate",
    "object",
    "purpose",
    "stage",
    "consent",
    "regulation",
    "articles",
    "epoch",
    "latency",
    "count",
    "proposed",
    "proposal",
];

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &ListArgs) -> anyhow::Result<()> {
    let mut reading = args.filter.reading(&args.log)?;
    let out = io::stdout().lock();
    let count = if args.csv {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(COLUMNS)?;
        let count = wanted(&mut reading, &args.filter, |found| Ok(csv.write_record(row(&found))?))?;
        csv.flush()?;
        count
    } else {
        let mut out = io::BufWriter::new(out);
        let count = wanted(&mut reading, &args.filter, |found| {
            let text = if args.json { json(&found)? } else { table(&found) };
            Ok(writeln!(out, "{text}")?)
        })?;
        out.flush()?;
        count
    };
    eprintln!("{count} of {} entries.", reading.copy.size());
    Ok(reading.sound()?)
}

/// Visits the wanted entries in order; returns how many.
///
/// # Errors
/// As [`Reading::each`].
pub fn wanted(
    reading: &mut Reading,
    filter: &Filter,
    mut visit: impl FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut count = 0;
    let mut each = |found: Found| {
        if filter.wants(&found.entry) {
            count += 1;
            visit(found)?;
        }
        Ok(())
    };
    match filter.positions(&reading.index) {
        // Some thousands at a time, so that a year fits into memory as well as a day.
        Some(positions) => {
            for some in positions.chunks(4096) {
                reading.at(some)?.into_iter().try_for_each(&mut each)?;
            }
        }
        None => reading.each(each)?,
    }
    if count == 0 {
        for what in filter.unknown(reading)? {
            eprintln!("No entry of this log has {what}.");
        }
    }
    Ok(count)
}

/// A line of the table.
pub fn table(found: &Found) -> String {
    let Found { position, entry, told } = found;
    let actor = entry.actor.oin.as_ref().map_or(entry.actor.role.as_str(), |oin| oin.as_str());
    let result = match told.word() {
        "" => entry.result.to_string(),
        word => format!("{} ({})", entry.result, [&[word.to_owned()], told.groups()].concat().join(" ")),
    };
    let about = entry.object.as_deref().map(|object| &object[..object.len().min(12)]).unwrap_or_default();
    let articles = entry.articles.join(",");
    let epoch = entry.epoch.as_ref().map(EpochId::as_str).unwrap_or_default();
    let (time, name) = (&entry.time, name(found));
    let line =
        format!("{position:>8} {time:<24} {actor:<20} {name:<17} {result:<28} {about:<12} {epoch:<16} {articles}");
    line.trim_end().to_owned() + &act(found)
}

/// Behind the line of who proposes or confirms: which act, and which proposal.
fn act(Found { entry, .. }: &Found) -> String {
    let proposed = entry.proposed.map_or_else(String::new, |action| format!(" of {}", word(action)));
    entry.proposal.as_ref().map_or_else(String::new, |proposal| format!("  proposal {proposal}{proposed}"))
}

fn word(action: Action) -> String {
    let word = serde_json::to_value(action).expect("an action is a word");
    word.as_str().unwrap_or_default().to_owned()
}

/// The action as the log names it.
pub fn name(found: &Found) -> String {
    word(found.entry.action)
}

/// The entry as it stands in the log, with its position and what was answered.
///
/// # Errors
/// If it has no JSON form.
pub fn json(found: &Found) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(&found.entry)?;
    value["position"] = found.position.into();
    if !found.told.word().is_empty() {
        value["answer"] = found.told.word().into();
    }
    if !found.told.groups().is_empty() {
        value["groups"] = found.told.groups().into();
    }
    Ok(value.to_string())
}

/// A row of the CSV form: [`COLUMNS`].
pub fn row(found: &Found) -> Vec<String> {
    let Found { position, entry, told } = found;
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let text = |id: Option<String>| id.unwrap_or_default();
    let cells = [
        position.to_string(),
        entry.time.clone(),
        entry.trace_id.to_string(),
        name(found),
        entry.result.to_string(),
        told.word().to_owned(),
        told.groups().join(" "),
        entry.actor.role.clone(),
        text(entry.actor.oin.as_ref().map(ToString::to_string)),
        text(entry.actor.person.clone()),
        entry.actor.certificate.clone(),
        text(entry.object.clone()),
        text(entry.purpose.as_ref().map(ToString::to_string)),
        text(entry.stage.map(|months| months.to_string())),
        word(serde_json::to_value(entry.consent)),
        text(entry.regulation.as_ref().map(|regulation| format!("{} {}", regulation.id, regulation.digest))),
        entry.articles.join(" "),
        text(entry.epoch.as_ref().map(ToString::to_string)),
        word(serde_json::to_value(entry.latency)),
        text(entry.count.map(|count| count.to_string())),
        word(serde_json::to_value(entry.proposed)),
        text(entry.proposal.map(|proposal| proposal.to_string())),
    ];
    cells.iter().map(|cell| harmless(cell).into_owned()).collect()
}

/// A cell that no spreadsheet takes for a formula: one that begins as a formula does gets an apostrophe
/// (OWASP, CSV injection).
pub fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%']) {
        format!("'{cell}").into()
    } else {
        cell.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_begins_as_a_formula_is_made_text() {
        for bad in ["=1+1", "+1", "-1", "@sum", "\tx", "\rx"] {
            assert_eq!(harmless(bad), format!("'{bad}"));
        }
        for good in ["", "ask", "2026-01-01T00:00:00Z", "a=b", "00000099000000004001"] {
            assert_eq!(harmless(good), good);
        }
    }
}
