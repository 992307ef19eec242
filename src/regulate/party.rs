//! Who takes part in a regulation, in which role, and with which key.

use serde::{Deserialize, Serialize};

use crate::audit::NoteVerifier;
use crate::ids::Oin;

/// What a party is. Each party has one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the service and sees no content.
    Administrator,
    /// Holds the population register.
    PopulationCustodian,
    /// Holds the list of the OGGZ target group.
    CareCustodian,
    /// Lets dwellings, and asks.
    Corporation,
    /// Reads the access log.
    PrivacyOfficer,
    /// Receives cases from corporations, and may learn a group where the regulation gives it a ground of its own.
    DistrictTeam,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] = [
        Self::Administrator,
        Self::PopulationCustodian,
        Self::CareCustodian,
        Self::Corporation,
        Self::PrivacyOfficer,
        Self::DistrictTeam,
    ];

    /// Whether it may be told groups: who cares for people, not who lets dwellings.
    pub fn is_care_side(self) -> bool {
        matches!(self, Self::CareCustodian | Self::DistrictTeam)
    }

    /// As it is written in regulations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::PopulationCustodian => "population-custodian",
            Self::CareCustodian => "care-custodian",
            Self::Corporation => "corporation",
            Self::PrivacyOfficer => "privacy-officer",
            Self::DistrictTeam => "district-team",
        }
    }
}

/// A party to a regulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    pub oin: Oin,
    pub name: String,
    pub role: Role,
    /// Legal organisation. The two custodians of an epoch must differ here.
    pub organisation: String,
    /// Verifier key of the party's signature (C2SP signed note). The digest covers it: who signs vouches for all keys.
    /// A party without one cannot sign, and then nothing is activated.
    pub key: Option<String>,
    /// The key with which this party signed the version before, where `key` is another one: it signs this version too,
    /// so that nobody else changes a party's key.
    pub former_key: Option<String>,
    /// Public age key of a privacy officer: what was answered is sealed for it, so that who runs the service cannot put
    /// a key of its own there. An officer without one cannot read answers, and then nothing is activated.
    pub recipient: Option<String>,
}

impl Party {
    /// The verifier keys that must sign.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.key.iter().chain(&self.former_key).map(String::as_str)
    }

    /// What those keys are, whatever they are called: one key under two names is one.
    pub(super) fn key_bytes(&self) -> impl Iterator<Item = Vec<u8>> {
        let bytes = |verifier: NoteVerifier| verifier.public_key().to_vec();
        self.keys().map(move |text| NoteVerifier::from_vkey(text).map_or_else(|_| text.as_bytes().to_vec(), bytes))
    }

    /// Whether it is who this party of the version before was: it holds that one's key.
    fn continues(&self, before: &Self) -> bool {
        self.oin == before.oin && before.key.as_deref().is_none_or(|key| self.keys().any(|ours| ours == key))
    }

    /// The first party of a version that the next one leaves out, or gives a key that it did not vouch for.
    pub fn first_lost<'a>(before: &'a [Self], next: &[Self], may_leave: bool) -> Option<&'a Self> {
        before.iter().find(|party| {
            let there = next.iter().find(|one| one.oin == party.oin);
            there.map_or(!may_leave, |one| !one.continues(party))
        })
    }
}
