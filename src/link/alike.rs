//! Whether two tenants may be one person, spelled in two ways: as questions brought them, and no register is asked.

use super::chance::Chance;
use super::popcount::distance;
use super::score::Z;
use super::shape::Shape;
use crate::code::{Code, Codes};
use crate::profile::Profile;

/// Of two strangers at one address so many are alike: what they agree by chance follows from the profile's numbers of codes
/// (`link/chance.rs`), 5.4 for the shipped one, and two tenants of one address are hardly more alike than strangers. It lies
/// below what links, from 6.0 on: of one person with two fields wrong little is left (`tests/alike.rs`).
const STRANGERS: f64 = 0.04;

/// From which agreement of all codes together two tenants are alike.
#[derive(Clone, Copy, Debug)]
pub struct Alike(f64);

impl Alike {
    /// Of tenants whose codes were made with this profile.
    pub fn of(profile: &Profile) -> Self {
        Self::new(&Shape::of(profile))
    }

    #[cfg(test)]
    pub(super) const NEVER: Self = Self(f64::INFINITY);

    pub(super) fn new(shape: &Shape) -> Self {
        Self(Chance::of_tenants(shape).together(STRANGERS))
    }

    /// The work is the same for any codes of one shape.
    pub fn holds(self, one: &Codes, other: &Codes) -> bool {
        let best = one.passes.iter().zip(&other.passes).map(|(one, other)| best(one, other));
        Z::together(best).value() >= self.0
    }
}

/// The best agreement of any two codes.
fn best(one: &[Code], other: &[Code]) -> f64 {
    let pairs = one.iter().flat_map(|one| other.iter().map(move |other| agreement(one, other)));
    pairs.fold(0.0, f64::max)
}

fn agreement(one: &Code, other: &Code) -> f64 {
    Z::from_distance(distance(one.words(), [other.words(), &[]]), one.bits()).value()
}
