//! A profile: how a person becomes codes (the custodian's half) and how much agreement links two of them (the
//! linkage unit's half). It is data, `config/profiles/*.toml`; this file gives it types and checks it.
//!
//! It is a shared word like those of `code`: `encode` reads the passes, `link` reads the widths and the rule.

use std::collections::{BTreeMap, BTreeSet};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// Version of how names, dates and addresses are normalised (`docs/normalisation.md`). It is hashed into every schema
/// hash: codes of two versions are refused beside each other, instead of silently matching less.
pub const NORMALISATION: u32 = 5;

/// The profile that ships inside the program.
pub const BUILT_IN: &str = include_str!("../config/profiles/nl-household-1.toml");

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The text is no profile. The source names line and column.
    #[error("the profile cannot be read")]
    Syntax(#[from] toml::de::Error),
    /// A value makes no sense; the text names the key.
    #[error("the profile's {0}")]
    Value(String),
}

/// Among whom two codes of a pass can agree: what is part of the key besides the epoch's salt. To all others a code is
/// noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Anybody.
    Everywhere,
    /// People with the same postcode.
    Postcode,
    /// People with the same beginning of the street's name and house number, whatever the postcode and the town.
    Street,
    /// People with the same postcode and house number. They are found by their address token; codes of the other
    /// scopes are compared with the whole register.
    Address,
}

/// How a pass takes several surnames of one person: own, partner's, parts of a double name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surnames {
    /// A code for each, [`Profile::variants`] of them.
    Apart,
    /// All in one code: whoever shares one of them still agrees.
    Together,
}

/// Another way to read a tenant's row, of which a question carries a code besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// Given name and surname in each other's place.
    Swapped,
}

/// What stands in a filter for a value that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Bits random per record: missing never agrees with missing, and the fill stays the same.
    Random,
    /// In the population's records as [`Missing::Random`], elsewhere nothing. A tenant or care member without a
    /// birth date then still resembles the resident that it is, and two records that both lack one do not
    /// resemble each other for that.
    RandomInPopulation,
}

/// A quasi-identifier that tokens are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Padded 2-grams of the surname without its infix.
    Surname,
    /// First letter of the first given name.
    Initial,
    /// Padded 2-grams of the first given name, where a file has it in full.
    GivenName,
    /// Year, month, day and their pairs; day and month also without their order.
    BirthDate,
    /// Pairs of neighbouring digits of the date as `yyyymmdd`, with their places: a wrong digit costs one or two of seven.
    BirthDigits,
    /// `m` or `v`.
    Sex,
}

/// A part of the person that a pass can be keyed with besides its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    BirthDay,
    BirthMonth,
    BirthYear,
    Sex,
    Initial,
}

/// One code of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    /// For example `names`; also in the key derivation.
    pub name: String,
    pub scope: Scope,
    /// Parts of the person that are in the key as well, for the scopes street and postcode: a code is noise to whoever
    /// differs in one, so that it can be lenient without showing who lives together. Random where a part is not known; a sex
    /// that is not is one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed_with: Option<Vec<Part>>,
    /// Bits of the Bloom filter before diffusion, a power of two from 64 on.
    pub filter_bits: usize,
    /// Bits of the finished code, a multiple of 64.
    pub code_bits: usize,
    /// Filter bits whose parity is one code bit.
    pub diffusion: usize,
    pub missing: Missing,
    pub surnames: Surnames,
    /// Of which a question carries a code besides, in this pass.
    #[serde(default)]
    pub also_asked: Vec<Reading>,
    /// Bloom-filter insertions per field, shared among its tokens, the remainder to the first.
    pub insertions: BTreeMap<Field, u32>,
}

impl Pass {
    /// Parts of the person in the key, if it has some.
    pub fn parts(&self) -> &[Part] {
        self.keyed_with.as_deref().unwrap_or_default()
    }

    /// Codes of this pass in a record of a register.
    pub fn held(&self, profile: &Profile) -> usize {
        match self.surnames {
            Surnames::Apart => profile.variants,
            Surnames::Together => 1,
        }
    }

