//! Files of registers and corporations' systems, read as a user reads them: through the room's face and through
//! `voorrang encode --format`. `data/README.md` says what is in the examples.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;
use voorrang::encode::read::{
    Format, LeftOut, ReadError, Restricted, Unreadable, care_members_in, residents_in, tenants_in,
};
use voorrang::encode::{BirthDate, Resident};

const CANARY: &str = "Geheimschrijver";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn residents(name: &str, format: Format, restricted: Restricted) -> (Vec<Resident>, LeftOut) {
    let listed = residents_in(&data(name), format, restricted).unwrap();
    (listed.people, listed.left_out)
}

fn ids(people: &[Resident]) -> Vec<&str> {
    people.iter().map(|resident| resident.id.as_str()).collect()
}

fn of<'a>(people: &'a [Resident], id: &str) -> &'a Resident {
    people.iter().find(|resident| resident.id == id).unwrap()
}

/// Writes a changed copy of an example.
fn changed(folder: &TempDir, name: &str, from: &str, to: &str) -> PathBuf {
    let text = fs::read_to_string(data(name)).unwrap();
    assert!(text.contains(from), "{from}");
    let path = folder.path().join(name);
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    path
}

#[test]
fn a_gba_v_export_has_its_people_and_leaves_out_who_does_not_belong() {
    let (people, left_out) = residents("gbav.csv", Format::Gbav, Restricted::LeaveOut);
    assert_eq!(ids(&people), ["VB_01", "VB_02", "VB_03", "VB_04", "VB_08", "VB_10", "VB_11"]);
    let want = LeftOut { restricted: 1, with_restricted: 1, deceased: 1, emigrated: 1, suspended: 1 };
    assert_eq!(left_out, want);
    let anna = &of(&people, "VB_01").person;
    let names = [&anna.given_names, &anna.surname, &anna.partner_surname].map(String::as_str);
    assert_eq!(names, ["Anna Maria", "Jansen", "Vries"], "of the first line, not of an earlier state");
    assert_eq!(anna.birth, BirthDate::parse("19800305").unwrap());
    let address = anna.address.as_ref().unwrap();
    assert_eq!((address.postcode(), address.number(), address.suffix()), ("1011AB", 12, "A"));
    assert_eq!(of(&people, "VB_04").person.birth, BirthDate::default());
    assert_eq!(of(&people, "VB_10").person.surname, "", "a dot is an unknown name");
}

#[test]
fn who_lives_at_the_same_whole_address_is_one_household() {
    let (people, _) = residents("gbav.csv", Format::Gbav, Restricted::LeaveOut);
    let household = |id| &of(&people, id).household;
    assert_eq!(household("VB_01"), household("VB_02"));
    assert_eq!(household("VB_01"), household("VB_03"));
    let others = ["VB_01", "VB_04", "VB_08", "VB_10", "VB_11"].map(household);
    assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), 5, "opposite a number, and only for letters, is apart");
}

#[test]
fn people_with_a_restriction_are_read_on_a_legal_basis_only() {
    let (people, left_out) = residents("gbav.csv", Format::Gbav, Restricted::Keep);
    assert!(ids(&people).contains(&"VB_05") && ids(&people).contains(&"VB_06"));
    assert_eq!((people.len(), left_out.restricted, left_out.with_restricted, left_out.total()), (9, 0, 0, 3));
    let care = care_members_in(&data("gbav.csv"), Format::Gbav, Restricted::LeaveOut).unwrap();
    assert_eq!((care.people.len(), care.left_out.restricted, care.left_out.with_restricted), (8, 1, 0));
}

#[test]
fn a_response_of_the_brp_api_has_every_kind_of_date_and_residence() {
    let (people, left_out) = residents("brp.json", Format::BrpJson, Restricted::LeaveOut);
    assert_eq!(people.len(), 5);
    assert_eq!(left_out, LeftOut { restricted: 1, with_restricted: 1, deceased: 1, emigrated: 1, suspended: 0 });
    let parts = |at: usize| {
        let BirthDate { year, month, day } = people[at].person.birth;
        (year, month, day)
    };
    assert_eq!(parts(0), (Some(1980), Some(3), Some(5)));
    assert_eq!(parts(1), (Some(1979), None, None));
    assert_eq!(parts(2), (None, None, None));
    assert_eq!(parts(3), (Some(1985), Some(7), None));
    assert_eq!(parts(4), (Some(1985), Some(8), Some(9)));
    assert_eq!(people[0].household, people[1].household);
    assert_eq!(people[0].person.partner_surname, "Vries");
    assert_eq!((people[1].person.given_names.as_str(), people[1].person.surname.as_str()), ("K.", "Vries"));
    assert!(people[3].person.address.is_none());
    let flat = people[4].person.address.as_ref().unwrap();
    assert_eq!((flat.postcode(), flat.number()), ("1011AE", 20));
}

