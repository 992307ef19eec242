//! A load on its way: begun or taken up again where a run was cut, chunk by chunk, and committed. What was begun is
//! remembered, so that the next run with the same file sends the chunks that are not there yet.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ring::digest::{Context as Digest, SHA256, digest};
use serde::{Deserialize, Serialize};

use super::super::client::{Client, Refused, fresh_key, patiently};
use crate::answer::wire::{ChunkKept, LoadBegun, LoadCommit, LoadPlan, LoadReport, LoadView};
use crate::audit::Hash;
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
    chunk_bytes: usize,
    /// Chunks that were there before, by number.
    there: BTreeMap<u32, ChunkKept>,
    next: u32,
}

impl<'a> Sending<'a> {
    /// Goes on with the load that a run with the same file and plan left behind, or begins one.
    pub(super) fn open(client: &'a Client, plan: &LoadPlan, input: &str) -> anyhow::Result<Self> {
        if let Some((memory, view)) = remembered(client, plan, input)? {
            let there: BTreeMap<_, _> = view.chunks.into_iter().map(|chunk| (chunk.chunk, chunk)).collect();
            eprintln!("Going on with a load that was cut: {} chunks are there.", there.len());
            return Ok(Self { client, memory, chunk_bytes: view.chunk_bytes, there, next: 0 });
        }
        let key = fresh_key();
        let begun: LoadBegun = patiently(|| client.post_once("loads", plan, &key))?;
        let memory = Memory { load: begun.load, plan: plan.clone(), input: input.to_owned(), key: fresh_key() };
        client.remember(&file_of(plan), &serde_json::to_string(&memory)?)?;
        Ok(Self { client, memory, chunk_bytes: begun.chunk_bytes, there: BTreeMap::new(), next: 0 })
    }

    /// Most bytes of a chunk.
    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Sends the next chunk of so many lines, unless it is there. Codes differ from run to run where a value is missing,
    /// so a chunk is known by its number and lines; both are the same for the same file.
    pub(super) fn chunk(&mut self, lines: &[u8], records: u32) -> anyhow::Result<()> {
        let number = self.next;
        self.next += 1;
        if self.there.get(&number).is_some_and(|chunk| chunk.records == records) {
            return Ok(());
        }
        let sent: [u8; 32] = digest(&SHA256, lines).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let sent = Hash::from(sent);
        let place = format!("loads/{}/chunks/{number}", self.memory.load);
        let kept: ChunkKept = patiently(|| self.client.put_lines(&place, lines, &sent))?;
        anyhow::ensure!(kept.digest == sent, "the service keeps another chunk than was sent; load again");
        Ok(())
    }

    /// Makes it the load that answers.
    pub(super) fn commit(self) -> anyhow::Result<LoadReport> {
        let (place, commit) = (format!("loads/{}/commit", self.memory.load), LoadCommit { chunks: self.next });
        let report = patiently(|| self.client.post_once(&place, &commit, &self.memory.key))?;
        forget(&self.client.remembered(&file_of(&self.memory.plan)))?;
        Ok(report)
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
    match patiently(|| client.get::<LoadView>(&format!("loads/{}", memory.load))) {
        Ok(view) => Ok(Some((memory, view))),
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|Refused(problem)| problem.status == 404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn same(a: &LoadPlan, b: &LoadPlan) -> bool {
    (&a.header, a.source, a.records, a.reference_date) == (&b.header, b.source, b.records, b.reference_date)
}

fn file_of(plan: &LoadPlan) -> String {
    format!("load-{}.json", plan.source.as_str())
}

fn forget(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
}

/// SHA-256 of a file, hexadecimal.
pub(super) fn file_digest(path: &PathBuf) -> anyhow::Result<String> {
    let unreadable = || format!("cannot read {}", path.display());
    let (mut file, mut digest) = (File::open(path).with_context(unreadable)?, Digest::new(&SHA256));
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).with_context(unreadable)? {
            0 => return Ok(hex::encode(digest.finish())),
            count => digest.update(&buffer[..count]),
        }
    }
}
