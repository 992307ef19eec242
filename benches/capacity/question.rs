//! One question on one open connection, beside a no-op request and one sync of the same disk.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::line::{Card, PING};
use super::table::Table;
use super::{Times, timed};

/// A no-op request, a sync and a question, in turn: all three see the same machine.
pub fn in_turn(card: &Card, state: &Path, questions: &[Vec<u8>], rounds: usize) -> anyhow::Result<[Times; 3]> {
    let mut line = card.open()?;
    let mut file = fs::File::create(state.join("sync-floor"))?;
    let mut times: [Times; 3] = Default::default();
    for round in 0..rounds {
        times[0].push(timed(|| line.send(PING).map(drop))?);
        times[1].push(timed(|| Ok(file.write_all(&[7; 4096]).and_then(|()| file.sync_data())?))?);
        times[2].push(timed(|| {
            let status = line.send(&questions[round % questions.len()])?;
            anyhow::ensure!(status == 200, "a question was answered {status}");
            Ok(())
        })?);
    }
    Ok(times)
}

pub fn run(questions: &[Vec<u8>], card: &Card, state: &Path, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    let [mut ping, mut sync, mut asked] = in_turn(card, state, questions, rounds)?;
    let ratio = asked.at(0.5) / (ping.at(0.5) + sync.at(0.5));
    let how = format!("a question {asked}; a no-op request {ping}; 4 KiB and fdatasync {sync}");
    table.at_most("one question, p50, of a no-op request and a sync", 1.25, ratio, "x", &how);
    Ok(())
}
