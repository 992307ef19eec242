//! Contents of old entries are deleted as the regulation says; leaf hashes stay, so the tree still verifies. What an
//! officer holds for a case stays too.

use rusqlite::{Row, params};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::log::{int, position};
use super::{Store, StoreError, Tx};
use crate::audit::Range;
use crate::ids::RegulationId;

/// Entries that one job looks at: answers wait for it.
const STEP: u32 = 1000;

/// Until when contents are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Entries under a regulation expire when they are older than its moment.
    pub regulations: Vec<(RegulationId, OffsetDateTime)>,
    /// All others, of regulations that are no longer in force too, when they are older than this.
    pub others: OffsetDateTime,
}

/// A range of entries whose contents stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: i64,
    pub entries: Range,
}

/// What one step of expiring did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// From the first to behind the last entry whose contents are gone, and how many they are.
    pub expired: Option<(Range, u32)>,
    /// Where the next step begins; `None` if all that follow are too young.
    pub next: Option<u64>,
}

impl Expiry {
    fn is_due(&self, regulation: Option<&str>, time: OffsetDateTime) -> bool {
        let named = self.regulations.iter().find(|(id, _)| Some(id.as_str()) == regulation);
        time < named.map_or(self.others, |(_, moment)| *moment)
    }

    /// From here on no entry is due, whatever its regulation.
    fn youngest(&self) -> OffsetDateTime {
        self.regulations.iter().map(|(_, moment)| *moment).fold(self.others, OffsetDateTime::max)
    }
}

/// What deciding about an entry takes.
struct Candidate {
    index: u64,
    time: String,
    regulation: Option<String>,
    /// On hold, or its processing record is still to be forwarded.
    kept: bool,
}

impl Tx<'_> {
    /// Deletes contents among the entries from `from` on, about a thousand at a time.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn expire(&self, expiry: &Expiry, from: u64) -> Result<Step, StoreError> {
        let candidates = self.candidates(from)?;
        let mut delete = self.db.prepare_cached("DELETE FROM entry WHERE idx = ?1")?;
        let mut expired: Option<(Range, u32)> = None;
        for one in &candidates {
            // An entry has a time: it was checked when it was appended.
            let Ok(time) = OffsetDateTime::parse(&one.time, &Rfc3339) else { continue };
            if time >= expiry.youngest() {
                return Ok(Step { expired, next: None });
            }
            if one.kept || !expiry.is_due(one.regulation.as_deref(), time) {
                continue;
            }
            delete.execute([int(one.index)?])?;
            let (range, count) = expired.get_or_insert((Range { from: one.index, to: one.index }, 0));
            range.to = one.index + 1;
            *count += 1;
        }
        Ok(Step { expired, next: candidates.last().map(|last| last.index + 1) })
    }

    fn candidates(&self, from: u64) -> Result<Vec<Candidate>, StoreError> {
        let sql = "SELECT idx, json_extract(text, '$.time'), json_extract(text, '$.regulation.id'),
                     EXISTS (SELECT 1 FROM hold WHERE first <= entry.idx AND entry.idx < beyond)
                     OR EXISTS (SELECT 1 FROM outbox WHERE outbox.idx = entry.idx)
                   FROM entry WHERE idx >= ?1 ORDER BY idx LIMIT ?2";
        let candidate = |row: &Row<'_>| {
            let (time, regulation) = (row.get(1)?, row.get(2)?);
            Ok(Candidate { index: position(row, 0)?, time, regulation, kept: row.get(3)? })
        };
        let mut query = self.db.prepare_cached(sql)?;
        Ok(query.query_map(params![int(from)?, STEP], candidate)?.collect::<Result<_, _>>()?)
    }

    /// Keeps the contents of these entries until the hold ends. They may lie in the future.
    ///
    /// # Errors
    /// [`StoreError::Sql`], also for an empty range.
    pub fn hold(&self, entries: Range, now: OffsetDateTime) -> Result<Hold, StoreError> {
        let sql = "INSERT INTO hold (first, beyond, held_at) VALUES (?1, ?2, ?3) RETURNING id";
        let row = params![int(entries.from)?, int(entries.to)?, now.unix_timestamp()];
        let id = self.db.prepare_cached(sql)?.query_row(row, |row| row.get(0))?;
        Ok(Hold { id, entries })
    }

    /// Ends a hold; contents that are due go with the next expiry.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn end_hold(&self, id: i64) -> Result<Hold, StoreError> {
        let sql = "DELETE FROM hold WHERE id = ?1 RETURNING id, first, beyond";
        let mut query = self.db.prepare_cached(sql)?;
        let found = query.query_map([id], hold)?.next().transpose()?;
        found.ok_or(StoreError::NotFound("hold"))
    }
}

