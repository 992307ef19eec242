//! The access log's keys as a party remembers them: the first one is taken on sight, every later one only if the one
//! before announced it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

use super::audit::LogBroken;
use super::client::Client;
use crate::answer::wire::ServiceView;
use crate::audit::{LogKeys, NoteVerifier};

const REMEMBERED: &str = "log.vkey";

/// The keys of the log as they were remembered in this folder; none if the service was never called.
///
/// # Errors
/// If they cannot be read.
pub fn remembered_log_keys(memory: &Path) -> anyhow::Result<Option<LogKeys>> {
    let place = memory.join(REMEMBERED);
    let unreadable = || format!("cannot read {}; do not go on without it", place.display());
    match fs::read_to_string(&place) {
        Ok(text) => Ok(Some(text.parse().with_context(unreadable)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(unreadable),
    }
}

impl Client {
    /// The keys that the access log has had, the newest first.
    ///
    /// # Errors
    /// As [`Client::service`]; [`LogBroken::OtherKey`] if the service shows one that the remembered one did not announce.
    pub fn log_keys(&self) -> anyhow::Result<LogKeys> {
        self.service()?;
        remembered_log_keys(&self.config.memory)?.context("the log's key was just remembered")
    }

    /// Holds the key that the service shows against the remembered one, and follows the hand-overs from there to it.
    pub(super) fn hold_log_key(&self, view: &ServiceView) -> anyhow::Result<()> {
        let shown = NoteVerifier::from_log_vkey(&view.log_key).context("the service's log key is none")?;
        let Some(mut keys) = remembered_log_keys(&self.config.memory)? else {
            return self.remember(REMEMBERED, &LogKeys::from(shown).to_string());
        };
        if *keys.current() == shown {
            return Ok(());
        }
        for hand_over in &view.log_hand_overs {
            let next =
                NoteVerifier::from_log_vkey(&hand_over.key).context("the service announces a log key that is none")?;
            // Those before the remembered key are not signed by it.
            if keys.hand_over(&hand_over.checkpoint, next).is_ok() && *keys.current() == shown {
                return self.remember(REMEMBERED, &keys.to_string());
            }
        }
        Err(LogBroken::OtherKey { remembered: self.remembered(REMEMBERED) }.into())
    }
}
