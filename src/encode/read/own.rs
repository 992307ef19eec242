//! Residents and members of the care list in this program's own columns. One column says who has a disclosure
//! restriction, as the register has it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::register::{Entry, LeftOut, Listed, Restricted, Standing, select};
use super::rows::{Columns, Open, Row};
use super::{Chunks, LineError, ReadError, collect, common, named, open};
use crate::encode::{CareMember, Person, Resident};

/// Element 70.10: empty or 0 is none, every other value is a restriction.
const RESTRICTION: &str = "indicatie_geheim";

/// Residents of the population register (`brp.csv`), without those who have a disclosure restriction and their
/// households. A column `bsn` is read past and never kept.
///
/// # Errors
/// [`ReadError`]: nothing is returned if one line is bad or nobody remains.
pub fn residents(path: &Path) -> Result<Vec<Resident>, ReadError> {
    Ok(residents_listed(path, Restricted::LeaveOut)?.people)
}

/// Members of the public mental-health target group (`oggz.csv`), without those who have a disclosure restriction.
///
/// # Errors
/// As [`residents`].
pub fn care_members(path: &Path) -> Result<Vec<CareMember>, ReadError> {
    Ok(care_members_listed(path, Restricted::LeaveOut)?.people)
}

/// [`care_members`] one by one. `name` is what errors call the file.
///
/// # Errors
/// [`ReadError`] about the header; about rows in the iterator.
pub fn care_members_from<R: Read>(
    from: R,
    name: &str,
) -> Result<impl Iterator<Item = Result<CareMember, LineError>> + use<R>, ReadError> {
    let open = care_rows(from, name)?.filter(|row| row.as_ref().map_or(true, |entry| !entry.standing.restricted));
    Ok(open.map(|row| row.map(Entry::into_care_member)))
}

/// [`residents`] some at a time, and who was left out. A file that marks no restrictions is read as it goes; another one
/// whole first, because a restriction anywhere in it takes its household along.
///
/// # Errors
/// [`ReadError`] about the header, or of a file that is read whole; about other rows in the chunks.
pub fn resident_chunks<R: Read + Send + 'static>(
    from: R,
    name: &str,
    restricted: Restricted,
) -> Result<(Chunks<Resident>, LeftOut), ReadError> {
    let (marks, rows) = resident_rows(from, name)?;
    if !marks {
        return Ok((Chunks::new(rows.map(|row| row.map(Entry::into_resident)), name.to_owned()), LeftOut::default()));
    }
    let listed = listed(rows, name, restricted, true)?.map(Entry::into_resident);
    Ok((Chunks::of(listed.people), listed.left_out))
}

pub(super) fn residents_listed(path: &Path, restricted: Restricted) -> Result<Listed<Resident>, ReadError> {
    let (file, name): (File, String) = open(path)?;
    let (_, rows) = resident_rows(file, &name)?;
    Ok(listed(rows, &name, restricted, true)?.map(Entry::into_resident))
}

pub(super) fn care_members_listed(path: &Path, restricted: Restricted) -> Result<Listed<CareMember>, ReadError> {
    let (file, name) = open(path)?;
    Ok(listed(care_rows(file, &name)?, &name, restricted, false)?.map(Entry::into_care_member))
}

fn listed(
    rows: impl Iterator<Item = Result<Entry, LineError>>,
    name: &str,
    restricted: Restricted,
    whole_households: bool,
) -> Result<Listed<Entry>, ReadError> {
    select(collect(rows, name)?, restricted, whole_households).remaining(name)
}

/// Whether the file says who has a restriction, and its rows.
pub(super) fn resident_rows<R: Read>(
    from: R,
    name: &str,
) -> Result<(bool, impl Iterator<Item = Result<Entry, LineError>> + use<R>), ReadError> {
    const COLUMNS: Columns = Columns {
        required: &[
            "person_id",
            "huishouden_id",
            "voornamen",
            "geslachtsnaam",
            "geslacht",
            "geboortedatum",
            "partner_geslachtsnaam",
            "huisnummer",
            "postcode",
        ],
        optional: &[
            "bsn",
            "adres_id",
            "naamgebruik",
            "voorvoegsel",
            "partner_voorvoegsel",
            "rol",
            "straat",
            "huisletter",
            "toevoeging",
            "woonplaats",
            RESTRICTION,
        ],
        any_other: false,
        refuse_bsn: false,
        short_years: false,
        key: &["person_id"],
    };
    let open = Open::new(from, name, &COLUMNS)?;
    let marks = open.has(RESTRICTION);
    let rows = open.rows(|row| {
        Ok(Entry {
            id: row.needed("person_id")?.to_owned(),
            lives_at: Some(row.needed("huishouden_id")?.to_owned()),
            person: Person {
                given_names: row.text("voornamen").to_owned(),
                infix: row.text("voorvoegsel").to_owned(),
                surname: row.text("geslachtsnaam").to_owned(),
                partner_infix: row.text("partner_voorvoegsel").to_owned(),
                partner_surname: row.text("partner_geslachtsnaam").to_owned(),
                ..common(row)?
            },
            standing: standing(row),
        })
    });
    Ok((marks, rows))
}

