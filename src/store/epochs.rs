//! Epochs, their custodians, and the sealed shares of their salts.

use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::{Store, StoreError, Tx};
use crate::epoch::{Epoch, Participant, State};
use crate::ids::{EpochId, Oin};

/// One custodian's share of a salt, sealed for all custodians.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub from_oin: Oin,
    pub sealed: Vec<u8>,
}

impl Tx<'_> {
    /// Announces an epoch and makes its data key.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the epoch exists, destroyed ones included.
    pub fn insert_epoch(&self, new: &Epoch) -> Result<(), StoreError> {
        let exists = "SELECT 1 FROM epoch WHERE id = ?1";
        if self.db.prepare_cached(exists)?.exists([new.id.as_str()])? {
            return Err(StoreError::Conflict("epoch exists already"));
        }
        let key = self.keys.create_epoch(&new.id)?;
        let sql = "INSERT INTO epoch (id, regulation, profile, schema_hash, data_key_check, state, announced_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (id, regulation, at) = (new.id.as_str(), new.regulation.as_str(), new.announced_at.unix_timestamp());
        self.db
            .execute(sql, params![id, regulation, new.profile, new.schema_hash, key.check(), new.state.as_str(), at])?;
        for one in &new.participants {
            let sql = "INSERT INTO participant (epoch, oin, recipient, contributes) VALUES (?1, ?2, ?3, ?4)";
            self.db.execute(sql, params![id, one.oin.as_str(), one.recipient, one.contributes])?;
        }
        Ok(())
    }

    /// Moves an epoch from one state to another, if it is still in the first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Conflict`] if it is in another state.
    pub fn set_epoch_state(&self, id: &EpochId, from: State, to: State) -> Result<(), StoreError> {
        let sql = "UPDATE epoch SET state = ?3 WHERE id = ?1 AND state = ?2";
        let changed = self.db.execute(sql, params![id.as_str(), from.as_str(), to.as_str()])?;
        self.require_change(changed, id, "epoch is in another state")
    }

    /// Notes the key-check value of an epoch's salt. The first one counts; the same again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Conflict`] if another value is known.
    pub fn set_key_check(&self, id: &EpochId, key_check: &str) -> Result<(), StoreError> {
        let sql = "UPDATE epoch SET key_check = ?2 WHERE id = ?1 AND coalesce(key_check, ?2) = ?2";
        let changed = self.db.execute(sql, params![id.as_str(), key_check])?;
        self.require_change(changed, id, "epoch has another key-check value")
    }

    /// Keeps a custodian's sealed share. A share is never replaced: others may have opened it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is no custodian of the epoch, [`StoreError::Conflict`] if it has a share.
    pub fn put_share(&self, epoch: &EpochId, from: &Oin, sealed: &[u8]) -> Result<(), StoreError> {
        let known = "SELECT 1 FROM participant WHERE epoch = ?1 AND oin = ?2 AND contributes";
        if !self.db.prepare_cached(known)?.exists([epoch.as_str(), from.as_str()])? {
            return Err(StoreError::NotFound("custodian of this epoch"));
        }
        let sql = "INSERT INTO share (epoch, from_oin, sealed) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        match self.db.execute(sql, params![epoch.as_str(), from.as_str(), sealed])? {
            0 => Err(StoreError::Conflict("custodian has contributed already")),
            _ => Ok(()),
        }
    }

    /// An epoch as this job sees it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn epoch(&self, id: &EpochId) -> Result<Epoch, StoreError> {
        find(self.db, id)
    }

    fn require_change(&self, changed: usize, id: &EpochId, conflict: &'static str) -> Result<(), StoreError> {
        if changed == 1 {
            return Ok(());
        }
        self.epoch(id).and(Err(StoreError::Conflict(conflict)))
    }
}

impl Store {
    /// One epoch.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn epoch(&self, id: &EpochId) -> Result<Epoch, StoreError> {
        self.read(|db| find(db, id))
    }

    /// Every epoch, destroyed ones included, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT id FROM epoch ORDER BY announced_at, id")?;
            let ids = query.query_map([], |row| parsed::<EpochId>(row, 0))?.collect::<Result<Vec<_>, _>>()?;
            ids.iter().map(|id| find(db, id)).collect()
        })
    }

    /// The sealed shares of an epoch, by OIN.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn shares(&self, epoch: &EpochId) -> Result<Vec<Share>, StoreError> {
        let share = |row: &Row<'_>| Ok(Share { from_oin: parsed(row, 0)?, sealed: row.get(1)? });
        self.read(|db| {
            let mut query =
                db.prepare_cached("SELECT from_oin, sealed FROM share WHERE epoch = ?1 ORDER BY from_oin")?;
            Ok(query.query_map([epoch.as_str()], share)?.collect::<Result<_, _>>()?)
        })
    }
}

