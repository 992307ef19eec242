//! What one party notices of another one that takes all it may.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use voorrang::answer::wire::Question;
use voorrang::cli::client::Client;

use super::line::{Card, PING};
use super::table::Table;
use super::{Times, timed};
use crate::sending;

/// Between two requests of the quiet party.
const PAUSE: Duration = Duration::from_millis(10);
/// Connections of the greedy one: as many requests at once as a party has by default.
const CONNECTIONS: usize = 64;

/// What a greedy party does, again and again.
pub struct Greedy<'a> {
    pub name: &'static str,
    pub sends: Sends<'a>,
}

pub enum Sends<'a> {
    /// In turn, on [`CONNECTIONS`].
    Requests(Vec<Vec<u8>>),
    /// One batch after the other, and fetches what became of it; these in turn, for a household has a month's bound.
    Batches(&'a Client, Vec<&'a [&'a Question]>),
}

impl<'a> Greedy<'a> {
    pub fn requests(name: &'static str, requests: Vec<Vec<u8>>) -> Self {
        Self { name, sends: Sends::Requests(requests) }
    }
}

/// Times of a question and of a no-op request.
type Noticed = (Times, Times);

/// The quiet party alone, beside each greedy one, and alone again.
pub fn run(
    questions: &[Vec<u8>],
    all: &[Greedy<'_>],
    (quiet, greedy): (&Card, &Card),
    run: Duration,
    table: &mut Table,
) -> anyhow::Result<()> {
    let before = beside(quiet, questions, run)?;
    let mut noticed = Vec::new();
    for one in all {
        noticed.push(together(questions, one, (quiet, greedy), run)?);
    }
    let after = beside(quiet, questions, run)?;
    let alone = |of: fn(Noticed) -> Times| [before.clone(), after.clone()].map(of).into_iter().collect::<Times>();
    let (mut asked_alone, mut pinged_alone) = (alone(|both| both.0), alone(|both| both.1));
    println!("alone: a question {asked_alone}; a no-op request {pinged_alone}");
    for (one, ((mut asked, mut pinged), counts)) in all.iter().zip(noticed) {
        let [served, slowed] = counts.map(|count| count as f64 / run.as_secs_f64());
        let rate = format!("{served:.0} a second, {slowed:.0} of 429");
        for (what, times, alone) in
            [("question", &mut asked, &mut asked_alone), ("no-op request", &mut pinged, &mut pinged_alone)]
        {
            let figure = format!("p99 of a {what} beside another party's {}, of that alone", one.name);
            table.at_most(&figure, 1.2, times.at(0.99) / alone.at(0.99), "x", &format!("{times}; {rate}"));
        }
    }
    Ok(())
}

/// What the quiet party notices, and how often the greedy one was answered and slowed down.
fn together(
    questions: &[Vec<u8>],
    one: &Greedy<'_>,
    (quiet, greedy): (&Card, &Card),
    run: Duration,
) -> anyhow::Result<(Noticed, [usize; 2])> {
    let stop = AtomicBool::new(false);
    let goes_on = || !stop.load(Ordering::Relaxed);
    let hog = |number: usize| -> anyhow::Result<[usize; 2]> {
        let mut counts = [0; 2];
        match &one.sends {
            Sends::Requests(requests) => {
                // Far from each other: a household has a month's bound.
                let first = number * requests.len() / CONNECTIONS;
                let mut line = greedy.open()?;
                for request in requests.iter().cycle().skip(first).take_while(|_| goes_on()) {
                    // Who is slowed down with a body on its way loses the connection.
                    let Ok(status) = line.send(request) else {
                        line = greedy.open()?;
                        continue;
                    };
                    counts[usize::from(status == 429)] += 1;
                }
            }
            Sends::Batches(client, batches) => {
                for questions in batches.iter().cycle().take_while(|_| goes_on()) {
                    sending::batch(client, questions)?;
                    counts[0] += 1;
                }
            }
        }
        Ok(counts)
    };
    let connections = if matches!(one.sends, Sends::Batches(..)) { 1 } else { CONNECTIONS };
    std::thread::scope(|scope| {
        let hog = &hog;
        let hogs: Vec<_> = (0..connections).map(|number| scope.spawn(move || hog(number))).collect();
        let times = beside(quiet, questions, run);
        stop.store(true, Ordering::Relaxed);
        let mut counts = [0; 2];
        for hog in hogs {
            let [all, slowed] = hog.join().expect("it does not panic")?;
            counts = [counts[0] + all, counts[1] + slowed];
        }
        Ok((times?, counts))
    })
}

/// Asks and pings in turn, on one connection.
fn beside(card: &Card, questions: &[Vec<u8>], run: Duration) -> anyhow::Result<Noticed> {
    let mut line = card.open()?;
    let (mut asked, mut pinged) = (Times::default(), Times::default());
    // The others come to their pace.
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    for round in 0.. {
        if began.elapsed() > run {
            break;
        }
        let mut send = |request: &[u8], status: u16| {
            timed(|| {
                let got = line.send(request)?;
                anyhow::ensure!(got == status, "{got} in place of {status}");
                Ok(())
            })
        };
        asked.push(send(&questions[round % questions.len()], 200)?);
        std::thread::sleep(PAUSE);
        pinged.push(send(PING, 204)?);
        std::thread::sleep(PAUSE);
    }
    Ok((asked, pinged))
}
