//! Processing records of the Logboek Dataverwerkingen (LDV, Logius) made from entries of the log. A record says what
//! was done with whose data and never who did it: that stands in the entry, which has the same trace id.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Action, AuditError, Entry, Latency, Outcome};

/// The processing activity of an action, as it ends the URI of the register of processing activities (GDPR article
/// 30); `None` where nobody's data are looked at, given or destroyed. What is new decides here.
pub fn activity(action: Action) -> Option<&'static str> {
    match action {
        Action::Ask | Action::AskAgain | Action::ResultsRead => Some("bevragen-prioriteit"),
        Action::AskGroups => Some("bevragen-groepen"),
        Action::Load | Action::LoadOverBound | Action::LoadAbort => Some("aanleveren-register"),
        Action::Stock => Some("aanleveren-voorraad"),
        Action::LogRead | Action::LogExport => Some("raadplegen-inzagelogboek"),
        Action::SubjectRead => Some("inzageverzoek"),
        Action::LogHold | Action::LogHoldEnd => Some("bewaren-inzagelogboek"),
        Action::LogExpire | Action::SubjectKeyEnd => Some("vernietigen-inzagelogboek"),
        Action::EpochAbort | Action::EpochDestroy => Some("vernietigen-register"),
        Action::Backup | Action::Restore => Some("veiligstellen"),
        Action::Connect
        | Action::LoadAcceptShrink
        | Action::EpochAnnounce
        | Action::EpochContribute
        | Action::EpochFetch
        | Action::EpochReseal
        | Action::EpochActivate
        | Action::EpochAcceptShrink
        | Action::EpochAcceptMissingStock
        | Action::EpochAcceptUnread
        | Action::EpochRetire
        | Action::EpochSilent
        | Action::EpochRecord
        | Action::RegulationActive
        | Action::Propose
        | Action::Withdraw
        | Action::ProposalDrop
        | Action::Probing
        | Action::BudgetAlarm
        | Action::TapOpen
        | Action::ClockBack
        | Action::ClockAhead
        | Action::LogKey
        | Action::DayKey
        | Action::Start
        | Action::Stop => None,
    }
}

/// How the processing ended. A question that was refused properly is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Status {
    Unset,
    Ok,
    Error,
}

impl Status {
    /// As the standard spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "Unset",
            Self::Ok => "Ok",
            Self::Error => "Error",
        }
    }
}

/// One record, with the mandatory fields of LDV 1.0: names and units are the standard's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits: the beginning of the entry's leaf hash, so that a record that is sent twice is one.
    pub span_id: String,
    pub status: Status,
    pub name: &'static str,
    /// Milliseconds since 1970, UTC.
    pub start_time: u64,
    pub end_time: u64,
    pub attributes: Vec<(&'static str, String)>,
}

