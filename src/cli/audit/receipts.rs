//! Answers as a party kept them, with their receipts: whether a receipt is one, and whether its entry records the answer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::reading::{Found, Reading, Told};
use super::{LogBroken, Unusable};
use crate::audit::{Action, CheckpointKeys, Hash, LOADED, Outcome, Receipt, TlogProof};
use crate::ids::{EpochId, TraceId};

/// Columns that every file of answers has.
const NEEDED: [&str; 5] = ["answer", "epoch", "log_index", "leaf_hash", "checkpoint"];

/// An answer as a party has it.
pub struct Kept {
    /// In its file, from 1.
    pub row: usize,
    answer: String,
    epoch: EpochId,
    /// Of its question; older files have none.
    trace: Option<TraceId>,
    pub receipt: Receipt,
    /// Absent for most of a batch.
    pub proof: Option<TlogProof>,
}

/// The answers of a party.
pub struct Answers {
    file: PathBuf,
    pub kept: Vec<Kept>,
}

/// What answers could not be compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incomparable {
    /// Positions of entries whose contents have expired.
    pub expired: Vec<u64>,
    /// Positions of entries whose question came by FSC, which gives it another trace than the party's.
    pub by_fsc: Vec<u64>,
}

impl Answers {
    /// Reads a file of answers, and names the rows that are none.
    ///
    /// # Errors
    /// [`Unusable::Answers`].
    pub fn read(file: &Path) -> Result<(Self, Vec<Unusable>), Unusable> {
        let none = |source| Unusable::Answers { path: file.to_owned(), source };
        let unreadable = |source| none(Some(source));
        let mut reader = csv::Reader::from_path(file).map_err(unreadable)?;
        // Without rows nothing else would tell an empty file of answers from a file of something else.
        let columns = reader.headers().map_err(unreadable)?;
        if !NEEDED.iter().all(|needed| columns.iter().any(|column| column == *needed)) {
            return Err(none(None));
        }
        let (mut kept, mut bad) = (Vec::new(), Vec::new());
        for (row, found) in (1..).zip(reader.deserialize()) {
            let found: Row = match found {
                Ok(found) => found,
                // What stands behind it may be out of step.
                Err(error) => {
                    bad.push(unreadable(error));
                    break;
                }
            };
            match found.kept(row) {
                Some(found) => kept.push(found),
                None => bad.push(Unusable::Row { path: file.to_owned(), row }),
            }
        }
        Ok((Self { file: file.to_owned(), kept }, bad))
    }

    /// Where they were read.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Every checkpoint that stands with them.
    pub fn checkpoints(&self) -> impl Iterator<Item = &str> {
        let proved = self.kept.iter().filter_map(|kept| Some(kept.proof.as_ref()?.checkpoint.as_str()));
        self.kept.iter().map(|kept| kept.receipt.checkpoint.as_str()).chain(proved)
    }
}

impl Kept {
    /// Whether the receipt holds in itself: its checkpoint is the log's, and its proof, if there is one, leads to it.
    pub fn holds(&self, keys: &impl CheckpointKeys) -> bool {
        let leads = |proof: &TlogProof| proof.verify(&self.receipt, keys).is_ok();
        keys.checkpoint(&self.receipt.checkpoint).is_ok() && self.proof.as_ref().is_none_or(leads)
    }
}

