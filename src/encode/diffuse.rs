//! Diffusion: every bit of a code is the parity of `t` secret bits of the filter. Two filters with correlation r
//! have codes with correlation r to the power t, so strangers' codes say nothing about each other.
//! Source: Armknecht, Heng, Schnell, PoPETs 2023(2) 298-311.

use std::collections::HashSet;

use ring::hmac::Key;

use super::keys::{below, shuffle, stream};

/// Swaps tried per use of a position before repair gives up; a profile whose filter has fewer sets of positions
/// than its code has bits cannot be repaired, and a handful of swaps suffice for all others.
const MOST_SWAPS: usize = 64;

/// A keyed map from filters to codes. `Debug` is not there: the map is a key.
pub(super) struct Diffusion {
    /// For every group of four filter bits, the code of each of its 16 values, one after the other: 1 MiB for the
    /// built-in profile, and a code costs 256 additions of rows.
    table: Vec<u64>,
    code_words: usize,
}

impl Diffusion {
    pub(super) fn new(key: &Key, filter_bits: usize, code_bits: usize, t: usize) -> Self {
        let code_words = code_bits / 64;
        let groups = filter_bits.div_ceil(64) * 16;
        let mut table = vec![0; groups * 16 * code_words];
        for (output, positions) in positions(key, filter_bits, code_bits, t).iter().enumerate() {
            for &position in positions {
                let (group, bit) = (position / 4, 8 >> (position % 4));
                for value in (0..16).filter(|value| value & bit != 0) {
                    table[(group * 16 + value) * code_words + output / 64] ^= 1 << (63 - output % 64);
                }
            }
        }
        Self { table, code_words }
    }

    /// The code of a filter.
    pub(super) fn apply(&self, filter: &[u64]) -> Vec<u64> {
        let mut code = vec![0; self.code_words];
        let values = filter.iter().flat_map(|word| (0..16).rev().map(move |shift| (word >> (4 * shift)) as usize & 15));
        for (rows, value) in self.table.chunks_exact(16 * self.code_words).zip(values) {
            let row = &rows[value * self.code_words..][..self.code_words];
            for (out, word) in code.iter_mut().zip(row) {
                *out ^= word;
            }
        }
        code
    }
}

/// For each bit of the code its `t` distinct filter positions, ascending. Every position is used equally often (one
/// more or less if it does not come out even), and no two bits have the same positions.
pub(super) fn positions(key: &Key, filter_bits: usize, code_bits: usize, t: usize) -> Vec<Vec<usize>> {
    let mut numbers = stream(key, b"positions");
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

/// One slot of each row that has a position twice or the positions of an earlier row.
fn faults(slots: &[usize], t: usize) -> Vec<usize> {
    let mut seen = HashSet::new();
    let mut bad = Vec::new();
    for (at, row) in slots.chunks_exact(t).enumerate() {
        let mut sorted: Vec<(usize, usize)> = row.iter().copied().zip(at * t..).collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            bad.push(twice[1].1);
        } else if !seen.insert(sorted.iter().map(|use_| use_.0).collect::<Vec<_>>()) {
            bad.push(at * t);
        }
    }
    bad
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::hmac::HMAC_SHA256;

    fn key(byte: u8) -> Key {
        Key::new(HMAC_SHA256, &[byte; 32])
    }

    #[test]
    fn positions_are_used_evenly_and_no_two_bits_are_the_same() {
        for (filter_bits, code_bits, t) in [(1024, 2048, 7), (1024, 2048, 3), (512, 1024, 5), (64, 192, 3), (64, 64, 1)]
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

    proptest! {
        #[test]
        fn the_table_is_the_parity_of_the_positions(filter in proptest::collection::vec(any::<u64>(), 4), t in 1_usize..9) {
            let key = key(3);
            let code = Diffusion::new(&key, 256, 320, t).apply(&filter);
            let bit = |words: &[u64], at: usize| words[at / 64] >> (63 - at % 64) & 1;
            for (output, positions) in positions(&key, 256, 320, t).iter().enumerate() {
                let parity = positions.iter().fold(0, |sum, &at| sum ^ bit(&filter, at));
                prop_assert_eq!(bit(&code, output), parity);
            }
        }
    }
}
