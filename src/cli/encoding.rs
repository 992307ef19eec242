//! People into the lines of a file of codes: on all cores, in the order of the file, some at a time.

use std::borrow::Cow;

use anyhow::Context;
use rayon::prelude::*;

use super::blocks::Blocks;
use super::output::{Output, file_bar};
use super::people::{CHUNK, ReadSoFar, SHARE};
use crate::code::Record;
use crate::encode::read::Chunks;
use crate::encode::{Encoder, InOrder, Person, Source, authentic, file};

/// Bytes of most lines: 704 of codes in base64, and what is around them.
const USUAL_LINE: usize = 1400;

const FAILED: &str = "cannot write the codes";

/// How records become lines of a file.
pub struct File<'a> {
    pub encoder: &'a Encoder,
    pub writer: file::Writer,
    /// Under the custodian's own ids, or under references.
    pub own_ids: bool,
    /// The filters before diffusion in the place of codes; all else stays.
    pub lab_filters: bool,
}

impl File<'_> {
    /// As [`File::write_in_turn`]: all of it in the pool, where no thread waits for another to be woken.
    pub fn write<T: Send + Sync>(
        &self,
        people: Chunks<T>,
        so_far: ReadSoFar,
        out: &mut Output,
        encode: impl Fn(&[T]) -> InOrder + Sync,
        own: impl Fn(&T) -> (Cow<'_, str>, Source, &Person) + Sync,
    ) -> anyhow::Result<u64> {
        rayon::scope(|_| self.write_in_turn(people, so_far, out, &encode, &own))
    }

    /// Encodes on all cores and writes in the order of the file, the header into the first record; while a chunk is
    /// encoded the one before is written and the next one read, by the thread that lets its people go. Returns how many
    /// records were written.
    fn write_in_turn<T: Send + Sync>(
        &self,
        mut people: Chunks<T>,
        so_far: ReadSoFar,
        out: &mut Output,
        encode: impl Fn(&[T]) -> InOrder + Sync,
        own: impl Fn(&T) -> (Cow<'_, str>, Source, &Person) + Sync,
    ) -> anyhow::Result<u64> {
        let mut header = self.encoder.header();
        if self.lab_filters {
            // As long as codes: nothing else would keep them from being taken for some.
            header.profile += " filters";
        }
        let encoded = |at: usize, people: &[T], is_first: bool, bytes: &mut Vec<u8>| {
            bytes.clear();
            bytes.reserve(SHARE * USUAL_LINE);
            let mut header = (is_first && at == 0).then_some(&header);
            for (one, (record, codes)) in people.iter().zip(encode(people).iter()) {
                let (id, source, person) = own(one);
                let (shown, header) = (self.own_ids.then_some(&*id), header.take());
                if self.lab_filters && !codes.is_empty() {
                    let codes = self.encoder.lab_filters(source, &id, person);
                    self.writer.line(shown, header, &Record { codes, ..record.clone() }, bytes);
                } else {
                    self.writer.line_of(shown, header, (record, codes), bytes);
                }
            }
        };
        let (mut written, mut bar) = (0, file_bar(so_far.total, "encoding"));
        let (mut mac, mut place): (_, Option<usize>) = (self.encoder.file_mac(), None);
        // Used again for every chunk: what is freed is overwritten, and what is new is emptied by the system.
        let empty = || vec![Vec::<u8>::new(); CHUNK.div_ceil(SHARE)];
        let (mut made, mut ready) = (empty(), empty());
        let mut blocks = Blocks::of(out).context(FAILED)?;
        let mut write = |lines: &[Vec<u8>]| -> anyhow::Result<()> {
            for bytes in lines {
                place = place.or_else(|| authentic::place_of_mac(bytes.split(|byte| *byte == b'\n').next()?));
                mac.add(bytes);
                blocks.add(bytes).context(FAILED)?;
            }
            Ok(())
        };
        let mut chunk = people.next_chunk(CHUNK);
        while !chunk.is_empty() {
            let shares = chunk.par_chunks(SHARE).zip(&mut made).enumerate();
            let encode = || shares.for_each(|(at, (share, bytes))| encoded(at, share, written == 0, bytes));
            let ((done, next), ()) = rayon::join(|| (write(&ready), people.next_chunk(CHUNK)), encode);
            done?;
            written += chunk.len() as u64;
            made[chunk.len().div_ceil(SHARE)..].iter_mut().for_each(Vec::clear);
            std::mem::swap(&mut made, &mut ready);
            bar.at(so_far.bytes(), written);
            chunk = next;
        }
        write(&ready)?;
        people.finish()?;
        blocks.finish().context(FAILED)?;
        if let Some(place) = place {
            out.overwrite(place as u64, mac.text().as_bytes())?;
        }
        Ok(written)
    }
}
