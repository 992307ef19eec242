//! The exact join of two files of CLKs, a row a kernel and a threshold: `cargo bench --bench join [-- LEFT RIGHT]`,
//! 2,000 by 200,000 invented Dutch people if no numbers are given.
//!
//! It leaves both files beside its other results and names them, so that another tool can be given the same work. All
//! figures but those of two threads are CPU time of one thread, medians of rounds in which the kernels take turns.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use voorrang::link::join::{Clks, Join, JoinError, Summary, Threshold};
use voorrang::link::popcount::Kernel;

mod clks;

const ROUNDS: usize = 7;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let [left, right] = numbers[..] else { return compare(2_000, 200_000) };
    compare(left, right);
}

fn compare(left: usize, right: usize) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let files = clks::files(left, right);
    for (name, json) in ["left.json", "right.json"].iter().zip(&files) {
        std::fs::write(folder.join(name), json).expect("the folder takes files");
        println!("{}", folder.join(name).display());
    }
    let [left, right] = files.map(|json| clks::parse(&json));
    println!("{} x {} CLKs of {} bits", left.len(), right.len(), left.bits());
    for threshold in [0.8, 0.85, 0.9] {
        table(&left, &right, threshold);
    }
    two_threads(&left, &right);
}

fn join<'a>(left: &'a Clks, right: &'a Clks, value: f64, kernel: Kernel, threads: usize) -> Join<'a> {
    let threshold = Threshold::new(value).expect("a threshold");
    Join { left, right, threshold, kernel: Some(kernel), threads: NonZeroUsize::new(threads).expect("a thread") }
}

fn run(join: Join<'_>) -> Summary {
    join.run(|_| -> Result<(), JoinError> { Ok(()) }).expect("both files have CLKs of one length")
}

fn table(left: &Clks, right: &Clks, threshold: f64) {
    println!("\nthreshold {threshold}\nkernel     words  matches  CPU s  pairs/CPU s");
    let kernels = Kernel::available();
    let mut times = vec![Vec::new(); kernels.len()];
    let mut summaries = Vec::new();
    for round in 0..ROUNDS {
        for (kernel, times) in kernels.iter().zip(&mut times) {
            let start = cpu_time();
            let summary = run(join(left, right, threshold, *kernel, 1));
            times.push(cpu_time() - start);
            if round == 0 {
                summaries.push(summary);
            }
        }
    }
    for (summary, mut times) in summaries.into_iter().zip(times) {
        times.sort_unstable();
        let seconds = times[ROUNDS / 2].as_secs_f64();
        let Summary { pairs, matches, kernel, words_read } = summary;
        let rate = pairs as f64 / seconds / 1e9;
        println!("{:<9}  {words_read:>5}  {matches:>7}  {seconds:.4}  {rate:.3} thousand million", kernel.name());
    }
}

/// Wall time, for that is what a second thread is for.
fn two_threads(left: &Clks, right: &Clks) {
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let [one, two] = [1, 2].map(|threads| {
            let start = Instant::now();
            run(join(left, right, 0.8, Kernel::best(), threads));
            start.elapsed().as_secs_f64()
        });
        ratios.push(one / two);
    }
    ratios.sort_by(f64::total_cmp);
    println!("\ntwo threads against one, wall time: {:.2} times as fast", ratios[ROUNDS / 2]);
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
