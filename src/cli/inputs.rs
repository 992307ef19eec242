//! Values and files that several commands take: days, profiles, salts, regulations.

use std::fs;
use std::path::Path;

use anyhow::Context;
use time::Date;
use time::macros::format_description;
use zeroize::Zeroizing;

use crate::epoch::share::Salt;
use crate::profile::Profile;
use crate::regulate::Regulation;

/// A day as `2026-01-31`.
///
/// # Errors
/// If it is none.
pub fn parse_day(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| "a day is written as 2026-01-31".into())
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

/// A salt file's content.
///
/// # Errors
/// Names the file.
pub fn read_salt(path: &Path) -> anyhow::Result<Salt> {
    let bytes = Zeroizing::new(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    Salt::from_file(&bytes).with_context(|| path.display().to_string())
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
