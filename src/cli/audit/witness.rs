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
use crate::cli::log_key::remembered_log_keys;
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
    /// Program to run on an alarm; its arguments are `fork`, `rollback`, `key` (another one, not announced), `unreadable`
    /// or `suspicion` (signed, but sent with a proof that fails), and the file with what was known and what was shown
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
    let (client, mut shown) = (Client::open(config)?, String::new());
    let seen = see(args, &client, &mut shown);
    if let Some(broken) = seen.as_ref().err().and_then(|error| error.downcast_ref()) {
        cry(args, broken, &client, &shown);
    }
    seen
}

/// Cosigns what the service shows; `shown` is what it showed, also where that is not cosigned.
fn see(args: &WitnessArgs, client: &Client, shown: &mut String) -> anyhow::Result<String> {
    let keys = client.log_keys()?;
    let origin = keys.origin().to_owned();
    let keeper = Keeper::open(&args.state, args.name.as_deref(), [keys])?;
    let known = keeper.latest(&origin)?.map_or(0, |(checkpoint, _)| checkpoint.size);
    let size = extend(client, &keeper, known, shown)?;
    eprintln!("Size {size} extends size {known}; cosigned. Verifier key of this witness:");
    eprintln!("{}", keeper.verifier().vkey());
    Ok(keeper.latest(&origin)?.context("what was just kept is there")?.1)
}

/// Has the service prove that its log extends what this witness knows, and cosigns; returns the new size.
fn extend(client: &Client, keeper: &Keeper, known: u64, shown: &mut String) -> anyhow::Result<u64> {
    *shown = match client.get_text(&format!("access-log/consistency?old={known}")) {
        Ok(body) => body,
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) if refused.0.code == "old_size" => return Err(LogBroken::Shorter { known }.into()),
            _ => return Err(error),
        },
    };
    let request = AddCheckpoint::parse(shown).map_err(LogBroken::Witness)?;
    shown.clone_from(&request.note);
    match keeper.add(&request, server::seconds(&Clock::System)) {
        Ok(_) => request.size().context("a checkpoint that was checked has a size"),
        Err(WitnessError::Refused(WitnessRefusal::Malformed(_))) if request.size().is_some_and(|size| size < known) => {
            Err(LogBroken::Shorter { known }.into())
        }
        Err(WitnessError::Refused(refusal)) => Err(LogBroken::Witness(refusal).into()),
        Err(error) => Err(error.into()),
    }
}

/// Tells the operator's program; the exit code and standard error tell it in any case. Nothing that the service does now,
/// and no folder that is full, keeps the alarm back: more evidence is fetched behind it.
fn cry(args: &WitnessArgs, broken: &LogBroken, client: &Client, shown: &str) {
    let kind = broken.kind();
    let keep = |shown: &str| -> anyhow::Result<String> {
        let keys = remembered_log_keys(&client.config.memory)?.context("no log was seen before")?;
        let origin = keys.origin().to_owned();
        let keeper = Keeper::open(&args.state, args.name.as_deref(), [keys])?;
        Ok(keeper.accuse(&origin, "evidence", shown)?.0.display().to_string())
    };
    let nowhere = |error: anyhow::Error| format!("nowhere: {error:#}");
    let evidence = keep(shown).unwrap_or_else(nowhere);
    eprintln!("ALARM ({kind}): {broken}; what was known and what was shown is kept in {evidence}");
    hook(args.alarm.as_deref(), kind, &evidence);
    match client.get_text("access-log/checkpoint") {
        Ok(newest) if newest != shown => {
            eprintln!("The checkpoint that the service shows now is kept in {}", keep(&newest).unwrap_or_else(nowhere));
        }
        _ => {}
    }
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
    let alarm: server::Alarm = Arc::new(move |kind, refusal, evidence| {
        eprintln!("ALARM ({kind}): {refusal}; what was known and what was shown is kept in {evidence}");
        hook(program.as_deref(), kind, evidence);
    });
    let ready = |address: SocketAddr| eprintln!("The witness listens on http://{address}.");
    server::run(keeper, address, alarm, ready).with_context(|| format!("cannot listen on {address}"))
}
