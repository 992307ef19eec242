//! Keys, a configuration and a register of invented people, for a service that runs wherever a bench wants it.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;
use voorrang::answer::wire::{self, EpochView, Question, by_name};
use voorrang::cli::client::Client;
use voorrang::cli::epoch::{self, ActivateArgs, EpochArgs, EpochCommand, NewArgs};
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::cli::pki;
use voorrang::encode::{Encoder, read};
use voorrang::profile::Profile;
use voorrang::regulate::Regulation;

/// Households of which the tenants ask, of those who live at their address and of those who are nobody.
pub const HOUSEHOLDS: usize = 4000;
const RESIDENTS_PER_HOUSEHOLD: usize = 3;
/// Households of a tower that nobody asks about, so that a month has room for every question: children without codes.
pub const TOWER: usize = 400_000;

const ADMINISTRATOR: &str = "ict-dienst-kennemerland";
pub const POPULATION: &str = "gemeente-haarlem-burgerzaken";
pub const CARE: &str = "sociaal-wijkteam-en-zorgnetwerk-haarlem";
pub const CORPORATION: &str = "ymere";
const OFFICER: &str = "functionaris-gegevensbescherming-van-de-gemeente";

/// Keys for everybody and a configuration; nothing runs yet.
pub struct Premises {
    folder: TempDir,
    pub keys: PathBuf,
    law: PathBuf,
    regulation: Regulation,
    pub state: PathBuf,
}

impl Premises {
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let regulation_folder = folder.path().join("haarlem");
        write_regulation(&regulation_folder)?;
        let regulation = Regulation::load(&regulation_folder)?;
        let keys = folder.path().join("keys");
        pki::make(&keys, &regulation, "localhost:0")?;
        let law = pki::sign_all(&keys, &regulation)?;
        let state = state_folder(&folder);
        Ok(Self { folder, keys, law, regulation, state })
    }

    pub fn party(&self, name: &str) -> PathBuf {
        self.keys.join(format!("{name}.toml"))
    }

    /// Puts the regulation into force at the service on this port, and announces an epoch.
    pub fn begin(&self, port: u16) -> anyhow::Result<()> {
        point_clients_at(&self.keys, &self.regulation, port)?;
        let administrator = self.party(ADMINISTRATOR);
        voorrang::cli::regulation::activate_at(&self.law, &administrator, &self.party(OFFICER))?;
        epoch::run(&EpochCommand::New(NewArgs::of(step(&administrator))))?;
        epoch::run(&EpochCommand::Contribute(step(&self.party(POPULATION))))?;
        epoch::run(&EpochCommand::Contribute(step(&self.party(CARE))))
    }

    /// Loads the care list; one of so many people is on it.
    pub fn load_care(&self, files: &Files) -> anyhow::Result<()> {
        upload(Kind::Care, &files.care, &self.party(CARE), None)
    }

    pub fn activate(&self) -> anyhow::Result<()> {
        epoch::run(&EpochCommand::Activate(ActivateArgs::of(step(&self.party(ADMINISTRATOR)))))
    }

    /// All addresses of the register, the tower's too: no more dwellings count than households are registered there.
    pub fn register_stock(&self, files: &Files, corporation: &str) -> anyhow::Result<()> {
        upload(Kind::Stock, &files.residents, &self.party(corporation), Some(files.dwellings))
    }

    /// With so many households of a tower beside them, and tenants of so many to ask about, if so many are there.
    pub fn files(&self, persons: usize, care_every: usize, tower: usize, asked: usize) -> anyhow::Result<Files> {
        Files::write(self.folder.path(), persons, care_every, tower, asked)
    }

    /// Loads so many people into the service on this port, of whom one in `care_every` is on the care list, as
    /// [`Self::files`] has them.
    pub fn fill(
        &self,
        port: u16,
        persons: usize,
        care_every: usize,
        tower: usize,
        asked: usize,
    ) -> anyhow::Result<Asked> {
        self.begin(port)?;
        let files = self.files(persons, care_every, tower, asked)?;
        upload(Kind::Population, &files.residents, &self.party(POPULATION), None)?;
        self.load_care(&files)?;
        self.activate()?;
        self.register_stock(&files, CORPORATION)?;
        let asker = Client::open(&self.party(CORPORATION))?;
        let profile = Profile::built_in();
        let epoch = only_epoch(&asker)?;
        let salt = asker.salt(&epoch.id, &profile)?;
        let encoder = Encoder::new(&profile, salt.expose(), &epoch.id);
        let at_home = questions(&files.tenants, &encoder, &profile)?;
        let unknown = questions(&files.strangers, &encoder, &profile)?;
        Ok(Asked { at_home, unknown })
    }
}

