//! Bodies of requests as files, for a client of one's own: what `load` and `query` would send, and send not.

use std::fs::{self, Permissions};
use std::io::Write;
use std::mem;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Serialize;
use tempfile::{Builder, TempDir};

use super::output::Output;
use super::there::folder_of;
use crate::answer::wire::LoadCommit;

/// Most bytes of a chunk: as many as the service takes of questions, and fewer than of records.
const CHUNK_BYTES: usize = 1 << 20;

/// Files of bodies in a folder of their own, which has its name once they are all there.
pub struct Bodies {
    folder: PathBuf,
    written: TempDir,
    lines: Vec<u8>,
    chunks: u32,
}

impl Bodies {
    /// In a new folder, which its owner alone can read.
    ///
    /// # Errors
    /// If it is there already: chunks of two runs would mix.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let is_there = fs::symlink_metadata(folder).is_ok();
        ensure!(!is_there, "{} is there already; name a folder that is not there", folder.display());
        let written = Builder::new().permissions(Permissions::from_mode(0o700)).tempdir_in(folder_of(folder));
        let written = written.with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), written, lines: Vec::new(), chunks: 0 })
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

    /// Writes what is left of the lines, and what commits them, and gives the folder its name.
    ///
    /// # Errors
    /// As [`Bodies::body`].
    pub fn commit(mut self, accept_shrink: bool) -> anyhow::Result<()> {
        if !self.lines.is_empty() {
            self.chunk()?;
        }
        self.body("commit.json", &LoadCommit { chunks: self.chunks, accept_shrink })?;
        eprintln!("The bodies are in {}: {} chunks.", self.folder.display(), self.chunks);
        self.finish()
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// If something has that name by now.
    pub fn finish(self) -> anyhow::Result<()> {
        let named = fs::rename(self.written.path(), &self.folder);
        named.with_context(|| format!("cannot make the folder {}", self.folder.display()))?;
        drop(self.written.keep());
        Ok(())
    }

    fn chunk(&mut self) -> anyhow::Result<()> {
        let lines = mem::take(&mut self.lines);
        self.write(&format!("chunk-{}.ndjson", self.chunks), &lines)?;
        self.chunks += 1;
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.written.path().join(name);
        let mut out = Output::create(&path)?;
        out.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))?;
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_whole_or_absent() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("bodies");
        let begun = || {
            let mut bodies = Bodies::create(&folder).unwrap();
            bodies.line(b"{}").unwrap();
            bodies
        };
        drop(begun());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        begun().commit(true).unwrap();
        let commit = fs::read_to_string(folder.join("commit.json")).unwrap();
        assert_eq!(commit, r#"{"chunks":1,"acceptShrink":true}"#);
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!((fs::read_dir(place.path()).unwrap().count(), mode & 0o777), (1, 0o700));
        assert!(Bodies::create(&folder).is_err());
    }
}
