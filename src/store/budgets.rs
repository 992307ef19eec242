//! What holds probing back: how often each corporation asked, and each household was asked about.

use rusqlite::{OptionalExtension, Row, params};

use super::{Store, StoreError, Tx};
use crate::ids::{Oin, RegulationId};

/// What a party asked in a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Asked {
    pub questions: u64,
    /// About addresses outside the stock, about people who live elsewhere, or told nothing.
    pub misses: u64,
    /// Of them, those of the day.
    pub day_questions: u64,
    pub day_misses: u64,
}

impl Tx<'_> {
    /// Counts questions of a party on a day of a month (`2026-11`), `misses` of them, and returns the counts after. In the job
    /// that answers, so that parallel questions cannot both take the last one.
    ///
    /// # Errors
    /// [`StoreError::Sql`], also for a month in another form.
    pub fn charge(
        &self,
        regulation: &RegulationId,
        oin: &Oin,
        month: &str,
        day: u8,
        questions: u32,
        misses: u32,
    ) -> Result<Asked, StoreError> {
        let sql = "INSERT INTO budget (regulation, oin, month, day, questions, misses, day_questions, day_misses)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?6)
                   ON CONFLICT DO UPDATE SET questions = questions + ?5, misses = misses + ?6, day = ?4,
                       day_questions = iif(day = ?4, day_questions, 0) + ?5,
                       day_misses = iif(day = ?4, day_misses, 0) + ?6
                   RETURNING questions, misses, day_questions, day_misses";
        let row = params![regulation.as_str(), oin.as_str(), month, day, questions, misses];
        Ok(self.db.prepare_cached(sql)?.query_row(row, asked)?)
    }

    /// Remembers that officers were told of a party's questions in a month; whether they were not before.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn raise_alarm(&self, regulation: &RegulationId, oin: &Oin, month: &str) -> Result<bool, StoreError> {
        let sql = "UPDATE budget SET alarmed = 1 WHERE regulation = ?1 AND oin = ?2 AND month = ?3 AND alarmed = 0";
        let row = [regulation.as_str(), oin.as_str(), month];
        Ok(self.db.prepare_cached(sql)?.execute(row)? == 1)
    }

    /// Counts one question of a party about a household (its pseudonym) or a case in a month, or one of its loads on a day of
    /// it, and returns the count after. Per party, so that none uses up another's, or learns whether another asked.
    ///
    /// # Errors
    /// [`StoreError::Sql`], also for a month in another form.
    pub fn charge_household(&self, oin: &Oin, object: &str, month: &str) -> Result<u64, StoreError> {
        let sql = "INSERT INTO household_questions (month, oin, object, questions) VALUES (?1, ?2, ?3, 1)
                   ON CONFLICT DO UPDATE SET questions = questions + 1 RETURNING questions";
        Ok(self.db.prepare_cached(sql)?.query_row([month, oin.as_str(), object], |row| count(row, 0))?)
    }

    /// Deletes the counts of months before `month`. They serve no purpose any more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn forget_counts(&self, month: &str) -> Result<(), StoreError> {
        self.db.execute("DELETE FROM budget WHERE month < ?1", [month])?;
        self.db.execute("DELETE FROM household_questions WHERE month < ?1", [month])?;
        Ok(())
    }
}

