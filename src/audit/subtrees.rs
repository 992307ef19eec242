//! Roots of the complete subtrees of 256 leaves, 65,536 and so on: what a full tile stands for never changes, so that
//! a proof need not read what is below.

use std::ops::Range;

use super::tree::root_of;
use super::{Frontier, Hash, TILE_WIDTH};

const WIDTH: u64 = TILE_WIDTH as u64;

/// The hashes of tiles from level 1 on (c2sp.org/tlog-tiles), without their leaves: an eighth of a byte a leaf.
#[derive(Debug, Default)]
pub struct Subtrees {
    levels: Vec<Vec<Hash>>,
}

impl Subtrees {
    /// How many leaves are in it; always full tiles.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |roots| roots.len() as u64 * WIDTH)
    }

    /// Takes the next leaves, as far as they fill tiles.
    pub fn extend(&mut self, leaves: &[Hash]) {
        leaves.as_chunks::<TILE_WIDTH>().0.iter().for_each(|tile| self.push(root_of(tile)));
    }

    fn push(&mut self, mut root: Hash) {
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let roots = &mut self.levels[level];
            roots.push(root);
            if !roots.len().is_multiple_of(TILE_WIDTH) {
                break;
            }
            root = root_of(&roots[roots.len() - TILE_WIDTH..]);
        }
    }

    /// Hashes `range` of the tiles at `level`, from 1; `None` if not all of them are there.
    pub fn hashes(&self, level: u32, range: Range<u64>) -> Option<&[Hash]> {
        let level = self.levels.get(usize::try_from(level).ok()?.checked_sub(1)?)?;
        level.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    }

    /// Root of a part of the tree, as proofs have them; `leaves` gives leaf hashes, at most 255 of one part. Its full
    /// tiles are in here.
    ///
    /// # Errors
    /// Those of `leaves`.
    pub fn root<E>(
        &self,
        part: Range<u64>,
        leaves: impl FnOnce(Range<u64>) -> Result<Vec<Hash>, E>,
    ) -> Result<Hash, E> {
        let (mut edge, mut from) = (Vec::new(), part.start);
        for level in (1..=self.levels.len() as u32).rev() {
            // A part begins at a multiple of every full subtree in it.
            let width = WIDTH.pow(level);
            let roots = self.hashes(level, from / width..part.end / width).filter(|_| part.end - from >= width);
            if let Some(roots) = roots {
                edge.extend_from_slice(roots.iter().copied().collect::<Frontier>().edge());
                from = part.end / width * width;
            }
        }
        if from < part.end {
            edge.extend_from_slice(leaves(from..part.end)?.into_iter().collect::<Frontier>().edge());
        }
        let whole = Frontier::from_edge(part.end - part.start, edge).expect("each set bit of the size has its subtree");
        Ok(whole.root())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{
        consistency_parts, consistency_proof, inclusion_parts, inclusion_proof, leaf_hash, verify_consistency,
        verify_inclusion,
    };
    use super::*;

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    fn proves_as_all_leaves(all: &[Hash], places: &[u64]) -> Result<(), TestCaseError> {
        let (size, root, mut subtrees) = (all.len() as u64, root_of(all), Subtrees::default());
        subtrees.extend(all);
        let roots = |parts: Vec<Range<u64>>| -> Vec<Hash> {
            let mut read = 0;
            let mut leaves = |rest: Range<u64>| {
                read += rest.end - rest.start;
                Ok::<_, ()>(all[rest.start as usize..rest.end as usize].to_vec())
            };
            let roots = parts.into_iter().map(|part| subtrees.root(part, &mut leaves).unwrap()).collect();
            assert!(read < 2 * WIDTH, "{read} leaves of {size}");
            roots
        };
        for &at in places.iter().filter(|at| **at < size) {
            let proof = roots(inclusion_parts(size, at).unwrap());
            prop_assert_eq!(&proof, &inclusion_proof(all, at).unwrap(), "{} in {}", at, size);
            prop_assert_eq!(verify_inclusion(at, size, &all[at as usize], &proof, &root), Ok(()));
        }
        for &old in places.iter().filter(|old| **old <= size) {
            let proof = roots(consistency_parts(size, old).unwrap());
            prop_assert_eq!(&proof, &consistency_proof(all, old).unwrap(), "{} of {}", old, size);
            let old_root = roots(Vec::from([0..old; 1]))[0];
            prop_assert_eq!(verify_consistency((old, &old_root), (size, &root), &proof), Ok(()));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn proofs_from_subtrees_are_those_of_all_leaves(n in 0_usize..1100, at: prop::sample::Index) {
            proves_as_all_leaves(&leaves(n), &[at.index(n + 1) as u64])?;
        }
    }

    #[test]
    fn proofs_at_the_edges_of_tiles_are_those_of_all_leaves() {
        let all = leaves(65_793);
        for size in [255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, 65_793] {
            let places = [0, 255, 256, 257, size / 2, 65_535, 65_536, size - 1, size];
            proves_as_all_leaves(&all[..size as usize], &places).unwrap();
        }
    }
}
