//! What was disclosed, sealed for the privacy officers: whoever runs the service reads who asked, and not what was
//! answered.
//!
//! A data key serves one regulation for a day at most. It is wrapped with age (<https://age-encryption.org/v1>) for the
//! officers' public keys, and the wrapped key is an entry of the log before anything is sealed with it; the service has
//! it in memory only and forgets it with the day. One wrapped key a key id, in the tree, so that no answer can be given
//! two readings later.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use age::{Decryptor, Encryptor, Recipient, x25519};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::words::{is_hex, is_word};
use super::{AuditError, Entry};

/// Bytes of what is sealed, padding included: as long for every answer.
const PLAIN_BYTES: usize = 48;
/// Base64 of nonce (12 bytes), ciphertext and tag (16 bytes).
const SEALED_CHARS: usize = (NONCE_LEN + PLAIN_BYTES + 16).div_ceil(3) * 4;
/// An age file for 50 recipients is under 8 KiB; base64.
const FILE_CHARS: usize = 12 << 10;
const CONTEXT: &[u8] = b"voorrang disclosed 1";

/// What the caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosed {
    /// The answer's word.
    pub answer: String,
    /// Groups, where the regulation lets the caller have them.
    pub groups: Vec<String>,
}

/// The sealed part of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Id of the data key, 16 hexadecimal digits.
    pub key: String,
    /// Base64 of nonce, ciphertext and tag (AES-256-GCM), 104 characters for every answer.
    pub text: String,
}

/// A data key as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayKeyFile {
    /// 16 hexadecimal digits.
    pub id: String,
    /// Base64 of an age file of the 32 bytes.
    pub file: String,
}

/// A data key in the service's memory. `Debug` hides it.
pub struct DayKey {
    id: String,
    key: LessSafeKey,
}

impl Sealed {
    pub(super) fn is_sound(&self) -> bool {
        is_id(&self.key) && self.text.len() == SEALED_CHARS && STANDARD.decode(&self.text).is_ok()
    }
}

impl DayKeyFile {
    pub(super) fn is_sound(&self) -> bool {
        is_id(&self.id) && self.file.len() <= FILE_CHARS && STANDARD.decode(&self.file).is_ok()
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 16 && is_hex(text)
}

/// Whether `text` is a public age key (X25519), so that a service can refuse it before its first day.
pub fn is_recipient(text: &str) -> bool {
    x25519::Recipient::from_str(text).is_ok()
}

impl DayKey {
    /// Draws a key and wraps it for the officers.
    ///
    /// # Errors
    /// [`AuditError::Seal`] if there is no officer, or one's public key is none.
    ///
    /// # Panics
    /// If the operating system has no randomness: nothing safe can be done then.
    pub fn draw(officers: &[String]) -> Result<(Self, DayKeyFile), AuditError> {
        let (mut bytes, mut id) = (Zeroizing::new([0; 32]), [0; 8]);
        let random = SystemRandom::new();
        random.fill(bytes.as_mut()).and_then(|()| random.fill(&mut id)).expect("the system's random generator answers");
        let file = DayKeyFile { id: hex::encode(id), file: STANDARD.encode(wrap(bytes.as_ref(), officers)?) };
        Ok((Self { id: file.id.clone(), key: cipher(&bytes) }, file))
    }

    /// Seals what the entry's caller was told. It is bound to the entry's salt and trace id: moved to another entry it
    /// does not open.
    ///
    /// # Errors
    /// [`AuditError::Seal`] if a word is none or all do not fit into 48 bytes.
    ///
    /// # Panics
    /// If the operating system has no randomness.
    pub fn seal(&self, entry: &Entry, disclosed: &Disclosed) -> Result<Sealed, AuditError> {
        let words: Vec<&str> =
            std::iter::once(&disclosed.answer).chain(&disclosed.groups).map(String::as_str).collect();
        let mut text = words.join(" ").into_bytes();
        if text.len() > PLAIN_BYTES || !words.iter().all(|word| is_word(word)) {
            return Err(AuditError::Seal("what was disclosed does not fit"));
        }
        text.resize(PLAIN_BYTES, b' ');
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).expect("the system's random generator answers");
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context(entry)), &mut text)
            .expect("48 bytes are fewer than 64 GB");
        Ok(Sealed { key: self.id.clone(), text: STANDARD.encode([nonce.as_slice(), &text].concat()) })
    }
}

impl fmt::Debug for DayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DayKey({})", self.id)
    }
}

