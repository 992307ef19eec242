//! `voorrang audit verify`: the whole log from its entries, against everything that is remembered outside the service.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::copy::Copy;
use super::reading::{Found, Reading, Told};
use super::{LogArgs, LogBroken};
use crate::audit::{CheckpointKeys, Hash, Outcome, Receipt, Report, verify_log};
use crate::ids::EpochId;

/// What verifying takes.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub log: LogArgs,
    /// Answers of `voorrang query`: their receipts must be in the log, with these answers
    #[arg(long)]
    pub receipts: Vec<PathBuf>,
    /// Checkpoints that others kept, one signed note a file: a witness's, another officer's
    #[arg(long)]
    pub checkpoint: Vec<PathBuf>,
    /// Say on standard output, as JSON, what held
    #[arg(long)]
    pub json: bool,
}

impl VerifyArgs {
    /// As this officer, with these files of answers.
    pub fn new(config: PathBuf, receipts: Vec<PathBuf>) -> Self {
        Self { log: LogArgs::new(config), receipts, checkpoint: Vec::new(), json: false }
    }
}

/// Runs the command and says what held.
///
/// # Errors
/// As [`verify`].
pub fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let report = verify(args)?;
    eprintln!(
        "The log holds {} entries and verifies; {} of them were remembered, {} receipts found.",
        report.entries, report.remembered_size, report.receipts
    );
    for Range { start, end } in &report.expired_ranges {
        eprintln!("The contents of entries {start} to {} have expired; their hashes are in the tree.", end - 1);
    }
    if args.json {
        let expired: Vec<_> = report.expired_ranges.iter().map(|range| [range.start, range.end]).collect();
        let Report { entries, root, remembered_size, receipts, .. } = &report;
        let told = serde_json::json!({
            "entries": entries, "root": root, "expired": expired, "remembered": remembered_size, "receipts": receipts,
        });
        println!("{told}");
    }
    Ok(())
}

/// Brings the copy up to the log, verifies all of it, and remembers its checkpoint.
///
/// # Errors
/// [`LogBroken`] says what and where.
pub fn verify(args: &VerifyArgs) -> anyhow::Result<Report> {
    let files = args.receipts.iter().map(|file| answers_of(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut reading, memory) = args.log.open()?;
    let mut remembered = memory.checkpoints.clone();
    for path in &args.checkpoint {
        let note = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        remembered.push(note);
    }
    let receipts: Vec<_> = files.iter().flatten().map(|told| told.receipt.clone()).collect();
    let report = tree_of(&reading.copy, &memory.keys, &remembered, &receipts)?;
    check_answers(&mut reading, &files)?;
    Ok(report)
}

/// Verifies the copy's tree from its entries.
///
/// # Errors
/// [`LogBroken::Verify`], or the copy cannot be read.
pub fn tree_of(
    copy: &Copy,
    keys: &impl CheckpointKeys,
    remembered: &[String],
    receipts: &[Receipt],
) -> anyhow::Result<Report> {
    let checkpoint = copy.checkpoint().context("there is no copy of the log yet; run once without --offline")?;
    let mut unreadable = None;
    let lines = copy.lines()?.map_while(|line| match line {
        Ok((_, line)) => Some(line),
        Err(error) => {
            unreadable = Some(error);
            None
        }
    });
    let report = verify_log(lines, checkpoint, keys, remembered, receipts);
    match unreadable {
        Some(error) => Err(error),
        None => Ok(report.map_err(LogBroken::Verify)?),
    }
}

/// Whether the entries, verified before, record these answers: each its own, and a file's all to one party.
fn check_answers(reading: &mut Reading, files: &[Vec<Kept>]) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for file in files {
        let mut party = None;
        let mut file: Vec<&Kept> = file.iter().collect();
        file.sort_by_key(|kept| kept.receipt.index);
        let positions: Vec<u64> = file.iter().map(|kept| kept.receipt.index).collect();
        let entries = reading.at(&positions)?;
        ensure!(entries.len() == positions.len(), "contents have expired that answers were to be compared with");
        for found in entries {
            let index = found.position;
            let at = file.partition_point(|kept| kept.receipt.index < index);
            check_answer(&found, file[at])?;
            if !seen.insert(index) {
                return Err(LogBroken::ReceiptTwice { index }.into());
            }
            if *party.get_or_insert_with(|| found.entry.actor.oin.clone()) != found.entry.actor.oin {
                return Err(LogBroken::OtherParty { index }.into());
            }
        }
    }
    Ok(())
}

