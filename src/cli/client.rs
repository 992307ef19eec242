//! The mutual-TLS client of every command that talks to the service: its configuration, its calls, and what it
//! remembers between runs.

mod config;
mod memory;
mod patience;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

pub use config::{ClientConfig, QueryDefaults, Retry};
pub use patience::{ComeAgain, fresh_key};

use super::inputs::read_secret;
pub use super::parties::{Opened, Party, PartyBook, open_envelope, open_shares, read_identity};
use crate::answer::Identity as CertificateName;
use crate::answer::wire::{Ages, Envelope, Fault, ProblemBody, ServiceView};
use crate::audit::{Hash, NoteSigner};
use crate::epoch::share::{Identity, Salt};
use crate::ids::{EpochId, Oin, TraceId};
use crate::profile::Profile;

/// A refusal or failure that the service reported.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the service refused ({}, {}): {}{}", .0.status, .0.code, .0.detail, faults(.0))]
pub struct Refused(pub ProblemBody);

/// What is wrong with a request, by its places. What the problem itself says is said once.
fn faults(problem: &ProblemBody) -> String {
    let told = |one: &Fault| {
        let line = one.line.map(|line| format!("line {line}"));
        let detail = if one.detail == problem.detail { "" } else { &one.detail };
        let parts = [line.as_deref().unwrap_or_default(), &one.pointer, detail];
        format!("; {}", parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
    };
    problem.errors.iter().map(told).collect()
}

impl Refused {
    /// A refusal inside an answer, fit to be shown.
    pub fn of(problem: ProblemBody) -> Self {
        Self(printable(problem))
    }

    /// Whether the refusal says that another epoch has taken the place of the one that was used. Nothing was counted.
    pub fn is_cut_over(&self) -> bool {
        ["epoch_retired", "epoch_destroyed", "epoch_not_loading"].contains(&self.0.code.as_str())
    }
}

/// The service found its access log changed: whoever asks again before its operator put a backup back is told the same.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the service does nothing until its operator puts a backup back, so it is not asked again: {0}")]
pub struct LogDamaged(String);

impl LogDamaged {
    /// The problem that says so.
    pub const CODE: &str = "store_damaged";
}

/// A connection to the service as one party.
pub struct Client {
    pub config: ClientConfig,
    agent: ureq::Agent,
    /// Nobody is there to run it again.
    at_night: bool,
}

/// How long somebody who is there waits for what may be sent again: a service that restarts is back within it.
const PATIENCE: Duration = Duration::from_secs(16);

impl Client {
    /// Reads the configuration and prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::new(ClientConfig::load(path)?)
    }

    /// A client with this configuration.
    ///
    /// # Errors
    /// If a certificate or key cannot be read.
    pub fn new(config: ClientConfig) -> anyhow::Result<Self> {
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        // A party's certificate may come with intermediates, and roots may be several.
        let pem = |path: &Path| -> anyhow::Result<Vec<Certificate<'static>>> {
            let bytes = read(path)?;
            let certificates = parse_pem(&bytes).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            let certificates: Vec<_> = certificates.collect();
            ensure!(!certificates.is_empty(), "{} holds no PEM certificate", path.display());
            Ok(certificates)
        };
        let key = Zeroizing::new(read(&config.key)?);
        let key = PrivateKey::from_pem(&key).with_context(|| format!("{} is no PEM key", config.key.display()))?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&pem(&config.ca)?))
            .client_cert(Some(ClientCert::new_with_certs(&pem(&config.certificate)?, key)))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(5)))
            .build();
        Ok(Self { config, agent: agent.into(), at_night: false })
    }

    /// A client that a scheduler runs: it waits for the service as long as `retry` in client.toml says, with reads too.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn at_night(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { at_night: true, ..Self::open(path)? })
    }

    /// Does it again where no answer came. Only for what may be sent twice: what replaces itself and what has a key.
    ///
    /// # Errors
    /// What the last time came to.
    pub fn patiently<T>(&self, act: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let night = Duration::from_secs(self.config.retry.seconds.into());
        patience::patiently(if self.at_night { night } else { PATIENCE }, act)
    }

    /// The body of a read. Somebody who is there hears at once that there is none.
    fn fetch(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let once = || self.succeed(self.agent.get(self.url(path)).call());
        if self.at_night { self.patiently(once) } else { once() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.config.service.trim_end_matches('/'))
    }

    /// `GET`, the answer as JSON.
    ///
    /// # Errors
    /// [`Refused`], or what went wrong on the way.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        understand(&self.fetch(path)?)
    }

    /// `GET` of a text.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn get_text(&self, path: &str) -> anyhow::Result<String> {
        String::from_utf8(self.fetch(path)?).context("the service's answer is not text")
    }

    /// `GET` of something that has no content.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn get_empty(&self, path: &str) -> anyhow::Result<()> {
        self.fetch(path).map(drop)
    }

    /// `POST` with a JSON body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let response = self.agent.post(self.url(path)).send_json(body);
        self.read(response)
    }

    /// [`Client::post`] that may be sent again: under the same key it is done once. Its trace is [`trace_of`] the key.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post_once<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, key: &str) -> anyhow::Result<T> {
        let trace = trace_of(key).to_string();
        // No span of ours is collected: any number names the caller's.
        let parent = format!("00-{trace}-{}-01", &trace[..16]);
        let request = self.agent.post(self.url(path)).header("Idempotency-Key", key).header("traceparent", parent);
        self.read(request.send_json(body))
    }

    /// `PUT` with a JSON body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let response = self.agent.put(self.url(path)).send_json(body);
        self.read(response)
    }

    /// [`Client::put`] that may be sent again: under the same key it is done once.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn put_once<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, key: &str) -> anyhow::Result<T> {
        let response = self.agent.put(self.url(path)).header("Idempotency-Key", key).send_json(body);
        self.read(response)
    }

    /// `DELETE`, the answer as JSON.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.agent.delete(self.url(path)).call();
        self.read(response)
    }

    /// `PUT` of NDJSON lines, with their digest (RFC 9530).
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn put_lines<T: DeserializeOwned>(&self, path: &str, lines: &[u8], digest: &Hash) -> anyhow::Result<T> {
        let request = self.agent.put(self.url(path)).content_type("application/x-ndjson");
        let response = request.header("Content-Digest", format!("sha-256=:{digest}:")).send(lines);
        self.read(response)
    }

    fn read<T: DeserializeOwned>(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<T> {
        understand(&self.succeed(response)?)
    }

    /// The body of a success; anything else is an error.
    fn succeed(&self, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Vec<u8>> {
        let unreachable = || {
            let service = &self.config.service;
            format!("no answer from {service}; does the service run there, and is `ca` in client.toml its root?")
        };
        let lost = |source: ureq::Error| ComeAgain::lost(unreachable(), source);
        let mut response = response.map_err(lost)?;
        let status = response.status();
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec().map_err(lost)?;
        if status.is_success() {
            return Ok(body);
        }
        Err(failure(status.as_u16(), &body, after))
    }

    /// The ages of this party's regulation, as the service has it in force. Those at the first call are remembered, and stay
    /// until this party signed a version with others: a custodian makes group codes by them.
    ///
    /// # Errors
    /// As [`Client::service`]; or the regulation is not in force, or has ages that this party did not sign.
    pub fn ages(&self) -> anyhow::Result<Ages> {
        let regulations = self.service()?.regulations;
        let ours = regulations.into_iter().find(|regulation| regulation.id == self.config.regulation);
        let ours = ours.context("the service has no such regulation in force")?;
        self.hold_ages(&ours)
    }

    /// What the service says of itself. Its log key is remembered at the first call and must stay the same.
    ///
    /// # Errors
    /// As [`Client::get`]; or the log key is another one than remembered.
    pub fn service(&self) -> anyhow::Result<ServiceView> {
        let view: ServiceView = self.get("service")?;
        self.hold_log_key(&view)?;
        Ok(view)
    }

    /// Different addresses that a request must at least ask about, by this party's regulation.
    ///
    /// # Errors
    /// As [`Client::service`].
    pub fn minimum_batch(&self) -> anyhow::Result<usize> {
        let regulations = self.service()?.regulations;
        let ours = regulations.iter().find(|regulation| regulation.id == self.config.regulation);
        Ok(ours.map_or(1, |regulation| regulation.minimum_batch as usize))
    }

    /// The parties' keys.
    ///
    /// # Errors
    /// As [`PartyBook::load`].
    pub fn parties(&self) -> anyhow::Result<PartyBook> {
        PartyBook::load(&self.config.parties)
    }

    /// This party's number, as its certificate has it.
    ///
    /// # Errors
    /// If the certificate cannot be read or names nobody.
    pub fn oin(&self) -> anyhow::Result<Oin> {
        let path = &self.config.certificate;
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let own = Certificate::from_pem(&bytes).with_context(|| format!("{} is no certificate", path.display()))?;
        Ok(CertificateName::from_der(own.der()).with_context(|| path.display().to_string())?.oin)
    }

    /// This party's age identity.
    ///
    /// # Errors
    /// If none is configured, or the file holds none.
    pub fn identity(&self) -> anyhow::Result<Identity> {
        let path =
            self.config.identity.as_ref().context("client.toml names no identity; this party does not encode")?;
        read_identity(path)
    }

    /// This party's signing key.
    ///
    /// # Errors
    /// If none is configured, or the file holds none.
    pub fn signer(&self) -> anyhow::Result<NoteSigner> {
        let path = self.config.note_key.as_ref().context("client.toml names no note_key; this party does not sign")?;
        let bytes = read_secret(path)?;
        let name = path.file_stem().and_then(|stem| stem.to_str()).context("the note key's file name is no text")?;
        Ok(NoteSigner::new(name, &bytes)?)
    }

    /// Fetches an epoch's envelope and opens the salt, in memory only.
    ///
    /// # Errors
    /// If the shares are not all there, not from whom they should be, sealed for others, or of another schema.
    pub fn salt(&self, epoch: &EpochId, profile: &Profile) -> anyhow::Result<Salt> {
        open_envelope(&self.envelope(epoch)?, profile, &self.identity()?, &self.parties()?)
    }

    /// Fetches an epoch's sealed shares.
    ///
    /// # Errors
    /// As [`Client::get`]; or the service sent those of another epoch.
    pub fn envelope(&self, epoch: &EpochId) -> anyhow::Result<Envelope> {
        let envelope: Envelope = self.get(&format!("epochs/{epoch}/shares"))?;
        ensure!(envelope.epoch == *epoch, "the service sent the shares of another epoch than {epoch}; do not use them");
        Ok(envelope)
    }
}

fn understand<T: DeserializeOwned>(body: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(body).context("the service's answer is not what this version understands")
}

/// What an answer comes to that is no success: a reason to come again, or the end.
fn failure(status: u16, body: &[u8], after: Option<u64>) -> anyhow::Error {
    // Nothing was done: it was too much, or the body came too slowly.
    let again = matches!(status, 408 | 429);
    match serde_json::from_slice::<ProblemBody>(body).map(printable) {
        Ok(problem) if again => ComeAgain::failed(&problem, after).into(),
        Ok(problem) if problem.code == LogDamaged::CODE => LogDamaged(problem.detail).into(),
        // A failure of the service is not a refusal: whoever asks for many stops there.
        Ok(problem) if (400..500).contains(&status) => Refused(problem).into(),
        Ok(problem) => ComeAgain::failed(&problem, after).into(),
        Err(_) if again || status >= 500 => ComeAgain::silent(status, after).into(),
        Err(_) => anyhow!("the service answered with status {status}"),
    }
}

/// The trace of a request that is sent under this key, however often. It does not tell the key, and is never a UUID of
/// version 7, which is what the service takes for the trace of a request that came by FSC.
pub fn trace_of(key: &str) -> TraceId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(&SHA256, format!("voorrang trace\n{key}").as_bytes()).as_ref()[..16]);
    bytes[6] = 0x40 | (bytes[6] & 0x0f);
    hex::encode(bytes).parse().expect("32 hexadecimal digits are a trace id")
}

