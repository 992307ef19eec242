//! May this party ask this, now? And what is the least that may be told?
//!
//! A regulation is a folder of data: `regulation.toml` (who, when, which groups, which limits) and `articles.cedar`
//! (the rules, one policy an article, default deny). [`Regulation::decide`] takes facts and gives a [`Permit`] or a
//! [`Refusal`]; [`Permit::disclose`] turns what linking found into one [`Answer`]. No clock, no storage, no network:
//! only [`Regulation::load`] reads files.

mod article;
#[cfg(test)]
mod bad_input;
mod bounds;
mod budgets;
mod changes;
mod check;
mod cost;
mod disclose;
mod facts;
mod gates;
mod inference;
mod names;
mod party;
mod plain;
mod regulation;
mod rotation;
mod seen;
mod shielded;
mod shipped;
mod signatures;
mod steps;
mod sweep;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use time::Date;

pub use article::Article;
pub use budgets::Budgets;
pub use changes::Change;
pub use check::{Remark, Severity};
pub use cost::Cost;
pub use disclose::{Disclosure, Form, GroupRule, GroupSource, Posterior, Told, WhoseAge, WhoseHousehold};
pub use facts::{Act, Arrears, Conditions, Facts};
pub use inference::{Cells, Inference, Posture, Reader, Worst};
pub use party::{Party, Role};
pub use plain::printable;
pub use regulation::{ConsentRule, Evaluation, Municipality, Probing, PurposeText, Retention, Title};
pub use rotation::Rotation;
pub use signatures::{SignatureState, Signatures};
pub use steps::{Addressee, AppliesTo, By, Condition, Consent, Moment, Stage, Step};
pub use sweep::Decided;

use crate::ids::{Oin, Purpose, RegulationId};
use crate::link::Source;
use article::Articles;
use regulation::Document;

const TOML: &str = "regulation.toml";
const CEDAR: &str = "articles.cedar";

/// Why a regulation cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegulationError {
    /// The folder's name is no identifier, or a file cannot be read.
    #[error("{file} of the regulation cannot be read; its folder has a short kebab-case name and both files")]
    Read { file: &'static str, source: std::io::Error },
    /// `regulation.toml` has not the expected shape. The source names line and column.
    #[error("regulation.toml has not the expected shape")]
    Syntax(#[source] Box<toml::de::Error>),
    /// A value makes no sense; the text names the key.
    #[error("regulation.toml: {0}")]
    Value(String),
    /// A text has a sign that moves a cursor, or shows another text than the one that is there.
    #[error("{file}, line {line}: a sign that is not seen (U+{sign:04X}); a text stands in one line of plain letters")]
    Hidden { file: &'static str, line: usize, sign: u32 },
    /// A text that looks like another one, or says nothing.
    #[error("{file}, line {line}: {what}")]
    Text { file: &'static str, line: usize, what: &'static str },
    /// An article cannot be read, or names something unknown.
    #[error("articles.cedar, line {line}: {what}")]
    Article { line: usize, what: String },
    /// The note of signatures does not stand for the regulation; the text says why.
    #[error("signatures.note {0}")]
    Signatures(String),
    /// The articles allow what the regulation itself, or every regulation, refuses.
    #[error("articles.cedar permits what the regulation must refuse: {act}, {id}: {title}")]
    Gate { act: &'static str, id: &'static str, title: &'static str },
}

/// Proof that a regulation allows an act. Only [`Regulation::decide`] makes one.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    articles: Vec<String>,
    act: Act,
    role: Role,
    digest: Arc<str>,
}

impl Permit {
    /// Ids of the articles that allow it, in the file's order.
    pub fn articles(&self) -> &[String] {
        &self.articles
    }

    /// What it allows.
    pub fn act(&self) -> Act {
        self.act
    }

    /// Role of the party to which it is given.
    pub fn role(&self) -> Role {
        self.role
    }
}

/// Which article refused, in plain words for the party that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The first in the file's order; `default` when nothing permits.
    pub article: String,
    pub title: String,
    /// What to do now.
    pub remedy: String,
    /// All that refused, in the file's order.
    pub articles: Vec<String>,
}

impl Refusal {
    fn by_default(title: &str) -> Self {
        Self {
            article: "default".into(),
            title: title.into(),
            remedy: "Only what the signed regulation allows a party is possible; read it with your privacy officer."
                .into(),
            articles: vec!["default".into()],
        }
    }
}

/// The one word that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Priority,
    NoPriority,
    /// Consult the team. It never means no.
    Undetermined,
}

