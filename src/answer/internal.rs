//! The internal listener: whether the service lives and is ready, its numbers, and how much its operational log says.
//! Plain HTTP for the machine itself and those that the administrator lets reach it; nothing of a party's data is here.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle, Service};
use actix_web::http::ConnectionType;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App as Web, HttpRequest, HttpResponse, HttpServer, ResponseError};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::checkup::{self, Area, Finding, Grade};
use super::ending::{self, nothing_behind};
use super::framing::well_formed;
use super::handshakes::Handshakes;
use super::operation::{get, head_is_get, put};
use super::problem::Problem;
use super::server::{at_path, no_such_path};
use super::tls::Door;
use super::{
    App, EpochInForce,
    limits::{Excess, Meters},
};
use crate::config::{Config, Level};
use crate::ids::{EpochId, TraceId};
use crate::store::StoreError;
use crate::telemetry;

/// The listener serves a handful of people and one scraper.
const WORKERS: usize = 1;
/// Of all readers; whoever comes then waits until one is silent for five seconds, as actix has it.
const CONNECTIONS: usize = 64;
const SHUTDOWN_SECONDS: u64 = 1;
const LEVEL_BYTES: usize = 16;
/// For a body of one word.
const BODY: Duration = Duration::from_secs(5);
/// How long the log's anchor may fail before somebody is told.
const ANCHOR: Duration = Duration::from_secs(5);

/// What a look at the service finds.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// Why it is not.
    reasons: Vec<Finding>,
    /// What will soon be a reason, or should be mended.
    warnings: Vec<Finding>,
}

/// The parts that are looked at.
#[derive(Clone)]
pub(super) struct Inside {
    pub(super) app: Arc<App>,
    pub(super) door: Arc<Door>,
    pub(super) meters: Arc<Meters>,
    pub(super) handshakes: Arc<Handshakes>,
    pub(super) config: Arc<Config>,
    /// Whether it ends: what runs is finished, and nothing new is taken.
    pub(super) stopping: Arc<AtomicBool>,
}

/// Answers on a bound socket, once the server is polled.
pub(super) fn listen(socket: TcpListener, inside: Inside) -> io::Result<(Server, ServerHandle)> {
    let wrapped = || {
        let web = Web::new().wrap(from_fn(well_formed)).wrap(from_fn(nothing_behind));
        web.wrap_fn(|mut request, inner| {
            head_is_get(&mut request);
            inner.call(request)
        })
    };
    let factory = move || wrapped().app_data(Data::new(inside.clone())).configure(routes);
    let server = HttpServer::new(factory)
        .on_connect(ending::on_connect)
        .workers(WORKERS)
        .max_connections(CONNECTIONS)
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .listen(socket)?
        .run();
    let handle = server.handle();
    Ok((server, handle))
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .service(at_path("/livez", vec![get("/livez", livez)]))
        .service(at_path("/readyz", vec![get("/readyz", readyz)]))
        .service(at_path("/metrics", vec![get("/metrics", metrics)]))
        .service(at_path("/log-level", vec![get("/log-level", level), put("/log-level", set_level)]))
        .default_service(web::to(no_such_path));
}

/// A service that can write no more until a restart is to be restarted.
async fn livez(inside: Data<Inside>) -> HttpResponse {
    if inside.app.store.stats().poisoned {
        let detail =
            "a commit failed or the log was changed, and nothing is written any more: see /readyz, then restart";
        return Problem::unavailable(detail).error_response();
    }
    HttpResponse::Ok().body("ok\n")
}

async fn readyz(inside: Data<Inside>) -> HttpResponse {
    let found = inside.look(OffsetDateTime::now_utc());
    let mut response = if found.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(found)
}

async fn metrics(inside: Data<Inside>) -> HttpResponse {
    let found = inside.look(OffsetDateTime::now_utc());
    let found: Vec<Finding> = found.reasons.into_iter().chain(found.warnings).collect();
    let text = inside.app.metrics.text(&inside, &found);
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(text)
}

