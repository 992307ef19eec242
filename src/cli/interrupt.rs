//! SIGINT and SIGTERM end a run between two requests, so that it keeps what came and says so. The second one ends it at
//! once; what was told until then is kept all the same.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Somebody wants this run to end.
#[derive(Debug, thiserror::Error)]
#[error("told to end")]
pub struct Interrupted;

static WANTED: AtomicBool = AtomicBool::new(false);

/// From now on both signals are waited for.
///
/// # Errors
/// If the system gives no thread or no signals.
pub fn watch() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no signals")?;
    let signals = runtime.block_on(async {
        Ok::<_, std::io::Error>((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    });
    let (mut interrupt, mut terminate) = signals.context("no signals")?;
    let wait = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if WANTED.swap(true, Ordering::Relaxed) {
                    std::process::exit(1);
                }
            }
        });
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).context("no thread")?;
    Ok(())
}

/// # Errors
/// [`Interrupted`], once the run is to end.
pub fn check() -> Result<(), Interrupted> {
    if WANTED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}
