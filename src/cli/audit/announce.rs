//! The service is told before the log leaves as files, so that the log itself says so. What left without the service
//! waits in the officer's memory, and is told at her next work with it.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::LogArgs;
use crate::answer::wire::NewExport;
use crate::audit::{Range, Receipt};
use crate::cli::client::{Client, ClientConfig};
use crate::cli::output::Output;

/// Exports that the service was not told of yet.
const WAITING: &str = "exports-to-tell";

/// Says that these entries are about to leave.
///
/// # Errors
/// If the service refuses it or cannot be reached; offline, if it cannot be noted. Then nothing may leave.
pub fn tell(log: &LogArgs, entries: Range) -> anyhow::Result<()> {
    let config = ClientConfig::load(&log.config)?;
    if !log.offline {
        return post(&Client::new(config)?, entries);
    }
    let mut waiting = waiting(&config.memory)?;
    waiting.push(entries);
    keep(&config.memory, &waiting)?;
    eprintln!("The service is told of this export at your next work with it.");
    Ok(())
}

/// Tells what waits.
///
/// # Errors
/// As [`tell`].
pub fn tell_what_waits(client: &Client) -> anyhow::Result<()> {
    let memory = &client.config.memory;
    let mut waiting = waiting(memory)?;
    while let Some(entries) = waiting.first() {
        post(client, *entries)?;
        waiting.remove(0);
        keep(memory, &waiting)?;
    }
    Ok(())
}

fn post(client: &Client, Range { from, to }: Range) -> anyhow::Result<()> {
    let told: anyhow::Result<Receipt> = client.post("access-log/exports", &NewExport { from, to });
    told.map(drop).context("the service does not take note of the export, so nothing is written")
}

fn waiting(memory: &Path) -> anyhow::Result<Vec<Range>> {
    let path = memory.join(WAITING);
    let text = super::read(&path)?;
    let waiting = text.map(|text| serde_json::from_str(&text)).transpose();
    Ok(waiting
        .with_context(|| format!("{} cannot be read; do not go on without it", path.display()))?
        .unwrap_or_default())
}

fn keep(memory: &Path, waiting: &[Range]) -> anyhow::Result<()> {
    let mut file = Output::create(&memory.join(WAITING))?;
    file.write_all(serde_json::to_string(waiting)?.as_bytes()).context("cannot write an export's note")?;
    file.finish()
}
