//! `voorrang demo`: the whole story on one machine, with the commands that real parties use. Keys, a salt that
//! nobody but the custodians and corporations can open, loads, questions over mutual TLS, answers, the log verified.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use time::{Date, Duration, Time};

use super::audit::{self, LogArgs, VerifyArgs, export};
use super::client::Client;
use super::epoch::{self, ActivateArgs, EpochArgs, EpochCommand, NewArgs};
use super::inputs::{parse_day, regulation_or_built_in};
use super::load::{self, Kind, LoadArgs};
use super::output::Output;
use super::query::{self, QueryArgs, Summary};
use super::{evaluate, pki, regulation};
use crate::answer::server;
use crate::answer::wire::SourceReport;
use crate::answer::wire::law::InferenceView;
use crate::clock::Clock;
use crate::config::{Config, Level};
use crate::ids::EpochId;
use crate::regulate::{Party, Regulation, Role};
use crate::telemetry;

/// The invented people that ship with the program; `config/demo/README.md` says where they come from.
const SHIPPED: [(&str, &str); 5] = [
    ("brp.csv", include_str!("../../config/demo/brp.csv")),
    ("huurders.csv", include_str!("../../config/demo/huurders.csv")),
    ("achterstanden.csv", include_str!("../../config/demo/achterstanden.csv")),
    ("oggz.csv", include_str!("../../config/demo/oggz.csv")),
    ("meta.json", include_str!("../../config/demo/meta.json")),
];

/// Days between the register's extract and the questions: long enough for every arrears file to be of age.
const DAYS_LATER: i64 = 14;

/// What `voorrang demo` takes.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Folder with brp.csv, huurders.csv, achterstanden.csv and oggz.csv [default: invented people that ship]
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Folder to leave flags.csv and the access log in [default: nothing is left]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Day of the data [default: its meta.json's ref_date, else today]
    #[arg(long, value_parser = parse_day)]
    pub reference_date: Option<Date>,
}

/// Runs the story.
///
/// # Errors
/// Whatever a party's command would report.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    if let Some(log) = args.out.as_ref().map(|out| out.join(LOG)).filter(|log| log.exists()) {
        bail!("{} exists; name a folder for --out that has none", log.display());
    }
    let mut story = Story::set_up(args)?;
    println!("Voorrang: does this household in rent arrears get priority care?");
    println!("Every party below is played on this machine, over mutual TLS on loopback. The people are invented.\n");
    story.keys();
    story.law()?;
    story.salt()?;
    story.loads()?;
    let summary = story.questions()?;
    story.refusal()?;
    story.log(&summary)?;
    story.finish(args.out.as_deref(), started)
}

struct Story {
    folder: TempDir,
    data: PathBuf,
    day: Date,
    regulation: Regulation,
    epoch: EpochId,
    service: Option<server::Running>,
}

/// The parties' command output is not part of the story; its numbers are.
fn say(chapter: &str, text: &str) {
    println!("{chapter:<12} {text}");
}

impl Story {
    fn set_up(args: &DemoArgs) -> anyhow::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("voorrang-demo-").tempdir().context("cannot make a temporary folder")?;
        let data = match &args.data {
            Some(data) => data.clone(),
            None => ship(&folder.path().join("data"))?,
        };
        for name in ["brp.csv", "oggz.csv", "huurders.csv", "achterstanden.csv"] {
            let path = data.join(name);
            fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        let day = args.reference_date.or_else(|| evaluate::day_of(&data)).unwrap_or_else(|| Clock::System.today());
        let regulation = regulation_or_built_in(None)?;
        let keys = folder.path().join("parties");
        pki::make(&keys, &regulation, "localhost:0")?;
        let regulation = Regulation::load(&pki::sign_all(&keys, &regulation)?)?;
        let asked_on = (day + Duration::days(DAYS_LATER)).with_time(Time::from_hms(9, 0, 0)?).assume_utc();
        let text = fs::read_to_string(keys.join("voorrang.toml"))?;
        let mut config = Config::from_parts(&text, "voorrang.toml", &keys, std::iter::empty())?;
        config.log.level = Level::Warn;
        telemetry::start(&config.log);
        let service = server::start(config, Clock::since(asked_on))?;
        let epoch = "haarlem-demo-1".parse()?;
        let story = Self { folder, data, day, regulation, epoch, service: Some(service) };
        story.point_clients_at_the_service()?;
        Ok(story)
    }

