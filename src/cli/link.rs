//! `voorrang link`: all pairs of two files of plain CLKs at or above a Dice coefficient, sorted, as CSV.
//!
//! Results are given block by block of the left file and sorted as they come; what does not fit into memory waits in
//! sorted runs on the disk.

mod input;
mod runs;
mod suggest;

use std::fs;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};

use super::output::Output;
use super::there::{folder_of, refuse_clash};
use crate::link::join::{Join, JoinError, Lsh, Match, Progress, Summary, Threshold};
use crate::link::popcount::Kernel;
pub use input::InputError;
use runs::Sorter;

/// What `voorrang link` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = RULE)]
pub struct LinkArgs {
    /// File of CLKs: {"clks": ["base64", ...]}, as `voorrang clk` and clkhash write them
    pub left: PathBuf,
    /// File of CLKs of the same length
    pub right: PathBuf,
    /// Least Dice coefficient of a pair: above 0, at most 1
    #[arg(long, value_parser = parse_threshold, required_unless_present = "suggest_threshold")]
    pub threshold: Option<Threshold>,
    /// Estimate what each threshold would give, without knowing who is who, instead of comparing: scores of sampled
    /// pairs, expected false pairs, precision and recall, on standard error
    #[arg(long, conflicts_with_all = ["threshold", "output", "blocking", "kernel"])]
    pub suggest_threshold: bool,
    /// CSV file to write: left,right,dice, positions from 0, sorted [default: standard output, unless --stats is given]
    #[arg(short, long)]
    pub output: Option<PathBuf>,
    /// How bits are counted; all kernels find the same pairs
    #[arg(long, value_enum, default_value_t)]
    pub kernel: KernelName,
    /// Compare candidates only. APPROXIMATE: pairs are missed, those just above the threshold first; without it the
    /// result is exact
    #[arg(long, value_enum, conflicts_with = "kernel")]
    pub blocking: Option<Blocking>,
    /// Samples of bits that make a pair a candidate: more find more
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=1000), requires = "blocking")]
    pub lsh_tables: u16,
    /// Bits of a sample, all of which must agree: fewer find more and compare more
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=64), requires = "blocking")]
    pub lsh_bits: u16,
    /// Threads that compare [default: one for each core]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
    /// Print figures of the run on standard output, as one line
    #[arg(long, value_enum)]
    pub stats: Option<StatsForm>,
}

const RULE: &str = "A pair is written if 2·common / (bits of left + bits of right), rounded to the nearest number of 64 \
bits, is at least the threshold. Two CLKs without any bit are no pair. These are the pairs that anonlink finds.";

fn parse_threshold(text: &str) -> Result<Threshold, String> {
    let number: f64 = text.parse().map_err(|_| "write it as 0.8".to_owned())?;
    Threshold::new(number).map_err(|error| error.to_string())
}

/// A way to count bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum KernelName {
    /// The fastest that this machine has for so many CLKs
    #[default]
    Auto,
    /// Tiles of 8-bit integers (Intel Sapphire Rapids and later)
    Amx,
    /// AVX-512 with VPOPCNTDQ
    Avx512,
    /// AVX2
    Avx2,
    /// The POPCNT instruction
    Popcnt,
    /// NEON (AArch64)
    Neon,
    /// Any machine
    Portable,
}

/// A way to choose the pairs that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Blocking {
    /// Bit sampling: pairs that agree in all bits of a sample
    Lsh,
}

/// How figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatsForm {
    /// One JSON object
    Json,
}

/// A kernel was asked for that this machine does not have.
#[derive(Debug, thiserror::Error)]
#[error("--kernel {asked}: this machine does not have it; it has {}", .has.join(", "))]
pub struct NoSuchKernel {
    asked: String,
    has: Vec<&'static str>,
}

impl KernelName {
    /// None for the kernel that suits best.
    fn find(self) -> Result<Option<Kernel>, NoSuchKernel> {
        let asked = match self {
            Self::Auto => return Ok(None),
            Self::Amx => "amx",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Popcnt => "popcnt",
            Self::Neon => "neon",
            Self::Portable => "portable",
        };
        let has = || Kernel::available().into_iter().map(Kernel::name).collect();
        Kernel::named(asked).map(Some).ok_or_else(|| NoSuchKernel { asked: asked.to_owned(), has: has() })
    }
}

