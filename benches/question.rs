//! One question, end to end over mutual TLS, against a no-op request of the same server and one sync of the same
//! disk: `cargo bench --bench question`. The register holds 100,000 invented people, or as many as
//! `VOORRANG_BENCH_PERSONS` says.
//!
//! Before criterion's own figures it prints the paired comparison: pings, syncs and questions in turn, so that all
//! three see the same machine.

use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::Criterion;
use tempfile::TempDir;
use voorrang::answer::server::{self, Running};
use voorrang::answer::wire::{self, Answered, Question, by_name};
use voorrang::cli::client::Client;
use voorrang::cli::epoch::{self, ActivateArgs, EpochArgs, EpochCommand, NewArgs};
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::cli::people::PeopleArgs;
use voorrang::cli::pki;
use voorrang::clock::Clock;
use voorrang::code::{AddressToken, Codes, HouseholdToken, Record, RecordRef};
use voorrang::config::Config;
use voorrang::encode::{Encoder, read};
use voorrang::link::{HouseholdQuestion, RegisterBuilder, Registers, Source};
use voorrang::profile::{Pass, Profile};
use voorrang::regulate::Regulation;

const ROUNDS: usize = 2000;
const RESIDENTS_PER_HOUSEHOLD: usize = 3;

/// A running service with a loaded register, and everything to ask it with.
struct Bench {
    folder: TempDir,
    service: Running,
    asker: Client,
    /// Of tenants who live at their address.
    at_home: Vec<Question>,
    /// Of tenants who are not in the register: the whole of it is searched.
    unknown: Vec<Question>,
}

impl Bench {
    fn set_up(persons: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let regulation_folder = folder.path().join("haarlem");
        write_regulation(&regulation_folder)?;
        let regulation = Regulation::load(&regulation_folder)?;
        let keys = folder.path().join("keys");
        pki::make(&keys, &regulation, "localhost:0")?;
        let law = pki::sign_all(&keys, &regulation)?;
        let config = fs::read_to_string(keys.join("voorrang.toml"))?;
        let mut config = Config::from_parts(&config, "voorrang.toml", &keys, std::iter::empty())?;
        config.state = state_folder(&folder);
        let service = server::start(config, Clock::System)?;
        point_clients_at(&keys, &regulation, service.address.port())?;
        let party = |name: &str| keys.join(format!("{name}.toml"));
        let [administrator, population, care, corporation] = [
            "ict-dienst-kennemerland",
            "gemeente-haarlem-burgerzaken",
            "sociaal-wijkteam-en-zorgnetwerk-haarlem",
            "ymere",
        ]
        .map(party);
        let officer = party("functionaris-gegevensbescherming-van-de-gemeente");
        voorrang::cli::regulation::activate_at(&law, &administrator, &officer)?;
        let files = Files::write(folder.path(), persons)?;
        let step = |config: &Path| EpochArgs { epoch: "haarlem-bench".parse().expect("a name"), config: config.into() };
        epoch::run(&EpochCommand::New(NewArgs::of(step(&administrator))))?;
        epoch::run(&EpochCommand::Contribute(step(&population)))?;
        epoch::run(&EpochCommand::Contribute(step(&care)))?;
        upload(Kind::Population, &files.residents, &population)?;
        upload(Kind::Care, &files.care, &care)?;
        let activate = ActivateArgs { epoch: step(&administrator), accept_shrink: false };
        epoch::run(&EpochCommand::Activate(activate))?;
        // All addresses of the register: a stock declares at most 50 dwellings an address.
        upload(Kind::Stock, &files.residents, &corporation)?;
        let asker = Client::open(&corporation)?;
        let profile = Profile::built_in();
        let epoch = asker.epoch_in(&["active"])?;
        let salt = asker.salt(&epoch.id, &profile)?;
        let encoder = Encoder::new(&profile, salt.expose(), &epoch.id);
        let at_home = questions(&files.tenants, &encoder, &profile)?;
        let unknown = questions(&files.strangers, &encoder, &profile)?;
        Ok(Self { folder, service, asker, at_home, unknown })
    }

