//! What the service carries, as a process of its own and over mutual TLS, in one run: `cargo bench --bench capacity`. At
//! the end every figure stands in one table, beside what is asked. `-- rush` and the like run a part, `-- --small` all of
//! them with little, to see that they run; `-- --residents N` loads so many instead of a million, `-- --at-once N` lets a
//! party have so many requests in work, `-- batch --households N` asks for so many at once, up to the interface's 500,000,
//! and `--restart` kills the service in the middle of that. The register of the other parts holds 100,000 invented people. Clients and service
//! share the machine.
//!
//! - `idle`: memory with no register, and with 10,000 connections on which nothing is asked
//! - `question`: one after the other, on one open connection
//! - `rush`: questions a second of 64 clients, and the time of one at 70 % of that
//! - `batch`: 10,000 households at once, in time, memory and room on the disk
//! - `neighbour`: what a party notices of another one that takes all it may
//! - `million`: a register from its encoded file to the epoch that answers from it

use std::fmt;
use std::time::{Duration, Instant};

use line::{Card, PING, asking, with_body};
use neighbour::{Greedy, Sends};
use premises::{CORPORATION, HOUSEHOLDS, POPULATION, Premises, TOWER};
use process::Process;
use table::Table;
use voorrang::answer::wire::Question;
use voorrang::cli::client::Client;

mod batch;
mod idle;
mod line;
mod million;
mod neighbour;
#[path = "../service/premises.rs"]
mod premises;
mod process;
mod question;
mod rush;
#[path = "../service/sending.rs"]
mod sending;
mod table;

/// One person in so many is on the care list.
const CARE_EVERY: usize = 1000;
const NEIGHBOUR: &str = "pre-wonen";
/// Questions of a batch about one household; a month has 31.
const A_MONTH: usize = 20;
/// Connections of one party, where many are opened.
const CONNECTIONS: i64 = 10_100;

/// How long something took, time after time.
#[derive(Clone, Default)]
struct Times(Vec<Duration>);

impl Times {
    fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Seconds, of the share that is this fast.
    fn at(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        self.0.get(((self.0.len().max(1) - 1) as f64 * share) as usize).map_or(0.0, Duration::as_secs_f64)
    }
}

impl FromIterator<Self> for Times {
    fn from_iter<I: IntoIterator<Item = Self>>(all: I) -> Self {
        Self(all.into_iter().flat_map(|times| times.0).collect())
    }
}

fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let started = Instant::now();
    work().map(|()| started.elapsed())
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = Self(self.0.clone());
        write!(f, "p50 {:.2} ms, p99 {:.2} ms, n = {}", times.at(0.5) * 1e3, times.at(0.99) * 1e3, self.0.len())
    }
}

/// How much of everything.
struct Size {
    persons: usize,
    tower: usize,
    residents: usize,
    households: usize,
    /// Of the part `batch`.
    batch: usize,
    connections: usize,
    rounds: usize,
    run: Duration,
}

const FULL: Size = Size {
    persons: 100_000,
    tower: TOWER,
    residents: 1_000_000,
    households: 10_000,
    batch: 10_000,
    connections: 10_000,
    rounds: 2000,
    run: Duration::from_secs(12),
};

/// Whether each part runs; its figures say nothing.
const SMALL: Size = Size {
    persons: 6000,
    tower: 10_000,
    residents: 5000,
    households: 200,
    batch: 200,
    connections: 100,
    rounds: 50,
    run: Duration::from_secs(2),
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|one| one == name)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    let size = if arguments.iter().any(|one| one == "--small") { SMALL } else { FULL };
    let batch = number("--households").unwrap_or(size.batch);
    // A month has room for as many questions as there are dwellings.
    let tower = size.tower.max(batch + batch / 10);
    let residents = number("--residents").unwrap_or(size.residents);
    let size = Size { residents, batch, tower, ..size };
    let restart = arguments.iter().any(|one| one == "--restart");
    let limits: Vec<_> = number("--at-once").map(|most| ("requests_at_once_each", most as i64)).into_iter().collect();
    let parts = ["idle", "question", "rush", "batch", "neighbour", "million"];
    let chosen: Vec<&str> = parts.into_iter().filter(|part| arguments.iter().any(|one| one == part)).collect();
    let runs = |part: &str| chosen.is_empty() || chosen.contains(&part);
    let mut table = Table::default();
    println!("{}", machine()?);
    // What was measured until something fails is told as well.
    let measured = measure(&size, (&limits, restart), &runs, &mut table);
    println!("\n{}\n{table}", machine()?);
    measured
}

