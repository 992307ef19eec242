//! Epochs, their custodians, and the sealed shares of their salts.

use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::loads::day;
use super::steps::Taken;
use super::{Store, StoreError, Tx};
use crate::epoch::{Epoch, Participant, State};
use crate::ids::{EpochId, Oin};

/// Keys of one participant for which one custodian's sealing again is kept: the last ones.
const KEYS: u32 = 4;

/// One custodian's share of a salt, sealed for all custodians.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub from_oin: Oin,
    pub sealed: Vec<u8>,
}

/// A share that another custodian sealed again for one participant.
pub type Reseal = Share;

impl Tx<'_> {
    /// Announces an epoch and makes its data key.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the epoch exists, destroyed ones included.
    pub fn insert_epoch(&self, new: &Epoch, log_index: u64) -> Result<(), StoreError> {
        let exists = "SELECT 1 FROM epoch WHERE id = ?1";
        if self.db.prepare_cached(exists)?.exists([new.id.as_str()])? {
            return Err(StoreError::Conflict(
                "epoch exists already; see `voorrang epoch list`, or announce it under another name",
            ));
        }
        let key = self.keys.create(&new.id)?;
        self.keys.subjects.create(&new.id)?;
        let sql = "INSERT INTO epoch (id, regulation, profile, schema_hash, data_key, data_key_check, announced_at,
                   contribute_by, load_by, grace_days) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let (id, regulation, at) = (new.id.as_str(), new.regulation.as_str(), new.announced_at.unix_timestamp());
        let days = (new.contribute_by.to_string(), new.load_by.to_string(), new.grace_days);
        let key = (key.sealed, key.check);
        let row = params![id, regulation, new.profile, new.schema_hash, key.0, key.1, at, days.0, days.1, days.2];
        self.db.execute(sql, row)?;
        let announced = Taken { state: State::Announced, at: new.announced_at, answers_until: None, log_index };
        self.insert_step(&new.id, 0, &announced)?;
        new.participants.iter().try_for_each(|one| self.put_participant(&new.id, one))
    }

    /// Adds a participant, or gives one another key. Whether it contributes never changes.
    fn put_participant(&self, epoch: &EpochId, one: &Participant) -> Result<(), StoreError> {
        let sql = "INSERT INTO participant (epoch, oin, recipient, contributes) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (epoch, oin) DO UPDATE SET recipient = excluded.recipient";
        self.db.execute(sql, params![epoch.as_str(), one.oin.as_str(), one.recipient, one.contributes])?;
        Ok(())
    }

    /// Keeps shares that a custodian sealed again for one participant, as [`Store::seal_share`] made them, who comes to the
    /// epoch with this or has a new key. Every share that is there must be among them, and no other. Those that others
    /// sealed stay, and those for its other keys, of which the last few count: who seals wrongly locks nobody out, and fills
    /// no envelope.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if shares are missing, or one came in between.
    pub fn put_resealed(
        &self,
        epoch: &EpochId,
        by: &Oin,
        to: &Participant,
        reseals: &[Reseal],
    ) -> Result<(), StoreError> {
        if !contributed(self.db, epoch)?.iter().eq(reseals.iter().map(|one| &one.from_oin)) {
            return Err(StoreError::Conflict(
                "shares of the epoch are others than those that were sealed again; read it again and decide anew",
            ));
        }
        self.put_participant(epoch, to)?;
        let sql = "INSERT OR REPLACE INTO resealed (epoch, from_oin, for_oin, by_oin, recipient, sealed)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        for Share { from_oin, sealed } in reseals {
            let row = params![epoch.as_str(), from_oin.as_str(), to.oin.as_str(), by.as_str(), to.recipient, sealed];
            self.db.execute(sql, row)?;
        }
        let sql = "DELETE FROM resealed WHERE epoch = ?1 AND for_oin = ?2 AND by_oin = ?3 AND recipient NOT IN (
                   SELECT recipient FROM resealed WHERE epoch = ?1 AND for_oin = ?2 AND by_oin = ?3
                   GROUP BY recipient ORDER BY max(rowid) DESC LIMIT ?4)";
        self.db.execute(sql, params![epoch.as_str(), to.oin.as_str(), by.as_str(), KEYS])?;
        Ok(())
    }

    /// Notes the key-check value of an epoch's salt. The first one counts; the same again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Conflict`] if another value is known.
    pub fn set_key_check(&self, id: &EpochId, key_check: &str) -> Result<(), StoreError> {
        let sql = "UPDATE epoch SET key_check = ?2 WHERE id = ?1 AND coalesce(key_check, ?2) = ?2";
        let changed = self.db.execute(sql, params![id.as_str(), key_check])?;
        self.require_change(changed, id, "epoch has another key-check value; read it again and decide anew")
    }

    /// Keeps a custodian's share, as [`Store::seal_share`] made it. A share is never replaced: others may have opened it.
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
            0 => Err(StoreError::Conflict("share of this custodian is there already; nothing is left to do")),
            _ => {
                let sql = "UPDATE participant SET contributed = 1 WHERE epoch = ?1 AND oin = ?2";
                self.db.execute(sql, [epoch.as_str(), from.as_str()])?;
                Ok(())
            }
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
        self.read(all)
    }

    /// The custodians whose share of an epoch's salt came, by OIN. With the epoch the shares go, and who gave them stays.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn share_parties(&self, epoch: &EpochId) -> Result<Vec<Oin>, StoreError> {
        self.read(|db| contributed(db, epoch))
    }

    /// A custodian's share, already sealed for the custodians, sealed once more under the data key of its epoch: so no
    /// backup hands it out when the epoch is gone, whoever keeps an identity that opens it.
    ///
    /// # Errors
    /// [`StoreError::EpochKey`], [`StoreError::NotFound`] if there is no such epoch.
    pub fn seal_share(&self, epoch: &EpochId, from: &Oin, share: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.place(epoch, "share", &[from.as_str()])?.seal_part(0, share))
    }

    /// The shares of an epoch, by contributor; behind each those that were sealed again for this participant.
    ///
    /// # Errors
    /// [`StoreError::EpochKey`], [`StoreError::Damaged`] if a share is not what [`Store::seal_share`] made.
    pub fn shares_for(&self, epoch: &EpochId, reader: &Oin) -> Result<Vec<Share>, StoreError> {
        let sql = "SELECT from_oin, sealed FROM (
                   SELECT from_oin, 0 AS n, sealed FROM share WHERE epoch = ?1 UNION ALL
                   SELECT from_oin, rowid, sealed FROM resealed WHERE epoch = ?1 AND for_oin = ?2)
                   ORDER BY from_oin, n";
        let row = [epoch.as_str(), reader.as_str()];
        let share = |row: &Row<'_>| Ok(Share { from_oin: parsed(row, 0)?, sealed: row.get(1)? });
        let found: Vec<Share> =
            self.read(|db| Ok(db.prepare_cached(sql)?.query_map(row, share)?.collect::<Result<_, _>>()?))?;
        let open = |Share { from_oin, sealed }: Share| {
            let opened = self.place(epoch, "share", &[from_oin.as_str()])?.open_part(0, &sealed);
            Ok(Share { from_oin, sealed: opened.ok_or(StoreError::Damaged { what: "a share" })? })
        };
        found.into_iter().map(open).collect()
    }
}

