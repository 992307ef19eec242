//! Loads: a custodian's codes in chunks, sealed under the data key of their epoch, current only when complete.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, Row, params};
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::epochs::{at, parsed};
use super::log::int;
use super::wrapping::{DataKey, Wrapped};
use super::{Store, StoreError, Tx};
use crate::ids::{EpochId, LoadId};

/// A load as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLoad {
    pub epoch: EpochId,
    /// For example `population` or `care`.
    pub source: String,
    /// The header of its codes, JSON.
    pub header: String,
    pub expected_records: u64,
    /// The day whose state the records show.
    pub reference_date: Date,
    pub begun_at: OffsetDateTime,
}

/// Where a load is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadState {
    /// Chunks arrive; nobody is answered from it.
    Staging,
    /// The one of its epoch and source that answers.
    Current,
    /// A newer one answers; it is being deleted.
    Superseded,
}

/// A load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    pub id: LoadId,
    pub epoch: EpochId,
    pub source: String,
    pub header: String,
    /// As announced; of a current load also as counted.
    pub records: u64,
    pub reference_date: Date,
    pub state: LoadState,
    /// When it became current.
    pub loaded_at: Option<OffsetDateTime>,
    /// Chunks that have arrived.
    pub chunks: u32,
    /// Grows with every chunk, repeated ones too: a load of the same revision holds the same records.
    pub revision: u64,
}

/// A chunk that only its place in its load opens again. Made by [`Store::seal_chunk`], off the writer's thread.
#[derive(Clone, Debug)]
pub struct SealedChunk {
    load: LoadId,
    n: u32,
    records: u32,
    digest: [u8; 32],
    sealed: Vec<u8>,
}

/// A chunk that is there, without its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkKept {
    pub n: u32,
    pub records: u32,
    /// SHA-256 of what was sent.
    pub digest: [u8; 32],
}

impl Tx<'_> {
    /// Begins a load, in state staging. One that the source had begun before is given up: what a client left behind
    /// is never more than one load.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such epoch.
    pub fn begin_load(&self, new: &NewLoad) -> Result<LoadId, StoreError> {
        self.epoch(&new.epoch)?;
        let before = "UPDATE load SET state = 'superseded' WHERE epoch = ?1 AND source = ?2 AND state = 'staging'";
        self.db.prepare_cached(before)?.execute(params![new.epoch.as_str(), new.source])?;
        let id = LoadId::random();
        let date = new.reference_date.to_string();
        let sql = "INSERT INTO load (id, epoch, source, header, records, reference_date, state, begun_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'staging', ?7)";
        let (epoch, records, begun) = (new.epoch.as_str(), int(new.expected_records)?, new.begun_at.unix_timestamp());
        let row = params![id.to_string(), epoch, new.source, new.header, records, date, begun];
        self.db.prepare_cached(sql)?.execute(row)?;
        Ok(id)
    }

    /// Keeps a chunk. The same chunk again replaces the first, so that a client may repeat what it is not sure of.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such load in state staging, or [`StoreError::LoadOverfull`] if it
    /// would hold more than it announced.
    pub fn put_chunk(&self, chunk: &SealedChunk) -> Result<(), StoreError> {
        let load = self.staging(&chunk.load)?;
        let id = chunk.load.to_string();
        let sql = "INSERT OR REPLACE INTO chunk (load, n, records, digest, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![id, chunk.n, chunk.records, chunk.digest, chunk.sealed];
        self.db.prepare_cached(sql)?.execute(row)?;
        self.db.prepare_cached("UPDATE load SET revision = revision + 1 WHERE id = ?1")?.execute([&id])?;
        let sql = "SELECT sum(records) FROM chunk WHERE load = ?1";
        let records: i64 = self.db.prepare_cached(sql)?.query_row([&id], |row| row.get(0))?;
        if records > int(load.records)? {
            return Err(StoreError::LoadOverfull { expected: load.records });
        }
        Ok(())
    }

    /// Makes a complete load, as it was read, the current one of its epoch and source. The one before is superseded:
    /// [`Tx::sweep_loads`] deletes it, bit by bit. `report` is kept as it is, for [`Store::load_report`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] if a chunk arrived after the load was read, or
    /// [`StoreError::LoadIncomplete`] if records or a chunk in between are missing.
    pub fn commit_load(&self, read: &Load, loaded_at: OffsetDateTime, report: &str) -> Result<Load, StoreError> {
        let id = &read.id;
        let load = self.staging(id)?;
        if load.revision != read.revision {
            return Err(StoreError::Conflict("load got another chunk while it was committed"));
        }
        let text = id.to_string();
        let sql = "SELECT coalesce(sum(records), 0), coalesce(max(n) + 1, 0) FROM chunk WHERE load = ?1";
        let (records, end): (i64, i64) =
            self.db.prepare_cached(sql)?.query_row([&text], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if records != int(load.records)? || end != i64::from(load.chunks) {
            return Err(StoreError::LoadIncomplete { expected: load.records, got: records.unsigned_abs() });
        }
        let before = "UPDATE load SET state = 'superseded' WHERE epoch = ?1 AND source = ?2 AND state = 'current'";
        self.db.execute(before, params![load.epoch.as_str(), load.source])?;
        let now = "UPDATE load SET state = 'current', loaded_at = ?2, report = ?3 WHERE id = ?1";
        self.db.execute(now, params![text, loaded_at.unix_timestamp(), report])?;
        find(self.db, id)
    }

    /// Gives a load in state staging up; [`Tx::sweep_loads`] deletes it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such load in state staging.
    pub fn abort_load(&self, id: &LoadId) -> Result<(), StoreError> {
        self.staging(id)?;
        self.db.execute("UPDATE load SET state = 'superseded' WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }

    /// Deletes up to `chunks` chunks of superseded loads, and loads without any. Whether there are more: call again,
    /// in another job, so that answers need not wait for a register to be deleted.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn sweep_loads(&self, chunks: u32) -> Result<bool, StoreError> {
        let sql = "DELETE FROM chunk WHERE rowid IN (SELECT chunk.rowid FROM chunk
                   JOIN load ON load.id = chunk.load WHERE state = 'superseded' LIMIT ?1)";
        let deleted = self.db.prepare_cached(sql)?.execute([chunks])?;
        let sql = "DELETE FROM load WHERE state = 'superseded' AND id NOT IN (SELECT load FROM chunk)";
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(deleted > 0 && deleted == chunks as usize)
    }

    fn staging(&self, id: &LoadId) -> Result<Load, StoreError> {
        let load = find(self.db, id)?;
        if load.state == LoadState::Staging { Ok(load) } else { Err(StoreError::NotFound("load in progress")) }
    }
}

