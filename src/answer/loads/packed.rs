//! How a load's chunk is kept: its lines in binary, three quarters of the size and read in a fraction of the time. Chunks
//! that an earlier version kept as they were sent are read too.

use super::super::chunks::{Line, lines_of};
use super::super::wire::RecordLine;
use crate::code::{AddressToken, Code, Codes, Group, HouseholdToken, Record, RecordRef};
use crate::profile::Profile;

/// The first byte of such a chunk. No JSON begins with it.
const PACKED: u8 = 1;

/// Bits of the byte that a line begins with: what follows, and the groups.
const ADDRESS: u8 = 1;
const HOUSEHOLD: u8 = 2;
const CODES: u8 = 4;
const REMOVED: u8 = 8;
const GROUPS: [(Group, u8); 3] = [(Group::Minor, 16), (Group::Senior, 32), (Group::Oggz, 64)];

/// What a line says of a record.
pub(super) enum Said {
    There(Record),
    Gone(RecordRef),
}

impl Said {
    pub fn of(line: RecordLine, profile: &Profile) -> Result<Self, String> {
        match line.removed {
            true => Ok(Self::Gone(line.id)),
            false => line.into_record(profile).map(Self::There).map_err(|error| error.to_string()),
        }
    }

    pub fn id(&self) -> RecordRef {
        match self {
            Self::There(record) => record.id,
            Self::Gone(id) => *id,
        }
    }
}

/// A chunk in the making.
pub(super) struct Packed(Vec<u8>);

impl Packed {
    /// With room for a chunk that was sent with so many bytes.
    pub fn with_room(sent: usize) -> Self {
        let mut bytes = Vec::with_capacity(sent);
        bytes.push(PACKED);
        Self(bytes)
    }

    pub fn push(&mut self, said: &Said) {
        let Said::There(record) = said else {
            self.0.push(REMOVED);
            return self.0.extend(said.id().0);
        };
        let parts = [
            (record.address.is_some(), ADDRESS),
            (record.household.is_some(), HOUSEHOLD),
            (record.codes != Codes::default(), CODES),
        ];
        let groups = GROUPS.map(|(group, bit)| (record.groups.contains(&group), bit));
        let flags = parts.into_iter().chain(groups).filter(|(there, _)| *there).fold(0, |flags, (_, bit)| flags | bit);
        self.0.push(flags);
        self.0.extend(record.id.0);
        self.0.extend(record.address.iter().flat_map(|token| token.0));
        self.0.extend(record.household.iter().flat_map(|token| token.0));
        let words = record.codes.passes.iter().flatten().flat_map(Code::words);
        words.for_each(|word| self.0.extend_from_slice(&word.to_be_bytes()));
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The lines of a chunk that was kept; none if they are not those of this profile.
pub(super) fn read(chunk: &[u8], profile: &Profile) -> Option<Vec<Line<Said>>> {
    let Some((&PACKED, mut rest)) = chunk.split_first() else {
        let said =
            |line: Line<RecordLine>| line.and_then(|line| Said::of(line, profile).map_err(|what| (what, vec![])));
        return Some(lines_of(chunk).map(said).collect());
    };
    let mut lines = Vec::new();
    while !rest.is_empty() {
        lines.push(Ok(line(&mut rest, profile)?));
    }
    Some(lines)
}

fn line(rest: &mut &[u8], profile: &Profile) -> Option<Said> {
    let [flags] = take(rest)?;
    let id = RecordRef(take(rest)?);
    if flags == REMOVED {
        return Some(Said::Gone(id));
    }
    let has = |bit: u8| flags & bit != 0;
    let address = if has(ADDRESS) { Some(AddressToken(take(rest)?)) } else { None };
    let household = if has(HOUSEHOLD) { Some(HouseholdToken(take(rest)?)) } else { None };
    let groups = GROUPS.into_iter().filter(|(_, bit)| has(*bit)).map(|(group, _)| group).collect();
    let mut codes = Codes::default();
    if has(CODES) {
        for pass in &profile.passes {
            let mut code = || Code::from_bytes(rest.split_off(..pass.code_bits / 8)?).ok();
            codes.passes.push((0..pass.held(profile)).map(|_| code()).collect::<Option<_>>()?);
        }
    }
    Some(Said::There(Record { id, address, household, groups, codes }))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests;
