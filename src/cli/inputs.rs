//! Values and files that several commands take: days, profiles, regulations.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use ring::digest::{Context as Digest, SHA256};
use time::Date;
use time::macros::format_description;
use zeroize::Zeroizing;

use crate::profile::Profile;
use crate::regulate::Regulation;

/// A day as `2026-01-31`.
///
/// # Errors
/// If it is none.
pub fn parse_day(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| "a day is written as 2026-01-31".into())
}

/// A salt or private key. Where others may read it as well, standard error says so, and what to do.
///
/// # Errors
/// Names the file.
pub fn read_secret(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let unreadable = || format!("cannot read {}", path.display());
    let about = fs::metadata(path).with_context(unreadable)?;
    if about.is_file() && is_for_others(about.permissions().mode()) {
        eprintln!("WARNING: others can read the secret in {0}: chmod 600 {0}", path.display());
    }
    fs::read(path).map(Zeroizing::new).with_context(unreadable)
}

/// The same, of a text.
///
/// # Errors
/// As there.
pub fn read_secret_text(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let bytes = read_secret(path)?;
    let text = str::from_utf8(&bytes).with_context(|| format!("{} is no text", path.display()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// systemd shows a credential of its own as 0440: an access list lets nobody but the user in.
fn is_for_others(mode: u32) -> bool {
    mode & 0o077 != 0 && mode & 0o777 != 0o440
}

/// The profile in a file, or the built-in one.
///
/// # Errors
/// Names file and key.
pub fn read_profile(path: Option<&Path>) -> anyhow::Result<Profile> {
    let Some(path) = path else { return Ok(Profile::built_in()) };
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Profile::from_toml(&text).with_context(|| path.display().to_string())
}

/// The regulation in a folder, or the built-in Haarlem one.
///
/// # Errors
/// If the folder holds none.
pub fn regulation_or_built_in(folder: Option<&Path>) -> anyhow::Result<Regulation> {
    match folder {
        Some(folder) => Ok(Regulation::load(folder)?),
        None => Ok(Regulation::built_in().into_iter().next().expect("a regulation is built in")),
    }
}

/// SHA-256 of a file, hexadecimal.
///
/// # Errors
/// If it cannot be read.
pub fn file_digest(path: &Path) -> anyhow::Result<String> {
    let unreadable = || format!("cannot read {}", path.display());
    let (mut file, mut digest) = (File::open(path).with_context(unreadable)?, Digest::new(&SHA256));
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).with_context(unreadable)? {
            0 => return Ok(hex::encode(digest.finish())),
            count => digest.update(&buffer[..count]),
        }
    }
}
