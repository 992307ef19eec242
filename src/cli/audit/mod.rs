//! `voorrang audit`: an officer reads the access log over the network and verifies it on her own machine. Everything
//! works on her own copy of the log, which is held against what she remembers, so that she need not trust the service.

mod announce;
mod broken;
pub mod copy;
pub mod export;
pub mod fetch;
pub mod filter;
mod given;
pub mod index;
mod letter;
pub mod list;
pub mod reading;
pub mod receipts;
pub mod report;
pub mod retention;
mod spans;
mod standards;
pub mod subject;
pub mod tally;
pub mod verify;
pub mod witness;

use std::fs;
use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context;

pub use verify::{VerifyArgs, verify};

use super::client::{Client, ClientConfig};
use super::inputs::read_secret_text;
use super::log_key::remembered_log_keys;
use crate::audit::{AuditError, Due, LogKeys, Opener, VerifyError, WitnessRefusal};
use crate::clock::Clock;
use copy::Copy;
use reading::Reading;
use spans::Spans;

/// What an officer does with the log.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// Check the whole log: hashes, signature, remembered checkpoints, receipts
    Verify(VerifyArgs),
    /// Print entries: a table, JSON lines or CSV
    List(list::ListArgs),
    /// Everything that the log says about a person's household, for a request under article 15 of the GDPR
    Subject(subject::SubjectArgs),
    /// The tokens of a person's addresses, for the officer's `subject` (register holder)
    Token(subject::TokenArgs),
    /// The log for other tools: tiles, NDJSON, CSV, LDV, NEN 7513
    Export(export::ExportArgs),
    /// Per party and month: questions, refusals, answers, and what stands out
    Report(report::ReportArgs),
    /// Delete at once the contents that are due
    Expire(retention::OfficerArgs),
    /// Keep contents beyond their time, for a case
    Hold(retention::HoldArgs),
    /// Print what is held
    Holds(retention::OfficerArgs),
    /// End a hold of the own party
    Release(retention::ReleaseArgs),
    /// Keep the last checkpoint of a log, check the next against it, cosign
    Witness(witness::WitnessArgs),
}

/// Which log, and from where.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// The officer's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// The officer's age identity, which opens the answers in the log [default: client.toml's]
    #[arg(long)]
    pub identity: Option<PathBuf>,
    /// Work on the copy on this machine, without the service
    #[arg(long)]
    pub offline: bool,
    /// Fetch the whole log anew in place of the copy: what has expired is then gone from the copy too
    #[arg(long, conflicts_with = "offline")]
    pub fresh: bool,
    /// What time it is for the officer: deletions dated later than this are none.
    #[arg(skip = Clock::System)]
    pub clock: Clock,
}

