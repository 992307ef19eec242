use super::*;
use crate::encode::{BirthDate, Resident, Statements};

const BRP: &str = "person_id,bsn,huishouden_id,adres_id,voornamen,voorvoegsel,geslachtsnaam,geslacht,geboortedatum,\
naamgebruik,partner_voorvoegsel,partner_geslachtsnaam,rol,straat,huisnummer,huisletter,toevoeging,postcode,woonplaats\n\
P1,123456782,H1,A1,Jan Piet,van den,Berg,M,19670916,E,,Vries,partner,Straat,113,A,1,1011AB,Plaats\n";
const HUUR: &str = "contract_id,volgnr,corporatie,voorletters,achternaam,geslacht,geboortedatum,huisnummer,postcode\n";
const STOCK: &str = "vhe,postcode,huisnummer\n";

fn read_tenants(text: impl AsRef<[u8]>) -> Result<Vec<Tenant>, ReadError> {
    let rows = tenants_from(text.as_ref(), "huurders.csv")?;
    collect(rows, "huurders.csv")
}

fn tenant_lines(rows: &str) -> Vec<LineError> {
    match read_tenants(format!("{HUUR}{rows}")) {
        Err(ReadError::Lines { lines, .. }) => lines,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_resident_is_read_and_the_bsn_is_not_kept() {
    let rows = own::resident_rows(BRP.as_bytes(), "brp.csv").unwrap().1;
    let Resident { id, household, person } = &rows.map(|row| row.unwrap().into_resident()).next().unwrap();
    assert_eq!((id.as_str(), household.as_str()), ("P1", "H1"));
    assert_eq!((person.given_names.as_str(), person.infix.as_str()), ("Jan Piet", "van den"));
    assert_eq!((person.surname.as_str(), person.partner_surname.as_str()), ("Berg", "Vries"));
    assert_eq!(person.birth, BirthDate::parse("19670916").unwrap());
    let address = person.address.as_ref().unwrap();
    assert_eq!((address.postcode(), address.number(), address.suffix()), ("1011AB", 113, "A1"));
}

#[test]
fn a_register_s_year_of_two_digits_is_refused_and_a_list_s_is_unknown_if_it_may_be_a_child_s() {
    let resident = |birth: &str| {
        let text = BRP.replace("19670916", birth);
        own::resident_rows(text.as_bytes(), "brp.csv").unwrap().1.next().unwrap().map(drop)
    };
    for (birth, problem) in
        [("05-03-14", BadDate::ShortYear), ("16-09-67", BadDate::ShortYear), ("20991231", BadDate::Future)]
    {
        let error = resident(birth).unwrap_err();
        let want = LineError { line: 2, column: Some("geboortedatum"), problem: problem.into() };
        assert_eq!(error, want, "{birth}");
    }
    assert!(resident("05-03-2014").is_ok());
    let members = |birth: &str| {
        let header = "oggz_id,voornaam,achternaam,geboortedatum,huisnummer,postcode";
        let text = format!("{header}\nO1,Jan,Berg,{birth},5,1011AB\n");
        care_members_from(text.as_bytes(), "oggz.csv").unwrap().next().unwrap().unwrap().person.birth
    };
    for (birth, year) in [("16-09-67", Some(1967)), ("05-03-14", None), ("20991231", Some(2099))] {
        let tenants = read_tenants(format!("{HUUR}K1,1,C1,J,Berg,M,{birth},5,1011AB\n")).unwrap();
        assert_eq!((tenants[0].person.birth.year, members(birth).year), (year, year), "{birth}");
    }
}

#[test]
fn a_byte_order_mark_and_any_order_of_columns_are_accepted() {
    let text = "\u{feff}postcode,volgnr,contract_id,corporatie,voorletters,achternaam,geboortedatum,huisnummer\r\n1011 AB,2,K1,C1,J.,Berg,,5\r\n";
    let tenants = read_tenants(text).unwrap();
    assert_eq!((tenants[0].id(), tenants[0].person.surname.as_str()), ("K1/2".to_owned(), "Berg"));
    assert_eq!(tenants[0].person.birth, BirthDate::default());
}

#[test]
fn a_header_that_is_wrong_is_refused() {
    let error = |text: &[u8]| read_tenants(text).unwrap_err();
    assert!(matches!(error(b""), ReadError::Empty { .. }));
    assert!(matches!(error(HUUR.as_bytes()), ReadError::NoRows { .. }));
    assert!(matches!(error(HUUR.replace(',', ";").as_bytes()), ReadError::Delimiter { found: "semicolons", .. }));
    assert!(matches!(error(HUUR.replace(',', "\t").as_bytes()), ReadError::Delimiter { found: "tabs", .. }));
    let missing = error(HUUR.replace("geboortedatum,", "").as_bytes());
    assert!(matches!(missing, ReadError::MissingColumn { column: "geboortedatum", .. }));
    let unknown = error(HUUR.replace("corporatie", "bsn").as_bytes());
    assert!(matches!(unknown, ReadError::UnknownColumn { position: 3, .. }), "{unknown}");
    let twice = error(HUUR.replace("geslacht,", "volgnr,").as_bytes());
    assert!(matches!(twice, ReadError::TwiceColumn { column: "volgnr", .. }));
    assert!(matches!(error(b"contract_id,\xe9\n"), ReadError::HeaderEncoding { .. }));
    assert!(matches!(tenants(Path::new("/nowhere/huurders.csv")), Err(ReadError::Io { .. })));
}

#[test]
fn every_bad_value_is_named_by_line_and_column_and_never_repeated() {
    for (row, column, problem) in [
        ("K1,1,C1,J,Geheim,M,32-04-1980,5,1011AB", Some("geboortedatum"), Problem::Date(BadDate::Form)),
        ("K1,1,C1,J,Geheim,M,,0,1011AB", Some("huisnummer"), Problem::Address(BadAddress::Number)),
        ("K1,1,C1,J,Geheim,M,,5,Geheim", Some("postcode"), Problem::Address(BadAddress::Postcode)),
        ("K1,1,C1,J,Geheim,Geheim,,5,1011AB", Some("geslacht"), Problem::Sex),
        ("K1,een,C1,J,Geheim,M,,5,1011AB", Some("volgnr"), Problem::Number),
        (",1,C1,J,Geheim,M,,5,1011AB", Some("contract_id"), Problem::Empty),
        ("K1,1,C1,J,123456782,M,,5,1011AB", Some("achternaam"), Problem::Bsn),
        ("K1,1,C1,1234.56.782,Geheim,M,,5,1011AB", Some("voorletters"), Problem::Bsn),
        ("K1,1,C1,J,BSN １２３ ４５６ ７８２,M,,5,1011AB", Some("achternaam"), Problem::Bsn),
        ("K1,1,C1,J,\"Geheim\nniet\",M,,5,1011AB", Some("achternaam"), Problem::Control),
        ("K1,1,C1,J,Geheim\u{7},M,,5,1011AB", Some("achternaam"), Problem::Control),
        ("K1,1,C1,J,Geheim,M,5,1011AB", None, Problem::Ragged { want: 9, got: 8 }),
        (&format!("K1,1,C1,J,{},M,,5,1011AB", "Geheim".repeat(40)), Some("achternaam"), Problem::TooLong),
    ] {
        let lines = tenant_lines(&format!("K0,1,C1,J,Jansen,M,,5,1011AB\n{row}\n"));
        assert_eq!(lines, [LineError { line: 3, column, problem }]);
        assert!(!lines[0].to_string().contains("Geheim"));
    }
}

#[test]
fn a_file_from_windows_has_the_same_line_numbers() {
    let rows = format!("{HUUR}K1,1,C1,J,Jansen,M,,5,1011AB\nK2,1,C1,J,Jansen,?,,5,1011AB\n").replace('\n', "\r\n");
    let Err(ReadError::Lines { lines, .. }) = read_tenants(rows) else { panic!("read") };
    assert_eq!(lines[0].line, 3);
}

#[test]
fn nine_digits_that_are_no_bsn_are_no_bsn() {
    let rows = format!("{HUUR}K1,1,C1,J,123456789,M,,5,1011AB\nK000000001,1,C1,J,Jansen,M,,5,1011AB\n");
    assert_eq!(read_tenants(rows).unwrap().len(), 2);
}

#[test]
fn latin_1_is_refused_with_its_column() {
    let mut text = HUUR.as_bytes().to_vec();
    text.extend(b"K1,1,C1,J,Andr\xe9,M,,5,1011AB\n");
    let Err(ReadError::Lines { lines, .. }) = read_tenants(text) else { panic!("Latin-1 was read") };
    assert_eq!(lines, [LineError { line: 2, column: Some("achternaam"), problem: Problem::Encoding }]);
}

#[test]
fn a_duplicate_names_both_lines() {
    let row = "K1,1,C1,J,Jansen,M,,5,1011AB\n";
    let other = "K1,2,C1,J,Jansen,M,,5,1011AB\n";
    let lines = tenant_lines(&format!("{row}{other}{row}"));
    let problem = Problem::Duplicate { first: 2 };
    assert_eq!(lines, [LineError { line: 4, column: Some("contract_id"), problem }]);
}

#[test]
fn all_bad_lines_are_counted_and_twenty_are_named() {
    let bad: String = (0..30).map(|i| format!("K{i},1,C1,J,Jansen,?,,5,1011AB\n")).collect();
    let Err(ReadError::Lines { lines, total, .. }) = read_tenants(format!("{HUUR}{bad}")) else { panic!("read") };
    assert_eq!((lines.len(), total, lines[19].line), (20, 30, 21));
    let error = ReadError::Lines { name: "huurders.csv".into(), lines, total };
    assert!(error.to_string().starts_with("huurders.csv: 30 bad lines"));
    assert!(error.to_string().contains("\n  line 2, column geslacht: "));
}

#[test]
fn arrears_have_months_and_maybe_a_day() {
    let read = |rows: &str| {
        let text = format!("contract_id,maanden,bedrag,meld_datum\n{rows}");
        arrears_from(text.as_bytes(), "a.csv").unwrap().collect::<Result<Vec<_>, _>>()
    };
    let rows = read("K1,2,760.88,2025-12-31\nK2,1.5,,\n").unwrap();
    assert_eq!(rows[0].reported, Some(time::macros::date!(2025 - 12 - 31)));
    assert!((rows[1].months - 1.5).abs() < f64::EPSILON && rows[1].reported.is_none());
    assert_eq!(rows[0].said, Statements::default());
    let said = "contract_id,maanden,instemming,bezwaar,persoonlijk_contact\nK1,2,ja,ja,NEE\nK2,2,,nee,\n";
    let said = arrears_from(said.as_bytes(), "a.csv").unwrap().map(|row| row.unwrap().said).collect::<Vec<_>>();
    let (yes, no) = (Some(true), Some(false));
    let first = Statements { tenant_agrees: yes, no_objection: no, personal_contact: no, ..Statements::default() };
    assert_eq!(said, [first, Statements { no_objection: yes, ..Statements::default() }]);
    for (row, column) in [("K1,NaN,,", "maanden"), ("K1,-1,,", "maanden"), ("K1,2,,2025-12-00", "meld_datum")] {
        assert_eq!(read(row).unwrap_err().column, Some(column), "{row}");
    }
}

#[test]
fn households_are_in_the_order_of_their_arrears_and_all_have_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let (tenants, arrears) = (folder.path().join("t.csv"), folder.path().join("a.csv"));
    let row = |contract: &str, number: u8| format!("{contract},{number},C1,J,Jansen,M,,5,1011AB\n");
    let rows = [row("K1", 1), row("K2", 2), row("K3", 1), row("K2", 1)].concat();
    std::fs::write(&tenants, format!("{HUUR}{rows}")).unwrap();
    let among = |rows: &str| {
        std::fs::write(&arrears, format!("contract_id,maanden\n{rows}")).unwrap();
        households(&arrears, super::tenants(&tenants).unwrap())
    };
    let found = among("K2,3\nK1,2\n").unwrap();
    let ids = found.iter().map(|(_, tenants)| tenants.iter().map(Tenant::id).collect::<Vec<_>>());
    assert_eq!(ids.collect::<Vec<_>>(), [vec!["K2/2", "K2/1"], vec!["K1/1"]]);
    let Err(ReadError::Lines { lines, .. }) = among("K1,2\nK9,3\n") else { panic!("K9 has no tenants") };
    assert_eq!(lines, [LineError { line: 3, column: Some("contract_id"), problem: Problem::NoTenants }]);
}

#[test]
fn a_dwelling_needs_an_address_and_may_have_other_columns() {
    let read = |rows: &str| {
        let text = format!("{STOCK}{rows}");
        stock_from(text.as_bytes(), "s.csv").unwrap().collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(read("V1,1011 AB,5\nV2,1011AB,5\n").unwrap().len(), 2);
    assert_eq!(read("V1,,5\n").unwrap_err().column, Some("postcode"));
    assert_eq!(read("V1,1011AB,\n").unwrap_err().column, Some("huisnummer"));
}

#[test]
fn a_care_member_without_address_is_read() {
    let text = "oggz_id,voornaam,achternaam,geboortedatum,huisnummer,postcode\nO1,Jan,Berg,1964-12-19,,\n";
    let rows = care_members_from(text.as_bytes(), "o.csv").unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert!(rows[0].person.address.is_none());
}
