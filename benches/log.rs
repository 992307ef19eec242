//! What an entry of the access log costs: `cargo bench --bench log`. Appends one at a time beside a bare `fdatasync` of
//! the same disk in turn, 64 that wait together, CPU and bytes an entry, CPU of all that an answer writes, then proofs in a log of a million entries
//! (another number: `cargo bench --bench log -- ENTRIES`). Figures are medians.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;
use tokio::runtime::{Builder, Runtime};
use voorrang::audit::{
    Action, Actor, Consent, DayKey, Disclosed, Entry, Latency, Outcome, RegulationRef, inclusion_proof,
};
use voorrang::epoch::share::generate_identity;
use voorrang::ids::{Oin, TraceId};
use voorrang::store::{Folders, Setup, Store, StoreError, Tx, Written};

const ROUNDS: usize = 1000;
const TOGETHER: usize = 64;
/// Places in the file that is synced bare.
const ROOM: usize = 300;
const MANY: usize = 20_000;
/// Entries that fill the log of the proofs in one job.
const JOB: u64 = 5_000;
const PROOFS: u64 = 101;

/// An entry as a question makes one, its answer sealed.
fn entry(key: &DayKey, at: usize) -> Entry {
    let oin: Oin = "00000099000000004001".parse().expect("20 digits");
    let actor = Actor { oin: Some(oin), certificate: "ab".repeat(32), person: None, role: "corporation".into() };
    let mut entry = Entry::new(OffsetDateTime::now_utc(), TraceId::random(), actor, Action::Ask, Outcome::Answered);
    entry.object = Some(format!("{at:032x}"));
    entry.purpose = Some("eviction-prevention".parse().expect("a short name"));
    entry.stage = Some(2.5);
    entry.consent = Some(Consent::NoObjection);
    entry.regulation = Some(RegulationRef { id: "haarlem".parse().expect("a short name"), digest: "cd".repeat(32) });
    entry.articles = vec!["corporation-asks".into()];
    entry.epoch = Some("haarlem-2026-1".parse().expect("a short name"));
    entry.latency = Some(Latency::Under10Ms);
    let disclosed = Disclosed { answer: "no_priority".into(), groups: vec![] };
    entry.sealed = Some(key.seal(&entry, &disclosed).expect("a word fits"));
    entry
}

fn append(store: &Store, entry: Entry) {
    let written = store.write(move |tx: &Tx<'_>| tx.append(&entry).map(drop));
    written.map_err(|error: StoreError| error).expect("the disk takes it");
}

/// What an append writes: the last pages of entries, of their index and of leaves, the checkpoint's, each with its header
/// in the write-ahead log.
const WRITTEN: usize = 4 * (24 + 4096);

/// As much as an append writes, into a file that has its length, then one sync.
fn sync(file: &mut File, at: usize) -> Duration {
    let started = Instant::now();
    let place = SeekFrom::Start((at % ROOM * WRITTEN) as u64);
    file.seek(place).and_then(|_| file.write_all(&[1; WRITTEN])).expect("the disk takes it");
    file.sync_data().expect("the disk syncs");
    started.elapsed()
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).expect("below a second"))
}

fn bytes(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("voorrang.db")).expect("a database").len()
}