/// The log is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum LogBroken {
    /// The first of what does not hold, and the rest.
    #[error("the access log does not verify")]
    Verify(#[source] VerifyError, Vec<VerifyError>),
    #[error("the service's checkpoint cannot be used")]
    Checkpoint(#[source] AuditError),
    #[error("the service shows {size} entries where {known} were seen before: the log was rolled back")]
    RolledBack { known: u64, size: u64 },
    #[error(
        "the log does not go on from the {known} entries that were seen before: it was forked. Keep the copy and both \
         checkpoints, tell the administrator and the other officers"
    )]
    Forked { known: u64, size: u64 },
    /// As [`LogBroken::RolledBack`], seen by a witness, who has no entries.
    #[error("the service has fewer entries than the {known} that this witness cosigned: the log was rolled back")]
    Shorter { known: u64 },
    #[error("this witness does not cosign what the service shows")]
    Witness(#[source] WitnessRefusal),
    /// Whoever replaces a log as a whole signs it with a key of its own.
    #[error(
        "the service shows another log key than the one remembered in {}, which did not announce it; ask the \
         administrator, and do not go on before that file may be removed", remembered.display()
    )]
    OtherKey { remembered: PathBuf },
    #[error("the service shows {what} where its checkpoint has entry {index}")]
    NoEntry { index: u64, what: &'static str },
    #[error("entry {index} is the first that differs from the copy of it")]
    Rewritten { index: u64 },
    /// A receipt names an entry, not an answer: who holds the service's key could send one with the wrong word.
    #[error("entry {index} does not record the answer that came with its receipt")]
    OtherAnswer { index: u64 },
    /// Nobody could ever say what was answered, and the service seemed to have sealed it.
    #[error(
        "what entry {index} seals does not open with the key that the log gave for it: no answer is recorded there"
    )]
    Unsealed { index: u64 },
    /// Everything else was shown before this is said.
    #[error("{}", unread(malformed, unsealed))]
    Unread { malformed: Spans, unsealed: Spans },
    /// Seen by whoever asked: an answer whose entry nobody may ever see.
    #[error(
        "entry {index} was given as receipt, and {why}; answer and receipt are kept in {evidence}: give them to the \
         officer"
    )]
    Unproved { index: u64, why: String, evidence: String },
    /// Two households, one entry: one of the two answers is unrecorded.
    #[error("entry {index} was given as receipt for two answers")]
    ReceiptTwice { index: u64 },
    #[error("entry {index} records a question of another party than the rest of its file")]
    OtherParty { index: u64 },
    /// Two questions, one entry, as with [`LogBroken::ReceiptTwice`], where only one of them was handed in.
    #[error("entry {index} records another question than the one that it was given as receipt for")]
    OtherQuestion { index: u64 },
}

/// What was handed in, or lies on this machine, cannot be used: nothing is known about the log by it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("{} is no file of answers with receipts", path.display())]
    Answers { path: PathBuf, source: Option<csv::Error> },
    #[error("{}, row {row} is no answer with its receipt", path.display())]
    Row { path: PathBuf, row: usize },
    #[error(
        "{}, row {row}: the receipt is not valid in itself: it was changed, or the service gave a false one. The log is \
         not accused by it", path.display()
    )]
    Receipt { path: PathBuf, row: usize },
    #[error("{} is no checkpoint that a key of this log signed", path.display())]
    Checkpoint { path: PathBuf, source: Option<std::io::Error> },
    #[error(
        "{} is newer than the copy of the log, which has {size} entries: run once without --offline", path.display()
    )]
    Newer { path: PathBuf, size: u64 },
    #[error("{found} of the named witnesses cosigned a checkpoint of --checkpoint, and {needed} must have")]
    Cosignatures { found: usize, needed: usize },
    #[error("the copy of the log {what}; keep it as evidence and begin with --fresh")]
    Copy { what: String, source: Option<std::io::Error> },
}

fn unread(malformed: &Spans, unsealed: &Spans) -> String {
    let mut text = String::from("the access log holds what cannot be read, and what it says is not in what was shown");
    if !malformed.is_empty() {
        text += &format!("; not in the format of an entry: {malformed}");
    }
    if !unsealed.is_empty() {
        text += &format!("; with a seal that does not open with the key that the log gave for it: {unsealed}");
    }
    text
}

impl LogBroken {
    fn verify(error: VerifyError) -> Self {
        Self::Verify(error, Vec::new())
    }

    /// In a word, for the program that a witness runs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RolledBack { .. } | Self::Shorter { .. } => "rollback",
            Self::OtherKey { .. } | Self::Checkpoint(_) | Self::Witness(WitnessRefusal::Unsigned(_)) => "key",
            Self::Witness(WitnessRefusal::Malformed(_) | WitnessRefusal::UnknownLog | WitnessRefusal::Stale { .. }) => {
                "unreadable"
            }
            _ => "fork",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// [`LogBroken`] says what and where.
pub fn run(command: &AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Verify(args) => verify::run(args),
        AuditCommand::List(args) => list::run(args),
        AuditCommand::Subject(args) => subject::run(args),
        AuditCommand::Token(args) => subject::token(args),
        AuditCommand::Export(args) => export::run(args),

        AuditCommand::Report(args) => report::run(args),
        AuditCommand::Expire(args) => retention::expire(args),
        AuditCommand::Hold(args) => retention::hold(args),
        AuditCommand::Holds(args) => retention::holds(args),
        AuditCommand::Release(args) => retention::release(args),
        AuditCommand::Witness(args) => witness::run(args),
    }
}

