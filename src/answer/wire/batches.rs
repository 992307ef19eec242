//! The JSON of batches of questions that are answered in the background.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::words::whole;
use super::{Answered, ChunkKept, ProblemBody};
use crate::code::CodeHeader;
use crate::ids::BatchId;

/// Most questions of one batch.
pub const MOST_IN_BATCH: u32 = 500_000;

/// Most results of one page.
pub const RESULTS_AT_ONCE: u32 = 1000;

/// Most batches of a list.
pub const BATCHES_AT_ONCE: u32 = 100;

/// `POST /v1/question-batches`: what is going to be asked. All questions of a batch have the same header and purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchPlan {
    pub header: CodeHeader,
    /// One of the regulation's purposes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Questions that will follow.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 500000)]
    pub questions: u32,
}

/// A batch that was begun.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchBegun {
    pub batch: BatchId,
    /// Most bytes of one chunk.
    pub chunk_bytes: usize,
}

/// `POST /v1/question-batches/{batch}/commit`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchCommit {
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 4294967295_u32)]
    pub chunks: u32,
}

/// `GET /v1/question-batches/{batch}`, and one of `GET /v1/question-batches`: how far it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchView {
    pub batch: BatchId,
    /// `open`, `answering`, `done`, `cancelled` or `refused`.
    pub state: String,
    /// As announced.
    pub questions: u32,
    /// Questions that were answered.
    pub answered: u32,
    /// Questions that were refused.
    pub refused: u32,
    /// Most bytes of one chunk.
    pub chunk_bytes: usize,
    /// While it is open, and not in a list: the chunks that are there, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<ChunkKept>,
    #[serde(with = "time::serde::rfc3339")]
    pub begun_at: OffsetDateTime,
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<OffsetDateTime>,
    /// When it and its results are deleted; absent while it is answered.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A line of `GET /v1/question-batches/{batch}/results`: what became of a question, one of both.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResultLine {
    /// Of the question, from 0, through all chunks.
    pub number: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Answered>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemBody>,
}
