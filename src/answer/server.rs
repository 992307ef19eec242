//! The listener: actix-web on rustls, one mutual-TLS port, problem+json from the outermost layer on.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, PathConfig, ServiceConfig};
use actix_web::{App as Web, HttpMessage, HttpRequest, HttpResponse, Resource, ResponseError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::aside::aside;
use super::background::Background;
use super::checkup::Grade;
use super::durable::durable;
use super::ending::nothing_behind;
use super::guard::guard;
use super::handshakes::Handshakes;
use super::internal::{self, Inside};
use super::json::{BodyLimit, path_error};
use super::knocks::Refused;
use super::limits::Meters;
use super::listener::{self, Socket};
use super::manager::{Told, tell};
use super::negotiation::{Unread, negotiated};
use super::openapi::Published;
use super::operation::{Operation, head_is_get};
use super::operations::operations;
use super::problem::{Problem, trace_of};
use super::repeats::once;
use super::spans::{Ended, Spans};
use super::tls::{Door, Gate, Reloader};
use super::trace::Trace;
use super::{App, StartError, checkup, documentation, identity, shape, tls};
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::TraceId;
use crate::telemetry;

pub(super) const SECURITY_HEADERS: [(&str, &str); 6] = [
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
    /// Where its document is, if anywhere.
    pub documentation: Option<SocketAddr>,
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
        Ok((Places { address, internal, documentation }, handle)) => {
            Ok(Running { address, internal, documentation, handle, thread })
        }
        Err(_) => Err(thread.join().expect("the service's thread does not panic").expect_err("it did not start")),
    }
}

/// Where a service listens.
struct Places {
    address: SocketAddr,
    internal: Option<SocketAddr>,
    documentation: Option<SocketAddr>,
}

/// All sockets of a service, on which nobody is answered yet.
struct Sockets {
    own: TcpListener,
    internal: Option<TcpListener>,
    documentation: Option<TcpListener>,
}

impl Sockets {
    /// # Errors
    /// [`StartError::Listen`] names the first address that is not to be had.
    fn bind(config: &Config) -> Result<(Self, Places), StartError> {
        let bind = |address, key| {
            let bound = TcpListener::bind(address).and_then(|socket| Ok((socket.local_addr()?, socket)));
            bound.map_err(|source| StartError::Listen { address, key, source })
        };
        let or_none = |address: Option<SocketAddr>, key| address.map(|address| bind(address, key)).transpose();
        let (address, own) = bind(config.listen, "listen")?;
        let (documentation, pages) = or_none(config.documentation.address(), "documentation.listen")?.unzip();
        let (internal, inner) = or_none(config.internal.address(), "internal.listen")?.unzip();
        Ok((Self { own, internal: inner, documentation: pages }, Places { address, internal, documentation }))
    }
}

type Ready = oneshot::Sender<(Places, ServerHandle)>;

