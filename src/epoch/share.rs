//! At the custodian: draw a share of the salt, seal it for every participant, open all shares, derive the salt.
//!
//! A share travels as an age file (<https://age-encryption.org/v1>), so the plain `age` tool opens it too. Its
//! text is bound to epoch and contributor, and signed by the contributor: the service that keeps the sealed
//! shares can neither read one nor slip in one of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{Decryptor, Encryptor, Recipient, ssh, x25519};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, Salt as HkdfSalt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use super::MIN_CONTRIBUTORS;
use super::sealed::TITLE;
use crate::ids::{EpochId, Oin};

/// Why a share cannot be made or used. No message holds any of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    #[error("{0} has no valid public key (age, ssh-ed25519, ssh-rsa of 2,048 bits); ask that party for its key again")]
    Recipient(Oin),
    #[error("the identity file holds no secret key of age or ssh (ed25519, rsa); make one with `age-keygen`")]
    Identity,
    #[error("the ssh key in the identity file has a passphrase; give a copy without: `ssh-keygen -p`, or an age key")]
    Passphrase,
    #[error("sealing failed")]
    Seal(#[source] std::io::Error),
    #[error(
        "the share of {from} does not open with this identity; it was sealed for other keys: a \
             custodian that contributed seals all shares again with `voorrang epoch reseal EPOCH --for` this party's OIN"
    )]
    Open { from: Oin },
    #[error("the share of {from} is not what it should be ({why}); do not use this epoch, tell the other custodians")]
    Forged { from: Oin, why: &'static str },
    #[error("only {0} shares: at least {MIN_CONTRIBUTORS} custodians must contribute")]
    TooFew(usize),
    #[error(
        "a salt is kept as the name of its epoch, a colon and 64 hexadecimal digits; a laboratory's has 32 bytes or more, \
             or the digits alone"
    )]
    SaltFile,
    #[error(
        "the salt that was given is of the epoch {is}, not of {wanted}; `voorrang epoch fetch {wanted}` has that \
             one's, until it is destroyed"
    )]
    OtherEpoch { is: EpochId, wanted: EpochId },
    #[error(
        "the salt that was given names no epoch, as a laboratory's does not; `voorrang epoch fetch {wanted}` keeps it \
             with its name"
    )]
    NoEpoch { wanted: EpochId },
}

/// The salt of an epoch. It exists on custodians' machines only; `Debug` hides it and dropping wipes it.
#[derive(Clone)]
pub struct Salt(Zeroizing<Vec<u8>>);

/// By digests: the time that it takes tells nothing of a secret.
impl PartialEq for Salt {
    fn eq(&self, other: &Self) -> bool {
        digest(&SHA256, self.expose()).as_ref() == digest(&SHA256, other.expose()).as_ref()
    }
}

impl Eq for Salt {}

impl Salt {
    /// A fresh salt for laboratory use, where no ceremony is needed.
    pub fn random() -> Self {
        Self(Zeroizing::new(random_bytes().to_vec()))
    }

    /// The secret itself, for deriving keys.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text of a salt file: with the epoch's name, so that no other epoch is made with it.
    pub fn to_file(&self, epoch: &EpochId) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex::encode(&*self.0));
        Zeroizing::new(format!("{epoch}:{}\n", *digits))
    }

    fn from_digits(digits: &[u8]) -> Option<Self> {
        let raw = hex::decode(digits).ok().filter(|raw| raw.len() == 32)?;
        Some(Self(Zeroizing::new(raw)))
    }
}

/// A salt as it was kept, with the epoch that it is of. A laboratory's is of none in particular.
#[derive(Debug)]
pub struct KeptSalt {
    pub epoch: Option<EpochId>,
    pub salt: Salt,
}

