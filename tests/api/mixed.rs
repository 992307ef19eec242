//! A batch that is answered at once is answered whole or refused whole.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use voorrang::audit::Action;

use super::support::*;

#[test]
fn a_batch_that_mixes_is_refused_whole_says_where_and_charges_nothing() {
    let house = House::open();
    house.agree("haarlem-2");
    let encoder = house.encoder(EPOCH);
    let ours: Vec<Value> = contracts().iter().take(4).map(|contract| value(&encoder, contract)).collect();
    let asked = || house.log().iter().filter(|entry| entry.action == Action::Ask).count();
    type Spoilt = (fn(&mut Value), &'static str, &'static str);
    let spoilt: [Spoilt; 6] = [
        (|one| one["header"]["epoch"] = json!("haarlem-2"), "batch_mixed", "header"),
        (|one| one["header"]["epoch"] = json!("h-9"), "batch_mixed", "header"),
        (|one| one["header"]["keyCheck"] = json!("00112233445566770011223344556677"), "batch_mixed", "header"),
        (|one| one["purpose"] = json!("tenant-screening"), "batch_mixed", "purpose"),
        (|one| drop(one.as_object_mut().unwrap().remove("purpose")), "batch_mixed", "purpose"),
        (|one| one["tenants"][0]["codes"]["names"][0] = json!(STANDARD.encode([0x55; 120])), "code_shape", "tenants"),
    ];
    for (at, (spoil, code, member)) in spoilt.into_iter().enumerate() {
        let (mut mixed, place, before) = (ours.clone(), 1 + at % 3, asked());
        spoil(&mut mixed[place]);
        let reply = house.line(CORPORATION).json("POST", "/v1/priority-batches", &json!({ "questions": mixed }));
        let problem = reply.is_problem(422, code);
        let pointers: Vec<&str> = problem.errors.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, [format!("/questions/{place}/{member}")]);
        assert_eq!(asked(), before + 1, "{code}: one refusal");
        assert_eq!(String::from(house.entry_of(&reply).unwrap().result), format!("refused:{code}"));
    }
    let reply = house.line(CORPORATION).json("POST", "/v1/priority-batches", &json!({ "questions": ours }));
    let answers: Value = serde_json::from_slice(&reply.body).unwrap();
    assert!(answers["answers"].as_array().unwrap().iter().all(|one| one["answered"].is_object()));
}

#[test]
fn somebody_else_s_load_is_not_there_and_the_attempt_is_recorded() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let plan = json!({"header": encoder.header(), "source": "population", "records": 3,
        "referenceDate": house.reference().to_string(), "ages": ages()});
    let begun = house.line(POPULATION).json("POST", "/v1/loads", &plan);
    let load = serde_json::from_slice::<Value>(&begun.body).unwrap()["load"].as_str().unwrap().to_owned();
    for stem in [CORPORATION, CARE, ADMINISTRATOR] {
        let told = |load: &str| {
            let reply = house.line(stem).get(&format!("/v1/loads/{load}"));
            let problem = reply.is_problem(404, "unknown_load");
            (problem.title, problem.detail, problem.article, house.entry_of(&reply).is_some())
        };
        let ((title, detail, article, logged), nothing) = (told(&load), told(&"0".repeat(32)));
        assert_eq!((title, detail, article), (nothing.0, nothing.1, nothing.2), "{stem}");
        assert!(logged);
    }
    assert_eq!(house.line(POPULATION).get(&format!("/v1/loads/{load}")).status, 200);
}
