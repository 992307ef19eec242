//! `voorrang audit token` and `voorrang audit subject`: who asked about this person's household, and what was told.
//!
//! The log knows households by pseudonyms that only the service can make, of address tokens that only who has the salt
//! can make. So two parties are needed, and neither can look somebody up alone: the register holder makes the tokens of
//! the person's addresses, one for every epoch whose salt still lives, or was kept for this; the officer asks the service
//! for their pseudonyms, which is logged, and reads her own copy.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use super::LogArgs;
use super::letter::{Looked, letter};
use super::list;
use super::reading::{Found, Reading};
use crate::answer::wire::{EpochView, SubjectQuestion, SubjectView};
use crate::cli::client::{Client, ComeAgain, Refused};
use crate::cli::inputs::read_profile;
use crate::cli::output::Output;
use crate::cli::people::PeopleArgs;
use crate::cli::salt::{encoder, read_salt};
use crate::cli::there::refuse_clash;
use crate::code::AddressToken;
use crate::encode::Encoder;
use crate::epoch::share;
use crate::ids::EpochId;
use crate::profile::Profile;

/// What making tokens takes.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// File with the person, in the form of a register: one line for each address at which the person lives or lived
    pub person: PathBuf,
    #[command(flatten)]
    pub people: PeopleArgs,
    /// The register holder's client.toml
    #[arg(long)]
    pub config: PathBuf,
    /// Tokens to write, for the officer
    #[arg(short, long)]
    pub output: PathBuf,
    /// Profile file of an epoch that has not the built-in one, kept with its salt; may be given more than once
    #[arg(long)]
    pub profile: Vec<PathBuf>,
    /// Salt file of an epoch, kept for this when the epoch was destroyed; may be given more than once
    #[arg(long, value_name = "EPOCH=FILE", value_parser = parse_kept)]
    pub salt: Vec<KeptSalt>,
}

/// A salt that the register holder kept.
pub type KeptSalt = (EpochId, PathBuf);

fn parse_kept(text: &str) -> Result<KeptSalt, String> {
    let kept = text.split_once('=').and_then(|(epoch, file)| Some((epoch.parse().ok()?, file.into())));
    kept.ok_or_else(|| "a salt that was kept is written as EPOCH=FILE".into())
}

/// What the report takes.
#[derive(Debug, clap::Args)]
pub struct SubjectArgs {
    /// Tokens that the register holder made
    pub tokens: PathBuf,
    #[command(flatten)]
    pub log: LogArgs,
    /// Report to write, Markdown; with --json JSON
    #[arg(short, long)]
    pub output: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// The file that goes from the register holder to the officer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tokens {
    tokens: Vec<Token>,
    /// Epochs for which none could be made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    not_searched: BTreeMap<EpochId, Why>,
}

/// Why nobody looked in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is destroyed, and the register holder kept no salt of it.
    SaltNotKept,
    /// The register holder has no file of its profile.
    NoProfile,
    /// The register holder's salt is another one, or its envelope does not open.
    SaltUnusable,
    /// The register holder made no token of it.
    NoToken,
    /// The key of its pseudonyms ended with the last contents that it was needed for.
    KeyEnded,
}

/// One address in one epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    epoch: EpochId,
    address: AddressToken,
}

