//! `voorrang load`: encode a register, a care list or a housing stock, upload it, report.

mod known;
mod place;
mod receipts;
mod sending;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use rayon::prelude::*;
use time::Date;

use super::bodies::Bodies;
use super::client::{Client, Refused, fresh_key};
use super::inputs::{file_digest, parse_day, read_profile};
use super::output::bar;
use super::people::{CHUNK, FormatName, PeopleArgs, SHARE};
use super::quality_report;
use super::salt::{encoder, read_salt};
use crate::answer::quality::LoadQuality;
use crate::answer::wire::law::Pending;
use crate::answer::wire::{self, Changes, LoadPlan, RecordLine};
use crate::audit::Receipt;
use crate::clock::Clock;
use crate::code::{Record, RecordRef};
use crate::encode::{Address, Ages, CareMember, Encoder, Resident, Source, read};
use crate::ids::{EpochId, LoadId, ProposalId};
use crate::profile::Profile;
use known::{Known, Stamp};
use sending::{Lines, Sending};

/// What is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The population register
    Population,
    /// The care network's list
    Care,
    /// The addresses that a corporation lets
    Stock,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Population => "the population register",
            Self::Care => "the care list",
            Self::Stock => "the housing stock",
        }
    }
}

/// What `voorrang load` takes.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// What is in the file
    pub kind: Kind,
    /// File of people; for stock a CSV file with the columns postcode and huisnummer
    pub input: PathBuf,
    #[command(flatten)]
    pub people: PeopleArgs,
    /// This party's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// Epoch to load into [default: the one that is being prepared while it lacks this, else the one that answers]
    #[arg(long)]
    pub epoch: Option<EpochId>,
    /// Day on which the register was read: ages are counted on it [default: today]
    #[arg(long, value_parser = parse_day)]
    pub reference_date: Option<Date>,
    /// Dwellings of the stock [default: the distinct addresses in the file]
    #[arg(long)]
    pub dwellings: Option<u32>,
    /// Salt file or `env:VOORRANG_SALT`, where the envelope is opened elsewhere [default: open the envelope, keep the salt in memory]
    #[arg(long)]
    pub salt_file: Option<PathBuf>,
    /// Profile file [default: the built-in one]
    #[arg(long)]
    pub profile: Option<PathBuf>,
    /// Send only what changed since the load that answers now; the whole file where that is not known
    #[arg(long)]
    pub delta: bool,
    /// Although the epoch answers and the file has many more or fewer records than the load before; logged
    #[arg(long)]
    pub accept_shrink: bool,
    /// Read and encode everything, send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write what would be sent into this new folder, as bodies of requests
    #[arg(long, value_name = "FOLDER", requires = "dry_run")]
    pub bodies: Option<PathBuf>,
}

impl LoadArgs {
    /// The whole file, as `voorrang load KIND INPUT --config CONFIG` takes it.
    #[must_use]
    pub fn new(kind: Kind, input: PathBuf, config: PathBuf) -> Self {
        Self {
            kind,
            input,
            people: PeopleArgs::default(),
            config,
            epoch: None,
            reference_date: None,
            dwellings: None,
            salt_file: None,
            profile: None,
            delta: false,
            accept_shrink: false,
            dry_run: false,
            bodies: None,
        }
    }
}

/// What was loaded.
pub struct Loaded {
    pub records: usize,
    /// With codes; dwellings for a stock.
    pub persons: usize,
    pub bytes: usize,
    pub receipt: Option<Receipt>,
    /// A stock counts once the municipality's privacy officer has confirmed this.
    pub pending: Option<ProposalId>,
    /// What the service says of how well it can link these records; none for a stock or a dry run.
    pub quality: Option<LoadQuality>,
    /// The first record with codes, as it was sent.
    pub sample: Option<RecordLine>,
    /// What was changed in the load before, where not the whole file was sent.
    pub changes: Option<Changes>,
}

impl Loaded {
    fn of(records: usize) -> Self {
        let (receipt, pending, quality, sample, changes) = Default::default();
        Self { records, persons: 0, bytes: 0, receipt, pending, quality, sample, changes }
    }

    /// Counts a record; its reference, and its line.
    fn take(&mut self, line: RecordLine) -> anyhow::Result<(RecordRef, Vec<u8>)> {
        let bytes = serde_json::to_vec(&line).context("a record has a JSON form")?;
        let id = line.id;
        self.persons += usize::from(!line.codes.is_empty());
        if self.sample.is_none() && !line.codes.is_empty() {
            self.sample = Some(line);
        }
        Ok((id, bytes))
    }
}

