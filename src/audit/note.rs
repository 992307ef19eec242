//! Signed notes (c2sp.org/signed-note v1.0.0) with Ed25519: text, an empty line, and a line a signature.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{Context, SHA256};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::{AuditError, cosign};

/// Type byte of a plain Ed25519 signature over the text.
const PLAIN: u8 = 0x01;
/// A note is a few lines; more signatures than this are not looked at but refused.
const MAX_SIGNATURES: usize = 64;

/// Signs notes under one name. `Debug` hides the key.
pub struct NoteSigner {
    name: String,
    key: Ed25519KeyPair,
    id: [u8; 4],
}

impl NoteSigner {
    /// From a PKCS #8 document (DER), as [`NoteSigner::generate`] or `openssl genpkey -algorithm ed25519` makes it.
    ///
    /// # Errors
    /// [`AuditError::Key`] if name or document cannot be used.
    pub fn new(name: &str, pkcs8: &[u8]) -> Result<Self, AuditError> {
        check_name(name)?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map_err(|_| AuditError::Key("is no Ed25519 key in PKCS #8"))?;
        let id = key_id(name, PLAIN, key.public_key().as_ref());
        Ok(Self { name: name.to_owned(), key, id })
    }

    /// A fresh key and its PKCS #8 document, to be kept where only the service reads it.
    ///
    /// # Errors
    /// [`AuditError::Key`] if the name cannot be used or the system has no randomness.
    pub fn generate(name: &str) -> Result<(Self, Zeroizing<Vec<u8>>), AuditError> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let pkcs8 = Zeroizing::new(made.map_err(|_| AuditError::Key("cannot be drawn"))?.as_ref().to_vec());
        Ok((Self::new(name, &pkcs8)?, pkcs8))
    }

    /// The signed note of `text`, which ends in a line feed and has no other control characters.
    pub fn sign(&self, text: &str) -> String {
        debug_assert!(check_text(text).is_ok(), "only notes that can be read again are signed");
        format!("{text}\n{}", self.line(text))
    }

    /// A note with this key's signature after those it has: how a log's old and new key sign one checkpoint.
    ///
    /// # Errors
    /// [`AuditError::Note`] if it is no note.
    pub fn sign_also(&self, note: &str) -> Result<String, AuditError> {
        let (text, _) = split_note(note)?;
        Ok(format!("{note}{}", self.line(text)))
    }

    fn line(&self, text: &str) -> String {
        signature_line(&self.name, self.id, self.key.sign(text.as_bytes()).as_ref())
    }

    /// What others check the notes with.
    pub fn verifier(&self) -> NoteVerifier {
        NoteVerifier::of(&self.name, PLAIN, &self.key)
    }

    /// The key name, which is also the origin of the log's checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({}, ..)", self.name)
    }
}

/// Checks notes: a name and a public key, of a log (type 1) or a witness (type 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    kind: u8,
    key: [u8; 32],
    id: [u8; 4],
}

impl NoteVerifier {
    /// The public half of a pair.
    pub(super) fn of(name: &str, kind: u8, pair: &Ed25519KeyPair) -> Self {
        let key = pair.public_key().as_ref().try_into().expect("an Ed25519 key has 32 bytes");
        Self { name: name.to_owned(), kind, key, id: key_id(name, kind, &key) }
    }

    /// From the verifier key text of a log: a witness's key says something else of what it signs.
    ///
    /// # Errors
    /// As [`NoteVerifier::from_vkey`].
    pub fn from_log_vkey(text: &str) -> Result<Self, AuditError> {
        let verifier = Self::from_vkey(text)?;
        if verifier.kind == PLAIN { Ok(verifier) } else { Err(AuditError::Key("is a witness's and no log's")) }
    }

