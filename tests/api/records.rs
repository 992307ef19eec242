//! Processing records at a collector that does not take them all.

use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::log::body_of;
use super::support::*;
use super::walls::inside;

/// The activity whose records this collector does not take.
const POISON: &str = "aanleveren-voorraad";

/// Takes requests without a record of [`POISON`], and refuses all others: with 400, or with a partial success. Sends on
/// what it took.
fn picky(listener: TcpListener, partly: bool, took: mpsc::Sender<String>) {
    for connection in listener.incoming() {
        let mut connection = connection.unwrap();
        let Some(body) = body_of(&mut connection) else { continue };
        let body: Value = serde_json::from_slice(&body).unwrap();
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
        let poisoned = spans.iter().any(|span| span["name"] == POISON);
        let (status, said) = match (poisoned, partly) {
            (false, _) => ("200 OK", "{}"),
            (true, false) => ("400 Bad Request", "{}"),
            (true, true) => ("200 OK", r#"{"partialSuccess":{"rejectedSpans":"1"}}"#),
        };
        if !poisoned && spans.iter().any(|span| took.send(span["name"].as_str().unwrap().to_owned()).is_err()) {
            return;
        }
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", said.len());
        connection.write_all(format!("{head}\r\nConnection: close\r\n\r\n{said}").as_bytes()).unwrap();
    }
}

#[test]
fn a_record_that_the_collector_refuses_holds_up_no_other_and_is_told_of() {
    for partly in [false, true] {
        let mut house = House::built(false);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        house.configure(|table| {
            table["ldv"].as_table_mut().unwrap().insert("collector".into(), address.into());
            let internal = table.entry("internal").or_insert_with(|| toml::Table::new().into());
            internal.as_table_mut().unwrap().insert("listen".into(), "127.0.0.1:0".into());
        });
        house.start();
        house.fill(EPOCH);
        let encoder = house.encoder(EPOCH);
        let mut line = house.line(CORPORATION);
        contracts().iter().take(5).for_each(|contract| drop(line.ask(&value(&encoder, contract)).answered()));
        let (took, taken) = mpsc::channel();
        std::thread::spawn(move || picky(listener, partly, took));
        let (mut asked, until) = (0, Instant::now() + Duration::from_secs(60));
        while asked < 5 && Instant::now() < until {
            asked += usize::from(
                taken.recv_timeout(Duration::from_secs(30)).is_ok_and(|name| name == "bevragen-prioriteit"),
            );
        }
        assert_eq!(asked, 5, "what came behind the stock's record has arrived");
        let warns = || inside(house.internal(), "GET /readyz").1.contains("processing_records_refused");
        while !warns() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(warns(), "the administrator is told");
        let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
        let refused =
            "SELECT group_concat(json_extract(text, '$.action')) FROM outbox JOIN entry USING (idx) WHERE refused";
        let refused: String = db.query_row(refused, [], |row| row.get(0)).unwrap();
        assert!(refused.split(',').all(|action| action == "stock"), "{refused}");
    }
}
