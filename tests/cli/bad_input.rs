//! Files that are not what they should be, through every command that reads them. Each is refused with exit code 4,
//! by file, line and column, with what to do about it; no value is repeated and nothing is left behind.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use assert_cmd::Command;

use super::*;

/// Rows of the generated file with one bad line.
const MANY: usize = 1_000_000;

const BRP: &[&str] = &[
    "person_id",
    "huishouden_id",
    "voornamen",
    "geslachtsnaam",
    "geslacht",
    "geboortedatum",
    "partner_geslachtsnaam",
    "huisnummer",
    "postcode",
];
const OGGZ: &[&str] = &["oggz_id", "voornaam", "achternaam", "geboortedatum", "huisnummer", "postcode"];
const TENANTS: &[&str] =
    &["contract_id", "volgnr", "corporatie", "voorletters", "achternaam", "geboortedatum", "huisnummer", "postcode"];
const ARREARS: &[&str] = &["contract_id", "maanden", "bedrag", "meld_datum"];

/// One way of a file into the program.
struct Way {
    run: fn(&mut Command),
    file: &'static str,
    columns: &'static [&'static str],
    /// Column whose value is anybody's to choose.
    free: &'static str,
    date: &'static str,
    /// Whether a citizen service number in it is refused.
    refuses_bsn: bool,
}

const WAYS: [Way; 11] = [
    Way::people(encode_population, "brp.csv", BRP, "geslachtsnaam", false),
    Way::people(encode_care, "oggz.csv", OGGZ, "achternaam", false),
    Way::people(encode_tenants, "huurders.csv", TENANTS, "achternaam", true),
    Way::people(evaluate, "brp.csv", BRP, "geslachtsnaam", false),
    Way::people(evaluate, "oggz.csv", OGGZ, "achternaam", false),
    Way::people(evaluate, "huurders.csv", TENANTS, "achternaam", true),
    Way::arrears(evaluate),
    Way::people(load_population, "brp.csv", BRP, "geslachtsnaam", false),
    Way::people(load_care, "oggz.csv", OGGZ, "achternaam", false),
    Way::people(query, "huurders.csv", TENANTS, "achternaam", true),
    Way::arrears(query),
];

impl Way {
    const fn people(
        run: fn(&mut Command),
        file: &'static str,
        columns: &'static [&'static str],
        free: &'static str,
        refuses_bsn: bool,
    ) -> Self {
        Self { run, file, columns, free, date: "geboortedatum", refuses_bsn }
    }

    const fn arrears(run: fn(&mut Command)) -> Self {
        Self { run, file: "achterstanden.csv", columns: ARREARS, free: "bedrag", date: "meld_datum", refuses_bsn: true }
    }

    fn header(&self) -> String {
        self.columns.join(",") + "\n"
    }

    /// A row that is as it should be, but for one value.
    fn row(&self, number: usize, column: &str, value: &str) -> String {
        let of = |&name: &&str| match name {
            name if name == column => value.to_owned(),
            "person_id" | "oggz_id" | "contract_id" => format!("R{number}"),
            "huishouden_id" => format!("H{number}"),
            "volgnr" | "maanden" => "1".to_owned(),
            "corporatie" => "C1".to_owned(),
            "geboortedatum" => "1980-03-05".to_owned(),
            "meld_datum" => "2025-12-01".to_owned(),
            "geslacht" => "V".to_owned(),
            "huisnummer" => "5".to_owned(),
            "postcode" => "1011AB".to_owned(),
            _ => CANARY.to_owned(),
        };
        self.columns.iter().map(of).collect::<Vec<_>>().join(",") + "\n"
    }

    /// A header and three rows, of which line 3 has this value.
    fn with(&self, column: &str, value: &str) -> String {
        self.header() + &self.row(1, "", "") + &self.row(2, column, value) + &self.row(3, "", "")
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = voorrang();
        (self.run)(command.current_dir(folder));
        command
    }
}

fn encode_population(command: &mut Command) {
    command.args(["encode", "population", "data/brp.csv", "-o", "out.ndjson", "--salt-file", "salt.hex"]);
}

fn encode_care(command: &mut Command) {
    command.args(["encode", "care", "data/oggz.csv", "-o", "out.ndjson", "--salt-file", "salt.hex"]);
}

fn encode_tenants(command: &mut Command) {
    command.args(["encode", "tenants", "data/huurders.csv", "-o", "out.ndjson", "--salt-file", "salt.hex"]);
}

fn evaluate(command: &mut Command) {
    command.args(["evaluate", "data", "-o", "out"]);
}

/// Files are read before anything is asked: no service listens here.
fn load_population(command: &mut Command) {
    command.args(["load", "population", "data/brp.csv", "--config", "keys/gemeente-haarlem-burgerzaken.toml"]);
    command.args(["--reference-date", "2026-01-15"]);
}

fn load_care(command: &mut Command) {
    let config = "keys/sociaal-wijkteam-en-zorgnetwerk-haarlem.toml";
    command.args(["load", "care", "data/oggz.csv", "--config", config, "--reference-date", "2026-01-15"]);
}

