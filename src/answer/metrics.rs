//! Numbers for Prometheus. None tells what a party was answered: requests are counted by route and status, where an
//! answer is 200 whatever it says, and no number is kept by party.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::App;
use super::checkup::{Finding, Grade};
use super::limits::Meters;
use super::tls::Door;

/// Upper bounds of how long a request took, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// What is counted while the service runs.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    refused: IntCounterVec,
    running: IntGauge,
    body_bytes: IntGauge,
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
            running: gauge("requests_running", "Requests that are being worked on"),
            body_bytes: gauge("body_bytes", "Bytes of bodies in memory"),
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

    /// Everything as Prometheus reads it.
    pub(super) fn text(&self, app: &App, door: &Door, meters: &Arc<Meters>, found: &[Finding]) -> String {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (running, bytes) = meters.load();
        self.running.set(whole(running));
        self.body_bytes.set(whole(bytes));
        let stats = app.store.stats();
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
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
