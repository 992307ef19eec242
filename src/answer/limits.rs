//! How much of the service a party has at this moment. What is too much waits a moment, and then is refused before it
//! costs anything: a greedy party slows itself down and nobody else.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::problem::Problem;
use crate::config::Limits;
use crate::ids::Oin;

/// A request that finds no place waits this long for one: a client that is a little too fast needs to know of no limit.
const PATIENCE: Duration = Duration::from_secs(1);
/// Connections beyond its share that a party may have besides, to be told so on them.
const TOLD: usize = 8;
/// Of the rates, in seconds: what may come at once after a pause.
const BURST: u32 = 2;
const KILOBYTE: usize = 1 << 10;
const MEGABYTE: usize = 1 << 20;

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    Connections,
    Requests,
    /// Of which each is an entry of the access log.
    Refusals,
    /// Of writes that are granted, which stay on the disk.
    Records,
    AtOnce,
    Batches,
    Bytes,
    Memory,
    /// Not the caller's fault: all together are too many.
    Busy,
    /// A body that comes too slowly, or not at all.
    Slow,
}

impl Excess {
    /// Stable code.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Connections => "too_many_connections",
            Self::Requests => "too_many_requests",
            Self::Refusals => "too_many_refusals",
            Self::Records => "too_many_writes",
            Self::AtOnce => "too_many_at_once",
            Self::Batches => "too_many_batches",
            Self::Bytes => "too_many_bytes",
            Self::Memory => "too_many_bytes_at_once",
            Self::Busy => "busy",
            Self::Slow => "slow_body",
        }
    }

    /// The problem, and after how many seconds to try again.
    pub(super) fn problem(self) -> (Problem, Option<u64>) {
        let too_many = StatusCode::TOO_MANY_REQUESTS;
        let (status, seconds, detail) = match self {
            Self::Connections => {
                (too_many, Some(5), "you have too many connections open; close some, or use those there are")
            }
            Self::Requests => (too_many, Some(1), "you send more requests a second than the service takes"),
            Self::Refusals => {
                let detail = "too many of your requests were refused; mend them, the last refusals say how";
                (too_many, Some(5), detail)
            }
            Self::Records => {
                (too_many, Some(5), "you have more written and recorded a minute than the service keeps of one party")
            }
            Self::AtOnce => (too_many, Some(1), "too many of your requests are being worked on; send fewer at once"),
            Self::Batches => (too_many, Some(1), "too many of your batches are being worked on; send fewer at once"),
            Self::Bytes => (too_many, Some(1), "you send more bytes a second than the service takes"),
            Self::Memory => (too_many, Some(1), "your requests under way are too large together; send fewer at once"),
            Self::Busy => {
                let detail = "the service is too busy; nothing was done, try again in a moment";
                (StatusCode::SERVICE_UNAVAILABLE, Some(2), detail)
            }
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, None, "the body came too slowly; send it as one piece"),
        };
        (Problem::new(status, self.code(), detail), seconds)
    }
}

/// What everybody has.
pub(super) struct Meters {
    limits: Limits,
    /// Connections behind their handshake, of everybody: those of Inways and beyond a share too.
    open: AtomicUsize,
    running: Arc<Semaphore>,
    /// Bytes of bodies in memory, those of answers that wait included.
    held: AtomicUsize,
    /// By party; whoever is none shares one.
    each: Mutex<HashMap<Option<Oin>, Arc<Meter>>>,
}

/// What one party has.
struct Meter {
    connections: AtomicUsize,
    /// Connections beyond them.
    beyond: AtomicUsize,
    running: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    requests: DefaultDirectRateLimiter,
    refusals: DefaultDirectRateLimiter,
    records: DefaultDirectRateLimiter,
    /// Until when too many were refused.
    shut_until: Mutex<Option<Instant>>,
    kilobytes: DefaultDirectRateLimiter,
    held: AtomicUsize,
}

impl Meters {
    pub(super) fn new(limits: &Limits) -> Self {
        let (open, held, each) = Default::default();
        Self { limits: limits.clone(), open, running: Arc::new(Semaphore::new(limits.requests_at_once)), held, each }
    }

    /// Counts a connection, whoever it is of, until this is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// Connections that are open, and how many may be.
    pub(super) fn connections(&self) -> (usize, usize) {
        (self.open.load(Ordering::Relaxed), self.limits.connections)
    }

