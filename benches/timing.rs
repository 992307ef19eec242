//! Whether the time of an answer tells which one it is, or why: `cargo bench --bench timing`. Questions that are answered
//! `priority`, `no_priority` and `undetermined`, the last apart for households that are found and shielded and for people
//! who are not registered, go over one open connection, in pairs whose order is drawn; what counts is the difference
//! within a pair, so that both meet the same machine. The last two causes are compared in a batch of one too, and as the care
//! network asks for its own group. It prints the median difference and its 95 %
//! interval (Wilcoxon's signed ranks would need symmetric noise; these are order statistics, which need none), and fails
//! if an interval goes beyond a microsecond where `VOORRANG_BENCH_STRICT` is set. `--pairs N` on a quiet machine; the
//! disk's sync is within the time, as it is for whoever asks.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use anyhow::Context;
use ring::rand::{SecureRandom, SystemRandom};
use service::Bench;
use voorrang::answer::wire::law::{Batch, BatchAnswers, GroupQuestion, GroupsTold};
use voorrang::answer::wire::{Answered, Question};
use voorrang::audit::Receipt;

mod service;

const PERSONS: usize = 30_000;
const PAIRS: usize = 12_000;
/// Pairs that a household may be in of one comparison: it is asked about 31 times a month at most, and once before.
const PAIRS_OF_ONE: usize = 10;
/// The same in batches: what is left of the month then.
const PAIRS_OF_BATCH: usize = 10;
/// One person in so many is on the care list: enough households that are shielded.
const CARE_EVERY: usize = 10;

/// Ways to ask, each with its causes: microseconds until the answer is read.
struct Way<'a> {
    name: &'a str,
    ask: &'a dyn Fn(&Question),
    pairs: &'a [(&'a str, &'a str)],
}

impl Way<'_> {
    fn timed(&self, question: &Question) -> f64 {
        let started = Instant::now();
        (self.ask)(question);
        started.elapsed().as_secs_f64() * 1e6
    }
}

/// Median of the differences and its 95 % interval, microseconds: the ranks around the middle between which the median
/// lies with that probability (binomial, normal approximation).
fn interval(mut differences: Vec<f64>) -> (f64, f64, f64) {
    differences.sort_by(f64::total_cmp);
    let (middle, n) = (differences.len() / 2, differences.len() as f64);
    let reach = (0.98 * n.sqrt()).ceil() as usize;
    (differences[middle - reach], differences[middle], differences[middle + reach])
}

/// The address of a question, by which its household is known.
fn address(question: &Question) -> [u8; 16] {
    question.address.as_ref().expect("a tenant has an address").0
}

fn main() -> anyhow::Result<()> {
    let pairs = std::env::args().skip_while(|word| word != "--pairs").nth(1);
    let pairs = pairs.map_or(Ok(PAIRS), |pairs| pairs.parse())?;
    let (bench, _, care) = Bench::set_up(PERSONS, CARE_EVERY)?;
    let mut by_answer: BTreeMap<String, Vec<&Question>> = BTreeMap::new();
    let mut cases: HashMap<[u8; 16], Receipt> = HashMap::new();
    for (questions, found) in [(&bench.at_home, "found"), (&bench.unknown, "not found")] {
        for question in questions {
            let Answered { answer, receipt, .. } = bench.ask(question);
            cases.insert(address(question), receipt);
            by_answer.entry(format!("{answer}, {found}")).or_default().push(question);
        }
    }
    for (answer, questions) in &by_answer {
        println!("{answer}: {} households", questions.len());
    }
    let random = SystemRandom::new();
    let coin = || {
        let mut byte = [0];
        random.fill(&mut byte).expect("the system's random generator answers");
        byte[0] & 1 == 0
    };
    // What the machine does to two requests that are alike.
    let noop = || {
        let started = Instant::now();
        bench.asker.get_empty("ping").expect("the service answers");
        started.elapsed().as_secs_f64() * 1e6
    };
    let alike = |_| if coin() { noop() - noop() } else { -(noop() - noop()) };
    let (low, median, high) = interval((0..pairs).map(alike).collect());
    println!("no-op - no-op: {median:+.2} us, 95 % interval {low:+.2} to {high:+.2}, n = {pairs} pairs");
    let mut shows = Vec::new();
    let (shielded, stranger) = ("undetermined, found", "undetermined, not found");
    let alone = |question: &Question| drop(bench.ask(question));
    let batch = |question: &Question| {
        let batch = Batch { questions: vec![question.clone()] };
        drop(bench.asker.post::<BatchAnswers>("priority-batches", &batch).expect("the batch is answered"));
    };
    let groups = |question: &Question| {
        let Receipt { index, leaf, .. } = cases[&address(question)].clone();
        let question = GroupQuestion { case: index, leaf, question: question.clone() };
        drop(care.post::<GroupsTold>("group-questions", &question).expect("the case is answered"));
    };
    let answers = [
        ("priority, found", "no_priority, found"),
        ("priority, found", stranger),
        ("no_priority, found", stranger),
        ("no_priority, found", shielded),
        (shielded, stranger),
    ];
    let causes = [(shielded, stranger)];
    for way in [
        Way { name: "", ask: &alone, pairs: &answers },
        Way { name: "batch of one: ", ask: &batch, pairs: &causes },
        Way { name: "groups: ", ask: &groups, pairs: &causes },
    ] {
        for (one, other) in way.pairs {
            let answered =
                |of: &str| by_answer.get(of).with_context(|| format!("nobody of the invented people is {of}"));
            let (ones, others) = (answered(one)?, answered(other)?);
            let pair = |at: usize| {
                let (one, other) = (ones[at % ones.len()], others[at % others.len()]);
                if coin() {
                    let first = way.timed(one);
                    first - way.timed(other)
                } else {
                    let first = way.timed(other);
                    way.timed(one) - first
                }
            };
            let most = if way.name.starts_with("batch") { PAIRS_OF_BATCH } else { PAIRS_OF_ONE };
            let pairs = pairs.min(most * ones.len().min(others.len()));
            let (low, median, high) = interval((0..pairs).map(pair).collect());
            let name = way.name;
            println!(
                "{name}{one} - {other}: {median:+.2} us, 95 % interval {low:+.2} to {high:+.2}, n = {pairs} pairs"
            );
            if low < -1.0 || high > 1.0 {
                shows.push(format!("{name}{one} and {other}"));
            }
        }
    }
    bench.service.stop()?;
    let strict = std::env::var_os("VOORRANG_BENCH_STRICT").is_some();
    anyhow::ensure!(shows.is_empty() || !strict, "not within a microsecond: {}", shows.join(", "));
    Ok(())
}