impl Store {
    /// Questions of a party in a month so far.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn questions(&self, regulation: &RegulationId, oin: &Oin, month: &str) -> Result<u64, StoreError> {
        let sql = "SELECT questions FROM budget WHERE regulation = ?1 AND oin = ?2 AND month = ?3";
        let row = [regulation.as_str(), oin.as_str(), month];
        self.read(|db| Ok(db.prepare_cached(sql)?.query_row(row, |row| count(row, 0)).optional()?.unwrap_or(0)))
    }

    /// Questions of a party in a month and on a day of it, and those that missed.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn asked(&self, regulation: &RegulationId, oin: &Oin, month: &str, day: u8) -> Result<Asked, StoreError> {
        let sql = "SELECT questions, misses, iif(day = ?4, day_questions, 0), iif(day = ?4, day_misses, 0)
                   FROM budget WHERE regulation = ?1 AND oin = ?2 AND month = ?3";
        let row = params![regulation.as_str(), oin.as_str(), month, day];
        self.read(|db| Ok(db.prepare_cached(sql)?.query_row(row, asked).optional()?.unwrap_or_default()))
    }

    /// Questions of a party about a household in a month so far.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn household_questions(&self, oin: &Oin, object: &str, month: &str) -> Result<u64, StoreError> {
        let sql = "SELECT questions FROM household_questions WHERE month = ?1 AND oin = ?2 AND object = ?3";
        self.read(|db| {
            Ok(db
                .prepare_cached(sql)?
                .query_row([month, oin.as_str(), object], |row| count(row, 0))
                .optional()?
                .unwrap_or(0))
        })
    }
}

fn asked(row: &Row<'_>) -> rusqlite::Result<Asked> {
    let [questions, misses, day_questions, day_misses] = [0, 1, 2, 3].map(|at| count(row, at));
    let (day_questions, day_misses) = (day_questions?, day_misses?);
    Ok(Asked { questions: questions?, misses: misses?, day_questions, day_misses })
}

fn count(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let value = row.get::<_, i64>(at)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, value))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{folder, oin, open};
    use super::*;

    fn haarlem() -> RegulationId {
        "haarlem".parse().unwrap()
    }

    #[test]
    fn parallel_questions_are_each_counted_once() {
        let home = folder();
        let store = open(&home);
        let ask = || store.write(|tx| tx.charge(&haarlem(), &oin(), "2026-11", 2, 1, 0)).unwrap().value.questions;
        let mut seen: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..5).map(|_| ask()).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        seen.sort_unstable();
        assert_eq!(seen, (1..=40).collect::<Vec<_>>());
        assert_eq!(store.questions(&haarlem(), &oin(), "2026-11").unwrap(), 40);
        assert_eq!(store.questions(&haarlem(), &oin(), "2026-12").unwrap(), 0);
    }

    #[test]
    fn counts_of_a_day_begin_anew_on_another_and_those_of_the_month_do_not() {
        let home = folder();
        let store = open(&home);
        let ask = |day, misses| {
            let asked = store.write(move |tx| tx.charge(&haarlem(), &oin(), "2026-11", day, 2, misses)).unwrap().value;
            (asked.questions, asked.misses, asked.day_questions, asked.day_misses)
        };
        assert_eq!((ask(2, 1), ask(2, 2)), ((2, 1, 2, 1), (4, 3, 4, 3)));
        assert_eq!((ask(3, 0), ask(3, 2)), ((6, 3, 2, 0), (8, 5, 4, 2)));
        let read = |day| store.asked(&haarlem(), &oin(), "2026-11", day).unwrap();
        assert_eq!((read(3).misses, read(3).day_misses, read(4).misses, read(4).day_misses), (5, 2, 5, 0));
    }

    #[test]
    fn counts_of_a_household_are_by_party_and_month_and_forgotten() {
        let home = folder();
        let store = open(&home);
        let ask_as = |oin: Oin, month: &'static str| {
            store.write(move |tx| tx.charge_household(&oin, "aa", month)).map(|w| w.value)
        };
        let ask = |month| ask_as(oin(), month);
        assert_eq!((ask("2026-10").unwrap(), ask("2026-10").unwrap(), ask("2026-11").unwrap()), (1, 2, 1));
        assert_eq!(ask_as("00000099000000009999".parse().unwrap(), "2026-11").unwrap(), 1);
        assert!(ask("November").is_err());
        store.write(|tx| tx.forget_counts("2026-11")).unwrap();
        let asked = |month| store.household_questions(&oin(), "aa", month).unwrap();
        assert_eq!((asked("2026-10"), asked("2026-11")), (0, 1));
    }
}