fn check_answer(found: &Found, kept: &Kept) -> anyhow::Result<()> {
    let index = found.position;
    let told = match &found.told {
        Told::This(told) => told.answer == kept.answer,
        Told::Nothing => false,
        Told::Sealed => bail!(
            "the answer in entry {index} is sealed for other officers; give the officer's age identity with --identity"
        ),
    };
    let same = told && found.entry.result == Outcome::Answered && found.entry.epoch.as_ref() == Some(&kept.epoch);
    if same { Ok(()) } else { Err(LogBroken::OtherAnswer { index }.into()) }
}

/// An answer as a party has it.
struct Kept {
    answer: String,
    epoch: EpochId,
    receipt: Receipt,
}

/// The answers in a file, with their receipts.
fn answers_of(file: &Path) -> anyhow::Result<Vec<Kept>> {
    let unreadable = || format!("{} is no file of answers with receipts", file.display());
    let mut reader = csv::Reader::from_path(file).with_context(unreadable)?;
    let mut answers = Vec::new();
    for row in reader.deserialize() {
        let row: Row = row.with_context(unreadable)?;
        let note = STANDARD.decode(&row.checkpoint).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let leaf: Hash = row.leaf_hash.parse().ok().with_context(unreadable)?;
        let receipt = Receipt { index: row.log_index, leaf, checkpoint: note.with_context(unreadable)? };
        answers.push(Kept { answer: row.answer, epoch: row.epoch, receipt });
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Log, ONE, OTHER, START};
    use super::*;
    use crate::audit::{Opener, leaf_hash};
    use crate::epoch::share::generate_identity;

    fn kept(index: u64, answer: &str, epoch: &str) -> Kept {
        let receipt = Receipt { index, leaf: leaf_hash(b""), checkpoint: String::new() };
        Kept { answer: answer.into(), epoch: epoch.parse().unwrap(), receipt }
    }

    #[test]
    fn an_answer_that_its_entry_does_not_record_breaks_the_log() {
        let (_home, mut reading) = Log::new().ask(START, ONE, 1, Ok("priority")).reading();
        let mut check = |index, answer, epoch| check_answers(&mut reading, &[vec![kept(index, answer, epoch)]]);
        assert!(check(1, "priority", "e-1").is_ok());
        for (index, answer, epoch) in [(1, "no_priority", "e-1"), (0, "priority", "e-1"), (1, "priority", "e-2")] {
            let error = check(index, answer, epoch).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(LogBroken::OtherAnswer { index: found }) if *found == index));
            assert!(!error.to_string().contains("priority"), "{error}");
        }
    }

    #[test]
    fn a_receipt_is_for_one_answer_and_a_file_of_one_party() {
        let ask = |log: Log, oin| log.ask(START, oin, 1, Ok("priority"));
        let (_home, mut reading) = ask(ask(ask(Log::new(), ONE), OTHER), ONE).reading();
        let file = |places: &[u64]| places.iter().map(|&at| kept(at, "priority", "e-1")).collect::<Vec<_>>();
        let mut check = |files: &[Vec<Kept>]| {
            check_answers(&mut reading, files).map_err(|error| error.downcast::<LogBroken>().unwrap())
        };
        assert!(check(&[file(&[1, 3]), file(&[2])]).is_ok());
        assert!(matches!(check(&[file(&[1, 1])]), Err(LogBroken::ReceiptTwice { index: 1 })));
        assert!(matches!(check(&[file(&[1]), file(&[1])]), Err(LogBroken::ReceiptTwice { index: 1 })));
        assert!(matches!(check(&[file(&[1, 2])]), Err(LogBroken::OtherParty { index: 2 })));
    }

    #[test]
    fn answers_are_compared_by_an_officer_for_whom_they_were_sealed() {
        let home = tempfile::tempdir().unwrap();
        let copy = Log::new().ask(START, ONE, 1, Ok("priority")).copy(home.path());
        let other = Opener::from_file(&generate_identity().0).unwrap();
        let mut reading = Reading::new(copy, Some(other)).unwrap();
        let error = check_answers(&mut reading, &[vec![kept(1, "priority", "e-1")]]).unwrap_err();
        assert!(error.downcast_ref::<LogBroken>().is_none() && format!("{error:#}").contains("other officers"));
    }
}
