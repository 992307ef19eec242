//! How many questions a second 64 clients get answered, and how long one takes at 70 % of that.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::line::{Card, PING};
use super::{Times, timed};

const CLIENTS: usize = 64;
const WARM: Duration = Duration::from_secs(2);
const RUN: Duration = Duration::from_secs(12);
const ROUNDS: usize = 2000;
const LOAD: f64 = 0.7;

pub fn run(questions: &[Vec<u8>], card: &Card, state: &Path) -> anyhow::Result<()> {
    let (mut ping, mut sync) = floor(card, state)?;
    let one_at_a_time = 1.0 / sync.at(0.5);
    let asked = AtomicUsize::new(0);
    let most = all_at_once(card, questions, &asked)?;
    let floor = ping.at(0.5) + sync.at(0.5);
    println!("no-op request {ping}; 4 KiB append and fdatasync {sync}");
    println!(
        "{CLIENTS} clients: {most:.0} questions a second, {:.2} of one fdatasync after the other (asked: 16)",
        most / one_at_a_time
    );
    let mut times = at_rate(card, questions, &asked, most * LOAD)?;
    println!(
        "at {:.0} % of that: a question {times}; p99 / (no-op + fdatasync, p50) {:.2} (asked: 2), / (p99) {:.2}",
        LOAD * 100.0,
        times.at(0.99) / floor,
        times.at(0.99) / (ping.at(0.99) + sync.at(0.99)),
    );
    Ok(())
}

/// A no-op request and a sync of the same disk, in turn.
fn floor(card: &Card, state: &Path) -> anyhow::Result<(Times, Times)> {
    let mut line = card.open()?;
    let mut file = fs::File::create(state.join("sync-floor"))?;
    let (mut ping, mut sync) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        ping.push(timed(|| line.send(PING).map(drop))?);
        sync.push(timed(|| Ok(file.write_all(&[7; 4096]).and_then(|()| file.sync_data())?))?);
    }
    Ok((ping, sync))
}

/// Answers a second, when every client asks again at once.
fn all_at_once(card: &Card, questions: &[Vec<u8>], asked: &AtomicUsize) -> anyhow::Result<f64> {
    let (begin, counted) = (Instant::now() + WARM, AtomicUsize::new(0));
    let end = begin + RUN;
    let client = || -> anyhow::Result<()> {
        let mut line = card.open()?;
        while Instant::now() < end {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            let status = line.send(&questions[number % questions.len()])?;
            anyhow::ensure!(status == 200, "a question was answered {status}");
            let now = Instant::now();
            counted.fetch_add(usize::from((begin..end).contains(&now)), Ordering::Relaxed);
        }
        Ok(())
    };
    on_threads(client)?;
    Ok(counted.into_inner() as f64 / RUN.as_secs_f64())
}

/// Times from the moment at which a question was due: one that waits for a free client has waited.
fn at_rate(card: &Card, questions: &[Vec<u8>], asked: &AtomicUsize, rate: f64) -> anyhow::Result<Times> {
    let (begin, next) = (Instant::now() + WARM, AtomicUsize::new(0));
    let client = || -> anyhow::Result<Times> {
        let (mut line, mut times) = (card.open()?, Times::default());
        line.send(PING)?;
        loop {
            let after = Duration::from_secs_f64(next.fetch_add(1, Ordering::Relaxed) as f64 / rate);
            if after > RUN {
                return Ok(times);
            }
            let due = begin + after;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let number = asked.fetch_add(1, Ordering::Relaxed);
            let status = line.send(&questions[number % questions.len()])?;
            anyhow::ensure!(status == 200, "a question was answered {status}");
            times.push(due.elapsed());
        }
    };
    Ok(on_threads(client)?.into_iter().collect())
}

fn on_threads<T: Send>(client: impl Fn() -> anyhow::Result<T> + Sync) -> anyhow::Result<Vec<T>> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(&client)).collect();
        clients.into_iter().map(|client| client.join().expect("it does not panic")).collect()
    })
}
