//! `voorrang evaluate`: the same rooms without the network, for scoring. It needs the plaintext of both sides, so
//! it is a laboratory tool: it draws a salt of its own and forgets it.

mod classes;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rayon::prelude::*;
use time::Date;

use self::classes::Became;
use super::inputs::{parse_day, read_profile};
use super::output::{Output, bar, finish_csv};
use super::people::{CHUNK, PeopleArgs, SHARE};
use super::quality_report;
use super::query::standing;
use crate::answer::quality::{LinkEstimate, LoadQuality};
use crate::clock::Clock;
use crate::encode::{Ages, Arrears, Encoder, Statements, Tenant, read};
use crate::epoch::share::Salt;
use crate::ids::{EpochId, Oin};
use crate::link::{Finding, HouseholdQuestion, Register, RegisterBuilder, Registers, Source, Standing};
use crate::profile::Profile;
use crate::regulate::{self, Act, Answer, Conditions, Facts, Permit, Regulation, Role};

/// Households that one scan looks for.
const TOGETHER: usize = 64;

/// What `voorrang evaluate` takes.
#[derive(Debug, clap::Args)]
pub struct EvaluateArgs {
    /// Folder with brp.csv, huurders.csv, achterstanden.csv and oggz.csv; without oggz.csv every answer is undetermined,
    /// families' too: nobody knows who stands in it
    pub data: PathBuf,
    /// Folder for answers.csv, links.csv, quality.json (thresholds and estimates) and, if the data has a truth, classes.csv
    #[arg(short, long)]
    pub out: PathBuf,
    /// Ask for every contract of huurders.csv, not only for those in arrears
    #[arg(long)]
    pub all_contracts: bool,
    /// Day of the data [default: meta.json's ref_date, else today]
    #[arg(long, value_parser = parse_day)]
    pub reference_date: Option<Date>,
    /// Regulation folder [default: a laboratory's, which tells every group in the open]
    #[arg(long)]
    pub regulation: Option<PathBuf>,
    /// Profile file [default: the built-in one]
    #[arg(long)]
    pub profile: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Names file and line.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<()> {
    let laboratory = Laboratory::open(args)?;
    let households = households(args)?;
    let answered = laboratory.answer_all(&households)?;
    write(&args.out, &households, &answered, &laboratory.person_ids)?;
    laboratory.report(&args.out, &answered)?;
    let became = |finding: &Standing| match finding {
        Standing::Linked { row, .. } => Became::Linked(&laboratory.person_ids[*row]),
        Standing::Unsure => Became::Unsure,
        Standing::Nobody => Became::Nobody,
    };
    let tenants =
        households.iter().zip(&answered).flat_map(|((_, tenants), (_, finding))| tenants.iter().zip(&finding.tenants));
    let tenants = tenants.map(|(tenant, standing)| (tenant.contract.as_str(), tenant.number, became(standing)));
    if classes::write(&args.data, &args.out, tenants)? {
        eprintln!("Links per class of tenant: {}.", args.out.join("classes.csv").display());
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    answered.iter().for_each(|(answer, _)| *counts.entry(answer.as_str()).or_default() += 1);
    let counts: Vec<_> = counts.iter().map(|(answer, count)| format!("{count} {answer}")).collect();
    eprintln!("{} contracts: {}.", answered.len(), counts.join(", "));
    Ok(())
}

/// The day that a data set was drawn for, if its `meta.json` says so.
pub fn day_of(data: &Path) -> Option<Date> {
    let text = std::fs::read(data.join("meta.json")).ok()?;
    let meta: serde_json::Value = serde_json::from_slice(&text).ok()?;
    parse_day(meta["config"]["ref_date"].as_str()?).ok()
}

struct Laboratory {
    profile: Profile,
    regulation: Regulation,
    /// The regulation's corporations, in the order in which the data's `C1`, `C2`, ... take their places.
    corporations: Vec<Oin>,
    encoder: Encoder,
    registers: Registers,
    /// Ids of the persons with codes, in the order of the register.
    person_ids: Vec<String>,
    day: Date,
}

type Household = (Arrears, Vec<Tenant>);

impl Laboratory {
    fn open(args: &EvaluateArgs) -> anyhow::Result<Self> {
        let profile = read_profile(args.profile.as_deref())?;
        let regulation = match &args.regulation {
            Some(folder) => Regulation::load(folder)?,
            None => Regulation::laboratory(),
        };
        let day = args.reference_date.or_else(|| day_of(&args.data)).unwrap_or_else(|| Clock::System.today());
        let epoch: EpochId = "laboratory".parse().expect("a valid name");
        let encoder = Encoder::new(&profile, Salt::random().expose(), &epoch);
        let (minor_below, senior_from) = regulation.ages();
        let ages = Ages { minor_below, senior_from };
        let mut person_ids = Vec::new();
        let mut population = RegisterBuilder::new(&profile, Source::Population);
        let (mut people, _) = PeopleArgs::default().resident_chunks(&args.data.join("brp.csv"))?;
        loop {
            let chunk = people.next_chunk(CHUNK);
            if chunk.is_empty() {
                break;
            }
            let records: Vec<_> =
                chunk.par_chunks(SHARE).flat_map_iter(|share| encoder.residents(share, day, &ages)).collect();
            for (resident, record) in chunk.into_iter().zip(records) {
                if !record.codes.passes.is_empty() {
                    person_ids.push(resident.id);
                }
                population.push(record)?;
            }
        }
        people.finish()?;
        let care = care_register(&args.data.join("oggz.csv"), &encoder, &profile)?;
        let registers = Registers::join(population.finish().into(), care.map(Into::into));
        let is_corporation = |party: &&regulate::Party| party.role == Role::Corporation;
        let corporations = regulation.parties().iter().filter(is_corporation).map(|party| party.oin.clone()).collect();
        Ok(Self { profile, regulation, corporations, encoder, registers, person_ids, day })
    }

    /// What a load and the linked tenants say of their quality, without the truth.
    fn report(&self, out: &Path, answered: &[(Answer, Finding)]) -> anyhow::Result<()> {
        let population = self.registers.population();
        let standings = answered.iter().flat_map(|(_, finding)| &finding.tenants);
        let tenants = LinkEstimate::from(population.estimate(standings));
        let load = LoadQuality {
            care: self.registers.care_estimate().map(LinkEstimate::from),
            ..LoadQuality::of(&self.profile, population)
        };
        eprint!("{}", quality_report::text(&load));
        eprintln!("Tenants against population: {}", quality_report::estimate(&tenants));
        let report = serde_json::json!({ "load": load, "tenants": tenants });
        let mut file = Output::create(&out.join("quality.json"))?;
        serde_json::to_writer_pretty(&mut file, &report)?;
        file.finish()
    }

    fn answer_all(&self, households: &[Household]) -> anyhow::Result<Vec<(Answer, Finding)>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let progress = bar(households.len(), "asking");
        let part = |households: &[Household]| -> anyhow::Result<Vec<(Answer, Finding)>> {
            let mut answered = Vec::with_capacity(households.len());
            for together in households.chunks(TOGETHER) {
                answered.extend(self.answer(together)?);
                together.iter().for_each(|_| progress.step());
            }
            Ok(answered)
        };
        std::thread::scope(|scope| {
            let chunks = households.chunks(households.len().div_ceil(threads).max(1));
            let running: Vec<_> = chunks.map(|chunk| scope.spawn(|| part(chunk))).collect();
            let mut answered = Vec::with_capacity(households.len());
            for thread in running {
                answered.extend(thread.join().expect("a thread that asks does not panic")?);
            }
            Ok(answered)
        })
    }

    fn answer(&self, households: &[Household]) -> anyhow::Result<Vec<(Answer, Finding)>> {
        let asked = households.iter().map(|household| self.question(household));
        let (permits, questions): (Vec<_>, Vec<_>) = asked.collect::<anyhow::Result<Vec<_>>>()?.into_iter().unzip();
        let found = self.registers.find_each(&questions);
        let disclose = |(permit, finding): (Permit, Finding)| {
            (permit.disclose(&self.regulation, Some(&finding), self.is_whole()), finding)
        };
        Ok(permits.into_iter().zip(found).map(disclose).collect())
    }

    fn question(&self, (arrears, tenants): &Household) -> anyhow::Result<(Permit, HouseholdQuestion)> {
        let encoded = self.encoder.tenants(tenants);
        let address = encoded.iter().find_map(|(_, address)| *address);
        let codes = encoded.into_iter().map(|(codes, _)| codes).collect();
        let question = HouseholdQuestion::new(&self.profile, address, codes)?;
        let standing = standing(arrears, self.day);
        let facts = Facts {
            purpose: Some("eviction-prevention".parse().expect("a valid name")),
            arrears: Some(regulate::Arrears { months: standing.months, days: standing.days }),
            conditions: Conditions::MET,
            in_stock: Some(true),
            // Budgets bound what a corporation can learn, not how well we link.
            stock: Some(1_000_000),
            batch: u32::MAX,
            ..Facts::new(self.corporation(&tenants[0].corporation), Act::Ask, self.day)
        };
        let permit = self.regulation.decide(&facts).map_err(|refusal| {
            anyhow::anyhow!("the regulation refuses such a question (article {}): {}", refusal.article, refusal.remedy)
        })?;
        Ok((permit, question))
    }

    /// Whether every source is there that the answers rest on. No care list never means that nobody is on it.
    fn is_whole(&self) -> bool {
        self.registers.care().is_some() || !self.regulation.rests_on(Source::Care, Role::Corporation)
    }

    fn corporation(&self, name: &str) -> Oin {
        let number: usize = name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(1);
        self.corporations[number.saturating_sub(1) % self.corporations.len()].clone()
    }
}

fn care_register(path: &Path, encoder: &Encoder, profile: &Profile) -> anyhow::Result<Option<Register>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut care = RegisterBuilder::new(profile, Source::Care);
    for record in encoder.care_members(&read::care_members(path)?) {
        care.push(record)?;
    }
    Ok(Some(care.finish()))
}

