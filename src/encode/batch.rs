//! Positions in filters, drawn many at once.

use std::ptr;

use super::keys::{Block, Numbers, SIDE_BY_SIDE, Seed};

/// Blocks that wait at most.
const MOST: usize = 8 * SIDE_BY_SIDE;

/// Blocks of positions in filters that wait to be made: many at once, because the processor works at them side by side.
pub(super) struct Batch<'a> {
    /// What they wait for.
    numbers: Option<&'a Numbers>,
    blocks: [Block; MOST],
    /// Of each block the positions that are wanted, and the filters that want them.
    wanted: [(usize, u64); MOST],
    filled: usize,
    /// Bits of a position.
    width: u32,
    /// Positions of a block.
    whole: usize,
}

impl<'a> Batch<'a> {
    /// For filters of a power of two up to 2^16 bits.
    #[inline]
    pub(super) fn new(filter_bits: usize) -> Self {
        let width = filter_bits.ilog2().max(1);
        let (blocks, wanted) = ([Block::default(); MOST], [(0, 0); MOST]);
        Self { numbers: None, blocks, wanted, filled: 0, width, whole: 2 * (64 / width) as usize }
    }

    /// What is added next waits for these numbers. The bits of what waits for others are set.
    #[inline]
    pub(super) fn take(&mut self, numbers: &'a Numbers, planes: &mut [u64]) {
        if !self.numbers.is_some_and(|before| ptr::eq(before, numbers)) {
            self.draw(planes);
            self.numbers = Some(numbers);
        }
    }

    /// Adds `count` positions of a seed, from one of its blocks on, for these filters. When too many wait, their bits
    /// are set.
    #[inline]
    pub(super) fn add(&mut self, (seed, first_block): (Seed, u32), mut count: usize, filters: u64, planes: &mut [u64]) {
        let (mut number, mut at) = (first_block, self.filled);
        while count > 0 {
            let (Some(block), Some(wanted)) = (self.blocks.get_mut(at), self.wanted.get_mut(at)) else {
                self.filled = at;
                self.draw(planes);
                at = 0;
                continue;
            };
            let now = count.min(self.whole);
            *block = seed.block(number);
            *wanted = (now, filters);
            at += 1;
            count -= now;
            number += 1;
        }
        self.filled = at;
    }

    /// Sets the bits of all that waits. Plane `b` has bit `b` of each filter.
    pub(super) fn draw(&mut self, planes: &mut [u64]) {
        let Some(numbers) = self.numbers else { return };
        // Eight at once are as quick as one: what is beyond the last is of no use, and never looked at.
        numbers.draw(&mut self.blocks[..self.filled.next_multiple_of(SIDE_BY_SIDE)]);
        let drawn = self.blocks[..self.filled].iter().zip(&self.wanted);
        // The widths of the built-in profile: what is known beforehand has no bounds to look at.
        match (self.width, planes.len()) {
            (8, 256) => drawn.for_each(|(block, wanted)| set(8, block, wanted, &mut planes[..256])),
            (9, 512) => drawn.for_each(|(block, wanted)| set(9, block, wanted, &mut planes[..512])),
            (10, 1024) => drawn.for_each(|(block, wanted)| set(10, block, wanted, &mut planes[..1024])),
            (width, _) => drawn.for_each(|(block, wanted)| set(width, block, wanted, planes)),
        }
        self.filled = 0;
    }
}

/// Sets as many positions of a block as are wanted, in the filters that want them.
#[inline(always)]
fn set(width: u32, block: &Block, &(mut left, filters): &(usize, u64), planes: &mut [u64]) {
    let (per_half, last) = ((64 / width) as usize, planes.len() - 1);
    let [one, other] = block.as_chunks::<8>().0 else { unreachable!("a block has 16 bytes") };
    for half in [one, other] {
        let mut half = u64::from_be_bytes(*half);
        let mut set = |_| {
            planes[half as usize & last] |= filters;
            half >>= width;
        };
        // A number of times that is known beforehand is quicker.
        if left < per_half {
            return (0..left).for_each(set);
        }
        (0..per_half).for_each(&mut set);
        left -= per_half;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions of one block: as many as each half of it has, from the low end.
    fn positions(numbers: &Numbers, seed: Seed, counter: u32, width: u32) -> Vec<usize> {
        let block: Vec<u64> = numbers.stream(seed, counter).take(8).map(u64::from).collect();
        let half = |half: &[u64]| half.iter().fold(0_u64, |all, number| all << 16 | number);
        let of_half = |half: u64| (0..64 / width).map(move |at| (half >> (at * width)) as usize & ((1 << width) - 1));
        block.chunks(4).flat_map(|numbers| of_half(half(numbers))).collect()
    }

    #[test]
    fn what_waits_is_set_in_the_filters_that_want_it() {
        let numbers = Numbers::new(&[7; 32]);
        for (bits, width) in [(256, 8), (512, 9), (1024, 10), (1 << 16, 16), (64, 6)] {
            let mut want = vec![0; bits];
            let mut got = vec![0; bits];
            let mut batch = Batch::new(bits);
            for (seed, first, count, filters) in [(1, 0, 11, 1), (2, 5, 3, 2), (1, 9, 1_500, 4), (3, 1, 0, 8)] {
                let seed = Seed::from([seed; 12]);
                batch.take(&numbers, &mut got);
                batch.add((seed, first), count, filters, &mut got);
                let all = (first..).flat_map(|counter| positions(&numbers, seed, counter, width));
                all.take(count).for_each(|at| want[at] |= filters);
            }
            batch.draw(&mut got);
            assert_eq!(got, want, "{bits}");
            batch.draw(&mut got);
            assert_eq!(got, want, "nothing waits any more");
        }
    }
}
