//! Plaintext to codes, at the data custodian. This room and `cli` are the only ones that ever see a name.
//!
//! A person becomes one code per pass of the profile and name variant: fields are normalised (`normalize`), cut
//! into tokens (`token`), inserted into a keyed Bloom filter (`filter`) and diffused (`diffuse`); all keys come
//! from the epoch's salt (`keys`). What is missing is filled with bits that are random per record and always the
//! same for that record: missing never agrees with missing, and repeated loads cannot be averaged.
//!
//! `read` reads the custodians' files, `file` writes and reads files of codes. `clkhash` is another encoder: the plain
//! CLKs of clkhash, bit for bit, for who links elsewhere.

mod birth;
pub mod clkhash;
mod diffuse;
pub mod file;
mod filter;
mod keys;
mod letters;
mod normalize;
mod person;
pub mod read;
mod token;

use std::fmt;

use ring::hmac::Key;
use time::Date;

pub use birth::{BadDate, BirthDate};
pub use normalize::{initial, surname_parts};
pub use person::{Address, Ages, Arrears, BadAddress, CareMember, Person, Resident, Sex, Tenant};
pub use token::{surnames, token_kinds};

use crate::code::{AddressToken, Code, CodeHeader, Codes, Group, HouseholdToken, Record, RecordRef};
use crate::ids::EpochId;
use crate::profile::{Field, Missing, Pass, Profile, Scope, Surnames};
use diffuse::Diffusion;
use file::Line;
use filter::Filter;
use keys::{Keys, PassKeys, Root, derived, field_name, framed, shuffle, stream, token};

/// Whose file a record is of. Records of different sources never share random bits, even with equal ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Population,
    Care,
    Tenants,
}

impl Source {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Population => b"population",
            Self::Care => b"care",
            Self::Tenants => b"tenants",
        }
    }
}

/// Makes the codes of one epoch. It holds every key of the epoch: it never leaves the custodian's machine, and its
/// `Debug` shows only the epoch.
pub struct Encoder {
    header: CodeHeader,
    keys: Keys,
    passes: Vec<PassEncoder>,
    filter_bits: usize,
    variants: usize,
}

struct PassEncoder {
    pass: Pass,
    keys: PassKeys,
    diffusion: Diffusion,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({})", self.header.epoch)
    }
}

impl Encoder {
    /// An encoder for a checked profile. The caller checks that the salt has at least 32 bytes.
    pub fn new(profile: &Profile, salt: &[u8], epoch: &EpochId) -> Self {
        let root = Root::new(profile, salt, epoch);
        let keys = root.keys();
        let passes = profile.passes.iter().map(|pass| {
            let keys = root.pass(pass);
            let diffusion = Diffusion::new(&keys.diffusion, profile.filter_bits, pass.code_bits, pass.diffusion);
            PassEncoder { pass: pass.clone(), keys, diffusion }
        });
        Self {
            passes: passes.collect(),
            header: CodeHeader {
                epoch: epoch.clone(),
                profile: profile.id.clone(),
                schema_hash: profile.schema_hash(),
                key_check: keys.key_check.clone(),
            },
            keys,
            filter_bits: profile.filter_bits,
            variants: profile.variants,
        }
    }

    /// What goes with everything that this encoder makes.
    pub fn header(&self) -> CodeHeader {
        self.header.clone()
    }

    /// A resident as the linkage unit sees it. Whoever is certainly a minor has no codes. Unknown parts of a birth
    /// date put a person in every group that is possible: a wrong "no" is the costly error.
    pub fn resident(&self, resident: &Resident, reference: Date, ages: &Ages) -> Record {
        let person = &resident.person;
        let id = self.record_ref(Source::Population, &resident.id);
        let adult = ages.can_be_adult(person.birth, reference);
        Record {
            id,
            address: person.address.as_ref().map(|address| self.address(address)),
            household: Some(self.household(&resident.household)),
            groups: ages.groups(person.birth, reference),
            codes: if adult { self.shuffled(Source::Population, &resident.id, person) } else { Codes::default() },
        }
    }

    /// A member of the public mental-health target group as the linkage unit sees it.
    pub fn care_member(&self, member: &CareMember) -> Record {
        Record {
            id: self.record_ref(Source::Care, &member.id),
            address: member.person.address.as_ref().map(|address| self.address(address)),
            household: None,
            groups: vec![Group::Oggz],
            codes: self.shuffled(Source::Care, &member.id, &member.person),
        }
    }

