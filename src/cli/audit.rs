//! `voorrang audit`: an officer reads the access log over the network and verifies it on her own machine.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::client::Client;
use crate::answer::wire::LogPage;
use crate::audit::{Checkpoint, Entry, Hash, NoteVerifier, Receipt, Report, verify_log};

/// What an officer does with the log.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// Check the whole log: hashes, signature, remembered checkpoints, receipts
    Verify(VerifyArgs),
    /// Print the entries, one a line
    List(ListArgs),
}

/// What verifying takes.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The officer's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// Answers of `voorrang query`: their receipts must be in the log
    #[arg(long)]
    pub receipts: Vec<PathBuf>,
}

/// What listing takes.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// The officer's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// As JSON lines
    #[arg(long)]
    pub json: bool,
}

/// The log is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("the access log does not verify: {0}")]
pub struct LogBroken(#[source] pub crate::audit::VerifyError);

/// Runs the command.
///
/// # Errors
/// [`LogBroken`] says what and where.
pub fn run(command: &AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Verify(args) => {
            let report = verify(args)?;
            eprintln!(
                "The log holds {} entries and verifies; {} of them were remembered, {} receipts found.",
                report.entries, report.remembered_size, report.receipts
            );
            Ok(())
        }
        AuditCommand::List(args) => list(args),
    }
}

const REMEMBERED: &str = "checkpoints";

/// Fetches and verifies the whole log, and remembers its checkpoint.
///
/// # Errors
/// As [`run`].
pub fn verify(args: &VerifyArgs) -> anyhow::Result<Report> {
    let client = Client::open(&args.config)?;
    let verifier = client.log_verifier()?;
    let (entries, checkpoint) = fetch(&client, &verifier)?;
    let remembered: Vec<String> = match fs::read_to_string(client.remembered(REMEMBERED)) {
        Ok(text) => serde_json::from_str(&text).context("the remembered checkpoints cannot be read")?,
        Err(_) => Vec::new(),
    };
    let mut receipts = Vec::new();
    for file in &args.receipts {
        receipts.extend(receipts_of(file)?);
    }
    let report = verify_log(entries.into_iter(), &checkpoint, &verifier, &remembered, &receipts).map_err(LogBroken)?;
    let mut remember = remembered;
    if remember.last() != Some(&checkpoint) {
        remember.push(checkpoint);
    }
    client.remember(REMEMBERED, &serde_json::to_string(&remember)?)?;
    Ok(report)
}

/// All entries under the checkpoint of the first page: reading adds entries, so there is no end to wait for.
fn fetch(client: &Client, verifier: &NoteVerifier) -> anyhow::Result<(Vec<Vec<u8>>, String)> {
    let mut entries = Vec::new();
    let page = |from: usize| client.get::<LogPage>(&format!("access-log/entries?from={from}"));
    let first = page(0)?;
    let size = usize::try_from(Checkpoint::parse(&first.checkpoint, verifier)?.size)?;
    let mut next = first.entries;
    while entries.len() < size {
        ensure!(!next.is_empty(), "the service shows fewer entries than its checkpoint covers");
        for entry in &next {
            entries.push(STANDARD.decode(entry).context("the service sent an entry that is not base64")?);
        }
        next = if entries.len() < size { page(entries.len())?.entries } else { Vec::new() };
    }
    entries.truncate(size);
    Ok((entries, first.checkpoint))
}

/// The receipts in a file of answers.
fn receipts_of(file: &PathBuf) -> anyhow::Result<Vec<Receipt>> {
    let unreadable = || format!("{} is no file of answers with receipts", file.display());
    let mut reader = csv::Reader::from_path(file).with_context(unreadable)?;
    let mut receipts = Vec::new();
    for row in reader.deserialize() {
        let row: Row = row.with_context(unreadable)?;
        let note = STANDARD.decode(&row.checkpoint).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let leaf: Hash = row.leaf_hash.parse().ok().with_context(unreadable)?;
        receipts.push(Receipt { index: row.log_index, leaf, checkpoint: note.with_context(unreadable)? });
    }
    Ok(receipts)
}

#[derive(serde::Deserialize)]
struct Row {
    log_index: u64,
    leaf_hash: String,
    checkpoint: String,
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let client = Client::open(&args.config)?;
    let (entries, _) = fetch(&client, &client.log_verifier()?)?;
    for (index, bytes) in entries.iter().enumerate() {
        if args.json {
            println!("{}", String::from_utf8_lossy(bytes));
            continue;
        }
        let entry = Entry::from_bytes(bytes)?;
        let actor = entry.actor.oin.map_or_else(|| entry.actor.role.clone(), |oin| oin.to_string());
        let object = entry.object.unwrap_or_default();
        println!(
            "{index:>7} {} {actor:<20} {:?} {} {object} {}",
            entry.time,
            entry.action,
            entry.result,
            entry.articles.join(",")
        );
    }
    Ok(())
}
