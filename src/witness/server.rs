//! The witness on the network: `POST /add-checkpoint` and, for monitors, `GET /<SHA-256 of the origin>/checkpoint`.
//! Plain HTTP without callers' certificates, as the protocol has it: what counts is signed. For TLS put a proxy before
//! it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, ContentType};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::web::{self, Bytes, Data, Path, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

use super::{Keeper, WitnessError};
use crate::audit::{AddCheckpoint, WitnessRefusal};
use crate::clock::Clock;

/// 63 hashes and a note with 16 signatures, as every verifier must take, of post-quantum keys (5 kB each) too.
const BODY_BYTES: usize = 256 << 10;

/// Who is slower than this with a request's head, or with its body, is cut off; a log's request is one packet or two.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections at a time. A witness has a log or a few, and anybody on the network may knock.
const CONNECTIONS: usize = 64;

/// What the witness does, besides not cosigning, when a log shows two histories or seems to: the kind, why it was refused,
/// and where it is kept. Once for each checkpoint, however often it is sent: anybody may send it.
pub type Alarm = Arc<dyn Fn(&str, &WitnessRefusal, &str) + Send + Sync>;

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
            .route("/add-checkpoint", web::post().to(add))
            .route("/{hash}/checkpoint", web::get().to(latest))
    };
    let server = HttpServer::new(factory)
        .workers(1)
        .max_connections(CONNECTIONS)
        .client_request_timeout(PATIENCE)
        .keep_alive(PATIENCE)
        .listen(listener)?;
    actix_web::rt::System::new().block_on(server.run())
}

async fn add(keeper: Data<Keeper>, alarm: Data<Alarm>, request: HttpRequest, body: Payload) -> HttpResponse {
    let body = match read(&request, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let work = web::block(move || {
        let malformed = WitnessRefusal::Malformed("is not UTF-8");
        let request = AddCheckpoint::parse(str::from_utf8(&body).map_err(|_| malformed)?)?;
        let added = keeper.add(&request, seconds(&Clock::System));
        if let Err(WitnessError::Refused(refusal)) = &added
            && let Some(kind) = keeper.suspect(&request)?
        {
            match keeper.accuse(request.origin(), kind, &request.note) {
                Ok((path, true)) => alarm(kind, refusal, &path.display().to_string()),
                Ok((_, false)) => {}
                Err(_) => alarm(kind, refusal, "nowhere: the folder cannot be written"),
            }
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

/// A request's body, within its bounds of size and time.
async fn read(request: &HttpRequest, body: Payload) -> Result<Bytes, HttpResponse> {
    // The connection ends with the refusal: the rest of the body is nobody's to wait for.
    let end = |status, text: &str| {
        let mut refusal = plain(status, text.to_owned());
        refusal.head_mut().set_connection_type(ConnectionType::Close);
        refusal
    };
    let too_long = || end(StatusCode::PAYLOAD_TOO_LARGE, "a request is at most 256 KiB long\n");
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > BODY_BYTES) {
        return Err(too_long());
    }
    match tokio::time::timeout(PATIENCE, body.to_bytes_limited(BODY_BYTES)).await {
        Err(_) => Err(end(StatusCode::REQUEST_TIMEOUT, "the body took too long\n")),
        Ok(Err(_)) => Err(too_long()),
        Ok(Ok(Err(_))) => Err(end(StatusCode::BAD_REQUEST, "the body ended early\n")),
        Ok(Ok(Ok(body))) => Ok(body),
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

    #[test]
    fn who_is_slow_or_sends_too_much_is_cut_off_and_the_next_is_served() {
        let (home, log) = (tempfile::tempdir().unwrap(), Log::new());
        let keeper = keeper(&home, &log);
        let (to_us, here) = mpsc::channel();
        std::thread::spawn(move || {
            run(keeper, "127.0.0.1:0".parse().unwrap(), Arc::new(|_, _, _| ()), |address| to_us.send(address).unwrap())
        });
        let address = here.recv().unwrap();
        let begun = |length: usize, body: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = format!("POST /add-checkpoint HTTP/1.1\r\nHost: witness\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all((head + body).as_bytes()).unwrap();
            stream.set_read_timeout(Some(PATIENCE * 6)).unwrap();
            stream
        };
        let mut slow = begun(100, "old 0");
        let status = |stream: &mut TcpStream| {
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("the witness ends the connection");
            text.split(' ').nth(1).unwrap_or_default().to_owned()
        };
        assert_eq!(status(&mut begun(BODY_BYTES + 1, "")), "413");
        // It does not wait for the slow one.
        assert_eq!(ask(address, "POST", "/add-checkpoint", &log.request(0, 7).to_body()).0, 200);
        assert_eq!(status(&mut slow), "408");
    }

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
        let alarm: Alarm =
            Arc::new(move |kind, _, evidence| cried.send((kind.to_owned(), evidence.to_owned())).unwrap());
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
        let with_many = log.request(9, 9).to_body() + &format!("— stranger.example {}\n", "A".repeat(5000)).repeat(16);
        assert_ne!(post(&with_many).0, 413);
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
        // A checkpoint of before says nothing, whoever sends it.
        assert_eq!(post(&log.request(0, 7).to_body()).0, 409);
        assert!(alarms.try_recv().is_err());
        // One alarm for each that the log signed, however often and under whatever size it is sent.
        let proved = log.request(9, 12);
        let unproved = AddCheckpoint { proof: vec![], ..proved.clone() };
        let forked = log.forked();
        let larger = AddCheckpoint { note: forked.request(0, 13).note, ..forked.request(9, 12) };
        for (request, status, kind) in [
            (unproved, 422, "suspicion"),
            (larger, 422, "suspicion"),
            (AddCheckpoint { old_size: 3, ..forked.request(9, 9) }, 409, "fork"),
        ] {
            assert_eq!((post(&request.to_body()).0, post(&request.to_body()).0), (status, status));
            let (found, evidence) = alarms.recv().unwrap();
            assert_eq!(found, kind);
            let evidence = std::fs::read_to_string(evidence).unwrap();
            assert!(evidence.contains("log.example/a\n9\n") && evidence.ends_with(&request.note));
        }
        assert_eq!(post(&forked.request(9, 9).to_body()).0, 422);
        assert!(alarms.try_recv().is_err());
        // Proved at last: it was the proof that was wrong.
        assert_eq!(post(&proved.to_body()).0, 200);
    }
}
