//! Encodes row after row on one thread: a value that was met before is looked up, another is cut into tokens, and a
//! token that was met before is looked up too.

use std::convert::Infallible;
use std::fmt;

use super::filter::{Block, blocks, fold};
use super::gram::{self, Grams};
use super::memory::{GramKey, Memory, Shelf, Shelves, TokenMemory, ValueKey};
use super::problem::{Problem, RowError};
use super::schema::Strategy;
use super::token::Tokens;
use super::{Encoder, Feature};

/// Encodes row after row on one thread.
pub struct Worker<'a> {
    encoder: &'a Encoder,
    memories: Vec<Memory>,
    filter: Vec<Block>,
    scratch: Scratch,
    clk: Vec<u8>,
}

/// Memory for one value after the other.
#[derive(Default)]
struct Scratch {
    grams: Grams,
    tokens: Tokens,
    token: Vec<u8>,
}

impl fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker of {:?}", self.encoder)
    }
}

impl<'a> Worker<'a> {
    pub(super) fn new(encoder: &'a Encoder) -> Self {
        let blocks = blocks(encoder.bits);
        let memories = encoder.columns.iter().map(|_| Memory::new(blocks)).collect();
        let filter = vec![Block::default(); blocks];
        Self { encoder, memories, filter, scratch: Scratch::default(), clk: Vec::new() }
    }

    /// The CLK of a row: position 0 is the highest bit of the first byte; the last byte is filled with zeros.
    ///
    /// # Errors
    /// [`RowError`] with the column, and without the value.
    pub fn clk<'r>(&mut self, row: impl ExactSizeIterator<Item = &'r str>) -> Result<Vec<u8>, RowError> {
        self.encode(row).map(<[u8]>::to_vec)
    }

    /// As [`Worker::clk`], in memory of the worker.
    pub(super) fn encode<'r>(&mut self, row: impl ExactSizeIterator<Item = &'r str>) -> Result<&[u8], RowError> {
        let columns = &self.encoder.columns;
        if row.len() != columns.len() {
            return Err(Problem::Ragged { want: columns.len(), got: row.len() }.into());
        }
        self.filter.fill(Block::default());
        for (at, (value, column)) in row.zip(columns).enumerate() {
            let Some(feature) = &column.feature else { continue };
            self.insert(value, feature, at).map_err(|problem| RowError { column: Some(at + 1), problem })?;
        }
        fold(&self.filter, self.encoder.bits, self.encoder.clk_bits, &mut self.clk);
        Ok(&self.clk)
    }

    fn insert(&mut self, value: &str, feature: &Feature, at: usize) -> Result<(), Problem> {
        let Memory { shelves, tokens: memory } = &mut self.memories[at];
        let mut cutter = Cutter { feature, bits: self.encoder.bits, memory, scratch: &mut self.scratch };
        let Some(Shelves { values, grams }) = shelves else {
            return cutter.insert(value, None, &mut self.filter);
        };
        let Some(key) = ValueKey::new(value) else {
            return cutter.insert(value, Some(grams), &mut self.filter);
        };
        let place = match values.find(key) {
            Some(place) => place,
            None => values.put(key, |part| cutter.insert(value, Some(grams), part))?,
        };
        values.merge(&[place], &mut self.filter);
        Ok(())
    }
}

/// What cutting a value of a feature needs.
struct Cutter<'a> {
    feature: &'a Feature,
    bits: usize,
    memory: &'a mut TokenMemory,
    scratch: &'a mut Scratch,
}

impl Cutter<'_> {
    /// Sets every position of a value.
    fn insert(&mut self, value: &str, shelf: Option<&mut Shelf<GramKey>>, part: &mut [Block]) -> Result<(), Problem> {
        let Feature { formatter, tokenizer, encoding, strategy, hasher } = self.feature;
        let value = formatter.apply(value)?;
        if let Some(shelf) = shelf.filter(|_| self.scratch.grams.take(tokenizer, &value, *encoding)) {
            self.insert_grams(shelf, part);
            return Ok(());
        }
        self.scratch.tokens.cut(tokenizer, &value, *encoding)?;
        let shares = Shares::new(*strategy, self.scratch.tokens.len());
        for (at, token) in self.scratch.tokens.iter().enumerate() {
            self.memory.set(hasher, token, shares.of(at), self.bits, part);
        }
        Ok(())
    }

    fn insert_grams(&mut self, shelf: &mut Shelf<GramKey>, part: &mut [Block]) {
        let Scratch { grams, token, .. } = &mut *self.scratch;
        let shares = Shares::new(self.feature.strategy, grams.len());
        let mut places = [0; gram::MOST];
        let mut known = 0;
        for at in 0..grams.len() {
            let share = shares.of(at);
            if share == 0 {
                break;
            }
            let key = grams.key(at, share);
            places[known] = shelf.find(key).unwrap_or_else(|| {
                // The new part may drive out one that was found.
                shelf.merge(&places[..known], part);
                known = 0;
                let set = |part: &mut [Block]| {
                    grams.write(at, token);
                    self.memory.set(&self.feature.hasher, token, share, self.bits, part);
                    Ok::<_, Infallible>(())
                };
                let Ok(place) = shelf.put(key, set);
                place
            });
            known += 1;
        }
        shelf.merge(&places[..known], part);
    }
}

/// Positions that the tokens of a value get.
struct Shares {
    each: usize,
    /// So many tokens from the first get one more.
    more: usize,
}

impl Shares {
    fn new(strategy: Strategy, tokens: usize) -> Self {
        match strategy {
            Strategy::BitsPerToken(each) => Self { each, more: 0 },
            Strategy::BitsPerFeature(all) => {
                let tokens = tokens.max(1);
                Self { each: all / tokens, more: all % tokens }
            }
        }
    }

    fn of(&self, token: usize) -> usize {
        self.each + usize::from(token < self.more)
    }
}
