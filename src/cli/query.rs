//! `voorrang query`: asks for every household in an arrears file and writes what came back, receipts included. Where the
//! regulation wants a minimum in one request, households are asked about together.

mod asker;
mod batch;
mod files;
mod groups;
mod lost;
mod proving;
mod run;
mod vera;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use time::Date;

use super::bodies::Bodies;
use super::client::Client;
use super::inputs::{parse_day, read_profile};
use super::interrupt;
use super::output::{Output, bar};
use super::people::{FormatName, PeopleArgs};
use super::there::refuse_clash;
use crate::answer::wire;
use crate::answer::wire::law::{Batch, MOST_AT_ONCE};
use crate::clock::Clock;
use crate::encode::Arrears;
use crate::encode::read::{self, Household, ReadError};
use asker::Asker;
use batch::MANY;
pub(super) use files::{COLUMNS, Row};
use files::{Files, part_path, refused_path};
use groups::{Groups, groups};
pub(super) use proving::Prover;
use run::Run;

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
    /// Write the answers into this file as well, as JSON with VERA's names: agreement, answer and trace id, no receipts
    #[arg(long, value_name = "FILE")]
    pub vera: Option<PathBuf>,
    /// Go on where a run with the same -o, files, day, purpose and conditions was cut: its answers are in a file with `.part.csv`
    #[arg(long)]
    pub resume: bool,
    /// Ask anew about households whose answers went with their epoch before they were fetched: they are charged again
    #[arg(long)]
    pub ask_again: bool,
    /// Ask in one batch that the service answers in the background, as is done for more than 1,000 households
    #[arg(long)]
    pub batch: bool,
    /// Read and encode everything, ask nothing and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write what would be asked into this new folder, as bodies of requests
    #[arg(long, value_name = "FOLDER", requires = "dry_run")]
    pub bodies: Option<PathBuf>,
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

