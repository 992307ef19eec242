//! Kernels side by side: what a sieve takes to read the words of a pair, and codes of the service within a Hamming
//! distance: `cargo bench --bench popcount`.
//!
//! First, and with `-- table` alone, diffused codes beside what the processor can do at most. It leaves the codes in files
//! and names them, so that another tool can be given the same work.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group};
use rustix::time::{ClockId, clock_gettime};
use voorrang::code::Code;
use voorrang::link::join::{Clks, Join, JoinError, Threshold};
use voorrang::link::popcount::{Asked, Hit, Kernel, Pair, Place, Rows, Side, Sieve};

mod roof;

const ROWS: usize = 20_000;
/// Codes that are asked for in the table.
const ASKED: usize = 1024;
const ROUNDS: usize = 7;
/// Least Dice of the table's join: codes of strangers have .5.
const DICE: f64 = 0.6;
/// z about where doubt begins, and how far below it a pair is still looked at.
const DOUBT: f64 = 5.8;
const GLANCE: f64 = 2.33;
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

/// Codes at half weight, pairs a CPU second: those near as the service looks for them, of whom most drop out by five eighths
/// of the words; and all with a Dice of [`DICE`], exactly.
fn table() {
    roof::table();
    let roof = roof::popcounts().map(|(one, _)| one);
    for words in [16, 32] {
        let mut draw = Draw(3);
        let (left, right) = (draw.words(ASKED * words), draw.words(ROWS * words));
        for (side, codes) in [("left", &left), ("right", &right)] {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{side}-{}.json", words * 64));
            let codes: Vec<Code> = codes.chunks(words).map(|words| words.to_vec().into()).collect();
            let json = serde_json::json!({ "clks": codes });
            std::fs::write(&file, json.to_string()).expect("the folder takes files");
            println!("{}", file.display());
        }
        // A popcount takes eight words.
        let most = roof.map(|counts| counts * 1e3 * 8.0 / words as f64);
        let most = most.map_or(String::new(), |most| format!(", {most:.0} if all words are counted one by one"));
        println!("{ASKED} x {ROWS} codes of {} bits, million pairs a CPU second{most}", words * 64);
        println!("kernel     near  Dice from {DICE}");
        let [lefts, rights] = [&left, &right].map(|codes| clks(codes, words));
        for kernel in Kernel::available() {
            let near = rate(|| near(kernel, words, &left, &right));
            let exact = rate(|| joined(kernel, &lefts, &rights));
            println!("{:<9}  {near:>4.0}  {exact:>4.0}", kernel.name());
        }
    }
}

fn near(kernel: Kernel, words: usize, left: &[u64], right: &[u64]) -> usize {
    let read = words * 5 / 8;
    // Kernels take eight words of a row at once.
    let first_words = read.next_multiple_of(8);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for code in right.chunks(words) {
        first.extend_from_slice(&code[..read]);
        first.resize(first.len().next_multiple_of(first_words), 0);
        second.extend_from_slice(&code[read..]);
    }
    let rows = Rows { first: &first, first_words, second: &second, second_words: words - read };
    let place = Place { first: 0, read, second: 0, rest: words - read };
    let limit = |z: f64, words: usize| ((words as f64 * 64.0 - z * (words as f64 * 64.0).sqrt()) / 2.0) as u32;
    let share = read as f64 / words as f64;
    let glance = DOUBT * share.sqrt() - GLANCE * (1.0 - share).sqrt();
    let (limit, near) = (limit(DOUBT, words), limit(glance, read));
    let asked: Vec<Asked<'_>> = left.chunks(words).map(|code| Asked { place, code, near, limit }).collect();
    let mut hits: Vec<Hit> = Vec::new();
    asked.chunks(256).for_each(|asked| kernel.within(black_box(rows), asked, &mut hits));
    hits.len()
}

fn joined(kernel: Kernel, left: &Clks, right: &Clks) -> usize {
    let threshold = Threshold::new(DICE).expect("a threshold");
    let join = Join { left, right, threshold, kernel: Some(kernel), threads: NonZeroUsize::MIN };
    let summary = join.run(|_| -> Result<(), JoinError> { Ok(()) });
    summary.expect("both sides have codes of one length").matches as usize
}

fn clks(codes: &[u64], words: usize) -> Clks {
    let mut clks = Clks::default();
    let bytes = |code: &[u64]| code.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    codes.chunks(words).for_each(|code| clks.push(&bytes(code)).expect("all have one length"));
    clks
}

/// Million pairs a CPU second, the median of some rounds.
fn rate(work: impl Fn() -> usize) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    let round = |_| {
        let started = now();
        black_box(work());
        now() - started
    };
    let mut times: Vec<Duration> = (0..ROUNDS).map(round).collect();
    times.sort_unstable();
    (ASKED * ROWS) as f64 / times[ROUNDS / 2].as_secs_f64() / 1e6
}

criterion_group!(benches, sieves, hamming);

fn main() {
    table();
    if !std::env::args().any(|argument| argument == "table") {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
