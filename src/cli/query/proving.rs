//! Holds the receipts of answers against the log: the log signed their checkpoint, it covers them, and a proof leads to
//! them. What does not hold is kept before anything is said: nobody else has seen it.

use crate::answer::wire::Answered;
use crate::audit::{AuditError, CheckpointKeys, LogKeys, Receipt, TlogProof};
use crate::cli::audit::LogBroken;
use crate::cli::client::{Client, Refused};
use crate::ids::TraceId;

/// What the proving of receipts needs of the service and of this machine.
pub(in crate::cli) trait Desk {
    fn text(&self, path: &str) -> anyhow::Result<String>;
    fn keys(&self) -> anyhow::Result<LogKeys>;
    /// Keeps evidence; returns where.
    fn keep(&self, name: &str, text: &str) -> anyhow::Result<String>;
}

impl Desk for Client {
    fn text(&self, path: &str) -> anyhow::Result<String> {
        self.get_text(path)
    }

    fn keys(&self) -> anyhow::Result<LogKeys> {
        self.log_keys()
    }

    fn keep(&self, name: &str, text: &str) -> anyhow::Result<String> {
        self.remember(name, text)?;
        Ok(self.remembered(name).display().to_string())
    }
}

/// Proves the receipts of one request.
pub(in crate::cli) struct Prover<'a, D> {
    desk: &'a D,
    log: LogKeys,
    trace: TraceId,
    /// The checkpoint that was checked last, and its size: many answers have the same one.
    checked: Option<(String, u64)>,
}

impl<'a, D: Desk> Prover<'a, D> {
    pub(in crate::cli) fn new(desk: &'a D, log: LogKeys, trace: TraceId) -> Self {
        Self { desk, log, trace, checked: None }
    }

    /// The proof that the entry of an answer is in the log, as a file that stands alone; empty if none is `wanted`.
    ///
    /// # Errors
    /// [`LogBroken::Unproved`], or the service cannot be reached; answer and receipt are kept in both cases.
    pub(in crate::cli) fn proof(&mut self, answered: &Answered, wanted: bool) -> anyhow::Result<String> {
        let receipt = &answered.receipt;
        let covered = self.size(&receipt.checkpoint).map(|size| size > receipt.index);
        let no_receipt = match covered {
            Ok(true) => None,
            Ok(false) => Some("its checkpoint does not cover it"),
            Err(_) => Some("the log did not sign its checkpoint"),
        };
        if let Some(why) = no_receipt {
            return Err(self.unproved(answered, why, "").into());
        }
        if !wanted {
            return Ok(String::new());
        }
        // With its leaf: of a batch from long ago the contents of an entry may have expired.
        let leaf = hex::encode(receipt.leaf.as_bytes());
        match self.desk.text(&format!("access-log/proofs/{}?leaf={leaf}", receipt.index)) {
            Ok(text) if self.leads(&text, receipt) => Ok(text),
            Ok(text) => Err(self.unproved(answered, "the log's own proof does not lead to it", &text).into()),
            Err(error) => Err(match error.downcast_ref::<Refused>() {
                Some(Refused(problem))
                    if (400..500).contains(&problem.status) && ![408, 429].contains(&problem.status) =>
                {
                    let why = format!("the service does not prove it ({}, {})", problem.status, problem.code);
                    self.unproved(answered, &why, "").into()
                }
                _ => error.context(format!(
                    "the service does not prove that entry {}, its receipt, is in the log; answer and receipt are kept \
                     in {}",
                    receipt.index,
                    self.kept(answered, "")
                )),
            }),
        }
    }

    fn size(&mut self, note: &str) -> Result<u64, AuditError> {
        if let Some((_, size)) = self.checked.as_ref().filter(|(known, _)| known == note) {
            return Ok(*size);
        }
        let size = self.with_keys(|keys| keys.checkpoint(note))?.size;
        self.checked = Some((note.to_owned(), size));
        Ok(size)
    }

    fn leads(&mut self, proof: &str, receipt: &Receipt) -> bool {
        TlogProof::parse(proof).is_ok_and(|proof| self.with_keys(|keys| proof.verify(receipt, keys)).is_ok())
    }

    /// Once more with the keys that the service shows now: the log may have a new one since this run began.
    fn with_keys<T>(&mut self, check: impl Fn(&LogKeys) -> Result<T, AuditError>) -> Result<T, AuditError> {
        check(&self.log).or_else(|error| match self.desk.keys() {
            Ok(keys) if keys != self.log => {
                self.log = keys;
                check(&self.log)
            }
            _ => Err(error),
        })
    }

    fn unproved(&self, answered: &Answered, why: &str, proof: &str) -> LogBroken {
        let evidence = self.kept(answered, proof);
        LogBroken::Unproved { index: answered.receipt.index, why: why.to_owned(), evidence }
    }

