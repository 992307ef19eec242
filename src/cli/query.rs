//! `voorrang query`: asks for every household in an arrears file and writes what came back, receipts included.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::rand::SystemRandom;
use ring::{hmac, rand};
use time::Date;

use super::client::{Client, Refused, patiently};
use super::inputs::{parse_day, read_profile};
use super::load::encoder;
use super::output::{Output, bar, finish_csv};
use super::people::{FormatName, PeopleArgs};
use crate::answer::wire::{self, Answered, Question, by_name};
use crate::audit::{CheckpointKeys, LogKeys};
use crate::clock::Clock;
use crate::encode::{Arrears, Encoder, Tenant, read};
use crate::ids::EpochId;
use crate::profile::Profile;
use crate::regulate::Answer;

/// What `voorrang query` takes.
#[derive(Debug, clap::Args)]
pub struct QueryArgs {
    /// CSV file of contracts in arrears
    pub arrears: PathBuf,
    /// File of tenants
    #[arg(long)]
    pub tenants: PathBuf,
    /// Form of the file of tenants
    #[arg(long, value_enum, default_value = "csv")]
    pub format: FormatName,
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// Answers to write; refused questions go into a file of the same name with `.refused.csv`
    #[arg(short, long)]
    pub output: PathBuf,
    /// Go on where a run with the same -o was cut: its answers are in a file with `.part.csv`
    #[arg(long)]
    pub resume: bool,
    /// Read and encode everything, ask nothing and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Purpose [default: client.toml's]
    #[arg(long)]
    pub purpose: Option<String>,
    /// Day on which the arrears stand [default: today]
    #[arg(long, value_parser = parse_day)]
    pub day: Option<Date>,
    /// Salt file or `env:VOORRANG_SALT` [default: open the envelope, keep the salt in memory]
    #[arg(long)]
    pub salt_file: Option<PathBuf>,
    /// Profile file [default: the built-in one]
    #[arg(long)]
    pub profile: Option<PathBuf>,
}

