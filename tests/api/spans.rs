//! A span a request, for who asked for them, and nothing of a party in any.

use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

use super::log::collector;
use super::support::*;
use super::walls::{inside, logged_port, soon};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A service that sends its spans here.
fn observed() -> (House, Receiver<Vec<Value>>) {
    observed_with(|_| {})
}

fn observed_with(change: impl FnOnce(&mut toml::Table)) -> (House, Receiver<Vec<Value>>) {
    let mut house = House::built(false);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    house.configure(|table| drop(table["traces"].as_table_mut().unwrap().insert("collector".into(), address.into())));
    house.configure(change);
    let (seen, spans) = mpsc::channel();
    std::thread::spawn(move || collector(listener, seen));
    house.start();
    (house, spans)
}

#[test]
fn each_request_is_a_span_under_its_caller_and_names_no_party() {
    let (house, spans) = observed();
    house.fill(EPOCH);
    let question = value(&house.encoder(EPOCH), FAMILY).to_string();
    let mut line = house.line(CORPORATION);
    let mut send = |parent: &str, path: &str| {
        let headers = [("Content-Type", "application/json"), ("traceparent", parent)];
        line.send("POST", path, &headers, question.as_bytes()).unwrap()
    };
    let answered = send(&format!("00-{TRACE}-{CALLER}-01"), "/v1/priority-questions");
    let response = answered.header("traceresponse").unwrap().to_owned();
    let unsampled = send(&format!("00-{}-{CALLER}-00", "1".repeat(32)), "/v1/priority-questions");
    assert_eq!((answered.status, unsampled.status), (200, 200));
    assert_eq!(unsampled.header("traceresponse"), None, "the caller said that this trace is not collected");
    let lost = send(&format!("00-{}-{CALLER}-01", "2".repeat(32)), "/v1/nothing/00000099000000004001");
    lost.is_problem(404, "no_such_path");
    drop(house);
    let all: Vec<Value> = std::iter::from_fn(|| spans.recv_timeout(Duration::from_secs(1)).ok()).flatten().collect();
    let find = |trace: &str| all.iter().filter(|span| span["traceId"] == trace).collect::<Vec<_>>();
    let [span] = find(TRACE)[..] else { panic!("one span: {all:#?}") };
    assert_eq!(response, format!("00-{TRACE}-{}-01", span["spanId"].as_str().unwrap()));
    assert_eq!((&span["parentSpanId"], &span["name"]), (&CALLER.into(), &"POST /v1/priority-questions".into()));
    let nanos = |member: &str| span[member].as_str().unwrap().parse::<u128>().unwrap();
    assert!(nanos("startTimeUnixNano") < nanos("endTimeUnixNano"));
    assert!(span["attributes"].to_string().contains("\"intValue\":\"200\""), "{span}");
    assert_eq!(find(&"1".repeat(32)), [] as [&Value; 0]);
    let [span] = find(&"2".repeat(32))[..] else { panic!("one span: {all:#?}") };
    assert_eq!(span["name"], "POST -", "a path that does not exist is not repeated");
    assert!(all.len() > 10, "the loads are spans too: {}", all.len());
    for word in ["0000009900000000", "ymere", "corporation", "Haversingel"] {
        assert!(!Value::from(all.clone()).to_string().to_lowercase().contains(&word.to_lowercase()), "{word}");
    }
}

#[test]
fn a_collector_that_is_away_holds_up_nobody_and_without_one_there_are_no_spans() {
    let mut house = House::built(false);
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{nowhere}/v1/traces");
    house.configure(|table| drop(table["traces"].as_table_mut().unwrap().insert("collector".into(), address.into())));
    house.start();
    assert!(house.line(CORPORATION).get("/v1/ping").header("traceresponse").is_some());
    assert!(house.stop());
    let house = House::empty();
    assert_eq!(house.line(CORPORATION).get("/v1/ping").header("traceresponse"), None);
}

/// As many as a moment brings, and a stop right behind them.
#[test]
fn a_burst_of_requests_is_as_many_spans_though_the_service_stops_behind_it() {
    const LINES: usize = 6;
    const EACH: usize = 500;
    let (mut house, spans) = observed_with(|table| {
        table["limits"].as_table_mut().unwrap().insert("requests_per_second_each".into(), 100_000.into());
    });
    std::thread::scope(|scope| {
        for _ in 0..LINES {
            let mut line = house.line(CORPORATION);
            scope.spawn(move || {
                for _ in 0..EACH / 10 {
                    line.write(&b"GET /v1/ping HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(10)).unwrap();
                    (0..10).for_each(|_| assert_eq!(line.reply("GET").unwrap().status, 204));
                }
            });
        }
    });
    assert!(house.stop());
    let all = std::iter::from_fn(|| spans.recv_timeout(Duration::from_secs(2)).ok()).flatten();
    let pings = all.filter(|span| span["name"] == "GET /v1/ping").count();
    assert_eq!(pings, LINES * EACH);
}

#[test]
fn spans_that_nobody_takes_are_counted() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut house = House::built(true);
    house.configure(|table| {
        let address = format!("http://{nowhere}/v1/traces");
        table["traces"].as_table_mut().unwrap().insert("collector".into(), address.into());
    });
    house.start();
    let numbers = || inside(logged_port(&house, "internal="), "GET /metrics").1;
    let lost =
        || numbers().lines().find_map(|line| line.strip_prefix("voorrang_spans_lost_total ")?.parse::<f64>().ok());
    assert!(lost().is_some());
    let before = lost().unwrap();
    (0..7).for_each(|_| assert_eq!(house.line(CORPORATION).get("/v1/ping").status, 204));
    soon("they are counted", || lost().unwrap() >= before + 7.0);
}