#[test]
fn the_register_s_own_variant_of_the_api_and_a_document_a_line_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("brp.ndjson");
    let one = json!({"personen": [{"burgerservicenummer": "1", "geboorte": {"datum": "19190000"},
                     "geheimhoudingPersoonsgegevens": 0, "naam": {"geslachtsnaam": "."}}]});
    let other = json!({"burgerservicenummer": "2", "geheimhoudingPersoonsgegevens": 7});
    let dead = json!([{"burgerservicenummer": "3", "overlijden": {"datum": "00000000"}},
                      {"burgerservicenummer": "4", "opschortingBijhouding": {"datum": "20200101"}}]);
    fs::write(&path, format!("{one}\n{other}\n{dead}\n")).unwrap();
    let listed = residents_in(&path, Format::BrpJson, Restricted::LeaveOut).unwrap();
    assert_eq!((listed.people.len(), listed.people[0].person.surname.as_str()), (1, ""));
    assert_eq!(listed.left_out, LeftOut { restricted: 1, deceased: 1, suspended: 1, ..LeftOut::default() });
}

#[test]
fn vera_agreements_bring_their_tenants_and_dwellings() {
    let listed = tenants_in(&data("vera.json"), Format::Vera).unwrap();
    let tenants = &listed.people;
    assert_eq!(tenants.iter().map(|tenant| tenant.id()).collect::<Vec<_>>(), ["K0000001/1", "K0000001/2", "h-2/1"]);
    let first = &tenants[0].person;
    assert_eq!([&first.surname, &first.partner_surname].map(String::as_str), ["Jansen", "Vries"]);
    let addresses = tenants.iter().map(|tenant| tenant.person.address.clone().unwrap());
    let addresses: Vec<_> = addresses.map(|a| format!("{} {}{}", a.postcode(), a.number(), a.suffix())).collect();
    assert_eq!(addresses, ["1011AB 12A", "1011AB 12A", "1011AC 72"]);
    assert_eq!(tenants[1].person.birth, BirthDate::parse("19790101").unwrap());
}

#[test]
fn an_agreement_with_persons_and_dwellings_inside_is_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vera.json");
    let agreement = json!([{"id": "h-1", "idOrganisatie": "C1",
        "relaties": [{"id": "p-1", "achternaam": "Jansen", "overlijdensdatum": "2020-01-01"},
                     {"id": "p-2", "achternaam": "de Vries", "geboortedatum": "1980-01-01"}],
        "eenheden": [{"id": "e-1", "adres": {"huisnummer": "5", "postcode": "1011AB"}}]}]);
    fs::write(&path, agreement.to_string()).unwrap();
    let listed = tenants_in(&path, Format::Vera).unwrap();
    assert_eq!((listed.people.len(), listed.left_out.deceased), (1, 1));
    assert_eq!(listed.people[0].person.address.as_ref().unwrap().number(), 5);
}

#[test]
fn a_citizen_service_number_in_a_corporation_s_json_is_refused_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("\"achternaam\": \"Vries\"", "\"achternaam\": \"1234.56.782\""),
        ("\"voorletters\": \"A.M.\"", "\"bsn\": \"999999999\""),
        ("\"voorletters\": \"A.M.\"", "\"opmerking\": {\"x\": [123456782]}"),
        ("\"idExtern\": \"K0000001\"", "\"idExtern\": \"123456782\""),
    ] {
        let Err(Unreadable::File(error)) = tenants_in(&changed(&folder, "vera.json", from, to), Format::Vera) else {
            panic!("{to} was read");
        };
        let text = error.to_string();
        assert!(text.contains("record 1, ") && text.contains("(BSN)"), "{text}");
        assert!(!text.contains("123456782") && !text.contains("999999999") && !text.contains("1234.56"), "{text}");
    }
}

