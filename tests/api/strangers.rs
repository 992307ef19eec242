//! What comes from whoever shows no certificate: at the listener of the document and at the internal one nothing is
//! smuggled and nothing dies, and at the service's own nobody is answered.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use voorrang::audit::Action;

use super::framing::{statuses, two_ways};
use super::support::*;
use super::walls::logged_port;

/// Of each kind of noise; the same every time.
const ROUNDS: u64 = 150;

/// All that a listener says to these bytes until it ends the connection.
fn said(port: u16, house: Option<&House>, bytes: &[u8]) -> String {
    let mut answer = Vec::new();
    if let Some(house) = house {
        let mut line = Line::open(port, house.tls(None)).unwrap();
        line.tls.get_ref().sock.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        drop(line.write(bytes));
        line.tls.get_mut().conn.send_close_notify();
        drop(line.tls.get_mut().flush());
        drop(line.tls.read_to_end(&mut answer));
    } else {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        drop(socket.write_all(bytes));
        drop(socket.shutdown(Shutdown::Write));
        drop(socket.read_to_end(&mut answer));
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Numbers that look random (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    /// The same with a few bytes changed, put in, taken out or said twice.
    fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        const WORSE: [&[u8]; 8] =
            [b"\r", b"\n", b"\0", b"\r\n\r\n", b" ", b":", b"\xff", b"Transfer-Encoding: chunked\r\n"];
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = self.next() as u8,
                1 => drop(bytes.splice(at..at, WORSE[self.below(WORSE.len())].iter().copied())),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    }
}

#[test]
fn nothing_is_smuggled_past_the_listeners_that_ask_for_no_certificate() {
    let house = House::limited(&[]);
    let (published, internal) = (house.documentation(), house.internal());
    for (port, tls, path, hidden) in
        [(published, Some(&house), "/docs/", "/v1/openapi.json"), (internal, None, "/livez", "/metrics")]
    {
        let secret = said(port, tls, format!("GET {hidden} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        assert_eq!(statuses(&secret), [200], "the control: {hidden} is there");
        let ended = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let behind = format!("{ended}GET {hidden} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(statuses(&said(port, tls, behind.as_bytes())), [200], "{path}: nothing is read behind the end");
        let more = ["", "Accept: image/png\r\n", "Content-Encoding: gzip\r\n"];
        let with = |bytes: &str| more.map(|more| bytes.replacen("\r\n", &format!("\r\n{more}"), 1));
        let all = two_ways(path, hidden).into_iter();
        for (what, bytes) in all.flat_map(|(what, bytes)| with(&bytes).map(|bytes| (what, bytes))) {
            let answer = said(port, tls, bytes.as_bytes());
            let found = statuses(&answer);
            assert!(found.len() <= 1, "{path}, {what}: {found:?}");
            // Who asks how the service is has the answer before the body is looked at, and the connection ends.
            if tls.is_none() && what.starts_with("chunk") {
                continue;
            }
            assert!(found.iter().all(|status| (400..500).contains(status)), "{path}, {what}: {found:?}");
            // What cannot be read at all has a problem on listeners for others only.
            let words = ["application/problem+json", "\"code\":\""];
            let is_bare = tls.is_none() && answer.contains("content-length: 0");
            let is_told = is_bare || words.iter().all(|word| answer.contains(word));
            assert!(found.is_empty() || is_told, "{path}, {what}: {answer}");
        }
    }
}

#[test]
fn strangers_are_slowed_and_fill_no_file() {
    let mut house = House::built(true);
    house.start();
    let port = logged_port(&house, "documentation=");
    let began = Instant::now();
    for header in ["Accept: */*", "Accept: image/png"] {
        let mut line = Line::open(port, house.tls(None)).unwrap();
        let request = format!("GET /nothing HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n");
        line.write(request.repeat(220).as_bytes()).unwrap();
        (0..220).for_each(|_| assert!([404, 406].contains(&line.reply("GET").unwrap().status)));
    }
    assert!(began.elapsed() > Duration::from_millis(1800), "{:?}", began.elapsed());
    // Nobody is refused for what it does not wait for, but where many ask at once.
    let refused: usize = std::thread::scope(|scope| {
        let ask = || {
            let mut line = Line::open(port, house.tls(None)).unwrap();
            (0..5).filter(|_| line.exchange("GET", "/", &[], b"").is_ok_and(|reply| reply.status == 429)).count()
        };
        let all: Vec<_> = (0..120).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert!(refused > 0);
    for _ in 0..20 {
        said(port, Some(&house), b"\0 no request\r\n\r\n");
    }
    let lines = fs::read_to_string(house.stderr()).unwrap();
    assert!(!lines.contains("parse error") && !lines.contains("/nothing"), "{lines}");
    assert!(lines.lines().count() < 40, "{lines}");
}

#[test]
fn noise_from_strangers_ends_no_listener_and_fills_no_log() {
    let house = House::limited(&[]);
    let (published, internal) = (house.documentation(), house.internal());
    let before = house.log().len();
    let request = b"POST /log-level HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nloud";
    let pages = b"GET /v1/openapi.json?x=%41 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
    // A first flight of TLS, as far as its kind, version, length and random.
    let hello: Vec<u8> = [&[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], &[7; 194][..]].concat();
    let mut noise = Noise(8);
    let mut refused = 0;
    for _ in 0..ROUNDS {
        for (port, tls, bytes) in [
            (published, Some(&house), noise.spoil(pages)),
            (internal, None, noise.spoil(request)),
            (published, None, noise.spoil(&hello)),
            (house.port(), None, noise.spoil(&hello)),
        ] {
            let found = statuses(&said(port, tls, &bytes));
            assert!(found.iter().all(|status| *status < 500), "{found:?}: {:?}", String::from_utf8_lossy(&bytes));
            assert!(port != house.port() || found.is_empty(), "nobody is answered without a certificate");
            refused += found.iter().filter(|status| **status >= 400).count();
        }
    }
    assert!(refused > ROUNDS as usize / 2, "most of it is noise: {refused}");
    assert_eq!(statuses(&said(published, Some(&house), b"GET /docs/ HTTP/1.1\r\nHost: localhost\r\n\r\n")), [200]);
    assert_eq!(statuses(&said(internal, None, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")), [200]);
    assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204);
    let level = said(internal, None, b"GET /log-level HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(level.ends_with("info\n"), "no noise has set it: {level}");
    let told: Vec<_> = house.log().into_iter().skip(before).filter(|entry| entry.action == Action::Connect).collect();
    assert!(told.len() <= 16, "{} entries", told.len());
}
