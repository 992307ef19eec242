//! `voorrang completions` and `voorrang man`: what a shell and `man` know of the commands, made from the commands.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

/// What `voorrang completions` takes.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell that reads them
    pub shell: Shell,
}

/// What `voorrang man` takes.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Folder for the pages, one a command
    #[arg(short, long)]
    pub output: PathBuf,
}

/// Writes completions to standard output.
///
/// # Errors
/// If nobody reads them.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    // The generator gives up on a pipe that closes; a buffer does not.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "voorrang", &mut text);
    Ok(std::io::stdout().write_all(&text)?)
}

/// Writes manual pages into a folder.
///
/// # Errors
/// If it cannot be written.
pub fn man(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    let folder = args.output.display();
    std::fs::create_dir_all(&args.output).with_context(|| format!("cannot make {folder}"))?;
    clap_mangen::generate_to(command, &args.output).with_context(|| format!("cannot write in {folder}"))
}
