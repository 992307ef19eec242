//! Diffusion: every bit of a code is the parity of `t` secret bits of the filter. Two filters with correlation r
//! have codes with correlation r to the power t, so strangers' codes say nothing about each other.
//! Source: Armknecht, Heng, Schnell, PoPETs 2023(2) 298-311.

use std::ops::RangeInclusive;

use foldhash::HashSet;

use super::filter::Sheet;
use super::keys::{Numbers, below, shuffle};

/// Swaps tried per use of a position before repair gives up; a profile whose filter has fewer sets of positions
/// than its code has bits cannot be repaired, and a handful of swaps suffice for all others.
const MOST_SWAPS: usize = 64;

/// A keyed map from filters to codes. `Debug` is not there: the map is a key.
pub(super) struct Diffusion {
    /// `t` positions a bit of the code.
    positions: Vec<u16>,
    t: usize,
}

impl Diffusion {
    /// `filter_bits` and `code_bits` are multiples of 64 and at most 2^16.
    pub(super) fn new(numbers: &Numbers, filter_bits: usize, code_bits: usize, t: usize) -> Self {
        let positions = positions(numbers, filter_bits, code_bits, t).concat();
        let narrow = |at: usize| u16::try_from(at).expect("a filter has at most 2^16 bits");
        Self { positions: positions.into_iter().map(narrow).collect(), t }
    }

    /// Appends the codes of a sheet's filters, one after the other.
    #[inline]
    pub(super) fn apply(&self, sheet: &mut Sheet, codes: &mut Vec<u64>) {
        let (words, begin) = (self.positions.len() / (64 * self.t), codes.len());
        codes.resize(begin + sheet.used() * words, 0);
        let planes = sheet.planes();
        for (at, positions) in self.positions.chunks_exact(64 * self.t).enumerate() {
            let mut square = [0; 64];
            for (bit, positions) in square.iter_mut().zip(positions.chunks_exact(self.t)) {
                *bit = positions.iter().fold(0, |parity, at| parity ^ planes[usize::from(*at)]);
            }
            transpose(&mut square);
            codes[begin..].chunks_exact_mut(words).zip(square).for_each(|(code, word)| code[at] = word);
        }
    }
}

/// Bit `j` of row `i` becomes bit `i` of row `j`, bit 0 the most significant: halves change places, then quarters in
/// each, and so on. Source: Warren, Hacker's Delight, 7-3.
#[inline]
pub(super) fn transpose(square: &mut [u64; 64]) {
    exchange::<32>(square, u64::MAX >> 32);
    exchange::<16>(square, 0x0000_ffff_0000_ffff);
    exchange::<8>(square, 0x00ff_00ff_00ff_00ff);
    exchange::<4>(square, 0x0f0f_0f0f_0f0f_0f0f);
    exchange::<2>(square, 0x3333_3333_3333_3333);
    exchange::<1>(square, 0x5555_5555_5555_5555);
}

#[inline]
fn exchange<const HALF: usize>(square: &mut [u64; 64], mask: u64) {
    for rows in square.chunks_exact_mut(2 * HALF) {
        let (upper, lower) = rows.split_at_mut(HALF);
        for (upper, lower) in upper.iter_mut().zip(lower) {
            let swapped = (*upper ^ *lower >> HALF) & mask;
            *upper ^= swapped;
            *lower ^= swapped << HALF;
        }
    }
}

/// For each bit of the code its `t` distinct filter positions, ascending. Every position is used equally often (one
/// more or less if it does not come out even), and no two bits have the same positions. For t of 3 to 8 no two share all
/// but one either: their parity would be that of two filter bits, whose bias a city's codes would show.
fn positions(numbers: &Numbers, filter_bits: usize, code_bits: usize, t: usize) -> Vec<Vec<usize>> {
    let mut numbers = numbers.stream([0; 12].into(), 0);
    let uses = code_bits * t;
    // Who gets the one more is drawn as well.
    let mut once: Vec<usize> = (0..filter_bits).collect();
    shuffle(&mut once, &mut numbers);
    let mut slots: Vec<usize> = once.into_iter().cycle().take(uses).collect();
    shuffle(&mut slots, &mut numbers);

    let mut left = MOST_SWAPS * uses;
    while left > 0 {
        let bad = faults(&slots, t);
        if bad.is_empty() {
            break;
        }
        for slot in bad {
            left = left.saturating_sub(1);
            slots.swap(slot, below(&mut numbers, uses));
        }
    }
    let sorted = |row: &[usize]| {
        let mut row = row.to_vec();
        row.sort_unstable();
        row
    };
    slots.chunks_exact(t).map(sorted).collect()
}

