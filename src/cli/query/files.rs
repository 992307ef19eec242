//! What `voorrang query` leaves behind: answers with their receipts, refusals, and what a cut run keeps for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::super::client::Refused;
use super::super::output::{Output, finish_csv};
use super::Summary;
use super::asker::Told;
use super::run::note_path;
use crate::answer::wire::Answered;
use crate::ids::{EpochId, TraceId};

/// The columns of the file of answers.
pub(in crate::cli) const COLUMNS: [&str; 8] =
    ["contract_id", "answer", "epoch", "log_index", "leaf_hash", "checkpoint", "trace_id", "proof"];

/// One answer in the file of answers: [`COLUMNS`].
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(in crate::cli) struct Row {
    pub(super) contract_id: String,
    pub(super) answer: String,
    epoch: EpochId,
    log_index: u64,
    leaf_hash: String,
    /// Base64 of the signed note.
    checkpoint: String,
    /// Of the request, as its log entry has it.
    pub(super) trace_id: Option<TraceId>,
    /// Base64 of the c2sp.org/tlog-proof; empty where none was asked for.
    proof: String,
}

impl Row {
    pub(in crate::cli) fn new(
        contract: &str,
        Answered { answer, epoch, receipt }: Answered,
        trace_id: Option<TraceId>,
    ) -> Self {
        Self {
            contract_id: contract.to_owned(),
            answer,
            epoch,
            log_index: receipt.index,
            leaf_hash: receipt.leaf.to_string(),
            checkpoint: STANDARD.encode(&receipt.checkpoint),
            trace_id,
            proof: String::new(),
        }
    }

    /// With this proof of its receipt.
    pub(in crate::cli) fn proved(self, proof: &str) -> Self {
        Self { proof: STANDARD.encode(proof), ..self }
    }
}

/// Where refused questions are.
pub(super) fn refused_path(output: &Path) -> PathBuf {
    output.with_extension("refused.csv")
}

/// Where they are while a run is under way.
fn refusals_path(output: &Path) -> PathBuf {
    output.with_extension("refused.part.csv")
}

/// What a cut run leaves, for `--resume`.
pub(super) fn part_path(output: &Path) -> PathBuf {
    output.with_extension("part.csv")
}

/// Everything that a run writes or removes.
pub(super) fn outputs(output: &Path) -> [PathBuf; 5] {
    [output.to_owned(), refused_path(output), refusals_path(output), part_path(output), note_path(output)]
}

/// The files of a run under way.
pub(super) struct Files {
    output: PathBuf,
    /// In the file for `--resume` as they come: who is killed has them.
    flags: csv::Writer<File>,
    refusals: csv::Writer<File>,
    /// Contracts whose answers are in the file.
    known: BTreeSet<String>,
    summary: Summary,
}

impl Files {
    /// With the answers that a cut run kept.
    pub(super) fn create(output: &Path, asked: usize, known: BTreeMap<String, Row>) -> anyhow::Result<Self> {
        let part = part_path(output);
        // Whole beside its place first: the old one may be all that there is.
        let mut flags = csv::WriterBuilder::new().has_headers(false).from_writer(Output::create(&part)?);
        flags.write_record(COLUMNS)?;
        known.values().try_for_each(|row| flags.serialize(row))?;
        finish_csv(flags)?;
        let flags = File::options().append(true).open(&part);
        let flags = flags.with_context(|| format!("cannot write {}", part.display()))?;
        // Under a name of its own too: a kill leaves no file that nobody knows.
        let place = refusals_path(output);
        let refusals = File::create(&place).with_context(|| format!("cannot write {}", place.display()))?;
        let mut refusals = csv::Writer::from_writer(refusals);
        refusals.write_record(["contract_id", "code", "article", "detail"])?;
        let mut summary = Summary { asked, ..Summary::default() };
        known.values().for_each(|row| *summary.answers.entry(row.answer.clone()).or_default() += 1);
        Ok(Self {
            output: output.to_owned(),
            flags: csv::WriterBuilder::new().has_headers(false).from_writer(flags),
            refusals,
            known: known.into_keys().collect(),
            summary,
        })
    }

    /// Whether this contract's answer is there.
    pub(super) fn has(&self, contract: &str) -> bool {
        self.known.contains(contract)
    }

