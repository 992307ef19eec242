//! CLKs of clkhash 0.18.3, bit for bit: vectors that it made itself, and what must hold for every row and schema.

use std::num::NonZeroUsize;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use voorrang::encode::clkhash::{Encoder, Header, InputError, Schema, encode_file};

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/clkhash/vectors.json")).unwrap()
}

/// Where a row is refused, in the words of the vectors; else its CLK.
fn clk(schema: &Value, secret: &[u8], row: &[&str]) -> Result<String, &'static str> {
    let schema = Schema::parse(schema.to_string().as_bytes()).map_err(|_| "schema")?;
    let encoder = Encoder::new(&schema, secret).map_err(|_| "encode")?;
    let clk = encoder.worker().clk(row.iter().copied()).map_err(|_| "encode")?;
    Ok(STANDARD.encode(clk))
}

fn secret(case: &Value) -> Vec<u8> {
    match case["secret_hex"].as_str() {
        Some(secret) => hex::decode(secret).unwrap(),
        None => case["secret"].as_str().unwrap().as_bytes().to_vec(),
    }
}

fn row(case: &Value) -> Vec<&str> {
    case["row"].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
}

#[test]
fn every_clk_of_clkhash_is_made_bit_for_bit() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 480);
    for case in cases {
        let schema = &vectors["schemas"][case["schema"].as_str().unwrap()];
        assert_eq!(
            clk(schema, &secret(case), &row(case)).as_deref(),
            Ok(case["clk"].as_str().unwrap()),
            "{}",
            case["id"]
        );
    }
}

#[test]
fn what_clkhash_refuses_is_refused_at_the_same_stage() {
    let vectors = vectors();
    let cases = vectors["error_cases"].as_array().unwrap();
    assert_eq!(cases.len(), 27);
    for case in cases {
        let found = clk(&case["schema"], &secret(case), &row(case));
        assert_eq!(found, Err(case["stage"].as_str().unwrap()), "{}", case["id"]);
    }
}

/// One text feature.
fn schema(feature: Value) -> Value {
    json!({"version": 3, "clkConfig": {"l": 256, "kdf": {"type": "HKDF"}}, "features": [feature]})
}

fn name() -> Value {
    json!({"identifier": "name", "format": {"type": "string"},
        "hashing": {"comparison": {"type": "ngram", "n": 2}, "strategy": {"bitsPerFeature": 60}}})
}

#[test]
fn schemas_of_versions_1_and_2_make_the_clks_of_their_version_3() {
    let hashing = |bits: u64, positional: bool| {
        json!({"comparison": {"type": "ngram", "n": 2, "positional": positional},
            "strategy": {"bitsPerToken": bits}, "hash": {"type": "doubleHash"}})
    };
    let feature = |hashing: Value| json!({"identifier": "a", "format": {"type": "string"}, "hashing": hashing});
    let config = json!({"l": 100, "kdf": {"type": "HKDF"}});
    let third = json!({"version": 3, "clkConfig": config,
        "features": [feature(hashing(8, true)), {"identifier": "b", "ignored": true}, feature(hashing(15, false))]});
    let double = json!({"type": "doubleHash"});
    let first = json!({"version": 1, "clkConfig": {"l": 100, "k": 15, "kdf": {"type": "HKDF"}, "hash": double},
    "features": [
        // 7.5 is rounded to even.
        feature(json!({"ngram": 2, "positional": true, "weight": 0.5})),
        {"identifier": "b", "format": {"type": "string"}, "hashing": {"ngram": 2, "weight": 0}},
        feature(json!({"ngram": 2})),
    ]});
    let second = json!({"version": 2, "clkConfig": config,
    "features": [
        feature(json!({"ngram": 2, "positional": true, "strategy": {"k": 8}, "hash": double})),
        {"identifier": "b", "ignored": true},
        feature(json!({"ngram": 2, "strategy": {"k": 15}, "hash": double})),
    ]});
    let row = ["Jansen", "left out", "Rotterdam"];
    let want = clk(&third, b"secret", &row).unwrap();
    assert_eq!(clk(&first, b"secret", &row).as_ref(), Ok(&want));
    assert_eq!(clk(&second, b"secret", &row).as_ref(), Ok(&want));
}

