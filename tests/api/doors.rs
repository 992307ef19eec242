//! Before anybody is let in, and while they are: handshakes that never end, files that are faulty, bodies that outlast a
//! certificate, and the listener that is open to everybody.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration as Wait, Instant};

use rcgen::KeyPair;
use rustls::HandshakeKind;
use time::Duration;
use toml::Value;
use voorrang::audit::Action;
use voorrang::cli::pki::Subject;

use super::authority::Root;
use super::question_batches::{send, wait};
use super::support::*;
use super::walls::*;

#[test]
fn silent_sockets_keep_nobody_from_a_handshake() {
    let mut house = House::built(true);
    house.start();
    let silent: Vec<TcpStream> = (0..700).map(|_| TcpStream::connect(("127.0.0.1", house.port())).unwrap()).collect();
    let began = Instant::now();
    assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204);
    assert!(began.elapsed() < Wait::from_secs(1), "{:?}", began.elapsed());
    soon("they are cut off, and in the log", || refused(&house, "tls_timeout") > 0);
    drop(silent);
}

#[test]
fn a_faulty_certificate_of_the_service_stops_neither_revocation_nor_shutting_out() {
    let root = Root::new("Root");
    let mut house = house_of(&root, true);
    house.start();
    let inner = logged_port(&house, "internal=");
    let card = Card::new(&root.issue(YMERE, 7, &KeyPair::generate().unwrap()));
    let mut open = Line::open(house.port(), house.tls(Some(&card))).unwrap();
    let (mut care, mut other) = (house.line(CARE), house.line(OFFICER));
    assert_eq!((open.get("/v1/ping").status, care.get("/v1/ping").status), (204, 204));
    for file in ["server.pem", "roots.pem"] {
        fs::write(house.keys().join(file), "no certificate").unwrap();
    }
    fs::write(house.keys().join("list.pem"), root.list(&[7], Duration::HOUR)).unwrap();
    soon("the revoked one is out", || open.get("/v1/ping").status == 403);
    let parties = house.regulation.parties();
    let care_oin = parties.iter().find(|one| voorrang::cli::pki::file_stem(&one.name) == CARE).unwrap().oin.to_string();
    house.configure(|table| table["tls"]["shut_out"] = vec![care_oin].into());
    soon("whoever is shut out is out", || care.get("/v1/ping").status == 403);
    assert_eq!(other.get("/v1/ping").status, 204, "the others stay");
    assert_eq!(
        house.line(OFFICER).get("/v1/ping").status,
        204,
        "and come in by the certificate and the roots of before"
    );
    let (_, found) = inside(inner, "GET /readyz");
    assert!(found.contains("files_faulty") && found.contains("server.pem") && found.contains("roots.pem"), "{found}");
    // And a list that is faulty beside them still closes the door.
    fs::write(house.keys().join("list.pem"), "no list").unwrap();
    soon("the door closes", || other.get("/v1/ping").status == 403);
    fs::write(house.keys().join("list.pem"), root.list(&[7], Duration::HOUR)).unwrap();
    let card = house.card(OFFICER);
    soon("the door opens", || ping(&house, &card) == Some(204));
}

#[test]
fn whoever_is_shut_out_while_its_question_comes_is_not_answered() {
    let mut house = House::built(false);
    house.configure(|table| table["tls"]["reload_seconds"] = 1.into());
    house.start();
    house.fill(EPOCH);
    let body = value(&house.encoder(EPOCH), FAMILY).to_string();
    let (first, rest) = body.as_bytes().split_at(body.len() / 2);
    let mut slow = house.line(CORPORATION);
    slow.head("POST", "/v1/priority-questions", &[("Content-Type", "application/json")], body.len()).unwrap();
    slow.write(first).unwrap();
    let mut other = house.line(CORPORATION);
    assert_eq!(other.get("/v1/ping").status, 204);
    house.configure(|table| table["tls"]["shut_out"] = vec![YMERE].into());
    soon("it is shut out", || other.get("/v1/ping").status == 403);
    slow.write(rest).unwrap();
    let reply = slow.reply("POST").unwrap();
    reply.is_problem(403, "certificate_refused");
    assert_eq!(reply.header("connection"), Some("close"));
    let asked = house.log().into_iter().filter(|entry| entry.action == Action::Ask);
    assert_eq!(asked.count(), 0);
}

