//! The internal listener: whether the service lives and is ready, its numbers, and how much its operational log says.
//! Plain HTTP for the machine itself and those that the administrator lets reach it; nothing of a party's data is here.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{self, Data};
use actix_web::{App as Web, HttpRequest, HttpResponse, HttpServer, ResponseError};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::problem::Problem;
use super::tls::Door;
use super::{App, limits::Meters};
use crate::config::Level;
use crate::telemetry;

/// How early the end of a certificate or list is worth a warning.
const CERTIFICATE: Duration = Duration::days(21);
const LISTS: Duration = Duration::hours(12);
/// The listener serves a handful of people and one scraper.
const WORKERS: usize = 1;
const SHUTDOWN_SECONDS: u64 = 1;
const LEVEL_BYTES: usize = 16;

/// What a look at the service finds.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// Why it is not.
    reasons: Vec<Finding>,
    /// What will soon be a reason, or should be mended.
    warnings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    /// Stable.
    code: &'static str,
    /// What it is and what to do.
    detail: String,
}

/// The parts that are looked at.
#[derive(Clone)]
pub(super) struct Inside {
    pub(super) app: Arc<App>,
    pub(super) door: Arc<Door>,
    pub(super) meters: Arc<Meters>,
}

/// Binds the listener; it runs once its server is polled.
pub(super) fn listen(address: SocketAddr, inside: Inside) -> io::Result<(SocketAddr, Server, ServerHandle)> {
    let socket = TcpListener::bind(address)?;
    let address = socket.local_addr()?;
    let server = HttpServer::new(move || Web::new().app_data(Data::new(inside.clone())).configure(routes))
        .workers(WORKERS)
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .listen(socket)?
        .run();
    let handle = server.handle();
    Ok((address, server, handle))
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/livez", web::get().to(|| async { "ok\n" }))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics))
        .service(web::resource("/log-level").route(web::get().to(level)).route(web::put().to(set_level)))
        .default_service(web::to(|| async {
            Problem::not_found("no_such_path", "there are /livez, /readyz, /metrics and /log-level").error_response()
        }));
}

async fn readyz(inside: Data<Inside>) -> HttpResponse {
    let found = inside.look(OffsetDateTime::now_utc());
    let mut response = if found.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(found)
}

async fn metrics(inside: Data<Inside>) -> HttpResponse {
    let text = inside.app.metrics.text(&inside.app, &inside.door, &inside.meters);
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(text)
}

async fn level() -> HttpResponse {
    HttpResponse::Ok().body(format!("{}\n", telemetry::level().as_str()))
}

/// The body is one word. What is set lasts until the next start or change of the configuration.
async fn set_level(_: HttpRequest, body: web::Bytes) -> HttpResponse {
    let word = body.get(..body.len().min(LEVEL_BYTES)).and_then(|word| std::str::from_utf8(word).ok());
    match word.and_then(|word| Level::ALL.into_iter().find(|level| level.as_str() == word.trim())) {
        Some(level) => {
            telemetry::set_level(level);
            tracing::warn!(level = level.as_str(), "the operational log has another level");
            HttpResponse::NoContent().finish()
        }
        None => Problem::bad_request("log_level", "send one of error, warn, info, debug").error_response(),
    }
}

impl Inside {
    fn look(&self, now: OffsetDateTime) -> Readiness {
        let (mut reasons, mut warnings) = (Vec::new(), Vec::new());
        let find = |code, detail: &str| Finding { code, detail: detail.to_owned() };
        if self.app.store.stats().poisoned {
            reasons.push(find("store_not_durable", "a commit failed: make room or replace the disk, then restart"));
        }
        let (_, gate) = self.door.gate();
        if gate.is_closed() || gate.lists_until.is_some_and(|until| until <= now) {
            let detail = "revocation cannot be judged and nobody is let in: fetch the lists of tls.crls anew";
            reasons.push(find("revocation_lists", detail));
        } else if gate.lists_until.is_some_and(|until| until <= now + LISTS) {
            warnings.push(find("revocation_lists_end", "a list of tls.crls ends within twelve hours"));
        }
        if gate.own_until <= now {
            reasons.push(find("certificate_ended", "the service's certificate has ended: clients refuse it; renew it"));
        } else if gate.own_until <= now + CERTIFICATE {
            warnings.push(find("certificate_ends", "the service's certificate ends within three weeks; renew it"));
        }
        if let Some(fault) = self.door.fault() {
            warnings.push(Finding { code: "files_faulty", detail: fault });
        }
        if self.app.laws.all(self.app.today()).is_empty() {
            warnings.push(find("no_regulation", "no regulation is activated: every question is refused"));
        }
        if self.app.active_epochs() == 0 {
            warnings.push(find("no_epoch", "no epoch is active: no question is answered"));
        }
        Readiness { ready: reasons.is_empty(), reasons, warnings }
    }
}
