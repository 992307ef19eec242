//! The witness on the network: `POST /add-checkpoint` and, for monitors, `GET /<SHA-256 of the origin>/checkpoint`.
//! Plain HTTP without callers' certificates, as the protocol has it: what counts is signed. For TLS put a proxy before
//! it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::{self, Bytes, Data, Path, PayloadConfig};
use actix_web::{App, HttpResponse, HttpServer};

use super::{Keeper, WitnessError};
use crate::audit::{AddCheckpoint, WitnessRefusal};
use crate::clock::Clock;

/// 63 hashes and a note with more signatures than any log has.
const BODY_BYTES: usize = 64 << 10;

/// What the witness does when a log shows two histories, besides not cosigning.
pub type Alarm = Arc<dyn Fn(&WitnessRefusal, &str) + Send + Sync>;

/// Listens until SIGTERM or SIGINT. `ready` is told where, also if the port was 0.
///
/// # Errors
/// If it cannot listen.
pub fn run(keeper: Keeper, listen: SocketAddr, alarm: Alarm, ready: impl FnOnce(SocketAddr)) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    ready(listener.local_addr()?);
    let (keeper, alarm) = (Data::new(keeper), Data::new(alarm));
    let factory = move || {
        App::new()
            .app_data(keeper.clone())
            .app_data(alarm.clone())
            .app_data(PayloadConfig::new(BODY_BYTES))
            .route("/add-checkpoint", web::post().to(add))
            .route("/{hash}/checkpoint", web::get().to(latest))
    };
    let server = HttpServer::new(factory).workers(1).listen(listener)?;
    actix_web::rt::System::new().block_on(server.run())
}

async fn add(keeper: Data<Keeper>, alarm: Data<Alarm>, body: Bytes) -> HttpResponse {
    let work = web::block(move || {
        let malformed = WitnessRefusal::Malformed("is not UTF-8");
        let request = AddCheckpoint::parse(str::from_utf8(&body).map_err(|_| malformed)?)?;
        let added = keeper.add(&request, seconds(&Clock::System));
        if let Err(WitnessError::Refused(forked @ WitnessRefusal::Forked { .. })) = &added {
            alarm(forked, &kept(&keeper, &request));
        }
        added
    });
    match work.await {
        Ok(Ok(line)) => plain(StatusCode::OK, line),
        Ok(Err(WitnessError::Refused(refusal))) => refused(&refusal),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the witness cannot keep what it sees");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot keep what it sees\n".into())
        }
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "the witness is stopping\n".into()),
    }
}

/// Where the two histories are kept.
fn kept(keeper: &Keeper, request: &AddCheckpoint) -> String {
    match keeper.accuse(request.origin(), &request.note, seconds(&Clock::System)) {
        Ok(path) => path.display().to_string(),
        Err(_) => "nowhere: the folder cannot be written".into(),
    }
}

/// Seconds since 1970.
pub fn seconds(clock: &Clock) -> u64 {
    u64::try_from(clock.now().unix_timestamp()).unwrap_or(0)
}

fn refused(refusal: &WitnessRefusal) -> HttpResponse {
    let status = match refusal {
        WitnessRefusal::Malformed(_) => StatusCode::BAD_REQUEST,
        WitnessRefusal::UnknownLog => StatusCode::NOT_FOUND,
        WitnessRefusal::Unsigned(_) => StatusCode::FORBIDDEN,
        WitnessRefusal::Stale { known } => {
            return HttpResponse::Conflict().content_type("text/x.tlog.size").body(format!("{known}\n"));
        }
        WitnessRefusal::Forked { .. } | WitnessRefusal::Inconsistent { .. } => StatusCode::UNPROCESSABLE_ENTITY,
    };
    plain(status, format!("{refusal}\n"))
}

fn plain(status: StatusCode, text: String) -> HttpResponse {
    HttpResponse::build(status).insert_header(ContentType::plaintext()).body(text)
}

async fn latest(keeper: Data<Keeper>, hash: Path<String>) -> HttpResponse {
    match keeper.latest_of(&hash) {
        Ok(Some(note)) => plain(StatusCode::OK, note),
        Ok(None) => plain(StatusCode::NOT_FOUND, "this witness has seen no such log\n".into()),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "what the witness kept cannot be read\n".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc;

    use super::super::tests::{LOG, Log, keeper};
    use super::*;

    /// Status, content type and body.
    fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: witness\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), kind.to_owned(), body.to_owned())
    }

    #[test]
    fn a_witness_answers_as_the_protocol_says() {
        let (home, log) = (tempfile::tempdir().unwrap(), Log::new());
        let keeper = keeper(&home, &log);
        let key = keeper.verifier();
        let (to_us, here) = mpsc::channel();
        let (cried, alarms) = mpsc::channel();
        let alarm: Alarm = Arc::new(move |_, evidence| cried.send(evidence.to_owned()).unwrap());
        // Ends with the test's process.
        std::thread::spawn(move || {
            run(keeper, "127.0.0.1:0".parse().unwrap(), alarm, |address| to_us.send(address).unwrap())
        });
        let address = here.recv().unwrap();
        let post = |body: &str| ask(address, "POST", "/add-checkpoint", body);
        let request = log.request(0, 7);
        let (status, _, line) = post(&request.to_body());
        assert_eq!((status, key.verify(&(request.note + &line)).is_ok()), (200, true));
        let stale = (409, "text/x.tlog.size".to_owned(), "7\n".to_owned());
        assert_eq!(post(&log.request(0, 9).to_body()), stale);
        assert_eq!(post(&log.request(7, 9).to_body()).0, 200);
        assert_eq!(post(&log.request(9, 9).to_body()).0, 200);
        let unproved = AddCheckpoint { proof: vec![], ..log.request(9, 12) };
        assert_eq!(post(&unproved.to_body()).0, 422);
        assert_eq!(post(&Log::new().request(9, 12).to_body()).0, 403);
        assert_eq!(post(&log.request(9, 12).to_body().replace(LOG, "log.example/b")).0, 404);
        for bad in ["", "old 9\n\n", "old 12\n\nlog.example/a\n9\nx\n"] {
            let expected = if bad.contains("log.example") { 400 } else { 404 };
            assert!([400, expected].contains(&post(bad).0), "{bad}");
        }
        let hash = hex::encode(ring::digest::digest(&ring::digest::SHA256, LOG.as_bytes()));
        let (status, _, note) = ask(address, "GET", &format!("/{hash}/checkpoint"), "");
        assert_eq!((status, note.lines().nth(1)), (200, Some("9")));
        assert_eq!(ask(address, "GET", &format!("/{}/checkpoint", "0".repeat(64)), "").0, 404);
        assert!(alarms.try_recv().is_err());
        assert_eq!(post(&log.forked().request(9, 9).to_body()).0, 422);
        assert!(std::path::Path::new(&alarms.recv().unwrap()).exists());
    }
}
