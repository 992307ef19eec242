//! The client certificate says who asks, for every request, and nothing else does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustls::client::{ClientSessionMemoryCache, ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, SignatureScheme};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use voorrang::audit::{Action, Outcome};
use voorrang::cli::pki::{Authority, Subject};

use super::support::*;

const OIN: &str = "00000099000000004001";

/// Whether anything of HTTP comes back from a connection with this certificate.
fn answers(house: &House, card: Option<&Card>) -> bool {
    Line::open(house.port(), house.tls(card)).and_then(|mut line| line.send("GET", "/v1/ping", &[], b"")).is_ok()
}

#[test]
fn without_a_certificate_of_the_roots_nothing_is_answered() {
    let house = House::empty();
    assert!(answers(&house, Some(&house.card(CORPORATION))));
    assert!(!answers(&house, None), "no certificate");
    let foreign = Authority::new("Voorrang development root").unwrap();
    let foreign = Card::new(&foreign.issue(&Subject::party("Ymere", OIN)).unwrap());
    assert!(!answers(&house, Some(&foreign)), "another authority, the same names");
    let now = OffsetDateTime::now_utc();
    let (year, day) = (Duration::days(365), Duration::DAY);
    for (from, until) in [(now - year, now - day), (now - year, now - Duration::SECOND), (now + day, now + year)] {
        let subject = Subject { not_before: from, not_after: until, ..Subject::party("Ymere", OIN) };
        assert!(!answers(&house, Some(&house.issue(&subject))), "{from} {until}");
    }
    let server = Subject { hosts: &["localhost"], ..Subject::party("Ymere", OIN) };
    assert!(!answers(&house, Some(&house.issue(&server))), "a server's certificate");
    // The right chain with another key.
    let (own, other) = (house.card(CORPORATION), house.card(OFFICER));
    assert!(!answers(&house, Some(&Card { chain: other.chain, key: own.key })), "a certificate without its key");
    let refused = || house.log().into_iter().filter(|entry| entry.action == Action::Connect).collect::<Vec<_>>();
    let until = Instant::now() + std::time::Duration::from_secs(20);
    while refused().len() < 7 && Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let mut codes: Vec<_> = refused().into_iter().map(|entry| entry.result.to_string()).collect();
    codes.sort();
    let (bad, expired, none) = ("refused:tls_bad_signature", "refused:tls_expired", "refused:tls_no_certificate");
    assert_eq!(codes, [bad, bad, "refused:tls_certificate", expired, expired, none, "refused:tls_not_yet_valid"]);
    for entry in refused() {
        let shown = if entry.result.to_string() == none { 0 } else { 64 };
        assert_eq!((entry.actor.oin, entry.actor.certificate.len()), (None, shown));
    }
}

#[test]
fn a_certificate_without_a_usable_oin_names_nobody() {
    let house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    for oin in ["", "4001", "0000009900000000400x", "000000990000000040011", "00000099000000004001 "] {
        let card = house.issue(&Subject::party("Ymere", oin));
        let line = || Line::open(house.port(), house.tls(Some(&card))).unwrap();
        for path in ["/v1/ping", "/v1/service", "/v1/nothing"] {
            let reply = line().get(path);
            reply.is_problem(403, "no_identity");
            assert_eq!(reply.header("connection"), Some("close"), "nothing more is heard from it");
        }
        line().ask(&question).is_problem(403, "no_identity");
    }
}

#[test]
fn identity_headers_change_nothing() {
    let house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY).to_string();
    let certificate = "Subject=\"serialNumber=00000099000000004001,O=Ymere\"";
    let names = [
        "X-Forwarded-Client-Cert",
        "X-SSL-Client-S-DN",
        "X-SSL-Client-Cert",
        "X-Client-Id",
        "X-Client-OIN",
        "OIN",
        "Forwarded",
        "X-Forwarded-For",
        "X-Real-IP",
        "Authorization",
        "Cookie",
        "From",
    ];
    for name in names {
        for value in [certificate, OIN, "for=10.0.0.1"] {
            let headers = [("Content-Type", "application/json"), (name, value)];
            let mut line = house.line(CARE);
            let reply = line.send("POST", "/v1/priority-questions", &headers, question.as_bytes()).unwrap();
            reply.is_problem(403, "refused");
            if value == OIN {
                let entry = house.entry_of(&reply).unwrap();
                assert_eq!(entry.actor.oin.unwrap().as_str(), "00000099000000003000", "{name}");
                assert_eq!(entry.actor.role, "care-custodian", "{name}");
            }
        }
    }
    let asked = house.log().into_iter().filter(|e| matches!(e.result, Outcome::Answered)).count();
    assert_eq!(asked, 0);
}

