//! Completions and manual pages are made from the commands, so that none is forgotten.

use std::fs;

use super::voorrang;

/// The commands of the first level, as the help names them.
fn commands() -> Vec<String> {
    let help = String::from_utf8(voorrang().arg("--help").output().unwrap().stdout).unwrap();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    voorrang().args(["man", "-o"]).arg(folder.path().join("man1")).assert().success();
    let page = |name: &str| fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
    assert!(page("voorrang.1").contains("Exit codes"));
    let commands = commands();
    assert!(commands.len() > 12 && commands.contains(&"serve".to_owned()), "{commands:?}");
    for command in commands {
        assert!(page(&format!("voorrang-{command}.1")).contains(".SH"), "{command}");
    }
    assert!(page("voorrang-epoch-new.1").contains(".SH"), "and the commands below them");
}

#[test]
fn every_shell_completes_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let done = voorrang().args(["completions", shell]).assert().success();
        let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
        for command in commands() {
            assert!(text.contains(&command), "{shell}: {command}");
        }
    }
    voorrang().args(["completions", "cmd"]).assert().code(2);
}
