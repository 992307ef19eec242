//! Loads: a custodian's codes in chunks, sealed under the data key of their epoch, current only when complete.

use rusqlite::{Connection, OptionalExtension, Row, params};
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::chunks::{self, ChunkKept, Chunks, Place, SealedChunk};
use super::epochs::{at, parsed};
use super::log::int;
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
    /// The load that it changes, if it is not whole by itself.
    pub base: Option<LoadId>,
    /// Records, or changes, that will follow.
    pub lines: u64,
    /// The day whose state the records show.
    pub reference_date: Date,
    /// By which ages its groups were made, JSON.
    pub ages: Option<String>,
    pub begun_at: OffsetDateTime,
}

/// Where a load is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadState {
    /// Chunks arrive; nobody is answered from it.
    Staging,
    /// The one of its epoch and source that answers.
    Current,
    /// A newer one that changes it answers, and needs it.
    Base,
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
    /// The load that it changes.
    pub base: Option<LoadId>,
    /// Records or changes, as announced.
    pub lines: u64,
    /// Of a load that is or was current: those of its base counted in.
    pub records: u64,
    pub reference_date: Date,
    /// By which ages its groups were made, JSON, if that was said.
    pub ages: Option<String>,
    pub state: LoadState,
    /// When it became current.
    pub loaded_at: Option<OffsetDateTime>,
    /// Chunks that have arrived.
    pub chunks: u32,
    /// Grows with every chunk, repeated ones too: a load of the same revision holds the same records.
    pub revision: u64,
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
        // A report begins with the ages, and has them to its end: see `load_report`.
        let sql = "INSERT INTO load (id, epoch, source, header, base, lines, records, reference_date, state, begun_at,
                                     report)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, 'staging', ?8, json_object('ages', json(?9)))";
        let (epoch, lines, begun) = (new.epoch.as_str(), int(new.lines)?, new.begun_at.unix_timestamp());
        let base = new.base.map(|base| base.to_string());
        let row = params![id.to_string(), epoch, new.source, new.header, base, lines, date, begun, new.ages];
        self.db.prepare_cached(sql)?.execute(row)?;
        Ok(id)
    }

    /// Keeps a chunk. The same chunk again replaces the first, so that a client may repeat what it is not sure of.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such load in state staging, or [`StoreError::LoadOverfull`] if it
    /// would hold more than it announced.
    pub fn put_chunk(&self, chunk: &SealedChunk) -> Result<(), StoreError> {
        let load = self.staging(&chunk.upload().parse().map_err(|_| StoreError::NotFound("load"))?)?;
        self.keep_chunk(chunk, load.lines)?;
        let sql = "UPDATE load SET revision = revision + 1 WHERE id = ?1";
        self.db.prepare_cached(sql)?.execute([load.id.to_string()])?;
        Ok(())
    }

    /// Counts that a load in progress is read to be committed, and says how often it was.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such load in state staging.
    pub fn count_reading(&self, id: &LoadId) -> Result<u32, StoreError> {
        let sql = "UPDATE load SET readings = readings + 1 WHERE id = ?1 AND state = 'staging' RETURNING readings";
        let read = self.db.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0)).optional()?;
        read.ok_or(StoreError::NotFound("load"))
    }

    /// Makes a complete load, as it was read, the current one of its epoch and source, with so many records in all. The one
    /// before is kept where the new one changes it. Else it is superseded, with all that it changed: [`Tx::sweep_loads`]
    /// deletes them, bit by bit. What was told nothing may be told something now, so its marks go. `report` is kept as it is,
    /// for [`Store::load_report`]: a JSON object, with the `ages` of the load where it has some.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] if a chunk arrived after the load was read or what it changes is
    /// no longer current, or [`StoreError::LoadIncomplete`] if records or a chunk in between are missing.
    pub fn commit_load(
        &self,
        read: &Load,
        records: u64,
        loaded_at: OffsetDateTime,
        report: &str,
    ) -> Result<Load, StoreError> {
        let id = &read.id;
        let load = self.staging(id)?;
        if load.revision != read.revision {
            return Err(StoreError::Conflict(
                "load got another chunk while it was committed; read it again and decide anew",
            ));
        }
        let text = id.to_string();
        chunks::complete(self.db, &text, load.lines)?;
        match &load.base {
            Some(base) => {
                let before = "UPDATE load SET state = 'base' WHERE id = ?1 AND state = 'current'";
                if self.db.execute(before, [base.to_string()])? == 0 {
                    return Err(StoreError::Conflict(
                        "load that this one changes is no longer the one that answers; read it again and decide anew",
                    ));
                }
            }
            None => {
                let before = "UPDATE load SET state = 'superseded'
                              WHERE epoch = ?1 AND source = ?2 AND state IN ('current', 'base')";
                self.db.execute(before, params![load.epoch.as_str(), load.source])?;
            }
        }
        self.forget_marks(&load.epoch, &load.source)?;
        let now = "UPDATE load SET state = 'current', records = ?2, loaded_at = ?3, report = ?4 WHERE id = ?1";
        self.db.execute(now, params![text, int(records)?, loaded_at.unix_timestamp(), report])?;
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
                   JOIN load ON load.id = chunk.upload WHERE state = 'superseded' LIMIT ?1)";
        let deleted = self.db.prepare_cached(sql)?.execute([chunks])?;
        let sql = "DELETE FROM load WHERE state = 'superseded' AND id NOT IN (SELECT upload FROM chunk)";
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

    /// A load and those that it changes, the newest first; the last is whole by itself.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if one of them is not there.
    pub fn parts(&self, id: &LoadId) -> Result<Vec<Load>, StoreError> {
        let mut parts = vec![self.load(id)?];
        while let Some(base) = parts.last().and_then(|part| part.base) {
            parts.push(self.load(&base)?);
        }
        Ok(parts)
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

    /// Loads in progress: one of each epoch and source at most.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn loads_in_progress(&self) -> Result<Vec<Load>, StoreError> {
        let sql = "SELECT id FROM load WHERE state = 'staging' ORDER BY begun_at DESC, id";
        self.read(|db| {
            let mut found = db.prepare_cached(sql)?;
            let ids: Vec<LoadId> = found.query_map([], |row| parsed(row, 0))?.collect::<Result<_, _>>()?;
            ids.iter().map(|id| find(db, id)).collect()
        })
    }

    /// Seals chunk `n` (from 0) of a load, with its number of records and the SHA-256 of what was sent.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::EpochKey`] if the epoch's data key is missing or another one.
    pub fn seal_chunk(
        &self,
        load: &LoadId,
        n: u32,
        records: u32,
        sent: [u8; 32],
        plain: &[u8],
    ) -> Result<SealedChunk, StoreError> {
        Ok(self.load_place(load)?.seal(n, records, sent, plain))
    }

    /// Seals a chunk and returns when it is durable. Blocks, as [`Store::write`] does.
    ///
    /// # Errors
    /// Those of [`Store::seal_chunk`] and [`Tx::put_chunk`].
    pub fn put_chunk(&self, load: &LoadId, n: u32, records: u32, plain: &[u8]) -> Result<(), StoreError> {
        let chunk = self.seal_chunk(load, n, records, chunks::sha256(plain), plain)?;
        self.write(move |tx| tx.put_chunk(&chunk)).map(|written| written.value)
    }

    /// Which chunks of a load are there, in order.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn chunks_there(&self, load: &LoadId) -> Result<Vec<ChunkKept>, StoreError> {
        self.read(|db| chunks::there(db, &load.to_string()))
    }

    /// Bytes of the chunks of a load, as they are kept.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn chunk_bytes(&self, load: &LoadId) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(sum(length(sealed)), 0) FROM chunk WHERE upload = ?1";
        let bytes: i64 =
            self.read(|db| Ok(db.prepare_cached(sql)?.query_row([load.to_string()], |row| row.get(0))?))?;
        Ok(bytes.unsigned_abs())
    }

    /// The opened chunks of a load, in order, one in memory at a time. It ends early only with an error.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::EpochKey`] if the epoch's data key is missing or another one.
    pub fn chunks(&self, load: &LoadId) -> Result<Chunks<'_>, StoreError> {
        Ok(Chunks::new(self, self.load_place(load)?, self.load(load)?.chunks))
    }

    /// Its chunks are bound to its id, epoch, source and header.
    fn load_place(&self, load: &LoadId) -> Result<Place, StoreError> {
        let Load { epoch, source, header, .. } = self.load(load)?;
        self.place(&epoch, &load.to_string(), &[&source, &header])
    }
}

