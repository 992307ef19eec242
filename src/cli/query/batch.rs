//! A run as one batch that the service answers behind the upload: many households in one request, at the service's own
//! pace. What was begun is remembered, so that a run that was cut goes on with it and nobody is asked about twice.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, mem};

use anyhow::{Context, ensure};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::chunks::Chunks;
use super::super::client::{Client, Refused, fresh_key};
use super::super::interrupt;
use super::super::output::bar;
use super::asker::Asker;
use super::files::{Files, remove};
use super::{Household, grouped, leave_few};
use crate::answer::wire::Question;
use crate::answer::wire::batches::{BatchBegun, BatchCommit, BatchPlan, BatchView, MOST_IN_BATCH, ResultLine};
use crate::ids::{BatchId, EpochId};

/// Households that are asked about in one batch without being told to; fewer are answered sooner one by one.
pub(super) const MANY: usize = 1000;

/// The batch that is under way, in the party's memory folder, behind which the run's name stands.
const MEMORY: &str = "query-batch";

/// Between two looks how far a batch is.
const LOOK: Duration = Duration::from_millis(250);

/// Households that are encoded together: many at once take a part of the time that they take one by one.
const TOGETHER: usize = 64;

/// Households that are encoded before they are sent.
const AHEAD: usize = 4096;

/// What is remembered of a run: the batches that it began, in order. A later one has the households that a cut-over left
/// out of those before.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Memory<B> {
    /// SHA-256 of what is asked, hexadecimal.
    input: String,
    batches: Vec<B>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Begun {
    batch: BatchId,
    plan: BatchPlan,
    /// Which households of the file, in the order of the questions.
    households: Vec<usize>,
    /// Under which the batch is committed, so that a lost answer is not a second commit.
    key: String,
}

/// A run under way.
struct Under<'a> {
    households: &'a [Household],
    batches: Vec<Begun>,
    /// Households of which nothing is known yet, by position; those that a cut-over left out with their epoch and refusal.
    left: BTreeMap<usize, Option<(EpochId, Refused)>>,
}

/// Asks about all households, and about those whom a cut-over left out once more with the epoch that took over. What a run
/// that was cut has begun comes first, also in an epoch that is over: it is charged.
pub(super) fn ask(
    asker: &mut Asker,
    households: &[Household],
    minimum: usize,
    ask_again: bool,
    files: &mut Files,
) -> anyhow::Result<()> {
    let most = MOST_IN_BATCH as usize;
    ensure!(households.len() <= most, "a batch has at most {most} households; ask in several runs");
    let left = (0..households.len()).map(|at| (at, None)).collect();
    let mut run = Under { households, batches: Vec::new(), left };
    for batch in recall(asker)? {
        run.go_on(asker, batch, ask_again, files)?;
    }
    run.left.retain(|&at, _| !files.has(&households[at].0.contract));
    while !run.left.is_empty() {
        if run.is_silent(&asker.epoch()) && !asker.cut_over()? {
            run.give_up(&asker.epoch(), files)?;
            continue;
        }
        let all: Vec<usize> = run.left.keys().copied().collect();
        let enough = || !grouped(asker, all.iter().map(|&at| &households[at]), minimum).together.is_empty();
        if minimum > 1 && !enough() {
            leave_few(&all, households, minimum, files)?;
            break;
        }
        match run.ask_anew(asker, files).map_err(anyhow::Error::downcast::<Refused>) {
            Ok(()) => {}
            // Before anything was asked.
            Err(Ok(refused)) if refused.is_cut_over() && asker.cut_over()? => {}
            Err(Ok(refused)) => return Err(refused.into()),
            Err(Err(error)) => return Err(error),
        }
    }
    remove(&memory(asker))
}