fn care_rows<R: Read>(
    from: R,
    name: &str,
) -> Result<impl Iterator<Item = Result<Entry, LineError>> + use<R>, ReadError> {
    const COLUMNS: Columns = Columns {
        required: &["oggz_id", "voornaam", "achternaam", "geboortedatum", "huisnummer", "postcode"],
        optional: &["tussenvoegsel", "geslacht", "straat", "toevoeging", "woonplaats", RESTRICTION],
        any_other: false,
        refuse_bsn: false,
        short_years: true,
        key: &["oggz_id"],
    };
    Ok(Open::new(from, name, &COLUMNS)?.rows(|row| {
        let id = row.needed("oggz_id")?.to_owned();
        Ok(Entry { id, person: named(row)?, lives_at: None, standing: standing(row) })
    }))
}

fn standing(row: &Row) -> Standing {
    Standing::new("", "", row.text(RESTRICTION))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESIDENTS: &str = "person_id,huishouden_id,voornamen,geslachtsnaam,geslacht,geboortedatum,\
                             partner_geslachtsnaam,huisnummer,postcode,indicatie_geheim\n\
                             parent,H1,Jan,Berg,M,19670916,,1,1011AB,\nchild,H1,Piet,Berg,M,20100101,,1,1011AB,7\n\
                             alone,H2,Ali,Kaya,M,19670916,,2,1011AB,0\n";

    fn read(text: &str, restricted: Restricted) -> Result<(Vec<String>, LeftOut), ReadError> {
        let from = std::io::Cursor::new(text.to_owned());
        let (mut chunks, left_out) = resident_chunks(from, "brp.csv", restricted)?;
        let ids = chunks.next_chunk(9).into_iter().map(|one| one.id).collect();
        chunks.finish()?;
        Ok((ids, left_out))
    }

    #[test]
    fn who_has_a_disclosure_restriction_is_left_out_with_the_household() {
        let want = LeftOut { restricted: 1, with_restricted: 1, ..LeftOut::default() };
        assert_eq!(read(RESIDENTS, Restricted::LeaveOut).unwrap(), (vec!["alone".into()], want));
        let all = ["parent", "child", "alone"].map(String::from);
        assert_eq!(read(RESIDENTS, Restricted::Keep).unwrap(), (all.to_vec(), LeftOut::default()));
        // A code that nobody knows restricts; without the column, nobody has one.
        assert_eq!(read(&RESIDENTS.replace(",7\n", ",?\n"), Restricted::LeaveOut).unwrap().1, want);
        let without: String =
            RESIDENTS.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n").collect();
        assert_eq!(read(&without, Restricted::LeaveOut).unwrap(), (all.to_vec(), LeftOut::default()));
        let nobody = RESIDENTS.replace(",0\n", ",1\n");
        assert!(matches!(read(&nobody, Restricted::LeaveOut), Err(ReadError::NobodyRemains { .. })));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("brp.csv");
        std::fs::write(&file, RESIDENTS).unwrap();
        assert_eq!(residents(&file).unwrap().iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["alone"]);
        assert_eq!(residents_listed(&file, Restricted::LeaveOut).unwrap().left_out, want);
    }

    #[test]
    fn a_care_list_leaves_the_person_out() {
        let text = "oggz_id,voornaam,achternaam,geboortedatum,huisnummer,postcode,indicatie_geheim\n\
                    o1,Jan,Berg,19670916,1,1011AB,1\no2,Piet,Berg,19670916,1,1011AB,\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("oggz.csv");
        std::fs::write(&file, text).unwrap();
        let listed = care_members_listed(&file, Restricted::LeaveOut).unwrap();
        assert_eq!((listed.people.len(), listed.left_out.restricted), (1, 1));
        assert_eq!(care_members_listed(&file, Restricted::Keep).unwrap().people.len(), 2);
        assert_eq!(care_members_from(text.as_bytes(), "oggz.csv").unwrap().count(), 1);
    }
}
