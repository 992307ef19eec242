//! What is sent twice under one key is done once, whatever happened in between.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::macros::datetime;
use voorrang::answer::wire::{ANSWER_BYTES, Source};
use voorrang::audit::{Action, Outcome};
use voorrang::cli::pki::{self, Subject};

use super::loads::{ByHand, residents};
use super::question_batches::begin;
use super::regulation::{CARE_OFFICER, TEAM, amend, of_case, sign_anew};
use super::support::*;

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

fn under(house: &House, stem: &str, key: &str, method: &str, path: &str, body: &Value) -> Reply {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    house.line(stem).send(method, path, &headers, body.to_string().as_bytes()).unwrap()
}

/// An answer without what is signed anew each time.
fn told(reply: &Reply) -> Value {
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
    let mut value: Value = serde_json::from_slice(&reply.body).unwrap();
    let receipt = if value.get("receipt").is_some() { &mut value["receipt"] } else { &mut value };
    if let Some(checkpoint) = receipt.get_mut("checkpoint") {
        assert!(checkpoint.as_str().unwrap().contains("access-log"), "a receipt is whole: {checkpoint}");
        *checkpoint = Value::Null;
    }
    value
}

/// Sends it twice, stops the service, sends it once more, then with another body.
fn once(house: &mut House, stem: &str, method: &str, path: &str, body: &Value, other: &Value) -> Value {
    // A key is one request's.
    let key = &format!("{KEY}{}", path.replace('/', "-"))[..52.min(KEY.len() + path.len())];
    let reply = under(house, stem, key, method, path, body);
    let first = told(&reply);
    let entries = house.log().len();
    let again = under(house, stem, key, method, path, body);
    assert_eq!(told(&again), first, "{path}");
    assert_eq!((again.status, again.header("location")), (reply.status, reply.header("location")), "{path}");
    // Reading the log is an entry.
    assert_eq!(house.log().len(), entries + 1, "{path}: a repetition is no second act");
    house.restart();
    assert_eq!(told(&under(house, stem, key, method, path, body)), first, "{path}, after a restart");
    under(house, stem, key, method, path, other).is_problem(422, "idempotency_key_reused");
    under(house, stem, "short", method, path, body).is_problem(400, "idempotency_key");
    first
}

#[test]
fn a_write_under_a_key_is_done_once_and_answered_alike_after_a_restart() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let law = house.regulation.id().clone();
    let day = house.reference().to_string();
    let plan = |records: u32| {
        json!({"header": encoder.header(), "source": "population", "records": records, "referenceDate": day,
               "ages": ages()})
    };
    let begun = once(&mut house, POPULATION, "POST", "/v1/loads", &plan(3), &plan(4));
    assert_eq!(begun["load"].as_str().unwrap().len(), 32);
    let hold = |to: u32| json!({"from": 0, "to": to});
    let held = once(&mut house, OFFICER, "POST", "/v1/access-log/holds", &hold(3), &hold(4));
    let holds = house.line(OFFICER).get("/v1/access-log/holds");
    assert_eq!(serde_json::from_slice::<Value>(&holds.body).unwrap(), json!([held]));
    let subject = |epoch: &str| json!({"epoch": epoch, "address": value(&encoder, FAMILY)["address"]});
    once(&mut house, OFFICER, "POST", "/v1/access-log/subjects", &subject(EPOCH), &subject("haarlem-2"));
    let tap = |oin: &str| json!({"oin": oin});
    let path = format!("/v1/regulations/{law}/taps");
    let (one, two) = ("00000099000000004001", "00000099000000004002");
    let pending = once(&mut house, OFFICER, "POST", &path, &tap(one), &tap(two));
    let waiting: Value = serde_json::from_slice(&house.line(OFFICER).get("/v1/proposals").body).unwrap();
    let same = waiting.as_array().unwrap().iter().filter(|one| one["kind"] == "open-tap").count();
    assert_eq!((same, pending["proposal"].as_str().unwrap().len()), (1, 32), "{waiting}");
    // The end of an epoch, and of the next one for good: its record is given again.
    house.fill("haarlem-2");
    let entries = |house: &House, action| house.log().iter().filter(|entry| entry.action == action).count();
    for (end, action) in [("retire", Action::EpochRetire), ("destroy", Action::EpochDestroy)] {
        let before = entries(&house, action);
        let path = format!("/v1/epochs/{EPOCH}/{end}");
        let key = format!("{KEY}-{end}");
        let twice = |stem, key: &str, path: &str| {
            let [first, again] = [(), ()].map(|()| told(&under(&house, stem, key, "POST", path, &json!({}))));
            assert_eq!(first, again, "{path}");
            first
        };
        let pending = twice(ADMINISTRATOR, &key, &path);
        let confirm = format!("/v1/proposals/{}/confirm", pending["proposal"].as_str().unwrap());
        let confirmed = twice(OFFICER, &format!("{key}-confirm"), &confirm);
        assert_eq!(confirmed.get("record").is_some(), end == "destroy", "{confirmed}");
        assert_eq!(entries(&house, action), before + 1, "{end}");
    }
}

