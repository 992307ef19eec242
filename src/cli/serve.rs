//! `voorrang serve`: the service, from a configuration file, until it is told to stop.

use std::path::PathBuf;

use crate::answer::server;
use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry;

/// What `voorrang serve` takes.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Configuration file; config/default.toml of the project explains every key
    #[arg(long)]
    pub config: PathBuf,
}

/// Runs the service.
///
/// # Errors
/// What keeps it from starting.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    telemetry::start(&config.log);
    server::run(config, Clock::System)?;
    Ok(())
}
