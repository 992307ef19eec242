//! `voorrang privacy-report`: what a custodian's privacy officer reads before the first upload. Statistics of the
//! codes; with the people at hand also how much each kind of token tells, and how many people the known attacks find.
//!
//! The officer plays the attacker: the same people are encoded with throw-away keys drawn from the seed, and the codes
//! are attacked as somebody would who knows everything but the salt.

mod html;
mod input;
mod report;
mod table;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use rayon::prelude::*;
use ring::digest::{SHA256, digest};
use time::Date;

use super::inputs::{parse_day, read_profile};
use super::output::{Output, bar};
use super::there::refuse_clash;
use crate::clock::Clock;
use crate::code::{Code, Codes};
use crate::encode::{Ages, Encoder, Resident, Source};
use crate::privacy::{
    Attacker, Covariance, Gate, KnownPairs, Sample, Score, View, draw, graph_match, known_pairs, signature,
};
use crate::profile::{Profile, Scope};
pub use input::InputError;
use input::{CodeFiles, Person};
use report::{Attack, Report};

/// Adults are encoded, as `voorrang encode` does by default.
const AGES: Ages = Ages { minor_below: 18, senior_from: 65 };

/// Shares of people that the gates allow, from the design of the hardened profile.
const GLOBAL_AT_MOST: f64 = 0.01;
const NO_MATE_AT_MOST: f64 = 0.005;
const SIGNATURE_TIMES_CHANCE: f64 = 3.0;
const CONTROL_AT_LEAST: f64 = 0.99;
/// Share of their dimensions that codes may lack. A map with as many outputs as inputs lacks a few by chance.
const SPAN_LACKS_AT_MOST: f64 = 0.02;

/// A gate does not hold. The report is written all the same.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {gates} gates do not hold; do not upload these codes before somebody has understood why")]
pub struct GatesFailed {
    failed: usize,
    gates: usize,
}

/// What `voorrang privacy-report` takes.
#[derive(Debug, clap::Args)]
pub struct PrivacyReportArgs {
    /// Files of codes, as `voorrang encode` writes them, all made with one salt
    #[arg(required = true)]
    pub codes: Vec<PathBuf>,
    /// The people that were encoded (brp.csv); without them there are statistics and no attacks
    #[arg(long)]
    pub people: Option<PathBuf>,
    /// Day on which ages were counted for the codes [default: today]
    #[arg(long, value_parser = parse_day, requires = "people")]
    pub day: Option<Date>,
    /// People drawn for the attacks; memory grows with the square (2000: 500 MB)
    #[arg(short, default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(50..=5_000))]
    pub n: u16,
    /// Numbers of known pairs to attack with, commas between them
    #[arg(long, value_delimiter = ',', default_value = "200,1000")]
    pub known: Vec<usize>,
    /// Keys that the attacker encodes with: more keys are less noise
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(2..=32))]
    pub keys: u8,
    /// What is drawn at random; the same seed draws the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Report to write: one HTML file that loads nothing
    #[arg(short, long)]
    pub output: Option<PathBuf>,
    /// The same as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Profile file [default: the built-in one]
    #[arg(long)]
    pub profile: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Names file and line of an input; [`GatesFailed`] after a report whose gates do not all hold.
pub fn run(args: &PrivacyReportArgs) -> anyhow::Result<()> {
    let read = || args.codes.iter().chain(&args.people).chain(&args.profile).map(PathBuf::as_path);
    refuse_clash(args.output.iter().chain(&args.json).map(PathBuf::as_path), read())?;
    let profile = read_profile(args.profile.as_deref())?;
    let files = CodeFiles::read(&args.codes, &profile)?;
    let mut report = Report::new(&files, &profile);
    if let Some(people) = &args.people {
        let day = args.day.unwrap_or_else(|| Clock::System.today());
        let matched = files.match_people(people, |resident| AGES.can_be_adult(resident.person.birth, day))?;
        report.count_tokens(&matched.people);
        report.notes.extend(matched.notes());
        attack(args, &profile, &files, &matched.people, &mut report)?;
    } else {
        report.notes.push("No attack was tried: attacks need the people, give --people.".into());
    }
    write(args, &report)?;
    let (failed, gates) = report.gates();
    if failed > 0 {
        return Err(GatesFailed { failed, gates }.into());
    }
    Ok(())
}

