//! The whole log, checked by an officer who trusts only a verifier key and what was kept outside the service.

use std::iter::Peekable;
use std::ops::Range;
use std::vec::IntoIter;

use super::{
    AuditError, Checkpoint, CheckpointKeys, Due, Entry, Frontier, Gone, Hash, Receipt, Report, VerifyError, Witness,
    leaf_hash,
};

/// One line of an exported log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The entry's bytes.
    Entry(Vec<u8>),
    /// The leaf hash of an entry whose contents have expired.
    Expired(Hash),
}

impl Line {
    /// The entry's bytes, if they are there.
    pub fn entry(&self) -> Option<&[u8]> {
        match self {
            Self::Entry(entry) => Some(entry),
            Self::Expired(_) => None,
        }
    }

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

/// Checks every line of a log, in order, against its checkpoint, the checkpoints an officer remembered, and receipts
/// that parties kept. `due` says which contents may be gone. One pass; memory for the checkpoints, receipts and expired
/// ranges only.
///
/// # Errors
/// The first of those of [`verify_all`].
///
/// # Panics
/// Never: what fails there has a first error.
pub fn verify_log<L: Into<Line>>(
    lines: impl Iterator<Item = L>,
    checkpoint: &str,
    keys: &impl CheckpointKeys,
    remembered: &[String],
    receipts: &[Receipt],
    due: impl Into<Due>,
) -> Result<Report, VerifyError> {
    verify_all(lines, checkpoint, keys, remembered, receipts, due).map_err(|mut all| all.remove(0))
}

/// [`verify_log`], which goes on behind what does not hold.
///
/// # Errors
/// All there are: notes and receipts that cannot be used, rollbacks, malformed entries (the first thousand, and how many
/// more), a wrong number of entries, each
/// root and receipt's entry that differs, smallest size first, contents that are gone without a record, each receipt
/// that its own checkpoint gives the lie.
pub fn verify_all<L: Into<Line>>(
    lines: impl Iterator<Item = L>,
    checkpoint: &str,
    keys: &impl CheckpointKeys,
    remembered: &[String],
    receipts: &[Receipt],
    due: impl Into<Due>,
) -> Result<Report, Vec<VerifyError>> {
    let current = keys.checkpoint(checkpoint).map_err(|error| vec![VerifyError::Checkpoint(error)])?;
    let KnownRoots { roots, remembered_size, faults } = KnownRoots::new(&current, keys, remembered, receipts);
    let mut check = Check::new(roots, faults, receipts, due.into());
    check.meet();
    lines.for_each(|line| check.line(&line.into()));
    let (frontier, expired_ranges) = check.end(&current)?;
    let expired = expired_ranges.iter().map(|range| range.end - range.start).sum();
    let (root, receipts) = (frontier.root(), receipts.len() as u64);
    Ok(Report { entries: frontier.size(), expired, expired_ranges, root, remembered_size, receipts })
}

/// Entries of each of which it is told that it cannot be read; of more their number.
const MOST_TOLD: u64 = 1000;

/// A log as far as it was read.
struct Check<'a> {
    roots: Peekable<IntoIter<KnownRoot>>,
    receipts: &'a [Receipt],
    /// Position in the log and among the receipts, in order.
    wanted: Peekable<IntoIter<(u64, usize)>>,
    /// Receipts whose leaf is another one than the log's.
    differing: Vec<usize>,
    frontier: Frontier,
    expired: Vec<Range<u64>>,
    gone: Gone,
    good_below: u64,
    /// What was handed in and entries that cannot be read,
    unusable: Vec<VerifyError>,
    /// of which there are so many.
    malformed: u64,
    broken: Vec<VerifyError>,
    /// They say nothing against the log.
    false_receipts: Vec<VerifyError>,
}

impl<'a> Check<'a> {
    fn new(roots: Vec<KnownRoot>, unusable: Vec<VerifyError>, receipts: &'a [Receipt], due: Due) -> Self {
        let mut wanted: Vec<(u64, usize)> = receipts.iter().enumerate().map(|(at, r)| (r.index, at)).collect();
        wanted.sort_unstable();
        Self {
            roots: roots.into_iter().peekable(),
            receipts,
            wanted: wanted.into_iter().peekable(),
            differing: Vec::new(),
            frontier: Frontier::default(),
            expired: Vec::new(),
            gone: Gone::new(due),
            good_below: 0,
            unusable,
            malformed: 0,
            broken: Vec::new(),
            false_receipts: Vec::new(),
        }
    }

