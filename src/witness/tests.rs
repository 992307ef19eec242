use super::*;
use crate::audit::{Frontier, Hash, NoteSigner, consistency_proof, cosigned_at, leaf_hash};
use tempfile::TempDir;

pub(super) const LOG: &str = "log.example/a";

pub(super) struct Log {
    pub(super) signer: NoteSigner,
    leaves: Vec<Hash>,
}

impl Log {
    pub(super) fn new() -> Self {
        let leaves = (0..50_u64).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        Self { signer: NoteSigner::generate(LOG).unwrap().0, leaves }
    }

    /// The same log with another past.
    pub(super) fn forked(mut self) -> Self {
        self.leaves[0] = leaf_hash(b"another");
        self
    }

    pub(super) fn request(&self, old_size: u64, size: u64) -> AddCheckpoint {
        let leaves = &self.leaves[..size as usize];
        let root = leaves.iter().copied().collect::<Frontier>().root();
        let note = Checkpoint { origin: LOG.into(), size, root }.to_note(&self.signer);
        AddCheckpoint { old_size, proof: consistency_proof(leaves, old_size).unwrap(), note }
    }
}

pub(super) fn keeper(home: &TempDir, log: &Log) -> Keeper {
    Keeper::open(home.path(), Some("officer.example/w1"), [log.signer.verifier().into()]).unwrap()
}

fn refusal(result: Result<String, WitnessError>) -> WitnessRefusal {
    match result.unwrap_err() {
        WitnessError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

#[test]
fn a_witness_remembers_through_a_restart() {
    let (home, log) = (tempfile::tempdir().unwrap(), Log::new());
    let first = keeper(&home, &log);
    let line = first.add(&log.request(0, 7), 1_790_000_000).unwrap();
    let cosigned = log.request(0, 7).note + &line;
    assert_eq!(cosigned_at(&cosigned, &first.verifier()), Ok(1_790_000_000));
    let key = first.verifier();
    drop(first);
    let again = Keeper::open(home.path(), None, [log.signer.verifier().into()]).unwrap();
    assert_eq!((again.verifier(), again.latest(LOG).unwrap().unwrap().0.size), (key, 7));
    assert_eq!(refusal(again.add(&log.request(0, 9), 1)), WitnessRefusal::Stale { known: 7 });
    assert!(again.add(&log.request(7, 9), 2).is_ok());
    assert_eq!(again.latest_of(&hashed(LOG)).unwrap(), Some(again.latest(LOG).unwrap().unwrap().1));
}

#[test]
fn two_histories_are_never_both_cosigned() {
    let (home, log) = (tempfile::tempdir().unwrap(), Log::new());
    let keeper = keeper(&home, &log);
    keeper.add(&log.request(0, 7), 1).unwrap();
    let honest = log.request(7, 9);
    let forked = log.forked();
    assert_eq!(refusal(keeper.add(&forked.request(7, 7), 2)), WitnessRefusal::Forked { size: 7 });
    assert_eq!(refusal(keeper.add(&forked.request(7, 9), 2)), WitnessRefusal::Inconsistent { old: 7, size: 9 });
    assert!(matches!(refusal(keeper.add(&forked.request(0, 9), 2)), WitnessRefusal::Stale { known: 7 }));
    let (path, is_new) = keeper.accuse(LOG, "fork", &forked.request(0, 7).note).unwrap();
    assert!(is_new && !keeper.accuse(LOG, "fork", &forked.request(0, 7).note).unwrap().1);
    let evidence = fs::read_to_string(path).unwrap();
    assert_eq!(evidence.matches("log.example/a\n7\n").count(), 2);
    assert!(keeper.add(&honest, 4).is_ok());
}

#[test]
fn of_many_who_ask_at_once_none_rolls_another_back() {
    let (home, log) = (tempfile::tempdir().unwrap(), Log::new());
    let keeper = keeper(&home, &log);
    keeper.add(&log.request(0, 7), 1).unwrap();
    std::thread::scope(|scope| {
        for size in 8..40 {
            let (keeper, log) = (&keeper, &log);
            // All but one are told that they are late.
            scope.spawn(move || drop(keeper.add(&log.request(7, size), 2)));
        }
    });
    let (latest, _) = keeper.latest(LOG).unwrap().unwrap();
    assert!(latest.size > 7);
    assert_eq!(refusal(keeper.add(&log.request(7, 45), 3)), WitnessRefusal::Stale { known: latest.size });
}

#[test]
fn a_log_that_is_not_trusted_or_another_key_gets_nothing() {
    let (home, log) = (tempfile::tempdir().unwrap(), Log::new());
    let keeper = keeper(&home, &log);
    assert!(matches!(refusal(keeper.add(&Log::new().request(0, 3), 1)), WitnessRefusal::Unsigned(_)));
    let mut other = log.request(0, 3);
    other.note = other.note.replace(LOG, "log.example/b");
    assert_eq!(refusal(keeper.add(&other, 1)), WitnessRefusal::UnknownLog);
    assert!(keeper.latest(LOG).unwrap().is_none());
}

#[test]
fn lines_of_strangers_are_not_kept() {
    let (home, log) = (tempfile::tempdir().unwrap(), Log::new());
    let keeper = keeper(&home, &log);
    let mut request = log.request(0, 7);
    let stranger = NoteSigner::generate("stranger.example").unwrap().0.sign("x\n");
    request.note += &stranger.split_once("\n\n").unwrap().1.repeat(63);
    keeper.add(&request, 1).unwrap();
    assert_eq!(keeper.latest(LOG).unwrap().unwrap().1.lines().count(), 6);
}

#[test]
fn a_folder_in_use_without_a_name_or_with_a_changed_memory_is_refused() {
    let (home, log) = (tempfile::tempdir().unwrap(), Log::new());
    let unnamed = Keeper::open(home.path(), None, []).unwrap_err();
    assert!(matches!(unnamed, WitnessError::NoName { .. }));
    let first = keeper(&home, &log);
    assert!(matches!(Keeper::open(home.path(), None, []), Err(WitnessError::InUse { .. })));
    first.add(&log.request(0, 7), 1).unwrap();
    let path = first.place(LOG);
    let note = fs::read_to_string(&path).unwrap();
    fs::write(&path, note.replace("\n7\n", "\n6\n")).unwrap();
    assert!(matches!(first.add(&log.request(7, 9), 1), Err(WitnessError::State { .. })));
    drop(first);
    let renamed = Keeper::open(home.path(), Some("officer.example/w2"), []).unwrap_err();
    assert!(matches!(renamed, WitnessError::State { .. }));
    assert_eq!(fs::metadata(home.path().join("witness.key")).unwrap().permissions().mode() & 0o777, 0o600);
}
