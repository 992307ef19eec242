//! The access log at work: lost answers, full disks, proofs, processing records, retention, and what never stands in it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use voorrang::answer::wire::{Expired, HoldView, LogPage};
use voorrang::audit::{
    Action, Checkpoint, Entry, Hash, Line as LogLine, NoteVerifier, Outcome, VerifyError, leaf_hash,
};
use voorrang::audit::{Range, read_bundle, verify_inclusion, verify_log};
use voorrang::cli::audit::filter::Filter;
use voorrang::cli::audit::retention::{self, HoldArgs, OfficerArgs, ReleaseArgs};
use voorrang::cli::audit::{LogArgs, LogBroken, VerifyArgs, list, verify};
use voorrang::cli::exit_code;
use voorrang::clock::Clock;

use super::regulation::CARE_OFFICER;
use super::support::*;

/// A name and an address, spelt as a purpose is.
const SLUG: &str = "jansen-lange-haversingel-58";

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

fn ask_under(line: &mut Line, key: &str, question: &Value) -> std::io::Result<Reply> {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    line.send("POST", "/v1/priority-questions", &headers, question.to_string().as_bytes())
}

fn answered(house: &House) -> usize {
    house.log().iter().filter(|entry| entry.result == Outcome::Answered).count()
}

fn verifier(house: &House) -> NoteVerifier {
    house.client(OFFICER).log_keys().unwrap().current().clone()
}

#[test]
fn a_question_under_a_key_is_answered_and_charged_once() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let (family, single) = (value(&encoder, FAMILY), value(&encoder, SINGLE));
    let mut line = house.line(CORPORATION);
    let first = ask_under(&mut line, KEY, &family).unwrap().answered();
    // Far more often than a household may be asked about in a month.
    for _ in 0..40 {
        let again = ask_under(&mut line, KEY, &family).unwrap();
        assert_eq!(again.body.len(), voorrang::answer::wire::ANSWER_BYTES);
        let again = again.answered();
        assert_eq!((&again.answer, again.receipt.index), (&first.answer, first.receipt.index));
        assert_eq!(again.receipt.leaf, first.receipt.leaf);
    }
    assert_eq!(answered(&house), 1);
    let reused = ask_under(&mut line, KEY, &single).unwrap();
    reused.is_problem(422, "idempotency_key_reused");
    assert_eq!(house.entry_of(&reused).unwrap().result.to_string(), "refused:idempotency_key_reused");
    for bad in ["short", "with spaces in the key", &"a".repeat(65)] {
        ask_under(&mut line, bad, &family).unwrap().is_problem(400, "idempotency_key");
    }
    // Another party's key of the same text is another key.
    ask_under(&mut house.line(CARE), KEY, &family).unwrap().is_problem(403, "refused");
    house.verify(&[first]).unwrap();
}