#[test]
fn a_batch_under_a_key_is_charged_once_and_another_one_is_refused() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let batch = |contracts: &[&str]| {
        let questions: Vec<_> = contracts.iter().map(|contract| value(&encoder, contract)).collect();
        json!({ "questions": questions })
    };
    let ask = |house: &House, body: &Value| under(house, CORPORATION, KEY, "POST", "/v1/priority-batches", body);
    let indexes = |reply: &Reply| -> Vec<u64> {
        let value: Value = serde_json::from_slice(&reply.body).unwrap();
        let answers = value["answers"].as_array().unwrap().clone();
        answers.iter().map(|one| one["answered"]["receipt"]["index"].as_u64().unwrap()).collect()
    };
    let both = batch(&[FAMILY, SINGLE]);
    let first = indexes(&ask(&house, &both));
    assert_eq!(indexes(&ask(&house, &both)), first);
    house.restart();
    assert_eq!(indexes(&ask(&house, &both)), first);
    ask(&house, &batch(&[FAMILY])).is_problem(422, "idempotency_key_reused");
    let asked = house.log().iter().filter(|entry| entry.action == Action::Ask).count();
    assert_eq!(asked, 3, "two answers and the refusal of the other batch");
}

#[test]
fn a_key_that_comes_with_another_body_is_refused_and_that_stands_in_the_log() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let plan = |records: u64| {
        json!({"header": encoder.header(), "source": "population", "records": records,
        "referenceDate": house.reference().to_string(), "ages": ages()})
    };
    let many =
        |questions: u32| json!({"header": encoder.header(), "purpose": "eviction-prevention", "questions": questions});
    let both = json!({"questions": [value(&encoder, FAMILY), value(&encoder, SINGLE)]});
    let one = json!({"questions": [value(&encoder, FAMILY)]});
    for (at, (stem, path, first, other, action)) in [
        (POPULATION, "/v1/loads", plan(3), plan(4), Action::Load),
        (CORPORATION, "/v1/question-batches", many(3), many(4), Action::Ask),
        (CORPORATION, "/v1/priority-batches", both, one, Action::Ask),
    ]
    .into_iter()
    .enumerate()
    {
        // A key is of one path too.
        let keys = [format!("{at}-{KEY}"), format!("{at}_{KEY}")];
        assert!(under(&house, stem, &keys[0], "POST", path, &first).status < 300, "{path}");
        let reply = under(&house, stem, &keys[0], "POST", path, &other);
        reply.is_problem(422, "idempotency_key_reused");
        let entry = house.entry_of(&reply).unwrap();
        assert_eq!(
            (entry.action, String::from(entry.result)),
            (action, "refused:idempotency_key_reused".into()),
            "{path}"
        );
        house.forget_counts();
        // What was refused was not done, and its key is free; once it is done, it belongs to what was done.
        let refused = json!({"questions": "none"});
        assert!(under(&house, stem, &keys[1], "POST", path, &refused).status >= 400);
        assert!(under(&house, stem, &keys[1], "POST", path, &first).status < 300, "{path}");
        under(&house, stem, &keys[1], "POST", path, &refused).is_problem(422, "idempotency_key_reused");
    }
}

