//! Bodies of requests as files, for a client of one's own: what `load` and `query` would send, and send not.

use std::fs::DirBuilder;
use std::io::Write;
use std::mem;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use super::output::Output;
use crate::answer::wire::LoadCommit;

/// Most bytes of a chunk: as many as the service takes of questions, and fewer than of records.
const CHUNK_BYTES: usize = 1 << 20;

/// Files of bodies in a folder of their own.
pub struct Bodies {
    folder: PathBuf,
    lines: Vec<u8>,
    chunks: u32,
}

impl Bodies {
    /// In a new folder, which its owner alone can read.
    ///
    /// # Errors
    /// If it is there already: chunks of two runs would mix.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let made = DirBuilder::new().mode(0o700).create(folder);
        made.with_context(|| format!("cannot make the folder {}; name one that is not there", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), lines: Vec::new(), chunks: 0 })
    }

    /// A body of this name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn body(&self, name: &str, body: &impl Serialize) -> anyhow::Result<()> {
        self.write(name, &serde_json::to_vec(body).context("a body has a JSON form")?)
    }

    /// Adds a line to the chunks.
    ///
    /// # Errors
    /// As [`Bodies::body`].
    pub fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        if !self.lines.is_empty() && self.lines.len() + line.len() >= CHUNK_BYTES {
            self.chunk()?;
        }
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
        Ok(())
    }

    /// Writes what is left of the lines, and what commits them.
    ///
    /// # Errors
    /// As [`Bodies::body`].
    pub fn finish(mut self) -> anyhow::Result<()> {
        if !self.lines.is_empty() {
            self.chunk()?;
        }
        self.body("commit.json", &LoadCommit { chunks: self.chunks, accept_shrink: false })?;
        eprintln!("The bodies are in {}: {} chunks.", self.folder.display(), self.chunks);
        Ok(())
    }

    fn chunk(&mut self) -> anyhow::Result<()> {
        let lines = mem::take(&mut self.lines);
        self.write(&format!("chunk-{}.ndjson", self.chunks), &lines)?;
        self.chunks += 1;
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        let mut out = Output::create(&path)?;
        out.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))?;
        out.finish()
    }
}