#[test]
fn eight_at_once_under_one_key_get_one_entry() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let indexes: Vec<u64> = std::thread::scope(|scope| {
        let ask = || ask_under(&mut house.line(CORPORATION), KEY, &family).unwrap().answered().receipt.index;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(indexes.iter().all(|index| *index == indexes[0]), "{indexes:?}");
    assert_eq!(answered(&house), 1);
}

#[test]
fn an_answer_that_a_kill_swallowed_is_had_again_for_one_charge() {
    let mut house = House::outside();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let first = ask_under(&mut house.line(CORPORATION), KEY, &family).unwrap().answered();
    house.kill();
    house.start();
    let again = ask_under(&mut house.line(CORPORATION), KEY, &family).unwrap().answered();
    assert_eq!((again.answer, again.receipt.index), (first.answer.clone(), first.receipt.index));
    assert_eq!(answered(&house), 1);
    house.verify(&[first]).unwrap();
}

#[test]
fn on_a_full_disk_nothing_is_answered_and_no_answer_is_lost() {
    let mut house = House::outside();
    let encoder = house.encoder(EPOCH);
    let questions: Vec<Value> = contracts().iter().map(|contract| value(&encoder, contract)).collect();
    house.stop();
    // Larger than the write-ahead log, which has its length from the start: what does not fit is the database.
    let database = house.state().join("voorrang.db");
    let db = rusqlite::Connection::open(&database).unwrap();
    db.execute_batch("CREATE TABLE filler (x); INSERT INTO filler VALUES (zeroblob(6000000))").unwrap();
    drop(db);
    // No file of the service grows beyond this, in blocks of 512 bytes: as on a disk that is full.
    let blocks = (fs::metadata(&database).unwrap().len() + 40_000) / 512;
    let limited = format!(r#"trap '' XFSZ; ulimit -f {blocks}; exec "$0" serve --config "$1""#);
    let mut command = Command::new("sh");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_voorrang")]).arg(house.keys().join("voorrang.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    house.command = Some(command);
    house.start();
    let mut told = Vec::new();
    let mut line = house.line(CORPORATION);
    let refused = (0..300).find_map(|at| {
        let reply = line.ask(&questions[at % questions.len()]);
        match reply.status {
            200 => told.push(reply.answered()),
            403 => {}
            _ => return Some(reply),
        }
        None
    });
    let refused = refused.expect("the disk is full at last");
    refused.is_problem(503, "store_not_durable");
    assert!(!refused.text().contains("priority"), "{}", refused.text());
    line.ask(&questions[0]).is_problem(503, "store_not_durable");
    assert!(!told.is_empty());
    house.kill();
    house.start();
    assert_eq!(house.verify(&told).unwrap().receipts, told.len() as u64);
}

#[test]
fn the_log_is_read_as_tiles_and_a_party_gets_the_proof_of_its_own_entry() {
    let house = House::open();
    let told = house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    let mut officer = house.line(OFFICER);
    let note = officer.get("/v1/access-log/checkpoint").text();
    let now = Checkpoint::parse(&note, &verifier(&house)).unwrap();
    let hashes = officer.get(&format!("/v1/access-log/tile/0/000.p/{}", now.size));
    assert_eq!(hashes.header("content-type"), Some("application/octet-stream"));
    let leaves: Vec<Hash> = hashes.body.chunks(32).map(|leaf| <[u8; 32]>::try_from(leaf).unwrap().into()).collect();
    assert_eq!(leaves.iter().copied().collect::<voorrang::audit::Frontier>().root(), now.root);
    let bundle = officer.get(&format!("/v1/access-log/tile/entries/000.p/{}", now.size));
    let entries = read_bundle(&bundle.body).unwrap();
    assert!(entries.iter().zip(&leaves).all(|(entry, leaf)| leaf_hash(entry) == *leaf));
    let read = house.log().into_iter().rfind(|entry| entry.action == Action::LogRead && entry.entries.is_some());
    assert!(read.is_some(), "reading entries is in the log, with their range");
    for path in ["tile/0/000", "tile/1/000.p/1", "tile/9/000.p/1", "tile/0/0", "tile/entries/001", "tile/x/000.p/1"] {
        officer.get(&format!("/v1/access-log/{path}")).is_problem(404, "no_such_tile");
    }
    house.line(CORPORATION).get("/v1/access-log/tile/0/000.p/1").is_problem(403, "refused");

    let proof = house.line(CORPORATION).get(&format!("/v1/access-log/proofs/{}", told.receipt.index)).text();
    let (head, note) = proof.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
    assert_eq!(lines.next(), Some(format!("index {}", told.receipt.index).as_str()));
    let path: Vec<Hash> = lines.map(|line| line.parse().unwrap()).collect();
    let now = Checkpoint::parse(note, &verifier(&house)).unwrap();
    verify_inclusion(told.receipt.index, now.size, &told.receipt.leaf, &path, &now.root).unwrap();
    house.line(CORPORATION).get("/v1/access-log/proofs/0").is_problem(403, "refused");
    officer.get("/v1/access-log/proofs/999999").is_problem(404, "no_such_entry");
    assert_eq!(officer.get("/v1/access-log/proofs/0").status, 200);
    let extends = officer.get("/v1/access-log/consistency?old=3").text();
    assert!(extends.starts_with("old 3\n"), "{extends}");
    officer.get("/v1/access-log/consistency?old=999999").is_problem(422, "old_size");
}

#[test]
fn an_entry_says_which_entries_were_really_read() {
    let house = House::open();
    let mut officer = house.line(OFFICER);
    let mut page = |from: u64| -> Vec<Entry> {
        let reply = officer.get(&format!("/v1/access-log/entries?from={from}"));
        let page: LogPage = serde_json::from_slice(&reply.body).unwrap();
        page.entries.iter().map(|text| Entry::from_bytes(&STANDARD.decode(text).unwrap()).unwrap()).collect()
    };
    let range = |entry: &Entry| (entry.action == Action::LogRead).then_some(entry.entries).flatten();
    let all = page(0);
    let size = all.len() as u64;
    assert_eq!(range(all.last().unwrap()), Some(Range { from: 0, to: size }), "up to the entry itself");
    for beyond in [size + 9, u64::MAX >> 11] {
        assert_eq!(page(beyond), []);
    }
    house.line(OFFICER).get("/v1/access-log/proofs/999999").is_problem(404, "no_such_entry");
    let since = page(size);
    let read: Vec<_> = since.iter().map(range).collect();
    let none = |at| Some(Range { from: at, to: at });
    assert_eq!(read, [none(size + 1), none(size + 2), None, Some(Range { from: size, to: size + 4 })]);
    assert_eq!(since[2].result, Outcome::Refused("no_such_entry".into()));
}

#[test]
fn contents_expire_unless_they_are_held_and_the_tree_verifies() {
    let house = House::open();
    let told = house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered().receipt;
    let size = house.log().len() as u64;
    let mut officer = house.line(OFFICER);
    let held = officer.json("POST", "/v1/access-log/holds", &json!({"from": 2, "to": 4}));
    let held: HoldView = serde_json::from_slice(&held.body).unwrap();
    officer.json("POST", "/v1/access-log/holds", &json!({"from": 4, "to": 4})).is_problem(422, "hold");
    house.line(CORPORATION).json("POST", "/v1/access-log/expire", &Value::Null).is_problem(403, "refused");
    let expire = |line: &mut Line| -> Expired {
        serde_json::from_slice(&line.json("POST", "/v1/access-log/expire", &Value::Null).body).unwrap()
    };
    assert_eq!(expire(&mut officer).entries, 0, "nothing is old enough");
    let days = i64::from(house.regulation.retention().log_days);
    house.pass(days + 1);
    let gone = expire(&mut officer);
    assert!(gone.entries >= size - 2 && gone.from == Some(0), "{gone:?}");
    let page: LogPage = serde_json::from_slice(&officer.get("/v1/access-log/entries?from=0").body).unwrap();
    let mut expired =
        page.expired.iter().map(|line| (line.index, line.leaf)).collect::<std::collections::BTreeMap<_, _>>();
    assert!(!expired.contains_key(&2) && !expired.contains_key(&3), "held");
    let size = Checkpoint::parse(&page.checkpoint, &verifier(&house)).unwrap().size;
    let lines = page.entries.iter().take(size as usize).zip(0..).map(|(text, index)| {
        expired.remove(&index).map_or_else(|| LogLine::Entry(STANDARD.decode(text).unwrap()), LogLine::Expired)
    });
    let lines: Vec<_> = lines.collect();
    let report = verify_log(lines.into_iter(), &page.checkpoint, &verifier(&house), &[], &[], 1).unwrap();
    assert_eq!(report.expired, gone.entries);
    let bundle = officer.get("/v1/access-log/tile/entries/000.p/5");
    bundle.is_problem(410, "expired");
    let officer_args = || OfficerArgs { config: house.party(OFFICER) };
    retention::holds(&officer_args()).unwrap();
    assert!(retention::release(&ReleaseArgs { officer: officer_args(), hold: 999 }).is_err());
    let ended = officer.send("DELETE", &format!("/v1/access-log/holds/{}", held.id), &[], b"").unwrap();
    assert_eq!(serde_json::from_slice::<HoldView>(&ended.body).unwrap(), held);
    assert_eq!(expire(&mut officer).entries, 2);
    retention::hold(&HoldArgs { officer: officer_args(), from: 0, to: 2 }).unwrap();
    let holds: Vec<HoldView> = serde_json::from_slice(&officer.get("/v1/access-log/holds").body).unwrap();
    assert_eq!((holds.len(), holds[0].expired), (1, Some(2)), "what has expired already is not kept by it");
    retention::release(&ReleaseArgs { officer: officer_args(), hold: held.id }).unwrap();
    retention::expire(&officer_args()).unwrap();
    // Nobody reads any more whose entry it was: who knows its salted leaf hash has a receipt.
    let proof = |stem: &str, query: &str| house.line(stem).get(&format!("/v1/access-log/proofs/{}{query}", told.index));
    proof(CORPORATION, "").is_problem(403, "refused");
    proof(CORPORATION, &format!("?leaf={}", "0".repeat(64))).is_problem(403, "refused");
    for wrong in ["", "x", &"A".repeat(64), &"0".repeat(62)] {
        proof(CORPORATION, &format!("?leaf={wrong}")).is_problem(400, "query");
    }
    let found = proof(CORPORATION, &format!("?leaf={}", hex::encode(told.leaf.as_bytes())));
    assert!(found.status == 200 && found.text().starts_with("c2sp.org/tlog-proof@v1"), "{}", found.text());
    // What is gone is not missing: the officer's own tool verifies the log and says where.
    assert!(house.verify(&[]).unwrap().expired > 0);
}

#[test]
fn a_hold_is_ended_by_the_party_that_made_it_and_by_no_other() {
    let house = House::open();
    let made = house.line(OFFICER).json("POST", "/v1/access-log/holds", &json!({"from": 0, "to": 3}));
    let held: HoldView = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(held.by, Some(house.client(OFFICER).oin().unwrap()));
    let path = format!("/v1/access-log/holds/{}", held.id);
    let mut other = house.line(CARE_OFFICER);
    other.send("DELETE", &path, &[], b"").unwrap().is_problem(403, "not_the_holder");
    let holds =
        |line: &mut Line| -> Vec<HoldView> { serde_json::from_slice(&line.get("/v1/access-log/holds").body).unwrap() };
    assert_eq!(holds(&mut other), std::slice::from_ref(&held), "it is still held");
    let refused = house.log().into_iter().rfind(|entry| entry.action == Action::LogHoldEnd).unwrap();
    assert_eq!(refused.result, Outcome::Refused("not_the_holder".into()));
    assert_eq!(refused.entries, Some(Range { from: 0, to: 3 }));
    house.verify(&[]).unwrap();
    let ended = house.line(OFFICER).send("DELETE", &path, &[], b"").unwrap();
    assert_eq!(serde_json::from_slice::<HoldView>(&ended.body).unwrap(), held);
    assert_eq!(holds(&mut other), []);
}

#[test]
fn a_clock_that_is_years_ahead_expires_nothing_and_no_officer_takes_its_word() {
    let house = House::open();
    house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    let expired = |house: &House| -> Expired {
        serde_json::from_slice(&house.line(OFFICER).json("POST", "/v1/access-log/expire", &Value::Null).body).unwrap()
    };
    let days = i64::from(house.regulation.retention().log_days);
    house.clock.set(NOW + time::Duration::days(days + 40));
    assert_eq!(expired(&house).entries, 0, "the clock leapt");
    house.verify(&[]).unwrap();
    house.pass(days + 80);
    assert!(expired(&house).entries > 0, "it goes on like this");
    let verified = |now| {
        let mut args = VerifyArgs::new(house.party(OFFICER), vec![]);
        args.log.clock = Clock::standing(now);
        verify(&args)
    };
    let error = verified(NOW).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(LogBroken::Verify(VerifyError::GoneEarly { .. }, _))), "{error:#}");
    assert_eq!(exit_code(&error), 5);
    assert!(verified(house.clock.now()).unwrap().expired > 0);
}

