//! `voorrang encode`: the profile as JSON, salts, and files of codes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::*;

/// Encodes a file of the demonstration; returns the file of codes.
fn encoded(folder: &Path, kind: &str, input: &str, more: &[&str]) -> String {
    let output = folder.join("out.ndjson");
    let mut command = voorrang();
    command.current_dir(folder).args(["encode", kind, input, "-o", "out.ndjson"]);
    if !more.contains(&"--salt-file") {
        command.args(["--salt-file", "salt.hex"]);
    }
    command.args(["--reference-date", "2026-01-01"]).args(more).assert().success().stdout("");
    fs::read_to_string(output).unwrap()
}

fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Records by id, without the header.
fn by_id(text: &str) -> BTreeMap<String, Value> {
    let without_header = |mut record: Value| {
        record.as_object_mut().unwrap().remove("header");
        (record["id"].as_str().unwrap().to_owned(), record)
    };
    records(text).into_iter().map(without_header).collect()
}

const FILES: [(&str, &str); 3] =
    [("population", "data/brp.csv"), ("care", "data/oggz.csv"), ("tenants", "data/huurders.csv")];

#[test]
fn describe_is_one_json_document_with_bits_and_positions_of_every_pass() {
    let output = voorrang().args(["encode", "--describe"]).output().unwrap();
    assert!(output.status.success());
    let profile: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(profile["profile"].as_str().is_some_and(|id| !id.is_empty()));
    let hash = hex::decode(profile["schemaHash"].as_str().unwrap()).unwrap();
    assert_eq!(hash.len(), 32);
    let passes = profile["passes"].as_array().unwrap();
    assert!(!passes.is_empty());
    for pass in passes {
        assert!(pass["name"].is_string(), "{pass}");
        let number = |key: &str| pass[key].as_u64().unwrap();
        assert!(number("filterBits") > 0 && number("codeBits") > 0 && number("diffusion") > 1, "{pass}");
    }
}