/// Whether the entries, verified before, record these answers: each its own, and a file's all to one party. What does not
/// is added to `broken`.
///
/// # Errors
/// An answer is sealed for others, or the copy cannot be read.
pub fn compare(reading: &mut Reading, files: &[Answers], broken: &mut Vec<LogBroken>) -> anyhow::Result<Incomparable> {
    let (mut seen, mut incomparable) = (BTreeSet::new(), Incomparable::default());
    for Answers { kept, .. } in files {
        let mut party = None;
        let mut file: Vec<&Kept> = kept.iter().collect();
        file.sort_by_key(|kept| kept.receipt.index);
        let mut positions: Vec<u64> = file.iter().map(|kept| kept.receipt.index).collect();
        let twice = positions.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        broken.extend(twice.map(|index| LogBroken::ReceiptTwice { index }));
        positions.dedup();
        let entries = reading.at(&positions)?;
        let mut there = entries.iter().map(|found| found.position).peekable();
        for index in positions {
            if !seen.insert(index) {
                broken.push(LogBroken::ReceiptTwice { index });
            }
            if there.next_if_eq(&index).is_none() {
                incomparable.expired.push(index);
            }
        }
        for found in entries {
            let index = found.position;
            let kept = file[file.partition_point(|kept| kept.receipt.index < index)];
            broken.extend(answer_broken(&found, kept)?);
            if *party.get_or_insert_with(|| found.entry.actor.oin.clone()) != found.entry.actor.oin {
                broken.push(LogBroken::OtherParty { index });
            }
            match kept.trace {
                Some(trace) if trace != found.entry.trace_id && is_fsc(&found.entry.trace_id) => {
                    incomparable.by_fsc.push(index);
                }
                Some(trace) if trace != found.entry.trace_id => broken.push(LogBroken::OtherQuestion { index }),
                _ => {}
            }
        }
    }
    Ok(incomparable)
}

fn answer_broken(found: &Found, kept: &Kept) -> anyhow::Result<Option<LogBroken>> {
    let index = found.position;
    let told = match &found.told {
        Told::This(told) => told.answer == kept.answer,
        Told::Nothing => false,
        Told::Unsealed => return Ok(Some(LogBroken::Unsealed { index })),
        Told::Sealed => anyhow::bail!(
            "the answer in entry {index} is sealed for other officers; give the officer's age identity with --identity"
        ),
    };
    let is_answer = told && found.entry.result == Outcome::Answered;
    // A stock is proposed first.
    let loads = [Action::Load, Action::LoadOverBound, Action::Stock, Action::Propose];
    let is_load = kept.answer == LOADED && loads.contains(&found.entry.action) && found.entry.result == Outcome::Done;
    let epoch = found.entry.epoch.as_ref();
    let same = (is_answer && epoch.is_some() || is_load) && epoch.is_none_or(|epoch| *epoch == kept.epoch);
    Ok((!same).then_some(LogBroken::OtherAnswer { index }))
}

/// Whether it is a UUID of version 7, as the transaction of an FSC Inway is; a client of ours never makes one.
fn is_fsc(trace: &TraceId) -> bool {
    let text = trace.to_string();
    text.as_bytes()[12] == b'7' && b"89ab".contains(&text.as_bytes()[16])
}

#[derive(serde::Deserialize)]
struct Row {
    answer: String,
    epoch: EpochId,
    log_index: u64,
    leaf_hash: String,
    checkpoint: String,
    #[serde(default)]
    trace_id: Option<TraceId>,
    #[serde(default)]
    proof: Option<String>,
}

impl Row {
    fn kept(self, row: usize) -> Option<Kept> {
        let text = |base64: &str| String::from_utf8(STANDARD.decode(base64).ok()?).ok();
        let (leaf, checkpoint): (Hash, _) = (self.leaf_hash.parse().ok()?, text(&self.checkpoint)?);
        let proof = self.proof.map(|proof| TlogProof::parse(&text(&proof)?).ok());
        let proof = proof.map_or(Some(None), |proof| proof.map(Some))?;
        let receipt = Receipt { index: self.log_index, leaf, checkpoint };
        Some(Kept { row, answer: self.answer, epoch: self.epoch, trace: self.trace_id, receipt, proof })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Log, ONE, OTHER, START};
    use super::*;
    use crate::audit::{Opener, Range, leaf_hash};
    use crate::epoch::share::generate_identity;

