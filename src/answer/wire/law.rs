//! The JSON of regulations, of acts that need two people, and of the care side's questions.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use time::Date;
use utoipa::ToSchema;

use super::words::{answer_word, moment, not_negative, whole};
use super::{Answered, ProblemBody, Question, date_only};
use crate::audit::{Hash, Receipt};
use crate::ids::{Oin, ProposalId, RegulationId};
use crate::regulate::Answer;

/// `POST /v1/regulations/{id}/activate`: the version that the caller read and means.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Activate {
    pub digest: String,
}

/// `POST /v1/regulations/{id}/taps`: whose tap.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenTap {
    pub oin: Oin,
}

/// An act that now waits for a second person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pending {
    /// The one that waits already, where the party proposed the same before.
    pub proposal: ProposalId,
    pub receipt: Receipt,
    /// Of the end of an epoch: what would come of it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
}

/// `GET /v1/proposals`: what waits for a second person in the caller's regulations.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProposalView {
    pub proposal: ProposalId,
    /// `stock`, `regulation`, `open-tap`, `retire-epoch`, `abort-epoch` or `destroy-epoch`.
    pub kind: String,
    pub regulation: RegulationId,
    pub by: Oin,
    /// RFC 3339, UTC.
    #[schema(schema_with = moment)]
    pub made_at: String,
    /// What it would do: dwellings, digest, OIN or epoch. Of a stock, the municipality's privacy officer sees how many
    /// households are registered there.
    pub about: String,
    /// Of the end of an epoch: what would come of it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
}

/// `POST /v1/proposals/{proposal}/confirm`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Confirmed {
    pub kind: String,
    pub receipt: Receipt,
    /// That an epoch is gone: a signed note of the log's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// `DELETE /v1/proposals/{proposal}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Withdrawn {
    pub kind: String,
    pub receipt: Receipt,
}

/// `GET /v1/regulations/{id}`: the version in force, else the one that ended last or begins first, and all versions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegulationTexts {
    pub id: RegulationId,
    pub digest: String,
    pub toml: String,
    pub cedar: String,
    pub signatures: String,
    pub history: Vec<Version>,
}

/// One version that was activated.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Version {
    pub digest: String,
    /// RFC 3339, UTC.
    #[schema(schema_with = moment)]
    pub activated_at: String,
    #[serde(with = "date_only")]
    pub valid_from: Date,
    /// The first day on which it no longer holds.
    #[serde(with = "date_only")]
    pub valid_until: Date,
    /// `in-force`, `not-yet`, `ended` or `replaced`, by the service's clock.
    pub state: String,
}

/// Where an arrears case stands. It names nobody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    #[serde(deserialize_with = "not_negative")]
    #[schema(minimum = 0)]
    pub months: f64,
    #[serde(default)]
    #[schema(maximum = 4294967295_u32)]
    pub days: u32,
    /// Of the last question about the household.
    #[serde(deserialize_with = "one_answer")]
    #[schema(schema_with = answer_word)]
    pub answer: Answer,
}

fn one_answer<'de, D: Deserializer<'de>>(from: D) -> Result<Answer, D::Error> {
    let word = String::deserialize(from)?;
    Answer::from_word(&word).ok_or_else(|| D::Error::custom("no answer"))
}

/// One agreed step of `GET /v1/regulations/{id}/steps`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepView {
    pub id: String,
    pub code: String,
    pub stage: String,
    /// Only if this happened; the corporation knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    pub to: Vec<String>,
    pub consent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_days: Option<u16>,
    /// Not before so many days have gone by since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_days: Option<u16>,
    /// The next stage may not begin before it is done.
    pub gate: bool,
    pub nl: String,
    pub en: String,
    pub reference: String,
}

/// `POST /v1/group-questions`: the care side asks about the household of a case.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupQuestion {
    /// Number in the access log of the corporation's answered question, from its receipt.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 9007199254740991_u64)]
    pub case: u64,
    /// Leaf hash of that entry, base64, from the same receipt: that the corporation referred the household.
    pub leaf: Hash,
    pub question: Question,
}

/// The groups that the caller has a ground for: `yes`, `no` or `undetermined` by `minor`, `senior`, `oggz`. Padded as
/// every answer is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupsTold {
    pub groups: BTreeMap<String, String>,
    pub receipt: Receipt,
}

/// Most questions of one request that is answered at once.
pub const MOST_AT_ONCE: usize = 100;

/// `POST /v1/priority-batches`: 1 to [`MOST_AT_ONCE`] questions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch {
    #[schema(min_items = 1, max_items = 100)]
    pub questions: Vec<Question>,
}

/// The answers, in the order of the questions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchAnswers {
    pub answers: Vec<BatchAnswer>,
}

/// One of both.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchAnswer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Answered>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemBody>,
}

/// How sure a reader of the answers may become that a household is in the OGGZ group, or in a shielded one of the
/// population, by the counts of the loads. Counts below ten are taken as ten, and shares are rounded to hundredths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InferenceView {
    /// The worst reader and answer, 0 to 1, of those who do not know whether the tenants are registered.
    pub worst: f64,
    /// What the regulation accepts.
    pub bound: f64,
    /// The same for readers with a view of the register; absent in reports of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Bounded>,
    /// The worst in each form in which corporations can be answered, `three-valued` and `consult`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forms: BTreeMap<String, WorstView>,
}

/// A share, and what the regulation accepts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bounded {
    pub worst: f64,
    pub bound: f64,
}

/// The worst reader and answer in a form.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorstView {
    /// Without a view of the register.
    pub worst: f64,
    /// With one.
    pub registered: f64,
}