#[test]
fn describe_tells_what_a_pass_is_keyed_with() {
    let keyed_with = |profile: &[&str]| -> Vec<Value> {
        let output = voorrang().args(["encode", "--describe"]).args(profile).output().unwrap();
        let profile: Value = serde_json::from_slice(&output.stdout).unwrap();
        profile["passes"].as_array().unwrap().iter().map(|pass| pass["keyedWith"].clone()).collect()
    };
    let shipped = keyed_with(&[]);
    assert_eq!(shipped[..2], [serde_json::json!([]), serde_json::json!([])]);
    assert_eq!(shipped[2], serde_json::json!(["birth-day", "birth-year"]));
    let unkeyed = keyed_with(&["--profile", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/unkeyed.toml")]);
    assert!(unkeyed.iter().all(|parts| *parts == serde_json::json!([])), "{unkeyed:?}");
}

#[test]
fn describe_tells_what_is_in_the_files() {
    let folder = workplace();
    let output = voorrang().args(["encode", "--describe"]).output().unwrap();
    let profile: Value = serde_json::from_slice(&output.stdout).unwrap();
    let records = records(&encoded(folder.path(), "care", "data/oggz.csv", &[]));
    assert_eq!(records[0]["header"]["schemaHash"], profile["schemaHash"]);
    assert_eq!(records[0]["header"]["profile"], profile["profile"]);
    for record in &records {
        let codes = record["codes"].as_object().unwrap();
        assert_eq!(codes.len(), profile["passes"].as_array().unwrap().len());
        for pass in profile["passes"].as_array().unwrap() {
            let variants = codes[pass["name"].as_str().unwrap()].as_array().unwrap();
            assert_eq!(variants.len() as u64, pass["codes"].as_u64().unwrap());
            for code in variants {
                let bytes = STANDARD.decode(code.as_str().unwrap()).unwrap();
                assert_eq!(bytes.len() as u64 * 8, pass["codeBits"].as_u64().unwrap());
            }
        }
    }
}

#[test]
fn the_header_is_in_the_first_record_only() {
    let folder = workplace();
    for (kind, input) in FILES {
        let records = records(&encoded(folder.path(), kind, input, &["--epoch", "haarlem-7"]));
        assert_eq!(records.len(), rows(&folder.path().join(input)).len());
        assert_eq!(records[0]["header"]["epoch"], "haarlem-7");
        assert!(records[0]["header"]["keyCheck"].is_string());
        assert!(records[1..].iter().all(|record| record.get("header").is_none()), "{kind}");
    }
}

#[test]
fn the_same_salt_makes_the_same_file_and_another_salt_nothing_in_common() {
    let folder = workplace();
    for (kind, input) in FILES {
        let once = encoded(folder.path(), kind, input, &[]);
        assert!(once == encoded(folder.path(), kind, input, &[]), "{kind}");
        fs::write(folder.path().join("other.hex"), SALT.replace("00", "ff")).unwrap();
        let other = encoded(folder.path(), kind, input, &["--salt-file", "other.hex"]);
        let epoch = encoded(folder.path(), kind, input, &["--epoch", "haarlem-2"]);
        for changed in [other, epoch] {
            let changed_records = by_id(&changed);
            for (id, record) in by_id(&once) {
                let changed = &changed_records[&id];
                for key in ["codes", "address", "household"] {
                    let secret = &record[key];
                    let empty = secret.is_null() || secret.as_object().is_some_and(serde_json::Map::is_empty);
                    assert!(empty || *secret != changed[key], "{kind} {key}");
                }
            }
        }
    }
}

#[test]
fn the_order_of_rows_and_columns_changes_no_record() {
    let folder = workplace();
    for (kind, input) in FILES {
        let straight = by_id(&encoded(folder.path(), kind, input, &[]));
        let path = folder.path().join(input);
        let mut lines: Vec<Vec<String>> = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_path(&path)
            .unwrap()
            .records()
            .map(|row| row.unwrap().iter().rev().map(str::to_owned).collect())
            .collect();
        lines[1..].reverse();
        let mut writer = csv::Writer::from_path(&path).unwrap();
        lines.iter().for_each(|line| writer.write_record(line).unwrap());
        writer.flush().unwrap();
        assert!(straight == by_id(&encoded(folder.path(), kind, input, &[])), "{kind}");
    }
}

#[test]
fn no_name_date_address_or_citizen_service_number_is_in_a_file_of_codes() {
    let folder = workplace();
    // Ids are the custodian's own in a file that stays there; everything else is secret.
    let open = ["person_id", "oggz_id", "contract_id", "volgnr"];
    for (kind, input) in FILES {
        let codes = encoded(folder.path(), kind, input, &[]).to_lowercase();
        let words: BTreeSet<String> = rows(&folder.path().join(input))
            .into_iter()
            .flatten()
            .filter(|(column, value)| !open.contains(&column.as_str()) && value.len() >= 7)
            .map(|(_, value)| value.to_lowercase())
            .collect();
        assert!(words.len() > 20, "{kind}: {}", words.len());
        for word in words {
            assert!(!codes.contains(&word), "{kind}: a value is in the file");
        }
    }
}

#[test]
fn a_salt_file_is_64_digits_or_32_bytes_and_more() {
    let folder = workplace();
    let with = |salt: &[u8]| {
        fs::write(folder.path().join("salt"), salt).unwrap();
        encoded(folder.path(), "care", "data/oggz.csv", &["--salt-file", "salt"])
    };
    let bytes: Vec<u8> = (0..32).collect();
    let from_digits = with(SALT.as_bytes());
    assert!(from_digits == with(&bytes), "the same 32 bytes");
    assert!(from_digits == with(SALT.trim().to_uppercase().as_bytes()));
    assert!(from_digits != with(&[bytes, vec![32]].concat()), "every byte counts");
}

#[test]
fn a_salt_that_is_missing_or_too_short_is_refused() {
    let folder = workplace();
    let encode = |salt: &[&str]| {
        let mut command = voorrang();
        command.current_dir(&folder).args(["encode", "care", "data/oggz.csv", "-o", "out.ndjson"]).args(salt);
        command
    };
    fs::write(folder.path().join("short"), "Geheim0123456789012345678901234").unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    let before = files_in(folder.path());
    for file in ["short", "empty"] {
        let stderr = fails(&mut encode(&["--salt-file", file]), 1);
        assert!(stderr.contains(file) && stderr.contains("32 bytes or more"), "{stderr}");
        assert!(!stderr.contains("Geheim"), "{stderr}");
    }
    assert!(fails(&mut encode(&["--salt-file", "nowhere"]), 1).contains("cannot read nowhere"));
    assert!(fails(&mut encode(&[]), 2).contains("--salt-file"));
    assert!(fails(&mut encode(&["--envelope", "salt.hex"]), 2).contains("--identity"));
    assert!(files_in(folder.path()) == before);
}

#[test]
fn filters_before_diffusion_need_a_salt_file_and_replace_the_codes_only() {
    let folder = workplace();
    let mut with_envelope = voorrang();
    with_envelope.current_dir(&folder).args(["encode", "care", "data/oggz.csv", "-o", "out.ndjson", "--lab-filters"]);
    with_envelope.args(["--envelope", "e.json", "--identity", "i.age", "--parties", "parties.toml"]);
    let stderr = fails(&mut with_envelope, 2);
    assert!(stderr.contains("--lab-filters") && stderr.contains("--envelope"), "{stderr}");
    assert!(!folder.path().join("out.ndjson").exists());

    let output = voorrang().args(["encode", "--describe"]).output().unwrap();
    let profile: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (kind, input) in FILES {
        let codes = by_id(&encoded(folder.path(), kind, input, &[]));
        for (id, mut filters) in by_id(&encoded(folder.path(), kind, input, &["--lab-filters"])) {
            let mut record = codes[&id].clone();
            if let Some(header) = filters.get_mut("header") {
                assert_eq!(header["profile"], "nl-household-1 filters", "nobody takes them for codes");
                header["profile"] = record["header"]["profile"].clone();
            }
            let (filters_only, codes_only) = (filters["codes"].take(), record["codes"].take());
            assert_eq!(filters, record, "{kind}");
            assert_eq!(filters_only.as_object().unwrap().len(), codes_only.as_object().unwrap().len(), "{kind}");
            for (name, variants) in filters_only.as_object().unwrap() {
                assert_ne!(*variants, codes_only[name]);
                let pass = profile["passes"].as_array().unwrap().iter().find(|pass| pass["name"] == **name).unwrap();
                let bytes = STANDARD.decode(variants[0].as_str().unwrap()).unwrap();
                assert_eq!(bytes.len() as u64 * 8, pass["filterBits"].as_u64().unwrap());
            }
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_nothing_is_read() {
    let folder = workplace();
    let encode = |output: &str| {
        let mut command = voorrang();
        command.current_dir(&folder).args(["encode", "care", "nowhere.csv", "--salt-file", "salt.hex", "-o", output]);
        command
    };
    assert!(fails(&mut encode("nowhere/out.ndjson"), 1).contains("cannot write into nowhere"));
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    // Whoever is root writes everywhere.
    if fs::write(closed.join("probe"), "").is_err() {
        assert!(fails(&mut encode("closed/out.ndjson"), 1).contains("cannot write into closed"));
    }
}

#[test]
fn only_their_owner_reads_codes() {
    let folder = workplace();
    encoded(folder.path(), "care", "data/oggz.csv", &[]);
    let mode = fs::metadata(folder.path().join("out.ndjson")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_ages_of_a_group_are_an_option_and_minors_have_no_codes() {
    let folder = workplace();
    let minors = |more: &[&str]| {
        let text = encoded(folder.path(), "population", "data/brp.csv", more);
        let all = records(&text);
        let is_minor =
            |record: &&Value| record["groups"].as_array().is_some_and(|groups| groups.contains(&"minor".into()));
        assert!(
            all.iter()
                .filter(is_minor)
                .all(|record| record["codes"].as_object().is_some_and(serde_json::Map::is_empty))
        );
        all.iter().filter(is_minor).count()
    };
    let under_18 = minors(&[]);
    assert!(under_18 > 100, "{under_18}");
    assert!(minors(&["--minor-below", "12"]) < under_18);
}

/// What `encode --check` says of a file, and its exit code.
fn checked(folder: &Path, text: &str, salt: &str) -> (i32, String) {
    fs::write(folder.join("codes.ndjson"), text).unwrap();
    let mut command = voorrang();
    command.current_dir(folder).args(["encode", "--check", "codes.ndjson", "--salt-file", salt]);
    let output = command.output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn whoever_has_the_salt_sees_that_header_and_records_are_as_they_were_written() {
    let folder = workplace();
    let folder = folder.path();
    fs::write(folder.join("other.hex"), SALT.replace("00", "ff")).unwrap();
    for (kind, input) in FILES {
        let text = encoded(folder, kind, input, &["--epoch", "haarlem-7"]);
        let count = records(&text).len();
        let (code, said) = checked(folder, &text, "salt.hex");
        assert!(code == 0 && said.contains(&format!("{count} records")), "{said}");
        let header = records(&text)[0]["header"].clone();
        let other = encoded(folder, kind, input, &["--salt-file", "other.hex", "--epoch", "haarlem-7"]);
        let foreign = records(&other)[0]["header"].clone();
        let text_of = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
        let with = |key: &str, value: &str| text.replacen(&text_of(&header, key), value, 1);
        let mut lines: Vec<&str> = text.lines().collect();
        let whole = |lines: &[&str]| lines.join("\n") + "\n";
        let without_last = whole(&lines[..lines.len() - 1]);
        lines.swap(1, 2);
        let swapped = whole(&lines);
        let address = text_of(records(&text).iter().find(|one| one["address"].is_string()).unwrap(), "address");
        let moved = text.replacen(&address, &STANDARD.encode([7; 16]), 1);
        let mac = text_of(&header, "mac");
        for (changed, why) in [
            (with("epoch", "haarlem-8"), "key-check value"),
            (with("keyCheck", &"0".repeat(32)), "key-check value"),
            (with("profile", "nl-household-9"), "another profile"),
            (with("schemaHash", &"0".repeat(64)), "another schema"),
            (other.clone(), "key-check value"),
            // A right header before the codes of another salt, and the right one's MAC before changed records.
            (other.replacen(&foreign.to_string(), &header.to_string(), 1), ""),
            (with("mac", &text_of(&foreign, "mac")), "changed or cut"),
            (text.replacen(&format!(",\"mac\":\"{mac}\""), "", 1), "no MAC"),
            (without_last, "changed or cut"),
            (swapped, "changed or cut"),
            (moved, "changed or cut"),
            (text.clone() + "\n", "changed or cut"),
            (String::new(), "no records"),
        ] {
            assert_ne!(changed, text, "{why}");
            let (code, said) = checked(folder, &changed, "salt.hex");
            let remedy = said.contains("encode again") || said.contains("give ") || why == "no records";
            assert!(code == 4 && said.contains(why) && remedy, "{kind} {why}: {code} {said}");
            assert!(!said.contains(&address) && !said.contains(&mac), "{said}");
        }
        let (code, said) = checked(folder, &text, "other.hex");
        assert!(code == 4 && said.contains("give that epoch's salt"), "{said}");
    }
}

#[test]
fn the_mac_of_a_file_is_hmac_sha_256_under_a_key_of_its_own() {
    use ring::{hkdf, hmac};
    let folder = workplace();
    let text = encoded(folder.path(), "care", "data/oggz.csv", &["--epoch", "haarlem-7"]);
    let header = records(&text)[0]["header"].clone();
    let salt = hex::decode(SALT.trim()).unwrap();
    let info = format!("voorrang/v5/{}/file", header["schemaHash"].as_str().unwrap());
    let mut key = [0; 32];
    let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"haarlem-7").extract(&salt);
    root.expand(&[info.as_bytes()], hkdf::HKDF_SHA256).unwrap().fill(&mut key).unwrap();
    let zeroed = text.replacen(header["mac"].as_str().unwrap(), &STANDARD.encode([0; 32]), 1);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), zeroed.as_bytes());
    assert_eq!(header["mac"], STANDARD.encode(mac));
}
