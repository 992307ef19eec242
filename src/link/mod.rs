//! Codes to people: who is meant by a question, and what household that is.
//!
//! A custodian's load becomes a [`Register`] through a [`RegisterBuilder`]; the registers of one epoch are joined
//! once into [`Registers`]; [`Registers::find`] then answers a [`HouseholdQuestion`] with a [`Finding`]. The rule
//! and its thresholds come from the profile, its scale is [`Z`]. The room is pure: no HTTP, no SQL, no law, no
//! file, no clock. What a finding may become outside is `regulate`'s business.
//!
//! [`join`] compares plain CLKs with each other, for everybody who links with those.
//!
//! The one place with `unsafe` is `popcount`, in `x86_64` and `neon`; every kernel equals the portable one bit for bit.

mod alike;
mod care;
mod chance;
mod decide;
mod desk;
mod household;
pub mod join;
pub mod popcount;
mod quality;
mod register;
mod score;
mod search;
mod shape;
#[cfg(test)]
mod testing;
mod thresholds;

use std::fmt;

pub use alike::Alike;
pub use decide::Standing;
pub use household::{Finding, Groups, Registers};
pub use quality::{Estimate, PassQuality, Quality};
pub use register::{Register, RegisterBuilder};
pub use score::Z;

use crate::code::{AddressToken, Codes};
use crate::profile::Profile;
use shape::Shape;

/// Most tenants of one contract in a question: each more is one more scan, and one more chance to fish.
pub const MAX_TENANTS: usize = 8;

/// Which custodian's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The population register: everybody with a household.
    Population,
    /// The care network's list: members of the OGGZ target group, without households.
    Care,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Population => "population",
            Self::Care => "care",
        })
    }
}

/// Whose codes an error is about, counted from 1 in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A record of a load.
    Record(usize),
    /// A tenant of a question.
    Tenant(usize),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(number) => write!(f, "record {number}"),
            Self::Tenant(number) => write!(f, "tenant {number}"),
        }
    }
}

/// Why a record or a question cannot be taken. One variant per thing a caller can do about it; positions only,
/// never contents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Codes of another profile.
    #[error("{whose} has {got} {what} where the profile has {want}; encode it again with this profile")]
    Shape { whose: Whose, what: &'static str, want: usize, got: usize },
    /// A code that no salt makes: it would agree too well or too badly with everybody.
    #[error("{whose}, pass {pass}, variant {variant}: the code's weight is far from one half; encode it again")]
    Weight { whose: Whose, pass: usize, variant: usize },
    /// The same record reference twice in one load.
    #[error("record {record} repeats the reference of an earlier record; send each record once")]
    Duplicate { record: usize },
    /// A population record without a household, which could never answer anything.
    #[error("record {record} of the population has no household; every resident needs one")]
    NoHousehold { record: usize },
    /// A care record with a household, which the linkage unit has no right to.
    #[error("record {record} of the care list names a household; leave households to the population's load")]
    UnwantedHousehold { record: usize },
    /// A group that is the other custodian's to tell.
    #[error("record {record} of the population carries the OGGZ group; only the care list tells who is in it")]
    UnwantedGroup { record: usize },
    /// No tenant, or more than a contract has.
    #[error("the question has {got} tenants; ask with 1 to {MAX_TENANTS}")]
    Tenants { got: usize },
}

impl LinkError {
    /// Stable code for clients, metrics and the access log; never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shape { .. } => "code_shape",
            Self::Weight { .. } => "code_weight",
            Self::Duplicate { .. } => "record_duplicate",
            Self::NoHousehold { .. } => "household_missing",
            Self::UnwantedHousehold { .. } => "household_unwanted",
            Self::UnwantedGroup { .. } => "group_unwanted",
            Self::Tenants { .. } => "tenant_count",
        }
    }
}

/// The tenants of one contract and their address, checked against a profile.
///
/// `Debug` shows no bits.
#[derive(Clone, Debug, PartialEq)]
pub struct HouseholdQuestion {
    address: Option<AddressToken>,
    tenants: Vec<Codes>,
    shape: Shape,
}

impl HouseholdQuestion {
    /// Without an address, tenants are only looked for everywhere.
    ///
    /// # Errors
    /// [`LinkError::Tenants`] for none or more than [`MAX_TENANTS`], [`LinkError::Shape`] and
    /// [`LinkError::Weight`] for codes that this profile does not make.
    pub fn new(profile: &Profile, address: Option<AddressToken>, tenants: Vec<Codes>) -> Result<Self, LinkError> {
        if !(1..=MAX_TENANTS).contains(&tenants.len()) {
            return Err(LinkError::Tenants { got: tenants.len() });
        }
        let shape = Shape::of(profile);
        for (position, codes) in tenants.iter().enumerate() {
            shape.check(codes, Whose::Tenant(position + 1))?;
        }
        Ok(Self { address, tenants, shape })
    }

    /// The address that the contract is about.
    pub fn address(&self) -> Option<AddressToken> {
        self.address
    }

    /// The tenants' codes, in the order of the question.
    pub fn tenants(&self) -> &[Codes] {
        &self.tenants
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Draw, profile};
    use super::*;
    use crate::code::Code;

    fn ask(tenants: Vec<Codes>) -> Result<HouseholdQuestion, LinkError> {
        HouseholdQuestion::new(&profile(), None, tenants)
    }

    #[test]
    fn a_question_has_one_to_eight_tenants() {
        let mut draw = Draw::new(1);
        for count in 0..=9 {
            let tenants = (0..count).map(|_| draw.codes()).collect();
            let want = if (1..=8).contains(&count) { None } else { Some(LinkError::Tenants { got: count }) };
            assert_eq!(ask(tenants).err(), want, "{count}");
        }
    }

    #[test]
    fn codes_of_another_shape_are_refused_with_the_tenant() {
        let mut draw = Draw::new(2);
        let good = draw.codes();
        let mut fewer_passes = good.clone();
        fewer_passes.passes.pop();
        let mut more_variants = good.clone();
        more_variants.passes[1].push(draw.code());
        let mut shorter = good.clone();
        shorter.passes[0][1] = Code::from(vec![0x5555_5555_5555_5555; 31]);
        for (bad, what, want, got) in [
            (Codes::default(), "passes", 2, 0),
            (fewer_passes, "passes", 2, 1),
            (more_variants, "variants of a pass", 2, 3),
            (shorter, "bits of a code", 2048, 1984),
        ] {
            let error = ask(vec![good.clone(), bad]).unwrap_err();
            assert_eq!(error, LinkError::Shape { whose: Whose::Tenant(2), what, want, got });
        }
    }

    #[test]
    fn codes_of_no_natural_weight_are_refused() {
        let mut draw = Draw::new(3);
        let light = |ones: usize| {
            let mut words = vec![0_u64; 32];
            (0..ones).for_each(|bit| words[bit / 64] |= 1 << (bit % 64));
            Code::from(words)
        };
        // 2,048 bits: z of the weight is 14 at 1024 +- 316.78 set bits.
        for (ones, refused) in [(0, true), (707, true), (708, false), (1340, false), (1341, true), (2048, true)] {
            let mut codes = draw.codes();
            codes.passes[1][0] = light(ones);
            let want = refused.then_some(LinkError::Weight { whose: Whose::Tenant(1), pass: 1, variant: 0 });
            assert_eq!(ask(vec![codes]).err(), want, "{ones}");
        }
    }
}
