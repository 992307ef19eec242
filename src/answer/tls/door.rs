//! The [`Gate`] in force: rustls asks it at every handshake, and every request asks it again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ring::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::gate::{Gate, Shown};
use super::refusal;
use crate::answer::knocks::{Knocks, Refused};

/// Certificates of which a warning is remembered, so that it is given once.
const MOST_WARNED: usize = 1000;

/// The gate that is in force, with the number of its reading.
#[derive(Debug)]
pub(in crate::answer) struct Door {
    gate: RwLock<(u64, Arc<Gate>)>,
    knocks: Arc<Knocks>,
    algorithms: WebPkiSupportedAlgorithms,
    /// What was wrong at the last look, if anything was.
    fault: Mutex<Option<String>>,
    warned: Mutex<BTreeSet<String>>,
}

impl Door {
    pub(in crate::answer) fn new(gate: Gate, knocks: Arc<Knocks>) -> Self {
        let algorithms = default_provider().signature_verification_algorithms;
        let (fault, warned) = Default::default();
        Self { gate: RwLock::new((0, Arc::new(gate))), knocks, algorithms, fault, warned }
    }

    /// The gate in force. Another number is another reading.
    pub(in crate::answer) fn gate(&self) -> (u64, Arc<Gate>) {
        self.gate.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, gate: Gate) {
        let mut place = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        *place = (place.0 + 1, Arc::new(gate));
    }

    /// Where refusals are told.
    pub(in crate::answer) fn knocks(&self) -> &Knocks {
        &self.knocks
    }

    /// What was wrong with the files at the last look.
    pub(in crate::answer) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers what is wrong; whether that is new.
    pub(super) fn set_fault(&self, fault: Option<String>) -> bool {
        let mut place = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *place != fault;
        *place = fault;
        is_new
    }

    /// Says once that a certificate has a short key.
    pub(in crate::answer) fn warn_of_short_keys(&self, shown: &Shown) {
        let Some(bits) = shown.short_rsa() else { return };
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < MOST_WARNED && warned.insert(shown.fingerprint.clone()) {
            tracing::warn!(certificate = %shown.fingerprint, bits, "a client's RSA key is shorter than 3072 bits");
        }
    }

    fn told<T>(&self, certificate: &CertificateDer<'_>, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| {
            let fingerprint = hex::encode(digest(&SHA256, certificate));
            self.knocks.tell(Refused { code: refusal(error), fingerprint });
        })
    }
}

impl ClientCertVerifier for Door {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownRevocationStatus);
        let verified = match &self.gate().1.verifier {
            Some(verifier) => verifier.verify_client_cert(certificate, intermediates, now),
            None => Err(unknown),
        };
        self.told(certificate, verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.told(certificate, verify_tls12_signature(message, certificate, signed, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.told(certificate, verify_tls13_signature(message, certificate, signed, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ResolvesServerCert for Door {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.gate().1.own.clone())
    }
}
