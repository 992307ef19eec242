//! A town with all its parties in a folder, and the service as a process of its own that can be killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use tempfile::TempDir;
use voorrang::answer::wire::Answered;
use voorrang::cli::audit::VerifyArgs;
use voorrang::cli::client::Client;
use voorrang::cli::epoch::EpochArgs;
use voorrang::cli::pki;
use voorrang::clock::Clock;
use voorrang::encode::{CareMember, Resident, Tenant, read};
use voorrang::regulate::{Regulation, Role};

pub struct Town {
    folder: TempDir,
    pub regulation: Regulation,
    pub residents: Vec<Resident>,
    pub care: Vec<CareMember>,
    /// By contract, of the corporation that asks.
    pub households: Vec<(String, Vec<Tenant>)>,
    /// Households of the tower.
    pub tower: usize,
    service: Mutex<Option<Child>>,
    state: PathBuf,
    epoch_keys: PathBuf,
}

/// Two registers that take turns: in the second a tenth of the people have left, so that answers differ.
pub const REGISTERS: [&str; 2] = ["brp-0.csv", "brp-1.csv"];

/// Households of a tower that nobody asks about, at least: children, who have no codes.
const LEAST_TOWER: usize = 1400;

/// Questions of a rotation at twenty a second on a busy machine. As many households more in the tower make the budget
/// of a month large enough.
const QUESTIONS: usize = 700;

