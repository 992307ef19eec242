//! Nobody has more of the service than its share: connections, requests, bytes, time. What is too much is refused, and
//! the others do not notice.

use std::io::Read;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::json;

use super::support::*;

#[test]
fn connections_beyond_the_party_s_share_are_refused_and_another_party_s_are_not() {
    let house = House::limited(&[("connections_each", 3)]);
    let mut open: Vec<Line> = (0..3).map(|_| house.line(CORPORATION)).collect();
    assert!(open.iter_mut().all(|line| line.get("/v1/ping").status == 204));
    let refused = house.line(CORPORATION).get("/v1/ping");
    refused.is_problem(429, "too_many_connections");
    assert_eq!((refused.header("retry-after"), refused.header("connection")), (Some("5"), Some("close")));
    assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204);
    assert!(open.iter_mut().all(|line| line.get("/v1/ping").status == 204), "those that were there stay");
    open.pop();
    let until = Instant::now() + Duration::from_secs(5);
    while house.line(CORPORATION).get("/v1/ping").status != 204 {
        assert!(Instant::now() < until, "a closed connection frees its place");
    }
    let told = |house: &House| house.log().into_iter().any(|entry| entry.result.code() == Some("too_many_connections"));
    while !told(&house) {
        assert!(Instant::now() < until, "the access log counts refusals");
        sleep(Duration::from_millis(200));
    }
}

/// A connection whose handshake is over, and on which nothing was asked.
fn idle(house: &House, stem: &str) -> Line {
    let mut line = house.line(stem);
    let tls = line.tls.get_mut();
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock).unwrap();
    }
    line
}

/// Whether the service has closed it, after this long.
fn is_closed(line: &Line, wait: Duration) -> bool {
    let socket = &line.tls.get_ref().sock;
    socket.set_read_timeout(Some(wait)).unwrap();
    match socket.peek(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn connections_that_ask_nothing_count_too_and_beyond_the_share_they_are_closed() {
    let house = House::limited(&[("connections_each", 3)]);
    // Nothing was asked on them, so that there are five seconds until their head is too late.
    let began = Instant::now();
    let open: Vec<Line> = (0..3).map(|_| idle(&house, CORPORATION)).collect();
    let mut beyond: Vec<Line> = (0..40).map(|_| idle(&house, CORPORATION)).collect();
    let closed = beyond.iter().filter(|line| is_closed(line, Duration::from_millis(50))).count();
    assert!(!open.iter().any(|line| is_closed(line, Duration::from_millis(10))), "those that were there stay");
    assert!(began.elapsed() < Duration::from_secs(5), "this says something only before the deadline of a head");
    assert_eq!(closed, 40 - 8, "a few hear why, all others are closed");
    assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204, "another party");
    let told = beyond.iter_mut().find(|line| !is_closed(line, Duration::from_millis(10))).unwrap();
    told.tls.get_ref().sock.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    told.get("/v1/ping").is_problem(429, "too_many_connections");
    drop((open, beyond));
    let until = Instant::now() + Duration::from_secs(5);
    let asks = |house: &House| house.line(CORPORATION).send("GET", "/v1/ping", &[], b"").map(|reply| reply.status).ok();
    while asks(&house) != Some(204) {
        assert!(Instant::now() < until, "closed connections free their places");
    }
    let refused = |house: &House| super::walls::refused(house, "too_many_connections");
    while refused(&house) == 0 {
        assert!(Instant::now() < until, "the access log counts them");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn requests_beyond_the_party_s_rate_are_slowed_then_refused_whatever_the_connection() {
    let house = House::limited(&[("requests_per_second_each", 10)]);
    let began = Instant::now();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let flood = || {
            let mut line = house.line(CORPORATION);
            let mut ping = || {
                let reply = line.get("/v1/ping");
                assert_eq!(reply.header("retry-after").is_some(), reply.status == 429);
                reply.status
            };
            (0..12).map(|_| ping()).collect::<Vec<_>>()
        };
        let floods: Vec<_> = (0..16).map(|_| scope.spawn(flood)).collect();
        sleep(Duration::from_millis(300));
        let quiet = Instant::now();
        assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204);
        assert!(quiet.elapsed() < Duration::from_millis(900), "another party does not wait");
        floods.into_iter().flat_map(|flood| flood.join().unwrap()).collect()
    });
    let served = statuses.iter().filter(|status| **status == 204).count() as f64;
    // The burst, ten a second, and what the start took of it.
    assert!(served <= 22.0 + 10.0 * began.elapsed().as_secs_f64(), "{served} in {:?}", began.elapsed());
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(refused > 20 && statuses.iter().all(|status| [204, 429].contains(status)), "{statuses:?}");
    assert!(began.elapsed() > Duration::from_secs(5), "whoever does not wait is made to: {:?}", began.elapsed());
}

#[test]
fn whoever_asks_for_what_there_is_not_is_slowed_like_everybody() {
    let house = House::limited(&[("requests_per_second_each", 10)]);
    let mut line = house.line(CORPORATION);
    for (header, status) in [(("Accept", "image/png"), 406), (("Content-Encoding", "gzip"), 415)] {
        let began = Instant::now();
        for _ in 0..40 {
            let reply = line.exchange("GET", "/v1/ping", &[header], b"").unwrap();
            assert!([status, 429].contains(&reply.status), "{}", reply.text());
        }
        assert!(began.elapsed() > Duration::from_millis(1500), "{status}: {:?}", began.elapsed());
    }
}

/// Connections on which much is asked and nothing is read.
fn unread(house: &House, count: usize) -> Vec<Line> {
    let many = b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20);
    let open = || {
        let mut line = house.line(CORPORATION);
        set_socket_recv_buffer_size(&line.tls.get_ref().sock, 4096).unwrap();
        line.write(&many).unwrap();
        line
    };
    (0..count).map(|_| open()).collect()
}

