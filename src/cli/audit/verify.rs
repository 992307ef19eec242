//! `voorrang audit verify`: the whole log from its entries, against everything that is remembered outside the service.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::Context;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::copy::{Copy, damaged};
use super::receipts::{self, Answers, Incomparable};
use super::{LogArgs, LogBroken, Memory, Rest, Unusable, broken};
use crate::audit::{CheckpointKeys, Due, NoteVerifier, Receipt, Report, VerifyError, cosigned_at, verify_all};

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
    /// Verifier key of a witness that must have cosigned one of the files of --checkpoint
    #[arg(long, value_name = "VKEY", requires = "checkpoint")]
    pub witness: Vec<String>,
    /// How many of the witnesses must have [default: all]
    #[arg(long, value_name = "N", requires = "witness")]
    pub quorum: Option<usize>,
    /// Say on standard output, as JSON, what held, or everything that does not
    #[arg(long)]
    pub json: bool,
}

impl VerifyArgs {
    /// As this officer, with these files of answers.
    pub fn new(config: PathBuf, receipts: Vec<PathBuf>) -> Self {
        let (checkpoint, witness) = (Vec::new(), Vec::new());
        Self { log: LogArgs::new(config), receipts, checkpoint, witness, quorum: None, json: false }
    }
}

/// What held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub report: Report,
    pub incomparable: Incomparable,
    /// Name, size and time, seconds since 1970, of the largest checkpoint that each witness cosigned.
    pub cosigned: Vec<(String, u64, u64)>,
}

/// Runs the command and says what held.
///
/// # Errors
/// As [`verify`].
pub fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let told = |error: &anyhow::Error| {
        if args.json {
            println!("{}", broken::json(error));
        }
    };
    let Verified { report, incomparable, cosigned } = verified(args).inspect_err(told)?;
    eprintln!(
        "The log holds {} entries and verifies; {} of them were remembered, {} receipts found.",
        report.entries, report.remembered_size, report.receipts
    );
    for Range { start, end } in &report.expired_ranges {
        eprintln!("The contents of entries {start} to {} have expired; their hashes are in the tree.", end - 1);
    }
    for (name, size, seconds) in &cosigned {
        eprintln!("{name} cosigned size {size} at {}.", moment(*seconds));
    }
    let Incomparable { expired, by_fsc } = &incomparable;
    if !expired.is_empty() {
        eprintln!("Answers were not compared with entries whose contents have expired: {}.", list(expired));
    }
    if !by_fsc.is_empty() {
        eprintln!("Entries whose question came by FSC, under a trace that the party does not know: {}.", list(by_fsc));
    }
    if args.json {
        let ranges: Vec<_> = report.expired_ranges.iter().map(|range| [range.start, range.end]).collect();
        let Report { entries, root, remembered_size, receipts, .. } = &report;
        let cosigned: Vec<_> = cosigned
            .iter()
            .map(|(name, size, at)| serde_json::json!({ "witness": name, "size": size, "time": moment(*at) }))
            .collect();
        let told = serde_json::json!({
            "verifies": true, "entries": entries, "root": root, "expired": ranges, "remembered": remembered_size, "receipts": receipts,
            "notCompared": expired, "byFsc": by_fsc, "cosigned": cosigned,
        });
        println!("{told}");
    }
    Ok(())
}

fn list(positions: &[u64]) -> String {
    positions.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

fn moment(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| format!("second {seconds}"))
}

/// Brings the copy up to the log, verifies all of it, and remembers its checkpoint.
///
/// # Errors
/// [`LogBroken`] says what and where; [`Unusable`] if something that was handed in is none.
pub fn verify(args: &VerifyArgs) -> anyhow::Result<Report> {
    Ok(verified(args)?.report)
}

