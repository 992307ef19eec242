//! The Bloom filter of one code before diffusion. Every field has a constant number of insertions, so neither the
//! length of a name nor a missing date shows in the number of set bits.

use ring::hmac::Key;

use super::keys::stream;
use super::token::Slots;

/// A row of bits, bit 0 the most significant of word 0. The number of bits is a power of two.
#[derive(Clone)]
pub(super) struct Filter {
    words: Vec<u64>,
    bits: usize,
}

impl Filter {
    pub(super) fn new(bits: usize) -> Self {
        Self { words: vec![0; bits.div_ceil(64)], bits }
    }

    /// Bits that are all random: for a pass that cannot be made at all.
    pub(super) fn random(bits: usize, key: &Key, label: &[u8]) -> Self {
        let mut filter = Self::new(bits);
        for (at, number) in (0..bits).zip(stream(key, label)) {
            filter.words[at / 64] |= u64::from(number & 1) << (63 - at % 64);
        }
        filter
    }

    /// Inserts a field: `insertions` are shared among its slots, the remainder to the first. The shares of empty
    /// slots go to positions from `filler`, a key and a label, or nowhere.
    pub(super) fn insert(&mut self, key: &Key, slots: &Slots, insertions: u32, filler: Option<(&Key, &[u8])>) {
        let (share, more) = (insertions as usize / slots.len(), insertions as usize % slots.len());
        let mut missing = 0;
        for (at, slot) in slots.iter().enumerate() {
            let share = share + usize::from(at < more);
            match slot {
                Some(token) => self.set(key, token.as_bytes(), share),
                None => missing += share,
            }
        }
        if let Some((key, label)) = filler {
            self.set(key, label, missing);
        }
    }

    pub(super) fn into_words(self) -> Vec<u64> {
        self.words
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    fn set(&mut self, key: &Key, label: &[u8], count: usize) {
        for number in stream(key, label).take(count) {
            // Unbiased: the number of bits is a power of two up to 2^16.
            let at = usize::from(number) % self.bits;
            self.words[at / 64] |= 1 << (63 - at % 64);
        }
    }
}
