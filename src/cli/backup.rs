//! `voorrang backup` and `voorrang restore`: the service's database, copied while it runs, and put back after a loss.

use std::path::PathBuf;

use anyhow::Context;

use super::inputs::read_secret_text;
use crate::answer::upkeep;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::Terms;

/// What `voorrang backup` takes.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The service's configuration file
    #[arg(long)]
    pub config: PathBuf,
    /// Folder for the backup, which does not exist yet
    #[arg(short, long)]
    pub output: PathBuf,
    /// Public age key (age1...) of whoever may put the log's keys back; may be given several times. None: no key leaves
    #[arg(long = "recipient")]
    pub recipients: Vec<String>,
}

/// What `voorrang restore` takes.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// Folder of a backup
    pub from: PathBuf,
    /// The service's configuration file
    #[arg(long)]
    pub config: PathBuf,
    /// File with the age identity that opens sealed keys, if the state folder has none
    #[arg(long)]
    pub identity: Option<PathBuf>,
    /// Put it back although the anchor remembers more of the log: the log says so, and officers' tools and witnesses do
    #[arg(long)]
    pub accept_loss: bool,
}

/// Copies the database.
///
/// # Errors
/// What could not be read or written.
pub fn back_up(args: &BackupArgs) -> anyhow::Result<()> {
    let done = upkeep::back_up(&Config::load(&args.config)?, &Clock::System, &args.output, &args.recipients)?;
    let keys = if done.keys {
        "the log's keys, sealed for those recipients"
    } else {
        "no key: keep the folder keys/ elsewhere, or name a --recipient"
    };
    eprintln!(
        "{}: {} bytes of database, checked and signed; entries of the access log: {}; {keys}. Keys of epochs are in no \
         backup.",
        args.output.display(),
        done.bytes,
        done.entries
    );
    Ok(())
}

/// Puts the database back.
///
/// # Errors
/// Why it may not stand there.
pub fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let identity = args.identity.as_deref().map(read_secret_text).transpose()?;
    let terms = Terms { identity: identity.as_deref().map(String::as_str), loss: args.accept_loss };
    let done = upkeep::restore(&Config::load(&args.config)?, &Clock::System, &args.from, terms)
        .context("nothing was put in place")?;
    eprintln!("The database is back; entries of the access log, all verified: {}.", done.entries);
    if done.keys {
        eprintln!("The log's keys are back too.");
    }
    if done.lost > 0 {
        eprintln!(
            "Entries lost: {}. The log says so; tell the privacy officers before their tools do, and keep the file \
             beside the anchor that ends in .lost. What was charged and loaded since then is forgotten as well.",
            done.lost
        );
    }
    Ok(())
}
