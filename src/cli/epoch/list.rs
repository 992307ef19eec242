//! `voorrang epoch list`: where every epoch stands, what is missing, and who must act.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::ListArgs;
use crate::answer::wire::{EpochView, Todo};
use crate::cli::client::Client;
use crate::ids::Oin;

pub(super) const MINUTE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");

pub(super) fn list(args: &ListArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.config)?;
    let epochs = client.service()?.epochs;
    if args.json {
        return Ok(serde_json::to_string_pretty(&epochs)?);
    }
    Ok(table(&epochs))
}

fn table(epochs: &[EpochView]) -> String {
    let header = ["epoch", "state", "since", "by", "shares", "loaded", "stocks", "answers until"].map(String::from);
    let mut rows = vec![header];
    rows.extend(epochs.iter().map(row));
    let widths: Vec<usize> =
        (0..8).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut lines = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
        let Some(epoch) = at.checked_sub(1).map(|at| &epochs[at]) else { continue };
        if epoch.state == "announced" && !epoch.contributed.is_empty() {
            let who = epoch.contributed.iter().map(Oin::as_str).collect::<Vec<_>>();
            lines.push(format!("  contributed: {}", who.join(", ")));
        }
        lines.extend(todos(&epoch.todo).into_iter().map(|todo| format!("  {todo}")));
    }
    lines.join("\n")
}

fn row(epoch: &EpochView) -> [String; 8] {
    let day = format_description!("[year]-[month]-[day]");
    let since = epoch.steps.last().and_then(|step| step.at.format(day).ok());
    // What the state waits for is due on this day.
    let by = match epoch.state.as_str() {
        "announced" => epoch.contribute_by.to_string(),
        "loading" => epoch.load_by.to_string(),
        _ => String::new(),
    };
    let custodians = epoch.contributed.len() + epoch.missing.len();
    let loaded: Vec<_> = epoch.loaded.iter().map(|source| source.as_str()).collect();
    let until = match epoch.answers_until {
        Some(_) if epoch.state == "destroyed" => String::new(),
        Some(until) if epoch.answers => until.format(MINUTE).unwrap_or_default(),
        Some(_) => "silent".into(),
        None => String::new(),
    };
    [
        epoch.id.to_string(),
        epoch.state.clone(),
        since.unwrap_or_default(),
        by,
        if epoch.state == "destroyed" { String::new() } else { format!("{} of {custodians}", epoch.contributed.len()) },
        loaded.join(", "),
        epoch.stocks.len().to_string(),
        until,
    ]
}

/// Who must do what, by when. What one of several confirms is one line.
pub(super) fn todos(todos: &[Todo]) -> Vec<String> {
    let same = |one: &Todo, next: &Todo| one.command == next.command && one.command.starts_with(CONFIRM);
    todos.chunk_by(same).map(line).collect()
}

const CONFIRM: &str = "regulation confirm";

fn line(who: &[Todo]) -> String {
    let Todo { command, by, overdue, about, .. } = &who[0];
    let names: Vec<_> = who.iter().map(|Todo { name, oin, .. }| format!("{name} ({oin})")).collect();
    let by = by.map_or_else(String::new, |by| format!(" by {by}"));
    let overdue = if *overdue { ", OVERDUE" } else { "" };
    let confirms = command.starts_with(CONFIRM);
    let one_of = if confirms { "may be confirmed by one of" } else { "to do" };
    let late = command.starts_with("epoch abort") && about.is_none();
    let first = if late { "remind who is late, or " } else { "" };
    let about = about.as_ref().map_or_else(String::new, |about| format!("\n    {about}"));
    format!("{one_of}: {}: {first}voorrang {command}{by}{overdue}{about}", names.join(", "))
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use time::macros::{date, datetime};

    /// An epoch that was announced and nothing more.
    pub fn announced() -> EpochView {
        EpochView {
            id: "e-1".parse().unwrap(),
            regulation: "haarlem".parse().unwrap(),
            profile: String::new(),
            schema_hash: String::new(),
            key_check: None,
            state: "announced".into(),
            answers: false,
            answers_until: None,
            contribute_by: date!(2026 - 01 - 29),
            load_by: date!(2026 - 02 - 12),
            grace_days: 30,
            participants: vec![],
            contributed: vec!["00000099000000002000".parse().unwrap()],
            missing: vec!["00000099000000003000".parse().unwrap()],
            loaded: vec![],
            stocks: vec![],
            todo: vec![Todo {
                oin: "00000099000000003000".parse().unwrap(),
                name: "Zorgnetwerk".into(),
                command: "epoch contribute e-1".into(),
                by: Some(date!(2026 - 01 - 29)),
                overdue: true,
                about: None,
            }],
            steps: vec![crate::answer::wire::StepTaken {
                state: "announced".into(),
                at: datetime!(2026-01-15 9:00 UTC),
                log_index: 3,
            }],
        }
    }

    #[test]
    fn the_table_says_what_is_missing_and_who_is_late() {
        let text = table(&[announced()]);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("e-1    announced  2026-01-15  2026-01-29  1 of 2"), "{text}");
        assert_eq!(lines[2], "  contributed: 00000099000000002000");
        let todo = "  to do: Zorgnetwerk (00000099000000003000): voorrang epoch contribute e-1 by 2026-01-29, OVERDUE";
        assert_eq!(lines[3], todo);
    }

    #[test]
    fn what_one_of_several_confirms_is_one_line_that_says_what_it_is() {
        let confirms = |name: &str| Todo {
            name: name.into(),
            command: "regulation confirm 1c9e".into(),
            about: Some("epoch retire e-1, proposed by ICT".into()),
            overdue: false,
            ..announced().todo.remove(0)
        };
        let all = [announced().todo.remove(0), confirms("One"), confirms("Two")];
        let lines = todos(&all);
        let oin = &all[0].oin;
        let act = format!(
            "may be confirmed by one of: One ({oin}), Two ({oin}): voorrang regulation confirm 1c9e by 2026-01-29\n    \
             epoch retire e-1, proposed by ICT"
        );
        assert_eq!(lines[1..], [act]);
        assert_eq!(todos(&[all[0].clone(), all[0].clone()]).len(), 2, "what each has to do is a line each");
    }
}
