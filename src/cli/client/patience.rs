//! What a client does where no answer came: it asks again, later and later, as long as the service takes to restart, and
//! not before the moment that the service names.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use super::super::interrupt;
use crate::answer::wire::ProblemBody;

/// The first wait before a request is sent again; each is twice the one before.
const FIRST: Duration = Duration::from_millis(250);

/// The longest of them.
const LONGEST: Duration = Duration::from_mins(1);

/// A client waits no longer than this at once, whatever it is told.
const MOST: Duration = Duration::from_mins(5);

/// Steps in which it waits, so that who is told to end does.
const STEP: Duration = Duration::from_millis(100);

/// No answer came, or one that says to come again.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ComeAgain {
    what: String,
    /// As `Retry-After` says.
    after: Option<Duration>,
    source: Option<ureq::Error>,
}

impl ComeAgain {
    /// The connection failed. What is wrong with a certificate or an address stays wrong.
    pub(super) fn lost(what: String, source: ureq::Error) -> anyhow::Error {
        match &source {
            ureq::Error::BadUri(_) | ureq::Error::Tls(_) | ureq::Error::Pem(_) | ureq::Error::Rustls(_) => {}
            // So a handshake ends that either side refused.
            ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {}
            _ => return Self { what, after: None, source: Some(source) }.into(),
        }
        anyhow::Error::new(source).context(what)
    }

    /// The service says that it failed, and perhaps when to come again.
    pub fn failed(problem: &ProblemBody, after: Option<u64>) -> Self {
        let what = format!("the service failed ({}, {}): {}", problem.status, problem.code, problem.detail);
        Self { what, after: after.map(Duration::from_secs), source: None }
    }

    /// Something before the service failed.
    pub(super) fn silent(status: u16, after: Option<u64>) -> Self {
        let what = format!("the service answered with status {status}");
        Self { what, after: after.map(Duration::from_secs), source: None }
    }
}

/// Does it, and does it again where no answer came, for so long. Only for what may be sent twice: reads, what replaces
/// itself, and what has a key.
///
/// # Errors
/// What the last time came to.
pub fn patiently<T>(patience: Duration, act: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let (since, mut back_off) = (Instant::now(), FIRST);
    loop {
        let again = match act().map_err(anyhow::Error::downcast::<ComeAgain>) {
            Ok(done) => return Ok(done),
            Err(Err(error)) => return Err(error),
            Err(Ok(again)) => again,
        };
        let wait = again.after.unwrap_or_default().min(MOST) + jittered(back_off);
        if since.elapsed() + wait > patience {
            return Err(again.into());
        }
        if wait > Duration::from_secs(5) {
            eprintln!("voorrang: {}; going on in {} s", again.what, wait.as_secs());
        }
        sleep(wait)?;
        back_off = (back_off * 2).min(LONGEST);
    }
}

/// Between half and all of a wait: clients that were cut together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness all of it.
    let _drawn = SystemRandom::new().fill(&mut byte).map_err(|_| byte = [u8::MAX]);
    wait / 2 + wait.mul_f64(f64::from(byte[0]) / f64::from(u8::MAX) / 2.0)
}

fn sleep(wait: Duration) -> anyhow::Result<()> {
    let since = Instant::now();
    while let Some(left) = wait.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
        interrupt::check()?;
        std::thread::sleep(left.min(STEP));
    }
    Ok(())
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

    use crate::cli::client::Refused;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn problem(status: u16) -> ProblemBody {
        let text = format!(r#"{{"status":{status},"code":"c","title":"t","detail":"d","traceId":""}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_lost_answer_is_asked_for_again_and_a_refusal_is_not() {
        let asked = Cell::new(0);
        let act = |fails: u32, error: fn() -> anyhow::Error| {
            asked.set(0);
            patiently(PATIENCE, || {
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
        patiently(PATIENCE, || {
            asked.set(asked.get() + 1);
            if asked.get() > 1 { Ok(()) } else { Err(ComeAgain::failed(&problem(429), Some(2)).into()) }
        })
        .unwrap();
        assert!(started.elapsed() >= Duration::from_secs(2));
    }

    #[test]
    fn patience_is_a_time_and_what_ends_it_is_no_refusal() {
        let (asked, started) = (Cell::new(0), Instant::now());
        let error = patiently(Duration::from_secs(1), || -> anyhow::Result<()> {
            asked.set(asked.get() + 1);
            Err(ComeAgain::failed(&problem(429), None).into())
        });
        assert!(error.unwrap_err().is::<ComeAgain>() && asked.get() > 1);
        assert!(started.elapsed() <= Duration::from_secs(1));
        let waits: Vec<Duration> = (0..64).map(|_| jittered(LONGEST)).collect();
        assert!(waits.iter().all(|wait| (LONGEST / 2..=LONGEST).contains(wait)));
        assert!(waits.iter().any(|wait| wait != &waits[0]));
    }
}