    /// What a contract's question came to. An answer that is there already is the same.
    pub(super) fn put(&mut self, contract: &str, told: Told) -> anyhow::Result<()> {
        match told {
            Ok(row) => {
                if self.known.insert(contract.to_owned()) {
                    *self.summary.answers.entry(row.answer.clone()).or_default() += 1;
                    self.flags.serialize(row)?;
                }
                Ok(())
            }
            Err(Refused(problem)) => self.refuse(contract, &problem.code, problem.article.as_deref(), &problem.detail),
        }
    }

    /// From now on a kill loses nothing of what was put.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        self.flags.flush().context("cannot write the answers")
    }

    /// A contract that is not answered: the code, the article that refused, why and what to do.
    pub(super) fn refuse(
        &mut self,
        contract: &str,
        code: &str,
        article: Option<&str>,
        detail: &str,
    ) -> anyhow::Result<()> {
        self.refusals.write_record([contract, code, article.unwrap_or_default(), detail])?;
        *self.summary.refused.entry(article.unwrap_or(code).to_owned()).or_default() += 1;
        Ok(())
    }

    /// Gives the files their names.
    pub(super) fn finish(mut self) -> anyhow::Result<Summary> {
        let part = part_path(&self.output);
        self.settle()?;
        let synced = self.flags.get_ref().sync_all().and_then(|()| fs::rename(&part, &self.output));
        synced.with_context(|| format!("cannot write {}", self.output.display()))?;
        remove(&note_path(&self.output))?;
        let (place, refused) = (refusals_path(&self.output), refused_path(&self.output));
        if self.summary.refused.is_empty() {
            remove(&place)?;
            remove(&refused)?;
        } else {
            let written = self.refusals.flush().and_then(|()| self.refusals.get_ref().sync_all());
            let named = written.and_then(|()| fs::rename(&place, &refused));
            named.with_context(|| format!("cannot write {}", refused.display()))?;
        }
        Ok(self.summary)
    }

    /// Keeps the answers that came before an error under a name of their own; also where none came, because those of a
    /// request whose answer was lost are charged, and come once more to who goes on.
    pub(super) fn keep(mut self, error: anyhow::Error) -> anyhow::Error {
        let part = part_path(&self.output);
        let count = self.known.len();
        // Who is refused is asked about again.
        drop(remove(&refusals_path(&self.output)));
        if count == 0 && error.is::<Refused>() {
            // As a whole, before anything was asked. What cannot be removed is an empty file.
            drop(remove(&part).and_then(|()| remove(&note_path(&self.output))));
            return error;
        }
        match self.settle().and_then(|()| Ok(self.flags.get_ref().sync_all()?)) {
            Ok(()) => error.context(format!("{count} answers are kept in {}; go on with --resume", part.display())),
            Err(lost) => error.context(format!("{count} answers could not be kept ({lost:#})")),
        }
    }
}

/// The answers of a cut run, by contract. A line that a kill cut has no end, and counts for nothing.
pub(super) fn rows(part: &Path) -> anyhow::Result<BTreeMap<String, Row>> {
    let unreadable = || format!("cannot go on from {}", part.display());
    let text = fs::read(part).with_context(unreadable)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut reader = csv::Reader::from_reader(&text[..whole]);
    let rows = reader.deserialize().map(|row| row.map(|row: Row| (row.contract_id.clone(), row)));
    rows.collect::<Result<_, _>>().with_context(unreadable)
}

/// Puts the answers of a run that nobody goes on with under a name of their own: they are charged, and have receipts.
pub(super) fn set_aside(output: &Path) -> anyhow::Result<()> {
    let part = part_path(output);
    // As empty as a run leaves it that was refused at once.
    if rows(&part).is_ok_and(|rows| rows.is_empty()) {
        return remove(&part);
    }
    let aside = (1..).map(|number| output.with_extension(format!("cut-{number}.csv"))).find(|path| !path.exists());
    let aside = aside.expect("some number is free");
    fs::rename(&part, &aside).with_context(|| format!("cannot rename {}", part.display()))?;
    eprintln!("{} was of a run that was cut; its answers are in {} now.", part.display(), aside.display());
    Ok(())
}

/// Removes what an earlier run left, if it left something.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