/// Contracts with their tenants. Every contract is asked for as if it were three months behind.
fn households(args: &EvaluateArgs) -> anyhow::Result<Vec<Household>> {
    let mut in_arrears: HashSet<String> = HashSet::new();
    let path = args.data.join("achterstanden.csv");
    if path.exists() || !args.all_contracts {
        in_arrears.extend(read::arrears(&path)?.into_iter().map(|arrears| arrears.contract));
    }
    let mut contracts: BTreeMap<String, Vec<Tenant>> = BTreeMap::new();
    for tenant in read::tenants(&args.data.join("huurders.csv"))? {
        contracts.entry(tenant.contract.clone()).or_default().push(tenant);
    }
    let chosen = contracts.into_iter().filter(|(contract, _)| args.all_contracts || in_arrears.contains(contract));
    Ok(chosen
        .map(|(contract, tenants)| {
            (Arrears { contract, months: 3.0, reported: None, said: Statements::default() }, tenants)
        })
        .collect())
}

fn write(
    out: &Path,
    households: &[Household],
    answered: &[(Answer, Finding)],
    person_ids: &[String],
) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut answers = csv::Writer::from_writer(Output::create(&out.join("answers.csv"))?);
    let mut links = csv::Writer::from_writer(Output::create(&out.join("links.csv"))?);
    answers.write_record(["contract_id", "answer", "minors", "seniors", "oggz"])?;
    links.write_record(["contract_id", "volgnr", "person_id"])?;
    for ((arrears, tenants), (answer, finding)) in households.iter().zip(answered) {
        let told = |group: bool| if group && *answer == Answer::Priority { "1" } else { "0" };
        let groups = &finding.groups;
        let (minor, senior, oggz) = (told(groups.minor), told(groups.senior_resident), told(groups.oggz));
        answers.write_record([&arrears.contract, answer.as_str(), minor, senior, oggz])?;
        for (tenant, standing) in tenants.iter().zip(&finding.tenants) {
            let person = match standing {
                Standing::Linked { row, .. } => person_ids[*row].as_str(),
                Standing::Unsure | Standing::Nobody => "",
            };
            links.write_record([&tenant.contract, &tenant.number.to_string(), person])?;
        }
    }
    finish_csv(answers)?;
    finish_csv(links)
}
