//! What time it is: the system's in service, a settable one in tests and demonstrations.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use time::{Date, OffsetDateTime};

/// A clock that can be handed around. Regulations, freshness and the access log read no other.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The operating system's.
    System,
    /// A day of its own that runs on from the moment it was set: for data sets that were drawn on a fixed day.
    Since { start: OffsetDateTime, set: Instant },
    /// Stands still until it is set; seconds since 1970.
    Standing(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that shows `start` now and runs on.
    pub fn since(start: OffsetDateTime) -> Self {
        Self::Since { start, set: Instant::now() }
    }

    /// A clock that stands at `time` until [`Clock::set`].
    pub fn standing(time: OffsetDateTime) -> Self {
        Self::Standing(Arc::new(AtomicI64::new(time.unix_timestamp())))
    }

    /// Sets a standing clock; any other clock stays as it is.
    pub fn set(&self, time: OffsetDateTime) {
        if let Self::Standing(seconds) = self {
            seconds.store(time.unix_timestamp(), Ordering::SeqCst);
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
            Self::Standing(seconds) => OffsetDateTime::from_unix_timestamp(seconds.load(Ordering::SeqCst))
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
        assert_eq!(clock.today(), time::macros::date!(2026 - 02 - 01));
    }
}
