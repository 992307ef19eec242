//! Into which epoch a load goes. While one is prepared, the one that answers must stay young enough to do so.

use anyhow::{Context, ensure};

use super::{Kind, LoadArgs};
use crate::answer::wire::{EpochView, Source};
use crate::cli::client::Client;
use crate::ids::Oin;

/// The epoch that was named; else the one that is prepared while it lacks this, else the one that answers.
pub(super) fn epoch_for(client: &Client, args: &LoadArgs) -> anyhow::Result<EpochView> {
    if let Some(name) = &args.epoch {
        let epoch: EpochView = client.get(&format!("epochs/{name}"))?;
        let ours = epoch.regulation == client.config.regulation && takes(&epoch, args.kind);
        ensure!(ours, "the epoch {} is {} and takes no loads; see `voorrang epoch list`", epoch.id, epoch.state);
        return Ok(epoch);
    }
    let mut ours = client.service()?.epochs;
    ours.retain(|epoch| epoch.regulation == client.config.regulation && takes(epoch, args.kind));
    let newest = |state: &str| ours.iter().rev().find(|epoch| epoch.state == state);
    let (prepared, answers) = (newest("loading"), newest("active").or_else(|| newest("retiring")));
    let own = client.oin()?;
    let whole = prepared.filter(|epoch| has(epoch, args.kind, &own));
    if let (Some(next), Some(_)) = (whole, answers) {
        eprintln!("{} has {} already; to load it there again: --epoch {}.", next.id, args.kind.word(), next.id);
    }
    let lacking = if whole.is_some() { None } else { prepared };
    let none = || {
        let regulation = &client.config.regulation;
        format!("the regulation {regulation} has no epoch that is loading or active; see `voorrang epoch list`")
    };
    lacking.or(answers).or(prepared).cloned().with_context(none)
}

/// Of one that retires the registers are renewed, lest it answers no more before its grace ends; nobody new asks in it.
fn takes(epoch: &EpochView, kind: Kind) -> bool {
    ["loading", "active"].contains(&epoch.state.as_str()) || (epoch.answers && kind != Kind::Stock)
}

fn has(epoch: &EpochView, kind: Kind, own: &Oin) -> bool {
    match kind {
        Kind::Population => epoch.loaded.contains(&Source::Population),
        Kind::Care => epoch.loaded.contains(&Source::Care),
        Kind::Stock => epoch.stocks.contains(own),
    }
}
