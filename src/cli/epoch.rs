//! `voorrang epoch`: an administrator announces and activates; custodians contribute shares of a salt that the
//! administrator never sees; every participant fetches it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use zeroize::Zeroizing;

use super::client::{Client, PartyBook, open_envelope};
use super::inputs::read_profile;
use super::pki::write_secret;
use crate::answer::wire::{EpochView, NewEpoch, Participant, SealedShare};
use crate::audit::Receipt;
use crate::epoch::share;
use crate::ids::{EpochId, Oin};

/// The steps of an epoch.
#[derive(Debug, clap::Subcommand)]
pub enum EpochCommand {
    /// Announce an epoch (administrator)
    New(NewArgs),
    /// Draw a share of the salt and seal it for all participants (custodian)
    Contribute(EpochArgs),
    /// Fetch the sealed shares; with --salt-file also open them (custodian, corporation)
    Fetch(FetchArgs),
    /// Epochs, their state, and what is still missing
    List(ListArgs),
    /// Cut over to a loaded epoch (administrator)
    Activate(EpochArgs),
}

/// Which epoch, as which party.
#[derive(Debug, clap::Args)]
pub struct EpochArgs {
    /// Epoch, for example haarlem-2026-1
    pub epoch: EpochId,
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
}

/// What announcing takes.
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    #[command(flatten)]
    pub epoch: EpochArgs,
    /// Profile file [default: the built-in one]
    #[arg(long)]
    pub profile: Option<PathBuf>,
}

/// What fetching takes.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    #[command(flatten)]
    pub epoch: EpochArgs,
    /// Write the envelope here, for `voorrang encode --envelope`
    #[arg(short, long, required_unless_present = "salt_file")]
    pub output: Option<PathBuf>,
    /// Open the envelope and write the salt here, readable by its owner only
    #[arg(long)]
    pub salt_file: Option<PathBuf>,
    /// Profile file [default: the built-in one]
    #[arg(long)]
    pub profile: Option<PathBuf>,
}

/// What listing takes.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the step and says what was done.
///
/// # Errors
/// What is missing and who must act.
pub fn run(command: &EpochCommand) -> anyhow::Result<()> {
    let done = perform(command)?;
    match command {
        EpochCommand::List(_) => println!("{done}"),
        _ => eprintln!("{done}"),
    }
    Ok(())
}

/// Runs the step; returns what was done.
///
/// # Errors
/// As [`run`].
pub fn perform(command: &EpochCommand) -> anyhow::Result<String> {
    match command {
        EpochCommand::New(args) => new(args),
        EpochCommand::Contribute(args) => contribute(args),
        EpochCommand::Fetch(args) => fetch(args),
        EpochCommand::List(args) => list(args),
        EpochCommand::Activate(args) => activate(args),
    }
}

fn new(args: &NewArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.epoch.config)?;
    let profile = read_profile(args.profile.as_deref())?;
    let keyed = |party: super::client::Party| {
        let oin = party.oin;
        party.recipient.map(|recipient| Participant { oin, recipient })
    };
    let participants: Vec<_> = client.parties()?.party.into_iter().filter_map(keyed).collect();
    let epoch = NewEpoch {
        id: args.epoch.epoch.clone(),
        regulation: client.config.regulation.clone(),
        profile: profile.id.clone(),
        schema_hash: profile.schema_hash(),
        participants,
    };
    let view: EpochView = client.post("epochs", &epoch)?;
    let (all, missing) = (view.participants.len(), view.missing.len());
    Ok(format!("Announced {} for {all} participants; {missing} custodians must contribute.", view.id))
}

fn contribute(args: &EpochArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.config)?;
    let view: EpochView = client.get(&format!("epochs/{}", args.epoch))?;
    let parties = client.parties()?;
    ensure!(view.id == args.epoch, "the service shows another epoch than {}; nothing was contributed", args.epoch);
    let recipients = checked_recipients(&view, &parties)?;
    let own = own_oin(&client, &view)?;
    let text = share::draw(&view.id, &own);
    let note = Zeroizing::new(client.signer()?.sign(&text));
    let sealed = SealedShare { sealed: share::seal(&note, &recipients)? };
    let _: Receipt = client.put(&format!("epochs/{}/share", args.epoch), &sealed)?;
    let sealed_for = recipients.len();
    Ok(format!("Contributed a share of the salt of {}, sealed for {sealed_for} participants.", args.epoch))
}

