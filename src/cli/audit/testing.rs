//! A log in memory, and an officer's copy of it, for the tests of these commands.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;
use zeroize::Zeroizing;

use super::VerifyArgs;
use super::copy::{Copy, Source};
use super::reading::Reading;
use crate::audit::{
    Action, Actor, Checkpoint, DayKey, Disclosed, Entry, Frontier, Line, LogKeys, NoteSigner, NoteVerifier, Opener,
    Outcome, Range,
};
use crate::epoch::share::generate_identity;
use crate::ids::TraceId;

pub const LOG: &str = "log.example/a";
pub const ONE: &str = "00000099000000004001";
pub const OTHER: &str = "00000099000000004002";
pub const START: OffsetDateTime = datetime!(2026-11-02 9:00 UTC);

/// A log whose first entry brings a day key.
pub struct Log {
    pub signer: NoteSigner,
    pub lines: Vec<Line>,
    pub identity: Zeroizing<String>,
    key: DayKey,
}

impl Log {
    pub fn new() -> Self {
        let (identity, public) = generate_identity();
        let (key, file) = DayKey::draw(&[public]).unwrap();
        let mut first = Entry::new(START, TraceId::random(), Actor::service(), Action::DayKey, Outcome::Done);
        first.day_key = Some(file);
        let lines = vec![Line::Entry(first.to_bytes())];
        Self { signer: NoteSigner::generate(LOG).unwrap().0, lines, identity, key }
    }

    /// A question at this time of this party about this household, answered or, with an article, refused.
    pub fn ask(mut self, time: OffsetDateTime, oin: &str, object: u8, told: Result<&str, &str>) -> Self {
        let mut entry = entry(time, oin, object);
        match told {
            Ok(answer) => {
                entry.result = Outcome::Answered;
                let disclosed = Disclosed { answer: answer.into(), groups: vec![] };
                entry.sealed = Some(self.key.seal(&entry, &disclosed).unwrap());
            }
            Err(article) => {
                entry.result = Outcome::Refused(article.into());
                entry.articles = vec![article.into()];
            }
        }
        self.lines.push(Line::Entry(entry.to_bytes()));
        self
    }

    /// Deletes the contents of these entries at this time, and records it.
    pub fn expire(mut self, time: OffsetDateTime, gone: &[Range]) -> Self {
        for at in gone.iter().flat_map(|range| range.from..range.to) {
            let line = &mut self.lines[at as usize];
            *line = Line::Expired(line.leaf());
        }
        let mut record = Entry::new(time, TraceId::random(), Actor::service(), Action::LogExpire, Outcome::Done);
        record.deleted(gone);
        self.lines.push(Line::Entry(record.to_bytes()));
        self
    }

    /// So many answered questions more, a minute apart.
    pub fn grown(mut self, by: usize) -> Self {
        for minute in 0..by as i64 {
            self = self.ask(START + time::Duration::minutes(minute), ONE, 1, Ok("priority"));
        }
        self
    }

    pub fn key(&self) -> NoteVerifier {
        self.signer.verifier()
    }

    pub fn copy(&mut self, folder: &Path) -> Copy {
        let mut copy = Copy::open(folder).unwrap();
        let key = self.key();
        copy.follow(self, &key, 1).unwrap();
        copy
    }

    /// A copy in a folder of its own, as the officer reads it.
    pub fn reading(&mut self) -> (TempDir, Reading) {
        let home = tempfile::tempdir().unwrap();
        let copy = self.copy(&home.path().join("log"));
        let opener = Opener::from_file(&self.identity).unwrap();
        (home, Reading::new(copy, Some(opener)).unwrap())
    }
}

/// Of an officer who works without the service.
const CONFIG: &str = r#"
service = "https://voorrang.example:8443"
regulation = "haarlem"
ca = "ca.pem"
certificate = "officer.pem"
key = "officer.key"
identity = "officer.age"
parties = "parties.toml"
memory = "memory"
"#;

impl Log {
    /// An officer's folder with a copy of the log, and what `verify` takes of it.
    pub fn officer(&mut self) -> (TempDir, VerifyArgs) {
        let home = tempfile::tempdir().unwrap();
        let memory = home.path().join("memory");
        drop(self.copy(&memory.join("log")));
        let key = LogKeys::from(self.key()).to_string();
        let notes = serde_json::to_string(&[self.checkpoint().unwrap()]).unwrap();
        let files =
            [("memory/log.vkey", key.as_str()), ("memory/checkpoints", notes.as_str()), ("officer.toml", CONFIG)];
        for (name, text) in files.into_iter().chain([("officer.age", self.identity.as_str())]) {
            fs::write(home.path().join(name), text).unwrap();
        }
        let mut args = VerifyArgs::new(home.path().join("officer.toml"), Vec::new());
        args.log.offline = true;
        (home, args)
    }
}

impl Source for Log {
    fn checkpoint(&mut self) -> anyhow::Result<String> {
        let root = self.lines.iter().map(Line::leaf).collect::<Frontier>().root();
        Ok(Checkpoint { origin: LOG.into(), size: self.lines.len() as u64, root }.to_note(&self.signer))
    }

    /// Few at a time, so that there are several pages.
    fn lines(&mut self, from: u64) -> anyhow::Result<Vec<Line>> {
        Ok(self.lines.iter().skip(usize::try_from(from)?).take(3).cloned().collect())
    }
}

pub fn entry(time: OffsetDateTime, oin: &str, object: u8) -> Entry {
    let oin = Some(oin.parse().unwrap());
    let actor = Actor { oin, certificate: "ab".repeat(32), person: None, role: "corporation".into() };
    let (epoch, object) = (Some("e-1".parse().unwrap()), Some(hex::encode([object; 16])));
    let purpose = Some("eviction-prevention".parse().unwrap());
    Entry { epoch, object, purpose, ..Entry::new(time, TraceId::random(), actor, Action::Ask, Outcome::Done) }
}
