//! How much strangers may ask, who have no party's share: so much of one address a second, and so much of all.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::ResponseError;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::web::Data;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::time::{Instant, sleep};

use super::handshakes::network;
use super::limits::Excess;
use super::problem::trace_of;

/// Requests a second: a reader's browser fetches a dozen files for a page.
const EACH: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
const ALL: NonZeroU32 = NonZeroU32::new(400).expect("not zero");
/// Of the rates, in seconds: what may come at once after a pause.
const BURST: NonZeroU32 = NonZeroU32::new(2).expect("not zero");
/// A request that is a little too early waits this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Addresses that are remembered before those are forgotten who have their whole share.
const REMEMBERED: usize = 4096;

/// The requests of all strangers.
pub(super) struct Strangers {
    all: DefaultDirectRateLimiter,
    each: DefaultKeyedRateLimiter<IpAddr>,
}

impl Default for Strangers {
    fn default() -> Self {
        let quota = |rate: NonZeroU32| Quota::per_second(rate).allow_burst(rate.saturating_mul(BURST));
        Self { all: RateLimiter::direct(quota(ALL)), each: RateLimiter::keyed(quota(EACH)) }
    }
}

impl Strangers {
    /// Whether one more may come now, or how long it is until then.
    fn check(&self, from: IpAddr) -> Result<(), Duration> {
        let now = DefaultClock::default().now();
        let from = network(from);
        self.each.check_key(&from).map_err(|not_yet| not_yet.wait_time_from(now))?;
        if self.each.len() > REMEMBERED {
            self.each.retain_recent();
        }
        self.all.check().map_err(|not_yet| not_yet.wait_time_from(now))
    }

    /// # Errors
    /// After a second: it is too much.
    async fn enter(&self, from: IpAddr) -> Result<(), Excess> {
        let until = Instant::now() + PATIENCE;
        while let Err(wait) = self.check(from) {
            if Instant::now() + wait > until {
                // Whoever does not wait by itself is made to.
                sleep(until.saturating_duration_since(Instant::now())).await;
                return Err(Excess::Requests);
            }
            sleep(wait).await;
        }
        Ok(())
    }
}

/// Lets through what is not too much.
pub(super) async fn paced(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let strangers = request.app_data::<Data<Strangers>>().cloned().expect("whoever paces has a pace");
    let from = request.peer_addr().map_or(IpAddr::from([0; 4]), |peer| peer.ip());
    let Err(excess) = strangers.enter(from).await else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let (problem, seconds) = excess.problem();
    let mut refusal = problem.traced(trace_of(request.request())).error_response();
    if let Some(seconds) = seconds {
        refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    refusal.head_mut().set_connection_type(ConnectionType::Close);
    Ok(request.into_response(refusal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_all_have_theirs() {
        let strangers = Strangers::default();
        let asked =
            |address: [u8; 4], times: u32| (0..times).filter(|_| strangers.check(address.into()).is_ok()).count();
        let own = asked([192, 0, 2, 1], 1000);
        assert!((200..=250).contains(&own), "{own}");
        assert!(asked([192, 0, 2, 2], 10) == 10, "another address");
        let rest: usize = (3..=60).map(|last| asked([192, 0, 2, last], 100)).sum();
        assert!(own + rest < 1200, "{rest}");
    }

    #[test]
    fn addresses_are_forgotten_who_have_their_whole_share() {
        let strangers = Strangers::default();
        let quota = Quota::per_second(EACH);
        let all = Strangers { each: RateLimiter::keyed(quota), ..strangers };
        for number in 0..3 * REMEMBERED as u32 {
            let _ = all.check(IpAddr::from(number.to_be_bytes()));
            if number % 1000 == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        assert!(all.each.len() <= REMEMBERED + 1100, "{}", all.each.len());
    }
}
