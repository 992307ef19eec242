//! The ceremony: announce, contribute, seal again, fetch. What the service says of keys is held against the party's own
//! list of keys before anything secret is sealed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use zeroize::Zeroizing;

use super::{EpochArgs, FetchArgs, NewArgs, ResealArgs, own_files};
use crate::answer::wire::law::RegulationTexts;
use crate::answer::wire::{Envelope, EpochView, NewEpoch, Participant, Resealed, SealedShare};
use crate::audit::Receipt;
use crate::cli::client::{Client, Party, PartyBook, fresh_key, open_envelope, open_shares};
use crate::cli::inputs::read_profile;
use crate::cli::output::Output;
use crate::cli::salt::{SALT_VARIABLE, keep_salt};
use crate::cli::there::{refuse_clash, refuse_other};
use crate::epoch::{same_recipient, share};
use crate::ids::Oin;
use crate::link::Source;
use crate::regulate::Regulation;

pub(super) fn new(args: &NewArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.epoch.config)?;
    let profile = read_profile(args.profile.as_deref())?;
    let parties = client.parties()?;
    if let Some(unknown) = args.without.iter().find(|oin| parties.find(oin).is_none()) {
        bail!("--without {unknown}: parties.toml has no such party");
    }
    let keyed = |party: Party| {
        let oin = party.oin;
        party.recipient.map(|recipient| Participant { oin, recipient })
    };
    let staying = parties.party.into_iter().filter(|party| !args.without.contains(&party.oin));
    let participants: Vec<_> = staying.filter_map(keyed).collect();
    check_keys(&participants)?;
    let epoch = NewEpoch {
        id: args.epoch.epoch.clone(),
        regulation: client.config.regulation.clone(),
        profile: profile.id.clone(),
        schema_hash: profile.schema_hash(),
        participants,
        without: args.without.clone(),
        contribute_by: args.contribute_by,
        load_by: args.load_by,
        grace_days: args.grace_days,
    };
    let view: EpochView = client.post("epochs", &epoch)?;
    let (all, missing, by) = (view.participants.len(), view.missing.len(), view.contribute_by);
    let mut said =
        format!("Announced {} for {all} participants; {missing} custodians must contribute by {by}.", view.id);
    if view.grace_days == 0 {
        said += "\nIts grace is 0 days: it FALLS SILENT the moment the next epoch is activated, also for who cannot ask in \
                 that one yet.";
    }
    said += &outlives(&client, view.grace_days).unwrap_or_default();
    for oin in &args.without {
        said += &format!("\nIt is without {oin}, which has no salt of it.");
    }
    Ok(said)
}

/// A word on a grace in which registers grow too old, though they were read on the day of the cut-over.
fn outlives(client: &Client, grace_days: u32) -> Option<String> {
    let id = &client.config.regulation;
    // The epoch is announced: what cannot be read now is no reason to say otherwise.
    let RegulationTexts { toml, cedar, .. } = client.get(&format!("regulations/{id}")).ok()?;
    let regulation = Regulation::from_texts(id, &toml, &cedar).ok()?;
    let fresh = [Source::Population, Source::Care].map(|source| regulation.freshness_days(source)).into_iter().min()?;
    (fresh < grace_days).then(|| {
        format!(
            "\nIts grace of {grace_days} days is longer than a register answers ({fresh} days): for who can ask in it only, \
             its custodians load it anew meanwhile, as `voorrang epoch list` says."
        )
    })
}

/// Whether shares can be sealed for every key, and no two parties have the same one: later only an end by two people helps.
fn check_keys(participants: &[Participant]) -> anyhow::Result<()> {
    for (at, one) in participants.iter().enumerate() {
        share::check_recipient(&one.oin, &one.recipient)?;
        let same = |other: &&Participant| same_recipient(&other.recipient, &one.recipient);
        if let Some(other) = participants[..at].iter().find(same) {
            bail!("parties.toml has the same key for {} and {}; ask both for their own", other.oin, one.oin);
        }
    }
    Ok(())
}

pub(super) fn contribute(args: &EpochArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.config)?;
    let view: EpochView = client.get(&format!("epochs/{}", args.epoch))?;
    let parties = client.parties()?;
    ensure!(view.id == args.epoch, "the service shows another epoch than {}; nothing was contributed", args.epoch);
    let recipients = checked_recipients(&view, &parties)?;
    let own = own_oin(&client, &view)?;
    if view.contributed.contains(&own) {
        return Ok(contributed_before(&view));
    }
    let text = share::draw(&view.id, &own);
    let note = Zeroizing::new(client.signer()?.sign(&text));
    let sealed = SealedShare { sealed: share::seal(&note, &recipients)? };
    // Once, also if the answer is lost: another share is never taken in its place.
    let key = fresh_key();
    let _: Receipt = client.patiently(|| client.put_once(&format!("epochs/{}/share", args.epoch), &sealed, &key))?;
    let sealed_for = recipients.len();
    Ok(format!("Contributed a share of the salt of {}, sealed for {sealed_for} participants.", args.epoch))
}

