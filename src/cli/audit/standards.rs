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
    let record = ldv::record(entry, leaf.as_bytes(), register)?;
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

/// The fields of NEN 7513 that exist here, named as the standard's extension of the Logboek Dataverwerkingen names them;
/// `register` as for [`ldv`], `origin` is the log's name.
pub fn nen7513(found: &Found, register: &str, origin: &str) -> Value {
    let entry = &found.entry;
    let activity = match ldv::activity(entry.action) {
        Some(activity) => format!("{}/{activity}", register.trim_end_matches('/')),
        // Nobody's data are processed: it has no place in the register.
        None => format!("{URN}:{}", name(found)),
    };
    json!({
        "EventActionCode": name(found),
        "EventDateTime": entry.time,
        "EventID": activity,
        "EventOutcomeIndicator": outcome(&entry.result),
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
            // Addresses are not kept: a certificate is what a machine shows.
            "networkAccessPointID": entry.actor.certificate,
            "networkAccessPointTypeCode": format!("{URN}:certificaat-sha256"),
        }],
        "resource": { "nen7513.AuditSourceId": origin },
        "trace_id": entry.trace_id.to_string(),
        "log_index": found.position,
    })
}

/// 0: success; 4: minor failure, here a refusal; 8: serious failure (RFC 3881, 5.1.4).
fn outcome(result: &Outcome) -> u8 {
    match result {
        Outcome::Done | Outcome::Answered => 0,
        Outcome::Refused(_) => 4,
        Outcome::Failed(_) => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Log, ONE, START};
    use super::*;

    fn records(log: Log) -> Vec<Value> {
        let (mut log, mut records) = (log, Vec::new());
        let (_home, mut reading) = log.reading();
        reading
            .each(|found| {
                records.push(nen7513(&found, "https://register.example/", "log.example/a"));
                Ok(())
            })
            .unwrap();
        records
    }

    #[test]
    fn every_field_of_the_documented_table_is_in_a_record() {
        let record = &records(Log::new().ask(START, ONE, 1, Ok("priority")))[1];
        let page = include_str!("../../../docs/access-log.md");
        let (_, table) = page.split_once("| NEN 7513 | field |\n|---|---|\n").unwrap();
        let names: Vec<&str> = table
            .lines()
            .map_while(|row| row.strip_prefix("| ")?.split(" | ").next())
            .flat_map(|names| names.split(", "))
            .collect();
        assert!(names.len() > 10, "{names:?}");
        let places = [record, &record["users"][0], &record["resource"]];
        for name in names {
            let found = places.iter().find_map(|place| place.get(name)).unwrap_or_else(|| panic!("{name}: {record}"));
            assert!(!found.is_null(), "{name}: {record}");
        }
        assert_eq!(record["EventID"], "https://register.example/bevragen-prioriteit");
        assert_eq!(record["resource"]["nen7513.AuditSourceId"], "log.example/a");
    }

    #[test]
    fn a_refusal_is_no_success_and_what_processes_no_data_has_a_name_of_its_own() {
        let found = records(Log::new().ask(START, ONE, 1, Ok("priority")).ask(START, ONE, 1, Err("stock")));
        let outcomes: Vec<_> = found.iter().map(|record| record["EventOutcomeIndicator"].as_u64().unwrap()).collect();
        assert_eq!(outcomes, [0, 0, 4]);
        assert_eq!(found[0]["EventID"], "urn:voorrang:day-key");
        assert_eq!(outcome(&Outcome::Failed("unavailable".into())), 8);
    }
}