/// Some questions were refused; the others are answered.
#[derive(Debug, thiserror::Error)]
#[error("{refused} of {asked} questions were refused, see {file}")]
pub struct SomeRefused {
    pub refused: usize,
    pub asked: usize,
    pub file: String,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Summary {
    pub asked: usize,
    /// Per answer.
    pub answers: BTreeMap<String, usize>,
    /// Per refusing article or code.
    pub refused: BTreeMap<String, usize>,
}

/// Runs the command and reports.
///
/// # Errors
/// [`SomeRefused`], or what went wrong; then no file is left under the name of the answers.
pub fn run(args: &QueryArgs) -> anyhow::Result<()> {
    let summary = ask_all(args)?;
    for (answer, count) in &summary.answers {
        eprintln!("{count:>8} {answer}");
    }
    let refused: usize = summary.refused.values().sum();
    if refused > 0 {
        for (article, count) in &summary.refused {
            eprintln!("{count:>8} refused by {article}");
        }
        let file = refused_path(&args.output).display().to_string();
        return Err(SomeRefused { refused, asked: summary.asked, file }.into());
    }
    Ok(())
}

fn refused_path(output: &Path) -> PathBuf {
    output.with_extension("refused.csv")
}

/// What a cut run leaves, for [`QueryArgs::resume`].
fn part_path(output: &Path) -> PathBuf {
    output.with_extension("part.csv")
}

/// The columns of the file of answers.
const COLUMNS: [&str; 6] = ["contract_id", "answer", "epoch", "log_index", "leaf_hash", "checkpoint"];

/// One answer in the file of answers: [`COLUMNS`].
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Row {
    contract_id: String,
    answer: String,
    epoch: EpochId,
    log_index: u64,
    leaf_hash: String,
    /// Base64 of the signed note.
    checkpoint: String,
}

/// Asks for every contract and writes the files.
///
/// # Errors
/// If a file has errors or the service cannot be reached; refusals are no error here. Answers that came before an
/// error are kept in a file of their own: they are logged and charged.
pub fn ask_all(args: &QueryArgs) -> anyhow::Result<Summary> {
    let people = PeopleArgs { format: args.format, ..PeopleArgs::default() };
    let households = read::households(&args.arrears, people.tenants(&args.tenants)?)?;
    let day = args.day.unwrap_or_else(|| Clock::System.today());
    let late = |arrears: &Arrears| arrears.reported.is_some_and(|reported| reported > day);
    ensure!(
        !households.iter().any(|(arrears, _)| late(arrears)),
        "{} has arrears that were reported after {day}; give the day on which they stand with --day",
        args.arrears.display()
    );
    let known = if args.resume { rows(&part_path(&args.output))? } else { BTreeMap::new() };
    let client = Client::open(&args.config)?;
    let profile = read_profile(args.profile.as_deref())?;
    let epoch = client.epoch_in(&["active", "retiring"])?;
    let mut asker = Asker {
        encoder: encoder(&client, &epoch, &profile, args.salt_file.as_deref())?,
        log: client.log_keys()?,
        profile,
        purpose: args.purpose.clone().or_else(|| client.config.query.purpose.clone()),
        day,
        // A dry run takes no run's keys away.
        seed: seed(&client, args.resume, args.dry_run)?,
        client,
        given_salt: args.salt_file.is_some(),
    };
    let mut summary = Summary { asked: households.len(), ..Summary::default() };
    if args.dry_run {
        let whole = |household: &(Arrears, Vec<Tenant>)| asker.question(household).address.is_some();
        let with_address = bar(households.len(), "encoding").over(households.iter()).filter(|one| whole(one)).count();
        eprintln!("Dry run, nothing asked: {} households, {with_address} with a whole address.", households.len());
        return Ok(summary);
    }
    let mut flags = csv::Writer::from_writer(Output::create(&args.output)?);
    let mut refusals = csv::Writer::from_writer(Output::create(&refused_path(&args.output))?);
    refusals.write_record(["contract_id", "code", "article", "detail"])?;
    for household in bar(households.len(), "asking").over(households.iter()) {
        let contract = &household.0.contract;
        let asked = known.get(contract).cloned().map_or_else(|| asker.ask(household), Ok);
        match asked.map_err(anyhow::Error::downcast::<Refused>) {
            Ok(row) => {
                *summary.answers.entry(row.answer.clone()).or_default() += 1;
                flags.serialize(row)?;
            }
            Err(Ok(Refused(problem))) => {
                let article = problem.article.unwrap_or_default();
                refusals.write_record([contract, &problem.code, &article, &problem.detail])?;
                let by = if article.is_empty() { problem.code } else { article };
                *summary.refused.entry(by).or_default() += 1;
            }
            Err(Err(error)) => return Err(keep(flags, &summary, &args.output, error)),
        }
    }
    if summary.answers.is_empty() {
        flags.write_record(COLUMNS)?;
    }
    finish_csv(flags)?;
    if summary.refused.is_empty() {
        remove(&refused_path(&args.output))?;
    } else {
        finish_csv(refusals)?;
    }
    remove(&part_path(&args.output))?;
    Ok(summary)
}

/// Keeps the answers that came before an error under a name of their own.
fn keep(flags: csv::Writer<Output>, summary: &Summary, output: &Path, error: anyhow::Error) -> anyhow::Error {
    let part = part_path(output);
    let count: usize = summary.answers.values().sum();
    if count == 0 {
        return error;
    }
    match flags
        .into_inner()
        .map_err(|error| anyhow::anyhow!("{}", error.error()))
        .and_then(|file| file.finish_as(&part))
    {
        Ok(()) => error.context(format!("{count} answers are kept in {}; go on with --resume", part.display())),
        Err(lost) => error.context(format!("{count} answers could not be kept ({lost})")),
    }
}

/// The answers of a cut run, by contract.
fn rows(part: &Path) -> anyhow::Result<BTreeMap<String, Row>> {
    let unreadable = || format!("cannot go on from {}", part.display());
    let mut reader = csv::Reader::from_path(part).with_context(unreadable)?;
    let rows = reader.deserialize().map(|row| row.map(|row: Row| (row.contract_id.clone(), row)));
    rows.collect::<Result<_, _>>().with_context(unreadable)
}

/// Removes what an earlier run left, if it left something.
fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

struct Asker {
    client: Client,
    encoder: Encoder,
    log: LogKeys,
    profile: Profile,
    purpose: Option<String>,
    day: Date,
    /// Makes the keys under which questions may be sent again.
    seed: hmac::Key,
    given_salt: bool,
}

impl Asker {
    /// Asks, and at a cut-over once more with the epoch that took over. The refused question was not counted.
    fn ask(&mut self, household: &(Arrears, Vec<Tenant>)) -> anyhow::Result<Row> {
        match self.ask_once(household) {
            Err(error) if error.downcast_ref::<Refused>().is_some_and(Refused::is_cut_over) && self.cut_over()? => {
                self.ask_once(household)
            }
            asked => asked,
        }
    }

