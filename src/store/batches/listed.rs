//! Which batches a party has.

use rusqlite::params;
use time::OffsetDateTime;

use super::find;
use crate::ids::{BatchId, Oin};
use crate::store::epochs::parsed;
use crate::store::{Batch, Store, StoreError};

impl Store {
    /// Batches of a party that have not expired: those that are not at their end first, then the newest, so many at most.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn batches_of(&self, oin: &Oin, now: OffsetDateTime, most: u32) -> Result<Vec<Batch>, StoreError> {
        let sql = "SELECT id FROM batch WHERE oin = ?1 AND (expires_at IS NULL OR expires_at > ?2)
                   ORDER BY state IN ('open', 'answering') DESC, begun_at DESC, id LIMIT ?3";
        self.read(|db| {
            let mut found = db.prepare_cached(sql)?;
            let row = params![oin.as_str(), now.unix_timestamp(), most];
            let ids: Vec<BatchId> = found.query_map(row, |row| parsed(row, 0))?.collect::<Result<_, _>>()?;
            ids.iter().map(|id| find(db, id)).collect()
        })
    }
}
