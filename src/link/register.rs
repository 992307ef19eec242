//! One custodian's load in memory: a matrix of codes a pass, and who shares an address or a household.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::mem::size_of;

use super::popcount::Rows;
use super::shape::{Matrix, Shape};
use super::thresholds::{Limits, Thresholds};
use super::{LinkError, Source, Whose};
use crate::code::{AddressToken, Group, HouseholdToken, Record, RecordRef};
use crate::profile::{Profile, Rule};

/// Takes a load record by record. A refused record leaves the builder as it was.
pub struct RegisterBuilder {
    register: Register,
    seen: HashSet<RecordRef>,
    households: HashMap<HouseholdToken, u32>,
    blocks: HashMap<AddressToken, u32>,
}

/// One custodian's records, ready to be compared.
///
/// `Debug` shows counts only.
pub struct Register {
    pub(super) source: Source,
    pub(super) shape: Shape,
    pub(super) rule: Rule,
    records: usize,
    groups: [usize; 3],
    people: Vec<Person>,
    codes: Matrix,
    households: Vec<Household>,
    blocks: Vec<Block>,
    block_of: HashMap<AddressToken, u32>,
    /// There once the load is complete.
    thresholds: Option<Thresholds>,
}

/// One record with codes.
struct Person {
    id: RecordRef,
    household: Option<u32>,
    block: Option<u32>,
    minor: bool,
    senior: bool,
}

/// What is known of a household without knowing who is in it.
#[derive(Clone, Copy, Default)]
pub(super) struct Household {
    /// Everybody in it, children included.
    pub size: usize,
    pub minor: bool,
    pub senior: bool,
}

/// Everybody at one address token.
struct Block {
    token: AddressToken,
    /// Children included.
    size: usize,
    /// Those of whom somebody is registered here first, so that each counts once.
    households: usize,
    /// Those with codes.
    rows: Vec<u32>,
}

impl RegisterBuilder {
    /// An empty load of this custodian, for codes of this profile.
    pub fn new(profile: &Profile, source: Source) -> Self {
        let shape = Shape::of(profile);
        let register = Register {
            source,
            codes: Matrix::default(),
            shape,
            rule: profile.rule.clone(),
            records: 0,
            groups: [0; 3],
            people: Vec::new(),
            households: Vec::new(),
            blocks: Vec::new(),
            block_of: HashMap::new(),
            thresholds: None,
        };
        Self { register, seen: HashSet::new(), households: HashMap::new(), blocks: HashMap::new() }
    }

    /// Makes room for so many records at most: memory that none comes for is never touched, and codes that are there need not
    /// move.
    pub fn reserve(&mut self, records: usize) {
        self.seen.reserve(records);
        self.register.people.reserve_exact(records);
        self.register.codes.reserve(&self.register.shape, records);
    }

    /// Adds a record. One without passes (a child) has no row: it only counts in its household and at its address.
    ///
    /// # Errors
    /// [`LinkError`], with the record's position counted from 1.
    pub fn push(&mut self, record: Record) -> Result<(), LinkError> {
        self.check(&record)?;
        self.seen.insert(record.id);
        let senior = record.groups.contains(&Group::Senior);
        let minor = record.groups.contains(&Group::Minor);
        let before = self.register.households.len();
        let household = record.household.map(|token| self.household(token));
        let new = self.register.households.len() - before;
        if let Some(index) = household {
            let household = &mut self.register.households[index as usize];
            household.size += 1;
            household.minor |= minor;
            household.senior |= senior;
        }
        let block = record.address.map(|token| self.block(token));
        let row = (!record.codes.passes.is_empty()).then(|| index(self.register.people.len()));
        if let Some(block) = block {
            let block = &mut self.register.blocks[block as usize];
            block.size += 1;
            block.households += new;
            block.rows.extend(row);
        }
        let register = &mut self.register;
        register.records += 1;
        for group in [Group::Minor, Group::Senior, Group::Oggz] {
            register.groups[group as usize] += usize::from(record.groups.contains(&group));
        }
        if row.is_some() {
            register.people.push(Person { id: record.id, household, block, minor, senior });
            register.codes.push(&register.shape, &record.codes);
        }
        Ok(())
    }

    /// The load is complete. Thresholds are found from it, which takes up to a second for a large one.
    pub fn finish(self) -> Register {
        self.finish_with(Thresholds::new)
    }

    /// With these thresholds.
    pub(super) fn finish_with(self, thresholds: impl FnOnce(&Register) -> Thresholds) -> Register {
        let mut register = self.register;
        register.block_of = self.blocks;
        register.people.shrink_to_fit();
        register.thresholds = Some(thresholds(&register));
        register
    }