impl KeptSalt {
    /// From the bytes of a salt file as [`Salt::to_file`] writes it; of a laboratory 64 hexadecimal digits alone, or 32
    /// bytes and more taken as they are.
    ///
    /// # Errors
    /// [`ShareError::SaltFile`] if it is neither.
    pub fn from_file(bytes: &[u8]) -> Result<Self, ShareError> {
        let trimmed = bytes.trim_ascii();
        let text = std::str::from_utf8(trimmed).ok();
        let named = text.and_then(|text| text.split_once(':'));
        if let Some((epoch, digits)) = named.and_then(|(name, digits)| Some((name.parse().ok()?, digits))) {
            let salt = Salt::from_digits(digits.as_bytes()).ok_or(ShareError::SaltFile)?;
            return Ok(Self { epoch: Some(epoch), salt });
        }
        let raw = || (bytes.len() >= 32).then(|| Salt(Zeroizing::new(bytes.to_vec())));
        let salt = Salt::from_digits(trimmed).or_else(raw).ok_or(ShareError::SaltFile)?;
        Ok(Self { epoch: None, salt })
    }

    /// The salt, if it is this epoch's.
    ///
    /// # Errors
    /// [`ShareError::OtherEpoch`], [`ShareError::NoEpoch`].
    pub fn of(self, wanted: &EpochId) -> Result<Salt, ShareError> {
        let wanted = wanted.clone();
        match self.epoch {
            Some(is) if is == wanted => Ok(self.salt),
            Some(is) => Err(ShareError::OtherEpoch { is, wanted }),
            None => Err(ShareError::NoEpoch { wanted }),
        }
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

fn random_bytes() -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut *bytes).expect("the system's random generator answers");
    bytes
}

/// Draws a share: the text that the contributor signs, then seals with [`seal`].
pub fn draw(epoch: &EpochId, from: &Oin) -> Zeroizing<String> {
    let secret = Zeroizing::new(STANDARD.encode(*random_bytes()));
    Zeroizing::new(format!("{TITLE}\nepoch {epoch}\nfrom {from}\n{}\n", *secret))
}

/// Seals a text for every recipient, as an armored age file.
///
/// # Errors
/// [`ShareError::Recipient`] names the party whose key is none.
pub fn seal(text: &str, recipients: &BTreeMap<Oin, String>) -> Result<String, ShareError> {
    let mut keys: Vec<Box<dyn Recipient>> = Vec::new();
    for (oin, key) in recipients {
        keys.push(recipient(key).ok_or_else(|| ShareError::Recipient(oin.clone()))?);
    }
    let encryptor = Encryptor::with_recipients(keys.iter().map(|key| &**key))
        .map_err(|error| ShareError::Seal(std::io::Error::other(error)))?;
    let mut out = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut out, Format::AsciiArmor).map_err(ShareError::Seal)?;
    let mut writer = encryptor.wrap_output(armor).map_err(ShareError::Seal)?;
    writer.write_all(text.as_bytes()).map_err(ShareError::Seal)?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(ShareError::Seal)?;
    Ok(String::from_utf8(out).expect("armor is ASCII"))
}

fn recipient(key: &str) -> Option<Box<dyn Recipient>> {
    if key.starts_with("ssh-") {
        return Some(Box::new(key.parse::<ssh::Recipient>().ok()?));
    }
    Some(Box::new(key.parse::<x25519::Recipient>().ok()?))
}

/// Whether shares can be sealed for a party's public key.
///
/// # Errors
/// [`ShareError::Recipient`] names the party.
pub fn check_recipient(oin: &Oin, key: &str) -> Result<(), ShareError> {
    recipient(key).map(drop).ok_or_else(|| ShareError::Recipient(oin.clone()))
}

/// A participant's secret key: of age, or of ssh.
pub struct Identity {
    key: Box<dyn age::Identity>,
    public: String,
}

impl Identity {
    /// From the text of an identity file as `age-keygen` writes it (comments, then the key), or `ssh-keygen`.
    ///
    /// # Errors
    /// [`ShareError::Identity`] if there is no key in it, [`ShareError::Passphrase`] if it is locked.
    pub fn from_file(text: &str) -> Result<Self, ShareError> {
        if text.trim_start().starts_with("-----BEGIN") {
            return Self::from_ssh(text);
        }
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let key: x25519::Identity = line.and_then(|line| line.parse().ok()).ok_or(ShareError::Identity)?;
        Ok(Self { public: key.to_public().to_string(), key: Box::new(key) })
    }