    fn kept(index: u64, answer: &str, epoch: &str) -> Kept {
        let receipt = Receipt { index, leaf: leaf_hash(b""), checkpoint: String::new() };
        Kept { row: 1, answer: answer.into(), epoch: epoch.parse().unwrap(), trace: None, receipt, proof: None }
    }

    fn file(kept: Vec<Kept>) -> Answers {
        Answers { file: "flags.csv".into(), kept }
    }

    fn broken(result: anyhow::Result<Incomparable>) -> LogBroken {
        result.unwrap_err().downcast().unwrap()
    }

    /// With the first of what does not hold.
    fn compare(reading: &mut Reading, files: &[Answers]) -> anyhow::Result<Incomparable> {
        let mut broken = Vec::new();
        let incomparable = super::compare(reading, files, &mut broken)?;
        broken.into_iter().next().map_or(Ok(incomparable), |first| Err(first.into()))
    }

    #[test]
    fn an_answer_that_its_entry_does_not_record_breaks_the_log() {
        let (_home, mut reading) = Log::new().ask(START, ONE, 1, Ok("priority")).reading();
        let mut check = |index, answer, epoch| compare(&mut reading, &[file(vec![kept(index, answer, epoch)])]);
        assert!(check(1, "priority", "e-1").is_ok());
        for (index, answer, epoch) in [(1, "no_priority", "e-1"), (0, "priority", "e-1"), (1, "priority", "e-2")] {
            let error = check(index, answer, epoch).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(LogBroken::OtherAnswer { index: found }) if *found == index));
            assert!(!error.to_string().contains("priority"), "{error}");
        }
    }

    #[test]
    fn a_receipt_is_for_one_answer_and_a_file_of_one_party() {
        let ask = |log: Log, oin| log.ask(START, oin, 1, Ok("priority"));
        let (_home, mut reading) = ask(ask(ask(Log::new(), ONE), OTHER), ONE).reading();
        let some = |places: &[u64]| file(places.iter().map(|&at| kept(at, "priority", "e-1")).collect());
        let mut check = |files: &[Answers]| compare(&mut reading, files);
        assert!(check(&[some(&[1, 3]), some(&[2])]).is_ok());
        assert!(matches!(broken(check(&[some(&[1, 1])])), LogBroken::ReceiptTwice { index: 1 }));
        assert!(matches!(broken(check(&[some(&[1]), some(&[1])])), LogBroken::ReceiptTwice { index: 1 }));
        assert!(matches!(broken(check(&[some(&[1, 2])])), LogBroken::OtherParty { index: 2 }));
    }

    #[test]
    fn of_several_answers_each_that_does_not_hold_is_named() {
        let ask = |log: Log, oin| log.ask(START, oin, 1, Ok("priority"));
        let (_home, mut reading) = ask(ask(ask(Log::new(), ONE), OTHER), ONE).reading();
        let files = [
            file(vec![kept(1, "no_priority", "e-1"), kept(2, "priority", "e-1"), kept(3, "priority", "e-2")]),
            file(vec![kept(3, "priority", "e-1")]),
        ];
        let mut broken = Vec::new();
        super::compare(&mut reading, &files, &mut broken).unwrap();
        use LogBroken::{OtherAnswer, OtherParty, ReceiptTwice};
        assert!(
            matches!(
                broken[..],
                [
                    OtherAnswer { index: 1 },
                    OtherParty { index: 2 },
                    OtherAnswer { index: 3 },
                    ReceiptTwice { index: 3 }
                ]
            ),
            "{broken:?}"
        );
    }

    #[test]
    fn an_answer_belongs_to_the_question_that_was_asked() {
        let (_home, mut reading) = Log::new().grown(2).reading();
        let own = reading.at(&[1]).unwrap()[0].entry.trace_id;
        let mut check = |trace: TraceId| {
            compare(&mut reading, &[file(vec![Kept { trace: Some(trace), ..kept(1, "priority", "e-1") }])])
        };
        assert_eq!(check(own).unwrap(), Incomparable::default());
        let other = "00112233445546778899aabbccddeeff".parse().unwrap();
        if is_fsc(&own) {
            assert_eq!(check(other).unwrap().by_fsc, [1]);
        } else {
            assert!(matches!(broken(check(other)), LogBroken::OtherQuestion { index: 1 }));
        }
    }

    #[test]
    fn a_trace_by_fsc_is_told_from_our_own() {
        assert!(is_fsc(&"01939c0a7d3c7abc9def0123456789ab".parse().unwrap()));
        assert!((0..999).all(|at| !is_fsc(&crate::cli::client::trace_of(&at.to_string()))));
    }

    #[test]
    fn what_has_expired_is_named_and_the_rest_compared() {
        let log = Log::new().grown(3).expire(START + time::Duration::days(9), &[Range { from: 1, to: 2 }]);
        let (_home, mut reading) = { log }.reading();
        let mut check = |last: &str| {
            let kept = vec![kept(1, "priority", "e-1"), kept(2, "priority", "e-1"), kept(3, last, "e-1")];
            compare(&mut reading, &[file(kept)])
        };
        assert_eq!(check("priority").unwrap().expired, [1]);
        assert!(matches!(broken(check("no_priority")), LogBroken::OtherAnswer { index: 3 }));
    }

    #[test]
    fn a_receipt_without_a_proof_of_its_own_leaf_is_none() {
        let home = tempfile::tempdir().unwrap();
        let mut log = Log::new().grown(4);
        let key = log.key();
        let checkpoint = super::super::copy::Source::checkpoint(&mut log).unwrap();
        let leaves: Vec<Hash> = log.lines.iter().map(|line| line.leaf()).collect();
        let hashes = crate::audit::inclusion_proof(&leaves, 2).unwrap();
        let proof = TlogProof { index: 2, hashes, checkpoint: checkpoint.clone() }.to_string();
        let path = home.path().join("flags.csv");
        let check = |index: u64, leaf: Hash, note: &str, proof: &str| {
            let row = format!("priority,e-1,{index},{leaf},{},{}", STANDARD.encode(note), STANDARD.encode(proof));
            std::fs::write(&path, format!("answer,epoch,log_index,leaf_hash,checkpoint,proof\n{row}\n")).unwrap();
            let (answers, bad) = Answers::read(&path).unwrap();
            (answers.kept.iter().map(|kept| kept.holds(&key)).collect::<Vec<_>>(), bad)
        };
        let holds = |(held, bad): (Vec<bool>, Vec<Unusable>)| held == [true] && bad.is_empty();
        assert!(holds(check(2, leaves[2], &checkpoint, &proof)));
        for (index, leaf, note) in
            [(2, leaves[3], checkpoint.as_str()), (3, leaves[2], &checkpoint), (2, leaves[2], "junk")]
        {
            assert_eq!(check(index, leaf, note, &proof).0, [false]);
        }
        assert!(matches!(check(2, leaves[2], &checkpoint, "junk").1[..], [Unusable::Row { row: 1, .. }]));
        assert!(holds(check(2, leaves[2], &checkpoint, "")), "one of a batch, of which some are proved");
    }

    #[test]
    fn answers_are_compared_by_an_officer_for_whom_they_were_sealed() {
        let home = tempfile::tempdir().unwrap();
        let copy = Log::new().ask(START, ONE, 1, Ok("priority")).copy(home.path());
        let other = Opener::from_file(&generate_identity().0).unwrap();
        let mut reading = Reading::new(copy, Some(other)).unwrap();
        let error = compare(&mut reading, &[file(vec![kept(1, "priority", "e-1")])]).unwrap_err();
        assert!(error.downcast_ref::<LogBroken>().is_none() && format!("{error:#}").contains("other officers"));
    }
}
