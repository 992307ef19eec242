//! Lines on their way to the service in numbered chunks, of a load or of a batch of questions. What is there already is
//! not sent again.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};

use super::client::Client;
use crate::answer::wire::ChunkKept;
use crate::audit::Hash;

/// Chunks of one upload.
pub struct Chunks<'a> {
    client: &'a Client,
    /// For example `loads/0123...`.
    place: String,
    most_bytes: usize,
    /// Chunks that were there before, by number.
    there: BTreeMap<u32, ChunkKept>,
    next: u32,
    bytes: Vec<u8>,
    lines: u32,
}

impl<'a> Chunks<'a> {
    /// Chunks of at most so many bytes, of which these are there.
    pub fn new(client: &'a Client, place: String, most_bytes: usize, there: Vec<ChunkKept>) -> Self {
        let there = there.into_iter().map(|chunk| (chunk.chunk, chunk)).collect();
        Self { client, place, most_bytes, there, next: 0, bytes: Vec::new(), lines: 0 }
    }

    /// Adds a line; a chunk that is full is sent.
    ///
    /// # Errors
    /// What the service refused, or what went wrong on the way.
    pub fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        if !self.bytes.is_empty() && self.bytes.len() + line.len() >= self.most_bytes {
            self.send()?;
        }
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.lines += 1;
        Ok(())
    }

    /// Sends what is left; returns how many chunks there are.
    ///
    /// # Errors
    /// As [`Chunks::line`].
    pub fn finish(mut self) -> anyhow::Result<u32> {
        if !self.bytes.is_empty() {
            self.send()?;
        }
        Ok(self.next)
    }

    /// Sends the next chunk, unless it is there as it is.
    fn send(&mut self) -> anyhow::Result<()> {
        let number = self.next;
        let (bytes, lines) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.lines));
        self.next += 1;
        let sent: [u8; 32] = digest(&SHA256, &bytes).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let sent = Hash::from(sent);
        if self.there.get(&number).is_some_and(|chunk| chunk.records == lines && chunk.digest == sent) {
            return Ok(());
        }
        let place = format!("{}/chunks/{number}", self.place);
        let kept: ChunkKept = self.client.patiently(|| self.client.put_lines(&place, &bytes, &sent))?;
        anyhow::ensure!(kept.digest == sent, "the service keeps another chunk than was sent; send it anew");
        Ok(())
    }
}
