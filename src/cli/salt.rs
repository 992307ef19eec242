//! The salt of an epoch at who encodes: from the envelope, or as this party kept it, in a file or in its environment. What
//! was kept says of which epoch it is; codes of another epoch are never made with it.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use zeroize::Zeroizing;

use super::client::Client;
use super::inputs::read_secret;
use super::pki::write_secret;
use crate::answer::wire::EpochView;
use crate::encode::Encoder;
use crate::epoch::share::{KeptSalt, Salt};
use crate::ids::EpochId;
use crate::profile::Profile;

/// The environment variable in which `voorrang epoch fetch --print-salt` hands a salt to the shell.
pub const SALT_VARIABLE: &str = "VOORRANG_SALT";

/// What stands in the place of a salt file for the environment.
const FROM_ENVIRONMENT: &str = "env:";

/// A salt file's content; `env:VOORRANG_SALT` is the environment variable of that name.
///
/// # Errors
/// Names the file or the variable.
pub fn read_salt(path: &Path) -> anyhow::Result<KeptSalt> {
    if let Some(name) = path.to_str().and_then(|text| text.strip_prefix(FROM_ENVIRONMENT)) {
        let value = std::env::var(name).map(Zeroizing::new);
        let value = value.map_err(|_| anyhow::anyhow!("the environment variable {name} holds no salt"))?;
        return KeptSalt::from_file(value.as_bytes()).with_context(|| format!("environment variable {name}"));
    }
    KeptSalt::from_file(&read_secret(path)?).with_context(|| path.display().to_string())
}

/// Writes the salt of an epoch to a new file; what was done. A file that is there already stays as it is.
///
/// # Errors
/// If it holds something else; says what, and what to do.
pub fn keep_salt(path: &Path, epoch: &EpochId, salt: &Salt) -> anyhow::Result<String> {
    let place = path.display();
    if !path.exists() {
        write_secret(path, salt.to_file(epoch).as_bytes())?;
        return Ok(format!("Wrote the salt of {epoch} to {place}; it stays on this machine."));
    }
    let remedy = format!("it stays; give {epoch} a file of its own: --salt-file {epoch}.salt");
    match read_salt(path) {
        Ok(KeptSalt { epoch: Some(is), salt: kept }) if is == *epoch => {
            ensure!(kept == *salt, "{place} holds another salt of {epoch} than the envelope; {remedy}");
            Ok(format!("The salt of {epoch} is in {place} already."))
        }
        Ok(KeptSalt { epoch: Some(is), .. }) => bail!("{place} holds the salt of {is}; {remedy}"),
        _ => bail!("{place} holds something that names no epoch; {remedy}"),
    }
}

/// The encoder of an epoch, with the salt that was kept, or from the envelope. Where this machine can open the envelope, a
/// salt that was kept must be the one in it: before the first load the service knows of none.
///
/// # Errors
/// If the profile is not the epoch's, the salt cannot be had or is another epoch's, or other codes are loaded.
pub fn encoder(
    client: &Client,
    epoch: &EpochView,
    profile: &Profile,
    kept: Option<KeptSalt>,
) -> anyhow::Result<Encoder> {
    if (&epoch.profile, &epoch.schema_hash) != (&profile.id, &profile.schema_hash()) {
        bail!(
            "the epoch {} wants the profile {} (schema {}); give it with --profile",
            epoch.id,
            epoch.profile,
            epoch.schema_hash
        );
    }
    let kept = kept.map(|kept| kept.of(&epoch.id)).transpose()?;
    let opens = client.config.identity.as_ref().is_some_and(|path| path.exists()) && epoch.state != "destroyed";
    let agreed = if kept.is_none() || opens { Some(client.salt(&epoch.id, profile)?) } else { None };
    if let (Some(kept), Some(agreed)) = (&kept, &agreed) {
        ensure!(
            kept == agreed,
            "the salt that was given is not the one in the envelope of {}; fetch it again, into another file",
            epoch.id
        );
    }
    let salt = kept.as_ref().or(agreed.as_ref()).expect("one of both is there");
    let encoder = Encoder::new(profile, salt.expose(), &epoch.id);
    if epoch.key_check.as_ref().is_none_or(|check| *check == encoder.header().key_check) {
        return Ok(encoder);
    }
    if agreed.is_some() {
        bail!(
            "the epoch {} was loaded with another salt than the one in its envelope, or by a version of this program that \
             makes other codes; find out with the other custodians who did so: it is aborted and announced anew, or, \
             where it answers, the next one takes its place",
            epoch.id
        );
    }
    bail!(
        "this salt is not the one that the epoch {} was loaded with; fetch it again, or take the version of this program \
         that loaded it",
        epoch.id
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_salt_file_that_is_there_says_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("salt");
        let (one, two): (EpochId, EpochId) = ("e-1".parse().unwrap(), "e-2".parse().unwrap());
        let salt = Salt::random();
        assert!(keep_salt(&path, &one, &salt).unwrap().starts_with("Wrote the salt of e-1"));
        let before = fs::read(&path).unwrap();
        assert!(keep_salt(&path, &one, &salt).unwrap().ends_with("already."));
        let refused = |epoch: &EpochId, says: &str| {
            let error = keep_salt(&path, epoch, &Salt::random()).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains(&format!("--salt-file {epoch}.salt")), "{error}");
        };
        refused(&two, "holds the salt of e-1");
        refused(&one, "another salt of e-1");
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::write(&path, hex::encode([7; 32])).unwrap();
        refused(&two, "names no epoch");
    }
}
