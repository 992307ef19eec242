//! Plaintext to codes, at the data custodian. This room and `cli` are the only ones that ever see a name.
//!
//! A person becomes one code per pass of the profile and name variant: fields are normalised (`normalize`), cut
//! into tokens (`token`), inserted into keyed Bloom filters (`passes`, `filter`, `batch`) and diffused (`diffuse`); all
//! keys come from the epoch's salt (`keys`). What is missing is filled with bits that are random per record and always
//! the same for that record: missing never agrees with missing, and repeated loads cannot be averaged.
//!
//! `read` reads the custodians' files, `file` writes and reads files of codes, `authentic` says who made them. `clkhash`
//! is another encoder: the plain CLKs of clkhash, bit for bit, for who links elsewhere.

pub mod authentic;
mod batch;
mod birth;
pub mod clkhash;
mod diffuse;
pub mod file;
mod filter;
mod frequent;
mod keys;
mod letters;
mod normalize;
mod parts;
mod passes;
mod person;
pub mod read;
mod sheaf;
mod token;
mod words;

use std::collections::BTreeSet;
use std::fmt;
use std::slice;

use time::Date;

pub use birth::{BadDate, BirthDate, Dates};
pub use normalize::{initial, surname_parts};
pub use person::{Address, Ages, Arrears, BadAddress, CareMember, Person, Resident, Sex, Statements, Tenant};
pub use sheaf::{CodesOf, InOrder};
pub use token::{surnames, token_kinds};

use crate::code::{AddressToken, Code, CodeHeader, Codes, Group, HouseholdToken, Record, RecordRef};
use crate::ids::EpochId;
use crate::profile::{Profile, Reading};
use authentic::FileMac;
use frequent::Frequent;
use keys::{Keys, Root, Seed, tag};
use passes::{Last, Neighbours, PassEncoder, Subject};
use sheaf::Sheaf;
use token::Token;

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
/// `Debug` shows only the epoch. Many people at once take a small part of the time that they take one by one.
pub struct Encoder {
    header: CodeHeader,
    keys: Keys,
    passes: Vec<PassEncoder>,
    variants: usize,
    readings: Vec<Reading>,
    /// The seeds of the tokens that most records have.
    frequent: Frequent<Seed>,
}

/// A record to encode.
struct Row<'a> {
    source: Source,
    /// Of what is random in it.
    seed: Seed,
    person: &'a Person,
}

impl<'a> Row<'a> {
    fn new(source: Source, seed: Seed, person: &'a Person) -> Self {
        Self { source, seed, person }
    }
}