impl Store {
    /// One load, whatever its state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn load(&self, id: &LoadId) -> Result<Load, StoreError> {
        self.read(|db| find(db, id))
    }

    /// What was said of a load when it became current.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn load_report(&self, id: &LoadId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT report FROM load WHERE id = ?1";
        let report =
            |db: &Connection| Ok(db.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0)).optional()?);
        self.read(report)?.ok_or(StoreError::NotFound("load"))
    }

    /// The load that answers for a source in an epoch.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn current_load(&self, epoch: &EpochId, source: &str) -> Result<Option<Load>, StoreError> {
        let sql = "SELECT id FROM load WHERE epoch = ?1 AND source = ?2 AND state = 'current'";
        self.read(|db| {
            let id = db.prepare_cached(sql)?.query_row([epoch.as_str(), source], |row| parsed(row, 0)).optional()?;
            id.map(|id| find(db, &id)).transpose()
        })
    }

    /// Seals chunk `n` (from 0) of a load, with its number of records.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::EpochKey`] if the epoch's data key is missing or another one.
    pub fn seal_chunk(&self, load: &LoadId, n: u32, records: u32, plain: &[u8]) -> Result<SealedChunk, StoreError> {
        let (key, bound) = self.load_key(load)?;
        let sealed = key.seal(&bound.place(n), plain);
        let digest = digest(&SHA256, plain).as_ref().try_into().expect("SHA-256 has 32 bytes");
        Ok(SealedChunk { load: *load, n, records, digest, sealed })
    }

    /// Seals a chunk and returns when it is durable. Blocks, as [`Store::write`] does.
    ///
    /// # Errors
    /// Those of [`Store::seal_chunk`] and [`Tx::put_chunk`].
    pub fn put_chunk(&self, load: &LoadId, n: u32, records: u32, plain: &[u8]) -> Result<(), StoreError> {
        let chunk = self.seal_chunk(load, n, records, plain)?;
        self.write(move |tx| tx.put_chunk(&chunk)).map(|written| written.value)
    }

    /// Which chunks of a load are there, in order.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn chunks_there(&self, load: &LoadId) -> Result<Vec<ChunkKept>, StoreError> {
        let sql = "SELECT n, records, digest FROM chunk WHERE load = ?1 ORDER BY n";
        let kept = |row: &Row<'_>| Ok(ChunkKept { n: row.get(0)?, records: row.get(1)?, digest: row.get(2)? });
        self.read(|db| Ok(db.prepare_cached(sql)?.query_map([load.to_string()], kept)?.collect::<Result<_, _>>()?))
    }

    /// The opened chunks of a load, in order, one in memory at a time. It ends early only with an error.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::EpochKey`] if the epoch's data key is missing or another one.
    pub fn chunks(&self, load: &LoadId) -> Result<Chunks<'_>, StoreError> {
        let ((key, bound), end) = (self.load_key(load)?, self.load(load)?.chunks);
        Ok(Chunks { store: self, load: *load, key, bound, next: 0, end })
    }

    fn load_key(&self, load: &LoadId) -> Result<(Arc<DataKey>, Bound), StoreError> {
        let sql = "SELECT epoch.id, coalesce(data_key, x''), data_key_check, source, header
                   FROM load JOIN epoch ON epoch.id = load.epoch WHERE load.id = ?1";
        let found = |row: &Row<'_>| {
            let epoch = parsed::<EpochId>(row, 0)?;
            let wrapped = Wrapped { sealed: row.get(1)?, check: row.get(2)? };
            let bound = Bound([load.to_string(), epoch.to_string(), row.get(3)?, row.get(4)?].join("\n").into_bytes());
            Ok((epoch, wrapped, bound))
        };
        let row = self.read(|db| Ok(db.prepare_cached(sql)?.query_row([load.to_string()], found).optional()?))?;
        let (epoch, wrapped, bound) = row.ok_or(StoreError::NotFound("load"))?;
        Ok((self.epoch_keys.data_key(&epoch, &wrapped)?, bound))
    }
}

