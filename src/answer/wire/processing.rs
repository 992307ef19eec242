//! The JSON of the reading interface of the Logboek Dataverwerkingen: the extension "lezen" 0.9 (Logius). Its draft leaves
//! pages open; names that the standard writes with dots and underscores keep them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::words::whole;
use crate::ids::TraceId;

/// `POST /v1/processing-activities`: which records. At least one member; what is absent is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(min_properties = 1)]
pub struct ProcessingQuery {
    #[serde(default, deserialize_with = "there")]
    #[schema(nullable = false)]
    pub trace_id: Option<TraceId>,
    /// URI of the activity in the register of processing activities.
    #[serde(rename = "dpl.core.processing_activity_id", default, deserialize_with = "there")]
    #[schema(nullable = false)]
    pub activity: Option<String>,
    /// Pseudonym of the household, as entries have it in `object`.
    #[serde(rename = "dpl.core.data_subject_id", default, deserialize_with = "there")]
    #[schema(nullable = false)]
    pub subject: Option<String>,
    /// Records that began at this moment or later: milliseconds since 1970, UTC.
    #[serde(default, deserialize_with = "whole_there")]
    #[schema(maximum = 9007199254740991_u64, nullable = false)]
    pub start_time: Option<u64>,
    /// Records that ended at this moment or earlier.
    #[serde(default, deserialize_with = "whole_there")]
    #[schema(maximum = 9007199254740991_u64, nullable = false)]
    pub end_time: Option<u64>,
}

/// A member that is there has a value: one of `null` would look as if it narrowed something.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn whole_there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    whole(from).map(Some)
}

/// What was found, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingActivities {
    pub processing_activities: Vec<ProcessingActivity>,
}

/// One record of the Logboek Dataverwerkingen. Who acted stands in the entry of the access log with this trace id.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingActivity {
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// `Unset`, `Ok` or `Error`.
    pub status: String,
    pub name: String,
    /// Milliseconds since 1970, UTC.
    pub start_time: u64,
    /// `startTime` and the upper bound of the entry's class of latency: exact times are not kept.
    pub end_time: u64,
    pub attributes: BTreeMap<String, String>,
}