    /// Codes of this pass for a tenant in a question.
    pub fn asked(&self, profile: &Profile) -> usize {
        self.held(profile) + self.also_asked.len()
    }
}

/// Errors that are expected per thousand people who are asked for and are not in the register. Thresholds follow from
/// them, from the codes and from the register.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerThousand {
    /// Linked by chance to somebody at the address.
    pub links_at_address: f64,
    /// In doubt by chance about somebody there.
    pub unsure_at_address: f64,
    /// Linked by chance to somebody of the whole register.
    pub links_elsewhere: f64,
    /// In doubt by chance about somebody of the whole register.
    pub unsure_elsewhere: f64,
    /// Linked elsewhere to somebody who does resemble them.
    pub namesakes: f64,
    /// Most that a threshold is raised to for their sake, in z.
    pub namesakes_until: f64,
}

/// How much agreement links, and what is a household.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub max_household: usize,
    pub max_address_block: usize,
    pub per_thousand: PerThousand,
}

/// A checked profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub id: String,
    pub variants: usize,
    #[serde(rename = "pass")]
    pub passes: Vec<Pass>,
    pub rule: Rule,
}

impl Profile {
    /// The profile that ships with the program.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn built_in() -> Self {
        Self::from_toml(BUILT_IN).expect("the shipped profile is valid")
    }

    /// Reads and checks a profile.
    ///
    /// # Errors
    /// [`ProfileError`], naming the line or the key.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(text)?;
        profile.check()?;
        Ok(profile)
    }

    /// SHA-256 over everything that changes codes, hexadecimal. The rule is not part of it.
    ///
    /// # Panics
    /// Never: plain data always have a JSON form.
    pub fn schema_hash(&self) -> String {
        let encoding = (NORMALISATION, &self.id, self.variants, &self.passes);
        let text = serde_json::to_vec(&encoding).expect("plain data have a JSON form");
        hex::encode(digest(&SHA256, &text))
    }

    /// Position of the pass with this scope. A checked profile has one that is compared everywhere and one at the
    /// address.
    pub fn pass_with(&self, scope: Scope) -> Option<usize> {
        self.passes.iter().position(|pass| pass.scope == scope)
    }

    fn check(&self) -> Result<(), ProfileError> {
        let fail = |what: String| Err(ProfileError::Value(what));
        if !(1..=8).contains(&self.variants) {
            return fail("variants must be 1 to 8".into());
        }
        for scope in [Scope::Everywhere, Scope::Address] {
            let passes = self.passes.iter().filter(|pass| pass.scope == scope).count();
            if passes != 1 {
                return fail(format!("passes must have one of scope {scope:?}, and no two"));
            }
        }
        if self.passes.len() > 64
            || self.passes.iter().map(|pass| &pass.name).collect::<BTreeSet<_>>().len() < self.passes.len()
        {
            return fail("passes must be at most 64, each with a name of its own".into());
        }
        for pass in &self.passes {
            let name = &pass.name;
            if !(64..=65_536).contains(&pass.filter_bits) || !pass.filter_bits.is_power_of_two() {
                return fail(format!("pass {name}: filter_bits must be a power of two from 64 to 65536"));
            }
            if pass.code_bits == 0 || pass.code_bits % 64 != 0 || pass.code_bits > 1 << 16 {
                return fail(format!("pass {name}: code_bits must be a multiple of 64 up to 65536"));
            }
            // Longer codes lie in the image of the diffusion, from which whoever has enough of them computes the map.
            if pass.code_bits > pass.filter_bits {
                return fail(format!("pass {name}: code_bits must be at most filter_bits"));
            }
            if pass.diffusion == 0 || pass.diffusion > 32 {
                return fail(format!("pass {name}: diffusion must be 1 to 32"));
            }
            if let Some(parts) = &pass.keyed_with {
                if parts.is_empty() || parts.iter().collect::<BTreeSet<_>>().len() < parts.len() {
                    return fail(format!("pass {name}: keyed_with must have a part or more, none of them twice"));
                }
                if !matches!(pass.scope, Scope::Street | Scope::Postcode) {
                    return fail(format!("pass {name}: keyed_with is for the scopes street and postcode"));
                }
            }
            if pass.also_asked.len() > 4
                || pass.also_asked.iter().collect::<BTreeSet<_>>().len() < pass.also_asked.len()
            {
                return fail(format!("pass {name}: also_asked has at most 4 readings, none of them twice"));
            }
            if pass.insertions.values().any(|&n| n == 0 || n > 100_000) || pass.insertions.is_empty() {
                return fail(format!("pass {name}: insertions must be 1 to 100000 a field"));
            }
        }
        let rule = &self.rule;
        let of = &rule.per_thousand;
        let rates = [of.links_at_address, of.unsure_at_address, of.links_elsewhere, of.unsure_elsewhere, of.namesakes];
        if rates.iter().any(|rate| !(*rate > 0.0 && *rate < 1000.0)) {
            return fail("rule.per_thousand must have rates above 0 and below 1000".into());
        }
        if of.links_at_address > of.unsure_at_address || of.links_elsewhere > of.unsure_elsewhere {
            return fail("rule.per_thousand must not allow more links than doubts".into());
        }
        if !(of.namesakes_until > 0.0 && of.namesakes_until.is_finite()) {
            return fail("rule.per_thousand.namesakes_until must be above 0".into());
        }
        if rule.max_household == 0 || rule.max_address_block == 0 {
            return fail("max_household and max_address_block must be at least 1".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_not_part_of_the_schema_hash() {
        let profile = Profile::built_in();
        let mut other = profile.clone();
        other.rule.per_thousand.namesakes = 4.5;
        assert_eq!(other.schema_hash(), profile.schema_hash());
        other.passes[0].diffusion = 5;
        assert_ne!(other.schema_hash(), profile.schema_hash());
    }

    #[test]
    fn parts_in_the_key_are_part_of_the_schema_hash_and_a_profile_without_any_keeps_its_own() {
        let mut profile = Profile::built_in();
        let hash = |profile: &Profile| profile.schema_hash();
        let at = profile.pass_with(Scope::Street).unwrap();
        let mut hashes = BTreeSet::new();
        for parts in [None, Some(vec![Part::Sex]), Some(vec![Part::BirthDay]), Some(vec![Part::BirthDay, Part::Sex])] {
            profile.passes[at].keyed_with = parts;
            hashes.insert(hash(&profile));
        }
        assert_eq!(hashes.len(), 4);
        profile.passes[at].keyed_with = None;
        let text = serde_json::to_string(&profile.passes[at]).unwrap();
        assert!(!text.contains("keyed_with"), "{text}");
    }

    #[test]
    fn profiles_that_were_measured_can_be_measured_again() {
        for text in [include_str!("../tests/lab/p3.toml"), include_str!("../tests/lab/unkeyed.toml")] {
            let profile = Profile::from_toml(text).unwrap();
            assert!(profile.passes.iter().all(|pass| pass.parts().is_empty()));
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_key() {
        for (from, to, key) in [
            ("filter_bits = 1024", "filter_bits = 1000", "filter_bits"),
            ("code_bits = 256", "code_bits = 250", "code_bits"),
            ("code_bits = 256", "code_bits = 320", "at most filter_bits"),
            ("links_at_address = 0.3", "links_at_address = nan", "rates"),
            ("links_elsewhere = 0.1", "links_elsewhere = 0.0", "rates"),
            ("unsure_at_address = 7.0", "unsure_at_address = 0.2", "doubts"),
            ("namesakes_until = 9.0", "namesakes_until = inf", "namesakes_until"),
            ("name = \"street-year-sex\"", "name = \"street-day-sex\"", "name"),
            ("diffusion = 7", "diffusion = 0", "diffusion"),
            ("scope = \"address\"", "scope = \"everywhere\"", "scope"),
        ] {
            let text = BUILT_IN.replace(from, to);
            assert_ne!(text, BUILT_IN, "{from}");
            let error = Profile::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
        assert!(matches!(Profile::from_toml("surprise = 1"), Err(ProfileError::Syntax(_))));
    }
}