    fn line(&mut self, line: &Line) {
        let index = self.frontier.size();
        let leaf = line.leaf();
        match line {
            Line::Entry(bytes) => {
                if let Err(source) = Entry::from_bytes(bytes) {
                    self.malformed += 1;
                    if self.malformed <= MOST_TOLD {
                        self.unusable.push(VerifyError::Entry { index, source });
                    }
                }
            }
            Line::Expired(_) => match self.expired.last_mut() {
                Some(range) if range.end == index => range.end += 1,
                _ => self.expired.push(index..index + 1),
            },
        }
        self.gone.line(index, line.entry());
        while let Some((_, position)) = self.wanted.next_if(|(at, _)| *at == index) {
            if self.receipts[position].leaf != leaf {
                self.differing.push(position);
            }
        }
        self.frontier.push(leaf);
        self.meet();
    }

    /// Compares with every root that is known for this size. A receipt is told from a log that was changed by its
    /// checkpoint: where the log still has that root, no other leaf was ever under it.
    fn meet(&mut self) {
        while let Some((size, root, what)) = self.roots.next_if(|(size, ..)| *size == self.frontier.size()) {
            let holds = root == self.frontier.root();
            if holds && self.broken.is_empty() {
                self.good_below = size;
            }
            match what {
                Witness::Receipt(position) if self.differing.contains(&position) => {
                    let index = self.receipts[position].index;
                    if holds {
                        self.false_receipts.push(VerifyError::ReceiptFalse { position, index });
                    } else {
                        self.broken.push(VerifyError::Receipt { position, index });
                    }
                }
                _ if holds => {}
                what => {
                    self.broken.push(VerifyError::History { what, size, good_below: self.good_below });
                }
            }
        }
    }

    fn end(self, current: &Checkpoint) -> Result<(Frontier, Vec<Range<u64>>), Vec<VerifyError>> {
        let entries = self.frontier.size();
        let size = (entries != current.size).then_some(VerifyError::Size { entries, size: current.size });
        let gone = self.gone.early().map(|index| VerifyError::GoneEarly { index });
        let more = self.malformed.checked_sub(MOST_TOLD).filter(|more| *more > 0);
        let mut all = self.unusable;
        all.extend(more.map(|count| VerifyError::Entries { count }));
        all.extend(size);
        all.extend(self.broken);
        all.extend(gone);
        all.extend(self.false_receipts);
        if all.is_empty() { Ok((self.frontier, self.expired)) } else { Err(all) }
    }
}

/// A size, the root that somebody signed or kept for it, and who.
type KnownRoot = (u64, Hash, Witness);

/// Every size at which a root is known, smallest first.
#[derive(Default)]
struct KnownRoots {
    roots: Vec<KnownRoot>,
    /// Size of the largest remembered checkpoint.
    remembered_size: u64,
    /// What was handed in and leads to no root of this log.
    faults: Vec<VerifyError>,
}

impl KnownRoots {
    fn new(current: &Checkpoint, keys: &impl CheckpointKeys, remembered: &[String], receipts: &[Receipt]) -> Self {
        let mut known = Self { roots: vec![(current.size, current.root, Witness::Current)], ..Self::default() };
        for (position, note) in remembered.iter().enumerate() {
            let found = keys.checkpoint(note).map_err(|source| VerifyError::RememberedUnusable { position, source });
            let found = found.and_then(|found| {
                known.remembered_size = known.remembered_size.max(found.size);
                let rolled_back = VerifyError::RolledBack { position, remembered: found.size, size: current.size };
                if found.size > current.size { Err(rolled_back) } else { Ok(found) }
            });
            known.take(found, Witness::Remembered(position));
        }
        for (position, receipt) in receipts.iter().enumerate() {
            let unusable = |source| VerifyError::ReceiptUnusable { position, source };
            let found = keys.checkpoint(&receipt.checkpoint).map_err(unusable).and_then(|found| {
                let (index, size) = (receipt.index, found.size);
                if index >= size {
                    return Err(unusable(AuditError::OutOfRange { index, size }));
                }
                if size > current.size { Err(VerifyError::Receipt { position, index }) } else { Ok(found) }
            });
            known.take(found, Witness::Receipt(position));
        }
        // What others remember goes first: the log itself always agrees with its own checkpoint.
        known.roots.sort_by_key(|(size, _, what)| (*size, *what == Witness::Current));
        known
    }