#[test]
fn a_batch_of_whoever_is_shut_out_waits() {
    let mut house = House::built(false);
    house.configure(|table| table["tls"]["reload_seconds"] = 1.into());
    house.start();
    house.fill(EPOCH);
    let encoder = house.encoder(EPOCH);
    let questions: Vec<_> = contracts().iter().cycle().take(600).map(|contract| value(&encoder, contract)).collect();
    let batch = send(&house, &questions, 10);
    // A stop cuts the batch short; what is left would go on at the start, whoever is shut out in between.
    house.stop();
    house.configure(|table| table["tls"]["shut_out"] = vec![YMERE].into());
    house.start();
    let asked = || house.log().into_iter().filter(|entry| entry.action == Action::Ask).count();
    let then = asked();
    assert!(then < questions.len(), "{then}: the stop came after the end of the batch");
    sleep(Wait::from_secs(2));
    assert_eq!((house.line(CORPORATION).get("/v1/ping").status, asked()), (403, then));
    house.configure(|table| table["tls"]["shut_out"] = Value::Array(Vec::new()));
    soon("it is let in again", || house.line(CORPORATION).get("/v1/ping").status == 204);
    let done = wait(&house, batch);
    assert_eq!(done.answered + done.refused, 600);
}

#[test]
fn the_listener_for_everybody_has_the_walls_of_the_other_one() {
    let house = House::empty();
    let (port, tls) = (house.documentation(), std::sync::Arc::new(house.tls(None)));
    for head in [
        "GET /v1/openapi.json HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET https://x/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "GET /v1/openapi%2ejson HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n",
    ] {
        let mut line = Line::open(port, tls.clone()).unwrap();
        line.write(head.as_bytes()).unwrap();
        let reply = line.reply("GET").unwrap();
        let status = if head.contains("Expect") { 417 } else { 400 };
        assert_eq!((reply.problem().status, reply.header("connection")), (status, Some("close")), "{head}");
    }
    // The same configuration remembers sessions, if it is given any.
    for port in [port, house.port()] {
        let tls = if port == house.port() { house.tls(Some(&house.card(OFFICER))).into() } else { tls.clone() };
        for _ in 0..3 {
            let mut line = Line::open(port, std::sync::Arc::clone(&tls)).unwrap();
            drop(line.exchange("GET", "/v1/openapi.json", &[], b"").unwrap());
            let connection = &line.tls.get_ref().conn;
            assert_eq!(
                (connection.tls13_tickets_received(), connection.handshake_kind()),
                (0, Some(HandshakeKind::Full))
            );
        }
    }
}

#[test]
fn the_listener_for_everybody_has_room_for_some_hundreds_and_the_next_one_waits() {
    let mut house = House::built(true);
    house.start();
    let (port, tls) = (logged_port(&house, "documentation="), std::sync::Arc::new(house.tls(None)));
    let read = |line: &mut Line| line.exchange("GET", "/", &[], b"").map(|reply| reply.status).ok();
    let mut open = Vec::new();
    for _ in 0..512 {
        let mut line = Line::open(port, tls.clone()).unwrap();
        assert_eq!(read(&mut line), Some(303));
        open.push(line);
    }
    let mut next = Line::open(port, tls.clone()).unwrap();
    next.tls.get_ref().sock.set_read_timeout(Some(Wait::from_secs(1))).unwrap();
    assert_eq!(read(&mut next), None);
    open.truncate(500);
    sleep(Wait::from_millis(500));
    assert_eq!(read(&mut Line::open(port, tls.clone()).unwrap()), Some(303));
    assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204);
}

#[test]
fn a_number_of_a_query_has_the_bounds_that_the_document_says() {
    let house = House::empty();
    let mut line = house.line(OFFICER);
    let document: serde_json::Value = serde_json::from_slice(&line.get("/v1/openapi.json").body).unwrap();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let parameters = methods["get"]["parameters"].as_array().into_iter().flatten();
        for number in parameters.filter(|one| one["in"] == "query" && one["schema"]["type"] == "integer") {
            let (name, schema) = (number["name"].as_str().unwrap(), &number["schema"]);
            let most = schema["maximum"].as_u64().unwrap_or_else(|| panic!("{name} of {path} has no maximum"));
            if path.contains('{') {
                continue;
            }
            for beyond in [most + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
                let refused = line.get(&format!("/v1{path}?{name}={beyond}")).is_problem(400, "query");
                assert_eq!(refused.errors[0].pointer, format!("/{name}"));
                asked += 1;
            }
        }
    }
    assert!(asked > 4);
}

