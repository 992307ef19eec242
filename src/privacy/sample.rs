//! Who is attacked: whole addresses drawn at random, and the stolen codes in an order that tells nothing.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;

use super::{LEAST_PEOPLE, PrivacyError};
use crate::code::{AddressToken, Code};

/// Draws whole addresses until `most` people are there, the last address perhaps cut. Who has no address is alone.
/// Returns positions in `addresses`, address by address.
pub fn draw(addresses: &[Option<AddressToken>], most: usize, seed: u64) -> Vec<usize> {
    let mut blocks: Vec<Vec<usize>> = Vec::new();
    let mut places: HashMap<AddressToken, usize> = HashMap::new();
    for (row, address) in addresses.iter().enumerate() {
        let place = address.map_or(blocks.len(), |address| *places.entry(address).or_insert(blocks.len()));
        if place == blocks.len() {
            blocks.push(Vec::new());
        }
        blocks[place].push(row);
    }
    blocks.shuffle(&mut random(seed, 0));
    blocks.into_iter().flatten().take(most).collect()
}

/// Random numbers of one purpose.
pub(super) fn random(seed: u64, purpose: u64) -> ChaCha12Rng {
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    random.set_stream(purpose);
    random
}

/// What the attacker has made of one pass, in the order of the attacker's own list of people.
pub struct Attacker {
    /// Per own key the finished codes.
    pub codes: Vec<Vec<Code>>,
    /// Per own key the filters before diffusion.
    pub filters: Vec<Vec<Code>>,
    /// Filter bits whose parity is one code bit.
    pub diffusion: u32,
}

/// Stolen codes and whose they are. The truth is for scoring only.
pub struct Sample {
    /// Per pass the stolen codes, in the secret order.
    pub(super) stolen: Vec<Vec<Code>>,
    /// Per stolen record the row of the attacker's list.
    pub(super) truth: Vec<usize>,
    /// Per row of the attacker's list the number of its address.
    pub(super) address: Vec<usize>,
    pub(super) seed: u64,
}

impl Sample {
    /// A sample of stolen codes, `passes[p][row]`, rows in the order of the attacker's list. They are shuffled here,
    /// so that no attack can profit from the order.
    ///
    /// # Errors
    /// [`PrivacyError::TooFew`], and [`PrivacyError::Widths`] if the codes of a pass differ in length.
    pub fn new(passes: &[Vec<Code>], addresses: &[Option<AddressToken>], seed: u64) -> Result<Self, PrivacyError> {
        let people = addresses.len();
        if people < LEAST_PEOPLE {
            return Err(PrivacyError::TooFew { people, least: LEAST_PEOPLE });
        }
        let one_width = |codes: &Vec<Code>| codes.len() == people && codes.iter().all(|c| c.bits() == codes[0].bits());
        if !passes.iter().all(one_width) {
            return Err(PrivacyError::Widths);
        }
        let mut truth: Vec<usize> = (0..people).collect();
        truth.shuffle(&mut random(seed, 1));
        let stolen = passes.iter().map(|codes| truth.iter().map(|&row| codes[row].clone()).collect()).collect();
        Ok(Self { stolen, truth, address: numbered(addresses), seed })
    }

    /// The same people with the codes of one pass.
    pub fn only(&self, pass: usize) -> Self {
        let (truth, address) = (self.truth.clone(), self.address.clone());
        Self { stolen: vec![self.stolen[pass].clone()], truth, address, seed: self.seed }
    }

    /// Number of people.
    pub fn people(&self) -> usize {
        self.truth.len()
    }

    /// Number of different addresses.
    pub fn addresses(&self) -> usize {
        self.address.iter().max().map_or(0, |last| last + 1)
    }
}

/// Equal addresses by equal numbers, 0, 1, .. in the order of first appearance.
fn numbered(addresses: &[Option<AddressToken>]) -> Vec<usize> {
    let (mut numbers, mut next) = (HashMap::new(), 0);
    let mut number = |address: &Option<AddressToken>| {
        let known = address.map_or(next, |address| *numbers.entry(address).or_insert(next));
        next += usize::from(known == next);
        known
    };
    addresses.iter().map(&mut number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Vec<Option<AddressToken>> {
        (0..120_u8).map(|row| (row % 10 != 0).then_some(AddressToken([row / 4; 16]))).collect()
    }

    #[test]
    fn whole_addresses_are_drawn_and_another_seed_draws_others() {
        let all = addresses();
        let drawn = draw(&all, 60, 1);
        assert_eq!(drawn.len(), 60);
        let last = all[*drawn.last().unwrap()];
        for row in 0..all.len() {
            let mates = |&other: &usize| all[other].is_some() && all[other] == all[row];
            let whole = (0..all.len()).filter(|o| mates(o)).all(|other| drawn.contains(&other));
            assert!(!drawn.contains(&row) || whole || all[row] == last);
        }
        assert_eq!(drawn, draw(&all, 60, 1));
        assert_ne!(drawn, draw(&all, 60, 2));
        let mut everybody = draw(&all, 1_000, 1);
        everybody.sort_unstable();
        assert!(everybody.into_iter().eq(0..120));
    }

    #[test]
    fn stolen_codes_are_in_no_order_and_the_truth_tells_which() {
        let codes: Vec<Code> = (0..120).map(|row| Code::from(vec![row])).collect();
        let sample = Sample::new(std::slice::from_ref(&codes), &addresses(), 1).unwrap();
        assert!(sample.truth.iter().enumerate().filter(|(at, row)| at == *row).count() < 12);
        assert!(sample.truth.iter().zip(&sample.stolen[0]).all(|(&row, code)| codes[row] == *code));
        assert_eq!(sample.address[1], sample.address[2]);
        assert_ne!(sample.address[0], sample.address[1]);
    }

    #[test]
    fn few_people_and_mixed_lengths_are_refused() {
        let few = Sample::new(&[], &addresses()[..49], 1);
        assert_eq!(few.err(), Some(PrivacyError::TooFew { people: 49, least: 50 }));
        let mixed: Vec<Code> = (0..120).map(|row| Code::from(vec![0; 1 + row / 119])).collect();
        assert_eq!(Sample::new(&[mixed], &addresses(), 1).err(), Some(PrivacyError::Widths));
    }
}
