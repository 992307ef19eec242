//! The Bloom filter of one code before diffusion. Every field has a constant number of insertions, so neither the
//! length of a name nor a missing date shows in the number of set bits.

use super::keys::{Numbers, Row, Seed};

/// A filter under construction, a byte a bit: bytes are set without waiting for each other. The number of bits is a
/// power of two from 64 on.
#[derive(Clone)]
pub(super) struct Filter {
    cells: Vec<u8>,
}

impl Filter {
    pub(super) fn new(bits: usize) -> Self {
        Self { cells: vec![0; bits] }
    }

    /// Bits that are all random: for a pass that cannot be made at all.
    pub(super) fn random(bits: usize, numbers: &Numbers, seed: &Seed, first_block: u32) -> Self {
        let drawn = numbers.stream(seed, first_block).take(bits);
        Self { cells: drawn.map(|number| (number & 1) as u8).collect() }
    }

    /// Sets the bit of each number of the rows.
    pub(super) fn set(&mut self, numbers: &Numbers, rows: &[Row<'_>]) {
        // Unbiased: the number of bits is a power of two up to 2^16.
        let last = self.cells.len() - 1;
        numbers.draw(rows, |number| self.cells[usize::from(number) & last] = 1);
    }

    /// The bits in words, bit 0 the most significant of the first.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        let (eights, _) = self.cells.as_chunks::<8>();
        eights.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(word.map(packed)))
    }
}

/// Eight bytes of 0 or 1 as the bits of one, the first the most significant: the product moves byte `i` to bit 63 - i,
/// and no two bytes meet there.
fn packed(eight: [u8; 8]) -> u8 {
    (u64::from_le_bytes(eight).wrapping_mul(0x8040_2010_0804_0201) >> 56) as u8
}

/// What one field, or several, put into a filter: rows of numbers under the pass's key, and rows that are random per
/// record.
pub(super) struct Strokes<'a> {
    record: &'a Seed,
    drawn: Vec<Row<'a>>,
    random: Vec<Row<'a>>,
}

impl<'a> Strokes<'a> {
    pub(super) fn new(record: &'a Seed) -> Self {
        Self { record, drawn: Vec::with_capacity(32), random: Vec::new() }
    }

    /// A field: `insertions` are shared among its slots, the remainder to the first. The shares of empty slots are
    /// random, from block `fill` of the record on, or nothing. Of the others a part is random, 0 for none of them.
    pub(super) fn add(&mut self, slots: &'a [Option<Seed>], insertions: u32, fill: Option<u32>, part: f64) {
        let (share, more) = (insertions as usize / slots.len(), insertions as usize % slots.len());
        let mut random = 0;
        for (at, slot) in slots.iter().enumerate() {
            let share = share + usize::from(at < more);
            let own = match slot {
                Some(_) => share - (share as f64 * part).round() as usize,
                None => 0,
            };
            if let Some(seed) = slot {
                self.drawn.push(Row { seed, first_block: 0, count: own });
            }
            random += share - own;
        }
        if let Some(first_block) = fill.filter(|_| random > 0) {
            self.random.push(Row { seed: self.record, first_block, count: random });
        }
    }

    pub(super) fn into(self, filter: &mut Filter, numbers: &Numbers, filler: &Numbers) {
        filter.set(numbers, &self.drawn);
        filter.set(filler, &self.random);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cell_is_the_highest_bit() {
        let mut filter = Filter::new(128);
        for at in [0, 9, 63, 127] {
            filter.cells[at] = 1;
        }
        assert!(filter.words().eq([1 << 63 | 1 << 54 | 1, 1]));
        assert!((0..=255_u8).all(|byte| packed(std::array::from_fn(|i| byte >> (7 - i) & 1)) == byte));
    }

    #[test]
    fn insertions_are_shared_whatever_the_slots() {
        let record = [9; 12];
        for (slots, part) in [(1, 0.0), (3, 0.0), (7, 0.5), (9, 0.31)] {
            for empty in 0..=slots {
                let slots: Vec<Option<Seed>> = (0..slots).map(|at| (at >= empty).then_some([at as u8; 12])).collect();
                let mut strokes = Strokes::new(&record);
                strokes.add(&slots, 100, Some(0), part);
                let count: usize = strokes.drawn.iter().chain(&strokes.random).map(|row| row.count).sum();
                assert_eq!(count, 100);
            }
        }
    }
}