    /// From verifier key text, `name+id+base64`.
    ///
    /// # Errors
    /// [`AuditError::Key`] if it is malformed, of another kind, or its id does not fit.
    pub fn from_vkey(text: &str) -> Result<Self, AuditError> {
        let malformed = AuditError::Key("text is not name+id+base64");
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed);
        };
        check_name(name)?;
        let typed = STANDARD.decode(key).map_err(|_| malformed)?;
        let (&kind, key) = typed.split_first().ok_or(AuditError::Key("text holds no key"))?;
        if ![PLAIN, cosign::KIND].contains(&kind) {
            return Err(AuditError::Key("is of a kind other than Ed25519"));
        }
        let key: [u8; 32] = key.try_into().map_err(|_| AuditError::Key("is not 32 bytes long"))?;
        let want = key_id(name, kind, &key);
        if id != hex::encode(want) {
            return Err(AuditError::Key("id does not fit name and key; was the text cut?"));
        }
        Ok(Self { name: name.to_owned(), kind, key, id: want })
    }

    /// The verifier key text of [`NoteVerifier::from_vkey`].
    pub fn vkey(&self) -> String {
        let typed = STANDARD.encode([&[self.kind], self.key.as_slice()].concat());
        format!("{}+{}+{typed}", self.name, hex::encode(self.id))
    }

    /// The key itself, whatever it is called.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The key name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Type byte.
    pub(super) fn kind(&self) -> u8 {
        self.kind
    }

    /// The text of a note that this key signed. Signatures by unknown keys are passed over; one false signature
    /// by this key refuses the whole note.
    ///
    /// # Errors
    /// [`AuditError::Note`] if it is no note, [`AuditError::Signature`] if this key did not sign it.
    pub fn verify<'a>(&self, note: &'a str) -> Result<&'a str, AuditError> {
        self.signatures(note).map(|(text, _)| text)
    }

    /// Whether this key signed a note. A note on which it did not sign is no error; a false signature is.
    ///
    /// # Errors
    /// As [`NoteVerifier::verify`], but for the signature that is not there.
    pub fn has_signed(&self, note: &str) -> Result<bool, AuditError> {
        Ok(!self.checked(note)?.1.is_empty())
    }

    /// The note with this key's signatures only: what others have put on it is not kept.
    ///
    /// # Errors
    /// As [`NoteVerifier::verify`].
    pub fn strip(&self, note: &str) -> Result<String, AuditError> {
        let (text, signatures) = self.signatures(note)?;
        let line = |signature: &Vec<u8>| signature_line(&self.name, self.id, signature);
        Ok(format!("{text}\n{}", signatures.iter().map(line).collect::<String>()))
    }

    /// The text of a note and this key's signatures on it, checked, at least one.
    pub(super) fn signatures<'a>(&self, note: &'a str) -> Result<(&'a str, Vec<Vec<u8>>), AuditError> {
        let (text, signatures) = self.checked(note)?;
        if signatures.is_empty() { Err(self.unsigned()) } else { Ok((text, signatures)) }
    }

    fn checked<'a>(&self, note: &'a str) -> Result<(&'a str, Vec<Vec<u8>>), AuditError> {
        let (text, lines) = split_note(note)?;
        let mut signatures = Vec::new();
        for line in lines {
            let (name, mut bytes) = read_signature(line)?;
            if name == self.name && bytes.starts_with(&self.id) {
                let signature = bytes.split_off(self.id.len());
                self.check(text, &signature).ok_or_else(|| self.unsigned())?;
                signatures.push(signature);
            }
        }
        Ok((text, signatures))
    }

    fn check(&self, text: &str, signature: &[u8]) -> Option<()> {
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        if self.kind == PLAIN {
            return key.verify(text.as_bytes(), signature).ok();
        }
        let (seconds, signature) = cosign::parts(signature)?;
        key.verify(cosign::message(seconds, text).as_bytes(), signature).ok()
    }

    fn unsigned(&self) -> AuditError {
        AuditError::Signature { name: self.name.clone() }
    }
}

/// First four bytes of SHA-256(name, line feed, type, public key).
pub(super) fn key_id(name: &str, kind: u8, key: &[u8]) -> [u8; 4] {
    let mut context = Context::new(&SHA256);
    for part in [name.as_bytes(), b"\n", &[kind], key] {
        context.update(part);
    }
    context.finish().as_ref()[..4].try_into().expect("a digest is longer than 4 bytes")
}

pub(super) fn check_name(name: &str) -> Result<(), AuditError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(bad) {
        return Err(AuditError::Key("name is empty or has a space, a plus or a control character"));
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), AuditError> {
    if text.contains(|c: char| c < ' ' && c != '\n') {
        return Err(AuditError::Note("has a control character"));
    }
    if text.ends_with('\n') { Ok(()) } else { Err(AuditError::Note("does not end in a line feed")) }
}