#[test]
fn two_keys_are_none() {
    let house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", KEY), ("Idempotency-Key", KEY)];
    for (path, body) in
        [("/v1/priority-questions", question.clone()), ("/v1/priority-batches", json!({"questions": [question]}))]
    {
        let reply = house.line(CORPORATION).send("POST", path, &headers, body.to_string().as_bytes()).unwrap();
        reply.is_problem(400, "idempotency_key");
    }
}

#[test]
fn the_same_request_many_times_at_once_is_done_once_and_everybody_gets_its_answer() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let batch = json!({"questions": [value(&encoder, FAMILY), value(&encoder, SINGLE)]});
    let plan = json!({"header": encoder.header(), "source": "population", "records": 3,
        "referenceDate": house.reference().to_string(), "ages": ages()});
    for (n, (stem, path, body)) in
        [(POPULATION, "/v1/loads", &plan), (CORPORATION, "/v1/priority-batches", &batch)].into_iter().enumerate()
    {
        let start = std::sync::Barrier::new(12);
        let send = |line: &mut Line| {
            let key = format!("{KEY}-{n}");
            let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key.as_str())];
            start.wait();
            // A party has few batches at once; the client comes again.
            loop {
                let reply = line.send("POST", path, &headers, body.to_string().as_bytes()).unwrap();
                if reply.status != 429 {
                    return reply;
                }
            }
        };
        let replies: Vec<Reply> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..12).map(|_| scope.spawn(|| send(&mut house.line(stem)))).collect();
            senders.into_iter().map(|sender| sender.join().unwrap()).collect()
        });
        let indexes = |reply: &Reply| -> Vec<Value> {
            assert!(matches!(reply.status, 200 | 201), "{path}: {}", reply.text());
            let value: Value = serde_json::from_slice(&reply.body).unwrap();
            let answers = value["answers"].as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            answers
                .into_iter()
                .map(|one| one.pointer("/answered/receipt/index").unwrap_or(&one["load"]).clone())
                .collect()
        };
        let first = indexes(&replies[0]);
        assert!(first.iter().all(|one| !one.is_null()), "{path}: {first:?}");
        assert!(replies.iter().all(|reply| indexes(reply) == first), "{path}");
    }
    assert_eq!(house.log().iter().filter(|entry| entry.action == Action::Ask).count(), 2);
}

#[test]
fn whoever_may_not_ask_leaves_no_key_behind() {
    let house = House::open();
    let batch = json!({"questions": [value(&house.encoder(EPOCH), FAMILY)]});
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let kept = || db.query_row("SELECT count(*) FROM repeat", [], |row| row.get::<_, u32>(0)).unwrap();
    let before = kept();
    assert_eq!(under(&house, POPULATION, KEY, "POST", "/v1/priority-batches", &batch).status, 200);
    assert_eq!(kept(), before);
    assert_eq!(under(&house, CORPORATION, KEY, "POST", "/v1/priority-batches", &batch).status, 200);
    assert_eq!(kept(), before + 2, "the batch and its question");
}

#[test]
fn a_repeated_answer_is_the_first_one_byte_for_byte() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let family = value(&encoder, FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    let groups = of_case(&case, &family);
    let batch = json!({"questions": [value(&encoder, SINGLE)]});
    for (n, (stem, path, body)) in [
        (CARE, "/v1/group-questions", &groups),
        (CORPORATION, "/v1/priority-questions", &family),
        (CORPORATION, "/v1/priority-batches", &batch),
    ]
    .into_iter()
    .enumerate()
    {
        // No entry comes in between, so that the checkpoint is the same.
        let [first, again] = [(), ()].map(|()| under(&house, stem, &format!("{KEY}-{n}"), "POST", path, body));
        assert_eq!((first.status, again.text()), (200, first.text()), "{path}");
        assert!(first.body.len() >= ANSWER_BYTES, "{path}");
    }
}

