//! Kernels for x86-64: the POPCNT instruction, AVX2, AVX-512 with VPOPCNTDQ, and AMX with 8-bit integers. This folder
//! and `neon` have the only `unsafe` of this crate.
//!
//! A value of [`Popcnt`], [`Avx2`], [`Avx512`] or [`Amx`] is the proof that the CPU has the features: only `detect`
//! makes one.

mod amx;
mod avx2;
mod avx512;
mod popcnt;
mod turned;

pub(super) use amx::{Amx, Tiles};
pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;
pub(super) use popcnt::Popcnt;

use super::sieve::Side;

/// 512 bits, one cache line, and aligned like one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// Half words of 16 rows, or 16 numbers that belong to them.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Lanes([u32; 16]);

/// Need of a lane without a row: nothing reaches it, and no sum with it overflows.
const NOBODY: i32 = 1 << 29;

/// Sixteen rows side by side: their first words in halves, and what belongs to them.
struct Panel {
    halves: Vec<Lanes>,
    need: Lanes,
    rest: Lanes,
}

impl Panel {
    fn new(read: usize) -> Self {
        Self { halves: vec![Lanes([0; 16]); 2 * read], need: Lanes([0; 16]), rest: Lanes([0; 16]) }
    }

    /// Takes the rows from `first` on. Lanes that are left over keep old codes and need too much.
    fn fill(&mut self, rows: Side<'_>, first: usize) {
        let read = self.halves.len() / 2;
        self.need = Lanes([NOBODY as u32; 16]);
        for (lane, row) in (first..rows.len().min(first + 16)).enumerate() {
            let code = &rows.codes[row * rows.words..][..read];
            for (halves, word) in self.halves.as_chunks_mut::<2>().0.iter_mut().zip(code) {
                halves[0].0[lane] = *word as u32;
                halves[1].0[lane] = (*word >> 32) as u32;
            }
            self.need.0[lane] = rows.need[row] as u32;
            self.rest.0[lane] = rows.rest[row] as u32;
        }
    }
}
