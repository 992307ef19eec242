//! Popcounts in registers: what no search can exceed, and what a second thread is good for on this machine.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_mm512_popcnt_epi64, _mm512_reduce_or_epi64, _mm512_set1_epi64};

/// Independent chains: more than a popcount's latency times its throughput.
const CHAINS: usize = 12;
const ROUNDS: usize = 1 << 22;

/// Of 512 bits, thousand million a second of one thread, and how many times that two threads reach; the best of some rounds.
pub fn popcounts() -> Option<(f64, f64)> {
    let both = || {
        thread::scope(|scope| {
            let other = scope.spawn(counted);
            counted()?;
            other.join().ok().flatten()
        })
    };
    let best =
        |work: &dyn Fn() -> Option<u64>| (0..5).map(|_| timed(work)).collect::<Option<Vec<_>>>()?.into_iter().min();
    let (one, two) = (best(&counted)?.as_secs_f64(), best(&both)?.as_secs_f64());
    Some(((CHAINS * ROUNDS) as f64 / one / 1e9, 2.0 * one / two))
}

pub fn timed(work: impl Fn() -> Option<u64>) -> Option<Duration> {
    let started = Instant::now();
    black_box(work()?);
    Some(started.elapsed())
}

#[cfg(target_arch = "x86_64")]
fn counted() -> Option<u64> {
    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn count() -> u64 {
        let mut chains = [_mm512_set1_epi64(black_box(-1)); CHAINS];
        for _ in 0..ROUNDS {
            chains.iter_mut().for_each(|chain| *chain = _mm512_popcnt_epi64(*chain));
        }
        chains.into_iter().map(|chain| _mm512_reduce_or_epi64(chain) as u64).sum()
    }
    let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq");
    // SAFETY: the processor has both.
    has.then(|| unsafe { count() })
}

#[cfg(not(target_arch = "x86_64"))]
fn counted() -> Option<u64> {
    None
}
