//! What the handlers of batches and their worker share: who goes first, and whether there is something to do.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::config::Batches;

/// How long a batch's question waits for questions that came alone. Longer, and a busy service never answers a batch.
const COURTESY: Duration = Duration::from_millis(2);

/// What handlers and the worker share.
#[derive(Debug)]
pub(in super::super) struct Desk {
    pub(super) bounds: Batches,
    /// Questions being decided for which somebody waits.
    ahead: AtomicUsize,
    /// Whether there is something for the worker.
    more: AtomicBool,
}

/// A question for which somebody waits, until this is dropped.
pub(in super::super) struct Ahead<'a>(&'a AtomicUsize);

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Desk {
    pub(in super::super) fn new(bounds: &Batches) -> Self {
        // What a restart cut short goes on.
        Self { bounds: bounds.clone(), ahead: AtomicUsize::new(0), more: AtomicBool::new(true) }
    }

    /// Somebody waits for a question: batches let it pass.
    pub(in super::super) fn ahead(&self) -> Ahead<'_> {
        self.ahead.fetch_add(1, Ordering::Relaxed);
        Ahead(&self.ahead)
    }

    /// Lets questions pass for which somebody waits, for a moment.
    pub(super) fn let_pass(&self) {
        let until = Instant::now() + COURTESY;
        while self.ahead.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            std::thread::sleep(COURTESY / 10);
        }
    }

    /// There is something to do.
    pub(super) fn wake(&self) {
        self.more.store(true, Ordering::Release);
    }

    /// Whether there was something to do since this was asked last.
    pub(super) fn has_more(&self) -> bool {
        self.more.swap(false, Ordering::Acquire)
    }
}
