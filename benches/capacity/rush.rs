//! How many questions a second 64 clients get answered, and how long one takes at 70 % of that.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::line::{Card, PING};
use super::table::Table;
use super::{Size, Times, question};

const CLIENTS: usize = 64;
const WARM: Duration = Duration::from_secs(2);
const LOAD: f64 = 0.7;

pub fn run(questions: &[Vec<u8>], card: &Card, state: &Path, size: &Size, table: &mut Table) -> anyhow::Result<()> {
    let [mut ping, mut sync, _] = question::in_turn(card, state, questions, size.rounds)?;
    let asked = AtomicUsize::new(0);
    let most = all_at_once(card, questions, &asked, size.run)?;
    let how = format!("{most:.0} questions a second; 4 KiB and fdatasync {sync}");
    table.at_least(&format!("{CLIENTS} clients, of one sync after the other"), 16.0, most * sync.at(0.5), "x", &how);
    let mut times = at_rate(card, questions, &asked, most * LOAD, size.run)?;
    let ratio = times.at(0.99) / (ping.at(0.5) + sync.at(0.5));
    let how = format!(
        "a question {times}; {:.2} x the p99 of a no-op request ({ping}) and a sync",
        times.at(0.99) / (ping.at(0.99) + sync.at(0.99)),
    );
    let figure = format!("p99 at {:.0} % of that, of a no-op request and a sync", LOAD * 100.0);
    table.at_most(&figure, 2.0, ratio, "x", &how);
    Ok(())
}

/// Answers a second, when every client asks again at once.
fn all_at_once(card: &Card, questions: &[Vec<u8>], asked: &AtomicUsize, run: Duration) -> anyhow::Result<f64> {
    let (begin, counted) = (Instant::now() + WARM, AtomicUsize::new(0));
    let end = begin + run;
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
    Ok(counted.into_inner() as f64 / run.as_secs_f64())
}

/// Times from the moment at which a question was due: one that waits for a free client has waited.
fn at_rate(card: &Card, questions: &[Vec<u8>], asked: &AtomicUsize, rate: f64, run: Duration) -> anyhow::Result<Times> {
    let (begin, next) = (Instant::now() + WARM, AtomicUsize::new(0));
    let client = || -> anyhow::Result<Times> {
        let (mut line, mut times) = (card.open()?, Times::default());
        line.send(PING)?;
        loop {
            let after = Duration::from_secs_f64(next.fetch_add(1, Ordering::Relaxed) as f64 / rate);
            if after > run {
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