    /// A tenant as a question carries it.
    pub fn tenant(&self, tenant: &Tenant) -> (Codes, Option<AddressToken>) {
        let address = tenant.person.address.as_ref().map(|address| self.address(address));
        (self.shuffled(Source::Tenants, &tenant.id(), &tenant.person), address)
    }

    /// The token of an address. The suffix is not in it: too many files write it in another way.
    pub fn address(&self, address: &Address) -> AddressToken {
        AddressToken(token(&self.keys.address_token, &[address.key().as_bytes()]))
    }

    /// The token of a household id of the population custodian.
    pub fn household(&self, id: &str) -> HouseholdToken {
        HouseholdToken(token(&self.keys.household_token, &[id.as_bytes()]))
    }

    /// The reference of a record, by which a later load names it again.
    pub fn record_ref(&self, source: Source, id: &str) -> RecordRef {
        RecordRef(token(&self.keys.record_ref, &[source.name(), id.as_bytes()]))
    }

    /// The line of a resident in a file that stays with the custodian: own id, and the own surname's code first.
    pub fn resident_line(&self, resident: &Resident, reference: Date, ages: &Ages) -> Line {
        let mut record = self.resident(resident, reference, ages);
        if !record.codes.passes.is_empty() {
            record.codes = self.codes(Source::Population, &resident.id, &resident.person);
        }
        self.line(resident.id.clone(), record.codes, record.address, record.household, record.groups)
    }

    /// As [`Encoder::resident_line`], for a care custodian.
    pub fn care_line(&self, member: &CareMember) -> Line {
        let codes = self.codes(Source::Care, &member.id, &member.person);
        let address = member.person.address.as_ref().map(|address| self.address(address));
        self.line(member.id.clone(), codes, address, None, vec![Group::Oggz])
    }

    /// As [`Encoder::resident_line`], for a corporation; the id is contract and number, `K0000001/1`.
    pub fn tenant_line(&self, tenant: &Tenant) -> Line {
        let codes = self.codes(Source::Tenants, &tenant.id(), &tenant.person);
        let address = tenant.person.address.as_ref().map(|address| self.address(address));
        self.line(tenant.id(), codes, address, None, Vec::new())
    }

    /// The codes of a person, real name variants first. Uploads carry them in an order that tells nothing, see
    /// [`Encoder::resident`].
    pub fn codes(&self, source: Source, id: &str, person: &Person) -> Codes {
        self.each_filter(source, id, person, |pass, filter| Code::from(pass.diffusion.apply(filter.words())))
    }

    /// The filters before diffusion, real name variants first: for attack tests in a laboratory, never for upload.
    /// Undiffused filters of people are as good as their names.
    pub fn lab_filters(&self, source: Source, id: &str, person: &Person) -> Codes {
        self.each_filter(source, id, person, |_, filter| Code::from(filter.into_words()))
    }

    fn line(
        &self,
        id: String,
        codes: Codes,
        address: Option<AddressToken>,
        household: Option<HouseholdToken>,
        groups: Vec<Group>,
    ) -> Line {
        let names = self.passes.iter().map(|pass| pass.pass.name.clone());
        Line { id, header: None, codes: names.zip(codes.passes).collect(), address, household, groups }
    }

    /// Codes whose variants are in an order that only the key tells.
    fn shuffled(&self, source: Source, id: &str, person: &Person) -> Codes {
        let mut codes = self.codes(source, id, person);
        for (pass, codes) in self.passes.iter().zip(&mut codes.passes) {
            let label = framed(&[b"order", source.name(), id.as_bytes(), pass.pass.name.as_bytes()]);
            shuffle(codes, &mut stream(&self.keys.filler, &label));
        }
        codes
    }

    fn each_filter(
        &self,
        source: Source,
        id: &str,
        person: &Person,
        finish: impl Fn(&PassEncoder, Filter) -> Code,
    ) -> Codes {
        let filters = |pass: &PassEncoder| {
            let filters = self.filters(pass, source, id, person);
            filters.into_iter().map(|filter| finish(pass, filter)).collect()
        };
        Codes { passes: self.passes.iter().map(filters).collect() }
    }

