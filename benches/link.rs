//! Kernels beside the scalar one, and a whole question at its address and away from it.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use voorrang::code::{AddressToken, Code, Codes, HouseholdToken, Record, RecordRef};
use voorrang::link::popcount::{Hit, Kernel, Line, Scan};
use voorrang::link::{HouseholdQuestion, RegisterBuilder, Registers, Source};
use voorrang::profile::Profile;

const ROWS: usize = 100_000;
/// z of 5.2, the band of the built-in profile, at 2,048 bits.
const LIMIT: u32 = 906;

/// splitmix64: codes at half weight, the same in each run.
struct Draw(u64);

impl Draw {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn code(&mut self) -> Code {
        (0..32).map(|_| self.word()).collect::<Vec<_>>().into()
    }

    fn codes(&mut self) -> Codes {
        Codes { passes: (0..2).map(|_| (0..2).map(|_| self.code()).collect()).collect() }
    }

    fn lines(&mut self, codes: usize) -> Vec<Line> {
        (0..codes * 4).map(|_| Line(std::array::from_fn(|_| self.word()))).collect()
    }
}

fn kernels(criterion: &mut Criterion) {
    let mut draw = Draw(1);
    let rows = draw.lines(ROWS);
    for count in [1, 4, 32] {
        let queries = draw.lines(count);
        let limits = vec![LIMIT; count];
        let mut group = criterion.benchmark_group(format!("pairs of {count} queries and 100,000 rows"));
        group.throughput(Throughput::Elements((ROWS * count) as u64)).sample_size(20);
        for kernel in Kernel::available() {
            let scan = Scan { queries: &queries, limits: &limits, rows: &rows, code_lines: 4 };
            let mut hits: Vec<Hit> = Vec::new();
            group.bench_function(kernel.name(), |bencher| {
                bencher.iter(|| {
                    hits.clear();
                    kernel.within(black_box(scan), &mut hits);
                    hits.len()
                });
            });
        }
    }
}

fn token(number: usize) -> [u8; 16] {
    (number as u128).to_be_bytes()
}

fn questions(criterion: &mut Criterion) {
    let profile = Profile::built_in();
    let mut draw = Draw(2);
    let mut load = RegisterBuilder::new(&profile, Source::Population);
    let mut known = None;
    for person in 0..ROWS {
        let codes = draw.codes();
        known.get_or_insert_with(|| codes.clone());
        let record = Record {
            id: RecordRef(token(person)),
            address: Some(AddressToken(token(person / 2))),
            household: Some(HouseholdToken(token(person / 2))),
            groups: vec![],
            codes,
        };
        load.push(record).expect("random codes are sound");
    }
    let registers = Registers::join(load.finish(), None);
    let known = known.expect("at least one person");
    let here = Some(AddressToken(token(0)));
    let strangers: Vec<Codes> = (0..2).map(|_| draw.codes()).collect();

    let mut group = criterion.benchmark_group("find among 100,000 persons");
    group.sample_size(20);
    for (name, tenants) in [
        ("at the address", vec![known]),
        ("one tenant everywhere", strangers[..1].to_vec()),
        ("two everywhere", strangers),
    ] {
        let question = HouseholdQuestion::new(&profile, here, tenants).expect("a sound question");
        group.bench_function(name, |bencher| bencher.iter(|| registers.find(black_box(&question))));
    }
}

criterion_group!(benches, kernels, questions);
criterion_main!(benches);
