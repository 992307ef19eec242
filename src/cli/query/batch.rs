//! A run as one batch that the service answers behind the upload: many households in one request, at the service's own
//! pace. What was begun is remembered, so that a run that was cut goes on with it and nobody is asked about twice.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::chunks::Chunks;
use super::super::client::{Client, Refused, fresh_key, patiently};
use super::super::output::bar;
use super::Household;
use super::asker::Asker;
use super::files::Files;
use crate::answer::wire::batches::{BatchBegun, BatchPlan, BatchView, MOST_IN_BATCH, ResultLine};
use crate::answer::wire::{LoadCommit, Question};
use crate::ids::BatchId;

/// Households that are asked about in one batch without being told to; fewer are answered sooner one by one.
pub(super) const MANY: usize = 1000;

/// The batch that is under way, in the party's memory folder.
const MEMORY: &str = "query-batch.json";

/// Between two looks how far a batch is.
const LOOK: Duration = Duration::from_millis(250);

/// Households that are encoded together: many at once take a part of the time that they take one by one.
const TOGETHER: usize = 64;

/// Households that are encoded before they are sent.
const AHEAD: usize = 4096;

/// What is remembered of a batch that was begun.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Memory {
    batch: BatchId,
    plan: BatchPlan,
    /// SHA-256 of what is asked, hexadecimal.
    input: String,
    /// Under which the batch is committed, so that a lost answer is not a second commit.
    key: String,
}

/// Asks about all households, and about those whom a cut-over left out once more with the epoch that took over.
pub(super) fn ask(asker: &mut Asker, households: &[Household], input: &str, files: &mut Files) -> anyhow::Result<()> {
    let most = MOST_IN_BATCH as usize;
    ensure!(households.len() <= most, "a batch has at most {most} households; ask in several runs");
    let mut all: Vec<&Household> = households.iter().collect();
    loop {
        let mut late = Vec::new();
        match ask_once(asker, &all, input, files, &mut late).map_err(anyhow::Error::downcast::<Refused>) {
            Ok(()) => {}
            // Before anything was asked.
            Err(Ok(refused)) if refused.is_cut_over() && asker.cut_over()? => continue,
            Err(Ok(refused)) => return Err(refused.into()),
            Err(Err(error)) => return Err(error),
        }
        if late.is_empty() {
            return Ok(());
        }
        if !asker.cut_over()? {
            return late.into_iter().try_for_each(|(at, refused)| files.put(&all[at].0.contract, Err(refused)));
        }
        all = late.into_iter().map(|(at, _)| all[at]).collect();
    }
}

/// Households by position that were refused because their epoch ended.
type Late = Vec<(usize, Refused)>;

fn ask_once(
    asker: &Asker,
    households: &[&Household],
    input: &str,
    files: &mut Files,
    late: &mut Late,
) -> anyhow::Result<()> {
    let client = asker.client();
    let plan = asker.plan(u32::try_from(households.len()).expect("fewer than half a million"));
    let (memory, view) = begin(client, plan, input)?;
    if view.state == "open" {
        upload(asker, households, &memory, view)?;
    }
    fetch(asker, households, &memory, files, late)?;
    forget(&client.remembered(MEMORY))
}

/// Goes on with the batch that a run with the same plan and input left behind, or begins one.
fn begin(client: &Client, plan: BatchPlan, input: &str) -> anyhow::Result<(Memory, BatchView)> {
    if let Some(known) = remembered(client, &plan, input)? {
        eprintln!("Going on with a batch that was cut: it is {}.", known.1.state);
        return Ok(known);
    }
    let key = fresh_key();
    let begun: BatchBegun = patiently(|| client.post_once("question-batches", &plan, &key))?;
    let memory = Memory { batch: begun.batch, plan, input: input.to_owned(), key: fresh_key() };
    client.remember(MEMORY, &serde_json::to_string(&memory)?)?;
    let view = view(client, &memory)?;
    Ok((memory, view))
}

fn remembered(client: &Client, plan: &BatchPlan, input: &str) -> anyhow::Result<Option<(Memory, BatchView)>> {
    let path = client.remembered(MEMORY);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    // Of another version, or half written: then it is begun anew.
    let memory = serde_json::from_str::<Memory>(&text).ok();
    let Some(memory) = memory.filter(|known| known.input == input && known.plan == *plan) else { return Ok(None) };
    match view(client, &memory) {
        Ok(view) if view.state == "refused" => Ok(None),
        Ok(view) => Ok(Some((memory, view))),
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|Refused(problem)| problem.status == 404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn view(client: &Client, memory: &Memory) -> anyhow::Result<BatchView> {
    patiently(|| client.get(&format!("question-batches/{}", memory.batch)))
}

/// Sends all questions, and has them answered.
fn upload(asker: &Asker, households: &[&Household], memory: &Memory, view: BatchView) -> anyhow::Result<()> {
    let place = format!("question-batches/{}", memory.batch);
    let mut chunks = Chunks::new(asker.client(), place.clone(), view.chunk_bytes, view.chunks);
    let progress = bar(households.len(), "sending questions");
    let line = |question: Question| serde_json::to_vec(&question).expect("plain data have a JSON form");
    for ahead in households.chunks(AHEAD) {
        let lines: Vec<Vec<u8>> =
            ahead.par_chunks(TOGETHER).flat_map_iter(|some| asker.questions(some)).map(line).collect();
        for line in lines {
            chunks.line(&line)?;
            progress.step();
        }
    }
    let commit = LoadCommit { chunks: chunks.finish()? };
    let _view: BatchView = patiently(|| asker.client().post_once(&format!("{place}/commit"), &commit, &memory.key))?;
    Ok(())
}

/// Takes results as they come, until the batch has ended.
fn fetch(
    asker: &Asker,
    households: &[&Household],
    memory: &Memory,
    files: &mut Files,
    late: &mut Late,
) -> anyhow::Result<()> {
    let client = asker.client();
    let progress = bar(households.len(), "asking");
    let mut next = 0;
    loop {
        // Before the page: what has ended then has no more results than the page brings.
        let view = view(client, memory)?;
        let text = patiently(|| client.get_text(&format!("question-batches/{}/results?from={next}", memory.batch)))?;
        let results: Vec<ResultLine> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .context("the service's results are not what this version understands")?;
        let is_over = results.is_empty() && view.state != "answering";
        let wait = if results.is_empty() { LOOK } else { Duration::ZERO };
        let told = asker.told(households.get(next..).unwrap_or_default(), next, results, &memory.key)?;
        for told in told {
            let contract = &households[next].0.contract;
            match told {
                Err(refused) if refused.is_cut_over() => late.push((next, refused)),
                told => files.put(contract, told)?,
            }
            next += 1;
            progress.step();
        }
        if is_over {
            break;
        }
        std::thread::sleep(wait);
    }
    for (arrears, _) in &households[next..] {
        let detail = "the batch ended before this household was asked about; nothing was charged: ask again";
        files.refuse(&arrears.contract, "not_asked", None, detail)?;
    }
    Ok(())
}

fn forget(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
}
