//! `voorrang audit expire`, `hold`, `holds` and `release`: how long the log keeps the contents of its entries.

use std::path::PathBuf;

use crate::answer::wire::{Expired, HoldView, NewHold};
use crate::cli::client::Client;

/// What all of them take.
#[derive(Debug, clap::Args)]
pub struct OfficerArgs {
    /// The officer's client.toml
    #[arg(long)]
    pub config: PathBuf,
}

/// What holding takes.
#[derive(Debug, clap::Args)]
pub struct HoldArgs {
    #[command(flatten)]
    pub officer: OfficerArgs,
    /// First entry to keep
    #[arg(long)]
    pub from: u64,
    /// Entry behind the last one to keep; it may lie in the future
    #[arg(long)]
    pub to: u64,
}

/// What ending a hold takes.
#[derive(Debug, clap::Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    pub officer: OfficerArgs,
    /// Number of the hold, as `holds` shows it
    pub hold: i64,
}

/// Has the service delete at once what is due; it does so by itself every hour.
///
/// # Errors
/// If the service refuses or cannot be reached.
pub fn expire(args: &OfficerArgs) -> anyhow::Result<()> {
    let gone: Expired = Client::open(&args.config)?.post("access-log/expire", &())?;
    match (gone.from, gone.to) {
        (Some(from), Some(to)) => {
            eprintln!(
                "The contents of {} entries between {from} and {} are gone; their hashes stay.",
                gone.entries,
                to - 1
            );
        }
        _ => eprintln!("No contents are due."),
    }
    Ok(())
}

/// Keeps contents for a case.
///
/// # Errors
/// As [`expire`].
pub fn hold(args: &HoldArgs) -> anyhow::Result<()> {
    let new = NewHold { from: args.from, to: args.to };
    let held: HoldView = Client::open(&args.officer.config)?.post("access-log/holds", &new)?;
    println!("{}", line(&held));
    if let Some(expired) = held.expired {
        eprintln!(
            "NOT KEPT: the contents of {expired} of these {} entries have expired already; no hold brings them back.",
            held.to - held.from
        );
    }
    Ok(())
}

/// Prints every hold: its number, its first entry, the entry behind its last, how many of them have expired, and whose
/// it is.
///
/// # Errors
/// As [`expire`].
pub fn holds(args: &OfficerArgs) -> anyhow::Result<()> {
    let holds: Vec<HoldView> = Client::open(&args.config)?.get("access-log/holds")?;
    holds.iter().for_each(|held| println!("{}", line(held)));
    Ok(())
}

/// Ends a hold of the own party.
///
/// # Errors
/// As [`expire`].
pub fn release(args: &ReleaseArgs) -> anyhow::Result<()> {
    let ended: HoldView = Client::open(&args.officer.config)?.delete(&format!("access-log/holds/{}", args.hold))?;
    eprintln!("Entries {} to {} are no longer held.", ended.from, ended.to - 1);
    Ok(())
}

fn line(held: &HoldView) -> String {
    let expired = held.expired.map(|expired| format!(" {expired} expired"));
    let by = held.by.as_ref().map(|by| format!(" by {by}"));
    format!("{} {} {}{}{}", held.id, held.from, held.to, expired.unwrap_or_default(), by.unwrap_or_default())
}