    /// The port was not known before the service listened.
    fn point_clients_at_the_service(&self) -> anyhow::Result<()> {
        let port = self.running().address.port();
        for party in self.regulation.parties() {
            let path = self.config(party);
            let text = fs::read_to_string(&path)?.replace("localhost:0", &format!("localhost:{port}"));
            fs::write(&path, text)?;
        }
        Ok(())
    }

    fn running(&self) -> &server::Running {
        self.service.as_ref().expect("the service runs until the story ends")
    }

    fn config(&self, party: &Party) -> PathBuf {
        self.folder.path().join("parties").join(format!("{}.toml", pki::file_stem(&party.name)))
    }

    fn with_role(&self, role: Role) -> impl Iterator<Item = &Party> {
        self.regulation.parties().iter().filter(move |party| party.role == role)
    }

    fn one(&self, role: Role) -> &Party {
        self.with_role(role).next().expect("a built-in regulation has every role")
    }

    fn keys(&self) {
        let parties = self.regulation.parties().len();
        say("Keys", &format!("development certificates for the service and {parties} parties, thrown away afterwards"));
        say("Service", &format!("listens on {}, TLS 1.3, client certificates only", self.running().address));
    }

    /// All parties signed; two of them put it into force.
    fn law(&self) -> anyhow::Result<()> {
        let (administrator, officer) = (self.one(Role::Administrator), self.one(Role::PrivacyOfficer));
        let folder = pki::regulation_folder(&self.folder.path().join("parties"), &self.regulation);
        regulation::activate_at(&folder, &self.config(administrator), &self.config(officer))?;
        let (id, digest) = (self.regulation.id(), &self.regulation.digest()[..16]);
        say("Regulation", &format!("{id} ({digest}), signed by all {} parties", self.regulation.parties().len()));
        say("", &format!("{} proposed to activate it, {} confirmed", administrator.name, officer.name));
        Ok(())
    }

    fn salt(&self) -> anyhow::Result<()> {
        let step = |party: &Party| EpochArgs { epoch: self.epoch.clone(), config: self.config(party) };
        let administrator = self.one(Role::Administrator);
        epoch::perform(&EpochCommand::New(NewArgs::of(step(administrator))))?;
        let custodians = [self.one(Role::PopulationCustodian), self.one(Role::CareCustodian)];
        for custodian in custodians {
            epoch::perform(&EpochCommand::Contribute(step(custodian)))?;
        }
        let names = custodians.map(|party| party.name.as_str()).join(" and ");
        say("Salt", &format!("{names} each sealed a share of it; the service keeps the sealed shares and no salt"));
        Ok(())
    }

    fn loads(&mut self) -> anyhow::Result<()> {
        let population = self.one(Role::PopulationCustodian);
        self.load(population, Kind::Population, &self.data.join("brp.csv"))?;
        let care = self.one(Role::CareCustodian);
        self.load(care, Kind::Care, &self.data.join("oggz.csv"))?;
        let administrator = EpochArgs { epoch: self.epoch.clone(), config: self.config(self.one(Role::Administrator)) };
        epoch::perform(&EpochCommand::Activate(ActivateArgs::of(administrator)))?;
        self.report()?;
        for (number, corporation) in self.with_role(Role::Corporation).enumerate() {
            let (tenants, _) = self.split(number + 1)?;
            self.load(corporation, Kind::Stock, &tenants)?;
        }
        Ok(())
    }

    /// What is for officers: no custodian is told what its load makes of the other register.
    fn report(&self) -> anyhow::Result<()> {
        let officer = self.one(Role::PrivacyOfficer);
        let place = format!("epochs/{}/reports", self.epoch);
        let reports: Vec<SourceReport> = Client::open(&self.config(officer))?.get(&place)?;
        if let Some(InferenceView { worst, bound, .. }) = reports.into_iter().rev().find_map(|one| one.inference) {
            let [worst, bound] = [worst, bound].map(|share| share * 100.0);
            let text = format!("for {} alone: a reader of the answers may become", officer.name);
            say("Report", &format!("{text} {worst:.0} % sure of the OGGZ group; {bound:.0} % are accepted"));
        }
        Ok(())
    }

