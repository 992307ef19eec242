//! An index beside the copy of the log: when each entry was made and about whom, and which epochs it tells of, so that a
//! day or a household is found among millions without reading them. It is rebuilt when it does not fit.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use anyhow::Context;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Unusable;
use super::copy::{Copy, damaged};
use super::spans::Spans;
use crate::audit::{Entry, Line};
use crate::cli::output::Output;
use crate::ids::{EpochId, RegulationId};

/// Begins the file; another format has another number.
const MAGIC: &[u8; 8] = b"voorix05";
/// Magic, the copy's id (32 bytes), entries, bytes.
const HEAD: usize = 8 + 32 + 8 + 8;
const RECORD: usize = 32;
const DIGEST: usize = 32;

/// In place of a time: the contents have expired, or are no entry.
const EXPIRED: i64 = i64::MIN;
const MALFORMED: i64 = i64::MIN + 1;

/// Before every time that an entry can have.
pub const BEGINNING: i64 = i64::MIN + 2;

/// What is known of one entry without reading it. The file has them one after another, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it begins in the file of entries.
    pub offset: u64,
    /// Seconds since 1970.
    pub seconds: i64,
    /// The first 8 bytes of the subject's pseudonym; of the data key's id where the entry brings one; 0 without both.
    pub handle: u64,
    /// The first 8 bytes of the leaf hash: what is read later is what was fetched.
    pub leaf: u64,
}

/// Every entry's place, by position in the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Index {
    places: Vec<Place>,
    /// Epochs in which somebody was asked about, and under which regulation: the log is one for all of them.
    epochs: BTreeSet<(EpochId, Option<RegulationId>)>,
}

/// The fields of an entry that the index holds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    time: &'a str,
    action: &'a str,
    object: Option<&'a str>,
    epoch: Option<&'a str>,
    #[serde(borrow)]
    regulation: Option<Id<'a>>,
    #[serde(borrow)]
    day_key: Option<Id<'a>>,
}

#[derive(Deserialize)]
struct Id<'a> {
    id: &'a str,
}

impl Index {
    /// The index of a copy: read, made longer, or made anew, as is needed.
    ///
    /// # Errors
    /// If the copy cannot be read, or, for a new index, is not what was fetched; or the index cannot be written.
    pub fn open(copy: &Copy) -> anyhow::Result<Self> {
        let known = fs::read(copy.folder().join("index")).ok().and_then(|bytes| parse(&bytes, copy));
        let is_new = known.is_none();
        let (mut index, offset) = known.unwrap_or_default();
        if index.places.len() as u64 == copy.size() {
            return Ok(index);
        }
        for line in copy.lines_from(index.places.len() as u64, offset)? {
            let (offset, line) = line?;
            index.add(offset, &line);
        }
        if is_new && !copy.is_as_fetched()? {
            return Err(damaged("is not what it was when it was fetched").into());
        }
        index.write(copy)?;
        Ok(index)
    }

    /// Positions of the entries made from `from` on and before `until`, seconds since 1970.
    pub fn between(&self, from: i64, until: i64) -> Vec<u64> {
        self.positions(|place| (from..until).contains(&place.seconds))
    }

    /// Positions of the entries that may be about this pseudonym, or bring the data key of this id: hexadecimal. Who
    /// reads them compares the rest.
    pub fn about(&self, id: &str) -> Vec<u64> {
        let wanted = handle(id);
        self.positions(|place| place.handle == wanted)
    }

    /// Entries whose contents have expired.
    pub fn expired(&self) -> Spans {
        self.positions(|place| place.seconds == EXPIRED).into_iter().collect()
    }

    /// Entries that are not in their format.
    pub fn malformed(&self) -> Spans {
        self.positions(|place| place.seconds == MALFORMED).into_iter().collect()
    }

    /// That this line is the one of this position that was fetched.
    ///
    /// # Errors
    /// [`Unusable::Copy`].
    pub fn hold(&self, position: u64, line: &Line) -> Result<(), Unusable> {
        let known = usize::try_from(position).ok().and_then(|at| self.places.get(at));
        let same = known.is_some_and(|place| place.leaf == beginning(line));
        if same { Ok(()) } else { Err(damaged(&format!("has another entry {position} than was fetched"))) }
    }

