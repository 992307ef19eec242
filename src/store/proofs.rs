//! Tiles and proofs of the log that is signed. A proof reads some hundreds of leaf hashes: the roots of full tiles are
//! kept in memory, where the first who asks after a start puts them.

use std::ops::Range;
use std::sync::{PoisonError, RwLockReadGuard};

use rusqlite::Row;

use super::log::{int, not_as_signed};
use super::{Store, StoreError};
use crate::audit::{
    AuditError, Checkpoint, Hash, Subtrees, TILE_WIDTH, consistency_parts, inclusion_parts, verify_consistency,
    verify_inclusion,
};

/// Leaf hashes that are read at once for the roots of their tiles: 2 MiB.
const AT_ONCE: u64 = 65_536;

/// That one entry is in the log of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    pub index: u64,
    pub leaf: Hash,
    pub proof: Vec<Hash>,
    pub checkpoint: String,
}

/// That the log of a checkpoint extends the one of `old_size` entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    pub old_size: u64,
    pub proof: Vec<Hash>,
    pub checkpoint: String,
}

impl Store {
    /// Hashes `range` of a level of tiles (c2sp.org/tlog-tiles): leaves, or roots of 256 hashes of the level below, all
    /// under the newest checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Entry`] if the log is smaller; [`StoreError::Damaged`] as for proofs, as far as it shows here.
    pub fn hashes(&self, level: u32, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.noticed(self.hashes_of(level, range))
    }

    fn hashes_of(&self, level: u32, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        let size = self.log_size()?;
        let beyond = || AuditError::OutOfRange { index: range.end, size };
        let width = (TILE_WIDTH as u64).checked_pow(level).ok_or_else(beyond)?;
        range.end.checked_mul(width).filter(|end| *end <= size).ok_or_else(beyond)?;
        if level == 0 {
            return self.leaves(range);
        }
        let subtrees = self.subtrees(size)?;
        Ok(subtrees.hashes(level, range.clone()).ok_or_else(beyond)?.to_vec())
    }

    /// Proof that entry `index` is in the log of the newest checkpoint. It was checked against the root.
    ///
    /// # Errors
    /// [`StoreError::Entry`] if there is no such entry; [`StoreError::Damaged`] if the log is not the one that was
    /// signed, and every write is refused then.
    pub fn inclusion(&self, index: u64) -> Result<InclusionProof, StoreError> {
        self.noticed(self.inclusion_of(index))
    }

    fn inclusion_of(&self, index: u64) -> Result<InclusionProof, StoreError> {
        let (checkpoint, Checkpoint { size, root, .. }) = self.signed()?;
        let parts = inclusion_parts(size, index)?;
        let mut roots = self.roots(size, std::iter::once(index..index + 1).chain(parts))?;
        let leaf = roots.remove(0);
        verify_inclusion(index, size, &leaf, &roots, &root).map_err(|_| not_as_signed())?;
        Ok(InclusionProof { index, leaf, proof: roots, checkpoint })
    }

    /// Proof that the log of the newest checkpoint extends the one of `old_size` entries. It was checked against the
    /// root.
    ///
    /// # Errors
    /// [`StoreError::Entry`] if the log is smaller than `old_size`; [`StoreError::Damaged`] as [`Store::inclusion`].
    pub fn consistency(&self, old_size: u64) -> Result<ConsistencyProof, StoreError> {
        self.noticed(self.consistency_of(old_size))
    }

    fn consistency_of(&self, old_size: u64) -> Result<ConsistencyProof, StoreError> {
        let (checkpoint, Checkpoint { size, root, .. }) = self.signed()?;
        let parts = consistency_parts(size, old_size)?;
        let mut roots = self.roots(size, std::iter::once(0..old_size).chain(parts))?;
        let old = roots.remove(0);
        verify_consistency((old_size, &old), (size, &root), &roots).map_err(|_| not_as_signed())?;
        Ok(ConsistencyProof { old_size, proof: roots, checkpoint })
    }

    /// Roots of parts of the log of this size.
    fn roots(&self, size: u64, parts: impl Iterator<Item = Range<u64>>) -> Result<Vec<Hash>, StoreError> {
        let subtrees = self.subtrees(size)?;
        parts.map(|part| subtrees.root(part, |rest| self.leaves(rest))).collect()
    }

