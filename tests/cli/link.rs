//! `voorrang link`: pairs of plain CLKs, and what it says of files that have none.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Output;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use voorrang::link::popcount::Kernel;

use super::*;

/// Codes of so many bytes, of which every fifth pair of neighbours is much alike.
fn codes(count: usize, bytes: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut word = seed;
    let mut draw = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (word >> 56) as u8
    };
    let mut codes: Vec<Vec<u8>> = Vec::new();
    for at in 0..count {
        let mut code: Vec<u8> = (0..bytes).map(|_| draw()).collect();
        if at % 5 == 4 {
            code.clone_from(&codes[at - 1]);
            code[at % bytes] = draw();
        }
        codes.push(code);
    }
    codes
}

fn write(folder: &Path, name: &str, codes: &[Vec<u8>]) {
    let clks: Vec<String> = codes.iter().map(|code| STANDARD.encode(code)).collect();
    fs::write(folder.join(name), serde_json::json!({ "clks": clks }).to_string()).unwrap();
}

fn link(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = voorrang();
    command.current_dir(folder).arg("link").args(args);
    command
}

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// All pairs at or above a threshold, as the command must write them.
fn by_hand(left: &[Vec<u8>], right: &[Vec<u8>], threshold: f64) -> String {
    let ones = |code: &[u8]| code.iter().map(|byte| byte.count_ones()).sum::<u32>();
    let mut csv = "left,right,dice\n".to_owned();
    for (i, a) in left.iter().enumerate() {
        for (j, b) in right.iter().enumerate() {
            let common: u32 = a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum();
            let dice = f64::from(2 * common) / f64::from(ones(a) + ones(b));
            if dice >= threshold {
                csv.push_str(&format!("{i},{j},{dice:?}\n"));
            }
        }
    }
    csv
}

#[test]
fn every_kernel_and_length_writes_the_pairs_sorted_as_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in [8, 24, 128, 256] {
        let (left, right) = (codes(120, bytes, 1), [codes(77, bytes, 1), codes(50, bytes, 2)].concat());
        write(folder.path(), "left.json", &left);
        write(folder.path(), "right.json", &right);
        let want = by_hand(&left, &right, 0.7);
        assert!(want.lines().count() > 77);
        let mut seen = BTreeSet::new();
        for kernel in ["auto", "amx", "avx512", "avx2", "popcnt", "neon", "portable"] {
            let args = ["left.json", "right.json", "--threshold", "0.7", "--kernel", kernel, "--threads", "2"];
            let output = link(&folder, &args).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            if output.status.success() {
                assert_eq!(String::from_utf8(output.stdout).unwrap(), want, "{kernel}");
                seen.insert(kernel);
            } else {
                assert_eq!(output.status.code(), Some(2), "{stderr}");
                assert!(stderr.contains("this machine does not have it; it has portable"), "{stderr}");
            }
        }
        assert!(seen.contains("auto") && seen.contains("portable"));
    }
}

/// A kernel that is not there is not tested, here and in the kernels' own tests, and whoever reads that all is well
/// should know.
#[test]
fn kernels_that_this_machine_lacks_are_told() {
    let lacks: Vec<&str> = Kernel::NAMES.into_iter().filter(|name| Kernel::named(name).is_none()).collect();
    // Past the capture of output, which hides what a good test prints.
    writeln!(std::io::stderr(), "not tested on this machine: kernels {}", lacks.join(", ")).unwrap();
    assert_eq!(lacks.len() + Kernel::available().len(), Kernel::NAMES.len());
    assert!(!lacks.contains(&"portable"));
}

#[test]
fn a_file_is_whole_and_the_figures_stand_alone_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", &codes(60, 128, 3));
    let file = ["a.json", "a.json", "--threshold", "1", "-o", "pairs.csv", "--threads", "1", "--stats", "json"];
    let output = done(&mut link(&folder, &file));
    let stats: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&stats["pairs"], &stats["threads"], &stats["threshold"]), (&3600.into(), &1.into(), &1.0.into()));
    for key in ["prepareCpuSeconds", "compareCpuSeconds", "pairsPerCpuSecond"] {
        assert!(stats[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert!(stats["kernel"].is_string());
    let rows = rows(&folder.path().join("pairs.csv"));
    assert_eq!(stats["candidates"], rows.len());
    // Everybody is equal to himself, and a duplicate to his original.
    assert!(rows.len() >= 60 && rows.iter().all(|row| row["dice"] == "1.0"));
    let only_figures = done(&mut link(&folder, &["a.json", "a.json", "--threshold", ".5", "--stats", "json"]));
    assert_eq!(String::from_utf8(only_figures.stdout).unwrap().lines().count(), 1);
}

#[test]
fn codes_without_a_bit_are_no_pair() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", &[vec![0; 128], vec![255; 128]]);
    let output = done(&mut link(&folder, &["a.json", "a.json", "--threshold", "1e-300"]));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "left,right,dice\n1,1,1.0\n");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.ends_with("1 reach 1e-300.\n"), "{told}");
}