fn query(command: &mut Command) {
    command.args(["query", "data/achterstanden.csv", "--tenants", "data/huurders.csv", "-o", "flags.csv"]);
    command.args(["--config", "keys/ymere.toml"]);
}

/// Gives a file to a way, by itself, and expects that nothing is done with it. Returns what is said.
fn refused(folder: &Path, way: &Way, content: &[u8]) -> String {
    let path = folder.join("data").join(way.file);
    let good = fs::read(&path).unwrap();
    fs::write(&path, content).unwrap();
    let before = files_in(folder);
    let stderr = fails(&mut way.command(folder), 4);
    assert!(files_in(folder) == before, "{}: files were left behind or changed", way.file);
    assert!(stderr.starts_with(&format!("voorrang: {}", way.file)), "{stderr}");
    assert!(!stderr.contains("Geheim"), "a value is repeated: {stderr}");
    fs::write(&path, good).unwrap();
    stderr
}

/// Every way refuses the file that `content` makes for it, and says all that `says` wants.
fn all_refuse(content: impl Fn(&Way) -> Option<Vec<u8>>, says: impl Fn(&Way) -> Vec<String>) {
    let folder = workplace();
    voorrang().current_dir(&folder).args(["pki", "dev", "--out", "keys"]).assert().success();
    for way in &WAYS {
        let Some(content) = content(way) else { continue };
        let stderr = refused(folder.path(), way, &content);
        for part in says(way) {
            assert!(stderr.contains(&part), "{part:?} is not in: {stderr}");
        }
    }
}

fn says(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|&part| part.to_owned()).collect()
}

#[test]
fn a_missing_column_is_named() {
    all_refuse(
        |way| Some(way.with("", "").replacen(&format!("{},", way.columns[0]), "", 1).into()),
        |way| says(&["header", &format!("column {} is missing; add it", way.columns[0])]),
    );
}

#[test]
fn an_unknown_column_is_told_by_its_place_and_not_by_what_stands_there() {
    // A file without a header has a person's values in this place.
    all_refuse(
        |way| Some(way.with("", "").replacen(way.columns[1], CANARY, 1).into()),
        |_| says(&["header: column 2 is not expected here; expected are "]),
    );
    all_refuse(|way| Some(way.row(1, way.columns[0], CANARY).into()), |_| says(&["header: column 1 is not expected"]));
}

#[test]
fn another_delimiter_is_named() {
    for (delimiter, name) in [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")] {
        all_refuse(
            |way| Some(way.with("", "").replace(',', delimiter).into()),
            |_| says(&[&format!("columns are separated by {name}; export it with commas")]),
        );
    }
}

#[test]
fn latin_1_is_refused_by_line_and_column() {
    let latin_1 = |text: String| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<u8>>();
    all_refuse(
        |way| Some(latin_1(way.with(way.free, &format!("{CANARY} André")))),
        |way| says(&[&format!("line 3, column {}: not UTF-8; export the file as UTF-8", way.free)]),
    );
    all_refuse(
        |way| Some(latin_1(way.with("", "").replacen(way.free, "näme", 1))),
        |_| says(&["header: is not UTF-8; export it as UTF-8"]),
    );
}

