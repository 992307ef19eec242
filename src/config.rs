//! The service's configuration: file and environment into one checked [`Config`]; unknown keys fail.

mod batches;
mod collectors;
mod documentation;
mod internal;
mod limits;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime};

pub use batches::Batches;
pub use collectors::{Ldv, Traces};
pub use documentation::Documentation;
pub use internal::Internal;
pub use limits::Limits;
pub use tls::Tls;

/// The documented defaults, every key with its comment.
pub const DEFAULT: &str = include_str!("../config/default.toml");

/// The origin stands twice in every receipt, and all answers fit into one length.
const ORIGIN_BYTES: usize = 128;

/// In place of the address of a collector or listener that there is not.
const NONE: &str = "none";

const ENV_PREFIX: &str = "VOORRANG_";
const BUILT_IN: &str = "built-in:";

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}; give another with --config", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration {origin}, line {line}: {what}")]
    Syntax { origin: String, line: usize, what: String },
    #[error("the environment variable {0} names no key of the configuration")]
    UnknownVariable(String),
    #[error("the environment variable {0} does not hold what its key takes")]
    Variable(String),
    /// All that is wrong with the values.
    #[error("configuration: {}", .0.join("; "))]
    Value(Vec<&'static str>),
}

/// A thing that ships inside the program (`built-in:haarlem`), or a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Shipped {
    BuiltIn(String),
    Path(PathBuf),
}

impl From<String> for Shipped {
    fn from(text: String) -> Self {
        match text.strip_prefix(BUILT_IN) {
            Some(name) => Self::BuiltIn(name.to_owned()),
            None => Self::Path(text.into()),
        }
    }
}

impl From<Shipped> for String {
    fn from(place: Shipped) -> Self {
        match place {
            Shipped::BuiltIn(name) => format!("{BUILT_IN}{name}"),
            Shipped::Path(path) => path.display().to_string(),
        }
    }
}

/// What of the access log lies outside its database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLog {
    pub anchor: PathBuf,
    pub witnessed: Vec<PathBuf>,
    pub witnesses: Vec<String>,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self { anchor: "anchor/checkpoint".into(), witnessed: Vec::new(), witnesses: Vec::new() }
    }
}

/// How the operational log is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub level: Level,
    pub format: Format,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info, format: Format::Text }
    }
}

/// How much the operational log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Level {
    /// From saying least to most.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// The word that a tracing filter takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// Form of an operational log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Text,
    Json,
}

/// The checked configuration. `config/default.toml` explains every key; a test holds the two together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub listen: SocketAddr,
    pub state: PathBuf,
    pub epoch_keys: PathBuf,
    /// Empty where there are none.
    pub epoch_credentials: PathBuf,
    pub regulations: Vec<Shipped>,
    pub profile: Shipped,
    pub other_profiles: Vec<Shipped>,
    pub log_origin: String,
    pub workers: usize,
    pub shutdown_seconds: u64,
    pub clock_right_on: String,
    pub access_log: AccessLog,
    pub ldv: Ldv,
    pub traces: Traces,
    pub documentation: Documentation,
    pub tls: Tls,
    pub limits: Limits,
    pub batches: Batches,
    pub internal: Internal,
    pub log: Log,
    /// The file that it was read from, to be read again when it changes.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            state: "state".into(),
            epoch_keys: "epoch-keys".into(),
            epoch_credentials: PathBuf::new(),
            regulations: vec![Shipped::Path("regulations/haarlem".into())],
            profile: Shipped::BuiltIn("nl-household-1".into()),
            other_profiles: Vec::new(),
            log_origin: "voorrang.example/access-log".into(),
            workers: 0,
            shutdown_seconds: 20,
            clock_right_on: NONE.into(),
            access_log: AccessLog::default(),
            ldv: Ldv::default(),
            traces: Traces::default(),
            documentation: Documentation::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            batches: Batches::default(),
            internal: Internal::default(),
            log: Log::default(),
            file: None,
        }
    }
}

