//! `voorrang query`: asks for every household in an arrears file and writes what came back, receipts included.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::ensure;
use base64::{Engine, engine::general_purpose::STANDARD};
use time::Date;

use super::client::{Client, Refused};
use super::inputs::{parse_day, read_profile};
use super::load::encoder;
use super::output::{Output, bar};
use crate::answer::wire::{self, Answered, Question, by_name};
use crate::audit::{Checkpoint, Receipt};
use crate::clock::Clock;
use crate::encode::{Arrears, Encoder, Tenant, read};
use crate::profile::Profile;

/// What `voorrang query` takes.
#[derive(Debug, clap::Args)]
pub struct QueryArgs {
    /// CSV file of contracts in arrears
    pub arrears: PathBuf,
    /// CSV file of tenants
    #[arg(long)]
    pub tenants: PathBuf,
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// Answers to write; refused questions go into a file of the same name with `.refused.csv`
    #[arg(short, long)]
    pub output: PathBuf,
    /// Purpose [default: client.toml's]
    #[arg(long)]
    pub purpose: Option<String>,
    /// Day on which the arrears stand [default: today]
    #[arg(long, value_parser = parse_day)]
    pub day: Option<Date>,
    /// Salt file [default: open the envelope, keep the salt in memory]
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
    /// Receipts as they came, oldest first.
    pub receipts: Vec<Receipt>,
}

/// Runs the command and reports.
///
/// # Errors
/// [`SomeRefused`], or what went wrong; then no file is left behind.
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

fn refused_path(output: &std::path::Path) -> PathBuf {
    output.with_extension("refused.csv")
}

/// Asks for every contract and writes the files.
///
/// # Errors
/// If a file has errors or the service cannot be reached; refusals are no error here.
pub fn ask_all(args: &QueryArgs) -> anyhow::Result<Summary> {
    let client = Client::open(&args.config)?;
    let profile = read_profile(args.profile.as_deref())?;
    let households = read::households(&args.arrears, &args.tenants)?;
    let epoch = client.epoch_in(&["active", "retiring"])?;
    let asker = Asker {
        encoder: encoder(&client, &epoch, &profile, args.salt_file.as_deref())?,
        log: client.log_verifier()?,
        profile,
        purpose: args.purpose.clone().or_else(|| client.config.query.purpose.clone()),
        day: args.day.unwrap_or_else(|| Clock::System.today()),
        client,
    };
    let mut summary = Summary { asked: households.len(), ..Summary::default() };
    let mut flags = csv::Writer::from_writer(Output::create(&args.output)?);
    flags.write_record(["contract_id", "answer", "epoch", "log_index", "leaf_hash", "checkpoint"])?;
    let mut refusals = csv::Writer::from_writer(Output::create(&refused_path(&args.output))?);
    refusals.write_record(["contract_id", "code", "article", "detail"])?;
    for (arrears, tenants) in bar(households.len(), "asking").wrap_iter(households.iter()) {
        match asker.ask(arrears, tenants) {
            Ok(answered) => {
                let receipt = answered.receipt;
                let index = receipt.index.to_string();
                let (leaf, note) = (receipt.leaf.to_string(), STANDARD.encode(&receipt.checkpoint));
                flags.write_record([
                    &arrears.contract,
                    &answered.answer,
                    answered.epoch.as_str(),
                    &index,
                    &leaf,
                    &note,
                ])?;
                *summary.answers.entry(answered.answer).or_default() += 1;
                summary.receipts.push(receipt);
            }
            Err(error) => {
                let Refused(problem) = error.downcast::<Refused>()?;
                let article = problem.article.clone().unwrap_or_default();
                refusals.write_record([&arrears.contract, &problem.code, &article, &problem.detail])?;
                let by = if article.is_empty() { problem.code } else { article };
                *summary.refused.entry(by).or_default() += 1;
            }
        }
    }
    finish(flags)?;
    if !summary.refused.is_empty() {
        finish(refusals)?;
    }
    Ok(summary)
}

fn finish(writer: csv::Writer<Output>) -> anyhow::Result<()> {
    let mut output = writer.into_inner().map_err(|error| anyhow::anyhow!("{}", error.error()))?;
    output.flush()?;
    output.finish()
}

struct Asker {
    client: Client,
    encoder: Encoder,
    log: crate::audit::NoteVerifier,
    profile: Profile,
    purpose: Option<String>,
    day: Date,
}

impl Asker {
    fn ask(&self, arrears: &Arrears, tenants: &[Tenant]) -> anyhow::Result<Answered> {
        let mut address = None;
        let mut codes = Vec::new();
        for tenant in tenants {
            let (one, token) = self.encoder.tenant(tenant);
            address = address.or(token);
            codes.push(wire::Tenant { codes: by_name(one, &self.profile) });
        }
        let question = Question {
            header: self.encoder.header(),
            purpose: self.purpose.clone(),
            arrears: standing(arrears, self.day),
            conditions: self.client.config.query.conditions,
            address,
            tenants: codes,
        };
        let answered: Answered = self.client.post("priority-questions", &question)?;
        let covered = Checkpoint::parse(&answered.receipt.checkpoint, &self.log)?.size > answered.receipt.index;
        ensure!(covered, "the receipt's checkpoint does not cover its entry; keep it and tell the officer");
        Ok(answered)
    }
}

/// Months as reported, and the days that have passed since the report.
pub fn standing(arrears: &Arrears, day: Date) -> wire::Arrears {
    let days = arrears.reported.map_or(0, |reported| (day - reported).whole_days());
    wire::Arrears { months: arrears.months, days: u32::try_from(days).unwrap_or(0) }
}
