//! Regulations as they were activated, acts that wait for a second person, and taps that probing closed.

use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;

use super::epochs::{at, parsed};
use super::{Store, StoreError, Tx};
use crate::ids::{EpochId, Oin, ProposalId, RegulationId};

/// One version of a regulation, kept for ever: entries of the access log name its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivatedRegulation {
    pub id: RegulationId,
    pub digest: String,
    pub toml: String,
    pub cedar: String,
    /// Signed note, a line a party.
    pub signatures: String,
    pub activated_at: OffsetDateTime,
}

/// An act that one person proposed and another must confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub id: ProposalId,
    pub regulation: RegulationId,
    /// What is proposed; its format is the answer room's.
    pub body: String,
    pub by: Oin,
    /// SHA-256 of the public key of the proposer's certificate, hexadecimal.
    pub key: String,
    pub made_at: OffsetDateTime,
    /// The epoch under whose key a part of the body is sealed: with its end the proposal goes.
    pub sealed_in: Option<EpochId>,
    /// Why it waits no more, for who comes to confirm it.
    pub gone: Option<Gone>,
}

/// Why a proposal that nobody confirmed waits no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its party took it back.
    Withdrawn,
    /// A step of its epoch made it impossible.
    Overtaken,
}

impl Gone {
    fn as_str(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::Overtaken => "overtaken",
        }
    }
}

impl Tx<'_> {
    /// Keeps a version of a regulation; it is in force by its own validity.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if this version was activated before.
    pub fn activate_regulation(&self, row: &ActivatedRegulation) -> Result<(), StoreError> {
        let sql = "INSERT INTO regulation (id, digest, toml, cedar, signatures, activated_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        let at = row.activated_at.unix_timestamp();
        let values = params![row.id.as_str(), row.digest, row.toml, row.cedar, row.signatures, at];
        match self.db.prepare_cached(sql)?.execute(values)? {
            1 => Ok(()),
            _ => Err(StoreError::Conflict("regulation was activated before; read it again and decide anew")),
        }
    }

    /// Keeps a proposal until it is taken, unless the same one of the same party waits already; which one waits. Forgets
    /// those made before `lapsed`, and of the same party those that are sealed in the same epoch: a newer stock takes the
    /// place of one that waits.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn propose(&self, proposal: &Proposal, lapsed: OffsetDateTime) -> Result<ProposalId, StoreError> {
        self.db.execute("DELETE FROM proposal WHERE made_at < ?1", [lapsed.unix_timestamp()])?;
        let sql = "SELECT id FROM proposal WHERE regulation = ?1 AND oin = ?2 AND body = ?3 AND gone IS NULL";
        let same = params![proposal.regulation.as_str(), proposal.by.as_str(), proposal.body];
        if let Some(waits) = self.db.query_row(sql, same, |row| parsed(row, 0)).optional()? {
            return Ok(waits);
        }
        let insert = "INSERT INTO proposal (id, regulation, body, oin, certificate, made_at, sealed_in)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let Proposal { id, regulation, body, by, key, made_at, sealed_in, gone: _ } = proposal;
        let (at, epoch) = (made_at.unix_timestamp(), sealed_in.as_ref().map(EpochId::as_str));
        let sql = "DELETE FROM proposal WHERE oin = ?1 AND sealed_in = ?2 AND gone IS NULL";
        self.db.execute(sql, params![by.as_str(), epoch])?;
        let values = params![id.to_string(), regulation.as_str(), body, by.as_str(), key, at, epoch];
        self.db.prepare_cached(insert)?.execute(values)?;
        Ok(proposal.id)
    }

    /// Takes a proposal away, in the job that does what it proposes: it is done once.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if somebody else was faster.
    pub fn take_proposal(&self, id: &ProposalId) -> Result<(), StoreError> {
        let sql = "DELETE FROM proposal WHERE id = ?1 AND gone IS NULL";
        was_there(self.db.execute(sql, [id.to_string()])?)
    }

    /// Lets a proposal wait no more; `remains` is what is kept of its body.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it did not wait.
    pub fn drop_proposal(&self, id: &ProposalId, gone: Gone, remains: &str) -> Result<(), StoreError> {
        let sql = "UPDATE proposal SET gone = ?2, body = ?3 WHERE id = ?1 AND gone IS NULL";
        was_there(self.db.execute(sql, params![id.to_string(), gone.as_str(), remains])?)
    }

    /// [`Store::proposals`], as this job sees them.
    ///
    /// # Errors
    /// As there.
    pub fn proposals(&self) -> Result<Vec<Proposal>, StoreError> {
        proposals(self.db)
    }

    /// Whether misses closed this corporation's tap.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn tap_closed(&self, regulation: &RegulationId, oin: &Oin) -> Result<bool, StoreError> {
        tap_closed(self.db, regulation, oin)
    }

    /// Closes a corporation's tap; whether it was open.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn close_tap(&self, regulation: &RegulationId, oin: &Oin, now: OffsetDateTime) -> Result<bool, StoreError> {
        let sql = "INSERT INTO tap (regulation, oin, closed_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let values = params![regulation.as_str(), oin.as_str(), now.unix_timestamp()];
        Ok(self.db.prepare_cached(sql)?.execute(values)? == 1)
    }

    /// Opens a tap. Its misses of the month and the day are forgiven, its questions stay counted.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is not closed.
    pub fn open_tap(&self, regulation: &RegulationId, oin: &Oin) -> Result<(), StoreError> {
        let who = [regulation.as_str(), oin.as_str()];
        if self.db.execute("DELETE FROM tap WHERE regulation = ?1 AND oin = ?2", who)? == 0 {
            return Err(StoreError::Conflict("tap is not closed; read it again and decide anew"));
        }
        self.db.execute("UPDATE budget SET misses = 0, day_misses = 0 WHERE regulation = ?1 AND oin = ?2", who)?;
        Ok(())
    }
}