/// What a corporation can ask.
pub struct Asked {
    /// Of tenants who live at their address.
    pub at_home: Vec<Question>,
    /// Of tenants who are not in the register: the whole of it is searched.
    pub unknown: Vec<Question>,
}

fn step(config: &Path) -> EpochArgs {
    EpochArgs { epoch: "haarlem-bench".parse().expect("a name"), config: config.into() }
}

/// Where the service keeps its state: a real disk. The system's temporary folder may be memory.
fn state_folder(folder: &TempDir) -> PathBuf {
    std::env::var_os("VOORRANG_BENCH_STATE").map_or_else(|| folder.path().join("state"), PathBuf::from)
}

/// Haarlem's regulation with the widest budgets, which bound a corporation, not a machine, and for a care list of any size.
fn write_regulation(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let mut text = include_str!("../../config/regulations/haarlem/regulation.toml").to_owned();
    for (ours, widest) in [
        ("\nstop_share = 0.25", "\nstop_share = 1.0"),
        ("household_per_month = 4", "household_per_month = 31"),
        ("care_alarm = 100", "care_alarm = 100000"),
        ("care_stop = 250", "care_stop = 100000"),
        ("miss_share = 0.25", "miss_share = 0.99"),
        ("\nbound = 0.5", "\nbound = 0.99"),
    ] {
        anyhow::ensure!(text.contains(ours), "the regulation has no {ours:?}");
        text = text.replace(ours, widest);
    }
    fs::write(folder.join("regulation.toml"), text)?;
    fs::write(folder.join("articles.cedar"), include_str!("../../config/regulations/haarlem/articles.cedar"))?;
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

fn upload(kind: Kind, input: &Path, config: &Path, dwellings: Option<u32>) -> anyhow::Result<()> {
    let args = LoadArgs { dwellings, ..LoadArgs::new(kind, input.into(), config.into()) };
    if let Some(pending) = &load::load(&args)?.pending {
        let officer = config.with_file_name(format!("{OFFICER}.toml"));
        voorrang::cli::regulation::confirm(pending, &Client::open(&officer)?)?;
    }
    Ok(())
}

/// Invented people: every syllable and number from the row number, so that all runs are alike.
pub struct Files {
    pub residents: PathBuf,
    care: PathBuf,
    tenants: PathBuf,
    strangers: PathBuf,
    /// As many as the tower has: most of what is let.
    dwellings: u32,
}

impl Files {
    fn write(folder: &Path, persons: usize, care_every: usize, tower: usize, asked: usize) -> anyhow::Result<Self> {
        let place = |name: &str| folder.join(name);
        let files = Self {
            residents: place("brp.csv"),
            care: place("oggz.csv"),
            tenants: place("huurders.csv"),
            strangers: place("strangers.csv"),
            dwellings: u32::try_from(tower)?,
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
        for n in 0..tower {
            writeln!(residents, "T{n},,HT{n},,Kind,,Toren,M,20200101,E,,,,Torenlaan,1,,,9999ZZ,Stad")?;
        }
        let mut care = fs::File::create(&files.care)?;
        writeln!(
            care,
            "oggz_id,voornaam,tussenvoegsel,achternaam,geslacht,geboortedatum,straat,huisnummer,toevoeging,postcode,woonplaats"
        )?;
        for n in (0..persons).step_by(care_every) {
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
        let households = persons / RESIDENTS_PER_HOUSEHOLD;
        Self::write_tenants(&files.tenants, 0..households.min(asked), 0)?;
        // At other addresses, if there are enough: a month has questions enough for one comparison of an address.
        Self::write_tenants(&files.strangers, households.saturating_sub(HOUSEHOLDS)..households, 7_777_777)?;
        Ok(files)
    }

    /// Tenants of the first person of a household; with an offset they are people who live nowhere.
    fn write_tenants(path: &Path, households: Range<usize>, offset: usize) -> anyhow::Result<()> {
        let mut file = fs::File::create(path)?;
        writeln!(
            file,
            "contract_id,volgnr,corporatie,voorletters,voornaam,tussenvoegsel,achternaam,geslacht,\
geboortedatum,straat,huisnummer,toevoeging,postcode,woonplaats,ingangsdatum"
        )?;
        for household in households {
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

/// A bench has one epoch.
pub fn only_epoch(client: &Client) -> anyhow::Result<EpochView> {
    client.service()?.epochs.pop().context("no epoch is announced")
}