#[test]
fn an_answer_that_another_certificate_of_the_party_has_again_is_recorded() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let first = under(&house, CORPORATION, KEY, "POST", "/v1/priority-questions", &family).answered();
    let groups = of_case(&first.receipt, &family);
    assert_eq!(under(&house, CARE, KEY, "POST", "/v1/group-questions", &groups).status, 200);
    let again = |card: &Card, path: &str, body: &Value| {
        let mut line = Line::open(house.port(), house.tls(Some(card))).unwrap();
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", KEY)];
        line.send("POST", path, &headers, body.to_string().as_bytes()).unwrap()
    };
    let recorded = || -> Vec<_> { house.log().into_iter().filter(|entry| entry.action == Action::AskAgain).collect() };
    again(&house.card(CORPORATION), "/v1/priority-questions", &family).answered();
    again(&house.card(CARE), "/v1/group-questions", &groups);
    assert!(recorded().is_empty(), "who got it first is in the first entry");
    let other = house.issue(&Subject::party("Ymere", "00000099000000004001"));
    assert_eq!(again(&other, "/v1/priority-questions", &family).answered().answer, first.answer);
    let care = house.regulation.parties().iter().find(|party| pki::file_stem(&party.name) == CARE).unwrap();
    let other = house.issue(&Subject::party(&care.name, care.oin.as_str()));
    assert_eq!(again(&other, "/v1/group-questions", &groups).status, 200);
    let log = house.log();
    let asked = recorded();
    assert_eq!(asked.len(), 2);
    for (entry, action) in asked.iter().zip([Action::Ask, Action::AskGroups]) {
        let first = &log[usize::try_from(entry.entries.unwrap().from).unwrap()];
        assert_eq!((first.action, &first.object, &first.actor.role), (action, &entry.object, &entry.actor.role));
        assert!(entry.object.is_some() && first.actor.certificate != entry.actor.certificate);
    }
}

#[test]
fn a_look_up_that_another_certificate_has_again_is_recorded() {
    let house = House::open();
    let address = value(&house.encoder(EPOCH), FAMILY)["address"].clone();
    let (path, body) = ("/v1/access-log/subjects", json!({"epoch": EPOCH, "address": address}));
    let first = under(&house, OFFICER, KEY, "POST", path, &body);
    assert_eq!(first.status, 200, "{}", first.text());
    let recorded = || -> Vec<_> { house.log().into_iter().filter(|entry| entry.action == Action::AskAgain).collect() };
    assert_eq!(under(&house, OFFICER, KEY, "POST", path, &body).text(), first.text());
    assert!(recorded().is_empty(), "who got it first is in the first entry");
    let officer = house.regulation.parties().iter().find(|party| pki::file_stem(&party.name) == OFFICER).unwrap();
    let other = house.issue(&Subject::party(&officer.name, officer.oin.as_str()));
    let mut line = Line::open(house.port(), house.tls(Some(&other))).unwrap();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", KEY)];
    let again = line.send("POST", path, &headers, body.to_string().as_bytes()).unwrap();
    assert_eq!(again.text(), first.text());
    let (asked, log) = (recorded(), house.log());
    let of = &log[usize::try_from(asked[0].entries.unwrap().from).unwrap()];
    assert_eq!((asked.len(), of.action, &of.object), (1, Action::SubjectRead, &asked[0].object));
}

