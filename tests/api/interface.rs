//! The interface as a whole: every path with every method, every error a problem, and the document that says so.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::document::{self, document, paths};
use super::support::*;

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"];

/// A path with something in every place of it that has the right form and is nowhere.
fn filled(template: &str) -> String {
    let value = |part: &str| match part {
        "{epoch}" => "nowhere-1",
        "{regulation}" => "nowhere",
        "{load}" | "{proposal}" | "{batch}" => "00112233445566778899aabbccddeeff",
        "{oin}" => "00000099000000009999",
        "{number}" | "{index}" | "{hold}" => "4711",
        "{kind}" => "0",
        "{place}" => "999",
        part => panic!("a new part of a path: {part}"),
    };
    let parts: Vec<_> =
        template.split('/').map(|part| if part.starts_with('{') { value(part) } else { part }).collect();
    format!("/v1{}", parts.join("/"))
}

#[test]
fn what_is_documented_is_served_and_nothing_else_by_any_method() {
    let house = House::open();
    let (mut known, mut unknown) = (0, 0);
    for (template, methods) in paths() {
        let path = filled(template);
        for method in METHODS {
            // A connection of its own: some of these leave a body unread.
            let mut line = house.line(OFFICER);
            let reply = line.send(method, &path, &[("Content-Type", "application/json")], b"").unwrap();
            reply.assert_headers();
            if methods.iter().any(|one| one == method) {
                known += 1;
                assert!(reply.status != 405, "{method} {path}");
                if reply.status >= 400 {
                    assert_ne!(reply.problem().code, "no_such_path", "{method} {path}");
                }
            } else {
                unknown += 1;
                assert_eq!(reply.status, 405, "{method} {path}");
                let allow: BTreeSet<&str> = reply.header("allow").unwrap().split(", ").collect();
                assert_eq!(allow, methods.iter().map(String::as_str).collect(), "{method} {path}");
                if method != "HEAD" {
                    reply.is_problem(405, "no_such_method");
                }
            }
        }
        let mut line = house.line(OFFICER);
        line.get(&format!("{path}/"))
            .is_problem(404, if path.contains("/tile/") { "no_such_tile" } else { "no_such_path" });
    }
    println!("{known} documented operations, {unknown} other methods of {} paths", paths().len());
    assert!(known >= 35 && unknown > 200, "{known} {unknown}");
    house.line(OFFICER).get("/v2/ping").is_problem(404, "no_such_path");
    house.line(OFFICER).get("/").is_problem(404, "no_such_path");
}

#[test]
fn every_fault_of_a_body_is_told_at_once_by_place_and_never_by_value() {
    let house = House::open();
    let mut question = value(&house.encoder(EPOCH), FAMILY);
    question["arrears"]["months"] = json!("CANARY");
    question["arrears"]["CANARY"] = json!(1);
    question["header"].as_object_mut().unwrap().remove("epoch");
    question["tenants"][0]["codes"]["names"][1] = json!("CANARY");
    question["tenants"][0]["codes"]["CANARY"] = json!(["CANARY"]);
    question["conditions"]["reminderSent"] = json!("CANARY");
    let reply = house.line(CORPORATION).ask(&question);
    assert!(!reply.text().contains("CANARY"), "{}", reply.text());
    let problem = reply.is_problem(400, "json");
    let told: BTreeSet<(&str, &str)> =
        problem.errors.iter().map(|fault| (fault.pointer.as_str(), fault.within.as_str())).collect();
    let want = ["/arrears", "/arrears/months", "/conditions/reminderSent", "/header/epoch", "/tenants/0/codes"];
    assert_eq!(told, want.map(|pointer| (pointer, "body")).into(), "{:?}", problem.errors);
    assert!(problem.errors.iter().all(|fault| !fault.detail.is_empty()));
    // A query likewise.
    let mut line = house.line(CORPORATION);
    let reply = line.get("/v1/regulations/haarlem/steps?months=CANARY&days=-1&surprise=CANARY");
    assert!(!reply.text().contains("CANARY"), "{}", reply.text());
    let problem = reply.is_problem(400, "query");
    let told: BTreeSet<&str> = problem.errors.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(told, ["", "/answer", "/days", "/months"].into(), "{:?}", problem.errors);
    line.get("/v1/epochs/NO%20NAME").is_problem(404, "path");
    let reply = line.get("/v1/regulations/haarlem/steps?months=-3&answer=priority").is_problem(400, "query");
    assert_eq!(reply.errors.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), ["/months"]);
    line.get("/v1/regulations/haarlem/steps?months=NaN&answer=priority").is_problem(400, "query");
    // What cannot be parsed at all has one fault, and its place.
    assert!(line.raw_json("POST", "/v1/priority-questions", b"{").problem().errors.is_empty());
}