    /// Epochs in which somebody was asked about under this regulation.
    pub fn epochs(&self, regulation: &RegulationId) -> impl Iterator<Item = &EpochId> {
        let ours =
            move |(_, under): &&(EpochId, Option<RegulationId>)| under.as_ref().is_none_or(|id| id == regulation);
        self.epochs.iter().filter(ours).map(|(epoch, _)| epoch)
    }

    /// Where the entry of a position begins.
    pub fn offset(&self, position: u64) -> Option<u64> {
        Some(self.places.get(usize::try_from(position).ok()?)?.offset)
    }

    fn positions(&self, wanted: impl Fn(&Place) -> bool) -> Vec<u64> {
        (0..).zip(&self.places).filter(|(_, place)| wanted(place)).map(|(position, _)| position).collect()
    }

    fn write(&self, copy: &Copy) -> anyhow::Result<()> {
        let mut bytes = Vec::with_capacity(HEAD + self.places.len() * RECORD + DIGEST);
        bytes.extend(MAGIC);
        bytes.extend(copy.id().as_bytes());
        bytes.extend((self.places.len() as u64).to_be_bytes());
        bytes.extend(copy.bytes().to_be_bytes());
        for Place { offset, seconds, handle, leaf } in &self.places {
            bytes.extend(offset.to_be_bytes());
            bytes.extend(seconds.to_be_bytes());
            bytes.extend(handle.to_be_bytes());
            bytes.extend(leaf.to_be_bytes());
        }
        for (epoch, regulation) in &self.epochs {
            bytes.extend(format!("{epoch} {}\n", regulation.as_ref().map_or("", RegulationId::as_str)).as_bytes());
        }
        bytes.extend(digest(&SHA256, &bytes).as_ref());
        let mut file = Output::create(&copy.folder().join("index"))?;
        file.write_all(&bytes).context("cannot write the index of the log")?;
        file.finish()
    }
}

/// The index in a file and the byte at which the next entry begins, if it was made from this copy or its beginning.
fn parse(bytes: &[u8], copy: &Copy) -> Option<(Index, u64)> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    let (head, rest) = body.split_at_checked(HEAD)?;
    let size = u64_at(head, 40);
    let length = usize::try_from(size).ok()?.checked_mul(RECORD)?;
    let (records, epochs) = rest.split_at_checked(length)?;
    let whole = head.starts_with(MAGIC)
        && head[8..40] == *copy.id().as_bytes()
        && size <= copy.size()
        && digest(&SHA256, body).as_ref() == sum;
    let place = |record: &[u8]| Place {
        offset: u64_at(record, 0),
        seconds: u64_at(record, 8).cast_signed(),
        handle: u64_at(record, 16),
        leaf: u64_at(record, 24),
    };
    let epochs = std::str::from_utf8(epochs).ok()?.lines().map(epoch).collect::<Option<_>>()?;
    let places = || records.chunks_exact(RECORD).map(place).collect();
    whole.then(|| (Index { places: places(), epochs }, u64_at(head, 48)))
}

/// A line of the index: an epoch, and its regulation where the entries name one.
fn epoch(line: &str) -> Option<(EpochId, Option<RegulationId>)> {
    let (epoch, regulation) = line.split_once(' ')?;
    let regulation = if regulation.is_empty() { None } else { Some(regulation.parse().ok()?) };
    Some((epoch.parse().ok()?, regulation))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("a slice of 8 bytes"))
}

impl Index {
    /// An entry that cannot be read has no place in time.
    fn add(&mut self, offset: u64, line: &Line) {
        let is_malformed = line.entry().is_some_and(|entry| Entry::from_bytes(entry).is_err());
        let seconds = if is_malformed { MALFORMED } else { EXPIRED };
        let nowhere = Place { offset, seconds, handle: 0, leaf: beginning(line) };
        let place = if is_malformed { None } else { self.place(offset, line) };
        self.places.push(place.unwrap_or(nowhere));
    }

