//! Epochs: announced, contributed to, cut over, ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};
use utoipa::ToSchema;

use super::law::Pending;
use super::words::whole_or_none;
use super::{Source, date_only};
use crate::ids::{EpochId, Oin, RegulationId};

time::serde::format_description!(optional_date, Date, "[year]-[month]-[day]");

/// `POST /v1/epochs`: an epoch is announced. Dates that are left out are the regulation's.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewEpoch {
    pub id: EpochId,
    pub regulation: RegulationId,
    #[schema(min_length = 1, max_length = 100)]
    pub profile: String,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub schema_hash: String,
    pub participants: Vec<Participant>,
    /// Parties that would encode and take no part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<Oin>,
    /// Day by which every custodian contributes.
    #[serde(default, with = "optional_date::option", skip_serializing_if = "Option::is_none")]
    pub contribute_by: Option<Date>,
    /// Day by which every source is loaded.
    #[serde(default, with = "optional_date::option", skip_serializing_if = "Option::is_none")]
    pub load_by: Option<Date>,
    /// Days that it answers beside its successor.
    #[serde(default, deserialize_with = "whole_or_none", skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 366)]
    pub grace_days: Option<u32>,
}

/// Who encodes in the epoch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Participant {
    pub oin: Oin,
    /// Public key that shares are sealed for: age or ssh.
    pub recipient: String,
}

/// One epoch as every participant may see it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EpochView {
    pub id: EpochId,
    pub regulation: RegulationId,
    pub profile: String,
    pub schema_hash: String,
    pub key_check: Option<String>,
    pub state: String,
    /// Whether questions with its codes are answered now.
    pub answers: bool,
    /// Of a retiring epoch: when it stops answering.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub answers_until: Option<OffsetDateTime>,
    #[serde(with = "date_only")]
    pub contribute_by: Date,
    #[serde(with = "date_only")]
    pub load_by: Date,
    pub grace_days: u32,
    pub participants: Vec<Participant>,
    /// Custodians whose share is there.
    pub contributed: Vec<Oin>,
    /// Custodians whose share is still missing.
    pub missing: Vec<Oin>,
    /// Sources that are loaded.
    pub loaded: Vec<Source>,
    /// Corporations whose housing stock is registered in it.
    pub stocks: Vec<Oin>,
    /// What has to be done next, and by whom.
    pub todo: Vec<Todo>,
    /// Every step that was taken, in order.
    pub steps: Vec<StepTaken>,
}

/// Something that a party has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Todo {
    pub oin: Oin,
    pub name: String,
    /// The command without its configuration, for example `epoch contribute haarlem-2`.
    pub command: String,
    /// Absent where nothing waits for it.
    #[serde(default, with = "optional_date::option", skip_serializing_if = "Option::is_none")]
    pub by: Option<Date>,
    pub overdue: bool,
    /// Where the command does not say it: which act is confirmed, by whom it was proposed and what comes of it; or what
    /// stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

/// A step of an epoch's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepTaken {
    /// The state to which it led.
    pub state: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Its entry in the access log.
    pub log_index: u64,
}

/// `PUT /v1/epochs/{epoch}/share`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealedShare {
    /// Armored age file.
    pub sealed: String,
}

/// `PUT /v1/epochs/{epoch}/participants/{oin}`: every share, sealed again by a custodian for one party that joins or
/// has a new key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resealed {
    /// The key that they are sealed for.
    pub recipient: String,
    /// By contributor.
    pub shares: BTreeMap<Oin, String>,
}

/// `GET /v1/epochs/{epoch}/shares`, and the envelope file of `voorrang epoch fetch`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    pub epoch: EpochId,
    pub schema_hash: String,
    /// By contributor, as they came.
    pub shares: BTreeMap<Oin, String>,
    /// By contributor, those that custodians sealed again for the reader. Each is one more way to open a share.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resealed: BTreeMap<Oin, Vec<String>>,
}

/// `POST /v1/epochs/{epoch}/activate`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Activation {
    /// Cut over although a source has many more or fewer records than before. Logged.
    pub accept_shrink: bool,
    /// Cut over although somebody who can ask now has no confirmed stock in the next epoch. Logged.
    pub accept_missing_stock: bool,
}

/// `POST /v1/epochs/{epoch}/destroy`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Destruction {
    /// Destroy it although answers of batches, which were charged, are lost that nobody has read. Logged.
    pub accept_unread: bool,
}

/// What `POST /v1/epochs/{epoch}/retire`, `abort` and `destroy` answer: the end waits for a second person, or it came
/// before.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Ending {
    Waits(Pending),
    Destroyed(Destroyed),
}

/// That an epoch is gone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destroyed {
    pub epoch: EpochId,
    /// Signed note of the log's key.
    pub record: String,
}
