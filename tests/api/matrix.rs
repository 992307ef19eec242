//! Every path by every method in every role, against a table that was written by hand from the articles of the regulation
//! and the documentation (`tests/data/roles.csv`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use voorrang::cli::pki::Subject;

use super::support::*;

const TABLE: &str = include_str!("../data/roles.csv");
const TEAM: &str = "sociaal-wijkteam-haarlem";
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// What the table says of one operation, by role.
type Rights<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a str>>;

fn table() -> (Vec<&'static str>, Rights<'static>) {
    let mut lines = TABLE.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let roles = lines.next().unwrap().split_off(2);
    let rights: Rights<'_> = lines.map(|row| ((row[1], row[0]), row[2..].to_vec())).collect();
    assert!(rights.values().all(|row| row.len() == roles.len()));
    (roles, rights)
}

/// A service with something at every path.
struct World {
    house: House,
    hold: String,
    /// A batch of the corporation.
    batch: String,
    /// An answered question, which the care side may ask about.
    case: u64,
}

fn text(reply: &Reply, member: &str) -> String {
    let value: Value = serde_json::from_slice(&reply.body).unwrap();
    value[member].as_str().map_or_else(|| value[member].to_string(), str::to_owned)
}

impl World {
    fn new() -> Self {
        let house = House::open();
        let hold = text(&house.line(OFFICER).json("POST", "/v1/access-log/holds", &json!({"from": 0, "to": 2})), "id");
        let question = value(&house.encoder(EPOCH), FAMILY);
        let case = house.line(CORPORATION).ask(&question).answered().receipt.index;
        let header = house.encoder(EPOCH).header();
        let batch = json!({"header": header, "purpose": question["purpose"], "questions": 1});
        let batch = text(&house.line(CORPORATION).json("POST", "/v1/question-batches", &batch), "batch");
        Self { house, hold, batch, case }
    }

    fn card(&self, role: &str) -> Card {
        let stem = match role {
            "administrator" => ADMINISTRATOR,
            "population" => POPULATION,
            "care" => CARE,
            "team" => TEAM,
            "corporation" => CORPORATION,
            "officer" => OFFICER,
            "stranger" => return self.house.issue(&Subject::party("Ymere", "00000099000000009999")),
            other => panic!("no role {other}"),
        };
        self.house.card(stem)
    }

    /// An act that waits, made anew where one is asked for: what is confirmed is no more.
    fn proposal(&self, path: &str) -> String {
        if !path.contains("{proposal}") {
            return String::new();
        }
        let tap = format!("/v1/regulations/{}/taps", self.house.regulation.id());
        text(&self.house.line(OFFICER).json("POST", &tap, &json!({"oin": "00000099000000004001"})), "proposal")
    }

    /// A load in progress, begun anew: a source has one.
    fn load(&self, path: &str) -> String {
        if !path.contains("{load}") {
            return String::new();
        }
        text(&self.house.line(POPULATION).json("POST", "/v1/loads", &plan(&self.house)), "load")
    }

    fn path(&self, template: &str) -> String {
        let query = match template {
            "/access-log/consistency" => "?old=1",
            "/regulations/{regulation}/steps" => "?months=1&answer=undetermined",
            _ => "",
        };
        let path = format!("/v1{template}{query}");
        [
            ("{epoch}", EPOCH),
            ("{regulation}", self.house.regulation.id().as_str()),
            ("{load}", &self.load(template)),
            ("{number}", "0"),
            ("{oin}", "00000099000000004001"),
            ("{hold}", &self.hold),
            ("{batch}", &self.batch),
            ("{index}", "0"),
            ("{kind}/{place}", "0/000.p/1"),
            ("{proposal}", &self.proposal(template)),
        ]
        .iter()
        .fold(path, |path, (name, value)| path.replace(name, value))
    }

