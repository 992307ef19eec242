//! The dwellings a corporation may ask about. Who has the salt reads addresses in the filter, so it is sealed under the
//! data key of its epoch, while it waits for its second person too, and cannot be read after the epoch's end.

use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::epochs::{at, parsed};
use super::{Store, StoreError, Tx};
use crate::ids::{EpochId, Oin};

/// The dwellings a corporation may ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    /// As declared.
    pub dwellings: u32,
    /// Bloom filter of address tokens; its format is the regulation room's. Sealed in the store.
    pub filter: Vec<u8>,
    pub registered_at: OffsetDateTime,
}

impl Tx<'_> {
    /// Registers a corporation's stock, its filter sealed, in place of the one before. Address tokens are keyed, so a stock
    /// belongs to an epoch.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn put_stock(&self, epoch: &EpochId, oin: &Oin, sealed: &Stock) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO stock (epoch, oin, dwellings, filter, registered_at)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let registered = sealed.registered_at.unix_timestamp();
        let row = params![epoch.as_str(), oin.as_str(), sealed.dwellings, sealed.filter, registered];
        self.db.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }
}

impl Store {
    /// A filter that opens as this corporation's only, in this epoch, with this number of dwellings.
    ///
    /// # Errors
    /// [`StoreError::EpochKey`], [`StoreError::NotFound`] if there is no such epoch.
    pub fn seal_stock(&self, epoch: &EpochId, oin: &Oin, dwellings: u32, filter: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.place(epoch, "stock", &[oin.as_str()])?.seal_part(dwellings, filter))
    }

    /// The filter that [`Store::seal_stock`] sealed.
    ///
    /// # Errors
    /// As there, or [`StoreError::Damaged`] if it is another's.
    pub fn open_stock(&self, epoch: &EpochId, oin: &Oin, dwellings: u32, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let filter = self.place(epoch, "stock", &[oin.as_str()])?.open_part(dwellings, sealed);
        filter.ok_or(StoreError::Damaged { what: "a registered stock" })
    }

    /// A corporation's stock in an epoch, if it registered one.
    ///
    /// # Errors
    /// As [`Store::open_stock`].
    pub fn stock(&self, epoch: &EpochId, oin: &Oin) -> Result<Option<Stock>, StoreError> {
        let sql = "SELECT dwellings, filter, registered_at FROM stock WHERE epoch = ?1 AND oin = ?2";
        let sealed =
            |row: &Row<'_>| Ok(Stock { dwellings: row.get(0)?, filter: row.get(1)?, registered_at: at(row, 2)? });
        let row = [epoch.as_str(), oin.as_str()];
        let sealed = self.read(|db| Ok(db.prepare_cached(sql)?.query_row(row, sealed).optional()?))?;
        let open = |sealed: Stock| {
            let filter = self.open_stock(epoch, oin, sealed.dwellings, &sealed.filter)?;
            Ok(Stock { filter, ..sealed })
        };
        sealed.map(open).transpose()
    }

    /// Corporations whose housing stock is registered in an epoch, by OIN.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn stock_parties(&self, epoch: &EpochId) -> Result<Vec<Oin>, StoreError> {
        self.read(|db| parties(db, epoch))
    }
}

pub(super) fn parties(db: &Connection, epoch: &EpochId) -> Result<Vec<Oin>, StoreError> {
    let mut query = db.prepare_cached("SELECT oin FROM stock WHERE epoch = ?1 ORDER BY oin")?;
    Ok(query.query_map([epoch.as_str()], |row| parsed(row, 0))?.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW, epoch_id, folder, insert_epoch, oin, open};
    use super::*;

    #[test]
    fn a_stock_replaces_the_one_before() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        assert_eq!(store.stock(&epoch_id(), &oin()).unwrap(), None);
        for dwellings in [10, 20] {
            let stock = Stock { dwellings, filter: vec![7; 3000], registered_at: NOW };
            let filter = store.seal_stock(&epoch_id(), &oin(), dwellings, &stock.filter).unwrap();
            let put = Stock { filter, ..stock.clone() };
            store.write(move |tx| tx.put_stock(&epoch_id(), &oin(), &put)).unwrap();
            assert_eq!(store.stock(&epoch_id(), &oin()).unwrap(), Some(stock));
        }
        assert_eq!(store.stock(&"amsterdam".parse().unwrap(), &oin()).unwrap(), None);
    }

    #[test]
    fn a_filter_opens_as_its_corporation_s_and_with_its_number_only() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let sealed = store.seal_stock(&epoch_id(), &oin(), 10, &[7; 3000]).unwrap();
        assert!(!sealed.windows(24).any(|bytes| bytes == [7; 24]));
        let other: Oin = "00000099000000004001".parse().unwrap();
        assert!(store.open_stock(&epoch_id(), &oin(), 10, &sealed).is_ok());
        for (oin, dwellings) in [(oin(), 11), (other, 10)] {
            let opened = store.open_stock(&epoch_id(), &oin, dwellings, &sealed);
            assert!(matches!(opened, Err(StoreError::Damaged { .. })));
        }
    }
}
