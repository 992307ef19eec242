//! `voorrang audit witness`: a memory of the log outside the service, which cosigns what it saw and cries out when the
//! log shows another history.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::copy::Copy;
use super::{LogBroken, fetch, remembered};
use crate::audit::{AddCheckpoint, Hash, LogKeys, WitnessRefusal, consistency_proof};
use crate::cli::client::Client;
use crate::clock::Clock;
use crate::witness::{Keeper, WitnessError, server};

/// What a witness takes.
#[derive(Debug, clap::Args)]
pub struct WitnessArgs {
    /// Folder of the witness: its key and the last checkpoint of each log. Keep it apart from the service
    #[arg(long)]
    pub state: PathBuf,
    /// Name of the witness, needed the first time: a URL without https://
    #[arg(long)]
    pub name: Option<String>,
    /// Look once at the service of this client.toml, and print the cosigned checkpoint
    #[arg(long, required_unless_present = "listen", conflicts_with = "listen")]
    pub config: Option<PathBuf>,
    /// Listen here for whoever brings checkpoints (c2sp.org/tlog-witness, plain HTTP)
    #[arg(long, requires = "log")]
    pub listen: Option<SocketAddr>,
    /// File with the verifier keys of a log to watch, a key a line, the newest first
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    /// Program to run on an alarm; its arguments are `fork` or `rollback`, and the file with both checkpoints
    #[arg(long, value_name = "PROGRAM")]
    pub alarm: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// [`LogBroken`] if the log has two histories; else what kept the witness from looking.
pub fn run(args: &WitnessArgs) -> anyhow::Result<()> {
    match (args.listen, &args.config) {
        (Some(address), _) => listen(args, address),
        (None, Some(config)) => {
            print!("{}", look(args, config)?);
            Ok(())
        }
        (None, None) => bail!("name --config or --listen"),
    }
}

/// Looks once; returns the cosigned checkpoint.
///
/// # Errors
/// As [`run`].
pub fn look(args: &WitnessArgs, config: &Path) -> anyhow::Result<String> {
    let client = Client::open(config)?;
    let keys = client.log_keys()?;
    let keeper = Keeper::open(&args.state, args.name.as_deref(), [keys.clone()])?;
    let memory = super::Memory { checkpoints: remembered(&client.config.memory)?, keys };
    let copy = fetch::follow(&client, &client.remembered("log"), &memory);
    let copy = copy.inspect_err(|error| cry(args, error, &client.remembered(fetch::DIFFERS)))?;
    let origin = memory.keys.origin();
    let note = copy.checkpoint().context("the log has a checkpoint")?.to_owned();
    let known = keeper.latest(origin)?.map_or(0, |(checkpoint, _)| checkpoint.size);
    let alarmed = |error: anyhow::Error| -> anyhow::Result<String> {
        let evidence = keeper.accuse(origin, &note, server::seconds(&Clock::System))?;
        cry(args, &error, &evidence);
        Err(error)
    };
    if known > copy.size() {
        return alarmed(LogBroken::RolledBack { known, size: copy.size() }.into());
    }
    let request = AddCheckpoint { old_size: known, proof: proof(&copy, known)?, note: note.clone() };
    match keeper.add(&request, server::seconds(&Clock::System)) {
        Ok(_) => {}
        Err(WitnessError::Refused(WitnessRefusal::Forked { .. } | WitnessRefusal::Inconsistent { .. })) => {
            return alarmed(LogBroken::Forked { known, size: copy.size() }.into());
        }
        Err(error) => return Err(error.into()),
    }
    eprintln!("Size {} extends size {known}; cosigned. Verifier key of this witness:", copy.size());
    eprintln!("{}", keeper.verifier().vkey());
    Ok(keeper.latest(origin)?.context("what was just kept is there")?.1)
}

/// From the entries themselves, so that the witness has seen all that it signs for.
fn proof(copy: &Copy, known: u64) -> anyhow::Result<Vec<Hash>> {
    let leaves = copy.lines()?.map(|line| Ok(line?.1.leaf())).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(consistency_proof(&leaves, known)?)
}

/// Tells the operator's program; that the log is broken is told by the exit code and on standard error in any case.
fn cry(args: &WitnessArgs, error: &anyhow::Error, evidence: &Path) {
    let mut broken = error.chain().filter_map(|cause| cause.downcast_ref()).peekable();
    if broken.peek().is_none() {
        return;
    }
    let rollback = broken.any(|broken| matches!(broken, LogBroken::RolledBack { .. }));
    let kind = if rollback { "rollback" } else { "fork" };
    eprintln!("ALARM ({kind}): what the log signed is kept in {}", evidence.display());
    hook(args.alarm.as_deref(), kind, &evidence.display().to_string());
}

fn hook(program: Option<&Path>, kind: &str, evidence: &str) {
    let Some(program) = program else { return };
    match Command::new(program).args([kind, evidence]).status() {
        Ok(status) if status.success() => {}
        Ok(status) => eprintln!("{} ended with {status}", program.display()),
        Err(error) => eprintln!("{} could not be run: {error}", program.display()),
    }
}

fn listen(args: &WitnessArgs, address: SocketAddr) -> anyhow::Result<()> {
    let mut logs = Vec::new();
    for path in &args.log {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        logs.push(text.parse::<LogKeys>().with_context(|| path.display().to_string())?);
    }
    let keeper = Keeper::open(&args.state, args.name.as_deref(), logs)?;
    eprintln!("Verifier key of this witness: {}", keeper.verifier().vkey());
    let program = args.alarm.clone();
    let alarm: server::Alarm = Arc::new(move |refusal, evidence| {
        eprintln!("ALARM (fork): {refusal}; what the log signed is kept in {evidence}");
        hook(program.as_deref(), "fork", evidence);
    });
    let ready = |address: SocketAddr| eprintln!("The witness listens on http://{address}.");
    server::run(keeper, address, alarm, ready).with_context(|| format!("cannot listen on {address}"))
}