/// What else it does.
fn machine() -> anyhow::Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{cores} cores, load average {}", load.split(' ').take(3).collect::<Vec<_>>().join(" ")))
}

/// `limits` are values of `[limits]`; with `restart` the service is killed in the middle of a batch.
fn measure(
    size: &Size,
    (limits, restart): (&[(&str, i64)], bool),
    runs: &dyn Fn(&str) -> bool,
    table: &mut Table,
) -> anyhow::Result<()> {
    if runs("idle") {
        let premises = Premises::new()?;
        let process = Process::start(&premises, &[("connections_each", CONNECTIONS)])?;
        // As it is when it has answered somebody.
        premises.begin(process.port)?;
        table.at_most("memory without a register", 60.0, process.megabytes("VmRSS")?, "MB", "one epoch announced");
        idle::run(&process, &Card::of(&premises, POPULATION, process.port)?, size.connections, table)?;
    }
    if ["question", "rush", "batch", "neighbour"].into_iter().any(runs) {
        with_a_register(size, (limits, restart), runs, table)?;
    }
    if runs("million") {
        million::run(size.residents, table)?;
    }
    Ok(())
}

/// The parts that ask.
fn with_a_register(
    size: &Size,
    (limits, restart): (&[(&str, i64)], bool),
    runs: &dyn Fn(&str) -> bool,
    table: &mut Table,
) -> anyhow::Result<()> {
    let premises = Premises::new()?;
    let mut process = Process::start(&premises, limits)?;
    let port = process.port;
    let households = HOUSEHOLDS.max(size.batch / A_MONTH);
    let asked = premises.fill(port, size.persons, CARE_EVERY, size.tower, households)?;
    println!("{} residents with codes, {} without: {:.0} MB", size.persons, size.tower, process.megabytes("VmRSS")?);
    // One in ten is of people whom nobody knows.
    let pick = |at: usize| {
        let from = if at.is_multiple_of(10) { &asked.unknown } else { &asked.at_home };
        &from[at % from.len()]
    };
    // Of a large batch every household has its share: one has a month's bound.
    let in_batch = |at: usize| match at.is_multiple_of(10) {
        true if size.batch > FULL.batch => &asked.unknown[at / 10 % asked.unknown.len()],
        _ => pick(at),
    };
    let questions: Vec<Vec<u8>> = (0..asked.at_home.len()).map(|at| asking(pick(at))).collect();
    let card = Card::of(&premises, CORPORATION, port)?;
    if runs("question") {
        question::run(&questions, &card, &premises.state, size.rounds, table)?;
    }
    if runs("rush") {
        rush::run(&questions, &card, &premises.state, size, table)?;
    }
    if runs("batch") {
        let questions: Vec<&Question> = (0..size.batch).map(in_batch).collect();
        batch::run(&premises, &mut process, &questions, restart.then_some(limits), table)?;
    }
    if runs("neighbour") {
        premises.register_stock(&premises.files(size.persons, CARE_EVERY, size.tower, households)?, NEIGHBOUR)?;
        let client = Client::open(&premises.party(NEIGHBOUR))?;
        let everybody: Vec<&Question> = (0..size.households).map(pick).collect();
        let tenths: Vec<_> = everybody.chunks(size.households / 10).collect();
        let households = tenths[0];
        // An entry of the access log each.
        let refused = Question { purpose: Some("tenant-screening".into()), ..asked.at_home[0].clone() };
        let done = sending::send(&client, households)?;
        let (open, chunk_bytes) = sending::begin(&client, households[0], households.len())?;
        let chunks = sending::chunks(households, chunk_bytes).enumerate();
        let chunk = |(number, lines): (usize, Vec<u8>)| {
            with_body("PUT", &format!("{open}/chunks/{number}"), "x-ndjson", &lines)
        };
        let page = format!("GET /v1/{done}/results HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let all = [
            Greedy::requests("questions", questions.clone()),
            Greedy::requests("no-op requests", vec![PING.to_vec()]),
            Greedy::requests("refused questions", vec![asking(&refused)]),
            Greedy::requests("pages of results", vec![page.into_bytes()]),
            Greedy::requests("chunks", chunks.map(chunk).collect()),
            Greedy { name: "batches", sends: Sends::Batches(&client, tenths) },
        ];
        let both = (&card, &Card::of(&premises, NEIGHBOUR, port)?);
        neighbour::run(&questions, &all, both, 2 * size.run, table)?;
    }
    Ok(())
}
