//! Connections whose handshake is not over: how many of them one address may have, at once and a second, and how long
//! each may take. They belong to nobody yet, so no party's limits hold for them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// A client that is silent in the handshake is cut off, sooner where many are.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
const HASTE: Duration = Duration::from_secs(1);

/// Handshakes under way from which on there is haste.
const MANY: usize = 128;

/// Of one address at once; of IPv6, of one network of 64 bits.
const EACH: usize = 1024;

/// Of one address a second, and at once after a pause: as many as a party may have connections, twice. Each costs half
/// a millisecond of a core, whoever begins it.
const RATE: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
const BURST: NonZeroU32 = NonZeroU32::new(2048).expect("not zero");
/// Addresses that are remembered before those are forgotten who have their whole share.
const REMEMBERED: usize = 4096;

/// An address has too many handshakes under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many handshakes come from this address")]
pub(super) struct Crowded;

/// Handshakes under way, by address, and how fast they come.
#[derive(Debug)]
pub(super) struct Handshakes(Mutex<HashMap<IpAddr, usize>>, DefaultKeyedRateLimiter<IpAddr>);

impl Default for Handshakes {
    fn default() -> Self {
        Self(Mutex::default(), RateLimiter::keyed(Quota::per_second(RATE).allow_burst(BURST)))
    }
}

/// One that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    all: Arc<Handshakes>,
    from: IpAddr,
    /// How long it may take.
    pub(super) patience: Duration,
}

impl Handshakes {
    /// # Errors
    /// [`Crowded`]: it is not to be begun.
    pub(super) fn begin(self: &Arc<Self>, address: IpAddr) -> Result<UnderWay, Crowded> {
        let from = network(address);
        if self.1.check_key(&from).is_err() {
            return Err(Crowded);
        }
        if self.1.len() > REMEMBERED {
            self.1.retain_recent();
        }
        let mut each = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = each.values().sum();
        let own = each.entry(from).or_default();
        if *own >= EACH {
            return Err(Crowded);
        }
        *own += 1;
        let patience = if all < MANY { PATIENCE } else { HASTE };
        Ok(UnderWay { all: self.clone(), from, patience })
    }

    /// How many are under way, of all addresses.
    pub(super) fn under_way(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut each = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = each.get_mut(&self.from).map_or(0, |own| {
            *own -= 1;
            *own
        });
        if left == 0 {
            each.remove(&self.from);
        }
    }
}

/// What one site has: an address of IPv4, or all of a network of IPv6, where addresses cost nothing.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() >> 64 << 64).into()),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_at_once_and_others_have_their_own() {
        let all = Arc::new(Handshakes::default());
        let mut begun: Vec<_> = (0..EACH).map(|_| all.begin(address("192.0.2.1")).unwrap()).collect();
        assert_eq!(all.begin(address("::ffff:192.0.2.1")).unwrap_err(), Crowded);
        assert!(all.begin(address("192.0.2.2")).is_ok());
        begun.pop();
        assert!(all.begin(address("192.0.2.1")).is_ok());
        drop(begun);
        assert!(all.0.lock().unwrap().is_empty(), "nobody is remembered");
    }

    #[test]
    fn an_address_begins_so_many_a_second_though_each_ends_at_once() {
        let all = Arc::new(Handshakes::default());
        let begun = |from: &str, times: u32| (0..times).filter(|_| all.begin(address(from)).is_ok()).count() as u32;
        let own = begun("192.0.2.1", 3 * BURST.get());
        assert!((BURST.get()..2 * BURST.get()).contains(&own), "{own}");
        assert_eq!(begun("192.0.2.2", 10), 10, "another address");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let all = Arc::new(Handshakes::default());
        let _begun: Vec<_> = (0..EACH).map(|n| all.begin(address(&format!("2001:db8:1:2::{n:x}"))).unwrap()).collect();
        assert_eq!(all.begin(address("2001:db8:1:2:ffff::1")).unwrap_err(), Crowded);
        assert!(all.begin(address("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn where_many_are_under_way_each_gets_less_time() {
        let all = Arc::new(Handshakes::default());
        let begun: Vec<_> = (0..=MANY).map(|_| all.begin(address("192.0.2.1")).unwrap()).collect();
        assert_eq!((begun[0].patience, begun[MANY].patience), (PATIENCE, HASTE));
        drop(begun);
        assert_eq!(all.begin(address("192.0.2.1")).unwrap().patience, PATIENCE);
    }
}
