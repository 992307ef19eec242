//! One span a request, for a collector of OpenTelemetry: which operation, how it ended, how long it took. Nothing that a
//! line of the operational log does not say: no party, no body, no address.
//!
//! OTLP/HTTP with JSON as processing records have it, so that no second exporter is needed. Spans that the collector does
//! not take are lost; nobody waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::http::{Method, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::background::is_over;
use super::collector::Collector;
use super::metrics::Metrics;
use super::trace::Parent;
use crate::config::Traces;
use crate::ids::TraceId;

/// Spans that wait; more are lost.
const WAITING: usize = 4096;
/// Spans of one request.
const BATCH: usize = 512;
/// Before the next request where the one before was not full: 16,000 requests a second find room meanwhile.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a stop sends what waits, but for a request under way.
const LAST: Duration = Duration::from_secs(3);

/// A request that has begun.
pub(super) struct Begun {
    trace: TraceId,
    id: String,
    parent: Option<String>,
    at: SystemTime,
}

/// How it ended.
pub(super) struct Ended {
    pub(super) method: Method,
    pub(super) route: String,
    pub(super) status: StatusCode,
    pub(super) took: Duration,
}

/// One request.
struct Span(Begun, Ended);

/// Where spans go, if anywhere.
#[derive(Clone, Default)]
pub(super) struct Spans {
    desk: Option<SyncSender<Span>>,
    /// For which there was no room, since that was told.
    crowded: Arc<AtomicU64>,
}

/// The other end.
pub(super) struct Sender {
    spans: Receiver<Span>,
    crowded: Arc<AtomicU64>,
    collector: Collector,
    metrics: Arc<Metrics>,
}

impl Spans {
    /// Both ends; no sender where no collector is configured.
    pub(super) fn new(config: &Traces, metrics: Arc<Metrics>) -> (Self, Option<Sender>) {
        let Some(address) = config.collector() else { return (Self::default(), None) };
        let (desk, spans) = mpsc::sync_channel(WAITING);
        let crowded = Arc::<AtomicU64>::default();
        let sender =
            Sender { spans, crowded: crowded.clone(), collector: Collector::new(address, &config.ca), metrics };
        (Self { desk: Some(desk), crowded }, Some(sender))
    }

    /// Begins the span of a request, unless nobody collects or the caller says that this trace is not collected.
    pub(super) fn begin(&self, trace: TraceId, parent: Option<&Parent>) -> Option<Begun> {
        if self.desk.is_none() || parent.is_some_and(|parent| !parent.sampled) {
            return None;
        }
        let mut id = [0; 8];
        SystemRandom::new().fill(&mut id).expect("the system's random generator answers");
        let parent = parent.map(|parent| parent.span.clone());
        Some(Begun { trace, id: hex::encode(id), parent, at: SystemTime::now() })
    }

    /// Hands it over. Nobody waits: where there is no room it is lost.
    pub(super) fn end(&self, begun: Begun, ended: Ended) {
        if self.desk.as_ref().is_some_and(|desk| desk.try_send(Span(begun, ended)).is_err()) {
            self.crowded.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Begun {
    /// The response's header (W3C Trace Context, level 2): how the caller finds this span.
    pub(super) fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.id)
    }
}

impl Span {
    fn json(&self) -> Value {
        let Self(begun, ended) = self;
        let nanos = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let mut span = json!({
            "traceId": begun.trace.to_string(),
            "spanId": begun.id,
            "name": format!("{} {}", ended.method, ended.route),
            // SPAN_KIND_SERVER
            "kind": 2,
            // 64-bit integers are strings in protobuf's JSON.
            "startTimeUnixNano": nanos(begun.at),
            "endTimeUnixNano": nanos(begun.at + ended.took),
            "attributes": [
                text("http.request.method", ended.method.as_str()),
                text("http.route", &ended.route),
                json!({"key": "http.response.status_code", "value": {"intValue": ended.status.as_str()}}),
            ],
            // A refusal is no error of the service (OpenTelemetry, HTTP spans).
            "status": {"code": if ended.status.is_server_error() { 2 } else { 0 }},
        });
        if let Some(parent) = &begun.parent {
            span["parentSpanId"] = parent.as_str().into();
        }
        span
    }
}

impl Sender {
    /// Sends until the service ends, and then what waits, as long as the collector takes it and no longer than a moment.
    pub(super) fn run(&self, ending: &Receiver<()>) {
        let (mut more, mut last) = (false, None);
        loop {
            let is_over = is_over(ending, if more { Duration::ZERO } else { PAUSE });
            let until = is_over.then(|| *last.get_or_insert_with(|| Instant::now() + LAST));
            more = self.send_some();
            if until.is_some_and(|until| !more || Instant::now() > until) {
                let left = self.spans.try_iter().count();
                if left > 0 {
                    self.metrics.lost_spans(left as u64);
                    tracing::warn!(lost = left, "the service has stopped before its last spans were taken");
                }
                return;
            }
        }
    }

    /// Sends the oldest; whether more may wait that the collector would take.
    fn send_some(&self) -> bool {
        let some: Vec<Span> = self.spans.try_iter().take(BATCH).collect();
        let crowded = self.crowded.swap(0, Ordering::Relaxed);
        if crowded > 0 {
            self.metrics.lost_spans(crowded);
            tracing::warn!(lost = crowded, "spans were lost: the collector of [traces] does not keep up");
        }
        if some.is_empty() {
            return false;
        }
        let posted = self.collector.post(&otlp(&some));
        if let Err(error) = &posted {
            let (lost, error) = (error.of(some.len()), error as &dyn std::error::Error);
            self.metrics.lost_spans(lost);
            tracing::warn!(error, lost, "the collector of [traces] did not take spans; they are lost");
        }
        let is_away = posted.is_err_and(|error| !error.is_final());
        some.len() == BATCH && !is_away
    }
}

fn otlp(spans: &[Span]) -> Value {
    let service = json!({"key": "service.name", "value": {"stringValue": "voorrang"}});
    let version = json!({"key": "service.version", "value": {"stringValue": env!("CARGO_PKG_VERSION")}});
    json!({"resourceSpans": [{
        "resource": {"attributes": [service, version]},
        "scopeSpans": [{"scope": {"name": "voorrang"}, "spans": spans.iter().map(Span::json).collect::<Vec<_>>()}],
    }]})
}