    fn load(&self, party: &Party, kind: Kind, input: &Path) -> anyhow::Result<()> {
        let args = LoadArgs::new(kind, input.to_owned(), self.config(party));
        let loaded = load::load(&LoadArgs { reference_date: Some(self.day), ..args })?;
        let mib = loaded.bytes as f64 / f64::from(1 << 20);
        let what = match kind {
            Kind::Population => format!("{} residents, {} of them with codes", loaded.records, loaded.persons),
            Kind::Care => format!("{} members of the OGGZ target group", loaded.records),
            Kind::Stock => format!("its housing stock, {} addresses as a Bloom filter", loaded.persons),
        };
        say("Load", &format!("{} sent {what} ({mib:.2} MiB)", party.name));
        if let Some(pending) = &loaded.pending {
            let officer = self.one(Role::PrivacyOfficer);
            regulation::confirm(pending, &Client::open(&self.config(officer))?)?;
            say("", &format!("{} confirmed the stock", officer.name));
        }
        if let (Kind::Population, Some(record)) = (kind, &loaded.sample) {
            say("", &format!("one of them, as it was sent: {}", shortened(serde_json::to_value(record)?)));
        }
        Ok(())
    }

    /// A corporation has its own tenants and arrears only: those of `C<number>`.
    fn split(&self, number: usize) -> anyhow::Result<(PathBuf, PathBuf)> {
        let folder = self.folder.path().join(format!("corporation-{number}"));
        fs::create_dir_all(&folder)?;
        let (tenants, arrears) = (folder.join("huurders.csv"), folder.join("achterstanden.csv"));
        let corporations = self.with_role(Role::Corporation).count();
        let mut contracts = BTreeSet::new();
        select(&self.data.join("huurders.csv"), &tenants, "corporatie", |contract, name| {
            let place: usize = name.trim_start_matches('C').parse().unwrap_or(1);
            let ours = place.saturating_sub(1) % corporations == number - 1;
            if ours {
                contracts.insert(contract.to_owned());
            }
            ours
        })?;
        select(&self.data.join("achterstanden.csv"), &arrears, "contract_id", |contract, _| {
            contracts.contains(contract)
        })?;
        Ok((tenants, arrears))
    }

    fn questions(&self) -> anyhow::Result<Summary> {
        let mut all = Summary::default();
        let started = Instant::now();
        for (number, corporation) in self.with_role(Role::Corporation).enumerate() {
            let one = query::ask_all(&self.question(number + 1, corporation, None)?)?;
            say(
                "Questions",
                &format!("{} asked for {} households: {}", corporation.name, one.asked, counts(&one.answers)),
            );
            for (article, count) in &one.refused {
                say("", &format!("{count} refused by {article}"));
            }
            all.asked += one.asked;
            one.answers.into_iter().for_each(|(answer, n)| *all.answers.entry(answer).or_default() += n);
        }
        let each = started.elapsed().as_secs_f64() * 1e3 / all.asked.max(1) as f64;
        say("Answers", &format!("{} ({each:.1} ms a household, encoding included)", counts(&all.answers)));
        say("", "undetermined means: consult the district team. It never means no.");
        Ok(all)
    }

    fn question(&self, number: usize, corporation: &Party, purpose: Option<&str>) -> anyhow::Result<QueryArgs> {
        let (tenants, arrears) = self.split(number)?;
        let output = tenants.with_file_name("flags.csv");
        Ok(QueryArgs {
            purpose: purpose.map(str::to_owned),
            day: Some(self.day + Duration::days(DAYS_LATER)),
            ..QueryArgs::new(arrears, tenants, self.config(corporation), output)
        })
    }

    /// One question that the regulation does not allow: for another purpose than the agreed one.
    fn refusal(&self) -> anyhow::Result<()> {
        let corporation = self.one(Role::Corporation);
        let one = self.question(1, corporation, Some("tenant-screening"))?;
        let output = one.output.with_file_name("refused.csv");
        let summary = query::ask_all(&QueryArgs { output: output.clone(), ..one })?;
        let (article, _) = summary.refused.first_key_value().context("a forbidden question was answered")?;
        let refusals = fs::read_to_string(output.with_extension("refused.csv"))?;
        let why = csv::Reader::from_reader(refusals.as_bytes()).records().next().context("a refusal says why")??;
        say(
            "Refused",
            &format!("{} asked for the purpose \"tenant-screening\": article {article} refuses", corporation.name),
        );
        say("", why.get(3).unwrap_or_default());
        Ok(())
    }