/// The recipients that the service announced, if each is the one that this party itself knows: otherwise an
/// administrator could have the salt sealed for a key of its own.
fn checked_recipients(view: &EpochView, parties: &PartyBook) -> anyhow::Result<BTreeMap<Oin, String>> {
    let mut recipients = BTreeMap::new();
    for participant in &view.participants {
        let known = parties.find(&participant.oin).and_then(|party| party.recipient.as_ref());
        if known != Some(&participant.recipient) {
            bail!(
                "the service announces a key for {} that is not the one in parties.toml; nothing was contributed, ask that party",
                participant.oin
            );
        }
        recipients.insert(participant.oin.clone(), participant.recipient.clone());
    }
    Ok(recipients)
}

/// This party's OIN: the participant whose announced key belongs to our identity.
fn own_oin(client: &Client, view: &EpochView) -> anyhow::Result<Oin> {
    let public = client.identity()?.public();
    let own = view.participants.iter().find(|participant| participant.recipient == public);
    Ok(own.context("this party's identity is none of the epoch's participants")?.oin.clone())
}

fn fetch(args: &FetchArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.epoch.config)?;
    let profile = read_profile(args.profile.as_deref())?;
    let envelope = client.envelope(&args.epoch.epoch)?;
    // Opened in any case: an envelope that does not open is of no use to anybody.
    let salt = open_envelope(&envelope, &profile, &client.identity()?, &client.parties()?)?;
    let mut done = Vec::new();
    if let Some(path) = &args.output {
        let text = serde_json::to_vec_pretty(&envelope)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        done.push(format!("Wrote the sealed shares of {} to {}.", envelope.epoch, path.display()));
    }
    if let Some(path) = &args.salt_file {
        write_secret(path, salt.to_file().as_bytes())?;
        done.push(format!("Wrote the salt of {} to {}; it stays on this machine.", envelope.epoch, path.display()));
    }
    Ok(done.join("\n"))
}

fn list(args: &ListArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.config)?;
    let epochs = client.service()?.epochs;
    if args.json {
        return Ok(serde_json::to_string_pretty(&epochs)?);
    }
    let mut lines = vec![format!("{:<24} {:<10} {:<22} missing", "epoch", "state", "loaded")];
    for epoch in epochs {
        let loaded: Vec<_> = epoch.loaded.iter().map(|source| source.as_str()).collect();
        let missing: Vec<_> = epoch.missing.iter().map(|oin| format!("share of {oin}")).collect();
        let (loaded, missing) = (loaded.join(", "), missing.join(", "));
        lines.push(format!("{:<24} {:<10} {loaded:<22} {missing}", epoch.id, epoch.state));
    }
    Ok(lines.join("\n"))
}

fn activate(args: &EpochArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.config)?;
    let view: EpochView = client.post(&format!("epochs/{}/activate", args.epoch), &serde_json::json!({}))?;
    Ok(format!("{} is {}.", view.id, view.state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::Party;

    #[test]
    fn a_key_that_this_party_does_not_know_stops_the_contribution() {
        let oin: Oin = "00000099000000004001".parse().unwrap();
        let (_, known) = share::generate_identity();
        let (_, slipped_in) = share::generate_identity();
        let view = |recipient: &str| EpochView {
            id: "e-1".parse().unwrap(),
            regulation: "haarlem".parse().unwrap(),
            profile: String::new(),
            schema_hash: String::new(),
            key_check: None,
            state: "announced".into(),
            participants: vec![Participant { oin: oin.clone(), recipient: recipient.into() }],
            contributed: vec![],
            missing: vec![],
            loaded: vec![],
        };
        let party = Party { oin: oin.clone(), name: "Ymere".into(), recipient: Some(known.clone()), verifier: None };
        let book = PartyBook { party: vec![party] };
        assert!(checked_recipients(&view(&known), &book).is_ok());
        assert!(checked_recipients(&view(&slipped_in), &book).is_err());
        assert!(checked_recipients(&view(&known), &PartyBook::default()).is_err());
    }
}
