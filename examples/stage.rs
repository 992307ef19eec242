use std::time::Instant;
use time::macros::date;
use voorrang::encode::{Ages, Encoder, file, read};
use voorrang::profile::Profile;
fn main() {
    let t = Instant::now();
    let people = read::residents(std::path::Path::new(&std::env::args().nth(1).unwrap())).unwrap();
    let n = people.len() as f64;
    println!("read {:.2} us", t.elapsed().as_secs_f64() * 1e6 / n);
    let p = Profile::built_in();
    let e = Encoder::new(&p, &[7; 32], &"a-1".parse().unwrap());
    let ages = Ages { minor_below: 18, senior_from: 65 };
    let w = file::Writer::new(&p);
    let d = date!(2026 - 01 - 01);
    let (mut enc, mut wr) = (0.0, 0.0);
    let mut bytes = Vec::with_capacity(64 * 1800);
    for _ in 0..2 {
        for c in people.chunks(64) {
            let t = Instant::now();
            let lines = e.residents_in_order(c, d, &ages);
            enc += t.elapsed().as_secs_f64();
            let t = Instant::now();
            bytes.clear();
            for l in &lines {
                w.line(Some("P1"), None, l, &mut bytes);
            }
            wr += t.elapsed().as_secs_f64();
        }
    }
    println!("encode {:.2} us, write {:.2} us", enc * 5e5 / n, wr * 5e5 / n);
}
