//! A service with all its parties in a temporary folder, and a raw HTTP client that can send what no honest client
//! would.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration as Wait, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;
use time::{Date, OffsetDateTime, macros::datetime};
use voorrang::answer::codes::CODES;
use voorrang::answer::server::{self, Running};
use voorrang::answer::wire::{self, Answered, LogPage, ProblemBody, Question, Tenant};
use voorrang::audit::{Entry, Report};
use voorrang::cli::audit::witness::{self, WitnessArgs};
use voorrang::cli::audit::{LogBroken, VerifyArgs};
use voorrang::cli::client::Client;
use voorrang::cli::epoch::{ActivateArgs, EpochArgs, EpochCommand, NewArgs};
use voorrang::cli::exit_code;
use voorrang::cli::load::{Kind, LoadArgs, Loaded};
use voorrang::cli::pki::{self, Authority, Issued, Subject};
use voorrang::cli::regulation;
use voorrang::clock::Clock;
use voorrang::config::Config;
use voorrang::encode::{Encoder, read};
use voorrang::ids::EpochId;
use voorrang::profile::Profile;
use voorrang::regulate::Regulation;

use super::document;

pub const ADMINISTRATOR: &str = "ict-dienst-kennemerland";
pub const POPULATION: &str = "gemeente-haarlem-burgerzaken";
pub const CARE: &str = "sociaal-wijkteam-en-zorgnetwerk-haarlem";
pub const CORPORATION: &str = "ymere";
pub const OFFICER: &str = "functionaris-gegevensbescherming-van-de-gemeente";
/// Seconds that clients wait for a service that is away.
pub const PATIENCE: u32 = 16;
pub const EPOCH: &str = "haarlem-1";

/// Contracts of the corporation and what the demonstration's register says of them.
pub const FAMILY: &str = "K0000037";
pub const SINGLE: &str = "K0000046";
/// Registered nowhere; another corporation's, so outside the stock.
pub const STRANGERS: &str = "K0000036";

/// The ages of the regulation, as a load of a population states them.
pub fn ages() -> Value {
    serde_json::json!({"minorBelow": 18, "seniorFrom": 65})
}

/// Asked two weeks after the day of the register.
pub const NOW: OffsetDateTime = datetime!(2026-01-15 9:00 UTC);

/// Households of the tower: with the 51 of the corporation's addresses the 1,400 that it declares.
pub const TOWER: usize = 1349;

pub fn demo(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo").join(file)
}

/// Where the service of a [`House`] runs.
enum Service {
    Nowhere,
    Inside(Running),
    /// A process of its own, which can be killed.
    Outside {
        child: Child,
        port: u16,
    },
}

pub struct House {
    folder: TempDir,
    pub clock: Clock,
    pub regulation: Regulation,
    authority: Authority,
    service: Service,
    outside: bool,
    /// Runs the next process, in place of `voorrang serve`.
    pub command: Option<Command>,
    /// No regulation is activated at the start.
    pub lawless: bool,
}

