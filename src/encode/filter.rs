//! The Bloom filters of codes before diffusion, many of them side by side. Every field has a constant number of
//! insertions, so neither the length of a name nor a missing date shows in the number of set bits.

use super::diffuse::transpose;
use super::keys::{Batch, Numbers, Row, Seed};

/// Filters that a sheet has room for.
const SIDE: u32 = u64::BITS;

/// Filters of a sheet: the first is the most significant bit.
pub(super) type Filters = u64;

/// Up to 64 filters under construction: plane `b` has bit `b` of each, so that what goes into several filters is drawn
/// once, and diffusion works on all of them with one XOR. The number of bits is a power of two from 64 on.
pub(super) struct Sheet {
    planes: Vec<u64>,
    used: u32,
    drawn: Vec<Row>,
    random: Vec<Row>,
    batch: Batch,
}

impl Sheet {
    pub(super) fn new(bits: usize) -> Self {
        Self { planes: vec![0; bits], used: 0, drawn: Vec::new(), random: Vec::new(), batch: Batch::default() }
    }

    /// Whether `count` filters more find room.
    pub(super) fn has_room(&self, count: usize) -> bool {
        count <= (SIDE - self.used) as usize
    }

    /// The next filter, empty. There must be room.
    pub(super) fn next(&mut self) -> Filters {
        self.used += 1;
        1 << (SIDE - self.used)
    }

    /// Bits that are all random: for a pass that cannot be made at all.
    pub(super) fn randomize(&mut self, filter: Filters, numbers: &Numbers, seed: &Seed, first_block: u32) {
        let drawn = numbers.stream(seed, first_block);
        self.planes.iter_mut().zip(drawn).for_each(|(plane, number)| *plane |= filter * u64::from(number & 1));
    }

    /// A field: `insertions` are shared among its slots, the remainder to the first. The shares of empty slots are
    /// random, from block `fill` of the record on, or nothing. Of the others a part is random, 0 for none of them.
    /// Nothing is in the filters before [`Sheet::draw`].
    pub(super) fn add(&mut self, field: Strokes<'_>) {
        let Strokes { slots, insertions, fill, part, record, filters } = field;
        let (share, more) = (insertions as usize / slots.len(), insertions as usize % slots.len());
        let mut random = 0;
        for (at, slot) in slots.iter().enumerate() {
            let share = share + usize::from(at < more);
            let own = match slot {
                Some(_) => share - (share as f64 * part).round() as usize,
                None => 0,
            };
            if let Some(seed) = slot {
                self.drawn.push(Row { seed: *seed, first_block: 0, count: own, filters });
            }
            random += share - own;
        }
        if let Some(first_block) = fill.filter(|_| random > 0) {
            self.random.push(Row { seed: *record, first_block, count: random, filters });
        }
    }

    /// Sets the bits of all fields that wait: of tokens under the pass's numbers, of what is random under `filler`.
    pub(super) fn draw(&mut self, numbers: &Numbers, filler: &Numbers) {
        // Unbiased: the number of bits is a power of two up to 2^16.
        let last = self.planes.len() - 1;
        for (numbers, rows) in [(numbers, &mut self.drawn), (filler, &mut self.random)] {
            numbers.draw(rows, &mut self.batch, |number, filters| self.planes[usize::from(number) & last] |= filters);
            rows.clear();
        }
    }

    /// Bit `b` of all filters, for each `b`.
    pub(super) fn planes(&self) -> &[u64] {
        &self.planes
    }

    /// How many filters there are.
    pub(super) fn used(&self) -> usize {
        self.used as usize
    }

    /// The filters one by one, bit 0 the most significant of the first word.
    pub(super) fn filters(&self) -> Vec<Vec<u64>> {
        let mut filters = vec![Vec::with_capacity(self.planes.len() / 64); self.used()];
        for square in self.planes.as_chunks::<64>().0 {
            let mut square = *square;
            transpose(&mut square);
            filters.iter_mut().zip(square).for_each(|(filter, word)| filter.push(word));
        }
        filters
    }

    /// Makes all filters empty, and room for others.
    pub(super) fn clear(&mut self) {
        self.planes.fill(0);
        self.used = 0;
    }
}

/// What one field puts into filters.
pub(super) struct Strokes<'a> {
    pub(super) slots: &'a [Option<Seed>],
    pub(super) insertions: u32,
    /// Where the record's random numbers for it begin, if missing shares are filled.
    pub(super) fill: Option<u32>,
    /// How much of the shares that are there is random all the same.
    pub(super) part: f64,
    pub(super) record: &'a Seed,
    pub(super) filters: Filters,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(key: u8) -> Numbers {
        Numbers::new(&[key; 32])
    }

    #[test]
    fn the_first_plane_is_the_highest_bit_of_each_filter() {
        let mut sheet = Sheet::new(128);
        let (one, other) = (sheet.next(), sheet.next());
        for (at, filters) in [(0, one), (9, one | other), (63, other), (127, one)] {
            sheet.planes[at] = filters;
        }
        assert_eq!(sheet.filters(), [vec![1 << 63 | 1 << 54, 1], vec![1 << 54 | 1, 0]]);
        sheet.clear();
        assert!(sheet.filters().is_empty() && sheet.planes().iter().all(|plane| *plane == 0));
    }

    #[test]
    fn a_sheet_has_room_for_64() {
        let mut sheet = Sheet::new(64);
        let all = (0..64).fold(0, |all, _| {
            assert!(sheet.has_room(1));
            all | sheet.next()
        });
        assert!(all == u64::MAX && !sheet.has_room(1));
    }

    #[test]
    fn what_goes_into_two_filters_is_the_same_in_both() {
        let (numbers, filler) = (numbers(1), numbers(2));
        let slots = [Some([3; 12]), None];
        let strokes =
            |filters| Strokes { slots: &slots, insertions: 40, fill: Some(7), part: 0.0, record: &[4; 12], filters };
        let mut sheet = Sheet::new(256);
        let (one, both) = (sheet.next(), sheet.next());
        sheet.add(strokes(one | both));
        sheet.draw(&numbers, &filler);
        let filters = sheet.filters();
        assert_eq!(filters[0], filters[1]);
        assert!(filters[0].iter().any(|word| *word != 0));
        // Once drawn, nothing waits for the next record.
        let next = sheet.next();
        sheet.draw(&numbers, &filler);
        assert!(sheet.planes().iter().all(|plane| plane & next == 0));
    }

    #[test]
    fn insertions_are_shared_whatever_the_slots() {
        for (slots, part) in [(1, 0.0), (3, 0.0), (7, 0.5), (9, 0.31)] {
            for empty in 0..=slots {
                let slots: Vec<Option<Seed>> = (0..slots).map(|at| (at >= empty).then_some([at as u8; 12])).collect();
                let mut sheet = Sheet::new(64);
                sheet.add(Strokes {
                    slots: &slots,
                    insertions: 100,
                    fill: Some(0),
                    part,
                    record: &[9; 12],
                    filters: 1,
                });
                let count: usize = sheet.drawn.iter().chain(&sheet.random).map(|row| row.count).sum();
                assert_eq!(count, 100);
            }
        }
    }
}
