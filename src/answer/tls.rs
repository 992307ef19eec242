//! TLS as the service speaks it: rustls with ring, a client certificate always, no session resumption.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};

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

/// The service's side of TLS.
///
/// # Errors
/// [`TlsError`] names the file that does not serve.
pub fn server(tls: &Tls) -> Result<ServerConfig, TlsError> {
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
        .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(chain, key))
        .map_err(TlsError::Own)?;
    // A resumed session would carry an old certificate's identity without showing it again (RFC 8446, 2.2).
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}