    fn from_ssh(text: &str) -> Result<Self, ShareError> {
        let key = ssh::Identity::from_buffer(text.as_bytes(), None).map_err(|_| ShareError::Identity)?;
        match &key {
            ssh::Identity::Unencrypted(_) => {}
            ssh::Identity::Encrypted(_) => return Err(ShareError::Passphrase),
            ssh::Identity::Unsupported(_) => return Err(ShareError::Identity),
        }
        let public = ssh::Recipient::try_from(key.clone()).map_err(|_| ShareError::Identity)?.to_string();
        Ok(Self { key: Box::new(key), public })
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> String {
        self.public.clone()
    }

    /// Opens what [`seal`] sealed for this identity.
    ///
    /// # Errors
    /// [`ShareError::Open`] if it was sealed for others, or damaged.
    pub fn open(&self, sealed: &str, from: &Oin) -> Result<Zeroizing<String>, ShareError> {
        let failed = || ShareError::Open { from: from.clone() };
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed.as_bytes())).map_err(|_| failed())?;
        let mut reader = decryptor.decrypt(std::iter::once(&*self.key)).map_err(|_| failed())?;
        // A share is under 1 KiB; room for it now, so that no copy is left behind when the text grows.
        let mut text = Zeroizing::new(String::with_capacity(4096));
        reader.by_ref().take(4096).read_to_string(&mut text).map_err(|_| failed())?;
        Ok(text)
    }
}

/// The salt of an epoch from the opened and verified texts of all its shares, by contributor.
///
/// `salt = HKDF-SHA-256(ikm = shares in order of OIN, salt = title, info = epoch id || schema hash)`, 32 bytes
/// (RFC 5869): as long as one share is unknown, so is the salt.
///
/// # Errors
/// [`ShareError::TooFew`], or [`ShareError::Forged`] if a text is not a share of this contributor and epoch.
pub fn derive(
    epoch: &EpochId,
    schema_hash: &str,
    shares: &BTreeMap<Oin, Zeroizing<String>>,
) -> Result<Salt, ShareError> {
    if shares.len() < MIN_CONTRIBUTORS {
        return Err(ShareError::TooFew(shares.len()));
    }
    let mut material = Zeroizing::new(Vec::with_capacity(shares.len() * 52));
    for (from, text) in shares {
        let secret = secret_of(text, epoch, from).map_err(|why| ShareError::Forged { from: from.clone(), why })?;
        material.extend_from_slice(from.as_str().as_bytes());
        material.extend_from_slice(&*secret);
    }
    let mut salt = Zeroizing::new(vec![0; 32]);
    HkdfSalt::new(HKDF_SHA256, b"voorrang/v1/epoch-salt")
        .extract(&material)
        .expand(&[epoch.as_str().as_bytes(), b"/", schema_hash.as_bytes()], HKDF_SHA256)
        .and_then(|key| key.fill(&mut salt))
        .expect("32 bytes are within HKDF's limit");
    Ok(Salt(salt))
}

fn secret_of(text: &str, epoch: &EpochId, from: &Oin) -> Result<Zeroizing<[u8; 32]>, &'static str> {
    let mut lines = text.lines();
    if lines.next() != Some(TITLE) {
        return Err("it is no share");
    }
    if lines.next() != Some(&format!("epoch {epoch}")) {
        return Err("it belongs to another epoch");
    }
    if lines.next() != Some(&format!("from {from}")) {
        return Err("it is another party's");
    }
    let mut raw = Zeroizing::new(STANDARD.decode(lines.next().unwrap_or_default()).map_err(|_| "it is damaged")?);
    let secret = Zeroizing::new(<[u8; 32]>::try_from(raw.as_slice()).map_err(|_| "it is damaged")?);
    raw.zeroize();
    Ok(secret)
}

