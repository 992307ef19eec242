//! `voorrang epoch`: the administrator announces, activates and ends; custodians contribute shares of a salt that the
//! administrator never sees; every participant fetches it.

mod ceremony;
mod list;

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use time::Date;

use super::client::Client;
use super::inputs::parse_day;
use super::output::Output;
use super::there::{refuse_clash, refuse_other};
use super::{quality_report, regulation};
use crate::answer::wire::{Activation, Destruction, Ending, EpochView, SourceReport};
use crate::ids::{EpochId, Oin};
use crate::regulate::printable;

/// The steps of an epoch.
#[derive(Debug, clap::Subcommand)]
pub enum EpochCommand {
    /// Announce an epoch (administrator)
    New(NewArgs),
    /// Draw a share of the salt and seal it for all participants (custodian)
    Contribute(EpochArgs),
    /// Seal every share again for a party that joined later or has a new key (custodian)
    Reseal(ResealArgs),
    /// Fetch the sealed shares; with --salt-file or --print-salt also open them (custodian, corporation)
    Fetch(FetchArgs),
    /// Epochs: their state, what is missing, and who must act
    List(ListArgs),
    /// What the service said of the loads of an epoch: thresholds, expected errors, what readers may infer (officer)
    Reports(ReportsArgs),
    /// Cut over to a loaded epoch (administrator)
    Activate(ActivateArgs),
    /// Propose that an epoch answers no more from now on: without a successor, or before its grace ends (administrator)
    Retire(EpochArgs),
    /// Propose to end an epoch that never answered; once it is gone, prints the signed record (administrator)
    Abort(EndArgs),
    /// Propose to destroy an epoch that has stopped answering; once it is gone, prints the signed record (administrator)
    Destroy(DestroyArgs),
}

/// Which epoch, as which party.
#[derive(Clone, Debug, clap::Args)]
pub struct EpochArgs {
    /// Epoch, for example haarlem-2026-1
    pub epoch: EpochId,
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
}

/// What announcing takes.
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    #[command(flatten)]
    pub epoch: EpochArgs,
    /// Profile file [default: the built-in one]
    #[arg(long)]
    pub profile: Option<PathBuf>,
    /// A party of parties.toml that takes no part, by its OIN; may be given more than once
    #[arg(long, value_name = "OIN")]
    pub without: Vec<Oin>,
    /// Day by which every custodian contributes [default: the regulation's]
    #[arg(long, value_parser = parse_day)]
    pub contribute_by: Option<Date>,
    /// Day by which every source is loaded [default: the regulation's]
    #[arg(long, value_parser = parse_day)]
    pub load_by: Option<Date>,
    /// Days that the epoch answers beside its successor, no fewer than the regulation's [default: the regulation's]
    #[arg(long)]
    pub grace_days: Option<u32>,
}

impl NewArgs {
    /// With everybody in parties.toml, and the regulation's dates.
    pub fn of(epoch: EpochArgs) -> Self {
        Self { epoch, profile: None, without: Vec::new(), contribute_by: None, load_by: None, grace_days: None }
    }
}

/// What sealing again takes.
#[derive(Debug, clap::Args)]
pub struct ResealArgs {
    #[command(flatten)]
    pub epoch: EpochArgs,
    /// The party that is to open the shares, by its OIN; its key is the one in parties.toml
    #[arg(long = "for", value_name = "OIN")]
    pub party: Oin,
}

/// What fetching takes.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    #[command(flatten)]
    pub epoch: EpochArgs,
    /// Write the envelope here, for `voorrang encode --envelope`: the salt never touches the disk
    #[arg(short, long, required_unless_present_any = ["salt_file", "print_salt"])]
    pub output: Option<PathBuf>,
    /// Open the envelope and write the salt here, readable by its owner only
    #[arg(long)]
    pub salt_file: Option<PathBuf>,
    /// Open the envelope and print a line for the shell, which keeps the salt in its environment
    #[arg(long)]
    pub print_salt: bool,
    /// Profile file [default: the built-in one]
    #[arg(long)]
    pub profile: Option<PathBuf>,
}

