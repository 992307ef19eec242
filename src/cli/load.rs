//! `voorrang load`: encode a register, a care list or a housing stock, upload it, report.

mod sending;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use bloomfilter::Bloom;
use clap::ValueEnum;
use rayon::prelude::*;
use time::Date;

use super::client::{Client, Refused, fresh_key, patiently};
use super::inputs::{file_digest, parse_day, read_profile, read_salt};
use super::output::bar;
use super::people::{CHUNK, FormatName, PeopleArgs, SHARE};
use super::quality_report;
use crate::answer::STOCK_FALSE_POSITIVES;
use crate::answer::quality::LoadQuality;
use crate::answer::wire::law::{InferenceView, Pending};
use crate::answer::wire::{self, EpochView, LoadPlan, RecordLine};
use crate::audit::Receipt;
use crate::clock::Clock;
use crate::code::{AddressToken, Record};
use crate::encode::{Address, Ages, CareMember, Encoder, Resident, Source, read};
use crate::ids::ProposalId;
use crate::profile::Profile;
use sending::Sending;

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
    /// Read and encode everything, send nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What was loaded.
pub struct Loaded {
    pub records: usize,
    /// With codes; dwellings for a stock.
    pub persons: usize,
    pub bytes: usize,
    pub receipt: Option<Receipt>,
    /// What readers of the answers may infer, once both sources are loaded.
    pub inference: Option<InferenceView>,
    /// A stock counts once the municipality's privacy officer has confirmed this.
    pub pending: Option<ProposalId>,
    /// What the service says of how well it can link these records; none for a stock or a dry run.
    pub quality: Option<LoadQuality>,
    /// The first record with codes, as it was sent.
    pub sample: Option<RecordLine>,
}

/// Runs the command and reports.
///
/// # Errors
/// Names file and line, or what the service refused.
pub fn run(args: &LoadArgs) -> anyhow::Result<()> {
    let loaded = load(args)?;
    if args.reference_date.is_none() && args.kind != Kind::Stock {
        eprintln!("Ages and freshness count as if the register was read today; say otherwise with --reference-date.");
    }
    let what = if args.kind == Kind::Stock { "addresses" } else { "persons with codes" };
    let sent = if args.dry_run { "Dry run, nothing sent" } else { "Loaded" };
    if let Some(inference) = &loaded.inference {
        eprintln!("{}", quality_report::inference(inference));
    }
    if let Some(pending) = &loaded.pending {
        eprintln!("It counts once the municipality's privacy officer has confirmed it:");
        eprintln!("  voorrang regulation confirm {pending} --config <officer>.toml");
    }
    eprintln!("{sent}: {} records, {} {what}, {} bytes.", loaded.records, loaded.persons, loaded.bytes);
    if let Some(quality) = &loaded.quality {
        eprint!("{}", quality_report::text(quality));
    }
    Ok(())
}

/// Encodes and uploads. Where another epoch takes over in the middle, once more with that one: the half load counts for
/// nothing. A salt that was given is of one epoch; with it there is no second time.
///
/// # Errors
/// As [`run`].
pub fn load(args: &LoadArgs) -> anyhow::Result<Loaded> {
    match load_once(args) {
        Err(error) if args.salt_file.is_none() && error.downcast_ref::<Refused>().is_some_and(Refused::is_cut_over) => {
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
            let client = Client::open(&args.config)?;
            let session = Session::open(&client, args)?;
            let regulation = client.regulation()?;
            let ages = Ages { minor_below: regulation.minor_below, senior_from: regulation.senior_from };
            let ids = people.iter().map(|r| session.encoder.record_ref(Source::Population, &r.id));
            let order = shuffled(ids.collect());
            session.upload(wire::Source::Population, &order, |rows| {
                let people: Vec<Resident> = rows.iter().map(|&row| people[row].clone()).collect();
                session.encoder.residents(&people, session.day, &ages)
            })
        }
        Kind::Care => {
            let people = args.people.care_members(&args.input)?;
            let client = Client::open(&args.config)?;
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
            let addresses = read::stock(&args.input)?;
            let client = Client::open(&args.config)?;
            Session::open(&client, args)?.stock(&addresses, args.dwellings)
        }
    }
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
    /// SHA-256 of the input file, hexadecimal: a load that was cut goes on with the same file only.
    input: String,
    dry_run: bool,
}