/// Whether changes were refused because the service's load is another one than they were made for.
fn is_outdated(Refused(problem): &Refused) -> bool {
    ["load_base", "load_parts", "record_not_there"].contains(&problem.code.as_str())
}

/// Runs the command and reports.
///
/// # Errors
/// Names file and line, or what the service refused.
pub fn run(args: &LoadArgs) -> anyhow::Result<()> {
    // While it can still be stopped.
    if args.reference_date.is_none() && args.kind != Kind::Stock {
        eprintln!("Ages and freshness count as if the register was read today; say otherwise with --reference-date.");
    }
    let loaded = load(args)?;
    let what = if args.kind == Kind::Stock { "addresses" } else { "persons with codes" };
    let sent = if args.dry_run { "Dry run, nothing sent" } else { "Loaded" };
    if let Some(pending) = &loaded.pending {
        eprintln!("It counts once the municipality's privacy officer has confirmed it:");
        eprintln!("  voorrang regulation confirm {pending} --config <officer>.toml");
    }
    if let Some(Changes { added, replaced, removed }) = &loaded.changes {
        eprintln!("Changed only: {added} added, {replaced} replaced, {removed} removed.");
    }
    eprintln!("{sent}: {} records, {} {what}, {} bytes.", loaded.records, loaded.persons, loaded.bytes);
    if let Some(quality) = &loaded.quality {
        eprint!("{}", quality_report::text(quality));
        eprintln!(
            "That is of this file alone. What it makes of the other register, and what readers of the answers may infer,"
        );
        eprintln!("privacy officers read: voorrang epoch reports EPOCH --config <officer>.toml");
    }
    if let Some(receipt) = &loaded.receipt {
        eprintln!("Its receipt, of entry {} of the access log, is in {}.", receipt.index, receipts::FILE);
    }
    Ok(())
}

/// Encodes and uploads. Where another epoch takes over in the middle, once more with that one, and where the regulation has
/// other ages meanwhile, by those: the half load counts for nothing. An epoch or a salt that was given is that one; there is
/// no second one.
///
/// # Errors
/// As [`run`].
pub fn load(args: &LoadArgs) -> anyhow::Result<Loaded> {
    let any = args.salt_file.is_none() && args.epoch.is_none();
    let has_other_ages = |Refused(problem): &Refused| problem.code == "other_ages";
    match load_once(args) {
        Err(error) if error.downcast_ref::<Refused>().is_some_and(has_other_ages) => {
            eprintln!("The regulation has got other ages; loading by those.");
            load_once(args)
        }
        Err(error) if any && error.downcast_ref::<Refused>().is_some_and(Refused::is_cut_over) => {
            eprintln!("Another epoch has taken over; loading into that one.");
            load_once(args)
        }
        done => done,
    }
}

fn load_once(args: &LoadArgs) -> anyhow::Result<Loaded> {
    // The file first: nobody is asked for anything before it is known to be good.
    match args.kind {
        Kind::Population => {
            let people = args.people.residents(&args.input)?;
            let client = Client::at_night(&args.config)?;
            let _alone = alone(&client, args)?;
            let stated = client.ages()?;
            let session = Session { ages: Some(stated), ..Session::open(&client, args)? };
            let wire::Ages { minor_below, senior_from } = stated;
            let ages = Ages { minor_below, senior_from };
            let ids = people.iter().map(|r| session.encoder.record_ref(Source::Population, &r.id));
            let order = shuffled(ids.collect());
            session.upload(wire::Source::Population, &order, |rows| {
                let people: Vec<Resident> = rows.iter().map(|&row| people[row].clone()).collect();
                session.encoder.residents(&people, session.day, &ages)
            })
        }
        Kind::Care => {
            let people = args.people.care_members(&args.input)?;
            let client = Client::at_night(&args.config)?;
            let _alone = alone(&client, args)?;
            let session = Session::open(&client, args)?;
            let ids = people.iter().map(|m| session.encoder.record_ref(Source::Care, &m.id));
            let order = shuffled(ids.collect());
            session.upload(wire::Source::Care, &order, |rows| {
                let people: Vec<CareMember> = rows.iter().map(|&row| people[row].clone()).collect();
                session.encoder.care_members(&people)
            })
        }
        Kind::Stock => {
            ensure!(args.people.format == FormatName::Csv, "a stock comes as csv; leave --format out");
            ensure!(!args.delta, "a stock is sent as a whole; leave --delta out");
            ensure!(!args.accept_shrink, "a stock is confirmed by an officer; leave --accept-shrink out");
            let addresses = read::stock(&args.input)?;
            let client = Client::at_night(&args.config)?;
            let _alone = alone(&client, args)?;
            Session::open(&client, args)?.stock(&addresses, args.dwellings)
        }
    }
}