/// The record of an entry; `None` if its action has none. `register` is the URI of the register of processing
/// activities, `leaf` the entry's leaf hash. It is made of nothing else, so it is the same one wherever it is made; of
/// when the processing ended the log knows the class of its wait.
///
/// # Errors
/// [`AuditError::Entry`] if the time is none.
pub fn record(entry: &Entry, leaf: &[u8; 32], register: &str) -> Result<Option<Record>, AuditError> {
    let Some(name) = activity(entry.action) else { return Ok(None) };
    let started =
        OffsetDateTime::parse(&entry.time, &Rfc3339).map_err(|_| AuditError::Entry("time is not RFC 3339"))?;
    let start_time = u64::try_from(started.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    let register = register.trim_end_matches('/');
    let mut attributes = vec![("dpl.core.processing_activity_id", format!("{register}/{name}"))];
    if let Some(object) = &entry.object {
        attributes.push(("dpl.core.data_subject_id", object.clone()));
        attributes.push(("dpl.core.data_subject_id_type", format!("{register}/id-typen/huishoudpseudoniem-v1")));
    }
    Ok(Some(Record {
        trace_id: entry.trace_id.to_string(),
        span_id: hex::encode(&leaf[..8]),
        status: match entry.result {
            Outcome::Done | Outcome::Answered => Status::Ok,
            Outcome::Refused(_) => Status::Unset,
            Outcome::Failed(_) => Status::Error,
        },
        name,
        start_time,
        end_time: start_time + entry.latency.map_or(0, Latency::ms),
        attributes,
    }))
}

/// Records as the body of an OTLP/HTTP request with JSON (`POST .../v1/traces`, opentelemetry-proto 1.x).
pub fn otlp(records: &[Record]) -> serde_json::Value {
    let text = |key: &str, value: &str| serde_json::json!({ "key": key, "value": { "stringValue": value } });
    let span = |record: &Record| {
        let attributes: Vec<_> = record.attributes.iter().map(|(key, value)| text(key, value)).collect();
        serde_json::json!({
            "traceId": record.trace_id,
            "spanId": record.span_id,
            "name": record.name,
            // SPAN_KIND_SERVER
            "kind": 2,
            // 64-bit integers are strings in protobuf's JSON.
            "startTimeUnixNano": format!("{}000000", record.start_time),
            "endTimeUnixNano": format!("{}000000", record.end_time),
            "attributes": attributes,
            "status": { "code": record.status as u8 },
        })
    };
    serde_json::json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", "voorrang")] },
        "scopeSpans": [{ "scope": { "name": "voorrang.ldv" }, "spans": records.iter().map(span).collect::<Vec<_>>() }],
    }] })
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::sample;
    use super::*;

    const REGISTER: &str = "https://register.example/verwerkingen/";

    fn of(entry: &Entry) -> Record {
        record(entry, &[0xab; 32], REGISTER).unwrap().unwrap()
    }

    #[test]
    fn a_record_has_every_mandatory_field_and_no_user() {
        let found = of(&sample());
        assert_eq!(
            (found.name, found.status, found.span_id.as_str()),
            ("bevragen-prioriteit", Status::Ok, "abababababababab")
        );
        assert_eq!(found.trace_id, "00112233445566778899aabbccddeeff");
        assert_eq!((found.start_time, found.end_time), (1_793_611_800_000, 1_793_611_800_010));
        let attributes: Vec<_> = found.attributes.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(
            attributes,
            [
                ("dpl.core.processing_activity_id", "https://register.example/verwerkingen/bevragen-prioriteit"),
                ("dpl.core.data_subject_id", "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"),
                (
                    "dpl.core.data_subject_id_type",
                    "https://register.example/verwerkingen/id-typen/huishoudpseudoniem-v1"
                ),
            ]
        );
        let text = otlp(&[found]).to_string();
        for user in ["00000099000000001000", &"ab".repeat(32), "corporation"] {
            assert!(!text.contains(user), "{user} acted, and stands in the access log only");
        }
    }

    #[test]
    fn a_refused_question_is_no_error() {
        let status = |result| of(&Entry { result, ..sample() }).status;
        assert_eq!(status(Outcome::Refused("budget".into())), Status::Unset);
        assert_eq!(status(Outcome::Failed("unavailable".into())), Status::Error);
        let start = Entry { action: Action::Start, ..sample() };
        assert_eq!(record(&start, &[0; 32], REGISTER).unwrap(), None);
    }

    #[test]
    fn what_the_care_side_asks_and_what_is_destroyed_has_its_record() {
        for (action, name) in [
            (Action::AskGroups, "bevragen-groepen"),
            (Action::LogExpire, "vernietigen-inzagelogboek"),
            (Action::EpochDestroy, "vernietigen-register"),
            (Action::ResultsRead, "bevragen-prioriteit"),
        ] {
            assert_eq!(of(&Entry { action, ..sample() }).name, name);
        }
    }

    #[test]
    fn a_record_ends_by_the_class_of_its_wait() {
        let ended = |latency| of(&Entry { latency, ..sample() }).end_time - 1_793_611_800_000;
        let classes = [Latency::Under10Ms, Latency::Under100Ms, Latency::Under1S, Latency::Slow];
        assert_eq!(classes.map(|class| ended(Some(class))), [10, 100, 1000, 1000]);
        assert_eq!(ended(None), 0, "nobody waited");
    }

    #[test]
    fn the_request_is_otlp_json() {
        let body = otlp(&[of(&sample())]);
        let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["startTimeUnixNano"], "1793611800000000000");
        assert_eq!((&span["kind"], &span["status"]["code"]), (&2.into(), &1.into()));
        assert_eq!(span["attributes"][1]["value"]["stringValue"], "0f".repeat(16));
    }
}