/// Diffusions where two bits could share all but one of their positions: of more, two hardly ever do.
const MAY_SHARE: RangeInclusive<usize> = 3..=8;

/// One slot of each row that has a position twice, or too many positions of an earlier row.
fn faults(slots: &[usize], t: usize) -> Vec<usize> {
    let mut seen = HashSet::default();
    let mut bad = Vec::new();
    for (at, row) in slots.chunks_exact(t).enumerate() {
        let mut sorted: Vec<(usize, usize)> = row.iter().copied().zip(at * t..).collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            bad.push(twice[1].1);
            continue;
        }
        let row: Vec<usize> = sorted.iter().map(|slot| slot.0).collect();
        let without = |left_out: usize| [&row[..left_out], &row[left_out + 1..]].concat();
        let shared: Vec<_> = if MAY_SHARE.contains(&t) { (0..t).map(without).collect() } else { vec![row] };
        match shared.iter().position(|positions| seen.contains(positions)) {
            // A position that is shared, not the one that was left out.
            Some(left_out) => bad.push(sorted[(left_out + 1) % t].1),
            None => seen.extend(shared),
        }
    }
    bad
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> Numbers {
        Numbers::new(&[byte; 32])
    }

    #[test]
    fn positions_are_used_evenly_and_no_two_bits_are_the_same() {
        for (filter_bits, code_bits, t) in
            [(1024, 1024, 7), (1024, 512, 3), (512, 512, 6), (256, 256, 3), (64, 64, 3), (64, 64, 1)]
        {
            let map = positions(&key(1), filter_bits, code_bits, t);
            let mut uses = vec![0; filter_bits];
            for row in &map {
                assert!(row.len() == t && row.is_sorted_by(|a, b| a < b));
                row.iter().for_each(|&position| uses[position] += 1);
            }
            let even = code_bits * t / filter_bits;
            assert!(uses.iter().all(|&n| n == even || (n == even + 1 && code_bits * t % filter_bits != 0)));
            assert_eq!(map.iter().collect::<HashSet<_>>().len(), code_bits);
            let shared = |a: &[usize], b: &[usize]| a.iter().filter(|position| b.contains(position)).count();
            let pairs = map.iter().enumerate().flat_map(|(at, a)| map[..at].iter().map(move |b| shared(a, b)));
            assert!(t < 3 || pairs.max() <= Some(t - 2), "{t}");
        }
    }

    #[test]
    fn an_impossible_map_still_ends() {
        assert_eq!(positions(&key(1), 2, 64, 2).len(), 64);
    }

    #[test]
    fn another_key_is_another_map() {
        let (one, other) = (positions(&key(1), 1024, 2048, 7), positions(&key(2), 1024, 2048, 7));
        assert!(one.iter().zip(&other).filter(|(a, b)| a == b).count() < 5);
    }

    #[test]
    fn a_square_is_turned_about_its_diagonal() {
        let square: [u64; 64] = std::array::from_fn(|row| (row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut turned = square;
        transpose(&mut turned);
        let bit = |square: &[u64; 64], row: usize, at: usize| square[row] >> (63 - at) & 1;
        assert!((0..64).all(|i| (0..64).all(|j| bit(&turned, i, j) == bit(&square, j, i))));
    }

    proptest! {
        #[test]
        fn a_code_bit_is_the_parity_of_its_positions(filters in 0_usize..=64, t in 1_usize..9) {
            let key = key(3);
            let mut sheet = Sheet::new(256);
            for at in 0..filters {
                let filter = sheet.next();
                sheet.randomize(filter, &key, ([at as u8; 12].into(), 0), 150);
            }
            let mut codes = vec![u64::MAX];
            Diffusion::new(&key, 256, 320, t).apply(&mut sheet, &mut codes);
            prop_assert_eq!(codes.len(), 1 + filters * 5, "what was there stays");
            let bit = |words: &[u64], at: usize| words[at / 64] >> (63 - at % 64) & 1;
            let positions = positions(&key, 256, 320, t);
            for (filter, code) in sheet.filters().iter().zip(codes[1..].chunks_exact(5)) {
                for (output, positions) in positions.iter().enumerate() {
                    let parity = positions.iter().fold(0, |sum, &at| sum ^ bit(filter, at));
                    prop_assert_eq!(bit(code, output), parity);
                }
            }
        }
    }
}