    fn ask(&self, question: &Question) -> Answered {
        self.asker.post("priority-questions", question).expect("the question is answered")
    }

    fn ping(&self) {
        self.asker.get_empty("ping").expect("the service answers");
    }
}

/// Where the service keeps its state: a real disk. The system's temporary folder may be memory.
fn state_folder(folder: &TempDir) -> PathBuf {
    std::env::var_os("VOORRANG_BENCH_STATE").map_or_else(|| folder.path().join("state"), PathBuf::from)
}

/// Haarlem's regulation with the widest budgets: they bound a corporation, not a machine.
fn write_regulation(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let text = include_str!("../config/regulations/haarlem/regulation.toml")
        .replace("stop_share = 0.25", "stop_share = 1.0")
        .replace("household_per_month = 4", "household_per_month = 31");
    fs::write(folder.join("regulation.toml"), text)?;
    fs::write(folder.join("articles.cedar"), include_str!("../config/regulations/haarlem/articles.cedar"))?;
    Ok(())
}

fn point_clients_at(keys: &Path, regulation: &Regulation, port: u16) -> anyhow::Result<()> {
    for party in regulation.parties() {
        let path = keys.join(format!("{}.toml", pki::file_stem(&party.name)));
        let text = fs::read_to_string(&path)?.replace("localhost:0", &format!("localhost:{port}"));
        fs::write(path, text)?;
    }
    Ok(())
}

fn upload(kind: Kind, input: &Path, config: &Path) -> anyhow::Result<()> {
    let args = LoadArgs {
        kind,
        input: input.into(),
        people: PeopleArgs::default(),
        config: config.into(),
        reference_date: None,
        dwellings: Some(400_000).filter(|_| kind == Kind::Stock),
        salt_file: None,
        profile: None,
        dry_run: false,
    };
    if let Some(pending) = &load::load(&args)?.pending {
        let officer = config.with_file_name("functionaris-gegevensbescherming-van-de-gemeente.toml");
        voorrang::cli::regulation::confirm(pending, &Client::open(&officer)?)?;
    }
    Ok(())
}

/// Invented people: every syllable and number from the row number, so that all runs are alike.
struct Files {
    residents: PathBuf,
    care: PathBuf,
    tenants: PathBuf,
    strangers: PathBuf,
}

impl Files {
    fn write(folder: &Path, persons: usize) -> anyhow::Result<Self> {
        let place = |name: &str| folder.join(name);
        let files = Self {
            residents: place("brp.csv"),
            care: place("oggz.csv"),
            tenants: place("huurders.csv"),
            strangers: place("strangers.csv"),
        };
        let mut residents = fs::File::create(&files.residents)?;
        writeln!(
            residents,
            "person_id,bsn,huishouden_id,adres_id,voornamen,voorvoegsel,geslachtsnaam,geslacht,\
geboortedatum,naamgebruik,partner_voorvoegsel,partner_geslachtsnaam,rol,straat,huisnummer,huisletter,toevoeging,\
postcode,woonplaats"
        )?;
        for n in 0..persons {
            let (household, person) = (n / RESIDENTS_PER_HOUSEHOLD, Invented::new(n));
            let Invented { first, last, sex, birth } = person;
            writeln!(
                residents,
                "P{n},,H{household},,{first},,{last},{sex},{birth},E,,,,Straat {},{},,,{},Stad",
                household / 200,
                1 + household % 200,
                postcode(household)
            )?;
        }
        let mut care = fs::File::create(&files.care)?;
        writeln!(
            care,
            "oggz_id,voornaam,tussenvoegsel,achternaam,geslacht,geboortedatum,straat,huisnummer,toevoeging,postcode,woonplaats"
        )?;
        for n in (0..persons).step_by(persons / 100) {
            let Invented { first, last, sex, birth } = Invented::new(n);
            let household = n / RESIDENTS_PER_HOUSEHOLD;
            let birth = format!("{}-{}-{}", &birth[..4], &birth[4..6], &birth[6..]);
            writeln!(
                care,
                "O{n},{first},,{last},{sex},{birth},Straat {},{},,{},Stad",
                household / 200,
                1 + household % 200,
                postcode(household)
            )?;
        }
        Self::write_tenants(&files.tenants, persons, 0)?;
        Self::write_tenants(&files.strangers, persons, 7_777_777)?;
        Ok(files)
    }

