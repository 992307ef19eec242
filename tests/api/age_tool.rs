//! Shares beside the tools that others have: `age` and `ssh-keygen`. `./check` installs both; where one is missing, what
//! needs it is left out and said.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use voorrang::cli::client::PartyBook;
use voorrang::cli::epoch::{self, EpochCommand, ResealArgs};
use voorrang::cli::load::Kind;
use voorrang::cli::pki::write_secret;
use voorrang::epoch::share;
use voorrang::ids::EpochId;
use voorrang::profile::Profile;

use super::support::*;

fn is_installed(tool: &str) -> bool {
    let found = Command::new(tool).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("{tool} is not installed: a part of this test is left out");
    }
    found
}

/// What `age --decrypt` makes of a sealed share.
fn opened_by_age(identity: &Path, sealed: &str) -> String {
    let mut age = Command::new("age")
        .args(["--decrypt", "--identity"])
        .arg(identity)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    age.stdin.take().unwrap().write_all(sealed.as_bytes()).unwrap();
    let output = age.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Gives a party an ssh key in place of its age key; everybody knows it, with a comment behind it.
fn ssh_key(house: &House, stem: &str, oin: &str, kind: &[&str]) {
    let path = house.keys().join(format!("{stem}.age"));
    fs::remove_file(&path).unwrap();
    let mut make = Command::new("ssh-keygen");
    make.args(["-q", "-N", "", "-C", "custodian@example"]).args(kind).arg("-f").arg(&path);
    assert!(make.status().unwrap().success());
    let public = fs::read_to_string(house.keys().join(format!("{stem}.age.pub"))).unwrap().trim().to_owned();
    let book = house.keys().join("parties.toml");
    let mut parties = PartyBook::load(&book).unwrap();
    parties.party.iter_mut().find(|party| party.oin.as_str() == oin).unwrap().recipient = Some(public);
    fs::write(book, toml::to_string(&parties).unwrap()).unwrap();
}

#[test]
fn the_age_tool_opens_every_share_with_age_and_ssh_keys() {
    let house = House::empty();
    let mut ssh = Vec::new();
    if is_installed("ssh-keygen") {
        ssh_key(&house, CARE, "00000099000000003000", &["-t", "ed25519"]);
        ssh_key(&house, CORPORATION, "00000099000000004001", &["-t", "rsa", "-b", "2048"]);
        ssh = vec![CARE, CORPORATION];
    }
    house.agree(EPOCH);
    let epoch: EpochId = EPOCH.parse().unwrap();
    let salt = |stem: &str| house.client(stem).salt(&epoch, &Profile::built_in()).unwrap().expose().to_vec();
    let agreed = salt(POPULATION);
    assert!(ssh.iter().all(|stem| salt(stem) == agreed));
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    // The corporation's shares are sealed again: for a key of another kind, if it had one.
    let again = "00000099000000004001";
    fs::remove_file(house.keys().join(format!("{CORPORATION}.age"))).unwrap();
    let (identity, public) = share::generate_identity();
    write_secret(&house.keys().join(format!("{CORPORATION}.age")), identity.as_bytes()).unwrap();
    let book = house.keys().join("parties.toml");
    let mut parties = PartyBook::load(&book).unwrap();
    parties.party.iter_mut().find(|party| party.oin.as_str() == again).unwrap().recipient = Some(public);
    fs::write(book, toml::to_string(&parties).unwrap()).unwrap();
    let reseal = ResealArgs { epoch: house.epoch_args(POPULATION, EPOCH), party: again.parse().unwrap() };
    epoch::run(&EpochCommand::Reseal(reseal)).unwrap();
    assert_eq!(salt(CORPORATION), agreed);
    if is_installed("age") {
        for stem in ssh.into_iter().chain([POPULATION, CORPORATION]) {
            let envelope = house.client(stem).envelope(&epoch).unwrap();
            for (from, sealed) in &envelope.shares {
                let sealed = envelope.resealed.get(from).and_then(|again| again.last()).unwrap_or(sealed);
                let text = opened_by_age(&house.keys().join(format!("{stem}.age")), sealed);
                assert!(text.starts_with(&format!("voorrang share v1\nepoch {EPOCH}\nfrom {from}\n")), "{stem}");
            }
        }
    }
}

#[test]
fn an_ssh_key_with_a_passphrase_is_refused_with_the_remedy() {
    if !is_installed("ssh-keygen") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("id");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "passphrase", "-f"]).arg(&path).status();
    assert!(made.unwrap().success());
    let error = voorrang::cli::client::read_identity(&path).err().unwrap();
    assert!(format!("{error:#}").contains("ssh-keygen -p"), "{error:#}");
}
