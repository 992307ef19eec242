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
mod disclose;
mod facts;
mod floor;
mod regulation;
mod rotation;
mod steps;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use time::Date;

pub use article::Article;
pub use disclose::{Disclosure, Form, GroupRule, GroupSource, Posterior, WhoseAge};
pub use facts::{Act, Arrears, Conditions, Facts};
pub use regulation::{Budgets, Evaluation, PurposeText, Retention, Title};
pub use rotation::Rotation;
pub use steps::{AppliesTo, Condition, Consent, Moment, Stage, Step};

use crate::ids::{Oin, RegulationId};
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
    /// An article cannot be read, or names something unknown.
    #[error("articles.cedar, line {line}: {what}")]
    Article { line: usize, what: String },
    /// The articles allow what no regulation may allow.
    #[error("articles.cedar permits what every regulation must refuse: {0}")]
    Floor(&'static str),
}

/// What a party is. Each party has one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the service and sees no content.
    Administrator,
    /// Holds the population register.
    PopulationCustodian,
    /// Holds the list of the OGGZ target group.
    CareCustodian,
    /// Lets dwellings, and asks.
    Corporation,
    /// Reads the access log.
    PrivacyOfficer,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] =
        [Self::Administrator, Self::PopulationCustodian, Self::CareCustodian, Self::Corporation, Self::PrivacyOfficer];

    /// As it is written in regulations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::PopulationCustodian => "population-custodian",
            Self::CareCustodian => "care-custodian",
            Self::Corporation => "corporation",
            Self::PrivacyOfficer => "privacy-officer",
        }
    }
}

/// A party to a regulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    pub oin: Oin,
    pub name: String,
    pub role: Role,
    /// Legal organisation. The two custodians of an epoch must differ here.
    pub organisation: String,
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
        let document = Document::read(id, toml)?;
        let articles = Articles::read(&document, cedar)?;
        let regulation = Self { document, articles, digest: digest(toml, cedar).into() };
        regulation.check_floor()?;
        Ok(regulation)
    }

    /// The examples that ship with the program: Haarlem, then Rotterdam.
    ///
    /// # Panics
    /// Never: a test reads them.
    pub fn built_in() -> Vec<Self> {
        macro_rules! shipped {
            ($id:literal) => {
                ($id, shipped!($id, "regulation.toml"), shipped!($id, "articles.cedar"))
            };
            ($id:literal, $file:literal) => {
                include_str!(concat!("../../config/regulations/", $id, "/", $file))
            };
        }
        let read = |(id, toml, cedar): (&str, &str, &str)| {
            let id = id.parse().expect("a shipped id is kebab-case");
            Self::from_texts(&id, toml, cedar).expect("a shipped regulation is valid")
        };
        [shipped!("haarlem"), shipped!("rotterdam")].map(read).into()
    }

    /// The regulation of `voorrang evaluate`: every group in the open, for invented people only.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn laboratory() -> Self {
        let id = "laboratory".parse().expect("a shipped id is kebab-case");
        let toml = include_str!("../../config/regulations/laboratory.toml");
        let cedar = include_str!("../../config/regulations/haarlem/articles.cedar");
        Self::from_texts(&id, toml, cedar).expect("the shipped regulation is valid")
    }

    /// Decides one act. A refusal is a decision too, and is logged like a permit.
    ///
    /// # Errors
    /// [`Refusal`], naming the articles that refuse.
    ///
    /// # Panics
    /// Never: the facts are plain values.
    pub fn decide(&self, facts: &Facts) -> Result<Permit, Refusal> {
        let articles = self.articles.decide(facts, |dwellings| self.document.budget.stop(dwellings))?;
        let role = self.party(&facts.actor).expect("only parties are permitted anything").role;
        Ok(Permit { articles, act: facts.action, role, digest: self.digest.clone() })
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

    /// All parties, in the file's order.
    pub fn parties(&self) -> &[Party] {
        &self.document.parties
    }

    /// The party with this number.
    pub fn party(&self, oin: &Oin) -> Option<&Party> {
        self.document.parties.iter().find(|party| party.oin == *oin)
    }

    /// The articles, in the file's order.
    pub fn articles(&self) -> &[Article] {
        &self.articles.list
    }

    /// Age below which somebody is a minor, and age from which somebody is a senior, in years.
    pub fn ages(&self) -> (u16, u16) {
        (self.document.ages.minor_below, self.document.ages.senior_from)
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
