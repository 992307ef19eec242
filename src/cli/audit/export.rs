//! `voorrang audit export`: the log for other people's tools.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;

use super::filter::Filter;
use super::list::{self, COLUMNS, row, wanted};
use super::reading::Reading;
use super::{LogArgs, announce, standards};
use crate::audit::{Line, Range, TILE_WIDTH, Tiles, bundle, bundle_path};
use crate::cli::client::Client;
use crate::cli::output::{Output, finish_csv};
use crate::cli::there::refuse_clash;

/// Names the bundles that are left out, a path a line.
const PRUNED: &str = "pruned";

/// What exporting takes.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub log: LogArgs,
    /// Write the whole log into this folder as static tiles (c2sp.org/tlog-tiles); it must not exist
    #[arg(long, value_name = "DIR", conflicts_with_all = ["format", "output"], required_unless_present = "format")]
    pub tiles: Option<PathBuf>,
    /// Form of the entries
    #[arg(long, value_enum, requires = "output")]
    pub format: Option<ExportFormat>,
    /// URI of the register of processing activities (GDPR article 30), for --format ldv and nen7513 [default: the
    /// service's, which --offline does not know]
    #[arg(long)]
    pub register: Option<String>,
    /// File to write
    #[arg(short, long)]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub filter: Filter,
}