/// A text column as the type that checks it.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let wrong = |e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e));
    row.get::<_, String>(column)?.parse().map_err(wrong)
}

/// A time column, seconds since 1970.
pub(super) fn at(row: &Row<'_>, column: usize) -> rusqlite::Result<OffsetDateTime> {
    let seconds = row.get(column)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, seconds))
}

fn find(db: &Connection, id: &EpochId) -> Result<Epoch, StoreError> {
    let participant =
        |row: &Row<'_>| Ok(Participant { oin: parsed(row, 0)?, recipient: row.get(1)?, contributes: row.get(2)? });
    let mut query =
        db.prepare_cached("SELECT oin, recipient, contributes FROM participant WHERE epoch = ?1 ORDER BY oin")?;
    let participants = query.query_map([id.as_str()], participant)?.collect::<Result<_, _>>()?;
    let epoch = |row: &Row<'_>| {
        Ok(Epoch {
            id: id.clone(),
            regulation: parsed(row, 0)?,
            profile: row.get(1)?,
            schema_hash: row.get(2)?,
            key_check: row.get(3)?,
            state: parsed(row, 4)?,
            announced_at: at(row, 5)?,
            participants,
        })
    };
    let sql = "SELECT regulation, profile, schema_hash, key_check, state, announced_at FROM epoch WHERE id = ?1";
    db.prepare_cached(sql)?.query_row([id.as_str()], epoch).optional()?.ok_or(StoreError::NotFound("epoch"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW, epoch_id, folder, insert_epoch, new_epoch, oin, open, open_in};
    use super::*;

    #[test]
    fn an_epoch_survives_and_is_announced_once() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        assert!(matches!(store.write(|tx| tx.insert_epoch(&new_epoch())), Err(StoreError::Conflict(_))));
        drop(store);
        let store = open_in(home.path());
        let epoch = store.epoch(&epoch_id()).unwrap();
        assert_eq!((epoch.state, epoch.key_check.clone(), epoch.announced_at), (State::Announced, None, NOW));
        assert_eq!((epoch.participants.clone(), store.epochs().unwrap()), (new_epoch().participants, vec![epoch]));
        assert!(matches!(store.epoch(&"other".parse().unwrap()), Err(StoreError::NotFound("epoch"))));
    }

    #[test]
    fn a_state_changes_only_from_the_one_that_was_seen() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let step = |id: EpochId| store.write(move |tx| tx.set_epoch_state(&id, State::Announced, State::Loading));
        assert!(step(epoch_id()).is_ok());
        assert!(matches!(step(epoch_id()), Err(StoreError::Conflict(_))));
        assert!(matches!(step("other".parse().unwrap()), Err(StoreError::NotFound("epoch"))));
        assert_eq!(store.epoch(&epoch_id()).unwrap().state, State::Loading);
    }

    #[test]
    fn the_first_key_check_counts() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let set = |check: &'static str| store.write(move |tx| tx.set_key_check(&epoch_id(), check));
        assert!(set("aa").is_ok() && set("aa").is_ok());
        assert!(matches!(set("bb"), Err(StoreError::Conflict(_))));
        assert_eq!(store.epoch(&epoch_id()).unwrap().key_check.as_deref(), Some("aa"));
    }

    #[test]
    fn a_share_comes_from_a_custodian_and_stays() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let put = |from: Oin, sealed: &'static [u8]| store.write(move |tx| tx.put_share(&epoch_id(), &from, sealed));
        assert!(put(oin(), b"one").is_ok());
        assert!(matches!(put(oin(), b"two"), Err(StoreError::Conflict(_))));
        assert!(matches!(put("0".repeat(20).parse().unwrap(), b"x"), Err(StoreError::NotFound(_))));
        assert_eq!(store.shares(&epoch_id()).unwrap(), [Share { from_oin: oin(), sealed: b"one".to_vec() }]);
    }
}
