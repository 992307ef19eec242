//! What a thread remembers of a column, because registers repeat themselves: whole values and tokens with their part
//! of the filter, and tokens with their positions. All are bounded, and none changes a bit.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::filter::{Block, set};
use super::hash::Hasher;

/// Longest part that is remembered, in blocks of 64 bytes.
const MOST_PART: usize = 8;
/// What the parts of a column's values take at most, in blocks: 512 KiB. A value is soon put together again from its
/// tokens; more than the processor keeps near would cost more than it saves.
const VALUE_BLOCKS: usize = 1 << 13;
/// What the parts of a column's tokens take at most, in blocks: 2 MiB.
const TOKEN_BLOCKS: usize = 1 << 15;
/// What the positions of a column's tokens take at most: 4 MiB.
const MOST_POSITIONS: usize = 1 << 20;
/// A longer token is not remembered, in bytes.
const MOST_TOKEN: usize = 64;
/// A longer value is not remembered, in bytes.
const MOST_VALUE: usize = 15;

/// A column's memory.
pub(super) struct Memory {
    /// None if the filter is too long for parts to be remembered.
    pub(super) shelves: Option<Shelves>,
    pub(super) tokens: TokenMemory,
}

/// The parts that are remembered of a column.
pub(super) struct Shelves {
    pub(super) values: Shelf<ValueKey>,
    pub(super) grams: Shelf<GramKey>,
}

impl Memory {
    /// For a filter of so many blocks.
    pub(super) fn new(blocks: usize) -> Self {
        let shelves = || Shelves { values: Shelf::new(blocks, VALUE_BLOCKS), grams: Shelf::new(blocks, TOKEN_BLOCKS) };
        Self { shelves: (blocks <= MOST_PART).then(shelves), tokens: TokenMemory::default() }
    }
}

/// What a part belongs to. The default is nobody's.
pub(super) trait Key: Copy + Default + Eq {
    /// Spreads keys over all numbers. A bad spread costs time and nothing else, so nobody has to be kept from one.
    fn spread(self) -> u64;
}

/// A short value: its bytes, and behind them, in the last byte, their number and one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ValueKey([u64; 2]);

impl ValueKey {
    /// None if the value is too long for one.
    pub(super) fn new(value: &str) -> Option<Self> {
        let (low, high) = value.as_bytes().split_at(value.len().min(8));
        let length = (value.len() as u64 + 1) << 56;
        (value.len() <= MOST_VALUE).then(|| Self([word(low), word(high) | length]))
    }
}

impl Key for ValueKey {
    fn spread(self) -> u64 {
        let [low, high] = self.0;
        spread(spread(low).rotate_left(32) ^ high)
    }
}

/// A token of at most four bytes, its place if that counts, and how many of its positions are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GramKey(u64);

impl GramKey {
    /// Of a place below 2^8 and of 1 to 2^20 insertions.
    pub(super) fn new(token: u32, place: usize, insertions: usize) -> Self {
        Self(u64::from(token) | (place as u64) << 32 | (insertions as u64) << 40)
    }
}

impl Key for GramKey {
    fn spread(self) -> u64 {
        spread(self.0)
    }
}

/// The highest bits of the product depend on all bits.
fn spread(word: u64) -> u64 {
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// At most eight bytes as a number, the first one lowest. Two reads that overlap take the place of a loop.
fn word(bytes: &[u8]) -> u64 {
    fn two<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> u64) -> u64 {
        let read = |bytes: Option<&[u8; N]>| number(*bytes.expect("there are as many bytes as the caller has seen"));
        read(bytes.first_chunk()) | read(bytes.last_chunk()) << (8 * (bytes.len() - N))
    }
    match bytes.len() {
        0 => 0,
        1 => u64::from(bytes[0]),
        2 | 3 => two(bytes, |bytes| u64::from(u16::from_le_bytes(bytes))),
        4..=7 => two(bytes, |bytes| u64::from(u32::from_le_bytes(bytes))),
        _ => two(bytes, u64::from_le_bytes),
    }
}

/// Parts of the filter, each in the one place that its key has: what comes later to a place drives out what is there.
pub(super) struct Shelf<K> {
    keys: Vec<K>,
    parts: Vec<Block>,
    blocks: usize,
    /// The number of a key's place is its spread's highest bits.
    shift: u32,
}

/// Where on a shelf a part begins.
pub(super) type Place = u32;

impl<K: Key> Shelf<K> {
    fn new(blocks: usize, most: usize) -> Self {
        let places = most / blocks.next_power_of_two();
        let parts = vec![Block::default(); places * blocks];
        Self { keys: vec![K::default(); places], parts, blocks, shift: u64::BITS - places.ilog2() }
    }

    fn index(&self, key: K) -> usize {
        (key.spread() >> self.shift) as usize
    }

    /// The place of a key's part, if it is there.
    pub(super) fn find(&self, key: K) -> Option<Place> {
        let index = self.index(key);
        (self.keys[index] == key).then_some((index * self.blocks) as Place)
    }

    /// The place of a key's new part, which `make` makes of an empty one. If it cannot, none is there.
    pub(super) fn put<E>(&mut self, key: K, make: impl FnOnce(&mut [Block]) -> Result<(), E>) -> Result<Place, E> {
        let index = self.index(key);
        let place = index * self.blocks;
        let part = &mut self.parts[place..place + self.blocks];
        self.keys[index] = K::default();
        part.fill(Block::default());
        make(part)?;
        self.keys[index] = key;
        Ok(place as Place)
    }