    fn take(&mut self, found: Result<Checkpoint, VerifyError>, what: Witness) {
        match found {
            Ok(found) => self.roots.push((found.size, found.root, what)),
            Err(error) => self.faults.push(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::tests::sample;
    use crate::audit::{Action, Entry, NoteSigner, Outcome, Range};

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
            verify_log(self.entries.iter().cloned(), &note, &self.signer.verifier(), remembered, receipts, 1)
        }
    }

    #[test]
    fn of_very_many_entries_that_cannot_be_read_a_number_is_told() {
        let log = Log { entries: vec![b"{}".to_vec(); 1003], ..Log::of(1) };
        let lines = log.entries.iter().cloned();
        let all = verify_all(lines, &log.note(1003), &log.signer.verifier(), &[], &[], 1).unwrap_err();
        let told = all.iter().filter(|one| matches!(one, VerifyError::Entry { .. })).count();
        assert!(matches!(all.last(), Some(VerifyError::Entries { count: 3 })), "{:?}", all.last());
        assert_eq!((told, all.len()), (1000, 1001));
    }

    #[test]
    fn an_honest_log_is_accepted_with_its_memory() {
        let log = Log::of(9);
        let report = log.verify(&[log.note(0), log.note(4), log.note(9)], &[log.receipt(8), log.receipt(2)]).unwrap();
        assert_eq!((report.entries, report.remembered_size, report.receipts, report.expired), (9, 9, 2, 0));
    }

    #[test]
    fn contents_that_are_gone_leave_a_log_that_verifies_if_a_record_says_so() {
        let mut log = Log::of(5);
        let mut record = Entry { time: "2030-01-01T00:00:00Z".into(), ..sample() };
        (record.action, record.result) = (Action::LogExpire, Outcome::Done);
        record.deleted(&[Range { from: 0, to: 3 }]);
        log.entries.push(record.to_bytes());
        let line = |(at, entry): (usize, &Vec<u8>), gone: std::ops::Range<usize>| {
            if gone.contains(&at) { Line::Expired(leaf_hash(entry)) } else { Line::Entry(entry.clone()) }
        };
        let verify = |gone: std::ops::Range<usize>, days| {
            let lines = log.entries.iter().enumerate().map(|entry| line(entry, gone.clone()));
            verify_log(lines, &log.note(6), &log.signer.verifier(), &[log.note(2)], &[log.receipt(1)], days)
        };
        let report = verify(0..3, 365).unwrap();
        assert_eq!((report.expired, report.expired_ranges), (3, Vec::from([0..3; 1])));
        assert_eq!(verify(0..4, 365), Err(VerifyError::GoneEarly { index: 3 }));
        assert!(verify(1..3, 365).is_ok());
        assert_eq!(verify(1..3, 3650), Err(VerifyError::GoneEarly { index: 1 }));
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
    fn a_receipt_with_another_leaf_accuses_nobody_while_its_checkpoint_holds() {
        let log = Log::of(9);
        let forged = Receipt { leaf: leaf_hash(b"made up"), ..log.receipt(4) };
        let found = |log: &Log, memory: &[String]| log.verify(memory, std::slice::from_ref(&forged)).unwrap_err();
        assert_eq!(found(&log, &[]), VerifyError::ReceiptFalse { position: 0, index: 4 });
        // What is wrong with the log itself comes first.
        let (memory, mut broken) = ([log.note(9)], log);
        broken.entries[7] = sample().to_bytes();
        assert!(matches!(found(&broken, &memory), VerifyError::History { good_below: 5, size: 9, .. }));
    }

    #[test]
    fn all_that_does_not_hold_is_told_in_order() {
        let mut log = Log::of(9);
        let memory = [log.note(3), log.note(6), log.note(9), Log::of(2).note(2)];
        let receipts = [log.receipt(4), log.receipt(1)];
        log.entries[4].push(b' ');
        log.entries.truncate(8);
        let (note, key) = (log.note(8), log.signer.verifier());
        let all = verify_all(log.entries.iter().take(7).cloned(), &note, &key, &memory, &receipts, 1).unwrap_err();
        let codes: Vec<_> = all.iter().map(VerifyError::code).collect();
        let want = ["rolled_back", "remembered_unusable", "entry_malformed", "size_differs", "receipt_differs"];
        assert_eq!(codes, [&want[..], &["history_differs"]].concat(), "{all:?}");
        assert_eq!(all.last(), Some(&VerifyError::History { what: Witness::Remembered(1), size: 6, good_below: 3 }));
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
        let run = |entries: Vec<Vec<u8>>| verify_log(entries.into_iter(), &note, &verifier, &[], &[], 1).unwrap_err();
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
            verify_log(log.entries.iter().cloned(), note, &verifier, remembered, receipts, 1).unwrap_err().code()
        };
        assert_eq!(run(&other.note(3), &[], &[]), "checkpoint_unusable");
        assert_eq!(run(&log.note(3), &[other.note(2)], &[]), "remembered_unusable");
        assert_eq!(run(&log.note(3), &[], &[other.receipt(1)]), "receipt_unusable");
        let beyond = Receipt { index: 7, ..log.receipt(1) };
        assert_eq!(run(&log.note(3), &[], &[beyond]), "receipt_unusable");
    }
}