    /// Takes the epoch that is active now; whether it is another one. A salt that was given is of one epoch only.
    fn cut_over(&mut self) -> anyhow::Result<bool> {
        if self.given_salt {
            return Ok(false);
        }
        let Ok(epoch) = self.client.epoch_in(&["active"]) else { return Ok(false) };
        if epoch.id == self.encoder.header().epoch {
            return Ok(false);
        }
        self.encoder = encoder(&self.client, &epoch, &self.profile, None)?;
        eprintln!("The epoch {} has taken over; going on with it.", epoch.id);
        Ok(true)
    }

    /// The question about a household, with the codes of the epoch.
    fn question(&self, (arrears, tenants): &(Arrears, Vec<Tenant>)) -> Question {
        let mut address = None;
        let mut codes = Vec::new();
        for (one, token) in self.encoder.tenants(tenants) {
            address = address.or(token);
            codes.push(wire::Tenant { codes: by_name(one, &self.profile) });
        }
        Question {
            header: self.encoder.header(),
            purpose: self.purpose.clone(),
            arrears: standing(arrears, self.day),
            conditions: self.client.config.query.conditions,
            address,
            tenants: codes,
        }
    }

    fn ask_once(&self, household: &(Arrears, Vec<Tenant>)) -> anyhow::Result<Row> {
        let (arrears, question) = (&household.0, self.question(household));
        let answered = self.send(&question, &arrears.contract)?;
        ensure!(Answer::from_word(&answered.answer).is_some(), "the service sent a word that is no answer");
        ensure!(answered.epoch == question.header.epoch, "the service answered from another epoch than it was asked");
        let covered = self.log.checkpoint(&answered.receipt.checkpoint)?.size > answered.receipt.index;
        ensure!(covered, "the receipt's checkpoint does not cover its entry; keep it and tell the officer");
        Ok(Row {
            contract_id: arrears.contract.clone(),
            answer: answered.answer,
            epoch: answered.epoch,
            log_index: answered.receipt.index,
            leaf_hash: answered.receipt.leaf.to_string(),
            checkpoint: STANDARD.encode(&answered.receipt.checkpoint),
        })
    }
}

/// The seed's file in the party's memory folder.
const SEED: &str = "query-seed";

impl Asker {
    /// Asks, and asks again where no answer came: under one key, so that it is recorded and charged once.
    fn send(&self, question: &Question, contract: &str) -> anyhow::Result<Answered> {
        let place = format!("{contract}/{}", question.header.epoch);
        let key = hex::encode(&hmac::sign(&self.seed, place.as_bytes()).as_ref()[..16]);
        patiently(|| self.client.post_once("priority-questions", question, &key))
    }
}

/// A fresh seed for a run, remembered so that one that goes on where another was cut uses the same keys.
fn seed(client: &Client, resume: bool, dry_run: bool) -> anyhow::Result<hmac::Key> {
    let path = client.remembered(SEED);
    if !resume {
        let bytes: [u8; 32] =
            rand::generate(&SystemRandom::new()).ok().context("the system gives no randomness")?.expose();
        if dry_run {
            return Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        }
        client.remember(SEED, &hex::encode(bytes))?;
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let bytes = hex::decode(text.trim()).with_context(|| format!("{} holds no seed", path.display()))?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// Months as reported, and the days that have passed since the report.
pub fn standing(arrears: &Arrears, day: Date) -> wire::Arrears {
    let days = arrears.reported.map_or(0, |reported| (day - reported).whole_days());
    wire::Arrears { months: arrears.months, days: u32::try_from(days).unwrap_or(0) }
}
