//! Reads the configuration and the files of `[tls]` again, on a signal and on a timer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::digest::{Context, Digest, SHA256};

use super::Door;
use crate::answer::checkup::chain;
use crate::config::{Config, Log, Tls};
use crate::telemetry;

/// What was read last, and where it goes.
pub(in crate::answer) struct Reloader {
    door: Arc<Door>,
    last: Mutex<Last>,
}

struct Last {
    config: Config,
    /// Of the files as they were when they last served.
    digest: Option<Digest>,
}

impl Reloader {
    /// Takes what the door was made from.
    pub(in crate::answer) fn new(config: &Config, door: Arc<Door>) -> Self {
        let last = Last { digest: Some(digest_of(&config.tls)), config: config.clone() };
        Self { door, last: Mutex::new(last) }
    }

    /// Reads everything again and takes over what has changed. What is faulty is reported and stays as it was, each part
    /// by itself; a faulty revocation list closes the door until there is a good one.
    pub(in crate::answer) fn reload(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults = Vec::new();
        match last.config.file.clone().map(|file| Config::load(&file)) {
            None => {}
            Some(Ok(config)) => self.take_over(&mut last.config, config),
            Some(Err(error)) => faults.push(chain(&error)),
        }
        let digest = digest_of(&last.config.tls);
        if last.digest.is_none_or(|old| old.as_ref() != digest.as_ref()) {
            let (gate, unfit) = self.door.gate().1.renewed(&last.config.tls);
            if gate.lists.gone_back > 0 {
                let lists = gate.lists.gone_back;
                tracing::warn!(
                    lists,
                    "a revocation list is older than the one before: whom that revoked may be in again"
                );
            }
            self.door.replace(gate);
            last.digest = unfit.is_empty().then_some(digest);
            if unfit.is_empty() {
                tracing::info!("certificates, roots and revocation lists were read anew");
            }
            faults.extend(unfit.iter().map(|fault| chain(fault)));
        }
        let fault = (!faults.is_empty()).then(|| faults.join("; "));
        if self.door.set_fault(fault.clone())
            && let Some(fault) = fault
        {
            let closed = self.door.gate().1.is_closed();
            tracing::error!(fault, closed, "some of the configuration or of the files of [tls] cannot be taken over");
        }
    }

    /// Until the next look.
    pub(in crate::answer) fn period(&self) -> Duration {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_secs(last.config.tls.reload_seconds)
    }

    fn take_over(&self, current: &mut Config, new: Config) {
        if new == *current {
            return;
        }
        let tls = Tls { tls12: current.tls.tls12, ..new.tls.clone() };
        let log = Log { level: new.log.level, ..current.log.clone() };
        if log != current.log {
            telemetry::set_level(log.level);
        }
        let kept = Config { tls, log, ..current.clone() };
        if kept != new {
            tracing::warn!("the configuration has changes that take a restart; all but [tls] and log.level does");
        }
        *current = kept;
    }
}

/// SHA-256 over the section and its files; one that cannot be read counts as empty.
fn digest_of(tls: &Tls) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(format!("{tls:?}").as_bytes());
    for path in [&tls.certificate, &tls.key, &tls.client_roots].into_iter().chain(&tls.crls) {
        let bytes = std::fs::read(path).unwrap_or_default();
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(&bytes);
    }
    context.finish()
}
