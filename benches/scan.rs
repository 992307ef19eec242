//! One question, and some that wait together, against a register of CLKs in memory, beside reading the register's bits
//! once: `cargo bench --bench scan [-- PEOPLE]`, ten million if no number is given.
//!
//! Reading and asking take turns, so that both see the same machine; CPU time of one thread, medians. Where the system
//! gives huge pages on request, `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` asks for them.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use voorrang::link::join::{Clks, Planes, Threshold};
use voorrang::link::popcount::Kernel;

mod clks;

const ROUNDS: usize = 15;
/// People who are invented; more are copies of them with some bits changed.
const INVENTED: usize = 100_000;

fn main() {
    let people = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000_000);
    let [asked, invented] = clks::files(64, INVENTED.min(people)).map(|json| clks::parse(&json));
    let register = grown(&invented, people);
    println!("{} CLKs of {} bits", register.len(), register.bits());
    println!("threshold  bytes read  read ms  ask ms  faster than reading  8 together  64 together");
    for value in [0.8, 0.85, 0.9] {
        let threshold = Threshold::new(value).expect("a threshold");
        let planes = Planes::new(&register, &asked, threshold).expect("CLKs of one length");
        let [one, eight, many] = [1, 8, 64].map(|count| first(&asked, count));
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            let find = |asked: &Clks| planes.find(asked, Kernel::best_for(asked.len())).expect("one length").len();
            times[0].push(time(|| read(register.codes()) as usize));
            times[1].push(time(|| find(&one)));
            times[2].push(time(|| find(&eight)));
            times[3].push(time(|| find(&many)));
        }
        let [read, one, eight, many] = times.map(|mut times| {
            times.sort_unstable();
            times[ROUNDS / 2].as_secs_f64() * 1e3
        });
        let part = planes.bytes_read() as f64 / size_of_val(register.codes()) as f64;
        println!(
            "{value:<9}  {part:>10.2}  {read:>7.1}  {one:>6.1}  {:>19.2}  {:>5.1} each  {:>6.1} each",
            read / one,
            eight / 8.0,
            many / 64.0
        );
    }
}

/// As many people as asked for.
fn grown(invented: &Clks, people: usize) -> Clks {
    let mut register = Clks::default();
    for at in 0..people {
        let code = invented.code(at % invented.len());
        let mut bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        for flip in 0..(at / invented.len()).min(40) {
            let bit = (at * 31 + flip * 97 + at / invented.len() * 13) % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        register.push(&bytes).expect("all have one length");
    }
    register
}

fn first(clks: &Clks, count: usize) -> Clks {
    let mut some = Clks::default();
    for at in 0..count {
        let bytes: Vec<u8> = clks.code(at).iter().flat_map(|word| word.to_le_bytes()).collect();
        some.push(&bytes).expect("all have one length");
    }
    some
}

/// Every word once.
fn read(words: &[u64]) -> u64 {
    let lanes = words.chunks_exact(32).fold([0; 32], |mut lanes: [u64; 32], words| {
        lanes.iter_mut().zip(words).for_each(|(lane, word)| *lane |= word);
        lanes
    });
    lanes.into_iter().fold(0, |all, lane| all | lane)
}

fn time(work: impl FnOnce() -> usize) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    let start = now();
    black_box(work());
    now() - start
}
