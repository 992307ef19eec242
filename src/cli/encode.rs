//! `voorrang encode`: a file of people into a file of codes.

use std::fs;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::json;
use time::Date;

use super::client::{PartyBook, open_envelope, read_identity};
use super::encoding::File;
use super::inputs::{parse_day, read_profile};
use super::output::Output;
use super::people::{PeopleArgs, ReadSoFar};
use super::salt::read_salt;
use super::there::refuse_clash;
use crate::answer::wire::Envelope;
use crate::clock::Clock;
use crate::encode::read::{self, Chunks, Format};
use crate::encode::{Ages, CareMember, Encoder, Resident, Source, Tenant, authentic, file};
use crate::epoch::share::KeptSalt;
use crate::ids::EpochId;
use crate::profile::Profile;

/// The epoch of a salt that is of none.
const LABORATORY: &str = "laboratory";

/// What is in the input file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// The population register
    Population,
    /// The care network's list
    Care,
    /// A corporation's tenants
    Tenants,
}

/// What `voorrang encode` takes.
#[derive(Debug, clap::Args)]
pub struct EncodeArgs {
    /// What is in the file
    #[arg(required_unless_present_any = ["describe", "fields", "check"])]
    pub kind: Option<Kind>,
    /// File of people
    #[arg(required_unless_present_any = ["describe", "fields", "check"])]
    pub input: Option<PathBuf>,
    /// File of codes to write
    #[arg(short, long, required_unless_present_any = ["describe", "fields", "check"])]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub people: PeopleArgs,
    /// File with the salt, or `env:VOORRANG_SALT`
    #[arg(long, conflicts_with = "envelope", required_unless_present_any = ["envelope", "describe", "fields"])]
    pub salt_file: Option<PathBuf>,
    /// Envelope of the epoch, as `voorrang epoch fetch` writes it
    #[arg(long, requires_all = ["identity", "parties"])]
    pub envelope: Option<PathBuf>,
    /// Age identity that opens the envelope
    #[arg(long)]
    pub identity: Option<PathBuf>,
    /// Public keys of the parties, to check who contributed
    #[arg(long)]
    pub parties: Option<PathBuf>,
    /// Epoch of a salt that names none [default: laboratory]
    #[arg(long, conflicts_with = "envelope")]
    pub epoch: Option<EpochId>,
    /// Day on which ages are counted [default: today]
    #[arg(long, value_parser = parse_day)]
    pub reference_date: Option<Date>,
    /// Youngest age that is no longer a minor
    #[arg(long, default_value_t = 18)]
    pub minor_below: u16,
    /// Youngest age of a senior
    #[arg(long, default_value_t = 65)]
    pub senior_from: u16,
    /// Profile file [default: the built-in one]
    #[arg(long)]
    pub profile: Option<PathBuf>,
    /// Print the profile as JSON and stop
    #[arg(long)]
    pub describe: bool,
    /// Print what is read of a file of this form and stop: of a register each element with its number and name, as
    /// table 35 lists it, and where the file has it
    #[arg(long, conflicts_with = "describe")]
    pub fields: bool,
    /// Check that a file of codes is as it was written with this salt, or with the salt of this envelope, and stop
    #[arg(long, value_name = "CODES", conflicts_with_all = ["describe", "fields", "kind", "lab_filters"])]
    pub check: Option<PathBuf>,
    /// Write the filters before diffusion: for attack tests with an own salt only
    #[arg(long, conflicts_with = "envelope")]
    pub lab_filters: bool,
}

/// Runs the command.
///
/// # Errors
/// Names file and line; no output file is left behind.
pub fn run(args: &EncodeArgs) -> anyhow::Result<()> {
    if args.fields {
        return fields(args.people.format.into());
    }
    let profile = read_profile(args.profile.as_deref())?;
    if args.describe {
        return describe(&profile);
    }
    if let Some(codes) = &args.check {
        return check(args, codes, &profile);
    }
    let (Some(kind), Some(input), Some(output)) = (args.kind, &args.input, &args.output) else {
        bail!("give what to encode, the file and -o");
    };
    let others = [&args.salt_file, &args.envelope, &args.identity, &args.parties, &args.profile];
    refuse_clash([output.as_path()], others.into_iter().flatten().chain([input]).map(PathBuf::as_path))?;
    let KeptSalt { epoch, salt } = salt(args, &profile)?;
    let epoch = epoch.unwrap_or_else(|| LABORATORY.parse().expect("a name of an epoch"));
    let encoder = Encoder::new(&profile, salt.expose(), &epoch);
    let mut out = Output::create(output)?.in_any_order()?;
    let written = write_codes(args, kind, input, &encoder, &profile, &mut out)?;
    out.finish()?;
    eprintln!("Encoded {written} records into {}.", output.display());
    Ok(())
}

