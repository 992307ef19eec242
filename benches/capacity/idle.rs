//! What connections cost on which nothing is asked.

use std::time::Duration;

use super::line::{Card, Line, PING};
use super::process::Process;
use super::table::Table;

/// Threads that open them, so that the last are there before the first have been idle too long.
const OPENERS: usize = 2;

/// Of one connection, and what is between them.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

pub fn run(process: &Process, card: &Card, connections: usize, table: &mut Table) -> anyhow::Result<()> {
    let before = process.megabytes("VmRSS")?;
    let open = || -> anyhow::Result<Vec<Line>> {
        let one = |_| {
            // An address has a rate of handshakes; beyond it they are cut off.
            let mut tries = (0..TRIES).map(|at| {
                std::thread::sleep(PAUSE * u32::from(at > 0));
                let mut line = card.open()?;
                // The first request has a deadline; afterwards a connection may be silent.
                anyhow::ensure!(line.send(PING)? == 204, "a connection found no place");
                Ok(line)
            });
            tries.find(Result::is_ok).unwrap_or_else(|| anyhow::bail!("a connection found no place, again and again"))
        };
        (0..connections / OPENERS).map(one).collect()
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
    let figure = format!("memory with {connections} idle connections");
    table.at_most(&figure, 300.0, during, "MB", &format!("{before:.0} without them"));
    Ok(())
}
