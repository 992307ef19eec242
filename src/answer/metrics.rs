//! Numbers for Prometheus. None tells what a party was answered: requests are counted by route and status, where an
//! answer is 200 whatever it says, and no number is kept by party.

use std::time::Duration;

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::checkup::{Finding, Grade};
use super::internal::Inside;
use super::process;

/// Upper bounds of how long a request took, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// What is counted while the service runs.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    refused: IntCounterVec,
    connections: IntGauge,
    connections_limit: IntGauge,
    handshakes: IntGauge,
    running: IntGauge,
    body_bytes: IntGauge,
    resident_bytes: IntGauge,
    open_files: IntGauge,
    outbox_waiting: IntGauge,
    spans_lost: IntCounter,
    log_entries: IntGauge,
    commits: IntGauge,
    jobs: IntGauge,
    writes_refused: IntGauge,
    certificate_ends: Gauge,
    lists_end: Gauge,
    files_faulty: IntGauge,
    active_epochs: IntGauge,
    findings: IntGaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let opts = |name: &str, help: &str| Opts::new(format!("voorrang_{name}"), help);
        let gauge = |name, help| {
            let gauge = IntGauge::with_opts(opts(name, help)).expect("a name of letters");
            registry.register(Box::new(gauge.clone())).expect("each name once");
            gauge
        };
        let moment = |name, help| {
            let gauge = Gauge::with_opts(opts(name, help)).expect("a name of letters");
            registry.register(Box::new(gauge.clone())).expect("each name once");
            gauge
        };
        let counters = |name, help, labels: &[&str]| {
            let counters = IntCounterVec::new(opts(name, help), labels).expect("names of letters");
            registry.register(Box::new(counters.clone())).expect("each name once");
            counters
        };
        let spans_lost = IntCounter::with_opts(opts("spans_lost_total", "Spans that no collector took"));
        let spans_lost = spans_lost.expect("a name of letters");
        registry.register(Box::new(spans_lost.clone())).expect("each name once");
        let finding = opts("finding", "1: what /readyz finds, an error or a warning");
        let findings = IntGaugeVec::new(finding, &["code", "grade"]).expect("names of letters");
        registry.register(Box::new(findings.clone())).expect("each name once");
        let time = HistogramOpts::new("voorrang_request_seconds", "Time from a request's head to its answer");
        let seconds = HistogramVec::new(time.buckets(SECONDS.to_vec()), &["route"]).expect("names of letters");
        registry.register(Box::new(seconds.clone())).expect("each name once");
        let info = IntGaugeVec::new(opts("build_info", "1, with the version"), &["version"]).expect("names of letters");
        registry.register(Box::new(info.clone())).expect("each name once");
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            requests: counters("requests_total", "Requests that were answered", &["route", "method", "status"]),
            seconds,
            refused: counters("refused_total", "Connections and requests refused before they were routed", &["code"]),
            connections: gauge("connections", "Connections that are open, behind their handshake"),
            connections_limit: gauge("connections_limit", "How many may be, handshakes included: limits.connections"),
            handshakes: gauge("handshakes", "Handshakes under way"),
            running: gauge("requests_running", "Requests that are being worked on"),
            body_bytes: gauge("body_bytes", "Bytes of bodies in memory"),
            resident_bytes: gauge("resident_bytes", "Memory of the process (VmRSS)"),
            open_files: gauge("open_files", "Files, sockets among them, that the process has open"),
            outbox_waiting: gauge("outbox_waiting", "Processing records that wait for their collector"),
            spans_lost,
            log_entries: gauge("log_entries", "Entries of the access log"),
            commits: gauge("store_commits", "Commits since the start"),
            jobs: gauge("store_jobs", "Changes since the start"),
            writes_refused: gauge(
                "store_writes_refused",
                "1: a commit failed or the log was changed, and nothing is written or answered",
            ),
            certificate_ends: moment("certificate_ends_seconds", "When the service's certificate ends, since 1970"),
            lists_end: moment(
                "revocation_lists_end_seconds",
                "When the first revocation list ends, since 1970; 0: none",
            ),
            files_faulty: gauge("files_faulty", "1: the configuration or a file of [tls] could not be taken over"),
            active_epochs: gauge("active_epochs", "Epochs that answer"),
            findings,
            registry,
        }
    }
}

impl Metrics {
    pub(super) fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        let seconds: Histogram = self.seconds.with_label_values(&[route]);
        seconds.observe(took.as_secs_f64());
    }

    pub(super) fn refused(&self, code: &str) {
        self.refused.with_label_values(&[code]).inc();
    }

    /// Spans that wait no more and were not taken.
    pub(super) fn lost_spans(&self, count: u64) {
        self.spans_lost.inc_by(count);
    }

    /// Everything as Prometheus reads it.
    pub(super) fn text(&self, inside: &Inside, found: &[Finding]) -> String {
        let Inside { app, door, meters, .. } = inside;
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (open, most) = meters.connections();
        self.connections.set(whole(open));
        self.connections_limit.set(whole(most));
        self.handshakes.set(whole(inside.handshakes.under_way()));
        self.resident_bytes.set(whole(process::resident_bytes()));
        self.open_files.set(whole(process::open_files()));
        let (running, bytes) = meters.load();
        self.running.set(whole(running));
        self.body_bytes.set(whole(bytes));
        let stats = app.store.stats();
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.outbox_waiting.set(count(app.store.outbox_stands().unwrap_or_default().waiting));
        self.commits.set(count(stats.commits));
        self.jobs.set(count(stats.jobs));
        self.writes_refused.set(i64::from(stats.poisoned));
        let checkpoint = app.store.checkpoint().unwrap_or_default();
        self.log_entries.set(checkpoint.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0));
        let (_, gate) = door.gate();
        self.certificate_ends.set(gate.own_until.unix_timestamp() as f64);
        self.lists_end.set(gate.lists.until.map_or(0.0, |until| until.unix_timestamp() as f64));
        self.files_faulty.set(i64::from(door.fault().is_some()));
        self.active_epochs.set(whole(app.all_answering().len()));
        self.findings.reset();
        for finding in found {
            let grade = if finding.grade == Grade::Error { "error" } else { "warning" };
            self.findings.with_label_values(&[finding.code, grade]).set(1);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("numbers have a text form")
    }
}
