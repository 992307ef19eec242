//! A request's body as it comes: actix waits for one for ever, this does not.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::{Excess, Held};
use super::problem::Problem;

/// Longest silence, and the time before the least rate counts.
const SILENCE: Duration = Duration::from_secs(10);

/// Why a body was cut.
pub(super) enum Cut {
    Excess(Excess),
    /// Its sender is not let in any more.
    Refused(Box<Problem>),
}

/// Whether the sender would still be let in.
type Still = Box<dyn Fn() -> Result<(), Problem>>;

/// A body that ends when it comes too slowly or is too much. One of somebody who was shut out while it came is not whole.
pub(super) struct Body {
    from: Payload,
    held: Arc<Held>,
    /// For whoever answers.
    cut: Rc<Cell<Option<Cut>>>,
    still: Still,
    began: Instant,
    received: u64,
    /// Only while nothing is there to read.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Body {
    pub(super) fn new(from: Payload, held: Arc<Held>, cut: Rc<Cell<Option<Cut>>>, still: Still) -> Self {
        Self { from, held, cut, still, began: Instant::now(), received: 0, timer: None }
    }

    /// When patience ends, if nothing more comes.
    fn until(&self) -> Instant {
        let (whole, rate) = self.held.pace();
        let earned = Duration::from_secs(self.received.checked_div(u64::from(rate)).unwrap_or(0));
        let silent = Instant::now() + SILENCE;
        let slow = if rate == 0 { silent } else { self.began + SILENCE + earned };
        silent.min(slow).min(self.began + whole)
    }

    fn end(&self, why: Cut) -> Poll<Option<Result<Bytes, PayloadError>>> {
        self.cut.set(Some(why));
        Poll::Ready(Some(Err(PayloadError::Incomplete(None))))
    }
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.from).poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.timer = None;
                self.received += bytes.len() as u64;
                match self.held.take(bytes.len()) {
                    Ok(()) => Poll::Ready(Some(Ok(bytes))),
                    Err(excess) => self.end(Cut::Excess(excess)),
                }
            }
            Poll::Pending => {
                let until = self.until();
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
                match timer.as_mut().poll(context) {
                    Poll::Ready(()) => self.end(Cut::Excess(Excess::Slow)),
                    Poll::Pending => Poll::Pending,
                }
            }
            Poll::Ready(None) => match (self.still)() {
                Ok(()) => Poll::Ready(None),
                Err(problem) => self.end(Cut::Refused(Box::new(problem))),
            },
            failed => failed,
        }
    }
}
