//! Certificates change while connections are open: who is revoked, shut out or comes with another key is out, and
//! nobody else notices.

use std::fs;
use std::thread::sleep;
use std::time::{Duration as Wait, Instant};

use rcgen::KeyPair;
use rustls::ProtocolVersion;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use toml::Value;
use voorrang::answer::checkup::examine;
use voorrang::answer::server;
use voorrang::answer::wire::law::Pending;
use voorrang::audit::{Action, Outcome};
use voorrang::cli::pki::file_stem;

use super::authority::*;
use super::support::*;

pub const YMERE: &str = "00000099000000004001";

/// A house whose parties have certificates of this root only, and its revocation list.
pub fn house_of(root: &Root, outside: bool) -> House {
    let house = House::built(outside);
    house.believe(&root.certificate());
    for (number, party) in house.regulation.parties().iter().enumerate() {
        let key = KeyPair::generate().unwrap();
        house.give(&file_stem(&party.name), &root.issue(party.oin.as_str(), 100 + number as u64, &key));
    }
    fs::write(house.keys().join("list.pem"), root.list(&[], Duration::HOUR)).unwrap();
    house.configure(|table| {
        let tls = table["tls"].as_table_mut().unwrap();
        tls.insert("crls".into(), vec!["list.pem"].into());
        tls.remove("without_crls");
        tls.insert("reload_seconds".into(), 1.into());
    });
    house
}

/// Whether somebody with this certificate gets an answer, and which.
pub fn ping(house: &House, card: &Card) -> Option<u16> {
    let mut line = Line::open(house.port(), house.tls(Some(card))).ok()?;
    line.send("GET", "/v1/ping", &[], b"").ok().map(|reply| reply.status)
}

/// Waits until it holds, at most ten seconds.
pub fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Wait::from_secs(10);
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        sleep(Wait::from_millis(100));
    }
}

/// Refused connections in the log, by code, with their numbers.
pub fn refused(house: &House, code: &str) -> u32 {
    let entries = house.log().into_iter().filter(|entry| entry.action == Action::Connect);
    let ours = entries.filter(|entry| entry.result.code() == Some(code));
    ours.map(|entry| entry.count.unwrap_or(1)).sum()
}

#[test]
fn rsa_and_elliptic_keys_of_several_roots_come_in_and_short_rsa_is_warned_of() {
    let (first, second) = (Root::new("First"), Root::new("Second"));
    let mut house = house_of(&first, true);
    house.believe(&second.certificate());
    fs::write(house.keys().join("second.pem"), second.list(&[], Duration::HOUR)).unwrap();
    let below = second.below("Below");
    fs::write(house.keys().join("below.pem"), below.list(&[], Duration::HOUR)).unwrap();
    house.configure(|table| {
        table["tls"]["crls"] = vec!["list.pem", "second.pem", "below.pem"].into();
    });
    house.start();
    let folder = tempfile::tempdir().unwrap();
    let (short, long) = (rsa(folder.path(), 2048), rsa(folder.path(), 3072));
    let keys = [KeyPair::generate().unwrap(), p384(), long, short];
    for (root, name) in [(&first, "first"), (&second, "second"), (&below, "below")] {
        for (number, key) in keys.iter().enumerate() {
            let card = Card::new(&root.issue(YMERE, number as u64 + 1, key));
            assert_eq!(ping(&house, &card), Some(204), "{name}, key {number}");
        }
    }
    let warned = fs::read_to_string(house.stderr()).unwrap();
    let warned: Vec<_> = warned.lines().filter(|line| line.contains("shorter than 3072 bits")).collect();
    assert_eq!(warned.len(), 3, "one for each certificate: {warned:?}");
    assert!(warned.iter().all(|line| line.contains("bits=2048") && !line.contains(YMERE)), "{warned:?}");
}