/// A problem as it may be shown on a terminal, whatever a service sends.
fn printable(mut problem: ProblemBody) -> ProblemBody {
    let texts = [&mut problem.code, &mut problem.title, &mut problem.detail, &mut problem.trace_id];
    let faults = problem.errors.iter_mut().flat_map(|fault| [&mut fault.pointer, &mut fault.detail]);
    for text in texts.into_iter().chain(&mut problem.article).chain(faults) {
        *text = crate::regulate::printable(text).into_owned();
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_shown_with_their_lines_and_nothing_that_a_terminal_obeys() {
        let fault =
            |line: Option<u32>, pointer: &str, detail: &str| Fault { line, ..Fault::of("body", pointer, detail) };
        let errors = vec![
            fault(Some(7), "/groups/0", "is no \u{202e}group"),
            fault(Some(9), "", "is not JSON"),
            fault(None, "/a\u{1b}", "b"),
        ];
        let (code, detail) = ("json".to_owned(), "three faults".to_owned());
        let body = serde_json::json!({ "status": 400, "title": "", "code": code, "detail": detail, "traceId": "" });
        let problem = ProblemBody { errors, ..serde_json::from_value(body).unwrap() };
        let said = "the service refused (400, json): three faults; line 7 /groups/0 is no \u{fffd}group; line 9 is not \
            JSON; /a\u{fffd} b";
        assert_eq!(Refused::of(problem.clone()).to_string(), said);
        let detail = "the reference date lies in the future";
        let errors = vec![fault(None, "/referenceDate", detail)];
        let said = "the service refused (400, json): the reference date lies in the future; /referenceDate";
        assert_eq!(Refused::of(ProblemBody { errors, detail: detail.into(), ..problem }).to_string(), said);
    }

    #[test]
    fn what_was_not_done_is_sent_again_and_what_was_refused_is_not() {
        let comes_again = |status: u16, body: &str| failure(status, body.as_bytes(), None).is::<ComeAgain>();
        let problem =
            |status: u16| format!(r#"{{"status":{status},"code":"c","title":"t","detail":"d","traceId":""}}"#);
        for (status, again) in
            [(408, true), (429, true), (500, true), (503, true), (400, false), (403, false), (409, false)]
        {
            assert_eq!(comes_again(status, &problem(status)), again, "{status}");
        }
        let damaged = problem(503).replace(r#""c""#, r#""store_damaged""#);
        let ended = failure(503, damaged.as_bytes(), Some(10));
        assert!(!ended.is::<ComeAgain>() && crate::cli::exit_code(&ended) == 5, "{ended:#}");
        for (status, again) in [(408, true), (502, true), (400, false), (431, false)] {
            assert_eq!(comes_again(status, ""), again, "{status} without a word");
        }
    }
}
