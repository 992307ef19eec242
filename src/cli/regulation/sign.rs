//! `voorrang regulation sign`: one more signature line under the digest.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, ensure};

use super::{HasErrors, SignArgs};
use crate::audit::NoteSigner;
use crate::cli::client::Client;
use crate::cli::output::Output;
use crate::regulate::{Regulation, Severity, SignatureState, Signatures};

/// Name of the note beside the two files.
pub(super) const NOTE: &str = "signatures.note";

/// Runs the command.
///
/// # Errors
/// If the folder is no regulation or has errors that `check` tells, or if the key is no party's.
pub(super) fn run(args: &SignArgs) -> anyhow::Result<()> {
    let signer = Client::open(&args.config)?.signer()?;
    let regulation = Regulation::load(&args.folder)?;
    let errors: Vec<_> = regulation.remarks().into_iter().filter(|one| one.severity == Severity::Error).collect();
    errors.iter().for_each(|error| eprintln!("error    {}", error.what));
    ensure!(errors.is_empty(), HasErrors(errors.len()));
    sign(&args.folder, &signer)?;
    let states = signatures(&args.folder)?.unwrap_or_default();
    let open = states.state(&regulation)?.into_iter().filter(|(_, state)| *state != SignatureState::Valid);
    let open: Vec<_> = open.map(|(party, state)| format!("{} ({})", party.name, state.as_str())).collect();
    println!("signed {} {}", regulation.id(), regulation.digest());
    println!("still open: {}", if open.is_empty() { "nobody; it can be activated".into() } else { open.join(", ") });
    Ok(())
}

/// Adds a signature to the note in the folder.
///
/// # Errors
/// As the command `sign`.
pub fn sign(folder: &Path, signer: &NoteSigner) -> anyhow::Result<()> {
    let regulation = Regulation::load(folder)?;
    let mut all = signatures(folder)?.unwrap_or_default();
    all.sign(&regulation, signer)?;
    let mut file = Output::create(&folder.join(NOTE))?;
    file.write_all(all.to_note(&regulation).as_bytes())?;
    file.finish()
}

/// The signatures in a folder, if there are any.
pub(super) fn signatures(folder: &Path) -> anyhow::Result<Option<Signatures>> {
    let path = folder.join(NOTE);
    match fs::read_to_string(&path) {
        Ok(note) => Ok(Some(Signatures::from_note(&note).with_context(|| path.display().to_string())?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
