//! The rotation campaign: epochs rotate under questions, the service is killed in the middle of rotations, and an epoch
//! that was destroyed is looked for on the disk, in a backup and in the memory of the service.
//!
//! `cargo test --test rotation` plays the short form. The whole one:
//! `cargo test --release --test rotation -- --data FOLDER --rotations 50 --kills 300 --rate 20`; with `--state FOLDER
//! --image FILE` the state and the epochs' keys lie on a file system of its own, whose raw image is searched as well
//! (docs/rotation.md). Where one process may not read another's memory, `--without-memory` leaves that search out.

mod asking;
mod driver;
mod model;
mod records;
mod town;
mod traces;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use town::Town;

/// Of the rate that is asked for, so much is answered, or the rotations were hardly asked anything.
const LEAST: f64 = 0.9;

/// Seconds that the machine may stand still meanwhile: the short form has two dozen answers.
const STALL: f64 = 0.5;

/// What is played. Anything else on the command line is `cargo test`'s own.
struct Plan {
    data: Option<PathBuf>,
    state: Option<PathBuf>,
    image: Option<PathBuf>,
    rotations: u32,
    kills: u32,
    /// Questions a second.
    rate: u32,
    /// The memory of another process cannot be read here: it is not searched, and the last line says so.
    without_memory: bool,
}

impl Plan {
    fn read() -> Self {
        let mut plan =
            Self { data: None, state: None, image: None, rotations: 2, kills: 4, rate: 20, without_memory: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
            match word.as_str() {
                "--data" => plan.data = Some(value().into()),
                "--state" => plan.state = Some(value().into()),
                "--image" => plan.image = Some(value().into()),
                "--rotations" => plan.rotations = value().parse().unwrap(),
                "--kills" => plan.kills = value().parse().unwrap(),
                "--without-memory" => plan.without_memory = true,
                "--rate" => plan.rate = value().parse().unwrap(),
                _ => {}
            }
        }
        plan
    }
}

fn main() {
    let plan = Plan::read();
    let started = Instant::now();
    let mut town = Town::build(plan.data.as_deref(), plan.state.as_deref(), plan.rotations);
    let people = town.residents() - town.tower;
    println!("rotation: {people} residents and {} of the tower, {} contracts", town.tower, town.contracts());

    let asked = rotate(&town, plan.rotations, plan.rate);
    let (rate, least) = (asked.rate(), LEAST * f64::from(plan.rate));
    let seconds = (asked.during.as_secs_f64() - STALL).max(0.0);
    assert!(
        asked.answered as f64 >= least * seconds,
        "{rate:.1} questions a second were answered of {}, the least is {least:.1}: give the machine less to do",
        plan.rate
    );
    println!(
        "rotation: {} rotations under {} questions a second: {} answered ({rate:.1} a second), {} asked again at a \
         cut-over, 0 failed, 0 wrong",
        plan.rotations, plan.rate, asked.answered, asked.again
    );
    town.verify_log(&asked.receipts);
    driver::Driver::new(&town).check_invariants(&Default::default());
    println!("rotation: the log verifies and holds every answer, and every destroyed epoch has its record");

    let killed = kill(&mut town, plan.kills, (plan.rate / 4).max(1));
    assert!(
        plan.kills == 0 || killed.asked.answered > 0,
        "no question was answered between the kills: this shows nothing"
    );
    println!(
        "rotation: {} kills at random moments: {} rotations went through, {} answered, 0 wrong, every invariant held",
        plan.kills, killed.rotations, killed.asked.answered
    );
    town.verify_log(&killed.asked.receipts);

    let found = traces::destroy_and_search(&mut town, plan.image.as_deref(), !plan.without_memory);
    println!("rotation: {found}");
    println!(
        "rotation: done in {:.0} s: {} rotations at {rate:.1} of {} questions a second (at least {least:.1}), {} kills",
        started.elapsed().as_secs_f64(),
        plan.rotations,
        plan.rate,
        plan.kills
    );
}

/// Rotates under questions. Every question is answered, and as the model of its epoch says.
fn rotate(town: &Town, rotations: u32, rate: u32) -> asking::Asked {
    let driver = driver::Driver::new(town);
    driver.until_active(1);
    let before = driver.active_count();
    asking::under_questions(town, &driver, rate, asking::Losses::Forbidden, || {
        driver.until_active(before + rotations);
    })
}

struct Killed {
    rotations: u32,
    asked: asking::Asked,
}

/// Kills the service again and again while it rotates, and looks after each start whether all is as it should be.
fn kill(town: &mut Town, kills: u32, rate: u32) -> Killed {
    let mut random = town::Random::new();
    let mut total = asking::Asked::default();
    let before = driver::Driver::new(town).active_count();
    for _ in 0..kills {
        let after = Duration::from_millis(20 + random.below(1500));
        let driver = driver::Driver::new(town);
        // One step in peace: so the kills fall on every part of a rotation, also where a step takes longer than `after`.
        driver.step().unwrap();
        let asked = asking::under_questions(town, &driver, rate, asking::Losses::Expected, || {
            let until = Instant::now() + after;
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(after);
                    town.kill();
                });
                // Whatever it is doing when the service dies, it ends with an error.
                while Instant::now() < until && driver.step().is_ok() {}
            });
        });
        let seen = driver.acknowledged();
        total.add(asked);
        town.restart_after_kill();
        driver::Driver::new(town).check_invariants(&seen);
    }
    Killed { rotations: driver::Driver::new(town).active_count() - before, asked: total }
}