/// Deletes what was being deleted. Half loads stay: their custodians go on with them.
pub(super) fn delete_superseded(db: &mut Connection) -> Result<(), StoreError> {
    let tx = db.transaction()?;
    tx.execute("DELETE FROM chunk WHERE upload IN (SELECT id FROM load WHERE state = 'superseded')", [])?;
    tx.execute("DELETE FROM load WHERE state = 'superseded'", [])?;
    Ok(tx.commit()?)
}

/// The loads of an epoch that answer, by source.
pub(super) fn current(db: &Connection, epoch: &EpochId) -> Result<Vec<Load>, StoreError> {
    let sql = "SELECT id FROM load WHERE epoch = ?1 AND state = 'current' ORDER BY source";
    let mut found = db.prepare_cached(sql)?;
    let ids: Vec<LoadId> = found.query_map([epoch.as_str()], |row| parsed(row, 0))?.collect::<Result<_, _>>()?;
    ids.iter().map(|id| find(db, id)).collect()
}

fn find(db: &Connection, id: &LoadId) -> Result<Load, StoreError> {
    let sql = "SELECT epoch, source, header, records, reference_date, state, loaded_at,
               (SELECT count(*) FROM chunk WHERE upload = load.id), revision, base, lines, json_extract(report, '$.ages')
               FROM load WHERE id = ?1";
    let load = |row: &Row<'_>| {
        Ok(Load {
            id: *id,
            epoch: parsed(row, 0)?,
            source: row.get(1)?,
            header: row.get(2)?,
            base: row.get::<_, Option<String>>(9)?.map(|_| parsed(row, 9)).transpose()?,
            lines: row.get::<_, i64>(10)?.unsigned_abs(),
            records: row.get::<_, i64>(3)?.unsigned_abs(),
            reference_date: day(row, 4)?,
            ages: row.get(11)?,
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
        "base" => LoadState::Base,
        _ => LoadState::Superseded,
    })
}

#[cfg(test)]
mod tests;
