//! Contents of old entries are deleted as the regulation says; leaf hashes stay, so the tree still verifies. What an
//! officer holds for a case stays too.

use rusqlite::{Connection, Row, params};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::epochs::parsed;
use super::log::{int, position};
use super::{Store, StoreError, Tx};
use crate::audit::Range;
use crate::ids::{Oin, RegulationId};

/// Entries that one job looks at: answers wait for it.
const STEP: u32 = 1000;

/// Beyond this an entry is dated in the future; the record of what is deleted is dated a moment later than its round.
const AHEAD: Duration = Duration::HOUR;

/// Until when contents are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Entries under a regulation expire when they are older than its moment.
    pub regulations: Vec<(RegulationId, OffsetDateTime)>,
    /// All others, of regulations that are no longer in force too, when they are older than this.
    pub others: OffsetDateTime,
    pub now: OffsetDateTime,
}

/// A range of entries whose contents stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: i64,
    pub entries: Range,
    /// Who holds them, as the entry says with which it began.
    pub by: Option<Oin>,
}

/// What one step of expiring did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The entries whose contents are gone, in order.
    pub expired: Vec<Range>,
    /// Where the next step begins; `None` if all that follow are too young.
    pub next: Option<u64>,
}

impl Expiry {
    pub(super) fn is_due(&self, regulation: Option<&str>, time: OffsetDateTime) -> bool {
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
    /// On hold, or its processing record is still to be forwarded, or it says which contents are gone by rule or held.
    kept: bool,
}

impl Tx<'_> {
    /// Deletes contents among the entries from `from` on, about a thousand at a time, in the order of the log: what stands
    /// behind an entry that is too young waits, whatever its date, for an officer knows how old deleted contents were by
    /// what stands before them. A day's key stays until a round finds nothing any more that it opens.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn expire(&self, expiry: &Expiry, from: u64) -> Result<Step, StoreError> {
        let (candidates, mut too_young) = (self.candidates(from)?, false);
        let is_full = candidates.len() == STEP as usize;
        let mut delete = self.db.prepare_cached("DELETE FROM entry WHERE idx = ?1")?;
        let mut expired: Vec<Range> = Vec::new();
        for one in &candidates {
            // An entry has a time: it was checked when it was appended.
            let Ok(time) = OffsetDateTime::parse(&one.time, &Rfc3339) else { continue };
            // A clock that was ahead for a while stops nothing before its time has come.
            if time >= expiry.now + AHEAD {
                continue;
            }
            if time >= expiry.youngest() {
                too_young = true;
                break;
            }
            if one.kept || !expiry.is_due(one.regulation.as_deref(), time) {
                continue;
            }
            delete.execute([int(one.index)?])?;
            match expired.last_mut() {
                Some(range) if range.to == one.index => range.to += 1,
                _ => expired.push(Range { from: one.index, to: one.index + 1 }),
            }
        }
        Ok(Step { expired, next: candidates.last().filter(|_| is_full && !too_young).map(|last| last.index + 1) })
    }

    fn candidates(&self, from: u64) -> Result<Vec<Candidate>, StoreError> {
        let sql = "SELECT idx, json_extract(text, '$.time'), json_extract(text, '$.regulation.id'),
                     EXISTS (SELECT 1 FROM hold WHERE first <= entry.idx AND entry.idx < beyond)
                     OR EXISTS (SELECT 1 FROM outbox WHERE outbox.idx = entry.idx)
                     OR json_extract(text, '$.action') IN ('log-expire', 'log-hold', 'log-hold-end')
                   FROM entry WHERE idx >= ?1 ORDER BY idx LIMIT ?2";
        let candidate = |row: &Row<'_>| {
            let (time, regulation) = (row.get(1)?, row.get(2)?);
            Ok(Candidate { index: position(row, 0)?, time, regulation, kept: row.get(3)? })
        };
        let mut query = self.db.prepare_cached(sql)?;
        let mut all: Vec<Candidate> =
            query.query_map(params![int(from)?, STEP], candidate)?.collect::<Result<_, _>>()?;
        for one in &mut all {
            one.kept |= self.opens_another(one.index)?;
        }
        Ok(all)
    }

    /// Whether it brings the key that opens what another entry has sealed.
    fn opens_another(&self, index: u64) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entry WHERE json_extract(text, '$.sealed.key') =
                     (SELECT json_extract(text, '$.dayKey.id') FROM entry WHERE idx = ?1))";
        Ok(self.db.prepare_cached(sql)?.query_row([int(index)?], |row| row.get(0))?)
    }

    /// Keeps the contents of these entries until the hold ends, for who acts in the entry at `begun`. They may lie in the
    /// future.
    ///
    /// # Errors
    /// [`StoreError::Sql`], also for an empty range.
    pub fn hold(&self, entries: Range, begun: u64, now: OffsetDateTime) -> Result<Hold, StoreError> {
        let sql = "INSERT INTO hold (first, beyond, held_at, idx) VALUES (?1, ?2, ?3, ?4) RETURNING id";
        let row = params![int(entries.from)?, int(entries.to)?, now.unix_timestamp(), int(begun)?];
        let id = self.db.prepare_cached(sql)?.query_row(row, |row| row.get(0))?;
        held(self.db, id)?.ok_or(StoreError::NotFound("hold"))
    }

    /// Ends a hold; contents that are due go with the next expiry.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn end_hold(&self, id: i64) -> Result<Hold, StoreError> {
        let ended = held(self.db, id)?.ok_or(StoreError::NotFound("hold"))?;
        self.db.prepare_cached("DELETE FROM hold WHERE id = ?1")?.execute([id])?;
        Ok(ended)
    }
}