impl Store {
    /// All holds, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        let sql = "SELECT id, first, beyond FROM hold ORDER BY id";
        self.read(|db| Ok(db.prepare_cached(sql)?.query_map([], hold)?.collect::<Result<_, _>>()?))
    }
}

fn hold(row: &Row<'_>) -> rusqlite::Result<Hold> {
    let entries = Range { from: position(row, 1)?, to: position(row, 2)? };
    Ok(Hold { id: row.get(0)?, entries })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW, entry, folder, open, open_in};
    use super::*;
    use crate::audit::{Entry, Line, RegulationRef, verify_log};
    use time::macros::datetime;

    fn at(day: &str, regulation: Option<&str>) -> Entry {
        let reference = |id: &str| RegulationRef { id: id.parse().unwrap(), digest: "cd".repeat(32) };
        Entry { time: format!("{day}T00:00:00Z"), regulation: regulation.map(reference), ..entry() }
    }

    fn filled(store: &Store) {
        for (day, regulation) in [
            ("2019-01-01", Some("haarlem")),
            ("2019-01-02", Some("rotterdam")),
            ("2019-01-03", None),
            ("2021-01-01", Some("haarlem")),
            ("2026-01-01", Some("haarlem")),
        ] {
            let entry = at(day, regulation);
            store.write(move |tx| tx.append(&entry)).unwrap();
        }
    }

    fn expiry() -> Expiry {
        let haarlem = ("haarlem".parse().unwrap(), datetime!(2022-01-01 0:00 UTC));
        Expiry { regulations: vec![haarlem], others: datetime!(2019-01-03 0:00 UTC) }
    }

    fn contents(store: &Store) -> Vec<bool> {
        store.entries(0..9).unwrap().into_iter().map(|line| line.entry.is_some()).collect()
    }

    #[test]
    fn contents_expire_as_their_regulation_says_and_the_tree_still_verifies() {
        let home = folder();
        let store = open(&home);
        filled(&store);
        let step = store.write(|tx| tx.expire(&expiry(), 0)).unwrap().value;
        assert_eq!(step, Step { expired: Some((Range { from: 0, to: 4 }, 3)), next: None });
        assert_eq!(contents(&store), [false, false, true, false, true]);
        let again = store.write(|tx| tx.expire(&expiry(), 0)).unwrap().value;
        assert_eq!(again.expired, None);
        let lines = store.entries(0..9).unwrap().into_iter();
        let lines = lines.map(|line| line.entry.map_or(Line::Expired(line.leaf), Line::Entry));
        let note = store.checkpoint().unwrap();
        assert_eq!(verify_log(lines, &note, store.verifier(), &[], &[]).unwrap().expired, 3);
        drop(store);
        assert_eq!(open_in(home.path()).checkpoint().unwrap(), note);
    }

    #[test]
    fn what_is_held_stays_until_the_hold_ends() {
        let home = folder();
        let store = open(&home);
        filled(&store);
        let held = store.write(|tx| tx.hold(Range { from: 0, to: 1 }, NOW)).unwrap().value;
        assert_eq!(store.holds().unwrap(), [held]);
        store.write(|tx| tx.expire(&expiry(), 0)).unwrap();
        assert_eq!(contents(&store), [true, false, true, false, true]);
        assert_eq!(store.write(move |tx| tx.end_hold(held.id)).unwrap().value, held);
        assert!(matches!(store.write(move |tx| tx.end_hold(held.id)), Err(StoreError::NotFound("hold"))));
        store.write(|tx| tx.expire(&expiry(), 0)).unwrap();
        assert_eq!(contents(&store), [false, false, true, false, true]);
        assert!(store.write(|tx| tx.hold(Range { from: 3, to: 3 }, NOW)).is_err());
    }

    #[test]
    fn expired_contents_are_gone_from_the_file() {
        let home = folder();
        let store = open(&home);
        let marked = Entry { object: Some("0badc0ffee0ddf00".repeat(2)), ..at("2019-01-01", None) };
        store.write(move |tx| tx.append(&marked)).unwrap();
        store.write(|tx| tx.expire(&Expiry { others: NOW, ..expiry() }, 0)).unwrap();
        drop(store);
        let bytes = std::fs::read(home.path().join("voorrang.db")).unwrap();
        assert!(!bytes.windows(16).any(|window| window == b"0badc0ffee0ddf00"));
    }
}
