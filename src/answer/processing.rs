//! `POST /v1/processing-activities`: the reading interface of the Logboek Dataverwerkingen, for officers. Records are made
//! from the entries of the access log when they are asked for; reading is recorded as any reading of the log is.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::aside::aside;
use super::decision::store_problem;
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::wire::{ProcessingActivities, ProcessingActivity, ProcessingQuery};
use super::{App, Caller};
use crate::audit::ldv::{Record, record};
use crate::audit::{Action, Entry, Range};
use crate::store::{LogLine, StoreError};

/// Most records of one answer: the draft knows no pages.
const MOST: usize = 1000;

/// The handler.
pub(super) async fn read(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    query: Json<ProcessingQuery>,
) -> Result<Json<ProcessingActivities>, Problem> {
    let caller = Caller::of(identity, &request);
    let query = query.into_inner();
    let traced = |problem: Problem| problem.traced(caller.trace);
    app.record_reading(&caller).await.map_err(traced)?;
    let found = aside(move || app.matching(&query)).await;
    let found = found.map_err(|_| traced(Problem::unavailable("the service is stopping")))?;
    let found = found.map_err(|error| traced(store_problem(&error)))?;
    if found.len() > MOST {
        let detail = format!("more than {MOST} records fit the query: narrow its times");
        return Err(traced(Problem::unprocessable("too_many_records", detail)));
    }
    Ok(Json(ProcessingActivities { processing_activities: found.into_iter().map(shown).collect() }))
}

impl App {
    /// Whether the caller may ask this; she is recorded before she gets anything.
    async fn record_reading(&self, caller: &Caller) -> Result<(), Problem> {
        let mut entry = self.officer_entry(caller, Action::LogRead).await?;
        let size = self.store.log_size().map_err(|error| store_problem(&error))?;
        entry.entries = Some(Range { from: 0, to: size });
        self.record(entry).await?;
        Ok(())
    }

    /// All records that fit, or one more than may be shown. Blocks.
    fn matching(&self, query: &ProcessingQuery) -> Result<Vec<Record>, StoreError> {
        let trace = query.trace_id.map(|trace| trace.to_string());
        let words: Vec<&str> = [trace.as_deref(), query.subject.as_deref()].into_iter().flatten().collect();
        let mut found = Vec::new();
        self.store.scan(&words, |line| {
            let record = self.of_line(&line)?.filter(|record| fits(record, query));
            found.extend(record);
            Ok(found.len() <= MOST)
        })?;
        Ok(found)
    }

    /// The record of a line, if its action has one and its contents have not expired.
    fn of_line(&self, line: &LogLine) -> Result<Option<Record>, StoreError> {
        let Some(bytes) = &line.entry else { return Ok(None) };
        Ok(record(&Entry::from_bytes(bytes)?, line.leaf.as_bytes(), &self.register)?)
    }
}

fn fits(record: &Record, query: &ProcessingQuery) -> bool {
    let has = |name: &str, wanted: &Option<String>| {
        let value = record.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        wanted.as_ref().is_none_or(|wanted| value == Some(wanted))
    };
    query.trace_id.is_none_or(|trace| trace.to_string() == record.trace_id)
        && has("dpl.core.processing_activity_id", &query.activity)
        && has("dpl.core.data_subject_id", &query.subject)
        && query.start_time.is_none_or(|from| record.start_time >= from)
        && query.end_time.is_none_or(|to| record.end_time <= to)
}

fn shown(record: Record) -> ProcessingActivity {
    ProcessingActivity {
        trace_id: record.trace_id,
        span_id: record.span_id,
        status: record.status.as_str().to_owned(),
        name: record.name.to_owned(),
        start_time: record.start_time,
        end_time: record.end_time,
        attributes: record.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
