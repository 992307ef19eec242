//! The MAC in the header of a file of codes: whoever holds the salt can tell that header and records are those that
//! `voorrang encode` wrote with it. Whoever does not, the linkage unit among them, can neither check nor make one.
//!
//! It is HMAC-SHA-256 under a key of its own over the bytes of the file, in which 32 zero bytes, in base64, stand for the
//! MAC itself.

use std::io::{BufRead, Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac::{Context, Key};
use serde::{Deserialize, Deserializer};

use super::file::{self, FileError};
use super::{CodeHeader, Encoder};
use crate::ids::EpochId;

/// What stands for the MAC while it is not known.
pub const NO_MAC: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// What stands before it. No text of a record looks so: in JSON a quote within one has a backslash before it.
const BEFORE: &[u8] = b",\"mac\":\"";

/// Why a file of codes is not what was written with a salt, and what to do. It never repeats what the file says.
#[derive(Debug, thiserror::Error)]
pub enum NotAuthentic {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{name}: has no records, and so no header that says with which salt it was made")]
    Empty { name: String },
    #[error("{name}: made in the epoch {got}, and this is the salt of {want}; give the envelope of that epoch")]
    Epoch { name: String, want: EpochId, got: EpochId },
    #[error("{name}: made with another {what} than the profile's; give the profile that it was made with as --profile")]
    Profile { name: String, what: &'static str },
    #[error(
        "{name}: its key-check value is not that of this salt in its epoch; give that epoch's salt, or encode again"
    )]
    Salt { name: String },
    #[error("{name}: its header has no MAC: an older program wrote it, or somebody took it out; encode again")]
    NoMac { name: String },
    #[error("{name}: header or records are not those that were written with this salt: changed or cut; encode again")]
    Changed { name: String },
}

/// The header as it stands in a file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileHeader {
    epoch: EpochId,
    profile: String,
    schema_hash: String,
    key_check: String,
    #[serde(default, rename = "mac")]
    _mac: Option<String>,
}

/// The header of a line, whatever its MAC: only [`check`] looks at that.
pub(super) fn header<'de, D: Deserializer<'de>>(from: D) -> Result<Option<CodeHeader>, D::Error> {
    let header = Option::<FileHeader>::deserialize(from)?;
    Ok(header.map(|FileHeader { epoch, profile, schema_hash, key_check, .. }| CodeHeader {
        epoch,
        profile,
        schema_hash,
        key_check,
    }))
}

/// The MAC of a file that is being written or read.
pub struct FileMac(Context);

impl FileMac {
    pub(super) fn new(key: &Key) -> Self {
        Self(Context::with_key(key))
    }

    /// The next bytes, with [`NO_MAC`] in the place of the MAC.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// As it stands in the header.
    pub fn text(self) -> String {
        STANDARD.encode(self.0.sign())
    }
}

/// Where the MAC stands in the first line of a file.
pub fn place_of_mac(line: &[u8]) -> Option<usize> {
    let found = line.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    let end = found + NO_MAC.len();
    (line.get(end) == Some(&b'"')).then_some(found)
}

/// Reads a file of codes to its end; how many records it has. `encoder` makes what the salt makes in the header's epoch.
///
/// # Errors
/// [`NotAuthentic`].
pub fn check(
    mut from: impl BufRead,
    name: &str,
    encoder: impl FnOnce(&EpochId) -> Encoder,
) -> Result<u64, NotAuthentic> {
    let own = || name.to_owned();
    let unreadable = |line, source| FileError::Read { name: own(), line, source };
    let mut first = Vec::new();
    from.by_ref().take(file::LONGEST_LINE).read_until(b'\n', &mut first).map_err(|source| unreadable(1, source))?;
    let line = file::read(&first[..], name).next().ok_or_else(|| NotAuthentic::Empty { name: own() })??;
    let header = line.header.ok_or_else(|| FileError::NoHeader { name: own() })?;
    let encoder = encoder(&header.epoch);
    let want = encoder.header();
    if header.epoch != want.epoch {
        return Err(NotAuthentic::Epoch { name: own(), want: want.epoch, got: header.epoch });
    }
    let profile = [("profile", header.profile != want.profile), ("schema", header.schema_hash != want.schema_hash)];
    if let Some((what, _)) = profile.into_iter().find(|(_, differs)| *differs) {
        return Err(NotAuthentic::Profile { name: own(), what });
    }
    if header.key_check != want.key_check {
        return Err(NotAuthentic::Salt { name: own() });
    }
    let place = place_of_mac(&first).ok_or_else(|| NotAuthentic::NoMac { name: own() })?;
    let found = String::from_utf8_lossy(&first[place..place + NO_MAC.len()]).into_owned();
    first[place..place + NO_MAC.len()].copy_from_slice(NO_MAC.as_bytes());
    let (mut mac, mut records) = (encoder.file_mac(), 1);
    mac.add(&first);
    let mut block = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut block).map_err(|source| unreadable(records + 1, source))?;
        if read == 0 {
            break;
        }
        mac.add(&block[..read]);
        records += block[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    // No constant time: file, salt and answer are the same person's.
    if mac.text() == found { Ok(records) } else { Err(NotAuthentic::Changed { name: own() }) }
}
