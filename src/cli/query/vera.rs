//! Answers for systems that speak VERA: a list of tenancy agreements by their reference, the answer with each. Not as a
//! `Signalering`: kept in a landlord's administration, an answer would say of a household that it needs care.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use time::OffsetDateTime;

use super::super::output::Output;
use super::files::{Row, rows};
use crate::ids::TraceId;

/// Member names are VERA's where VERA has one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(with = "time::serde::rfc3339")]
    tijdstip_bericht: OffsetDateTime,
    huurovereenkomsten: Vec<Agreement<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Agreement<'a> {
    id_extern: &'a str,
    /// As the service says it.
    antwoord: &'a str,
    /// Trace id of the question: under it the access log has the decision.
    referentienummer: Option<TraceId>,
}

/// Writes the answers of a file of answers.
pub(super) fn write(answers: &Path, mut out: Output, now: OffsetDateTime) -> anyhow::Result<()> {
    let rows = rows(answers)?;
    // Whole seconds: some readers take seven decimals at most.
    let now = now.replace_nanosecond(0)?;
    let message = Message { tijdstip_bericht: now, huurovereenkomsten: rows.values().map(Agreement::of).collect() };
    let mut text = serde_json::to_vec_pretty(&message).context("answers have a JSON form")?;
    text.push(b'\n');
    out.write_all(&text).context("cannot write the answers for VERA; they are in the other file")?;
    out.finish()
}

impl<'a> Agreement<'a> {
    fn of(row: &'a Row) -> Self {
        Self { id_extern: &row.contract_id, antwoord: &row.answer, referentienummer: row.trace_id }
    }
}