#[test]
fn what_is_due_while_the_clock_has_leapt_is_not_deleted_under_a_date_that_is_yet_to_come() {
    let house = House::open();
    house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    let mut officer = house.line(OFFICER);
    let held = officer.json("POST", "/v1/access-log/holds", &json!({"from": 0, "to": 3}));
    let held: HoldView = serde_json::from_slice(&held.body).unwrap();
    let days = i64::from(house.regulation.retention().log_days);
    house.pass(days + 5);
    let due = house.clock.now();
    let expired = || -> Expired {
        serde_json::from_slice(&house.line(OFFICER).json("POST", "/v1/access-log/expire", &Value::Null).body).unwrap()
    };
    expired();
    house.clock.set(due + time::Duration::days(1));
    let ended = house.line(OFFICER).send("DELETE", &format!("/v1/access-log/holds/{}", held.id), &[], b"").unwrap();
    assert_eq!(ended.status, 200);
    for days in [1, 20, 45] {
        house.clock.set(due + time::Duration::days(days));
        assert_eq!(expired().entries, 0, "the clock leapt by {days} days");
    }
    let mut args = VerifyArgs::new(house.party(OFFICER), vec![]);
    args.log.clock = Clock::standing(due);
    verify(&args).unwrap();
}

#[test]
fn an_answer_that_is_held_opens_when_its_day_s_key_is_long_due() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let held = house.line(CORPORATION).ask(&family).answered();
    house.line(CORPORATION).ask(&family).answered();
    let index = held.receipt.index;
    let mut officer = house.line(OFFICER);
    officer.json("POST", "/v1/access-log/holds", &json!({"from": index, "to": index + 1}));
    let days = i64::from(house.regulation.retention().log_days);
    house.pass(days + 30);
    assert_eq!(officer.json("POST", "/v1/access-log/expire", &Value::Null).status, 200);
    let log = LogArgs { clock: house.clock.clone(), ..LogArgs::new(house.party(OFFICER)) };
    let mut reading = log.reading().unwrap();
    let asked = Filter { action: Some(Action::Ask), ..Filter::default() };
    let mut found = Vec::new();
    list::wanted(&mut reading, &asked, |one| {
        found.push((one.position, one.told.word().to_owned()));
        Ok(())
    })
    .unwrap();
    assert_eq!(found, [(index, held.answer)], "the other question has expired, and this one opens");
}

