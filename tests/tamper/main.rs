//! Every way to falsify the log, at every place where a tile begins or ends, by an operator who holds the log's key and
//! signs again: who remembers an older checkpoint finds each of them, and a witness cosigns none.

mod operations;

use voorrang::audit::{
    Action, AddCheckpoint, Checkpoint, Entry, Frontier, Hash, Line, NoteSigner, Outcome, Range, Receipt, VerifyError,
    WitnessRefusal, consistency_proof, verify_log,
};

use operations::{Lines, NOW, OPERATIONS, Operation, PLACES, REMEMBERED, forged, honest};

const ORIGIN: &str = "log.example/a";

/// The contents alone: the tree stays as it is, and no checkpoint tells.
const BLANK: Operation = ("blank", |log, at| log[at] = Line::Expired(log[at].leaf()));

struct Memory {
    signer: NoteSigner,
    /// The officer's, and the witness's.
    checkpoint: String,
    /// What a party got with its answer, an entry each.
    receipts: Vec<Receipt>,
}

impl Memory {
    fn new() -> Self {
        let (signer, _) = NoteSigner::generate(ORIGIN).unwrap();
        let log: Lines = (0..REMEMBERED).map(honest).collect();
        let receipt =
            |at: usize| Receipt { index: at as u64, leaf: log[at].leaf(), checkpoint: note(&log[..=at], &signer) };
        let receipts = PLACES.iter().map(|&at| receipt(at)).collect();
        Self { checkpoint: note(&log, &signer), receipts, signer }
    }

    fn officer(&self, log: &[Line], remembered: bool, receipts: &[Receipt]) -> Result<(), VerifyError> {
        let memory = if remembered { std::slice::from_ref(&self.checkpoint) } else { &[] };
        verify_log(log.iter().cloned(), &note(log, &self.signer), &self.signer.verifier(), memory, receipts, 1)
            .map(drop)
    }

    /// What a witness says to the best proof that the operator can make.
    fn witness(&self, log: &[Line]) -> Result<(), WitnessRefusal> {
        let known = Checkpoint::parse(&self.checkpoint, &self.signer.verifier()).unwrap();
        let proof = consistency_proof(&leaves(log), known.size).unwrap_or_default();
        let asked = AddCheckpoint { old_size: known.size, proof, note: note(log, &self.signer) };
        asked.check(&self.signer.verifier(), Some(&known)).map(drop)
    }
}

fn note(log: &[Line], signer: &NoteSigner) -> String {
    let root = log.iter().map(Line::leaf).collect::<Frontier>().root();
    Checkpoint { origin: ORIGIN.into(), size: log.len() as u64, root }.to_note(signer)
}

fn leaves(log: &[Line]) -> Vec<Hash> {
    log.iter().map(Line::leaf).collect()
}

fn grown() -> Lines {
    (0..NOW).map(honest).collect()
}

#[test]
fn an_honest_log_is_accepted_by_all() {
    let (memory, log) = (Memory::new(), grown());
    assert_eq!(memory.officer(&log, true, &memory.receipts), Ok(()));
    assert_eq!(memory.witness(&log), Ok(()));
    assert_eq!(memory.witness(&log[..REMEMBERED]), Ok(()));
}

#[test]
fn every_operation_at_every_place_is_found_by_who_remembers() {
    let memory = Memory::new();
    let mut found = 0;
    for (name, operation) in OPERATIONS {
        for at in PLACES {
            let mut log = grown();
            operation(&mut log, at);
            assert!(log != grown(), "{name} at {at} changes nothing");
            let officer = memory.officer(&log, true, &[]).unwrap_err();
            let expected = matches!(officer, VerifyError::History { .. } | VerifyError::RolledBack { .. });
            assert!(expected, "{name} at {at}: {officer}");
            assert!(memory.witness(&log).is_err(), "the witness cosigns {name} at {at}");
            found += 1;
        }
    }
    assert_eq!(found, 54);
}

#[test]
fn contents_that_are_blanked_are_found_by_everybody_who_reads() {
    let (memory, (_, blank)) = (Memory::new(), BLANK);
    for at in PLACES {
        let mut log = grown();
        blank(&mut log, at);
        assert_eq!(memory.witness(&log), Ok(()), "the tree is the same");
        for (remembered, receipts) in [(false, &[][..]), (true, &memory.receipts)] {
            assert_eq!(memory.officer(&log, remembered, receipts), Err(VerifyError::GoneEarly { index: at as u64 }));
        }
    }
}

/// Contents from the end of the log, between which and their record an entry stands that is dated years ago.
#[test]
fn contents_that_an_entry_dated_back_should_make_old_are_found() {
    let memory = Memory::new();
    let mut log = grown();
    let entry = |year: &str, action, result| {
        let entry = Entry::from_bytes(honest(0).entry().unwrap()).unwrap();
        Entry { time: entry.time.replace("2026", year), salt: Entry::fresh_salt(), action, result, ..entry }
    };
    log.push(Line::Entry(entry("2020", Action::LogHold, Outcome::Refused("hold".into())).to_bytes()));
    let mut record = entry("2026", Action::LogExpire, Outcome::Done);
    record.deleted(&[Range { from: NOW as u64 - 1, to: NOW as u64 }]);
    log.push(Line::Entry(record.to_bytes()));
    log[NOW - 1] = Line::Expired(log[NOW - 1].leaf());
    assert_eq!(memory.officer(&log, true, &[]), Err(VerifyError::GoneEarly { index: NOW as u64 - 1 }));
}

/// A corporation with the receipt of an entry at the place needs no checkpoint of its own.
#[test]
fn every_operation_is_found_by_the_receipts_of_the_entries_that_it_touches() {
    let memory = Memory::new();
    for (name, operation) in OPERATIONS {
        for at in PLACES {
            let mut log = grown();
            operation(&mut log, at);
            let touched =
                memory.receipts.iter().filter(|receipt| receipt.index == at as u64).cloned().collect::<Vec<_>>();
            let found = memory.officer(&log, false, &touched).unwrap_err();
            assert!(matches!(found, VerifyError::Receipt { .. }), "{name} at {at}: {found}");
        }
    }
}

#[test]
fn what_another_key_signed_is_refused_by_all() {
    let (memory, log) = (Memory::new(), grown());
    let (thief, _) = NoteSigner::generate(ORIGIN).unwrap();
    let known = [memory.checkpoint.clone()];
    let signed = note(&log, &thief);
    let officer = verify_log(log.iter().cloned(), &signed, &memory.signer.verifier(), &known, &[], 1).unwrap_err();
    assert!(matches!(officer, VerifyError::Checkpoint(_)));
    let known = Checkpoint::parse(&memory.checkpoint, &memory.signer.verifier()).unwrap();
    let proof = consistency_proof(&leaves(&log), known.size).unwrap();
    let asked = AddCheckpoint { old_size: known.size, proof, note: signed };
    assert!(matches!(asked.check(&memory.signer.verifier(), Some(&known)), Err(WitnessRefusal::Unsigned(_))));
}

/// The control: what was signed again and nobody remembers cannot show. That is why memory is kept outside.
#[test]
fn without_memory_nothing_of_this_is_found() {
    let memory = Memory::new();
    for (name, operation) in OPERATIONS {
        let mut log = grown();
        operation(&mut log, 256);
        assert_eq!(memory.officer(&log, false, &[]), Ok(()), "{name}");
    }
    // Nor behind what is remembered.
    let mut log = grown();
    log[REMEMBERED] = forged(REMEMBERED);
    assert_eq!(memory.officer(&log, true, &memory.receipts), Ok(()));
}
