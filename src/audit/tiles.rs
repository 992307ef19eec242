//! The log as static files (c2sp.org/tlog-tiles v0.1.0): its hashes in tiles of 256, its entries in bundles of 256,
//! so that any file server can publish it and any reader of that format can check it.

use super::{AuditError, Frontier, Hash, MAX_ENTRY_BYTES};

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: usize = 256;

/// One file: where it stands, from the log's prefix, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    pub path: String,
    pub bytes: Vec<u8>,
}

/// Where the tile of hashes at `level` stands; a partial one has fewer than 256.
pub fn tile_path(level: usize, index: u64, width: usize) -> String {
    format!("tile/{level}/{}", numbered(index, width))
}

/// Where a bundle of entries stands; a partial one has fewer than 256.
pub fn bundle_path(index: u64, width: usize) -> String {
    format!("tile/entries/{}", numbered(index, width))
}

/// `1234067` is `x001/x234/067`; a partial tile has its width behind.
fn numbered(index: u64, width: usize) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE_WIDTH { format!("{path}.p/{width}") } else { path }
}

/// Makes the tiles of hashes as leaves come in. Memory for one tile a level.
#[derive(Debug, Default)]
pub struct Tiles {
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    /// Tiles that are full.
    full: u64,
    hashes: Vec<Hash>,
}

impl Tiles {
    /// Takes the next leaf; returns the tiles that it fills, lowest level first.
    pub fn push(&mut self, leaf: Hash) -> Vec<Tile> {
        let mut filled = Vec::new();
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Level::default());
            }
            let Level { full, hashes } = &mut self.levels[level];
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH {
                break;
            }
            filled.push(Tile { path: tile_path(level, *full, TILE_WIDTH), bytes: concat(hashes) });
            hash = hashes.drain(..).collect::<Frontier>().root();
            *full += 1;
        }
        filled
    }

    /// The partial tiles at the right edge.
    pub fn finish(self) -> Vec<Tile> {
        let edge = self.levels.into_iter().enumerate().filter(|(_, level)| !level.hashes.is_empty());
        edge.map(|(at, Level { full, hashes })| Tile {
            path: tile_path(at, full, hashes.len()),
            bytes: concat(&hashes),
        })
        .collect()
    }
}

fn concat(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Entries as a bundle holds them: each with its length before it, 16 bits, big-endian.
///
/// # Errors
/// [`AuditError::Entry`] if one is longer than that can say.
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, AuditError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| AuditError::Entry("text is longer than 65,535 bytes"))?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle.
///
/// # Errors
/// [`AuditError::Entry`] if it is cut.
pub fn read_bundle(mut bytes: &[u8]) -> Result<Vec<&[u8]>, AuditError> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let cut = || AuditError::Entry("bundle is cut");
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or_else(cut)?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or_else(cut)?;
        entries.push(entry);
        bytes = rest;
    }
    Ok(entries)
}

const _: () = assert!(MAX_ENTRY_BYTES == u16::MAX as usize);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::audit::leaf_hash;

    fn leaves(n: u64) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    fn tiles_of(n: u64) -> BTreeMap<String, Vec<u8>> {
        let mut tiles = Tiles::default();
        let mut all: Vec<_> = leaves(n).into_iter().flat_map(|leaf| tiles.push(leaf)).collect();
        all.extend(tiles.finish());
        all.into_iter().map(|tile| (tile.path, tile.bytes)).collect()
    }

    #[test]
    fn a_number_is_written_in_groups_of_three() {
        assert_eq!(tile_path(0, 0, 256), "tile/0/000");
        assert_eq!(tile_path(3, 999, 256), "tile/3/999");
        assert_eq!(tile_path(0, 1000, 256), "tile/0/x001/000");
        assert_eq!(bundle_path(1_234_067, 256), "tile/entries/x001/x234/067");
        assert_eq!(bundle_path(1_234_067, 7), "tile/entries/x001/x234/067.p/7");
    }

    /// The two examples of the specification.
    #[test]
    fn a_log_has_the_tiles_of_its_size() {
        let mut at_256: Vec<_> = tiles_of(256).into_keys().collect();
        at_256.sort();
        assert_eq!(at_256, ["tile/0/000", "tile/1/000.p/1"]);
        let tiles = tiles_of(70_000);
        let level = |prefix: &str| tiles.keys().filter(|path| path.starts_with(prefix)).count();
        assert_eq!((level("tile/0/"), level("tile/1/"), level("tile/2/")), (274, 2, 1));
        for partial in ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"] {
            assert!(tiles.contains_key(partial), "{partial}");
        }
        assert_eq!(tiles["tile/0/272"].len(), 8192);
        assert!(tiles_of(0).is_empty());
    }

    #[test]
    fn a_tile_holds_the_roots_of_the_full_tiles_below() {
        let (tiles, all) = (tiles_of(70_000), leaves(70_000));
        let root = |from: usize, n: usize| all[from..from + n].iter().copied().collect::<Frontier>().root();
        assert_eq!(tiles["tile/0/001"][..32], *all[256].as_bytes());
        assert_eq!(tiles["tile/1/000"][32..64], *root(256, 256).as_bytes());
        assert_eq!(tiles["tile/1/001.p/17"][16 * 32..], *root(272 * 256, 256).as_bytes());
        assert_eq!(tiles["tile/2/000.p/1"], root(0, 65_536).as_bytes());
    }

    #[test]
    fn a_bundle_gives_its_entries_back_and_a_cut_one_is_refused() {
        let long = vec![7; MAX_ENTRY_BYTES];
        let entries = [b"one".as_slice(), b"", &long];
        let bytes = bundle(entries).unwrap();
        assert_eq!(bytes[..5], [0, 3, b'o', b'n', b'e']);
        assert_eq!(read_bundle(&bytes).unwrap(), entries);
        for cut in [1, 4, 6, bytes.len() - 1] {
            assert!(matches!(read_bundle(&bytes[..cut]), Err(AuditError::Entry(_))), "{cut}");
        }
        assert!(bundle([[0; MAX_ENTRY_BYTES + 1].as_slice()]).is_err());
    }
}
