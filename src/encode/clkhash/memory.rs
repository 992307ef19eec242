//! What a thread remembers of a column, because registers repeat themselves: whole values with their part of the
//! filter, and tokens with their positions. Both are bounded, and neither changes a bit.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::hash::Hasher;

/// Longest filter of which parts are remembered, in words of 64 bits.
const MOST_WORDS: usize = 64;
/// What the parts of a column's values take at most, in words: 4 MiB.
const MOST_VALUE_WORDS: usize = 1 << 19;
/// What the positions of a column's tokens take at most: 4 MiB.
const MOST_POSITIONS: usize = 1 << 20;
/// A longer value or token is not remembered, in bytes.
const MOST_KEY: usize = 64;

/// A column's memory.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) values: ValueMemory,
    pub(super) tokens: TokenMemory,
}

/// Parts of the filter by value. Only values without a fault are in it.
#[derive(Default)]
pub(super) struct ValueMemory {
    known: HashMap<Box<[u8]>, usize, RandomState>,
    parts: Vec<u64>,
}

impl ValueMemory {
    /// The part that a value gives to a filter of so many words, if it is known.
    pub(super) fn part(&self, value: &str, words: usize) -> Option<&[u64]> {
        let at = *self.known.get(value.as_bytes())?;
        Some(&self.parts[at..at + words])
    }

    pub(super) fn keep(&mut self, value: &str, part: &[u64]) {
        let room = self.parts.len() + part.len() <= MOST_VALUE_WORDS;
        if room && part.len() <= MOST_WORDS && value.len() <= MOST_KEY {
            self.known.insert(value.as_bytes().into(), self.parts.len());
            self.parts.extend_from_slice(part);
        }
    }
}

/// Positions of the tokens that a feature has met: names and dates are made of few. One for each thread.
#[derive(Default)]
pub(super) struct TokenMemory {
    known: HashMap<Box<[u8]>, Box<[u32]>, RandomState>,
    size: usize,
}

impl TokenMemory {
    /// Calls `set` with each of the token's first `count` positions.
    pub(super) fn each(&mut self, hasher: &Hasher, token: &[u8], count: usize, bits: usize, set: impl FnMut(usize)) {
        let enough = |known: &[u32]| count <= known.len() || matches!(hasher, Hasher::Double { .. });
        if let Some(known) = self.known.get(token).filter(|known| enough(known)) {
            return spread(hasher, known, count, bits, set);
        }
        let positions = hasher.positions(token, count.max(1), bits);
        spread(hasher, &positions, count, bits, set);
        if token.len() <= MOST_KEY && self.size + positions.len() <= MOST_POSITIONS {
            self.size += positions.len();
            self.known.insert(token.into(), positions.into());
        }
    }
}

fn spread(hasher: &Hasher, positions: &[u32], count: usize, bits: usize, mut set: impl FnMut(usize)) {
    match hasher {
        Hasher::Blake { .. } => positions.iter().take(count).for_each(|at| set(*at as usize)),
        Hasher::Double { .. } => {
            let [start, step] = [positions[0] as usize, positions[1] as usize];
            let mut at = start;
            for _ in 0..count {
                set(at);
                at += step;
                at -= if at >= bits { bits } else { 0 };
            }
        }
    }
}