    /// A connection's place; it is free again when this is dropped.
    pub(super) fn connect(self: &Arc<Self>, party: Option<&Oin>) -> Result<Place, Excess> {
        let meter = self.meter(party);
        if !add(&meter.connections, 1, self.limits.connections_each) {
            return Err(Excess::Connections);
        }
        Ok(Place { meters: self.clone(), meter, party: party.cloned() })
    }

    /// Leave to stay for a connection that found no place, until it has asked and heard why. `None`: more than enough
    /// of them are told.
    pub(super) fn hear(&self, party: Option<&Oin>) -> Option<Beyond> {
        let meter = self.meter(party);
        add(&meter.beyond, 1, TOLD).then(|| Beyond(meter))
    }

    fn meter(&self, party: Option<&Oin>) -> Arc<Meter> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        each.entry(party.cloned()).or_insert_with(|| Arc::new(Meter::new(&self.limits))).clone()
    }

    /// Requests that are being worked on, and bytes of bodies in memory.
    pub(super) fn load(&self) -> (usize, usize) {
        let running = self.limits.requests_at_once - self.running.available_permits();
        (running, self.held.load(Ordering::Relaxed))
    }
}

impl Meter {
    fn new(limits: &Limits) -> Self {
        let rate = |each: u32| {
            let each = at_least_one(each);
            RateLimiter::direct(
                Quota::per_second(each).allow_burst(each.saturating_mul(NonZeroU32::MIN.saturating_add(BURST - 1))),
            )
        };
        Self {
            connections: AtomicUsize::new(0),
            beyond: AtomicUsize::new(0),
            running: Arc::new(Semaphore::new(limits.requests_at_once_each)),
            batches: Arc::new(Semaphore::new(limits.batches_at_once_each)),
            requests: rate(limits.requests_per_second_each),
            refusals: RateLimiter::direct(Quota::per_minute(at_least_one(limits.refusals_per_minute_each))),
            records: RateLimiter::direct(Quota::per_minute(at_least_one(limits.records_per_minute_each))),
            shut_until: Mutex::default(),
            kilobytes: rate(limits.body_megabytes_per_second_each * (MEGABYTE / KILOBYTE) as u32),
            held: AtomicUsize::new(0),
        }
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("checked limits are at least 1")
}

/// A connection.
pub(super) struct Open(Arc<Meters>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection beyond its party's share.
pub(super) struct Beyond(Arc<Meter>);

impl Drop for Beyond {
    fn drop(&mut self) {
        self.0.beyond.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request is, beside one more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// Of many questions at once.
    pub is_batch: bool,
    /// Something of it stays on the disk.
    pub is_recorded: bool,
}

/// A connection that counts.
pub(super) struct Place {
    meters: Arc<Meters>,
    meter: Arc<Meter>,
    party: Option<Oin>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.meter.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place {
    /// Whether it is one of this party's; the regulation may have changed since the handshake.
    pub(super) fn is_of(&self, party: Option<&Oin>) -> bool {
        self.party.as_ref() == party
    }

    /// A request's place.
    ///
    /// # Errors
    /// [`Excess`], at once where all together are too many, and after a second where the caller alone is.
    pub(super) async fn enter(&self, what: Work) -> Result<Entered, Excess> {
        let until = Instant::now() + PATIENCE;
        if self.meter.is_shut() {
            // Whoever does not look at refusals is made to take its time.
            sleep(PATIENCE).await;
            return Err(Excess::Refusals);
        }
        pass(&self.meter.requests, until).await.map_err(|()| Excess::Requests)?;
        if what.is_recorded {
            pass(&self.meter.records, until).await.map_err(|()| Excess::Records)?;
        }
        let own = place_in(&self.meter.running, until).await.ok_or(Excess::AtOnce)?;
        let batch =
            if what.is_batch { Some(place_in(&self.meter.batches, until).await.ok_or(Excess::Batches)?) } else { None };
        let all = self.meters.running.clone().try_acquire_owned().map_err(|_| Excess::Busy)?;
        let body = Held { meters: self.meters.clone(), meter: self.meter.clone(), bytes: AtomicUsize::new(0) };
        Ok(Entered { body: Arc::new(body), _places: (own, batch, all) })
    }
}

impl Meter {
    fn is_shut(&self) -> bool {
        let until = self.shut_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Counts refusals; those beyond the rate are waited for by all that come next.
    fn refuse(&self, count: u32, per_minute: u32) {
        let beyond = (0..count).filter(|_| self.refusals.check().is_err()).count();
        if beyond > 0 {
            let mut until = self.shut_until.lock().unwrap_or_else(PoisonError::into_inner);
            let debt = Duration::from_secs_f64(beyond as f64 * 60.0 / f64::from(per_minute));
            *until = Some(until.unwrap_or_else(Instant::now).max(Instant::now()) + debt);
        }
    }
}

/// Waits until a rate lets one more through; an error where that takes too long.
async fn pass(rate: &DefaultDirectRateLimiter, until: Instant) -> Result<(), ()> {
    let clock = DefaultClock::default();
    while let Err(not_yet) = rate.check() {
        let wait = not_yet.wait_time_from(clock.now());
        if Instant::now() + wait > until {
            // Whoever does not wait by itself is made to.
            sleep(until.saturating_duration_since(Instant::now())).await;
            return Err(());
        }
        sleep(wait).await;
    }
    Ok(())
}

async fn place_in(semaphore: &Arc<Semaphore>, until: Instant) -> Option<OwnedSemaphorePermit> {
    timeout_at(until, semaphore.clone().acquire_owned()).await.ok()?.ok()
}

/// A request that is being worked on, until this is dropped.
pub(super) struct Entered {
    pub(super) body: Arc<Held>,
    _places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

impl Entered {
    /// Tells of what was refused of this request.
    pub(super) fn refused(&self, count: u32) {
        let body = &self.body;
        body.meter.refuse(count, body.meters.limits.refusals_per_minute_each);
    }
}

/// The bytes of one request's body, as long as the request is worked on, or of an answer until it has left.
pub(super) struct Held {
    meters: Arc<Meters>,
    meter: Arc<Meter>,
    bytes: AtomicUsize,
}

impl Held {
    /// Whether a body of this length ever finds room; else how many bytes do.
    pub(super) fn could_fit(&self, length: usize) -> Result<(), usize> {
        let limits = &self.meters.limits;
        let most = limits.body_megabytes_each.min(limits.body_megabytes) * MEGABYTE;
        if length <= most { Ok(()) } else { Err(most) }
    }

    /// Whether a body that announces this length would find room.
    pub(super) fn has_room(&self, length: usize) -> Result<(), Excess> {
        let limits = &self.meters.limits;
        let fits =
            |held: &AtomicUsize, most: usize| held.load(Ordering::Relaxed).saturating_add(length) <= most * MEGABYTE;
        if !fits(&self.meter.held, limits.body_megabytes_each) {
            return Err(Excess::Memory);
        }
        if fits(&self.meters.held, limits.body_megabytes) { Ok(()) } else { Err(Excess::Busy) }
    }

    /// Counts bytes that came.
    pub(super) fn take(&self, length: usize) -> Result<(), Excess> {
        let limits = &self.meters.limits;
        let kilobytes = u32::try_from(length.div_ceil(KILOBYTE)).ok().and_then(NonZeroU32::new);
        if kilobytes.is_some_and(|count| !matches!(self.meter.kilobytes.check_n(count), Ok(Ok(())))) {
            return Err(Excess::Bytes);
        }
        if !add(&self.meter.held, length, limits.body_megabytes_each * MEGABYTE) {
            return Err(Excess::Memory);
        }
        if !add(&self.meters.held, length, limits.body_megabytes * MEGABYTE) {
            self.meter.held.fetch_sub(length, Ordering::Relaxed);
            return Err(Excess::Busy);
        }
        self.bytes.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Counts an answer of this many bytes, until that is dropped. It is made already, so it is not refused: the next
    /// request is, where there is too much.
    pub(super) fn answer(&self, length: usize) -> Self {
        self.meter.held.fetch_add(length, Ordering::Relaxed);
        self.meters.held.fetch_add(length, Ordering::Relaxed);
        Self { meters: self.meters.clone(), meter: self.meter.clone(), bytes: AtomicUsize::new(length) }
    }

    /// How slowly a body may come.
    pub(super) fn pace(&self) -> (Duration, u32) {
        (Duration::from_secs(self.meters.limits.body_seconds), self.meters.limits.body_bytes_per_second)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.meter.held.fetch_sub(bytes, Ordering::Relaxed);
        self.meters.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Adds, if the sum is not more than this.
fn add(counter: &AtomicUsize, count: usize, most: usize) -> bool {
    let sum = |now: usize| now.checked_add(count).filter(|sum| *sum <= most);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
}

#[cfg(test)]
mod tests;
