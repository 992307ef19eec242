//! What a corporation tries that holds the salt and wants to know more than it may: nothing of it tells more, and what
//! costs others nothing costs it its questions.

use serde_json::Value;

use super::support::*;

/// In the OGGZ group alone, so shielded.
const SHIELDED: &str = "K0000043";
/// Registered nowhere.
const UNKNOWN: &str = "K0000040";

/// The question about one contract with the tenants of others beside its own.
fn beside(question: &Value, others: &[&Value]) -> Value {
    let mut more = question.clone();
    let tenants = others.iter().flat_map(|other| other["tenants"].as_array().unwrap().clone());
    more["tenants"].as_array_mut().unwrap().extend(tenants);
    more
}

#[test]
fn a_tenant_more_does_not_tell_a_shielded_household_from_one_that_is_registered_nowhere() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let single = value(&encoder, SINGLE);
    assert_eq!(line.ask(&single).answered().answer, "no_priority");
    for contract in [SHIELDED, UNKNOWN] {
        let one = value(&encoder, contract);
        assert_eq!(line.ask(&one).answered().answer, "undetermined", "{contract}");
        assert_eq!(line.ask(&beside(&one, &[&single])).answered().answer, "undetermined", "{contract}");
    }
}