#[test]
fn every_bad_value_is_named_by_record_and_element_and_never_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for (name, format, from, to, place) in [
        ("gbav.csv", Format::Gbav, "19800305", CANARY, "line 2, column 01.03.10 geboortedatum: no date"),
        (
            "gbav.csv",
            Format::Gbav,
            "19800305",
            "05-03-14",
            "line 2, column 01.03.10 geboortedatum: a year of two digits",
        ),
        (
            "gbav.csv",
            Format::Gbav,
            "19800305",
            "20991231",
            "line 2, column 01.03.10 geboortedatum: a day that is still",
        ),
        ("brp.json", Format::BrpJson, "1980-03-05", "05-03-80", "record 1, geboorte.datum: a year of two digits"),
        ("gbav.csv", Format::Gbav, "1011AB", CANARY, "line 2, column 08.11.60 postcode: no postcode"),
        (
            "gbav.csv",
            Format::Gbav,
            "VB_02",
            "VB_01",
            "line 5, column 1, the name of the list: the same key as on line 2",
        ),
        ("gbav.csv", Format::Gbav, "Jansen", "Geheim;Geheim", "line 2: "),
        ("gbav.csv", Format::Gbav, "VB_01", "", "line 2, column 1, the name of the list: empty"),
        ("brp.json", Format::BrpJson, "1980-03-05", CANARY, "record 1, geboorte.datum: no date"),
        (
            "brp.json",
            Format::BrpJson,
            "\"1011AB\"",
            "\"Geheim\"",
            "record 1, verblijfplaats.verblijfadres.postcode: no",
        ),
        ("brp.json", Format::BrpJson, "\"Wałęsa\"", "[\"Geheim\"]", "record 3, naam.geslachtsnaam: not text"),
        ("brp.json", Format::BrpJson, "1000000003", "1000000001", "record 3, aNummer: the same key as in record 1"),
        ("brp.json", Format::BrpJson, "\"code\": \"M\"", "\"code\": \"Geheim\"", "record 2, geslacht: no sex"),
        ("brp.json", Format::BrpJson, "\"burgerservicenummer\": \"999990020\"", "\"x\": 1", "record 2, aNummer: empty"),
    ] {
        let path = changed(&folder, name, from, to);
        let Err(Unreadable::File(error)) = residents_in(&path, format, Restricted::LeaveOut) else {
            panic!("{place} was read");
        };
        let text = error.to_string();
        assert!(text.contains(place) && text.contains("nothing is done with the file"), "{text}");
        assert!(!text.contains("Geheim") && !text.contains("10000000"), "{text}");
    }
    let empty = folder.path().join("empty.json");
    fs::write(&empty, "{\"personen\": []}").unwrap();
    let error = residents_in(&empty, Format::BrpJson, Restricted::LeaveOut).unwrap_err().to_string();
    assert_eq!(error, "empty.json: has no records; nothing is done with an empty file");
    let broken = changed(&folder, "brp.json", "\"Jansen\"", CANARY);
    let error = residents_in(&broken, Format::BrpJson, Restricted::LeaveOut).unwrap_err().to_string();
    assert!(error.starts_with("brp.json, line ") && !error.contains("Geheim"), "{error}");
}

#[test]
fn a_header_that_is_no_gba_v_export_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = |from: &str, to: &str| {
        let path = changed(&folder, "gbav.csv", from, to);
        match residents_in(&path, Format::Gbav, Restricted::LeaveOut) {
            Err(Unreadable::File(error)) => error,
            other => panic!("{from} {to}: {:?}", other.map(|listed| listed.left_out)),
        }
    };
    assert!(matches!(error(";07.70.10", ";"), ReadError::MissingColumn { column: "07.70.10 indicatie geheim", .. }));
    assert!(matches!(error(";01.01.10", ";01.03.10"), ReadError::TwiceColumn { .. }));
    assert!(matches!(error("\u{feff};", "\u{feff}01.01.10;"), ReadError::NoListColumn { .. }));
    let commas = folder.path().join("commas.csv");
    fs::write(&commas, fs::read_to_string(data("gbav.csv")).unwrap().replace(';', ",")).unwrap();
    let refused = residents_in(&commas, Format::Gbav, Restricted::LeaveOut);
    assert!(matches!(refused, Err(Unreadable::File(ReadError::GbavDelimiter { .. }))));
}

