//! Loads: begun, sent in chunks of lines, committed, reported.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::Date;
use utoipa::ToSchema;

use super::super::quality::LoadQuality;
use super::words::whole;
use super::{PassCodes, WrongPasses, by_name, date_only, each_once, in_order, law};
use crate::audit::{Hash, Receipt};
use crate::code::{AddressToken, Code, CodeHeader, Codes, Group, HouseholdToken, Record, RecordRef};
use crate::ids::LoadId;
use crate::profile::Profile;

/// `POST /v1/loads`: what is going to be loaded.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadPlan {
    pub header: CodeHeader,
    pub source: Source,
    /// Records that will follow; of a load of changes, so many changes. There are 18 million people in the Netherlands.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 20000000)]
    pub records: u64,
    /// The load that answers now and that this one changes: its records replace or join those of that load. Absent: this
    /// load is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<LoadId>,
    /// The day on which the register was read: ages are counted on it, and freshness from it.
    #[serde(with = "date_only")]
    pub reference_date: Date,
    /// By which the groups of a population were made: those of the regulation, see `GET /v1/service`. A care list has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ages: Option<Ages>,
}

/// Which ages make a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ages {
    /// The youngest age that is no minor's, in years.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 30)]
    pub minor_below: u16,
    /// The youngest age of a senior, in years.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 40, maximum = 120)]
    pub senior_from: u16,
}

/// Whose records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBegun {
    pub load: LoadId,
    /// Most bytes of one chunk.
    pub chunk_bytes: usize,
}

/// A chunk that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChunkKept {
    pub chunk: u32,
    pub records: u32,
    /// SHA-256 of the chunk as it was sent, base64.
    pub digest: Hash,
}

/// `GET /v1/loads/{load}`, and one of `GET /v1/loads`: a load in progress, for a client that goes on with it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadView {
    pub load: LoadId,
    pub source: Source,
    /// As announced.
    pub records: u64,
    /// Most bytes of one chunk.
    pub chunk_bytes: usize,
    /// The chunks that are there, in order.
    pub chunks: Vec<ChunkKept>,
}

/// One line of a chunk (NDJSON): a record without plaintext; in a load of changes also one that goes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
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
    #[schema(value_type = BTreeMap<String, Vec<Code>>)]
    pub codes: PassCodes,
    /// In a load of changes: the record is no longer there. Nothing but its reference stands beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

impl RecordLine {
    /// How a record travels.
    pub fn new(record: Record, profile: &Profile) -> Self {
        let Record { id, address, household, groups, codes } = record;
        Self { id, address, household, groups, codes: by_name(codes, profile), removed: false }
    }

    /// Whether nothing but the reference stands there.
    pub fn is_bare(&self) -> bool {
        self.address.is_none() && self.household.is_none() && self.groups.is_empty() && self.codes.is_empty()
    }

    /// How it travels that a record is no longer there.
    pub fn gone(id: RecordRef) -> Self {
        Self { id, address: None, household: None, groups: Vec::new(), codes: PassCodes::new(), removed: true }
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

/// `POST /v1/loads/{load}/commit`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadCommit {
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 4294967295_u32)]
    pub chunks: u32,
    /// In an epoch that answers: although it has many more or fewer records than the load before. Logged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_shrink: bool,
}

/// A finished load, as its custodian may know it: nothing of it rests on the other register.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadReport {
    pub records: usize,
    /// Records that have codes.
    pub persons: usize,
    /// Of a load of changes: what it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// How well these records can be linked: of them alone.
    pub quality: LoadQuality,
    pub receipt: Receipt,
}

/// What a load of changes changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Changes {
    pub added: usize,
    pub replaced: usize,
    pub removed: usize,
}

/// What is kept of a load's report beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadSummary {
    pub persons: usize,
    /// Of a population. Absent in those of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ages: Option<Ages>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference: Option<law::InferenceView>,
    pub quality: LoadQuality,
}

/// One of `GET /v1/epochs/{epoch}/reports`: a load that answers, with what its custodian is not told.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceReport {
    pub source: Source,
    pub records: u64,
    #[serde(with = "date_only")]
    pub reference_date: Date,
    pub persons: usize,
    /// Whether the epoch answers, and would tell more than the parties accept: until that is over its answers rest on the
    /// population alone, and `no_priority` is told nobody.
    #[serde(default)]
    pub withheld: bool,
    /// As it was when this was loaded, if both sources were there, or the regulation shields a group of the population.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference: Option<law::InferenceView>,
    pub quality: LoadQuality,
}
