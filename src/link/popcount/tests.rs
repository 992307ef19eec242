//! Every kernel against the definition, and the definition against itself.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn hits(kernel: Kernel, scan: Scan<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    kernel.within(scan, &mut hits);
    hits
}

fn line() -> impl Strategy<Value = Line> {
    prop_oneof![1 => Just(Line([0; 8])), 1 => Just(Line([u64::MAX; 8])), 4 => any::<[u64; 8]>().prop_map(Line)]
}

/// Queries, limits and rows of codes with 1 to 5 lines; odd numbers of rows and no rows among them.
fn scans() -> impl Strategy<Value = (usize, Vec<Line>, Vec<u32>, Vec<Line>)> {
    // Groups of four that are full and not; from 128 queries on there are tiles.
    let queries = prop_oneof![4 => 0_usize..10, 1 => 120_usize..140];
    (1_usize..6, queries, 0_usize..40).prop_flat_map(|(lines, queries, rows)| {
        (Just(lines), vec(line(), queries * lines), vec(0..=lines as u32 * 512, queries), vec(line(), rows * lines))
    })
}

/// One side of a sieve: codes and their bounds.
#[derive(Clone, Debug)]
struct Codes {
    words: usize,
    codes: Vec<u64>,
    need: Vec<i32>,
    rest: Vec<i32>,
}

impl Codes {
    fn side(&self) -> Side<'_> {
        Side { words: self.words, codes: &self.codes, need: &self.need, rest: &self.rest }
    }
}

fn codes(words: usize, count: usize) -> impl Strategy<Value = Codes> {
    let word = prop_oneof![1 => Just(0_u64), 1 => Just(u64::MAX), 3 => any::<u64>()];
    let bits = words as i32 * 64;
    // About what random codes overlap in, so that some pairs stay and some go.
    let need = prop_oneof![8 => 0..=bits / 4, 1 => -bits..=bits];
    (vec(word, words * count), vec(need, count), vec(0..=bits / 8, count)).prop_map(move |(codes, need, rest)| Codes {
        words,
        codes,
        need,
        rest,
    })
}

/// Words that are read, queries and rows; numbers that fill no tile and no vector among them.
fn sieves() -> impl Strategy<Value = (usize, Codes, Codes)> {
    (1_usize..40, 0_usize..70, 0_usize..70)
        .prop_flat_map(|(words, queries, rows)| (1..=words, codes(words, queries), codes(words, rows)))
}

fn sift(kernel: Kernel, read: usize, queries: &Codes, rows: &Codes) -> Vec<Pair> {
    let mut pairs = Vec::new();
    Sieve::new(kernel, queries.side(), read).sift(rows.side(), &mut pairs);
    pairs.sort_unstable();
    pairs
}

/// As `Sieve` says it, pair by pair.
fn by_definition(read: usize, queries: &Codes, rows: &Codes) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (query, asked) in queries.codes.chunks(queries.words).enumerate() {
        for (row, code) in rows.codes.chunks(rows.words).enumerate() {
            let overlap: u32 = (0..read).map(|word| (asked[word] & code[word]).count_ones()).sum();
            let most = overlap as i32 + queries.rest[query].min(rows.rest[row]);
            if most >= queries.need[query] + rows.need[row] {
                pairs.push(Pair { query: query as u32, row: row as u32 });
            }
        }
    }
    pairs
}

proptest! {
    #[test]
    fn kernels_find_the_hits_of_the_definition((code_lines, queries, limits, rows) in scans()) {
        let scan = Scan { queries: &queries, limits: &limits, rows: &rows, code_lines };
        let want = hits(Kernel::PORTABLE, scan);
        for kernel in Kernel::available() {
            prop_assert_eq!(&hits(kernel, scan), &want, "{}", kernel.name());
        }
    }

    #[test]
    fn every_sieve_keeps_the_pairs_of_the_definition((read, queries, rows) in sieves()) {
        let want = by_definition(read, &queries, &rows);
        for kernel in Kernel::available() {
            prop_assert_eq!(&sift(kernel, read, &queries, &rows), &want, "{}", kernel.name());
        }
    }
}

#[test]
fn distances_of_constant_codes_are_zero_and_all_bits_in_every_kernel() {
    let (zeros, ones) = ([Line([0; 8]); 4], [Line([u64::MAX; 8]); 4]);
    let rows = [zeros, ones, zeros].concat();
    for kernel in Kernel::available() {
        let scan = Scan { queries: &zeros, limits: &[2048], rows: &rows, code_lines: 4 };
        let distances: Vec<_> = hits(kernel, scan).iter().map(|hit| hit.distance).collect();
        assert_eq!(distances, [0, 2048, 0], "{}", kernel.name());
        let below = Scan { limits: &[2047], ..scan };
        let rows: Vec<_> = hits(kernel, below).iter().map(|hit| hit.row).collect();
        assert_eq!(rows, [0, 2], "{}", kernel.name());
    }
}

#[test]
fn overlaps_of_full_codes_are_counted_to_the_last_bit_in_every_sieve() {
    // 256 words: more bits than a byte, or a vector of byte counts, can hold.
    for words in [1, 8, 15, 16, 31, 32, 256] {
        let bits = words as i32 * 64;
        for (need, stays) in [(bits, true), (bits + 1, false)] {
            let full = |count: usize, need: i32| Codes {
                words,
                codes: vec![u64::MAX; words * count],
                need: vec![need; count],
                rest: vec![0; count],
            };
            for kernel in Kernel::available() {
                let pairs = sift(kernel, words, &full(33, need), &full(17, 0));
                assert_eq!(pairs.len(), if stays { 33 * 17 } else { 0 }, "{} {words}", kernel.name());
            }
        }
    }
}

#[test]
fn a_kernel_is_known_by_its_name_and_the_best_one_suits_the_queries() {
    for kernel in Kernel::available() {
        assert!(Kernel::NAMES.contains(&kernel.name()));
        assert_eq!(Kernel::named(kernel.name()), Some(kernel));
    }
    assert_eq!(Kernel::named("abacus"), None);
    assert_ne!(Kernel::best_for(1).name(), "amx");
    assert_eq!(Kernel::best_for(usize::MAX), Kernel::best());
}

#[test]
#[should_panic(expected = "one limit a query")]
fn a_scan_that_does_not_fit_is_never_run() {
    hits(Kernel::best(), Scan { queries: &[Line([0; 8])], limits: &[], rows: &[], code_lines: 1 });
}

#[test]
#[should_panic(expected = "one need a code")]
fn a_sieve_that_does_not_fit_is_never_made() {
    Sieve::new(Kernel::best(), Side { words: 1, codes: &[0], need: &[], rest: &[] }, 1);
}
