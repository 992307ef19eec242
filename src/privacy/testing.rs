//! Invented codes for the tests of this room: filters of people whose shared tokens set shared bits.

use rand::Rng;
use rand::seq::SliceRandom;

use rand_chacha::ChaCha12Rng;

use super::Attacker;
use super::sample::random;
use crate::code::{AddressToken, Code};

const FILTER_BITS: usize = 1024;
const CODE_BITS: usize = 2048;
const KEYS: u64 = 4;
/// Tokens of a person, and insertions a token that fill half of a filter.
const TOKENS: usize = 10;
const INSERTIONS: usize = 71;
/// Different values of a token: so few that strangers share some.
const VALUES: u64 = 12;

/// People with tokens, stolen codes, and what an attacker makes of the same people.
pub struct Town {
    pub addresses: Vec<Option<AddressToken>>,
    pub stolen: Vec<Code>,
    pub stolen_filters: Vec<Code>,
    pub pass: Attacker,
}

impl Town {
    /// So many people, two an address with half of their tokens in common.
    pub fn new(people: usize, diffusion: u32) -> Self {
        Self::with(people, diffusion, |_| 2, |_| TOKENS / 2)
    }

    /// Addresses of two to four people, each with more or fewer tokens in common.
    pub fn households(people: usize, diffusion: u32) -> Self {
        Self::with(people, diffusion, |address| 2 + address % 3, |numbers| numbers.gen_range(0..TOKENS))
    }

    fn with(
        people: usize,
        diffusion: u32,
        size: impl Fn(usize) -> usize,
        common: impl Fn(&mut ChaCha12Rng) -> usize,
    ) -> Self {
        let mut numbers = random(7, 0);
        let mut tokens: Vec<Vec<u64>> = Vec::new();
        let mut addresses = Vec::new();
        for address in 0.. {
            let family: Vec<u64> = (0..TOKENS).map(|_| numbers.gen_range(0..VALUES)).collect();
            for _ in 0..size(address).min(people - tokens.len()) {
                let common = common(&mut numbers);
                let own = |at: usize, number: u64| if at < common { family[at] } else { number };
                tokens.push((0..TOKENS).map(|at| own(at, numbers.gen_range(0..VALUES)) + 100 * at as u64).collect());
                addresses.push(Some(AddressToken(u128::try_from(address).unwrap().to_be_bytes())));
            }
            if tokens.len() == people {
                break;
            }
        }
        let made = |key: u64| {
            let filters: Vec<Code> = tokens.iter().map(|tokens| filter(tokens, key)).collect();
            (diffused(&filters, diffusion, key), filters)
        };
        let (stolen, stolen_filters) = made(0);
        let (codes, filters) = (1..=KEYS).map(made).unzip();
        Self { addresses, stolen, stolen_filters, pass: Attacker { codes, filters, diffusion } }
    }
}

/// Codes that are fair coins.
pub fn noise(count: usize, bits: usize, seed: u64) -> Vec<Code> {
    let mut numbers = random(seed, 3);
    (0..count).map(|_| Code::from((0..bits / 64).map(|_| numbers.r#gen()).collect::<Vec<u64>>())).collect()
}

fn filter(tokens: &[u64], key: u64) -> Code {
    let mut words = vec![0_u64; FILTER_BITS / 64];
    for token in tokens {
        let mut numbers = random(1_000 + token, 10 + key);
        for _ in 0..INSERTIONS {
            let bit = numbers.gen_range(0..FILTER_BITS);
            words[bit / 64] |= 1 << (bit % 64);
        }
    }
    Code::from(words)
}

fn diffused(filters: &[Code], diffusion: u32, key: u64) -> Vec<Code> {
    let mut numbers = random(5, 100 + key);
    let mut positions: Vec<usize> = (0..FILTER_BITS).collect();
    let map: Vec<Vec<usize>> =
        (0..CODE_BITS).map(|_| positions.partial_shuffle(&mut numbers, diffusion as usize).0.to_vec()).collect();
    let code = |filter: &Code| {
        let bit = |at: usize| filter.words()[at / 64] >> (at % 64) & 1;
        let parities = map.iter().map(|of| of.iter().fold(0, |sum, &at| sum ^ bit(at)));
        let mut words = vec![0; CODE_BITS / 64];
        parities.enumerate().for_each(|(at, parity)| words[at / 64] |= parity << (at % 64));
        Code::from(words)
    };
    filters.iter().map(code).collect()
}