/// Whoever was officer when it was looked up may be none when it is sent again.
#[test]
fn a_look_up_is_given_again_to_officers_alone_and_while_they_are_that() {
    let house = House::lawless();
    amend(&house, "valid_until = 2999-01-01", "valid_until = 2026-01-16");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let address = value(&house.encoder(EPOCH), FAMILY)["address"].clone();
    let (path, body) = ("/v1/access-log/subjects", json!({"epoch": EPOCH, "address": address}));
    let look = |stem: &str| under(&house, stem, KEY, "POST", path, &body);
    let officer = house.regulation.parties().iter().find(|party| pki::file_stem(&party.name) == CARE_OFFICER).unwrap();
    let other = house.issue(&Subject::party(&officer.name, officer.oin.as_str()));
    let again = || {
        let mut line = Line::open(house.port(), house.tls(Some(&other))).unwrap();
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", KEY)];
        line.send("POST", path, &headers, body.to_string().as_bytes()).unwrap()
    };
    let first = look(CARE_OFFICER);
    assert_eq!(first.status, 200, "{}", first.text());
    // Under the same key, of every other role.
    for stem in [ADMINISTRATOR, POPULATION, CARE, CORPORATION, TEAM] {
        let refused = look(stem);
        refused.is_problem(403, "refused");
        let entry = house.entry_of(&refused).unwrap();
        let role = house.regulation.parties().iter().find(|party| pki::file_stem(&party.name) == stem).unwrap().role;
        assert_eq!((entry.action, entry.actor.role.as_str(), entry.object), (Action::LogRead, role.as_str(), None));
        assert!(matches!(entry.result, Outcome::Refused(_)), "{stem}");
    }
    let count = |action: Action| house.log().iter().filter(|entry| entry.action == action).count();
    assert_eq!(look(OFFICER).text(), first.text());
    assert_eq!((count(Action::SubjectRead), count(Action::AskAgain)), (2, 0), "another officer's look-up is her own");
    for times in 1..=2 {
        assert_eq!(again().text(), first.text());
        assert_eq!((count(Action::SubjectRead), count(Action::AskAgain)), (2, times), "each time is an entry");
    }
    // She leaves with the version that ends.
    let file = house.law().join("regulation.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(&format!("[[party]]\noin = \"{}\"", officer.oin)).unwrap();
    let (_, after) = rest.split_once("[[party]]").unwrap();
    let text = format!("{before}[[party]]{after}").replacen("until = 2026-01-16", "until = 2999-01-01", 1);
    std::fs::write(&file, text.replacen("from = 2020-01-01", "from = 2026-01-16", 1)).unwrap();
    sign_anew(&house, &[]);
    house.activate_law().unwrap();
    assert_eq!(look(CARE_OFFICER).text(), first.text(), "until midnight");
    house.clock.pass(datetime!(2026-01-16 0:00 UTC));
    for refused in [look(CARE_OFFICER), again()] {
        refused.is_problem(403, "refused");
        let entry = house.entry_of(&refused).unwrap();
        assert_eq!((entry.action, entry.actor.oin.as_ref(), entry.object), (Action::LogRead, Some(&officer.oin), None));
        assert!(matches!(entry.result, Outcome::Refused(_)));
    }
    assert_eq!((count(Action::SubjectRead), count(Action::AskAgain)), (2, 2), "nothing was given");
}

#[test]
fn what_was_told_is_not_told_again_when_the_regulation_has_ended() {
    let house = House::lawless();
    amend(&house, "valid_until = 2999-01-01", "valid_until = 2026-01-16");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    house.clock.pass(datetime!(2026-01-15 23:00 UTC));
    let family = value(&house.encoder(EPOCH), FAMILY);
    let ask = || under(&house, CORPORATION, KEY, "POST", "/v1/priority-questions", &family);
    let case = ask().answered().receipt;
    let groups = of_case(&case, &family);
    let look = || under(&house, TEAM, KEY, "POST", "/v1/group-questions", &groups);
    let batch = json!({"questions": [value(&house.encoder(EPOCH), SINGLE)]});
    let together = || under(&house, CORPORATION, &KEY[..20], "POST", "/v1/priority-batches", &batch);
    told(&together());
    assert_eq!((look().status, look().status, ask().status), (200, 200, 200), "until midnight");
    house.clock.pass(datetime!(2026-01-16 0:00 UTC));
    for (refused, action) in [(ask(), Action::Ask), (look(), Action::AskGroups)] {
        refused.is_problem(403, "regulation_ended");
        let entry = house.entry_of(&refused).unwrap();
        assert_eq!((entry.action, String::from(entry.result)), (action, "refused:regulation_ended".to_owned()));
    }
    let many: Value = serde_json::from_slice(&together().body).unwrap();
    assert_eq!(many["answers"][0]["problem"]["code"], "regulation_ended");
}