    /// Tenants of the first person of a household; with an offset they are people who live nowhere.
    fn write_tenants(path: &Path, persons: usize, offset: usize) -> anyhow::Result<()> {
        let mut file = fs::File::create(path)?;
        writeln!(
            file,
            "contract_id,volgnr,corporatie,voorletters,voornaam,tussenvoegsel,achternaam,geslacht,\
geboortedatum,straat,huisnummer,toevoeging,postcode,woonplaats,ingangsdatum"
        )?;
        for household in (0..persons / RESIDENTS_PER_HOUSEHOLD).take(2 * ROUNDS) {
            let Invented { first, last, sex, birth } = Invented::new(household * RESIDENTS_PER_HOUSEHOLD + offset);
            let birth = format!("{}-{}-{}", &birth[..4], &birth[4..6], &birth[6..]);
            writeln!(
                file,
                "K{household},1,C1,,{first},,{last},{sex},{birth},Straat {},{},,{},Stad,2020-01-01",
                household / 200,
                1 + household % 200,
                postcode(household)
            )?;
        }
        Ok(())
    }
}

struct Invented {
    first: String,
    last: String,
    sex: char,
    birth: String,
}

impl Invented {
    fn new(n: usize) -> Self {
        const SYLLABLES: [&str; 16] =
            ["ba", "der", "fi", "gro", "hen", "ja", "kel", "lo", "mun", "ne", "pol", "ra", "sti", "ter", "vo", "wim"];
        // Knuth's multiplicative hash: neighbours get unlike names.
        let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let part = |shift: usize| SYLLABLES[(mixed >> shift) & 15];
        let birth = format!("{}{:02}{:02}", 1940 + (mixed >> 40) % 60, 1 + (mixed >> 46) % 12, 1 + (mixed >> 52) % 28);
        let last = format!("{}{}{}{}", part(8), part(12), part(16), part(20));
        Self { first: format!("{}{}", part(24), part(28)), last, sex: if mixed >> 63 == 0 { 'M' } else { 'V' }, birth }
    }
}

fn postcode(household: usize) -> String {
    let block = household / 200;
    let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).expect("below 26"));
    format!("{}{}{}", 1000 + block / 676, letter(block / 26), letter(block))
}

fn questions(tenants: &Path, encoder: &Encoder, profile: &Profile) -> anyhow::Result<Vec<Question>> {
    let ask = |tenant| {
        let (codes, address) = encoder.tenants(&[tenant]).remove(0);
        Question {
            header: encoder.header(),
            purpose: Some("eviction-prevention".into()),
            arrears: wire::Arrears { months: 3.0, days: 0 },
            conditions: wire::Conditions {
                personal_contact: true,
                help_offered: true,
                reminder_sent: true,
                no_objection: true,
                tenant_agrees: false,
            },
            address,
            tenants: vec![wire::Tenant { codes: by_name(codes, profile) }],
        }
    };
    Ok(read::tenants(tenants)?.into_iter().map(ask).collect())
}

/// One 4 KiB page appended and synced, as a log entry must be.
fn sync_a_page(file: &mut fs::File) {
    file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("the disk takes a page");
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6
}

