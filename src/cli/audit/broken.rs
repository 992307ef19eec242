//! What does not hold of a log, for a program: `audit verify --json`.

use std::error::Error;
use std::ptr;

use serde_json::{Value, json};

use super::{LogBroken, Unusable};
use crate::audit::VerifyError;
use crate::cli::client::LogDamaged;
use crate::cli::exit_code;

/// Something that was handed in.
const UNUSABLE: &str = "unusable";

/// One object, whatever the command failed of: the exit code, which is the first one's, and each thing that does not
/// hold, with the entry where there is one.
pub fn json(all: &[anyhow::Error]) -> Value {
    let broken: Vec<Value> = all.iter().flat_map(of).collect();
    json!({ "verifies": false, "exitCode": all.first().map_or(1, exit_code), "broken": broken })
}

fn of(error: &anyhow::Error) -> Vec<Value> {
    // What was said of an error afterwards is no cause of its chain.
    let last = error.downcast_ref::<LogBroken>();
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<LogBroken>());
    let causes = causes.filter(|cause| last.is_none_or(|last| !ptr::eq(last, *cause)));
    let mut broken: Vec<Value> = last.into_iter().chain(causes).flat_map(each).collect();
    if broken.is_empty() {
        let code = match error {
            error if error.is::<Unusable>() => UNUSABLE,
            error if error.is::<LogDamaged>() => LogDamaged::CODE,
            _ => "failed",
        };
        broken.push(fault(code, None, format!("{error:#}")));
    }
    broken
}

fn fault(code: &str, entry: Option<u64>, detail: String) -> Value {
    json!({ "code": code, "entry": entry, "detail": detail })
}

/// With its causes.
fn chain(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", chain(cause)))
}

fn each(broken: &LogBroken) -> Vec<Value> {
    match broken {
        LogBroken::Verify(first, rest) => std::iter::once(first).chain(rest).map(of_the_tree).collect(),
        _ => vec![fault(broken.code(), broken.entry(), broken.to_string())],
    }
}

fn of_the_tree(error: &VerifyError) -> Value {
    let entry = match error {
        VerifyError::Entry { index, .. }
        | VerifyError::Receipt { index, .. }
        | VerifyError::ReceiptFalse { index, .. }
        | VerifyError::GoneEarly { index } => Some(*index),
        _ => None,
    };
    fault(error.code(), entry, chain(error))
}

impl LogBroken {
    /// Stable, for programs; never reworded.
    fn code(&self) -> &'static str {
        match self {
            Self::Verify(first, _) => first.code(),
            Self::Checkpoint(_) => "checkpoint_unusable",
            Self::RolledBack { .. } | Self::Shorter { .. } => "rolled_back",
            Self::Forked { .. } => "forked",
            Self::Witness(_) => "not_cosigned",
            Self::OtherKey { .. } => "other_key",
            Self::NoEntry { .. } => "no_entry",
            Self::Rewritten { .. } => "rewritten",
            Self::OtherAnswer { .. } => "other_answer",
            Self::Unread { malformed, .. } if !malformed.is_empty() => "entry_malformed",
            Self::Unsealed { .. } | Self::Unread { .. } => "unsealed",
            Self::Unproved { .. } => "unproved",
            Self::ReceiptTwice { .. } => "receipt_twice",
            Self::OtherParty { .. } => "other_party",
            Self::OtherQuestion { .. } => "other_question",
        }
    }

    fn entry(&self) -> Option<u64> {
        match self {
            Self::NoEntry { index, .. }
            | Self::Rewritten { index }
            | Self::OtherAnswer { index }
            | Self::Unsealed { index }
            | Self::Unproved { index, .. }
            | Self::ReceiptTwice { index }
            | Self::OtherParty { index }
            | Self::OtherQuestion { index } => Some(*index),
            Self::Unread { malformed, unsealed } => malformed.first().or_else(|| unsealed.first()),
            _ => None,
        }
    }
}
