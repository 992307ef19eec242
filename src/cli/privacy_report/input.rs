//! The files of codes and the people that they were made of.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::code::{AddressToken, Code, CodeHeader};
use crate::encode::file::{self, FileError, Line, LineError};
use crate::encode::{Address, Resident, read};
use crate::privacy::Statistics;
use crate::profile::Profile;

/// Why files cannot be reported on. It never repeats what a file says.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("{name}: cannot be opened or read")]
    Io { name: String, source: std::io::Error },
    #[error("{name}: has no records; encode the file again")]
    Empty { name: String },
    #[error("{name}: nobody in it has codes; there is nothing to report on")]
    NoCodes { name: String },
    #[error("{name}, line {line}: not as the profile has it; encode the file again")]
    Record { name: String, line: usize, source: LineError },
    #[error("{name}: made with another profile or schema; give the profile that it was made with as --profile")]
    Profile { name: String },
    #[error("{name}: its {what} is not that of {first}; report on files of one salt together, and on others apart")]
    Mixed { name: String, first: String, what: &'static str },
    #[error("{name}, line {line}: an id that was there before; give every file once")]
    Twice { name: String, line: usize },
    #[error(
        "no id of the codes is in {people}; give the file that was encoded, and the codes that `voorrang encode population` wrote of it"
    )]
    Strangers { people: String },
    #[error("{missing} of {records} records of {name} are not in {people}; give the file that was encoded")]
    Missing { name: String, people: String, missing: usize, records: usize },
    #[error(
        "{people} are not the people of these codes: {differ} of {of} do not share an address as their codes do; give the file that was encoded"
    )]
    OtherPeople { people: String, differ: usize, of: usize },
    #[error(
        "all numbers of known pairs are more than half of the {people} people in the sample; give fewer with --known"
    )]
    NoKnown { people: usize },
    #[error("{name}: has changed while it was read; start again when nobody writes it")]
    Changed { name: String },
}

/// Files of codes, read once for statistics. The codes themselves are not kept.
pub struct CodeFiles {
    pub header: CodeHeader,
    pub statistics: Statistics,
    /// Name and records of each file.
    pub files: Vec<(String, u64)>,
    paths: Vec<PathBuf>,
    /// Who has codes, in the order of the files.
    listed: Vec<Listed>,
    profile: Profile,
}

struct Listed {
    id: String,
    address: Option<AddressToken>,
    file: usize,
}

/// A person with codes.
pub struct Person {
    pub resident: Resident,
    pub address: Option<AddressToken>,
}

/// The people with codes, and who was left out.
pub struct Matched {
    pub people: Vec<Person>,
    adults_without_codes: usize,
    /// Files of others than these people.
    others: Vec<String>,
}