impl Under<'_> {
    /// Whether this epoch has refused a household because it answers no more.
    fn is_silent(&self, epoch: &EpochId) -> bool {
        self.left.values().flatten().any(|(silent, _)| silent == epoch)
    }

    /// Reports what this epoch has refused, where no other took over.
    fn give_up(&mut self, epoch: &EpochId, files: &mut Files) -> anyhow::Result<()> {
        let left = mem::take(&mut self.left);
        for (at, why) in left {
            match why {
                Some((silent, refused)) if silent == *epoch => {
                    files.put(&self.households[at].0.contract, Err(refused))?;
                }
                why => drop(self.left.insert(at, why)),
            }
        }
        Ok(())
    }

    /// Takes what a batch of a run that was cut brought, and has it answered if it was not yet.
    fn go_on(&mut self, asker: &mut Asker, batch: Begun, ask_again: bool, files: &mut Files) -> anyhow::Result<()> {
        let view = match known(asker.client(), &batch)? {
            Known::There(view) => view,
            Known::Nothing => return Ok(()),
            Known::Gone(why) => {
                let lost = self.asked(&batch).iter().filter(|(arrears, _)| !files.has(&arrears.contract)).count();
                if lost > 0 {
                    eprintln!("A batch that was cut is gone: {}.", why.0.detail);
                }
                let is_charged = lost > 0 && why.0.code == "answers_destroyed";
                // What was charged is not charged again unasked.
                ensure!(
                    ask_again || !is_charged,
                    "answers about {lost} households were not fetched; ask about them anew with --ask-again, which is \
                     charged again"
                );
                return Ok(());
            }
        };
        if !batch.households.iter().all(|at| self.left.contains_key(at)) {
            return Ok(());
        }
        eprintln!("Going on with a batch that was cut: it is {}.", view.state);
        if view.state == "open" && batch.plan.header != asker.header() {
            // Nothing of it was asked yet; it is asked in the epoch that took over.
            let _: BatchView = asker.client().patiently(|| asker.client().delete(&place(&batch)))?;
        } else if view.state == "open" {
            self.upload(asker, &batch, view)?;
        }
        // Whom it did not come to is asked about anew.
        self.fetch(asker, &batch, files)?;
        self.batches.push(batch);
        Ok(())
    }

    /// Asks about all who are left.
    fn ask_anew(&mut self, asker: &mut Asker, files: &mut Files) -> anyhow::Result<()> {
        let client = asker.client();
        let households: Vec<usize> = self.left.keys().copied().collect();
        let plan = asker.plan(u32::try_from(households.len()).expect("fewer than half a million"));
        let key = fresh_key();
        let begun: BatchBegun = client.patiently(|| client.post_once("question-batches", &plan, &key))?;
        let batch = Begun { batch: begun.batch, plan, households, key: fresh_key() };
        let batches = self.batches.iter().chain([&batch]).collect();
        let memory = Memory::<&Begun> { input: asker.run().digest(), batches };
        client.remember(&asker.run().name(MEMORY, ".json"), &serde_json::to_string(&memory)?)?;
        let view = view(client, &batch)?;
        self.upload(asker, &batch, view)?;
        let next = self.fetch(asker, &batch, files)?;
        for at in &batch.households[next..] {
            let detail = "the batch ended before this household was asked about; nothing was charged: ask again";
            files.refuse(&self.households[*at].0.contract, "not_asked", None, detail)?;
            self.left.remove(at);
        }
        self.batches.push(batch);
        Ok(())
    }

    fn asked(&self, batch: &Begun) -> Vec<&Household> {
        batch.households.iter().map(|&at| &self.households[at]).collect()
    }

    /// Sends all questions, and has them answered.
    fn upload(&self, asker: &Asker, batch: &Begun, view: BatchView) -> anyhow::Result<()> {
        let (place, households) = (place(batch), self.asked(batch));
        let mut chunks = Chunks::new(asker.client(), place.clone(), view.chunk_bytes, view.chunks);
        let progress = bar(households.len(), "sending questions");
        let line = |question: Question| serde_json::to_vec(&question).expect("plain data have a JSON form");
        for ahead in households.chunks(AHEAD) {
            interrupt::check()?;
            let lines: Vec<Vec<u8>> =
                ahead.par_chunks(TOGETHER).flat_map_iter(|some| asker.questions(some)).map(line).collect();
            for line in lines {
                chunks.line(&line)?;
                progress.step();
            }
        }
        let commit = BatchCommit { chunks: chunks.finish()? };
        let _view: BatchView =
            asker.client().patiently(|| asker.client().post_once(&format!("{place}/commit"), &commit, &batch.key))?;
        Ok(())
    }

    /// Takes results as they come, until the batch has ended; of how many households.
    fn fetch(&mut self, asker: &mut Asker, batch: &Begun, files: &mut Files) -> anyhow::Result<usize> {
        let epoch = &batch.plan.header.epoch;
        asker.reads_answers_of(epoch);
        let (client, households) = (asker.client(), self.asked(batch));
        let progress = bar(households.len(), "asking");
        let (mut next, mut late) = (0, Vec::new());
        loop {
            // Before the page: what has ended then has no more results than the page brings.
            let view = view(client, batch)?;
            let text = client.get_text(&format!("{}/results?from={next}", place(batch)))?;
            let results: Vec<ResultLine> = text
                .lines()
                .map(serde_json::from_str)
                .collect::<Result<_, _>>()
                .context("the service's results are not what this version understands")?;
            let is_over = results.is_empty() && view.state != "answering";
            let wait = if results.is_empty() { LOOK } else { Duration::ZERO };
            let told = asker.told(households.get(next..).unwrap_or_default(), next, results, &batch.key)?;
            for told in told {
                match told {
                    Err(refused) if refused.is_cut_over() => late.push((batch.households[next], refused)),
                    told => files.put(&households[next].0.contract, told)?,
                }
                next += 1;
                progress.step();
            }
            if is_over {
                break;
            }
            files.settle()?;
            interrupt::check()?;
            std::thread::sleep(wait);
        }
        for at in &batch.households[..next] {
            self.left.remove(at);
        }
        self.left.extend(late.into_iter().map(|(at, refused)| (at, Some((epoch.clone(), refused)))));
        Ok(next)
    }
}

/// The batches that the same run left behind when it was cut, in whatever epoch.
fn recall(asker: &Asker) -> anyhow::Result<Vec<Begun>> {
    let path = memory(asker);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    // Of another version, or half written: then it is begun anew.
    let memory = serde_json::from_str::<Memory<Begun>>(&text).ok().filter(|known| known.input == asker.run().digest());
    Ok(memory.map_or_else(Vec::new, |known| known.batches))
}

/// What the service still has of a batch.
enum Known {
    There(BatchView),
    /// It was refused as a whole: nothing of it was charged.
    Nothing,
    /// It went with its epoch, or expired.
    Gone(Refused),
}

fn known(client: &Client, batch: &Begun) -> anyhow::Result<Known> {
    match view(client, batch).map_err(anyhow::Error::downcast::<Refused>) {
        Ok(view) if view.state == "refused" => Ok(Known::Nothing),
        Ok(view) => Ok(Known::There(view)),
        Err(Ok(refused)) => match refused.0.code.as_str() {
            "answers_destroyed" | "epoch_destroyed" | "unknown_batch" => Ok(Known::Gone(refused)),
            _ => Err(refused.into()),
        },
        Err(Err(error)) => Err(error),
    }
}

fn view(client: &Client, batch: &Begun) -> anyhow::Result<BatchView> {
    client.get(&place(batch))
}

fn place(batch: &Begun) -> String {
    format!("question-batches/{}", batch.batch)
}

fn memory(asker: &Asker) -> PathBuf {
    asker.run().remembered(asker.client(), MEMORY, ".json")
}