/// An officer's side: opens what was sealed for her.
pub struct Opener {
    identity: x25519::Identity,
    keys: HashMap<String, LessSafeKey>,
}

impl Opener {
    /// From the text of an identity file as `age-keygen` writes it: comments, then the key.
    ///
    /// # Errors
    /// [`AuditError::Seal`] if there is no key in it.
    pub fn from_file(text: &str) -> Result<Self, AuditError> {
        Ok(Self { identity: identity_of(text)?, keys: HashMap::new() })
    }

    /// Takes the data key of an entry that brings one, if it is wrapped for this officer. Entries come in the order of
    /// the log, so that a key is known before it is needed.
    pub fn learn(&mut self, entry: &Entry) {
        if let Some(file) = &entry.day_key
            && let Some(key) = self.unwrap(&file.file)
        {
            // The first one counts: a second under the same id could give an old answer another reading.
            self.keys.entry(file.id.clone()).or_insert(key);
        }
    }

    /// What was disclosed; `None` if the entry discloses nothing.
    ///
    /// # Errors
    /// [`AuditError::Seal`] if the key is another officer's or was not learnt, [`AuditError::Unsealed`] if it is at hand
    /// and the sealed part is not this entry's.
    pub fn open(&self, entry: &Entry) -> Result<Option<Disclosed>, AuditError> {
        let Some(sealed) = &entry.sealed else { return Ok(None) };
        let key = self.keys.get(&sealed.key).ok_or(AuditError::Seal("the answer is sealed for other officers"))?;
        let damaged = || AuditError::Unsealed;
        let bytes = STANDARD.decode(&sealed.text).map_err(|_| damaged())?;
        let (nonce, body) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.open_in_place(nonce, Aad::from(context(entry)), &mut body).map_err(|_| damaged())?;
        let text = str::from_utf8(plain).map_err(|_| damaged())?;
        let mut words = text.split_whitespace().map(str::to_owned);
        let answer = words.next().ok_or_else(damaged)?;
        Ok(Some(Disclosed { answer, groups: words.collect() }))
    }

    fn unwrap(&self, file: &str) -> Option<LessSafeKey> {
        let file = STANDARD.decode(file).ok()?;
        let mut reader =
            Decryptor::new_buffered(file.as_slice()).ok()?.decrypt(std::iter::once(&self.identity as _)).ok()?;
        let mut bytes = Zeroizing::new([0; 32]);
        std::io::Read::read_exact(&mut reader, bytes.as_mut()).ok()?;
        Some(cipher(&bytes))
    }
}

/// Seals a key for the holders of public age keys, as an age file.
///
/// # Errors
/// [`AuditError::Seal`] if there is no recipient, or one's public key is none.
pub fn wrap(bytes: &[u8], recipients: &[String]) -> Result<Vec<u8>, AuditError> {
    let keys: Vec<_> = recipients
        .iter()
        .map(|key| x25519::Recipient::from_str(key))
        .collect::<Result<_, _>>()
        .map_err(|_| AuditError::Seal("a recipient's public age key is none; ask its holder for it again"))?;
    let failed = |_| AuditError::Seal("the key could not be sealed");
    let encryptor = Encryptor::with_recipients(keys.iter().map(|key| key as &dyn Recipient))
        .map_err(|_| AuditError::Seal("nobody has a public age key to seal for"))?;
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file).map_err(failed)?;
    std::io::Write::write_all(&mut writer, bytes).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(file)
}

/// Opens what [`wrap`] sealed, with the text of an identity file as `age-keygen` writes it.
///
/// # Errors
/// [`AuditError::Seal`] if the identity is none, or it was not sealed for it.
pub fn unwrap(file: &[u8], identity: &str) -> Result<Zeroizing<Vec<u8>>, AuditError> {
    let identity = identity_of(identity)?;
    let closed = || AuditError::Seal("the sealed key does not open with this identity; it was sealed for another");
    let opened = Decryptor::new_buffered(file).ok().and_then(|file| file.decrypt(std::iter::once(&identity as _)).ok());
    let mut bytes = Zeroizing::new(Vec::new());
    std::io::Read::read_to_end(&mut opened.ok_or_else(closed)?, &mut bytes).map_err(|_| closed())?;
    Ok(bytes)
}

fn identity_of(text: &str) -> Result<x25519::Identity, AuditError> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let identity = line.and_then(|line| line.parse().ok());
    identity.ok_or(AuditError::Seal("the identity file holds no age secret key"))
}

fn cipher(bytes: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 has keys of 32 bytes"))
}

