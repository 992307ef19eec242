//! What a client does where no answer came: it asks again, later and later, as long as the service takes to restart, and
//! not before the moment that the service names.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::Refused;
use crate::answer::wire::ProblemBody;

/// Waits before a request is sent again: a service that restarts is back within them.
const BACK_OFF_MS: [u64; 6] = [250, 500, 1000, 2000, 4000, 8000];

/// A client waits no longer than this, whatever it is told.
const MOST: Duration = Duration::from_mins(5);

/// No answer came, or one that says to come again.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ComeAgain {
    what: String,
    /// As `Retry-After` says.
    after: Option<Duration>,
    /// What to report if it never becomes better: a refusal.
    problem: Option<ProblemBody>,
    source: Option<ureq::Error>,
}

impl ComeAgain {
    /// The connection failed.
    pub(super) fn lost(what: String, source: ureq::Error) -> Self {
        Self { what, after: None, problem: None, source: Some(source) }
    }

    /// The service says that it failed, and perhaps when to come again.
    pub fn failed(problem: &ProblemBody, after: Option<u64>) -> Self {
        let what = format!("the service failed ({}, {}): {}", problem.status, problem.code, problem.detail);
        Self { what, after: after.map(Duration::from_secs), problem: None, source: None }
    }

    /// The service is asked too much.
    pub(super) fn refused(problem: ProblemBody, after: Option<u64>) -> Self {
        Self { problem: Some(problem.clone()), ..Self::failed(&problem, after) }
    }

    /// Something before the service failed.
    pub(super) fn silent(status: u16, after: Option<u64>) -> Self {
        let what = format!("the service answered with status {status}");
        Self { what, after: after.map(Duration::from_secs), problem: None, source: None }
    }
}

/// Does it, and does it again where no answer came. Only for what may be sent twice: reads, what replaces itself, and
/// what has a key.
///
/// # Errors
/// What the last time came to.
pub fn patiently<T>(act: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for wait_ms in BACK_OFF_MS {
        match act().map_err(anyhow::Error::downcast::<ComeAgain>) {
            Ok(done) => return Ok(done),
            Err(Err(error)) => return Err(error),
            Err(Ok(again)) => {
                let wait = again.after.unwrap_or_default().max(Duration::from_millis(wait_ms)).min(MOST);
                if wait > Duration::from_secs(5) {
                    eprintln!("voorrang: {}; going on in {} s", again.what, wait.as_secs());
                }
                std::thread::sleep(wait);
            }
        }
    }
    act().map_err(|error| match error.downcast::<ComeAgain>() {
        Ok(ComeAgain { problem: Some(problem), .. }) => Refused(problem).into(),
        Ok(again) => again.into(),
        Err(error) => error,
    })
}

/// A key for one write, under which it may be sent again.
///
/// # Panics
/// If the operating system has no randomness: nothing safe can be done then.
pub fn fresh_key() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system's random generator answers");
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Instant;

    fn problem(status: u16) -> ProblemBody {
        let text = format!(r#"{{"status":{status},"code":"c","title":"t","detail":"d","traceId":""}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_lost_answer_is_asked_for_again_and_a_refusal_is_not() {
        let asked = Cell::new(0);
        let act = |fails: u32, error: fn() -> anyhow::Error| {
            asked.set(0);
            patiently(|| {
                asked.set(asked.get() + 1);
                if asked.get() > fails { Ok(asked.get()) } else { Err(error()) }
            })
        };
        assert_eq!(act(2, || ComeAgain::silent(502, None).into()).unwrap(), 3);
        assert!(act(1, || Refused(problem(403)).into()).is_err());
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn a_client_comes_back_when_it_is_told_to_and_not_before() {
        let (asked, started) = (Cell::new(0), Instant::now());
        patiently(|| {
            asked.set(asked.get() + 1);
            if asked.get() > 1 { Ok(()) } else { Err(ComeAgain::refused(problem(429), Some(2)).into()) }
        })
        .unwrap();
        assert!(started.elapsed() >= Duration::from_secs(2));
    }
}