/// A collector of processing records: span ids that it was sent, a request at a time. It loses its first answer.
pub(super) fn collector(listener: TcpListener, seen: mpsc::Sender<Vec<Value>>) {
    for (at, connection) in listener.incoming().enumerate() {
        let mut connection = connection.unwrap();
        let Some(body) = body_of(&mut connection) else { continue };
        let body: Value = serde_json::from_slice(&body).unwrap();
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
        if seen.send(spans).is_err() {
            return;
        }
        if at > 0 {
            let answer =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            connection.write_all(answer.as_bytes()).unwrap();
        }
    }
}

pub(super) fn body_of(connection: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let got = connection.read(&mut buffer).ok().filter(|got| *got > 0)?;
        bytes.extend(&buffer[..got]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length =
            text[..head].lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.unwrap_or(0);
        if bytes.len() >= head + 4 + length {
            return Some(bytes[head + 4..head + 4 + length].to_vec());
        }
    }
}

#[test]
fn processing_records_outlive_a_collector_that_is_away_and_a_lost_confirmation() {
    let mut house = House::built(false);
    // A port where nobody listens yet.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = house.keys().join("voorrang.toml");
    let text = fs::read_to_string(&path).unwrap();
    let set = format!("collector = \"http://127.0.0.1:{port}/v1/traces\"");
    fs::write(&path, text.replacen("collector = \"none\"", &set, 1)).unwrap();
    house.start();
    house.fill(EPOCH);
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    contracts().iter().take(5).for_each(|contract| drop(line.ask(&value(&encoder, contract)).answered()));
    house.restart();
    let wanted = house.log().into_iter().filter(|entry| voorrang::audit::ldv::activity(entry.action).is_some()).count();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (seen, spans) = mpsc::channel();
    std::thread::spawn(move || collector(listener, seen));
    let (mut ids, mut sent) = (std::collections::BTreeSet::new(), 0);
    let until = Instant::now() + Duration::from_secs(90);
    // One of the log is still being read while it is forwarded: at least those that were counted.
    while (ids.len() < wanted || sent <= ids.len()) && Instant::now() < until {
        let Ok(batch) = spans.recv_timeout(Duration::from_secs(30)) else { break };
        sent += batch.len();
        for span in batch {
            for user in ["00000099000000004001", "corporation", "ymere"] {
                assert!(!span.to_string().contains(user), "{span}");
            }
            ids.insert(span["spanId"].as_str().unwrap().to_owned());
        }
    }
    assert!(ids.len() >= wanted, "{} of {wanted}", ids.len());
    assert!(sent > ids.len(), "the unconfirmed request came again, with the same ids");
}