    /// Lays the parts at these places over a filter.
    pub(super) fn merge(&self, places: &[Place], filter: &mut [Block]) {
        for (at, to) in filter.iter_mut().enumerate() {
            let mut all = *to;
            for place in places {
                let from = &self.parts[*place as usize + at];
                all.iter_mut().zip(from).for_each(|(to, from)| *to |= from);
            }
            *to = all;
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
    /// Sets the token's first `count` positions.
    pub(super) fn set(&mut self, hasher: &Hasher, token: &[u8], count: usize, bits: usize, part: &mut [Block]) {
        let enough = |known: &[u32]| count <= known.len() || matches!(hasher, Hasher::Double { .. });
        if let Some(known) = self.known.get(token).filter(|known| enough(known)) {
            return set_all(hasher, known, count, bits, part);
        }
        let positions = hasher.positions(token, count.max(1), bits);
        set_all(hasher, &positions, count, bits, part);
        if token.len() <= MOST_TOKEN && self.size + positions.len() <= MOST_POSITIONS {
            self.size += positions.len();
            self.known.insert(token.into(), positions.into());
        }
    }
}

fn set_all(hasher: &Hasher, positions: &[u32], count: usize, bits: usize, part: &mut [Block]) {
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

    fn with(position: usize) -> Vec<Block> {
        let mut part = vec![Block::default(); 2];
        set(&mut part, position);
        part
    }

    /// The part that the shelf has, or now makes.
    fn part(shelf: &mut Shelf<GramKey>, key: GramKey, position: usize) -> Vec<Block> {
        let make = |part: &mut [Block]| -> Result<(), ()> {
            set(part, position);
            Ok(())
        };
        let place = shelf.find(key).unwrap_or_else(|| shelf.put(key, make).unwrap());
        let mut found = vec![Block::default(); 2];
        shelf.merge(&[place], &mut found);
        found
    }

    #[test]
    fn a_part_is_kept_until_another_comes_to_its_place() {
        let mut shelf = Shelf::new(2, 1 << 10);
        // More keys than places.
        let keys = || (0..1000).map(|at| (GramKey::new(at, 0, 1), at as usize));
        for (key, at) in keys() {
            assert_eq!(part(&mut shelf, key, at), with(at));
        }
        // What is found again is the key's own; the rest is made anew.
        let kept = keys().filter(|(key, _)| shelf.find(*key).is_some()).count();
        assert!((300..=512).contains(&kept), "{kept}");
        for (key, at) in keys() {
            assert_eq!(part(&mut shelf, key, at), with(at));
        }
    }

    #[test]
    fn parts_are_laid_over_each_other_and_over_what_is_there() {
        let mut shelf = Shelf::new(2, 1 << 10);
        let keys = [1, 2].map(|at| GramKey::new(at, 0, 1));
        part(&mut shelf, keys[0], 5);
        part(&mut shelf, keys[1], 800);
        let mut filter = with(7);
        shelf.merge(&keys.map(|key| shelf.find(key).unwrap()), &mut filter);
        let mut want = with(7);
        [5, 800].iter().for_each(|at| set(&mut want, *at));
        assert_eq!(filter, want);
    }

    #[test]
    fn a_part_that_could_not_be_made_is_not_kept() {
        let mut shelf = Shelf::new(2, 1 << 10);
        let key = GramKey::new(1, 2, 3);
        let bad = shelf.put(key, |part| {
            set(part, 7);
            Err("bad")
        });
        assert_eq!(bad, Err("bad"));
        assert_eq!(shelf.find(key), None);
        assert_eq!(part(&mut shelf, key, 8), with(8));
    }

    #[test]
    fn the_parts_of_a_column_keep_their_bound() {
        for blocks in 1..=MOST_PART {
            let shelves = Memory::new(blocks).shelves.unwrap();
            assert!(shelves.values.parts.len() <= VALUE_BLOCKS && shelves.grams.parts.len() <= TOKEN_BLOCKS);
        }
        assert!(Memory::new(MOST_PART + 1).shelves.is_none());
    }

    #[test]
    fn a_value_s_key_is_its_bytes_and_their_number() {
        for length in 0..=MOST_VALUE {
            let value: String = ('a'..).take(length).collect();
            let mut bytes = [0; 16];
            bytes[..length].copy_from_slice(value.as_bytes());
            bytes[15] = length as u8 + 1;
            let all = u128::from_le_bytes(bytes);
            assert_eq!(ValueKey::new(&value), Some(ValueKey([all as u64, (all >> 64) as u64])));
        }
        assert_ne!(ValueKey::new("a"), ValueKey::new("a\0"));
        assert_eq!(ValueKey::new(&"a".repeat(MOST_VALUE + 1)), None);
    }

    #[test]
    fn a_gram_s_key_holds_all_that_tells_it_from_others() {
        let keys = [(u32::MAX, 0, 1), (0, 255, 1), (0, 0, 1 << 20), (1, 0, 1), (0, 1, 1), (0, 0, 1)];
        let keys = keys.map(|(token, place, insertions)| GramKey::new(token, place, insertions));
        assert!(keys.iter().enumerate().all(|(at, key)| *key != GramKey::default() && !keys[..at].contains(key)));
    }

    #[test]
    fn more_positions_than_before_are_found_and_remembered() {
        let (hasher, mut memory) = (Hasher::blake(b"key"), TokenMemory::default());
        let mut set = |count| {
            let mut part = [Block::default(); 2];
            memory.set(&hasher, b"token", count, 1024, &mut part);
            part
        };
        let mut want = [Block::default(); 2];
        hasher.positions(b"token", 100, 1024)[..100].iter().for_each(|at| super::set(&mut want, *at as usize));
        set(5);
        assert_eq!(set(100), want);
        assert_eq!(set(100), want);
    }
}