impl Config {
    /// Reads the file over the defaults, and the environment over the file.
    ///
    /// # Errors
    /// [`ConfigError`], naming file and line or the variable; never a value.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let config = Self::from_parts(&text, &path.display().to_string(), folder, std::env::vars())?;
        Ok(Self { file: Some(path.to_owned()), ..config })
    }

    /// The pieces of [`Config::load`], for tests and for a service inside another program.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_parts(
        text: &str,
        origin: &str,
        folder: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| syntax(&error, text, origin))?;
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(ENV_PREFIX) {
                config = config.with_variable(key, &value, &name)?;
            }
        }
        config.check()?;
        config.resolve(folder);
        Ok(config)
    }

    fn with_variable(&self, key: &str, value: &str, name: &str) -> Result<Self, ConfigError> {
        let mut table = toml::Table::try_from(self).expect("the configuration has a TOML form");
        set_variable(&mut table, key, value, name)?;
        table.try_into().map_err(|_| ConfigError::Variable(name.to_owned()))
    }

    /// The end of the day on which somebody saw that the clock is right.
    pub fn clock_right_on(&self) -> Option<OffsetDateTime> {
        let day = Date::parse(&self.clock_right_on, &Iso8601::DATE).ok()?;
        Some(day.next_day()?.midnight().assume_utc())
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut faults = Vec::new();
        let mut require = |holds: bool, fault| faults.extend((!holds).then_some(fault));
        let origin = &self.log_origin;
        let name = !origin.chars().any(|c| c.is_whitespace() || c == '+') && !origin.contains("://");
        require(name && !origin.is_empty(), "log_origin is a URL without scheme, space or plus");
        require(origin.len() <= ORIGIN_BYTES, "log_origin is at most 128 bytes long");
        let (state, anchor) = (&self.state, &self.access_log.anchor);
        require(
            !state.as_os_str().is_empty() && !anchor.as_os_str().is_empty(),
            "state and access_log.anchor are places for the access log; without one nobody is answered",
        );
        let inside = |path: &Path| !state.as_os_str().is_empty() && path.starts_with(state);
        require(!inside(anchor), "access_log.anchor lies outside of state, or it would be set back with it");
        let web = |address: &str| address.starts_with("https://") || address.starts_with("http://");
        require(
            self.ldv.collector().is_none_or(web) && web(&self.ldv.register),
            "ldv.collector is an address of http or https, or \"none\"; ldv.register is one",
        );
        require(
            self.traces.collector().is_none_or(web),
            "traces.collector is an address of http or https, or \"none\"",
        );
        require(
            !inside(&self.epoch_keys),
            "epoch_keys lies in state: a backup of the database would hold the keys to it; choose another folder",
        );
        require(
            self.clock_right_on == NONE || self.clock_right_on().is_some(),
            "clock_right_on is a day, as 2027-03-01, or \"none\"",
        );
        require(self.workers <= 1024, "workers is at most 1024");
        faults.extend(
            [
                self.tls.fault(),
                self.limits.fault(),
                self.batches.fault(),
                self.internal.fault(),
                self.documentation.fault(),
            ]
            .into_iter()
            .flatten(),
        );
        if faults.is_empty() { Ok(()) } else { Err(ConfigError::Value(faults)) }
    }

    fn resolve(&mut self, folder: &Path) {
        let log = &mut self.access_log;
        let credentials = Some(&mut self.epoch_credentials).filter(|path| !path.as_os_str().is_empty());
        let files = [&mut self.state, &mut self.epoch_keys, &mut log.anchor];
        let profiles = self.other_profiles.iter_mut().chain([&mut self.profile]);
        let shipped = self.regulations.iter_mut().chain(profiles).filter_map(|place| match place {
            Shipped::Path(path) => Some(path),
            Shipped::BuiltIn(_) => None,
        });
        let files = files.into_iter().chain(self.tls.paths());
        for path in files.chain(credentials).chain(&mut log.witnessed).chain(shipped) {
            *path = folder.join(&*path);
        }
        for ca in [&mut self.ldv.ca, &mut self.traces.ca].into_iter().filter(|ca| !ca.is_empty()) {
            *ca = folder.join(&*ca).display().to_string();
        }
    }
}

/// Where the text is wrong and what is expected there, in one line; the value that stands there is not repeated.
fn syntax(error: &toml::de::Error, text: &str, origin: &str) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let message = error.message().lines().next().unwrap_or_default();
    let what = match message.rsplit_once(", expected ") {
        Some((_, expected)) if !message.starts_with("unknown field") => format!("expected {expected}"),
        _ => message.to_owned(),
    };
    ConfigError::Syntax { origin: origin.to_owned(), line: before.matches('\n').count() + 1, what }
}

