//! A batch of 10,000 households against a register of 100,000 people (or as many as `VOORRANG_BENCH_PERSONS` says), from
//! the first byte sent to the last result fetched, and what it does to questions for which somebody waits:
//! `cargo bench --bench batch`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use service::Bench;
use voorrang::answer::wire::batches::{BatchBegun, BatchCommit, BatchPlan, BatchView};
use voorrang::answer::wire::{ChunkKept, Question};
use voorrang::audit::Hash;

mod service;

const PERSONS: usize = 100_000;
/// One person in so many is on the care list.
const CARE_EVERY: usize = 1000;
const HOUSEHOLDS: usize = 10_000;
/// One in so many is not in the register.
const UNKNOWN: usize = 10;
/// Between two questions for which somebody waits.
const PAUSE: Duration = Duration::from_millis(5);

/// Lines of a batch, and those of its chunks.
fn chunks(questions: &[&Question], most_bytes: usize) -> Vec<Vec<u8>> {
    let mut chunks = vec![Vec::new()];
    for question in questions {
        let line = serde_json::to_vec(question).expect("plain data have a JSON form");
        if chunks.last().is_some_and(|chunk: &Vec<u8>| chunk.len() + line.len() >= most_bytes) {
            chunks.push(Vec::new());
        }
        let chunk = chunks.last_mut().expect("there is one");
        chunk.extend_from_slice(&line);
        chunk.push(b'\n');
    }
    chunks
}

/// Sends, waits, fetches; how long each took.
fn batch(bench: &Bench, questions: &[&Question]) -> anyhow::Result<[Duration; 3]> {
    let client = &bench.asker;
    let started = Instant::now();
    let plan = BatchPlan {
        header: questions[0].header.clone(),
        purpose: questions[0].purpose.clone(),
        questions: u32::try_from(questions.len())?,
    };
    let begun: BatchBegun = client.post("question-batches", &plan)?;
    let place = format!("question-batches/{}", begun.batch);
    let chunks = chunks(questions, begun.chunk_bytes);
    for (number, chunk) in chunks.iter().enumerate() {
        let sum: [u8; 32] = digest(&SHA256, chunk).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let _kept: ChunkKept = client.put_lines(&format!("{place}/chunks/{number}"), chunk, &Hash::from(sum))?;
    }
    let commit = BatchCommit { chunks: u32::try_from(chunks.len())? };
    let mut view: BatchView = client.post(&format!("{place}/commit"), &commit)?;
    let sent = started.elapsed();
    while view.state == "answering" {
        std::thread::sleep(Duration::from_millis(20));
        view = client.get(&place)?;
    }
    let answered = started.elapsed();
    anyhow::ensure!(
        view.answered as usize == questions.len(),
        "{} of {} were answered",
        view.answered,
        questions.len()
    );
    let mut fetched = 0;
    while fetched < questions.len() {
        fetched += client.get_text(&format!("{place}/results?from={fetched}"))?.lines().count();
    }
    Ok([sent, answered - sent, started.elapsed() - answered])
}

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
    let [sent, answered, fetched] = batch(&bench, &questions)?.map(|time| time.as_secs_f64());
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
        let beside = batch(&bench, &questions).map(|times| times.iter().sum::<Duration>());
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