fn context(entry: &Entry) -> Vec<u8> {
    [CONTEXT, entry.trace_id.to_string().as_bytes(), entry.salt.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::sample;
    use super::*;

    /// An officer's identity file and public key.
    fn officer() -> (String, String) {
        use age::secrecy::ExposeSecret;
        let identity = x25519::Identity::generate();
        (format!("# comment\n{}\n", identity.to_string().expose_secret()), identity.to_public().to_string())
    }

    fn told(answer: &str, groups: &[&str]) -> Disclosed {
        Disclosed { answer: answer.into(), groups: groups.iter().map(|&group| group.into()).collect() }
    }

    fn with_key(file: &DayKeyFile) -> Entry {
        Entry { day_key: Some(file.clone()), sealed: None, ..sample() }
    }

    #[test]
    fn each_officer_opens_an_answer_and_nobody_else() {
        let ((anna, anna_key), (bert, bert_key), (carl, _)) = (officer(), officer(), officer());
        let (key, file) = DayKey::draw(&[anna_key, bert_key]).unwrap();
        let mut entry = sample();
        entry.sealed = Some(key.seal(&entry, &told("no_priority", &["minor", "oggz"])).unwrap());
        assert!(entry.check().is_ok() && with_key(&file).check().is_ok());
        for identity in [&anna, &bert] {
            let mut opener = Opener::from_file(identity).unwrap();
            opener.learn(&with_key(&file));
            assert_eq!(opener.open(&entry), Ok(Some(told("no_priority", &["minor", "oggz"]))));
        }
        let mut opener = Opener::from_file(&carl).unwrap();
        opener.learn(&with_key(&file));
        assert!(matches!(opener.open(&entry), Err(AuditError::Seal(_))));
        assert_eq!(format!("{key:?}"), format!("DayKey({})", file.id));
    }

    #[test]
    fn what_is_sealed_is_as_long_for_every_answer_and_never_twice_the_same() {
        let (key, _) = DayKey::draw(&[officer().1]).unwrap();
        let seal = |answer| key.seal(&sample(), &told(answer, &[])).unwrap().text;
        let texts = ["priority", "no_priority", "undetermined", "undetermined"].map(seal);
        assert!(texts.iter().all(|text| text.len() == SEALED_CHARS));
        assert_ne!(texts[2], texts[3]);
        assert!(key.seal(&sample(), &told("mevrouw Jansen", &[])).is_err());
        assert!(key.seal(&sample(), &told(&"a".repeat(49), &[])).is_err());
    }

    #[test]
    fn an_answer_moved_to_another_entry_does_not_open() {
        let (identity, public) = officer();
        let (key, file) = DayKey::draw(&[public]).unwrap();
        let sealed = key.seal(&sample(), &told("priority", &[])).unwrap();
        let mut opener = Opener::from_file(&identity).unwrap();
        opener.learn(&with_key(&file));
        let moved = Entry { salt: Entry::fresh_salt(), sealed: Some(sealed.clone()), ..sample() };
        assert_eq!(opener.open(&moved), Err(AuditError::Unsealed));
        let mut cut = Entry { sealed: Some(sealed), ..sample() };
        assert!(opener.open(&cut).is_ok());
        cut.sealed.as_mut().unwrap().text.replace_range(20..24, "AAAA");
        assert_eq!(opener.open(&cut), Err(AuditError::Unsealed));
        assert_eq!(opener.open(&Entry { sealed: None, ..sample() }), Ok(None));
    }

    #[test]
    fn a_second_key_of_the_same_id_is_not_taken() {
        let (identity, public) = officer();
        let (first, file) = DayKey::draw(std::slice::from_ref(&public)).unwrap();
        let (_, other) = DayKey::draw(&[public]).unwrap();
        let mut opener = Opener::from_file(&identity).unwrap();
        opener.learn(&with_key(&file));
        opener.learn(&with_key(&DayKeyFile { id: file.id, file: other.file }));
        let entry = Entry { sealed: Some(first.seal(&sample(), &told("priority", &[])).unwrap()), ..sample() };
        assert!(opener.open(&entry).is_ok());
    }

    #[test]
    fn a_key_that_is_none_is_refused_without_repeating_it() {
        for keys in [&[][..], &["age1nonsense".to_owned()]] {
            let error = DayKey::draw(keys).unwrap_err();
            assert!(matches!(error, AuditError::Seal(_)) && !error.to_string().contains("nonsense"));
        }
        assert!(Opener::from_file("# nothing\nnonsense\n").is_err());
        assert!(is_recipient(&officer().1) && !is_recipient("age1nonsense"));
    }
}