/// What a schema's error says.
fn refusal(schema: &Value) -> String {
    Schema::parse(schema.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_schema_s_error_names_the_path_and_no_content() {
    let good = schema(name());
    for (pointer, key, value, path) in [
        ("/clkConfig", "l", json!(0), "/clkConfig/l: "),
        ("/clkConfig", "l", json!(1_u64 << 40), "/clkConfig/l: "),
        ("/clkConfig", "l", json!("Geheim"), "/clkConfig/l: "),
        ("/clkConfig", "xor_folds", json!(40), "/clkConfig: "),
        ("/clkConfig", "xor_folds", json!(-1), "/clkConfig/xor_folds: "),
        ("/clkConfig/kdf", "type", json!("Geheim"), "/clkConfig/kdf/type: "),
        ("/clkConfig/kdf", "salt", json!("Q"), "/clkConfig/kdf/salt: "),
        ("/clkConfig/kdf", "keySize", json!(0), "/clkConfig/kdf/keySize: "),
        ("", "version", json!(4), "/version: "),
        ("", "features", json!({}), "/features: "),
        ("/features/0", "identifier", json!(7), "/features/0/identifier: "),
        ("/features/0/format", "case", json!("Geheim"), "/features/0/format/case: "),
        ("/features/0/format", "encoding", json!("Geheim"), "/features/0/format/encoding: "),
        ("/features/0/format", "pattern", json!("("), "/features/0/format/pattern: "),
        ("/features/0/format", "minimum", json!(1), "/features/0/format/minimum: "),
        ("/features/0/format", "maxLength", json!(0), "/features/0/format/maxLength: "),
        ("/features/0/hashing", "weight", json!(1), "/features/0/hashing/weight: "),
        ("/features/0/hashing", "hash", json!({"type": "Geheim"}), "/features/0/hashing/hash/type: "),
        ("/features/0/hashing", "missingValue", json!({}), "/features/0/hashing/missingValue: sentinel"),
        ("/features/0/hashing/comparison", "n", json!(0), "/features/0/hashing/comparison/n: "),
        ("/features/0/hashing/comparison", "n", json!(1.5), "/features/0/hashing/comparison/n: "),
        ("/features/0/hashing/strategy", "bitsPerToken", json!(1), "/features/0/hashing/strategy: "),
        ("/features/0/hashing/strategy", "bitsPerFeature", json!(0), "/features/0/hashing/strategy/bitsPerFeature: "),
    ] {
        let mut bad = good.clone();
        bad.pointer_mut(pointer).unwrap()[key] = value;
        let said = refusal(&bad);
        assert!(said.starts_with(path), "{said}");
        assert!(!said.contains("Geheim"), "{said}");
    }
    assert!(refusal(&json!([])).starts_with("the document: "));
    assert!(refusal(&json!({})).contains("version is missing"));
    let no_json = Schema::parse(b"{\"version\": 3,\n Geheim}").unwrap_err().to_string();
    assert!(no_json.contains("line 2") && !no_json.contains("Geheim"), "{no_json}");
}

#[test]
fn what_clkhash_reads_and_cannot_encode_is_refused_before_the_first_row() {
    let setup = |schema: &Value| {
        let schema = Schema::parse(schema.to_string().as_bytes()).expect("clkhash reads it");
        Encoder::new(&schema, b"secret").map(|_| ()).map_err(|error| error.to_string())
    };
    let numeric = json!({"type": "numeric", "thresholdDistance": 5.0, "resolution": 2.0, "fractional_precision": 1.0});
    for (pointer, key, value, path) in [
        ("", "features", json!([]), "/features: "),
        ("/clkConfig", "l", json!(1024.0), "/clkConfig/l: "),
        ("/clkConfig", "xor_folds", json!(0.0), "/clkConfig/xor_folds: "),
        ("/clkConfig/kdf", "keySize", json!(64.0), "/clkConfig/kdf/keySize: "),
        ("/features/0/hashing/comparison", "n", json!(2.0), "/features/0/hashing/comparison/n: "),
        ("/features/0/hashing", "comparison", numeric, "/features/0/hashing/comparison/resolution: "),
    ] {
        let mut bad = schema(name());
        bad.pointer_mut(pointer).unwrap()[key] = value;
        let said = setup(&bad).unwrap_err();
        assert!(said.starts_with(path), "{said}");
    }
    // These it counts with as they are.
    let mut good = schema(name());
    good["features"][0]["hashing"]["strategy"]["bitsPerFeature"] = json!(60.0);
    good["features"][0]["format"] = json!({"type": "string", "minLength": 2.0, "maxLength": 20.0});
    assert_eq!(setup(&good), Ok(()));
    assert_eq!(clk(&good, b"secret", &["Jansen"]), clk(&schema(name()), b"secret", &["Jansen"]));
    let ignored = json!({"identifier": "old", "ignored": true, "format": {"type": "string"},
        "hashing": {"comparison": {"type": "ngram", "n": 2.0}, "strategy": {"bitsPerToken": 5}}});
    good["features"].as_array_mut().unwrap().push(ignored);
    assert_eq!(setup(&good), Ok(()));
}

#[test]
fn an_old_schema_s_error_names_its_version() {
    let bad = json!({"version": 2, "clkConfig": {"l": 64, "kdf": {"type": "HKDF"}}, "features": [{"identifier": "a",
        "format": {"type": "string"}, "hashing": {"ngram": 0, "strategy": {"k": 5}}}]});
    let said = refusal(&bad);
    assert!(said.starts_with("/features/0/hashing/comparison/n") && said.contains("version 2"), "{said}");
    let both = json!({"version": 2, "clkConfig": {"l": 64, "kdf": {"type": "HKDF"}}, "features": [{"identifier": "a",
        "ignored": true, "format": {"type": "string"}, "hashing": {"ngram": 2, "strategy": {"k": 5}}}]});
    assert!(refusal(&both).starts_with("/features/0: "));
}

#[test]
fn what_cannot_be_set_up_names_the_feature() {
    let with = |change: fn(&mut Value)| {
        let mut schema = schema(name());
        change(&mut schema);
        let schema = Schema::parse(schema.to_string().as_bytes()).unwrap();
        Encoder::new(&schema, b"secret").unwrap_err().to_string()
    };
    let hash = with(|schema| {
        schema["features"][0]["hashing"]["hash"] = json!({"type": "blakeHash", "prevent_singularity": true})
    });
    assert!(hash.starts_with("/features/0/hashing/hash/prevent_singularity: "), "{hash}");
    assert!(with(|schema| schema["clkConfig"]["l"] = json!(100)).starts_with("/features/0/hashing/hash: "));
    assert!(with(|schema| schema["clkConfig"]["kdf"]["keySize"] = json!(65)).contains("64 bytes"));
    assert!(with(|schema| schema["clkConfig"]["kdf"]["keySize"] = json!(5000)).starts_with("/clkConfig/kdf: "));
    let date = with(|schema| schema["features"][0]["format"] = json!({"type": "date", "format": "%Q"}));
    assert!(date.starts_with("/features/0/format/format: "), "{date}");
    let endless = with(|schema| {
        schema["clkConfig"]["l"] = json!(1);
        schema["features"][0]["hashing"]["hash"] = json!({"type": "doubleHash", "prevent_singularity": true});
    });
    assert!(endless.starts_with("/features/0/hashing/hash/prevent_singularity: "), "{endless}");
}

/// The CLKs of a CSV text without a header.
fn clks(text: &str, threads: usize) -> Result<Vec<String>, InputError> {
    let schema = json!({"version": 3, "clkConfig": {"l": 256, "kdf": {"type": "HKDF"}}, "features": [
        name(),
        {"identifier": "skipped", "ignored": true},
        {"identifier": "number", "format": {"type": "string"},
            "hashing": {"comparison": {"type": "exact"}, "strategy": {"bitsPerToken": 40}, "hash": {"type": "doubleHash"}}},
    ]});
    let schema = Schema::parse(schema.to_string().as_bytes()).unwrap();
    let encoder = Encoder::new(&schema, b"a secret of many bytes").unwrap();
    let (mut out, threads) = (Vec::new(), NonZeroUsize::new(threads).unwrap());
    let rows = encode_file(&encoder, text.as_bytes(), Header::Absent, threads, &mut out, |_, _| ())?;
    let found: Value = serde_json::from_slice(&out).unwrap();
    let clks: Vec<String> = serde_json::from_value(found["clks"].clone()).unwrap();
    assert_eq!(clks.len() as u64, rows);
    Ok(clks)
}

/// Rows as CSV, everything in quotes.
fn csv(rows: &[[String; 3]]) -> String {
    let value = |value: &String| format!("\"{}\"", value.replace('"', "\"\""));
    rows.iter().map(|row| row.each_ref().map(value).join(",") + "\n").collect()
}

#[test]
fn a_long_file_s_order_does_not_depend_on_the_threads() {
    let rows: Vec<_> = (0..5000).map(|at| [format!("name {at}"), String::new(), (at % 77).to_string()]).collect();
    let text = csv(&rows);
    let one = clks(&text, 1).unwrap();
    for threads in [2, 3, 7] {
        assert!(clks(&text, threads).unwrap() == one, "{threads}");
    }
}

#[test]
fn the_report_of_bad_lines_does_not_depend_on_the_threads() {
    let text: String =
        (0..5000).map(|at| if at % 100 == 99 { "Geheim\n".to_owned() } else { "a,b,c\n".to_owned() }).collect();
    let said = |threads| clks(&text, threads).unwrap_err().to_string();
    assert!(said(1).starts_with("50 bad lines") && said(1).contains("line 100: 1 values"), "{}", said(1));
    assert!(said(1).contains("line 2000") && !said(1).contains("line 2100") && !said(1).contains("Geheim"));
    assert_eq!(said(1), said(4));
}

#[test]
fn unicode_forms_are_different_values_because_clkhash_does_not_normalise() {
    let one = |name: &str| clks(&csv(&[[name.into(), String::new(), String::new()]]), 1).unwrap();
    assert_ne!(one("Zo\u{eb}"), one("Zoe\u{308}"));
    assert_ne!(one("IJ"), one("\u{132}"));
    assert_ne!(one("Jan"), one("JAN"));
    assert_ne!(one("Jan"), one("Jan "));
}

fn any_rows() -> impl Strategy<Value = Vec<[String; 3]>> {
    let value = "[a-zA-Zé\u{308}\u{132}😀,\"\n -]{0,9}";
    prop::collection::vec([value, value, value].prop_map(|row| row), 1..40)
}

proptest! {
    #[test]
    fn rows_in_another_order_have_the_same_clks_in_that_order(
        (rows, order) in any_rows().prop_flat_map(|rows| {
            let order = Just((0..rows.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(rows), order)
        }),
    ) {
        let before = clks(&csv(&rows), 2).unwrap();
        let moved: Vec<_> = order.iter().map(|at| rows[*at].clone()).collect();
        let after = clks(&csv(&moved), 3).unwrap();
        for (to, from) in order.iter().enumerate() {
            prop_assert_eq!(&after[to], &before[*from]);
        }
    }

    #[test]
    fn an_ignored_column_s_values_change_nothing(mut rows in any_rows()) {
        let before = clks(&csv(&rows), 1).unwrap();
        rows.iter_mut().for_each(|row| row[1] = "other".into());
        prop_assert_eq!(clks(&csv(&rows), 1).unwrap(), before);
    }

    #[test]
    fn an_insertion_more_never_takes_a_bit_away(value in "\\PC{0,20}", bits in 1_u64..100) {
        let with = |bits: u64| {
            let mut feature = name();
            feature["hashing"]["strategy"] = json!({"bitsPerFeature": bits});
            STANDARD.decode(clk(&schema(feature), b"secret", &[&value]).unwrap()).unwrap()
        };
        let (fewer, more) = (with(bits), with(bits + 1));
        prop_assert!(fewer.iter().zip(&more).all(|(fewer, more)| fewer & more == *fewer));
        let set: u32 = more.iter().map(|byte| byte.count_ones()).sum();
        prop_assert!(u64::from(set) <= bits + 1);
    }
}
