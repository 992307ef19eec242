//! Answers that were lost on the way: the same party, key and request get the same answer again, and pay once.
//!
//! What is kept is no second log of answers: the answer is sealed under a key that the request itself makes, and the
//! request is not kept. Whoever has the whole disk cannot open it.

use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, Salt};
use rusqlite::{OptionalExtension, params};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::log::{Appended, int};
use super::wrapping::DataKey;
use super::{Store, StoreError, Tx};
use crate::ids::Oin;

/// What is kept is padded to a multiple of this, so that its length does not tell an answer.
const PADDED_BYTES: usize = 64;

/// A request that may come twice.
pub struct RepeatKey {
    id: String,
    body: String,
    cipher: DataKey,
}

/// What is known of such a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// It is the first.
    First,
    /// It was answered: what was kept, and the entry of the log, where it has one.
    Same { kept: String, entry: Option<Appended> },
    /// The key came with another request before.
    Other,
}

impl Store {
    /// The key of a request: who asks, the `Idempotency-Key`, and the body in its canonical spelling.
    ///
    /// # Panics
    /// Never: HKDF gives 32 bytes.
    pub fn repeat_key(&self, oin: &Oin, key: &str, body: &[u8]) -> RepeatKey {
        let body = digest(&SHA256, body);
        let keyed = |what: &str, of: &[u8]| {
            self.keys.of_request(&[what.as_bytes(), oin.as_str().as_bytes(), key.as_bytes(), b"/", of].concat())
        };
        let mut bytes = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, b"voorrang repeated answer 1")
            .extract(&[key.as_bytes(), b"/", body.as_ref()].concat())
            .expand(&[oin.as_str().as_bytes()], HKDF_SHA256)
            .and_then(|made| made.fill(bytes.as_mut()))
            .expect("32 bytes are within HKDF's limit");
        RepeatKey {
            id: keyed("repeat ", b""),
            body: keyed("repeat body ", body.as_ref()),
            cipher: DataKey::new(&bytes),
        }
    }

    /// What is known of this request.
    ///
    /// # Errors
    /// [`StoreError::Sql`]; [`StoreError::Damaged`] if what was kept does not open.
    pub fn repeated(&self, key: &RepeatKey) -> Result<Repeated, StoreError> {
        let sql = "SELECT body, sealed, idx, hash FROM repeat LEFT JOIN leaf USING (idx) WHERE id = ?1";
        let row = self.read(|db| {
            let read = |row: &rusqlite::Row<'_>| {
                let entry = row.get::<_, Option<i64>>(2)?.zip(row.get::<_, Option<[u8; 32]>>(3)?);
                Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, entry))
            };
            Ok(db.prepare_cached(sql)?.query_row([&key.id], read).optional()?)
        })?;
        let Some((body, sealed, entry_of)) = row else { return Ok(Repeated::First) };
        if body != key.body {
            return Ok(Repeated::Other);
        }
        let damaged = || StoreError::Damaged { what: "an answer that was kept for a repeated question" };
        let plain = key.cipher.open(key.id.as_bytes(), &sealed).ok_or_else(damaged)?;
        let kept = String::from_utf8(plain).map_err(|_| damaged())?.trim_end().to_owned();
        let entry = |(index, leaf): (i64, [u8; 32])| {
            u64::try_from(index).map(|index| Appended { index, leaf: leaf.into() }).map_err(|_| damaged())
        };
        Ok(Repeated::Same { kept, entry: entry_of.map(entry).transpose()? })
    }

    /// When what is kept of this request was kept.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn first_came(&self, key: &RepeatKey) -> Result<Option<OffsetDateTime>, StoreError> {
        let sql = "SELECT at FROM repeat WHERE id = ?1 AND body = ?2";
        let at = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let seconds = self.read(|db| Ok(db.prepare_cached(sql)?.query_row([&key.id, &key.body], at).optional()?))?;
        Ok(seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()))
    }
}

impl Tx<'_> {
    /// Keeps an answer for its repetition, in the job that does what was asked.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the key is there already: another request with it was faster.
    pub fn keep_answer(
        &self,
        key: &RepeatKey,
        kept: &str,
        entry: Option<Appended>,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let padded = kept.len().next_multiple_of(PADDED_BYTES);
        let sealed = key.cipher.seal(key.id.as_bytes(), format!("{kept:padded$}").as_bytes());
        let index = entry.map(|entry| int(entry.index)).transpose()?;
        let sql = "INSERT OR IGNORE INTO repeat (id, body, sealed, idx, at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![key.id, key.body, sealed, index, now.unix_timestamp()];
        match self.db.prepare_cached(sql)?.execute(row)? {
            0 => Err(StoreError::Conflict("request came twice at the same moment under one key")),
            _ => Ok(()),
        }
    }

    /// Deletes what was kept before `time`; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn forget_answers(&self, time: OffsetDateTime) -> Result<usize, StoreError> {
        Ok(self.db.prepare_cached("DELETE FROM repeat WHERE at < ?1")?.execute([time.unix_timestamp()])?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW, entry, folder, oin, open, open_in};
    use super::*;

    fn answer(store: &Store, key: &str, body: &[u8], word: &'static str) -> Result<Appended, StoreError> {
        let key = store.repeat_key(&oin(), key, body);
        let written = store.write(move |tx| {
            let appended = tx.append(&entry())?;
            tx.keep_answer(&key, word, Some(appended), NOW).map(|()| appended)
        });
        written.map(|written| written.value)
    }

    #[test]
    fn the_same_key_and_request_find_their_answer_after_a_restart() {
        let home = folder();
        let store = open(&home);
        let first = answer(&store, "key-1", b"body", "priority haarlem-1").unwrap();
        drop(store);
        let store = open_in(home.path());
        let known = |oin: &Oin, key: &str, body: &[u8]| store.repeated(&store.repeat_key(oin, key, body)).unwrap();
        let same = Repeated::Same { kept: "priority haarlem-1".into(), entry: Some(first) };
        assert_eq!(known(&oin(), "key-1", b"body"), same);
        assert_eq!(known(&oin(), "key-1", b"another"), Repeated::Other);
        assert_eq!(known(&oin(), "key-2", b"body"), Repeated::First);
        assert_eq!(known(&"00000099000000009999".parse().unwrap(), "key-1", b"body"), Repeated::First);
        store.write(|tx| tx.forget_answers(NOW)).unwrap();
        assert_eq!(known(&oin(), "key-1", b"body"), same);
        store.write(|tx| tx.forget_answers(NOW + time::Duration::SECOND)).unwrap();
        assert_eq!(known(&oin(), "key-1", b"body"), Repeated::First);
    }

    #[test]
    fn of_two_at_once_one_is_recorded() {
        let home = folder();
        let store = open(&home);
        assert_eq!(answer(&store, "key-1", b"body", "priority e").unwrap().index, 0);
        assert!(matches!(answer(&store, "key-1", b"body", "priority e"), Err(StoreError::Conflict(_))));
        assert_eq!(store.entries(0..9).unwrap().len(), 1, "the second left no entry");
    }

    #[test]
    fn neither_answer_nor_key_nor_request_is_on_the_disk() {
        let home = folder();
        let store = open(&home);
        answer(&store, "contract-K0000037", b"body", "undetermined haarlem-1").unwrap();
        drop(store);
        let bytes = std::fs::read(home.path().join("voorrang.db")).unwrap();
        for secret in ["contract-K0000037", "undetermined"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
}
