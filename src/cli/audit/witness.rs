//! `voorrang audit witness`: a memory of the log outside the service, which cosigns what it saw and cries out when the
//! log shows another history.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::LogBroken;
use crate::audit::{AddCheckpoint, LogKeys, WitnessRefusal};
use crate::cli::client::{Client, Refused};
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
    let origin = keys.origin().to_owned();
    let keeper = Keeper::open(&args.state, args.name.as_deref(), [keys])?;
    let known = keeper.latest(&origin)?.map_or(0, |(checkpoint, _)| checkpoint.size);
    let size = match extend(&client, &keeper, known) {
        Ok(size) => size,
        Err(error) => {
            if let Some(broken) = error.downcast_ref::<LogBroken>() {
                cry(args, broken, &keeper, &origin, &client)?;
            }
            return Err(error);
        }
    };
    eprintln!("Size {size} extends size {known}; cosigned. Verifier key of this witness:");
    eprintln!("{}", keeper.verifier().vkey());
    Ok(keeper.latest(&origin)?.context("what was just kept is there")?.1)
}

/// Has the service prove that its log extends what this witness knows, and cosigns; returns the new size.
fn extend(client: &Client, keeper: &Keeper, known: u64) -> anyhow::Result<u64> {
    let body = match client.get_text(&format!("access-log/consistency?old={known}")) {
        Ok(body) => body,
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) if refused.0.code == "old_size" => return Err(LogBroken::Shorter { known }.into()),
            _ => return Err(error),
        },
    };
    let request = AddCheckpoint::parse(&body).context("the service's proof cannot be read")?;
    match keeper.add(&request, server::seconds(&Clock::System)) {
        Ok(_) => {}
        Err(WitnessError::Refused(refusal @ (WitnessRefusal::Forked { .. } | WitnessRefusal::Inconsistent { .. }))) => {
            return Err(LogBroken::Witness(refusal).into());
        }
        Err(error) => return Err(error.into()),
    }
    request.size().context("a checkpoint that was checked has a size")
}

/// Keeps both histories and tells the operator's program; the exit code and standard error tell it in any case.
fn cry(args: &WitnessArgs, broken: &LogBroken, keeper: &Keeper, origin: &str, client: &Client) -> anyhow::Result<()> {
    let kind = if matches!(broken, LogBroken::Shorter { .. }) { "rollback" } else { "fork" };
    let shown = client.get_text("access-log/checkpoint")?;
    let evidence = keeper.accuse(origin, &shown, server::seconds(&Clock::System))?.display().to_string();
    eprintln!("ALARM ({kind}): what the log signed is kept in {evidence}");
    hook(args.alarm.as_deref(), kind, &evidence);
    Ok(())
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