#[test]
fn an_officer_reads_processing_records_by_trace_subject_activity_and_time() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    contracts().iter().take(3).for_each(|contract| drop(line.ask(&value(&encoder, contract)).answered()));
    let asked: Vec<_> = house.log().into_iter().filter(|entry| entry.action == Action::Ask).collect();
    let mut officer = house.line(OFFICER);
    let mut found = |query: Value| -> Vec<Value> {
        let reply = officer.json("POST", "/v1/processing-activities", &query);
        assert_eq!(reply.status, 200, "{}", reply.text());
        serde_json::from_slice::<Value>(&reply.body).unwrap()["processingActivities"].as_array().unwrap().clone()
    };
    let trace = asked[1].trace_id.to_string();
    let one = found(json!({ "traceId": trace }));
    assert_eq!(one.len(), 1);
    assert_eq!(
        (&one[0]["traceId"], &one[0]["name"], &one[0]["status"]),
        (&json!(trace), &json!("bevragen-prioriteit"), &json!("Ok"))
    );
    let subject = asked[2].object.clone().unwrap();
    let of_subject = found(json!({ "dpl.core.data_subject_id": subject }));
    assert_eq!(of_subject.len(), asked.iter().filter(|entry| entry.object.as_ref() == Some(&subject)).count());
    let activity = &of_subject[0]["attributes"]["dpl.core.processing_activity_id"];
    assert_eq!(found(json!({ "dpl.core.processing_activity_id": activity })).len(), 3, "one a subject, none left out");
    let start = of_subject[0]["startTime"].as_u64().unwrap();
    assert_eq!(found(json!({ "dpl.core.data_subject_id": subject, "startTime": start + 1 })), Vec::<Value>::new());
    let end = of_subject[0]["endTime"].as_u64().unwrap();
    assert!(end > start, "somebody waited");
    assert_eq!(found(json!({ "dpl.core.data_subject_id": subject, "startTime": start, "endTime": end })), of_subject);
    let all = Value::from(found(json!({ "startTime": 0 }))).to_string();
    assert!(!all.contains("00000099000000004001") && !all.contains("corporation"), "no user stands in them");
    assert!(
        house.log().iter().filter(|entry| entry.action == Action::LogRead).count() >= 7,
        "each reading is recorded"
    );
    house.line(OFFICER).json("POST", "/v1/processing-activities", &json!({})).is_problem(400, "json");
    house.line(OFFICER).json("POST", "/v1/processing-activities", &json!({ "traceId": null })).is_problem(400, "json");
    house
        .line(CORPORATION)
        .json("POST", "/v1/processing-activities", &json!({ "startTime": 0 }))
        .is_problem(403, "refused");
}

