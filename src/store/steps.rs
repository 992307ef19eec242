//! The record of an epoch's life: a row a step, never changed, each with its entry in the access log.

use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::epochs::{at, parsed};
use super::log::int;
use super::{Store, StoreError, Tx};
use crate::epoch::{Move, State};
use crate::ids::EpochId;

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The state to which it led.
    pub state: State,
    pub at: OffsetDateTime,
    /// When a retiring epoch stops answering.
    pub answers_until: Option<OffsetDateTime>,
    /// Its entry in the access log.
    pub log_index: u64,
}

impl Tx<'_> {
    /// Takes a step, if the epoch is still in the state from which it leads.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Conflict`] if somebody else took one first.
    pub fn take_step(&self, epoch: &EpochId, step: Move, taken: &Taken) -> Result<(), StoreError> {
        let (n, state) = last(self.db, epoch)?.ok_or(StoreError::NotFound("epoch"))?;
        if (state, taken.state) != (step.from(), step.to()) {
            return Err(StoreError::Conflict("epoch is in another state; read it again and decide anew"));
        }
        self.insert_step(epoch, n + 1, taken)
    }

    /// Keeps how many records a source has as its epoch begins to answer.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn keep_opening(&self, epoch: &EpochId, source: &str, records: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO opening (epoch, source, records) VALUES (?1, ?2, ?3)";
        self.db.execute(sql, params![epoch.as_str(), source, int(records)?])?;
        Ok(())
    }

    pub(super) fn insert_step(&self, epoch: &EpochId, n: i64, taken: &Taken) -> Result<(), StoreError> {
        let sql = "INSERT INTO step (epoch, n, state, at, answers_until, log_index) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let until = taken.answers_until.map(OffsetDateTime::unix_timestamp);
        let (at, index) = (taken.at.unix_timestamp(), int(taken.log_index)?);
        self.db.prepare_cached(sql)?.execute(params![epoch.as_str(), n, taken.state.as_str(), at, until, index])?;
        Ok(())
    }
}

impl Store {
    /// Every step of an epoch, in order.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn steps(&self, epoch: &EpochId) -> Result<Vec<Taken>, StoreError> {
        let sql = "SELECT state, at, answers_until, log_index FROM step WHERE epoch = ?1 ORDER BY n";
        let taken = |row: &Row<'_>| {
            Ok(Taken {
                state: parsed(row, 0)?,
                at: at(row, 1)?,
                answers_until: row.get::<_, Option<i64>>(2)?.map(|_| at(row, 2)).transpose()?,
                log_index: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        };
        self.read(|db| Ok(db.prepare_cached(sql)?.query_map([epoch.as_str()], taken)?.collect::<Result<_, _>>()?))
    }

    /// Sources with the records that they had when the epoch began to answer.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn opening(&self, epoch: &EpochId) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = "SELECT source, records FROM opening WHERE epoch = ?1";
        let source = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
        self.read(|db| Ok(db.prepare_cached(sql)?.query_map([epoch.as_str()], source)?.collect::<Result<_, _>>()?))
    }
}

fn last(db: &Connection, epoch: &EpochId) -> Result<Option<(i64, State)>, StoreError> {
    let sql = "SELECT n, state FROM step WHERE epoch = ?1 ORDER BY n DESC LIMIT 1";
    let row = |row: &Row<'_>| Ok((row.get(0)?, parsed(row, 1)?));
    Ok(db.prepare_cached(sql)?.query_row([epoch.as_str()], row).optional()?)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW, epoch_id, folder, insert_epoch, open};
    use super::*;
    use crate::epoch::Step;

    fn taken(state: State, log_index: u64) -> Taken {
        Taken { state, at: NOW, answers_until: None, log_index }
    }

    #[test]
    fn a_step_is_taken_once_and_from_the_state_that_was_seen() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let step = |id: EpochId, step: Move| store.write(move |tx| tx.take_step(&id, step, &taken(step.to(), 1)));
        let complete = Step::Complete.from(State::Announced).unwrap();
        assert!(step(epoch_id(), complete).is_ok());
        assert!(matches!(step(epoch_id(), complete), Err(StoreError::Conflict(_))));
        assert!(matches!(step("other".parse().unwrap(), complete), Err(StoreError::NotFound("epoch"))));
        assert_eq!(store.epoch(&epoch_id()).unwrap().state, State::Loading);
        let steps: Vec<_> =
            store.steps(&epoch_id()).unwrap().into_iter().map(|one| (one.state, one.log_index)).collect();
        assert_eq!(steps, [(State::Announced, 0), (State::Loading, 1)]);
    }

    #[test]
    fn the_record_can_only_grow() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        for sql in ["UPDATE step SET state = 'active'", "DELETE FROM step"] {
            let changed = store.write(move |tx| Ok::<_, StoreError>(tx.db.execute(sql, []).map(drop)?));
            assert!(matches!(changed, Err(StoreError::Sql(_))), "{sql}");
        }
    }
}
