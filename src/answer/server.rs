//! The listener: actix-web on rustls, one mutual-TLS port, problem+json from the outermost layer on.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, JsonConfig, QueryConfig, ServiceConfig};
use actix_web::{App as Web, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::background::Background;
use super::guard::guard;
use super::internal::{self, Inside};
use super::limits::Meters;
use super::problem::{Problem, json_error, query_error, trace_of};
use super::tls::{Door, Gate, Reloader};
use super::trace::Trace;
use super::{
    App, StartError, batches, epochs, four_eyes, groups, laws, listener, loads, log, questions, retention, service,
    stock, subject, tls,
};
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::TraceId;

/// Bytes of a JSON body.
const JSON_BYTES: usize = 1 << 20;
/// Bytes of a batch of questions.
const BATCH_BYTES: usize = 8 << 20;
const SECURITY_HEADERS: [(&str, &str); 6] = [
    ("api-version", env!("CARGO_PKG_VERSION")),
    ("cache-control", "no-store"),
    ("content-security-policy", "frame-ancestors 'none'"),
    ("strict-transport-security", "max-age=31536000"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// A service that runs in the background of this process.
pub struct Running {
    /// Where it listens; the port is the real one, also if the configuration said 0.
    pub address: SocketAddr,
    /// Where the internal listener is, if there is one.
    pub internal: Option<SocketAddr>,
    handle: ServerHandle,
    thread: std::thread::JoinHandle<Result<(), StartError>>,
}

impl Running {
    /// Stops gracefully and waits.
    ///
    /// # Errors
    /// What made the service fail.
    ///
    /// # Panics
    /// If the service's thread panicked.
    pub fn stop(self) -> Result<(), StartError> {
        let stopping = self.handle.stop(true);
        actix_web::rt::System::new().block_on(stopping);
        self.thread.join().expect("the service's thread does not panic")
    }
}

/// Runs the service until SIGTERM or SIGINT, then lets running requests finish.
///
/// # Errors
/// What keeps it from starting or stopping.
pub fn run(config: Config, clock: Clock) -> Result<(), StartError> {
    serve(config, clock, true, None)
}

/// Starts the service in a thread and returns once it listens.
///
/// # Errors
/// What keeps it from starting.
///
/// # Panics
/// If the thread ends without a word.
pub fn start(config: Config, clock: Clock) -> Result<Running, StartError> {
    let (ready, started) = oneshot::channel();
    let thread = std::thread::spawn(move || serve(config, clock, false, Some(ready)));
    match started.blocking_recv() {
        Ok((address, internal, handle)) => Ok(Running { address, internal, handle, thread }),
        Err(_) => Err(thread.join().expect("the service's thread does not panic").expect_err("it did not start")),
    }
}

type Ready = oneshot::Sender<(SocketAddr, Option<SocketAddr>, ServerHandle)>;

fn serve(config: Config, clock: Clock, signals: bool, ready: Option<Ready>) -> Result<(), StartError> {
    let gate = Gate::open(&config.tls)?;
    let cannot_listen = |source| StartError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let app = Arc::new(App::open(&config, clock)?);
    let door = Arc::new(Door::new(gate, app.knocks.clone()));
    let tls = tls::server(&door, config.tls.tls12)?;
    let reloader = Arc::new(Reloader::new(&config, door.clone()));
    let background = Background::start(&app, &config, &reloader);
    let shared = web::Data::from(app.clone());
    let guarded = web::Data::from(door.clone());
    let meters = Arc::new(Meters::new(&config.limits));
    let metered = web::Data::from(meters.clone());
    let inside = Inside { app: app.clone(), door: door.clone(), meters };
    let factory = move || {
        let web = Web::new().wrap(from_fn(guard)).wrap(from_fn(envelope));
        web.app_data(shared.clone()).app_data(guarded.clone()).app_data(metered.clone()).configure(routes)
    };
    let server = listener::listen(listener, tls, &door, &config, factory).map_err(cannot_listen)?;
    let server = if signals { server } else { server.disable_signals() };
    actix_web::rt::System::new()
        .block_on(async {
            if signals {
                actix_web::rt::spawn(reload_on_hangup(reloader));
            }
            let inner = |address| internal::listen(address, inside).map_err(|source| StartError::Internal { address, source });
            let inner = config.internal.address().map(inner).transpose()?;
            let internal = inner.as_ref().map(|(address, ..)| *address);
            let stop_inner = inner.map(|(_, server, handle)| (actix_web::rt::spawn(server), handle));
            let server = server.run();
            tracing::info!(%address, internal = internal.map(tracing::field::display), version = env!("CARGO_PKG_VERSION"), "the service listens");
            if let Some(ready) = ready {
                // Whoever started us may be gone already; then nobody stops us but a signal.
                drop(ready.send((address, internal, server.handle())));
            }
            let ended = server.await.map_err(StartError::Server);
            if let Some((_, handle)) = stop_inner {
                handle.stop(false).await;
            }
            ended
        })?;
    drop(background);
    app.stopped()?;
    tracing::info!("the service has stopped");
    Ok(())
}

/// SIGHUP: what the timer does, at once.
async fn reload_on_hangup(reloader: Arc<Reloader>) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return tracing::warn!(%error, "SIGHUP cannot be heard; the timer still reads everything anew"),
    };
    while hangups.recv().await.is_some() {
        let reloader = Arc::clone(&reloader);
        if web::block(move || reloader.reload()).await.is_err() {
            return;
        }
    }
}

/// Every route. Methods that a resource lacks are 405 and paths that do not exist 404, both as problems.
pub fn routes(config: &mut ServiceConfig) {
    let v1 = web::scope("/v1")
        .service(resource("/ping").route(web::get().to(service::ping)))
        .service(resource("/service").route(web::get().to(service::view)))
        .service(resource("/priority-questions").route(web::post().to(questions::ask)))
        .service(resource("/priority-batches").app_data(batches()).route(web::post().to(batches::ask)))
        .service(resource("/group-questions").route(web::post().to(groups::ask)))
        .service(resource("/loads").route(web::post().to(loads::begin)))
        .service(resource("/loads/{load}/chunks/{number}").route(web::put().to(loads::put_chunk)))
        .service(resource("/loads/{load}/commit").route(web::post().to(loads::commit)))
        .service(resource("/stock").route(web::put().to(stock::register)))
        .service(resource("/proposals").route(web::get().to(four_eyes::waiting)))
        .service(resource("/proposals/{proposal}/confirm").route(web::post().to(four_eyes::confirm)))
        .service(resource("/regulations/{regulation}").route(web::get().to(laws::view)))
        .service(resource("/regulations/{regulation}/activate").route(web::post().to(laws::activate)))
        .service(resource("/regulations/{regulation}/steps").route(web::get().to(laws::steps)))
        .service(resource("/regulations/{regulation}/taps").route(web::post().to(four_eyes::open_tap)))
        .service(resource("/epochs").route(web::post().to(epochs::announce)))
        .service(resource("/epochs/{epoch}").route(web::get().to(epochs::view)))
        .service(resource("/epochs/{epoch}/reports").route(web::get().to(epochs::reports)))
        .service(resource("/epochs/{epoch}/share").route(web::put().to(epochs::contribute)))
        .service(resource("/epochs/{epoch}/shares").route(web::get().to(epochs::shares)))
        .service(resource("/epochs/{epoch}/participants/{oin}").route(web::put().to(epochs::reseal)))
        .service(resource("/epochs/{epoch}/activate").route(web::post().to(epochs::activate)))
        .service(resource("/epochs/{epoch}/retire").route(web::post().to(epochs::retire)))
        .service(resource("/epochs/{epoch}/abort").route(web::post().to(epochs::abort)))
        .service(resource("/epochs/{epoch}/destroy").route(web::post().to(epochs::destroy)))
        .service(resource("/access-log/subjects").route(web::post().to(subject::pseudonym)))
        .service(resource("/access-log/checkpoint").route(web::get().to(log::checkpoint)))
        .service(resource("/access-log/entries").route(web::get().to(log::entries)))
        .service(resource("/access-log/proofs/{index}").route(web::get().to(log::proof)))
        .service(resource("/access-log/consistency").route(web::get().to(log::consistency)))
        .service(resource("/access-log/tile/{kind}/{place:.*}").route(web::get().to(log::tile)))
        .service(resource("/access-log/expire").route(web::post().to(retention::expire)))
        .service(
            resource("/access-log/holds").route(web::get().to(retention::holds)).route(web::post().to(retention::hold)),
        )
        .service(resource("/access-log/holds/{hold}").route(web::delete().to(retention::release)));
    config
        .app_data(JsonConfig::default().limit(JSON_BYTES).error_handler(json_error))
        .app_data(QueryConfig::default().error_handler(query_error))
        .service(v1)
        .default_service(web::to(no_such_path));
}

/// A batch may be as long as its questions.
fn batches() -> JsonConfig {
    JsonConfig::default().limit(BATCH_BYTES).error_handler(json_error)
}

fn resource(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(no_such_method))
}

