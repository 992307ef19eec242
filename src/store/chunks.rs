//! What a party sends in numbered chunks, a load or a batch of questions: each chunk is sealed under the data key of its
//! epoch, and opens in its own place only.

use std::path::Path;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::log::int;
use super::room::check_bulk;
use super::wrapping::{DataKey, Wrapped};
use super::{Store, StoreError, Tx};
use crate::ids::EpochId;

/// Bytes that a record or a question may have, all of an upload together: a record of the shipped profile has under 2 KiB,
/// a question of one or two tenants 2 to 5. Few and long ones, such as of eight tenants, have some to spare.
const RECORD_BYTES: u64 = 8 << 10;
const SPARE_BYTES: u64 = 1 << 20;

/// A chunk that only its place opens again. Made off the writer's thread.
#[derive(Clone, Debug)]
pub struct SealedChunk {
    upload: String,
    n: u32,
    records: u32,
    digest: [u8; 32],
    sealed: Vec<u8>,
}

impl SealedChunk {
    /// What it is a chunk of.
    pub(super) fn upload(&self) -> &str {
        &self.upload
    }
}

/// A chunk that is there, without its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkKept {
    pub n: u32,
    pub records: u32,
    /// SHA-256 of what was sent.
    pub digest: [u8; 32],
}

/// Where the parts of one upload are sealed: nothing opens in another one, or under another number. `Debug` is absent: it
/// holds a key.
#[derive(Clone)]
pub(super) struct Place {
    upload: String,
    key: Arc<DataKey>,
    bound: Vec<u8>,
}

impl Place {
    /// With the SHA-256 of what was sent: what is kept of it may have another form.
    pub(super) fn seal(&self, n: u32, records: u32, digest: [u8; 32], plain: &[u8]) -> SealedChunk {
        SealedChunk { upload: self.upload.clone(), n, records, digest, sealed: self.seal_part(n, plain) }
    }

    /// Seals what is no chunk, but has a number too.
    pub(super) fn seal_part(&self, n: u32, plain: &[u8]) -> Vec<u8> {
        self.key.seal(&self.numbered(n), plain)
    }

    pub(super) fn open_part(&self, n: u32, sealed: &[u8]) -> Option<Vec<u8>> {
        self.key.open(&self.numbered(n), sealed)
    }

    fn numbered(&self, n: u32) -> Vec<u8> {
        [self.bound.as_slice(), &n.to_be_bytes()].concat()
    }
}

pub(super) fn sha256(plain: &[u8]) -> [u8; 32] {
    digest(&SHA256, plain).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl Tx<'_> {
    /// Keeps a chunk in place of the one of its number.
    ///
    /// # Errors
    /// [`StoreError::LoadOverfull`] or [`StoreError::UploadTooLong`] if all chunks together would hold more than
    /// `expected`; [`StoreError::Full`] while the disk has no room for what comes in bulk.
    pub(super) fn keep_chunk(&self, chunk: &SealedChunk, expected: u64) -> Result<(), StoreError> {
        self.db.path().map_or(Ok(()), |path| check_bulk(Path::new(path)))?;
        let sql = "INSERT OR REPLACE INTO chunk (upload, n, records, digest, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![chunk.upload, chunk.n, chunk.records, chunk.digest, chunk.sealed];
        self.db.prepare_cached(sql)?.execute(row)?;
        // Of the sealed parts SQLite reads the length only.
        let sql = "SELECT sum(records), sum(length(sealed)) FROM chunk WHERE upload = ?1";
        let sums = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (records, bytes): (i64, i64) = self.db.prepare_cached(sql)?.query_row([&chunk.upload], sums)?;
        let most = expected.saturating_mul(RECORD_BYTES).saturating_add(SPARE_BYTES);
        if records > int(expected)? {
            Err(StoreError::LoadOverfull { expected })
        } else if bytes > int(most)? {
            Err(StoreError::UploadTooLong { most })
        } else {
            Ok(())
        }
    }
}