#[test]
fn no_code_name_address_or_free_text_is_ever_in_an_entry() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let mut canaries: Vec<String> = ["CanaryPurpose", "canary-trace", "CanaryHeader", SLUG].map(Into::into).into();
    for contract in contracts().iter().take(8) {
        let question = value(&encoder, contract);
        canaries.push(contract.clone());
        canaries.push(question["address"].as_str().unwrap_or("no address").to_owned());
        let codes = question["tenants"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|tenant| tenant["codes"].as_object().unwrap().values());
        canaries.extend(
            codes.flat_map(|variants| variants.as_array().unwrap()).map(|code| code.as_str().unwrap()[..24].to_owned()),
        );
        let first = line.ask(&question).answered();
        let mut odd = question.clone();
        odd["purpose"] = "CanaryPurpose Jansen".into();
        line.ask(&odd);
        // The form of a purpose, and no purpose of the regulation's.
        odd["purpose"] = SLUG.into();
        line.ask(&odd).is_problem(403, "refused");
        let plan = json!({"header": odd["header"], "purpose": SLUG, "questions": 1});
        line.json("POST", "/v1/question-batches", &plan).is_problem(403, "refused");
        let groups = json!({"case": 0, "leaf": first.receipt.leaf, "question": odd});
        house.line(CARE).json("POST", "/v1/group-questions", &groups).is_problem(403, "refused");
        odd["header"]["epoch"] = "canary-epoch-of-nobody".into();
        line.ask(&odd);
    }
    let view: Value = serde_json::from_slice(&line.get(&format!("/v1/epochs/{EPOCH}")).body).unwrap();
    let named = |schema: &Value| {
        json!({
            "id": SLUG, "regulation": view["regulation"], "profile": view["profile"], "schemaHash": schema,
            "participants": []
        })
    };
    for (stem, schema, status) in [
        (CORPORATION, &view["schemaHash"], 403),
        (ADMINISTRATOR, &view["schemaHash"], 422),
        (ADMINISTRATOR, &json!("00".repeat(32)), 422),
    ] {
        assert_eq!(house.line(stem).json("POST", "/v1/epochs", &named(schema)).status, status);
    }
    let headers =
        [("Content-Type", "application/json"), ("traceparent", "00-canary-trace-01"), ("X-Name", "CanaryHeader")];
    drop(line.send("POST", "/v1/priority-questions", &headers, b"{\"CanaryPurpose\":1}").unwrap());
    for file in ["brp.csv", "oggz.csv"] {
        let text = fs::read_to_string(demo(file)).unwrap();
        let words = text.lines().skip(1).take(60).flat_map(|row| row.split(',').map(str::to_owned).collect::<Vec<_>>());
        // Short words and plain numbers are found in any hexadecimal text.
        canaries
            .extend(words.filter(|word| word.len() >= 6 && word.chars().any(|c| c.is_ascii_uppercase() || c == '-')));
    }
    house.stop();
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let mut query = db.prepare("SELECT text FROM entry").unwrap();
    let texts: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(texts.len() > 25 && canaries.len() > 100, "{} entries, {} canaries", texts.len(), canaries.len());
    for canary in &canaries {
        assert!(!texts.iter().any(|text| text.contains(canary.as_str())), "{canary}");
    }
    for answer in ["priority", "undetermined"] {
        assert!(!texts.iter().any(|text| text.contains(&format!("\"{answer}\""))), "{answer} is for the officers only");
    }
}
