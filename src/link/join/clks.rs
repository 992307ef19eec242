//! CLKs of one length, one after the other, and how many bits of each are set.

use std::fmt;

use super::JoinError;

/// Longest CLK, in bits.
pub const MOST_BITS: usize = 1 << 16;

/// CLKs of one file. `Debug` shows no bits.
#[derive(Clone, Default)]
pub struct Clks {
    words: usize,
    codes: Vec<u64>,
    ones: Vec<u32>,
}

impl Clks {
    /// Adds a CLK. Which bit is first does not matter as long as it is the same in all.
    ///
    /// # Errors
    /// [`JoinError::Length`], [`JoinError::Mixed`] and [`JoinError::TooMany`]; the CLK is not added.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), JoinError> {
        let (position, bits) = (self.len(), bytes.len() * 8);
        let (words, rest) = bytes.as_chunks::<8>();
        if position > 0 && bits != self.bits() {
            return Err(JoinError::Mixed { position, bits, want: self.bits() });
        }
        if !rest.is_empty() || bits == 0 || bits > MOST_BITS {
            return Err(JoinError::Length { position, bits });
        }
        if position == u32::MAX as usize {
            return Err(JoinError::TooMany);
        }
        self.words = words.len();
        self.codes.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        self.ones.push(self.code(position).iter().map(|word| word.count_ones()).sum());
        Ok(())
    }

    /// At most so many of these, evenly from first to last, and the position of each.
    pub(super) fn spread(&self, most: usize) -> (Self, Vec<usize>) {
        let count = most.min(self.len());
        let positions: Vec<usize> = (0..count).map(|at| at * self.len() / count).collect();
        let codes = positions.iter().flat_map(|position| self.code(*position)).copied().collect();
        let ones = positions.iter().map(|position| self.ones[*position]).collect();
        (Self { words: self.words, codes, ones }, positions)
    }

    /// Number of CLKs.
    pub fn len(&self) -> usize {
        self.ones.len()
    }

    /// Whether there is no CLK.
    pub fn is_empty(&self) -> bool {
        self.ones.is_empty()
    }

    /// Bits of each; 0 if there is none.
    pub fn bits(&self) -> usize {
        self.words * 64
    }

    /// Words of each.
    pub fn words(&self) -> usize {
        self.words
    }

    /// All codes, one after the other.
    pub fn codes(&self) -> &[u64] {
        &self.codes
    }

    /// The code at a position.
    pub fn code(&self, position: usize) -> &[u64] {
        &self.codes[position * self.words..][..self.words]
    }

    /// Set bits per code.
    pub fn ones(&self) -> &[u32] {
        &self.ones
    }
}

impl fmt::Debug for Clks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clks({} of {} bits)", self.len(), self.bits())
    }
}