/// Two loads of one party at once would take each other's memory.
fn alone(client: &Client, args: &LoadArgs) -> anyhow::Result<Option<File>> {
    if args.dry_run { Ok(None) } else { client.alone("load").map(Some) }
}

/// Row numbers in the order of their keyed references: the order of the custodian's file may be alphabetical,
/// and would tell names.
fn shuffled<T: Ord>(keys: Vec<T>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_unstable_by(|&a, &b| keys[a].cmp(&keys[b]));
    order
}

struct Session<'a> {
    client: &'a Client,
    encoder: Encoder,
    profile: Profile,
    day: Date,
    /// By which a population's groups are made.
    ages: Option<wire::Ages>,
    /// SHA-256 of the input file, hexadecimal: a load that was cut goes on with the same file only.
    input: String,
    dry_run: bool,
    /// Where what is not sent is written.
    bodies: Option<PathBuf>,
    delta: bool,
    accept_shrink: bool,
}

impl<'a> Session<'a> {
    fn open(client: &'a Client, args: &LoadArgs) -> anyhow::Result<Self> {
        args.people.agreed(|| client.signed_regulation())?;
        let profile = read_profile(args.profile.as_deref())?;
        let epoch = place::epoch_for(client, args)?;
        let doing = if args.dry_run { "Encoding" } else { "Loading" };
        eprintln!("{doing} {} for the epoch {}, which is {}.", args.kind.word(), epoch.id, epoch.state);
        let kept = args.salt_file.as_deref().map(read_salt).transpose()?;
        let encoder = encoder(client, &epoch, &profile, kept)?;
        let day = args.reference_date.unwrap_or_else(|| Clock::System.today());
        let input = file_digest(&args.input)?;
        let LoadArgs { dry_run, delta, accept_shrink, .. } = *args;
        let bodies = args.bodies.clone();
        Ok(Self { client, encoder, profile, day, ages: None, input, dry_run, bodies, delta, accept_shrink })
    }

    /// Sends the file, or what changed in it.
    fn upload(
        &self,
        source: wire::Source,
        order: &[usize],
        encode: impl Fn(&[usize]) -> Vec<Record> + Sync,
    ) -> anyhow::Result<Loaded> {
        let header = self.encoder.header();
        let known = if self.delta { Known::read(self.client, source, &header)? } else { None };
        if let Some(known) = known {
            match self.send_changes(known, source, order, &encode) {
                Err(error) if error.downcast_ref::<Refused>().is_some_and(is_outdated) => {
                    eprintln!("{error:#}\nSending the whole file.");
                }
                done => return done,
            }
        } else if self.delta {
            eprintln!("No load of this epoch is remembered here that could be changed; sending the whole file.");
        }
        self.send_whole(source, order, &encode)
    }

    fn send_whole(
        &self,
        source: wire::Source,
        order: &[usize],
        encode: &(impl Fn(&[usize]) -> Vec<Record> + Sync),
    ) -> anyhow::Result<Loaded> {
        let mut loaded = Loaded::of(order.len());
        let plan = self.plan(source, order.len(), None);
        let mut sending = self.upload_of(&plan)?;
        let progress = bar(order.len(), &format!("loading {}", source.as_str()));
        let mut stamps = Vec::with_capacity(order.len());
        for line in progress.over(self.lines(order, encode)) {
            let (id, bytes) = loaded.take(line)?;
            stamps.push(known::stamp(id, &bytes));
            loaded.bytes += bytes.len() + 1;
            sending.line(&bytes)?;
        }
        self.end(sending, source, &stamps, &mut loaded)?;
        Ok(loaded)
    }

