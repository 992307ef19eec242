//! The JSON of the interface, version 1, for service and client alike. Unknown members are refused; core types
//! do not know these shapes.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use time::Date;

use super::quality::LoadQuality;
use crate::audit::Receipt;
use crate::code::{AddressToken, Code, CodeHeader, Codes, Group, HouseholdToken, Record, RecordRef};
use crate::ids::{EpochId, LoadId, Oin, RegulationId};
use crate::profile::Profile;

time::serde::format_description!(pub date_only, Date, "[year]-[month]-[day]");

/// Codes by pass name, as [`Codes`] travels.
pub type PassCodes = BTreeMap<String, Vec<Code>>;

/// A map that names a pass twice is refused: two readers could take different ones.
fn each_once<'de, D: Deserializer<'de>>(from: D) -> Result<PassCodes, D::Error> {
    struct EachOnce;
    impl<'de> Visitor<'de> for EachOnce {
        type Value = PassCodes;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("codes by pass")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PassCodes, A::Error> {
            let mut codes = PassCodes::new();
            while let Some((pass, variants)) = map.next_entry()? {
                if codes.insert(pass, variants).is_some() {
                    return Err(de::Error::custom("duplicate field among the passes"));
                }
            }
            Ok(codes)
        }
    }
    from.deserialize_map(EachOnce)
}

/// `POST /v1/priority-questions`: one household.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Question {
    pub header: CodeHeader,
    /// One of the regulation's purposes. A question without one is refused and logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    pub arrears: Arrears,
    #[serde(default)]
    pub conditions: Conditions,
    /// Absent if the corporation's file has no whole address; then it is in nobody's stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressToken>,
    /// The contract's tenants, 1 to 8.
    pub tenants: Vec<Tenant>,
}

/// How far behind the rent is: whole or fractional months, and days beyond them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Arrears {
    pub months: f64,
    #[serde(default)]
    pub days: u32,
}

/// The landlord's statutory conditions (Besluit gemeentelijke schuldhulpverlening, article 2).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Conditions {
    pub personal_contact: bool,
    pub help_offered: bool,
    pub reminder_sent: bool,
    pub no_objection: bool,
}

/// One tenant of the contract.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenant {
    #[serde(deserialize_with = "each_once")]
    pub codes: PassCodes,
}

/// The answer, padded with white space to [`ANSWER_BYTES`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answered {
    /// `priority`, `no_priority` or `undetermined`.
    pub answer: String,
    pub epoch: EpochId,
    /// Proof that the decision stands in the access log.
    pub receipt: Receipt,
}

/// Bytes of every answer's body, so that length tells nothing.
pub const ANSWER_BYTES: usize = 1024;

/// `POST /v1/loads`: what is going to be loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadPlan {
    pub header: CodeHeader,
    pub source: Source,
    /// Records that will follow, at least 1.
    pub records: u64,
    /// The day on which the register was read: ages are counted on it, and freshness from it.
    #[serde(with = "date_only")]
    pub reference_date: Date,
}

/// Whose records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Population,
    Care,
}

impl Source {
    /// The word in the store and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Population => "population",
            Self::Care => "care",
        }
    }
}

/// A load that was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBegun {
    pub load: LoadId,
    /// Most bytes of one chunk.
    pub chunk_bytes: usize,
}

/// One line of a chunk (NDJSON): a record without plaintext.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordLine {
    pub id: RecordRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressToken>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub household: Option<HouseholdToken>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    #[serde(default, deserialize_with = "each_once", skip_serializing_if = "BTreeMap::is_empty")]
    pub codes: PassCodes,
}

impl RecordLine {
    /// How a record travels.
    pub fn new(record: Record, profile: &Profile) -> Self {
        let Record { id, address, household, groups, codes } = record;
        Self { id, address, household, groups, codes: by_name(codes, profile) }
    }