impl Store {
    /// The place of an upload in an epoch, bound to its id, its epoch and what else it is.
    pub(super) fn place(&self, epoch: &EpochId, upload: &str, what: &[&str]) -> Result<Place, StoreError> {
        let key = self.data_key(epoch)?;
        let bound = [&[upload, epoch.as_str()], what].concat().join("\n").into_bytes();
        Ok(Place { upload: upload.to_owned(), key, bound })
    }

    /// The data key of an epoch.
    pub(super) fn data_key(&self, epoch: &EpochId) -> Result<Arc<DataKey>, StoreError> {
        let sql = "SELECT coalesce(data_key, x''), data_key_check FROM epoch WHERE id = ?1";
        let wrapped = |row: &Row<'_>| Ok(Wrapped { sealed: row.get(0)?, check: row.get(1)? });
        let found = self.read(|db| Ok(db.prepare_cached(sql)?.query_row([epoch.as_str()], wrapped).optional()?))?;
        self.epoch_keys.data_key(epoch, &found.ok_or(StoreError::NotFound("epoch"))?)
    }

    /// Whether all is there that an upload announced. Of its chunks none is opened, so that asking costs nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if a chunk is missing in between, or [`StoreError::LoadIncomplete`].
    pub fn check_whole(&self, upload: &impl ToString, expected: u64) -> Result<(), StoreError> {
        let upload = upload.to_string();
        self.read(|db| {
            if there(db, &upload)?.iter().zip(0..).any(|(chunk, place)| chunk.n != place) {
                return Err(StoreError::NotFound("chunk: it is missing"));
            }
            complete(db, &upload, expected)
        })
    }
}

/// Which chunks of an upload are there, in order.
pub(super) fn there(db: &Connection, upload: &str) -> Result<Vec<ChunkKept>, StoreError> {
    let sql = "SELECT n, records, digest FROM chunk WHERE upload = ?1 ORDER BY n";
    let kept = |row: &Row<'_>| Ok(ChunkKept { n: row.get(0)?, records: row.get(1)?, digest: row.get(2)? });
    Ok(db.prepare_cached(sql)?.query_map([upload], kept)?.collect::<Result<_, _>>()?)
}

/// Whether an upload has as many records as were announced, and no chunk is missing in between.
///
/// # Errors
/// [`StoreError::LoadIncomplete`].
pub(super) fn complete(db: &Connection, upload: &str, expected: u64) -> Result<(), StoreError> {
    let sql = "SELECT coalesce(sum(records), 0), coalesce(max(n) + 1, 0) = count(*) FROM chunk WHERE upload = ?1";
    let (records, whole): (i64, bool) =
        db.prepare_cached(sql)?.query_row([upload], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if records == int(expected)? && whole {
        return Ok(());
    }
    Err(StoreError::LoadIncomplete { expected, got: records.unsigned_abs() })
}

/// Iterator over the opened chunks of an upload. `Debug` is absent: it holds a key.
pub struct Chunks<'a> {
    store: &'a Store,
    place: Place,
    next: u32,
    end: u32,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(store: &'a Store, place: Place, end: u32) -> Self {
        Self { store, place, next: 0, end }
    }

    /// From this chunk on.
    #[must_use]
    pub fn from(self, next: u32) -> Self {
        Self { next: next.min(self.end), ..self }
    }

    /// How many there are.
    pub fn total(&self) -> u32 {
        self.end
    }

    /// One of them, whichever is next.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is not there, or [`StoreError::Damaged`] if it does not open.
    pub fn open(&self, n: u32) -> Result<Vec<u8>, StoreError> {
        let sql = "SELECT sealed FROM chunk WHERE upload = ?1 AND n = ?2";
        let row = params![self.place.upload, n];
        let sealed: Option<Vec<u8>> =
            self.store.read(|db| Ok(db.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()?))?;
        let sealed = sealed.ok_or(StoreError::NotFound("chunk: a newer load has taken its place, or it is missing"))?;
        self.place.open_part(n, &sealed).ok_or(StoreError::Damaged { what: "a chunk" })
    }
}

impl Iterator for Chunks<'_> {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let chunk = self.open(self.next);
        self.next = if chunk.is_ok() { self.next + 1 } else { self.end };
        Some(chunk)
    }
}