fn serve(config: Config, clock: Clock, signals: bool, ready: Option<Ready>) -> Result<(), StartError> {
    // Whoever sends what is no request would write a line of an error each time.
    telemetry::silence("actix_http");
    let system = actix_web::rt::System::new();
    // Before anything that takes time: unheard, the signal would end the process.
    let hangups = if signals { system.block_on(async { hangups() }) } else { None };
    checkup::before_start(&config, &clock)?;
    let gate = Gate::open(&config.tls)?;
    for warning in checkup::of_gate(&gate, clock.now()).iter().filter(|found| found.grade == Grade::Warning) {
        tracing::warn!(code = warning.code, "{}", warning.detail);
    }
    // Before the access log has that it started: whoever starts it again and again would fill it.
    let (sockets, places) = Sockets::bind(&config)?;
    let app = Arc::new(App::open(&config, clock)?);
    let door = Arc::new(Door::new(gate, app.knocks.clone()));
    app.desk.watch(&door);
    let tls = tls::server(&door, config.tls.tls12)?;
    let reloader = Arc::new(Reloader::new(&config, door.clone()));
    let (spans, sender) = Spans::new(&config.traces, app.metrics.clone());
    let spans = web::Data::new(spans);
    let background = Background::start(&app, &config, &reloader, sender);
    let shared = web::Data::from(app.clone());
    let guarded = web::Data::from(door.clone());
    shape::prepare();
    let published = web::Data::new(Published::new(&config.documentation));
    let document = published.clone();
    let meters = Arc::new(Meters::new(&config.limits));
    let metered = web::Data::from(meters.clone());
    let handshakes = Arc::<Handshakes>::default();
    let stopping = Arc::<AtomicBool>::default();
    let inside = Inside {
        app: app.clone(),
        door: door.clone(),
        meters: meters.clone(),
        handshakes: handshakes.clone(),
        config: Arc::new(config.clone()),
        stopping: stopping.clone(),
    };
    let factory = move || {
        let web = Web::new().wrap(from_fn(once)).wrap(from_fn(durable)).wrap(from_fn(negotiated));
        let web = web.wrap(from_fn(guard)).wrap(from_fn(envelope)).wrap(from_fn(nothing_behind));
        let web = web.app_data(shared.clone()).app_data(guarded.clone()).app_data(metered.clone());
        web.app_data(spans.clone()).app_data(document.clone()).configure(routes)
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let socket = Socket {
        name: "voorrang",
        listener: sockets.own,
        tls,
        handshakes,
        workers: if config.workers > 0 { config.workers } else { cores() },
        connections: config.limits.connections,
        shutdown: config.shutdown_seconds,
    };
    let (known, opened, told) = (app.clone(), door.clone(), door.clone());
    let opened = move |io: &_, data: &mut _| identity::on_connect(io, data, &known, &opened, &meters);
    let failed = move |code| told.knocks().tell(Refused { code, fingerprint: String::new() });
    let server = listener::listen(socket, opened, failed, factory).map_err(StartError::Server)?;
    let server = if signals { server } else { server.disable_signals() };
    let stopped = server.graceful_shutdown_signal();
    system
        .block_on(async {
            if let Some(hangups) = hangups {
                actix_web::rt::spawn(reload_on_hangup(hangups, reloader));
            }
            let inner = sockets.internal.map(|socket| internal::listen(socket, inside)).transpose();
            let inner = inner.map_err(StartError::Server)?;
            let stop_inner = inner.map(|(server, handle)| (actix_web::rt::spawn(server), handle));
            let server = server.run();
            actix_web::rt::spawn(async move {
                stopped.notified().await;
                tell(Told::Stopping);
                stopping.store(true, Ordering::Relaxed);
            });
            if let Some(socket) = sockets.documentation {
                actix_web::rt::spawn(documentation::listen(socket, &door, published)?);
            }
            let shown = |address: Option<SocketAddr>| address.map(tracing::field::display);
            let (internal, documentation) = (shown(places.internal), shown(places.documentation));
            tracing::info!(address = %places.address, internal, documentation, version = env!("CARGO_PKG_VERSION"), "the service listens");
            tell(Told::Ready);
            if let Some(ready) = ready {
                // Whoever started us may be gone already; then nobody stops us but a signal.
                drop(ready.send((places, server.handle())));
            }
            let ended = server.await.map_err(StartError::Server);
            if let Some((_, handle)) = stop_inner {
                handle.stop(false).await;
            }
            ended
        })?;
    drop(background);
    last_work(&app, Duration::from_secs(config.shutdown_seconds));
    app.stopped()?;
    tracing::info!("the service has stopped");
    Ok(())
}

/// Waits for what callers left behind who hung up: a commit under way writes until it is whole.
fn last_work(app: &Arc<App>, most: Duration) {
    let begun = Instant::now();
    while Arc::strong_count(app) > 1 && begun.elapsed() < most {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Hears SIGHUP from now on; one that comes before somebody listens is kept.
fn hangups() -> Option<Signal> {
    let heard = signal(SignalKind::hangup());
    heard
        .inspect_err(|error| tracing::warn!(%error, "SIGHUP cannot be heard; the timer still reads everything anew"))
        .ok()
}

/// SIGHUP: what the timer does, at once.
async fn reload_on_hangup(mut hangups: Signal, reloader: Arc<Reloader>) {
    while hangups.recv().await.is_some() {
        let reloader = Arc::clone(&reloader);
        tell(Told::Reloading);
        if aside(move || reloader.reload()).await.is_err() {
            return;
        }
        tell(Told::Ready);
    }
}

/// Every route. Methods that a resource lacks are 405 and paths that do not exist 404, both as problems.
pub fn routes(config: &mut ServiceConfig) {
    let mut resources: Vec<(&str, Vec<Operation>)> = Vec::new();
    for operation in operations() {
        match resources.iter_mut().find(|(path, _)| *path == operation.path) {
            Some((_, methods)) => methods.push(operation),
            None => resources.push((operation.path, vec![operation])),
        }
    }
    let v1 = resources.into_iter().fold(web::scope("/v1"), |v1, (path, methods)| v1.service(at_path(path, methods)));
    config.app_data(PathConfig::default().error_handler(path_error)).service(v1).default_service(web::to(no_such_path));
}

/// A path and its methods; any other method is told which there are.
pub(super) fn at_path(path: &str, methods: Vec<Operation>) -> Resource {
    let mut names: Vec<&str> = methods.iter().map(|operation| operation.method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    let allow = names.join(", ");
    let refuse = move |request: HttpRequest| std::future::ready(no_such_method(&request, &allow));
    let resource = web::resource(path).default_service(web::to(refuse));
    methods.into_iter().fold(resource, |resource, operation| {
        let resource = resource.route(operation.route);
        operation.most_bytes.map(BodyLimit).into_iter().fold(resource, Resource::app_data)
    })
}

pub(super) async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("no_such_path", "there is nothing at this path").traced(trace_of(&request)))
}

fn no_such_method(request: &HttpRequest, allow: &str) -> HttpResponse {
    let detail = format!("this resource has {allow} and no other method");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", detail).traced(trace_of(request));
    let mut response = problem.error_response();
    let allow = HeaderValue::from_str(allow).expect("names of methods are a header's value");
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// Around every request: a trace id, a line in the operational log, the headers that every response has, and a
/// problem document for whatever a layer below refused with another body.
pub(super) async fn envelope(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let read = Trace::of(request.headers(), identity::is_inway(request.request()));
    let trace = read.as_ref().map_or_else(|(id, _)| *id, |trace| trace.id);
    request.extensions_mut().insert(trace);
    let method = request.method().clone();
    head_is_get(&mut request);
    let route = request.match_pattern();
    let started = std::time::Instant::now();
    let parent = read.as_ref().ok().and_then(|read| read.parent.as_ref());
    let spans = request.app_data::<web::Data<Spans>>().cloned();
    let span = spans.as_ref().and_then(|spans| spans.begin(trace, parent));
    let transaction = match read {
        Ok(trace) => trace.transaction,
        Err((_, problem)) => {
            request.extensions_mut().insert(Unread(*problem));
            None
        }
    };
    // In a task of its own, so that it runs to its end even if the caller hangs up: a change that is in the store and
    // not in memory would be answered wrongly until the next start.
    let detail = "the service failed at this request; nothing was answered";
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).traced(trace);
    let mut response = actix_web::rt::spawn(next.call(request)).await.map_err(failed)??.map_into_boxed_body();
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = as_problem(response, trace);
    }
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let route = route.as_deref().unwrap_or("-");
    let took = started.elapsed();
    let app = response.request().app_data::<web::Data<App>>();
    let is_ours = app.is_some();
    if let Some(app) = app {
        app.metrics.request(route, method_label(&method), status.as_u16(), took);
    }
    if let (Some(spans), Some(span)) = (spans, span) {
        if let Ok(value) = HeaderValue::from_str(&span.header()) {
            response.headers_mut().insert(HeaderName::from_static("traceresponse"), value);
        }
        spans.end(span, Ended { method: method.clone(), route: route.to_owned(), status, took });
    }
    let elapsed_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let (transaction, status) = (transaction.as_deref(), status.as_u16());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                trace.id = %trace, fsc.transaction_id = transaction, %method, route, status, elapsed_us, "request"
            )
        };
    }
    // What strangers ask of the document fills no disk.
    if is_ours {
        line!(info)
    } else {
        line!(debug)
    }
    Ok(response)
}

fn as_problem(response: ServiceResponse<BoxBody>, trace: TraceId) -> ServiceResponse<BoxBody> {
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    if is_problem {
        return response;
    }
    let code = if response.status() == StatusCode::NOT_FOUND { "no_such_path" } else { "unread" };
    let problem = Problem::new(response.status(), code, "the request was refused before it was read");
    let (request, _) = response.into_parts();
    ServiceResponse::from_err(problem.traced(trace), request)
}

/// A method as a label: there are as many as the service knows, whatever a client makes up.
fn method_label(method: &Method) -> &str {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
    if known.contains(method) { method.as_str() } else { "other" }
}
