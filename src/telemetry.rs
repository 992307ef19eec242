//! Tracing set-up: a sentence plus fields on standard error, text or JSON; never a quasi-identifier, code, salt
//! or body.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Format, Log};

/// Starts the operational log of this process. A second call changes nothing.
pub fn start(log: &Log) {
    let filter = EnvFilter::new(format!("warn,voorrang={}", log.level.as_str()));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let started = match log.format {
        Format::Text => registry.with(lines.with_ansi(false)).try_init(),
        Format::Json => registry.with(lines.json()).try_init(),
    };
    // Only a test or the demonstration starts twice; the first set-up stays.
    drop(started);
}