impl House {
    /// Keys for everybody; no service yet.
    pub fn built(outside: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A regulation that holds on every day on which somebody runs this.
        let law = folder.path().join("haarlem");
        fs::create_dir(&law).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/regulations/haarlem");
        let text = fs::read_to_string(shipped.join("regulation.toml")).unwrap();
        let text = text.replace("valid_from = 2025-07-01", "valid_from = 2020-01-01");
        // A test loads more often on its day than custodians do.
        let text = text.replace("most_change = 0.1", "most_change = 0.1\nloads_per_day = 100");
        fs::write(law.join("regulation.toml"), text.replace("valid_until = 2027-07-01", "valid_until = 2999-01-01"))
            .unwrap();
        fs::copy(shipped.join("articles.cedar"), law.join("articles.cedar")).unwrap();
        let regulation = Regulation::load(&law).unwrap();
        let keys = folder.path().join("keys");
        pki::make(&keys, &regulation, "localhost:0").unwrap();
        let regulation = Regulation::load(&pki::sign_all(&keys, &regulation).unwrap()).unwrap();
        // A second root of which the tests hold the key.
        let authority = Authority::new("Test root").unwrap();
        let roots = fs::read_to_string(keys.join("ca.pem")).unwrap() + &authority.certificate();
        fs::write(keys.join("roots.pem"), roots).unwrap();
        let house = Self {
            folder,
            clock: if outside { Clock::System } else { Clock::standing(NOW) },
            regulation,
            authority,
            service: Service::Nowhere,
            outside,
            command: None,
            lawless: false,
        };
        let path = house.keys().join("voorrang.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("client_roots = \"ca.pem\"", "client_roots = \"roots.pem\"")).unwrap();
        for stem in [POPULATION, CARE, CORPORATION] {
            let path = house.party(stem);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, format!("{text}\n[retry]\nseconds = {PATIENCE}\n")).unwrap();
        }
        house
    }

    /// A service in this process, on a clock that stands, without an epoch.
    pub fn empty() -> Self {
        let mut house = Self::built(false);
        house.start();
        house
    }

    /// The same, with no regulation in force.
    pub fn lawless() -> Self {
        let mut house = Self::built(false);
        house.lawless = true;
        house.start();
        house
    }

    /// With these limits, and nothing loaded.
    pub fn limited(limits: &[(&str, i64)]) -> Self {
        let mut house = Self::built(false);
        house.configure(|table| {
            let section = table["limits"].as_table_mut().unwrap();
            limits.iter().for_each(|(key, value)| drop(section.insert((*key).into(), (*value).into())));
        });
        house.start();
        house
    }

    /// A service that answers from the demonstration's register.
    pub fn open() -> Self {
        let house = Self::empty();
        house.fill(EPOCH);
        house
    }

    /// The same as a process of its own, on the system's clock.
    pub fn outside() -> Self {
        let mut house = Self::built(true);
        house.start();
        house.fill(EPOCH);
        house
    }

    /// The whole way of an epoch until it answers.
    pub fn fill(&self, epoch: &str) {
        self.agree(epoch);
        self.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
        self.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
        self.load(CORPORATION, Kind::Stock, &self.stock_of("C1")).unwrap();
        self.activate(epoch).unwrap();
    }

    /// As the first of a month does, and a new load: a test may ask more often than anybody may, and each time anew.
    pub fn forget_counts(&self) {
        let db = rusqlite::Connection::open(self.state().join("voorrang.db")).unwrap();
        db.busy_timeout(Wait::from_secs(20)).unwrap();
        db.execute_batch("DELETE FROM mark; DELETE FROM spelling").unwrap();
        self.forget_budgets();
    }

    /// As the first of a month does.
    pub fn forget_budgets(&self) {
        let db = rusqlite::Connection::open(self.state().join("voorrang.db")).unwrap();
        db.busy_timeout(Wait::from_secs(20)).unwrap();
        db.execute_batch("DELETE FROM budget; DELETE FROM household_questions").unwrap();
    }

    pub fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    pub fn state(&self) -> PathBuf {
        self.keys().join("state")
    }

    pub fn stderr(&self) -> PathBuf {
        self.folder.path().join("stderr")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn party(&self, stem: &str) -> PathBuf {
        self.keys().join(format!("{stem}.toml"))
    }

    /// An officer's witness that looks at the log now and then.
    pub fn witness(&self) -> WitnessArgs {
        WitnessArgs {
            state: self.file("witness"),
            name: Some("officer.example/w1".into()),
            config: None,
            listen: None,
            log: vec![],
            alarm: None,
        }
    }

    /// What a witness finds when it looks, and what its alarm program is told: the kind, and an evidence file that is there.
    pub fn alarmed(&self, args: WitnessArgs) -> (LogBroken, String) {
        let (program, told) = (self.file("alarm"), self.file("alarm.told"));
        fs::write(&program, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", told.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let args = WitnessArgs { alarm: Some(program), ..args };
        let error = witness::look(&args, &self.party(OFFICER)).unwrap_err();
        assert_eq!(exit_code(&error), 5, "{error:#}");
        let told = fs::read_to_string(told).expect("the alarm program ran");
        let (kind, evidence) = told.trim_end().split_once('\n').unwrap();
        assert!(Path::new(evidence).exists(), "{evidence}");
        (error.downcast().unwrap(), kind.to_owned())
    }

    pub fn client(&self, stem: &str) -> Client {
        Client::open(&self.party(stem)).unwrap()
    }

    pub fn config(&self) -> Config {
        let text = fs::read_to_string(self.keys().join("voorrang.toml")).unwrap();
        let config = Config::from_parts(&text, "voorrang.toml", &self.keys(), std::iter::empty()).unwrap();
        Config { file: Some(self.keys().join("voorrang.toml")), ..config }
    }

    /// Changes the service's configuration file, also while it runs.
    pub fn configure(&self, change: impl FnOnce(&mut toml::Table)) {
        let path = self.keys().join("voorrang.toml");
        let mut table = fs::read_to_string(&path).unwrap().parse().unwrap();
        change(&mut table);
        fs::write(path, table.to_string()).unwrap();
    }

    /// Adds a root to those that the service believes.
    pub fn believe(&self, root: &str) {
        let path = self.keys().join("roots.pem");
        fs::write(&path, fs::read_to_string(&path).unwrap() + root).unwrap();
    }

    /// Gives a party another certificate.
    pub fn give(&self, stem: &str, issued: &Issued) {
        fs::write(self.keys().join(format!("{stem}.pem")), &issued.certificate).unwrap();
        fs::write(self.keys().join(format!("{stem}.key")), &issued.key).unwrap();
    }

    /// Starts the service, anew if it ran before on the same state.
    pub fn start(&mut self) {
        self.service = if self.outside {
            let config = self.keys().join("voorrang.toml");
            let (child, port) = spawn(self.command.take().unwrap_or_else(|| serve(&config)), &self.stderr());
            Service::Outside { child, port }
        } else {
            Service::Inside(server::start(self.config(), self.clock.clone()).unwrap())
        };
        for party in self.regulation.parties() {
            let path = self.party(&pki::file_stem(&party.name));
            let text = fs::read_to_string(&path).unwrap();
            let address = format!("service = \"https://localhost:{}\"", self.port());
            let lines = text.lines().map(|line| if line.starts_with("service = ") { &address } else { line });
            fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
        }
        if self.client(ADMINISTRATOR).service().unwrap().regulations.is_empty() && !self.lawless {
            self.activate_law().unwrap();
        }
    }

    /// Puts the regulation into force: one proposes, another confirms.
    pub fn activate_law(&self) -> anyhow::Result<()> {
        regulation::activate_at(&self.law(), &self.party(ADMINISTRATOR), &self.party(OFFICER)).map(drop)
    }

    /// Everybody signs the regulation as it lies in its folder now.
    pub fn sign_law(&self) {
        pki::sign_all(&self.keys(), &self.regulation).unwrap();
    }

    /// The folder of the signed regulation.
    pub fn law(&self) -> PathBuf {
        pki::regulation_folder(&self.keys(), &self.regulation)
    }

    /// Stops it as it should be stopped; whether it ended well.
    pub fn stop(&mut self) -> bool {
        match std::mem::replace(&mut self.service, Service::Nowhere) {
            Service::Nowhere => false,
            Service::Inside(running) => running.stop().is_ok(),
            Service::Outside { mut child, .. } => {
                signal("TERM", &child);
                child.wait().unwrap().success()
            }
        }
    }

    /// How a service of its own process ends at SIGTERM.
    pub fn stopped(&mut self) -> ExitStatus {
        let Service::Outside { mut child, .. } = std::mem::replace(&mut self.service, Service::Nowhere) else {
            panic!("the service is a part of this process")
        };
        signal("TERM", &child);
        child.wait().unwrap()
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// A signal to the service's process.
    pub fn signal(&self, name: &str) {
        if let Service::Outside { child, .. } = &self.service {
            signal(name, child);
        }
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        match &mut self.service {
            Service::Outside { child, .. } => child.wait().unwrap().code(),
            _ => None,
        }
    }

    /// The number of the service's process.
    pub fn process(&self) -> u32 {
        match &self.service {
            Service::Outside { child, .. } => child.id(),
            _ => panic!("the service is no process of its own"),
        }
    }

    /// SIGKILL, from another thread than the one that owns the house.
    pub fn kill_now(&self) {
        if let Service::Outside { child, .. } = &self.service {
            signal("KILL", child);
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Service::Outside { child, .. } = &mut self.service {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The port of the interface's document.
    pub fn documentation(&self) -> u16 {
        let Service::Inside(running) = &self.service else { panic!("the service is no part of this process") };
        running.documentation.expect("development services publish it").port()
    }

    /// The port of the internal listener, which is configured.
    pub fn internal(&self) -> u16 {
        let Service::Inside(running) = &self.service else { panic!("the service is no part of this process") };
        running.internal.expect("it is configured").port()
    }

    pub fn port(&self) -> u16 {
        match &self.service {
            Service::Nowhere => panic!("the service does not run"),
            Service::Inside(running) => running.address.port(),
            Service::Outside { port, .. } => *port,
        }
    }

    pub fn epoch_args(&self, stem: &str, epoch: &str) -> EpochArgs {
        EpochArgs { epoch: epoch.parse().unwrap(), config: self.party(stem) }
    }

    pub fn announce(&self, epoch: &str) -> anyhow::Result<()> {
        voorrang::cli::epoch::run(&EpochCommand::New(NewArgs::of(self.epoch_args(ADMINISTRATOR, epoch))))
    }

    pub fn contribute(&self, stem: &str, epoch: &str) -> anyhow::Result<()> {
        voorrang::cli::epoch::run(&EpochCommand::Contribute(self.epoch_args(stem, epoch)))
    }

    pub fn activate(&self, epoch: &str) -> anyhow::Result<()> {
        let epoch = self.epoch_args(ADMINISTRATOR, epoch);
        voorrang::cli::epoch::run(&EpochCommand::Activate(ActivateArgs::of(epoch)))
    }

    pub fn agree(&self, epoch: &str) {
        self.announce(epoch).unwrap();
        self.contribute(POPULATION, epoch).unwrap();
        self.contribute(CARE, epoch).unwrap();
    }

    /// The day on which the registers were read.
    pub fn reference(&self) -> Date {
        if self.outside { Clock::System.today() } else { time::macros::date!(2026 - 01 - 01) }
    }

    pub fn load_args(&self, stem: &str, kind: Kind, input: &Path) -> LoadArgs {
        let input = match kind {
            Kind::Population => self.with_flats(input),
            Kind::Stock => self.with_tower(input),
            Kind::Care => input.to_owned(),
        };
        LoadArgs {
            reference_date: Some(self.reference()),
            // Room for every question that a test asks, where the town has its tower.
            dwellings: (kind == Kind::Stock).then_some(1400),
            ..LoadArgs::new(kind, input, self.party(stem))
        }
    }

    /// Loads; a stock is confirmed by the officer.
    pub fn load(&self, stem: &str, kind: Kind, input: &Path) -> anyhow::Result<Loaded> {
        let loaded = voorrang::cli::load::load(&self.load_args(stem, kind, input))?;
        if let Some(pending) = &loaded.pending {
            regulation::confirm(pending, &self.client(OFFICER))?;
        }
        Ok(loaded)
    }

    /// The residents that a filled house has.
    pub fn town(&self) -> PathBuf {
        self.with_flats(&demo("brp.csv"))
    }

    /// These residents and, in a tower that no test asks about, a child a flat, who has no codes.
    fn with_flats(&self, residents: &Path) -> PathBuf {
        let Ok(text) = fs::read_to_string(residents) else { return residents.to_owned() };
        let child = |n| format!("PT{n},,HT{n},AT{n},Kind,,Toren,M,20200101,E,,,referentie,Torenlaan,1,,,1011ZZ,Stad\n");
        let tower: String = (0..TOWER).map(child).collect();
        let path = self.file(&format!("{}-with-tower.csv", residents.file_stem().unwrap().display()));
        fs::write(&path, text + &tower).unwrap();
        path
    }

    /// A corporation's tenants, and one of the tower.
    fn with_tower(&self, tenants: &Path) -> PathBuf {
        let path = self.file("stock-with-tower.csv");
        let tenant = "K9999999,1,C1,T.,,,Toren,man,2000-01-01,Torenlaan,1,,1011ZZ,Stad,2020-01-01\n";
        fs::write(&path, fs::read_to_string(tenants).unwrap() + tenant).unwrap();
        path
    }

    /// The tenants of one corporation, as a file.
    pub fn stock_of(&self, corporation: &str) -> PathBuf {
        let path = self.file(&format!("stock-{corporation}.csv"));
        rows(&demo("huurders.csv"), &path, |line| line.split(',').nth(2) == Some(corporation));
        path
    }

    /// A party's certificate and key.
    pub fn card(&self, stem: &str) -> Card {
        let read = |ending: &str| fs::read_to_string(self.keys().join(format!("{stem}.{ending}"))).unwrap();
        Card::new(&Issued { certificate: read("pem"), key: read("key") })
    }

    /// A certificate that the service's roots vouch for.
    pub fn issue(&self, subject: &Subject<'_>) -> Card {
        Card::new(&self.authority.issue(subject).unwrap())
    }

    pub fn tls(&self, card: Option<&Card>) -> ClientConfig {
        let builder = client_tls(&self.keys().join("ca.pem"));
        match card {
            // Not checked against each other: an enemy does not either.
            Some(card) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(card.certified()))),
            None => builder.with_no_client_auth(),
        }
    }

    /// An open connection of a party.
    pub fn line(&self, stem: &str) -> Line {
        Line::open(self.port(), self.tls(Some(&self.card(stem)))).unwrap()
    }

    /// An encoder with the epoch's salt, as the corporation has it.
    pub fn encoder(&self, epoch: &str) -> Encoder {
        let epoch: EpochId = epoch.parse().unwrap();
        let salt = self.client(CORPORATION).salt(&epoch, &Profile::built_in()).unwrap();
        Encoder::new(&Profile::built_in(), salt.expose(), &epoch)
    }

    /// Every entry of the log. Reading it adds one.
    pub fn log(&self) -> Vec<Entry> {
        let mut line = self.line(OFFICER);
        let mut page = |from: usize| -> LogPage {
            let reply = line.send("GET", &format!("/v1/access-log/entries?from={from}"), &[], b"").unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
            serde_json::from_slice(&reply.body).unwrap()
        };
        // Every page read is an entry, so the first page's checkpoint says where to stop.
        let first = page(0);
        let size: usize = first.checkpoint.lines().nth(1).unwrap().parse().unwrap();
        let mut texts = first.entries;
        while texts.len() < size {
            texts.extend(page(texts.len()).entries);
        }
        texts.truncate(size);
        texts.iter().map(|text| Entry::from_bytes(&STANDARD.decode(text).unwrap()).unwrap()).collect()
    }

    /// What stands in the log about this reply's request.
    pub fn entry_of(&self, reply: &Reply) -> Option<Entry> {
        let trace = reply.problem().trace_id;
        self.log().into_iter().find(|entry| entry.trace_id.to_string() == trace)
    }

    /// Lets time pass as it does: whoever leaps a month ahead has nothing expire.
    pub fn pass(&self, days: i64) {
        let until = NOW + time::Duration::days(days);
        while self.clock.now() < until {
            self.clock.pass(until.min(self.clock.now() + time::Duration::days(30)));
            if self.clock.now() < until {
                let reply = self.line(OFFICER).json("POST", "/v1/access-log/expire", &Value::Null);
                assert_eq!(reply.status, 200, "{}", reply.text());
            }
        }
    }

    /// The officer's own check of the whole log, these answers and their receipts included.
    pub fn verify(&self, answers: &[Answered]) -> anyhow::Result<Report> {
        let path = self.file("receipts.csv");
        let mut text = String::from("answer,epoch,log_index,leaf_hash,checkpoint\n");
        for Answered { answer, epoch, receipt } in answers {
            let note = STANDARD.encode(&receipt.checkpoint);
            text.push_str(&format!("{answer},{epoch},{},{},{note}\n", receipt.index, receipt.leaf));
        }
        fs::write(&path, text).unwrap();
        let mut args = VerifyArgs::new(self.party(OFFICER), vec![path]);
        args.log.clock = self.clock.clone();
        voorrang::cli::audit::verify(&args)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.service, Service::Nowhere) {
            Service::Nowhere => {}
            Service::Inside(running) => drop(running.stop()),
            Service::Outside { mut child, .. } => {
                // It may be gone already.
                drop(child.kill());
                drop(child.wait());
            }
        }
    }
}

/// Copies the header and the rows that `keep` wants.
pub fn rows(from: &Path, to: &Path, mut keep: impl FnMut(&str) -> bool) {
    let text = fs::read_to_string(from).unwrap();
    let kept = text.lines().enumerate().filter(|(at, line)| *at == 0 || keep(line)).map(|(_, line)| line);
    fs::write(to, kept.collect::<Vec<_>>().join("\n") + "\n").unwrap();
}

/// A service that was told to use port 0, and the port that it took.
fn spawn(mut command: Command, stderr: &Path) -> (Child, u16) {
    let file = fs::File::create(stderr).unwrap();
    let mut child = command.stderr(file).spawn().unwrap();
    let until = Instant::now() + Wait::from_secs(30);
    let port = || {
        let text = fs::read_to_string(stderr).unwrap();
        let port = text.lines().find_map(|line| line.split_once("address=127.0.0.1:")).map(|(_, rest)| rest.to_owned());
        port.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
    };
    while Instant::now() < until && child.try_wait().unwrap().is_none() {
        if let Some(port) = port() {
            return (child, port);
        }
        std::thread::sleep(Wait::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("it does not start: {}", fs::read_to_string(stderr).unwrap());
}

/// The command that runs the service.
pub fn serve(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
    command.arg("serve").arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

pub fn signal(name: &str, child: &Child) {
    let told = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status().unwrap();
    assert!(told.success());
}

pub fn client_tls(ca: &Path) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
}

/// A certificate and its key.
pub struct Card {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Card {
    pub fn certified(&self) -> CertifiedKey {
        CertifiedKey::new(self.chain.clone(), any_supported_type(&self.key).unwrap())
    }

    pub fn new(issued: &Issued) -> Self {
        Self {
            chain: CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).map(Result::unwrap).collect(),
            key: PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap(),
        }
    }
}

/// One connection, on which anything can be sent.
pub struct Line {
    pub tls: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Line {
    pub fn open(port: u16, config: impl Into<Arc<ClientConfig>>) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(config.into(), name).map_err(io::Error::other)?;
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        tcp.set_read_timeout(Some(Wait::from_secs(60)))?;
        tcp.set_nodelay(true)?;
        Ok(Self { tls: BufReader::new(StreamOwned::new(tls, tcp)) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tls.get_mut().write_all(bytes)?;
        self.tls.get_mut().flush()
    }

    pub fn head(&mut self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.write((head + "\r\n").as_bytes())
    }

    /// Sends, and holds what comes back against the service's document.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Reply> {
        let reply = self.exchange(method, path, headers, body)?;
        document::check(method, path, body, reply.status, reply.header("content-type"), &reply.body);
        Ok(reply)
    }

    pub fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Reply> {
        self.head(method, path, headers, body.len())?;
        self.write(body)?;
        self.reply(method)
    }

    pub fn reply(&mut self, method: &str) -> io::Result<Reply> {
        let mut line = String::new();
        self.tls.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("no answer"))?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.tls.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut reply = Reply { status, headers, body: Vec::new() };
        if method != "HEAD" {
            let length = reply.header("content-length").map_or(0, |text| text.parse().unwrap());
            reply.body.resize(length, 0);
            self.tls.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    pub fn json(&mut self, method: &str, path: &str, body: &Value) -> Reply {
        self.raw_json(method, path, body.to_string().as_bytes())
    }

    pub fn raw_json(&mut self, method: &str, path: &str, body: &[u8]) -> Reply {
        self.send(method, path, &[("Content-Type", "application/json")], body).unwrap()
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[], b"").unwrap()
    }

    /// A priority question.
    pub fn ask(&mut self, question: &Value) -> Reply {
        self.json("POST", "/v1/priority-questions", question)
    }
}

impl Reply {
    /// One of which only these are known.
    pub fn bare(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn answered(&self) -> Answered {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A problem document with every member and header that one has.
    /// A problem, with a code that is in the table for its status.
    pub fn problem(&self) -> ProblemBody {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{} {}", self.status, self.text());
        self.assert_headers();
        let problem: ProblemBody = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        assert!(!problem.code.is_empty() && !problem.title.is_empty() && !problem.detail.is_empty(), "{problem:?}");
        assert_eq!(problem.trace_id.len(), 32, "{problem:?}");
        let known = CODES.iter().find(|one| one.code == problem.code);
        assert!(known.is_some_and(|one| one.statuses.contains(&self.status)), "{problem:?}");
        problem
    }

    pub fn assert_headers(&self) {
        for (name, value) in [
            ("api-version", env!("CARGO_PKG_VERSION")),
            ("cache-control", "no-store"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(self.header(name), Some(value), "{} {name}", self.status);
        }
    }

    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) -> ProblemBody {
        let problem = self.problem();
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{}", problem.detail);
        problem
    }
}

/// Two months behind, everything done that the law asks.
pub fn question(encoder: &Encoder, contract: &str) -> Question {
    let profile = Profile::built_in();
    let mut address = None;
    let mut tenants = Vec::new();
    for tenant in read::tenants(&demo("huurders.csv")).unwrap().iter().filter(|t| t.contract == contract) {
        let (codes, token) = encoder.tenants(std::slice::from_ref(tenant)).remove(0);
        address = address.or(token);
        tenants.push(Tenant { codes: wire::by_name(codes, &profile) });
    }
    assert!(!tenants.is_empty(), "no such contract");
    let yes = wire::Conditions {
        personal_contact: true,
        help_offered: true,
        reminder_sent: true,
        no_objection: true,
        tenant_agrees: false,
    };
    Question {
        header: encoder.header(),
        purpose: Some("eviction-prevention".into()),
        arrears: wire::Arrears { months: 2.0, days: 0 },
        conditions: yes,
        address,
        tenants,
    }
}

/// A question that a test changes before it is sent.
pub fn value(encoder: &Encoder, contract: &str) -> Value {
    serde_json::to_value(question(encoder, contract)).unwrap()
}

/// Contracts of the corporation.
pub fn contracts() -> Vec<String> {
    let tenants = read::tenants(&demo("huurders.csv")).unwrap();
    let text = fs::read_to_string(demo("huurders.csv")).unwrap();
    let ours: Vec<&str> =
        text.lines().filter(|l| l.split(',').nth(2) == Some("C1")).filter_map(|l| l.split(',').next()).collect();
    let mut contracts: Vec<String> =
        tenants.into_iter().map(|t| t.contract).filter(|c| ours.contains(&c.as_str())).collect();
    contracts.dedup();
    contracts
}
