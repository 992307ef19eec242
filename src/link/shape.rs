//! What codes of a profile look like: how many, how long, how heavy, and how they lie in memory for the kernels.

use super::popcount::{Place, Rows};
use super::score::Z;
use super::{LinkError, Whose};
use crate::code::{Code, Codes};
use crate::profile::{Profile, Scope};

/// Most standard deviations that a code's weight may be from one half. The lightest code that the shipped profile makes is
/// of somebody without names: with date, sex and address alone a `street-day-year` code is about 2.7 below, give or take 1;
/// home codes of other profiles are up to 8. A code that resembles everybody is outside: all bits set is 16 of 256 bits, 23
/// of 512.
const MAX_WEIGHT_Z: f64 = 14.0;

/// The part of a profile that says what codes look like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    /// Bits per pass.
    bits: Vec<usize>,
    /// Filter bits per pass whose parity is one bit of a code.
    diffusion: Vec<usize>,
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
    /// Per pass and variant where its code lies in a person's row.
    places: Vec<Vec<Place>>,
    /// Words of either part of a row.
    first_words: usize,
    second_words: usize,
}

/// The codes of people, as [`Shape`] lays them out.
#[derive(Clone, Debug, Default)]
pub(super) struct Matrix {
    first: Vec<u64>,
    second: Vec<u64>,
}

/// Kernels take so many words of a row at once.
const LINE: usize = 8;

impl Shape {
    pub fn of(profile: &Profile) -> Self {
        let pass = |scope| profile.pass_with(scope);
        let of = |scope| (0..profile.passes.len()).filter(move |pass| profile.passes[*pass].scope == scope);
        let scanned = of(Scope::Street).chain(of(Scope::Postcode)).chain(of(Scope::Everywhere));
        let scanned: Vec<usize> = scanned.collect();
        let (mut first_words, mut second_words) = (0, 0);
        let mut place = |pass: usize| {
            let words = whole_words(profile.passes[pass].code_bits);
            let read = if scanned.contains(&pass) { first_of(words) } else { 0 };
            let place = Place { first: first_words, read, second: second_words, rest: words - read };
            (first_words, second_words) = (first_words + place.read, second_words + place.rest);
            place
        };
        let held = |pass: usize| profile.passes[pass].held(profile);
        let places = (0..profile.passes.len()).map(|pass| (0..held(pass)).map(|_| place(pass)).collect()).collect();
        Self {
            bits: profile.passes.iter().map(|pass| pass.code_bits).collect(),
            diffusion: profile.passes.iter().map(|pass| pass.diffusion).collect(),
            held: (0..profile.passes.len()).map(held).collect(),
            asked: profile.passes.iter().map(|pass| pass.asked(profile)).collect(),
            names: pass(Scope::Everywhere).expect("a checked profile has a pass for everywhere"),
            home: pass(Scope::Address).expect("a checked profile has a pass for the address"),
            scanned,
            places,
            first_words: first_words.next_multiple_of(LINE),
            second_words,
        }
    }

    /// Passes.
    pub fn passes(&self) -> usize {
        self.bits.len()
    }

    /// Pairs of codes of this pass that a tenant and a record have: the best one counts.
    pub fn pairs(&self, pass: usize) -> usize {
        self.asked[pass] * self.held[pass]
    }

    /// Pairs of codes of this pass that two tenants have.
    pub fn pairs_of_tenants(&self, pass: usize) -> usize {
        self.asked[pass] * self.asked[pass]
    }

    /// Bits of a code of this pass.
    pub fn bits(&self, pass: usize) -> usize {
        self.bits[pass]
    }

    /// Filter bits whose parity is one bit of a code of this pass.
    pub fn diffusion(&self, pass: usize) -> usize {
        self.diffusion[pass]
    }

    /// Per variant where the codes of this pass lie.
    pub fn places(&self, pass: usize) -> &[Place] {
        &self.places[pass]
    }

    /// Bits of a code of this pass that are read of everybody.
    pub fn first_bits(&self, pass: usize) -> usize {
        (self.places[pass][0].read * 64).min(self.bits[pass])
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
}

impl Matrix {
    /// One more person.
    pub fn push(&mut self, shape: &Shape, codes: &Codes) {
        let (first, second) = (self.first.len(), self.second.len());
        self.first.resize(first + shape.first_words, 0);
        self.second.resize(second + shape.second_words, 0);
        for (code, place) in codes.passes.iter().flatten().zip(shape.places.iter().flatten()) {
            let (read, rest) = code.words().split_at(place.read.min(code.words().len()));
            self.first[first + place.first..][..read.len()].copy_from_slice(read);
            self.second[second + place.second..][..rest.len()].copy_from_slice(rest);
        }
    }

    /// Room for so many more people.
    pub fn reserve(&mut self, shape: &Shape, people: usize) {
        self.first.reserve_exact(people * shape.first_words);
        self.second.reserve_exact(people * shape.second_words);
    }

    /// All rows.
    pub fn rows(&self, shape: &Shape) -> Rows<'_> {
        let (first_words, second_words) = (shape.first_words, shape.second_words);
        Rows { first: &self.first, first_words, second: &self.second, second_words }
    }

    /// Some rows, in this order.
    pub fn of(rows: Rows<'_>, some: &[usize]) -> Self {
        let one = |row: &usize| rows.range(*row..row + 1);
        let first = some.iter().flat_map(|row| one(row).first).copied().collect();
        Self { first, second: some.iter().flat_map(|row| one(row).second).copied().collect() }
    }

    /// Bytes in memory: what is reserved beyond is not touched.
    pub fn bytes(&self) -> usize {
        (self.first.len() + self.second.len()) * size_of::<u64>()
    }
}

/// The words of a code, and a zero where they are odd in number: kernels read two at a time.
pub(super) fn padded(code: &Code) -> Vec<u64> {
    let mut words = code.words().to_vec();
    words.resize(whole_words(code.bits()), 0);
    words
}

/// Of so many words those that are read of everybody: five of eight, two by two. One stranger in a thousand stays then;
/// of fewer words so many stay that looking at the rest of theirs takes longer than reading on.
fn first_of(words: usize) -> usize {
    (5 * words).div_ceil(8).next_multiple_of(2)
}

fn whole_words(bits: usize) -> usize {
    bits.div_ceil(64).next_multiple_of(2)
}

fn has_natural_weight(code: &Code) -> bool {
    let ones = code.ones();
    // Short codes reach 8 only when they are constant, and a constant code is never natural.
    let constant = ones == 0 || ones as usize == code.bits();
    !constant && Z::from_distance(ones, code.bits()).value().abs() <= MAX_WEIGHT_Z
}
