//! The JSON of the interface, version 1, for service and client alike. Unknown members are refused; core types
//! do not know these shapes.

pub mod batches;
mod epochs;
pub mod law;
mod loads;
mod processing;
mod words;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

pub use epochs::*;
pub use loads::*;
pub use processing::*;
use words::whole;
pub use words::{answer_word, not_negative};

use crate::audit::{Hash, Receipt};
use crate::code::{AddressToken, Code, CodeHeader, Codes};
use crate::ids::{EpochId, Oin, RegulationId};
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

/// `POST /v1/priority-questions`: one household.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
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
    #[schema(min_items = 1, max_items = 8)]
    pub tenants: Vec<Tenant>,
}

/// How far behind the rent is: whole or fractional months, and days beyond them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Arrears {
    #[serde(deserialize_with = "not_negative")]
    #[schema(minimum = 0)]
    pub months: f64,
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 4294967295_u32)]
    pub days: u32,
}

/// The landlord's statutory conditions (Besluit gemeentelijke schuldhulpverlening, article 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Conditions {
    pub personal_contact: bool,
    pub help_offered: bool,
    pub reminder_sent: bool,
    pub no_objection: bool,
    /// For regulations in which the tenant must have agreed.
    pub tenant_agrees: bool,
}

/// One tenant of the contract.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenant {
    #[serde(deserialize_with = "each_once")]
    #[schema(value_type = BTreeMap<String, Vec<Code>>)]
    pub codes: PassCodes,
}

/// The answer, padded with white space to [`ANSWER_BYTES`].
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answered {
    #[schema(schema_with = answer_word)]
    pub answer: String,
    pub epoch: EpochId,
    /// Proof that the decision stands in the access log.
    pub receipt: Receipt,
}

/// Bytes of every answer's body, so that length tells nothing.
pub const ANSWER_BYTES: usize = 1024;

/// `PUT /v1/stock`: the addresses that a corporation lets.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stock {
    pub header: CodeHeader,
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 400000)]
    pub dwellings: u32,
    /// The first six bytes of each address token, in ascending order, each once, base64 of them all.
    pub addresses: String,
}

/// `GET /v1/service`: what a client needs before its first question.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceView {
    pub version: String,
    /// Verifier key of the access log (C2SP signed note).
    pub log_key: String,
    /// How the log came to that key, oldest first; empty while it has its first one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_hand_overs: Vec<HandOver>,
    /// URI of the register of processing activities (GDPR article 30), with which records of the log name them.
    pub register: String,
    pub regulations: Vec<RegulationView>,
    pub epochs: Vec<EpochView>,
}

/// One log key replaced by the next.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandOver {
    /// Verifier key of the next key.
    pub key: String,
    /// A checkpoint that the old and the next key signed.
    pub checkpoint: String,
}

/// A regulation in force.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegulationView {
    pub id: RegulationId,
    pub title: String,
    pub digest: String,
    pub minor_below: u16,
    pub senior_from: u16,
    /// Different addresses that one request must at least ask about; 1 where single questions are answered.
    pub minimum_batch: u32,
}

/// A page of `GET /v1/access-log/entries`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogPage {
    pub from: u64,
    /// Entries verbatim, base64: their bytes are what the tree hashes. Empty where the contents have expired.
    pub entries: Vec<String>,
    /// Leaf hashes of the entries of this page whose contents have expired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expired: Vec<ExpiredLine>,
    /// Signed note over a tree that holds at least these entries.
    pub checkpoint: String,
}

/// `POST /v1/access-log/subjects`: how does the log call the households of this address?
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectQuestion {
    pub epoch: EpochId,
    pub address: AddressToken,
}

/// The pseudonym.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectView {
    /// As entries have it in `object`.
    pub object: String,
}

/// An entry whose contents have expired.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpiredLine {
    pub index: u64,
    /// Leaf hash, base64.
    pub leaf: Hash,
}

/// `POST /v1/access-log/expire`: contents that were deleted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expired {
    /// How many.
    pub entries: u64,
    /// The first of them.
    pub from: Option<u64>,
    /// The one behind the last.
    pub to: Option<u64>,
}

/// `POST /v1/access-log/holds`: entries `from` up to and without `to` keep their contents.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewHold {
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 9007199254740991_u64)]
    pub from: u64,
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 9007199254740991_u64)]
    pub to: u64,
}

/// `GET /v1/access-log/budgets`: how much a corporation may ask, by the stock that it registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetView {
    pub regulation: RegulationId,
    pub oin: Oin,
    /// Dwellings of its stock, as it declares them.
    pub declared: u64,
    /// Those that count: no more than households are registered at the addresses.
    pub dwellings: u64,
    /// Questions in a month from which officers are told.
    pub alarm: u64,
    /// The most questions in a month.
    pub stop: u64,
    /// Whether this month or today half as many questions missed as close the tap, and in their share.
    #[serde(default)]
    pub near_tap: bool,
}

/// `POST /v1/access-log/exports`: entries `from` up to and without `to` leave as files.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewExport {
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 9007199254740991_u64)]
    pub from: u64,
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 9007199254740991_u64)]
    pub to: u64,
}

/// A hold that is in force, or was just ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldView {
    pub id: i64,
    pub from: u64,
    pub to: u64,
    /// So many of them have no contents any more: no hold keeps those. Absent where all have them, and when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<u64>,
    /// The party that holds them and alone ends it; anybody's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub by: Option<Oin>,
}

/// One fault of a request: where, and what is expected there. Never what stood there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// `body`, `query` or `header`.
    #[serde(rename = "in")]
    pub within: String,
    /// Of a chunk: which line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// JSON pointer, as far as it is made of members that the document names.
    pub pointer: String,
    pub detail: String,
}

impl Fault {
    /// A fault of this part of a request.
    pub fn of(within: &str, pointer: &str, detail: &str) -> Self {
        Self { within: within.into(), line: None, pointer: pointer.into(), detail: detail.into() }
    }

    /// A fault of the body.
    pub fn body(pointer: &str, detail: &str) -> Self {
        Self::of("body", pointer, detail)
    }
}

/// Any error of any layer (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
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
    /// Everything that does not fit the document, where the request was not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    pub trace_id: String,
}