/// Forms in which entries leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Each entry as it stands in the log, a line each, with its position and what was answered
    Ndjson,
    Csv,
    /// Records of the Logboek Dataverwerkingen, a line each
    Ldv,
    /// Audit records with the fields of NEN 7513, a line each
    Nen7513,
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`]; then no file is left, but for what could not be read, which is named behind the rest.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let read = [&args.log.config].into_iter().chain(&args.log.identity).map(PathBuf::as_path);
    refuse_clash(args.output.as_deref(), read)?;
    let mut reading = args.filter.reading(&args.log)?;
    if let Some(folder) = &args.tiles {
        check_free(folder)?;
        announce::tell(&args.log, Range { from: 0, to: reading.copy.size() })?;
        let pruned = tiles(&reading, folder)?;
        eprintln!("Wrote {} entries as tiles into {}.", reading.copy.size(), folder.display());
        if !pruned.is_empty() {
            eprintln!(
                "{} bundles of entries hold one whose contents have expired, and are left out: their paths are in \
                 {}/{PRUNED}. The tiles of hashes are complete; a verifier that wants every bundle refuses this export.",
                pruned.len(),
                folder.display()
            );
        }
        return Ok(reading.sound()?);
    }
    let (Some(format), Some(path)) = (args.format, &args.output) else { bail!("name --tiles, or --format and -o") };
    let register = match format {
        ExportFormat::Ldv | ExportFormat::Nen7513 => register(args)?,
        ExportFormat::Ndjson | ExportFormat::Csv => String::new(),
    };
    let leaving = leaving(&mut reading, &args.filter)?;
    announce::tell(&args.log, leaving)?;
    let count = export(&mut reading, args, format, &register, path)?;
    eprintln!("Wrote {count} of {} entries to {}.", reading.copy.size(), path.display());
    Ok(reading.sound()?)
}

/// The register that names processing activities: the one given, or the service's.
fn register(args: &ExportArgs) -> anyhow::Result<String> {
    match &args.register {
        Some(register) => Ok(register.clone()),
        None if args.log.offline => bail!("name --register: offline the service cannot be asked for its own"),
        None => Ok(Client::open(&args.log.config)?.service()?.register),
    }
}

/// From the first to behind the last of the wanted entries.
fn leaving(reading: &mut Reading, filter: &Filter) -> anyhow::Result<Range> {
    if filter.wants_all() {
        return Ok(Range { from: 0, to: reading.copy.size() });
    }
    let mut range: Option<Range> = None;
    wanted(reading, filter, |found| {
        let from = range.map_or(found.position, |range| range.from);
        range = Some(Range { from, to: found.position + 1 });
        Ok(())
    })?;
    Ok(range.unwrap_or(Range { from: 0, to: 0 }))
}

/// Writes the wanted entries; returns how many.
///
/// # Errors
/// As [`Reading::each`], or the file cannot be written.
fn export(
    reading: &mut Reading,
    args: &ExportArgs,
    format: ExportFormat,
    register: &str,
    path: &Path,
) -> anyhow::Result<u64> {
    if format == ExportFormat::Csv {
        let mut csv = csv::Writer::from_writer(Output::create(path)?);
        csv.write_record(COLUMNS)?;
        let count = wanted(reading, &args.filter, |found| Ok(csv.write_record(row(&found))?))?;
        finish_csv(csv)?;
        return Ok(count);
    }
    let mut file = Output::create(path)?;
    // A checkpoint begins with the log's name.
    let origin = reading.copy.checkpoint().and_then(|note| note.lines().next()).unwrap_or_default().to_owned();
    let count = wanted(reading, &args.filter, |found| {
        let line = match format {
            ExportFormat::Ldv => standards::ldv(&found, register)?.map(|record| record.to_string()),
            ExportFormat::Nen7513 => Some(standards::nen7513(&found, register, &origin).to_string()),
            ExportFormat::Ndjson | ExportFormat::Csv => Some(list::json(&found)?),
        };
        line.iter().try_for_each(|line| Ok(writeln!(file, "{line}")?))
    })?;
    file.finish()?;
    Ok(count)
}

/// Writes the log as static files, the checkpoint last; returns the paths of the bundles that are left out because an entry
/// in them has expired: a reader of tiles takes a bundle whole. Their paths are in a file beside the checkpoint.
///
/// # Errors
/// If the folder exists or cannot be written; then it is not left behind.
pub fn tiles(reading: &Reading, folder: &Path) -> anyhow::Result<Vec<String>> {
    let checkpoint =
        reading.copy.checkpoint().context("there is no copy of the log yet; run once without --offline")?;
    check_free(folder)?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = tempfile::Builder::new().prefix(".tiles-").tempdir_in(parent);
    let beside = beside.with_context(|| format!("cannot write into {}", parent.display()))?;
    let pruned = write_tiles(reading, beside.path())?;
    if !pruned.is_empty() {
        put(beside.path(), PRUNED, format!("{}\n", pruned.join("\n")).as_bytes())?;
    }
    put(beside.path(), "checkpoint", checkpoint.as_bytes())?;
    let beside = beside.keep();
    fs::rename(&beside, folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(pruned)
}

fn check_free(folder: &Path) -> anyhow::Result<()> {
    ensure!(!folder.exists(), "{} exists; name a folder that does not", folder.display());
    Ok(())
}

fn write_tiles(reading: &Reading, folder: &Path) -> anyhow::Result<Vec<String>> {
    let (mut tiles, mut number, mut pruned) = (Tiles::default(), 0, Vec::new());
    let mut lines: Vec<Line> = Vec::with_capacity(TILE_WIDTH);
    let mut flush = |lines: &mut Vec<Line>| -> anyhow::Result<()> {
        let entries: Option<Vec<&[u8]>> = lines
            .iter()
            .map(|line| match line {
                Line::Entry(entry) => Some(entry.as_slice()),
                Line::Expired(_) => None,
            })
            .collect();
        let path = bundle_path(number, lines.len());
        match entries {
            Some(entries) => put(folder, &path, &bundle(entries)?)?,
            None => pruned.push(path),
        }
        number += 1;
        lines.clear();
        Ok(())
    };
    for (position, line) in (0..).zip(reading.copy.lines()?) {
        let line = line?.1;
        reading.index.hold(position, &line)?;
        for tile in tiles.push(line.leaf()) {
            put(folder, &tile.path, &tile.bytes)?;
        }
        lines.push(line);
        if lines.len() == TILE_WIDTH {
            flush(&mut lines)?;
        }
    }
    if !lines.is_empty() {
        flush(&mut lines)?;
    }
    tiles.finish().iter().try_for_each(|tile| put(folder, &tile.path, &tile.bytes))?;
    Ok(pruned)
}

fn put(folder: &Path, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(path);
    let cannot = || format!("cannot write {}", path.display());
    fs::create_dir_all(path.parent().context("a tile has a folder")?).with_context(cannot)?;
    File::create(&path).and_then(|mut file| file.write_all(bytes)).with_context(cannot)
}
