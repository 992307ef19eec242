//! The keys that one log has had. A key is replaced by a checkpoint that the old and the new key both sign: from its
//! size on only the new one counts, and whoever knows the old one needs no other word for the new one.

use std::fmt;
use std::str::FromStr;

use super::{AuditError, Checkpoint, NoteVerifier};

/// Whose signature makes a note a checkpoint of a log.
pub trait CheckpointKeys {
    /// The checkpoint that a note holds.
    ///
    /// # Errors
    /// [`AuditError::Signature`] if no key signed it, [`AuditError::Retired`] if only one did that no longer may,
    /// [`AuditError::Note`] if it is no checkpoint of that log.
    fn checkpoint(&self, note: &str) -> Result<Checkpoint, AuditError>;
}

impl CheckpointKeys for NoteVerifier {
    fn checkpoint(&self, note: &str) -> Result<Checkpoint, AuditError> {
        Checkpoint::parse(note, self)
    }
}

/// The key of a log and those that it replaced. As text: a verifier key a line, the newest first, the others with the
/// largest size that they may sign, `name+id+base64 until 1234`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKeys {
    current: NoteVerifier,
    /// With the size at which each was replaced, newest first.
    retired: Vec<(NoteVerifier, u64)>,
}

impl From<NoteVerifier> for LogKeys {
    fn from(current: NoteVerifier) -> Self {
        Self { current, retired: Vec::new() }
    }
}

impl LogKeys {
    /// The key that signs now.
    pub fn current(&self) -> &NoteVerifier {
        &self.current
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.current.name()
    }

    /// The note with the signatures of one key of the log only: who cosigns must not keep what strangers put on it.
    ///
    /// # Errors
    /// As [`CheckpointKeys::checkpoint`].
    pub fn strip(&self, note: &str) -> Result<String, AuditError> {
        let mut keys = std::iter::once(&self.current).chain(self.retired.iter().map(|(key, _)| key));
        let found = keys.find_map(|key| key.strip(note).ok());
        found.ok_or_else(|| AuditError::Signature { name: self.origin().to_owned() })
    }

    /// The text of a note that is no checkpoint, signed with a key that the log had when this entry was its last: a key that
    /// was replaced still vouches for what it signed in its time.
    ///
    /// # Errors
    /// [`AuditError::Signature`] if no such key signed it.
    pub fn verify_at<'a>(&self, note: &'a str, index: u64) -> Result<&'a str, AuditError> {
        let retired = self.retired.iter().filter(|(_, last)| index < *last).map(|(key, _)| key);
        let mut keys = std::iter::once(&self.current).chain(retired);
        let text = keys.find_map(|key| key.verify(note).ok());
        text.ok_or_else(|| AuditError::Signature { name: self.origin().to_owned() })
    }

    /// Replaces the key by `next`, as `note` announces it: a checkpoint that both signed.
    ///
    /// # Errors
    /// As [`CheckpointKeys::checkpoint`], of either key; the key stays as it is then.
    pub fn hand_over(&mut self, note: &str, next: NoteVerifier) -> Result<(), AuditError> {
        let size = Checkpoint::parse(note, &self.current)?.size;
        Checkpoint::parse(note, &next)?;
        if next != self.current {
            let old = std::mem::replace(&mut self.current, next);
            self.retired.insert(0, (old, size));
        }
        Ok(())
    }
}

impl CheckpointKeys for LogKeys {
    fn checkpoint(&self, note: &str) -> Result<Checkpoint, AuditError> {
        if self.current.has_signed(note)? {
            return Checkpoint::parse(note, &self.current);
        }
        for (key, last) in &self.retired {
            if key.has_signed(note)? {
                let checkpoint = Checkpoint::parse(note, key)?;
                let late = AuditError::Retired { size: checkpoint.size, last: *last };
                return if checkpoint.size <= *last { Ok(checkpoint) } else { Err(late) };
            }
        }
        Err(AuditError::Signature { name: self.origin().to_owned() })
    }
}

impl fmt::Display for LogKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.current.vkey())?;
        self.retired.iter().try_for_each(|(key, last)| writeln!(f, "{} until {last}", key.vkey()))
    }
}

impl FromStr for LogKeys {
    type Err = AuditError;
    fn from_str(text: &str) -> Result<Self, AuditError> {
        let mut lines = text.lines();
        let current = NoteVerifier::from_log_vkey(lines.next().unwrap_or_default())?;
        let retired = lines.map(|line| {
            let (key, last) = line.split_once(" until ").ok_or(AuditError::Key("list names a second current key"))?;
            let last = last.parse().map_err(|_| AuditError::Key("list has a size that is no number"))?;
            let key = NoteVerifier::from_log_vkey(key)?;
            if key.name() == current.name() { Ok((key, last)) } else { Err(AuditError::Key("list is of several logs")) }
        });
        let retired = retired.collect::<Result<_, _>>()?;
        Ok(Self { current, retired })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Frontier, NoteSigner, leaf_hash};