fn compare(bench: &Bench, file: &mut fs::File) -> anyhow::Result<()> {
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..ROUNDS {
        times[0].push(timed(|| bench.ping()));
        times[1].push(timed(|| sync_a_page(file)));
        times[2].push(timed(|| drop(bench.ask(&bench.at_home[round % bench.at_home.len()]))));
        times[3].push(timed(|| drop(bench.ask(&bench.unknown[round % bench.unknown.len()]))));
    }
    let [mut ping, mut sync, mut home, mut unknown] = times;
    let floor = percentile(&mut ping, 0.5) + percentile(&mut sync, 0.5);
    println!("n = {ROUNDS} each, in turn, one open connection; microseconds");
    for (name, times) in [
        ("no-op request", &mut ping),
        ("4 KiB append and fdatasync", &mut sync),
        ("question, tenant at the address", &mut home),
        ("question, whole register searched", &mut unknown),
    ] {
        let (p50, p99) = (percentile(times, 0.5), percentile(times, 0.99));
        println!("{name:<36} p50 {p50:>8.0}  p99 {p99:>8.0}  p50 / floor {:>5.2}", p50 / floor);
    }
    let ratio = percentile(&mut home, 0.5) / floor;
    anyhow::ensure!(ratio <= 2.0, "a question takes {ratio:.2} times its floor; 2 is the most");
    Ok(())
}

/// The search alone, without network, log and disk: random codes at half weight, as strangers' are.
fn in_memory(criterion: &mut Criterion) {
    const PERSONS: usize = 100_000;
    let profile = Profile::built_in();
    let token = |number: usize| (number as u128).to_be_bytes();
    // splitmix64: the same codes in each run.
    let mut state = 2_u64;
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut codes = |asked: bool| {
        let of_pass = |pass: &Pass| {
            let count = if asked { pass.asked(&profile) } else { pass.held(&profile) };
            (0..count).map(|_| (0..pass.code_bits / 64).map(|_| word()).collect::<Vec<_>>().into()).collect()
        };
        Codes { passes: profile.passes.iter().map(of_pass).collect() }
    };
    let mut load = RegisterBuilder::new(&profile, Source::Population);
    for person in 0..PERSONS {
        let record = Record {
            id: RecordRef(token(person)),
            address: Some(AddressToken(token(person / 2))),
            household: Some(HouseholdToken(token(person / 2))),
            groups: vec![],
            codes: codes(false),
        };
        load.push(record).expect("random codes are sound");
    }
    let registers = Registers::join(load.finish().into(), None);
    let strangers: Vec<Codes> = (0..2).map(|_| codes(true)).collect();
    let mut group = criterion.benchmark_group("find among 100,000 persons");
    group.sample_size(20);
    for (name, tenants) in [("one tenant everywhere", &strangers[..1]), ("two everywhere", &strangers[..])] {
        let address = Some(AddressToken(token(0)));
        let question = HouseholdQuestion::new(&profile, address, tenants.to_vec()).expect("a sound question");
        group.bench_function(name, |bencher| bencher.iter(|| registers.find(black_box(&question))));
    }
}

fn main() -> anyhow::Result<()> {
    let persons = std::env::var("VOORRANG_BENCH_PERSONS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let bench = Bench::set_up(persons)?;
    let mut file = fs::File::create(state_folder(&bench.folder).join("sync-floor"))?;
    println!("register of {persons} people");
    compare(&bench, &mut file)?;
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut group = criterion.benchmark_group("question");
    let mut next = (0..bench.at_home.len()).cycle();
    let mut round = move || next.next().expect("a cycle does not end");
    group.bench_function("no-op", |b| b.iter(|| bench.ping()));
    group.bench_function("fdatasync", |b| b.iter(|| sync_a_page(&mut file)));
    group.bench_function("at the address", |b| b.iter(|| black_box(bench.ask(&bench.at_home[round()]))));
    group.bench_function("whole register", |b| {
        b.iter(|| black_box(bench.ask(&bench.unknown[round() % bench.unknown.len()])))
    });
    group.finish();
    in_memory(&mut criterion);
    criterion.final_summary();
    bench.service.stop()?;
    Ok(())
}