fn contributed(db: &Connection, epoch: &EpochId) -> Result<Vec<Oin>, StoreError> {
    let sql = "SELECT oin FROM participant WHERE epoch = ?1 AND contributed ORDER BY oin";
    Ok(db.prepare_cached(sql)?.query_map([epoch.as_str()], |row| parsed(row, 0))?.collect::<Result<_, _>>()?)
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

/// Every epoch, oldest first.
pub(super) fn all(db: &Connection) -> Result<Vec<Epoch>, StoreError> {
    let mut query = db.prepare_cached("SELECT id FROM epoch ORDER BY announced_at, id")?;
    let ids = query.query_map([], |row| parsed::<EpochId>(row, 0))?.collect::<Result<Vec<_>, _>>()?;
    ids.iter().map(|id| find(db, id)).collect()
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
            answers_until: row.get::<_, Option<i64>>(5)?.map(|_| at(row, 5)).transpose()?,
            announced_at: at(row, 6)?,
            contribute_by: day(row, 7)?,
            load_by: day(row, 8)?,
            grace_days: row.get(9)?,
            participants,
        })
    };
    let sql = "SELECT regulation, profile, schema_hash, key_check, state, answers_until, announced_at, contribute_by,
               load_by, grace_days FROM epoch JOIN step ON step.epoch = epoch.id
               WHERE epoch.id = ?1 ORDER BY n DESC LIMIT 1";
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
        assert!(matches!(store.write(|tx| tx.insert_epoch(&new_epoch(), 0)), Err(StoreError::Conflict(_))));
        drop(store);
        let store = open_in(home.path());
        let epoch = store.epoch(&epoch_id()).unwrap();
        assert_eq!((epoch.state, epoch.key_check.clone(), epoch.announced_at), (State::Announced, None, NOW));
        assert_eq!((epoch.participants.clone(), store.epochs().unwrap()), (new_epoch().participants, vec![epoch]));
        assert!(matches!(store.epoch(&"other".parse().unwrap()), Err(StoreError::NotFound("epoch"))));
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
        assert_eq!(store.share_parties(&epoch_id()).unwrap(), [oin()]);
    }

    #[test]
    fn shares_sealed_again_are_their_readers_only_stay_and_come_together() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let seal = |share: &[u8]| store.seal_share(&epoch_id(), &oin(), share).unwrap();
        let for_all = seal(b"for all");
        assert!(!for_all.windows(7).any(|bytes| bytes == b"for all"));
        store.write(move |tx| tx.put_share(&epoch_id(), &oin(), &for_all)).unwrap();
        let later: Oin = "00000099000000004001".parse().unwrap();
        let to = Participant { oin: later.clone(), recipient: "age1later".into(), contributes: false };
        let put = |by: &Oin, to: &Participant, reseals: Vec<Reseal>| {
            let (by, to) = (by.clone(), to.clone());
            store.write(move |tx| tx.put_resealed(&epoch_id(), &by, &to, &reseals))
        };
        assert!(matches!(put(&oin(), &to, vec![]), Err(StoreError::Conflict(_))));
        let other = Participant { recipient: "age1other".into(), ..to.clone() };
        for (to, share) in [(&to, b"for one".as_slice()), (&other, b"for key"), (&to, b"for two")] {
            assert!(put(&oin(), to, vec![Share { from_oin: oin(), sealed: seal(share) }]).is_ok());
        }
        let sealed = |reader: &Oin| -> Vec<Vec<u8>> {
            store.shares_for(&epoch_id(), reader).unwrap().into_iter().map(|share| share.sealed).collect()
        };
        assert_eq!(sealed(&later), [b"for all".to_vec(), b"for key".to_vec(), b"for two".to_vec()]);
        assert_eq!(sealed(&oin()), [b"for all"]);
        assert!(store.epoch(&epoch_id()).unwrap().participants.contains(&to));
        // Whoever seals for many keys, or wrongly for the same, takes away nothing that another sealed.
        let wrong: Oin = "00000099000000002000".parse().unwrap();
        for n in 0..9 {
            let to = Participant { recipient: format!("age1wrong{n}"), ..to.clone() };
            put(&wrong, &to, vec![Share { from_oin: oin(), sealed: seal(format!("wrong {n}").as_bytes()) }]).unwrap();
        }
        put(&wrong, &to, vec![Share { from_oin: oin(), sealed: seal(b"wrong") }]).unwrap();
        let right = [b"for all".as_slice(), b"for key", b"for two"];
        let last = [b"wrong 6".as_slice(), b"wrong 7", b"wrong 8", b"wrong"];
        assert_eq!(sealed(&later), [right.as_slice(), &last].concat());
    }
}