/// The signed text, with its last line feed, and the signature lines. They part at the last empty line.
pub(super) fn split_note(note: &str) -> Result<(&str, impl Iterator<Item = &str>), AuditError> {
    check_text(note)?;
    let at = note.rfind("\n\n").ok_or(AuditError::Note("has no empty line before its signatures"))?;
    let (text, lines) = (&note[..=at], &note[at + 2..]);
    let lines = lines.strip_suffix('\n').ok_or(AuditError::Note("has no signatures"))?;
    if lines.split('\n').count() > MAX_SIGNATURES {
        return Err(AuditError::Note("has more than 64 signatures"));
    }
    Ok((text, lines.split('\n')))
}

/// One line of signature, with its line feed.
pub(super) fn signature_line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    format!("— {name} {}\n", STANDARD.encode([&id, signature].concat()))
}

fn read_signature(line: &str) -> Result<(&str, Vec<u8>), AuditError> {
    let malformed = AuditError::Note("has a malformed signature line");
    let (name, bytes) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(malformed.clone())?;
    check_name(name).map_err(|_| malformed.clone())?;
    match STANDARD.decode(bytes) {
        Ok(bytes) if bytes.len() > 4 => Ok((name, bytes)),
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_verifier_key_is_read_and_written() {
        let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        assert_eq!(NoteVerifier::from_vkey(text).unwrap().vkey(), text);
    }

    #[test]
    fn a_key_that_was_cut_or_renamed_is_refused() {
        let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        for bad in ["", "a+b", &text[..60], &text.replace("foo", "fox"), &text.replace("530d", "530e"), "a b+00+AA=="] {
            assert!(matches!(NoteVerifier::from_vkey(bad), Err(AuditError::Key(_))), "{bad}");
        }
    }

    #[test]
    fn a_signer_survives_its_document() {
        let (signer, pkcs8) = NoteSigner::generate("log.example/a").unwrap();
        let again = NoteSigner::new("log.example/a", &pkcs8).unwrap();
        assert_eq!(again.verifier(), signer.verifier());
        assert_eq!(signer.verifier().verify(&again.sign("x\n")), Ok("x\n"));
        assert_eq!(format!("{signer:?}"), "NoteSigner(log.example/a, ..)");
    }

    #[test]
    fn any_changed_byte_of_the_text_is_refused() {
        let (signer, _) = NoteSigner::generate("log.example/a").unwrap();
        let note = signer.sign("log.example/a\n2\nabc\n");
        for at in 0.."log.example/a\n2\nabc\n".len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(signer.verifier().verify(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn unknown_signatures_are_passed_over_and_a_false_one_refuses_the_note() {
        let (signer, _) = NoteSigner::generate("log.example/a").unwrap();
        let (other, _) = NoteSigner::generate("log.example/b").unwrap();
        let line = |note: &str| note.rsplit_once("\n\n").unwrap().1.to_owned();
        let note = other.sign("x\n") + &line(&signer.sign("x\n"));
        assert_eq!(signer.verifier().verify(&note), Ok("x\n"));
        let with_false = note + &line(&signer.sign("y\n"));
        assert!(matches!(signer.verifier().verify(&with_false), Err(AuditError::Signature { .. })));
        assert_eq!(other.verifier().verify(&with_false), Ok("x\n"));
        assert_eq!(other.verifier().strip(&with_false), Ok(other.sign("x\n")));
    }

    #[test]
    fn text_and_signatures_part_at_the_last_empty_line() {
        let (signer, _) = NoteSigner::generate("log.example/a").unwrap();
        assert_eq!(signer.verifier().verify(&signer.sign("a\n\nb\n")), Ok("a\n\nb\n"));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let (signer, _) = NoteSigner::generate("log.example/a").unwrap();
        let good = signer.sign("x\n");
        for bad in [
            "",
            "x\n",
            "x\n\n",
            "x\n\n\n",
            &good[..good.len() - 1],
            &good.replace("— ", "- "),
            &good.replace('x', "\t"),
        ] {
            assert!(matches!(signer.verifier().verify(bad), Err(AuditError::Note(_))), "{bad:?}");
        }
    }
}