impl Answer {
    /// As it is sent and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::NoPriority => "no_priority",
            Self::Undetermined => "undetermined",
        }
    }

    /// From the word that is sent and logged.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Priority, Self::NoPriority, Self::Undetermined].into_iter().find(|answer| answer.as_str() == word)
    }
}

/// One covenant and its rules, checked.
#[derive(Debug)]
pub struct Regulation {
    document: Document,
    articles: Articles,
    digest: Arc<str>,
    texts: [String; 2],
}

impl Regulation {
    /// Reads both files of `folder`, whose name is the regulation's id.
    ///
    /// # Errors
    /// [`RegulationError`], naming file, line or key.
    pub fn load(folder: &Path) -> Result<Self, RegulationError> {
        let read =
            |file| std::fs::read_to_string(folder.join(file)).map_err(|source| RegulationError::Read { file, source });
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let id = name.parse().map_err(|e: crate::ids::IdError| RegulationError::Read {
            file: TOML,
            source: std::io::Error::new(std::io::ErrorKind::InvalidInput, e),
        })?;
        Self::from_texts(&id, &read(TOML)?, &read(CEDAR)?)
    }

    /// Reads and checks a regulation from the texts of its two files.
    ///
    /// # Errors
    /// [`RegulationError`], naming line or key.
    pub fn from_texts(id: &RegulationId, toml: &str, cedar: &str) -> Result<Self, RegulationError> {
        let regulation = Self::activated(id, toml, cedar)?;
        regulation.check_gates()?;
        Ok(regulation)
    }

    /// Reads a version that was activated: its articles are not tried against the gates again, which may be more than there
    /// were then, and hold at each decision whatever the articles say.
    ///
    /// # Errors
    /// [`RegulationError`], naming line or key.
    pub fn activated(id: &RegulationId, toml: &str, cedar: &str) -> Result<Self, RegulationError> {
        plain::check_file(TOML, toml)?;
        plain::check_file(CEDAR, cedar)?;
        let document = Document::read(id, toml)?;
        plain::check_toml(TOML, toml)?;
        let articles = Articles::read(&document, cedar)?;
        Ok(Self { document, articles, digest: digest(toml, cedar).into(), texts: [toml.to_owned(), cedar.to_owned()] })
    }

    /// Decides one act: it is permitted if the articles permit it and no gate is shut. Where both refuse, the refusal
    /// has the articles' words: those the parties wrote. A refusal is a decision too, and is logged like a permit.
    ///
    /// # Errors
    /// [`Refusal`], naming the articles that refuse.
    ///
    /// # Panics
    /// Never: the facts are plain values.
    pub fn decide(&self, facts: &Facts) -> Result<Permit, Refusal> {
        let articles = self.articles.decide(facts, &self.document)?;
        let party = self.party(&facts.actor).expect("only parties are permitted anything");
        match self.shut(party, facts) {
            Some(gate) => Err(gate.refusal()),
            None => Ok(Permit { articles, act: facts.action, role: party.role, digest: self.digest.clone() }),
        }
    }

    /// Name of its folder.
    pub fn id(&self) -> &RegulationId {
        &self.document.id
    }

    /// SHA-256 over both files, hexadecimal: for each the length of its name, its name, the length of its text
    /// and its text, lengths as 8 bytes, big-endian. `regulation.toml` comes first.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The texts of `regulation.toml` and `articles.cedar`, as they were read.
    pub fn texts(&self) -> [&str; 2] {
        [&self.texts[0], &self.texts[1]]
    }

    /// The municipality whose covenant it is.
    pub fn municipality(&self) -> &Municipality {
        &self.document.municipality
    }

    /// Digest of the regulation that this one takes the place of before its validity ends.
    pub fn replaces(&self) -> Option<&str> {
        self.document.replaces.as_deref()
    }

    /// Whether it holds on this day. Its last day is the one before `valid_until`.
    pub fn holds_on(&self, day: Date) -> bool {
        (self.document.valid_from..self.document.valid_until).contains(&day)
    }

