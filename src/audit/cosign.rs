//! Cosignatures of witnesses (c2sp.org/tlog-cosignature v1.0.1): an Ed25519 signature over a checkpoint and a time.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::note::{check_name, key_id, signature_line, split_note};
use super::{AuditError, NoteVerifier};

/// Type byte of an Ed25519 cosignature.
pub(super) const KIND: u8 = 0x04;

/// Signs checkpoints as a witness. Its key must have no other use: the signed text does not hold the witness's name.
/// `Debug` hides the key.
pub struct Cosigner {
    name: String,
    key: Ed25519KeyPair,
    id: [u8; 4],
}

impl Cosigner {
    /// From a PKCS #8 document (DER).
    ///
    /// # Errors
    /// [`AuditError::Key`] if name or document cannot be used.
    pub fn new(name: &str, pkcs8: &[u8]) -> Result<Self, AuditError> {
        check_name(name)?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map_err(|_| AuditError::Key("is no Ed25519 key in PKCS #8"))?;
        let id = key_id(name, KIND, key.public_key().as_ref());
        Ok(Self { name: name.to_owned(), key, id })
    }

    /// A fresh key and its PKCS #8 document, to be kept where only the witness reads it.
    ///
    /// # Errors
    /// [`AuditError::Key`] if the name cannot be used or the system has no randomness.
    pub fn generate(name: &str) -> Result<(Self, Zeroizing<Vec<u8>>), AuditError> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let pkcs8 = Zeroizing::new(made.map_err(|_| AuditError::Key("cannot be drawn"))?.as_ref().to_vec());
        Ok((Self::new(name, &pkcs8)?, pkcs8))
    }

    /// The signature line over the text of a checkpoint, `seconds` since 1970: the witness says that this is the
    /// largest consistent tree that it has seen by then.
    ///
    /// # Errors
    /// [`AuditError::Note`] if it is no note.
    pub fn cosign(&self, checkpoint: &str, seconds: u64) -> Result<String, AuditError> {
        let (text, _) = split_note(checkpoint)?;
        let signature = self.key.sign(message(seconds, text).as_bytes());
        Ok(signature_line(&self.name, self.id, &[&seconds.to_be_bytes(), signature.as_ref()].concat()))
    }

    /// What others check the cosignatures with.
    pub fn verifier(&self) -> NoteVerifier {
        NoteVerifier::of(&self.name, KIND, &self.key)
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({}, ..)", self.name)
    }
}

/// When a witness cosigned, the latest where it did more than once: seconds since 1970.
///
/// # Errors
/// [`AuditError::Signature`] if it did not, [`AuditError::Note`] if that is no note, [`AuditError::Key`] if the key is
/// none of a witness.
pub fn cosigned_at(note: &str, witness: &NoteVerifier) -> Result<u64, AuditError> {
    if witness.kind() != KIND {
        return Err(AuditError::Key("is of a log, not of a witness"));
    }
    let (_, signatures) = witness.signatures(note)?;
    let times = signatures.iter().filter_map(|signature| parts(signature)).map(|(seconds, _)| seconds);
    Ok(times.max().expect("a checked cosignature has a time"))
}

/// The time and the plain signature. A time of 2^63 and more is none.
pub(super) fn parts(signature: &[u8]) -> Option<(u64, &[u8])> {
    let (seconds, signature) = signature.split_first_chunk::<8>()?;
    let seconds = u64::from_be_bytes(*seconds);
    i64::try_from(seconds).is_ok().then_some((seconds, signature))
}

/// What is signed.
pub(super) fn message(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::NoteSigner;

    fn cosigned(seconds: u64) -> (String, NoteVerifier) {
        let (log, _) = NoteSigner::generate("log.example/a").unwrap();
        let (witness, _) = Cosigner::generate("officer.example/w1").unwrap();
        let note = log.sign("log.example/a\n0\nx\n");
        let line = witness.cosign(&note, seconds).unwrap();
        (note + &line, witness.verifier())
    }

    #[test]
    fn a_cosignature_tells_when_it_was_made() {
        let (note, witness) = cosigned(1_790_000_000);
        assert_eq!(cosigned_at(&note, &witness), Ok(1_790_000_000));
        assert_eq!(NoteVerifier::from_vkey(&witness.vkey()), Ok(witness));
    }

    #[test]
    fn a_time_beyond_63_bits_is_no_cosignature() {
        let (note, witness) = cosigned(1 << 63);
        assert!(matches!(cosigned_at(&note, &witness), Err(AuditError::Signature { .. })));
    }

    #[test]
    fn a_changed_time_is_refused() {
        let (note, witness) = cosigned(1_790_000_000);
        let (text, line) = note.rsplit_once(' ').unwrap();
        use base64::{Engine, engine::general_purpose::STANDARD};
        let mut bytes = STANDARD.decode(line.trim_end()).unwrap();
        bytes[11] ^= 1;
        let changed = format!("{text} {}\n", STANDARD.encode(bytes));
        assert!(matches!(cosigned_at(&changed, &witness), Err(AuditError::Signature { .. })));
    }

    #[test]
    fn the_same_pair_has_another_id_as_a_log() {
        let (witness, pkcs8) = Cosigner::generate("officer.example/w1").unwrap();
        let log = NoteSigner::new("officer.example/w1", &pkcs8).unwrap();
        assert_ne!(log.verifier().vkey().split('+').nth(1), witness.verifier().vkey().split('+').nth(1));
        assert!(matches!(cosigned_at(&log.sign("x\n"), &log.verifier()), Err(AuditError::Key(_))));
        assert_eq!(format!("{witness:?}"), "Cosigner(officer.example/w1, ..)");
    }
}
