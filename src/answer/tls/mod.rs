//! TLS as the service speaks it: rustls with ring, a client certificate always, no session resumption. What a
//! certificate is worth is judged by a [`Gate`], which a [`Door`] replaces while connections stay open.

mod bound;
mod door;
mod gate;
mod lists;
mod reload;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, Error, ServerConfig};

pub(super) use bound::Pins;
pub(super) use door::Door;
pub(super) use gate::{Gate, Shown};
pub(super) use reload::Reloader;

/// Why the service cannot speak TLS. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {} as PEM; see [tls] in the configuration", path.display())]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{} holds no certificate; see [tls] in the configuration", path.display())]
    Empty { path: PathBuf },
    #[error("{} and {} do not work together: is the key that of the first certificate?", certificate.display(), key.display())]
    Own { certificate: PathBuf, key: PathBuf, source: Error },
    #[error("{} holds a root that cannot be used", path.display())]
    Roots { path: PathBuf, source: Error },
    #[error("the client roots and revocation lists cannot be used together")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    #[error("the service's protocol versions cannot be used")]
    Protocol(#[source] Error),
    #[error("cannot read the revocation list {}; fetch it anew, nobody is let in without it", path.display())]
    Crl { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{} is no revocation list; fetch it anew, nobody is let in without it", path.display())]
    NoCrl { path: PathBuf },
    #[error("the revocation list {} has ended; fetch a newer one, nobody is let in with an old one", path.display())]
    CrlEnded { path: PathBuf },
    #[error("[tls.bound] names {0}, which is no OIN of 20 digits and no role")]
    Bound(String),
}

/// Certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.to_owned(), source };
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)?;
    if found.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(found) }
}

/// The private key of a PEM file.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Pem { path: path.to_owned(), source })
}

/// Revocation lists of a file: one in DER, as authorities publish them, or any number in PEM.
fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Crl { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(|error| unreadable(rustls::pki_types::pem::Error::Io(error)))?;
    if bytes.starts_with(&[0x30]) {
        return Ok(vec![CertificateRevocationListDer::from(bytes)]);
    }
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(unreadable)?;
    if found.is_empty() { Err(TlsError::NoCrl { path: path.to_owned() }) } else { Ok(found) }
}

/// The service's side of TLS, behind this door.
///
/// # Errors
/// [`TlsError::Protocol`].
pub(super) fn server(door: &Arc<Door>, tls12: bool) -> Result<ServerConfig, TlsError> {
    let versions: &[_] = if tls12 { &[&TLS13, &TLS12] } else { &[&TLS13] };
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(versions).map_err(TlsError::Protocol)?;
    let mut config = builder.with_client_cert_verifier(door.clone()).with_cert_resolver(door.clone());
    without_memory(&mut config);
    // TLS 1.2 without it lets two connections share a master secret (RFC 7627).
    config.require_ems = true;
    Ok(config)
}

/// The service's side of TLS for everybody: its own certificate, as it is when somebody connects, and none asked of the
/// other side.
///
/// # Errors
/// [`TlsError::Protocol`].
pub(super) fn public(door: &Arc<Door>) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).map_err(TlsError::Protocol)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(door.clone());
    without_memory(&mut config);
    Ok(config)
}

/// A resumed session would carry an old certificate's identity without showing it again (RFC 8446, 2.2).
fn without_memory(config: &mut ServerConfig) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
}

/// The stable code of a certificate that was refused.
fn refusal(error: &Error) -> &'static str {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, ExpiredRevocationList, ExpiredRevocationListContext, NotValidYet,
        NotValidYetContext, Revoked, UnknownIssuer, UnknownRevocationStatus,
    };
    match error {
        Error::InvalidCertificate(UnknownIssuer) => "tls_unknown_issuer",
        Error::InvalidCertificate(Expired | ExpiredContext { .. }) => "tls_expired",
        Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => "tls_not_yet_valid",
        Error::InvalidCertificate(Revoked) => "tls_revoked",
        Error::InvalidCertificate(UnknownRevocationStatus) => "tls_revocation_unknown",
        Error::InvalidCertificate(ExpiredRevocationList | ExpiredRevocationListContext { .. }) => {
            "tls_revocation_list_ended"
        }
        Error::InvalidCertificate(BadSignature) => "tls_bad_signature",
        _ => "tls_certificate",
    }
}

/// The stable code of a handshake that failed, where it is one to record: certificates that were refused are recorded
/// by the [`Door`], and a client that turns away refused us.
pub(super) fn failure(error: &Error) -> Option<&'static str> {
    match error {
        Error::InvalidCertificate(_) | Error::AlertReceived(_) => None,
        Error::NoCertificatesPresented => Some("tls_no_certificate"),
        Error::PeerIncompatible(_) => Some("tls_incompatible"),
        _ => Some("tls_malformed"),
    }
}