/// What a custodian is told that contributes again, after a lost answer for example. Whether the share is its own, whoever
/// opens it sees by the signature.
fn contributed_before(view: &EpochView) -> String {
    let missing: Vec<&str> = view.missing.iter().map(Oin::as_str).collect();
    let next = match (view.state.as_str(), &missing[..]) {
        ("destroyed", _) => "the epoch is over".to_owned(),
        (_, []) => format!("the salt is complete, and the epoch is {}", view.state),
        _ => format!("still to contribute by {}: {}", view.contribute_by, missing.join(", ")),
    };
    format!("This party's share of the salt of {} is there already and stays; {next}.", view.id)
}

/// Opens every share that is there, checks who signed it, and seals it for one party more: for the key in our own
/// parties.toml, never for one that the service names. The signature stays inside, so the reader checks it as well.
pub(super) fn reseal(args: &ResealArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.epoch.config)?;
    let (epoch, to, parties) = (&args.epoch.epoch, &args.party, client.parties()?);
    let known = parties.find(to).and_then(|party| party.recipient.clone());
    let recipient = known.with_context(|| format!("parties.toml has no public key of {to}; ask that party for it"))?;
    let recipients = BTreeMap::from([(to.clone(), recipient.clone())]);
    let mut shares = BTreeMap::new();
    for (from, share) in open_shares(&client.envelope(epoch)?, &client.identity()?, &parties)? {
        shares.insert(from, share::seal(&share.note, &recipients)?);
    }
    let count = shares.len();
    let _: Receipt = client.put(&format!("epochs/{epoch}/participants/{to}"), &Resealed { recipient, shares })?;
    Ok(format!("Sealed {count} shares of the salt of {epoch} again, for {to}."))
}

/// The recipients that the service announced, if each is the one that this party itself knows: otherwise an
/// administrator could have the salt sealed for a key of its own.
fn checked_recipients(view: &EpochView, parties: &PartyBook) -> anyhow::Result<BTreeMap<Oin, String>> {
    let mut recipients = BTreeMap::new();
    for participant in &view.participants {
        let known = parties.find(&participant.oin).and_then(|party| party.recipient.as_ref());
        if !known.is_some_and(|known| same_recipient(known, &participant.recipient)) {
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
    let own = view.participants.iter().find(|participant| same_recipient(&participant.recipient, &public));
    Ok(own.context(NO_PARTICIPANT)?.oin.clone())
}

const NO_PARTICIPANT: &str = "this party's identity is none of the epoch's participants: it was announced without the party, \
     or with another key; have the administrator abort it and announce it with the party's key in parties.toml";

/// How an envelope begins that [`write_envelope`] wrote.
const ENVELOPE: &str = "{\n  \"epoch\": ";

pub(super) fn fetch(args: &FetchArgs) -> anyhow::Result<String> {
    let client = Client::open(&args.epoch.config)?;
    if let Some(path) = &args.output {
        let own = own_files(&client, &args.epoch).chain(args.profile.as_deref());
        refuse_clash([path.as_path()].into_iter().chain(args.salt_file.as_deref()), own)?;
        refuse_other(path, ENVELOPE, "envelope")?;
    }
    let profile = read_profile(args.profile.as_deref())?;
    let envelope = client.envelope(&args.epoch.epoch)?;
    // Opened in any case: an envelope that does not open is of no use to anybody.
    let salt = open_envelope(&envelope, &profile, &client.identity()?, &client.parties()?)?;
    let mut done = Vec::new();
    // The secret first, which replaces nothing: where it cannot be written, no envelope is left behind.
    if let Some(path) = &args.salt_file {
        done.push(keep_salt(path, &envelope.epoch, &salt)?);
    }
    if let Some(path) = &args.output {
        write_envelope(path, &envelope)?;
        done.push(format!("Wrote the sealed shares of {} to {}.", envelope.epoch, path.display()));
    }
    if args.print_salt {
        // The shell reads standard output; whatever else there is to say goes elsewhere.
        done.iter().for_each(|line| eprintln!("{line}"));
        return Ok(format!("export {SALT_VARIABLE}={}", salt.to_file(&envelope.epoch).trim_end()));
    }
    Ok(done.join("\n"))
}

fn write_envelope(path: &Path, envelope: &Envelope) -> anyhow::Result<()> {
    let mut file = Output::create(path)?;
    std::io::Write::write_all(&mut file, &serde_json::to_vec_pretty(envelope)?)?;
    file.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::epoch::list::testing;

    #[test]
    fn a_key_that_this_party_does_not_know_stops_the_contribution() {
        let oin: Oin = "00000099000000004001".parse().unwrap();
        let (_, known) = share::generate_identity();
        let (_, slipped_in) = share::generate_identity();
        let view = |recipient: &str| EpochView {
            participants: vec![Participant { oin: oin.clone(), recipient: recipient.into() }],
            ..testing::announced()
        };
        let party = Party { oin: oin.clone(), name: "Ymere".into(), recipient: Some(known.clone()), verifier: None };
        let book = PartyBook { party: vec![party] };
        assert!(checked_recipients(&view(&known), &book).is_ok());
        assert!(checked_recipients(&view(&slipped_in), &book).is_err());
        assert!(checked_recipients(&view(&known), &PartyBook::default()).is_err());
    }
}
