//! What time it is: the system's in service, a settable one in tests and demonstrations.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use time::{Date, Duration, OffsetDateTime};

/// A clock that can be handed around. Regulations, freshness and the access log read no other.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The operating system's.
    System,
    /// A day of its own that runs on from the moment it was set: for data sets that were drawn on a fixed day.
    Since { start: OffsetDateTime, set: Instant },
    /// Stands still until it is set: seconds since 1970, and how many of them passed.
    Standing(Arc<[AtomicI64; 2]>),
}

impl Clock {
    /// A clock that shows `start` now and runs on.
    pub fn since(start: OffsetDateTime) -> Self {
        Self::Since { start, set: Instant::now() }
    }

    /// A clock that stands at `time` until [`Clock::set`] or [`Clock::pass`].
    pub fn standing(time: OffsetDateTime) -> Self {
        Self::Standing(Arc::new([time.unix_timestamp().into(), 0.into()]))
    }

    /// Sets a standing clock, as who sets a clock wrong or right; any other clock stays as it is.
    pub fn set(&self, time: OffsetDateTime) {
        if let Self::Standing(hands) = self {
            hands[0].store(time.unix_timestamp(), Ordering::SeqCst);
        }
    }

    /// Lets time pass on a standing clock until it shows `time`.
    pub fn pass(&self, time: OffsetDateTime) {
        if let Self::Standing(hands) = self {
            let passed = time.unix_timestamp() - hands[0].load(Ordering::SeqCst);
            // Passed first: who looks in between sees no leap.
            hands[1].fetch_add(passed, Ordering::SeqCst);
            hands[0].fetch_add(passed, Ordering::SeqCst);
        }
    }

    /// How much time passed since some moment of this process, whatever the clock is set to.
    pub fn passed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        match self {
            Self::Standing(hands) => Duration::seconds(hands[1].load(Ordering::SeqCst)),
            Self::System | Self::Since { .. } => START.elapsed().try_into().unwrap_or(Duration::MAX),
        }
    }

    /// The time now, UTC.
    ///
    /// # Panics
    /// If a standing clock was set beyond year 9999.
    pub fn now(&self) -> OffsetDateTime {
        match self {
            Self::System => OffsetDateTime::now_utc(),
            Self::Since { start, set } => *start + set.elapsed(),
            Self::Standing(hands) => OffsetDateTime::from_unix_timestamp(hands[0].load(Ordering::SeqCst))
                .expect("a standing clock is set to a time that exists"),
        }
    }

    /// The day now, UTC.
    pub fn today(&self) -> Date {
        self.now().date()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_standing_clock_moves_only_when_set() {
        let clock = Clock::standing(datetime!(2026-01-01 12:00 UTC));
        let copy = clock.clone();
        assert_eq!(clock.now(), datetime!(2026-01-01 12:00 UTC));
        copy.set(datetime!(2026-02-01 0:00 UTC));
        assert_eq!((clock.today(), clock.passed()), (time::macros::date!(2026 - 02 - 01), Duration::ZERO));
        clock.pass(datetime!(2026-02-02 0:00 UTC));
        assert_eq!((copy.now(), copy.passed()), (datetime!(2026-02-02 0:00 UTC), Duration::DAY));
    }
}
