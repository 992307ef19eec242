//! The commands that need no service, run as a user runs them: files in, files and exit codes out.

mod audit;
mod bad_input;
mod clk;
mod demo;
mod encode;
mod evaluate;
mod link;
mod manual;
mod output;
mod privacy_report;
mod regulation;
mod usage;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

/// 32 bytes in hexadecimal.
const SALT: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

/// A word that stands in inputs and must stand in no output.
const CANARY: &str = "Geheimschrijver";

/// The program, without anything of this environment that configures it.
fn voorrang() -> Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("voorrang");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOORRANG")) {
        command.env_remove(name);
    }
    command
}

/// The invented people that ship.
fn demo_data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo")
}

/// A folder with the demonstration's data in `data` and a salt in `salt.hex`.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    for file in ["brp.csv", "huurders.csv", "achterstanden.csv", "oggz.csv", "meta.json"] {
        fs::copy(demo_data().join(file), data.join(file)).unwrap();
    }
    let salt = folder.path().join("salt.hex");
    fs::write(&salt, SALT).unwrap();
    fs::set_permissions(&salt, fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

/// Every file under a folder with its content: what is equal before and after was left alone.
fn files_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Standard error of a command that ends with this exit code and says nothing on standard output, and nothing twice.
fn fails(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{stderr}");
    let clauses: Vec<&str> = stderr.trim_end().split(": ").collect();
    assert!(clauses.windows(2).all(|pair| !pair[0].ends_with(pair[1])), "says something twice: {stderr}");
    stderr
}

/// Rows of a CSV file, values by column.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}
