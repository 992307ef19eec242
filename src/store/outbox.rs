//! Entries of which a processing record (logboek dataverwerkingen) is still to be forwarded. A row goes in with its
//! entry, in one transaction, and out only when the collector has confirmed it: a collector that is away for days loses
//! nothing. One that it refuses stands aside until the next start, so that it holds up no other.

use rusqlite::{Row, params};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::log::{int, position};
use super::{Expiry, Store, StoreError, Tx};

/// How long contents are kept beyond their time for a record that no collector takes: then it is given up with them.
const PATIENCE: Duration = Duration::days(30);

/// Rows that one look takes.
const STEP: u32 = 1000;

/// An entry whose record waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub index: u64,
    /// The entry's bytes; `None` if they expired before the collector took them.
    pub entry: Option<Vec<u8>>,
    pub leaf: [u8; 32],
}

/// How the outbox stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// Records that are to be sent.
    pub waiting: u64,
    /// Records that the collector refused since the start.
    pub refused: u64,
    /// When the oldest that is to be sent was made.
    pub oldest: Option<OffsetDateTime>,
}

impl Tx<'_> {
    pub(super) fn put_outbox(&self, index: i64) -> Result<(), StoreError> {
        self.db.prepare_cached("INSERT INTO outbox (idx) VALUES (?1)")?.execute([index])?;
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

    /// Puts aside what the collector refused.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn record_refused(&self, index: u64) -> Result<(), StoreError> {
        self.db.prepare_cached("UPDATE outbox SET refused = 1 WHERE idx = ?1")?.execute([int(index)?])?;
        Ok(())
    }

    /// Has everything sent again that was refused.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn send_refused_again(&self) -> Result<(), StoreError> {
        self.db.execute("UPDATE outbox SET refused = 0 WHERE refused = 1", [])?;
        Ok(())
    }

    /// Gives up records whose contents are due for a month; returns how many, of the oldest thousand.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn give_up_records(&self, expiry: &Expiry) -> Result<usize, StoreError> {
        let sql = "SELECT idx, json_extract(text, '$.time'), json_extract(text, '$.regulation.id')
                   FROM outbox JOIN entry USING (idx) ORDER BY idx LIMIT ?1";
        let row = |row: &Row<'_>| Ok((position(row, 0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?));
        let oldest: Vec<_> = self.db.prepare_cached(sql)?.query_map([STEP], row)?.collect::<Result<_, _>>()?;
        let is_due = |time: &str, regulation: Option<&str>| {
            OffsetDateTime::parse(time, &Rfc3339).is_ok_and(|time| expiry.is_due(regulation, time + PATIENCE))
        };
        let due: Vec<u64> =
            oldest.iter().filter(|(_, time, id)| is_due(time, id.as_deref())).map(|(index, ..)| *index).collect();
        self.forwarded(&due)?;
        Ok(due.len())
    }
}

impl Store {
    /// The oldest entries whose records wait, at most `most`; those that were refused are not among them.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn outbox(&self, most: u32) -> Result<Vec<Waiting>, StoreError> {
        let sql = "SELECT idx, text, hash FROM outbox JOIN leaf USING (idx) LEFT JOIN entry USING (idx)
                   WHERE refused = 0 ORDER BY idx LIMIT ?1";
        let waiting = |row: &Row<'_>| {
            let text = row.get::<_, Option<String>>(1)?;
            Ok(Waiting { index: position(row, 0)?, entry: text.map(String::into_bytes), leaf: row.get(2)? })
        };
        self.read(|db| Ok(db.prepare_cached(sql)?.query_map([most], waiting)?.collect::<Result<_, _>>()?))
    }

    /// How many records wait and were refused, and since when.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn outbox_stands(&self) -> Result<Outbox, StoreError> {
        let counts = "SELECT count(*) FILTER (WHERE refused = 0), count(*) FILTER (WHERE refused = 1) FROM outbox";
        let oldest = "SELECT json_extract(text, '$.time') FROM outbox JOIN entry USING (idx)
                      WHERE refused = 0 ORDER BY idx LIMIT 1";
        self.read(|db| {
            let (waiting, refused) = db.query_row(counts, [], |row| Ok((position(row, 0)?, position(row, 1)?)))?;
            let time: Option<String> =
                db.prepare_cached(oldest)?.query_map(params![], |row| row.get(0))?.next().transpose()?;
            let oldest = time.and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
            Ok(Outbox { waiting, refused, oldest })
        })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::fixture::{ORIGIN, append, entry, folder, open};
    use super::super::{Setup, Store};
    use super::*;
    use crate::audit::{Action, Entry};

    fn waiting(store: &Store) -> Vec<u64> {
        store.outbox(9).unwrap().into_iter().map(|one| one.index).collect()
    }

    #[test]
    fn a_record_waits_until_it_is_confirmed_and_through_a_restart() {
        let home = folder();
        let setup = Setup { outbox: true, ..Setup::new(home.path(), ORIGIN) };
        let store = Store::open_with(&setup).unwrap();
        append(&store);
        let start = Entry { action: Action::Start, ..entry() };
        store.write(move |tx| tx.append(&start)).unwrap();
        append(&store);
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

    #[test]
    fn what_was_refused_stands_aside_until_all_is_sent_again() {
        let home = folder();
        let store = Store::open_with(&Setup { outbox: true, ..Setup::new(home.path(), ORIGIN) }).unwrap();
        (0..3).for_each(|_| drop(append(&store)));
        store.write(|tx| tx.record_refused(0)).unwrap();
        assert_eq!(waiting(&store), [1, 2]);
        let stands = store.outbox_stands().unwrap();
        assert_eq!((stands.waiting, stands.refused, stands.oldest.is_some()), (2, 1, true));
        store.write(|tx| tx.send_refused_again()).unwrap();
        assert_eq!(waiting(&store), [0, 1, 2]);
    }

    #[test]
    fn a_record_that_nobody_takes_keeps_contents_a_month_beyond_their_time_and_no_longer() {
        let home = folder();
        let store = Store::open_with(&Setup { outbox: true, ..Setup::new(home.path(), ORIGIN) }).unwrap();
        let old = Entry { time: "2021-01-01T00:00:00Z".into(), ..entry() };
        store.write(move |tx| tx.append(&old)).unwrap();
        let until = |moment| Expiry { regulations: Vec::new(), others: moment, now: moment };
        let round = |expiry: Expiry| {
            store
                .write(move |tx| {
                    tx.give_up_records(&expiry)?;
                    tx.expire(&expiry, 0)
                })
                .unwrap();
            store.entries(0..1).unwrap()[0].entry.is_some()
        };
        assert!(round(until(datetime!(2021-01-30 0:00 UTC))));
        assert!(!round(until(datetime!(2021-02-01 0:00 UTC))));
        assert!(waiting(&store).is_empty());
    }
}
