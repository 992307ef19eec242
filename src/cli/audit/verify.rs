//! `voorrang audit verify`: the whole log from its entries, against everything that is remembered outside the service.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::Context;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::copy::{Copy, damaged};
use super::given::Given;
use super::reading::Reading;
use super::receipts::{self, Incomparable};
use super::{LogArgs, LogBroken, Memory, Unusable, broken};
use crate::audit::{CheckpointKeys, Due, NoteVerifier, Receipt, Report, cosigned_at, verify_all};
use crate::cli::exit_code;

/// Of what does not hold beside the first, in words.
const MOST_TOLD: usize = 20;

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
    let Verified { report, incomparable, cosigned } = verified(args).map_err(|all| told(all, args.json))?;
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

/// The error that the command ends with, behind the others: as JSON all of them, in words the first few.
fn told(mut all: Vec<anyhow::Error>, as_json: bool) -> anyhow::Error {
    if as_json {
        println!("{}", broken::json(&all));
    } else {
        let rest = &all[1..];
        rest.iter().take(MOST_TOLD).for_each(|error| eprintln!("{error:#}"));
        let more = rest.len().saturating_sub(MOST_TOLD);
        if more > 0 {
            eprintln!("And {more} more: --json names all.");
        }
    }
    all.swap_remove(0)
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
/// The first of those of [`verified`]: [`LogBroken`] says what and where; [`Unusable`] if something that was handed in is
/// none.
pub fn verify(args: &VerifyArgs) -> anyhow::Result<Report> {
    Ok(verified(args).map_err(|mut all| all.swap_remove(0))?.report)
}

/// [`verify`], with all that held.
///
/// # Errors
/// Everything that does not, at least one: of the log, then of what was handed in, then whatever else failed.
pub fn verified(args: &VerifyArgs) -> Result<Verified, Vec<anyhow::Error>> {
    let (mut given, mut broken) = (Given::read(&args.receipts, &args.checkpoint), Vec::new());
    let held = hold(args, &mut given, &mut broken);
    let mut all: Vec<anyhow::Error> = broken.into_iter().map(anyhow::Error::from).collect();
    let held = held.map_err(|error| all.push(error)).ok().flatten();
    all.extend(given.unusable.into_iter().map(anyhow::Error::from));
    all.sort_by_key(|error| match exit_code(error) {
        5 => 0,
        4 => 1,
        _ => 2,
    });
    held.filter(|_| all.is_empty()).ok_or(all)
}

/// None if what was handed in kept the log from being verified in one go.
fn hold(args: &VerifyArgs, given: &mut Given, broken: &mut Vec<LogBroken>) -> anyhow::Result<Option<Verified>> {
    let (mut reading, memory) = args.log.open()?;
    if args.log.offline {
        given.leave_newer(&memory.keys, reading.copy.size());
    }
    // Where proofs lead is remembered too.
    let others = given.notes.iter().map(|(_, note)| note.clone()).chain(given.proved(&memory.keys));
    let remembered: Vec<_> = memory.checkpoints.iter().cloned().chain(others).collect();
    let report = tree_of(&reading.copy, &memory.keys, &remembered, &given.receipts(), memory.due);
    let (report, found) = match report.map_err(anyhow::Error::downcast) {
        Ok(report) => (Some(report), Vec::new()),
        Err(Ok(LogBroken::Verify(first, mut rest))) => {
            rest.insert(0, first);
            (None, rest)
        }
        Err(Ok(other)) => return Err(other.into()),
        Err(Err(error)) => return Err(error),
    };
    let mut found = given.sift(found, memory.checkpoints.len(), &memory.keys);
    if !found.is_empty() {
        broken.push(LogBroken::Verify(found.remove(0), found));
        broken.extend(unsealed(&mut reading)?);
        return Ok(None);
    }
    let cosigned = cosigned(args, given, &memory)?;
    let incomparable = receipts::compare(&mut reading, &given.files, broken)?;
    broken.extend(unsealed(&mut reading)?);
    Ok(report.map(|report| Verified { report, incomparable, cosigned }))
}

/// What is sealed and opens for nobody is no record of an answer.
fn unsealed(reading: &mut Reading) -> anyhow::Result<Option<LogBroken>> {
    if reading.opens() {
        reading.each(|_| Ok(()))?;
    }
    Ok(reading.unsealed())
}

/// Which witnesses cosigned one of the checkpoints that were handed in.
fn cosigned(args: &VerifyArgs, given: &mut Given, memory: &Memory) -> anyhow::Result<Vec<(String, u64, u64)>> {
    let mut found = Vec::new();
    for key in &args.witness {
        let witness = NoteVerifier::from_vkey(key).context("--witness takes the verifier key that a witness prints")?;
        let cosigned = given.notes.iter().filter_map(|(_, note)| {
            let (seconds, known) = (cosigned_at(note, &witness).ok()?, memory.keys.checkpoint(note).ok()?);
            Some((witness.name().to_owned(), known.size, seconds))
        });
        found.extend(cosigned.max_by_key(|(_, size, _)| *size));
    }
    let needed = args.quorum.unwrap_or(args.witness.len());
    if found.len() < needed {
        given.unusable.push(Unusable::Cosignatures { found: found.len(), needed });
    }
    Ok(found)
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
    let report = report.map_err(|mut all| LogBroken::Verify(all.remove(0), all));
    match (report, unreadable) {
        (_, Some(error)) => Err(error),
        // What it was fetched as did hold: the log is not accused of what happened on this machine.
        (Err(LogBroken::Verify(first, _)), None) if !copy.is_as_fetched()? => {
            Err(damaged(&format!("is not what it was when it was fetched: {first}")).into())
        }
        (report, None) => Ok(report?),
    }
}