impl Town {
    /// A town with a budget for so many rotations under questions.
    pub fn build(data: Option<&Path>, state: Option<&Path>, rotations: u32) -> Self {
        let tower = LEAST_TOWER.max(rotations as usize * QUESTIONS);
        let folder = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let data = data.map_or_else(|| shipped.join("demo"), Path::to_owned);
        let regulation = law(&shipped, folder.path());
        let keys = folder.path().join("keys");
        pki::make(&keys, &regulation, "localhost:0").unwrap();
        let law = pki::sign_all(&keys, &regulation).unwrap();
        // On one file system, so that an image of it has what must go as well as what may stay.
        let on = state.unwrap_or(&keys);
        let (state, epoch_keys) = (on.join("state"), on.join("epoch-keys"));
        let config = keys.join("voorrang.toml");
        let mut text = fs::read_to_string(&config).unwrap();
        for (key, path) in [("state", &state), ("epoch_keys", &epoch_keys)] {
            let given = format!("\n{key} = \"{}\"\n", path.file_name().unwrap().display());
            assert_eq!(text.matches(&given).count(), 1, "{key}");
            text = text.replace(&given, &format!("\n{key} = \"{}\"\n", path.display()));
        }
        fs::write(&config, text).unwrap();
        // A service that was killed comes back at another port: who waits for the old one waits in vain.
        for party in regulation.parties() {
            let path = keys.join(format!("{}.toml", pki::file_stem(&party.name)));
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, format!("{text}\n[retry]\nseconds = 2\n")).unwrap();
        }
        registers(&data.join("brp.csv"), folder.path(), tower);
        fs::copy(data.join("oggz.csv"), folder.path().join("oggz.csv")).unwrap();
        tenants(&data.join("huurders.csv"), &folder.path().join("huurders.csv"));
        stock(&folder.path().join("huurders.csv"), &folder.path().join("stock.csv"));
        let mut households: Vec<(String, Vec<Tenant>)> = Vec::new();
        for tenant in read::tenants(&folder.path().join("huurders.csv")).unwrap() {
            match households.iter_mut().find(|(contract, _)| *contract == tenant.contract) {
                Some((_, tenants)) => tenants.push(tenant),
                None => households.push((tenant.contract.clone(), vec![tenant])),
            }
        }
        let town = Self {
            residents: read::residents(&folder.path().join(REGISTERS[0])).unwrap(),
            care: read::care_members(&folder.path().join("oggz.csv")).unwrap(),
            folder,
            regulation,
            households,
            tower,
            service: Mutex::new(None),
            state,
            epoch_keys,
        };
        town.start();
        let (first, second) = (town.config(Role::Administrator), town.config(Role::PrivacyOfficer));
        voorrang::cli::regulation::activate_at(&law, &first, &second).unwrap();
        town
    }

    pub fn residents(&self) -> usize {
        self.residents.len()
    }

    pub fn contracts(&self) -> usize {
        self.households.len()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn keys(&self) -> PathBuf {
        self.file("keys")
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    pub fn epoch_keys(&self) -> &Path {
        &self.epoch_keys
    }

    pub fn client(&self, role: Role) -> Client {
        Client::open(&self.config(role)).unwrap()
    }

    pub fn config(&self, role: Role) -> PathBuf {
        let party = self.regulation.parties().iter().find(|party| party.role == role).unwrap();
        self.keys().join(format!("{}.toml", pki::file_stem(&party.name)))
    }

    pub fn step(&self, role: Role, epoch: &str) -> EpochArgs {
        EpochArgs { epoch: epoch.parse().unwrap(), config: self.config(role) }
    }

    pub fn pid(&self) -> u32 {
        self.service.lock().unwrap().as_ref().unwrap().id()
    }

    /// SIGKILL.
    pub fn kill(&self) {
        if let Some(child) = self.service.lock().unwrap().as_mut() {
            child.kill().unwrap();
        }
    }

    pub fn restart_after_kill(&mut self) {
        if let Some(mut child) = self.service.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.start();
    }

    fn start(&self) {
        let stderr = self.file("stderr");
        let mut child = Command::new(env!("CARGO_BIN_EXE_voorrang"))
            .arg("serve")
            .arg("--config")
            .arg(self.keys().join("voorrang.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        let port = loop {
            let text = fs::read_to_string(&stderr).unwrap();
            let rest = text.lines().find_map(|line| line.split_once("address=127.0.0.1:")).map(|(_, rest)| rest);
            if let Some(port) = rest.and_then(|rest| rest.split_whitespace().next()) {
                break port.to_owned();
            }
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < until, "it does not start: {text}");
            std::thread::sleep(Duration::from_millis(10));
        };
        for party in self.regulation.parties() {
            let path = self.keys().join(format!("{}.toml", pki::file_stem(&party.name)));
            let text = fs::read_to_string(&path).unwrap();
            let service = format!("service = \"https://localhost:{port}\"");
            let lines = text.lines().map(|line| if line.starts_with("service = ") { &service } else { line });
            fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
        }
        *self.service.lock().unwrap() = Some(child);
    }

    /// The operational log since the service started.
    pub fn said(&self) -> String {
        fs::read_to_string(self.file("stderr")).unwrap_or_default()
    }

    /// The officer's own check of the whole log, with these answers in it.
    pub fn verify_log(&self, answers: &[Answered]) {
        let path = self.file("receipts.csv");
        let mut text = String::from("answer,epoch,log_index,leaf_hash,checkpoint\n");
        for Answered { answer, epoch, receipt } in answers {
            let note = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &receipt.checkpoint);
            text.push_str(&format!("{answer},{epoch},{},{},{note}\n", receipt.index, receipt.leaf));
        }
        fs::write(&path, text).unwrap();
        let args = VerifyArgs::new(self.config(Role::PrivacyOfficer), vec![path]);
        voorrang::cli::audit::verify(&args).unwrap();
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if let Some(child) = self.service.get_mut().unwrap() {
            // It may be gone already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The shipped regulation, on every day, and with room for as many questions as a campaign asks.
fn law(shipped: &Path, folder: &Path) -> Regulation {
    let (from, to) = (shipped.join("regulations/haarlem"), folder.join("haarlem"));
    fs::create_dir(&to).unwrap();
    let mut text = fs::read_to_string(from.join("regulation.toml")).unwrap();
    for (key, value) in [
        ("valid_from", "2020-01-01"),
        ("valid_until", "2999-01-01"),
        ("stop_share", "1.0"),
        ("household_per_month", "31"),
        ("misses", "10000"),
        ("most_change", "1.0"),
        ("bound", "1.0"),
    ] {
        let changed = text.lines().map(|line| {
            if line.starts_with(&format!("{key} = ")) { format!("{key} = {value}") } else { line.to_owned() }
        });
        text = changed.collect::<Vec<_>>().join("\n") + "\n";
    }
    fs::write(to.join("regulation.toml"), text).unwrap();
    fs::copy(from.join("articles.cedar"), to.join("articles.cedar")).unwrap();
    Regulation::load(&to).unwrap()
}

fn registers(from: &Path, folder: &Path, tower: usize) {
    let text = fs::read_to_string(from).unwrap();
    for (number, name) in REGISTERS.iter().enumerate() {
        let stays = |at: usize| number == 0 || at == 0 || !at.is_multiple_of(10);
        let rows = text.lines().enumerate().filter(|(at, _)| stays(*at)).map(|(_, line)| line);
        let child = |n| format!("PT{n},,HT{n},AT{n},Kind,,Toren,M,20200101,E,,,referentie,Torenlaan,1,,,1011ZZ,Stad\n");
        let tower: String = (0..tower).map(child).collect();
        fs::write(folder.join(name), rows.collect::<Vec<_>>().join("\n") + "\n" + &tower).unwrap();
    }
}

/// The tenants of one corporation.
fn tenants(from: &Path, to: &Path) {
    let text = fs::read_to_string(from).unwrap();
    let column = text.lines().next().unwrap().split(',').position(|name| name == "corporatie").unwrap();
    let ours = |at: usize, line: &str| at == 0 || line.split(',').nth(column) == Some("C1");
    let rows = text.lines().enumerate().filter(|(at, line)| ours(*at, line)).map(|(_, line)| line);
    fs::write(to, rows.collect::<Vec<_>>().join("\n") + "\n").unwrap();
}

/// The same with a tenant of the tower.
fn stock(tenants: &Path, to: &Path) {
    let tenant = "K9999999,1,C1,T.,,,Toren,man,2000-01-01,Torenlaan,1,,1011ZZ,Stad,2020-01-01\n";
    fs::write(to, fs::read_to_string(tenants).unwrap() + tenant).unwrap();
}

/// The day of every register and question.
pub fn today() -> time::Date {
    Clock::System.today()
}

/// Numbers nobody can foresee, for moments.
pub struct Random(SystemRandom);

impl Random {
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }

    pub fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes) % end
    }
}