    /// A body that is read to its end, so that the role decides. What it asks may well make no sense here.
    fn body(&self, method: &str, template: &str) -> Value {
        let encoder = self.house.encoder(EPOCH);
        let (header, question) = (encoder.header(), value(&encoder, FAMILY));
        let address = question["address"].clone();
        match (method, template) {
            ("POST", "/priority-questions") => question,
            ("POST", "/question-batches") => json!({"header": header, "purpose": question["purpose"], "questions": 1}),
            ("POST", "/question-batches/{batch}/commit") => json!({"chunks": 7}),
            ("POST", "/processing-activities") => json!({"startTime": 0}),
            ("POST", "/priority-batches") => json!({"questions": [question]}),
            ("POST", "/group-questions") => json!({"question": question, "case": self.case}),
            ("POST", "/loads") => plan(&self.house),
            ("POST", "/loads/{load}/commit") => json!({"chunks": 7}),
            ("PUT", "/stock") => json!({"header": header, "dwellings": 10, "addresses": "AAAA"}),
            ("POST", "/epochs") => json!({
                "id": "haarlem-3", "regulation": "haarlem", "profile": "x", "schemaHash": "x", "participants": []
            }),
            ("PUT", "/epochs/{epoch}/share") => json!({"sealed": "no share"}),
            ("PUT", "/epochs/{epoch}/participants/{oin}") => json!({"recipient": "no key", "shares": {}}),
            ("POST", "/epochs/{epoch}/activate") => json!({}),
            ("POST", "/regulations/{regulation}/taps") => json!({"oin": "00000099000000004001"}),
            ("POST", "/regulations/{regulation}/activate") => json!({"digest": "0".repeat(64)}),
            ("POST", "/access-log/subjects") => json!({"epoch": EPOCH, "address": address}),
            ("POST", "/access-log/holds" | "/access-log/exports") => json!({"from": 0, "to": 1}),
            _ => Value::Null,
        }
    }
}

fn plan(house: &House) -> Value {
    let header = house.encoder(EPOCH).header();
    json!({"header": header, "source": "population", "records": 1, "referenceDate": house.reference().to_string()})
}

/// What a reply says of the role; `None` if it is none of the words of the table.
fn word(reply: &Reply) -> Option<&'static str> {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    // Each question of a batch is refused alone.
    let problem = answer.pointer("/answers/0/problem").unwrap_or(&answer);
    let status = problem["status"].as_u64().unwrap_or(reply.status.into());
    match (status, problem["code"].as_str().unwrap_or_default()) {
        // Any other article is a reason beside the role.
        (403, "refused") if problem["article"] == "default" || problem["article"] == "four-eyes" => Some("no"),
        (403, "refused") => Some("yes"),
        (404, code) if code.starts_with("unknown_") => Some("hidden"),
        (405, "no_such_method") => Some("none"),
        (200..300 | 409 | 410 | 422, _) => Some("yes"),
        _ => None,
    }
}

#[test]
fn every_path_by_every_method_in_every_role_is_what_the_table_says() {
    let ((roles, rights), world) = (table(), World::new());
    let paths: BTreeSet<&str> = rights.keys().map(|(path, _)| *path).collect();
    let (mut asked, mut wrong) = (0, Vec::new());
    for (at, role) in roles.iter().enumerate() {
        let tls = world.house.tls(Some(&world.card(role)));
        let mut line = Line::open(world.house.port(), tls).unwrap();
        for (path, method) in paths.iter().flat_map(|path| METHODS.map(|method| (*path, method))) {
            let want = rights.get(&(path, method)).map_or("none", |row| row[at]);
            let body = if want == "none" { Value::Null } else { world.body(method, path) };
            let kind = if path.contains("/chunks/") { "application/x-ndjson" } else { "application/json" };
            let bytes = if body.is_null() { String::new() } else { body.to_string() };
            let reply = line.send(method, &world.path(path), &[("Content-Type", kind)], bytes.as_bytes()).unwrap();
            // A head has no body to tell more.
            let told = if method == "HEAD" && reply.status == 405 { Some("none") } else { word(&reply) };
            if told != Some(want) {
                wrong.push(format!("{role} {method} {path}: {want}, but {} {}", reply.status, reply.text()));
            }
            asked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!("{asked} requests: {} paths, {} methods, {} roles", paths.len(), METHODS.len(), roles.len());
}

#[test]
fn the_table_has_every_operation_of_the_document_and_no_other() {
    let house = House::empty();
    let document: Value = serde_json::from_slice(&house.line(OFFICER).get("/v1/openapi.json").body).unwrap();
    let mut served = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let names = methods.as_object().unwrap().keys().map(|method| method.to_uppercase());
        served.extend(names.filter(|name| METHODS.contains(&name.as_str())).map(|name| (path.clone(), name)));
    }
    let known: BTreeSet<_> = table().1.into_keys().map(|(path, method)| (path.to_owned(), method.to_owned())).collect();
    assert_eq!(known, served);
}
