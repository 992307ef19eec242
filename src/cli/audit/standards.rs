//! Entries as records of other standards: Logboek Dataverwerkingen (Logius, 1.0) and the fields of NEN 7513.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::list::name;
use super::reading::Found;
use crate::audit::{Outcome, ldv, leaf_hash};

/// Begins the names of our own kinds of things; a URN, because nothing has to answer there.
const URN: &str = "urn:voorrang";

/// A record of the Logboek Dataverwerkingen, as the service sends it to a collector; none where nobody's data were
/// processed. `register` begins the URIs of the register of processing activities.
///
/// # Errors
/// If the entry's time is none.
pub fn ldv(found: &Found, register: &str) -> anyhow::Result<Option<Value>> {
    let entry = &found.entry;
    let leaf = leaf_hash(&entry.to_bytes());
    // When the entry was written is known to the service only: for the exporter a decision takes no time.
    let record = ldv::record(entry, leaf.as_bytes(), 0, register)?;
    Ok(record.map(|record| {
        let attributes: BTreeMap<_, _> = record.attributes.into_iter().collect();
        json!({
            "trace_id": record.trace_id,
            "span_id": record.span_id,
            "status": record.status,
            "name": record.name,
            "start_time": record.start_time,
            "end_time": record.end_time,
            "attributes": attributes,
        })
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