/// Writes the files and prints the table. Both files are whole before either gets its name.
fn write(args: &PrivacyReportArgs, report: &Report) -> anyhow::Result<()> {
    let mut outputs = Vec::new();
    if let Some(path) = &args.output {
        outputs.push((Output::create(path)?, html::page(report)));
    }
    if let Some(path) = &args.json {
        outputs.push((Output::create(path)?, format!("{:#}\n", report.to_json())));
    }
    for (out, text) in &mut outputs {
        out.write_all(text.as_bytes()).context("cannot write the report")?;
    }
    outputs.into_iter().try_for_each(|(out, _)| out.finish())?;
    std::io::stdout().lock().write_all(table::text(report).as_bytes()).context("cannot write to standard output")
}

/// The sample of an attack: whom, what was stolen of them, and what the attacker makes of them.
struct Scene {
    stolen: Sample,
    /// Filters before diffusion under a key that the attacker does not have: a plain CLK, which every attack breaks.
    control: Sample,
    attackers: Vec<Attacker>,
    names: Vec<String>,
    global: usize,
    home: usize,
}

fn attack(
    args: &PrivacyReportArgs,
    profile: &Profile,
    files: &CodeFiles,
    people: &[Person],
    report: &mut Report,
) -> anyhow::Result<()> {
    let addresses: Vec<_> = people.iter().map(|person| person.address).collect();
    let drawn = draw(&addresses, usize::from(args.n), args.seed);
    if drawn.len() < usize::from(args.n) {
        report.notes.push(format!("Only {} people have codes; all of them are in the sample.", drawn.len()));
    }
    let sample: Vec<&Person> = drawn.into_iter().map(|at| &people[at]).collect();
    let scene = Scene::set(args, profile, &files.codes_of(&sample)?, &sample)?;
    let (fits, too_many): (Vec<usize>, Vec<usize>) = args.known.iter().partition(|&&known| 2 * known <= sample.len());
    for known in too_many {
        report.notes.push(format!("{known} known pairs are more than half of the sample and were not tried."));
    }
    if fits.is_empty() {
        return Err(InputError::NoKnown { people: sample.len() }.into());
    }
    report.sampled(sample.len(), scene.stolen.addresses(), args.seed, args.keys);
    spans(files, profile, report);
    let progress = bar(fits.len() + 2, "attacking");
    for known in fits {
        scene.known_pairs(known, &mut report.attacks)?;
        progress.step();
    }
    scene.signatures(&mut report.attacks);
    progress.step();
    scene.graphs(&mut report.attacks);
    progress.step();
    Ok(())
}

/// What the codes show of their diffusion without any person: nothing, unless they lie in a part of their space.
fn spans(files: &CodeFiles, profile: &Profile, report: &mut Report) {
    for (pass, statistics) in profile.passes.iter().zip(&files.statistics.passes) {
        let Some(missing) = statistics.dimensions_missing() else {
            report.notes.push(format!("{}: too few codes to tell which part of their space they span.", pass.name));
            continue;
        };
        let score = Score { hits: missing, people: statistics.bits(), by_chance: 0.0 };
        let gate = Some(Gate::AtMost(SPAN_LACKS_AT_MOST));
        report.attacks.push(Attack::new("linear span, dimensions missing", &pass.name, None, score, gate));
    }
}

impl Scene {
    fn set(
        args: &PrivacyReportArgs,
        profile: &Profile,
        stolen: &[Vec<Code>],
        sample: &[&Person],
    ) -> anyhow::Result<Self> {
        let addresses: Vec<_> = sample.iter().map(|person| person.address).collect();
        let residents: Vec<&Resident> = sample.iter().map(|person| &person.resident).collect();
        let made = |key: u8| encoded(profile, args.seed, key, &residents);
        let (_, control) = made(0);
        let mut attackers: Vec<Attacker> = profile
            .passes
            .iter()
            .map(|pass| {
                let diffusion = u32::try_from(pass.diffusion).expect("a checked profile diffuses 32 at most");
                Attacker { codes: Vec::new(), filters: Vec::new(), diffusion }
            })
            .collect();
        for key in 1..=args.keys {
            let (codes, filters) = made(key);
            for (attacker, (codes, filters)) in attackers.iter_mut().zip(codes.into_iter().zip(filters)) {
                attacker.codes.push(codes);
                attacker.filters.push(filters);
            }
        }
        Ok(Self {
            stolen: Sample::new(stolen, &addresses, args.seed)?,
            control: Sample::new(&control, &addresses, args.seed)?,
            attackers,
            names: profile.passes.iter().map(|pass| pass.name.clone()).collect(),
            global: profile.pass_with(Scope::Everywhere).expect("a checked profile has a pass for everywhere"),
            home: profile.pass_with(Scope::Address).expect("a checked profile has a pass for the address"),
        })
    }