#[test]
fn utf_16_is_refused_as_not_utf_8() {
    let utf_16 = |text: &str| {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    all_refuse(|way| Some(utf_16(&way.with("", ""))), |_| says(&["header: is not UTF-8; export it as UTF-8"]));
}

#[test]
fn a_line_break_in_quotes_is_refused_by_the_line_on_which_its_row_begins() {
    all_refuse(
        |way| Some(way.with(way.free, &format!("\"{CANARY}\nGeheim\"")).into()),
        |way| says(&[&format!("line 3, column {}: a line break", way.free), "a quote may not be closed"]),
    );
}

#[test]
fn a_quote_that_is_never_closed_is_refused_by_its_line() {
    all_refuse(
        |way| Some(way.with(way.free, &format!("\"{CANARY}")).into()),
        |way| says(&[&format!("line 3, column {}: a line break", way.free), "a quote may not be closed"]),
    );
}

#[test]
fn an_impossible_date_is_refused_by_line_and_column() {
    for date in ["1981-02-32", "32-04-1980", "19801301", "Geheim"] {
        all_refuse(
            |way| Some(way.with(way.date, date).into()),
            |way| says(&[&format!("line 3, column {}: no date; write yyyymmdd", way.date)]),
        );
    }
}

#[test]
fn a_citizen_service_number_in_a_corporation_s_file_is_refused_and_not_repeated() {
    for column in ["free", "key"] {
        let column = |way: &Way| if column == "free" { way.free } else { way.columns[0] };
        let folder = workplace();
        voorrang().current_dir(&folder).args(["pki", "dev", "--out", "keys"]).assert().success();
        for way in WAYS.iter().filter(|way| way.refuses_bsn) {
            let stderr = refused(folder.path(), way, way.with(column(way), "123456782").as_bytes());
            assert!(stderr.contains(&format!("line 3, column {}: ", column(way))), "{stderr}");
            assert!(
                stderr.contains("(BSN)") && stderr.contains("no ground") && stderr.contains("remove it"),
                "{stderr}"
            );
            assert!(!stderr.contains("123456782"), "{stderr}");
        }
    }
}

#[test]
fn nine_digits_that_fail_the_test_of_citizen_service_numbers_are_a_corporation_s_own() {
    let folder = workplace();
    let way = &WAYS[2];
    for column in [way.free, way.columns[0]] {
        fs::write(folder.path().join("data/huurders.csv"), way.with(column, "123456789")).unwrap();
        let output = folder.path().join("out.ndjson");
        way.command(folder.path()).assert().success();
        assert_eq!(fs::read_to_string(output).unwrap().lines().count(), 3);
    }
}

#[test]
fn an_empty_file_and_one_with_only_a_header_are_refused() {
    all_refuse(|_| Some(Vec::new()), |_| says(&["has no header line; export it again with column names"]));
    // A day on which nobody is in arrears is a day as any other.
    let header = |way: &Way| (way.file != "achterstanden.csv").then(|| way.header().into());
    all_refuse(header, |_| says(&["has a header and no rows; nothing is done"]));
}

#[test]
fn a_row_with_too_few_or_too_many_values_is_refused_by_its_line() {
    all_refuse(
        |way| Some(way.with(way.free, "Geheim,Geheim").into()),
        |way| {
            let (got, want) = (way.columns.len() + 1, way.columns.len());
            says(&[&format!("line 3: {got} values where the header has {want}")])
        },
    );
}

#[test]
fn a_key_that_is_there_twice_is_refused_by_both_lines() {
    all_refuse(
        |way| Some((way.header() + &way.row(1, "", "").repeat(2)).into()),
        |way| says(&[&format!("line 3, column {}: the same key as on line 2", way.columns[0])]),
    );
}

#[test]
fn all_bad_lines_are_counted_and_the_first_twenty_named() {
    all_refuse(
        |way| {
            let bad: String = (0..30).map(|number| way.row(number, way.date, "Geheim")).collect();
            Some((way.header() + &bad).into())
        },
        |_| says(&["30 bad lines, nothing is done with the file", "\n  line 2, ", "\n  line 21, "]),
    );
}

#[test]
fn one_bad_line_among_very_many_is_named_and_nothing_is_written() {
    let folder = workplace();
    for way in &WAYS[2..3] {
        let mut text = way.header();
        for number in 0..MANY {
            let date = if number == MANY - 7 { CANARY } else { "" };
            writeln!(text, "K{number},1,,,B,{date},,").unwrap();
        }
        let stderr = refused(folder.path(), way, text.as_bytes());
        let line = MANY - 7 + 2;
        assert!(
            stderr.contains("1 bad line,") && stderr.contains(&format!("\n  line {line}, column geboortedatum: ")),
            "{stderr}"
        );
    }
}

#[test]
fn a_byte_order_mark_is_accepted() {
    let folder = workplace();
    let encoded = |way: &Way, mark: &str| {
        fs::write(folder.path().join("data").join(way.file), format!("{mark}{}", way.with("", ""))).unwrap();
        way.command(folder.path()).assert().success();
        fs::read(folder.path().join("out.ndjson")).unwrap()
    };
    for way in &WAYS[..3] {
        assert!(encoded(way, "\u{feff}") == encoded(way, ""), "{}", way.file);
    }
}

#[test]
fn a_file_that_is_not_there_is_named_without_its_folder() {
    let folder = workplace();
    voorrang().current_dir(&folder).args(["pki", "dev", "--out", "keys"]).assert().success();
    // Without oggz.csv an evaluation does without the care list.
    for way in WAYS.iter().enumerate().filter(|(number, _)| *number != 4).map(|(_, way)| way) {
        let path = folder.path().join("data").join(way.file);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let before = files_in(folder.path());
        let stderr = fails(&mut way.command(folder.path()), 4);
        assert!(stderr.starts_with(&format!("voorrang: {}: cannot be opened or read", way.file)), "{stderr}");
        assert!(files_in(folder.path()) == before);
        fs::write(path, good).unwrap();
    }
}

#[test]
fn arrears_of_a_contract_without_tenants_are_refused_by_line() {
    let folder = workplace();
    voorrang().current_dir(&folder).args(["pki", "dev", "--out", "keys"]).assert().success();
    let way = &WAYS[10];
    let good = fs::read_to_string(folder.path().join("data/achterstanden.csv")).unwrap();
    let text = format!("{good}{CANARY},3,,,\n");
    let line = text.lines().count();
    let stderr = refused(folder.path(), way, text.as_bytes());
    assert!(
        stderr.contains(&format!("line {line}, column contract_id: ")) && stderr.contains("the file of tenants"),
        "{stderr}"
    );
}

#[test]
fn an_earlier_output_survives_a_file_with_errors() {
    let folder = workplace();
    let way = &WAYS[0];
    fs::write(folder.path().join("out.ndjson"), "earlier").unwrap();
    refused(folder.path(), way, b"");
    assert_eq!(fs::read_to_string(folder.path().join("out.ndjson")).unwrap(), "earlier");
}
