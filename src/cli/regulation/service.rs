//! What `voorrang regulation` asks of the service: activate, confirm, withdraw, pending, show, open-tap.

use std::path::Path;

use anyhow::Context;

use super::{ActivateArgs, ConfirmArgs, OpenTapArgs, PartyArgs, ShowArgs};
use crate::answer::wire::law::{
    Activate, Confirmed, OpenTap, Pending, ProposalView, RegulationTexts, StepView, Withdrawn,
};
use crate::cli::client::Client;
use crate::cli::epoch;
use crate::ids::{Oin, ProposalId};
use crate::regulate::{Regulation, printable};

/// Proposes to activate the version in the service's folder, if it is the one in `folder`.
///
/// # Errors
/// What the service refused: a signature is missing, the versions differ, validities overlap.
pub fn activate(folder: &Path, client: &Client) -> anyhow::Result<Pending> {
    let regulation = Regulation::load(folder)?;
    let body = Activate { digest: regulation.digest().to_owned() };
    client.post(&format!("regulations/{}/activate", regulation.id()), &body)
}

/// Confirms as another party.
///
/// # Errors
/// What the service refused.
pub fn confirm(proposal: &ProposalId, client: &Client) -> anyhow::Result<Confirmed> {
    client.post(&format!("proposals/{proposal}/confirm"), &serde_json::json!({}))
}

/// Proposes and confirms an activation with the configurations of two parties.
///
/// # Errors
/// As [`activate`] and [`confirm`].
pub fn activate_at(folder: &Path, first: &Path, second: &Path) -> anyhow::Result<Confirmed> {
    let pending = activate(folder, &Client::open(first)?)?;
    confirm(&pending.proposal, &Client::open(second)?)
}

/// Proposes to let a corporation ask again.
///
/// # Errors
/// What the service refused.
pub fn open_tap(oin: &Oin, client: &Client) -> anyhow::Result<Pending> {
    client.post(&format!("regulations/{}/taps", client.config.regulation), &OpenTap { oin: oin.clone() })
}

/// The version in force, as the service has it.
///
/// # Errors
/// What the service refused, or that this version of the program cannot read it.
pub fn in_force(client: &Client) -> anyhow::Result<Regulation> {
    let texts: RegulationTexts = client.get(&format!("regulations/{}", client.config.regulation))?;
    read(&texts)
}

fn read(texts: &RegulationTexts) -> anyhow::Result<Regulation> {
    Regulation::activated(&texts.id, &texts.toml, &texts.cedar)
        .context("the service's regulation cannot be read by this version")
}

pub(super) fn run_activate(args: &ActivateArgs) -> anyhow::Result<()> {
    proposed(&activate(&args.folder, &Client::open(&args.config)?)?);
    Ok(())
}

pub(super) fn run_open_tap(args: &OpenTapArgs) -> anyhow::Result<()> {
    proposed(&open_tap(&args.oin, &Client::open(&args.config)?)?);
    Ok(())
}

fn proposed(pending: &Pending) {
    println!("{}", pending.proposal);
    eprintln!("{}", waits(&pending.proposal));
}

/// What a proposal needs.
pub fn waits(proposal: &ProposalId) -> String {
    format!(
        "Proposed. Somebody of another party confirms it within a week:\n  voorrang regulation confirm {proposal} \
         --config <party>.toml"
    )
}

pub(super) fn run_confirm(args: &ConfirmArgs) -> anyhow::Result<()> {
    let client = Client::open(&args.config)?;
    let waiting: Vec<ProposalView> = client.get("proposals")?;
    // Of one that is not there the service says why.
    if let Some(act) = waiting.iter().find(|one| one.proposal == args.proposal) {
        let effect = act.effect.as_ref().map_or_else(String::new, |effect| format!(": {effect}"));
        let line = format!("{} {}, proposed by {} on {}{effect}.", act.kind, act.about, act.by, act.made_at);
        eprintln!("Confirming {}", printable(&line));
    }
    let done = confirm(&args.proposal, &client)?;
    eprintln!("Done: {}. It is entry {} of the access log.", done.kind, done.receipt.index);
    let Some(record) = &done.record else { return Ok(()) };
    epoch::check_record(&client, record)?;
    print!("{record}");
    Ok(())
}

pub(super) fn run_withdraw(args: &ConfirmArgs) -> anyhow::Result<()> {
    let gone: Withdrawn = Client::open(&args.config)?.delete(&format!("proposals/{}", args.proposal))?;
    eprintln!("Withdrawn: {}. It is entry {} of the access log.", printable(&gone.kind), gone.receipt.index);
    Ok(())
}

pub(super) fn pending(args: &PartyArgs) -> anyhow::Result<()> {
    let waiting: Vec<ProposalView> = Client::open(&args.config)?.get("proposals")?;
    for one in &waiting {
        let (kind, about) = (printable(&one.kind), printable(&one.about));
        println!("{}  {kind:<10}  {}  {}  {}  {about}", one.proposal, one.regulation, one.by, one.made_at);
        if let Some(effect) = &one.effect {
            println!("  {}", printable(effect));
        }
    }
    if waiting.is_empty() {
        eprintln!("Nothing waits for a second person.");
    }
    Ok(())
}

pub(super) fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let client = Client::open(&args.config)?;
    let id = client.config.regulation.clone();
    if let (Some(months), Some(answer)) = (args.months, &args.answer) {
        let path = format!("regulations/{id}/steps?months={months}&days={}&answer={answer}", args.days);
        let steps: Vec<StepView> = client.get(&path)?;
        steps.iter().for_each(print_step);
        return Ok(());
    }
    let texts: RegulationTexts = client.get(&format!("regulations/{id}"))?;
    let regulation = read(&texts)?;
    println!("{}: {}", texts.id, printable(&regulation.title().en));
    println!("{:width$}  {}", "", printable(&regulation.title().nl), width = texts.id.as_str().len());
    println!("digest {}", printable(&texts.digest));
    for version in &texts.history {
        let now = version.state.replace('-', " ");
        let (from, until) = (version.valid_from, version.valid_until);
        let line =
            format!("{now:<9} {:.16}  valid {from} until {until}  activated {}", version.digest, version.activated_at);
        println!("{}", printable(&line));
    }
    if !texts.history.iter().any(|version| version.state == "in-force") {
        println!("No version is in force today: nothing is answered.");
    }
    Ok(())
}

fn print_step(step: &StepView) {
    let gate = if step.gate { "  (gate: before the next stage)" } else { "" };
    let within = step.within_days.map_or_else(String::new, |days| format!("  within {days} days"));
    let after = step.after_days.map_or_else(String::new, |days| format!("  not before {days} days"));
    let condition = step.condition.as_ref().map_or_else(String::new, |what| format!("  if {what}"));
    let english = format!("{:<10} {}{condition}{after}{within}{gate}", step.id, step.en);
    let dutch = format!("{:<10} {}  [{}; consent {}]", "", step.nl, step.reference, step.consent);
    println!("{}\n{}", printable(&english), printable(&dutch));
}
