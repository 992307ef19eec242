//! A batch of households, from the first byte sent to the last result fetched.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Instant;

use voorrang::answer::wire::Question;
use voorrang::cli::client::Client;

use super::process::Process;
use super::table::Table;
use crate::premises::{CORPORATION, Premises};
use crate::sending;

/// Seconds that are asked for 10,000 households and for fewer; larger batches have as much more.
const SECONDS: f64 = 5.0;
const HOUSEHOLDS: f64 = 10_000.0;

pub fn run(
    premises: &Premises,
    process: &mut Process,
    questions: &[&Question],
    killed_with: Option<&[(&str, i64)]>,
    table: &mut Table,
) -> anyhow::Result<()> {
    let client = Client::open(&premises.party(CORPORATION))?;
    let (before, empty) = (process.megabytes("VmRSS")?, Room::of(&premises.state)?);
    process.forget_most()?;
    let started = Instant::now();
    let place = sending::send(&client, questions)?;
    let (sent, kept) = (started.elapsed(), Room::of(&premises.state)?);
    let mut most = process.megabytes("VmHWM")?;
    if let Some(limits) = killed_with {
        let half = sending::wait(&client, &place, questions.len() / 2)?;
        most = most.max(process.megabytes("VmHWM")?);
        let ready = process.again(premises, limits)?.as_secs_f64();
        let how = format!("killed when {half} of {} were answered", questions.len());
        table.at_most("a restart in the middle of a batch, until it is ready", 5.0, ready, "s", &how);
    }
    sending::wait(&client, &place, questions.len())?;
    let answered = started.elapsed();
    sending::fetch(&client, &place, questions.len())?;
    let all = started.elapsed();
    most = most.max(process.megabytes("VmHWM")?);
    let how = format!(
        "sent in {:.2}, answered in {:.2}, fetched in {:.2}; memory {before:.0} MB before, {most:.0} at most; database \
         {empty} before, {kept} when all was sent, {} at the end",
        sent.as_secs_f64(),
        (answered - sent).as_secs_f64(),
        (all - answered).as_secs_f64(),
        Room::of(&premises.state)?,
    );
    let asked = SECONDS * (questions.len() as f64 / HOUSEHOLDS).max(1.0);
    let figure = format!("a batch of {} households", questions.len());
    table.at_most(&figure, asked, all.as_secs_f64(), "s", &how);
    Ok(())
}

/// Bytes of the database and of its write-ahead log.
struct Room([u64; 2]);

impl Room {
    fn of(state: &Path) -> std::io::Result<Self> {
        let bytes = |name| fs::metadata(state.join(name)).map(|file| file.len());
        Ok(Self([bytes("voorrang.db")?, bytes("voorrang.db-wal")?]))
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [database, ahead] = self.0.map(|bytes| bytes as f64 / 1e6);
        write!(f, "{database:.0} MB and {ahead:.0} ahead")
    }
}
