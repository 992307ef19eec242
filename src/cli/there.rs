//! What stands where an output is to go, and must not be lost: what the command reads, a key or salt, another kind of
//! file.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::audit::NoteSigner;
use crate::epoch::share::KeptSalt;

/// An output would take the place of something.
#[derive(Debug, thiserror::Error)]
pub enum Taken {
    #[error("{} is what is read; give another place to write to", .0.display())]
    Input(PathBuf),
    #[error("{} would be written twice; give each output a place of its own", .0.display())]
    Output(PathBuf),
    #[error("{} holds a key or a salt, which nothing is written over; give another place to write to", .0.display())]
    Secret(PathBuf),
    #[error("{} is there and is no {what}; it stays: give another place to write to", .path.display())]
    Other { path: PathBuf, what: &'static str },
}

/// Refuses an output that is the same file as one of these inputs, or as another output, by whatever name and whether or
/// not it is there, or that holds a secret.
///
/// # Errors
/// [`Taken`].
pub fn refuse_clash<'a>(
    outputs: impl IntoIterator<Item = &'a Path>,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Taken> {
    let file = |path: &Path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|it| (it.dev(), it.ino()));
    let read: BTreeSet<_> = inputs.into_iter().filter_map(file).collect();
    let mut written = BTreeSet::new();
    for output in outputs {
        if file(output).is_some_and(|file| read.contains(&file)) {
            return Err(Taken::Input(output.to_owned()));
        }
        refuse_secret(output)?;
        let path = at_end_of_links(output);
        // A pipe or a device may be written twice.
        let is_file = fs::metadata(&path).map_or(true, |there| there.is_file());
        let folder = folder_of(&path).canonicalize().unwrap_or_else(|_| folder_of(&path).to_owned());
        if is_file && !written.insert(folder.join(path.file_name().unwrap_or_default())) {
            return Err(Taken::Output(output.to_owned()));
        }
    }
    Ok(())
}

/// Refuses an output that holds a key or a salt, whoever's.
///
/// # Errors
/// [`Taken::Secret`].
pub fn refuse_secret(output: &Path) -> Result<(), Taken> {
    let begins = beginning(output).is_some_and(|bytes| is_secret(&bytes));
    if begins { Err(Taken::Secret(output.to_owned())) } else { Ok(()) }
}

/// Refuses an output that is there and does not begin as what is written: records and envelopes go where the files of
/// several parties lie.
///
/// # Errors
/// [`Taken::Other`].
pub fn refuse_other(output: &Path, begins: &str, what: &'static str) -> Result<(), Taken> {
    match beginning(output) {
        Some(bytes) if !bytes.is_empty() && !bytes.starts_with(begins.as_bytes()) => {
            Err(Taken::Other { path: output.to_owned(), what })
        }
        _ => Ok(()),
    }
}

/// As many links as the system follows.
const MOST_LINKS: usize = 40;

/// The path that a link leads to, also if nothing is there yet.
pub fn at_end_of_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(target);
    }
    path
}

/// The folder that a path is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes in which a key says what it is.
const BEGINNING: u64 = 4096;

/// The first bytes of a file; of what is no file, or cannot be read, none.
fn beginning(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    // Looked at before: a pipe is opened only when somebody writes to it.
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path).ok()?.take(BEGINNING).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A private key in PEM, of age or of a note's signer, or a salt that names its epoch.
fn is_secret(bytes: &[u8]) -> bool {
    let holds = |word: &[u8]| bytes.windows(word.len()).any(|place| place == word);
    holds(b"PRIVATE KEY-----")
        || holds(b"AGE-SECRET-KEY-")
        || NoteSigner::new("key", bytes).is_ok()
        || KeptSalt::from_file(bytes).is_ok_and(|kept| kept.epoch.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::share::{Salt, generate_identity};

    #[test]
    fn an_output_that_is_an_input_is_refused_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let [input, link, hard, other] = ["in.csv", "link", "hard", "out.csv"].map(|name| folder.path().join(name));
        fs::write(&input, "a").unwrap();
        std::os::unix::fs::symlink("in.csv", &link).unwrap();
        fs::hard_link(&input, &hard).unwrap();
        for output in [&input, &link, &hard] {
            assert!(refuse_clash([output.as_path()], [other.as_path(), input.as_path()]).is_err());
        }
        assert!(refuse_clash([other.as_path()], [input.as_path()]).is_ok());
        assert!(refuse_clash([Path::new("/dev/null")], [Path::new("/dev/null")]).is_ok());
    }

    #[test]
    fn two_outputs_that_are_one_file_are_refused_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let [out, link, far, other] =
            ["out.csv", "link", "far/../out.csv", "b.csv"].map(|name| folder.path().join(name));
        fs::create_dir(folder.path().join("far")).unwrap();
        std::os::unix::fs::symlink("out.csv", &link).unwrap();
        for is_there in [false, true] {
            for second in [&out, &link, &far] {
                let clash = refuse_clash([out.as_path(), other.as_path(), second.as_path()], []);
                assert!(matches!(clash, Err(Taken::Output(_))), "{second:?} {is_there}");
            }
            assert!(refuse_clash([link.as_path(), other.as_path()], []).is_ok());
            fs::write(&out, "a").unwrap();
        }
        assert!(refuse_clash([Path::new("/dev/null"); 2], []).is_ok());
    }

    #[test]
    fn nobody_s_key_or_salt_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let pem = format!("-----BEGIN EC {} KEY-----\nAAAA\n", "PRIVATE");
        let salt = Salt::random().to_file(&"haarlem-1".parse().unwrap());
        let age = format!("# created: today\n{}", *generate_identity().0);
        let note = NoteSigner::generate("key").unwrap().1;
        for (name, secret) in [("a", pem.as_bytes()), ("b", salt.as_bytes()), ("c", age.as_bytes()), ("d", &note)] {
            let path = file(name, secret);
            assert!(matches!(refuse_secret(&path), Err(Taken::Secret(_))), "{name}");
            assert!(matches!(refuse_clash([path.as_path()], []), Err(Taken::Secret(_))), "{name}");
            assert!(crate::cli::output::Output::create(&path).is_err(), "{name}");
        }
        for (name, text) in [("e", "contract_id,answer\n"), ("f", ""), ("g", "{\"header\":{}}\n"), ("h", "haarlem: 1")]
        {
            assert!(refuse_secret(&file(name, text.as_bytes())).is_ok(), "{name}");
        }
        assert!(refuse_secret(&folder.path().join("new")).is_ok());
    }

    #[test]
    fn a_record_takes_the_place_of_a_record_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let refused = || refuse_other(&path, "record v1\n", "record").is_err();
        assert!(!refused());
        for (text, is_refused) in [("record v1\nepoch e-1\n", false), ("contract_id\n", true), ("", false)] {
            fs::write(&path, text).unwrap();
            assert_eq!(refused(), is_refused, "{text}");
        }
    }
}
