//! Every kernel against the definition, and the definition against itself.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn hits(kernel: Kernel, scan: &Scan) -> Vec<Hit> {
    let mut hits = Vec::new();
    kernel.within(scan.rows(), &scan.asked(), &mut hits);
    hits.sort_unstable();
    hits
}

/// Rows, and codes that are held against one place of them each.
#[derive(Clone, Debug)]
struct Scan {
    first: (Vec<u64>, usize),
    second: (Vec<u64>, usize),
    asked: Vec<(Place, Vec<u64>, u32, u32)>,
}

impl Scan {
    fn rows(&self) -> Rows<'_> {
        let ((first, first_words), (second, second_words)) = (&self.first, &self.second);
        Rows { first, first_words: *first_words, second, second_words: *second_words }
    }

    fn asked(&self) -> Vec<Asked<'_>> {
        self.asked
            .iter()
            .map(|(place, code, near, limit)| Asked { place: *place, code, near: *near, limit: *limit })
            .collect()
    }
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 1 => Just(u64::MAX), 4 => any::<u64>()]
}

/// A code somewhere in rows of so many words, and limits about and off what random codes differ in.
fn asked(first_words: usize, second_words: usize) -> impl Strategy<Value = (Place, Vec<u64>, u32, u32)> {
    let first = (0..first_words / 2).prop_flat_map(move |pair| (Just(2 * pair), 1..=first_words / 2 - pair));
    let second = (0..=second_words).prop_flat_map(move |second| (Just(second), 0..=second_words - second));
    (first, second).prop_flat_map(|((first, pairs), (second, rest))| {
        let (read, bits) = (2 * pairs, |words: usize| words as u32 * 64);
        let place = Place { first, read, second, rest };
        (Just(place), vec(word(), read + rest), 0..=bits(read), 0..=bits(read + rest))
    })
}

/// Rows of several sizes, none and more than fit a panel or a block among them; neighbours at the same place.
fn scans() -> impl Strategy<Value = Scan> {
    let rows = prop_oneof![6 => 0_usize..40, 1 => 500_usize..530];
    let first_words =
        prop_oneof![4 => (1_usize..4).prop_map(|lines| 8 * lines), 1 => (1_usize..9).prop_map(|half| 2 * half)];
    (rows, first_words, 0_usize..20).prop_flat_map(|(rows, first_words, second_words)| {
        let one = asked(first_words, second_words).prop_flat_map(|one| {
            // Others at the same place.
            vec(word(), 1..6).prop_map(move |words| {
                let other = |word| {
                    let mut other = one.clone();
                    other.1[0] = word;
                    other
                };
                words.into_iter().map(other).collect::<Vec<_>>()
            })
        });
        let numbers = (vec(word(), rows * first_words), vec(word(), rows * second_words), vec(one, 0..6));
        numbers.prop_map(move |(first, second, asked)| Scan {
            first: (first, first_words),
            second: (second, second_words),
            asked: asked.concat(),
        })
    })
}

/// As [`Kernel::within`] says it, bit by bit.
fn hits_by_definition(scan: &Scan) -> Vec<Hit> {
    let differing = |a: &[u64], b: &[u64]| -> u32 {
        (0..a.len() * 64).map(|bit| u32::from(a[bit / 64] >> (bit % 64) & 1 != b[bit / 64] >> (bit % 64) & 1)).sum()
    };
    let mut hits = Vec::new();
    for row in 0..scan.rows().len() {
        for (asked, (place, code, near, limit)) in scan.asked.iter().enumerate() {
            let [first, second] = scan.rows().code(row, *place);
            let first = differing(&code[..place.read], first);
            let distance = first + differing(&code[place.read..], second);
            if first <= *near && distance <= *limit {
                hits.push(Hit { row, asked, distance });
            }
        }
    }
    hits
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
    fn kernels_find_the_hits_of_the_definition(scan in scans()) {
        let want = hits_by_definition(&scan);
        for kernel in Kernel::available() {
            prop_assert_eq!(&hits(kernel, &scan), &want, "{}", kernel.name());
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
    let rows = |words: usize| [vec![0; words], vec![u64::MAX; words], vec![0; words * 7]].concat();
    let place = Place { first: 0, read: 16, second: 0, rest: 16 };
    for kernel in Kernel::available() {
        for (near, limit, want) in
            [(1024, 2048, vec![0, 2048, 0, 0, 0, 0, 0, 0, 0]), (1024, 2047, vec![0; 8]), (1023, 2048, vec![0; 8])]
        {
            let asked = vec![(place, vec![0; 32], near, limit)];
            let scan = Scan { first: (rows(16), 16), second: (rows(16), 16), asked };
            let distances: Vec<_> = hits(kernel, &scan).iter().map(|hit| hit.distance).collect();
            assert_eq!(distances, want, "{}", kernel.name());
        }
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
    assert_eq!(Kernel::named("neon").is_some(), cfg!(target_arch = "aarch64"));
    assert_ne!(Kernel::best_for(1).name(), "amx");
    assert_eq!(Kernel::best_for(usize::MAX), Kernel::best());
}

#[test]
#[should_panic(expected = "a place in the first part")]
fn a_scan_that_does_not_fit_is_never_run() {
    let place = Place { first: 2, read: 8, second: 0, rest: 0 };
    let asked = vec![(place, vec![0; 8], 0, 0)];
    hits(Kernel::best(), &Scan { first: (vec![0; 8], 8), second: (vec![], 0), asked });
}

#[test]
#[should_panic(expected = "one need a code")]
fn a_sieve_that_does_not_fit_is_never_made() {
    Sieve::new(Kernel::best(), Side { words: 1, codes: &[0], need: &[], rest: &[] }, 1);
}

proptest! {
    #[test]
    fn codes_one_by_one_are_counted_alike(
        (words, read, a, b) in (1_usize..40).prop_flat_map(|words| {
            let codes = || vec(word(), 3 * words);
            (Just(words), 0..=words, codes(), codes())
        }),
    ) {
        let bits = |words: &[u64]| words.iter().flat_map(|word| (0..64).map(move |bit| word >> bit & 1)).sum::<u64>();
        let common: Vec<u64> = a.iter().zip(&b).map(|(a, b)| a & b).collect();
        for kernel in Kernel::available() {
            prop_assert_eq!(u64::from(kernel.overlap(&a, &b)), bits(&common), "{}", kernel.name());
            let mut sums = vec![0; common.len()];
            kernel.overlaps(&a, &b, &mut sums);
            for (at, sum) in sums.iter().enumerate() {
                prop_assert_eq!(u64::from(*sum), bits(&common[..=at]));
            }
            let mut rests = vec![-1];
            kernel.rests(&a, words, read, &mut rests);
            let want = a.chunks_exact(words).map(|code| bits(&code[read..]) as i32);
            prop_assert_eq!(rests, std::iter::once(-1).chain(want).collect::<Vec<_>>());
        }
    }
}
