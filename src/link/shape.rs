//! What codes of a profile look like: how many, how long, how heavy, and how they lie in memory for the kernels.

use super::popcount::Line;
use super::score::Z;
use super::{LinkError, Whose};
use crate::code::{Code, Codes};
use crate::profile::{Profile, Scope};

/// Most standard deviations that a code's weight may be from one half. The lightest code that the shipped profile
/// makes is of somebody of whom only surname and address are known: its `home` code is about 7.9 below, give or take
/// 1. A code that resembles everybody is far outside: all bits set is 45.
const MAX_WEIGHT_Z: f64 = 14.0;

/// The part of a profile that says what codes look like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    /// Bits per pass.
    bits: Vec<usize>,
    /// Codes of a record, per pass.
    held: Vec<usize>,
    /// Codes of a tenant, per pass.
    asked: Vec<usize>,
    /// Position of the pass that is compared everywhere.
    pub names: usize,
    /// Position of the pass that is compared at one address.
    pub home: usize,
    /// Positions of the passes that are compared with the whole register, in the order in which they may link: those that
    /// agree nearby only, the narrower first, and then the one for everywhere.
    pub scanned: Vec<usize>,
}

impl Shape {
    pub fn of(profile: &Profile) -> Self {
        let pass = |scope| profile.pass_with(scope);
        let of = |scope| (0..profile.passes.len()).filter(move |pass| profile.passes[*pass].scope == scope);
        let scanned = of(Scope::Street).chain(of(Scope::Postcode)).chain(of(Scope::Everywhere));
        Self {
            bits: profile.passes.iter().map(|pass| pass.code_bits).collect(),
            held: profile.passes.iter().map(|pass| pass.held(profile)).collect(),
            asked: profile.passes.iter().map(|pass| pass.asked(profile)).collect(),
            names: pass(Scope::Everywhere).expect("a checked profile has a pass for everywhere"),
            home: pass(Scope::Address).expect("a checked profile has a pass for the address"),
            scanned: scanned.collect(),
        }
    }

    /// Passes.
    pub fn passes(&self) -> usize {
        self.bits.len()
    }

    /// Codes of a record in this pass.
    pub fn held(&self, pass: usize) -> usize {
        self.held[pass]
    }

    /// Pairs of codes of this pass that a tenant and a record have: the best one counts.
    pub fn pairs(&self, pass: usize) -> usize {
        self.asked[pass] * self.held[pass]
    }

    /// Bits of a code of this pass.
    pub fn bits(&self, pass: usize) -> usize {
        self.bits[pass]
    }

    /// Lines of a packed code of this pass.
    pub fn lines(&self, pass: usize) -> usize {
        self.bits[pass].div_ceil(Line::BITS)
    }

    /// # Errors
    /// [`LinkError::Shape`] and [`LinkError::Weight`].
    pub fn check(&self, codes: &Codes, whose: Whose) -> Result<(), LinkError> {
        let same = |what, want, got| {
            if want == got { Ok(()) } else { Err(LinkError::Shape { whose, what, want, got }) }
        };
        same("passes", self.bits.len(), codes.passes.len())?;
        let want = match whose {
            Whose::Record(_) => &self.held,
            Whose::Tenant(_) => &self.asked,
        };
        for (pass, variants) in codes.passes.iter().enumerate() {
            same("variants of a pass", want[pass], variants.len())?;
            for (variant, code) in variants.iter().enumerate() {
                same("bits of a code", self.bits[pass], code.bits())?;
                if !has_natural_weight(code) {
                    return Err(LinkError::Weight { whose, pass, variant });
                }
            }
        }
        Ok(())
    }

    /// The variants of one pass one after the other, each filled up with zeros to whole lines.
    pub fn pack<'a>(&self, codes: &'a Codes, pass: usize) -> impl Iterator<Item = Line> + 'a {
        codes.passes[pass].iter().flat_map(|code| code.words().chunks(8).map(Line::from_words))
    }
}

fn has_natural_weight(code: &Code) -> bool {
    let ones = code.ones();
    // Short codes reach 8 only when they are constant, and a constant code is never natural.
    let constant = ones == 0 || ones as usize == code.bits();
    !constant && Z::from_distance(ones, code.bits()).value().abs() <= MAX_WEIGHT_Z
}