impl QueryArgs {
    /// All of a CSV file of arrears, with `config`'s purpose, as it stands today.
    #[must_use]
    pub fn new(arrears: PathBuf, tenants: PathBuf, config: PathBuf, output: PathBuf) -> Self {
        Self {
            arrears,
            tenants,
            format: FormatName::Csv,
            config,
            output,
            vera: None,
            resume: false,
            ask_again: false,
            batch: false,
            dry_run: false,
            bodies: None,
            purpose: None,
            day: None,
            salt_file: None,
            profile: None,
        }
    }
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
/// [`SomeRefused`], or what went wrong; then nothing of this run is under the name of the answers. What an earlier one
/// left there stays.
pub fn run(args: &QueryArgs) -> anyhow::Result<()> {
    interrupt::watch()?;
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

/// Asks for every contract and writes the files.
///
/// # Errors
/// If a file has errors or the service cannot be reached; refusals are no error here. Answers that came before an
/// error are kept in a file of their own: they are logged and charged.
pub fn ask_all(args: &QueryArgs) -> anyhow::Result<Summary> {
    let inputs = [args.arrears.as_path(), &args.tenants, &args.config];
    let others = args.salt_file.iter().chain(&args.profile).map(PathBuf::as_path);
    let outputs: Vec<PathBuf> = files::outputs(&args.output).into_iter().chain(args.vera.clone()).collect();
    let written = || outputs.iter().map(PathBuf::as_path);
    refuse_clash(written(), inputs.into_iter().chain(others))?;
    let people = PeopleArgs { format: args.format, ..PeopleArgs::default() };
    let households = match read::households(&args.arrears, people.tenants(&args.tenants)?) {
        // A day on which nobody is in arrears is a day as any other.
        Err(ReadError::NoRows { name }) => {
            eprintln!("{name} has a header and no rows: nobody is asked about.");
            Vec::new()
        }
        read => read?,
    };
    let day = args.day.unwrap_or_else(|| Clock::System.today());
    let late = |arrears: &Arrears| arrears.reported.is_some_and(|reported| reported > day);
    ensure!(
        !households.iter().any(|(arrears, _)| late(arrears)),
        "{} has arrears that were reported after {day}; give the day on which they stand with --day",
        args.arrears.display()
    );
    let as_batch = (args.batch && !households.is_empty()) || households.len() > MANY;
    let client = Client::at_night(&args.config)?;
    refuse_clash(written(), client.config.files())?;
    let _alone = if args.dry_run { None } else { Some(client.alone("query")?) };
    if !args.dry_run {
        client.forget_old("query-", OLD);
    }
    let run = Run::of(args, &client, day)?;
    let known = kept(args, &run)?;
    let minimum = client.minimum_batch()?;
    let mut asker = Asker::open(client, read_profile(args.profile.as_deref())?, args, run.clone(), day)?;
    if args.dry_run {
        if let Some(folder) = &args.bodies {
            write_bodies(&asker, &households, folder)?;
        }
        return Ok(dry_run(&asker, &households, minimum));
    }
    // Before anybody is asked about: what cannot be written is said at once.
    let vera = args.vera.as_deref().map(Output::create).transpose()?;
    run.sign(&args.output)?;
    let mut files = Files::create(&args.output, households.len(), known)?;
    let asked = if as_batch && (minimum <= 1 || grouped(&asker, &households, minimum).left.len() < households.len()) {
        batch::ask(&mut asker, &households, minimum, args.ask_again, &mut files)
    } else {
        ask_singly(&mut asker, &households, minimum, args.ask_again, &mut files)
    };
    match asked {
        Ok(()) => {
            let summary = files.finish()?;
            if let Some(out) = vera {
                vera::write(&args.output, out, Clock::System.now())?;
            }
            asker.forget()?;
            Ok(summary)
        }
        Err(error) => Err(files.keep(error)),
    }
}

/// What a run that was cut remembers is of no use then: the service has forgotten its keys and its results.
const OLD: Duration = Duration::from_hours(30 * 24);

/// The answers that a run that was cut kept. Those of another run are charged too: they are kept under another name.
fn kept(args: &QueryArgs, run: &Run) -> anyhow::Result<BTreeMap<String, Row>> {
    let part = part_path(&args.output);
    if !part.exists() {
        if args.resume && !args.dry_run {
            eprintln!("There is no {}: beginning anew.", part.display());
        }
        return Ok(BTreeMap::new());
    }
    if args.resume {
        run.owns(&args.output)?;
        return files::rows(&part);
    }
    if !args.dry_run {
        files::set_aside(&args.output)?;
    }
    Ok(BTreeMap::new())
}

/// The first question, as many as are answered at once, and all of them as a batch.
fn write_bodies(asker: &Asker, households: &[Household], folder: &Path) -> anyhow::Result<()> {
    let mut bodies = Bodies::create(folder)?;
    let count = u32::try_from(households.len()).context("too many households")?;
    bodies.body("plan.json", &asker.plan(count))?;
    for (at, some) in households.chunks(MOST_AT_ONCE).enumerate() {
        let questions = asker.questions(&some.iter().collect::<Vec<_>>());
        for question in &questions {
            bodies.line(&serde_json::to_vec(question).context("a question has a JSON form")?)?;
        }
        if at == 0 {
            bodies.body("question.json", &questions[0])?;
            bodies.body("batch.json", &Batch { questions })?;
        }
    }
    bodies.commit(false)
}

fn dry_run(asker: &Asker, households: &[Household], minimum: usize) -> Summary {
    let whole = |household: &&Household| asker.question(household).address.is_some();
    let with_address = bar(households.len(), "encoding").over(households.iter()).filter(whole).count();
    eprintln!("Dry run, nothing asked: {} households, {with_address} with a whole address.", households.len());
    if minimum > 1 {
        let left = grouped(asker, households, minimum).left.len();
        eprintln!("The regulation wants {minimum} different addresses in one request: {left} households have too few.");
    }
    Summary { asked: households.len(), ..Summary::default() }
}

/// Asks in requests that are answered at once, first the one that a run that was cut sent last.
fn ask_singly(
    asker: &mut Asker,
    households: &[Household],
    minimum: usize,
    ask_again: bool,
    files: &mut Files,
) -> anyhow::Result<()> {
    for (contract, row) in asker.ask_lost(households, |contract| files.has(contract), ask_again)? {
        files.put(&contract, Ok(row))?;
    }
    files.settle()?;
    if minimum > 1 {
        return ask_together(asker, households, minimum, files);
    }
    for household in bar(households.len(), "asking").over(households.iter()) {
        let contract = &household.0.contract;
        if !files.has(contract) {
            files.put(contract, asker.ask(household)?)?;
            files.settle()?;
        }
    }
    Ok(())
}

/// The requests in which households are asked about where one is not enough.
fn grouped<'a>(asker: &Asker, households: impl IntoIterator<Item = &'a Household>, minimum: usize) -> Groups {
    let addresses: Vec<_> = households.into_iter().map(|household| asker.address(household)).collect();
    groups(&addresses, minimum, MOST_AT_ONCE)
}

/// Asks in requests that are large enough. Whom a cut-over leaves out waits for those who are left, until they are enough
/// for a request in the epoch that took over: asked about alone they would be singled out.
fn ask_together(asker: &mut Asker, households: &[Household], minimum: usize, files: &mut Files) -> anyhow::Result<()> {
    let progress = bar(households.len(), "asking");
    let mut left: Vec<usize> = (0..households.len()).filter(|&at| !files.has(&households[at].0.contract)).collect();
    loop {
        let Groups { together, left: few } = grouped(asker, left.iter().map(|&at| &households[at]), minimum);
        if together.is_empty() {
            return leave_few(&left, households, minimum, files);
        }
        let mut waiting: Vec<usize> = few.into_iter().map(|at| left[at]).collect();
        for group in together {
            let group: Vec<usize> = group.into_iter().map(|at| left[at]).collect();
            let these: Vec<&Household> = group.iter().map(|&at| &households[at]).collect();
            let mut late = Vec::new();
            for (at, told) in group.into_iter().zip(asker.ask_some(&these)?) {
                match told {
                    Err(refused) if refused.is_cut_over() => late.push((at, refused)),
                    told => {
                        files.put(&households[at].0.contract, told)?;
                        progress.step();
                    }
                }
            }
            files.settle()?;
            if !late.is_empty() && asker.cut_over()? {
                waiting.extend(late.iter().map(|(at, _)| at));
                continue;
            }
            for (at, refused) in late {
                files.put(&households[at].0.contract, Err(refused))?;
                progress.step();
            }
        }
        left = waiting;
    }
}

/// Reports who is not asked about because they are too few.
fn leave_few(left: &[usize], households: &[Household], minimum: usize, files: &mut Files) -> anyhow::Result<()> {
    if left.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "the regulation wants questions about at least {minimum} different addresses in one request, and of this file too \
         few were left; nothing was told or charged: put these contracts into the next run's file"
    );
    eprintln!("{} households are not asked about: {detail}", left.len());
    left.iter().try_for_each(|&at| files.refuse(&households[at].0.contract, "not_asked", Some(MINIMUM_BATCH), &detail))
}

/// The article that the service would refuse with.
const MINIMUM_BATCH: &str = "minimum-batch";

/// What the row states, and where it is silent what is stated for the whole file.
fn stated(arrears: &Arrears, all: wire::Conditions) -> wire::Conditions {
    let said = arrears.said;
    wire::Conditions {
        personal_contact: said.personal_contact.unwrap_or(all.personal_contact),
        help_offered: said.help_offered.unwrap_or(all.help_offered),
        reminder_sent: said.reminder_sent.unwrap_or(all.reminder_sent),
        no_objection: said.no_objection.unwrap_or(all.no_objection),
        tenant_agrees: said.tenant_agrees.unwrap_or(all.tenant_agrees),
    }
}

/// Months as reported, and the days that have passed since the report.
pub fn standing(arrears: &Arrears, day: Date) -> wire::Arrears {
    let days = arrears.reported.map_or(0, |reported| (day - reported).whole_days());
    wire::Arrears { months: arrears.months, days: u32::try_from(days).unwrap_or(0) }
}
