//! The whole log, checked by an officer who trusts only a verifier key and what was kept outside the service.

use std::ops::Range;

use super::{AuditError, Checkpoint, CheckpointKeys, Entry, Frontier, Hash, Receipt, leaf_hash};

/// One line of an exported log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The entry's bytes.
    Entry(Vec<u8>),
    /// The leaf hash of an entry whose contents have expired.
    Expired(Hash),
}

impl Line {
    /// The leaf hash.
    pub fn leaf(&self) -> Hash {
        match self {
            Self::Entry(entry) => leaf_hash(entry),
            Self::Expired(leaf) => *leaf,
        }
    }
}

impl From<Vec<u8>> for Line {
    fn from(entry: Vec<u8>) -> Self {
        Self::Entry(entry)
    }
}

/// What held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Lines of the log, expired ones included.
    pub entries: u64,
    /// Lines whose contents have expired.
    pub expired: u64,
    /// Where those are, in order.
    pub expired_ranges: Vec<Range<u64>>,
    pub root: Hash,
    /// Size of the largest remembered checkpoint: changes after it, signed again by the log, cannot show.
    pub remembered_size: u64,
    /// Receipts found in the log.
    pub receipts: u64,
}

/// What does not hold, and where. `position` counts from 0 in what the officer handed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the checkpoint cannot be used")]
    Checkpoint(#[source] AuditError),
    #[error("remembered checkpoint {position} cannot be used")]
    RememberedUnusable { position: usize, source: AuditError },
    #[error("receipt {position} cannot be used")]
    ReceiptUnusable { position: usize, source: AuditError },
    #[error("entry {index} is not in its format")]
    Entry { index: u64, source: AuditError },
    #[error("the log has {entries} entries where its checkpoint says {size}: entries are missing or added")]
    Size { entries: u64, size: u64 },
    #[error("remembered checkpoint {position} is of size {remembered}, the log now says {size}: it was rolled back")]
    RolledBack { position: usize, remembered: u64, size: u64 },
    #[error("entry {index} is not the one of receipt {position}: the entry was changed, moved or dropped")]
    Receipt { position: usize, index: u64 },
    #[error("the log does not extend {what} of size {size}; entries below {good_below} are as remembered")]
    History { what: Witness, size: u64, good_below: u64 },
}

/// Whose root the log disagrees with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The log's own checkpoint.
    Current,
    /// The remembered checkpoint at this position.
    Remembered(usize),
    /// The checkpoint in the receipt at this position.
    Receipt(usize),
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Current => f.write_str("its own checkpoint"),
            Self::Remembered(position) => write!(f, "remembered checkpoint {position}"),
            Self::Receipt(position) => write!(f, "the checkpoint of receipt {position}"),
        }
    }
}

impl VerifyError {
    /// Stable code for scripts; never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Checkpoint(_) => "checkpoint_unusable",
            Self::RememberedUnusable { .. } => "remembered_unusable",
            Self::ReceiptUnusable { .. } => "receipt_unusable",
            Self::Entry { .. } => "entry_malformed",
            Self::Size { .. } => "size_differs",
            Self::RolledBack { .. } => "rolled_back",
            Self::Receipt { .. } => "receipt_differs",
            Self::History { .. } => "history_differs",
        }
    }
}