fn set_variable(table: &mut toml::Table, key: &str, value: &str, name: &str) -> Result<(), ConfigError> {
    let key = key.to_lowercase();
    let (place, last) = match key.split_once("__") {
        Some((section, last)) => (table.get_mut(section).and_then(toml::Value::as_table_mut), last.to_owned()),
        None => (Some(table), key),
    };
    let unknown = || ConfigError::UnknownVariable(name.to_owned());
    let slot = place.and_then(|table| table.get_mut(&last)).ok_or_else(unknown)?;
    let wrong = || ConfigError::Variable(name.to_owned());
    *slot = match slot {
        toml::Value::String(_) => toml::Value::String(value.to_owned()),
        toml::Value::Integer(_) => toml::Value::Integer(value.parse().map_err(|_| wrong())?),
        toml::Value::Boolean(_) => toml::Value::Boolean(value.parse().map_err(|_| wrong())?),
        toml::Value::Array(_) => {
            toml::Value::Array(value.split(',').map(|part| toml::Value::String(part.to_owned())).collect())
        }
        _ => return Err(unknown()),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let environment = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::from_parts(text, "test.toml", Path::new("/etc/voorrang"), environment)
    }

    fn chain(error: &dyn std::error::Error) -> String {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            text.push_str(&format!(": {cause}"));
            next = cause.source();
        }
        text
    }

    #[test]
    fn an_empty_file_is_the_defaults_beside_it() {
        let config = read("", &[]).unwrap();
        assert_eq!(config.listen.port(), 8443);
        assert_eq!(config.state, Path::new("/etc/voorrang/state"));
    }

    #[test]
    fn the_shipped_file_documents_every_default() {
        assert_eq!(toml::from_str::<Config>(DEFAULT).unwrap(), Config::default());
        let shipped: toml::Table = toml::from_str(DEFAULT).unwrap();
        assert_eq!(shipped, toml::Table::try_from(Config::default()).unwrap());
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        for text in ["surprise = 1", "[tls]\nsurprise = 1", "[surprise]"] {
            let error = chain(&read(text, &[]).unwrap_err());
            assert!(error.contains("surprise") && error.contains("line"), "{error}");
        }
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let file = "listen = \"127.0.0.1:1\"\nworkers = 1";
        let set = [("VOORRANG_LISTEN", "127.0.0.1:2"), ("VOORRANG_TLS__KEY", "k.pem"), ("HOME", "/")];
        let config = read(file, &set).unwrap();
        assert_eq!(
            (config.listen.port(), config.workers, config.tls.key.as_path()),
            (2, 1, Path::new("/etc/voorrang/k.pem"))
        );
    }

    #[test]
    fn unknown_and_unreadable_variables_are_refused() {
        let unknown = read("", &[("VOORRANG_SURPRISE", "1")]);
        assert!(matches!(unknown, Err(ConfigError::UnknownVariable(name)) if name == "VOORRANG_SURPRISE"));
        assert!(matches!(read("", &[("VOORRANG_WORKERS", "many")]), Err(ConfigError::Variable(_))));
    }

    #[test]
    fn a_log_without_a_place_or_memory_is_refused() {
        for bad in [
            "state = ''",
            "[access_log]\nanchor = ''",
            "[access_log]\nanchor = 'state/anchor'",
            "[ldv]\ncollector = ''",
            "[traces]\ncollector = 'localhost:4318'",
            "[ldv]\nregister = 'verwerkingen'",
            "[documentation]\nlisten = 'localhost'",
            "[documentation]\nserver = 'https://voorrang.example:8443'",
            "[documentation]\ncontact_email = 'nobody'",
        ] {
            assert!(matches!(read(bad, &[]), Err(ConfigError::Value(_))), "{bad}");
        }
        let config = read("[ldv]\ncollector = 'https://ldv.example/v1/traces'\nca = 'ca.pem'", &[]).unwrap();
        assert_eq!(config.ldv.collector(), Some("https://ldv.example/v1/traces"));
        assert_eq!((config.ldv.ca.as_str(), read("", &[]).unwrap().ldv.collector()), ("/etc/voorrang/ca.pem", None));
    }

    #[test]
    fn keys_of_epochs_do_not_lie_with_the_database() {
        for bad in ["state", "state/keys"] {
            let error = read(&format!("epoch_keys = \"{bad}\""), &[]).unwrap_err().to_string();
            assert!(error.contains("epoch_keys"), "{error}");
        }
        let given = read("", &[("VOORRANG_EPOCH_CREDENTIALS", "/run/credentials/voorrang.service")]).unwrap();
        assert_eq!(given.epoch_credentials, Path::new("/run/credentials/voorrang.service"));
        assert_eq!(given.epoch_keys, Path::new("/etc/voorrang/epoch-keys"));
    }

    #[test]
    fn a_log_origin_is_a_url_without_scheme() {
        for bad in ["", "https://x", "a b", "a+b", &"a".repeat(129)] {
            assert!(matches!(read(&format!("log_origin = \"{bad}\""), &[]), Err(ConfigError::Value(_))), "{bad}");
        }
    }
}