/// What the officer remembers of the log outside the service.
pub struct Memory {
    pub keys: LogKeys,
    /// Every checkpoint that was seen, signed notes, oldest first.
    pub checkpoints: Vec<String>,
    /// Which contents may be gone.
    pub due: Due,
}

const CHECKPOINTS: &str = "checkpoints";
/// Folder of the copy of the log.
const COPY: &str = "log";

impl LogArgs {
    /// As this officer, with the service.
    pub fn new(config: PathBuf) -> Self {
        Self { config, identity: None, offline: false, fresh: false, clock: Clock::System }
    }

    /// The copy, brought up to the log unless `offline`, and what is remembered.
    ///
    /// # Errors
    /// [`LogBroken`] if the log is not the one that was seen before.
    pub fn open(&self) -> anyhow::Result<(Reading, Memory)> {
        let config = ClientConfig::load(&self.config)?;
        let opener = opener(self.identity.as_deref().or(config.identity.as_deref()))?;
        let folder = config.memory.join(COPY);
        let due = Due { log_days: config.log_days.map_or(1, NonZeroU32::get), now: Some(self.clock.now()) };
        if self.offline {
            let keys =
                remembered_log_keys(&config.memory)?.context("no log was seen yet; run once without --offline")?;
            let memory = Memory { keys, checkpoints: remembered(&config.memory)?, due };
            return Ok((Reading::new(Copy::open(&folder)?, opener)?, memory));
        }
        let client = Client::new(config)?;
        let memory = Memory { keys: client.log_keys()?, checkpoints: remembered(&client.config.memory)?, due };
        let copy = if self.fresh {
            fetch::anew(&client, &folder, &memory)?
        } else {
            fetch::follow(&client, &folder, &memory)?
        };
        let checkpoint = copy.checkpoint().context("the log has a checkpoint")?;
        if memory.checkpoints.last().map(String::as_str) != Some(checkpoint) {
            let mut all = memory.checkpoints.clone();
            all.push(checkpoint.to_owned());
            client.remember(CHECKPOINTS, &serde_json::to_string(&all)?)?;
        }
        announce::tell_what_waits(&client)?;
        Ok((Reading::new(copy, opener)?, memory))
    }

    /// [`LogArgs::open`] without what is remembered: following has held the copy against it.
    ///
    /// # Errors
    /// As there.
    pub fn reading(&self) -> anyhow::Result<Reading> {
        Ok(self.open()?.0)
    }
}

/// Opens answers with the officer's age identity, where there is one.
fn opener(path: Option<&Path>) -> anyhow::Result<Option<Opener>> {
    let Some(path) = path else { return Ok(None) };
    Ok(Some(Opener::from_file(&read_secret_text(path)?).with_context(|| path.display().to_string())?))
}

/// Every checkpoint that was seen. Where their file is lost, the copy's own is what is left of them.
fn remembered(memory: &Path) -> anyhow::Result<Vec<String>> {
    let path = memory.join(CHECKPOINTS);
    let unreadable =
        || format!("the checkpoints remembered in {} cannot be read; do not go on without them", path.display());
    if let Some(text) = read(&path).with_context(unreadable)? {
        return serde_json::from_str(&text).with_context(unreadable);
    }
    let folder = memory.join(COPY);
    // One that cannot be read is reported by whoever reads it.
    let known = Copy::open(&folder).ok().filter(|_| folder.join("state.json").exists());
    let Some(checkpoint) = known.and_then(|copy| copy.checkpoint().map(str::to_owned)) else { return Ok(Vec::new()) };
    eprintln!(
        "WARNING: {} is lost. The log is held against the checkpoint of the copy alone: put the file back, or give older \
         checkpoints with --checkpoint.",
        path.display()
    );
    Ok(vec![checkpoint])
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unread_tests;
