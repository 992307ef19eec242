//! The access log on disk: appended by the writer, rebuilt and compared at each start, read by officers.

use std::cmp::Ordering;
use std::ops::Range;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::anchor::Anchor;
use super::keys::Keys;
use super::{Setup, Store, StoreError, Tx, retention, rotate};
use crate::audit::{
    AuditError, Checkpoint, Entry, Frontier, Gone, Hash, MAX_ENTRY_BYTES, NoteSigner, NoteVerifier, ldv, leaf_hash,
};

/// Where an entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position in the log, from 0.
    pub index: u64,
    pub leaf: Hash,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub index: u64,
    pub leaf: Hash,
    /// The canonical bytes of the entry; `None` once they have expired.
    pub entry: Option<Vec<u8>>,
}

impl LogLine {
    /// The line, if its contents are those of its leaf hash.
    fn unchanged(self) -> Result<Self, StoreError> {
        match &self.entry {
            Some(entry) if leaf_hash(entry) != self.leaf => {
                Err(StoreError::DamagedEntry { index: self.index, what: "was changed" })
            }
            _ => Ok(self),
        }
    }
}

impl Tx<'_> {
    /// Appends an entry. Its receipt comes with the commit, in [`super::Written::receipts`].
    ///
    /// # Errors
    /// [`StoreError::Entry`] if a field breaks its form or the entry is longer than 65,535 bytes.
    pub fn append(&self, entry: &Entry) -> Result<Appended, StoreError> {
        entry.check()?;
        let line = entry.to_text();
        if line.len() > MAX_ENTRY_BYTES {
            return Err(AuditError::Entry("text is longer than 65,535 bytes").into());
        }
        let mut log = self.log.borrow_mut();
        let appended = Appended { index: log.frontier.size(), leaf: leaf_hash(line.as_bytes()) };
        let index = int(appended.index)?;
        let mut leaf = self.db.prepare_cached("INSERT INTO leaf (idx, hash) VALUES (?1, ?2)")?;
        leaf.execute(params![index, appended.leaf.as_bytes()])?;
        let mut text = self.db.prepare_cached("INSERT INTO entry (idx, text) VALUES (?1, ?2)")?;
        text.execute(params![index, line])?;
        if log.outbox && ldv::activity(entry.action).is_some() {
            self.put_outbox(index)?;
        }
        // Only now: a statement that failed has left no leaf, and a job may go on after the error.
        log.frontier.push(appended.leaf);
        self.appended.borrow_mut().push(appended);
        Ok(appended)
    }

    /// Entries before the next one.
    pub fn log_size(&self) -> u64 {
        self.log.borrow().frontier.size()
    }
}