/// A new age key pair: the text of the identity file, and the public key.
pub fn generate_identity() -> (Zeroizing<String>, String) {
    use age::secrecy::ExposeSecret;
    let identity = x25519::Identity::generate();
    let public = identity.to_public().to_string();
    let text = format!("# public key: {public}\n{}\n", identity.to_string().expose_secret());
    (Zeroizing::new(text), public)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oin(n: u8) -> Oin {
        format!("000000990000000000{n:02}").parse().unwrap()
    }

    fn id(text: &str) -> EpochId {
        text.parse().unwrap()
    }

    fn two_shares(epoch: &EpochId) -> BTreeMap<Oin, Zeroizing<String>> {
        [oin(1), oin(2)].into_iter().map(|from| (from.clone(), draw(epoch, &from))).collect()
    }

    #[test]
    fn whoever_a_share_is_sealed_for_opens_it_and_nobody_else() {
        let (mine, my_key) = generate_identity();
        let (other, _) = generate_identity();
        let share = draw(&id("e-1"), &oin(1));
        let sealed = seal(&share, &[(oin(1), my_key)].into()).unwrap();
        assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
        assert_eq!(*Identity::from_file(&mine).unwrap().open(&sealed, &oin(1)).unwrap(), *share);
        let refused = Identity::from_file(&other).unwrap().open(&sealed, &oin(1));
        assert!(matches!(refused, Err(ShareError::Open { .. })));
    }

    #[test]
    fn every_share_and_the_epoch_change_the_salt() {
        let shares = two_shares(&id("e-1"));
        let salt = derive(&id("e-1"), "s", &shares).unwrap();
        assert_eq!(salt.expose(), derive(&id("e-1"), "s", &shares).unwrap().expose());
        assert_ne!(salt.expose(), derive(&id("e-1"), "t", &shares).unwrap().expose());
        let mut other = shares.clone();
        other.insert(oin(2), draw(&id("e-1"), &oin(2)));
        assert_ne!(salt.expose(), derive(&id("e-1"), "s", &other).unwrap().expose());
    }

    #[test]
    fn one_custodian_alone_makes_no_salt() {
        let mut shares = two_shares(&id("e-1"));
        shares.remove(&oin(2));
        assert!(matches!(derive(&id("e-1"), "s", &shares), Err(ShareError::TooFew(1))));
    }

    #[test]
    fn a_share_of_another_epoch_or_party_is_refused() {
        let shares = two_shares(&id("e-1"));
        assert!(matches!(derive(&id("e-2"), "s", &shares), Err(ShareError::Forged { .. })));
        let mut swapped = shares.clone();
        swapped.insert(oin(2), shares[&oin(1)].clone());
        let error = derive(&id("e-1"), "s", &swapped).unwrap_err().to_string();
        assert!(error.contains("another party's"), "{error}");
    }

    #[test]
    fn a_salt_that_was_kept_is_of_one_epoch_and_a_laboratorys_of_none() {
        let salt = Salt::random();
        let kept = |text: &[u8]| KeptSalt::from_file(text);
        let file = salt.to_file(&id("e-1"));
        assert_eq!(kept(file.as_bytes()).unwrap().of(&id("e-1")).unwrap().expose(), salt.expose());
        let other = kept(file.as_bytes()).unwrap().of(&id("e-2")).unwrap_err().to_string();
        assert!(other.contains("of the epoch e-1, not of e-2"), "{other}");
        for raw in [&hex::encode(salt.expose()).into_bytes(), &[7; 40][..]] {
            let refused = kept(raw).unwrap().of(&id("e-1"));
            assert!(matches!(refused, Err(ShareError::NoEpoch { .. })));
        }
        assert_eq!(kept(&[7; 40]).unwrap().salt.expose(), [7; 40]);
        // Cut short, it is not taken for the bytes of a laboratory's.
        for wrong in [b"short".as_slice(), &file.as_bytes()[..60], b"e-1:", format!("{}00", file.trim()).as_bytes()] {
            assert!(matches!(kept(wrong), Err(ShareError::SaltFile)));
        }
        assert_eq!(format!("{salt:?}"), "Salt(..)");
    }

    #[test]
    fn a_bad_key_names_its_party() {
        let error = seal("x", &[(oin(3), "age1nonsense".into())].into()).unwrap_err();
        assert!(matches!(error, ShareError::Recipient(who) if who == oin(3)));
    }
}
