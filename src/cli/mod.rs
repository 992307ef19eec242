//! The terminal edge: a file a command. Data goes to standard output or `-o`, progress and errors to standard
//! error. `anyhow` lives here and nowhere below.

/// In place of the standard library's, which end a command in panic where a reader has enough, as `head` does, or a disk
/// is full.
macro_rules! println {
    ($($text:tt)*) => { $crate::cli::output::print(format_args!("{}\n", format_args!($($text)*))) };
}
macro_rules! print {
    ($($text:tt)*) => { $crate::cli::output::print(format_args!($($text)*)) };
}
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::output::tell(format_args!("{}\n", format_args!($($text)*))) };
}

pub mod audit;
pub mod backup;
mod blocks;
mod bodies;
mod chunks;
pub mod client;
pub mod clk;
pub mod demo;
pub mod doctor;
pub mod encode;
mod encoding;
pub mod epoch;
pub mod evaluate;
mod inputs;
mod interrupt;
pub mod link;
pub mod load;
mod log_key;
pub mod manual;
mod openapi;
mod output;
mod parties;
pub mod people;
pub mod pki;
pub mod privacy_report;
mod quality_report;
pub mod query;
pub mod regulation;
mod salt;
pub mod serve;
mod there;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::encode::authentic::NotAuthentic;
use crate::encode::clkhash::{InputError, SchemaError, SetupError};
use crate::encode::file::FileError;
use crate::encode::read::ReadError;
use crate::regulate::RegulationError;
use crate::store::StoreError;

/// Does this household in rent arrears get priority care? Codes in, one word out, every answer in the log.
#[derive(Debug, Parser)]
#[command(name = "voorrang", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong use of the command, 3 the service refused, 4 an input \
file has errors, 5 the access log is not what it should be, 6 a gate of the privacy report does not hold, 7 the doctor has warnings and no error.";

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole story on this machine: keys, salt, loads, questions over mTLS, answers, log verified
    Demo(demo::DemoArgs),
    /// Run the service
    Serve(serve::ServeArgs),
    /// Look whether everything is as the service needs it, and say what to do
    Doctor(doctor::DoctorArgs),
    /// Copy the service's database, also while it runs
    Backup(backup::BackupArgs),
    /// Put a backup back where there is no database, after checking it
    Restore(backup::RestoreArgs),
    /// Keys and certificates for development
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Turn a file of people into codes
    Encode(encode::EncodeArgs),
    /// Make the CLKs that clkhash makes of a file, bit for bit
    Clk(clk::ClkArgs),
    /// All pairs of two files of CLKs at or above a Dice coefficient
    Link(link::LinkArgs),
    /// What codes tell to a thief: statistics, known attacks and a verdict, before the first upload
    PrivacyReport(privacy_report::PrivacyReportArgs),
    /// Encode a register, a care list or a housing stock and load it into the service
    Load(load::LoadArgs),
    /// Ask for every household in an arrears file
    Query(query::QueryArgs),
    /// Salt epochs: announce, contribute, fetch, list, activate
    #[command(subcommand)]
    Epoch(epoch::EpochCommand),
    /// Regulations: check, sign, activate, show; acts that need two people
    #[command(subcommand)]
    Regulation(regulation::RegulationCommand),
    /// Print the OpenAPI document of the service's interface
    Openapi(openapi::OpenapiArgs),
    /// Read and verify the access log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Score a data set end to end, without the network, with a salt of its own
    Evaluate(evaluate::EvaluateArgs),
    /// Completions for a shell
    Completions(manual::CompletionsArgs),
    /// Manual pages, one a command
    Man(manual::ManArgs),
}

#[derive(Debug, Subcommand)]
enum PkiCommand {
    /// Development certificates and keys for every party of a regulation
    Dev(pki::DevArgs),
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return usage(&told),
    };
    keep_memory_private();
    match run(cli.command).and_then(|()| output::printed()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("voorrang: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Wrong use ends with 2, help and version that were asked for with 0 if they could be written.
fn usage(told: &clap::Error) -> ExitCode {
    let is_error = told.use_stderr();
    match told.print() {
        Err(error) if !is_error && error.kind() != ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::from(if is_error { 2 } else { 0 }),
    }
}

/// No core dump and no debugger of another user: custodians' processes hold the salt, the service holds data keys.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        eprintln!("voorrang: this process may leave a core dump ({error}); switch core dumps off on this machine");
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Backup(args) => backup::back_up(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Pki(PkiCommand::Dev(args)) => pki::dev(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Clk(args) => clk::run(&args),
        Command::Link(args) => link::run(&args),
        Command::PrivacyReport(args) => privacy_report::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Epoch(command) => epoch::run(&command),
        Command::Regulation(command) => regulation::run(&command),
        Command::Openapi(args) => openapi::run(&args),
        Command::Audit(command) => audit::run(&command),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
    }
}

/// A regulation that was read and cannot be used.
fn is_misread(cause: &(dyn std::error::Error + 'static)) -> bool {
    let error = cause.downcast_ref::<RegulationError>();
    error.is_some_and(|error| !matches!(error, RegulationError::Read { .. }))
}

/// With which code a command ends that failed so.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let is = |found: bool, code: u8| found.then_some(code);
    error
        .chain()
        .find_map(|cause| {
            is(cause.is::<client::Refused>() || cause.is::<query::SomeRefused>(), 3)
                .or_else(|| is(cause.is::<clk::TooWeak>() || cause.is::<link::NoSuchKernel>(), 2))
                .or_else(|| is(cause.is::<there::Taken>() || cause.is::<audit::filter::NoSuchFilter>(), 2))
                .or_else(|| is(cause.is::<link::InputError>(), 4))
                .or_else(|| is(cause.is::<ReadError>() || cause.is::<FileError>() || cause.is::<InputError>(), 4))
                .or_else(|| is(cause.is::<NotAuthentic>(), 4))
                .or_else(|| is(cause.is::<SchemaError>() || cause.is::<SetupError>(), 4))
                .or_else(|| is(cause.is::<privacy_report::InputError>(), 4))
                .or_else(|| cause.downcast_ref::<people::PeopleError>().map(people::PeopleError::exit_code))
                .or_else(|| is(cause.is::<regulation::HasErrors>() || is_misread(cause), 4))
                .or_else(|| is(cause.is::<audit::Unusable>(), 4))
                .or_else(|| is(cause.is::<audit::LogBroken>() || cause.is::<client::LogDamaged>(), 5))
                .or_else(|| is(cause.downcast_ref().is_some_and(StoreError::is_about_the_log), 5))
                .or_else(|| is(cause.is::<privacy_report::GatesFailed>(), 6))
                .or_else(|| is(matches!(cause.downcast_ref(), Some(doctor::Ill::Warnings(_))), 7))
        })
        .unwrap_or(1)
}
