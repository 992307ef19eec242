//! Requests that two readers could understand differently: nobody gets them, and nothing hides behind or inside one.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::Value;
use voorrang::audit::Action;
use voorrang::ids::TraceId;

use super::support::*;
use super::walls::{inside, logged_port};

/// Statuses of all answers in what came back, also of one that begins in the line in which a body ends.
pub fn statuses(answer: &str) -> Vec<u16> {
    answer.split("HTTP/1.").skip(1).filter_map(|rest| rest.get(2..5)?.parse().ok()).collect()
}

/// Requests for a path that two readers could understand differently, with another request behind or inside them. Those
/// of which the body is what is wrong begin with `chunk`.
pub fn two_ways(path: &str, hidden: &str) -> Vec<(&'static str, String)> {
    let hidden = format!("GET {hidden} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let begin = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
    let with = |headers: &str, rest: &str| format!("{begin}{headers}\r\n{rest}");
    let spoken = |version: &str| format!("GET {path} {version}\r\nHost: localhost\r\n\r\n{hidden}");
    let chunked = |body: &str| with("Transfer-Encoding: chunked\r\n", body);
    let length = hidden.len();
    let behind = |headers: &str| with(headers, &hidden);
    let end = format!("0\r\n\r\n{hidden}");
    let coded = |headers: &str| with(headers, &end);
    let old = |headers: &str, body: &str| format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n{body}");
    vec![
        ("TRACE", format!("TRACE {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("CONNECT", "CONNECT localhost:8443 HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("lower case", format!("get {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        // Versions, as a sentence and as a preface.
        ("no version", format!("GET {path}\r\n{hidden}")),
        ("version 0.9", spoken("HTTP/0.9")),
        ("version 1.2", spoken("HTTP/1.2")),
        ("version 2.0", spoken("HTTP/2.0")),
        ("version 3.0", spoken("HTTP/3.0")),
        ("version in lower case", spoken("http/1.1")),
        ("two spaces", spoken(" HTTP/1.1")),
        ("preface of HTTP/2", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}")),
        // Hosts and addresses.
        ("no host", format!("GET {path} HTTP/1.1\r\n\r\n")),
        ("host list", format!("GET {path} HTTP/1.1\r\nHost: localhost, evil\r\n\r\n{hidden}")),
        ("two hosts", behind("Host: evil\r\n")),
        ("absolute", format!("GET https://evil{path} HTTP/1.1\r\nHost: localhost\r\n\r\n{hidden}")),
        ("long address", format!("GET {path}?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(3000)) + &hidden),
        ("longer address", format!("GET {path}?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(70_000)) + &hidden),
        // What changes the protocol, or waits.
        ("upgrade", behind("Upgrade: websocket\r\n")),
        (
            "upgrade to HTTP/2",
            behind(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
            ),
        ),
        ("expectation", behind(&format!("Expect: x\r\nContent-Length: {length}\r\n"))),
        ("expectation of a number", behind(&format!("Expect: 200-maybe\r\nContent-Length: {length}\r\n"))),
        // Lengths.
        ("both", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &end)),
        ("both, the other way round", with("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &end)),
        ("two lengths", behind(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"))),
        ("one length twice", behind(&format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"))),
        ("list of lengths", behind(&format!("Content-Length: 0, {length}\r\n"))),
        ("list of one length", behind(&format!("Content-Length: {length}, {length}\r\n"))),
        ("zeros", behind("Content-Length: 00\r\n")),
        ("zero before", behind(&format!("Content-Length: 0{length}\r\n"))),
        ("negative", behind("Content-Length: -1\r\n")),
        ("plus", behind(&format!("Content-Length: +{length}\r\n"))),
        ("hexadecimal", behind(&format!("Content-Length: 0x{length:x}\r\n"))),
        ("underscore", behind("Content-Length: 1_0\r\n")),
        ("space inside", behind("Content-Length: 1 0\r\n")),
        ("no length", behind("Content-Length: \r\n")),
        ("overflow", behind("Content-Length: 99999999999999999999999\r\n")),
        ("overflow to nothing", behind("Content-Length: 18446744073709551616\r\n")),
        // Codings.
        ("coding", coded("Transfer-Encoding: xchunked\r\n")),
        ("space", coded("Transfer-Encoding : chunked\r\n")),
        ("no coding", coded("Transfer-Encoding: \r\n")),
        ("no coding and a length", behind(&format!("Transfer-Encoding: \r\nContent-Length: {length}\r\n"))),
        ("two codings", coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")),
        ("coding twice", coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("coding not at the end", coded("Transfer-Encoding: chunked, gzip\r\n")),
        ("coding twice in one", coded("Transfer-Encoding: chunked, chunked\r\n")),
        ("another coding before", coded("Transfer-Encoding: gzip, chunked\r\n")),
        ("identity", coded("Transfer-Encoding: identity\r\n")),
        ("identity and a length", behind(&format!("Transfer-Encoding: identity\r\nContent-Length: {length}\r\n"))),
        ("vertical tab", coded("Transfer-Encoding: \u{b}chunked\r\n")),
        ("quoted", coded("Transfer-Encoding: \"chunked\"\r\n")),
        ("coding in HTTP/1.0", old("Transfer-Encoding: chunked\r\n", &end)),
        (
            "coding and length in HTTP/1.0",
            old(&format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"), &hidden),
        ),
        // Lines of a head.
        ("folded", behind("X: b\r\n c\r\n")),
        ("folded coding", coded("Transfer-Encoding:\r\n chunked\r\n")),
        ("folded at the start", format!("GET {path} HTTP/1.1\r\n Host: localhost\r\n\r\n{hidden}")),
        ("space before the colon", behind("X : b\r\n")),
        ("no colon", behind("X\r\n")),
        ("no name", behind(": b\r\n")),
        ("NUL in a value", behind("X: b\0c\r\n")),
        ("NUL in a name", behind("X\0: b\r\n")),
        ("CR in a value", behind("X: b\rTransfer-Encoding: chunked\r\n")),
        ("two types", behind("Content-Type: application/json\r\nContent-Type: text/plain\r\n")),
        ("two forms", behind("Accept: */*\r\nAccept: text/plain\r\n")),
        ("many headers", behind(&"X: 1\r\n".repeat(80))),
        ("more headers", behind(&"X: 1\r\n".repeat(200))),
        ("long header", with(&format!("X: {}\r\n", "a".repeat(20_000)), "")),
        ("endless head", with(&format!("X: {}\r\n", "a".repeat(262_144)), "")),
        // Sizes and ends of chunks.
        ("chunk size", chunked(&format!("-1\r\n{hidden}"))),
        ("chunk size, hexadecimal twice", chunked(&format!("0x5\r\nhello\r\n{end}"))),
        ("chunk size, underscore", chunked(&format!("1_0\r\n{hidden}"))),
        ("chunk size, overflow", chunked(&format!("fffffffffffffffff\r\nhello\r\n{end}"))),
        ("chunk size, overflow to five", chunked(&format!("10000000000000005\r\nhello\r\n{end}"))),
        ("chunk with LF", chunked(&format!("5\nhello\n0\n\n{hidden}"))),
        ("chunk with LF behind an extension", chunked(&format!("5;a\nhello\r\n{end}"))),
        ("chunk without an end", chunked(&format!("5\r\nhelloXX{end}"))),
        ("chunk that is longer", chunked(&format!("5\r\nhello9\r\n{end}"))),
    ]
}

/// Requests for a path that can be understood in one way only, though another request seems to stand in them.
fn one_way(path: &str, hidden: &str) -> Vec<(&'static str, String)> {
    let hidden = format!("GET {hidden} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let begin = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
    let length = hidden.len();
    vec![
        ("a body", format!("{begin}Content-Length: {length}\r\n\r\n{hidden}")),
        ("a body in chunks", format!("{begin}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n")),
        (
            "a body in HTTP/1.0",
            format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        ),
    ]
}

#[test]
fn a_body_in_chunks_that_cannot_be_read_is_answered_so_and_counted() {
    let mut house = House::built(true);
    house.start();
    let numbers = || inside(logged_port(&house, "internal="), "GET /metrics").1;
    let bodies = [
        "zz\r\n",
        "-2\r\n{}\r\n",
        "0x2\r\n{}\r\n",
        "2\n{}\r\n",
        "2;a\n{}\r\n",
        "2\r\n{}XX",
        "2\r\n{}9\r\n",
        "1_0\r\n{}\r\n",
        "fffffffffffffffff\r\n{}\r\n",
    ];
    for (number, body) in (1..).zip(bodies.iter().flat_map(|body| [(body, false), (body, true)])) {
        let (body, apart) = body;
        let mut line = house.line(CORPORATION);
        let head = "POST /v1/priority-questions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        if apart {
            line.write(head.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(400));
            line.write(body.as_bytes()).unwrap();
        } else {
            line.write(format!("{head}{body}").as_bytes()).unwrap();
        }
        let reply = line.reply("POST").unwrap();
        reply.is_problem(400, "body");
        assert_eq!(reply.header("connection"), Some("close"), "{body:?}");
        let told = format!("voorrang_refused_total{{code=\"body\"}} {number}");
        assert!(numbers().contains(&told), "{body:?}: {told}");
    }
    let lines = std::fs::read_to_string(house.stderr()).unwrap();
    assert_eq!(lines.matches("a request's body could not be read").count(), bodies.len() * 2);
    // The control: chunks that can be read.
    let mut line = house.line(CORPORATION);
    let head = "POST /v1/priority-questions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    line.write(format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n").as_bytes()).unwrap();
    assert_ne!(line.reply("POST").unwrap().problem().code, "body");
    assert_eq!(line.get("/v1/ping").status, 204, "the connection goes on");
}

#[test]
fn what_two_readers_could_understand_differently_nobody_gets() {
    let house = House::limited(&[]);
    // Nor does another reason for a refusal go before this one.
    let more = ["", "Accept: image/png\r\n", "Content-Encoding: gzip\r\n"];
    let all = two_ways("/v1/ping", "/v1/service").into_iter();
    let all = all.flat_map(|(what, bytes)| more.map(|more| (what, bytes.replacen("\r\n", &format!("\r\n{more}"), 1))));
    for (what, bytes) in all {
        let mut line = house.line(OFFICER);
        line.tls.get_ref().sock.set_read_timeout(Some(Duration::from_secs(7))).unwrap();
        drop(line.write(bytes.as_bytes()));
        line.tls.get_mut().conn.send_close_notify();
        drop(line.tls.get_mut().flush());
        let mut answer = Vec::new();
        // It ends, one way or the other.
        drop(line.tls.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer);
        let statuses = statuses(&answer);
        assert!(statuses.len() <= 1, "{what}: {statuses:?}");
        assert!(statuses.iter().all(|status| (400..600).contains(status)), "{what}: {statuses:?}");
        for word in ["api-version: ", "application/problem+json", "x-content-type-options: nosniff", "\"code\":\""] {
            assert!(statuses.is_empty() || answer.contains(word), "{what}: {answer}");
        }
    }
    for (what, bytes) in one_way("/v1/ping", "/v1/service") {
        let mut line = house.line(OFFICER);
        line.write(bytes.as_bytes()).unwrap();
        line.tls.get_mut().conn.send_close_notify();
        drop(line.tls.get_mut().flush());
        let mut answer = Vec::new();
        drop(line.tls.read_to_end(&mut answer));
        assert_eq!(statuses(&String::from_utf8_lossy(&answer)), [204], "{what}");
    }
    let mut line = house.line(OFFICER);
    let hidden = "GET /v1/service HTTP/1.1\r\nHost: localhost\r\n\r\n";
    line.write(format!("GET /v1/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n{hidden}").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    drop(line.tls.read_to_end(&mut answer));
    assert_eq!(statuses(&String::from_utf8_lossy(&answer)), [204], "nothing is read behind the end");
    let read = house.log().into_iter().filter(|entry| entry.action != Action::Connect && entry.result.code().is_some());
    assert_eq!(read.count(), 0, "nothing was asked");
}

/// A hundred questions in one piece, before the first is answered.
#[test]
fn questions_in_one_piece_are_answered_in_their_order_and_each_is_recorded() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let sent: Vec<(TraceId, Value)> =
        contracts().iter().cycle().take(100).map(|contract| (TraceId::random(), value(&encoder, contract))).collect();
    let request = |(trace, question): &(TraceId, Value)| {
        let body = question.to_string();
        let head = "POST /v1/priority-questions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        format!("{head}\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-00\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let mut line = house.line(CORPORATION);
    let piece: String = sent.iter().map(request).collect();
    line.write(piece.as_bytes()).unwrap();
    let answered: Vec<_> = sent.iter().map(|_| line.reply("POST").unwrap().answered().receipt).collect();
    let log = house.log();
    let asked = |trace: &TraceId| log.iter().filter(|entry| entry.trace_id == *trace).count();
    for ((trace, _), receipt) in sent.iter().zip(&answered) {
        let entry = &log[usize::try_from(receipt.index).unwrap()];
        assert_eq!((entry.trace_id, entry.action), (*trace, Action::Ask), "{}", receipt.index);
        assert_eq!(asked(trace), 1);
    }
    assert!(answered.is_sorted_by_key(|receipt| receipt.index), "in the order in which they were asked");
}
