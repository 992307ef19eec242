//! The exact join of two files of CLKs, a row a kernel and a threshold: `cargo bench --bench join [-- LEFT RIGHT]`,
//! 2,000 by 200,000 invented Dutch people if no numbers are given.
//!
//! It leaves both files beside its other results and names them, so that another tool can be given the same work. All
//! figures but those of two threads are CPU time of one thread, medians of rounds in which the kernels take turns.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use voorrang::link::join::{Clks, Join, JoinError, Lsh, Match, Progress, Summary, Threshold, suggest};
use voorrang::link::popcount::Kernel;

mod clks;
#[path = "roof/registers.rs"]
mod registers;

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
    blocking(&left, &right);
    estimate(&left, &right);
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
        let Summary { pairs, matches, kernel, words_read, .. } = summary;
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
    println!("\ntwo threads against one, wall time: {:.2} times as fast", median(ratios));
    println!("what the machine gives two at most:");
    // Joins of their own, which share nothing.
    let apart = |_| {
        let started = Instant::now();
        run(join(left, right, 0.8, Kernel::best(), 1));
        let one = started.elapsed();
        let started = Instant::now();
        std::thread::scope(|scope| {
            (0..2).for_each(|_| drop(scope.spawn(|| run(join(left, right, 0.8, Kernel::best(), 1)))));
        });
        2.0 * one.as_secs_f64() / started.elapsed().as_secs_f64()
    };
    println!("  two joins at once against one: {:.2}", median((0..ROUNDS).map(apart).collect()));
    if let Some((_, ratio)) = registers::popcounts() {
        println!("  popcounts in registers alone: {ratio:.2}");
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// What sampled bits find of what there is. Wall time of one thread, the best of some rounds.
fn blocking(left: &Clks, right: &Clks) {
    println!("\napproximate: bit sampling\nthreshold  tables x bits  recall  compared of all pairs  ms     exact ms");
    for value in [0.8, 0.85, 0.9] {
        let exact = join(left, right, value, Kernel::best_for(left.len()), 1);
        let (all, exact_time) = best_of_rounds(|| run(exact));
        for (tables, bits) in [(20, 20), (40, 20), (40, 24), (80, 24)] {
            let sampled = || exact.run_lsh(Lsh { tables, bits }, |_| -> Result<(), JoinError> { Ok(()) });
            let (some, time) = best_of_rounds(|| sampled().expect("both files have CLKs of one length"));
            let (recall, compared) = (share(some.matches, all.matches), share(some.compared, some.pairs));
            println!(
                "{value:<9}  {tables:>6} x {bits:<4}  {recall:.4}  {compared:>21.2e}  {time:<5.0}  {exact_time:.0}"
            );
        }
    }
}

/// What `--suggest-threshold` says beside the truth: every other left person is the right one of the same position.
fn estimate(left: &Clks, right: &Clks) {
    let threads = NonZeroUsize::MIN;
    let (estimate, time) =
        best_of_rounds(|| suggest(left, right, threads).expect("both files have CLKs of one length"));
    let Some(visible) = estimate.visible_from else { return println!("no match stands out") };
    let mut found: Vec<Match> = Vec::new();
    let from_visible = join(left, right, visible, Kernel::best_for(left.len()), 1).run(|progress| {
        if let Progress::Matches(some) = progress {
            found.extend(some);
        }
        Ok::<(), JoinError>(())
    });
    from_visible.expect("both files have CLKs of one length");
    let people = left.len().div_ceil(2).min(right.len());
    println!(
        "\nestimated without truth in {time:.0} ms, likeness {:.3}; recall is of matches from {visible}",
        estimate.likeness
    );
    println!("threshold  precision  true   recall  true   true of all {people}");
    for row in estimate.rows.iter().filter(|row| row.threshold >= visible) {
        let reached = |found: &&Match| found.dice >= row.threshold;
        let is_true = |found: &&Match| found.left == found.right && found.left.is_multiple_of(2);
        let right_ones = found.iter().filter(reached).filter(is_true).count() as u64;
        let precision = share(right_ones, found.iter().filter(reached).count() as u64);
        let recall = share(right_ones, found.iter().filter(is_true).count() as u64);
        println!(
            "{:<9.2}  {:>9.3}  {precision:.3}  {:>6.3}  {recall:.3}  {:.3}",
            row.threshold,
            row.precision,
            row.recall,
            share(right_ones, people as u64)
        );
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// What was done, and the fewest milliseconds that it took.
fn best_of_rounds<T>(work: impl Fn() -> T) -> (T, f64) {
    let mut best = f64::INFINITY;
    let mut round = || {
        let start = Instant::now();
        let done = work();
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
        done
    };
    let done = round();
    for _ in 1..3 {
        round();
    }
    (done, best)
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