/// Whether header and records are those that were written; the epoch of a laboratory's salt is the header's.
fn check(args: &EncodeArgs, codes: &Path, profile: &Profile) -> anyhow::Result<()> {
    let KeptSalt { epoch, salt } = salt(args, profile)?;
    let file = fs::File::open(codes).with_context(|| format!("cannot read {}", codes.display()))?;
    let encoder = |named: &EpochId| Encoder::new(profile, salt.expose(), epoch.as_ref().unwrap_or(named));
    let records = authentic::check(BufReader::new(file), &codes.display().to_string(), encoder)?;
    eprintln!("{}: as it was written with this salt; {records} records.", codes.display());
    Ok(())
}

fn salt(args: &EncodeArgs, profile: &Profile) -> anyhow::Result<KeptSalt> {
    if let Some(path) = &args.salt_file {
        let kept = read_salt(path)?;
        return match (&args.epoch, &kept.epoch) {
            (Some(said), Some(_)) => Ok(KeptSalt { epoch: Some(said.clone()), salt: kept.of(said)? }),
            (said, is) => Ok(KeptSalt { epoch: is.clone().or_else(|| said.clone()), ..kept }),
        };
    }
    let (Some(envelope), Some(identity), Some(parties)) = (&args.envelope, &args.identity, &args.parties) else {
        bail!("give --salt-file, or --envelope with --identity and --parties");
    };
    let text = fs::read(envelope).with_context(|| format!("cannot read {}", envelope.display()))?;
    let envelope: Envelope =
        serde_json::from_slice(&text).with_context(|| format!("{} is no envelope", envelope.display()))?;
    let salt = open_envelope(&envelope, profile, &read_identity(identity)?, &PartyBook::load(parties)?)?;
    Ok(KeptSalt { epoch: Some(envelope.epoch), salt })
}

fn write_codes(
    args: &EncodeArgs,
    kind: Kind,
    input: &Path,
    encoder: &Encoder,
    profile: &Profile,
    out: &mut Output,
) -> anyhow::Result<u64> {
    let ages = Ages { minor_below: args.minor_below, senior_from: args.senior_from };
    let day = args.reference_date.unwrap_or_else(|| Clock::System.today());
    // A number of the register stands in no output: such records have the reference that uploads have.
    let own_ids = !Format::from(args.people.format).has_register_numbers();
    let file = File { encoder, writer: file::Writer::new(profile), own_ids, lab_filters: args.lab_filters };
    match kind {
        Kind::Population => {
            let (people, so_far) = args.people.resident_chunks(input)?;
            let encode = |people: &[Resident]| encoder.residents_in_order(people, day, &ages);
            file.write(people, so_far, out, encode, |r| (r.id.as_str().into(), Source::Population, &r.person))
        }
        Kind::Care => {
            let people = Chunks::of(args.people.care_members(input)?);
            let encode = |people: &[CareMember]| encoder.care_members_in_order(people);
            file.write(people, ReadSoFar::default(), out, encode, |m| (m.id.as_str().into(), Source::Care, &m.person))
        }
        Kind::Tenants => {
            let people = Chunks::of(args.people.tenants(input)?);
            let encode = |people: &[Tenant]| encoder.tenants_in_order(people);
            file.write(people, ReadSoFar::default(), out, encode, |t| (t.id().into(), Source::Tenants, &t.person))
        }
    }
}

fn fields(format: Format) -> anyhow::Result<()> {
    let lines = read::fields(format).join("\n");
    writeln!(std::io::stdout().lock(), "{lines}").context("cannot write to standard output")
}

fn describe(profile: &Profile) -> anyhow::Result<()> {
    let passes: Vec<_> = profile
        .passes
        .iter()
        .map(|pass| {
            json!({"name": pass.name, "scope": pass.scope, "keyedWith": pass.parts(), "filterBits": pass.filter_bits,
                   "codeBits": pass.code_bits, "diffusion": pass.diffusion, "codes": pass.held(profile)})
        })
        .collect();
    let description = json!({"profile": profile.id, "schemaHash": profile.schema_hash(),
                             "variants": profile.variants, "passes": passes});
    writeln!(std::io::stdout().lock(), "{description}").context("cannot write to standard output")
}