/// Shows the certificate in the first handshake only.
#[derive(Debug)]
struct Once {
    key: Arc<CertifiedKey>,
    shown: AtomicBool,
}

impl ResolvesClientCert for Once {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        (!self.shown.swap(true, Ordering::SeqCst)).then(|| self.key.clone())
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn a_session_cannot_be_resumed_in_place_of_a_certificate() {
    let house = House::empty();
    let card = house.card(CORPORATION);
    let once = Arc::new(Once { key: Arc::new(card.certified()), shown: AtomicBool::new(false) });
    let mut config = client_tls(&house.keys().join("ca.pem")).with_client_cert_resolver(once);
    config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(32)));
    let config = Arc::new(config);
    let mut first = Line::open(house.port(), config.clone()).unwrap();
    assert_eq!(first.get("/v1/ping").status, 204);
    assert_eq!(first.tls.get_ref().conn.tls13_tickets_received(), 0);
    drop(first);
    let mut second = Line::open(house.port(), config).unwrap();
    let reply = second.send("GET", "/v1/ping", &[], b"");
    assert!(reply.is_err(), "{reply:?}");
    assert_ne!(second.tls.get_ref().conn.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn a_certificate_that_expires_on_an_open_connection_is_refused_at_the_next_request() {
    let house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    let until = OffsetDateTime::now_utc() + Duration::seconds(3);
    let card = house.issue(&Subject { not_after: until, ..Subject::party("Ymere", OIN) });
    let mut line = Line::open(house.port(), house.tls(Some(&card))).unwrap();
    assert_eq!(line.ask(&question).answered().answer, "priority");
    let wait = until - OffsetDateTime::now_utc() + Duration::milliseconds(1100);
    std::thread::sleep(wait.try_into().unwrap_or_default());
    line.ask(&question).is_problem(403, "no_identity");
    let asked = house.log().into_iter().filter(|entry| entry.action == Action::Ask).count();
    assert_eq!(asked, 1);
}

/// Who may do what, written by hand: administrator, population, care, corporation, officer, an organisation that is
/// no party.
#[test]
fn every_role_may_do_exactly_what_this_table_says() {
    let house = House::open();
    house.announce("haarlem-2").unwrap();
    let encoder = house.encoder(EPOCH);
    let header = serde_json::to_value(encoder.header()).unwrap();
    let plan = |source: &str| {
        let mut plan = json!({"header": header, "source": source, "records": 1, "referenceDate": "2026-01-01"});
        if source == "population" {
            plan["ages"] = ages();
        }
        plan
    };
    let begin = |stem: &str, source: &str| -> String {
        let reply = house.line(stem).json("POST", "/v1/loads", &plan(source));
        serde_json::from_slice::<Value>(&reply.body).unwrap()["load"].as_str().unwrap().to_owned()
    };
    let (population, care) = (begin(POPULATION, "population"), begin(CARE, "care"));
    let stock = {
        // Its form is refused, after the role was judged.
        json!({"header": header, "dwellings": 10, "addresses": "AAAA"})
    };
    let new = json!({"id": "haarlem-3", "regulation": "haarlem", "profile": "x", "schemaHash": "0".repeat(64), "participants": []});
    let share = json!({"sealed": "no share"});
    let since = json!({"startTime": 0});
    let subject = json!({"epoch": "haarlem-1", "address": "BwcHBwcHBwcHBwcHBwcHBw=="});
    let resealed = json!({"recipient": "no key", "shares": {}});
    let (chunk_p, chunk_c) = (format!("/v1/loads/{population}/chunks/0"), format!("/v1/loads/{care}/chunks/0"));
    let (commit_p, commit_c) = (format!("/v1/loads/{population}/commit"), format!("/v1/loads/{care}/commit"));
    let (none, commit, question) = (json!(null), json!({"chunks": 7}), value(&encoder, FAMILY));
    type Row<'a> = (&'a str, &'a str, &'a Value, [u16; 6]);
    let (plan_p, plan_c) = (plan("population"), plan("care"));
    let table: [Row<'_>; 24] = [
        ("GET", "/v1/ping", &none, [204, 204, 204, 204, 204, 204]),
        ("GET", "/v1/service", &none, [200, 200, 200, 200, 200, 200]),
        ("POST", "/v1/priority-questions", &question, [403, 403, 403, 200, 403, 403]),
        ("POST", "/v1/loads", &plan_p, [403, 201, 403, 403, 403, 403]),
        ("POST", "/v1/loads", &plan_c, [403, 403, 201, 403, 403, 403]),
        ("PUT", &chunk_p, &none, [404, 422, 404, 404, 404, 404]),
        ("PUT", &chunk_c, &none, [404, 404, 422, 404, 404, 404]),
        ("POST", &commit_p, &commit, [404, 409, 404, 404, 404, 404]),
        ("POST", &commit_c, &commit, [404, 404, 409, 404, 404, 404]),
        ("PUT", "/v1/stock", &stock, [403, 403, 403, 422, 403, 403]),
        ("POST", "/v1/epochs", &new, [422, 403, 403, 403, 403, 403]),
        ("GET", "/v1/epochs/haarlem-1", &none, [200, 200, 200, 200, 200, 404]),
        ("PUT", "/v1/epochs/haarlem-2/share", &share, [403, 422, 422, 403, 403, 404]),
        ("GET", "/v1/epochs/haarlem-1/shares", &none, [403, 200, 200, 200, 403, 404]),
        ("GET", "/v1/epochs/haarlem-2/shares", &none, [403, 409, 409, 409, 403, 404]),
        ("POST", "/v1/epochs/haarlem-2/activate", &none, [409, 403, 403, 403, 403, 404]),
        ("PUT", "/v1/epochs/haarlem-1/participants/00000099000000004001", &resealed, [403, 422, 422, 403, 403, 404]),
        ("POST", "/v1/epochs/haarlem-2/retire", &none, [409, 403, 403, 403, 403, 404]),
        ("POST", "/v1/epochs/haarlem-1/abort", &none, [409, 403, 403, 403, 403, 404]),
        ("POST", "/v1/epochs/haarlem-1/destroy", &none, [409, 403, 403, 403, 403, 404]),
        ("GET", "/v1/access-log/checkpoint", &none, [403, 403, 403, 403, 200, 403]),
        ("GET", "/v1/access-log/entries", &none, [403, 403, 403, 403, 200, 403]),
        ("POST", "/v1/access-log/subjects", &subject, [403, 403, 403, 403, 200, 403]),
        ("POST", "/v1/processing-activities", &since, [403, 403, 403, 403, 200, 403]),
    ];
    let stranger = house.issue(&Subject::party("Ymere", "00000099000000009999"));
    let people = [ADMINISTRATOR, POPULATION, CARE, CORPORATION, OFFICER].map(|stem| house.card(stem));
    let mut refusals = Vec::new();
    for (method, path, body, want) in table {
        for (card, want) in people.iter().chain([&stranger]).zip(want) {
            let kind = if path.contains("/chunks/") { "application/x-ndjson" } else { "application/json" };
            let text = body.to_string();
            let bytes = if body.is_null() && method == "GET" { "" } else { &text };
            let mut line = Line::open(house.port(), house.tls(Some(card))).unwrap();
            let reply = line.send(method, path, &[("Content-Type", kind)], bytes.as_bytes()).unwrap();
            assert_eq!(reply.status, want, "{method} {path}: {}", reply.text());
            if want == 403 {
                let problem = reply.is_problem(403, "refused");
                assert_eq!(problem.article.as_deref(), Some("default"));
                refusals.push(problem.trace_id);
            }
        }
    }
    let log = house.log();
    for trace in refusals {
        let found: Vec<_> = log.iter().filter(|entry| entry.trace_id.to_string() == trace).collect();
        assert_eq!(found.len(), 1, "each refusal has one entry");
        assert_eq!(String::from(found[0].result.clone()), "refused:default");
    }
}