impl Store {
    /// Every version of every regulation that was ever activated, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a row is not what was written.
    pub fn regulations(&self) -> Result<Vec<ActivatedRegulation>, StoreError> {
        self.read(all)
    }

    /// The acts that wait or waited, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`], also if a row is not what was written.
    pub fn proposals(&self) -> Result<Vec<Proposal>, StoreError> {
        self.read(proposals)
    }

    /// Whether misses closed this corporation's tap.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub fn tap_closed(&self, regulation: &RegulationId, oin: &Oin) -> Result<bool, StoreError> {
        self.read(|db| tap_closed(db, regulation, oin))
    }
}

/// Of a change to one proposal.
fn was_there(rows: usize) -> Result<(), StoreError> {
    match rows {
        1 => Ok(()),
        _ => Err(StoreError::Conflict("proposal is no longer there; read it again and decide anew")),
    }
}

fn proposals(db: &Connection) -> Result<Vec<Proposal>, StoreError> {
    let sql =
        "SELECT id, regulation, oin, body, certificate, made_at, sealed_in, gone FROM proposal ORDER BY made_at, id";
    let row = |row: &Row<'_>| {
        let gone = match row.get::<_, Option<String>>(7)?.as_deref() {
            Some("withdrawn") => Some(Gone::Withdrawn),
            Some(_) => Some(Gone::Overtaken),
            None => None,
        };
        Ok(Proposal {
            id: parsed(row, 0)?,
            regulation: parsed(row, 1)?,
            by: parsed(row, 2)?,
            body: row.get(3)?,
            key: row.get(4)?,
            made_at: at(row, 5)?,
            sealed_in: row.get::<_, Option<String>>(6)?.map(|_| parsed(row, 6)).transpose()?,
            gone,
        })
    };
    Ok(db.prepare_cached(sql)?.query_map([], row)?.collect::<Result<_, _>>()?)
}

fn tap_closed(db: &Connection, regulation: &RegulationId, oin: &Oin) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM tap WHERE regulation = ?1 AND oin = ?2";
    let who = [regulation.as_str(), oin.as_str()];
    Ok(db.prepare_cached(sql)?.query_row(who, |_| Ok(())).optional()?.is_some())
}