impl CodeFiles {
    /// Reads files of one salt.
    ///
    /// # Errors
    /// [`InputError`] or [`FileError`], naming file and line.
    pub fn read(paths: &[PathBuf], profile: &Profile) -> anyhow::Result<Self> {
        let mut statistics = Statistics::new(profile.passes.iter().map(|pass| pass.code_bits));
        let (mut listed, mut files, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let mut first: Option<(CodeHeader, String)> = None;
        for (at, path) in paths.iter().enumerate() {
            let name = name_of(path);
            let (mut records, before) = (0_u64, listed.len());
            for (line, record) in lines(path, &name)?.enumerate() {
                let (record, line) = (record?, line + 1);
                if let Some(header) = &record.header {
                    same_header(header, &name, &mut first, profile)?;
                }
                if !seen.insert(record.id.clone()) {
                    return Err(InputError::Twice { name: name.clone(), line }.into());
                }
                let (id, address) = (record.id.clone(), record.address);
                let passes = passes(record, profile).map_err(|source| InputError::Record {
                    name: name.clone(),
                    line,
                    source,
                })?;
                statistics.count(&passes, address);
                if !passes.is_empty() {
                    listed.push(Listed { id, address, file: at });
                }
                records += 1;
            }
            match (records, listed.len() - before) {
                (0, _) => return Err(InputError::Empty { name }.into()),
                (_, 0) => return Err(InputError::NoCodes { name }.into()),
                _ => files.push((name, records)),
            }
        }
        let (header, _) = first.expect("every file has a first record, and that a header");
        Ok(Self { header, statistics, files, paths: paths.to_vec(), listed, profile: profile.clone() })
    }

    /// Joins the codes with the people that they were made of. Files of nobody among them are for statistics only.
    ///
    /// # Errors
    /// [`InputError`] if some of a file are among them and others are not, or nobody is.
    pub fn match_people(&self, path: &Path, is_adult: impl Fn(&Resident) -> bool) -> anyhow::Result<Matched> {
        let mut residents: HashMap<String, Resident> =
            read::residents(path)?.into_iter().map(|resident| (resident.id.clone(), resident)).collect();
        let (mut people, mut found, mut missing) = (Vec::new(), vec![0; self.files.len()], vec![0; self.files.len()]);
        for listed in &self.listed {
            if let Some(resident) = residents.remove(&listed.id) {
                found[listed.file] += 1;
                people.push(Person { resident, address: listed.address });
            } else {
                missing[listed.file] += 1;
            }
        }
        if people.is_empty() {
            return Err(InputError::Strangers { people: name_of(path) }.into());
        }
        let names = self.files.iter().map(|(name, _)| name);
        let mut others = Vec::new();
        for (name, (found, missing)) in names.zip(found.into_iter().zip(missing)) {
            match (found, missing) {
                (_, 0) => {}
                (0, _) => others.push(name.clone()),
                _ => {
                    let (name, people) = (name.clone(), name_of(path));
                    return Err(InputError::Missing { name, people, missing, records: found + missing }.into());
                }
            }
        }
        let differ = living_elsewhere(&people);
        if differ > 0 {
            return Err(InputError::OtherPeople { people: name_of(path), differ, of: people.len() }.into());
        }
        let adults_without_codes = residents.values().filter(|resident| is_adult(resident)).count();
        Ok(Matched { people, adults_without_codes, others })
    }

    /// First variants of the codes of some people, `[pass][person]`. Reads the files again.
    ///
    /// # Errors
    /// [`InputError::Changed`] if they are no longer there.
    pub fn codes_of(&self, people: &[&Person]) -> anyhow::Result<Vec<Vec<Code>>> {
        let places: HashMap<&str, usize> =
            people.iter().enumerate().map(|(at, person)| (person.resident.id.as_str(), at)).collect();
        let mut found: Vec<Option<Vec<Code>>> = vec![None; people.len()];
        for path in &self.paths {
            let name = name_of(path);
            for record in lines(path, &name)? {
                let record = record?;
                let Some(&place) = places.get(record.id.as_str()) else { continue };
                let passes = passes(record, &self.profile).map_err(|_| InputError::Changed { name: name.clone() })?;
                found[place] = Some(passes.into_iter().filter_map(|variants| variants.into_iter().next()).collect());
            }
        }
        let whole: Option<Vec<Vec<Code>>> = found.into_iter().collect();
        let whole = whole.filter(|people| people.iter().all(|passes| passes.len() == self.profile.passes.len()));
        Ok(super::by_pass(whole.ok_or_else(|| InputError::Changed { name: self.files[0].0.clone() })?))
    }
}

impl Matched {
    /// What the reader has to know about who is in the report.
    pub fn notes(&self) -> Vec<String> {
        let without = (self.adults_without_codes > 0).then(|| {
            format!(
                "{} adults in the file of people have no codes, so they are in no figure.",
                self.adults_without_codes
            )
        });
        let others =
            self.others.iter().map(|name| format!("{name}: of other people; its codes are in the statistics only."));
        without.into_iter().chain(others).collect()
    }
}

/// How many do not stand at one address in the file of people with those whose codes have the same address token. Ids
/// alone say little: every export may count from one.
fn living_elsewhere(people: &[Person]) -> usize {
    let (mut tokens, mut places) = (HashMap::new(), HashMap::new());
    let differs = |person: &&Person| {
        let place = person.resident.person.address.as_ref().and_then(Address::key);
        match (place, person.address) {
            (Some(place), Some(token)) => {
                let known = tokens.entry(place.clone()).or_insert(token);
                *known != token || *places.entry(token).or_insert(place.clone()) != place
            }
            (place, token) => place.is_some() != token.is_some(),
        }
    };
    people.iter().filter(differs).count()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn lines<'a>(
    path: &Path,
    name: &'a str,
) -> Result<impl Iterator<Item = Result<Line, FileError>> + use<'a>, InputError> {
    let file = File::open(path).map_err(|source| InputError::Io { name: name.to_owned(), source })?;
    Ok(file::read(BufReader::new(file), name))
}

/// The codes by pass; none of a minor.
fn passes(record: Line, profile: &Profile) -> Result<Vec<Vec<Code>>, LineError> {
    let is_minor = record.codes.is_empty() && record.groups.contains(&crate::code::Group::Minor);
    if is_minor { Ok(Vec::new()) } else { record.into_codes(profile).map(|codes| codes.passes) }
}

fn same_header(
    header: &CodeHeader,
    name: &str,
    first: &mut Option<(CodeHeader, String)>,
    profile: &Profile,
) -> Result<(), InputError> {
    let Some((want, first)) = first else {
        if header.profile != profile.id || header.schema_hash != profile.schema_hash() {
            return Err(InputError::Profile { name: name.to_owned() });
        }
        *first = Some((header.clone(), name.to_owned()));
        return Ok(());
    };
    let differs = [
        ("profile", header.profile != want.profile),
        ("schema hash", header.schema_hash != want.schema_hash),
        ("epoch", header.epoch != want.epoch),
        ("key-check value", header.key_check != want.key_check),
    ];
    match differs.into_iter().find(|(_, differs)| *differs) {
        Some((what, _)) => Err(InputError::Mixed { name: name.to_owned(), first: first.clone(), what }),
        None => Ok(()),
    }
}