#[test]
fn a_revoked_certificate_is_out_on_open_connections_too_and_others_stay() {
    let root = Root::new("Root");
    let mut house = house_of(&root, false);
    house.start();
    let card = Card::new(&root.issue(YMERE, 7, &KeyPair::generate().unwrap()));
    let mut open = Line::open(house.port(), house.tls(Some(&card))).unwrap();
    let mut other = house.line(OFFICER);
    assert_eq!((open.get("/v1/ping").status, other.get("/v1/ping").status), (204, 204));
    fs::write(house.keys().join("list.pem"), root.list(&[7], Duration::HOUR)).unwrap();
    let mut last = None;
    soon("the open connection is refused", || {
        last = Some(open.get("/v1/ping"));
        last.as_ref().unwrap().status != 204
    });
    let last = last.unwrap();
    last.is_problem(403, "certificate_refused");
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(ping(&house, &card), None, "a new connection");
    assert_eq!(other.get("/v1/ping").status, 204, "the same connection as before");
    soon("both refusals are in the log", || refused(&house, "tls_revoked") >= 2);
}

#[test]
fn without_a_revocation_list_in_date_nobody_comes_in() {
    let root = Root::new("Root");
    let mut house = house_of(&root, false);
    let list = house.keys().join("list.pem");
    let (good, old) = (root.list(&[], Duration::HOUR), root.list(&[], -Duration::MINUTE));
    for bad in [None, Some(old.as_str()), Some("no list")] {
        match bad {
            Some(text) => fs::write(&list, text).unwrap(),
            None => fs::remove_file(&list).unwrap(),
        }
        let error = server::start(house.config(), house.clock.clone()).err().expect("it does not start");
        assert!(error.to_string().contains("list.pem") && error.to_string().contains("nobody is let in"), "{error}");
    }
    fs::write(&list, &good).unwrap();
    house.start();
    let (card, mut open) = (house.card(CORPORATION), house.line(CORPORATION));
    for bad in [None, Some("no list")] {
        match bad {
            Some(text) => fs::write(&list, text).unwrap(),
            None => fs::remove_file(&list).unwrap(),
        }
        soon("the open connection is refused", || open.get("/v1/ping").status == 403);
        assert_eq!(ping(&house, &card), None, "a new connection");
        fs::write(&list, &good).unwrap();
        soon("the door opens again", || ping(&house, &card) == Some(204));
        open = house.line(CORPORATION);
    }
    // One that ends while the service runs is not read again, and judges all the same.
    fs::write(&list, root.list(&[], Duration::seconds(3))).unwrap();
    soon("the list has ended", || ping(&house, &card).is_none());
    fs::write(&list, &good).unwrap();
    soon("the door opens again", || ping(&house, &card) == Some(204));
    assert!(refused(&house, "tls_revocation_list_ended") > 0);
}

/// What the doctor says of revocation lists, beside their end.
fn lists_found(house: &House) -> Vec<&'static str> {
    let found = examine(&house.config(), &house.clock).into_iter().map(|one| one.code);
    found.filter(|code| ["revocation_lists_doubled", "revocation_lists_gone_back"].contains(code)).collect()
}

#[test]
fn of_two_lists_of_one_authority_the_newer_counts_whatever_the_order_of_the_files() {
    let root = Root::new("Root");
    let mut house = house_of(&root, false);
    house.configure(|table| table["tls"]["crls"] = vec!["list.pem", "second.pem"].into());
    let card = Card::new(&root.issue(YMERE, 7, &KeyPair::generate().unwrap()));
    let ago = |minutes: i64| OffsetDateTime::now_utc() - Duration::minutes(minutes);
    let (same, others) = (ago(30), root.below("Below").list(&[], Duration::HOUR));
    for (what, newer, older) in [
        ("by time", root.list_of(&[7], ago(10), Duration::HOUR, 1), root.list_of(&[], ago(50), Duration::HOUR, 2)),
        ("by number", root.list_of(&[7], same, Duration::HOUR, 256), root.list_of(&[], same, Duration::HOUR, 255)),
        // What no longer counts may have ended.
        ("ended", root.list_of(&[7], ago(10), Duration::HOUR, 2), root.list_of(&[], ago(50), -Duration::MINUTE, 1)),
    ] {
        for (first, second) in [(&newer, &older), (&older, &newer)] {
            for (first, second) in [(first.clone(), second), (format!("{first}{second}"), &others)] {
                fs::write(house.keys().join("list.pem"), &first).unwrap();
                fs::write(house.keys().join("second.pem"), second).unwrap();
                assert_eq!(lists_found(&house), ["revocation_lists_doubled"], "{what}");
                house.start();
                assert_eq!(ping(&house, &card), None, "{what}: {first}{second}");
                assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204, "{what}: others come in");
                house.stop();
            }
        }
    }
}