    fn log(&self, summary: &Summary) -> anyhow::Result<()> {
        let officer = self.one(Role::PrivacyOfficer);
        let numbers = 1..=self.with_role(Role::Corporation).count();
        let receipts = numbers.map(|n| self.folder.path().join(format!("corporation-{n}/flags.csv"))).collect();
        let report = audit::verify(&VerifyArgs::new(self.config(officer), receipts))?;
        let (entries, found) = (report.entries, report.receipts);
        ensure!(found == summary.answers.values().sum::<usize>() as u64, "the log lacks receipts");
        say("Access log", &format!("{} verified {entries} entries and found all {found} receipts", officer.name));
        Ok(())
    }

    /// The log as other people's tools read it, and the key that they check it with.
    fn leave_log(&self, out: &Path) -> anyhow::Result<()> {
        let log = LogArgs { offline: true, ..LogArgs::new(self.config(self.one(Role::PrivacyOfficer))) };
        let reading = log.reading()?;
        export::tiles(&reading, &out.join(LOG))?;
        let mut key = Output::create(&out.join("log.vkey"))?;
        std::io::Write::write_all(&mut key, format!("{}\n", self.log_key()?).as_bytes())?;
        key.finish()
    }

    fn log_key(&self) -> anyhow::Result<String> {
        let client = Client::open(&self.config(self.one(Role::PrivacyOfficer)))?;
        Ok(client.log_keys()?.current().vkey())
    }

    fn finish(mut self, out: Option<&Path>, started: Instant) -> anyhow::Result<()> {
        if let Some(out) = out {
            fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
            self.leave_log(out)?;
            let mut flags = Output::create(&out.join("flags.csv"))?;
            for number in 1..=self.with_role(Role::Corporation).count() {
                let part = fs::read_to_string(self.folder.path().join(format!("corporation-{number}/flags.csv")))?;
                let body = if number == 1 { &part } else { part.split_once('\n').map_or("", |(_, body)| body) };
                std::io::Write::write_all(&mut flags, body.as_bytes())?;
            }
            flags.finish()?;
            say(
                "Written",
                &format!("{}; the log as tiles in {}", out.join("flags.csv").display(), out.join(LOG).display()),
            );
        }
        if let Some(service) = self.service.take() {
            service.stop()?;
        }
        let memory =
            peak_memory_mib().map_or_else(String::new, |mib| format!(", {mib} MiB at most, all parties together"));
        say("Done", &format!("{:.1} s{memory}", started.elapsed().as_secs_f64()));
        Ok(())
    }
}

/// A story that is cut short leaves nothing either: the service writes into the folder for as long as it runs.
impl Drop for Story {
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            // What ended the story is what is told.
            drop(service.stop());
        }
    }
}

/// Folder of `--out` that holds the log.
const LOG: &str = "log";

/// A record with every long text cut short, for the eye.
fn shortened(mut value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match &mut value {
        Value::String(text) if text.len() > 12 => *text = format!("{}...", &text[..9]),
        Value::Array(items) => items.iter_mut().for_each(|item| *item = shortened(item.take())),
        Value::Object(members) => members.values_mut().for_each(|member| *member = shortened(member.take())),
        _ => {}
    }
    value
}

fn counts(answers: &BTreeMap<String, usize>) -> String {
    let parts: Vec<_> = answers.iter().map(|(answer, count)| format!("{count} {answer}")).collect();
    parts.join(", ")
}

fn ship(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    for (name, text) in SHIPPED {
        fs::write(folder.join(name), text)?;
    }
    Ok(folder.to_owned())
}

/// Copies the rows of a CSV file that `keep(contract, value of column)` wants.
fn select(from: &Path, to: &Path, column: &str, mut keep: impl FnMut(&str, &str) -> bool) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read {}", from.display());
    let mut reader = csv::Reader::from_path(from).with_context(unreadable)?;
    let header = reader.headers().with_context(unreadable)?.clone();
    let at = |name: &str| {
        let find = header.iter().position(|field| field.trim_start_matches('\u{feff}') == name);
        find.with_context(|| format!("{} has no column {name}", from.display()))
    };
    let (contract, value) = (at("contract_id")?, at(column)?);
    let mut writer = csv::Writer::from_path(to)?;
    writer.write_record(&header)?;
    for row in reader.records() {
        let row = row.with_context(unreadable)?;
        if keep(&row[contract], &row[value]) {
            writer.write_record(&row)?;
        }
    }
    writer.flush()?;
    Ok(())
}

/// The most memory that this process had, MiB; Linux only.
fn peak_memory_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024)
}