    fn known_pairs(&self, known: usize, into: &mut Vec<Attack>) -> anyhow::Result<()> {
        let attackers: Vec<&Attacker> = self.attackers.iter().collect();
        let views = [View { passes: vec![self.global] }, View { passes: (0..attackers.len()).collect() }];
        let (global, all) = (&self.names[self.global], "all passes");
        let found = |sample, covariance| known_pairs(sample, &attackers, covariance, known, &views);
        let row = |title: &str, codes: &str, score, gate| Attack::new(title, codes, Some(known), score, gate);
        let pair = |found: Vec<KnownPairs>| {
            let [global, all] = found[..] else { unreachable!("a result a view") };
            (global, all)
        };
        let (plain, _) = pair(found(&self.control, Covariance::Control)?);
        into.push(row("known pairs", global, plain.everybody, Some(Gate::AtLeast(CONTROL_AT_LEAST))).control());
        let (one, every) = pair(found(&self.stolen, Covariance::Exact)?);
        into.push(row("known pairs, strong", global, one.everybody, Some(Gate::AtMost(GLOBAL_AT_MOST))));
        into.push(row("known pairs, strong", all, every.everybody, None));
        let gate = Some(Gate::AtMost(NO_MATE_AT_MOST));
        into.push(row("known pairs, strong, no address-mate known", all, every.no_known_mate, gate));
        let (_, every) = pair(found(&self.stolen, Covariance::Measured)?);
        into.push(row("known pairs, weak", all, every.everybody, None));
        into.push(row("known pairs, weak, no address-mate known", all, every.no_known_mate, None));
        Ok(())
    }

    fn signatures(&self, into: &mut Vec<Attack>) {
        let score = |sample, passes: &[usize], covariance| signature(sample, passes, &self.attackers, covariance);
        let every: Vec<usize> = (0..self.names.len()).collect();
        for (name, passes) in [(&*self.names[self.home], &[self.home][..]), ("all passes", &every)] {
            let plain = score(&self.control, passes, Covariance::Control);
            into.push(Attack::new("household signature", name, None, plain, None).control());
        }
        let mut push = |name: &str, passes: &[usize]| {
            let gate = Some(Gate::TimesChance(SIGNATURE_TIMES_CHANCE));
            let found = score(&self.stolen, passes, Covariance::Exact);
            into.push(Attack::new("household signature", name, None, found, gate));
        };
        self.names.iter().enumerate().for_each(|(pass, name)| push(name, &[pass]));
        push("all passes", &every);
    }

    fn graphs(&self, into: &mut Vec<Attack>) {
        let all: Vec<&Attacker> = self.attackers.iter().collect();
        let global = self.control.only(self.global);
        let (plain, hardened) = rayon::join(
            || graph_match(&global, &[&self.attackers[self.global]], false),
            || graph_match(&self.stolen, &all, true),
        );
        let gate = Some(Gate::AtLeast(CONTROL_AT_LEAST));
        into.push(Attack::new("graph matching", &self.names[self.global], None, plain, gate).control());
        into.push(Attack::new("graph matching", "all passes", None, hardened, Some(Gate::Chance)));
    }
}

/// Finished codes and filters before diffusion, `[pass][row]`, under a throw-away key; of the first name variant.
fn encoded(profile: &Profile, seed: u64, key: u8, people: &[&Resident]) -> (Vec<Vec<Code>>, Vec<Vec<Code>>) {
    let salt = digest(&SHA256, format!("voorrang privacy-report {seed} {key}").as_bytes());
    let epoch = "privacy-report".parse().expect("a valid name");
    let encoder = Encoder::new(profile, salt.as_ref(), &epoch);
    let first =
        |codes: Codes| -> Vec<Code> { codes.passes.into_iter().filter_map(|mut v| v.drain(..).next()).collect() };
    let both = |resident: &&Resident| {
        let (id, person) = (&resident.id, &resident.person);
        let codes = first(encoder.codes(Source::Population, id, person));
        (codes, first(encoder.lab_filters(Source::Population, id, person)))
    };
    let (codes, filters): (Vec<_>, Vec<_>) = people.par_iter().map(both).unzip();
    (by_pass(codes), by_pass(filters))
}

/// From a person's passes to a pass's people.
fn by_pass(people: Vec<Vec<Code>>) -> Vec<Vec<Code>> {
    let mut passes = vec![Vec::with_capacity(people.len()); people.first().map_or(0, Vec::len)];
    for person in people {
        passes.iter_mut().zip(person).for_each(|(pass, code)| pass.push(code));
    }
    passes
}
