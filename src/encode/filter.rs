//! The Bloom filters of codes before diffusion, many of them side by side. Every field has a constant number of
//! insertions, so neither the length of a name nor a missing date shows in the number of set bits.

use super::batch::Batch;
use super::diffuse::transpose;
use super::keys::{Numbers, Seed};

/// Filters that a sheet has room for.
const SIDE: u32 = u64::BITS;

/// Filters of a sheet: the first is the most significant bit.
pub(super) type Filters = u64;

/// Up to 64 filters under construction: plane `b` has bit `b` of each, so that what goes into several filters is drawn
/// once, and diffusion works on all of them with one XOR. The number of bits is a power of two from 64 on.
pub(super) struct Sheet<'a> {
    planes: Vec<u64>,
    used: u32,
    /// Of tokens, under the numbers of the pass or its place.
    drawn: Batch<'a>,
    /// Of what is random in a record.
    random: Batch<'a>,
}

impl<'a> Sheet<'a> {
    #[inline]
    pub(super) fn new(bits: usize) -> Self {
        Self { planes: vec![0; bits], used: 0, drawn: Batch::new(bits), random: Batch::new(bits) }
    }

    /// Whether `count` filters more find room.
    #[inline]
    pub(super) fn has_room(&self, count: usize) -> bool {
        count <= (SIDE - self.used) as usize
    }

    /// The next filter, empty. There must be room.
    #[inline]
    pub(super) fn next(&mut self) -> Filters {
        self.used += 1;
        1 << (SIDE - self.used)
    }

    /// Insertions that are all random: for a pass that cannot be made at all.
    pub(super) fn randomize(
        &mut self,
        filter: Filters,
        filler: &'a Numbers,
        (record, block): (Seed, u32),
        insertions: u32,
    ) {
        self.random.take(filler, &mut self.planes);
        self.random.add((record, block), insertions as usize, filter, &mut self.planes);
    }

    /// A field: `insertions` are shared among its slots, the remainder to the first. The shares of empty slots are
    /// random, from block `fill` of the record on, or nothing. Of the others a part is random, 0 for none of them.
    #[inline]
    pub(super) fn add(&mut self, ink: Ink<'a>, field: Strokes<'_>) {
        let Strokes { slots, insertions, first_block, fill, part, record, filters } = field;
        let count = slots.len() as u32;
        let (share, more) = ((insertions / count) as usize, (insertions % count) as usize);
        // Of a share, those that are drawn of the token.
        let own = |share: usize| if part > 0.0 { share - (share as f64 * part).round() as usize } else { share };
        let (less, greater) = (own(share), own(share + 1));
        let mut random = insertions as usize;
        self.drawn.take(ink.numbers, &mut self.planes);
        let (first, others) = slots.split_at(more);
        for (slots, own) in [(first, greater), (others, less)] {
            for seed in slots.iter().flatten() {
                self.drawn.add((seed.with_parts(ink.parts), first_block), own, filters, &mut self.planes);
                random -= own;
            }
        }
        if let Some(first_block) = fill
            && random > 0
        {
            self.random.take(ink.filler, &mut self.planes);
            self.random.add((record, first_block), random, filters, &mut self.planes);
        }
    }

    /// Bit `b` of all filters, for each `b`.
    #[inline]
    pub(super) fn planes(&mut self) -> &[u64] {
        self.drawn.draw(&mut self.planes);
        self.random.draw(&mut self.planes);
        &self.planes
    }

    /// How many filters there are.
    pub(super) fn used(&self) -> usize {
        self.used as usize
    }

    /// The filters one by one, bit 0 the most significant of the first word.
    pub(super) fn filters(&mut self) -> Vec<Vec<u64>> {
        let mut filters = vec![Vec::with_capacity(self.planes.len() / 64); self.used()];
        for square in self.planes().as_chunks::<64>().0 {
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

/// What positions are drawn with: those of tokens, and those that are random in a record.
#[derive(Clone, Copy)]
pub(super) struct Ink<'a> {
    pub(super) numbers: &'a Numbers,
    /// What the tokens' numbers are keyed with besides; 0 for nothing.
    pub(super) parts: u64,
    pub(super) filler: &'a Numbers,
}

/// What one field puts into filters.
pub(super) struct Strokes<'a> {
    pub(super) slots: &'a [Option<Seed>],
    pub(super) insertions: u32,
    /// Where the tokens' numbers begin.
    pub(super) first_block: u32,
    /// Where the record's random numbers for it begin, if missing shares are filled.
    pub(super) fill: Option<u32>,
    /// How much of the shares that are there is random all the same.
    pub(super) part: f64,
    pub(super) record: Seed,
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

    fn strokes<'a>(slots: &'a [Option<Seed>], insertions: u32, part: f64, filters: Filters) -> Strokes<'a> {
        Strokes { slots, insertions, first_block: 0, fill: Some(7), part, record: [4; 12].into(), filters }
    }

    #[test]
    fn what_goes_into_two_filters_is_the_same_in_both() {
        let (numbers, filler) = (numbers(1), numbers(2));
        let ink = Ink { numbers: &numbers, parts: 0, filler: &filler };
        let mut sheet = Sheet::new(256);
        let (one, both) = (sheet.next(), sheet.next());
        sheet.add(ink, strokes(&[Some([3; 12].into()), None], 40, 0.0, one | both));
        let filters = sheet.filters();
        assert_eq!(filters[0], filters[1]);
        assert!(filters[0].iter().any(|word| *word != 0));
        // Once drawn, nothing waits for the next record.
        let next = sheet.next();
        assert!(sheet.planes().iter().all(|plane| plane & next == 0));
    }

    #[test]
    fn insertions_are_shared_whatever_the_slots() {
        // A filter so long that two insertions hardly meet.
        const BITS: usize = 1 << 16;
        let (numbers, filler) = (numbers(1), numbers(2));
        let ink = Ink { numbers: &numbers, parts: 0, filler: &filler };
        for (count, part) in [(1, 0.0), (3, 0.0), (7, 0.5), (9, 0.31)] {
            for empty in 0..=count {
                let slots: Vec<Option<Seed>> =
                    (0..count).map(|at| (at >= empty).then_some([at as u8; 12].into())).collect();
                let mut sheet = Sheet::new(BITS);
                let filter = sheet.next();
                sheet.add(ink, strokes(&slots, 100, part, filter));
                let set = sheet.planes().iter().filter(|plane| **plane != 0).count();
                assert!((97..=100).contains(&set), "{set} of {count} slots, {empty} empty");
            }
        }
    }
}
