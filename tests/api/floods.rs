//! What a hostile party sends costs little of what all share: memory, the event loop, disk. Each case is one that cost
//! much.

use std::cell::OnceCell;
use std::fs;
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use voorrang::audit::Action;

use super::question_batches::{begin, put};
use super::support::*;

/// Most memory that the service's process ever had, in MiB.
pub fn peak(house: &House) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", house.process())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// By how much it grew since. What the kernel counts is a little less than a moment ago, at times.
pub fn grown(house: &House, before: u64) -> u64 {
    peak(house).saturating_sub(before)
}

/// Sends it from four connections at once while another party pings; how much memory that took, and the longest ping.
fn flooded(house: &House, path: &str, headers: &[(&str, &str)], body: &[u8], status: u16) -> (u64, Duration) {
    let before = peak(house);
    let mut line = house.line(OFFICER);
    let longest = std::thread::scope(|scope| {
        let flood = || {
            let mut line = house.line(CORPORATION);
            line.head("POST", path, headers, body.len()).unwrap();
            // A refusal may come before all of it is sent.
            drop(line.write(body));
            assert_eq!(line.reply("POST").unwrap().status, status);
        };
        let floods: Vec<_> = (0..4).map(|_| scope.spawn(flood)).collect();
        let mut longest = Duration::ZERO;
        while floods.iter().any(|flood| !flood.is_finished()) {
            let began = Instant::now();
            assert_eq!(line.get("/v1/ping").status, 204);
            longest = longest.max(began.elapsed());
        }
        longest
    });
    (grown(house, before), longest)
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn a_body_full_of_faults_costs_a_little_more_than_its_bytes_and_nobody_waits_for_it() {
    let mut house = House::built(true);
    house.start();
    // As many as are looked through, and as many as fit.
    for count in [9_000, 700_000] {
        let body = format!(r#"{{"questions":[{}]}}"#, vec!["{}"; count].join(","));
        let (grew, longest) = flooded(&house, "/v1/priority-batches", &[JSON], body.as_bytes(), 400);
        assert!(grew < 120, "{count}: {grew} MiB");
        assert!(longest < Duration::from_millis(700), "{count}: {longest:?}");
    }
}

#[test]
fn a_key_gives_nobody_a_longer_body_than_its_resource_takes() {
    let mut house = House::built(true);
    house.start();
    let headers = [JSON, ("Idempotency-Key", "8e03978e-40d5-43e8-bc93-6894a57f9324")];
    let body = format!("[{}]", vec!["0"; 4 << 20].join(","));
    let (grew, longest) = flooded(&house, "/v1/loads", &headers, body.as_bytes(), 413);
    assert!(grew < 20, "{grew} MiB");
    assert!(longest < Duration::from_millis(300), "{longest:?}");
    let (grew, _) = flooded(&house, "/v1/priority-batches", &headers, &body.as_bytes()[..8 << 20], 400);
    assert!(grew < 160, "{grew} MiB");
}

#[test]
fn of_a_whole_batch_of_bad_questions_the_faults_are_told() {
    let house = House::open();
    let mut question = value(&house.encoder(EPOCH), FAMILY);
    question["conditions"]["personalContact"] = "x".into();
    let body = serde_json::json!({"questions": vec![question; 100]});
    let told = house.line(CORPORATION).json("POST", "/v1/priority-batches", &body).is_problem(400, "json");
    assert_eq!(told.errors.len(), 50);
}

#[test]
fn refusals_fill_no_disk_and_a_party_that_only_earns_them_is_slowed() {
    let house = House::limited(&[("refusals_per_minute_each", 90)]);
    house.fill(EPOCH);
    let mut bad = value(&house.encoder(EPOCH), FAMILY);
    bad["purpose"] = "tenant-screening".into();
    let before = house.log().len();
    // A hundred in one request, more than a minute's worth.
    let batch = json!({"questions": vec![&bad; 100]});
    assert_eq!(house.line(CORPORATION).json("POST", "/v1/priority-batches", &batch).status, 200);
    for _ in 0..3 {
        let refused = house.line(CORPORATION).ask(&bad);
        refused.is_problem(429, "too_many_refusals");
        assert_eq!(refused.header("retry-after"), Some("5"));
    }
    assert_eq!(house.line(OFFICER).get("/v1/service").status, 200, "another party");
    let asked = house.log().into_iter().skip(before).filter(|entry| entry.action == Action::Ask).count();
    assert_eq!(asked, 100, "what comes after has no entry of its own");
    // Ten were too many: after as many shares of a minute the next one is heard.
    std::thread::sleep(Duration::from_secs(7));
    house.line(CORPORATION).ask(&bad).is_problem(403, "refused");
}

/// Refusals are entries; so is what is granted, and rows besides.
#[test]
fn what_is_granted_fills_no_disk_either() {
    const RATE: usize = 30;
    let flood = |stem: &str, act: &dyn Fn(&House, &mut Line, &Value, usize) -> Reply| {
        let house = House::limited(&[("records_per_minute_each", RATE as i64)]);
        house.fill(EPOCH);
        let question = value(&house.encoder(EPOCH), FAMILY);
        let (before, mut line) = (house.log().len(), house.line(stem));
        let mut all = (0..4 * RATE).map(|number| act(&house, &mut line, &question, number));
        let refused = all.find(|reply| ![200, 201, 202].contains(&reply.status)).unwrap();
        drop(all);
        refused.is_problem(429, "too_many_writes");
        assert_eq!(refused.header("retry-after"), Some("5"));
        assert_eq!(line.get("/v1/service").status, 200, "what leaves nothing");
        // Some of a minute's share came back meanwhile, and reading the log is an entry.
        let after = house.log().len() - before;
        assert!(after < 2 * RATE, "{stem}: {after} entries");
    };
    let plan = |question: &Value| json!({"header": question["header"], "purpose": question["purpose"], "questions": 1});
    flood(CORPORATION, &|_, line, question, number| {
        let addresses = STANDARD.encode([7; 6]);
        let stock = json!({"header": question["header"], "dwellings": 1 + number % 50, "addresses": addresses});
        line.json("PUT", "/v1/stock", &stock)
    });
    flood(POPULATION, &|house, line, question, number| {
        let day = house.reference().to_string();
        let load = json!({"header": question["header"], "source": "population", "records": 1, "referenceDate": day,
                          "ages": ages()});
        let key = format!("begun-again-{number:08}");
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key.as_str())];
        line.send("POST", "/v1/loads", &headers, load.to_string().as_bytes()).unwrap()
    });
    flood(CORPORATION, &|_, line, question, _| {
        let begun = line.json("POST", "/v1/question-batches", &plan(question));
        match begun.header("location") {
            Some(place) => line.send("DELETE", place, &[], b"").unwrap(),
            None => begun,
        }
    });
    let batch = OnceCell::new();
    flood(CORPORATION, &|house, line, question, number| {
        let batch = batch.get_or_init(|| begin(house, question, 1));
        line.get(&format!("/v1/question-batches/{batch}/results?from={number}"))
    });
}

#[test]
fn a_batch_takes_no_more_room_than_its_questions_have() {
    let house = House::open();
    let mut question = value(&house.encoder(EPOCH), FAMILY);
    let batch = begin(&house, &question, 100);
    // White space belongs to no question, and is kept like one.
    question["header"]["epoch"] = EPOCH.into();
    let line = question.to_string().replacen('{', &format!("{{{}", " ".repeat(60_000)), 1);
    let chunk = |number: usize| {
        let path = format!("/v1/question-batches/{batch}/chunks/{number}");
        let headers = [("Content-Type", "application/x-ndjson")];
        let body = format!("{}\n", vec![line.as_str(); 16].join("\n"));
        house.line(CORPORATION).send("PUT", &path, &headers, body.as_bytes()).unwrap()
    };
    assert_eq!(chunk(0).status, 200);
    chunk(1).is_problem(413, "store_upload_too_long");
    assert_eq!(put(&house, batch, 1, &vec![question.clone(); 84]).status, 200, "what was announced fits");
}