async fn level() -> HttpResponse {
    HttpResponse::Ok().body(format!("{}\n", telemetry::level().as_str()))
}

/// The body is one word. What is set lasts until the next start or change of the configuration.
async fn set_level(_: HttpRequest, body: web::Payload) -> HttpResponse {
    let Ok(body) = timeout(BODY, body.to_bytes_limited(LEVEL_BYTES)).await else {
        let (slow, _) = Excess::Slow.problem();
        let mut refusal = slow.traced(TraceId::random()).error_response();
        refusal.head_mut().set_connection_type(ConnectionType::Close);
        return refusal;
    };
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    let word = std::str::from_utf8(&body).ok();
    match word.and_then(|word| Level::ALL.into_iter().find(|level| level.as_str() == word.trim())) {
        Some(level) => {
            telemetry::set_level(level);
            tracing::warn!(level = level.as_str(), "the operational log has another level");
            HttpResponse::NoContent().finish()
        }
        None => {
            let problem = Problem::bad_request("log_level", "send one of error, warn, info, debug");
            problem.traced(TraceId::random()).error_response()
        }
    }
}

impl Inside {
    fn of_ages(&self, in_force: &EpochInForce) -> Vec<Finding> {
        let (app, epoch) = (&self.app, &in_force.epoch);
        let regulation = app.regulation_last_seen(&epoch.regulation).ok();
        let ageing = regulation.and_then(|regulation| app.ageing(in_force, &regulation).ok()).unwrap_or_default();
        ageing.iter().map(|old| checkup::of_age(&epoch.id, old, app.today())).collect()
    }

    fn look(&self, now: OffsetDateTime) -> Readiness {
        let mut found = Vec::new();
        // It is told by the next line.
        drop(self.app.store.check_wal());
        let stats = self.app.store.stats();
        if stats.damaged {
            let detail = "the access log was changed outside the service: keep a copy, tell the privacy officers, restore a \
                          backup";
            found.push(Finding::error(Area::Log, "store_damaged", detail));
        } else if stats.wal_lost {
            let detail = StoreError::WalLost.to_string();
            found.push(Finding::error(Area::Store, "store_not_durable", detail));
        } else if stats.poisoned {
            let detail = "a commit failed: make room or replace the disk, then restart";
            found.push(Finding::error(Area::Store, "store_not_durable", detail));
        }
        if self.stopping.load(Ordering::Relaxed) {
            found.push(Finding::error(Area::Listener, "stopping", "the service stops: what runs is finished"));
        }
        found.extend(checkup::of_disk(&self.config));
        found.extend(checkup::of_gate(&self.door.gate().1, now));
        found.extend(self.door.fault().map(|fault| Finding::warning(Area::Tls, "files_faulty", fault)));
        found.extend(self.app.has_leapt().then(checkup::clock_leapt));
        found.extend(checkup::of_laws(&self.app.laws, self.app.today()));
        if self.app.store.anchor_failing().is_some_and(|long| long > ANCHOR) {
            let detail = "the log's anchor cannot be written, so nothing outside remembers its newest entries: see \
                          access_log.anchor";
            found.push(Finding::warning(Area::Log, "anchor_not_written", detail));
        }
        let outbox = self.app.store.outbox_stands().unwrap_or_default();
        found.extend(checkup::of_outbox(&outbox, self.app.clock.now()));
        let answering = self.app.all_answering();
        found.extend(checkup::of_answering(answering.iter().map(|in_force| &in_force.epoch)));
        found.extend(answering.iter().flat_map(|in_force| self.of_ages(in_force)));
        // One that cannot be read is told by every question; here nobody waits for the database.
        let lost = |epoch: &&EpochId| self.app.store.has_epoch_key(epoch).is_ok_and(|there| !there);
        let ids = answering.iter().map(|in_force| &in_force.epoch.id);
        found.extend(ids.filter(lost).map(checkup::epoch_key));
        found.retain(|finding| finding.grade != Grade::Fine);
        let (reasons, warnings): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.grade == Grade::Error);
        Readiness { ready: reasons.is_empty(), reasons, warnings }
    }
}
