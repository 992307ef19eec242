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
pub use token::surnames;

use crate::code::{AddressToken, Code, CodeHeader, Codes, Group, HouseholdToken, Record, RecordRef};
use crate::ids::EpochId;
use crate::profile::{Field, Missing, Pass, Profile, Scope};
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

    /// Codes whose variants are in an order that only the key tells, the same in every pass.
    fn shuffled(&self, source: Source, id: &str, person: &Person) -> Codes {
        let codes = self.codes(source, id, person);
        let mut order: Vec<usize> = (0..self.variants).collect();
        shuffle(&mut order, &mut stream(&self.keys.filler, &framed(&[b"order", source.name(), id.as_bytes()])));
        let reorder = |pass: &Vec<Code>| order.iter().map(|&at| pass[at].clone()).collect();
        Codes { passes: codes.passes.iter().map(reorder).collect() }
    }

    fn each_filter(
        &self,
        source: Source,
        id: &str,
        person: &Person,
        finish: impl Fn(&PassEncoder, Filter) -> Code,
    ) -> Codes {
        let names = token::surnames(person, self.variants);
        let filters = |pass: &PassEncoder| {
            let filters = self.filters(pass, source, id, person, &names);
            filters.into_iter().map(|filter| finish(pass, filter)).collect()
        };
        Codes { passes: self.passes.iter().map(filters).collect() }
    }

    /// The filters of a pass. Records with fewer names than the profile has variants get more with a random surname
    /// and all else as it is: codes that are random throughout would show who has one name, because a record's real
    /// variants resemble each other.
    fn filters(&self, pass: &PassEncoder, source: Source, id: &str, person: &Person, names: &[String]) -> Vec<Filter> {
        let label = |field: &[u8], variant: usize| {
            let variant = [u8::try_from(variant).expect("a profile has at most 8 variants")];
            framed(&[b"bits", source.name(), id.as_bytes(), pass.pass.name.as_bytes(), field, &variant])
        };
        let Some(keys) = pass.field_keys(person.address.as_ref()) else {
            let random = |variant| Filter::random(self.filter_bits, &self.keys.filler, &label(b"", variant));
            return (0..self.variants).map(random).collect();
        };
        let insert = |filter: &mut Filter, field: Field, key: &Key, surname: Option<&str>, variant: usize| {
            let label = label(field_name(field).as_bytes(), variant);
            let fill = match pass.pass.missing {
                Missing::Random => true,
                Missing::RandomInPopulation => source == Source::Population,
            } || variant >= names.len();
            let slots = token::slots(field, person, surname);
            let insertions = pass.pass.insertions[&field];
            filter.insert(key, &slots, insertions, fill.then_some((&self.keys.filler, &label)));
        };
        let mut all_else = Filter::new(self.filter_bits);
        for (field, key) in keys.iter().filter(|(field, _)| *field != Field::Surname) {
            insert(&mut all_else, *field, key, None, 0);
        }
        let with_surname = |variant: usize| {
            let mut filter = all_else.clone();
            for (field, key) in keys.iter().filter(|(field, _)| *field == Field::Surname) {
                insert(&mut filter, *field, key, names.get(variant).map(String::as_str), variant);
            }
            filter
        };
        (0..self.variants).map(with_surname).collect()
    }
}

impl PassEncoder {
    /// The keys of the fields, at this address if the pass is made per address; none if it has to be and no address
    /// is known.
    fn field_keys(&self, address: Option<&Address>) -> Option<Vec<(Field, Key)>> {
        if self.pass.scope == Scope::Everywhere {
            return Some(self.keys.fields.clone());
        }
        let address = address?.key();
        let at_address =
            |field: Field| derived(&self.keys.address, &[field_name(field).as_bytes(), address.as_bytes()]);
        Some(self.keys.fields.iter().map(|(field, _)| (*field, at_address(*field))).collect())
    }
}

#[cfg(test)]
mod tests;