/// Has the service killed as it begins to send: what was asked is durable then, and nobody was told. Whether it could.
fn killed_before_its_answer(house: &mut House, stem: &str, key: &str, path: &str, body: &Value) -> bool {
    let mut line = house.line(stem);
    assert_eq!(line.get("/v1/ping").status, 204, "the handshake is over");
    let strace = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-e",
            "trace=writev,sendto,sendmsg",
            "-e",
            "inject=writev,sendto,sendmsg:signal=KILL:when=1",
        ])
        .args(["-o", "/dev/null", "-p", &house.process().to_string()])
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut strace) = strace else { return false };
    let status = format!("/proc/{}/status", house.process());
    let traced = || std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("TracerPid:\t0\n"));
    let until = Instant::now() + Duration::from_secs(10);
    while !traced() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let looks = traced();
    if looks {
        // All of its threads, too.
        std::thread::sleep(Duration::from_millis(500));
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let told = line.send("POST", path, &headers, body.to_string().as_bytes());
        assert!(told.is_err(), "{path}: nothing of the answer has left: {}", told.unwrap().text());
    }
    // It ends with what it looks into.
    drop(strace.kill());
    drop(strace.wait());
    house.kill();
    looks
}

#[test]
fn what_was_done_and_not_answered_is_done_once_under_its_key() {
    let mut house = House::outside();
    let encoder = house.encoder(EPOCH);
    let [family, single] = [FAMILY, SINGLE].map(|contract| value(&encoder, contract));
    let charged = |house: &House| -> i64 {
        let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
        db.query_row("SELECT coalesce(sum(questions), 0) FROM budget", [], |row| row.get(0)).unwrap()
    };
    let batch = json!({"questions": [single, family]});
    let hold = json!({"from": 0, "to": 3});
    let cases = [
        (CORPORATION, "/v1/priority-questions", &family, Action::Ask, 1),
        (CORPORATION, "/v1/priority-batches", &batch, Action::Ask, 3),
        (OFFICER, "/v1/access-log/holds", &hold, Action::LogHold, 1),
    ];
    for (n, (stem, path, body, action, entries)) in cases.into_iter().enumerate() {
        let key = &format!("{KEY}-{n}");
        if !killed_before_its_answer(&mut house, stem, key, path, body) {
            eprintln!("skipped: strace is not here or may not look into another process, so nothing was killed");
            return;
        }
        let before = charged(&house);
        house.start();
        let count = |house: &House| house.log().iter().filter(|entry| entry.action == action).count();
        assert_eq!(count(&house), entries, "{path}: it was durable before it was answered");
        let again = under(&house, stem, key, "POST", path, body);
        assert!(matches!(again.status, 200 | 201), "{path}: {}", again.text());
        assert_eq!((count(&house), charged(&house)), (entries, before), "{path}: one entry, one charge");
    }
    assert_eq!(charged(&house), 3);
}

/// Sends a chunk, under a key if there is one.
fn chunk(house: &House, stem: &str, path: &str, key: Option<&str>, lines: &[String]) -> Reply {
    let key = key.map(|key| ("Idempotency-Key", key));
    let headers: Vec<_> = [("Content-Type", "application/x-ndjson")].into_iter().chain(key).collect();
    house.line(stem).send("PUT", path, &headers, lines.join("\n").as_bytes()).unwrap()
}