/// Checks every line of a log, in order, against its checkpoint, the checkpoints an officer remembered, and receipts
/// that parties kept. One pass; memory for the checkpoints and receipts only.
///
/// # Errors
/// The first of: a note or receipt that cannot be used, a rollback, a malformed entry, a receipt's entry changed, a
/// wrong number of entries, a root that differs at the smallest size where one does.
pub fn verify_log<L: Into<Line>>(
    lines: impl Iterator<Item = L>,
    checkpoint: &str,
    keys: &impl CheckpointKeys,
    remembered: &[String],
    receipts: &[Receipt],
) -> Result<Report, VerifyError> {
    let current = keys.checkpoint(checkpoint).map_err(VerifyError::Checkpoint)?;
    let (roots, remembered_size) = roots_to_meet(&current, keys, remembered, receipts)?;
    let mut wanted: Vec<(u64, usize)> = receipts.iter().enumerate().map(|(at, r)| (r.index, at)).collect();
    wanted.sort_unstable();
    let (mut wanted, mut roots) = (wanted.into_iter().peekable(), roots.into_iter().peekable());
    let (mut frontier, mut expired, mut good_below, mut broken) = (Frontier::default(), Vec::new(), 0, None);
    let mut meet = |frontier: &Frontier, good_below: &mut u64, broken: &mut Option<VerifyError>| {
        while let Some((size, root, what)) = roots.next_if(|(size, ..)| *size == frontier.size()) {
            if root == frontier.root() {
                *good_below = size;
            } else if broken.is_none() {
                *broken = Some(VerifyError::History { what, size, good_below: *good_below });
            }
        }
    };
    meet(&frontier, &mut good_below, &mut broken);
    for line in lines {
        let index = frontier.size();
        let leaf = read_line(&line.into(), index, &mut expired)?;
        while let Some((_, position)) = wanted.next_if(|(at, _)| *at == index) {
            if receipts[position].leaf != leaf {
                return Err(VerifyError::Receipt { position, index });
            }
        }
        frontier.push(leaf);
        meet(&frontier, &mut good_below, &mut broken);
    }
    if frontier.size() != current.size {
        return Err(VerifyError::Size { entries: frontier.size(), size: current.size });
    }
    if let Some(broken) = broken {
        return Err(broken);
    }
    let (receipts, expired_ranges) = (receipts.len() as u64, expired);
    let expired = expired_ranges.iter().map(|range| range.end - range.start).sum();
    Ok(Report { entries: frontier.size(), expired, expired_ranges, root: frontier.root(), remembered_size, receipts })
}

fn read_line(line: &Line, index: u64, expired: &mut Vec<Range<u64>>) -> Result<Hash, VerifyError> {
    match line {
        Line::Entry(bytes) => drop(Entry::from_bytes(bytes).map_err(|source| VerifyError::Entry { index, source })?),
        Line::Expired(_) => match expired.last_mut() {
            Some(range) if range.end == index => range.end += 1,
            _ => expired.push(index..index + 1),
        },
    }
    Ok(line.leaf())
}

/// A size, the root that somebody signed or kept for it, and who.
type KnownRoot = (u64, Hash, Witness);

