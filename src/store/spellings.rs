//! How tenants were spelled, beside the marks and as long as they last: sealed under the key of this process, of what was
//! told as many rows, as long, of zeros.

use std::sync::Arc;

use rusqlite::params;

use super::marks::{Mark, Marker, Marks};
use super::{StoreError, Tx};
use crate::ids::EpochId;

/// Tenants of one party and place who are kept; of more the oldest go. It bounds what a question is held against.
const MOST: u32 = 512;

/// The tenants of a question, and the place at which others are held against them.
pub struct Spellings {
    pub marker: Arc<Marker>,
    pub place: Mark,
    /// The bytes of each one's codes.
    pub tenants: Vec<Vec<u8>>,
}

impl Tx<'_> {
    /// Who is kept at this place: whether something was told of him, and the bytes of his codes.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Damaged`] if a row does not open.
    pub fn spelled(&self, epoch: &EpochId, spellings: &Spellings) -> Result<Vec<(bool, Vec<u8>)>, StoreError> {
        let mut look = self.db.prepare_cached("SELECT sealed FROM spelling WHERE epoch = ?1 AND place = ?2")?;
        let rows = look.query_map(params![epoch.as_str(), spellings.place], |row| row.get::<_, Vec<u8>>(0))?;
        let broken = || StoreError::Damaged { what: "a spelling does not open" };
        let open = |sealed: Vec<u8>| {
            let plain = spellings.marker.seal.open(&spellings.place, &sealed).ok_or_else(broken)?;
            let (told, codes) = plain.split_first().ok_or_else(broken)?;
            Ok((*told != 0, codes.to_vec()))
        };
        rows.map(|sealed| open(sealed?)).collect()
    }

    /// Keeps the tenants, unless a load on which `marks` rest was replaced; of who was told something, as many rows that mean
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn keep_spelled(&self, marks: &Marks, spellings: &Spellings, told: bool) -> Result<(), StoreError> {
        let sql = "INSERT INTO spelling (epoch, place, rests_on_care, sealed) SELECT ?1, ?5, ?2 IS NOT NULL, ?3
                   WHERE EXISTS (SELECT 1 FROM load WHERE id = ?4 AND state = 'current')
                   AND (?2 IS NULL OR EXISTS (SELECT 1 FROM load WHERE id = ?2 AND state = 'current'))";
        let mut keep = self.db.prepare_cached(sql)?;
        let (population, care) = (marks.population.to_string(), marks.care.map(|care| care.to_string()));
        for codes in &spellings.tenants {
            let mut plain = vec![0; 1 + codes.len()];
            if told {
                plain[0] = 1;
            } else {
                plain[1..].copy_from_slice(codes);
            }
            let sealed = spellings.marker.seal.seal(&spellings.place, &plain);
            keep.execute(params![marks.epoch.as_str(), care, sealed, population, spellings.place])?;
        }
        let sql = "DELETE FROM spelling WHERE id IN (
                   SELECT id FROM spelling WHERE epoch = ?1 AND place = ?2 ORDER BY id DESC LIMIT -1 OFFSET ?3)";
        self.db.prepare_cached(sql)?.execute(params![marks.epoch.as_str(), spellings.place, MOST])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::fixture::{epoch_id, folder, insert_epoch, load, open, open_in};
    use super::*;

    fn spellings(store: &Store, place: &str, codes: &[u8]) -> Spellings {
        let marker = Arc::clone(store.marker());
        Spellings { place: marker.mark(&[place.as_bytes()]), marker, tenants: vec![codes.to_vec()] }
    }

    fn keep(store: &Store, care: bool, place: &str, codes: &[u8], told: bool) {
        let current = |source| store.current_load(&epoch_id(), source).unwrap().map(|load| load.id);
        let (population, care) = (current("population").unwrap(), current("care").filter(|_| care));
        let marks = Marks { epoch: epoch_id(), population, care, marks: vec![] };
        let spellings = spellings(store, place, codes);
        store.write(move |tx| tx.keep_spelled(&marks, &spellings, told)).unwrap();
    }

    fn spelled(store: &Store, place: &str) -> Vec<(bool, Vec<u8>)> {
        let spellings = spellings(store, place, &[]);
        store.write(move |tx| tx.spelled(&epoch_id(), &spellings)).unwrap().value
    }

    #[test]
    fn who_was_told_nothing_is_kept_at_the_place_and_who_was_told_is_as_long() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        load(&store, "population");
        keep(&store, false, "here", b"codes", false);
        keep(&store, false, "here", b"other", true);
        assert_eq!(spelled(&store, "here"), [(false, b"codes".to_vec()), (true, vec![0; 5])]);
        assert_eq!(spelled(&store, "elsewhere"), []);
        let lengths = "SELECT count(DISTINCT length(sealed)), min(instr(sealed, ?1)) FROM spelling";
        let lengths = store.read(|db| Ok(db.query_row(lengths, [b"code"], |row| Ok((row.get(0)?, row.get(1)?)))?));
        assert_eq!(lengths.unwrap(), (1, 0), "one length, and no code in the clear");
    }

    #[test]
    fn they_last_as_long_as_loads_epoch_and_process() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        load(&store, "population");
        load(&store, "care");
        keep(&store, true, "both", b"codes", false);
        keep(&store, false, "alone", b"codes", false);
        load(&store, "care");
        assert_eq!([spelled(&store, "both").len(), spelled(&store, "alone").len()], [0, 1]);
        load(&store, "population");
        assert_eq!(spelled(&store, "alone"), []);
        keep(&store, false, "alone", b"codes", false);
        drop(store);
        assert_eq!(spelled(&open_in(home.path()), "alone"), []);
    }

    #[test]
    fn of_too_many_the_oldest_go() {
        let home = folder();
        let store = open(&home);
        insert_epoch(&store);
        load(&store, "population");
        keep(&store, false, "here", b"oldest", false);
        keep(&store, false, "elsewhere", b"oldest", false);
        for _ in 0..MOST {
            keep(&store, false, "here", b"newer!", false);
        }
        assert_eq!(spelled(&store, "here"), vec![(false, b"newer!".to_vec()); MOST as usize]);
        assert_eq!(spelled(&store, "elsewhere").len(), 1);
    }
}