    /// Where answer and receipt are kept. That they cannot be is no reason to be silent about the log.
    fn kept(&self, answered: &Answered, proof: &str) -> String {
        let Answered { answer, epoch, receipt } = answered;
        let (index, trace) = (receipt.index, self.trace);
        let text = serde_json::json!({
            "answer": answer, "epoch": epoch, "traceId": trace, "receipt": receipt, "proof": proof,
        });
        let text = text.to_string();
        self.desk.keep(&format!("receipt-{index}.json"), &text).unwrap_or_else(|error| {
            eprintln!("{text}");
            format!("no file ({error:#}), only on standard error above")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::audit::{Checkpoint, Frontier, Hash, NoteSigner, inclusion_proof, leaf_hash};
    use crate::cli::exit_code;

    /// What a service says to whoever wants a proof.
    #[derive(Clone)]
    enum Says {
        Proof(String),
        Refuses(u16),
        Nothing,
    }

    struct Fake {
        says: Says,
        keys: LogKeys,
        is_full: bool,
        kept: RefCell<Vec<(String, String)>>,
    }

    impl Desk for Fake {
        fn text(&self, _path: &str) -> anyhow::Result<String> {
            match &self.says {
                Says::Proof(text) => Ok(text.clone()),
                Says::Refuses(status) => {
                    let problem = serde_json::json!({
                        "type": "about:blank", "status": status, "code": "no_such_entry", "title": "", "detail": "",
                        "traceId": "",
                    });
                    Err(Refused(serde_json::from_value(problem)?).into())
                }
                Says::Nothing => anyhow::bail!("no answer"),
            }
        }

        fn keys(&self) -> anyhow::Result<LogKeys> {
            Ok(self.keys.clone())
        }

        fn keep(&self, name: &str, text: &str) -> anyhow::Result<String> {
            anyhow::ensure!(!self.is_full, "the disk is full");
            self.kept.borrow_mut().push((name.to_owned(), text.to_owned()));
            Ok(name.to_owned())
        }
    }

    fn leaves() -> Vec<Hash> {
        (0..4_u8).map(|at| leaf_hash(&[at])).collect()
    }

    fn note(signer: &NoteSigner) -> String {
        let root = leaves().into_iter().collect::<Frontier>().root();
        Checkpoint { origin: "log.example/a".into(), size: 4, root }.to_note(signer)
    }

    fn answered(index: u64, checkpoint: String) -> Answered {
        let leaf = leaves().get(index as usize).copied().unwrap_or_else(|| leaf_hash(b"none"));
        let receipt = Receipt { index, leaf, checkpoint };
        Answered { answer: "priority".into(), epoch: "e-1".parse().unwrap(), receipt }
    }

    fn asks(fake: &Fake, log: &NoteSigner, answered: &Answered) -> anyhow::Result<String> {
        Prover::new(fake, log.verifier().into(), TraceId::random()).proof(answered, true)
    }

    #[test]
    fn what_is_not_proved_is_kept_first_and_breaks_the_log() {
        let (log, _) = NoteSigner::generate("log.example/a").unwrap();
        let (other, _) = NoteSigner::generate("log.example/a").unwrap();
        let proof = |index| {
            let hashes = inclusion_proof(&leaves(), index).unwrap();
            Says::Proof(TlogProof { index, hashes, checkpoint: note(&log) }.to_string())
        };
        let fake = |says: &Says, is_full| {
            let keys = log.verifier().into();
            Fake { says: says.clone(), keys, is_full, kept: RefCell::default() }
        };
        let own = answered(2, note(&log));
        let sound = fake(&proof(2), false);
        assert!(asks(&sound, &log, &own).is_ok() && sound.kept.borrow().is_empty());
        for (given, says) in [
            (&own, proof(1)),
            (&own, Says::Proof("junk".into())),
            (&own, Says::Refuses(404)),
            (&own, Says::Refuses(403)),
            (&answered(4, note(&log)), proof(2)),
            (&answered(2, note(&other)), proof(2)),
            (&answered(2, "junk".into()), proof(2)),
        ] {
            for is_full in [false, true] {
                let fake = fake(&says, is_full);
                let error = asks(&fake, &log, given).unwrap_err();
                assert!(matches!(error.downcast_ref(), Some(LogBroken::Unproved { .. })), "{error:#}");
                assert_eq!(exit_code(&error), 5);
                let kept = fake.kept.borrow();
                let whole = |(_, text): &(String, String)| text.contains("\"priority\"") && text.contains("receipt");
                assert_eq!((kept.len(), kept.iter().all(whole)), (usize::from(!is_full), true));
            }
        }
    }

    #[test]
    fn a_service_that_is_away_or_busy_is_not_accused_and_the_answer_is_kept() {
        let (log, _) = NoteSigner::generate("log.example/a").unwrap();
        for says in [Says::Nothing, Says::Refuses(429)] {
            let fake = Fake { says, keys: log.verifier().into(), is_full: false, kept: RefCell::default() };
            let error = asks(&fake, &log, &answered(2, note(&log))).unwrap_err();
            assert!(error.downcast_ref::<LogBroken>().is_none() && exit_code(&error) != 5, "{error:#}");
            assert_eq!(fake.kept.borrow().len(), 1);
        }
    }

    #[test]
    fn a_log_that_took_another_key_meanwhile_is_followed() {
        let (log, _) = NoteSigner::generate("log.example/a").unwrap();
        let (next, _) = NoteSigner::generate("log.example/a").unwrap();
        let hashes = inclusion_proof(&leaves(), 2).unwrap();
        let says = Says::Proof(TlogProof { index: 2, hashes, checkpoint: note(&next) }.to_string());
        let fake = Fake { says, keys: next.verifier().into(), is_full: false, kept: RefCell::default() };
        assert!(asks(&fake, &log, &answered(2, note(&next))).is_ok());
    }
}
