//! Synthetic codes and records for this room's tests: random codes at half weight, and copies at a chosen distance.

use std::sync::Arc;

use super::score::farthest;
use super::shape::Shape;
use super::thresholds::{Limits, Thresholds};
use super::{Finding, HouseholdQuestion, Register, RegisterBuilder, Registers, Source};
use crate::code::{AddressToken, Code, Codes, Group, HouseholdToken, Record, RecordRef};
use crate::profile::{Pass, Profile, Scope, Surnames};

/// A stream of codes that is the same for the same seed (splitmix64).
pub(super) struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    pub fn code(&mut self) -> Code {
        (0..32).map(|_| self.word()).collect::<Vec<_>>().into()
    }

    /// The shape of [`profile`].
    pub fn codes(&mut self) -> Codes {
        Codes { passes: (0..2).map(|_| (0..2).map(|_| self.code()).collect()).collect() }
    }

    /// An adult at no address, in no household.
    pub fn record(&mut self, id: u64) -> Record {
        let codes = self.codes();
        Record { id: RecordRef(token(id)), address: None, household: None, groups: vec![], codes }
    }

    pub fn child(&mut self, id: u64) -> Record {
        Record { groups: vec![Group::Minor], codes: Codes::default(), ..self.record(id) }
    }

    /// Other codes whose first variants lie at these distances from those of `like`; `None` is a stranger's.
    pub fn like(&mut self, like: &Codes, names: Option<u32>, home: Option<u32>) -> Codes {
        let mut codes = self.codes();
        for (pass, distance) in [names, home].into_iter().enumerate() {
            if let Some(distance) = distance {
                codes.passes[pass][0] = self.flip(&like.passes[pass][0], distance as usize);
            }
        }
        codes
    }

    /// A copy with this many bits flipped, at random places.
    pub fn flip(&mut self, code: &Code, count: usize) -> Code {
        let mut places: Vec<usize> = (0..code.bits()).collect();
        let mut words = code.words().to_vec();
        for done in 0..count {
            let other = done + self.below(places.len() - done);
            places.swap(done, other);
            words[places[done] / 64] ^= 1 << (places[done] % 64);
        }
        words.into()
    }
}

/// The largest distance that still has this z.
pub(super) fn reaching(z: f64) -> Option<u32> {
    farthest(z, 2048)
}

/// The smallest distance that no longer has this z.
pub(super) fn missing(z: f64) -> Option<u32> {
    farthest(z, 2048).map(|distance| distance + 1)
}

/// Two passes of two variants: one for everywhere, one for the address.
pub(super) fn profile() -> Profile {
    let mut profile = Profile::built_in();
    profile.passes.retain(|pass| [Scope::Everywhere, Scope::Address].contains(&pass.scope));
    for pass in &mut profile.passes {
        (pass.surnames, pass.code_bits) = (Surnames::Apart, 2048);
        pass.also_asked.clear();
    }
    profile
}

/// Thresholds that do not depend on the register, so that a test can say who is linked.
#[derive(Clone, Copy)]
pub(super) struct Fixed {
    pub here: Limits,
    pub names: Limits,
    pub street: Limits,
    /// Beyond what any two codes agree; a test that is about that lowers it.
    pub together: f64,
}

/// Two loads in the making, and the profile to build them with.
pub(super) struct City {
    pub profile: Profile,
    pub limits: Fixed,
    pub draw: Draw,
    pub population: Vec<Record>,
    pub care: Vec<Record>,
}

impl Fixed {
    fn of(self, shape: &Shape) -> Thresholds {
        let limits = |pass: &usize| (*pass, if *pass == shape.names { self.names } else { self.street });
        Thresholds::fixed(shape.scanned.iter().map(limits).collect(), self.together, self.here)
    }
}

impl City {
    pub fn new(seed: u64) -> Self {
        let limits = Fixed {
            here: Limits { link: 8.0, unsure: 5.0 },
            names: Limits { link: 6.0, unsure: 5.2 },
            street: Limits { link: 7.0, unsure: 5.0 },
            together: 90.0,
        };
        Self { profile: profile(), limits, draw: Draw::new(seed), population: vec![], care: vec![] }
    }

    /// Adds a pass that is keyed with the street, a code a record.
    pub fn compare_streets(&mut self) {
        let home = self.profile.passes[1].clone();
        let street = Pass { name: "street".into(), scope: Scope::Street, surnames: Surnames::Together, ..home };
        self.profile.passes.push(street);
    }

    /// A new resident with random codes. Address 0 is none.
    pub fn resident(&mut self, household: u64, home: u64, groups: &[Group]) -> Codes {
        let codes = self.draw.codes();
        self.register(household, home, groups, codes.clone());
        codes
    }

    /// A resident with these codes; without any, a child.
    pub fn register(&mut self, household: u64, home: u64, groups: &[Group], codes: Codes) {
        let id = RecordRef(token(next(&self.population)));
        let household = Some(HouseholdToken(token(household)));
        let address = (home > 0).then(|| address(home));
        self.population.push(Record { id, address, household, groups: groups.to_vec(), codes });
    }

    /// A member of the care list with these codes.
    pub fn member(&mut self, home: u64, codes: Codes) {
        let id = RecordRef(token(next(&self.care)));
        let address = (home > 0).then(|| address(home));
        self.care.push(Record { id, address, household: None, groups: vec![Group::Oggz], codes });
    }

    pub fn registers(&self) -> Registers {
        let (population, care) = self.loads();
        Registers::join(population, care)
    }

    /// The population and, if anybody is on it, the care list.
    pub fn loads(&self) -> (Arc<Register>, Option<Arc<Register>>) {
        let load = |source, records: &[Record]| {
            let mut builder = RegisterBuilder::new(&self.profile, source);
            records.iter().for_each(|record| builder.push(record.clone()).expect("synthetic records are sound"));
            Arc::new(builder.finish_with(|register| self.limits.of(&register.shape)))
        };
        let care = (!self.care.is_empty()).then(|| load(Source::Care, &self.care));
        (load(Source::Population, &self.population), care)
    }

    pub fn ask(&self, home: u64, tenants: &[&Codes]) -> Finding {
        self.registers().find(&self.question(home, tenants))
    }

    pub fn question(&self, home: u64, tenants: &[&Codes]) -> HouseholdQuestion {
        let tenants = tenants.iter().map(|codes| (*codes).clone()).collect();
        HouseholdQuestion::new(&self.profile, (home > 0).then(|| address(home)), tenants).expect("a sound question")
    }
}

/// A number that no record has, were some removed.
fn next(records: &[Record]) -> u64 {
    let number = |record: &Record| u64::from_be_bytes(record.id.0[..8].try_into().expect("eight bytes"));
    records.iter().map(number).max().map_or(0, |last| last + 1)
}

pub(super) fn token(number: u64) -> [u8; 16] {
    let mut token = [0; 16];
    token[..8].copy_from_slice(&number.to_be_bytes());
    token
}

pub(super) fn address(number: u64) -> AddressToken {
    AddressToken(token(number))
}

pub(super) fn at(number: u64, record: Record) -> Record {
    Record { address: Some(address(number)), ..record }
}

pub(super) fn in_household(number: u64, record: Record) -> Record {
    Record { household: Some(HouseholdToken(token(number))), ..record }
}