    /// Roots of the full tiles of a log of this size, as far as they were not there yet from its leaves. The log only
    /// grows, so what is there stays right.
    fn subtrees(&self, size: u64) -> Result<RwLockReadGuard<'_, Subtrees>, StoreError> {
        let known = || self.subtrees.read().unwrap_or_else(PoisonError::into_inner);
        let full = size - size % TILE_WIDTH as u64;
        if known().size() < full {
            let mut subtrees = self.subtrees.write().unwrap_or_else(PoisonError::into_inner);
            while subtrees.size() < full {
                let from = subtrees.size();
                subtrees.extend(&self.leaves(from..full.min(from + AT_ONCE))?);
            }
        }
        Ok(known())
    }

    /// Leaf hashes in order, all of them.
    fn leaves(&self, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        let (from, to) = (int(range.start)?, int(range.end)?);
        let hash = |row: &Row<'_>| row.get::<_, [u8; 32]>(0).map(Hash::from);
        let leaves: Vec<Hash> = self.read(|db| {
            let mut query = db.prepare_cached("SELECT hash FROM leaf WHERE idx >= ?1 AND idx < ?2 ORDER BY idx")?;
            Ok(query.query_map([from, to], hash)?.collect::<Result<_, _>>()?)
        })?;
        if leaves.len() as u64 == range.end - range.start { Ok(leaves) } else { Err(not_as_signed()) }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::fixture::{Reading, entry, folder, open, open_in};
    use super::*;
    use crate::audit::{Tiles, consistency_proof, inclusion_proof};

    fn grow(store: &Store, by: u64) {
        store.write(move |tx| (0..by).try_for_each(|_| tx.append(&entry()).map(drop))).unwrap();
    }

    /// Each is checked against the signed root where it is made.
    fn proves_as_from_all_leaves(store: &Store, places: &[u64]) {
        let leaves = store.leaves(0..store.log_size().unwrap()).unwrap();
        let size = leaves.len() as u64;
        for &at in places.iter().filter(|at| **at < size) {
            let found = store.inclusion(at).unwrap();
            assert_eq!((found.leaf, found.proof), (leaves[at as usize], inclusion_proof(&leaves, at).unwrap()));
        }
        for &old in places.iter().filter(|old| **old <= size) {
            let found = store.consistency(old).unwrap();
            assert_eq!(found.proof, consistency_proof(&leaves, old).unwrap(), "{old} of {size}");
        }
        let beyond = |error| matches!(error, StoreError::Entry(AuditError::OutOfRange { .. }));
        assert!(beyond(store.inclusion(size).unwrap_err()) && beyond(store.consistency(size + 1).unwrap_err()));
    }

    #[test]
    fn proofs_are_those_of_all_leaves_as_the_log_grows_and_after_a_start() {
        let home = folder();
        let store = open(&home);
        proves_as_from_all_leaves(&store, &[0]);
        let places = [0, 1, 7, 128, 254, 255, 256, 257, 511, 512, 513, 600, 767, 768];
        for by in [1, 6, 248, 1, 1, 1, 253, 1, 1, 255] {
            grow(&store, by);
            proves_as_from_all_leaves(&store, &places);
        }
        assert_eq!(store.log_size().unwrap(), 768);
        drop(store);
        proves_as_from_all_leaves(&open_in(home.path()), &places);
    }

    #[test]
    fn hashes_of_a_tile_are_those_that_a_maker_of_tiles_makes() {
        let home = folder();
        let store = open(&home);
        grow(&store, 600);
        let mut tiles = Tiles::default();
        let leaves = store.leaves(0..600).unwrap();
        let mut all: Vec<_> = leaves.into_iter().flat_map(|leaf| tiles.push(leaf)).collect();
        all.extend(tiles.finish());
        let bytes = |level, range| -> Vec<u8> {
            store.hashes(level, range).unwrap().iter().flat_map(|hash| *hash.as_bytes()).collect()
        };
        for (path, level, range) in
            [("tile/0/001", 0, 256..512), ("tile/0/002.p/88", 0, 512..600), ("tile/1/000.p/2", 1, 0..2)]
        {
            let made = all.iter().find(|tile| tile.path == path).unwrap();
            assert_eq!(bytes(level, range), made.bytes, "{path}");
        }
        assert!(store.hashes(0, 512..601).is_err() && store.hashes(1, 0..3).is_err() && store.hashes(9, 0..1).is_err());
    }

    #[test]
    fn a_log_that_was_changed_under_the_service_gets_no_proof_and_ends_all_telling() {
        let changes = ["UPDATE leaf SET hash = zeroblob(32) WHERE idx = 299", "DELETE FROM leaf WHERE idx = 299"];
        let missed: [&Reading; 3] =
            [&|store| store.inclusion(3).map(drop), &|store| store.consistency(3).map(drop), &|store| {
                store.hashes(0, 256..300).map(drop)
            }];
        for (sql, reads) in [(changes[0], &missed[..2]), (changes[1], &missed[..])] {
            for read in reads {
                let home = folder();
                let store = open(&home);
                grow(&store, 300);
                assert!(read(&store).is_ok() && !store.stats().poisoned);
                let other = Connection::open(home.path().join("voorrang.db")).unwrap();
                other.pragma_update(None, "foreign_keys", false).unwrap();
                other.execute(sql, []).unwrap();
                assert!(matches!(read(&store), Err(StoreError::Damaged { .. })), "{sql}");
                assert!(store.stats().damaged, "{sql}");
                assert!(store.write(|tx| tx.append(&entry())).is_err_and(|error| error.is_damage()), "{sql}");
            }
        }
    }
}
