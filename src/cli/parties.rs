//! Who the parties are, by their public keys, and what their shares say: nothing that the service hands over is used before
//! it has been held against this party's own list.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::inputs::read_secret_text;
use crate::answer::wire::Envelope;
use crate::audit::NoteVerifier;
use crate::epoch::share::{Identity, Salt, ShareError, derive};
use crate::ids::Oin;
use crate::profile::Profile;

/// The keys of all parties, as this party got them from each: what the service says is checked against it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyBook {
    #[serde(default)]
    pub party: Vec<Party>,
}

/// One party's public keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    pub oin: Oin,
    pub name: String,
    /// Public age key that shares are sealed for.
    pub recipient: Option<String>,
    /// Verifier key of a custodian's signature under its share (C2SP signed note). Who has one must contribute.
    pub verifier: Option<String>,
}

impl PartyBook {
    /// Reads the book.
    ///
    /// # Errors
    /// Names file and line.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
    }

    /// A party by its OIN.
    pub fn find(&self, oin: &Oin) -> Option<&Party> {
        self.party.iter().find(|party| party.oin == *oin)
    }

    /// The parties that contribute a share of the salt, and their verifier keys.
    pub fn contributors(&self) -> BTreeMap<&Oin, &str> {
        let mut contributors = BTreeMap::new();
        for party in &self.party {
            if let Some(verifier) = &party.verifier {
                contributors.insert(&party.oin, verifier.as_str());
            }
        }
        contributors
    }
}

/// Reads an age identity file.
///
/// # Errors
/// Names the file.
pub fn read_identity(path: &Path) -> anyhow::Result<Identity> {
    Identity::from_file(&read_secret_text(path)?).with_context(|| path.display().to_string())
}

/// Opens all shares of an envelope, checks who signed each, and derives the salt.
///
/// # Errors
/// If the shares are not those of all custodians that the party book knows and of nobody else, one does not open or is
/// not signed by its contributor, or the epoch is of another schema.
pub fn open_envelope(
    envelope: &Envelope,
    profile: &Profile,
    identity: &Identity,
    parties: &PartyBook,
) -> anyhow::Result<Salt> {
    ensure!(
        envelope.schema_hash == profile.schema_hash(),
        "the epoch {} is of another schema than the profile {}; give the epoch's with --profile",
        envelope.epoch,
        profile.id
    );
    if let Some(missing) = parties.contributors().keys().find(|oin| !envelope.shares.contains_key(**oin)) {
        bail!(
            "the share of {missing}, a custodian in parties.toml, is missing; do not use this epoch, unless that party left \
             before it was announced: then take it out of parties.toml"
        );
    }
    let shares = open_shares(envelope, identity, parties)?;
    let texts = shares.into_iter().map(|(from, share)| (from, share.text)).collect();
    Ok(derive(&envelope.epoch, &envelope.schema_hash, &texts)?)
}

/// A share that was opened and whose signature is its contributor's.
pub struct Opened {
    /// Text and signature, as they were sealed.
    pub note: Zeroizing<String>,
    text: Zeroizing<String>,
}

/// Opens the shares of an envelope that are there, by contributor.
///
/// # Errors
/// If one does not open, or is not signed by its contributor as the party book knows it.
pub fn open_shares(
    envelope: &Envelope,
    identity: &Identity,
    parties: &PartyBook,
) -> anyhow::Result<BTreeMap<Oin, Opened>> {
    let contributors = parties.contributors();
    let mut opened = BTreeMap::new();
    for (from, sealed) in &envelope.shares {
        let key = contributors.get(from);
        let key =
            key.with_context(|| format!("parties.toml has no verifier key for {from}, who contributed a share"))?;
        let verifier = NoteVerifier::from_vkey(key)?;
        let again = envelope.resealed.get(from).into_iter().flatten();
        let tried = std::iter::once(sealed).chain(again).map(|sealed| open_share(sealed, from, identity, &verifier));
        // One that is right is enough: what somebody sealed wrongly takes nothing away. Forged ones are told first.
        let rank = |tried: &anyhow::Result<Opened>| tried.as_ref().err().map(|error| error.is::<ShareError>());
        opened.insert(from.clone(), tried.min_by_key(rank).expect("the share itself is tried")?);
    }
    Ok(opened)
}

fn open_share(sealed: &str, from: &Oin, identity: &Identity, verifier: &NoteVerifier) -> anyhow::Result<Opened> {
    let note = identity.open(sealed, from)?;
    let text = verifier
        .verify(&note)
        .with_context(|| format!("the share of {from} is not signed with that party's key; do not use this epoch"))?;
    let text = Zeroizing::new(text.to_owned());
    Ok(Opened { note, text })
}
