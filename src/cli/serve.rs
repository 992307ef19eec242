//! `voorrang serve`: the service, from a configuration file, until it is told to stop.

use std::path::PathBuf;

use crate::answer::{self, server};
use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry;

/// What `voorrang serve` takes.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Configuration file; config/default.toml of the project explains every key
    #[arg(long)]
    pub config: PathBuf,
    /// Replace the access log's signing key and end: the old and the new key sign a checkpoint that every party is shown
    #[arg(long)]
    pub rotate_log_key: bool,
}

/// Runs the service.
///
/// # Errors
/// What keeps it from starting.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    telemetry::start(&config.log);
    if args.rotate_log_key {
        let key = answer::upkeep::rotate_log_key(&config, &Clock::System)?;
        eprintln!(
            "The access log has a new key; the old one is gone. Parties take it from the old one's announcement."
        );
        println!("{key}");
        return Ok(());
    }
    server::run(config, Clock::System)?;
    Ok(())
}
