//! That one entry is in a log, as a file that stands alone (c2sp.org/tlog-proof v1): whoever has the log's key checks it
//! without the log.

use super::{AuditError, CheckpointKeys, Hash, Receipt, verify_inclusion};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A tree of 2^63 leaves has no more levels.
const MAX_HASHES: usize = 63;

/// An inclusion proof and the checkpoint that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    pub index: u64,
    pub hashes: Vec<Hash>,
    /// The signed note.
    pub checkpoint: String,
}

impl TlogProof {
    /// Reads the text. Ours have no extra data, so that a line of them is refused.
    ///
    /// # Errors
    /// [`AuditError::Note`].
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        let malformed = || AuditError::Note("is no c2sp.org/tlog-proof@v1");
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(malformed)?;
        let mut lines = head.split('\n');
        let index = lines.next().filter(|line| *line == FIRST_LINE).and(lines.next());
        let digits = index.and_then(|line| line.strip_prefix("index ")).ok_or_else(malformed)?;
        let index: u64 = digits.parse().map_err(|_| malformed())?;
        let hashes: Vec<Hash> = lines.map(str::parse).collect::<Result<_, _>>()?;
        if index.to_string() != digits || hashes.len() > MAX_HASHES {
            return Err(malformed());
        }
        Ok(Self { index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Whether it proves that the entry of a receipt is in the log. A receipt alone says only that there is a log: nothing
    /// that is signed leads to its leaf.
    ///
    /// # Errors
    /// As [`CheckpointKeys::checkpoint`], or [`AuditError::Proof`] if it does not.
    pub fn verify(&self, receipt: &Receipt, keys: &impl CheckpointKeys) -> Result<(), AuditError> {
        let known = keys.checkpoint(&self.checkpoint)?;
        if self.index != receipt.index {
            return Err(AuditError::Proof { size: known.size });
        }
        verify_inclusion(self.index, known.size, &receipt.leaf, &self.hashes, &known.root)
    }
}

impl std::fmt::Display for TlogProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{FIRST_LINE}\nindex {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Checkpoint, Frontier, NoteSigner, inclusion_proof, leaf_hash};

    #[test]
    fn a_proof_survives_its_text_and_proves_its_own_leaf_only() {
        let leaves: Vec<Hash> = (0..9_u64).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let (signer, _) = NoteSigner::generate("log.example/a").unwrap();
        let root = leaves.iter().copied().collect::<Frontier>().root();
        let checkpoint = Checkpoint { origin: "log.example/a".into(), size: 9, root }.to_note(&signer);
        let proof = TlogProof { index: 4, hashes: inclusion_proof(&leaves, 4).unwrap(), checkpoint };
        let text = proof.to_string();
        assert_eq!(TlogProof::parse(&text), Ok(proof.clone()));
        let receipt = |index: u64, leaf| Receipt { index, leaf, checkpoint: proof.checkpoint.clone() };
        let key = signer.verifier();
        assert_eq!(proof.verify(&receipt(4, leaves[4]), &key), Ok(()));
        for (index, leaf) in [(4, leaves[5]), (5, leaves[4]), (4, leaf_hash(b"made up"))] {
            assert_eq!(proof.verify(&receipt(index, leaf), &key), Err(AuditError::Proof { size: 9 }));
        }
        let (other, _) = NoteSigner::generate("log.example/a").unwrap();
        assert!(matches!(proof.verify(&receipt(4, leaves[4]), &other.verifier()), Err(AuditError::Signature { .. })));
        for bad in [
            text.replace("@v1", "@v2"),
            text.replace("index 4", "index 04"),
            text.replace("index 4", "index x"),
            text.replace("index 4\n", "index 4\nextra AA==\n"),
            text.replacen("\n\n", "\n", 1),
            String::new(),
        ] {
            assert!(TlogProof::parse(&bad).is_err(), "{bad}");
        }
    }
}