#[test]
fn headers_without_dots_and_columns_in_any_order_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(data("gbav.csv")).unwrap();
    let (header, rows) = text.split_once("\r\n").unwrap();
    let reversed = |line: &str| {
        let mut values: Vec<&str> = line.split(';').collect();
        values[1..].reverse();
        values.join(";")
    };
    let mut lines = vec![reversed(&header.replace('.', ""))];
    lines.extend(rows.lines().map(reversed));
    let path = folder.path().join("gbav.csv");
    fs::write(&path, lines.join("\n")).unwrap();
    let read = |path: &Path| {
        let listed = residents_in(path, Format::Gbav, Restricted::LeaveOut).unwrap();
        let person = |one: Resident| (one.id, one.household, one.person.surname, one.person.address);
        listed.people.into_iter().map(person).collect::<Vec<_>>()
    };
    assert_eq!(read(&path), read(&data("gbav.csv")));
}

/// 687 lists. Of the 2,156 lines 739 have a citizen service number: 685 of the lists, and 54 of the lines that tell
/// an earlier state of somebody whose list is there too.
#[test]
fn the_register_authority_s_test_set_reads_without_a_surprise() {
    // As ./check finds it.
    let shared = std::env::var_os("SHARED").unwrap_or_else(|| "../shared".into());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(shared).join("data/gba-v/testset-gba-v-2022-05-02.csv");
    if !path.exists() {
        eprintln!("skipped: the GBA-V test set is not here");
        return;
    }
    let kept = residents_in(&path, Format::Gbav, Restricted::Keep).unwrap();
    assert_eq!((kept.people.len() + kept.left_out.total(), kept.earlier_lines), (687, 2156 - 687));
    let want = LeftOut { deceased: 21, emigrated: 56, suspended: 22, ..LeftOut::default() };
    assert_eq!(kept.left_out, want);
    let listed = residents_in(&path, Format::Gbav, Restricted::LeaveOut).unwrap();
    // 46 lists have a restriction; 15 of those are suspended.
    assert_eq!(listed.left_out, LeftOut { restricted: 31, with_restricted: 16, ..want });
    assert_eq!((listed.people.len(), kept.people.len()), (541, 588));
    assert!(listed.people.iter().all(|resident| !resident.household.is_empty()));
}

fn encode(folder: &TempDir, kind: &str, input: &Path, more: &[&str]) -> Command {
    fs::write(folder.path().join("salt"), [7; 32]).unwrap();
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("voorrang");
    command.current_dir(folder).args(["encode", kind]).arg(input).args(["--salt-file", "salt", "-o", "out.ndjson"]);
    command.args(["--reference-date", "2026-01-01"]).args(more);
    command
}

fn stderr(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code), &b""[..]), "{stderr}");
    stderr
}

#[test]
fn encode_says_who_was_left_out_and_writes_no_number_of_the_register() {
    let folder = tempfile::tempdir().unwrap();
    let text = stderr(&mut encode(&folder, "population", &data("brp.json"), &["--format", "brp-json"]), 0);
    assert!(text.contains("Read 9 people; 4 left out: 1 with a disclosure restriction, 1 who share"), "{text}");
    let codes = fs::read_to_string(folder.path().join("out.ndjson")).unwrap();
    assert_eq!(codes.lines().count(), 5);
    for number in ["1000000001", "999990020", "aNummer", "burgerservicenummer"] {
        assert!(!codes.contains(number), "{number}");
    }
    let text = stderr(&mut encode(&folder, "population", &data("gbav.csv"), &["--format", "gbav"]), 0);
    assert!(text.contains("Read 12 people; 5 left out") && text.contains("Read past: 2 lines"), "{text}");
    stderr(&mut encode(&folder, "tenants", &data("vera.json"), &["--format", "vera"]), 0);
    stderr(&mut encode(&folder, "care", &data("brp.json"), &["--format", "brp-json"]), 0);
}

