//! What one party notices of another one that takes all it may.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::line::{Card, PING};
use super::{Times, timed};

/// Between two requests of the quiet party.
const PAUSE: Duration = Duration::from_millis(10);
const RUN: Duration = Duration::from_secs(12);
/// Connections of the greedy one: as many requests at once as a party has by default.
const GREEDY: usize = 64;

pub fn run(questions: &[Vec<u8>], refused: &[u8], quiet: &Card, greedy: &Card) -> anyhow::Result<()> {
    let (no_op, refused) = ([PING.to_vec()], [refused.to_vec()]);
    let greedy_ones: [(&str, usize, &[Vec<u8>]); 5] = [
        ("nobody", 0, &no_op),
        ("questions", GREEDY, questions),
        ("no-op requests", GREEDY, &no_op),
        ("refused questions", GREEDY, &refused),
        ("nobody", 0, &no_op),
    ];
    for (name, connections, requests) in greedy_ones {
        let stop = AtomicBool::new(false);
        let hog = |number: usize| -> anyhow::Result<[usize; 2]> {
            let (mut line, mut counts) = (greedy.open()?, [0; 2]);
            for round in (0..).map(|round| round * GREEDY + number) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let status = line.send(&requests[round % requests.len()])?;
                counts[usize::from(status == 429)] += 1;
            }
            Ok(counts)
        };
        let (asked, pinged, counts) = std::thread::scope(|scope| -> anyhow::Result<_> {
            let hogs: Vec<_> = (0..connections).map(|number| scope.spawn(move || hog(number))).collect();
            let times = beside(quiet, questions);
            stop.store(true, Ordering::Relaxed);
            let mut counts = [0; 2];
            for hog in hogs {
                let [served, slowed] = hog.join().expect("it does not panic")?;
                counts = [counts[0] + served, counts[1] + slowed];
            }
            let (asked, pinged) = times?;
            Ok((asked, pinged, counts))
        })?;
        let [served, slowed] = counts.map(|count| count as f64 / RUN.as_secs_f64());
        println!("beside {name} on {connections} connections ({served:.0} a second, {slowed:.0} of 429):");
        println!("  a question {asked}; a no-op request {pinged}");
    }
    Ok(())
}

/// Asks and pings in turn, on one connection.
fn beside(card: &Card, questions: &[Vec<u8>]) -> anyhow::Result<(Times, Times)> {
    let mut line = card.open()?;
    let (mut asked, mut pinged) = (Times::default(), Times::default());
    // The others come to their pace.
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    for round in 0.. {
        if began.elapsed() > RUN {
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
