//! Checkpoints (c2sp.org/tlog-checkpoint v1.0.0): how large the log is, and its root, signed.

use super::{AuditError, Hash, NoteSigner, NoteVerifier};

/// The state of a log at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name: a URL without schema, equal to the name of its key.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note.
    pub fn to_note(&self, signer: &NoteSigner) -> String {
        signer.sign(&format!("{}\n{}\n{}\n", self.origin, self.size, self.root))
    }

    /// Reads a note that the log's own key signed. Extension lines are refused: our logs make none.
    ///
    /// # Errors
    /// [`AuditError::Signature`] if the key did not sign it, [`AuditError::Note`] if it is no checkpoint of that log.
    pub fn parse(note: &str, verifier: &NoteVerifier) -> Result<Self, AuditError> {
        let text = verifier.verify(note)?;
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        let [origin, size, root] = lines[..] else {
            return Err(AuditError::Note("is no checkpoint: it has other than three lines"));
        };
        if origin != verifier.name() {
            return Err(AuditError::Note("is a checkpoint of another log"));
        }
        let value: u64 = size.parse().map_err(|_| AuditError::Note("has a size that is no number"))?;
        if value.to_string() != size {
            return Err(AuditError::Note("has a size with leading zeros or a sign"));
        }
        Ok(Self { origin: origin.to_owned(), size: value, root: root.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Frontier, leaf_hash};

    #[test]
    fn a_checkpoint_survives_its_note() {
        let (signer, _) = NoteSigner::generate("log.example/a").unwrap();
        let frontier: Frontier = [leaf_hash(b"x")].into_iter().collect();
        let checkpoint = Checkpoint { origin: "log.example/a".into(), size: 1, root: frontier.root() };
        assert_eq!(Checkpoint::parse(&checkpoint.to_note(&signer), &signer.verifier()), Ok(checkpoint));
    }

    #[test]
    fn a_signed_text_that_is_no_checkpoint_is_refused() {
        let (signer, _) = NoteSigner::generate("log.example/a").unwrap();
        let root = leaf_hash(b"x").to_string();
        for text in [
            format!("log.example/b\n1\n{root}\n"),
            format!("log.example/a\n01\n{root}\n"),
            format!("log.example/a\n+1\n{root}\n"),
            format!("log.example/a\n1\n{}\n", &root[..40]),
            format!("log.example/a\n1\n{root}\nmore\n"),
            "log.example/a\n".to_owned(),
        ] {
            let parsed = Checkpoint::parse(&signer.sign(&text), &signer.verifier());
            assert!(matches!(parsed, Err(AuditError::Note(_))), "{text}");
        }
    }
}