    /// Its name in both languages.
    pub fn title(&self) -> &Title {
        &self.document.title
    }

    /// First day on which it holds, and first day on which it no longer does.
    pub fn validity(&self) -> (Date, Date) {
        (self.document.valid_from, self.document.valid_until)
    }

    /// The purposes for which may be asked.
    pub fn purposes(&self) -> &[PurposeText] {
        &self.document.purposes
    }

    /// The same purpose, if it is one for which may be asked. Any other is text of the caller's, and is kept nowhere.
    pub fn listed(&self, purpose: Option<&Purpose>) -> Option<Purpose> {
        purpose.filter(|asked| self.purposes().iter().any(|listed| listed.id == **asked)).cloned()
    }

    /// All parties, in the file's order.
    pub fn parties(&self) -> &[Party] {
        &self.document.parties
    }

    /// The party with this number.
    pub fn party(&self, oin: &Oin) -> Option<&Party> {
        self.document.parties.iter().find(|party| party.oin == *oin)
    }

    /// Whether this is a privacy officer of the organisation that holds the population register: it confirms stocks.
    pub fn is_municipal_officer(&self, party: &Party) -> bool {
        self.document.is_municipal_officer(party)
    }

    /// The articles, in the file's order.
    pub fn articles(&self) -> &[Article] {
        &self.articles.list
    }

    /// Age below which somebody is a minor, and age from which somebody is a senior, in years.
    pub fn ages(&self) -> (u16, u16) {
        (self.document.ages.minor_below, self.document.ages.senior_from)
    }

    /// The ground on which people with a disclosure restriction are loaded. None: they are left out.
    pub fn restricted_basis(&self) -> Option<&str> {
        self.document.restricted.as_ref().map(|kept| kept.legal_basis.as_str())
    }

    /// The groups, their grounds and recipients.
    pub fn groups(&self) -> &[GroupRule] {
        &self.document.groups
    }

    /// Whether what `recipient` is told rests on `source`: without it, every answer is undetermined.
    pub fn rests_on(&self, source: Source, recipient: Role) -> bool {
        self.groups().iter().any(|group| group.is_served_to(recipient) && Source::from(group.source) == source)
    }

    /// The bound on what a reader may infer, and its estimates.
    pub fn posterior(&self) -> &Posterior {
        &self.document.posterior
    }

    /// Days after which records of this source no longer answer.
    pub fn freshness_days(&self, source: Source) -> u32 {
        match source {
            Source::Population => self.document.freshness_days.population,
            Source::Care => self.document.freshness_days.care,
        }
    }

    /// How many questions may be asked.
    pub fn budgets(&self) -> &Budgets {
        &self.document.budget
    }

    /// How long a rotation of the salt may take, and what it may change.
    pub fn rotation(&self) -> &Rotation {
        &self.document.rotation
    }

    /// From when on a corporation's misses close its tap.
    pub fn probing(&self) -> &Probing {
        &self.document.probing
    }

    /// Which word of the tenant a question needs.
    pub fn consent(&self) -> &ConsentRule {
        &self.document.consent
    }

    /// What each role is told.
    pub fn disclosures(&self) -> &[Disclosure] {
        &self.document.disclosures
    }

    /// The earliest moments at which corporations may ask.
    pub fn moments(&self) -> &[Moment] {
        &self.document.moments
    }

    /// Every agreed step, in the file's order.
    pub fn all_steps(&self) -> &[Step] {
        &self.document.steps
    }

    /// How long what is kept.
    pub fn retention(&self) -> &Retention {
        &self.document.retention
    }

    /// When the parties evaluate.
    pub fn evaluation(&self) -> &Evaluation {
        &self.document.evaluation
    }

    /// The agreed steps that are due for this party, at this moment, after this answer, in the file's order.
    pub fn steps(&self, actor: &Oin, arrears: Arrears, answer: Answer) -> Vec<&Step> {
        self.document.steps.iter().filter(|step| step.is_due(actor, arrears, answer)).collect()
    }
}

fn digest(toml: &str, cedar: &str) -> String {
    let mut context = Context::new(&SHA256);
    for part in [TOML, toml, CEDAR, cedar] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex::encode(context.finish())
}
