//! `voorrang regulation`: reads a regulation as the service would, and says what it says.

use std::path::PathBuf;

use crate::regulate::Regulation;

/// What can be done with a regulation.
#[derive(Debug, clap::Subcommand)]
pub enum RegulationCommand {
    /// Check a folder: syntax, completeness, articles
    Check(FolderArgs),
}

/// Which regulation.
#[derive(Debug, clap::Args)]
pub struct FolderArgs {
    /// Folder with regulation.toml and articles.cedar
    pub folder: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// What is wrong, with file and line.
pub fn run(command: &RegulationCommand) -> anyhow::Result<()> {
    let RegulationCommand::Check(args) = command;
    let regulation = Regulation::load(&args.folder)?;
    println!("{}: {}", regulation.id(), regulation.title().en);
    println!("digest {}", regulation.digest());
    for party in regulation.parties() {
        println!("{} {:<22} {}", party.oin, party.role.as_str(), party.name);
    }
    Ok(())
}