    fn place(&mut self, offset: u64, line: &Line) -> Option<Place> {
        let Line::Entry(entry) = line else { return None };
        let fields = serde_json::from_slice::<Fields<'_>>(entry).ok()?;
        let seconds = OffsetDateTime::parse(fields.time, &Rfc3339).ok()?.unix_timestamp();
        // Who looks a pseudonym up is an officer of some regulation, not of the epoch's.
        if fields.object.is_some() && fields.action != "subject-read" {
            self.note(fields.epoch, fields.regulation.map(|regulation| regulation.id));
        }
        let id = fields.day_key.map(|key| key.id).or(fields.object);
        Some(Place { offset, seconds, handle: id.map_or(0, handle), leaf: beginning(line) })
    }
}

impl Index {
    fn note(&mut self, epoch: Option<&str>, regulation: Option<&str>) {
        let is_same = |(known, under): &(EpochId, Option<RegulationId>)| {
            Some(known.as_str()) == epoch && under.as_ref().map(RegulationId::as_str) == regulation
        };
        if !self.epochs.iter().any(is_same) {
            let epoch = epoch.and_then(|epoch| epoch.parse().ok());
            self.epochs.extend(epoch.map(|epoch| (epoch, regulation.and_then(|id| id.parse().ok()))));
        }
    }
}

/// Of the leaf hash.
fn beginning(line: &Line) -> u64 {
    u64_at(line.leaf().as_bytes(), 0)
}

/// 0 where the text does not begin with 16 hexadecimal digits.
fn handle(id: &str) -> u64 {
    id.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Log, ONE, START, entry};
    use super::*;
    use crate::audit::{Action, RegulationRef};

    #[test]
    fn an_index_that_does_not_fit_is_made_anew() {
        let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(6));
        let copy = log.copy(home.path());
        let (whole, path) = (Index::open(&copy).unwrap(), home.path().join("index"));
        let good = fs::read(&path).unwrap();
        for at in [0, 9, 41, 60, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            assert_eq!(Index::open(&copy).unwrap(), whole, "byte {at}");
            assert_eq!(fs::read(&path).unwrap(), good);
        }
        assert_eq!(whole.epochs(&"haarlem".parse().unwrap()).count(), 1, "entries about somebody name their epoch");
        for cut in [0, 30, good.len() - 24] {
            fs::write(&path, &good[..cut]).unwrap();
            assert_eq!(Index::open(&copy).unwrap(), whole);
        }
        drop(copy);
        let copy = log.grown(3).copy(home.path());
        let longer = Index::open(&copy).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(Index::open(&copy).unwrap(), longer);
    }

    #[test]
    fn an_index_has_the_epochs_of_each_regulation_apart() {
        let asked = |epoch: &str, regulation: &str, action| {
            let regulation = RegulationRef { id: regulation.parse().unwrap(), digest: "cd".repeat(32) };
            let epoch = Some(epoch.parse().unwrap());
            Line::Entry(Entry { epoch, regulation: Some(regulation), action, ..entry(START, ONE, 1) }.to_bytes())
        };
        let mut log = Log::new();
        log.lines.push(asked("haarlem-1", "haarlem", Action::Ask));
        log.lines.push(asked("zaanstad-1", "zaanstad", Action::AskGroups));
        log.lines.push(asked("zaanstad-2", "haarlem", Action::SubjectRead));
        let home = tempfile::tempdir().unwrap();
        let copy = log.copy(home.path());
        for _read_back in 0..2 {
            let index = Index::open(&copy).unwrap();
            for (regulation, epoch) in [("haarlem", "haarlem-1"), ("zaanstad", "zaanstad-1")] {
                let epochs = index.epochs(&regulation.parse().unwrap()).map(EpochId::as_str).collect::<Vec<_>>();
                assert_eq!(epochs, [epoch], "{regulation}");
            }
        }
    }
}