#[test]
fn a_path_has_one_spelling_and_a_parameter_comes_once() {
    let house = House::empty();
    let twice = house.line(OFFICER).get("/v1/access-log/entries?from=1&from=2").is_problem(400, "query");
    let told: Vec<_> = twice.errors.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
    assert_eq!(told, [("/from", "is there more than once")]);
    for path in ["/v1/priority-batche%73", "/v1/%6coads", "/v1/./%2e%2e/loads"] {
        let reply = house.line(CORPORATION).exchange("POST", path, &[("Content-Type", "application/json")], b"{}");
        reply.unwrap().is_problem(400, "escape");
    }
    for number in ["00", "+1", "01", "-0"] {
        house.line(OFFICER).get(&format!("/v1/access-log/proofs/{number}")).is_problem(404, "path");
        let hold = format!("/v1/access-log/holds/{number}");
        house.line(OFFICER).send("DELETE", &hold, &[], b"").unwrap().is_problem(404, "path");
        for upload in ["loads", "question-batches"] {
            let chunk = format!("/v1/{upload}/{}/chunks/{number}", "0".repeat(32));
            let headers = [("Content-Type", "application/x-ndjson")];
            house.line(CORPORATION).send("PUT", &chunk, &headers, b"{}").unwrap().is_problem(404, "path");
        }
    }
}

#[test]
fn a_service_that_knows_no_revocation_list_says_so_unless_that_is_meant() {
    let mut house = House::built(true);
    house.configure(|table| drop(table["tls"].as_table_mut().unwrap().remove("without_crls")));
    house.start();
    let warned = |house: &House| fs::read_to_string(house.stderr()).unwrap().contains("revocation_unchecked");
    assert!(warned(&house));
    assert!(inside(logged_port(&house, "internal="), "GET /readyz").1.contains("revocation_unchecked"));
    house.configure(|table| drop(table["tls"].as_table_mut().unwrap().insert("without_crls".into(), true.into())));
    house.restart();
    assert!(!warned(&house));
    assert!(!inside(logged_port(&house, "internal="), "GET /readyz").1.contains("revocation_unchecked"));
}

#[test]
fn every_number_of_an_alarm_or_the_dashboard_is_one_that_the_service_tells() {
    let mut house = House::built(true);
    house.start();
    house.line(CORPORATION).get("/v1/ping");
    drop(Line::open(house.port(), house.tls(None)).and_then(|mut line| line.exchange("GET", "/v1/ping", &[], b"")));
    let mut told = String::new();
    soon("a refusal is counted", || {
        told = inside(logged_port(&house, "internal="), "GET /metrics").1;
        told.contains("voorrang_refused_total")
    });
    let told: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let manual = fs::read_to_string(packaged("docs/operations.md")).unwrap();
    for file in ["packaging/prometheus/alerts.yml", "packaging/grafana/voorrang.json"] {
        let text = fs::read_to_string(packaged(file)).unwrap();
        let names = text.match_indices("voorrang_").map(|(at, _)| {
            let name = text[at..].split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap();
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
        });
        let names: BTreeSet<&str> = names.collect();
        assert!(names.len() > 5, "{file}: {names:?}");
        assert!(names.iter().all(|name| told.contains(name)), "{file}: {names:?} are not all of {told:?}");
        for alarm in text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
            assert!(manual.contains(&format!("| {alarm} |")), "{alarm} is not in the manual");
        }
    }
}

/// What is full before anybody is refused is seen coming, whoever fills it.
#[test]
fn connections_handshakes_memory_and_files_are_told() {
    let mut house = House::built(true);
    house.start();
    let port = logged_port(&house, "internal=");
    let number = |name: &str| -> usize {
        let told = inside(port, "GET /metrics").1;
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("voorrang_{name} ")).map(str::to_owned));
        line.unwrap_or_else(|| panic!("{name}: {told}")).parse::<f64>().unwrap() as usize
    };
    soon("those of the start are closed", || number("connections") == 0);
    let (files, memory) = (number("open_files"), number("resident_bytes"));
    assert!((5..500).contains(&files) && (10 << 20..1 << 30).contains(&memory), "{files} files, {memory} bytes");
    assert_eq!((number("outbox_waiting"), number("spans_lost_total")), (0, 0));
    let stranger = house.issue(&Subject::party("Somebody", "00000099000000009999"));
    let mut open: Vec<Line> = (0..20).map(|_| house.line(CORPORATION)).collect();
    open.push(Line::open(house.port(), house.tls(Some(&stranger))).unwrap());
    open.iter_mut().for_each(|line| assert!(line.exchange("GET", "/v1/ping", &[], b"").is_ok()));
    assert_eq!(number("connections"), open.len());
    assert!(number("open_files") >= files + open.len());
    let silent: Vec<TcpStream> = (0..30).map(|_| TcpStream::connect(("127.0.0.1", house.port())).unwrap()).collect();
    soon("handshakes are counted", || number("handshakes") == silent.len());
    assert_eq!(number("connections"), open.len(), "and are no connections yet");
    drop((open, silent));
    soon("what is closed is gone", || number("connections") == 0 && number("handshakes") == 0);
    assert_eq!(number("connections_limit"), 16_384);
}

/// A file of the project.
fn packaged(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