#[test]
fn an_older_list_in_the_place_of_a_newer_one_counts_and_is_told() {
    let root = Root::new("Root");
    let mut house = house_of(&root, true);
    house.start();
    assert_eq!(lists_found(&house), [] as [&str; 0]);
    let told = |text: &str| inside(logged_port(&house, "internal="), "GET /readyz").1.contains(text);
    let said = || fs::read_to_string(house.stderr()).unwrap().contains("older than the one before");
    let list = |minutes: i64| {
        let made = OffsetDateTime::now_utc() - Duration::minutes(minutes);
        fs::write(house.keys().join("list.pem"), root.list_of(&[], made, Duration::DAY, 9)).unwrap();
    };
    list(30);
    soon("a newer one is read", || !told("revocation_lists_end"));
    assert!(!said() && !told("revocation_lists_gone_back"));
    list(90);
    soon("an older one is told", || said() && told("revocation_lists_gone_back"));
    // What was there before it is remembered, also behind one that is older still and one that is no list.
    for bad in ["", "no list"] {
        if bad.is_empty() {
            list(120)
        } else {
            fs::write(house.keys().join("list.pem"), bad).unwrap()
        }
        sleep(Wait::from_millis(2500));
    }
    list(40);
    soon("it is still older than the first", || told("revocation_lists_gone_back"));
    list(20);
    soon("the newest ends it", || !told("revocation_lists_gone_back"));
    // Of one time the number decides.
    let made = OffsetDateTime::now_utc() - Duration::minutes(10);
    let numbered =
        |number| fs::write(house.keys().join("list.pem"), root.list_of(&[], made, Duration::DAY, number)).unwrap();
    numbered(9);
    sleep(Wait::from_millis(2500));
    numbered(8);
    soon("an older number is told", || told("revocation_lists_gone_back"));
    numbered(10);
    soon("a newer number ends it", || !told("revocation_lists_gone_back"));
}