/// Makes the tokens of a person's addresses. An epoch without a salt or profile is named on standard error, and the others
/// go on: one that was destroyed, whose salt nobody kept, must not hide the rest.
///
/// # Errors
/// If a file cannot be read, no address is whole, no epoch's salt can be had, or the service is away.
pub fn token(args: &TokenArgs) -> anyhow::Result<()> {
    let client = Client::open(&args.config)?;
    let kept = args.salt.iter().map(|(_, file)| file);
    let read = [&args.person, &args.config].into_iter().chain(&args.profile).chain(kept).map(PathBuf::as_path);
    refuse_clash([args.output.as_path()], read.chain(client.config.files()))?;
    let profiles = profiles(&args.profile)?;
    let residents = args.people.residents(&args.person)?;
    let (mut tokens, mut not_searched) = (Vec::new(), BTreeMap::new());
    let mut epochs = client.service()?.epochs;
    epochs.retain(|epoch| epoch.regulation == client.config.regulation);
    if let Some((unknown, _)) = args.salt.iter().find(|(kept, _)| epochs.iter().all(|epoch| epoch.id != *kept)) {
        bail!("--salt {unknown}: our regulation has no such epoch; see `voorrang epoch list`");
    }
    // Without a load, nobody was asked about.
    for epoch in epochs.iter().filter(|epoch| epoch.key_check.is_some()) {
        let kept = args.salt.iter().find(|(kept, _)| *kept == epoch.id).map(|(_, file)| read_salt(file)).transpose()?;
        match encoder_of(&client, epoch, &profiles, kept)? {
            Ok(encoder) => {
                let found = residents.iter().filter_map(|resident| encoder.address(resident.person.address.as_ref()?));
                tokens.extend(found.map(|address| Token { epoch: epoch.id.clone(), address }));
            }
            Err((why, error)) => {
                eprintln!("NOT SEARCHED: questions of the epoch {}: {error:#}", epoch.id);
                not_searched.insert(epoch.id.clone(), why);
            }
        }
    }
    ensure!(!tokens.is_empty(), "no line has a postcode and a house number, or no epoch has a salt and a profile");
    tokens.sort();
    tokens.dedup();
    let mut file = Output::create(&args.output)?;
    let made = Tokens { tokens, not_searched };
    serde_json::to_writer_pretty(&mut file, &made)?;
    file.finish()?;
    let epochs: BTreeSet<_> = made.tokens.iter().map(|token| token.epoch.as_str()).collect();
    let epochs = epochs.into_iter().collect::<Vec<_>>().join(", ");
    eprintln!("Tokens made: {}, of the epochs {epochs}.", made.tokens.len());
    Ok(())
}

/// The built-in profile and those of the files, by schema hash.
fn profiles(files: &[PathBuf]) -> anyhow::Result<BTreeMap<String, Profile>> {
    let read = files.iter().map(|file| read_profile(Some(file))).chain([Ok(Profile::built_in())]);
    read.map(|profile| profile.map(|profile| (profile.schema_hash(), profile))).collect()
}

/// The encoder of an epoch, with its own profile and the salt that was kept, if one was; or why there is none.
///
/// # Errors
/// If the service is away: that says nothing of the salt.
fn encoder_of(
    client: &Client,
    epoch: &EpochView,
    profiles: &BTreeMap<String, Profile>,
    kept: Option<share::KeptSalt>,
) -> anyhow::Result<Result<Encoder, (Why, anyhow::Error)>> {
    let EpochView { id, profile, schema_hash, .. } = epoch;
    if epoch.state == "destroyed" && kept.is_none() {
        let remedy = anyhow!("it is destroyed; if its salt was kept for this, give it with --salt {id}=FILE");
        return Ok(Err((Why::SaltNotKept, remedy)));
    }
    let Some(profile) = profiles.get(schema_hash) else {
        let remedy = anyhow!("it has the profile {profile} (schema {schema_hash}); give its file with --profile");
        return Ok(Err((Why::NoProfile, remedy)));
    };
    match encoder(client, epoch, profile, kept) {
        Err(error) if error.is::<ComeAgain>() => Err(error),
        made => Ok(made.map_err(|error| (Why::SaltUnusable, error))),
    }
}

impl Why {
    /// For who asked, in Dutch.
    pub(super) fn dutch(self) -> &'static str {
        match self {
            Self::SaltNotKept => "niet doorzocht, het zout van deze periode is niet bewaard",
            Self::NoProfile => "niet doorzocht, de registerhouder gaf het profiel van deze periode niet op",
            Self::SaltUnusable => "niet doorzocht, de registerhouder gaf geen zout dat bij deze periode past",
            Self::NoToken => "niet doorzocht, voor deze periode is geen adrescode gemaakt",
            Self::KeyEnded => "niet meer te doorzoeken, de sleutel van de pseudoniemen is vernietigd",
        }
    }

    /// The same in English.
    pub(super) fn english(self) -> &'static str {
        match self {
            Self::SaltNotKept => "not searched, the salt of this epoch was not kept",
            Self::NoProfile => "not searched, the register holder did not give the profile of this epoch",
            Self::SaltUnusable => "not searched, the register holder gave no salt that fits this epoch",
            Self::NoToken => "not searched, no token was made for this epoch",
            Self::KeyEnded => "cannot be searched any more, the key of its pseudonyms is destroyed",
        }
    }
}