#[test]
fn a_bound_that_a_request_breaks_is_named_by_its_place() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let good = value(&encoder, FAMILY);
    let question = |spoil: fn(&mut Value)| {
        let mut bad = good.clone();
        spoil(&mut bad);
        bad
    };
    let plan = |records: u64, day: &str| {
        json!({"header": encoder.header(), "source": "population", "records": records,
        "referenceDate": day})
    };
    let many =
        |questions: u64| json!({"header": encoder.header(), "purpose": "eviction-prevention", "questions": questions});
    let today = house.reference().to_string();
    for (stem, path, body, status, code, pointer) in [
        (CORPORATION, "priority-questions", question(|q| q["tenants"] = json!([])), 422, "tenant_count", "/tenants"),
        (
            CORPORATION,
            "priority-questions",
            question(|q| q["arrears"]["months"] = json!(-1)),
            400,
            "json",
            "/arrears/months",
        ),
        (
            CORPORATION,
            "priority-questions",
            question(|q| q["arrears"]["days"] = json!(-1)),
            400,
            "json",
            "/arrears/days",
        ),
        (CORPORATION, "priority-batches", json!({"questions": []}), 422, "batch_size", "/questions"),
        (
            CORPORATION,
            "priority-batches",
            json!({"questions": vec![good.clone(); 101]}),
            422,
            "batch_size",
            "/questions",
        ),
        (CORPORATION, "question-batches", many(0), 422, "batch_size", "/questions"),
        (CORPORATION, "question-batches", many(500_001), 422, "batch_size", "/questions"),
        (POPULATION, "loads", plan(0, &today), 422, "load_records", "/records"),
        (POPULATION, "loads", plan(1_000_000_000_000_000, &today), 422, "load_records", "/records"),
        (POPULATION, "loads", plan(1, "2999-01-01"), 422, "reference_date", "/referenceDate"),
    ] {
        let reply = house.line(stem).json("POST", &format!("/v1/{path}"), &body);
        let told: Vec<String> = reply.is_problem(status, code).errors.into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(told, [pointer], "{path}");
    }
}

#[test]
fn media_that_are_not_spoken_are_refused() {
    let house = House::open();
    let body = value(&house.encoder(EPOCH), FAMILY).to_string();
    let ask = |headers: &[(&str, &str)]| {
        house.line(CORPORATION).send("POST", "/v1/priority-questions", headers, body.as_bytes()).unwrap()
    };
    for kind in ["text/plain", "application/xml", "application/json; charset=utf-16", "application/jsonp", ""] {
        ask(&[("Content-Type", kind)]).is_problem(415, "media_type");
    }
    ask(&[]).is_problem(415, "media_type");
    let json = ("Content-Type", "application/json; charset=UTF-8");
    for accept in ["text/html", "image/png, text/html;q=0.9", "application/json;q=0"] {
        ask(&[json, ("Accept", accept)]).is_problem(406, "not_acceptable");
    }
    for accept in ["application/json", "*/*", "text/html, application/*;q=0.5", "application/json, text/html"] {
        assert_eq!(ask(&[json, ("Accept", accept)]).status, 200, "{accept}");
    }
    let large = format!("\"{}\"", "x".repeat(2 << 20));
    house.line(CORPORATION).raw_json("POST", "/v1/priority-questions", large.as_bytes()).is_problem(413, "too_large");
}

#[test]
fn the_document_is_published_to_everybody_and_nothing_else_is() {
    let mut house = House::built(false);
    house.start();
    let port = house.documentation();
    let mut line = Line::open(port, house.tls(None)).unwrap();
    let reply = line.send("GET", "/v1/openapi.json", &[("Origin", "https://elsewhere.example")], b"").unwrap();
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(&serde_json::from_slice::<Value>(&reply.body).unwrap(), document());
    assert_eq!(document()["openapi"], "3.1.0");
    assert_eq!(reply.header("api-version"), document()["info"]["version"].as_str());
    assert_eq!(house.line(OFFICER).get("/v1/openapi.json").body, reply.body, "the same behind mutual TLS");
    let reply = line.get("/");
    assert_eq!((reply.status, reply.header("location")), (303, Some("/docs/")));
    let page = line.get("/docs/");
    assert!(page.status == 200 && page.text().contains("swagger-ui"), "{}", page.text());
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"));
    assert!(!page.text().contains("//cdn") && !page.text().contains("https://"), "nothing comes from elsewhere");
    assert_eq!(line.get("/docs/swagger-ui-bundle.js").status, 200);
    for (template, _) in paths().iter().filter(|(template, _)| *template != "/openapi.json") {
        line.exchange("GET", &filled(template), &[], b"").unwrap().is_problem(404, "no_such_path");
    }
    line.exchange("POST", "/v1/openapi.json", &[], b"").unwrap().is_problem(405, "no_such_method");
}

/// The rules of the NLGov linter that matter most, without its program.
#[test]
fn the_document_keeps_the_api_design_rules() {
    let kebab =
        |path: &str| path.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/-{}.".contains(&b));
    let mut ids = BTreeSet::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        assert!(kebab(path) && !path.ends_with('/'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            assert!(!operation["summary"].as_str().unwrap().is_empty());
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["headers"]["API-Version"].is_object(), "{method} {path} {status}");
                let problem = response["content"]["application/problem+json"]["schema"]["$ref"].as_str();
                assert_eq!(problem.is_some(), status.as_str() >= "400", "{method} {path} {status}");
            }
            assert!(operation["responses"]["400"].is_object(), "{method} {path}");
        }
    }
    assert!(document()["servers"][0]["url"].as_str().unwrap().ends_with("/v1"));
    let problem = &document()["components"]["schemas"]["Problem"]["properties"];
    assert!(["status", "title", "detail", "code"].iter().all(|name| problem[name].is_object()));
}

#[test]
fn a_body_that_the_document_does_not_have_is_found_by_the_tests() {
    let health = json!({ "$ref": "#/components/schemas/Answered" });
    assert!(document::fits(&health, &json!({ "answer": "priority" })).is_err());
}
