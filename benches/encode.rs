//! Residents a second through the whole of `Encoder::residents`, and rows a second through clkhash's encoder, cold and
//! with what a thread remembers; one thread each. With `RESIDENTS=brp.csv` also the residents of that file, from people
//! in memory to codes in memory, as peers measure themselves.

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use time::macros::date;
use voorrang::encode::{Address, Ages, BirthDate, Encoder, Person, Resident, Sex, clkhash, read};
use voorrang::profile::Profile;

/// Invented people: as many name lengths, partners and dates as numbers have remainders.
fn residents(count: u32) -> Vec<Resident> {
    let names = ["Jansen", "van den Berg", "Bakker-de Vries", "Öztürk", "El Amrani", "Hoogeveen", "Ho"];
    let resident = |i: u32| {
        let birth = format!("{:04}{:02}{:02}", 1930 + i % 75, 1 + i % 12, 1 + i % 28);
        let partner = if i.is_multiple_of(3) { names[(i as usize + 3) % 7] } else { "" };
        let person = Person {
            given_names: char::from(b'A' + (i % 26) as u8).to_string(),
            surname: names[i as usize % 7].into(),
            partner_surname: partner.into(),
            birth: BirthDate::parse(&birth).expect("the bench makes dates that exist"),
            sex: Some(if i.is_multiple_of(2) { Sex::Male } else { Sex::Female }),
            address: Address::parse("1011AB", &(1 + i / 2).to_string(), "").expect("the bench makes good addresses"),
            ..Person::default()
        };
        Resident { id: format!("P{i:08}"), household: format!("H{:07}", i / 2), person }
    };
    (0..count).map(resident).collect()
}

fn resident(c: &mut Criterion) {
    let epoch = "bench-1".parse().expect("a good epoch id");
    let encoder = Encoder::new(&Profile::built_in(), &[7; 32], &epoch);
    let people = residents(1_000);
    let ages = Ages { minor_below: 18, senior_from: 65 };
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(people.len() as u64));
    group.bench_function("residents", |b| {
        b.iter(|| encoder.residents(&people, date!(2026 - 01 - 01), &ages).len());
    });
    if let Some(file) = std::env::var_os("RESIDENTS") {
        let people = read::residents(Path::new(&file)).expect("RESIDENTS names a file of residents");
        group.throughput(Throughput::Elements(people.len() as u64)).sample_size(10);
        let encode = |share: &[Resident]| encoder.residents(share, date!(2026 - 01 - 01), &ages).len();
        group.bench_function("residents of a file", |b| b.iter(|| people.chunks(64).map(encode).sum::<usize>()));
    }
    group.finish();
}

/// Bigrams and exact values, 1,024 bits, BLAKE2b.
const SCHEMA: &str = r#"{"version": 3, "clkConfig": {"l": 1024, "kdf": {"type": "HKDF"}}, "features": [
    {"identifier": "name", "format": {"type": "string"},
     "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 130}}},
    {"identifier": "birth", "format": {"type": "date", "format": "%Y%m%d"},
     "hashing": {"comparison": {"type": "ngram", "n": 1, "positional": true}, "strategy": {"bitsPerFeature": 160}}},
    {"identifier": "number", "format": {"type": "integer"},
     "hashing": {"comparison": {"type": "exact"}, "strategy": {"bitsPerFeature": 30}}}]}"#;

fn clk(c: &mut Criterion) {
    let schema = clkhash::Schema::parse(SCHEMA.as_bytes()).expect("a good schema");
    let encoder = clkhash::Encoder::new(&schema, &[7; 32]).expect("a schema that can be set up");
    let rows: Vec<[String; 3]> = (0..1_000_u32)
        .map(|i| {
            [
                format!("Jansen {}", i % 300),
                format!("{:04}{:02}{:02}", 1930 + i % 75, 1 + i % 12, 1 + i % 28),
                i.to_string(),
            ]
        })
        .collect();
    let encode = |worker: &mut clkhash::Worker| -> usize {
        let clk = |row: &[String; 3]| worker.clk(row.iter().map(String::as_str)).expect("a good row").len();
        rows.iter().map(clk).sum()
    };
    let mut group = c.benchmark_group("clk");
    group.throughput(Throughput::Elements(rows.len() as u64));
    group.bench_function("cold", |b| b.iter(|| encode(&mut encoder.worker())));
    let mut worker = encoder.worker();
    group.bench_function("remembered", |b| b.iter(|| encode(&mut worker)));
    group.finish();
}

criterion_group!(benches, resident, clk);
criterion_main!(benches);
