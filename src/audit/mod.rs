//! The access log as a Merkle tree: entries, checkpoints, and proofs that anyone can check with tools that are
//! not ours. Hashes follow RFC 6962; notes, checkpoints, tiles and cosignatures follow c2sp.org/signed-note,
//! tlog-checkpoint, tlog-tiles and tlog-cosignature. This room is pure: it knows no database and no network.
//!
//! A log with no memory outside the service proves nothing: whoever holds the key can rewrite the tail and sign
//! again. So every answer carries a [`Receipt`], officers remember checkpoints, and [`verify_log`] takes both.

mod checkpoint;
mod cosign;
mod entry;
mod gone;
mod keys;
pub mod ldv;
mod note;
mod proof;
mod report;
mod seal;
mod subtrees;
mod tiles;
mod tree;
mod verify;
mod witness;
mod words;

use serde::{Deserialize, Serialize};

pub use checkpoint::Checkpoint;
pub use cosign::{Cosigner, cosigned_at};
pub use entry::{Actor, Entry, MAX_ENTRY_BYTES, Range, RegulationRef};
pub use gone::{Due, Gone};
pub use keys::{CheckpointKeys, LogKeys};
pub use note::{NoteSigner, NoteVerifier};
pub use proof::TlogProof;
pub use report::{Report, VerifyError, Witness};
pub use seal::{DayKey, DayKeyFile, Disclosed, Opener, Sealed, is_recipient, unwrap, wrap};
pub use subtrees::Subtrees;
pub use tiles::{TILE_WIDTH, Tile, Tiles, bundle, bundle_path, read_bundle, tile_path};
pub use tree::{
    Frontier, Hash, consistency_parts, consistency_proof, inclusion_parts, inclusion_proof, leaf_hash, node_hash,
    verify_consistency, verify_inclusion,
};
pub use verify::{Line, verify_all, verify_log};
pub use witness::{AddCheckpoint, WitnessRefusal};
pub use words::{Action, Consent, Latency, Outcome, is_person};

/// What a caller gets for one entry: where it is, and the checkpoint that covers it. Kept outside the service, it
/// shows later whether the entry is still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// Position in the log, from 0.
    pub index: u64,
    /// Leaf hash of the entry, base64.
    pub leaf: Hash,
    /// A signed note of a tree larger than `index`.
    pub checkpoint: String,
}

/// What stands in the place of an answer with the receipt of a load.
pub const LOADED: &str = "loaded";

/// Why an entry, a note or a proof is refused. It never repeats what they say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The entry breaks its format; the text names the field.
    #[error("the log entry's {0}")]
    Entry(&'static str),
    /// A key or key name cannot be used.
    #[error("the log key {0}")]
    Key(&'static str),
    /// The note or checkpoint is not in its format.
    #[error("the signed note {0}")]
    Note(&'static str),
    /// No signature by the key, or a false one: do not use anything the note says.
    #[error("no valid signature by {name}; compare the verifier key with the one its officer handed out")]
    Signature { name: String },
    /// Only a key signed that was replaced at a smaller size: whoever has stolen it cannot go on with the log.
    #[error(
        "the checkpoint of size {size} is signed only by a key that was replaced at size {last}, and counts up to there"
    )]
    Retired { size: u64, last: u64 },
    /// The proof does not lead to the root.
    #[error("the proof does not lead to the root of size {size}")]
    Proof { size: u64 },
    /// What was disclosed cannot be sealed or opened.
    #[error("{0}")]
    Seal(&'static str),
    /// The key that a sealed answer names is at hand and does not open it: whoever wrote the log sealed nothing.
    #[error("the sealed answer does not belong to its entry")]
    Unsealed,
    /// A position or size beyond the tree.
    #[error("position {index} is outside a tree of size {size}")]
    OutOfRange { index: u64, size: u64 },
}

impl AuditError {
    /// Stable code for clients and metrics; never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Entry(_) => "log_entry",
            Self::Key(_) => "log_key",
            Self::Note(_) => "log_note",
            Self::Signature { .. } => "log_signature",
            Self::Retired { .. } => "log_key_retired",
            Self::Proof { .. } => "log_proof",
            Self::Seal(_) => "log_seal",
            Self::Unsealed => "log_unsealed",
            Self::OutOfRange { .. } => "log_range",
        }
    }
}