/// A record's reference, and the seed of what is random in it.
type Own = (RecordRef, Seed);

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
        let passes = (0..profile.passes.len()).map(|at| PassEncoder::new(profile, &root, at)).collect();
        let readings: BTreeSet<Reading> = profile.passes.iter().flat_map(|pass| pass.also_asked.clone()).collect();
        Self {
            passes,
            header: CodeHeader {
                epoch: epoch.clone(),
                profile: profile.id.clone(),
                schema_hash: profile.schema_hash(),
                key_check: keys.key_check.clone(),
            },
            variants: profile.variants,
            readings: readings.into_iter().collect(),
            frequent: Frequent::new(|token| token_seed(&keys, token)),
            keys,
        }
    }

    /// What goes with everything that this encoder makes.
    pub fn header(&self) -> CodeHeader {
        self.header.clone()
    }

    /// The MAC of a file of this encoder's codes, to which nothing is added yet.
    pub fn file_mac(&self) -> FileMac {
        FileMac::new(&self.keys.file)
    }

    /// Residents as the linkage unit sees them. Whoever is certainly a minor has no codes. Unknown parts of a birth
    /// date put a person in every group that is possible: a wrong "no" is the costly error.
    pub fn residents(&self, residents: &[Resident], reference: Date, ages: &Ages) -> Vec<Record> {
        let (mut records, at, codes) = self.population(residents, reference, ages, Self::shuffled);
        let encoded = records.iter_mut().zip(at).filter(|(_, at)| at.is_some());
        encoded.zip(codes).for_each(|((record, _), codes)| record.codes = codes);
        records
    }

    /// One of [`Encoder::residents`].
    pub fn resident(&self, resident: &Resident, reference: Date, ages: &Ages) -> Record {
        only(self.residents(slice::from_ref(resident), reference, ages))
    }

    /// Members of the public mental-health target group as the linkage unit sees them.
    pub fn care_members(&self, members: &[CareMember]) -> Vec<Record> {
        let (mut records, codes) = self.care(members, Self::shuffled);
        records.iter_mut().zip(codes).for_each(|(record, codes)| record.codes = codes);
        records
    }

    /// Tenants as questions carry them.
    pub fn tenants(&self, tenants: &[Tenant]) -> Vec<(Codes, Option<AddressToken>)> {
        let (addresses, codes) = self.tenancy(tenants, Self::shuffled);
        codes.into_iter().zip(addresses).collect()
    }

    /// The token of an address, if postcode and number are known. The suffix is not in it: too many files write it in
    /// another way.
    pub fn address(&self, address: &Address) -> Option<AddressToken> {
        Some(AddressToken(tag(&self.keys.address_token, &[address.key()?.as_bytes()])))
    }

    /// The token of a household id of the population custodian.
    pub fn household(&self, id: &str) -> HouseholdToken {
        HouseholdToken(tag(&self.keys.household_token, &[id.as_bytes()]))
    }

    /// The reference of a record, by which a later load names it again.
    pub fn record_ref(&self, source: Source, id: &str) -> RecordRef {
        self.record(source, id).0
    }

    /// What is a record's own: its reference and the seed of what is random in it. They are different parts of one
    /// HMAC, so that the one tells nothing about the other.
    fn record(&self, source: Source, id: &str) -> Own {
        let own: [u8; 28] = tag(&self.keys.record, &[source.name(), id.as_bytes()]);
        let (reference, seed) = own.split_at(16);
        (
            RecordRef(reference.try_into().expect("16 bytes")),
            Seed::from(*seed.first_chunk().expect("the 12 behind them")),
        )
    }

    /// As [`Encoder::residents`] with the own surname's code first, for a file that stays with the custodian.
    pub fn residents_in_order(&self, residents: &[Resident], reference: Date, ages: &Ages) -> InOrder {
        let (records, at, sheaf) = self.population(residents, reference, ages, Self::encode);
        InOrder { records, at, sheaf }
    }

    /// As [`Encoder::care_members`] with the own surname's code first, for a file that stays with the custodian.
    pub fn care_members_in_order(&self, members: &[CareMember]) -> InOrder {
        let (records, sheaf) = self.care(members, Self::encode);
        InOrder { at: (0..records.len()).map(Some).collect(), records, sheaf }
    }

    /// Tenants as records with the own surname's code first, for a file that stays with the corporation.
    pub fn tenants_in_order(&self, tenants: &[Tenant]) -> InOrder {
        let (addresses, sheaf) = self.tenancy(tenants, Self::encode);
        let record = |(tenant, address): (&Tenant, Option<AddressToken>)| {
            let id = self.record_ref(Source::Tenants, &tenant.id());
            Record { id, address, household: None, groups: Vec::new(), codes: Codes::default() }
        };
        let records = tenants.iter().zip(addresses).map(record).collect();
        InOrder { records, at: (0..tenants.len()).map(Some).collect(), sheaf }
    }

    /// The codes of a person, real name variants first. Uploads carry them in an order that tells nothing, see
    /// [`Encoder::residents`].
    pub fn codes(&self, source: Source, id: &str, person: &Person) -> Codes {
        self.encode(&[Row::new(source, self.record(source, id).1, person)]).codes(0)
    }

    /// The filters before diffusion, real name variants first: for attack tests in a laboratory, never for upload.
    /// Undiffused filters of people are as good as their names.
    pub fn lab_filters(&self, source: Source, id: &str, person: &Person) -> Codes {
        let subjects = self.subjects(&[Row::new(source, self.record(source, id).1, person)]);
        let filters = |pass: &PassEncoder| {
            let mut sheet = pass.sheet();
            pass.filters(&self.keys, &subjects[0], &mut sheet);
            sheet.filters().into_iter().map(Code::from).collect()
        };
        Codes { passes: self.passes.iter().map(filters).collect() }
    }

    /// Records without codes; where their codes are in what `encode` makes; and that.
    fn population<C>(
        &self,
        residents: &[Resident],
        reference: Date,
        ages: &Ages,
        encode: impl Fn(&Self, &[Row<'_>]) -> C,
    ) -> (Vec<Record>, Vec<Option<usize>>, C) {
        let own: Vec<_> = residents.iter().map(|resident| self.record(Source::Population, &resident.id)).collect();
        let mut adults = Vec::with_capacity(residents.len());
        let mut at = Vec::with_capacity(residents.len());
        for (resident, (_, seed)) in residents.iter().zip(&own) {
            let is_adult = ages.can_be_adult(resident.person.birth, reference);
            at.push(is_adult.then_some(adults.len()));
            adults.extend(is_adult.then(|| Row::new(Source::Population, *seed, &resident.person)));
        }
        let codes = encode(self, &adults);
        let (mut addresses, mut households) = (Last::default(), Last::default());
        let record = |(resident, (id, _)): (&Resident, Own)| Record {
            id,
            address: resident.person.address.as_ref().and_then(|place| *addresses.of(place, || self.address(place))),
            household: Some(*households.of(&*resident.household, || self.household(&resident.household))),
            groups: ages.groups(resident.person.birth, reference),
            codes: Codes::default(),
        };
        (residents.iter().zip(own).map(record).collect(), at, codes)
    }

    /// Records without codes, and what `encode` makes.
    fn care<C>(&self, members: &[CareMember], encode: impl Fn(&Self, &[Row<'_>]) -> C) -> (Vec<Record>, C) {
        let own: Vec<_> = members.iter().map(|member| self.record(Source::Care, &member.id)).collect();
        let rows: Vec<Row<'_>> =
            members.iter().zip(&own).map(|(member, own)| Row::new(Source::Care, own.1, &member.person)).collect();
        let codes = encode(self, &rows);
        let record = |(member, (id, _)): (&CareMember, Own)| Record {
            id,
            address: member.person.address.as_ref().and_then(|address| self.address(address)),
            household: None,
            groups: vec![Group::Oggz],
            codes: Codes::default(),
        };
        (members.iter().zip(own).map(record).collect(), codes)
    }

    /// Tokens of addresses, and what `encode` makes.
    fn tenancy<C>(
        &self,
        tenants: &[Tenant],
        encode: impl Fn(&Self, &[Row<'_>]) -> C,
    ) -> (Vec<Option<AddressToken>>, C) {
        let seed = |tenant: &Tenant| self.record(Source::Tenants, &tenant.id()).1;
        let rows: Vec<Row<'_>> =
            tenants.iter().map(|tenant| Row::new(Source::Tenants, seed(tenant), &tenant.person)).collect();
        let codes = encode(self, &rows);
        let address = |tenant: &Tenant| tenant.person.address.as_ref().and_then(|address| self.address(address));
        (tenants.iter().map(address).collect(), codes)
    }

    fn subjects(&self, rows: &[Row<'_>]) -> Vec<Subject> {
        let of_token = |token: Token| self.frequent.of(token).unwrap_or_else(|| token_seed(&self.keys, token));
        let mut neighbours = Neighbours::default();
        let subject = |Row { source, seed, person }: &Row<'_>| {
            let places = person.address.as_ref().map(|address| neighbours.at(&self.keys, address));
            Subject::new((*source, *seed), person, places, self.variants, &self.readings, of_token)
        };
        rows.iter().map(subject).collect()
    }

    /// Codes whose variants are in an order that only the key tells.
    fn shuffled(&self, rows: &[Row<'_>]) -> Vec<Codes> {
        let sheaf = self.encode(rows);
        let codes = |(at, row): (usize, &Row<'_>)| {
            let mut codes = sheaf.codes(at);
            let passes = self.passes.iter().zip(&mut codes.passes);
            passes.for_each(|(pass, codes)| pass.shuffle(&self.keys, row.seed, codes));
            codes
        };
        rows.iter().enumerate().map(codes).collect()
    }

    /// Codes of records of one source, real name variants first.
    fn encode(&self, rows: &[Row<'_>]) -> Sheaf {
        let mut sheaf = Sheaf::with_passes(self.passes.len());
        let Some(source) = rows.first().map(|row| row.source) else { return sheaf };
        let subjects = self.subjects(rows);
        for pass in &self.passes {
            let count = pass.count(source);
            let mut sheet = pass.sheet();
            let mut codes = Vec::with_capacity(rows.len() * count * pass.words());
            for subject in &subjects {
                if !sheet.has_room(count) {
                    pass.diffused(&mut sheet, &mut codes);
                    sheet.clear();
                }
                pass.filters(&self.keys, subject, &mut sheet);
            }
            pass.diffused(&mut sheet, &mut codes);
            sheaf.push(codes, pass.words(), count);
        }
        sheaf
    }
}

fn token_seed(keys: &Keys, token: Token) -> Seed {
    Seed::from(tag(&keys.token, &[&token.bytes()]))
}

/// What was made of one.
fn only<T>(made: Vec<T>) -> T {
    made.into_iter().next().expect("one was given")
}

#[cfg(test)]
mod tests;