/// What the chunks of a load are bound to: its id, epoch, source and header. None opens under another.
struct Bound(Vec<u8>);

impl Bound {
    fn place(&self, n: u32) -> Vec<u8> {
        [self.0.as_slice(), &n.to_be_bytes()].concat()
    }
}

/// Iterator over the opened chunks of a load. `Debug` is absent: it holds a key.
pub struct Chunks<'a> {
    store: &'a Store,
    load: LoadId,
    key: Arc<DataKey>,
    bound: Bound,
    next: u32,
    end: u32,
}

impl Chunks<'_> {
    fn open(&self, n: u32) -> Result<Vec<u8>, StoreError> {
        let sql = "SELECT sealed FROM chunk WHERE load = ?1 AND n = ?2";
        let row = params![self.load.to_string(), n];
        let sealed: Option<Vec<u8>> =
            self.store.read(|db| Ok(db.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()?))?;
        let sealed = sealed.ok_or(StoreError::NotFound("chunk: a newer load has taken its place, or it is missing"))?;
        self.key.open(&self.bound.place(n), &sealed).ok_or(StoreError::Damaged { what: "a chunk of a load" })
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

/// Deletes what was being deleted. Half loads stay: their custodians go on with them.
pub(super) fn delete_superseded(db: &mut Connection) -> Result<(), StoreError> {
    let tx = db.transaction()?;
    tx.execute("DELETE FROM chunk WHERE load IN (SELECT id FROM load WHERE state = 'superseded')", [])?;
    tx.execute("DELETE FROM load WHERE state = 'superseded'", [])?;
    Ok(tx.commit()?)
}

fn find(db: &Connection, id: &LoadId) -> Result<Load, StoreError> {
    let sql = "SELECT epoch, source, header, records, reference_date, state, loaded_at,
               (SELECT count(*) FROM chunk WHERE load = load.id), revision FROM load WHERE id = ?1";
    let load = |row: &Row<'_>| {
        let records = row.get::<_, i64>(3)?;
        Ok(Load {
            id: *id,
            epoch: parsed(row, 0)?,
            source: row.get(1)?,
            header: row.get(2)?,
            records: u64::try_from(records).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(3, records))?,
            reference_date: day(row, 4)?,
            state: state(row, 5)?,
            loaded_at: row.get::<_, Option<i64>>(6)?.map(|_| at(row, 6)).transpose()?,
            chunks: row.get(7)?,
            revision: row.get::<_, i64>(8)?.unsigned_abs(),
        })
    };
    db.prepare_cached(sql)?.query_row([id.to_string()], load).optional()?.ok_or(StoreError::NotFound("load"))
}

pub(super) fn day(row: &Row<'_>, column: usize) -> rusqlite::Result<Date> {
    let wrong = |e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e));
    Date::parse(&row.get::<_, String>(column)?, format_description!("[year]-[month]-[day]")).map_err(wrong)
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<LoadState> {
    Ok(match row.get_ref(column)?.as_str()? {
        "staging" => LoadState::Staging,
        "current" => LoadState::Current,
        _ => LoadState::Superseded,
    })
}

#[cfg(test)]
mod tests;