/// When an entry was written, and what it says of the service that wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Timed<'a> {
    pub time: &'a str,
    pub action: &'a str,
    /// Whether a party asked for it: no start, and nothing beside the service, writes such a one.
    pub is_of_party: bool,
}

impl Store {
    /// Shows when every entry with contents was written, in order. Reads the whole log.
    ///
    /// # Errors
    /// [`StoreError::Sql`], and what `take` fails with.
    pub fn times(&self, take: &mut dyn FnMut(Timed<'_>) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.read(|db| times(db, take))
    }

    /// How many of these entries have no contents any more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn expired(&self, range: Range) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM leaf LEFT JOIN entry USING (idx)
                   WHERE leaf.idx >= ?1 AND leaf.idx < ?2 AND text IS NULL";
        let range = params![int(range.from)?, i64::try_from(range.to).unwrap_or(i64::MAX)];
        self.read(|db| Ok(db.prepare_cached(sql)?.query_row(range, |row| position(row, 0))?))
    }

    /// All holds, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        self.read(holds)
    }
}

pub(super) fn times(
    db: &Connection,
    take: &mut dyn FnMut(Timed<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = "SELECT json_extract(text, '$.time'), json_extract(text, '$.action'),
                      json_extract(text, '$.actor.oin') IS NOT NULL FROM entry ORDER BY idx";
    let mut query = db.prepare_cached(sql)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let word = |column| row.get_ref(column).map(|value| value.as_str().unwrap_or_default());
        take(Timed { time: word(0)?, action: word(1)?, is_of_party: row.get(2)? })?;
    }
    Ok(())
}

/// That each hold of which the log says that it is open is there: without it contents would expire.
pub(super) fn check_holds(db: &Connection, open: &[Range]) -> Result<(), StoreError> {
    let mut held: Vec<Range> = holds(db)?.into_iter().map(|hold| hold.entries).collect();
    for range in open {
        let missing = StoreError::Damaged { what: "a hold that its log records as open is missing" };
        held.swap_remove(held.iter().position(|held| held == range).ok_or(missing)?);
    }
    Ok(())
}

fn holds(db: &Connection) -> Result<Vec<Hold>, StoreError> {
    let sql = "SELECT id, first, beyond, json_extract(text, '$.actor.oin') FROM hold LEFT JOIN entry USING (idx)
               ORDER BY id";
    let hold = |row: &Row<'_>| {
        let entries = Range { from: position(row, 1)?, to: position(row, 2)? };
        let by = row.get_ref(3)?.as_str().is_ok().then(|| parsed(row, 3)).transpose()?;
        Ok(Hold { id: row.get(0)?, entries, by })
    };
    Ok(db.prepare_cached(sql)?.query_map([], hold)?.collect::<Result<_, _>>()?)
}

