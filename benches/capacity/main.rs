//! What the service carries, as a process of its own and over mutual TLS, in one run: `cargo bench --bench capacity`.
//! `-- rush` and the like run a part; `-- --residents N` loads so many instead of a million. The register of the other
//! parts holds 100,000 invented people. Clients and service share the machine.
//!
//! - `idle`: memory with no register, and with 10,000 connections on which nothing is asked
//! - `rush`: questions a second of 64 clients, and the time of one at 70 % of that
//! - `neighbour`: what a party notices of another one that takes all it may
//! - `million`: a register from its encoded file to the epoch that answers from it

use std::fmt;
use std::time::{Duration, Instant};

use line::{Card, asking};
use premises::{CORPORATION, POPULATION, Premises, TOWER};
use process::Process;
use voorrang::answer::wire::Question;

mod idle;
mod line;
mod million;
mod neighbour;
#[path = "../service/premises.rs"]
mod premises;
mod process;
mod rush;

const PERSONS: usize = 100_000;
/// One person in so many is on the care list.
const CARE_EVERY: usize = 1000;
const RESIDENTS: usize = 1_000_000;
const NEIGHBOUR: &str = "pre-wonen";
/// Connections of one party, where many are opened.
const CONNECTIONS: i64 = 10_100;

/// How long something took, time after time.
#[derive(Default)]
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

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|one| one == name)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    let residents = number("--residents").unwrap_or(RESIDENTS);
    let limits: Vec<_> = number("--at-once").map(|most| ("requests_at_once_each", most as i64)).into_iter().collect();
    let parts = ["idle", "rush", "neighbour", "million"];
    let chosen: Vec<&str> = parts.into_iter().filter(|part| arguments.iter().any(|one| one == part)).collect();
    let runs = |part| chosen.is_empty() || chosen.contains(&part);
    if runs("idle") {
        let premises = Premises::new()?;
        let process = Process::start(&premises, &[("connections_each", CONNECTIONS)])?;
        // As it is when it has answered somebody.
        premises.begin(process.port)?;
        println!("no register: {:.0} MB (asked: 60)", process.megabytes("VmRSS")?);
        idle::run(&process, &Card::of(&premises, POPULATION, process.port)?)?;
    }
    if runs("rush") || runs("neighbour") {
        let premises = Premises::new()?;
        let process = Process::start(&premises, &limits)?;
        let port = process.port;
        let asked = premises.fill(port, PERSONS, CARE_EVERY)?;
        println!("{PERSONS} residents with codes, {TOWER} without: {:.0} MB", process.megabytes("VmRSS")?);
        // One in ten is of people whom nobody knows.
        let pick = |at: usize| if at.is_multiple_of(10) { &asked.unknown[at] } else { &asked.at_home[at] };
        let questions: Vec<Vec<u8>> = (0..asked.at_home.len()).map(|at| asking(pick(at))).collect();
        let card = Card::of(&premises, CORPORATION, port)?;
        if runs("rush") {
            rush::run(&questions, &card, &premises.state)?;
        }
        if runs("neighbour") {
            premises.register_stock(&premises.files(PERSONS, CARE_EVERY, TOWER)?, NEIGHBOUR)?;
            let greedy = Card::of(&premises, NEIGHBOUR, port)?;
            // An entry of the access log each.
            let refused = Question { purpose: Some("tenant-screening".into()), ..asked.at_home[0].clone() };
            neighbour::run(&questions, &asking(&refused), &card, &greedy)?;
        }
    }
    if runs("million") {
        million::run(residents)?;
    }
    Ok(())
}