    const LOG: &str = "log.example/a";

    fn key() -> NoteSigner {
        NoteSigner::generate(LOG).unwrap().0
    }

    fn note(size: u64, key: &NoteSigner) -> String {
        let root = leaf_hash(&size.to_be_bytes());
        Checkpoint { origin: LOG.into(), size, root }.to_note(key)
    }

    fn handed_over(old: &NoteSigner, new: &NoteSigner) -> LogKeys {
        let mut keys = LogKeys::from(old.verifier());
        keys.hand_over(&new.sign_also(&note(9, old)).unwrap(), new.verifier()).unwrap();
        keys
    }

    #[test]
    fn after_a_hand_over_the_old_key_counts_up_to_its_size() {
        let (old, new) = (key(), key());
        let keys = handed_over(&old, &new);
        assert_eq!(keys.current(), &new.verifier());
        for (size, key) in [(3, &old), (9, &old), (3, &new), (9, &new), (10, &new)] {
            assert_eq!(keys.checkpoint(&note(size, key)).unwrap().size, size);
        }
        assert_eq!(keys.checkpoint(&note(10, &old)), Err(AuditError::Retired { size: 10, last: 9 }));
        let both = new.sign_also(&note(10, &old)).unwrap();
        assert_eq!(keys.checkpoint(&both).unwrap().size, 10);
        assert!(matches!(keys.checkpoint(&note(3, &key())), Err(AuditError::Signature { .. })));
    }

    #[test]
    fn a_record_counts_under_the_key_of_its_time() {
        let (old, new) = (key(), key());
        let keys = handed_over(&old, &new);
        for (index, signer, counts) in [(8, &old, true), (9, &old, false), (8, &new, true), (9, &new, true)] {
            assert_eq!(keys.verify_at(&signer.sign("a record\n"), index).is_ok(), counts, "{index}");
        }
        assert!(keys.verify_at(&key().sign("a record\n"), 3).is_err());
    }

    #[test]
    fn a_key_that_the_old_one_did_not_announce_is_refused() {
        let (old, new) = (key(), key());
        let mut keys = LogKeys::from(old.verifier());
        for note in [note(9, &new), note(9, &old), key().sign_also(&note(9, &old)).unwrap()] {
            assert!(matches!(keys.hand_over(&note, new.verifier()), Err(AuditError::Signature { .. })));
        }
        let (other, _) = NoteSigner::generate("log.example/b").unwrap();
        let both = other.sign_also(&note(9, &old)).unwrap();
        assert!(matches!(keys.hand_over(&both, other.verifier()), Err(AuditError::Note(_))));
        assert_eq!(keys, LogKeys::from(old.verifier()));
    }

    #[test]
    fn the_keys_survive_their_text() {
        let (old, new, newer) = (key(), key(), key());
        let mut keys = handed_over(&old, &new);
        keys.hand_over(&newer.sign_also(&note(12, &new)).unwrap(), newer.verifier()).unwrap();
        assert_eq!(keys.to_string().parse(), Ok(keys.clone()));
        assert_eq!(keys.checkpoint(&note(12, &new)).unwrap().size, 12);
        assert!(keys.checkpoint(&note(12, &old)).is_err());
        let lines: Vec<_> = keys.to_string().lines().map(str::to_owned).collect();
        for bad in ["", "x", &format!("{}\n{}", lines[0], lines[0]), &lines[1]] {
            assert!(matches!(bad.parse::<LogKeys>(), Err(AuditError::Key(_))), "{bad}");
        }
    }

    #[test]
    fn a_witness_s_key_is_no_log_s() {
        let witness = crate::audit::Cosigner::generate(LOG).unwrap().0.verifier().vkey();
        assert_eq!(witness.parse::<LogKeys>(), Err(AuditError::Key("is a witness's and no log's")));
        let list = format!("{}\n{witness} until 3\n", key().verifier().vkey());
        assert!(matches!(list.parse::<LogKeys>(), Err(AuditError::Key(_))));
    }

    #[test]
    fn an_empty_log_can_hand_over_too() {
        let (old, new) = (key(), key());
        let empty = Checkpoint { origin: LOG.into(), size: 0, root: Frontier::default().root() }.to_note(&old);
        let mut keys = LogKeys::from(old.verifier());
        keys.hand_over(&new.sign_also(&empty).unwrap(), new.verifier()).unwrap();
        assert!(keys.checkpoint(&note(1, &old)).is_err());
    }
}
