//! `voorrang clk`: a CSV file into the CLKs that clkhash makes of it, bit for bit.

use std::fs::{self, File};
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{Context, anyhow};
use zeroize::Zeroizing;

use super::output::{Output, file_bar};
use super::there::refuse_clash;
use crate::encode::clkhash::{Encoder, Header, InputError, Schema, Weakness, encode_file};

/// What `voorrang clk` takes.
#[derive(Debug, clap::Args)]
pub struct ClkArgs {
    /// Linkage schema of clkhash: version 3, or 1 or 2, which are converted
    #[arg(long)]
    pub schema: PathBuf,
    /// File with the secret; its bytes are taken exactly as they are, a line end too
    #[arg(long)]
    pub secret_file: PathBuf,
    /// CSV file in UTF-8 with the schema's columns in the schema's order
    pub input: PathBuf,
    /// File of CLKs to write: {"clks": ["base64", ...]}
    #[arg(short, long)]
    pub output: PathBuf,
    /// The first line is a row; without this it must have the schema's identifiers
    #[arg(long)]
    pub no_header: bool,
    /// Refuse what is weak instead of warning: short keys, double hashing, folds that are not made
    #[arg(long)]
    pub strict: bool,
    /// Threads that encode [default: one for each 64 MiB of the file, at most one for each core]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// `--strict` was asked for and something is weak.
#[derive(Debug, thiserror::Error)]
#[error("{} (--strict)", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct TooWeak(Vec<Weakness>);

/// Runs the command.
///
/// # Errors
/// Names file and line, or the path in the schema; no output file is left behind.
pub fn run(args: &ClkArgs) -> anyhow::Result<()> {
    refuse_clash([args.output.as_path()], [args.schema.as_path(), &args.secret_file, &args.input])?;
    let encoder = encoder(&args.schema, &args.secret_file)?;
    if args.strict && !encoder.weaknesses().is_empty() {
        return Err(TooWeak(encoder.weaknesses().to_vec()).into());
    }
    for weakness in encoder.weaknesses() {
        eprintln!("voorrang: warning: {weakness}");
    }
    let rows = write(args, &encoder)?;
    eprintln!("Encoded {rows} rows into {}.", args.output.display());
    Ok(())
}

fn encoder(schema: &Path, secret: &Path) -> anyhow::Result<Encoder> {
    let json = fs::read(schema).with_context(|| format!("cannot read {}", schema.display()))?;
    let secret = fs::read(secret).with_context(|| format!("cannot read {}", secret.display()))?;
    let secret = Zeroizing::new(secret);
    let parsed = Schema::parse(&json).with_context(|| schema.display().to_string())?;
    Encoder::new(&parsed, &secret).with_context(|| schema.display().to_string())
}

/// What one thread encodes in about a second: more of them would each have to meet the same names first.
const BYTES_PER_THREAD: u64 = 64 << 20;

/// Threads for a file of so many bytes; 0 for one of which that is not known, a pipe.
fn threads(bytes: u64) -> NonZeroUsize {
    let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let worth = usize::try_from(bytes.div_ceil(BYTES_PER_THREAD)).ok().and_then(NonZeroUsize::new);
    worth.map_or(cores, |worth| worth.min(cores))
}

fn write(args: &ClkArgs, encoder: &Encoder) -> anyhow::Result<u64> {
    let named = |error: InputError| match error {
        InputError::Write(source) => anyhow!(source).context(format!("cannot write {}", args.output.display())),
        other => anyhow!(other).context(args.input.display().to_string()),
    };
    let input = File::open(&args.input).map_err(|source| named(InputError::Read(source)))?;
    let bytes = input.metadata().map_or(0, |metadata| metadata.len());
    let header = if args.no_header { Header::Absent } else { Header::Checked };
    let threads = args.threads.unwrap_or_else(|| threads(bytes));
    let mut output = Output::create(&args.output)?;
    let mut bar = file_bar(bytes, "encoding");
    let input = BufReader::with_capacity(1 << 16, input);
    let rows = encode_file(encoder, input, header, threads, &mut output, |read, rows| bar.at(read, rows));
    let rows = rows.map_err(named)?;
    output.finish()?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_more_wants_a_large_file_and_a_core() {
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        assert_eq!(threads(1).get(), 1);
        assert_eq!(threads(BYTES_PER_THREAD).get(), 1);
        assert_eq!(threads(BYTES_PER_THREAD + 1).get(), cores.get().min(2));
        assert_eq!(threads(u64::MAX), cores);
        assert_eq!(threads(0), cores);
    }
}
