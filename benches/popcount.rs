//! Kernels side by side: what a sieve takes to read the words of a pair, and codes of the service within a Hamming
//! distance: `cargo bench --bench popcount`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use voorrang::link::popcount::{Hit, Kernel, Line, Pair, Scan, Side, Sieve};

const ROWS: usize = 20_000;
/// z of 5.2, the band of the built-in profile, at 2,048 bits.
const LIMIT: u32 = 906;

/// splitmix64: codes at half weight, the same in each run.
struct Draw(u64);

impl Draw {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn lines(&mut self, codes: usize) -> Vec<Line> {
        (0..codes * 4).map(|_| Line(std::array::from_fn(|_| self.word()))).collect()
    }
}

fn sieves(criterion: &mut Criterion) {
    let mut draw = Draw(1);
    let (words, queries) = (16, 1024);
    let mut codes = |count: usize| -> Vec<u64> { (0..count * words).map(|_| draw.word()).collect() };
    let (asked, rows) = (codes(queries), codes(ROWS));
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

fn hamming(criterion: &mut Criterion) {
    let mut draw = Draw(2);
    let rows = draw.lines(ROWS);
    for count in [1, 2, 4, 8, 32, 256] {
        let queries = draw.lines(count);
        let limits = vec![LIMIT; count];
        let mut group = criterion.benchmark_group(format!("pairs of {count} and 20,000 codes of 2,048 bits"));
        group.throughput(Throughput::Elements((ROWS * count) as u64)).sample_size(10);
        for kernel in Kernel::available() {
            let scan = Scan { queries: &queries, limits: &limits, rows: &rows, code_lines: 4 };
            let mut hits: Vec<Hit> = Vec::new();
            group.bench_function(kernel.name(), |bencher| {
                bencher.iter(|| {
                    hits.clear();
                    kernel.within(black_box(scan), &mut hits);
                    hits.len()
                });
            });
        }
    }
}

criterion_group!(benches, sieves, hamming);
criterion_main!(benches);
