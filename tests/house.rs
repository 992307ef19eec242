//! Holds the source to the map and the invariants of `src/lib.rs`: which room may know which, and what stands in one
//! place only. It reads the source as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Which rooms and shared words a room may name. `cli` is the edge and may name all.
const ARROWS: [(&str, &[&str]); 14] = [
    ("code", &["ids"]),
    ("ids", &[]),
    ("profile", &[]),
    ("clock", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("encode", &["clock", "code", "ids", "profile"]),
    ("link", &["code", "profile"]),
    ("privacy", &["code"]),
    ("regulate", &["audit", "code", "ids", "link"]),
    ("audit", &["ids"]),
    ("epoch", &["code", "ids"]),
    ("store", &["audit", "code", "epoch", "ids"]),
    ("witness", &["audit", "clock"]),
];

/// The service's edge: it joins the rooms, and never sees plaintext.
const ANSWER: [&str; 11] =
    ["audit", "clock", "code", "config", "epoch", "ids", "link", "profile", "regulate", "store", "telemetry"];

/// Words of the code, and the only places where they may stand: a file, or a room with a slash behind it.
const ONLY: [(&str, &[&str]); 27] = [
    ("actix_", &["answer/", "witness/server.rs"]),
    ("utoipa", &["answer/", "audit/mod.rs", "code.rs"]),
    ("jsonschema", &["answer/shape.rs"]),
    ("rusqlite", &["store/"]),
    ("governor", &["answer/handshakes.rs", "answer/limits.rs", "answer/strangers.rs"]),
    ("prometheus", &["answer/metrics.rs"]),
    ("cedar_policy", &["regulate/"]),
    ("age::", &["audit/seal.rs", "epoch/share.rs", "store/restore.rs"]),
    ("aes::", &["encode/keys.rs"]),
    ("rustls::", &["answer/"]),
    ("x509_parser", &["answer/identity.rs", "answer/tls/"]),
    ("ureq", &["cli/client.rs", "cli/client/patience.rs", "answer/collector.rs"]),
    ("rcgen", &["cli/pki.rs", "answer/identity.rs"]),
    ("csv::", &["encode/read/", "cli/"]),
    ("anyhow", &["cli/"]),
    ("clap", &["cli/"]),
    ("indicatif", &["cli/output.rs"]),
    ("std::env", &["config.rs", "cli/salt.rs", "answer/manager.rs"]),
    ("println!", &["cli/"]),
    ("eprint!", &["cli/"]),
    ("print!", &["cli/"]),
    ("faer::", &["privacy/"]),
    ("lsap::", &["privacy/"]),
    ("rand_chacha", &["privacy/"]),
    ("rayon::", &["privacy/", "cli/"]),
    ("unsafe", &["link/popcount/neon.rs", "link/popcount/x86_64/"]),
    ("epoch::share", &["cli/", "lib.rs"]),
];

/// What stands nowhere, this file included: in pieces, so that they do not find themselves.
const NOWHERE: [&str; 7] = [
    concat!("to", "do!"),
    concat!("unimplem", "ented!"),
    concat!("d", "bg!"),
    concat!("#[", "allow"),
    concat!("#![", "allow"),
    concat!("#[", "ignore"),
    concat!("TO", "DO"),
];

/// A longer file is two.
const MOST_LINES: usize = 450;

struct Source {
    /// From `src`, with slashes.
    path: String,
    text: String,
}

impl Source {
    /// The room, or the shared word, that the file is of.
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().expect("a path has a first part")
    }

    /// Lines that are no comment, with their number.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The modules of this crate that the file names.
    fn names(&self) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for (at, line) in self.code() {
            for (_, rest) in line.match_indices("crate::").map(|(start, word)| line.split_at(start + word.len())) {
                assert!(!rest.starts_with('{'), "{}:{at}: a room a line, so that the arrows can be read", self.path);
                let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                names.entry(name).or_insert(at);
            }
        }
        names
    }
}

fn files_in(folder: &Path, prefix: &str, extension: &str, into: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            files_in(&path, &format!("{name}/"), extension, into);
        } else if path.extension().is_some_and(|found| found == extension) {
            into.push(Source { text: fs::read_to_string(&path).unwrap(), path: name });
        }
    }
}

fn files(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), "", "rs", &mut files);
    assert!(!files.is_empty());
    files
}

#[test]
fn every_room_names_only_the_rooms_that_the_map_allows() {
    let mut arrows: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(room, may)| (*room, may.iter().copied().collect())).collect();
    arrows.insert("answer", ANSWER.into());
    for source in files("src") {
        let room = source.room();
        if ["cli", "lib", "main"].contains(&room) {
            continue;
        }
        let may = arrows.get(room).unwrap_or_else(|| panic!("{room} is not on the map; give it its arrows"));
        for (name, at) in source.names() {
            let allowed = name == room || may.contains(name.as_str());
            assert!(allowed, "src/{}:{at}: {room} may not know {name}", source.path);
        }
    }
}