impl<'a> Session<'a> {
    fn open(client: &'a Client, args: &LoadArgs) -> anyhow::Result<Self> {
        let profile = read_profile(args.profile.as_deref())?;
        let epoch = client.epoch_in(&["loading", "active"])?;
        let encoder = encoder(client, &epoch, &profile, args.salt_file.as_deref())?;
        let day = args.reference_date.unwrap_or_else(|| Clock::System.today());
        let input = file_digest(&args.input)?;
        Ok(Self { client, encoder, profile, day, input, dry_run: args.dry_run })
    }

    fn upload(
        &self,
        source: wire::Source,
        order: &[usize],
        encode: impl Fn(&[usize]) -> Vec<Record> + Sync,
    ) -> anyhow::Result<Loaded> {
        let mut loaded = Loaded {
            records: order.len(),
            persons: 0,
            bytes: 0,
            receipt: None,
            inference: None,
            pending: None,
            quality: None,
            sample: None,
        };
        let plan =
            LoadPlan { header: self.encoder.header(), source, records: order.len() as u64, reference_date: self.day };
        let mut sending = if self.dry_run { None } else { Some(Sending::open(self.client, &plan, &self.input)?) };
        let progress = bar(order.len(), &format!("loading {}", source.as_str()));
        let records =
            order.chunks(CHUNK).flat_map(|rows| rows.par_chunks(SHARE).flat_map_iter(&encode).collect::<Vec<_>>());
        for record in progress.over(records) {
            let line = RecordLine::new(record, &self.profile);
            loaded.persons += usize::from(!line.codes.is_empty());
            if loaded.sample.is_none() && !line.codes.is_empty() {
                loaded.sample = Some(line.clone());
            }
            let line = serde_json::to_vec(&line).context("a record has a JSON form")?;
            loaded.bytes += line.len() + 1;
            sending.as_mut().map_or(Ok(()), |sending| sending.line(&line))?;
        }
        if let Some(sending) = sending {
            let report = sending.commit()?;
            (loaded.receipt, loaded.inference) = (Some(report.receipt), report.inference);
            loaded.quality = Some(report.quality);
        }
        Ok(loaded)
    }

    fn stock(&self, addresses: &[Address], dwellings: Option<u32>) -> anyhow::Result<Loaded> {
        let tokens: BTreeSet<AddressToken> =
            addresses.iter().filter_map(|address| self.encoder.address(address)).collect();
        // A token is without the suffix: flats share one, so there are more dwellings than tokens.
        let whole = addresses.iter().map(|one| (one.postcode(), one.number(), one.suffix())).collect::<BTreeSet<_>>();
        let distinct = u32::try_from(whole.len()).context("too many dwellings")?;
        let dwellings = dwellings.unwrap_or(distinct);
        let Ok(mut filter) = Bloom::new_for_fp_rate(dwellings as usize, STOCK_FALSE_POSITIVES) else {
            bail!("a stock has at least one dwelling");
        };
        tokens.iter().for_each(|token| filter.set(&token.0));
        let filter = filter.into_bytes();
        let (records, persons, bytes) = (addresses.len(), tokens.len(), filter.len());
        let mut loaded = Loaded {
            records,
            persons,
            bytes,
            receipt: None,
            inference: None,
            pending: None,
            quality: None,
            sample: None,
        };
        if !self.dry_run {
            let stock = wire::Stock { header: self.encoder.header(), dwellings, filter: STANDARD.encode(filter) };
            let key = fresh_key();
            let pending: Pending = patiently(|| self.client.put_once("stock", &stock, &key))?;
            (loaded.receipt, loaded.pending) = (Some(pending.receipt), Some(pending.proposal));
        }
        Ok(loaded)
    }
}

/// The encoder of an epoch, its salt from a file or from the envelope.
///
/// # Errors
/// If the profile is not the epoch's, or the salt cannot be had.
pub fn encoder(client: &Client, epoch: &EpochView, profile: &Profile, salt: Option<&Path>) -> anyhow::Result<Encoder> {
    if (&epoch.profile, &epoch.schema_hash) != (&profile.id, &profile.schema_hash()) {
        bail!(
            "the epoch {} wants the profile {} (schema {}); give it with --profile",
            epoch.id,
            epoch.profile,
            epoch.schema_hash
        );
    }
    let salt = match salt {
        Some(path) => read_salt(path)?,
        None => client.salt(&epoch.id, profile)?,
    };
    let encoder = Encoder::new(profile, salt.expose(), &epoch.id);
    match &epoch.key_check {
        Some(check) if *check != encoder.header().key_check => {
            bail!("this salt is not the one that the epoch {} was loaded with; fetch the envelope again", epoch.id)
        }
        _ => Ok(encoder),
    }
}
