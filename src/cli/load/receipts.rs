//! What a custodian or a corporation keeps of a load: the receipt, with the proof that its entry is in the log. A service
//! that forges or drops the entry later is found with it, as with those of answers.

use std::fs::File;

use anyhow::Context;

use super::super::audit::LogBroken;
use super::super::client::Client;
use super::super::query::{COLUMNS, Prover, Row};
use crate::answer::wire::Answered;
use crate::audit::{LOADED, Receipt};
use crate::ids::{EpochId, TraceId};

/// The file in the party's memory folder; its columns are those of a file of answers.
pub(super) const FILE: &str = "loaded.receipts.csv";

/// Adds the receipt of what was loaded.
///
/// # Errors
/// [`LogBroken`], if the service does not prove it; or it cannot be written.
pub(super) fn keep(client: &Client, what: &str, epoch: &EpochId, receipt: &Receipt) -> anyhow::Result<()> {
    let answered = Answered { answer: LOADED.to_owned(), epoch: epoch.clone(), receipt: receipt.clone() };
    // Of no request in particular: a load is several.
    let proof = client.log_keys().and_then(|keys| Prover::new(client, keys, TraceId::random()).proof(&answered, true));
    let proof = match proof {
        Err(error) if error.is::<LogBroken>() => return Err(error),
        Err(error) => {
            eprintln!("voorrang: the receipt is kept without a proof: {error:#}");
            String::new()
        }
        Ok(proof) => proof,
    };
    let path = client.remembered(FILE);
    let failed = || format!("cannot write {}", path.display());
    let file = File::options().append(true).create(true).open(&path).with_context(failed)?;
    let is_new = file.metadata().with_context(failed)?.len() == 0;
    let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(file);
    if is_new {
        rows.write_record(COLUMNS).with_context(failed)?;
    }
    rows.serialize(Row::new(what, answered, None).proved(&proof)).with_context(failed)?;
    rows.flush().and_then(|()| rows.get_ref().sync_all()).with_context(failed)
}