    /// What is new or other than it was sent before, and what is gone.
    fn send_changes(
        &self,
        mut known: Known,
        source: wire::Source,
        order: &[usize],
        encode: &(impl Fn(&[usize]) -> Vec<Record> + Sync),
    ) -> anyhow::Result<Loaded> {
        let mut loaded = Loaded::of(order.len());
        let (mut changes, mut stamps) = (Vec::new(), Vec::with_capacity(order.len()));
        for line in bar(order.len(), "comparing").over(self.lines(order, encode)) {
            let (id, bytes) = loaded.take(line)?;
            let stamp = known::stamp(id, &bytes);
            if known.records.remove(&id) != Some(stamp.1) {
                changes.push(bytes);
            }
            stamps.push(stamp);
        }
        // In one order, so that a run that goes on makes the same chunks.
        let mut gone: Vec<RecordRef> = known.records.into_keys().collect();
        gone.sort_unstable();
        let gone = gone.into_iter().map(|id| serde_json::to_vec(&RecordLine::gone(id)));
        changes.extend(gone.collect::<Result<Vec<_>, _>>().context("a reference has a JSON form")?);
        loaded.bytes = changes.iter().map(|line| line.len() + 1).sum();
        let mut sending = self.upload_of(&self.plan(source, changes.len(), Some(known.load)))?;
        let progress = bar(changes.len(), &format!("changing {}", source.as_str()));
        progress.over(changes.iter()).try_for_each(|line| sending.line(line))?;
        self.end(sending, source, &stamps, &mut loaded)?;
        Ok(loaded)
    }

    /// Where the lines of this plan go.
    fn upload_of(&self, plan: &LoadPlan) -> anyhow::Result<Lines<'a>> {
        match &self.bodies {
            Some(folder) => {
                let bodies = Bodies::create(folder)?;
                bodies.body("plan.json", plan)?;
                Ok(Lines::Written(bodies))
            }
            None if self.dry_run => Ok(Lines::Counted),
            None => Sending::open(self.client, plan, &self.input).map(Box::new).map(Lines::Sent),
        }
    }

    fn plan(&self, source: wire::Source, lines: usize, base: Option<LoadId>) -> LoadPlan {
        let (header, records) = (self.encoder.header(), lines as u64);
        LoadPlan { header, source, records, base, reference_date: self.day, ages: self.ages }
    }

    /// Every record as it travels.
    fn lines(
        &self,
        order: &[usize],
        encode: &(impl Fn(&[usize]) -> Vec<Record> + Sync),
    ) -> impl Iterator<Item = RecordLine> {
        let records =
            order.chunks(CHUNK).flat_map(move |rows| rows.par_chunks(SHARE).flat_map_iter(encode).collect::<Vec<_>>());
        records.map(|record| RecordLine::new(record, &self.profile))
    }

    fn end(&self, lines: Lines<'_>, source: wire::Source, stamps: &[Stamp], loaded: &mut Loaded) -> anyhow::Result<()> {
        let sending = match lines {
            Lines::Counted => return Ok(()),
            Lines::Written(bodies) => return bodies.commit(self.accept_shrink),
            Lines::Sent(sending) => sending,
        };
        let load = sending.load();
        let report = sending.commit(self.accept_shrink)?;
        known::remember(self.client, source, self.encoder.header(), load, stamps)?;
        receipts::keep(self.client, source.as_str(), &self.encoder.header().epoch, &report.receipt)?;
        (loaded.receipt, loaded.quality, loaded.changes) = (Some(report.receipt), Some(report.quality), report.changes);
        Ok(())
    }

    fn stock(&self, addresses: &[Address], dwellings: Option<u32>) -> anyhow::Result<Loaded> {
        let tokens = addresses.iter().filter_map(|address| self.encoder.address(address));
        let tokens: BTreeSet<_> = tokens.map(|token| token.stock_prefix()).collect();
        // A token is without the suffix: flats share one, so there are more dwellings than tokens.
        let whole = addresses.iter().map(|one| (one.postcode(), one.number(), one.suffix())).collect::<BTreeSet<_>>();
        let distinct = u32::try_from(whole.len()).context("too many dwellings")?;
        let dwellings = dwellings.unwrap_or(distinct);
        let (persons, tokens) = (tokens.len(), tokens.into_iter().flatten().collect::<Vec<_>>());
        let bytes = tokens.len();
        let mut loaded = Loaded { persons, bytes, ..Loaded::of(addresses.len()) };
        let stock = wire::Stock { header: self.encoder.header(), dwellings, addresses: STANDARD.encode(tokens) };
        if let Some(folder) = &self.bodies {
            let bodies = Bodies::create(folder)?;
            bodies.body("stock.json", &stock)?;
            bodies.finish()?;
        }
        if !self.dry_run {
            let key = fresh_key();
            let pending: Pending = self.client.patiently(|| self.client.put_once("stock", &stock, &key))?;
            receipts::keep(self.client, "stock", &self.encoder.header().epoch, &pending.receipt)?;
            (loaded.receipt, loaded.pending) = (Some(pending.receipt), Some(pending.proposal));
        }
        Ok(loaded)
    }
}