#[test]
fn files_that_are_wrong_are_named_and_leave_no_output() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "good.json", &codes(3, 128, 1));
    write(folder.path(), "long.json", &codes(3, 256, 1));
    write(folder.path(), "odd.json", &codes(3, 15, 1));
    write(folder.path(), "none.json", &[]);
    write(folder.path(), "mixed.json", &[codes(2, 128, 1), codes(1, 64, 1)].concat());
    fs::write(folder.path().join("empty.json"), "").unwrap();
    fs::write(folder.path().join("cut.json"), r#"{"clks": ["AAAA"#).unwrap();
    fs::write(folder.path().join("word.json"), format!(r#"{{"clks": ["{CANARY}!"]}}"#)).unwrap();
    fs::write(folder.path().join("number.json"), r#"{"clks": [31415926]}"#).unwrap();
    let before = files_in(folder.path());
    for (file, want) in [
        ("long.json", "left CLKs have 1024 bits and right ones 2048"),
        ("odd.json", "odd.json: the CLK at position 0 has 120 bits"),
        ("none.json", "none.json: there is no CLK"),
        ("mixed.json", "mixed.json: the CLK at position 2 has 512 bits where those before it have 1024"),
        ("empty.json", "empty.json: is empty"),
        ("cut.json", "cut.json: ends at line 1"),
        ("word.json", "word.json, /clks/0: not base64"),
        ("number.json", "number.json, line 1"),
        ("absent.json", "absent.json: cannot be opened"),
    ] {
        let stderr = fails(&mut link(&folder, &["good.json", file, "--threshold", "0.8", "-o", "pairs.csv"]), 4);
        assert!(stderr.contains(want) && stderr.matches(want).count() == 1, "{stderr}");
        assert!(!stderr.contains("pairs.csv"), "nothing was wrong with it: {stderr}");
        assert!(!stderr.contains(CANARY) && !stderr.contains("31415926"), "{stderr}");
        assert_eq!(files_in(folder.path()), before, "{file}");
    }
}

#[test]
fn a_threshold_that_is_none_is_wrong_use() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", &codes(1, 8, 1));
    for bad in ["0", "-0.5", "1.01", "NaN", "inf", "much", ""] {
        let stderr = fails(&mut link(&folder, &["a.json", "a.json", &format!("--threshold={bad}")]), 2);
        assert!(stderr.contains("--threshold"), "{stderr}");
    }
}

#[test]
fn candidates_of_sampled_bits_are_some_of_the_pairs_and_are_called_approximate() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", &codes(300, 128, 5));
    let plain = ["a.json", "a.json", "--threshold", "0.6", "-o"];
    done(&mut link(&folder, &[&plain[..], &["exact.csv"]].concat()));
    let exact = fs::read_to_string(folder.path().join("exact.csv")).unwrap();
    let lsh = ["lsh.csv", "--stats", "json", "--blocking", "lsh", "--lsh-tables", "8", "--lsh-bits", "16"];
    let output = done(&mut link(&folder, &[&plain[..], &lsh].concat()));
    let stats: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&stats["approximate"], &stats["pairs"]), (&true.into(), &90_000.into()));
    let blocking = &stats["blocking"];
    assert_eq!((&blocking["method"], &blocking["tables"], &blocking["bits"]), (&"lsh".into(), &8.into(), &16.into()));
    assert!(blocking["compared"].as_u64().unwrap() < 9_000);
    assert!(String::from_utf8(output.stderr).unwrap().contains("APPROXIMATE"));
    let found = fs::read_to_string(folder.path().join("lsh.csv")).unwrap();
    let (exact, found): (BTreeSet<_>, BTreeSet<_>) = (exact.lines().collect(), found.lines().collect());
    // Everybody is found as himself, and nearly everybody as the neighbour who differs in a byte.
    assert!(found.is_subset(&exact) && found.len() >= 301 + 90);
    let help = String::from_utf8(done(voorrang().args(["link", "--help"])).stdout).unwrap();
    assert!(help.contains("APPROXIMATE: pairs are missed"), "{help}");
    for wrong in [&["--lsh-bits", "8"][..], &["--blocking", "lsh", "--lsh-bits", "0"], &["--blocking", "magic"]] {
        fails(&mut link(&folder, &[&["a.json", "a.json", "--threshold", "0.6"], wrong].concat()), 2);
    }
}

#[test]
fn a_threshold_is_suggested_where_matches_stand_apart_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let right = codes(500, 128, 7);
    let right: Vec<_> = right.into_iter().enumerate().filter(|(at, _)| at % 5 != 4).map(|(_, code)| code).collect();
    let mut left = right.clone();
    // Every second one is a stranger; the others have an eighth of their bytes changed.
    let others = codes(400, 128, 8);
    for (at, (code, other)) in left.iter_mut().zip(&others).enumerate() {
        let changed = if at % 2 == 0 { 16 } else { 128 };
        code[..changed].copy_from_slice(&other[..changed]);
    }
    write(folder.path(), "left.json", &left);
    write(folder.path(), "right.json", &right);
    write(folder.path(), "others.json", &codes(301, 128, 99).into_iter().step_by(5).collect::<Vec<_>>());
    let suggest = |file| {
        let output = done(&mut link(&folder, &[file, "right.json", "--suggest-threshold", "--stats", "json"]));
        (serde_json::from_slice::<Value>(&output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (stats, table) = suggest("left.json");
    let best = stats["suggestedThreshold"].as_f64().unwrap();
    assert!((0.6..=0.93).contains(&best), "{best}");
    assert!(table.contains(&format!("--threshold {best:.2}")) && table.contains("estimates"), "{table}");
    let at_best = stats["thresholds"].as_array().unwrap().iter().find(|row| row["threshold"] == best).unwrap();
    assert!((at_best["pairs"].as_f64().unwrap() - 200.0).abs() < 3.0, "{at_best}");
    assert!(at_best["estimatedPrecision"].as_f64().unwrap() > 0.98, "{at_best}");
    let (stats, table) = suggest("others.json");
    assert!(stats["suggestedThreshold"].is_null() && table.contains("no threshold is suggested"), "{table}");
    fails(&mut link(&folder, &["left.json", "right.json"]), 2);
    fails(&mut link(&folder, &["left.json", "right.json", "--suggest-threshold", "--threshold", "0.8"]), 2);
}
