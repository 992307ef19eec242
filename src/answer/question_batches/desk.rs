//! What the handlers of batches and their worker share: who goes first, and whether there is something to do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::super::tls::Door;
use super::Asker;
use crate::config::Batches;
use crate::ids::{BatchId, Oin};

/// How long a batch's question waits for questions that came alone. Longer, and a busy service never answers a batch.
const COURTESY: Duration = Duration::from_millis(2);

/// So long after a question that came alone more are awaited.
const BUSY: Duration = Duration::from_millis(250);

/// For so long a page that somebody read is not recorded again.
const RECORDED: time::Duration = time::Duration::HOUR;

/// What somebody was shown of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub batch: BatchId,
    /// The first result, and how many.
    pub page: (u32, u32),
    pub certificate: String,
    /// Answers, or why there are none any more.
    pub told: bool,
}

/// What handlers and the worker share.
#[derive(Debug)]
pub(in super::super) struct Desk {
    pub(super) bounds: Batches,
    /// Questions being decided for which somebody waits.
    ahead: AtomicUsize,
    /// When one came last.
    came: Mutex<Option<Instant>>,
    /// Whether there is something for the worker.
    more: AtomicBool,
    /// Who is let in while a batch is answered.
    door: OnceLock<Arc<Door>>,
    /// Pages whose reading was recorded, and when.
    seen: Mutex<HashMap<Seen, OffsetDateTime>>,
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
        Self {
            bounds: bounds.clone(),
            ahead: AtomicUsize::new(0),
            came: Mutex::default(),
            more: AtomicBool::new(true),
            door: OnceLock::new(),
            seen: Mutex::default(),
        }
    }

    /// Whether this reading was recorded within the hour.
    pub(super) fn was_recorded(&self, seen: &Seen, now: OffsetDateTime) -> bool {
        let all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(seen).is_some_and(|then| (now - *then).abs() < RECORDED)
    }

    /// Remembers a reading that is recorded. They are as few as a party may have recorded in an hour.
    pub(super) fn recorded(&self, seen: Seen, now: OffsetDateTime) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, then| (now - *then).abs() < RECORDED);
        all.insert(seen, now);
    }

    /// From now on batches are answered for those only whom this door lets in.
    pub(in super::super) fn watch(&self, door: &Arc<Door>) {
        self.door.get_or_init(|| door.clone());
    }

    /// Whether the certificate with which a batch was committed still counts.
    pub(super) fn lets_go_on(&self, oin: &Oin, asker: &Asker) -> bool {
        self.door.get().is_some_and(|door| door.gate().1.lets_go_on(oin, &asker.shown()))
    }

    /// Somebody waits for a question: batches let it pass.
    pub(in super::super) fn ahead(&self) -> Ahead<'_> {
        self.ahead.fetch_add(1, Ordering::Relaxed);
        *self.came.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ahead(&self.ahead)
    }

    /// Lets questions pass for which somebody waits, for a moment.
    pub(super) fn let_pass(&self) {
        let until = Instant::now() + COURTESY;
        while self.ahead.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            std::thread::sleep(COURTESY / 10);
        }
    }

    /// Whether questions come of which somebody awaits each.
    pub(super) fn is_busy(&self) -> bool {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.is_some_and(|came| came.elapsed() < BUSY)
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
