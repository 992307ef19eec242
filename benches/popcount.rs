//! Kernels side by side: what a sieve takes to read the words of a pair, and codes of the service within a Hamming
//! distance: `cargo bench --bench popcount`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use voorrang::link::popcount::{Asked, Hit, Kernel, Pair, Place, Rows, Side, Sieve};

const ROWS: usize = 20_000;
/// z of 5.8, about where doubt begins among 100,000 people with the built-in profile, at 1,024 bits; and what half of
/// them take for it.
const LIMIT: u32 = 419;
const NEAR: u32 = 228;

/// splitmix64: codes at half weight, the same in each run.
struct Draw(u64);

impl Draw {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn words(&mut self, words: usize) -> Vec<u64> {
        (0..words).map(|_| self.word()).collect()
    }
}

fn sieves(criterion: &mut Criterion) {
    let mut draw = Draw(1);
    let (words, queries) = (16, 1024);
    let (asked, rows) = (draw.words(queries * words), draw.words(ROWS * words));
    // A pair needs more than it can have: only reading is measured.
    let (need, rest) = (vec![words as i32 * 64; ROWS], vec![0; ROWS]);
    let asked = Side { words, codes: &asked, need: &need[..queries], rest: &rest[..queries] };
    let rows = Side { words, codes: &rows, need: &need, rest: &rest };
    for read in [6, 8, 10, 16] {
        let mut group = criterion.benchmark_group(format!("pairs of 1,024 and 20,000 codes, {read} words"));
        group.throughput(Throughput::Elements((ROWS * queries) as u64)).sample_size(10);
        for kernel in Kernel::available() {
            let mut pairs: Vec<Pair> = Vec::new();
            group.bench_function(kernel.name(), |bencher| {
                bencher.iter(|| {
                    Sieve::new(kernel, asked, read).sift(black_box(rows), &mut pairs);
                });
            });
            assert!(pairs.is_empty());
        }
    }
}

/// Codes of 1,024 bits of which half is read of everybody, as a question holds them against a register.
fn hamming(criterion: &mut Criterion) {
    const WORDS: usize = 8;
    let mut draw = Draw(2);
    let (first, second) = (draw.words(ROWS * WORDS), draw.words(ROWS * WORDS));
    let rows = Rows { first: &first, first_words: WORDS, second: &second, second_words: WORDS };
    let place = Place { first: 0, read: WORDS, second: 0, rest: WORDS };
    for count in [1, 2, 4, 8, 32, 256] {
        let codes = draw.words(count * 2 * WORDS);
        let asked: Vec<Asked<'_>> =
            codes.chunks(2 * WORDS).map(|code| Asked { place, code, near: NEAR, limit: LIMIT }).collect();
        let mut group = criterion.benchmark_group(format!("pairs of {count} and 20,000 codes of 1,024 bits"));
        group.throughput(Throughput::Elements((ROWS * count) as u64)).sample_size(10);
        for kernel in Kernel::available() {
            let mut hits: Vec<Hit> = Vec::new();
            group.bench_function(kernel.name(), |bencher| {
                bencher.iter(|| {
                    hits.clear();
                    kernel.within(black_box(rows), &asked, &mut hits);
                    hits.len()
                });
            });
        }
    }
}

criterion_group!(benches, sieves, hamming);
criterion_main!(benches);