impl Store {
    /// The newest signed checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn checkpoint(&self) -> Result<String, StoreError> {
        self.read(|db| stored_note(db)?.ok_or(StoreError::NotFound("checkpoint")))
    }

    /// Lines of the log in order; positions beyond its end are left out. Ask for some thousands at a time.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if one was changed; every write is refused then.
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<LogLine>, StoreError> {
        let sql = "SELECT leaf.idx, hash, text FROM leaf LEFT JOIN entry USING (idx)
                   WHERE leaf.idx >= ?1 AND leaf.idx < ?2 ORDER BY leaf.idx";
        let (from, to) = (int(range.start)?, i64::try_from(range.end).unwrap_or(i64::MAX));
        self.noticed(self.read(|db| {
            let mut query = db.prepare_cached(sql)?;
            query.query_map([from, to], line)?.map(|line| line?.unchanged()).collect()
        }))
    }

    /// Shows lines whose contents hold all these words, in order, until `take` wants no more. Reads the whole log.
    ///
    /// # Errors
    /// As [`Store::entries`], and what `take` fails with.
    pub fn scan(
        &self,
        words: &[&str],
        mut take: impl FnMut(LogLine) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let holds: String = (1..=words.len()).map(|at| format!(" AND instr(text, ?{at})")).collect();
        let sql = format!("SELECT idx, hash, text FROM leaf JOIN entry USING (idx) WHERE 1{holds} ORDER BY idx");
        self.noticed(self.read(|db| {
            let mut query = db.prepare_cached(&sql)?;
            let mut rows = query.query(rusqlite::params_from_iter(words))?;
            while let Some(row) = rows.next()? {
                if !take(line(row)?.unchanged()?)? {
                    break;
                }
            }
            Ok(())
        }))
    }

    /// Looks at the whole log as a start does, without what is remembered outside the database: whether contents were
    /// changed, or are gone by no rule. In one moment's view, beside the writer. Blocks, and reads every entry.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]; every write is refused then.
    pub fn check_log(&self) -> Result<(), StoreError> {
        self.noticed(self.read(|db| {
            let moment = db.unchecked_transaction()?;
            let (frontier, note) = (rebuild(&moment, &[])?, stored_note(&moment)?);
            let signed = note.and_then(|note| Checkpoint::parse(&note, self.verifier()).ok());
            as_signed(&frontier, &signed.ok_or_else(not_as_signed)?)
        }))
    }

    /// Entries under the newest checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is none.
    pub fn log_size(&self) -> Result<u64, StoreError> {
        Ok(self.noticed(self.signed())?.1.size)
    }

    /// The newest checkpoint as it is stored, and what it says.
    pub(super) fn signed(&self) -> Result<(String, Checkpoint), StoreError> {
        let note = self.checkpoint()?;
        let signed = Checkpoint::parse(&note, self.verifier()).map_err(|_| not_as_signed())?;
        Ok((note, signed))
    }

    /// Damage that a reading meets ends all telling, as a failed commit does: what the log holds, a start finds out.
    pub(super) fn noticed<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        read.inspect_err(|error| {
            if error.is_damage() {
                self.writer.damage(error);
            }
        })
    }
}

/// What the writer keeps of the log.
pub(super) struct Log {
    frontier: Frontier,
    signer: NoteSigner,
    /// Whether processing records are made of its entries.
    outbox: bool,
}

impl Log {
    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    pub(super) fn rewind(&mut self, to: Frontier) {
        self.frontier = to;
    }

    pub(super) fn verifier(&self) -> NoteVerifier {
        self.signer.verifier()
    }

    /// Signs another text under the log's name. Its first line must be no origin, so that it is no checkpoint.
    pub(super) fn sign(&self, text: &str) -> String {
        self.signer.sign(text)
    }

    /// Signs the log as it is now and stores the note, in the transaction under way.
    pub(super) fn store_checkpoint(&self, db: &Connection) -> Result<String, StoreError> {
        let (size, root) = (self.frontier.size(), self.frontier.root());
        let note = Checkpoint { origin: self.signer.name().to_owned(), size, root }.to_note(&self.signer);
        let sql = "INSERT INTO checkpoint (only, note) VALUES (0, ?1) ON CONFLICT (only) DO UPDATE SET note = ?1";
        db.prepare_cached(sql)?.execute([&note])?;
        Ok(note)
    }
}

/// The log of a database that may be used, or a new one at the first start.
pub(super) fn start(db: &mut Connection, keys: &Keys, setup: &Setup) -> Result<Log, StoreError> {
    if let Some((_, true)) = rotate::signer(db, keys, &setup.origin)? {
        keys.adopt_next_log_signer()?;
    }
    if let Some(log) = verified(db, keys, setup)? {
        return Ok(log);
    }
    let signer = keys.create_log_signer(&setup.origin)?;
    setup.anchors(&signer.verifier())?;
    let tx = db.transaction()?;
    let log = Log { frontier: Frontier::default(), signer, outbox: setup.outbox };
    log.store_checkpoint(&tx)?;
    tx.commit()?;
    Ok(log)
}

