//! `voorrang clk`: the CLKs of clkhash through the program, and all that may be wrong with schema, secret and file.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const LONG_SECRET: &[u8] = b"no secret, but long enough";

fn feature(identifier: &str, format: &Value) -> Value {
    json!({"identifier": identifier, "format": format,
        "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 60}}})
}

fn schema() -> Value {
    json!({"version": 3, "clkConfig": {"l": 256, "kdf": {"type": "HKDF"}}, "features": [
        feature("name", &json!({"type": "string"})),
        feature("birth", &json!({"type": "date", "format": "%Y-%m-%d"})),
    ]})
}

/// A folder with a schema, a secret and a file.
fn place(schema: &Value, secret: &[u8], csv: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("schema.json"), schema.to_string()).unwrap();
    fs::write(folder.path().join("secret"), secret).unwrap();
    fs::write(folder.path().join("in.csv"), csv).unwrap();
    folder
}

fn clk(folder: &Path, more: &[&str]) -> Command {
    let mut command = voorrang();
    command.current_dir(folder).args(["clk", "--schema", "schema.json", "--secret-file", "secret", "in.csv"]);
    command.args(["-o", "clks.json"]).args(more);
    command
}

/// The CLKs, and what was said on standard error.
fn made(folder: &Path, more: &[&str]) -> (Vec<String>, String) {
    let output = clk(folder, more).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{stderr}");
    let mut found: Value = serde_json::from_slice(&fs::read(folder.join("clks.json")).unwrap()).unwrap();
    assert_eq!(found.as_object().unwrap().len(), 1);
    (serde_json::from_value(found["clks"].take()).unwrap(), stderr)
}

/// What is said of a file that is refused with exit code 4 and leaves nothing behind.
fn refused(csv: &[u8], more: &[&str]) -> String {
    let folder = place(&schema(), LONG_SECRET, csv);
    let before = files_in(folder.path());
    let stderr = fails(&mut clk(folder.path(), more), 4);
    assert!(files_in(folder.path()) == before, "something was left behind: {stderr}");
    assert!(stderr.starts_with("voorrang: in.csv: ") && !stderr.contains("Geheim"), "{stderr}");
    stderr
}

/// What is said of a schema that is refused with exit code 4 and leaves nothing behind.
fn refused_schema(text: &[u8]) -> String {
    let folder = place(&schema(), LONG_SECRET, b"name,birth\nJan,1980-01-01\n");
    fs::write(folder.path().join("schema.json"), text).unwrap();
    let before = files_in(folder.path());
    let stderr = fails(&mut clk(folder.path(), &[]), 4);
    assert!(files_in(folder.path()) == before, "something was left behind: {stderr}");
    assert!(stderr.starts_with("voorrang: schema.json: ") && !stderr.contains("Geheim"), "{stderr}");
    stderr
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/clkhash/vectors.json")).unwrap()
}

fn row(case: &Value) -> Vec<u8> {
    let mut row = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
    row.write_record(case["row"].as_array().unwrap().iter().map(|value| value.as_str().unwrap())).unwrap();
    row.into_inner().unwrap()
}

fn secret(case: &Value) -> Vec<u8> {
    let bytes = case["secret_hex"].as_str().map(|secret| hex::decode(secret).unwrap());
    bytes.unwrap_or_else(|| case["secret"].as_str().unwrap().into())
}

#[test]
fn the_program_makes_the_clks_of_clkhash() {
    let vectors = vectors();
    // A prime step, so that schemas of every kind are met; all of them are held to the library.
    for case in vectors["cases"].as_array().unwrap().iter().step_by(13) {
        let schema = &vectors["schemas"][case["schema"].as_str().unwrap()];
        let folder = place(schema, &secret(case), &row(case));
        assert_eq!(made(folder.path(), &["--no-header"]).0, [case["clk"].as_str().unwrap()], "{}", case["id"]);
    }
    for case in vectors["error_cases"].as_array().unwrap() {
        let folder = place(&case["schema"], &secret(case), &row(case));
        let stderr = fails(&mut clk(folder.path(), &["--no-header"]), 4);
        assert!(!folder.path().join("clks.json").exists(), "{stderr}");
    }
}

#[test]
fn the_header_is_checked_and_not_encoded_and_no_header_makes_it_a_row() {
    let folder = place(&schema(), LONG_SECRET, b"name,birth\nJan,1980-01-01\nPiet,1981-01-01\n");
    let (clks, stderr) = made(folder.path(), &[]);
    assert_eq!(clks.len(), 2);
    assert_eq!(stderr, "Encoded 2 rows into clks.json.\n");
    fs::write(folder.path().join("in.csv"), b"Jan,1980-01-01\nPiet,1981-01-01\n").unwrap();
    assert_eq!(made(folder.path(), &["--no-header"]).0, clks);
    let stderr = fails(&mut clk(folder.path(), &[]), 4);
    assert!(stderr.contains("header: column 1") && stderr.contains("--no-header"), "{stderr}");
}

#[test]
fn a_byte_order_mark_and_line_ends_of_all_kinds_change_nothing() {
    let folder = place(&schema(), LONG_SECRET, b"name,birth\n\"Jan\nPiet\",1980-01-01\nAn,1981-01-01\n");
    let clks = made(folder.path(), &[]).0;
    assert_eq!(clks.len(), 2);
    let other = b"\xef\xbb\xbfname,birth\r\n\"Jan\r\nPiet\",1980-01-01\r\nAn,1981-01-01";
    fs::write(folder.path().join("in.csv"), other).unwrap();
    assert_eq!(made(folder.path(), &[]).0, clks);
}

#[test]
fn threads_do_not_change_the_file() {
    let rows: String = (0..4000).map(|at| format!("name {at},19{:02}-01-01\n", at % 100)).collect();
    let folder = place(&schema(), LONG_SECRET, rows.as_bytes());
    let one = made(folder.path(), &["--no-header", "--threads", "1"]).0;
    assert_eq!(one.len(), 4000);
    assert!(made(folder.path(), &["--no-header", "--threads", "5"]).0 == one);
}

#[test]
fn a_header_that_is_not_the_schema_s_is_refused() {
    assert!(refused(b"name\nGeheim\n", &[]).contains("header: has 1 columns where the schema has 2"));
    assert!(refused(b"birth,name\n1980-01-01,Geheim\n", &[]).contains("header: column 1 is not"));
    assert!(refused(b"name,Geheim\n", &[]).contains("header: column 2 is not"));
}

#[test]
fn an_empty_file_is_refused() {
    assert!(refused(b"", &[]).contains("is empty"));
    assert!(refused(b"", &["--no-header"]).contains("is empty"));
    assert!(refused(b"\xef\xbb\xbf", &[]).contains("is empty"));
    assert!(refused(b"name,birth\n", &[]).contains("no rows"));
}

#[test]
fn a_bad_row_is_named_by_line_and_column() {
    let bad = |rows: &[u8]| refused(&[b"name,birth\nJan,1980-01-01\n", rows].concat(), &[]);
    assert!(
        bad(b"Geheim,1980-02-30\n").contains("1 bad line, nothing is done with the file\n  line 3, column 2: no date")
    );
    assert!(bad(b"Geheim\n").contains("line 3: 1 values where the schema has 2"));
    assert!(bad(b"Geheim,1980-01-01,x\n").contains("line 3: 3 values"));
    assert!(bad(b"Geheim J\xfcrgen,1980-01-01\n").contains("line 3, column 1: not UTF-8"));
    // An empty line would move every later CLK; clkhash refuses it too.
    assert!(bad(b"\nGeheim,1980-01-01\n").contains("line 3: 0 values"));
    assert!(bad(b"\"Geheim\n,1980-01-01\nPiet,x\n").contains("line 3: a quote is opened and not closed"));
    // Lines are those of the file, whatever stands in quotes.
    assert!(bad(b"\"Jan\nPiet\",1980-01-01\nGeheim,\n").contains("line 5, column 2"));
    let many = b"Geheim,x\n".repeat(3000);
    assert!(bad(&many).contains("3000 bad lines") && bad(&many).lines().count() == 21);
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_with_its_path() {
    assert!(refused_schema(b"{\"version\": Geheim}").contains("not JSON; it goes wrong at line 1"));
    assert!(refused_schema(b"").contains("not JSON"));
    let with = |pointer: &str, value: Value| {
        let mut changed = schema();
        *changed.pointer_mut(pointer).unwrap() = value;
        refused_schema(changed.to_string().as_bytes())
    };
    assert!(with("/version", json!(4)).contains("/version: "));
    assert!(with("/clkConfig/l", json!(0)).contains("/clkConfig/l: is not an integer from 1"));
    assert!(with("/clkConfig/l", json!(100)).contains("/features/0/hashing/hash: blakeHash needs"));
    let path = "/features/1/hashing/comparison/n";
    assert!(with(path, json!("Geheim")).contains(&format!("{path}: is not a number")));
    assert!(with("/features/1/format/format", json!("%Q")).contains("/features/1/format/format: "));
}

#[test]
fn an_empty_or_short_secret_is_warned_of_and_refused_when_strict() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().unwrap();
    let empty = cases.iter().find(|case| case["secret"] == "").unwrap();
    let folder = place(&vectors["schemas"][empty["schema"].as_str().unwrap()], b"", &row(empty));
    let (clks, stderr) = made(folder.path(), &["--no-header"]);
    assert_eq!(clks, [empty["clk"].as_str().unwrap()]);
    assert!(stderr.contains("warning: the secret is empty"), "{stderr}");

    let folder = place(&schema(), b"15 bytes Geheim", b"name,birth\nJan,1980-01-01\n");
    let (_, stderr) = made(folder.path(), &[]);
    assert!(stderr.contains("warning: the secret has 15 bytes") && !stderr.contains("Geheim"), "{stderr}");
    fs::remove_file(folder.path().join("clks.json")).unwrap();
    for secret in [&b""[..], b"15 bytes Geheim"] {
        fs::write(folder.path().join("secret"), secret).unwrap();
        let stderr = fails(&mut clk(folder.path(), &["--strict"]), 2);
        assert!(stderr.contains("--strict") && !folder.path().join("clks.json").exists(), "{stderr}");
    }
    fs::write(folder.path().join("secret"), LONG_SECRET).unwrap();
    assert_eq!(made(folder.path(), &["--strict"]).1, "Encoded 1 rows into clks.json.\n");
}

#[test]
fn weak_schemas_are_warned_of_and_refused_when_strict() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 3] = [
        (|schema| schema["features"][1]["hashing"]["hash"] = json!({"type": "doubleHash"}), "1 features use it"),
        (|schema| schema["clkConfig"]["kdf"]["keySize"] = json!(15), "/clkConfig/kdf/keySize: 15 bytes"),
        (|schema| schema["clkConfig"]["xorFolds"] = json!(1), "/clkConfig/xorFolds: "),
    ];
    for (change, says) in cases {
        let mut weak = schema();
        change(&mut weak);
        let folder = place(&weak, LONG_SECRET, b"name,birth\nJan,1980-01-01\n");
        let stderr = fails(&mut clk(folder.path(), &["--strict"]), 2);
        assert!(stderr.contains(says) && !folder.path().join("clks.json").exists(), "{stderr}");
        let (_, stderr) = made(folder.path(), &[]);
        assert!(stderr.contains("warning: ") && stderr.contains(says), "{stderr}");
    }
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let folder = place(&schema(), LONG_SECRET, b"name,birth\nJan,1980-01-01\n");
    let before = files_in(folder.path());
    let mut command = voorrang();
    command.current_dir(&folder).args(["clk", "--schema", "schema.json", "--secret-file", "secret", "in.csv"]);
    assert!(fails(command.args(["-o", "nowhere/clks.json"]), 1).contains("cannot write into nowhere"));
    for missing in ["schema.json", "secret", "in.csv"] {
        let path = folder.path().join(missing);
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let stderr = clk(folder.path(), &[]).assert().failure().get_output().stderr.clone();
        assert!(String::from_utf8(stderr).unwrap().contains(missing));
        fs::write(&path, content).unwrap();
    }
    assert!(files_in(folder.path()) == before);
}