/// Every version that was activated, in the order of activation.
pub(super) fn all(db: &Connection) -> Result<Vec<ActivatedRegulation>, StoreError> {
    let sql = "SELECT id, digest, toml, cedar, signatures, activated_at FROM regulation ORDER BY rowid";
    let row =
        |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, at(row, 5)?));
    let rows: Vec<_> = db.prepare(sql)?.query_map([], row)?.collect::<Result<_, _>>()?;
    let read = |(id, digest, toml, cedar, signatures, activated_at): (String, _, _, _, _, _)| {
        let id = id.parse().map_err(|_| StoreError::Damaged { what: "an activated regulation" })?;
        Ok(ActivatedRegulation { id, digest, toml, cedar, signatures, activated_at })
    };
    rows.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW, folder, oin, open};
    use super::*;

    fn haarlem() -> RegulationId {
        "haarlem".parse().unwrap()
    }

    #[test]
    fn a_version_is_activated_once_and_history_is_kept() {
        let home = folder();
        let store = open(&home);
        let version = |digest: &str| ActivatedRegulation {
            id: haarlem(),
            digest: digest.into(),
            toml: "t".into(),
            cedar: "c".into(),
            signatures: "s".into(),
            activated_at: NOW,
        };
        for digest in ["b", "a"] {
            let row = version(digest);
            store.write(move |tx| tx.activate_regulation(&row)).unwrap();
        }
        let row = version("a");
        assert!(matches!(store.write(move |tx| tx.activate_regulation(&row)), Err(StoreError::Conflict(_))));
        let digests: Vec<_> = store.regulations().unwrap().into_iter().map(|row| row.digest).collect();
        assert_eq!(digests, ["b", "a"], "in the order of activation");
    }

    #[test]
    fn a_proposal_is_taken_once_and_lapses() {
        let home = folder();
        let store = open(&home);
        let new = |made_at| Proposal {
            id: ProposalId::random(),
            regulation: haarlem(),
            body: "{}".into(),
            by: oin(),
            key: "ab".repeat(32),
            made_at,
            sealed_in: None,
            gone: None,
        };
        let (old, young) = (new(NOW - time::Duration::days(8)), new(NOW));
        let propose = |proposal: Proposal| {
            store.write(move |tx| tx.propose(&proposal, NOW - time::Duration::days(7))).unwrap().value
        };
        for proposal in [old, young.clone()] {
            let id = proposal.id;
            assert_eq!(propose(proposal), id);
        }
        assert_eq!(propose(new(NOW)), young.id, "the same act is the one that waits");
        assert_eq!(store.proposals().unwrap(), std::slice::from_ref(&young));
        let take = || store.write(move |tx| tx.take_proposal(&young.id));
        assert!(take().is_ok());
        assert!(matches!(take(), Err(StoreError::Conflict(_))));
    }

    #[test]
    fn a_tap_closes_once_and_opening_forgives_misses_and_not_questions() {
        let home = folder();
        let store = open(&home);
        let ask = || store.write(|tx| tx.charge(&haarlem(), &oin(), "2026-11", 2, 1, 1)).unwrap().value;
        ask();
        assert_eq!((ask().questions, ask().misses), (2, 3));
        let close = || store.write(|tx| tx.close_tap(&haarlem(), &oin(), NOW)).unwrap().value;
        assert!(close() && !close());
        assert!(store.tap_closed(&haarlem(), &oin()).unwrap());
        store.write(|tx| tx.open_tap(&haarlem(), &oin())).unwrap();
        assert!(!store.tap_closed(&haarlem(), &oin()).unwrap());
        let after = ask();
        assert_eq!((after.questions, after.misses, after.day_questions, after.day_misses), (4, 1, 4, 1));
        assert!(matches!(store.write(|tx| tx.open_tap(&haarlem(), &oin())), Err(StoreError::Conflict(_))));
    }
}
