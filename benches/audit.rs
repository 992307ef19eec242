//! An officer's tools on her copy of a large log: `cargo bench --bench audit [-- ENTRIES] [--tiles DIR]`, a million
//! entries over a year if no number is given. With `--tiles` the log is left there for other people's verifiers.
//!
//! Each figure is what a fresh run of the command would need, without the network: opening the copy and its index is in
//! it. Medians of five, the clock's time; the disk's cache is warm.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use time::macros::datetime;
use time::{Duration as Span, OffsetDateTime};
use voorrang::audit::{
    Action, Actor, Checkpoint, DayKey, Disclosed, Entry, Frontier, Line, LogKeys, NoteSigner, Opener, Outcome,
    RegulationRef,
};
use voorrang::cli::audit::copy::{Copy, Source};
use voorrang::cli::audit::filter::Filter;
use voorrang::cli::audit::list::{row, wanted};
use voorrang::cli::audit::reading::Reading;
use voorrang::cli::audit::{VerifyArgs, export, subject, verify};
use voorrang::epoch::share::generate_identity;
use voorrang::ids::TraceId;

const START: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const DAYS: u64 = 365;
const HOUSEHOLDS: u64 = 100_000;
/// Entries that are made at a time, so that memory holds no more.
const BATCH: u64 = 50_000;
const ROUNDS: usize = 5;

fn main() {
    let mut arguments = std::env::args();
    let entries = arguments.find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let tiles = std::env::args().skip_while(|argument| argument != "--tiles").nth(1);
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("log");
    let mut log = Log::new(entries);
    let made = log.fill(&folder);
    let (key, identity) = (log.signer.verifier(), log.identity.clone());
    let open = || {
        let opener = Opener::from_file(&identity).expect("an identity");
        Reading::new(Copy::open(&folder).expect("the copy"), Some(opener)).expect("the index")
    };
    let copy = Copy::open(&folder).expect("the copy");
    println!(
        "{} entries, {:.0} bytes each; made and followed in {:.1} s",
        copy.size(),
        per(copy.bytes(), copy.size()),
        made.as_secs_f64()
    );
    drop(copy);
    let (_, index) = timed(open);
    let beside = std::fs::metadata(folder.join("index")).expect("the index").len();
    println!("index from nothing {:.2} s, {:.0} bytes an entry", index.as_secs_f64(), per(beside, entries));
    let tree = median(|| drop(verify::tree_of(&open().copy, &key, &[], &[], 1).expect("the log verifies")));
    let args = officer(home.path(), &mut log);
    let report = median(|| drop(verify::verified(&args).expect("the log verifies and every seal opens")));
    println!("verify             {:.2} s, of it {:.2} s the tree alone", report.as_secs_f64(), tree.as_secs_f64());
    let day = START + Span::days(200);
    let filter = Filter { from: Some(day), until: Some(day + Span::DAY), ..Filter::default() };
    let mut found = 0;
    let list = median(|| {
        found = wanted(&mut open(), &filter, |one| {
            std::hint::black_box(row(&one));
            Ok(())
        })
        .expect("a day");
    });
    println!("list of one day    {:.1} ms, {found} entries", list.as_secs_f64() * 1e3);
    let household = pseudonym(4711 % HOUSEHOLDS);
    let mut about = 0;
    let subject = median(|| {
        about = subject::about(&mut open(), [household.as_str()].into_iter()).expect("a household").len();
    });
    println!("subject            {:.1} ms, {about} entries", subject.as_secs_f64() * 1e3);
    if let Some(tiles) = tiles {
        let (_, took) = timed(|| export::tiles(&open(), Path::new(&tiles)).expect("tiles"));
        println!("export of tiles    {:.1} s; verifier key {}", took.as_secs_f64(), key.vkey());
    }
}

/// `voorrang audit verify --offline` of an officer whose identity opens every answer.
fn officer(home: &Path, log: &mut Log) -> VerifyArgs {
    let config = "service = \"https://voorrang.example:8443\"\nregulation = \"haarlem\"\nca = \"ca.pem\"\n\
                  certificate = \"officer.pem\"\nkey = \"officer.key\"\nidentity = \"officer.age\"\n\
                  parties = \"parties.toml\"\nmemory = \".\"\n";
    let keys = LogKeys::from(log.signer.verifier()).to_string();
    let notes = format!("[{:?}]", log.checkpoint().expect("a checkpoint"));
    let files =
        [("officer.toml", config), ("officer.age", &log.identity), ("log.vkey", &keys), ("checkpoints", &notes)];
    for (name, text) in files {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(home.join(name));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a temporary folder takes it");
    }
    let mut args = VerifyArgs::new(home.join("officer.toml"), Vec::new());
    args.log.offline = true;
    args
}

