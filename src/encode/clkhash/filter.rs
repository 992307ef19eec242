//! Parts of a filter: setting positions, laying parts over each other, and folding the whole into a CLK.

/// Bits of a block.
pub(super) const BLOCK_BITS: usize = 512;

/// A stretch of a filter. Its little-endian bytes are those of the CLK, whose position 0 is the highest bit of the
/// first byte.
pub(super) type Block = [u64; BLOCK_BITS / 64];

/// Blocks of a filter of so many bits.
pub(super) fn blocks(bits: usize) -> usize {
    bits.div_ceil(BLOCK_BITS)
}

pub(super) fn set(part: &mut [Block], position: usize) {
    // The places in a word run from its first byte to its last, and in each byte from the highest bit to the lowest.
    part[position / BLOCK_BITS][position / 64 % (BLOCK_BITS / 64)] |= 1 << ((position % 64) ^ 7);
}

/// Writes a filter as a CLK: halves laid over each other by XOR until `clk_bits` are left. That is the XOR of all
/// stretches of that length.
pub(super) fn fold(filter: &[Block], bits: usize, clk_bits: usize, clk: &mut Vec<u8>) {
    let words = filter.as_flattened();
    let bytes = |clk: &mut Vec<u8>| {
        clk.clear();
        clk.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        clk.truncate(bits.div_ceil(8));
    };
    if bits == clk_bits {
        return bytes(clk);
    }
    let mut filter = Vec::new();
    bytes(&mut filter);
    clk.clear();
    clk.resize(clk_bits.div_ceil(8), 0);
    if clk_bits.is_multiple_of(8) {
        for stretch in filter.chunks_exact(clk.len()) {
            clk.iter_mut().zip(stretch).for_each(|(to, from)| *to ^= from);
        }
        return;
    }
    for position in (0..bits).filter(|position| filter[position / 8] & (0x80 >> (position % 8)) != 0) {
        let to = position % clk_bits;
        clk[to / 8] ^= 0x80 >> (to % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_0_is_the_highest_bit_of_the_first_byte() {
        for position in 0..1024 {
            let mut filter = [Block::default(); 2];
            set(&mut filter, position);
            let mut clk = Vec::new();
            fold(&filter, 1024, 1024, &mut clk);
            let mut want = [0; 128];
            want[position / 8] = 0x80 >> (position % 8);
            assert_eq!(clk, want);
        }
    }

    #[test]
    fn folds_are_the_xor_of_the_stretches() {
        for (bits, clk_bits) in [(1024, 256), (800, 100), (24, 3)] {
            let mut filter = [Block::default(); 2];
            let positions = [1, clk_bits + 1, clk_bits + 2, bits - 1];
            positions.iter().for_each(|position| set(&mut filter, *position));
            let mut clk = Vec::new();
            fold(&filter, bits, clk_bits, &mut clk);
            let mut want = vec![0_u8; clk_bits.div_ceil(8)];
            positions.iter().map(|position| position % clk_bits).for_each(|at| want[at / 8] ^= 0x80 >> (at % 8));
            assert_eq!(clk, want);
        }
    }
}