    /// The filters of a pass: those that a record holds, and in a question one more for each other way to read the row.
    /// A way that does not apply is filled at random: their number tells nothing, their likeness does (`SECURITY.md`).
    fn filters(&self, pass: &PassEncoder, source: Source, id: &str, person: &Person) -> Vec<Filter> {
        let readings = if source == Source::Tenants { &pass.pass.also_asked[..] } else { &[] };
        let held = match pass.pass.surnames {
            Surnames::Apart => self.variants,
            Surnames::Together => 1,
        };
        let random =
            |variant| Filter::random(self.filter_bits, &self.keys.filler, &pass.label(source, id, b"", variant));
        let Some(keys) = pass.field_keys(person.address.as_ref()) else {
            return (0..held + readings.len()).map(random).collect();
        };
        let mut filters: Vec<Filter> =
            (0..held).map(|variant| self.filter(pass, &keys, source, id, person, variant)).collect();
        for (at, reading) in readings.iter().enumerate() {
            let other = token::reread(person, *reading);
            filters
                .push(other.map_or_else(|| random(held + at), |other| self.filter(pass, &keys, source, id, &other, 0)));
        }
        filters
    }

    /// The filter of one variant. Records with fewer names than the profile has variants get more with a random surname
    /// and all else as it is: codes that are random throughout would show who has one name, because a record's real
    /// variants resemble each other.
    fn filter(
        &self,
        pass: &PassEncoder,
        keys: &[(Field, Key)],
        source: Source,
        id: &str,
        person: &Person,
        variant: usize,
    ) -> Filter {
        let names = token::surnames(person, self.variants);
        let (names, padding) = match pass.pass.surnames {
            Surnames::Apart => (names.get(variant..=variant).unwrap_or_default(), variant >= names.len()),
            Surnames::Together => (&names[..], false),
        };
        let slots: Vec<_> = keys.iter().map(|(field, _)| token::slots(*field, person, names)).collect();
        let fill_missing = match pass.pass.missing {
            Missing::Random => true,
            Missing::RandomInPopulation => source == Source::Population || pass.mostly_missing(&slots),
        };
        let mut filter = Filter::new(self.filter_bits);
        for ((field, key), slots) in keys.iter().zip(&slots) {
            // What is no surname is the same in all variants of a record, its filling too.
            let (variant, padding) = if *field == Field::Surname { (variant, padding) } else { (0, false) };
            let label = pass.label(source, id, field_name(*field).as_bytes(), variant);
            let filler = (fill_missing || padding).then_some((&self.keys.filler, &label[..]));
            filter.insert(key, slots, pass.pass.insertions[field], filler);
        }
        filter
    }
}

impl PassEncoder {
    /// Whether less than half of the evidence is there: a filter of so little would be light, and light ones resemble
    /// each other.
    fn mostly_missing(&self, slots: &[token::Slots]) -> bool {
        let share = |(slots, insertions): (&token::Slots, &u32)| {
            let known = slots.iter().filter(|slot| slot.is_some()).count();
            f64::from(*insertions) * known as f64 / slots.len() as f64
        };
        let known: f64 = slots.iter().zip(self.pass.insertions.values()).map(share).sum();
        known * 2.0 < f64::from(self.pass.insertions.values().sum::<u32>())
    }

    /// What random bits of a record are drawn for.
    fn label(&self, source: Source, id: &str, field: &[u8], variant: usize) -> Vec<u8> {
        let variant = [u8::try_from(variant).expect("a profile has at most 12 codes a pass")];
        framed(&[b"bits", source.name(), id.as_bytes(), self.pass.name.as_bytes(), field, &variant])
    }

    /// The keys of the fields within the pass's scope; none if the scope is a place that is not known.
    fn field_keys(&self, address: Option<&Address>) -> Option<Vec<(Field, Key)>> {
        let place = match self.pass.scope {
            Scope::Everywhere => return Some(self.keys.fields.clone()),
            Scope::Postcode => address?.postcode().to_owned(),
            Scope::Street => address?.street_key()?,
            Scope::Address => address?.key(),
        };
        let there = |field: Field| derived(&self.keys.place, &[field_name(field).as_bytes(), place.as_bytes()]);
        Some(self.keys.fields.iter().map(|(field, _)| (*field, there(*field))).collect())
    }
}

#[cfg(test)]
mod tests;