#[test]
fn nobody_writes_the_log() {
    let house = House::open();
    let paths = ["/v1/access-log/entries", "/v1/access-log/entries/0", "/v1/access-log/checkpoint", "/v1/access-log"];
    for stem in [ADMINISTRATOR, OFFICER, CORPORATION] {
        for path in paths {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let reply = house.line(stem).json(method, path, &json!({}));
                assert!(matches!(reply.problem().status, 404 | 405), "{stem} {method} {path}");
            }
        }
    }
    house.verify(&[]).unwrap();
}

#[test]
fn a_party_of_no_regulation_sees_no_epoch() {
    let house = House::open();
    let stranger = house.issue(&Subject::party("Ymere", "00000099000000009999"));
    let mut line = Line::open(house.port(), house.tls(Some(&stranger))).unwrap();
    let view: Value = serde_json::from_slice(&line.get("/v1/service").body).unwrap();
    assert_eq!((&view["epochs"], &view["regulations"]), (&json!([]), &json!([])));
    let (real, invented) = (line.get("/v1/epochs/haarlem-1/shares"), line.get("/v1/epochs/haarlem-9/shares"));
    let (real, invented) = (real.is_problem(404, "unknown_epoch"), invented.is_problem(404, "unknown_epoch"));
    assert_eq!((real.title, real.detail), (invented.title, invented.detail), "what exists looks like what does not");
}
