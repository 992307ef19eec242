//! The forms that files of people come in, and which of them each custodian can have.

use std::fmt;
use std::path::Path;

use super::own::{care_members_listed, residents_listed};
use super::register::{Element, Entry, Listed, NUMBERS, Restricted, select, table_35};
use super::{ReadError, brp, gbav, open, tenants, vera};
use crate::encode::{CareMember, Resident, Tenant};

/// Form of a file of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// This program's own CSV columns.
    #[default]
    Csv,
    /// Person lists of the population register, as GBA-V exports them.
    Gbav,
    /// Persons of the BRP API Personen.
    BrpJson,
    /// Tenancy agreements, persons and dwellings of a corporation.
    Vera,
}

impl Format {
    /// Whether ids in such files are numbers of the register. They are in no output.
    pub fn has_register_numbers(self) -> bool {
        self == Self::BrpJson
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "csv",
            Self::Gbav => "gbav",
            Self::BrpJson => "brp-json",
            Self::Vera => "vera",
        })
    }
}

/// Why people cannot be read in this form.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("{what} cannot come as {format}: {why}; choose another --format")]
    Format { what: &'static str, format: Format, why: &'static str },
    #[error(transparent)]
    File(#[from] ReadError),
}

const NO_TENANTS: &str = "a corporation has no ground to hold an extract of the population register";
const NO_RESIDENTS: &str = "it is what corporations know of their tenants";

/// Residents, but for those who are left out.
///
/// # Errors
/// [`Unreadable`]: nothing is returned if one record is bad or nobody remains.
pub fn residents_in(path: &Path, format: Format, restricted: Restricted) -> Result<Listed<Resident>, Unreadable> {
    if format == Format::Csv {
        return Ok(residents_listed(path, restricted)?);
    }
    let listed = register(path, format, "residents", restricted, true)?;
    Ok(listed.map(Entry::into_resident))
}

/// Members of the public mental-health target group, but for those who are left out.
///
/// # Errors
/// As [`residents_in`].
pub fn care_members_in(path: &Path, format: Format, restricted: Restricted) -> Result<Listed<CareMember>, Unreadable> {
    if format == Format::Csv {
        return Ok(care_members_listed(path, restricted)?);
    }
    let listed = register(path, format, "a care list", restricted, false)?;
    Ok(listed.map(Entry::into_care_member))
}

/// A corporation's tenants, but for the dead.
///
/// # Errors
/// As [`residents_in`].
pub fn tenants_in(path: &Path, format: Format) -> Result<Listed<Tenant>, Unreadable> {
    match format {
        Format::Csv => Ok(Listed::all(tenants(path)?)),
        Format::Vera => {
            let (file, name) = open(path)?;
            Ok(vera::tenants(file, &name)?.remaining(&name)?)
        }
        Format::Gbav | Format::BrpJson => Err(Unreadable::Format { what: "tenants", format, why: NO_TENANTS }),
    }
}

fn register(
    path: &Path,
    format: Format,
    what: &'static str,
    restricted: Restricted,
    whole_households: bool,
) -> Result<Listed<Entry>, Unreadable> {
    let (file, name) = match format {
        Format::Gbav | Format::BrpJson => open(path)?,
        Format::Csv | Format::Vera => return Err(Unreadable::Format { what, format, why: NO_RESIDENTS }),
    };
    let (entries, earlier_lines) = match format {
        Format::Gbav => gbav::entries(file, &name)?,
        _ => (brp::entries(file, &name)?, 0),
    };
    let listed = Listed { earlier_lines, ..select(entries, restricted, whole_households) };
    Ok(listed.remaining(&name)?)
}

/// What is read of a file of people, a line each: of a register the element with its number and name, as table 35
/// lists it and where the file has it, apart by tabs.
pub fn fields(format: Format) -> Vec<String> {
    let line = |label: &str, place: &str| format!("{label}\t{}\t{place}", table_35(label));
    let elements = |place: fn(Element) -> Option<String>| {
        Element::ALL.into_iter().filter_map(move |element| Some(line(element.label(), &place(element)?)))
    };
    match format {
        Format::Csv => elements(|element| element.column().map(str::to_owned)).collect(),
        Format::Gbav => elements(|element| Some(element.label()[..8].to_owned())).collect(),
        Format::BrpJson => {
            let [(own, own_place), (service, service_place)] = NUMBERS;
            let numbers = [line(own, own_place), line(service, &format!("{service_place} (without {own_place})"))];
            numbers.into_iter().chain(elements(|element| Some(places(element)))).collect()
        }
        Format::Vera => vera::MEMBERS.iter().map(|member| (*member).to_owned()).collect(),
    }
}

/// Where a person of the BRP API Personen has an element, and where else.
fn places(element: Element) -> String {
    match element.else_at() {
        [] => element.path().to_owned(),
        others => format!("{} (else {})", element.path(), others.join(", ")),
    }
}
