//! One question, and some that wait together, against a register of CLKs in memory, beside reading the register's bits
//! once: `cargo bench --bench scan [-- PEOPLE] [--plot FILE.svg]`, ten million people if no number is given. Then the
//! same for smaller registers, as a curve.
//!
//! Reading and asking take turns, so that both see the same machine; CPU time of one thread, medians; of two threads
//! wall time. Where the system gives huge pages on request, `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` asks for them.

use std::fmt::Write;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use voorrang::link::join::{Clks, Planes, Threshold};
use voorrang::link::popcount::Kernel;

mod clks;

const ROUNDS: usize = 9;
/// People who are invented; more are copies of them with some bits changed.
const INVENTED: usize = 100_000;
/// Questions that are asked: alone, waiting together, and as a batch.
const TOGETHER: [usize; 4] = [1, 8, 64, 1024];

fn main() {
    let people = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000_000);
    let plot = std::env::args().skip_while(|argument| argument != "--plot").nth(1);
    let [asked, invented] = clks::files(TOGETHER[3], INVENTED.min(people)).map(|json| clks::parse(&json));
    let register = grown(&invented, people);
    println!("{} CLKs of {} bits", register.len(), register.bits());
    println!("threshold  bytes read  read ms  ask ms  faster than reading  two threads  8 together  64 together");
    for value in [0.8, 0.85, 0.9] {
        let Measured { part, read, asked: [one, eight, many, _], two } = measure(&register, &asked, value, 0);
        println!(
            "{value:<9}  {part:>10.2}  {read:>7.1}  {one:>6.1}  {:>19.2}  {:>11.2}  {eight:>5.1} each  {many:>6.1} each",
            read / one,
            one / two
        );
    }
    let curve = curve(&register, &asked);
    if let Some(path) = plot {
        std::fs::write(&path, svg(&curve)).expect("the plot can be written");
        println!("{path}");
    }
}

/// Milliseconds.
struct Measured {
    /// Share of the register's bytes that a question reads.
    part: f64,
    /// The whole register.
    read: f64,
    /// A question when so many are asked together.
    asked: [f64; 4],
    /// One question with two threads, by the clock.
    two: f64,
}

fn measure(register: &Clks, asked: &Clks, value: f64, batches: usize) -> Measured {
    let threshold = Threshold::new(value).expect("a threshold");
    let planes = Planes::new(register, asked, threshold).expect("CLKs of one length");
    let asked = TOGETHER.map(|count| first(asked, count));
    let mut times = [const { Vec::new() }; 6];
    let threads = |count| NonZeroUsize::new(count).expect("a thread");
    let find = |asked: &Clks, count| {
        planes.find(asked, Kernel::best_for(asked.len()), threads(count)).expect("one length").len()
    };
    for round in 0..ROUNDS {
        times[0].push(time(|| read(register.codes()) as usize));
        // A batch against a large register takes seconds.
        let few = asked.iter().enumerate().filter(|(at, _)| round < batches || *at < 3);
        few.for_each(|(at, asked)| times[1 + at].push(time(|| find(asked, 1)) / asked.len() as u32));
        let start = Instant::now();
        black_box(find(&asked[0], 2));
        times[5].push(start.elapsed());
    }
    let [read, one, eight, many, batch, two] = times.map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    });
    let part = planes.bytes_read() as f64 / size_of_val(register.codes()) as f64;
    Measured { part, read, asked: [one, eight, many, batch], two }
}

/// Registers from ten thousand people up, at .85: people, and microseconds a question.
fn curve(register: &Clks, asked: &Clks) -> Vec<(usize, [f64; 4])> {
    println!(
        "\nmicroseconds a question at .85, one thread\npeople      alone     8 together  64 together  1024 together"
    );
    let sizes = (4..).map(|power| 10_usize.pow(power)).take_while(|people| *people <= register.len());
    let measured = sizes.map(|people| {
        let each = measure(&first(register, people), asked, 0.85, 2).asked.map(|milliseconds| milliseconds * 1e3);
        let [one, eight, many, batch] = each;
        println!("{people:<10}  {one:<8.1}  {eight:<10.1}  {many:<11.1}  {batch:.1}");
        (people, each)
    });
    measured.collect()
}

/// Both axes are logarithmic: people from 10^4 to 10^7, microseconds from 1 to 10^6.
fn svg(curve: &[(usize, [f64; 4])]) -> String {
    const COLOURS: [&str; 4] = ["#1b6ca8", "#2a9d5c", "#d1752b", "#8a3ab9"];
    const NAMES: [&str; 4] = ["alone", "8 together", "64 together", "1,024 together"];
    let x = |people: f64| 70.0 + (people.log10() - 4.0) * 150.0;
    let y = |microseconds: f64| 330.0 - microseconds.max(1.0).log10() * 50.0;
    let mut text = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 680 380\" font-family=\"sans-serif\" \
font-size=\"12\">\n<rect width=\"680\" height=\"380\" fill=\"white\"/>\n"
        .to_owned();
    let mut line = |line: String| writeln!(text, "{line}").expect("memory takes all");
    for power in 4..=7 {
        let at = x(10_f64.powi(power));
        line(format!(
            "<path d=\"M{at} 30V330\" stroke=\"#ddd\"/><text x=\"{at}\" y=\"348\" text-anchor=\"middle\">10^{power}</text>"
        ));
    }
    for power in 0..=6 {
        let at = y(10_f64.powi(power));
        line(format!(
            "<path d=\"M70 {at}H520\" stroke=\"#ddd\"/><text x=\"62\" y=\"{}\" text-anchor=\"end\">10^{power}</text>",
            at + 4.0
        ));
    }
    line("<text x=\"295\" y=\"370\" text-anchor=\"middle\">people in the register, CLKs of 1,024 bits</text>".into());
    line("<text x=\"70\" y=\"18\">microseconds a question, one thread, Dice of .85 or more, exact</text>".into());
    for (place, (name, colour)) in NAMES.iter().zip(COLOURS).enumerate() {
        let points = curve.iter().map(|(people, times)| format!("{:.1},{:.1}", x(*people as f64), y(times[place])));
        let points = points.collect::<Vec<_>>().join(" ");
        line(format!("<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
        let last = curve.last().map_or(330.0, |(_, times)| y(times[place]));
        line(format!("<text x=\"528\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>", last + 4.0));
    }
    text + "</svg>\n"
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

/// Every word once, by plain code. It stays below what the memory gives: AVX-512 reads up to a half more in a second, so
/// that a question that is faster than this need not be faster than memory.
fn read(words: &[u64]) -> u64 {
    let lanes = words.chunks_exact(16).fold([0; 16], |mut lanes: [u64; 16], words| {
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