#[test]
fn the_same_person_has_the_same_codes_from_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let first = |kind: &str, name: &str, format: &str| -> Value {
        stderr(&mut encode(&folder, kind, &data(name), &["--format", format]), 0);
        let codes = fs::read_to_string(folder.path().join("out.ndjson")).unwrap();
        serde_json::from_str(codes.lines().next().unwrap()).unwrap()
    };
    let gbav = first("population", "gbav.csv", "gbav");
    for other in [first("population", "brp.json", "brp-json"), first("tenants", "vera.json", "vera")] {
        for (pass, codes) in gbav["codes"].as_object().unwrap() {
            // A tenant's line goes on with other ways to read it.
            let codes = codes.as_array().unwrap();
            assert_eq!(*codes, other["codes"][pass].as_array().unwrap()[..codes.len()], "{pass}");
        }
        assert_eq!(gbav["address"], other["address"]);
    }
}

#[test]
fn a_legal_basis_is_said_and_an_empty_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let input = data("gbav.csv");
    let with = |basis, format| {
        stderr(
            &mut encode(&folder, "population", &input, &["--format", format, "--with-restricted", basis]),
            if basis == "art. 1" && format == "gbav" { 0 } else { 2 },
        )
    };
    assert!(with("art. 1", "gbav").contains("on this basis: art. 1."));
    assert!(with(" ", "gbav").contains("wants the article"));
    assert!(with("art. 1", "vera").contains("wants the article"));
}

#[test]
fn a_column_of_our_own_form_says_who_has_a_restriction() {
    let folder = tempfile::tempdir().unwrap();
    let brp = fs::read_to_string(data("../../config/demo/brp.csv")).unwrap();
    let (header, rows) = brp.split_once('\n').unwrap();
    // The second person has one, and a child in the same household.
    let row = |(at, row): (usize, &str)| format!("{row},{}\n", if at == 1 { "7" } else { "" });
    let rows: String = rows.lines().take(3).enumerate().map(row).collect();
    let input = folder.path().join("brp.csv");
    fs::write(&input, format!("{header},indicatie_geheim\n{rows}")).unwrap();
    let text = stderr(&mut encode(&folder, "population", &input, &[]), 0);
    assert!(text.contains("left out: 1 with a disclosure restriction, 1 who share"), "{text}");
    assert_eq!(fs::read_to_string(folder.path().join("out.ndjson")).unwrap().lines().count(), 1);
    let text = stderr(&mut encode(&folder, "population", &input, &["--with-restricted", "art. 1"]), 0);
    assert!(text.contains("on this basis: art. 1.") && !text.contains("left out"), "{text}");
    assert_eq!(fs::read_to_string(folder.path().join("out.ndjson")).unwrap().lines().count(), 3);
}

#[test]
fn a_form_that_a_custodian_cannot_have_is_wrong_use_and_a_bad_file_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, name, format) in
        [("tenants", "brp.json", "brp-json"), ("tenants", "gbav.csv", "gbav"), ("population", "vera.json", "vera")]
    {
        let text = stderr(&mut encode(&folder, kind, &data(name), &["--format", format]), 2);
        assert!(text.contains(&format!("cannot come as {format}")), "{text}");
    }
    let bad = changed(&folder, "brp.json", "1980-03-05", CANARY);
    let text = stderr(&mut encode(&folder, "population", &bad, &["--format", "brp-json"]), 4);
    assert!(text.contains("record 1, geboorte.datum") && !text.contains(CANARY), "{text}");
    assert!(!folder.path().join("out.ndjson").exists());
}

#[test]
fn fields_are_printed_without_a_file_or_a_salt() {
    let lines = |more: &[&str]| {
        let output = assert_cmd::cargo::cargo_bin_cmd!("voorrang").args(["encode", "--fields"]).args(more).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(lines(&[]).starts_with("01.02.10 voornamen\t10210\tvoornamen\n"));
    assert!(lines(&[]).contains("\n07.70.10 indicatie geheim\t77010\tindicatie_geheim\n"));
    assert!(lines(&["--format", "gbav"]).contains("\n07.70.10 indicatie geheim\t77010\t07.70.10\n"));
    assert!(lines(&["--format", "vera"]).contains("NatuurlijkPersoon.geboortedatum\n"));
}
