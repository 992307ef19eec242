//! What this processor can do at most: popcounts in registers, and bytes from each of its memories.

use std::hint::black_box;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_mm512_loadu_epi64, _mm512_or_si512, _mm512_reduce_or_epi64, _mm512_set1_epi64};

pub use registers::popcounts;
use registers::timed;

mod registers;

/// Popcounts of 512 bits, and loads of 512 bits from buffers of these many bytes, thousand million a second.
pub fn table() {
    let Some((one, two)) = popcounts() else { return println!("no AVX-512 VPOPCNTDQ: no roof is measured") };
    println!(
        "roof of one core: {one:.2} thousand million popcounts of 512 bits a second; of two threads {two:.2} times that"
    );
    for (place, bytes) in [("L1", 24 << 10), ("L2", 512 << 10), ("memory", 512 << 20)] {
        println!("  read from {place}: {:.0} GB/s", loads(bytes).unwrap_or_default());
    }
}

/// A line of the cache: a load across two would count twice.
#[derive(Clone)]
#[repr(C, align(64))]
struct Line([u64; 8]);

fn loads(bytes: usize) -> Option<f64> {
    let buffer = vec![Line([1; 8]); bytes / 64];
    let passes = ((1 << 30) / bytes).max(2);
    let best = (0..5)
        .map(|_| timed(|| (0..passes).try_fold(0, |all, _| Some(all | read(black_box(&buffer))?))))
        .collect::<Option<Vec<_>>>()?;
    Some((passes * bytes) as f64 / best.into_iter().min()?.as_secs_f64() / 1e9)
}

#[cfg(target_arch = "x86_64")]
fn read(buffer: &[Line]) -> Option<u64> {
    #[target_feature(enable = "avx512f")]
    fn all(buffer: &[Line]) -> u64 {
        let mut sums = [_mm512_set1_epi64(0); 8];
        for lines in buffer.as_chunks::<8>().0 {
            for (sum, line) in sums.iter_mut().zip(lines) {
                // SAFETY: eight words are 512 bits.
                *sum = _mm512_or_si512(*sum, unsafe { _mm512_loadu_epi64(line.0.as_ptr().cast()) });
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_or_epi64(sum) as u64).fold(0, |all, sum| all | sum)
    }
    // SAFETY: the processor has it.
    is_x86_feature_detected!("avx512f").then(|| unsafe { all(buffer) })
}

#[cfg(not(target_arch = "x86_64"))]
fn read(_: &[Line]) -> Option<u64> {
    None
}
