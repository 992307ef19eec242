//! A batch of 10,000 households against a register of 100,000 people (or as many as `VOORRANG_BENCH_PERSONS` says), from
//! the first byte sent to the last result fetched, and what it does to questions for which somebody waits:
//! `cargo bench --bench batch`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sending::batch;
use service::Bench;
use voorrang::answer::wire::Question;

#[path = "service/sending.rs"]
mod sending;
mod service;

const PERSONS: usize = 100_000;
/// One person in so many is on the care list.
const CARE_EVERY: usize = 1000;
const HOUSEHOLDS: usize = 10_000;
/// One in so many is not in the register.
const UNKNOWN: usize = 10;
/// Between two questions for which somebody waits.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks one question after the other until told to stop; how long each took.
fn singles(bench: &Bench, stop: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    for question in bench.at_home.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let started = Instant::now();
        drop(bench.ask(question));
        times.push(started.elapsed());
        std::thread::sleep(PAUSE);
    }
    times
}

fn show(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{name:<40} n {:>5}  p50 {:>6.2} ms  p99 {:>6.2} ms", times.len(), at(0.5), at(0.99));
}

fn main() -> anyhow::Result<()> {
    let (bench, ..) = Bench::set_up(PERSONS, CARE_EVERY)?;
    let pick = |at: usize| {
        let from = if at.is_multiple_of(UNKNOWN) { &bench.unknown } else { &bench.at_home };
        &from[at % from.len()]
    };
    let questions: Vec<&Question> = (0..HOUSEHOLDS).map(pick).collect();
    let [sent, answered, fetched] = batch(&bench.asker, &questions)?.map(|time| time.as_secs_f64());
    let all = sent + answered + fetched;
    println!("{HOUSEHOLDS} households, one in {UNKNOWN} unknown, {all:.2} s in all:");
    println!("  sent in {sent:.2} s, answered in {answered:.2} s, fetched in {fetched:.2} s");
    let stop = AtomicBool::new(false);
    let mut quiet = std::thread::scope(|scope| {
        let asking = scope.spawn(|| singles(&bench, &stop));
        std::thread::sleep(Duration::from_secs_f64(all));
        stop.store(true, Ordering::Relaxed);
        asking.join().expect("it does not panic")
    });
    stop.store(false, Ordering::Relaxed);
    let (mut busy, beside) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| singles(&bench, &stop));
        let beside = batch(&bench.asker, &questions).map(|times| times.iter().sum::<Duration>());
        stop.store(true, Ordering::Relaxed);
        (asking.join().expect("it does not panic"), beside)
    });
    show("a question, alone", &mut quiet);
    show("a question beside a batch", &mut busy);
    println!("the batch beside questions: {:.2} s", beside?.as_secs_f64());
    bench.service.stop()?;
    anyhow::ensure!(all <= 5.0, "a batch of {HOUSEHOLDS} took {all:.2} s; 5 is the most");
    Ok(())
}
