//! `voorrang pki dev`: certificates, age identities, note keys and configuration files for every role of a
//! regulation, for development and demonstrations. Real parties bring PKIoverheid certificates.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::client::{Client, Party, PartyBook};
use super::inputs::regulation_or_built_in;
use crate::audit::NoteSigner;
use crate::config::DEFAULT;
use crate::epoch::share;
use crate::ids::Oin;
use crate::regulate::{Regulation, Role};

/// Days that development certificates live.
const VALID_DAYS: i64 = 90;

/// What `voorrang pki dev` takes.
#[derive(Debug, clap::Args)]
pub struct DevArgs {
    /// Folder to make; it must not exist, or be empty
    #[arg(long)]
    pub out: PathBuf,
    /// Regulation folder whose parties get keys [default: the built-in haarlem]
    #[arg(long)]
    pub regulation: Option<PathBuf>,
    /// Host and port at which the service will be reached
    #[arg(long, default_value = "localhost:8443")]
    pub service: String,
}

/// Makes the folder and says what lies in it.
///
/// # Errors
/// If the folder is not empty or cannot be written.
pub fn dev(args: &DevArgs) -> anyhow::Result<()> {
    let regulation = regulation_or_built_in(args.regulation.as_deref())?;
    make(&args.out, &regulation, &args.service)?;
    let folder = sign_all(&args.out, &regulation)?;
    eprintln!("Made development keys for {} parties in {}.", regulation.parties().len(), args.out.display());
    eprintln!("Start the service:  voorrang serve --config {}", args.out.join("voorrang.toml").display());
    eprintln!("Put its regulation into force, which takes two:");
    eprintln!(
        "  voorrang regulation activate {} --config {}",
        folder.display(),
        args.out.join("<administrator>.toml").display()
    );
    eprintln!("  voorrang regulation confirm <name> --config {}", args.out.join("<officer>.toml").display());
    eprintln!("Ask it anything:    voorrang query --config {} ...", args.out.join("<party>.toml").display());
    Ok(())
}

/// A certificate authority for development.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, both PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// Whose certificate, and for how long.
pub struct Subject<'a> {
    /// `subject.organizationName`.
    pub organisation: &'a str,
    /// `subject.serialNumber`; none for the service's own certificate.
    pub oin: Option<&'a str>,
    /// Host names of a server; none for a client.
    pub hosts: &'a [&'a str],
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
}

impl<'a> Subject<'a> {
    /// A party's client certificate, valid from an hour ago.
    pub fn party(organisation: &'a str, oin: &'a str) -> Self {
        let now = OffsetDateTime::now_utc();
        let (not_before, not_after) = (now - Duration::HOUR, now + Duration::days(VALID_DAYS));
        Self { organisation, oin: Some(oin), hosts: &[], not_before, not_after }
    }

    /// The service's certificate.
    pub fn service(hosts: &'a [&'a str]) -> Self {
        Self { oin: None, hosts, ..Self::party("Voorrang (development)", "") }
    }
}

