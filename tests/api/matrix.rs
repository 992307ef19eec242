//! Every path by every method in every role and on every listener, against tables that were written by hand from the
//! articles of the regulation and the documentation (`tests/data/roles.csv`, `tests/data/listeners.csv`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use rcgen::KeyPair;
use serde_json::{Value, json};
use time::Duration;
use voorrang::audit::Receipt;
use voorrang::cli::pki::{self, file_stem};
use voorrang::cli::regulation::activate_at;
use voorrang::regulate::Regulation;

use super::authority::{Root, pin};
use super::document;
use super::regulation::{CARE_OFFICER, of_case};
use super::support::*;
use super::walls::{house_of, ping, soon};

const TABLE: &str = include_str!("../data/roles.csv");
const LISTENERS: &str = include_str!("../data/listeners.csv");
const TEAM: &str = "sociaal-wijkteam-haarlem";
/// The number of the certificate that is revoked.
const REVOKED: u64 = 7;
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// What the table says of one operation, by role.
type Rights<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a str>>;

fn table(text: &'static str) -> (Vec<&'static str>, Rights<'static>) {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let roles = lines.next().unwrap().split_off(2);
    let rights: Rights<'_> = lines.map(|row| ((row[1], row[0]), row[2..].to_vec())).collect();
    assert!(rights.values().all(|row| row.len() == roles.len()));
    (roles, rights)
}

/// A service with something at every path.
struct World {
    house: House,
    root: Root,
    /// The Inway's key.
    inway: KeyPair,
    /// A batch of the corporation.
    batch: String,
    /// An answered question, which the care side may ask about.
    case: Receipt,
}

/// Another city with the same articles, in the same service: its folder of keys, and that of its regulation.
fn neighbour(house: &House, root: &Root) -> (PathBuf, PathBuf) {
    let (law, keys) = (house.file("elsewhere"), house.file("elsewhere-keys"));
    fs::create_dir(&law).unwrap();
    let text = fs::read_to_string(house.law().join("regulation.toml")).unwrap();
    let text = text.replace("id = \"haarlem\"", "id = \"elsewhere\"");
    let text = text.replace("\"0000009900000000", "\"0000009900000900");
    fs::write(law.join("regulation.toml"), text).unwrap();
    fs::copy(house.law().join("articles.cedar"), law.join("articles.cedar")).unwrap();
    let regulation = Regulation::load(&law).unwrap();
    pki::make(&keys, &regulation, "localhost:0").unwrap();
    let signed = pki::sign_all(&keys, &regulation).unwrap();
    for (number, party) in regulation.parties().iter().enumerate() {
        let issued = root.issue(party.oin.as_str(), 200 + number as u64, &KeyPair::generate().unwrap());
        fs::write(keys.join(format!("{}.pem", file_stem(&party.name))), &issued.certificate).unwrap();
        fs::write(keys.join(format!("{}.key", file_stem(&party.name))), &issued.key).unwrap();
    }
    fs::copy(house.keys().join("ca.pem"), keys.join("ca.pem")).unwrap();
    (keys, signed)
}

fn text(reply: &Reply, member: &str) -> String {
    let value: Value = serde_json::from_slice(&reply.body).unwrap();
    value[member].as_str().map_or_else(|| value[member].to_string(), str::to_owned)
}

impl World {
    fn new() -> Self {
        let (root, inway) = (Root::new("Root"), KeyPair::generate().unwrap());
        let mut house = house_of(&root, false);
        let (keys, elsewhere) = neighbour(&house, &root);
        house.configure(|table| {
            table["regulations"].as_array_mut().unwrap().push(elsewhere.to_str().unwrap().into());
            table["tls"]["inways"] = vec![format!("key:{}", pin(&inway))].into();
        });
        house.start();
        for stem in [ADMINISTRATOR, OFFICER] {
            let path = keys.join(format!("{stem}.toml"));
            let at_port = format!("https://localhost:{}", house.port());
            fs::write(&path, fs::read_to_string(&path).unwrap().replace("https://localhost:0", &at_port)).unwrap();
        }
        let (first, second) = (keys.join(format!("{ADMINISTRATOR}.toml")), keys.join(format!("{OFFICER}.toml")));
        activate_at(&elsewhere, &first, &second).unwrap();
        house.fill(EPOCH);
        let question = value(&house.encoder(EPOCH), FAMILY);
        let case = house.line(CORPORATION).ask(&question).answered().receipt;
        let header = house.encoder(EPOCH).header();
        let batch = json!({"header": header, "purpose": question["purpose"], "questions": 1});
        let batch = text(&house.line(CORPORATION).json("POST", "/v1/question-batches", &batch), "batch");
        Self { house, root, inway, batch, case }
    }

