//! Who takes part in a regulation, in which role, and with which key.

use serde::{Deserialize, Serialize};

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
    /// Public age key of a privacy officer: what was answered is sealed for it, so that who runs the service cannot put
    /// a key of its own there. An officer without one cannot read answers, and then nothing is activated.
    pub recipient: Option<String>,
}
