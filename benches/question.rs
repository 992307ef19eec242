//! One question, end to end over mutual TLS, against a no-op request of the same server and one sync of the same
//! disk: `cargo bench --bench question`. The register holds 100,000 invented people, or as many as
//! `VOORRANG_BENCH_PERSONS` says.
//!
//! Before criterion's own figures it prints the paired comparison: pings, syncs and questions in turn, so that all
//! three see the same machine.

use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use criterion::Criterion;
use service::Bench;
use voorrang::code::{AddressToken, Codes, HouseholdToken, Record, RecordRef};
use voorrang::link::{HouseholdQuestion, RegisterBuilder, Registers, Source};
use voorrang::profile::{Pass, Profile};

mod service;

const ROUNDS: usize = 2000;
const PERSONS: usize = 100_000;
/// One person in so many is on the care list.
const CARE_EVERY: usize = 1000;

/// One 4 KiB page appended and synced, as a log entry must be.
fn sync_a_page(file: &mut fs::File) {
    file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("the disk takes a page");
}

fn ping(bench: &Bench) {
    bench.asker.get_empty("ping").expect("the service answers");
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
        times[0].push(timed(|| ping(bench)));
        times[1].push(timed(|| sync_a_page(file)));
        // In turn first: the second of two finds the machine as the first one left it.
        for which in [round % 2, 1 - round % 2] {
            let questions = [&bench.at_home, &bench.unknown][which];
            times[2 + which].push(timed(|| drop(bench.ask(&questions[round % questions.len()]))));
        }
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
    // A question takes what a search of the whole register takes, whoever is found: the price of a time that tells
    // nothing.
    let [at_home, elsewhere] = [&mut home, &mut unknown].map(|times| percentile(times, 0.5));
    let apart = (at_home / elsewhere - 1.0).abs();
    anyhow::ensure!(apart < 0.01, "the time of a question tells who is registered: {at_home:.0} and {elsewhere:.0} us");
    Ok(())
}

/// The search alone, without network, log and disk: random codes at half weight, as strangers' are.
fn in_memory(criterion: &mut Criterion) {
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
    let (bench, state, _) = Bench::set_up(PERSONS, CARE_EVERY)?;
    let mut file = fs::File::create(state.join("sync-floor"))?;
    compare(&bench, &mut file)?;
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut group = criterion.benchmark_group("question");
    let mut next = (0..bench.at_home.len()).cycle();
    let mut round = move || next.next().expect("a cycle does not end");
    group.bench_function("no-op", |b| b.iter(|| ping(&bench)));
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
