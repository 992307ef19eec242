//! Entries of which a processing record (logboek dataverwerkingen) is still to be forwarded. A row goes in with its
//! entry, in one transaction, and out only when the collector has confirmed it: a collector that is away for days loses
//! nothing.

use rusqlite::{Row, params};
use time::OffsetDateTime;

use super::log::{int, position};
use super::{Store, StoreError, Tx};

/// An entry whose record waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub index: u64,
    /// Milliseconds since 1970, UTC.
    pub ended_ms: u64,
    /// The entry's bytes; `None` if they expired before the collector took them.
    pub entry: Option<Vec<u8>>,
    pub leaf: [u8; 32],
}

impl Tx<'_> {
    pub(super) fn put_outbox(&self, index: i64) -> Result<(), StoreError> {
        // A clock before 1970 makes a record with a wrong time rather than none.
        let now = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(0).max(0);
        let sql = "INSERT INTO outbox (idx, ended_ms) VALUES (?1, ?2)";
        self.db.prepare_cached(sql)?.execute(params![index, now])?;
        Ok(())
    }

    /// Takes out what the collector has confirmed.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn forwarded(&self, indexes: &[u64]) -> Result<(), StoreError> {
        let mut delete = self.db.prepare_cached("DELETE FROM outbox WHERE idx = ?1")?;
        for index in indexes {
            delete.execute([int(*index)?])?;
        }
        Ok(())
    }
}

impl Store {
    /// The oldest entries whose records wait, at most `most`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn outbox(&self, most: u32) -> Result<Vec<Waiting>, StoreError> {
        let sql = "SELECT idx, ended_ms, text, hash FROM outbox JOIN leaf USING (idx) LEFT JOIN entry USING (idx)
                   ORDER BY idx LIMIT ?1";
        let waiting = |row: &Row<'_>| {
            let text = row.get::<_, Option<String>>(2)?;
            let ended_ms = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            Ok(Waiting { index: position(row, 0)?, ended_ms, entry: text.map(String::into_bytes), leaf: row.get(3)? })
        };
        self.read(|db| Ok(db.prepare_cached(sql)?.query_map([most], waiting)?.collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ORIGIN, append, entry, folder, open};
    use super::super::{Setup, Store};
    use crate::audit::{Action, Entry};

    #[test]
    fn a_record_waits_until_it_is_confirmed_and_through_a_restart() {
        let home = folder();
        let setup = Setup { outbox: true, ..Setup::new(home.path(), ORIGIN) };
        let store = Store::open_with(&setup).unwrap();
        append(&store);
        let start = Entry { action: Action::Start, ..entry() };
        store.write(move |tx| tx.append(&start)).unwrap();
        append(&store);
        let waiting = |store: &Store| store.outbox(9).unwrap().into_iter().map(|one| one.index).collect::<Vec<_>>();
        assert_eq!(waiting(&store), [0, 2], "a start processes nobody's data");
        store.write(|tx| tx.forwarded(&[0])).unwrap();
        drop(store);
        let store = Store::open_with(&setup).unwrap();
        assert_eq!(waiting(&store), [2]);
        assert!(store.outbox(9).unwrap()[0].entry.is_some());
    }

    #[test]
    fn without_a_collector_nothing_waits() {
        let home = folder();
        let store = open(&home);
        append(&store);
        assert_eq!(store.outbox(9).unwrap(), []);
    }
}
