//! What a file of codes shows without any key or person: fill, frequency of each bit, spread of the number of set
//! bits, equal codes. Beside each stands what codes would show that are fair coins.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::span::Span;
use crate::code::{AddressToken, Code};

/// Classes of a histogram of set bits, the half in the middle one, some four standard deviations either way.
const CLASSES: usize = 33;

/// Statistics of one pass, over all variants of all records.
pub struct PassStatistics {
    hasher: RandomState,
    bits: usize,
    ones: Vec<u64>,
    codes: u64,
    set: Moments,
    histogram: Vec<u64>,
    seen: HashMap<u64, u32>,
    span: Span,
}

#[derive(Default)]
struct Moments {
    sum: f64,
    squares: f64,
    least: Option<u32>,
    most: u32,
}

impl PassStatistics {
    /// Of codes of so many bits.
    pub fn new(bits: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            bits,
            ones: vec![0; bits],
            codes: 0,
            set: Moments::default(),
            histogram: vec![0; CLASSES],
            seen: HashMap::new(),
            span: Span::new(bits),
        }
    }

    /// Counts a code. All have the bits that were announced; more are not looked at.
    pub fn count(&mut self, code: &Code) {
        for (ones, word) in self.ones.chunks_mut(64).zip(code.words()) {
            ones.iter_mut().enumerate().for_each(|(at, ones)| *ones += word >> (63 - at) & 1);
        }
        let set = code.ones();
        self.codes += 1;
        self.set.sum += f64::from(set);
        self.set.squares += f64::from(set).powi(2);
        self.set.least = Some(self.set.least.map_or(set, |least| least.min(set)));
        self.set.most = self.set.most.max(set);
        let lowest = self.bits as f64 / 2.0 - self.class_width() as f64 * CLASSES as f64 / 2.0;
        let place = (f64::from(set) - lowest) / self.class_width() as f64;
        self.histogram[(place.max(0.0) as usize).min(CLASSES - 1)] += 1;
        self.span.add(code.words());
        *self.seen.entry(self.hasher.hash_one(code.words())).or_default() += 1;
    }

    /// Length of a code in bits.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Codes counted.
    pub fn codes(&self) -> u64 {
        self.codes
    }

    /// Share of set bits; fair coins have .5.
    pub fn fill(&self) -> f64 {
        self.set.sum / (self.codes.max(1) as f64 * self.bits as f64)
    }

    /// Least and largest share of codes in which one bit is set.
    pub fn frequency_range(&self) -> (f64, f64) {
        let share = |ones: Option<&u64>| ones.map_or(0.0, |&ones| ones as f64 / self.codes.max(1) as f64);
        (share(self.ones.iter().min()), share(self.ones.iter().max()))
    }

    /// Standard deviation of the frequencies of the bits, and that of fair coins.
    pub fn frequency_spread(&self) -> (f64, f64) {
        let codes = self.codes.max(1) as f64;
        let square = |&ones: &u64| (ones as f64 / codes - 0.5).powi(2);
        let spread = (self.ones.iter().map(square).sum::<f64>() / self.bits as f64).sqrt();
        (spread, 0.5 / codes.sqrt())
    }

    /// Mean number of set bits.
    pub fn set_mean(&self) -> f64 {
        self.set.sum / self.codes.max(1) as f64
    }

    /// Least and largest number of set bits.
    pub fn set_range(&self) -> (u32, u32) {
        (self.set.least.unwrap_or(0), self.set.most)
    }

    /// Standard deviation of the number of set bits, and that of fair coins.
    pub fn set_spread(&self) -> (f64, f64) {
        let variance = self.set.squares / self.codes.max(1) as f64 - self.set_mean().powi(2);
        (variance.max(0.0).sqrt(), (self.bits as f64).sqrt() / 2.0)
    }

    /// Codes that stand there more than once.
    pub fn equal(&self) -> u64 {
        self.seen.values().filter(|&&count| count > 1).map(|&count| u64::from(count)).sum()
    }

    /// Dimensions that the codes span over GF(2): as many as they have bits, or where there are fewer codes, as many as
    /// those.
    pub fn dimensions(&self) -> usize {
        self.span.dimensions()
    }

    /// Dimensions that codes of this length lack; nothing if there are too few codes to tell.
    pub fn dimensions_missing(&self) -> Option<usize> {
        self.span.is_known().then(|| self.bits - self.span.dimensions())
    }

    /// Counts of codes by number of set bits, in classes about the half.
    pub fn histogram(&self) -> &[u64] {
        &self.histogram
    }

    /// Numbers of set bits in a class, a quarter of a standard deviation. It is even: where every filter bit goes into
    /// an even number of code bits, the number of set bits is even, and classes of odd width would be a comb.
    pub fn class_width(&self) -> usize {
        (2 * ((self.bits as f64).sqrt() / 16.0).round() as usize).max(2)
    }
}

