//! Room on the database's volume. A commit that fails for want of it cannot be told from a disk that lost what it had,
//! and takes a restart; so writing ends before, and goes on when there is room again.

use std::path::{Path, PathBuf};

use super::StoreError;

/// Free bytes below which nothing is written.
pub(super) const RESERVE: u64 = 64 << 20;

/// Free bytes below which nothing is taken that a party sends in bulk: questions go on.
const BULK: u64 = 8 * RESERVE;

/// Bytes that stay free on the volume of a file.
#[derive(Clone, Debug)]
pub(super) struct Room {
    beside: PathBuf,
    reserve: u64,
}

impl Room {
    pub(super) fn new(beside: &Path, reserve: u64) -> Self {
        Self { beside: beside.to_owned(), reserve }
    }

    /// # Errors
    /// [`StoreError::Full`]: nothing is to be written.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        enough(free(&self.beside), self.reserve)
    }
}

/// Whether there is room for what comes in bulk.
///
/// # Errors
/// [`StoreError::Full`].
pub(super) fn check_bulk(beside: &Path) -> Result<(), StoreError> {
    enough(free(beside), BULK)
}

fn enough(free: Option<u64>, least: u64) -> Result<(), StoreError> {
    if free.is_some_and(|free| free < least) { Err(StoreError::Full) } else { Ok(()) }
}

/// Free bytes, where the volume has a size.
fn free(path: &Path) -> Option<u64> {
    let volume = rustix::fs::statvfs(path).ok().filter(|volume| volume.f_blocks > 0)?;
    Some(volume.f_bavail.saturating_mul(volume.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::super::Setup;
    use super::super::fixture::{ORIGIN, append, entry, folder, open, open_in};
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_byte_less_than_the_reserve_is_too_little() {
        assert!(enough(Some(BULK), BULK).is_ok() && enough(None, BULK).is_ok());
        assert!(matches!(enough(Some(BULK - 1), BULK), Err(StoreError::Full)));
        assert!(free(Path::new("/")).is_some_and(|free| free > 0));
    }

    #[test]
    fn without_room_nothing_is_written_and_nothing_is_broken() {
        let home = folder();
        append(&open(&home));
        let setup = Setup { reserve: u64::MAX, ..Setup::new(home.path(), ORIGIN) };
        let store = Store::open_with(&setup).unwrap();
        for _ in 0..2 {
            let refused = store.write(|tx| tx.append(&entry()).map(drop));
            assert!(matches!(refused, Err(StoreError::Full)));
        }
        let stats = store.stats();
        assert!(!stats.poisoned && stats.commits == 0, "{stats:?}");
        drop(store);
        assert_eq!(append(&open_in(home.path())).index, 1);
    }
}