    fn card(&self, role: &str) -> Card {
        let issued = |oin: &str, number| Card::new(&self.root.issue(oin, number, &KeyPair::generate().unwrap()));
        let stem = match role {
            "administrator" => ADMINISTRATOR,
            "population" => POPULATION,
            "care" => CARE,
            "team" => TEAM,
            "corporation" => CORPORATION,
            "officer" => OFFICER,
            "second-officer" => CARE_OFFICER,
            "stranger" => return issued("00000099000000009999", 1),
            "outsider" => return issued("00000099000009004001", 2),
            "inway" | "silent-inway" => return Card::new(&self.root.issue("00000099000000007777", 3, &self.inway)),
            "revoked" => return issued("00000099000000005001", REVOKED),
            other => panic!("no role {other}"),
        };
        self.house.card(stem)
    }

    /// Opens connections of a role, as many as are asked for.
    fn lines(&self, role: &str, count: usize) -> Box<dyn FnMut() -> Line + '_> {
        let card = self.card(role);
        let open = move || Line::open(self.house.port(), self.house.tls(Some(&card))).unwrap();
        if role != "revoked" {
            return Box::new(open);
        }
        // All were there before their certificate was revoked, and no other comes in.
        let greeted = || {
            let mut line = open();
            assert_eq!(line.get("/v1/ping").status, 204);
            line
        };
        let mut before: Vec<Line> = (0..count).map(|_| greeted()).collect();
        let list = self.house.keys().join("list.pem");
        fs::write(list, self.root.list(&[REVOKED], Duration::HOUR)).unwrap();
        let other = self.card(role);
        soon("it is revoked", || ping(&self.house, &other).is_none());
        Box::new(move || before.pop().expect("there is one for each request"))
    }

    /// Contents that are kept, made anew where they are asked for: what is given back is no more.
    fn hold(&self, path: &str) -> String {
        if !path.contains("{hold}") {
            return String::new();
        }
        let range = json!({"from": 0, "to": 2});
        text(&self.house.line(OFFICER).json("POST", "/v1/access-log/holds", &range), "id")
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
            ("{hold}", &self.hold(template)),
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
            ("POST", "/group-questions") => of_case(&self.case, &question),
            ("POST", "/loads") => plan(&self.house),
            ("POST", "/loads/{load}/commit") => json!({"chunks": 7}),
            ("PUT", "/stock") => json!({"header": header, "dwellings": 10, "addresses": "AAAA"}),
            ("POST", "/epochs") => json!({
                "id": "haarlem-3", "regulation": "haarlem", "profile": "x", "schemaHash": "0".repeat(64), "participants": []
            }),
            ("PUT", "/epochs/{epoch}/share") => json!({"sealed": "no share"}),
            ("PUT", "/epochs/{epoch}/participants/{oin}") => json!({"recipient": "no key", "shares": {}}),
            ("POST", "/epochs/{epoch}/activate" | "/epochs/{epoch}/destroy") => json!({}),
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
    json!({"header": header, "source": "population", "records": 1, "referenceDate": house.reference().to_string(),
           "ages": ages()})
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
        (403, "not_the_holder" | "not_the_proposer") => Some("no"),
        (403, "certificate_refused" | "no_identity") => Some("out"),
        (404, "no_such_path") => Some("absent"),
        (404, code) if code.starts_with("unknown_") => Some("hidden"),
        (405, "no_such_method") => Some("none"),
        (200..300 | 409 | 410 | 422, _) => Some("yes"),
        _ => None,
    }
}

