//! What holds of a log, and what does not.

use std::ops::Range;

use super::{AuditError, Hash};

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
    #[error("{count} more entries are not in their format")]
    Entries { count: u64 },
    #[error("the log has {entries} entries where its checkpoint says {size}: entries are missing or added")]
    Size { entries: u64, size: u64 },
    #[error("remembered checkpoint {position} is of size {remembered}, the log now says {size}: it was rolled back")]
    RolledBack { position: usize, remembered: u64, size: u64 },
    #[error("entry {index} is not the one of receipt {position}: the entry was changed, moved or dropped")]
    Receipt { position: usize, index: u64 },
    /// Whoever handed it in made it up, or was given it so: it says nothing against the log.
    #[error("receipt {position} is not valid: its own checkpoint, which the log extends, has another entry {index}")]
    ReceiptFalse { position: usize, index: u64 },
    #[error("the log does not extend {what} of size {size}; entries below {good_below} are as remembered")]
    History { what: Witness, size: u64, good_below: u64 },
    #[error(
        "the contents of entry {index} are gone, and no entry says that they were deleted when they were due: somebody \
         removed them"
    )]
    GoneEarly { index: u64 },
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
            Self::Entries { .. } => "entries_malformed",
            Self::Size { .. } => "size_differs",
            Self::RolledBack { .. } => "rolled_back",
            Self::Receipt { .. } => "receipt_differs",
            Self::ReceiptFalse { .. } => "receipt_false",
            Self::History { .. } => "history_differs",
            Self::GoneEarly { .. } => "gone_early",
        }
    }
}