async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("no_such_path", "there is nothing at this path").traced(trace_of(&request)))
}

async fn no_such_method(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let detail = "this resource does not have this method";
    Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", detail).traced(trace_of(&request)))
}

/// Around every request: a trace id, a line in the operational log, the headers that every response has, and a
/// problem document for whatever a layer below refused with another body.
async fn envelope(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let read = Trace::of(request.headers());
    let trace = read.as_ref().map_or_else(|(id, _)| *id, |trace| trace.id);
    request.extensions_mut().insert(trace);
    let method = request.method().clone();
    let route = request.match_pattern();
    let started = std::time::Instant::now();
    let (transaction, unread) = match read {
        Ok(trace) => (trace.transaction, None),
        Err((_, problem)) => (None, Some(problem)),
    };
    let mut response = if let Some(problem) = unread {
        request.into_response(problem.traced(trace).error_response())
    } else if request.headers().contains_key(CONTENT_ENCODING) {
        // Nothing here unpacks: a body is what it says it is, and no small one becomes a large one.
        let detail = "send the body as it is, without Content-Encoding";
        let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_coding", detail);
        request.into_response(problem.traced(trace).error_response())
    } else {
        // In a task of its own, so that it runs to its end even if the caller hangs up: a change that is in the store
        // and not in memory would be answered wrongly until the next start.
        let detail = "the service failed at this request; nothing was answered";
        let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).traced(trace);
        actix_web::rt::spawn(next.call(request)).await.map_err(failed)??.map_into_boxed_body()
    };
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = as_problem(response, trace);
    }
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let route = route.as_deref().unwrap_or("-");
    let took = started.elapsed();
    if let Some(app) = response.request().app_data::<web::Data<App>>() {
        app.metrics.request(route, method_label(&method), status.as_u16(), took);
    }
    let elapsed_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let transaction = transaction.as_deref();
    tracing::info!(
        trace.id = %trace, fsc.transaction_id = transaction, %method, route, status = status.as_u16(), elapsed_us, "request"
    );
    Ok(response)
}

fn as_problem(response: ServiceResponse<BoxBody>, trace: TraceId) -> ServiceResponse<BoxBody> {
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    if is_problem {
        return response;
    }
    let problem = Problem::new(response.status(), "refused", "the request was refused before it was read");
    let (request, _) = response.into_parts();
    ServiceResponse::from_err(problem.traced(trace), request)
}

/// A method as a label: there are as many as the service knows, whatever a client makes up.
fn method_label(method: &Method) -> &str {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
    if known.contains(method) { method.as_str() } else { "other" }
}