fn main() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let (state, epoch_keys) = (home.path().join("state"), home.path().join("epoch-keys"));
    let folders = Folders { state, epoch_keys, credentials: None };
    let setup =
        Setup { anchor: Some(home.path().join("anchor/checkpoint")), ..Setup::new(folders, "bench.example/log") };
    let store = Store::open_with(&setup).expect("a fresh store");
    let (key, _) = DayKey::draw(&[generate_identity().1]).expect("a fresh key");
    let mut file = File::create(home.path().join("bare")).expect("a file");
    file.write_all(&vec![0; ROOM * WRITTEN]).and_then(|()| file.sync_all()).expect("the disk takes it");
    (0..50).for_each(|at| append(&store, entry(&key, at)));
    let (mut alone, mut bare) = (Vec::new(), Vec::new());
    for at in 0..ROUNDS {
        bare.push(sync(&mut file, at));
        let one = entry(&key, at);
        let started = Instant::now();
        append(&store, one);
        alone.push(started.elapsed());
    }
    let (alone, bare) = (median(alone), median(bare));
    println!(
        "one at a time: {alone:.1?} an entry, {:.2} of a bare fdatasync ({bare:.1?}), n = {ROUNDS}",
        ratio(alone, bare)
    );

    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let mut awaited = Vec::new();
    for at in 0..ROUNDS {
        let one = entry(&key, at);
        let started = Instant::now();
        let written = store.write_async(move |tx: &Tx<'_>| tx.append(&one).map(drop));
        runtime.block_on(written).map_err(|error: StoreError| error).expect("the disk takes it");
        awaited.push(started.elapsed());
    }
    println!("one at a time by an async caller: {:.1?} an entry, n = {ROUNDS}", median(awaited));

    let before = store.stats();
    let mut groups = Vec::new();
    for round in 0..ROUNDS / 10 {
        let entries: Vec<_> = (0..TOGETHER).map(|at| entry(&key, round * TOGETHER + at)).collect();
        let started = Instant::now();
        let waiting: Vec<_> =
            entries.into_iter().map(|one| store.write_async(move |tx: &Tx<'_>| tx.append(&one).map(drop))).collect();
        runtime.block_on(async {
            for one in waiting {
                one.await.expect("the disk takes it");
            }
        });
        groups.push(started.elapsed());
    }
    let after = store.stats();
    let group = median(groups);
    let speedup = alone.as_secs_f64() * TOGETHER as f64 / group.as_secs_f64();
    let commits = (after.commits - before.commits) as f64 / (ROUNDS / 10) as f64;
    println!(
        "{TOGETHER} waiting: {group:.1?} for all, {:.2} of linear, {commits:.2} syncs a group",
        speedup / TOGETHER as f64
    );

    let entries: Vec<_> = (0..MANY).map(|at| entry(&key, at)).collect();
    let used = cpu();
    let jobs = entries.into_iter().map(|one| store.write_async(move |tx: &Tx<'_>| tx.append(&one).map(drop)));
    let jobs: Vec<_> = jobs.collect();
    runtime.block_on(async {
        for job in jobs {
            job.await.expect("the disk takes it");
        }
    });
    let each = (cpu() - used) / MANY as u32;
    drop(store);
    let rows = 50 + 2 * ROUNDS + ROUNDS / 10 * TOGETHER;
    println!("CPU: {each:.1?} an entry alone, groups of 256, n = {MANY}");
    answers(&home.path().join("answers"), &key, &runtime);
    let total = bytes(&setup.folders.state);
    println!("disk: {} bytes an entry (database of {} entries)", total / (rows + MANY) as u64, rows + MANY);
    let size = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    proofs(&home.path().join("large"), size);
}

/// All that an answer writes: its entry, the budgets of party and household, the answer that is kept for a repetition, and
/// the outbox's row of its processing record.
fn answers(folder: &Path, key: &DayKey, runtime: &Runtime) {
    let folders = Folders { state: folder.join("state"), epoch_keys: folder.join("epoch-keys"), credentials: None };
    let setup = Setup { outbox: true, ..Setup::new(folders, "bench.example/log") };
    let store = Store::open_with(&setup).expect("a fresh store");
    let prepared = |at: usize| {
        let entry = entry(key, at);
        let oin = entry.actor.oin.clone().expect("it has one");
        let repeat = store.repeat_key(&oin, &format!("8e03978e-40d5-43e8-bc93-{at:012}"), &at.to_be_bytes());
        move |tx: &Tx<'_>| {
            let regulation = "haarlem".parse().expect("a short name");
            let object = entry.object.as_deref().expect("it has one");
            tx.charge(&regulation, &oin, "2026-11", 23, 1, 0)?;
            tx.charge_household(&oin, object, "2026-11")?;
            let appended = tx.append(&entry)?;
            tx.keep_answer(&repeat, "no_priority haarlem-2026-1", Some(appended), OffsetDateTime::now_utc())
        }
    };
    let answer = |written: Result<Written<()>, StoreError>| drop(written.expect("the disk takes it"));
    let jobs: Vec<_> = (0..MANY).map(prepared).collect();
    let used = cpu();
    let sent: Vec<_> = jobs.into_iter().map(|job| store.write_async(job)).collect();
    sent.into_iter().for_each(|one| answer(runtime.block_on(one)));
    let together = (cpu() - used) / MANY as u32;
    let jobs: Vec<_> = (MANY..MANY + ROUNDS).map(prepared).collect();
    let used = cpu();
    jobs.into_iter().for_each(|job| answer(runtime.block_on(store.write_async(job))));
    let alone = (cpu() - used) / ROUNDS as u32;
    println!(
        "CPU with all that an answer writes: {together:.1?} an entry, groups of 256, n = {MANY}; {alone:.1?} where each \
         has its own commit and sync, n = {ROUNDS}"
    );
}

/// Proofs at places all over a log of this size, beside one that is made of every leaf hash.
fn proofs(folder: &Path, size: u64) {
    let folders = Folders { state: folder.join("state"), epoch_keys: folder.join("epoch-keys"), credentials: None };
    let store = Store::open_with(&Setup::new(folders, "bench.example/log")).expect("a fresh store");
    for from in (0..size).step_by(JOB as usize) {
        let many = JOB.min(size - from);
        let actor = Actor::service();
        let one = Entry::new(OffsetDateTime::now_utc(), TraceId::random(), actor, Action::Ask, Outcome::Done);
        let written = store.write(move |tx: &Tx<'_>| (0..many).try_for_each(|_| tx.append(&one).map(drop)));
        written.map_err(|error: StoreError| error).expect("the disk takes it");
    }
    let timed = |work: &dyn Fn()| {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    let all = (0..5).map(|round| {
        timed(&|| {
            let leaves = store.hashes(0, 0..size).expect("all leaves");
            std::hint::black_box(inclusion_proof(&leaves, size * round / 5).expect("a place"));
        })
    });
    let all = median(all.collect());
    let first = timed(&|| drop(store.inclusion(size / 2).expect("a place")));
    let each = |prove: &dyn Fn(u64)| median((0..PROOFS).map(|at| timed(&|| prove(size * at / PROOFS))).collect());
    let inclusion = each(&|at| drop(store.inclusion(at).expect("a place")));
    let consistency = each(&|at| drop(store.consistency(at).expect("a size")));
    println!(
        "proofs at {size} entries: inclusion {inclusion:.1?}, consistency {consistency:.1?}, n = {PROOFS}; the first \
         after a start {first:.1?}; from all leaf hashes {all:.1?}"
    );
    let look = || timed(&|| store.check_log().expect("the log is whole"));
    println!("read back: {:.1?}, n = 3", median((0..3).map(|_| look()).collect()));
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