/// [`verify`], with all that held.
///
/// # Errors
/// As there.
pub fn verified(args: &VerifyArgs) -> anyhow::Result<Verified> {
    let files = args.receipts.iter().map(|file| Answers::read(file)).collect::<Result<Vec<_>, _>>()?;
    let mut notes = Vec::new();
    for path in &args.checkpoint {
        notes.push(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let (mut reading, memory) = args.log.open()?;
    if args.log.offline {
        none_newer(args, &notes, &files, &memory, &reading.copy)?;
    }
    // Where proofs lead is remembered too; most of a file's have the same few checkpoints.
    let kept = || files.iter().flat_map(|file| &file.kept);
    let proofs = kept().filter_map(|kept| Some(kept.proof.as_ref()?.checkpoint.clone()));
    let proved: BTreeSet<_> = proofs.filter(|note| memory.keys.checkpoint(note).is_ok()).collect();
    let given = notes.iter().cloned().chain(proved);
    let remembered: Vec<_> = memory.checkpoints.iter().cloned().chain(given).collect();
    let receipts: Vec<_> = kept().map(|kept| kept.receipt.clone()).collect();
    let report = tree_of(&reading.copy, &memory.keys, &remembered, &receipts, memory.due);
    let report = report.map_err(|error| of_what_was_given(error, args, &memory, &files))?;
    // The log first: what was handed in must not hide what is wrong with it.
    files.iter().try_for_each(|file| file.check(&memory.keys))?;
    let cosigned = cosigned(args, &notes, &memory)?;
    let incomparable = receipts::compare(&mut reading, &files)?;
    if reading.opens() {
        // What is sealed and opens for nobody is no record of an answer.
        reading.each(|_| Ok(()))?;
        reading.sound()?;
    }
    Ok(Verified { report, incomparable, cosigned })
}

/// Which witnesses cosigned one of the checkpoints that were handed in.
fn cosigned(args: &VerifyArgs, notes: &[String], memory: &Memory) -> anyhow::Result<Vec<(String, u64, u64)>> {
    let mut found = Vec::new();
    for key in &args.witness {
        let witness = NoteVerifier::from_vkey(key).context("--witness takes the verifier key that a witness prints")?;
        let cosigned = notes.iter().filter_map(|note| {
            let (seconds, known) = (cosigned_at(note, &witness).ok()?, memory.keys.checkpoint(note).ok()?);
            Some((witness.name().to_owned(), known.size, seconds))
        });
        found.extend(cosigned.max_by_key(|(_, size, _)| *size));
    }
    let needed = args.quorum.unwrap_or(args.witness.len());
    if found.len() < needed {
        return Err(Unusable::Cosignatures { found: found.len(), needed }.into());
    }
    Ok(found)
}

/// That nothing that was handed in is newer than the copy: the log may have what it speaks of.
fn none_newer(
    args: &VerifyArgs,
    notes: &[String],
    files: &[Answers],
    memory: &Memory,
    copy: &Copy,
) -> Result<(), Unusable> {
    let is_newer = |note: &str| memory.keys.checkpoint(note).is_ok_and(|known| known.size > copy.size());
    let mut given =
        args.checkpoint.iter().zip(notes).filter(|(_, note)| is_newer(note)).map(|(path, _)| path.as_path());
    let mut received = files.iter().filter(|file| file.checkpoints().any(is_newer)).map(Answers::file);
    match given.next().or_else(|| received.next()) {
        Some(path) => Err(Unusable::Newer { path: path.to_owned(), size: copy.size() }),
        None => Ok(()),
    }
}

/// What is wrong with a file that was handed in is not wrong with the log, and hides nothing that is.
fn of_what_was_given(error: anyhow::Error, args: &VerifyArgs, memory: &Memory, files: &[Answers]) -> anyhow::Error {
    let (first, rest) = match error.downcast() {
        Ok(LogBroken::Verify(first, rest)) => (first, rest),
        Ok(other) => return other.into(),
        Err(error) => return error,
    };
    let given = |error: &VerifyError| match error {
        VerifyError::RememberedUnusable { position, .. } => {
            let path = args.checkpoint.get(position.checked_sub(memory.checkpoints.len())?)?;
            Some(Unusable::Checkpoint { path: path.clone() })
        }
        VerifyError::ReceiptUnusable { position, .. } | VerifyError::ReceiptFalse { position, .. } => {
            let mut rows = files.iter().flat_map(|file| (0..file.kept.len()).map(move |at| (file, at)));
            rows.nth(*position).map(|(file, at)| file.invalid(at))
        }
        _ => None,
    };
    let (mut log, mut unusable) = (Vec::new(), rest.given);
    for error in std::iter::once(first).chain(rest.log) {
        match given(&error) {
            Some(given) => unusable.push(given),
            None => log.push(error),
        }
    }
    if log.is_empty() {
        return unusable.remove(0).into();
    }
    LogBroken::Verify(log.remove(0), Rest { log, given: unusable }).into()
}

/// Verifies the copy's tree from its entries.
///
/// # Errors
/// [`LogBroken::Verify`], or [`Unusable::Copy`].
pub fn tree_of(
    copy: &Copy,
    keys: &impl CheckpointKeys,
    remembered: &[String],
    receipts: &[Receipt],
    due: impl Into<Due>,
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
    let report = verify_all(lines, checkpoint, keys, remembered, receipts, due);
    let report = report.map_err(|mut all| LogBroken::Verify(all.remove(0), Rest { log: all, given: vec![] }));
    match (report, unreadable) {
        (_, Some(error)) => Err(error),
        // What it was fetched as did hold: the log is not accused of what happened on this machine.
        (Err(LogBroken::Verify(first, _)), None) if !copy.is_as_fetched()? => {
            Err(damaged(&format!("is not what it was when it was fetched: {first}")).into())
        }
        (report, None) => Ok(report?),
    }
}
