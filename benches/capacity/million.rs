//! A register from its encoded file to the epoch that answers from it.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::time::Instant;

use rayon::prelude::*;
use ring::digest::{SHA256, digest};
use tempfile::NamedTempFile;
use voorrang::answer::wire::{self, ChunkKept, LoadBegun, LoadCommit, LoadPlan, LoadReport, RecordLine, Source};
use voorrang::audit::Hash;
use voorrang::cli::client::{Client, fresh_key};
use voorrang::cli::people::PeopleArgs;
use voorrang::clock::Clock;
use voorrang::code::CodeHeader;
use voorrang::encode::{Ages, Encoder};
use voorrang::profile::Profile;

use super::process::Process;
use super::table::Table;
use crate::premises::{Files, HOUSEHOLDS, POPULATION, Premises, only_epoch};

const CARE_EVERY: usize = 1000;
const RESTARTS: usize = 3;
/// People who are encoded at once.
const SHARE: usize = 10_000;

pub fn run(residents: usize, table: &mut Table) -> anyhow::Result<()> {
    let premises = Premises::new()?;
    let process = Process::start(&premises, &[])?;
    premises.begin(process.port)?;
    let files = premises.files(residents, CARE_EVERY, 0, HOUSEHOLDS)?;
    premises.load_care(&files)?;
    let client = Client::open(&premises.party(POPULATION))?;
    let (header, encoded) = encode(&client, &files)?;
    let bytes = encoded.as_file().metadata()?.len();
    let before = process.megabytes("VmRSS")?;
    let started = Instant::now();
    load(&client, header, &encoded, residents)?;
    let loaded = started.elapsed().as_secs_f64();
    premises.activate()?;
    let active = started.elapsed().as_secs_f64();
    let how = format!("{:.2} GB encoded, loaded in {loaded:.1}", bytes as f64 / 1e9);
    table.at_most(&format!("{residents} residents, from the encoded file to active"), 60.0, active, "s", &how);
    let how = format!("{before:.0} before, {:.0} after", process.megabytes("VmRSS")?);
    table.at_most("memory of that, at most", 1500.0, process.megabytes("VmHWM")?, "MB", &how);
    drop(process);
    restart(&premises, residents, before, table)
}

/// From the start of a process to `/readyz`, and what the register takes in memory beside its bare bits.
fn restart(premises: &Premises, residents: usize, empty: f64, table: &mut Table) -> anyhow::Result<()> {
    let bits: usize =
        Profile::built_in().passes.iter().map(|pass| pass.code_bits * pass.held(&Profile::built_in())).sum();
    let bare = (residents * bits / 8) as f64 / 1e6;
    for _ in 0..RESTARTS {
        let started = Instant::now();
        let process = Process::start(premises, &[])?;
        let (ready, spent) = (started.elapsed().as_secs_f64(), process.cpu_seconds()?);
        table.at_most("a restart, until it is ready", 5.0, ready, "s", &format!("{spent:.2} of CPU"));
        let [most, now] = [process.megabytes("VmHWM")?, process.megabytes("VmRSS")?].map(|all| (all - empty) / bare);
        let how = format!("{bare:.0} MB, {most:.2} x at most at the start");
        table.at_most("memory of a register, of its bare bits", 1.5, now, "x", &how);
    }
    Ok(())
}

/// What `voorrang load` would send, in a file of a record a line.
fn encode(client: &Client, files: &Files) -> anyhow::Result<(CodeHeader, NamedTempFile)> {
    let people = PeopleArgs::default().residents(&files.residents)?;
    let profile = Profile::built_in();
    let epoch = only_epoch(client)?;
    let encoder = Encoder::new(&profile, client.salt(&epoch.id, &profile)?.expose(), &epoch.id);
    let wire::Ages { minor_below, senior_from } = client.ages()?;
    let ages = Ages { minor_below, senior_from };
    let mut file = BufWriter::new(NamedTempFile::new()?);
    for people in people.chunks(SHARE) {
        let line = |one| {
            let record = encoder.resident(one, Clock::System.today(), &ages);
            serde_json::to_vec(&RecordLine::new(record, &profile)).expect("plain data have a JSON form")
        };
        for line in people.par_iter().map(line).collect::<Vec<_>>() {
            file.write_all(&line)?;
            file.write_all(b"\n")?;
        }
    }
    let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok((encoder.header(), file))
}

/// From the file to the load that counts.
fn load(client: &Client, header: CodeHeader, encoded: &NamedTempFile, residents: usize) -> anyhow::Result<()> {
    let plan = LoadPlan {
        header,
        source: Source::Population,
        records: residents as u64,
        base: None,
        reference_date: Clock::System.today(),
        ages: Some(client.ages()?),
    };
    let begun: LoadBegun = client.post_once("loads", &plan, &fresh_key())?;
    let place = format!("loads/{}", begun.load);
    let mut lines = BufReader::with_capacity(1 << 20, encoded.reopen()?);
    let (mut chunk, mut line, mut chunks) = (Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        lines.read_until(b'\n', &mut line)?;
        if !chunk.is_empty() && (line.is_empty() || chunk.len() + line.len() > begun.chunk_bytes) {
            let sum: [u8; 32] = digest(&SHA256, &chunk).as_ref().try_into().expect("SHA-256 has 32 bytes");
            let _kept: ChunkKept = client.put_lines(&format!("{place}/chunks/{chunks}"), &chunk, &Hash::from(sum))?;
            chunks += 1;
            chunk.clear();
        }
        if line.is_empty() {
            break;
        }
        chunk.extend_from_slice(&line);
    }
    let report: LoadReport =
        client.post_once(&format!("{place}/commit"), &LoadCommit { chunks, accept_shrink: false }, &fresh_key())?;
    anyhow::ensure!(report.persons > residents / 2, "{} of {residents} have codes", report.persons);
    Ok(())
}
