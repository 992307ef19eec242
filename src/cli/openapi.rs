//! `voorrang openapi`: the interface's OpenAPI document, as the service publishes it.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;

use crate::answer::openapi::document;
use crate::config::{Config, Documentation};

/// What `voorrang openapi` takes.
#[derive(Debug, clap::Args)]
pub struct OpenapiArgs {
    /// The service's configuration, for its address and whom to ask [default: examples stand there]
    #[arg(long)]
    pub config: Option<PathBuf>,
}

/// Prints the document.
///
/// # Errors
/// If the configuration cannot be read, or standard output not be written.
pub fn run(args: &OpenapiArgs) -> anyhow::Result<()> {
    let of = match &args.config {
        Some(path) => Config::load(path)?.documentation,
        None => Documentation::default(),
    };
    let text = document(&of).to_pretty_json().context("the document has a JSON form")?;
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}