#[test]
fn every_path_by_every_method_in_every_role_is_what_the_table_says() {
    let ((roles, rights), world) = (table(TABLE), World::new());
    let paths: BTreeSet<&str> = rights.keys().map(|(path, _)| *path).collect();
    let (mut asked, mut wrong) = (0, Vec::new());
    for (at, role) in roles.iter().enumerate() {
        // Who is let in nowhere does not hear which methods there are.
        let is_out = rights.values().all(|row| row[at] == "out");
        let mut lines = world.lines(role, paths.len() * METHODS.len());
        let mut line = None;
        for (path, method) in paths.iter().flat_map(|path| METHODS.map(|method| (*path, method))) {
            let other = if is_out { "out" } else { "none" };
            // A head is asked for as its body is.
            let named = if method == "HEAD" { "GET" } else { method };
            let want = rights.get(&(path, named)).map_or(other, |row| row[at]);
            let body = if want == "none" { Value::Null } else { world.body(method, path) };
            let kind = if path.contains("/chunks/") { "application/x-ndjson" } else { "application/json" };
            let bytes = if body.is_null() { String::new() } else { body.to_string() };
            let mut headers = vec![("Content-Type", kind)];
            if *role == "inway" {
                headers.push(("Fsc-Peer-Id", "00000099000000004001"));
                headers.push(("Fsc-Transaction-Id", "01890a5d-ac96-774b-bcce-b302099a8057"));
            }
            // A connection ends with such a refusal.
            let open = if is_out { line.insert(lines()) } else { line.get_or_insert_with(&mut lines) };
            let reply = open.send(method, &world.path(path), &headers, bytes.as_bytes()).unwrap();
            if reply.header("connection") == Some("close") {
                line = None;
            }
            // A head has no body to tell more.
            let told = match (method, reply.status) {
                ("HEAD", 405) => Some("none"),
                ("HEAD", 403) if is_out => Some("out"),
                ("HEAD", 403) => Some("no"),
                ("HEAD", 404) => Some("hidden"),
                _ => word(&reply),
            };
            if told != Some(want) {
                wrong.push(format!("{role} {method} {path}: {want}, but {} {}", reply.status, reply.text()));
            }
            asked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let of = format!("{} paths, {} methods, {} roles", paths.len(), METHODS.len(), roles.len());
    // Past the harness, which swallows what a test that passes prints.
    writeln!(std::io::stderr(), "{asked} requests: {of}").unwrap();
}

/// What a listener without certificates says: the status and what stands in the body.
fn heard(mut stream: impl Read + Write, request: &str) -> Reply {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    Reply::bare(status, answer.split_off(end + 4))
}

#[test]
fn every_listener_has_the_paths_that_are_its_own_and_no_other() {
    let house = House::limited(&[]);
    let ((names, rights), (_, interface)) = (table(LISTENERS), table(TABLE));
    let own: BTreeSet<String> = rights.keys().map(|(path, _)| (*path).to_owned()).collect();
    let of_interface = interface.keys().map(|(path, _)| format!("/v1{}", path.replace(['{', '}'], "")));
    let all: BTreeSet<String> = own.iter().cloned().chain(of_interface).collect();
    let (mut asked, mut wrong) = (0, Vec::new());
    for (at, name) in names.iter().enumerate() {
        // The interface's own paths have the other table.
        for path in if *name == "service" { &own } else { &all } {
            let here = |method: &str| rights.get(&(path.as_str(), method)).map(|row| row[at]);
            let is_here = METHODS.iter().any(|method| here(method) == Some("yes"));
            for method in METHODS {
                let named = if method == "HEAD" { "GET" } else { method };
                let want = here(named).unwrap_or(if is_here { "none" } else { "absent" });
                let body = if method == "PUT" { "info" } else { "" };
                let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close");
                let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let card = (*name == "service").then(|| house.card(OFFICER));
                let tls = |port| Line::open(port, house.tls(card.as_ref())).unwrap().tls.into_inner();
                let reply = match *name {
                    "service" => heard(tls(house.port()), &request),
                    "documentation" => heard(tls(house.documentation()), &request),
                    _ => heard(TcpStream::connect(("127.0.0.1", house.internal())).unwrap(), &request),
                };
                let told = match (method, reply.status) {
                    (_, 200..400) => Some("yes"),
                    ("HEAD", 405) => Some("none"),
                    ("HEAD", 404) => Some("absent"),
                    _ => word(&reply),
                };
                if told != Some(want) {
                    wrong.push(format!("{name} {method} {path}: {want}, but {} {}", reply.status, reply.text()));
                }
                asked += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let of = format!("{} paths, {} methods, {} listeners", all.len(), METHODS.len(), names.len());
    writeln!(std::io::stderr(), "{asked} requests: {of}").unwrap();
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
    let known: BTreeSet<_> =
        table(TABLE).1.into_keys().map(|(path, method)| (path.to_owned(), method.to_owned())).collect();
    assert_eq!(known, served);
}

#[test]
fn the_document_names_the_roles_that_the_table_does() {
    const COLUMNS: [(&str, &[&str]); 6] = [
        ("administrator", &["administrator"]),
        ("population custodian", &["population"]),
        ("care custodian", &["care"]),
        ("district team", &["team"]),
        ("corporation", &["corporation"]),
        // A proposal is another officer's to confirm.
        ("privacy officer", &["officer", "second-officer"]),
    ];
    let page = include_str!("../../docs/api.md");
    let (roles, rights) = table(TABLE);
    for ((path, method), row) in &rights {
        let may = |role: &str| row[roles.iter().position(|one| *one == role).unwrap()] == "yes";
        let operation = &document::document()["paths"][path][method.to_lowercase()];
        let told: BTreeSet<&str> = operation["x-roles"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let mut want: BTreeSet<&str> = COLUMNS
            .into_iter()
            .filter(|(_, columns)| columns.iter().any(|one| may(one)))
            .map(|(role, _)| role)
            .collect();
        if path.starts_with("/loads") {
            // The table's load is the population's; a care list is loaded likewise.
            want.insert("care custodian");
        }
        if (path, method) == (&"/proposals/{proposal}", &"DELETE") {
            // The table's proposal is an officer's; whoever may propose may withdraw.
            want.extend(["administrator", "corporation"]);
        }
        let everybody = may("stranger");
        assert_eq!(told, if everybody { BTreeSet::new() } else { want }, "{method} {path}");
        let all: Vec<&str> = operation["x-roles"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let who = match all.len() {
            0 => "everybody".to_owned(),
            6 => "every party".to_owned(),
            _ => all.join(", "),
        };
        let summary = operation["summary"].as_str().unwrap();
        let line = format!("| `{method} {path}` | {summary} | {who} |");
        assert!(page.contains(&line), "docs/api.md lacks: {line}");
    }
}
