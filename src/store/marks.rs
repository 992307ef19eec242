//! Marks of what was told nothing, so that it stays so while the registers do not change. Their key lives in memory alone:
//! whoever has the disk, with every key on it, reads neither about whom they are nor how many of them say so. They go with
//! the load on which they rest, and with the process.

use std::fmt;
use std::sync::Arc;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::params;
use zeroize::Zeroizing;

use super::wrapping::DataKey;
use super::{Store, StoreError, Tx};
use crate::ids::{EpochId, LoadId};

/// A keyed hash of whose question it is about, and of what.
pub type Mark = [u8; 16];

/// Makes the marks of this process, and seals what is kept beside them.
pub struct Marker {
    key: hmac::Key,
    pub(super) seal: DataKey,
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marker(..)")
    }
}

impl Marker {
    /// With keys that nobody else ever has.
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(bytes.as_mut()).expect("the system's random generator answers");
        Self { key: key.expect("the system's random generator answers"), seal: DataKey::new(&bytes) }
    }

    /// A mark that means nothing.
    pub fn nobody() -> Mark {
        let mut mark = [0; 16];
        SystemRandom::new().fill(&mut mark).expect("the system's random generator answers");
        mark
    }

    /// The mark of these parts, in this order.
    pub fn mark(&self, parts: &[&[u8]]) -> Mark {
        let mut all = hmac::Context::with_key(&self.key);
        for part in parts {
            all.update(&(part.len() as u64).to_be_bytes());
            all.update(part);
        }
        all.sign().as_ref()[..16].try_into().expect("a tag is longer than 16 bytes")
    }
}

/// Marks, and the loads on which they rest.
#[derive(Clone, Debug)]
pub struct Marks {
    pub epoch: EpochId,
    pub population: LoadId,
    /// Absent where nothing that the party is told rests on the care list.
    pub care: Option<LoadId>,
    pub marks: Vec<Mark>,
}

impl Tx<'_> {
    /// Of each of these marks whether it is kept. All are looked at: how many would show in the time.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn kept_marks(&self, marks: &Marks) -> Result<Vec<bool>, StoreError> {
        let mut look = self.db.prepare_cached("SELECT 1 FROM mark WHERE epoch = ?1 AND mark = ?2")?;
        marks.marks.iter().map(|mark| Ok(look.exists(params![marks.epoch.as_str(), mark])?)).collect()
    }

    /// Keeps those of the marks that are not yet, as `kept` says, unless a load on which they rest was replaced. For one that
    /// is, and for all with `told`, it keeps one that means nothing: neither whether there were some before nor that one is
    /// kept tells anything then.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn keep_marks(&self, marks: &Marks, kept: &[bool], told: bool) -> Result<(), StoreError> {
        let sql = "INSERT OR IGNORE INTO mark (epoch, rests_on_care, mark) SELECT ?1, ?2 IS NOT NULL, ?3
                   WHERE EXISTS (SELECT 1 FROM load WHERE id = ?4 AND state = 'current')
                   AND (?2 IS NULL OR EXISTS (SELECT 1 FROM load WHERE id = ?2 AND state = 'current'))";
        let mut keep = self.db.prepare_cached(sql)?;
        let (population, care) = (marks.population.to_string(), marks.care.map(|care| care.to_string()));
        let mut put = |mark: &Mark| keep.execute(params![marks.epoch.as_str(), care, mark, population]);
        for (mark, is_kept) in marks.marks.iter().zip(kept) {
            let nobody = Marker::nobody();
            // Of a mark that the question has twice the second finds the first.
            if put(if told || *is_kept { &nobody } else { mark })? == 0 {
                put(&nobody)?;
            }
        }
        Ok(())
    }

    /// Deletes the marks and spellings of an epoch that rest on a source whose load is replaced.
    pub(super) fn forget_marks(&self, epoch: &EpochId, source: &str) -> Result<(), StoreError> {
        for table in ["mark", "spelling"] {
            let sql = format!("DELETE FROM {table} WHERE epoch = ?1 AND (rests_on_care OR ?2 <> 'care')");
            self.db.execute(&sql, [epoch.as_str(), source])?;
        }
        Ok(())
    }
}

impl Store {
    /// What makes marks.
    pub fn marker(&self) -> &Arc<Marker> {
        &self.marker
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW, epoch_id, folder, insert_epoch, load, open, open_in};
    use super::*;
    use crate::epoch::{State, Step};
    use crate::store::Taken;

    fn marks(store: &Store, population: LoadId, care: Option<LoadId>, about: &str) -> Marks {
        let mark = store.marker().mark(&[b"party", about.as_bytes()]);
        Marks { epoch: epoch_id(), population, care, marks: vec![mark] }
    }

    fn keep(store: &Store, marks: &Marks, told: bool) {
        let marks = marks.clone();
        store.write(move |tx| tx.keep_marks(&marks, &tx.kept_marks(&marks)?, told)).unwrap();
    }

    fn is_marked(store: &Store, marks: &Marks) -> bool {
        let marks = marks.clone();
        store.write(move |tx| tx.kept_marks(&marks)).unwrap().value.contains(&true)
    }

    fn rows(store: &Store) -> i64 {
        store.read(|db| Ok(db.query_row("SELECT count(*) FROM mark", [], |row| row.get(0))?)).unwrap()
    }

    #[test]
    fn a_mark_lasts_as_long_as_the_loads_on_which_it_rests() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let (population, care) = (load(&store, "population"), load(&store, "care"));
        let [both, alone] =
            [Some(care), None].map(|care| marks(&store, population, care, if care.is_some() { "a" } else { "b" }));
        keep(&store, &both, false);
        keep(&store, &alone, false);
        assert!(is_marked(&store, &both) && is_marked(&store, &alone));
        let newer = load(&store, "care");
        assert_eq!((is_marked(&store, &both), is_marked(&store, &alone)), (false, true));
        keep(&store, &both, false);
        assert!(!is_marked(&store, &both), "what was decided before the load leaves nothing behind it");
        keep(&store, &Marks { care: Some(newer), ..both.clone() }, false);
        assert!(is_marked(&store, &both));
        load(&store, "population");
        assert_eq!(rows(&store), 0);
    }

    #[test]
    fn a_question_that_was_told_leaves_as_many_rows_that_mean_nothing() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let population = load(&store, "population");
        let [told, untold] = ["told", "untold"].map(|about| marks(&store, population, None, about));
        keep(&store, &told, true);
        assert_eq!((rows(&store), is_marked(&store, &told)), (1, false));
        for kept in 2..4 {
            keep(&store, &untold, false);
            assert_eq!((rows(&store), is_marked(&store, &untold)), (kept, true), "the second time too");
        }
    }

    #[test]
    fn no_key_on_the_disk_makes_a_mark_and_none_outlives_its_process() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let kept = marks(&store, load(&store, "population"), None, "a");
        keep(&store, &kept, false);
        drop(store);
        let store = open_in(home.path());
        assert_eq!(rows(&store), 0);
        assert_ne!(marks(&store, kept.population, None, "a").marks, kept.marks);
    }

    #[test]
    fn marks_go_with_their_epoch() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        let kept = marks(&store, load(&store, "population"), None, "a");
        keep(&store, &kept, false);
        let taken = Taken { state: State::Destroyed, at: NOW, answers_until: None, log_index: 0 };
        store.write(move |tx| tx.end_epoch(&epoch_id(), Step::Abort.from(State::Announced).unwrap(), &taken)).unwrap();
        assert_eq!(rows(&store), 0);
    }
}
