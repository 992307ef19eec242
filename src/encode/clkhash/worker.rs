//! Encodes row after row on one thread: a value that was met before is looked up, another is cut into tokens, and a
//! token that was met before is looked up too.

use std::convert::Infallible;
use std::fmt;

use super::filter::{Block, blocks, fold, merge};
use super::gram::Grams;
use super::memory::{Key, Memory, Shelf, TokenMemory};
use super::problem::{Problem, RowError};
use super::schema::Strategy;
use super::token::Tokens;
use super::{Encoder, Feature};

/// Encodes row after row on one thread.
pub struct Worker<'a> {
    encoder: &'a Encoder,
    memories: Vec<Memory>,
    filter: Vec<Block>,
    tokens: Tokens,
    clk: Vec<u8>,
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
        Self { encoder, memories, filter, tokens: Tokens::default(), clk: Vec::new() }
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
        let Memory { values, grams, tokens } = &mut self.memories[at];
        let mut cutter = Cutter { feature, bits: self.encoder.bits, grams, memory: tokens, tokens: &mut self.tokens };
        if let Some(part) = Key::of_value(value).and_then(|key| values.part(key, |part| cutter.insert(value, part))) {
            merge(&mut self.filter, part?);
            return Ok(());
        }
        cutter.insert(value, &mut self.filter)
    }
}

/// What cutting a value of a feature needs.
struct Cutter<'a> {
    feature: &'a Feature,
    bits: usize,
    grams: &'a mut Shelf,
    memory: &'a mut TokenMemory,
    tokens: &'a mut Tokens,
}

impl Cutter<'_> {
    /// Sets every position of a value.
    fn insert(&mut self, value: &str, part: &mut [Block]) -> Result<(), Problem> {
        let value = self.feature.formatter.apply(value)?;
        if let Some(grams) = Grams::new(&self.feature.tokenizer, &value, self.feature.encoding) {
            self.insert_grams(&grams, part);
            return Ok(());
        }
        self.tokens.cut(&self.feature.tokenizer, &value, self.feature.encoding)?;
        let shares = Shares::new(self.feature.strategy, self.tokens.len());
        for (at, token) in self.tokens.iter().enumerate() {
            self.memory.set(&self.feature.hasher, token, shares.of(at), self.bits, part);
        }
        Ok(())
    }

    fn insert_grams(&mut self, grams: &Grams, part: &mut [Block]) {
        let shares = Shares::new(self.feature.strategy, grams.len());
        for at in 0..grams.len() {
            let share = shares.of(at);
            if share == 0 {
                break;
            }
            let mut set = |part: &mut [Block]| {
                self.memory.set(&self.feature.hasher, &grams.token(at), share, self.bits, part);
            };
            let known = self.grams.part(grams.key(at, share as u32), |part| {
                set(part);
                Ok::<_, Infallible>(())
            });
            match known {
                Some(Ok(known)) => merge(part, known),
                None => set(part),
            }
        }
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