    fn check(&self, record: &Record) -> Result<(), LinkError> {
        let number = self.register.records + 1;
        if self.seen.contains(&record.id) {
            return Err(LinkError::Duplicate { record: number });
        }
        match (self.register.source, record.household) {
            (Source::Population, None) => return Err(LinkError::NoHousehold { record: number }),
            (Source::Care, Some(_)) => return Err(LinkError::UnwantedHousehold { record: number }),
            _ => {}
        }
        if self.register.source == Source::Population && record.groups.contains(&Group::Oggz) {
            return Err(LinkError::UnwantedGroup { record: number });
        }
        if record.codes.passes.is_empty() {
            return Ok(());
        }
        self.register.shape.check(&record.codes, Whose::Record(number))
    }

    fn household(&mut self, token: HouseholdToken) -> u32 {
        let list = &mut self.register.households;
        *self.households.entry(token).or_insert_with(|| {
            list.push(Household::default());
            index(list.len() - 1)
        })
    }

    fn block(&mut self, token: AddressToken) -> u32 {
        let list = &mut self.register.blocks;
        *self.blocks.entry(token).or_insert_with(|| {
            list.push(Block { token, size: 0, households: 0, rows: Vec::new() });
            index(list.len() - 1)
        })
    }
}

fn index(position: usize) -> u32 {
    u32::try_from(position).expect("no register has four thousand million records")
}

impl Register {
    /// Whose records these are.
    pub fn source(&self) -> Source {
        self.source
    }

    /// All records, children included.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Records with codes: those who can be found.
    pub fn persons(&self) -> usize {
        self.people.len()
    }

    /// Households; none in a care list.
    pub fn households(&self) -> usize {
        self.households.len()
    }

    /// Records that carry this group.
    pub fn groups_count(&self, group: Group) -> usize {
        self.groups[group as usize]
    }

    /// The custodian's reference of a row, as [`super::Standing::Linked`] names it.
    pub fn reference(&self, row: usize) -> Option<RecordRef> {
        self.people.get(row).map(|person| person.id)
    }

    /// Households of which somebody with codes is registered at this address. A token is without the suffix, so a block
    /// of flats is one address with many households.
    pub fn households_at(&self, address: AddressToken) -> usize {
        let households = self.rows_at(address).iter().filter_map(|&row| self.people[row as usize].household);
        households.collect::<HashSet<_>>().len()
    }

    /// Households at the addresses that are within something, each counted once.
    pub fn households_within(&self, within: impl Fn(&AddressToken) -> bool) -> usize {
        self.blocks.iter().filter(|block| within(&block.token)).map(|block| block.households).sum()
    }

    /// Bytes in memory, a little below the truth: a hash table's empty places are estimated.
    pub fn memory_bytes(&self) -> usize {
        let rows: usize = self.blocks.iter().map(|block| block.rows.capacity() * size_of::<u32>()).sum();
        self.codes.bytes()
            + rows
            + self.people.capacity() * size_of::<Person>()
            + self.households.capacity() * size_of::<Household>()
            + self.blocks.capacity() * size_of::<Block>()
            + self.block_of.capacity() * (size_of::<(AddressToken, u32)>() + 1)
    }

    /// The rows at an address; none at an unknown one.
    pub(super) fn rows_at(&self, address: AddressToken) -> &[u32] {
        self.block_of.get(&address).map_or(&[], |block| &self.blocks[*block as usize].rows)
    }

    /// How many live where this person does, children included; zero where no address is known.
    pub(super) fn neighbours(&self, row: usize) -> usize {
        self.people[row].block.map_or(0, |block| self.blocks[block as usize].size)
    }

    /// The address of this person.
    pub(super) fn address(&self, row: usize) -> Option<AddressToken> {
        self.people[row].block.map(|block| self.blocks[block as usize].token)
    }

    /// Position of this person's household; the same `None` for all of a care list.
    pub(super) fn household_of(&self, row: usize) -> Option<usize> {
        self.people[row].household.map(|household| household as usize)
    }

    pub(super) fn household(&self, position: usize) -> Household {
        self.households[position]
    }

    /// Possibly: whoever certainly is has no codes.
    pub(super) fn is_minor(&self, row: usize) -> bool {
        self.people[row].minor
    }

    pub(super) fn is_senior(&self, row: usize) -> bool {
        self.people[row].senior
    }

    /// An order of persons that does not depend on the order of the load: seniors first, so that a tie inside a
    /// household loses no group.
    pub(super) fn rank(&self, row: usize) -> impl Ord + use<> {
        let person = &self.people[row];
        (!person.senior, person.id)
    }

    /// Whether a row of another register with the same shape has the same codes and address.
    pub(super) fn is_same(&self, row: usize, other: &Self, other_row: usize) -> bool {
        let [ours, theirs] = [self.rows().range(row..row + 1), other.rows().range(other_row..other_row + 1)];
        let same_codes = (ours.first, ours.second) == (theirs.first, theirs.second);
        self.address(row) == other.address(other_row) && same_codes
    }

    /// From where on somebody is linked.
    ///
    /// # Panics
    /// Never: only a finished builder gives a register away.
    pub(super) fn thresholds(&self) -> &Thresholds {
        self.thresholds.as_ref().expect("a finished register has thresholds")
    }

