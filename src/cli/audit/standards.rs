//! Entries as records of other standards: Logboek Dataverwerkingen (Logius, 1.0) and the fields of NEN 7513.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::list::name;
use super::reading::Found;
use crate::audit::{Action, Outcome, leaf_hash};

/// Begins the names of our own kinds of things; a URN, because nothing has to answer there.
const URN: &str = "urn:voorrang";

/// A record of the Logboek Dataverwerkingen; none for an entry about no subject, which processes no personal data.
/// `register` begins the URIs of the register of processing activities. A record has no user, as the standard wants: who
/// acted is in the access log, under the same trace id.
pub fn ldv(found: &Found, register: &str) -> Option<Value> {
    let entry = &found.entry;
    let object = entry.object.as_ref()?;
    let (time, register) = (milliseconds(&entry.time), register.trim_end_matches('/'));
    let name = match entry.action {
        Action::SubjectRead => "inzageverzoek",
        _ => "bevragen-prioriteit",
    };
    Some(json!({
        "trace_id": entry.trace_id.to_string(),
        // One entry, one record, however often it is exported.
        "span_id": hex::encode(&leaf_hash(&entry.to_bytes()).as_bytes()[..8]),
        // A refusal is the caller's matter; only a failure of ours is an error.
        "status": match entry.result {
            Outcome::Failed(_) => "Error",
            Outcome::Refused(_) => "Unset",
            _ => "Ok",
        },
        "name": name,
        "start_time": time,
        "end_time": time,
        "attributes": {
            "dpl.core.processing_activity_id": format!("{register}/{name}"),
            "dpl.core.data_subject_id": object,
            "dpl.core.data_subject_id_type": format!("{register}/id-typen/huishoudpseudoniem-v1"),
        },
    }))
}

/// The fields of NEN 7513 that exist here, named as the standard's extension of the Logboek Dataverwerkingen names them.
pub fn nen7513(found: &Found) -> Value {
    let entry = &found.entry;
    let success = !matches!(entry.result, Outcome::Failed(_));
    json!({
        "EventActionCode": name(found),
        "EventDateTime": entry.time,
        "EventID": format!("{URN}:{}", found.position),
        // 0: success; 8: serious failure (RFC 3881, 5.1.4).
        "EventOutcomeIndicator": if success { 0 } else { 8 },
        "EventOutcome": entry.result.to_string(),
        "ParticipantObjectID": entry.object,
        "ParticipantObjectIDTypeCode": entry.object.as_ref().map(|_| format!("{URN}:huishoudpseudoniem-v1")),
        "users": [{
            "userID": entry.actor.person.as_deref().or(entry.actor.oin.as_ref().map(|oin| oin.as_str())),
            "alternateUserID": entry.actor.certificate,
            "userIsRequestor": true,
            "roleIDCode": entry.actor.role,
            "purposeOfUse": entry.purpose,
            "organisationID": entry.actor.oin,
        }],
        "resource": { "nen7513.AuditSourceId": "voorrang" },
        "trace_id": entry.trace_id.to_string(),
    })
}

/// Since 1970; 0 where the time cannot be read, which [`crate::audit::Entry::check`] excludes.
fn milliseconds(time: &str) -> i128 {
    OffsetDateTime::parse(time, &Rfc3339).map_or(0, |time| time.unix_timestamp_nanos() / 1_000_000)
}