/// What listing takes.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What reading the reports takes.
#[derive(Debug, clap::Args)]
pub struct ReportsArgs {
    #[command(flatten)]
    pub epoch: EpochArgs,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What cutting over takes.
#[derive(Debug, clap::Args)]
pub struct ActivateArgs {
    #[command(flatten)]
    pub epoch: EpochArgs,
    /// Cut over although a source has many more or fewer records than before; logged
    #[arg(long)]
    pub accept_shrink: bool,
    /// Cut over although a corporation that asks now has no confirmed stock yet; it asks in the old epoch until the grace
    /// ends; logged
    #[arg(long)]
    pub accept_missing_stock: bool,
}

impl ActivateArgs {
    /// With everything as the regulation wants it.
    pub fn of(epoch: EpochArgs) -> Self {
        Self { epoch, accept_shrink: false, accept_missing_stock: false }
    }
}

/// What ending takes.
#[derive(Debug, clap::Args)]
pub struct EndArgs {
    #[command(flatten)]
    pub epoch: EpochArgs,
    /// Write the record here [default: standard output]
    #[arg(short, long)]
    pub output: Option<PathBuf>,
}

/// What destroying takes.
#[derive(Debug, clap::Args)]
pub struct DestroyArgs {
    #[command(flatten)]
    pub end: EndArgs,
    /// Destroy it although batches have answers that were charged and nobody has read: they are lost; logged
    #[arg(long)]
    pub accept_unread: bool,
}

impl EpochCommand {
    /// A destruction with which no answer is lost.
    pub fn destroy(end: EndArgs) -> Self {
        Self::Destroy(DestroyArgs { end, accept_unread: false })
    }
}

/// Runs the step and says what was done.
///
/// # Errors
/// What is missing and who must act.
pub fn run(command: &EpochCommand) -> anyhow::Result<()> {
    let done = perform(command)?;
    match command {
        EpochCommand::List(_) | EpochCommand::Reports(_) => println!("{done}"),
        EpochCommand::Retire(_) => print!("{done}"),
        EpochCommand::Abort(args) | EpochCommand::Destroy(DestroyArgs { end: args, .. }) if args.output.is_none() => {
            print!("{done}");
        }
        EpochCommand::Fetch(FetchArgs { print_salt: true, .. }) => println!("{done}"),
        _ => eprintln!("{}", done.trim_end()),
    }
    Ok(())
}

/// Runs the step; returns what was done.
///
/// # Errors
/// As [`run`].
pub fn perform(command: &EpochCommand) -> anyhow::Result<String> {
    match command {
        EpochCommand::New(args) => ceremony::new(args),
        EpochCommand::Contribute(args) => ceremony::contribute(args),
        EpochCommand::Reseal(args) => ceremony::reseal(args),
        EpochCommand::Fetch(args) => ceremony::fetch(args),
        EpochCommand::List(args) => list::list(args),
        EpochCommand::Reports(args) => reports(args),
        EpochCommand::Activate(args) => activate(args),
        EpochCommand::Retire(epoch) => end(&EndArgs { epoch: epoch.clone(), output: None }, "retire", &json!({})),
        EpochCommand::Abort(args) => end(args, "abort", &json!({})),
        EpochCommand::Destroy(DestroyArgs { end: args, accept_unread }) => {
            end(args, "destroy", &Destruction { accept_unread: *accept_unread })
        }
    }
}

fn reports(args: &ReportsArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.epoch.config)?;
    let reports: Vec<SourceReport> = client.get(&format!("epochs/{}/reports", args.epoch.epoch))?;
    if args.json {
        return Ok(serde_json::to_string_pretty(&reports)?);
    }
    let mut text = Vec::new();
    for one in &reports {
        let (source, records, day) = (one.source.as_str(), one.records, one.reference_date);
        text.push(format!("{source}: {records} records of {day}, {} persons with codes", one.persons));
        text.extend(one.inference.as_ref().map(quality_report::inference));
        text.push(quality_report::text(&one.quality));
    }
    Ok(text.join("\n"))
}

fn activate(args: &ActivateArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.epoch.config)?;
    let how = Activation { accept_shrink: args.accept_shrink, accept_missing_stock: args.accept_missing_stock };
    let view: EpochView = client.post(&format!("epochs/{}/activate", args.epoch.epoch), &how)?;
    let mut done = vec![format!("{} is {}.", view.id, view.state)];
    done.extend(client.service()?.epochs.iter().filter_map(|other| replaced(other, &view)));
    done.extend(list::todos(&view.todo));
    Ok(done.join("\n"))
}

/// How long an epoch goes on that this one took over from.
fn replaced(other: &EpochView, by: &EpochView) -> Option<String> {
    let last = |epoch: &EpochView| epoch.steps.last().map(|step| step.log_index);
    // Its step stands behind the one with which the other began to answer, in the same transaction.
    if other.regulation != by.regulation || other.state != "retiring" || last(other) < last(by) {
        return None;
    }
    let until = other.answers_until.and_then(|until| until.format(list::MINUTE).ok()).unwrap_or_default();
    Some(if other.answers {
        format!("{} answers beside it until {until}.", other.id)
    } else {
        format!("{} FELL SILENT AT ONCE: it was announced with a grace of {} days.", other.id, other.grace_days)
    })
}

/// What the party itself has: no output takes its place.
fn own_files<'a>(client: &'a Client, args: &'a EpochArgs) -> impl Iterator<Item = &'a Path> {
    client.config.files().chain([args.config.as_path()])
}

/// How a record begins, of whatever version.
const RECORD: &str = "voorrang destruction record ";

/// Proposes an end, which somebody of another party confirms; of an epoch that is gone, its record. A record is the
/// log's, or it is worth nothing.
fn end(args: &EndArgs, verb: &str, how: &impl Serialize) -> anyhow::Result<String> {
    let client = Client::open(&args.epoch.config)?;
    if let Some(path) = &args.output {
        refuse_clash([path.as_path()], own_files(&client, &args.epoch))?;
        refuse_other(path, RECORD, "record of a destruction")?;
    }
    let done = match client.post(&format!("epochs/{}/{verb}", args.epoch.epoch), how)? {
        Ending::Waits(pending) => {
            if let Some(effect) = &pending.effect {
                eprintln!("{}.", printable(effect));
            }
            eprintln!("{}", regulation::waits(&pending.proposal));
            return Ok(format!("{}\n", pending.proposal));
        }
        Ending::Destroyed(done) => done,
    };
    check_record(&client, &done.record)?;
    let Some(path) = &args.output else { return Ok(done.record) };
    let mut file = Output::create(path)?;
    std::io::Write::write_all(&mut file, done.record.as_bytes())?;
    file.finish()?;
    Ok(format!("{} is destroyed; the signed record is in {}.", done.epoch, path.display()))
}

/// Whether a record of destruction is signed with the key that the log had at its entry, or has now.
///
/// # Errors
/// If it is not.
pub fn check_record(client: &Client, record: &str) -> anyhow::Result<()> {
    let entry = record.lines().find_map(|line| line.strip_prefix("access log entry ")?.parse().ok());
    let entry = entry.context("the record names no entry of the access log; keep it")?;
    let signed = client.log_keys()?.verify_at(record, entry).map(drop);
    signed.context("the record is not signed with the log's key of its time; keep it")
}
