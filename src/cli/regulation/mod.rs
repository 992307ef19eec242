//! `voorrang regulation`: check, sign, activate, show, and the acts that need a second person.

mod check;
mod examples;
mod service;
mod sign;

use std::path::PathBuf;

pub use service::{activate, activate_at, confirm, in_force, open_tap, waits};
pub use sign::sign;

/// What can be done with a regulation.
#[derive(Debug, clap::Subcommand)]
pub enum RegulationCommand {
    /// Read a folder as the service would, and say what whoever signs should know
    Check(CheckArgs),
    /// Sign a folder's digest with this party's key
    Sign(SignArgs),
    /// Propose to activate the signed folder; somebody of another party confirms
    Activate(ActivateArgs),
    /// The version in force at the service, its history, and the steps of a stage
    Show(ShowArgs),
    /// Acts that wait for a second person
    Pending(PartyArgs),
    /// Confirm an act that somebody of another party proposed
    Confirm(ConfirmArgs),
    /// Take back an act that this party proposed and nobody has confirmed
    Withdraw(ConfirmArgs),
    /// Propose to let a corporation ask again after its tap was closed
    OpenTap(OpenTapArgs),
}

/// What `voorrang regulation check` takes.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Folder with regulation.toml and articles.cedar
    pub folder: PathBuf,
    /// Folder of the regulation in force: what changed?
    #[arg(long)]
    pub against: Option<PathBuf>,
    /// This party's client.toml: what changed against the version in force at the service?
    #[arg(long, conflicts_with = "against")]
    pub config: Option<PathBuf>,
    /// Folder of example questions: who gets what under which article?
    #[arg(long)]
    pub questions: Option<PathBuf>,
}

/// What `voorrang regulation sign` takes.
#[derive(Debug, clap::Args)]
pub struct SignArgs {
    /// Folder with regulation.toml and articles.cedar; signatures.note is written there
    pub folder: PathBuf,
    /// This party's client.toml, whose note_key signs
    #[arg(long)]
    pub config: PathBuf,
}

/// What `voorrang regulation activate` takes.
#[derive(Debug, clap::Args)]
pub struct ActivateArgs {
    /// The folder as this party read and signed it
    pub folder: PathBuf,
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
}

/// A party.
#[derive(Debug, clap::Args)]
pub struct PartyArgs {
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
}

/// What `voorrang regulation show` takes.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// Months of arrears: print the steps of that stage instead
    #[arg(long, requires = "answer")]
    pub months: Option<f64>,
    /// Days after those months
    #[arg(long, default_value = "0")]
    pub days: u32,
    /// The answer about the household: priority, no_priority or undetermined
    #[arg(long, requires = "months")]
    pub answer: Option<String>,
}

/// What `voorrang regulation confirm` and `withdraw` take.
#[derive(Debug, clap::Args)]
pub struct ConfirmArgs {
    /// Name of the act, as `pending` lists it
    pub proposal: crate::ids::ProposalId,
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
}

/// What `voorrang regulation open-tap` takes.
#[derive(Debug, clap::Args)]
pub struct OpenTapArgs {
    /// The corporation
    pub oin: crate::ids::Oin,
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
}

/// The regulation has errors: nobody should sign it.
#[derive(Debug, thiserror::Error)]
#[error("{0} errors in the regulation; nobody should sign it like this")]
pub struct HasErrors(pub usize);

/// Runs the command.
///
/// # Errors
/// What is wrong, with file and line, or what the service refused.
pub fn run(command: &RegulationCommand) -> anyhow::Result<()> {
    match command {
        RegulationCommand::Check(args) => check::run(args),
        RegulationCommand::Sign(args) => sign::run(args),
        RegulationCommand::Activate(args) => service::run_activate(args),
        RegulationCommand::Show(args) => service::show(args),
        RegulationCommand::Pending(args) => service::pending(args),
        RegulationCommand::Confirm(args) => service::run_confirm(args),
        RegulationCommand::Withdraw(args) => service::run_withdraw(args),
        RegulationCommand::OpenTap(args) => service::run_open_tap(args),
    }
}