    /// The passes that are compared with the whole register, in the order in which they may link, and from where.
    pub(super) fn scanned(&self) -> &[(usize, Limits)] {
        &self.thresholds().scanned
    }

    /// Whether people are told apart by household, so that nobody is twice.
    pub(super) fn has_households(&self) -> bool {
        self.source == Source::Population
    }

    /// Rows of so many people, or of all: those with the smallest references, which are keyed hashes, so that neither a
    /// custodian's order nor that of the load chooses them.
    pub(super) fn some_people(&self, count: usize) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.people.len()).collect();
        if count < rows.len() {
            rows.select_nth_unstable_by_key(count, |row| self.people[*row].id);
            rows.truncate(count);
        }
        rows
    }

    /// The codes of all people.
    pub(super) fn rows(&self) -> Rows<'_> {
        self.codes.rows(&self.shape)
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Register({}, {} records, {} with codes)", self.source, self.records, self.persons())
    }
}

impl fmt::Debug for RegisterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegisterBuilder({:?})", self.register)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::testing::{Draw, address, at, in_household, profile, token};

    fn builder(source: Source) -> RegisterBuilder {
        RegisterBuilder::new(&profile(), source)
    }

    #[test]
    fn children_count_and_have_no_row() {
        let mut draw = Draw::new(1);
        let mut load = builder(Source::Population);
        load.push(in_household(1, draw.record(1))).unwrap();
        load.push(in_household(1, draw.child(2))).unwrap();
        load.push(in_household(2, draw.record(3))).unwrap();
        let register = load.finish();
        assert_eq!((register.records(), register.persons(), register.households()), (3, 2, 2));
        assert_eq!((register.groups_count(Group::Minor), register.groups_count(Group::Senior)), (1, 0));
        assert_eq!((register.household(0).size, register.household(0).minor), (2, true));
        assert_eq!(register.reference(1), Some(RecordRef(token(3))));
        assert_eq!(register.reference(2), None);
        // Two passes of two variants of 256 bytes each.
        assert!(register.memory_bytes() >= 2 * 1024, "{}", register.memory_bytes());
    }

    #[test]
    fn households_are_counted_once_at_the_addresses_that_are_asked_about() {
        let mut draw = Draw::new(4);
        let mut load = builder(Source::Population);
        let homes = [(1, 7), (1, 7), (2, 7), (3, 8), (3, 7), (4, 9)];
        for (record, (household, home)) in (0..).zip(homes) {
            load.push(in_household(household, at(home, draw.record(record)))).unwrap();
        }
        load.push(in_household(5, draw.child(90))).unwrap();
        let register = load.finish();
        let at = |homes: &[u64]| register.households_within(|token| homes.iter().any(|home| *token == address(*home)));
        assert_eq!([at(&[7]), at(&[8]), at(&[7, 8]), at(&[7, 8, 9]), at(&[])], [2, 1, 3, 4, 0]);
    }

    #[test]
    fn refused_records_are_named_by_position_and_change_nothing() {
        let mut draw = Draw::new(2);
        let mut load = builder(Source::Population);
        let first = in_household(1, draw.record(1));
        load.push(first.clone()).unwrap();
        assert_eq!(load.push(first), Err(LinkError::Duplicate { record: 2 }));
        assert_eq!(load.push(draw.record(2)), Err(LinkError::NoHousehold { record: 2 }));
        let mut insider = in_household(1, draw.record(3));
        insider.groups.push(Group::Oggz);
        assert_eq!(load.push(insider), Err(LinkError::UnwantedGroup { record: 2 }));
        let mut zeros = in_household(1, at(5, draw.record(4)));
        zeros.codes.passes[0][1] = vec![0_u64; 32].into();
        let weight = LinkError::Weight { whose: Whose::Record(2), pass: 0, variant: 1 };
        assert_eq!(load.push(zeros), Err(weight));
        load.push(in_household(1, draw.record(4))).unwrap();
        let register = load.finish();
        assert_eq!((register.records(), register.household(0).size, register.blocks.len()), (2, 2, 0));

        let mut care = builder(Source::Care);
        let with_household = in_household(1, draw.record(1));
        assert_eq!(care.push(with_household), Err(LinkError::UnwantedHousehold { record: 1 }));
        assert_eq!(care.push(draw.record(1)), Ok(()));
    }

    #[test]
    fn debug_and_errors_show_no_content() {
        let mut draw = Draw::new(3);
        let mut load = builder(Source::Care);
        load.push(draw.record(1)).unwrap();
        let error = load.push(draw.record(1)).unwrap_err();
        assert_eq!(error.to_string(), "record 2 repeats the reference of an earlier record; send each record once");
        assert_eq!(format!("{load:?}"), "RegisterBuilder(Register(care, 1 records, 1 with codes))");
    }
}