/// Runs the command.
///
/// # Errors
/// Names file and position; no output file is left behind.
pub fn run(args: &LinkArgs) -> anyhow::Result<()> {
    let kernel = args.kernel.find()?;
    refuse_clash(args.output.as_deref(), [args.left.as_path(), &args.right])?;
    let start = cpu_time();
    let (left, right) = (input::read(&args.left)?, input::read(&args.right)?);
    let prepared = cpu_time();
    let threads = args.threads.unwrap_or_else(|| available_parallelism().unwrap_or(NonZeroUsize::MIN));
    let Some(threshold) = args.threshold else {
        let estimate = suggest::run(&left, &right, threads)?;
        if let Some(StatsForm::Json) = args.stats {
            println!("{estimate}");
        }
        return Ok(());
    };
    let join = Join { left: &left, right: &right, threshold, kernel, threads };
    let write = |folder: &Path, output: &mut dyn Write| write(&join, args.lsh(), folder, output);
    let summary = match (&args.output, args.stats) {
        (Some(path), _) => {
            let mut output = Output::create(path)?;
            let summary = write(&sorting_folder(path), &mut output)?;
            output.finish()?;
            summary
        }
        (None, Some(_)) => write(&tempfile::env::temp_dir(), &mut std::io::sink())?,
        (None, None) => write(&tempfile::env::temp_dir(), &mut BufWriter::new(std::io::stdout().lock()))?,
    };
    let compared = cpu_time();
    if let Some(StatsForm::Json) = args.stats {
        println!("{}", stats(args, &summary, threads, prepared - start, compared - prepared));
    }
    let Summary { pairs, compared, matches, kernel, .. } = summary;
    let threshold = threshold.value();
    // `{:?}`: 1e-300 is not written with 300 zeros.
    match args.blocking {
        None => eprintln!("Compared {pairs} pairs with {}; {matches} reach {threshold:?}.", kernel.name()),
        Some(Blocking::Lsh) => {
            eprintln!(
                "Compared {compared} candidates of {pairs} pairs; {matches} reach {threshold:?}. APPROXIMATE: pairs are missed."
            );
        }
    }
    Ok(())
}

impl LinkArgs {
    fn lsh(&self) -> Option<Lsh> {
        let lsh = Lsh { tables: self.lsh_tables.into(), bits: self.lsh_bits.into() };
        self.blocking.map(|Blocking::Lsh| lsh)
    }
}

/// Where sorted runs wait: beside the output, where there is room for it, but not beside a device.
fn sorting_folder(output: &Path) -> PathBuf {
    let is_file = fs::metadata(output).map_or(true, |there| there.is_file());
    if is_file { folder_of(output).to_owned() } else { tempfile::env::temp_dir() }
}

/// Compares and writes all matches, sorted.
fn write(join: &Join<'_>, lsh: Option<Lsh>, folder: &Path, output: &mut dyn Write) -> anyhow::Result<Summary> {
    let mut sorter = Sorter::new(folder);
    writeln!(output, "left,right,dice").context(NOT_WRITTEN)?;
    let take = |progress| -> Result<(), Stopped> {
        match progress {
            Progress::Matches(found) => sorter.push(&found)?,
            Progress::Complete { .. } => sorter.drain(|Match { left, right, dice }| {
                // The shortest text that reads as the same number.
                writeln!(output, "{left},{right},{dice:?}")
            })?,
        }
        Ok(())
    };
    let summary = if let Some(lsh) = lsh { join.run_lsh(lsh, take) } else { join.run(take) };
    let summary = summary.map_err(|stopped| match stopped {
        Stopped::Join(error) => anyhow::Error::from(InputError::Join(error)),
        Stopped::Write(error) => anyhow::Error::from(error).context(NOT_WRITTEN),
    })?;
    output.flush().context(NOT_WRITTEN)?;
    Ok(summary)
}

const NOT_WRITTEN: &str = "the pairs cannot be written";

/// Why a join did not come to its end.
enum Stopped {
    Join(JoinError),
    Write(std::io::Error),
}

impl From<JoinError> for Stopped {
    fn from(error: JoinError) -> Self {
        Self::Join(error)
    }
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Self::Write(error)
    }
}

/// CPU time of this process, all threads.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let parts = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    let (Ok(seconds), Ok(nanos)) = parts else { return Duration::ZERO };
    Duration::new(seconds, nanos)
}

/// The line of `--stats json`.
fn stats(args: &LinkArgs, summary: &Summary, threads: NonZeroUsize, prepare: Duration, compare: Duration) -> String {
    let seconds = compare.as_secs_f64().max(1e-9);
    let mut stats = serde_json::json!({
        "pairs": summary.pairs,
        "candidates": summary.matches,
        "threshold": args.threshold.map(Threshold::value),
        "kernel": summary.kernel.name(),
        "threads": threads,
        "prepareCpuSeconds": prepare.as_secs_f64(),
        "compareCpuSeconds": seconds,
        "pairsPerCpuSecond": (summary.pairs as f64 / seconds).round(),
        "wordsRead": summary.words_read,
        "approximate": args.blocking.is_some(),
    });
    if let Some(Lsh { tables, bits }) = args.lsh() {
        stats["blocking"] =
            serde_json::json!({ "method": "lsh", "tables": tables, "bits": bits, "compared": summary.compared });
    }
    stats.to_string()
}
