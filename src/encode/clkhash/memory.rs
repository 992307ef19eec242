//! What a thread remembers of a column, because registers repeat themselves: whole values and tokens with their part
//! of the filter, and tokens with their positions. All are bounded, and none changes a bit.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::filter::{Block, set};
use super::hash::Hasher;

/// Longest part that is remembered, in blocks of 64 bytes.
const MOST_PART: usize = 8;
/// What the parts on a shelf take at most, in blocks: 2 MiB.
const MOST_PARTS: usize = 1 << 15;
/// What the positions of a column's tokens take at most: 4 MiB.
const MOST_POSITIONS: usize = 1 << 20;
/// A longer token is not remembered, in bytes.
const MOST_TOKEN: usize = 64;
/// A longer value is not remembered, in bytes.
const MOST_VALUE: usize = 15;

/// A column's memory.
pub(super) struct Memory {
    pub(super) values: Shelf,
    pub(super) grams: Shelf,
    pub(super) tokens: TokenMemory,
}

impl Memory {
    /// For a filter of so many blocks.
    pub(super) fn new(blocks: usize) -> Self {
        Self { values: Shelf::new(blocks), grams: Shelf::new(blocks), tokens: TokenMemory::default() }
    }
}

/// What a part belongs to. None is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u128);

impl Key {
    /// A value's key, if it is short enough for one.
    pub(super) fn of_value(value: &str) -> Option<Self> {
        let mut bytes = [0; MOST_VALUE + 1];
        bytes.get_mut(..value.len()).filter(|_| value.len() <= MOST_VALUE)?.copy_from_slice(value.as_bytes());
        bytes[MOST_VALUE] = value.len() as u8 + 1;
        Some(Self(u128::from_le_bytes(bytes)))
    }

    /// The key of a token of at most eight bytes at a place, with at least one insertion.
    pub(super) fn of_token(token: u64, place: u32, insertions: u32) -> Self {
        Self(u128::from(token) | u128::from(place) << 64 | u128::from(insertions) << 96)
    }

    /// Spreads keys over all numbers. A bad spread costs time and nothing else, so nobody has to be kept from one.
    fn spread(self) -> u64 {
        let (low, high) = (self.0 as u64, (self.0 >> 64) as u64);
        let product = u128::from(low ^ 0x243f_6a88_85a3_08d3) * u128::from(high ^ 0x1319_8a2e_0370_7344);
        (product >> 64) as u64 ^ product as u64
    }
}

/// Parts of the filter, each in the one place that its key has: what comes later to the same place drives out what is
/// there.
pub(super) struct Shelf {
    keys: Vec<u128>,
    parts: Vec<Block>,
    blocks: usize,
    /// A key's place is its spread's highest bits.
    shift: u32,
}

impl Shelf {
    fn new(blocks: usize) -> Self {
        let places = if blocks <= MOST_PART { MOST_PARTS / blocks.next_power_of_two() } else { 0 };
        let shift = u64::BITS - places.max(2).ilog2();
        Self { keys: vec![0; places], parts: vec![Block::default(); places * blocks], blocks, shift }
    }

    /// The part of a key, which `make` makes of an empty one if it is not there. A key whose part cannot be made has
    /// none. None if the shelf has no room for parts of this length.
    pub(super) fn part<E>(
        &mut self,
        key: Key,
        make: impl FnOnce(&mut [Block]) -> Result<(), E>,
    ) -> Option<Result<&[Block], E>> {
        let place = (key.spread() >> self.shift) as usize;
        let known = self.keys.get_mut(place)?;
        let part = &mut self.parts[place * self.blocks..][..self.blocks];
        if *known != key.0 {
            *known = 0;
            part.fill(Block::default());
            if let Err(error) = make(part) {
                return Some(Err(error));
            }
            *known = key.0;
        }
        Some(Ok(part))
    }
}

/// Positions of the tokens that a feature has met: names and dates are made of few. One for each thread.
#[derive(Default)]
pub(super) struct TokenMemory {
    known: HashMap<Box<[u8]>, Box<[u32]>, RandomState>,
    size: usize,
}

impl TokenMemory {
    /// Sets the token's first `count` positions.
    pub(super) fn set(&mut self, hasher: &Hasher, token: &[u8], count: usize, bits: usize, part: &mut [Block]) {
        let enough = |known: &[u32]| count <= known.len() || matches!(hasher, Hasher::Double { .. });
        if let Some(known) = self.known.get(token).filter(|known| enough(known)) {
            return spread(hasher, known, count, bits, part);
        }
        let positions = hasher.positions(token, count.max(1), bits);
        spread(hasher, &positions, count, bits, part);
        if token.len() <= MOST_TOKEN && self.size + positions.len() <= MOST_POSITIONS {
            self.size += positions.len();
            self.known.insert(token.into(), positions.into());
        }
    }
}

fn spread(hasher: &Hasher, positions: &[u32], count: usize, bits: usize, part: &mut [Block]) {
    match hasher {
        Hasher::Blake { .. } => positions.iter().take(count).for_each(|at| set(part, *at as usize)),
        Hasher::Double { .. } => {
            let [start, step] = [positions[0] as usize, positions[1] as usize];
            let mut at = start;
            for _ in 0..count {
                set(part, at);
                at += step;
                at -= if at >= bits { bits } else { 0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(shelf: &mut Shelf, key: Key, position: usize) -> Vec<Block> {
        let part = shelf.part(key, |part| -> Result<(), ()> {
            set(part, position);
            Ok(())
        });
        part.unwrap().unwrap().to_vec()
    }

    #[test]
    fn a_part_is_made_once_and_never_that_of_another_key() {
        let mut shelf = Shelf::new(2);
        // More keys than places, so that many drive others out.
        let keys = |round: u32| (0..20_000_u32).map(move |at| (Key::of_token(u64::from(at), 0, 1), at % 1000 + round));
        for (key, position) in keys(0) {
            let mut want = vec![Block::default(); 2];
            set(&mut want, position as usize);
            assert_eq!(made(&mut shelf, key, position as usize), want);
        }
        let kept = keys(1).filter(|(key, position)| {
            let part = made(&mut shelf, *key, *position as usize);
            let mut before = vec![Block::default(); 2];
            set(&mut before, *position as usize - 1);
            part == before
        });
        let kept = kept.count();
        assert!((1_000..MOST_PARTS).contains(&kept), "{kept}");
    }

    #[test]
    fn a_part_that_could_not_be_made_is_not_kept() {
        let mut shelf = Shelf::new(1);
        let key = Key::of_value("x").unwrap();
        let bad = shelf.part(key, |part| {
            set(part, 7);
            Err("bad")
        });
        assert_eq!(bad.unwrap(), Err("bad"));
        let mut want = vec![Block::default()];
        set(&mut want, 8);
        assert_eq!(made(&mut shelf, key, 8), want);
    }

    #[test]
    fn a_shelf_keeps_its_bound_and_has_no_room_for_long_parts() {
        for blocks in 1..=MOST_PART {
            assert!(Shelf::new(blocks).parts.len() <= MOST_PARTS);
        }
        assert!(Shelf::new(MOST_PART + 1).part(Key(1), |_| Ok::<_, ()>(())).is_none());
    }

    #[test]
    fn different_values_have_different_keys() {
        let keys = ["", "\0", "\0\0", "a", "a\0", "123456789012345"].map(|value| Key::of_value(value).unwrap().0);
        assert!(keys.iter().enumerate().all(|(at, key)| *key != 0 && !keys[..at].contains(key)));
        assert_eq!(Key::of_value("1234567890123456"), None);
    }
}
