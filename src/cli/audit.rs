//! `voorrang audit`: an officer reads the access log over the network and verifies it on her own machine.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::client::Client;
use crate::answer::wire::LogPage;
use crate::audit::{Checkpoint, Entry, Hash, NoteVerifier, Opener, Receipt, Report, VerifyError, verify_log};
use crate::ids::EpochId;

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
    /// Answers of `voorrang query`: their receipts must be in the log, with these answers
    #[arg(long)]
    pub receipts: Vec<PathBuf>,
    /// The officer's age identity, which opens the answers in the log [default: client.toml's]
    #[arg(long)]
    pub identity: Option<PathBuf>,
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
pub enum LogBroken {
    #[error("the access log does not verify: {0}")]
    Verify(#[source] VerifyError),
    /// A receipt names an entry, not an answer: who holds the service's key could send one with the wrong word.
    #[error("entry {index} does not record the answer that came with its receipt")]
    OtherAnswer { index: u64 },
    /// Two households, one entry: one of the two answers is unrecorded.
    #[error("entry {index} was given as receipt for two answers")]
    ReceiptTwice { index: u64 },
    #[error("entry {index} records a question of another party than the rest of its file")]
    OtherParty { index: u64 },
}

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
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(error).context("the remembered checkpoints cannot be read; do not go on without them");
        }
    };
    let files = args.receipts.iter().map(|file| answers_of(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let receipts: Vec<_> = files.iter().flatten().map(|told| told.receipt.clone()).collect();
    let lines = entries.iter().cloned();
    let report = verify_log(lines, &checkpoint, &verifier, &remembered, &receipts).map_err(LogBroken::Verify)?;
    if !files.is_empty() {
        check_answers(&entries, &files, opener(&client, args.identity.as_deref())?)?;
    }
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

/// What opens the answers that were sealed for this officer.
fn opener(client: &Client, identity: Option<&Path>) -> anyhow::Result<Opener> {
    let path = identity.or(client.config.identity.as_deref());
    let path = path.context("the answers in the log are sealed; give the officer's age identity with --identity")?;
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Opener::from_file(&Zeroizing::new(text)).with_context(|| path.display().to_string())
}

/// Whether the entries, verified before, record these answers: each its own, and a file's all to one party.
fn check_answers(entries: &[Vec<u8>], files: &[Vec<Told>], mut opener: Opener) -> anyhow::Result<()> {
    for bytes in entries {
        opener.learn(&Entry::from_bytes(bytes)?);
    }
    let mut seen = BTreeSet::new();
    for file in files {
        let mut party = None;
        for Told { answer, epoch, receipt } in file {
            let index = receipt.index;
            let place = usize::try_from(index).context("a position in the log fits in memory")?;
            let entry = Entry::from_bytes(entries.get(place).context("a verified receipt is of an entry of the log")?)?;
            let told =
                opener.open(&entry).with_context(|| format!("entry {index} cannot be compared with its answer"))?;
            if told.is_none_or(|told| told.answer != *answer) || entry.epoch.as_ref() != Some(epoch) {
                return Err(LogBroken::OtherAnswer { index }.into());
            }
            if !seen.insert(index) {
                return Err(LogBroken::ReceiptTwice { index }.into());
            }
            if *party.get_or_insert_with(|| entry.actor.oin.clone()) != entry.actor.oin {
                return Err(LogBroken::OtherParty { index }.into());
            }
        }
    }
    Ok(())
}

/// An answer as a party has it.
struct Told {
    answer: String,
    epoch: EpochId,
    receipt: Receipt,
}

/// The answers in a file, with their receipts.
fn answers_of(file: &Path) -> anyhow::Result<Vec<Told>> {
    let unreadable = || format!("{} is no file of answers with receipts", file.display());
    let mut reader = csv::Reader::from_path(file).with_context(unreadable)?;
    let mut answers = Vec::new();
    for row in reader.deserialize() {
        let row: Row = row.with_context(unreadable)?;
        let note = STANDARD.decode(&row.checkpoint).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let leaf: Hash = row.leaf_hash.parse().ok().with_context(unreadable)?;
        let receipt = Receipt { index: row.log_index, leaf, checkpoint: note.with_context(unreadable)? };
        answers.push(Told { answer: row.answer, epoch: row.epoch, receipt });
    }
    Ok(answers)
}

#[derive(serde::Deserialize)]
struct Row {
    answer: String,
    epoch: EpochId,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Action, Actor, DayKey, Disclosed, Outcome};
    use crate::epoch::share::generate_identity;
    use crate::ids::TraceId;
    use time::macros::datetime;

    /// A log with a day key at 0, and its officer.
    struct Log {
        key: DayKey,
        entries: Vec<Vec<u8>>,
        identity: Zeroizing<String>,
    }

    impl Log {
        fn new() -> Self {
            let (identity, public) = generate_identity();
            let (key, file) = DayKey::draw(&[public]).unwrap();
            let mut first = entry(ONE);
            first.day_key = Some(file);
            Self { key, entries: vec![first.to_bytes()], identity }
        }

        fn answer(mut self, oin: &str, answer: &str) -> Self {
            let mut entry = Entry { result: Outcome::Answered, ..entry(oin) };
            let disclosed = Disclosed { answer: answer.into(), groups: vec![] };
            entry.sealed = Some(self.key.seal(&entry, &disclosed).unwrap());
            self.entries.push(entry.to_bytes());
            self
        }

        fn check(&self, files: &[Vec<Told>]) -> anyhow::Result<()> {
            check_answers(&self.entries, files, Opener::from_file(&self.identity).unwrap())
        }
    }

    fn entry(oin: &str) -> Entry {
        let oin = Some(oin.parse().unwrap());
        let actor = Actor { oin, certificate: String::new(), person: None, role: "corporation".into() };
        let now = datetime!(2026-11-21 4:00 UTC);
        let epoch = Some("e-1".parse().unwrap());
        Entry { epoch, ..Entry::new(now, TraceId::random(), actor, Action::Ask, Outcome::Done) }
    }

    const ONE: &str = "00000099000000004001";
    const OTHER: &str = "00000099000000004002";

    fn told(index: u64, answer: &str, epoch: &str) -> Told {
        let receipt = Receipt { index, leaf: crate::audit::leaf_hash(b""), checkpoint: String::new() };
        Told { answer: answer.into(), epoch: epoch.parse().unwrap(), receipt }
    }

    #[test]
    fn an_answer_that_its_entry_does_not_record_breaks_the_log() {
        let log = Log::new().answer(ONE, "priority");
        let check = |index, answer, epoch| log.check(&[vec![told(index, answer, epoch)]]);
        assert!(check(1, "priority", "e-1").is_ok());
        for (index, answer, epoch) in [(1, "no_priority", "e-1"), (0, "priority", "e-1"), (1, "priority", "e-2")] {
            let error = check(index, answer, epoch).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(LogBroken::OtherAnswer { index: found }) if *found == index));
            assert!(!error.to_string().contains("priority"), "{error}");
        }
    }

    #[test]
    fn a_receipt_is_for_one_answer_and_a_file_of_one_party() {
        let log = Log::new().answer(ONE, "priority").answer(OTHER, "priority").answer(ONE, "priority");
        let file = |places: &[u64]| places.iter().map(|&at| told(at, "priority", "e-1")).collect::<Vec<_>>();
        let check = |files: &[Vec<Told>]| log.check(files).map_err(|e| e.downcast::<LogBroken>().unwrap());
        assert!(check(&[file(&[1, 3]), file(&[2])]).is_ok());
        assert!(matches!(check(&[file(&[1, 1])]), Err(LogBroken::ReceiptTwice { index: 1 })));
        assert!(matches!(check(&[file(&[1]), file(&[1])]), Err(LogBroken::ReceiptTwice { index: 1 })));
        assert!(matches!(check(&[file(&[1, 2])]), Err(LogBroken::OtherParty { index: 2 })));
    }

    #[test]
    fn answers_are_compared_by_an_officer_for_whom_they_were_sealed() {
        let log = Log::new().answer(ONE, "priority");
        let other = Opener::from_file(&generate_identity().0).unwrap();
        let error = check_answers(&log.entries, &[vec![told(1, "priority", "e-1")]], other).unwrap_err();
        assert!(error.downcast_ref::<LogBroken>().is_none() && format!("{error:#}").contains("other officers"));
    }
}