#[test]
fn no_arrow_of_the_map_points_both_ways() {
    let names: BTreeMap<String, BTreeSet<String>> = files("src").iter().fold(BTreeMap::new(), |mut all, source| {
        let of: &mut BTreeSet<String> = all.entry(source.room().to_owned()).or_default();
        of.extend(source.names().into_keys().filter(|name| name != source.room()));
        all
    });
    for (room, knows) in &names {
        for known in knows {
            assert!(!names.get(known).is_some_and(|back| back.contains(room)), "{room} and {known} know each other");
        }
    }
}

#[test]
fn an_arrow_cannot_be_hidden_in_the_way_it_is_written() {
    for source in files("src") {
        let depth = source.path.matches('/').count();
        let is_face = source.path.ends_with("/mod.rs");
        for (at, line) in source.code() {
            assert!(!line.contains("voorrang::") || source.path == "main.rs", "src/{}:{at}", source.path);
            // The file's own module; tests inside it are one deeper.
            let up = line.matches("super::").count().saturating_sub(usize::from(line.starts_with(' ')));
            assert!(up + usize::from(is_face) <= depth, "src/{}:{at}: write `crate::`", source.path);
        }
    }
}

#[test]
fn plaintext_and_salts_are_known_to_the_custodian_s_side_only() {
    for source in files("src") {
        let custodian = ["cli", "encode", "lib", "main"].contains(&source.room());
        let knows = source.names();
        assert!(custodian || !knows.contains_key("encode"), "src/{} knows plaintext", source.path);
        let share = source.text.contains("crate::epoch::share") || source.text.contains("epoch::{share");
        assert!(!share || source.room() == "cli", "src/{} can open a salt", source.path);
    }
    let service = files("src").into_iter().filter(|source| source.room() == "answer");
    for source in service {
        let opens = source.code().find(|(_, line)| line.contains("share::"));
        assert!(opens.is_none(), "src/{}: {opens:?}", source.path);
    }
}

#[test]
fn each_tool_stands_in_its_own_room() {
    for source in files("src") {
        for (word, places) in ONLY {
            let here = places.iter().any(|place| source.path == *place || source.path.starts_with(place));
            let Some((at, line)) = source.code().find(|(_, line)| has_word(line, word)) else { continue };
            assert!(here, "src/{}:{at}: {word} belongs to {places:?}: {line}", source.path);
        }
    }
    for (word, places) in ONLY {
        let somewhere = files("src").iter().any(|source| source.code().any(|(_, line)| has_word(line, word)));
        assert!(somewhere || word == "eprint!" || word == "print!", "{word} of {places:?} is gone; so is its rule");
    }
}

/// Whether `word` begins where no longer word does.
fn has_word(line: &str, word: &str) -> bool {
    let starts = |at: usize| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| starts(at))
}

#[test]
fn linking_is_pure() {
    for source in files("src").iter().filter(|source| source.room() == "link") {
        for word in ["std::fs", "std::io", "std::net", "std::time", "std::env", "SystemTime", "Instant", "tracing"] {
            let found = source.code().find(|(_, line)| line.contains(word));
            assert!(found.is_none(), "src/{} has {word}: {found:?}", source.path);
        }
    }
}

#[test]
fn a_decision_touches_no_network_clock_or_database() {
    for source in files("src").iter().filter(|source| source.room() == "regulate") {
        // A test may measure how long a decision takes.
        if source.path.ends_with("tests.rs") {
            continue;
        }
        for word in ["std::net", "std::time", "std::env", "SystemTime", "Instant", "tracing", "fs::write"] {
            let found = source.code().find(|(_, line)| line.contains(word));
            assert!(found.is_none(), "src/{} has {word}: {found:?}", source.path);
        }
        let reads = source.text.contains("fs::");
        assert!(!reads || source.path == "regulate/mod.rs", "src/{}: only `Regulation::load` reads", source.path);
    }
}

#[test]
fn nothing_is_left_undone_silenced_or_skipped() {
    for folder in ["src", "tests", "benches"] {
        for source in files(folder) {
            for word in NOWHERE {
                let found = source.text.lines().position(|line| line.contains(word));
                assert!(found.is_none(), "{folder}/{}:{}: {word}", source.path, found.unwrap_or(0) + 1);
            }
        }
    }
}

#[test]
fn no_file_is_too_long_and_every_face_says_what_its_room_is_for() {
    for source in files("src") {
        let lines = source.text.lines().count();
        assert!(lines <= MOST_LINES, "src/{}: {lines} lines; a file of more than {MOST_LINES} is two", source.path);
        if source.path.ends_with("mod.rs") || !source.path.contains('/') {
            assert!(source.text.starts_with("//! "), "src/{}: begins with what it is for", source.path);
        }
    }
}