/// Every size at which a root is known, smallest first, and the largest remembered size.
fn roots_to_meet(
    current: &Checkpoint,
    keys: &impl CheckpointKeys,
    remembered: &[String],
    receipts: &[Receipt],
) -> Result<(Vec<KnownRoot>, u64), VerifyError> {
    let mut roots = vec![(current.size, current.root, Witness::Current)];
    let mut largest = 0;
    for (position, note) in remembered.iter().enumerate() {
        let known = keys.checkpoint(note).map_err(|source| VerifyError::RememberedUnusable { position, source })?;
        if known.size > current.size {
            return Err(VerifyError::RolledBack { position, remembered: known.size, size: current.size });
        }
        largest = largest.max(known.size);
        roots.push((known.size, known.root, Witness::Remembered(position)));
    }
    for (position, receipt) in receipts.iter().enumerate() {
        let unusable = |source| VerifyError::ReceiptUnusable { position, source };
        let known = keys.checkpoint(&receipt.checkpoint).map_err(unusable)?;
        if receipt.index >= known.size {
            return Err(unusable(AuditError::OutOfRange { index: receipt.index, size: known.size }));
        }
        if known.size > current.size {
            return Err(VerifyError::Receipt { position, index: receipt.index });
        }
        roots.push((known.size, known.root, Witness::Receipt(position)));
    }
    roots.sort_by_key(|(size, ..)| *size);
    Ok((roots, largest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::tests::sample;
    use crate::audit::{Entry, NoteSigner};

    struct Log {
        signer: NoteSigner,
        entries: Vec<Vec<u8>>,
    }

    impl Log {
        fn of(n: usize) -> Self {
            let (signer, _) = NoteSigner::generate("log.example/a").unwrap();
            let entries = (0..n).map(|_| Entry { salt: Entry::fresh_salt(), ..sample() }.to_bytes()).collect();
            Self { signer, entries }
        }

        fn note(&self, size: usize) -> String {
            let frontier: Frontier = self.entries[..size].iter().map(|e| leaf_hash(e)).collect();
            Checkpoint { origin: "log.example/a".into(), size: size as u64, root: frontier.root() }
                .to_note(&self.signer)
        }

        fn receipt(&self, index: usize) -> Receipt {
            let (leaf, checkpoint) = (leaf_hash(&self.entries[index]), self.note(index + 1));
            Receipt { index: index as u64, leaf, checkpoint }
        }

        /// As an operator would after tampering: with a fresh signature over what is there now.
        fn verify(&self, remembered: &[String], receipts: &[Receipt]) -> Result<Report, VerifyError> {
            let note = self.note(self.entries.len());
            verify_log(self.entries.iter().cloned(), &note, &self.signer.verifier(), remembered, receipts)
        }
    }

    #[test]
    fn an_honest_log_is_accepted_with_its_memory() {
        let log = Log::of(9);
        let report = log.verify(&[log.note(0), log.note(4), log.note(9)], &[log.receipt(8), log.receipt(2)]).unwrap();
        assert_eq!((report.entries, report.remembered_size, report.receipts, report.expired), (9, 9, 2, 0));
    }

    #[test]
    fn expired_contents_leave_a_log_that_verifies() {
        let log = Log::of(5);
        let line =
            |(at, e): (usize, &Vec<u8>)| if at < 3 { Line::Expired(leaf_hash(e)) } else { Line::Entry(e.clone()) };
        let lines = log.entries.iter().enumerate().map(line);
        let report =
            verify_log(lines, &log.note(5), &log.signer.verifier(), &[log.note(2)], &[log.receipt(1)]).unwrap();
        assert_eq!((report.expired, report.expired_ranges), (3, Vec::from([0..3; 1])));
    }

    #[test]
    fn a_changed_entry_is_placed_between_two_memories() {
        let mut log = Log::of(9);
        let (memory, receipt) = ([log.note(3), log.note(6)], log.receipt(4));
        log.entries[4] = sample().to_bytes();
        assert_eq!(
            log.verify(&memory, &[]),
            Err(VerifyError::History { what: Witness::Remembered(1), size: 6, good_below: 3 })
        );
        assert_eq!(log.verify(&memory, &[receipt]), Err(VerifyError::Receipt { position: 0, index: 4 }));
    }

    #[test]
    fn without_memory_a_change_that_is_signed_again_cannot_show() {
        let mut log = Log::of(9);
        log.entries.remove(4);
        assert!(log.verify(&[], &[]).is_ok());
    }

    #[test]
    fn a_rollback_is_found_by_whoever_remembers() {
        let mut log = Log::of(9);
        let (memory, receipt) = ([log.note(9)], log.receipt(8));
        log.entries.truncate(7);
        assert_eq!(log.verify(&memory, &[]), Err(VerifyError::RolledBack { position: 0, remembered: 9, size: 7 }));
        assert_eq!(log.verify(&[], &[receipt]), Err(VerifyError::Receipt { position: 0, index: 8 }));
    }

    #[test]
    fn missing_added_and_swapped_entries_fail_against_the_checkpoint() {
        let log = Log::of(4);
        let (note, verifier) = (log.note(4), log.signer.verifier());
        let run = |entries: Vec<Vec<u8>>| verify_log(entries.into_iter(), &note, &verifier, &[], &[]).unwrap_err();
        assert_eq!(run(log.entries[..3].to_vec()), VerifyError::Size { entries: 3, size: 4 });
        assert_eq!(run([log.entries.clone(), log.entries.clone()].concat()).code(), "size_differs");
        let mut swapped = log.entries.clone();
        swapped.swap(1, 2);
        assert_eq!(run(swapped), VerifyError::History { what: Witness::Current, size: 4, good_below: 0 });
        let mut garbled = log.entries.clone();
        garbled[2].push(b' ');
        assert!(matches!(run(garbled), VerifyError::Entry { index: 2, .. }));
    }

    #[test]
    fn notes_of_another_key_are_unusable() {
        let (log, other) = (Log::of(3), Log::of(3));
        let verifier = log.signer.verifier();
        let run = |note: &str, remembered: &[String], receipts: &[Receipt]| {
            verify_log(log.entries.iter().cloned(), note, &verifier, remembered, receipts).unwrap_err().code()
        };
        assert_eq!(run(&other.note(3), &[], &[]), "checkpoint_unusable");
        assert_eq!(run(&log.note(3), &[other.note(2)], &[]), "remembered_unusable");
        assert_eq!(run(&log.note(3), &[], &[other.receipt(1)]), "receipt_unusable");
        let beyond = Receipt { index: 7, ..log.receipt(1) };
        assert_eq!(run(&log.note(3), &[], &[beyond]), "receipt_unusable");
    }
}
