//! The interface as a whole: every path with every method, every error a problem, and the document that says so.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::document::{self, document, paths};
use super::support::*;

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"];

/// A path with something in every place of it that has the right form and is nowhere.
pub fn filled(template: &str) -> String {
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
    for (template, mut methods) in paths() {
        let path = filled(template);
        if methods.iter().any(|one| one == "GET") {
            methods.push("HEAD".into());
        }
        for method in METHODS {
            // A connection of its own: some of these leave a body unread.
            let mut line = house.line(OFFICER);
            let reply = line.send(method, &path, &[("Content-Type", "application/json")], b"").unwrap();
            reply.assert_headers();
            if methods.iter().any(|one| one == method) {
                known += 1;
                assert!(reply.status != 405, "{method} {path}");
                if reply.status >= 400 && method != "HEAD" {
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
fn what_is_wrong_with_the_header_and_the_body_is_told_together() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut question = value(&encoder, FAMILY);
    question["tenants"] = json!([]);
    question["arrears"]["months"] = json!(-1);
    let plan = json!({"header": encoder.header(), "source": "population", "records": 20_000_001, "referenceDate": "x"});
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "short")];
    for (stem, path, body, pointers) in [
        (CORPORATION, "priority-questions", &question, ["/Idempotency-Key", "/arrears/months", "/tenants"]),
        (POPULATION, "loads", &plan, ["/Idempotency-Key", "/records", "/referenceDate"]),
    ] {
        let body = body.to_string();
        let reply = house.line(stem).send("POST", &format!("/v1/{path}"), &headers, body.as_bytes()).unwrap();
        let problem = reply.problem();
        let told: BTreeSet<(&str, &str)> =
            problem.errors.iter().map(|fault| (fault.within.as_str(), fault.pointer.as_str())).collect();
        let [key, one, other] = pointers;
        assert_eq!(told, [("header", key), ("body", one), ("body", other)].into(), "{path}: {problem:?}");
        assert_eq!(problem.status, 400, "{path}");
    }
}

#[test]
fn of_bad_lines_each_is_told_by_its_number_and_member() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let plan = json!({"header": encoder.header(), "source": "population", "records": 90,
                      "referenceDate": house.reference().to_string(), "ages": ages()});
    let mut line = house.line(POPULATION);
    let begun: Value = serde_json::from_slice(&line.json("POST", "/v1/loads", &plan).body).unwrap();
    let path = format!("/v1/loads/{}/chunks/0", begun["load"].as_str().unwrap());
    let mut put = |lines: &[&str]| {
        let headers = [("Content-Type", "application/x-ndjson")];
        let reply = line.send("PUT", &path, &headers, lines.join("\n").as_bytes()).unwrap();
        assert!(!reply.text().contains("CANARY"), "{}", reply.text());
        reply.is_problem(422, "record").errors
    };
    let token = "AAAAAAAAAAAAAAAAAAAAAA==";
    let child = format!("{{\"id\":\"{token}\",\"household\":\"{token}\",\"groups\":[\"minor\"]}}");
    let bad = child.replace("minor", "CANARY").replace("\"id\":\"AA", "\"id\":\"!!");
    let told = put(&[&bad, &child, "CANARY", &child, "{\"removed\":1}"]);
    let told: BTreeSet<_> = told.iter().map(|fault| (fault.line.unwrap(), fault.pointer.as_str())).collect();
    let want = [(1, "/groups/0"), (1, "/id"), (3, ""), (4, ""), (5, "/removed"), (5, "/id")];
    assert_eq!(told, want.into(), "4 repeats 2");
    assert_eq!(put(&[bad.as_str(); 90]).len(), 50);
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
    house.configure(|table| {
        drop(
            table["documentation"]
                .as_table_mut()
                .unwrap()
                .insert("contact_email".into(), "beheer@haarlem.example".into()),
        );
    });
    house.start();
    let port = house.documentation();
    let mut line = Line::open(port, house.tls(None)).unwrap();
    let reply = line.send("GET", "/v1/openapi.json", &[("Origin", "https://elsewhere.example")], b"").unwrap();
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some("*")));
    let mut published: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(published["servers"][0]["url"], "https://localhost:0/v1", "as it is configured");
    assert_eq!(published["info"]["contact"]["email"], "beheer@haarlem.example");
    for place in ["/servers/0/url", "/info/contact/email"] {
        *published.pointer_mut(place).unwrap() = document().pointer(place).unwrap().clone();
    }
    assert_eq!(&published, document());
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