/// Statistics of files of codes.
#[derive(Default)]
pub struct Statistics {
    /// Records with codes.
    pub encoded: u64,
    /// Records without: minors.
    pub without_codes: u64,
    /// In the order of the profile.
    pub passes: Vec<PassStatistics>,
    blocks: HashMap<AddressToken, u32>,
}

impl Statistics {
    /// For passes with so many bits a code.
    pub fn new(code_bits: impl IntoIterator<Item = usize>) -> Self {
        Self { passes: code_bits.into_iter().map(PassStatistics::new).collect(), ..Self::default() }
    }

    /// Counts a record: `passes[p]` are its codes of pass `p`; no passes for a minor.
    pub fn count(&mut self, passes: &[Vec<Code>], address: Option<AddressToken>) {
        if passes.is_empty() {
            self.without_codes += 1;
            return;
        }
        self.encoded += 1;
        if let Some(address) = address {
            *self.blocks.entry(address).or_default() += 1;
        }
        for (statistics, codes) in self.passes.iter_mut().zip(passes) {
            codes.iter().for_each(|code| statistics.count(code));
        }
    }

    /// Different addresses, and the most people with codes at one.
    pub fn addresses(&self) -> (usize, u32) {
        (self.blocks.len(), self.blocks.values().copied().max().unwrap_or(0))
    }

    /// People at an address that is the only one of its size: known by the size alone.
    pub fn at_unique_sizes(&self) -> u32 {
        let mut sizes: HashMap<u32, u32> = HashMap::new();
        self.blocks.values().for_each(|&size| *sizes.entry(size).or_default() += 1);
        sizes.into_iter().filter(|&(_, count)| count == 1).map(|(size, _)| size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::noise;
    use super::*;

    #[test]
    fn fair_coins_have_the_spread_of_fair_coins() {
        let mut statistics = PassStatistics::new(1024);
        noise(400, 1024, 1).iter().for_each(|code| statistics.count(code));
        let near = |(seen, fair): (f64, f64)| (seen / fair - 1.0).abs() < 0.15;
        assert!((statistics.fill() - 0.5).abs() < 0.005);
        assert!(near(statistics.frequency_spread()), "{:?}", statistics.frequency_spread());
        assert!(near(statistics.set_spread()), "{:?}", statistics.set_spread());
        assert_eq!((statistics.equal(), statistics.codes()), (0, 400));
        assert_eq!(statistics.histogram().iter().sum::<u64>(), 400);
        assert!(statistics.histogram()[CLASSES / 2] > 20);
    }

    #[test]
    fn a_bit_that_is_always_set_and_equal_codes_show() {
        let mut statistics = PassStatistics::new(128);
        let one = Code::from(vec![1 << 63, 0]);
        [&one, &one, &Code::from(vec![1 << 63, 1])].iter().for_each(|code| statistics.count(code));
        assert_eq!(statistics.frequency_range(), (0.0, 1.0));
        assert_eq!((statistics.equal(), statistics.set_range()), (2, (1, 2)));
    }

    #[test]
    fn an_address_of_a_size_of_its_own_is_counted() {
        let mut statistics = Statistics::new([64]);
        let record = vec![vec![Code::from(vec![5])]];
        for address in [1, 2, 3, 3, 3] {
            statistics.count(&record, Some(AddressToken([address; 16])));
        }
        statistics.count(&[], Some(AddressToken([4; 16])));
        assert_eq!(statistics.addresses(), (3, 3));
        assert_eq!(statistics.at_unique_sizes(), 3);
        assert_eq!((statistics.encoded, statistics.without_codes), (5, 1));
    }
}