    /// The record, its passes in the profile's order.
    ///
    /// # Errors
    /// A pass that the profile does not have, or lacks one that it has.
    pub fn into_record(self, profile: &Profile) -> Result<Record, WrongPasses> {
        let codes = if self.codes.is_empty() { Codes::default() } else { in_order(self.codes, profile)? };
        Ok(Record { id: self.id, address: self.address, household: self.household, groups: self.groups, codes })
    }
}

/// The names of the passes are not those of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the codes' passes are not those of the profile")]
pub struct WrongPasses;

/// Codes as they travel.
pub fn by_name(codes: Codes, profile: &Profile) -> PassCodes {
    profile.passes.iter().map(|pass| pass.name.clone()).zip(codes.passes).collect()
}

/// Codes as rooms want them: passes in the profile's order.
///
/// # Errors
/// [`WrongPasses`].
pub fn in_order(mut codes: PassCodes, profile: &Profile) -> Result<Codes, WrongPasses> {
    let passes =
        profile.passes.iter().map(|pass| codes.remove(&pass.name).ok_or(WrongPasses)).collect::<Result<_, _>>()?;
    if codes.is_empty() { Ok(Codes { passes }) } else { Err(WrongPasses) }
}

/// `POST /v1/loads/{load}/commit`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadCommit {
    pub chunks: u32,
}

/// A finished load, as its custodian may know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadReport {
    pub records: usize,
    /// Records that have codes.
    pub persons: usize,
    /// How well these records can be linked.
    pub quality: LoadQuality,
    pub receipt: Receipt,
}

/// `PUT /v1/stock`: the addresses that a corporation lets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stock {
    pub header: CodeHeader,
    pub dwellings: u32,
    /// Bloom filter of address tokens (crate bloomfilter, false positives 1 in 1,000), base64.
    pub filter: String,
}

/// `POST /v1/epochs`: an epoch is announced.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewEpoch {
    pub id: EpochId,
    pub regulation: RegulationId,
    pub profile: String,
    pub schema_hash: String,
    pub participants: Vec<Participant>,
}

/// Who encodes in the epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Participant {
    pub oin: Oin,
    /// Public age key.
    pub recipient: String,
}

/// One epoch as every participant may see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EpochView {
    pub id: EpochId,
    pub regulation: RegulationId,
    pub profile: String,
    pub schema_hash: String,
    pub key_check: Option<String>,
    pub state: String,
    pub participants: Vec<Participant>,
    /// Custodians whose share is there.
    pub contributed: Vec<Oin>,
    /// Custodians whose share is still missing.
    pub missing: Vec<Oin>,
    /// Sources that are loaded.
    pub loaded: Vec<Source>,
}

/// `PUT /v1/epochs/{epoch}/share`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealedShare {
    /// Armored age file.
    pub sealed: String,
}

/// `GET /v1/epochs/{epoch}/shares`, and the envelope file of `voorrang epoch fetch`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    pub epoch: EpochId,
    pub schema_hash: String,
    /// By contributor.
    pub shares: BTreeMap<Oin, String>,
}

/// `GET /v1/service`: what a client needs before its first question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceView {
    pub version: String,
    /// Verifier key of the access log (C2SP signed note).
    pub log_key: String,
    pub regulations: Vec<RegulationView>,
    pub epochs: Vec<EpochView>,
}

/// A regulation in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegulationView {
    pub id: RegulationId,
    pub title: String,
    pub digest: String,
    pub minor_below: u16,
    pub senior_from: u16,
}

/// A page of `GET /v1/access-log/entries`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogPage {
    pub from: u64,
    /// Entries verbatim, base64: their bytes are what the tree hashes.
    pub entries: Vec<String>,
    /// Signed note over a tree that holds at least these entries.
    pub checkpoint: String,
}

/// Any error of any layer (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemBody {
    pub status: u16,
    /// Stable; never reworded.
    pub code: String,
    pub title: String,
    /// What failed, where, and what to do.
    pub detail: String,
    /// The article that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub article: Option<String>,
    pub trace_id: String,
}
