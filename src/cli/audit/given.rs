//! What was handed in beside the log: answers with their receipts, and checkpoints that others kept. What of it is none
//! accuses nobody, and hides nothing that is wrong with the rest or with the log.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Unusable;
use super::receipts::Answers;
use crate::audit::{CheckpointKeys, Receipt, VerifyError};

/// What can be used, and what cannot.
#[derive(Default)]
pub struct Given {
    /// Where each was read, and the signed note.
    pub notes: Vec<(PathBuf, String)>,
    pub files: Vec<Answers>,
    pub unusable: Vec<Unusable>,
}

impl Given {
    /// Reads all of it, also behind what cannot be read.
    pub fn read(receipts: &[PathBuf], checkpoints: &[PathBuf]) -> Self {
        let mut given = Self::default();
        for path in receipts {
            match Answers::read(path) {
                Ok((answers, bad)) => {
                    given.files.push(answers);
                    given.unusable.extend(bad);
                }
                Err(none) => given.unusable.push(none),
            }
        }
        for path in checkpoints {
            match std::fs::read_to_string(path) {
                Ok(note) => given.notes.push((path.clone(), note)),
                Err(error) => {
                    given.unusable.push(Unusable::Checkpoint { path: path.clone(), source: Some(error) });
                }
            }
        }
        given
    }

    /// Leaves out what is newer than a copy of this size: the log may have what it speaks of.
    pub fn leave_newer(&mut self, keys: &impl CheckpointKeys, size: u64) {
        let is_newer = |note: &str| keys.checkpoint(note).is_ok_and(|known| known.size > size);
        let notes = self.notes.extract_if(.., |(_, note)| is_newer(note)).map(|(path, _)| path);
        let files = self.files.extract_if(.., |file| file.checkpoints().any(is_newer));
        let newer = notes.chain(files.map(|file| file.file().to_owned()));
        self.unusable.extend(newer.map(|path| Unusable::Newer { path, size }));
    }

    /// The receipts of all files, one behind the other.
    pub fn receipts(&self) -> Vec<Receipt> {
        self.files.iter().flat_map(|file| &file.kept).map(|kept| kept.receipt.clone()).collect()
    }

    /// Where the proofs lead; most of a file's have the same few checkpoints.
    pub fn proved(&self, keys: &impl CheckpointKeys) -> BTreeSet<String> {
        let kept = self.files.iter().flat_map(|file| &file.kept);
        let proofs = kept.filter_map(|kept| Some(kept.proof.as_ref()?.checkpoint.clone()));
        proofs.filter(|note| keys.checkpoint(note).is_ok()).collect()
    }

    /// What is left of these is wrong with the log. The rest is wrong with what was handed in, which is then without it;
    /// so is a receipt that does not hold in itself. The notes were held against the log behind so many `remembered`
    /// ones, the receipts as [`Given::receipts`] gives them.
    pub fn sift(&mut self, found: Vec<VerifyError>, remembered: usize, keys: &impl CheckpointKeys) -> Vec<VerifyError> {
        let kept = self.files.iter().flat_map(|file| &file.kept);
        let mut invalid: BTreeSet<usize> =
            (0..).zip(kept).filter(|(_, kept)| !kept.holds(keys)).map(|(at, _)| at).collect();
        let mut log = Vec::new();
        for error in found {
            match &error {
                VerifyError::ReceiptUnusable { position, .. } | VerifyError::ReceiptFalse { position, .. } => {
                    invalid.insert(*position);
                }
                VerifyError::RememberedUnusable { position, .. } => {
                    let note = position.checked_sub(remembered).and_then(|at| self.notes.get(at));
                    match note {
                        Some((path, _)) => {
                            self.unusable.push(Unusable::Checkpoint { path: path.clone(), source: None });
                        }
                        None => log.push(error),
                    }
                }
                _ => log.push(error),
            }
        }
        let mut at = 0..;
        for file in &mut self.files {
            let path = file.file().to_owned();
            let bad = file.kept.extract_if(.., |_| at.next().is_some_and(|at| invalid.contains(&at)));
            self.unusable.extend(bad.map(|kept| Unusable::Receipt { path: path.clone(), row: kept.row }));
        }
        log
    }
}
