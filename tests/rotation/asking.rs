//! Questions at a steady rate while something else goes on; every answer is held against the model of its epoch.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use voorrang::answer::wire::{Answered, LogPage};
use voorrang::audit::Entry;
use voorrang::cli::client::{Client, ComeAgain, Refused};
use voorrang::regulate::Role;

use super::driver::Driver;
use super::model::Epoch;
use super::town::{Random, Town};

/// Threads that ask: one slow answer must not hold up the rate.
const ASKERS: u32 = 4;

/// Whether a question may go without an answer.
#[derive(Clone, Copy, PartialEq)]
pub enum Losses {
    Forbidden,
    /// The service is being killed.
    Expected,
}

#[derive(Default)]
pub struct Asked {
    pub answered: usize,
    /// Asked once more, after another epoch took over.
    pub again: usize,
    /// For so long was asked.
    pub during: Duration,
    pub receipts: Vec<Answered>,
}

impl Asked {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.during.as_secs_f64()
    }

    pub fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.again += other.again;
        self.during += other.during;
        self.receipts.extend(other.receipts);
    }
}

/// Asks while `work` runs.
pub fn under_questions(town: &Town, driver: &Driver<'_>, rate: u32, losses: Losses, work: impl FnOnce()) -> Asked {
    let (done, next, started) = (AtomicBool::new(false), AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        let ask = || {
            let mut asked = Asked::default();
            let client = town.client(Role::Corporation);
            let every = Duration::from_secs(1) * ASKERS / rate;
            let mut due = Instant::now();
            while !done.load(Ordering::Relaxed) {
                ask_one(&client, driver, next.fetch_add(1, Ordering::Relaxed), losses, &mut asked);
                due += every;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            asked
        };
        let askers: Vec<_> = (0..ASKERS).map(|_| scope.spawn(ask)).collect();
        // Askers end also if the work panics, so that the panic is seen.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        let mut all = Asked::default();
        askers.into_iter().for_each(|asker| all.add(asker.join().unwrap()));
        all.during = started.elapsed();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        all
    })
}

fn ask_one(client: &Client, driver: &Driver<'_>, number: usize, losses: Losses, asked: &mut Asked) {
    for attempt in 0..2 {
        let Some(epoch) = driver.current() else { return };
        match ask(client, &epoch, number) {
            Ok(answered) => {
                asked.answered += 1;
                asked.receipts.push(answered);
                return;
            }
            Err(error) if attempt == 0 && error.downcast_ref::<Refused>().is_some_and(Refused::is_cut_over) => {
                asked.again += 1;
                // A client learns of the next epoch from the service; here it is known when the driver knows it.
                while driver.current().is_some_and(|now| now.name == epoch.name) && losses == Losses::Forbidden {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            Err(error) => {
                assert!(losses == Losses::Expected && may_be_lost(&error), "a question failed: {error:#}");
                return;
            }
        }
    }
}

/// Whether this is how a question ends when the service dies: no answer, an answer to come again, or, asked a second time,
/// an epoch that is silent because nobody did the next step. Anything else is a wrong refusal.
fn may_be_lost(error: &anyhow::Error) -> bool {
    error.is::<ComeAgain>() || error.downcast_ref::<Refused>().is_some_and(Refused::is_cut_over)
}

fn ask(client: &Client, epoch: &Epoch, number: usize) -> anyhow::Result<Answered> {
    let (contract, question, want) = &epoch.questions[number % epoch.questions.len()];
    let answered: Answered = client.post("priority-questions", question)?;
    assert_eq!(answered.epoch.as_str(), epoch.name, "answered from another epoch");
    assert_eq!(answered.answer, *want, "{contract} in {}", epoch.name);
    Ok(answered)
}

/// A question of an epoch, as its model says. Any one: a household is asked about so often a month and no more.
pub fn check_one(town: &Town, epoch: &Epoch) {
    let number = Random::new().below(epoch.questions.len() as u64);
    let answered = ask(&town.client(Role::Corporation), epoch, usize::try_from(number).unwrap());
    answered.unwrap_or_else(|error| panic!("{error:#}\n{}", town.said()));
}

/// Every entry of the log. Reading it adds some.
pub fn log(town: &Town) -> Vec<Entry> {
    let client = town.client(Role::PrivacyOfficer);
    let page = |from: usize| -> LogPage { client.get(&format!("access-log/entries?from={from}")).unwrap() };
    let first = page(0);
    let size: usize = first.checkpoint.lines().nth(1).unwrap().parse().unwrap();
    let mut texts = first.entries;
    while texts.len() < size {
        texts.extend(page(texts.len()).entries);
    }
    texts.iter().map(|text| Entry::from_bytes(&STANDARD.decode(text).unwrap()).unwrap()).collect()
}