fn held(db: &Connection, id: i64) -> Result<Option<Hold>, StoreError> {
    Ok(holds(db)?.into_iter().find(|hold| hold.id == id))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW, entry, folder, open, open_in};
    use super::*;
    use crate::audit::{Action, Actor, Entry, Line, Outcome, RegulationRef, verify_log};
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
        Expiry { regulations: vec![haarlem], others: datetime!(2019-01-03 0:00 UTC), now: NOW }
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
        let ranges = vec![Range { from: 0, to: 2 }, Range { from: 3, to: 4 }];
        assert_eq!(step, Step { expired: ranges.clone(), next: None });
        assert_eq!(contents(&store), [false, false, true, false, true]);
        let again = store.write(|tx| tx.expire(&expiry(), 0)).unwrap().value;
        assert_eq!(again.expired, []);
        let mut record = Entry { action: Action::LogExpire, result: Outcome::Done, ..entry() };
        record.deleted(&ranges);
        store.write(move |tx| tx.append(&record)).unwrap();
        let lines = store.entries(0..9).unwrap().into_iter();
        let lines = lines.map(|line| line.entry.map_or(Line::Expired(line.leaf), Line::Entry));
        let note = store.checkpoint().unwrap();
        assert_eq!(verify_log(lines, &note, store.verifier(), &[], &[], 365).unwrap().expired, 3);
        drop(store);
        assert_eq!(open_in(home.path()).checkpoint().unwrap(), note);
    }

    #[test]
    fn what_says_which_contents_are_gone_stays() {
        let home = folder();
        let store = open(&home);
        let record = Entry { action: Action::LogExpire, ..at("2019-01-01", None) };
        store.write(move |tx| tx.append(&record)).unwrap();
        store.write(|tx| tx.expire(&Expiry { others: NOW, ..expiry() }, 0)).unwrap();
        assert_eq!(contents(&store), [true]);
    }

    #[test]
    fn what_says_what_is_held_stays_and_a_start_misses_the_hold_without_it() {
        let home = folder();
        let store = open(&home);
        let range = Range { from: 0, to: 1 };
        let of = |action| Entry { action, result: Outcome::Done, entries: Some(range), ..at("2019-01-01", None) };
        let begun = of(Action::LogHold);
        let held = store
            .write(move |tx| {
                let begun = tx.append(&begun)?.index;
                tx.hold(range, begun, NOW)
            })
            .unwrap()
            .value;
        let all_due = || Expiry { others: NOW, ..expiry() };
        store.write(move |tx| tx.expire(&all_due(), 0)).unwrap();
        assert_eq!(contents(&store), [true]);
        drop(store);
        let path = home.path().join("voorrang.db");
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute("UPDATE hold SET beyond = 2", []).unwrap();
        let refused = Store::open(home.path(), super::super::fixture::ORIGIN).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { what } if what.contains("hold")), "{refused:?}");
        db.execute("UPDATE hold SET beyond = 1", []).unwrap();
        drop(db);
        let (store, ended) = (open_in(home.path()), of(Action::LogHoldEnd));
        store.write(move |tx| tx.append(&ended).and_then(|_| tx.end_hold(held.id))).unwrap();
        store.write(move |tx| tx.expire(&Expiry { others: NOW, ..expiry() }, 0)).unwrap();
        assert_eq!(contents(&store), [true, true]);
        drop(store);
        drop(open_in(home.path()));
    }

    #[test]
    fn what_is_held_stays_until_the_hold_ends() {
        let home = folder();
        let store = open(&home);
        filled(&store);
        let held = store.write(|tx| tx.hold(Range { from: 0, to: 1 }, 0, NOW)).unwrap().value;
        assert_eq!(store.holds().unwrap(), std::slice::from_ref(&held));
        store.write(|tx| tx.expire(&expiry(), 0)).unwrap();
        assert_eq!(contents(&store), [true, false, true, false, true]);
        assert_eq!(store.write(move |tx| tx.end_hold(held.id)).unwrap().value, held);
        assert!(matches!(store.write(move |tx| tx.end_hold(held.id)), Err(StoreError::NotFound("hold"))));
        store.write(|tx| tx.expire(&expiry(), 0)).unwrap();
        assert_eq!(contents(&store), [false, false, true, false, true]);
        assert!(store.write(|tx| tx.hold(Range { from: 3, to: 3 }, 0, NOW)).is_err());
    }

    /// As a database of an earlier version has it.
    #[test]
    fn a_hold_from_before_is_of_the_party_that_its_entry_names() {
        let home = folder();
        let store = open(&home);
        let party = |n: u8| -> Oin { format!("0000000900000000000{n}").parse().unwrap() };
        let of = |action, n, to, day| {
            let actor = Actor { oin: Some(party(n)), ..entry().actor };
            let entries = Some(Range { from: 0, to });
            Entry { action, result: Outcome::Done, entries, actor, ..at(day, None) }
        };
        let (begin, end) = (Action::LogHold, Action::LogHoldEnd);
        let ended = [(1, 9, "2019-01-01"), (2, 8, "2019-01-02"), (3, 9, "2019-01-04")];
        let mut all: Vec<Entry> =
            ended.iter().flat_map(|&(n, to, day)| [begin, end].map(|action| of(action, n, to, day))).collect();
        all.insert(2, of(begin, 4, 9, "2019-01-02"));
        store.write(move |tx| all.iter().try_for_each(|entry| tx.append(entry).map(drop))).unwrap();
        let range = Range { from: 0, to: 9 };
        store.write(move |tx| tx.hold(range, 0, datetime!(2019-01-03 0:00 UTC))).unwrap();
        drop(store);
        let db = rusqlite::Connection::open(home.path().join("voorrang.db")).unwrap();
        // As the first state left it.
        let first = "ALTER TABLE hold DROP COLUMN idx; ALTER TABLE load DROP COLUMN readings; DROP TABLE mark; \
                     DROP TABLE spelling";
        db.execute_batch(first).unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        drop(db);
        let held = open_in(home.path()).holds().unwrap();
        assert_eq!(held, [Hold { id: held[0].id, entries: range, by: Some(party(4)) }]);
    }

    #[test]
    fn an_entry_dated_in_the_future_stops_no_other() {
        let home = folder();
        let store = open(&home);
        for day in ["2999-01-01", "2019-01-01", "2999-01-01", "2019-01-01"] {
            let entry = at(day, None);
            store.write(move |tx| tx.append(&entry)).unwrap();
        }
        store.write(|tx| tx.expire(&expiry(), 0)).unwrap();
        assert_eq!(contents(&store), [true, false, true, false]);
    }

    /// Else its record would be held against the younger one, and not believed.
    #[test]
    fn what_stands_behind_an_entry_that_is_too_young_waits_for_it() {
        let home = folder();
        let store = open(&home);
        for day in ["2018-01-01", "2023-01-01", "2018-01-02", "2018-01-03"] {
            let entry = at(day, None);
            store.write(move |tx| tx.append(&entry)).unwrap();
        }
        store.write(|tx| tx.expire(&expiry(), 0)).unwrap();
        assert_eq!(contents(&store), [false, true, true, true]);
        let later = || Expiry { others: datetime!(2024-01-01 0:00 UTC), regulations: vec![], ..expiry() };
        store.write(move |tx| tx.expire(&later(), 0)).unwrap();
        assert_eq!(contents(&store), [false; 4]);
    }

    #[test]
    fn a_day_s_key_stays_as_long_as_an_entry_that_it_opens() {
        use crate::audit::{DayKeyFile, Sealed};
        let home = folder();
        let store = open(&home);
        let (id, text) = ("ef".repeat(8), "A".repeat(104));
        let key = DayKeyFile { id: id.clone(), file: String::new() };
        let seals = Entry { day_key: Some(key), sealed: None, ..at("2019-01-01", None) };
        let sealed = Entry { sealed: Some(Sealed { key: id, text }), ..at("2019-01-01", None) };
        for entry in [seals, sealed] {
            store.write(move |tx| tx.append(&entry)).unwrap();
        }
        let held = store.write(|tx| tx.hold(Range { from: 1, to: 2 }, 0, NOW)).unwrap().value;
        let round = || store.write(|tx| tx.expire(&expiry(), 0)).map(|_| contents(&store)).unwrap();
        assert_eq!(round(), [true, true]);
        store.write(move |tx| tx.end_hold(held.id)).unwrap();
        assert_eq!(round(), [true, false]);
        assert_eq!(round(), [false, false]);
    }

    #[test]
    fn the_entries_that_a_key_opens_are_found_by_an_index() {
        let home = folder();
        let store = open(&home);
        let sql = "EXPLAIN QUERY PLAN SELECT 1 FROM entry WHERE json_extract(text, '$.sealed.key') = 'x'";
        let plan: String = store.read(|db| Ok(db.query_row(sql, [], |row| row.get(3))?)).unwrap();
        assert!(plan.contains("entry_sealed_by"), "{plan}");
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
