//! Kernels for x86-64: the POPCNT instruction, and AVX-512 with VPOPCNTDQ. The only `unsafe` of this crate.
//!
//! A value of [`Popcnt`] or [`Avx512`] is the proof that the CPU has the feature: only `detect` makes one.

use std::arch::x86_64::{
    _mm512_add_epi64, _mm512_load_si512, _mm512_popcnt_epi64, _mm512_reduce_add_epi64, _mm512_setzero_si512,
    _mm512_xor_si512,
};

use super::{Hit, Line, Scan};

/// Proof that this CPU has POPCNT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Popcnt(());

impl Popcnt {
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("popcnt").then_some(Self(()))
    }

    pub fn within(self, scan: Scan<'_>, hits: &mut Vec<Hit>) {
        // SAFETY: `self` exists only where POPCNT was detected, and that is all that the function asks for.
        unsafe { within_popcnt(scan, hits) }
    }
}

/// Proof that this CPU has AVX-512F and VPOPCNTDQ, and that the operating system keeps their registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx512(());

impl Avx512 {
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq")).then_some(Self(()))
    }

    pub fn within(self, scan: Scan<'_>, hits: &mut Vec<Hit>) {
        // SAFETY: `self` exists only where both features were detected, and that is all that the function asks for.
        unsafe { within_avx512(scan, hits) }
    }
}

#[target_feature(enable = "popcnt")]
fn within_popcnt(scan: Scan<'_>, hits: &mut Vec<Hit>) {
    for (row, code) in scan.rows.chunks_exact(scan.code_lines).enumerate() {
        for (query, asked) in scan.queries.chunks_exact(scan.code_lines).enumerate() {
            let distance = distance_popcnt(asked, code);
            if distance <= scan.limits[query] {
                hits.push(Hit { query, row, distance });
            }
        }
    }
}

#[inline]
#[target_feature(enable = "popcnt")]
fn distance_popcnt(a: &[Line], b: &[Line]) -> u32 {
    let mut sum = 0;
    for (Line(a), Line(b)) in a.iter().zip(b) {
        for word in 0..8 {
            sum += (a[word] ^ b[word]).count_ones();
        }
    }
    sum
}

#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn within_avx512(scan: Scan<'_>, hits: &mut Vec<Hit>) {
    for (row, code) in scan.rows.chunks_exact(scan.code_lines).enumerate() {
        for (query, asked) in scan.queries.chunks_exact(scan.code_lines).enumerate() {
            let distance = distance_avx512(asked, code);
            if distance <= scan.limits[query] {
                hits.push(Hit { query, row, distance });
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn distance_avx512(a: &[Line], b: &[Line]) -> u32 {
    let mut sum = _mm512_setzero_si512();
    for (a, b) in a.iter().zip(b) {
        // SAFETY: a `Line` is 64 readable bytes, aligned to 64 as this load wants.
        let (a, b) = unsafe { (_mm512_load_si512((&raw const *a).cast()), _mm512_load_si512((&raw const *b).cast())) };
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(a, b)));
    }
    // A code has at most 65,536 bits.
    _mm512_reduce_add_epi64(sum) as u32
}