/// The port of another listener, as the service says it.
pub fn logged_port(house: &House, name: &str) -> u16 {
    let stderr = fs::read_to_string(house.stderr()).unwrap();
    let (_, rest) = stderr.rsplit_once(&format!("{name}127.0.0.1:")).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn the_service_takes_a_new_certificate_and_drops_no_connection() {
    let root = Root::new("Root");
    let mut house = house_of(&root, true);
    house.configure(|table| table["tls"]["reload_seconds"] = 60.into());
    house.start();
    let shown = |house: &House| {
        let mut line = Line::open(house.port(), house.tls(Some(&house.card(OFFICER)))).unwrap();
        assert_eq!(line.get("/v1/ping").status, 204);
        line.tls.get_ref().conn.peer_certificates().unwrap()[0].to_vec()
    };
    let mut open = house.line(CORPORATION);
    assert_eq!(open.get("/v1/ping").status, 204);
    let before = shown(&house);
    let documentation = logged_port(&house, "documentation=");
    let published = |house: &House| {
        let mut line = Line::open(documentation, house.tls(None)).unwrap();
        assert_eq!(line.get("/v1/openapi.json").status, 200);
        line.tls.get_ref().conn.peer_certificates().unwrap()[0].to_vec()
    };
    assert_eq!(published(&house), before);
    // Clients trust both authorities.
    let roots = fs::read_to_string(house.keys().join("ca.pem")).unwrap();
    let next = root.issue_server(900);
    fs::write(house.keys().join("server.pem"), &next.certificate).unwrap();
    // The key is not there yet.
    house.signal("HUP");
    let said = |text: &str| fs::read_to_string(house.stderr()).unwrap().contains(text);
    soon("it says so", || said("do not work together"));
    assert_eq!(shown(&house), before, "half a change is none");
    fs::write(house.keys().join("server.key"), &next.key).unwrap();
    house.signal("HUP");
    soon("it says so", || said("were read anew"));
    fs::write(house.keys().join("ca.pem"), root.certificate()).unwrap();
    assert_ne!(shown(&house), before);
    assert_eq!(published(&house), shown(&house), "the listener of the document has it too");
    assert_eq!(open.get("/v1/ping").status, 204, "the same connection as before");
    fs::write(house.keys().join("ca.pem"), roots).unwrap();
}

#[test]
fn who_is_shut_out_by_the_configuration_is_out_on_open_connections_too() {
    let root = Root::new("Root");
    let mut house = house_of(&root, false);
    house.start();
    let (mut open, mut other) = (house.line(CORPORATION), house.line(OFFICER));
    assert_eq!((open.get("/v1/ping").status, other.get("/v1/ping").status), (204, 204));
    house.configure(|table| table["tls"]["shut_out"] = vec![YMERE].into());
    soon("the open connection is refused", || open.get("/v1/ping").status == 403);
    house.line(CORPORATION).get("/v1/service").is_problem(403, "certificate_refused");
    for header in [("Accept", "image/png"), ("Content-Encoding", "gzip")] {
        let reply = house.line(CORPORATION).exchange("GET", "/v1/ping", &[header], b"").unwrap();
        reply.is_problem(403, "certificate_refused");
        assert_eq!(reply.header("connection"), Some("close"));
    }
    assert_eq!(other.get("/v1/ping").status, 204);
    soon("it is in the log", || refused(&house, "shut_out") >= 2);
    // A configuration that cannot be read changes nothing.
    house.configure(|table| table["tls"]["shut_out"] = vec!["everybody"].into());
    sleep(Wait::from_secs(2));
    house.line(CORPORATION).get("/v1/ping").is_problem(403, "certificate_refused");
    house.configure(|table| table["tls"]["shut_out"] = Value::Array(Vec::new()));
    soon("it is let in again", || house.line(CORPORATION).get("/v1/ping").status == 204);
}

#[test]
fn a_role_is_bound_to_its_issuer_and_a_party_to_its_key() {
    let (root, other) = (Root::new("Root"), Root::new("Other"));
    let mut house = house_of(&root, false);
    house.believe(&other.certificate());
    let (below, second) = (root.below("The corporations' own"), root.below("Somebody's own"));
    let lists = [("other.pem", &other), ("below.pem", &below), ("second.pem", &second)];
    for (name, authority) in lists {
        fs::write(house.keys().join(name), authority.list(&[], Duration::HOUR)).unwrap();
    }
    let key = KeyPair::generate().unwrap();
    house.configure(|table| {
        let tls = table["tls"].as_table_mut().unwrap();
        tls.insert("crls".into(), vec!["list.pem", "other.pem", "below.pem", "second.pem"].into());
        let bound = tls["bound"].as_table_mut().unwrap();
        bound.insert("corporation".into(), vec![root.pin(), below.pin()].into());
        bound.insert(YMERE.into(), vec![format!("key:{}", pin(&key)), format!("key:{}", pin(&p384()))].into());
    });
    house.start();
    let asked = |root: &Root, oin: &str, key: &KeyPair| ping(&house, &Card::new(&root.issue(oin, 50, key)));
    let fresh = KeyPair::generate().unwrap();
    assert_eq!(asked(&root, YMERE, &key), Some(204));
    assert_eq!(asked(&below, YMERE, &key), Some(204));
    for (root, oin, key, what) in [
        (&other, YMERE, &key, "another root"),
        (&second, YMERE, &key, "an authority of somebody's own under the right root"),
        (&root, YMERE, &fresh, "another key"),
        (&second, "00000099000000004002", &fresh, "a corporation that has no key of its own here"),
    ] {
        assert_eq!(asked(root, oin, key), Some(403), "{what}");
    }
    assert_eq!(asked(&other, "00000099000000005001", &fresh), Some(204), "an officer is bound to nothing");
    soon("they are in the log", || refused(&house, "other_key") >= 4);
}

/// A person with certificates of two parties for one key proposes as one of them and confirms as the other.
#[test]
fn one_key_in_the_certificates_of_two_parties_is_one_person() {
    let root = Root::new("Root");
    let mut house = house_of(&root, false);
    house.start();
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let write = |oin: &str, key: &KeyPair, path: &str, body: &serde_json::Value| {
        let card = Card::new(&root.issue(oin, 50, key));
        Line::open(house.port(), house.tls(Some(&card))).unwrap().json("POST", path, body)
    };
    let tap = json!({"oin": YMERE});
    let (officer, administrator) = ("00000099000000005001", "00000099000000001000");
    let proposed = write(officer, &key, "/v1/regulations/haarlem/taps", &tap);
    let pending: Pending = serde_json::from_slice(&proposed.body).unwrap_or_else(|_| panic!("{}", proposed.text()));
    let path = format!("/v1/proposals/{}/confirm", pending.proposal);
    let alone = write(administrator, &key, &path, &json!({}));
    assert_eq!(alone.is_problem(403, "refused").article.as_deref(), Some("four-eyes"));
    // Two keys are two people; there is no closed tap to open.
    write(administrator, &other, &path, &json!({})).is_problem(409, "store_conflict");
}

#[test]
fn connections_that_show_no_certificate_are_counted_and_fill_no_log() {
    let house = House::empty();
    let before = house.log().len();
    for _ in 0..300 {
        let opened = Line::open(house.port(), house.tls(None));
        assert!(opened.and_then(|mut line| line.send("GET", "/v1/ping", &[], b"")).is_err());
    }
    let mut garbage = std::net::TcpStream::connect(("127.0.0.1", house.port())).unwrap();
    std::io::Write::write_all(&mut garbage, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut reply = Vec::new();
    std::io::Read::read_to_end(&mut garbage, &mut reply).unwrap();
    assert!(!reply.windows(4).any(|four| four == b"HTTP"), "no plain answer");
    soon("they are in the log", || refused(&house, "tls_no_certificate") > 0 && refused(&house, "tls_malformed") == 1);
    let mut house = house;
    house.restart();
    assert_eq!(refused(&house, "tls_no_certificate"), 300, "each is counted, at the latest when the service stops");
    let entries = house.log().into_iter().skip(before).filter(|entry| entry.action == Action::Connect).count();
    assert!(entries <= 5, "{entries}");
}

#[test]
fn tls_1_2_is_spoken_only_where_it_is_configured() {
    for allowed in [false, true] {
        let mut house = House::built(false);
        house.configure(|table| table["tls"]["tls12"] = allowed.into());
        house.start();
        let card = house.card(OFFICER);
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(rustls::pki_types::pem::PemObject::from_pem_file(house.keys().join("ca.pem")).unwrap()).unwrap();
        let old = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(card.chain.clone(), card.key.clone_key())
            .unwrap();
        let reply = Line::open(house.port(), old).and_then(|mut line| {
            let reply = line.send("GET", "/v1/ping", &[], b"")?;
            Ok((reply.status, line.tls.get_ref().conn.protocol_version()))
        });
        assert_eq!(reply.ok(), allowed.then_some((204, Some(ProtocolVersion::TLSv1_2))));
    }
}

#[test]
fn an_inway_speaks_for_others_and_nobody_else_does() {
    const INWAY: &str = "00000099000000007777";
    const TRANSACTION: (&str, &str) = ("Fsc-Transaction-Id", "01939c0a-7d3c-7abc-9def-0123456789ab");
    let (root, key) = (Root::new("Root"), KeyPair::generate().unwrap());
    let mut house = House::built(false);
    house.believe(&root.certificate());
    house.configure(|table| table["tls"]["inways"] = vec![format!("key:{}", pin(&key))].into());
    house.start();
    let inway = Card::new(&root.issue(INWAY, 1, &key));
    let other = Card::new(&root.issue(INWAY, 2, &KeyPair::generate().unwrap()));
    let officer =
        house.regulation.parties().iter().find(|party| file_stem(&party.name) == OFFICER).unwrap().oin.clone();
    let get = |card: &Card, headers: &[(&str, &str)]| {
        let mut line = Line::open(house.port(), house.tls(Some(card))).unwrap();
        line.send("GET", "/v1/access-log/entries?from=0", headers, b"").unwrap()
    };
    let peer = ("Fsc-Peer-Id", officer.as_str());
    assert_eq!(get(&inway, &[peer, TRANSACTION]).status, 200);
    let entry = house.log().into_iter().rfind(|entry| entry.trace_id.to_string() == TRANSACTION.1.replace('-', ""));
    let actor = entry.expect("the transaction is the trace").actor;
    assert_eq!((actor.oin, actor.role.as_str()), (Some(officer.clone()), "privacy-officer"));
    get(&inway, &[]).is_problem(403, "no_identity");
    for bad in ["", "officer", "0000009900000000500"] {
        get(&inway, &[("Fsc-Peer-Id", bad)]).is_problem(403, "no_identity");
    }
    get(&inway, &[peer, peer]).is_problem(403, "no_identity");
    // The same name without the Inway's key, and a party with another's OIN: only the certificate counts.
    get(&other, &[peer]).is_problem(403, "refused");
    get(&house.card(CORPORATION), &[peer]).is_problem(403, "refused");
    for transaction in [&[][..], &[("Fsc-Transaction-Id", "4")], &[TRANSACTION, TRANSACTION]] {
        let headers = [&[peer], transaction].concat();
        get(&inway, &headers).is_problem(400, "fsc_transaction_id");
    }
    // A party of its own has no transaction.
    assert_eq!(get(&house.card(OFFICER), &[("Fsc-Transaction-Id", "4")]).status, 200);
    let mine = ("Fsc-Transaction-Id", "01939c0a-7d3c-7abc-9def-0123456789ac");
    assert_eq!(get(&house.card(OFFICER), &[mine]).status, 200);
    assert!(house.log().into_iter().all(|entry| entry.trace_id.to_string() != mine.1.replace('-', "")));
}

#[test]
fn behind_one_inway_two_parties_are_two_people_and_one_party_is_one_wherever_it_comes_from() {
    let (root, key) = (Root::new("Root"), KeyPair::generate().unwrap());
    let mut house = House::built(false);
    house.believe(&root.certificate());
    house.configure(|table| table["tls"]["inways"] = vec![format!("key:{}", pin(&key))].into());
    house.start();
    house.announce(EPOCH).unwrap();
    let inway = Card::new(&root.issue("00000099000000007777", 1, &key));
    let send = |by_inway: bool, stem: &str, method: &str, path: &str| {
        let parties = house.regulation.parties();
        let oin = parties.iter().find(|party| file_stem(&party.name) == stem).unwrap().oin.as_str();
        let own = house.card(stem);
        let mut line = Line::open(house.port(), house.tls(Some(if by_inway { &inway } else { &own }))).unwrap();
        let headers = [
            ("Content-Type", "application/json"),
            ("Fsc-Peer-Id", oin),
            ("Fsc-Transaction-Id", "01939c0a-7d3c-7abc-9def-0123456789ab"),
        ];
        line.send(method, path, &headers, if method == "POST" { b"{}" } else { b"" }).unwrap()
    };
    let propose = |by_inway: bool| {
        let reply = send(by_inway, ADMINISTRATOR, "POST", &format!("/v1/epochs/{EPOCH}/abort"));
        let waits: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        format!("/v1/proposals/{}", waits["proposal"].as_str().unwrap_or_else(|| panic!("{}", reply.text())))
    };
    for (proposed, confirmed) in [(true, true), (true, false), (false, true), (false, false)] {
        let act = propose(proposed);
        let alone = send(confirmed, ADMINISTRATOR, "POST", &format!("{act}/confirm"));
        let article = alone.is_problem(403, "refused").article;
        assert_eq!(article.as_deref(), Some("four-eyes"), "by Inway: {proposed}, then {confirmed}");
        assert_eq!(send(proposed, ADMINISTRATOR, "DELETE", &act).status, 200);
    }
    let act = propose(true);
    let both = send(true, OFFICER, "POST", &format!("{act}/confirm"));
    assert_eq!(both.status, 200, "{}", both.text());
    let mut aborted = house.log().into_iter().filter(|entry| entry.action == Action::EpochAbort);
    let done = aborted.find(|entry| entry.result == Outcome::Done).unwrap();
    assert_eq!(done.actor.oin.unwrap().as_str(), "00000099000000005001");
}

#[test]
fn an_inway_is_shut_out_and_bound_by_its_own_name_too() {
    const INWAY: &str = "00000099000000007777";
    let (root, key) = (Root::new("Root"), KeyPair::generate().unwrap());
    let mut house = House::built(false);
    house.believe(&root.certificate());
    house.configure(|table| {
        let tls = table["tls"].as_table_mut().unwrap();
        tls.insert("inways".into(), vec![format!("key:{}", pin(&key))].into());
        tls.insert("reload_seconds".into(), 1.into());
    });
    house.start();
    let mut line = Line::open(house.port(), house.tls(Some(&Card::new(&root.issue(INWAY, 1, &key))))).unwrap();
    let headers = [("Fsc-Peer-Id", YMERE), ("Fsc-Transaction-Id", "01939c0a-7d3c-7abc-9def-0123456789ab")];
    let mut asked = || line.send("GET", "/v1/ping", &headers, b"").unwrap().status;
    assert_eq!(asked(), 204);
    house.configure(|table| table["tls"]["shut_out"] = vec![INWAY].into());
    soon("it is shut out", || asked() == 403);
    let mut line = Line::open(house.port(), house.tls(Some(&Card::new(&root.issue(INWAY, 1, &key))))).unwrap();
    let mut asked = || line.send("GET", "/v1/ping", &headers, b"").unwrap();
    asked().is_problem(403, "certificate_refused");
    house.configure(|table| {
        table["tls"]["shut_out"] = Value::Array(Vec::new());
        let bound = table["tls"]["bound"].as_table_mut().unwrap();
        bound.insert(INWAY.into(), vec![format!("key:{}", pin(&p384()))].into());
    });
    soon("it is bound to another key", || {
        refused(&house, "other_key") > 0 || {
            let mut line = Line::open(house.port(), house.tls(Some(&Card::new(&root.issue(INWAY, 1, &key))))).unwrap();
            drop(line.send("GET", "/v1/ping", &headers, b""));
            false
        }
    });
}

/// What the internal listener says.
pub fn inside(port: u16, request: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (line, body) = request.split_once('\n').unwrap_or((request, ""));
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all((head + body).as_bytes()).unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn the_internal_listener_says_how_the_service_is_and_nothing_of_a_party() {
    let root = Root::new("Root");
    let mut house = house_of(&root, true);
    house.start();
    let port = logged_port(&house, "internal=");
    assert_eq!(inside(port, "GET /livez"), (200, "ok\n".into()));
    let readiness = || -> (u16, serde_json::Value) {
        let (status, body) = inside(port, "GET /readyz");
        (status, serde_json::from_str(&body).unwrap())
    };
    let (status, found) = readiness();
    assert_eq!((status, &found["ready"], &found["reasons"]), (200, &true.into(), &serde_json::json!([])));
    let codes = |found: &serde_json::Value, list: &str| -> Vec<String> {
        found[list].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    // Two roots have no list.
    assert_eq!(codes(&found, "warnings"), ["revocation_lists_end", "revocation_lists_of_others", "no_epoch"]);
    for _ in 0..3 {
        assert_eq!(house.line(CORPORATION).get("/v1/ping").status, 204);
    }
    house.line(CORPORATION).get("/v1/nothing/00000099000000004001").is_problem(404, "no_such_path");
    let (status, text) = inside(port, "GET /metrics");
    assert_eq!(status, 200);
    let line =
        |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
    assert!(
        line("voorrang_requests_total{method=\"GET\",route=\"/v1/ping\",status=\"204\"}").ends_with(" 3"),
        "{text}"
    );
    assert!(line("voorrang_requests_total{method=\"GET\",route=\"-\",status=\"404\"}").ends_with(" 1"), "{text}");
    for name in ["log_entries", "certificate_ends_seconds", "revocation_lists_end_seconds", "store_commits"] {
        let value: f64 = line(&format!("voorrang_{name} ")).rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value > 0.0, "{name}");
    }
    assert!(!text.contains("0000009900000000"), "no party: {text}");
    fs::write(house.keys().join("list.pem"), Root::new("Root").list(&[], Duration::HOUR)).unwrap();
    soon("another authority's list lets nobody in", || readiness().0 == 503);
    assert_eq!(codes(&readiness().1, "reasons"), ["revocation_lists_of_others"]);
    let told = "voorrang_finding{code=\"revocation_lists_of_others\",grade=\"error\"} 1";
    assert!(inside(port, "GET /metrics").1.contains(told));
    fs::remove_file(house.keys().join("list.pem")).unwrap();
    soon("there is none", || !codes(&readiness().1, "reasons").contains(&"revocation_lists_of_others".to_owned()));
    soon("it is not ready", || readiness().0 == 503);
    let (_, found) = readiness();
    assert_eq!(codes(&found, "reasons"), ["revocation_lists"]);
    assert_eq!(codes(&found, "warnings"), ["files_faulty", "no_epoch"]);
    assert!(inside(port, "GET /metrics").1.contains("voorrang_files_faulty 1"));
    assert_eq!(inside(port, "GET /log-level").1, "info\n");
    assert_eq!(inside(port, "PUT /log-level\nwarn").0, 204);
    assert_eq!((inside(port, "GET /log-level").1.as_str(), inside(port, "PUT /log-level\nloud").0), ("warn\n", 400));
    assert_eq!(inside(port, "GET /v1/service").0, 404, "nothing else is here");
    let mut slow = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    slow.set_read_timeout(Some(Wait::from_secs(15))).unwrap();
    let head = b"PUT /log-level HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nw";
    std::io::Write::write_all(&mut slow, head).unwrap();
    let mut reply = String::new();
    std::io::Read::read_to_string(&mut slow, &mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 408 ") && reply.contains("slow_body"), "{reply}");
}

#[test]
fn whoever_fills_the_internal_listener_is_silent_for_a_moment_only() {
    let mut house = House::built(true);
    house.start();
    let port = logged_port(&house, "internal=");
    let silent: Vec<_> = (0..64).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    sleep(Wait::from_millis(500));
    let began = Instant::now();
    assert_eq!(inside(port, "GET /livez"), (200, "ok\n".into()));
    let waited = began.elapsed();
    assert!((Wait::from_secs(2)..Wait::from_secs(15)).contains(&waited), "{waited:?}");
    drop(silent);
}

#[test]
fn a_lost_key_of_an_epoch_and_a_stop_are_told_inside() {
    let mut house = House::outside();
    house.stop();
    fs::rename(house.keys().join(format!("epoch-keys/epoch-{EPOCH}.key")), house.file("away")).unwrap();
    house.start();
    let port = logged_port(&house, "internal=");
    let (status, found) = inside(port, "GET /readyz");
    assert!(status == 503 && found.contains("\"epoch_key\""), "{found}");
    assert!(inside(port, "GET /metrics").1.contains("voorrang_finding{code=\"epoch_key\",grade=\"error\"} 1"));
    let mut running = house.line(CORPORATION);
    running.head("POST", "/v1/priority-questions", &[("Content-Type", "application/json")], 100).unwrap();
    sleep(Wait::from_millis(300));
    house.terminate();
    soon("it says that it stops", || inside(port, "GET /readyz").1.contains("\"stopping\""));
}

#[test]
fn another_time_between_two_looks_counts_at_once() {
    let root = Root::new("Root");
    let mut house = house_of(&root, true);
    house.configure(|table| table["tls"]["reload_seconds"] = 60.into());
    house.start();
    let mut open = house.line(CORPORATION);
    assert_eq!(open.get("/v1/ping").status, 204);
    house.configure(|table| table["tls"]["reload_seconds"] = 1.into());
    house.signal("HUP");
    sleep(Wait::from_secs(3));
    house.configure(|table| table["tls"]["shut_out"] = vec![YMERE].into());
    soon("it is out without a signal", || open.get("/v1/ping").status == 403);
}