/// Rebuilds the tree and compares it with the last checkpoint and with what is remembered outside the database; `None`
/// if there was no log ever. Changes nothing, also while the service runs.
pub(super) fn verified(db: &Connection, keys: &Keys, setup: &Setup) -> Result<Option<Log>, StoreError> {
    let signer = rotate::signer(db, keys, &setup.origin)?.map(|(signer, _)| signer);
    // Before the log: what remembers it is never ahead of it then.
    let anchors = match &signer {
        Some(signer) => setup.anchors(&rotate::log_keys(db, &signer.verifier())?)?,
        None => Vec::new(),
    };
    let moment = db.unchecked_transaction()?;
    let (frontier, note) = (rebuild(&moment, &anchors)?, stored_note(&moment)?);
    match (note, signer) {
        (Some(note), Some(signer)) => {
            let signed = Checkpoint::parse(&note, &signer.verifier()).map_err(|_| StoreError::LogKey)?;
            as_signed(&frontier, &signed)?;
            setup.require_anchor(frontier.size())?;
            Ok(Some(Log { frontier, signer, outbox: setup.outbox }))
        }
        (Some(_), None) => Err(StoreError::LogKey),
        (None, _) if frontier.size() > 0 => Err(StoreError::Damaged { what: "the access log has no checkpoint" }),
        // A key without a log: a lost database must not pass for a new one.
        (None, Some(_)) => Err(StoreError::LogLost { path: keys.log_path() }),
        (None, None) => Ok(None),
    }
}

/// The tree of all entries, held against each anchor where it had the anchor's size.
fn rebuild(db: &Connection, anchors: &[Anchor]) -> Result<Frontier, StoreError> {
    let mut query =
        db.prepare("SELECT leaf.idx, hash, text FROM leaf LEFT JOIN entry USING (idx) ORDER BY leaf.idx")?;
    // Whether it was due is for officers to judge: a clock that was wrong once must not keep the service from starting.
    let (mut frontier, mut gone, mut waiting) = (Frontier::default(), Gone::new(0), anchors.iter().collect::<Vec<_>>());
    let mut meet = |log: &Frontier| {
        let here = waiting.extract_if(.., |anchor| anchor.checkpoint.size == log.size());
        here.collect::<Vec<_>>().into_iter().try_for_each(|anchor| anchor.hold(Some(log), log.size()))
    };
    meet(&frontier)?;
    for found in query.query_map([], line)? {
        let found = found?.unchanged()?;
        if found.index != frontier.size() {
            return Err(StoreError::DamagedEntry { index: frontier.size(), what: "is missing" });
        }
        gone.line(found.index, found.entry.as_deref());
        frontier.push(found.leaf);
        meet(&frontier)?;
    }
    waiting.first().map_or(Ok(()), |ahead| ahead.hold(None, frontier.size()))?;
    let removed = |index| StoreError::DamagedEntry { index, what: "is empty, and no rule deleted its contents" };
    gone.early().map_or(Ok(()), |index| Err(removed(index)))?;
    retention::check_holds(db, gone.holds()).map(|()| frontier)
}

fn as_signed(log: &Frontier, signed: &Checkpoint) -> Result<(), StoreError> {
    match log.size().cmp(&signed.size) {
        Ordering::Less => Err(StoreError::DamagedEntry { index: log.size(), what: "is missing" }),
        Ordering::Greater => Err(StoreError::DamagedEntry { index: signed.size, what: "was added and never signed" }),
        Ordering::Equal if log.root() != signed.root => Err(not_as_signed()),
        Ordering::Equal => Ok(()),
    }
}

pub(super) fn not_as_signed() -> StoreError {
    StoreError::Damaged { what: "the access log is not the one that was signed" }
}

pub(super) fn stored_note(db: &Connection) -> Result<Option<String>, StoreError> {
    let mut query = db.prepare_cached("SELECT note FROM checkpoint WHERE only = 0")?;
    Ok(query.query_row([], |row| row.get(0)).optional()?)
}