impl Authority {
    /// A new root.
    ///
    /// # Errors
    /// If the key cannot be made.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now - Duration::DAY, now + Duration::days(VALID_DAYS + 1));
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// The root certificate, PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate, P-256.
    ///
    /// # Errors
    /// If the subject is no valid one.
    pub fn issue(&self, subject: &Subject<'_>) -> anyhow::Result<Issued> {
        let hosts: Vec<String> = subject.hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, subject.organisation);
        params
            .distinguished_name
            .push(DnType::CommonName, subject.hosts.first().copied().unwrap_or(subject.organisation));
        if let Some(oin) = subject.oin.filter(|oin| !oin.is_empty()) {
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), oin);
        }
        (params.not_before, params.not_after) = (subject.not_before, subject.not_after);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let usage = if subject.hosts.is_empty() {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        };
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// A party's name as its file name: `Pré Wonen` is `pre-wonen`.
pub fn file_stem(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    let plain = name.nfd().filter(char::is_ascii).collect::<String>().to_lowercase();
    let words = plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// Makes all files of a development folder.
///
/// # Errors
/// If the folder is not empty or cannot be written.
pub fn make(out: &Path, regulation: &Regulation, service: &str) -> anyhow::Result<()> {
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty; keys are never overwritten, choose a new folder", out.display());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(out)
        .with_context(|| format!("cannot make {}", out.display()))?;
    let authority = Authority::new("Voorrang development root")?;
    write_public(&out.join("ca.pem"), &authority.certificate())?;
    let host = service.rsplit_once(':').map_or(service, |(host, _)| host);
    let own = authority.issue(&Subject::service(&[host, "localhost", "127.0.0.1"]))?;
    write_public(&out.join("server.pem"), &own.certificate)?;
    write_secret(&out.join("server.key"), own.key.as_bytes())?;
    let (mut book, mut keys) = (PartyBook::default(), Vec::new());
    for party in regulation.parties() {
        let stem = file_stem(&party.name);
        let issued = authority.issue(&Subject::party(&party.name, party.oin.as_str()))?;
        write_public(&out.join(format!("{stem}.pem")), &issued.certificate)?;
        write_secret(&out.join(format!("{stem}.key")), issued.key.as_bytes())?;
        let mut officer = None;
        let mut entry = Party { oin: party.oin.clone(), name: party.name.clone(), recipient: None, verifier: None };
        if encodes(party.role) {
            let (identity, public) = share::generate_identity();
            write_secret(&out.join(format!("{stem}.age")), identity.as_bytes())?;
            entry.recipient = Some(public);
        } else if party.role == Role::PrivacyOfficer {
            let (identity, public) = share::generate_identity();
            write_secret(&out.join(format!("{stem}.age")), identity.as_bytes())?;
            officer = Some(public);
        }
        let (signer, pkcs8) = NoteSigner::generate(&stem)?;
        write_secret(&out.join(format!("{stem}.note")), &pkcs8)?;
        if contributes(party.role) {
            entry.verifier = Some(signer.verifier().vkey());
        }
        keys.push(PartyKeys { oin: party.oin.clone(), verifier: signer.verifier().vkey(), recipient: officer });
        write_public(&out.join(format!("{stem}.toml")), &client_file(&stem, party.role, regulation, service))?;
        book.party.push(entry);
    }
    write_public(&out.join("parties.toml"), &toml::to_string(&book)?)?;
    let place = write_regulation(out, regulation, &keys)?;
    write_public(&out.join("voorrang.toml"), &service_file(&place, service)?)?;
    Ok(())
}

/// Whether a party needs the salt.
fn encodes(role: Role) -> bool {
    contributes(role) || matches!(role, Role::Corporation | Role::DistrictTeam)
}

/// Whether a party contributes to the salt.
fn contributes(role: Role) -> bool {
    matches!(role, Role::PopulationCustodian | Role::CareCustodian)
}

/// Development parties state that the landlord's statutory conditions are met; real ones state what is true.
const QUERY: &str = "\n[query]\npurpose = \"eviction-prevention\"\nconditions = { personalContact = true, helpOffered = true, \
reminderSent = true, noObjection = true }\n";

fn client_file(stem: &str, role: Role, regulation: &Regulation, service: &str) -> String {
    let id = regulation.id();
    let query = if role == Role::Corporation { QUERY } else { "" };
    let mut keys = String::new();
    if encodes(role) || role == Role::PrivacyOfficer {
        keys += &format!("identity = \"{stem}.age\"\n");
    }
    keys += &format!("note_key = \"{stem}.note\"\n");
    let days = regulation.retention().log_days;
    let days = if role == Role::PrivacyOfficer { format!("log_days = {days}\n") } else { String::new() };
    format!(
        "# Made by `voorrang pki dev`; config/client.toml of the project explains every key.\n\
         service = \"https://{service}\"\nregulation = \"{id}\"\nca = \"ca.pem\"\ncertificate = \"{stem}.pem\"\n\
         key = \"{stem}.key\"\n{keys}parties = \"parties.toml\"\nmemory = \"{stem}.memory\"\n{days}{query}"
    )
}

fn service_file(place: &Path, service: &str) -> anyhow::Result<String> {
    let mut table: toml::Table = toml::from_str(DEFAULT).context("the shipped defaults")?;
    let port = service.rsplit_once(':').map_or("8443", |(_, port)| port);
    table.insert("listen".into(), format!("127.0.0.1:{port}").into());
    let internal = match port.parse::<u16>() {
        // Any free one, as for the service itself.
        Ok(0) | Err(_) => 0,
        Ok(port) => port.saturating_add(1),
    };
    table.insert(
        "internal".into(),
        toml::Table::from_iter([("listen".into(), format!("127.0.0.1:{internal}").into())]).into(),
    );
    let place = place.display().to_string();
    table.insert("regulations".into(), toml::Value::Array(vec![place.into()]));
    // Any free one, as for the service itself; or behind that of the internal listener.
    let port = port.parse::<u16>().ok().filter(|port| *port > 0).map_or(0, |port| port.saturating_add(2));
    let server = format!("https://{service}/v1");
    let documentation = [("listen", format!("127.0.0.1:{port}")), ("server", server)];
    let documentation = documentation.map(|(key, value)| (key.to_owned(), toml::Value::from(value)));
    let documentation = toml::Table::from_iter(documentation);
    table.insert("documentation".into(), documentation.into());
    // The development authority keeps no list.
    let tls = table.get_mut("tls").and_then(toml::Value::as_table_mut).context("the shipped defaults")?;
    tls.insert("without_crls".into(), true.into());
    Ok(format!("# Made by `voorrang pki dev`; config/default.toml of the project explains every key.\n{table}"))
}

/// What the regulation names of a party.
struct PartyKeys {
    oin: Oin,
    verifier: String,
    /// Of a privacy officer.
    recipient: Option<String>,
}

/// Writes the regulation with the parties' keys in it; returns its folder, from `out`. Nobody has signed it yet.
fn write_regulation(out: &Path, regulation: &Regulation, keys: &[PartyKeys]) -> anyhow::Result<PathBuf> {
    let [toml, cedar] = regulation.texts();
    let place = Path::new("regulations").join(regulation.id().as_str());
    let folder = out.join(&place);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut text = String::new();
    for line in toml.lines().filter(|line| !line.starts_with("key = ") && !line.starts_with("recipient = \"age")) {
        text += &format!("{line}\n");
        let oin = line.strip_prefix("oin = ").and_then(|rest| rest.split('"').nth(1));
        for party in keys.iter().filter(|party| oin == Some(party.oin.as_str())) {
            text += &format!("key = \"{}\"\n", party.verifier);
            if let Some(recipient) = &party.recipient {
                text += &format!("recipient = \"{recipient}\"\n");
            }
        }
    }
    write_public(&folder.join("regulation.toml"), &text)?;
    write_public(&folder.join("articles.cedar"), cedar)?;
    Ok(place)
}

/// The folder of a development regulation that [`make`] wrote.
pub fn regulation_folder(out: &Path, regulation: &Regulation) -> PathBuf {
    out.join("regulations").join(regulation.id().as_str())
}

/// Signs the development regulation with the key of every party: in development all are on one machine.
///
/// # Errors
/// If a key or the folder cannot be read.
pub fn sign_all(out: &Path, regulation: &Regulation) -> anyhow::Result<PathBuf> {
    let folder = regulation_folder(out, regulation);
    for party in regulation.parties() {
        let signer = Client::open(&out.join(format!("{}.toml", file_stem(&party.name))))?.signer()?;
        super::regulation::sign(&folder, &signer)?;
    }
    Ok(folder)
}

fn write_public(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file that only its owner reads; it must not exist yet.
///
/// # Errors
/// If it exists or cannot be written.
pub fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}; secret files are never overwritten", path.display()))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_plain() {
        assert_eq!(file_stem("Pré Wonen"), "pre-wonen");
        assert_eq!(file_stem("Gemeente Haarlem (BRP)"), "gemeente-haarlem-brp");
    }

    #[test]
    fn keys_are_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        write_secret(&folder.path().join("a.key"), b"1").unwrap();
        assert!(write_secret(&folder.path().join("a.key"), b"2").is_err());
        let regulation = &Regulation::built_in()[0];
        assert!(make(folder.path(), regulation, "localhost:1").is_err());
    }

    #[test]
    fn every_party_gets_a_certificate_and_secrets_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("pki");
        let regulation = &Regulation::built_in()[0];
        make(&out, regulation, "localhost:1").unwrap();
        for party in regulation.parties() {
            let stem = file_stem(&party.name);
            assert!(out.join(format!("{stem}.pem")).exists(), "{stem}");
            let mode = fs::metadata(out.join(format!("{stem}.key"))).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{stem}");
        }
    }
}