/// Bytes that wait in the kernel for each client of this port.
fn waiting(port: u16) -> Vec<usize> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let of = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?.rsplit_once(':')?.1;
        let sent = fields.nth(2)?.split_once(':')?.0;
        (local == format!("{port:04X}")).then(|| usize::from_str_radix(sent, 16).ok())?
    };
    table.lines().filter_map(of).collect()
}

#[test]
fn answers_that_nobody_reads_hold_little_memory() {
    let mut house = House::built(true);
    house.start();
    house.line(CORPORATION).get("/v1/openapi.json");
    let before = super::floods::peak(&house);
    let lines = unread(&house, 200);
    sleep(Duration::from_secs(3));
    let most = waiting(house.port()).into_iter().max().unwrap();
    assert!((16 << 10..160 << 10).contains(&most), "{most} bytes wait");
    let grew = super::floods::grown(&house, before);
    // For each a copy of the document in actix's buffer, and what TLS made of it: .2 MiB.
    assert!(grew < 60, "{grew} MiB");
    drop(lines);
}

#[test]
fn answers_that_nobody_reads_are_their_party_s_share() {
    let house = House::limited(&[("body_megabytes_each", 1)]);
    let lines = unread(&house, 12);
    sleep(Duration::from_secs(1));
    house.line(CORPORATION).get("/v1/ping").is_problem(429, "too_many_bytes_at_once");
    assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204, "another party");
    drop(lines);
    let until = Instant::now() + Duration::from_secs(5);
    while house.line(CORPORATION).get("/v1/ping").status != 204 {
        assert!(Instant::now() < until, "what nobody waits for any more is forgotten");
    }
}

#[test]
fn a_body_that_stalls_or_drips_is_cut_and_its_connection_closed() {
    let house = House::limited(&[]);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let house = &house;
        let headers = [("Content-Type", "application/json")];
        let stalled = scope.spawn(move || {
            let mut line = house.line(CORPORATION);
            line.head("POST", "/v1/priority-questions", &headers, 1000).unwrap();
            line.write(b"{\"header\":").unwrap();
            (line.reply("POST").unwrap(), line)
        });
        let dripping = scope.spawn(move || {
            let mut line = house.line(CORPORATION);
            line.head("POST", "/v1/priority-batches", &headers, 1000).unwrap();
            for _ in 0..19 {
                line.write(b" ").unwrap();
                sleep(Duration::from_millis(500));
            }
            let reply = line.reply("POST").unwrap();
            assert!(began.elapsed() < Duration::from_secs(15), "silence alone would have been cut later");
            (reply, line)
        });
        for (what, thread) in [("stalled", stalled), ("dripping", dripping)] {
            let (reply, mut line) = thread.join().unwrap();
            reply.is_problem(408, "slow_body");
            assert!(line.send("GET", "/v1/ping", &[], b"").is_err(), "{what}: the connection is closed");
        }
    });
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_body_that_never_fits_is_too_large_and_nobody_is_told_to_come_again() {
    let house = House::limited(&[]);
    for (method, path, kind) in [
        ("POST", "/v1/priority-questions", "application/json"),
        ("PUT", "/v1/loads/00000000000000000000000000000000/chunks/0", "application/x-ndjson"),
    ] {
        let mut line = house.line(CORPORATION);
        line.head(method, path, &[("Content-Type", kind)], 70 << 20).unwrap();
        let refused = line.reply(method).unwrap();
        refused.is_problem(413, "too_large");
        assert_eq!(refused.header("retry-after"), None);
    }
}

#[test]
fn bodies_that_together_are_too_large_are_refused_before_they_are_read() {
    let house = House::limited(&[("body_megabytes_each", 1)]);
    let headers = [("Content-Type", "application/json")];
    let mut line = house.line(CORPORATION);
    line.head("POST", "/v1/priority-batches", &headers, 2 << 20).unwrap();
    line.reply("POST").unwrap().is_problem(413, "too_large");
    // One that fits alone, beside another that is on its way.
    let (mut first, mut second) = (house.line(CORPORATION), house.line(CORPORATION));
    first.head("POST", "/v1/priority-batches", &headers, 1 << 20).unwrap();
    first.write(&vec![b' '; 1 << 19]).unwrap();
    sleep(Duration::from_millis(500));
    second.head("POST", "/v1/priority-batches", &headers, (1 << 19) + 1).unwrap();
    let refused = second.reply("POST").unwrap();
    refused.is_problem(429, "too_many_bytes_at_once");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop((first, second));
    // The same without saying how much will come.
    let mut line = house.line(CORPORATION);
    let head = "POST /v1/priority-batches HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    line.write(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    // It may be cut before all of it is sent.
    drop((0..20).try_for_each(|_| line.write(chunk.as_bytes())));
    line.reply("POST").unwrap().is_problem(429, "too_many_bytes_at_once");
    let small = house.line(CORPORATION).json("POST", "/v1/priority-batches", &json!({}));
    assert_eq!(small.problem().status, 400, "what fits is read: {}", small.text());
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let house = House::limited(&[]);
    let mut line = house.line(OFFICER);
    line.tls.get_ref().sock.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    // More answers than all buffers on the way hold; the service stops reading when nobody takes them.
    let request = b"GET /v1/service HTTP/1.1\r\nHost: localhost\r\n\r\n";
    while line.write(request).is_ok() {}
    sleep(Duration::from_secs(40));
    let socket: &mut TcpStream = &mut line.tls.get_mut().sock;
    let mut taken = vec![0; 1 << 20];
    let ended = loop {
        match socket.read(&mut taken) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    assert!(ended, "the service did not wait");
}