/// The newest entry, unless its contents have expired.
pub(super) fn last(db: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT leaf.idx, hash, text FROM leaf LEFT JOIN entry USING (idx) ORDER BY leaf.idx DESC LIMIT 1";
    Ok(db.query_row(sql, [], line).optional()?.and_then(|line| line.entry))
}

/// Bytes as they are there: whoever reads them sees by the leaf hash which entry was changed into something else.
fn line(row: &Row<'_>) -> rusqlite::Result<LogLine> {
    let index = row.get::<_, i64>(0)?.cast_unsigned();
    let entry = match row.get_ref(2)? {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
        ValueRef::Integer(_) | ValueRef::Real(_) => Some(Vec::new()),
    };
    let leaf = row.get_ref(1)?.as_blob_or_null()?.unwrap_or_default();
    Ok(LogLine { index, leaf: <[u8; 32]>::try_from(leaf).unwrap_or_default().into(), entry })
}

/// A position in the log.
pub(super) fn position(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let index = row.get::<_, i64>(column)?;
    u64::try_from(index).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, index))
}

/// SQLite counts in 63 bits.
pub(super) fn int(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::NotFound("position below 2^63"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ORIGIN, Reading, append, entry, folder, open, open_in};
    use super::*;
    use crate::audit::verify_log;
    use tempfile::TempDir;

    fn tampered(sql: &str) -> StoreError {
        let home = filled();
        // An attacker with the database at hand: foreign keys do not stop one.
        let db = Connection::open(home.path().join("voorrang.db")).unwrap();
        db.pragma_update(None, "foreign_keys", false).unwrap();
        db.execute_batch(sql).unwrap();
        drop(db);
        Store::open(home.path(), ORIGIN).unwrap_err()
    }

    fn filled() -> TempDir {
        let home = folder();
        let store = open(&home);
        (0..5).for_each(|_| drop(append(&store)));
        home
    }

    #[test]
    fn entries_survive_and_the_root_stays() {
        let home = folder();
        let store = open(&home);
        let receipts: Vec<_> = (0..5).map(|_| append(&store)).collect();
        let (note, lines) = (store.checkpoint().unwrap(), store.entries(0..9).unwrap());
        assert_eq!(note, receipts[4].checkpoint);
        drop(store);
        let store = open_in(home.path());
        assert_eq!((store.checkpoint().unwrap(), store.entries(0..9).unwrap()), (note.clone(), lines.clone()));
        let bytes = lines.into_iter().map(|l| l.entry.unwrap());
        let report = verify_log(bytes, &note, store.verifier(), &[], &receipts, 1).unwrap();
        assert_eq!((report.entries, report.receipts), (5, 5));
    }

    #[test]
    fn a_changed_log_keeps_the_service_from_starting() {
        for sql in [
            "UPDATE entry SET text = replace(text, 'answered', 'done') WHERE idx = 2",
            "UPDATE leaf SET hash = zeroblob(32) WHERE idx = 2; DELETE FROM entry WHERE idx = 2",
            "DELETE FROM entry WHERE idx = 4; DELETE FROM leaf WHERE idx = 4",
            "DELETE FROM entry WHERE idx = 1; DELETE FROM leaf WHERE idx = 1",
            "INSERT INTO leaf VALUES (5, zeroblob(32))",
            "DELETE FROM checkpoint",
            "DELETE FROM entry WHERE idx IN (2, 4)",
        ] {
            let error = tampered(sql);
            assert!(error.is_damage(), "{sql}: {error:?}");
        }
    }

    #[test]
    fn a_start_that_is_refused_names_the_entry_and_what_to_do() {
        let leaf = leaf_hash(b"{}").as_bytes().map(|byte| format!("{byte:02x}")).concat();
        let added = format!("INSERT INTO leaf VALUES (5, x'{leaf}'); INSERT INTO entry VALUES (5, '{{}}')");
        let raw = "DROP INDEX entry_sealed_by; PRAGMA ignore_check_constraints = ON;";
        for (sql, says) in [
            ("UPDATE entry SET text = '{\"v\":' WHERE idx = 2", "entry 2 of the access log was changed"),
            ("UPDATE entry SET text = CAST(x'7BFF' AS TEXT) WHERE idx = 2", "entry 2 of the access log was changed"),
            ("UPDATE leaf SET hash = zeroblob(32) WHERE idx = 3", "entry 3 of the access log was changed"),
            ("UPDATE leaf SET hash = x'00' WHERE idx = 3", "quick_check found a fault"),
            ("DELETE FROM entry WHERE idx = 1; DELETE FROM leaf WHERE idx = 1", "entry 1 of the access log is missing"),
            ("DELETE FROM entry WHERE idx > 2; DELETE FROM leaf WHERE idx > 2", "entry 3 of the access log is missing"),
            ("DELETE FROM entry WHERE idx = 4", "entry 4 of the access log is empty"),
            ("INSERT INTO leaf VALUES (5, zeroblob(32))", "entry 5 of the access log is empty"),
            (&added, "entry 5 of the access log was added"),
            ("UPDATE leaf SET idx = -7 WHERE idx = 1", "entry 0 of the access log is missing"),
            ("UPDATE checkpoint SET note = CAST(x'FF' AS TEXT)", "a value in it is none"),
        ] {
            let error = tampered(&format!("{raw}{sql}"));
            let text = error.to_string();
            assert!(text.contains(says) && text.contains("restore a backup"), "{sql}: {text}");
            assert!(error.is_about_the_log() && error.code() == "store_damaged", "{sql}: {error:?}");
        }
    }

    #[test]
    fn an_entry_that_was_changed_under_the_service_is_shown_to_nobody_and_ends_all_telling() {
        let change = "UPDATE entry SET text = replace(text, 'answered', 'done') WHERE idx = 2";
        let forget = "UPDATE checkpoint SET note = replace(note, '5', '4')";
        let scan = |store: &Store| store.scan(&["done"], |_| Ok(true));
        let delete = "DELETE FROM entry WHERE idx = 2";
        let reads: [(&str, &Reading); 6] = [
            (change, &Store::check_log),
            (delete, &Store::check_log),
            (forget, &Store::check_log),
            (change, &|store| store.entries(0..9).map(drop)),
            (change, &scan),
            (forget, &|store| store.log_size().map(drop)),
        ];
        for (sql, read) in reads {
            let home = filled();
            let store = open(&home);
            assert!(read(&store).is_ok() && store.entries(0..9).is_ok() && !store.stats().damaged);
            Connection::open(home.path().join("voorrang.db")).unwrap().execute_batch(sql).unwrap();
            assert!(store.entries(0..2).is_ok(), "others were not changed");
            assert!(read(&store).is_err_and(|error| error.is_damage()), "{sql}");
            assert!(store.stats().damaged && store.stats().poisoned, "{sql}");
            assert!(store.write(|tx| tx.append(&entry())).is_err_and(|error| error.is_damage()), "and says why");
        }
    }

    #[test]
    fn another_key_or_origin_or_a_lost_database_is_named() {
        let home = filled();
        assert!(matches!(Store::open(home.path(), "log.example/other"), Err(StoreError::LogKey)));
        let key = home.path().join("keys/log.key");
        let aside = home.path().join("aside");
        std::fs::rename(&key, &aside).unwrap();
        assert!(matches!(Store::open(home.path(), ORIGIN), Err(StoreError::LogKey)));
        std::fs::rename(&aside, &key).unwrap();
        std::fs::remove_file(home.path().join("voorrang.db")).unwrap();
        assert!(matches!(Store::open(home.path(), ORIGIN), Err(StoreError::LogLost { .. })));
    }

    #[test]
    fn an_entry_out_of_form_is_refused() {
        let home = folder();
        let store = open(&home);
        let bad = Entry { salt: "mevrouw Jansen".into(), ..entry() };
        assert!(matches!(store.write(move |tx| tx.append(&bad)), Err(StoreError::Entry(_))));
        assert_eq!(append(&store).index, 0);
    }
}
