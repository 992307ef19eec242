//! Every key of `[limits]` that bounds what is under way at once: what is beyond it is told so, and another party is
//! answered, unless all together are too many. The others are in [`super::limits`] and [`super::floods`].

use std::time::{Duration, Instant};

use super::support::*;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Where each key is tried; a new one has no test yet.
const TRIED: [(&str, &str); 13] = [
    ("batches_at_once_each", "batches_at_once_are_a_party_s_own"),
    ("body_bytes_per_second", "limits::a_body_that_stalls_or_drips_is_cut_and_its_connection_closed"),
    ("body_megabytes", "bodies_of_all_together_have_a_bound_and_it_is_nobody_s_fault"),
    ("body_megabytes_each", "limits::bodies_that_together_are_too_large_are_refused_before_they_are_read"),
    ("body_megabytes_per_second_each", "bytes_a_second_are_a_party_s_own"),
    ("body_seconds", "a_body_has_so_many_seconds_however_fast_it_comes"),
    ("connections", "connections_beyond_those_of_all_wait_for_a_place"),
    ("connections_each", "limits::connections_beyond_the_party_s_share_are_refused_and_another_party_s_are_not"),
    ("records_per_minute_each", "floods::what_is_granted_fills_no_disk_either"),
    ("refusals_per_minute_each", "floods::refusals_fill_no_disk_and_a_party_that_only_earns_them_is_slowed"),
    ("requests_at_once", "requests_of_all_at_once_have_a_bound_and_it_is_nobody_s_fault"),
    ("requests_at_once_each", "requests_at_once_are_a_party_s_own"),
    (
        "requests_per_second_each",
        "limits::requests_beyond_the_party_s_rate_are_slowed_then_refused_whatever_the_connection",
    ),
];

#[test]
fn every_key_is_tried() {
    let defaults: toml::Table = voorrang::config::DEFAULT.parse().unwrap();
    let keys: Vec<&String> = defaults["limits"].as_table().unwrap().keys().collect();
    assert_eq!(keys, TRIED.map(|(key, _)| key));
    let sources = [include_str!("shares.rs"), include_str!("limits.rs"), include_str!("floods.rs")].concat();
    for (key, test) in TRIED {
        let name = test.rsplit(':').next().unwrap();
        assert!(sources.contains(&format!("fn {name}()")), "{key}: {test}");
    }
}

/// A request that is being worked on: its body does not come.
fn under_way(house: &House, stem: &str, path: &str) -> Line {
    let mut line = house.line(stem);
    line.head("POST", path, &[JSON], 100).unwrap();
    // Until the service has read its head.
    std::thread::sleep(Duration::from_millis(300));
    line
}

#[test]
fn requests_at_once_are_a_party_s_own() {
    let house = House::limited(&[("requests_at_once_each", 2)]);
    let mut lines: Vec<Line> = (0..2).map(|_| under_way(&house, CORPORATION, "/v1/priority-questions")).collect();
    let began = Instant::now();
    let refused = house.line(CORPORATION).get("/v1/ping");
    refused.is_problem(429, "too_many_at_once");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(began.elapsed() > Duration::from_millis(900), "it waited for a place: {:?}", began.elapsed());
    assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204, "another party");
    lines.pop();
    assert_eq!(house.line(CORPORATION).get("/v1/ping").status, 204, "who has gone has no place");
}

#[test]
fn requests_of_all_at_once_have_a_bound_and_it_is_nobody_s_fault() {
    let house = House::limited(&[("requests_at_once_each", 2), ("requests_at_once", 2)]);
    let lines: Vec<Line> = (0..2).map(|_| under_way(&house, CORPORATION, "/v1/priority-questions")).collect();
    let refused = house.line(OFFICER).get("/v1/ping");
    refused.is_problem(503, "busy");
    assert_eq!(refused.header("retry-after"), Some("2"));
    drop(lines);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204);
}

#[test]
fn batches_at_once_are_a_party_s_own() {
    let house = House::limited(&[("batches_at_once_each", 1)]);
    let line = under_way(&house, CORPORATION, "/v1/priority-batches");
    let mut second = under_way(&house, CORPORATION, "/v1/priority-batches");
    second.reply("POST").unwrap().is_problem(429, "too_many_batches");
    assert_eq!(house.line(CORPORATION).get("/v1/ping").status, 204, "what is no batch");
    let mut other = under_way(&house, POPULATION, "/v1/priority-batches");
    other.write(&[b' '; 100]).unwrap();
    assert_ne!(other.reply("POST").unwrap().status, 429, "another party");
    drop(line);
}

#[test]
fn bodies_of_all_together_have_a_bound_and_it_is_nobody_s_fault() {
    let house = House::limited(&[("body_megabytes_each", 1), ("body_megabytes", 1)]);
    let large = |stem: &str| {
        let mut line = house.line(stem);
        line.head("POST", "/v1/priority-batches", &[JSON], 700 << 10).unwrap();
        line
    };
    let mut first = large(CORPORATION);
    first.write(&vec![b' '; 600 << 10]).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let refused = large(POPULATION).reply("POST").unwrap();
    refused.is_problem(503, "busy");
    assert_eq!(refused.header("retry-after"), Some("2"));
    drop(first);
}

#[test]
fn bytes_a_second_are_a_party_s_own() {
    let house = House::limited(&[("body_megabytes_per_second_each", 1)]);
    let send = |stem: &str, bytes: usize| {
        let mut line = house.line(stem);
        line.head("POST", "/v1/priority-batches", &[JSON], bytes).unwrap();
        // It may be cut before all of it is sent.
        drop(line.write(&vec![b' '; bytes]));
        line.reply("POST").unwrap()
    };
    send(CORPORATION, 6 << 20).is_problem(429, "too_many_bytes");
    assert_eq!(send(POPULATION, 1 << 20).status, 400, "another party's are read");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(send(CORPORATION, 1 << 20).status, 400, "after a while they are read");
}

#[test]
fn a_body_has_so_many_seconds_however_fast_it_comes() {
    let house = House::limited(&[("body_seconds", 2)]);
    let mut line = house.line(CORPORATION);
    line.head("POST", "/v1/priority-batches", &[JSON], 8 << 20).unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        line.write(&[b' '; 8192]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    line.reply("POST").unwrap().is_problem(408, "slow_body");
    assert!(began.elapsed() < Duration::from_secs(8), "silence alone would have been cut later: {:?}", began.elapsed());
}

#[test]
fn connections_beyond_those_of_all_wait_for_a_place() {
    let mut house = House::built(false);
    house.configure(|table| {
        table.insert("workers".into(), 1.into());
        let limits = table["limits"].as_table_mut().unwrap();
        limits.insert("connections".into(), 8.into());
        limits.insert("connections_each".into(), 8.into());
    });
    house.start();
    let mut open: Vec<Line> = (0..8).map(|_| house.line(CORPORATION)).collect();
    assert!(open.iter_mut().all(|line| line.get("/v1/ping").status == 204));
    let mut waiting = house.line(OFFICER);
    waiting.tls.get_ref().sock.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    assert!(waiting.send("GET", "/v1/ping", &[], b"").is_err(), "there is no place");
    open.pop();
    waiting.tls.get_ref().sock.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(waiting.get("/v1/ping").status, 204, "one has gone");
    assert!(open.iter_mut().all(|line| line.get("/v1/ping").status == 204), "those that were there stay");
}
