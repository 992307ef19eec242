//! Tracing set-up: a sentence plus fields on standard error, text or JSON; never a quasi-identifier, code, salt
//! or body.

use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{Format, Level, Log};

/// The filter of this process's log, once it has one.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();
static SILENT: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
static LEVEL: Mutex<Level> = Mutex::new(Level::Info);

/// Starts the operational log of this process. A second call changes nothing.
pub fn start(log: &Log) {
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    // What cannot be written there would be told there, which ends in panic.
    let lines = lines.log_internal_errors(false);
    let started = match log.format {
        Format::Text => registry.with(lines.with_ansi(false)).try_init(),
        Format::Json => registry.with(lines.json()).try_init(),
    };
    // Only a test or the demonstration starts twice; the first set-up stays.
    if started.is_ok() && FILTER.set(handle).is_ok() {
        *LEVEL.lock().unwrap_or_else(PoisonError::into_inner) = log.level;
    }
}

/// How much the operational log says now.
pub fn level() -> Level {
    *LEVEL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes how much the operational log says. Without a log it changes nothing.
pub fn set_level(level: Level) {
    if let Some(handle) = FILTER.get()
        && handle.reload(filter(level)).is_ok()
    {
        *LEVEL.lock().unwrap_or_else(PoisonError::into_inner) = level;
    }
}

/// Nothing more of this part of the program, which others can make say as much as they like.
pub fn silence(target: &'static str) {
    SILENT.lock().unwrap_or_else(PoisonError::into_inner).push(target);
    set_level(level());
}

fn filter(level: Level) -> EnvFilter {
    let silent = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    let silent: String = silent.iter().map(|target| format!("{target}=off,")).collect();
    EnvFilter::new(format!("warn,{silent}voorrang={}", level.as_str()))
}
