//! A load on its way: begun or taken up again where a run was cut, chunk by chunk, and committed. What was begun is
//! remembered, so that the next run with the same file sends the chunks that are not there yet.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::super::bodies::Bodies;
use super::super::chunks::Chunks;
use super::super::client::{Client, Refused, fresh_key};
use crate::answer::wire::{LoadBegun, LoadCommit, LoadPlan, LoadReport, LoadView};
use crate::ids::LoadId;

/// What a party remembers of a load that it began.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Memory {
    load: LoadId,
    plan: LoadPlan,
    /// SHA-256 of the input file, hexadecimal.
    input: String,
    /// Under which the load is committed, so that a lost answer is not a second commit.
    key: String,
}

/// A load on its way.
pub(super) struct Sending<'a> {
    client: &'a Client,
    memory: Memory,
    chunks: Chunks<'a>,
}

impl<'a> Sending<'a> {
    /// Goes on with the load that a run with the same file and plan left behind, or begins one.
    pub(super) fn open(client: &'a Client, plan: &LoadPlan, input: &str) -> anyhow::Result<Self> {
        if let Some((memory, view)) = remembered(client, plan, input)? {
            eprintln!("Going on with a load that was cut: {} chunks are there.", view.chunks.len());
            let chunks = Chunks::new(client, place(&memory), view.chunk_bytes, view.chunks);
            return Ok(Self { client, memory, chunks });
        }
        let key = fresh_key();
        let begun: LoadBegun = client.patiently(|| client.post_once("loads", plan, &key))?;
        let memory = Memory { load: begun.load, plan: plan.clone(), input: input.to_owned(), key: fresh_key() };
        client.remember(&file_of(plan), &serde_json::to_string(&memory)?)?;
        let chunks = Chunks::new(client, place(&memory), begun.chunk_bytes, Vec::new());
        Ok(Self { client, memory, chunks })
    }

    /// Sends a record, with others in one chunk.
    pub(super) fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.chunks.line(line)
    }

    /// Its name at the service.
    pub(super) fn load(&self) -> LoadId {
        self.memory.load
    }

    /// Makes it the load that answers.
    pub(super) fn commit(self, accept_shrink: bool) -> anyhow::Result<LoadReport> {
        let commit = LoadCommit { chunks: self.chunks.finish()?, accept_shrink };
        let place = format!("{}/commit", place(&self.memory));
        let report = self.client.patiently(|| self.client.post_once(&place, &commit, &self.memory.key))?;
        forget(&self.client.remembered(&file_of(&self.memory.plan)))?;
        Ok(report)
    }
}

/// Lines of a load on their way.
pub(super) enum Lines<'a> {
    Sent(Box<Sending<'a>>),
    Written(Bodies),
    /// A dry run.
    Counted,
}

impl Lines<'_> {
    /// Takes a record.
    pub(super) fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Sent(sending) => sending.line(line),
            Self::Written(bodies) => bodies.line(line),
            Self::Counted => Ok(()),
        }
    }
}

/// The load that was begun with this file and plan, if the service still has it.
fn remembered(client: &Client, plan: &LoadPlan, input: &str) -> anyhow::Result<Option<(Memory, LoadView)>> {
    let path = client.remembered(&file_of(plan));
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    // Of another version, or half written: then it is begun anew.
    let memory = serde_json::from_str::<Memory>(&text).ok();
    let Some(memory) = memory.filter(|known| known.input == input && same(&known.plan, plan)) else { return Ok(None) };
    match client.get::<LoadView>(&place(&memory)) {
        Ok(view) => Ok(Some((memory, view))),
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|Refused(problem)| problem.status == 404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn same(a: &LoadPlan, b: &LoadPlan) -> bool {
    (&a.header, a.source, a.records, a.base, a.reference_date, a.ages)
        == (&b.header, b.source, b.records, b.base, b.reference_date, b.ages)
}

fn place(memory: &Memory) -> String {
    format!("loads/{}", memory.load)
}

fn file_of(plan: &LoadPlan) -> String {
    format!("load-{}.json", plan.source.as_str())
}

fn forget(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
