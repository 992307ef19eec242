//! What connections cost on which nothing is asked.

use super::line::{Card, Line, PING};
use super::process::Process;

const CONNECTIONS: usize = 10_000;
/// Threads that open them, so that the last are there before the first have been idle too long.
const OPENERS: usize = 2;

pub fn run(process: &Process, card: &Card) -> anyhow::Result<()> {
    let before = process.megabytes("VmRSS")?;
    let open = || -> anyhow::Result<Vec<Line>> {
        let one = |_| {
            let mut line = card.open()?;
            // The first request has a deadline; afterwards a connection may be silent.
            anyhow::ensure!(line.send(PING)? == 204, "a connection found no place");
            Ok(line)
        };
        (0..CONNECTIONS / OPENERS).map(one).collect()
    };
    let lines = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(open)).collect();
        let lines = openers.into_iter().map(|opener| opener.join().expect("it does not panic"));
        lines.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let during = process.megabytes("VmRSS")?;
    let mut lines = lines.into_iter().flatten();
    let (first, last) = (lines.next(), lines.next_back());
    for mut line in first.into_iter().chain(last) {
        anyhow::ensure!(line.send(PING)? == 204, "a connection was closed");
    }
    println!("{CONNECTIONS} idle connections: {during:.0} MB in all, {:.0} without them (asked: 300)", before);
    Ok(())
}