/// A log that grows a batch at a time.
struct Log {
    signer: NoteSigner,
    identity: String,
    frontier: Frontier,
    entries: u64,
    /// The lines after `done`.
    batch: Vec<Line>,
    done: u64,
    public: String,
    key: Option<(u64, DayKey)>,
}

impl Log {
    fn new(entries: u64) -> Self {
        let (identity, public) = generate_identity();
        let (signer, _) = NoteSigner::generate("log.example/bench").expect("a key");
        let identity = identity.to_string();
        Self { signer, identity, frontier: Frontier::default(), entries, batch: Vec::new(), done: 0, public, key: None }
    }

    fn fill(&mut self, folder: &Path) -> Duration {
        let mut copy = Copy::open(folder).expect("a folder");
        let key = self.signer.verifier();
        let started = Instant::now();
        while self.done < self.entries {
            let many = BATCH.min(self.entries - self.done);
            self.batch = (self.done..self.done + many).map(|at| Line::Entry(self.entry(at).to_bytes())).collect();
            self.batch.iter().for_each(|line| self.frontier.push(line.leaf()));
            copy.follow(self, &key, 1).expect("the log extends itself");
            self.done += many;
        }
        started.elapsed()
    }

    /// A question that is answered; a day begins with its key.
    fn entry(&mut self, at: u64) -> Entry {
        let day = at * DAYS / self.entries;
        let begins = day * self.entries / DAYS;
        let second = 28_800 + 36_000 * (at - begins.min(at)) / (self.entries / DAYS + 1);
        let time = START + Span::days(day as i64) + Span::seconds(second as i64);
        if self.key.as_ref().is_none_or(|(of, _)| *of != day) {
            let (key, file) = DayKey::draw(std::slice::from_ref(&self.public)).expect("an officer");
            self.key = Some((day, key));
            let entry = Entry::new(time, TraceId::random(), Actor::service(), Action::DayKey, Outcome::Done);
            return Entry { day_key: Some(file), ..entry };
        }
        let oin = format!("000000990000000040{:02}", at % 3 + 1).parse().ok();
        let actor = Actor { oin, certificate: "ab".repeat(32), person: None, role: "corporation".into() };
        let mut entry = Entry {
            object: Some(pseudonym(at * 7919 % HOUSEHOLDS)),
            purpose: "eviction-prevention".parse().ok(),
            stage: Some(2.5),
            regulation: Some(RegulationRef { id: "haarlem".parse().expect("a name"), digest: "cd".repeat(32) }),
            articles: vec!["corporation-asks".into()],
            epoch: "haarlem-2026-1".parse().ok(),
            ..Entry::new(time, TraceId::random(), actor, Action::Ask, Outcome::Answered)
        };
        let told = Disclosed { answer: "undetermined".into(), groups: Vec::new() };
        let (_, key) = self.key.as_ref().expect("a key of the day");
        entry.sealed = Some(key.seal(&entry, &told).expect("a word that fits"));
        entry
    }
}

impl Source for Log {
    fn checkpoint(&mut self) -> anyhow::Result<String> {
        let (size, root) = (self.frontier.size(), self.frontier.root());
        Ok(Checkpoint { origin: self.signer.name().to_owned(), size, root }.to_note(&self.signer))
    }

    fn lines(&mut self, from: u64) -> anyhow::Result<Vec<Line>> {
        Ok(self.batch[usize::try_from(from - self.done)?..].to_vec())
    }
}

/// 32 hexadecimal digits, as the service's pseudonyms are.
fn pseudonym(household: u64) -> String {
    format!("{:016x}{household:016x}", household.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn per(bytes: u64, entries: u64) -> f64 {
    bytes as f64 / entries as f64
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = run();
    (result, started.elapsed())
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| timed(&mut run).1).collect();
    times.sort();
    times[ROUNDS / 2]
}