#[test]
fn a_chunk_under_a_key_is_kept_once_and_another_one_under_it_is_refused() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let people = residents(&house, &encoder);
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, people.len());
    let questions = [FAMILY, SINGLE].map(|contract| value(&encoder, contract).to_string());
    let batch = begin(&house, &value(&encoder, FAMILY), 2);
    for (stem, place, one, other, action) in [
        (POPULATION, load.commit_path().replace("/commit", ""), &people[..2], &people[2..5], Action::Load),
        (CORPORATION, format!("/v1/question-batches/{batch}"), &questions[..1], &questions[1..], Action::Ask),
    ] {
        let path = format!("{place}/chunks/0");
        let kept = |house: &House| {
            let view: Value = serde_json::from_slice(&house.line(stem).get(&place).body).unwrap();
            view["chunks"].clone()
        };
        let first = chunk(&house, stem, &path, Some(KEY), one);
        assert_eq!(first.status, 200, "{}", first.text());
        let [told, next] = [(); 2].map(|()| chunk(&house, stem, &path, Some(KEY), one).text());
        assert_eq!((&told, &next), (&first.text(), &first.text()));
        // Another one took its place: what is sent again under the key is not done again.
        let replaced = chunk(&house, stem, &path, None, other);
        assert_eq!(replaced.status, 200, "{}", replaced.text());
        assert_eq!(chunk(&house, stem, &path, Some(KEY), one).text(), first.text());
        let view = json!([serde_json::from_slice::<Value>(&replaced.body).unwrap()]);
        assert_eq!(kept(&house), view, "{path}");
        house.restart();
        assert_eq!(chunk(&house, stem, &path, Some(KEY), one).text(), first.text(), "after a restart");
        let elsewhere = format!("{place}/chunks/1");
        for (path, lines) in [(&path, other), (&elsewhere, one)] {
            let refused = chunk(&house, stem, path, Some(KEY), lines);
            refused.is_problem(422, "idempotency_key_reused");
            let entry = house.entry_of(&refused).expect("it is in the log");
            assert_eq!((entry.action, entry.result.code()), (action, Some("idempotency_key_reused")));
        }
        chunk(&house, stem, &path, Some("short"), one).is_problem(400, "idempotency_key");
        assert_eq!(kept(&house), view, "none of them changed anything");
        // Without a key the same number again takes its place.
        assert_eq!(chunk(&house, stem, &path, None, one).status, 200);
        // What was refused is not kept: its key is free.
        let key = &format!("{KEY}-2");
        assert!(chunk(&house, stem, &elsewhere, Some(key), &["{}".to_owned()]).status >= 400);
    }
    assert_eq!(
        chunk(
            &house,
            POPULATION,
            &load.commit_path().replace("commit", "chunks/7"),
            Some(&format!("{KEY}-2")),
            &people[..1]
        )
        .status,
        200
    );
}

#[test]
fn the_same_chunk_many_times_at_once_under_a_key_is_told_the_same() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let people = residents(&house, &encoder);
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, people.len());
    let path = load.commit_path().replace("commit", "chunks/0");
    let start = std::sync::Barrier::new(8);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let send = || {
            start.wait();
            chunk(&house, POPULATION, &path, Some(KEY), &people[..3])
        };
        let all: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.text() == replies[0].text()), "{replies:?}");
}

/// Each leaves an answer for a day, which nobody announced.
#[test]
fn chunks_under_keys_count_among_what_is_written_and_others_do_not() {
    let house = House::limited(&[("records_per_minute_each", 5)]);
    let path = format!("/v1/question-batches/{}/chunks/0", "0".repeat(32));
    let put = |key: Option<&str>| chunk(&house, CORPORATION, &path, key, &["{}".to_owned()]);
    let keys: Vec<String> = (0..12).map(|number| format!("{KEY}-{number}")).collect();
    assert!(keys.iter().any(|key| put(Some(key)).status == 429));
    put(Some(KEY)).is_problem(429, "too_many_writes");
    (0..12).for_each(|_| drop(put(None).is_problem(404, "unknown_batch")));
}
