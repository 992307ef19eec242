//! A register from its encoded file to the epoch that answers from it.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::time::Instant;

use rayon::prelude::*;
use ring::digest::{SHA256, digest};
use tempfile::NamedTempFile;
use voorrang::answer::wire::{ChunkKept, LoadBegun, LoadCommit, LoadPlan, LoadReport, RecordLine, Source};
use voorrang::audit::Hash;
use voorrang::cli::client::{Client, fresh_key};
use voorrang::cli::people::PeopleArgs;
use voorrang::clock::Clock;
use voorrang::code::CodeHeader;
use voorrang::encode::{Ages, Encoder};
use voorrang::profile::Profile;

use super::process::Process;
use crate::premises::{Files, POPULATION, Premises, only_epoch};

const CARE_EVERY: usize = 1000;
const RESTARTS: usize = 3;
/// People who are encoded at once.
const SHARE: usize = 10_000;

pub fn run(residents: usize) -> anyhow::Result<()> {
    let premises = Premises::new()?;
    let process = Process::start(&premises, &[])?;
    premises.begin(process.port)?;
    let files = premises.files(residents, CARE_EVERY, 0)?;
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
    println!(
        "{residents} residents ({:.2} GB encoded): loaded in {loaded:.1} s, active in {active:.1} s (asked: 60); \
         {before:.0} MB before, {:.0} at most (asked: 1,500), {:.0} after",
        bytes as f64 / 1e9,
        process.megabytes("VmHWM")?,
        process.megabytes("VmRSS")?,
    );
    drop(process);
    restart(&premises, residents, before)
}

/// From the start of a process to `/readyz`, and what the register takes in memory beside its bare bits.
fn restart(premises: &Premises, residents: usize, empty: f64) -> anyhow::Result<()> {
    let bits: usize =
        Profile::built_in().passes.iter().map(|pass| pass.code_bits * pass.held(&Profile::built_in())).sum();
    let bare = (residents * bits / 8) as f64 / 1e6;
    for _ in 0..RESTARTS {
        let started = Instant::now();
        let process = Process::start(premises, &[])?;
        let (ready, spent) = (started.elapsed().as_secs_f64(), process.cpu_seconds()?);
        println!("restart: ready in {ready:.2} s (asked: 5), {spent:.2} s of CPU");
        let [most, now] = [process.megabytes("VmHWM")?, process.megabytes("VmRSS")?].map(|all| (all - empty) / bare);
        println!("memory: {now:.2} times the bare bits of {bare:.0} MB (asked: 1.5), {most:.2} at most at the start");
    }
    Ok(())
}

/// What `voorrang load` would send, in a file of a record a line.
fn encode(client: &Client, files: &Files) -> anyhow::Result<(CodeHeader, NamedTempFile)> {
    let people = PeopleArgs::default().residents(&files.residents)?;
    let profile = Profile::built_in();
    let epoch = only_epoch(client)?;
    let encoder = Encoder::new(&profile, client.salt(&epoch.id, &profile)?.expose(), &epoch.id);
    let regulation = client.regulation()?;
    let ages = Ages { minor_below: regulation.minor_below, senior_from: regulation.senior_from };
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