/// Everything that the log says about an address, and where it was looked for.
#[derive(Debug, Serialize)]
struct Report {
    /// By epoch.
    pseudonyms: BTreeMap<String, Vec<String>>,
    /// Epochs in which nobody looked.
    #[serde(rename = "notSearched")]
    not_searched: BTreeMap<EpochId, Why>,
    /// Entries of the log up to the checkpoint.
    entries: u64,
    /// So many of them could be read.
    searched: u64,
    /// The others: ranges, the second number behind the last one.
    expired: Vec<[u64; 2]>,
    malformed: Vec<[u64; 2]>,
    checkpoint: String,
    found: Vec<serde_json::Value>,
}

/// Finds the entries and writes the report. Every epoch of the log in which nobody looked is named in it, and why, and every
/// entry that could not be read.
///
/// # Errors
/// As [`super::run`]; then no file is left, but for what could not be read, which the report names.
pub fn run(args: &SubjectArgs) -> anyhow::Result<()> {
    let text = fs::read(&args.tokens).with_context(|| format!("cannot read {}", args.tokens.display()))?;
    let tokens: Tokens = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no file of `voorrang audit token`", args.tokens.display()))?;
    ensure!(!args.log.offline, "the service makes the pseudonyms: this cannot be done with --offline");
    let client = Client::open(&args.log.config)?;
    let read = [&args.tokens, &args.log.config].into_iter().chain(&args.log.identity).map(PathBuf::as_path);
    refuse_clash([args.output.as_path()], read.chain(client.config.files()))?;
    let Tokens { tokens, mut not_searched } = tokens;
    let mut pseudonyms = BTreeMap::<String, Vec<String>>::new();
    for Token { epoch, address } in tokens {
        let question = SubjectQuestion { epoch: epoch.clone(), address };
        match client.post::<SubjectView>("access-log/subjects", &question).map_err(anyhow::Error::downcast) {
            Ok(view) => pseudonyms.entry(epoch.to_string()).or_default().push(view.object),
            Err(Ok(Refused(problem))) if problem.code == "store_not_found" => {
                not_searched.insert(epoch, Why::KeyEnded);
            }
            Err(Ok(refused)) => return Err(refused.into()),
            Err(Err(error)) => return Err(error),
        }
    }
    // Only now, so that these look-ups are in the copy too.
    let mut reading = args.log.reading()?;
    let found = about(&mut reading, pseudonyms.values().flatten().map(String::as_str))?;
    // What the register holder does not name, the log does.
    let asked = reading.index.epochs(&client.config.regulation);
    for epoch in asked.filter(|epoch| !pseudonyms.contains_key(epoch.as_str())) {
        not_searched.entry(epoch.clone()).or_insert(Why::NoToken);
    }
    for (epoch, why) in &not_searched {
        eprintln!("{epoch}: {}", why.english());
    }
    let looked = Looked::in_all(&reading);
    let mut file = Output::create(&args.output)?;
    if args.json {
        let checkpoint = reading.copy.checkpoint().unwrap_or_default().to_owned();
        let rows = found.iter().map(|found| Ok(serde_json::from_str(&list::json(found)?)?));
        let found = rows.collect::<anyhow::Result<_>>()?;
        let (entries, searched) = (looked.entries, looked.searched());
        let (expired, malformed) = (looked.expired.pairs(), looked.malformed.pairs());
        let report = Report { pseudonyms, not_searched, entries, searched, expired, malformed, checkpoint, found };
        serde_json::to_writer_pretty(&mut file, &report)?;
    } else {
        let text = letter(&found, &pseudonyms, &not_searched, &client.parties()?, &looked);
        file.write_all(text.as_bytes())?;
    }
    file.finish()?;
    eprintln!("Entries about this address: {}; wrote {}.", found.len(), args.output.display());
    for (what, entries) in [("have expired", &looked.expired), ("are not in their format", &looked.malformed)] {
        if !entries.is_empty() {
            eprintln!("NOT SEARCHED: entries that {what}: {entries}");
        }
    }
    Ok(reading.sound()?)
}

/// The entries about these pseudonyms, in order.
///
/// # Errors
/// If the copy cannot be read.
pub fn about<'a>(reading: &mut Reading, pseudonyms: impl Iterator<Item = &'a str>) -> anyhow::Result<Vec<Found>> {
    let wanted: BTreeSet<&str> = pseudonyms.collect();
    let positions: BTreeSet<u64> = wanted.iter().flat_map(|object| reading.index.about(object)).collect();
    let mut found = reading.at(&positions.into_iter().collect::<Vec<_>>())?;
    found.retain(|found| found.entry.object.as_deref().is_some_and(|object| wanted.contains(object)));
    Ok(found)
}
