//! What a witness checks before it cosigns (c2sp.org/tlog-witness v1.0.0): that a log's new checkpoint extends the last
//! one that it saw. Where it is kept, and how it is asked, is the room [`crate`]`::witness`.

use super::{AuditError, Checkpoint, CheckpointKeys, Frontier, Hash, verify_consistency};

/// Most hashes of a proof: a tree of 2^63 leaves has no more levels.
const MAX_PROOF: usize = 63;

/// The body of `POST add-checkpoint`: `old <size>`, a hash a line, an empty line, the signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness is believed to have; 0 for none.
    pub old_size: u64,
    /// Consistency proof from there.
    pub proof: Vec<Hash>,
    /// The signed note, verbatim.
    pub note: String,
}

/// Why a witness does not cosign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessRefusal {
    /// The caller sends another request.
    #[error("the request {0}")]
    Malformed(&'static str),
    #[error("this witness does not know a log of this origin")]
    UnknownLog,
    #[error("no key that this witness trusts for the log signed the checkpoint")]
    Unsigned(#[source] AuditError),
    /// The caller proves from this size on instead.
    #[error("the last checkpoint that this witness cosigned is of size {known}")]
    Stale { known: u64 },
    /// Two checkpoints of one size with other roots, both signed: the log has shown two histories.
    #[error("the log signed another root of size {size} before: it was forked")]
    Forked { size: u64 },
    #[error("the proof does not lead from size {old} to size {size}")]
    Inconsistent { old: u64, size: u64 },
}

impl AddCheckpoint {
    /// Reads a body.
    ///
    /// # Errors
    /// [`WitnessRefusal::Malformed`].
    pub fn parse(body: &str) -> Result<Self, WitnessRefusal> {
        let malformed = WitnessRefusal::Malformed;
        let (head, note) = body.split_once("\n\n").ok_or(malformed("has no empty line before its checkpoint"))?;
        let mut lines = head.split('\n');
        let old =
            lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(malformed("does not begin with `old`"))?;
        let old_size: u64 = old.parse().map_err(|_| malformed("has an old size that is no number"))?;
        if old_size.to_string() != old {
            return Err(malformed("has an old size with leading zeros or a sign"));
        }
        let hash = |line: &str| line.parse().map_err(|_| malformed("has a proof line that is no hash in base64"));
        let proof: Vec<Hash> = lines.map(hash).collect::<Result<_, _>>()?;
        if proof.len() > MAX_PROOF {
            return Err(malformed("has more than 63 proof lines"));
        }
        Ok(Self { old_size, proof, note: note.to_owned() })
    }

    /// The body.
    pub fn to_body(&self) -> String {
        let lines: String = self.proof.iter().map(|hash| format!("{hash}\n")).collect();
        format!("old {}\n{lines}\n{}", self.old_size, self.note)
    }

    /// The first line of the checkpoint: which log it says to be of. Nothing is checked yet.
    pub fn origin(&self) -> &str {
        self.note.split('\n').next().unwrap_or_default()
    }

    /// The size that the checkpoint says to be of. Nothing is checked yet.
    pub fn size(&self) -> Option<u64> {
        self.note.split('\n').nth(1)?.parse().ok()
    }

    /// The checkpoint, if it extends `known`, the last one that this witness cosigned for this log.
    ///
    /// # Errors
    /// [`WitnessRefusal`], in the order of the protocol.
    pub fn check(&self, keys: &impl CheckpointKeys, known: Option<&Checkpoint>) -> Result<Checkpoint, WitnessRefusal> {
        let next = match keys.checkpoint(&self.note) {
            Ok(next) => next,
            Err(error @ (AuditError::Signature { .. } | AuditError::Retired { .. })) => {
                return Err(WitnessRefusal::Unsigned(error));
            }
            Err(_) => return Err(WitnessRefusal::Malformed("holds no checkpoint")),
        };
        if self.old_size > next.size {
            return Err(WitnessRefusal::Malformed("has an old size beyond its checkpoint"));
        }
        let (size, root) = known.map_or((0, Frontier::default().root()), |known| (known.size, known.root));
        if self.old_size != size {
            return Err(WitnessRefusal::Stale { known: size });
        }
        if known.is_some() && next.size == size && next.root != root {
            return Err(WitnessRefusal::Forked { size });
        }
        verify_consistency((size, &root), (next.size, &next.root), &self.proof)
            .map_err(|_| WitnessRefusal::Inconsistent { old: size, size: next.size })?;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{NoteSigner, consistency_proof, leaf_hash};

    const LOG: &str = "log.example/a";

    struct Log {
        signer: NoteSigner,
        leaves: Vec<Hash>,
    }

    impl Log {
        fn new() -> Self {
            let leaves = (0..20_u64).map(|i| leaf_hash(&i.to_be_bytes())).collect();
            Self { signer: NoteSigner::generate(LOG).unwrap().0, leaves }
        }

        fn at(&self, size: u64) -> Checkpoint {
            let root = self.leaves[..size as usize].iter().copied().collect::<Frontier>().root();
            Checkpoint { origin: LOG.into(), size, root }
        }

        fn request(&self, old_size: u64, size: u64) -> AddCheckpoint {
            let proof = consistency_proof(&self.leaves[..size as usize], old_size).unwrap();
            AddCheckpoint { old_size, proof, note: self.at(size).to_note(&self.signer) }
        }

        fn check(&self, request: &AddCheckpoint, known: u64) -> Result<Checkpoint, WitnessRefusal> {
            request.check(&self.signer.verifier(), (known > 0).then(|| self.at(known)).as_ref())
        }
    }

    #[test]
    fn a_checkpoint_that_extends_the_last_one_is_taken() {
        let log = Log::new();
        for (old, size) in [(0, 0), (0, 9), (9, 9), (9, 10), (7, 20), (8, 16)] {
            let request = log.request(old, size);
            assert_eq!(log.check(&request, old), Ok(log.at(size)), "{old} to {size}");
            assert_eq!(AddCheckpoint::parse(&request.to_body()), Ok(request));
        }
    }

    #[test]
    fn what_does_not_extend_it_is_refused() {
        let log = Log::new();
        let mut other = Log::new();
        other.signer = NoteSigner::generate(LOG).unwrap().0;
        assert!(matches!(log.check(&other.request(0, 3), 0), Err(WitnessRefusal::Unsigned(_))));
        assert_eq!(log.check(&log.request(7, 12), 9), Err(WitnessRefusal::Stale { known: 9 }));
        assert_eq!(log.check(&log.request(0, 12), 9), Err(WitnessRefusal::Stale { known: 9 }));
        let backwards = AddCheckpoint { old_size: 9, ..log.request(0, 7) };
        assert!(matches!(log.check(&backwards, 9), Err(WitnessRefusal::Malformed(_))));
        let unproved = AddCheckpoint { proof: vec![], ..log.request(9, 12) };
        assert_eq!(log.check(&unproved, 9), Err(WitnessRefusal::Inconsistent { old: 9, size: 12 }));
        let too_much = AddCheckpoint { proof: vec![leaf_hash(b"x")], ..log.request(0, 12) };
        assert_eq!(log.check(&too_much, 0), Err(WitnessRefusal::Inconsistent { old: 0, size: 12 }));
        let mut forked = Log::new();
        forked.signer = log.signer;
        forked.leaves[4] = leaf_hash(b"another");
        let request = forked.request(9, 9);
        let known = Log::new().at(9);
        assert_eq!(request.check(&forked.signer.verifier(), Some(&known)), Err(WitnessRefusal::Forked { size: 9 }));
        let request = forked.request(9, 12);
        let refused = request.check(&forked.signer.verifier(), Some(&known));
        assert_eq!(refused, Err(WitnessRefusal::Inconsistent { old: 9, size: 12 }));
    }

    #[test]
    fn an_empty_tree_has_one_root() {
        let log = Log::new();
        let note = Checkpoint { root: leaf_hash(b"x"), ..log.at(0) }.to_note(&log.signer);
        let request = AddCheckpoint { old_size: 0, proof: vec![], note };
        // Nothing else was ever signed: it is wrong, and no second history.
        assert_eq!(log.check(&request, 0), Err(WitnessRefusal::Inconsistent { old: 0, size: 0 }));
        let known = request.check(&log.signer.verifier(), Some(&log.at(0)));
        assert_eq!(known, Err(WitnessRefusal::Forked { size: 0 }));
    }

    #[test]
    fn a_body_out_of_form_is_refused() {
        let good = Log::new().request(3, 9).to_body();
        let zeros = good.replacen("old 3", "old 03", 1);
        let many = good.replacen('\n', &format!("\n{}", format!("{}\n", leaf_hash(b"x")).repeat(64)), 1);
        for bad in ["", "old 3", "old 3\n", &zeros, &many, &good[4..], &good.replacen("old 3\n", "old 3\nabc\n", 1)] {
            assert!(matches!(AddCheckpoint::parse(bad), Err(WitnessRefusal::Malformed(_))), "{bad}");
        }
        let unsigned = "old 0\n\nlog.example/a\n0\nx\n";
        assert!(AddCheckpoint::parse(unsigned).unwrap().origin() == LOG);
    }

    #[test]
    fn a_bad_signature_is_told_from_a_note_that_is_none() {
        let log = Log::new();
        let note = |note: &str| AddCheckpoint { old_size: 0, proof: vec![], note: note.into() };
        assert!(matches!(log.check(&note("log.example/a\n0\nx\n"), 0), Err(WitnessRefusal::Malformed(_))));
        let text = log.signer.sign("log.example/a\nx\n");
        assert!(matches!(log.check(&note(&text), 0), Err(WitnessRefusal::Malformed(_))));
    }
}
