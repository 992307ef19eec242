//! TLS as the service speaks it: rustls with ring, a client certificate always, no session resumption.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use ring::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::config::Tls;

/// Why the service cannot speak TLS. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {} as PEM; see [tls] in the configuration", path.display())]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{} holds no certificate; see [tls] in the configuration", path.display())]
    Empty { path: PathBuf },
    #[error("the certificate and key of the service do not work together")]
    Own(#[source] rustls::Error),
    #[error("the client roots cannot be used")]
    Roots(#[source] rustls::Error),
    #[error("the client roots cannot be used")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Certificates of a PEM file, at least one.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.to_owned(), source };
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)?;
    if found.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(found) }
}

/// The private key of a PEM file.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Pem { path: path.to_owned(), source })
}

/// The service's side of TLS. Clients whose certificate is refused are told to `knock`.
///
/// # Errors
/// [`TlsError`] names the file that does not serve.
pub fn server(tls: &Tls, knock: SyncSender<Refused>) -> Result<ServerConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(&tls.client_roots)? {
        roots.add(root).map_err(TlsError::Roots)?;
    }
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let chain = certificates(&tls.certificate)?;
    let key = private_key(&tls.key)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .and_then(|builder| {
            builder.with_client_cert_verifier(Arc::new(Doorkeeper { verifier, knock })).with_single_cert(chain, key)
        })
        .map_err(TlsError::Own)?;
    // A resumed session would carry an old certificate's identity without showing it again (RFC 8446, 2.2).
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Refused handshakes that wait for their entry at most; more are not counted.
pub(super) const KNOCKS: usize = 1024;

/// A client certificate that names nobody who may ask.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refused {
    /// Stable code.
    pub(super) code: &'static str,
    /// SHA-256 of the certificate, hexadecimal.
    pub(super) fingerprint: String,
}

/// The verifier of client certificates, which tells whom it refused.
#[derive(Debug)]
struct Doorkeeper {
    verifier: Arc<dyn ClientCertVerifier>,
    knock: SyncSender<Refused>,
}

impl Doorkeeper {
    fn told<T>(&self, certificate: &CertificateDer<'_>, result: Result<T, rustls::Error>) -> Result<T, rustls::Error> {
        result.inspect_err(|error| {
            let fingerprint = hex::encode(digest(&SHA256, certificate));
            // Full: somebody knocks without end, and a thousand entries say so.
            drop(self.knock.try_send(Refused { code: code(error), fingerprint }));
        })
    }
}

fn code(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => "tls_unknown_issuer",
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "tls_expired"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "tls_not_yet_valid",
        rustls::Error::InvalidCertificate(CertificateError::Revoked) => "tls_revoked",
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => "tls_bad_signature",
        _ => "tls_certificate",
    }
}

impl ClientCertVerifier for Doorkeeper {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.told(certificate, self.verifier.verify_client_cert(certificate, intermediates, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.told(certificate, self.verifier.verify_tls12_signature(message, certificate, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.told(certificate, self.verifier.verify_tls13_signature(message, certificate, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
