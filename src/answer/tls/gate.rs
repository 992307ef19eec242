//! What the files of `[tls]` say at one moment: who is believed, and what the service itself shows.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore};
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::bound::{Bound, Pins};
use super::{TlsError, certificates, private_key, refusal, revocation_lists};
use crate::config::Tls;
use crate::ids::Oin;
use crate::regulate::Role;

/// A shorter RSA key is on its way out (NCSC, 2025-05).
pub(in crate::answer) const LEAST_RSA_BITS: usize = 3072;

/// One reading of the files. It does not change; another reading is another gate.
#[derive(Debug)]
pub(in crate::answer) struct Gate {
    /// `None` while revocation cannot be judged: nobody is let in.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
    pub(super) own: Arc<CertifiedKey>,
    roots: Vec<CertificateDer<'static>>,
    bound: Bound,
    shut_out: Vec<String>,
    inways: Vec<String>,
    inway_header: String,
    /// When the service's own certificate ends.
    pub(in crate::answer) own_until: OffsetDateTime,
    /// When the first revocation list ends.
    pub(in crate::answer) lists_until: Option<OffsetDateTime>,
}

/// The certificate that a connection has shown.
pub(in crate::answer) struct Shown {
    /// The client's own first, as it was sent.
    pub(in crate::answer) chain: Vec<CertificateDer<'static>>,
    /// SHA-256 of the client's own, hexadecimal; empty without one.
    pub(in crate::answer) fingerprint: String,
}

impl Shown {
    pub(in crate::answer) fn new(chain: &[CertificateDer<'_>]) -> Self {
        let fingerprint = chain.first().map_or_else(String::new, |own| hex::encode(digest(&SHA256, own)));
        Self { chain: chain.iter().map(|one| one.clone().into_owned()).collect(), fingerprint }
    }

    /// The bits of a short RSA key.
    pub(in crate::answer) fn short_rsa(&self) -> Option<usize> {
        let (_, own) = X509Certificate::from_der(self.chain.first()?).ok()?;
        match own.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(key.key_size()).filter(|bits| *bits < LEAST_RSA_BITS),
            _ => None,
        }
    }
}

impl Gate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] names the file that does not serve.
    pub(in crate::answer) fn open(tls: &Tls) -> Result<Self, TlsError> {
        let roots = certificates(&tls.client_roots)?;
        let mut store = RootCertStore::empty();
        for root in &roots {
            let source = |source| TlsError::Roots { path: tls.client_roots.clone(), source };
            store.add(root.clone()).map_err(source)?;
        }
        let provider = default_provider();
        let own = |source| TlsError::Own { certificate: tls.certificate.clone(), key: tls.key.clone(), source };
        let chain = certificates(&tls.certificate)?;
        let until = X509Certificate::from_der(&chain[0]).map(|(_, own)| own.validity().not_after.to_datetime());
        let own_until = until.map_err(|_| TlsError::Empty { path: tls.certificate.clone() })?;
        let own = CertifiedKey::from_der(chain, private_key(&tls.key)?, &provider).map_err(own)?;
        let (mut lists, mut lists_until) = (Vec::new(), None);
        for path in &tls.crls {
            for list in revocation_lists(path)? {
                let no_list = |_| TlsError::NoCrl { path: path.clone() };
                let (_, read) = CertificateRevocationList::from_der(&list).map_err(no_list)?;
                let until = read.next_update().map(|time| time.to_datetime());
                // One without an end could be served for ever.
                let until = until.ok_or_else(|| TlsError::NoCrl { path: path.clone() })?;
                if until <= OffsetDateTime::now_utc() {
                    return Err(TlsError::CrlEnded { path: path.clone() });
                }
                lists_until = Some(lists_until.map_or(until, |first: OffsetDateTime| first.min(until)));
                lists.push(list);
            }
        }
        // No names of roots: those of a client would be outdated after a reload, and tell strangers whom we know.
        let mut verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::new(provider)).clear_root_hint_subjects();
        if !lists.is_empty() {
            verifier = verifier.with_crls(lists).enforce_revocation_expiration();
        }
        let bound = Bound::new(&tls.bound)?;
        let (verifier, own, shut_out) = (Some(verifier.build()?), Arc::new(own), tls.shut_out.clone());
        let (inways, inway_header) = (tls.inways.clone(), tls.inway_header.clone());
        Ok(Self { verifier, own, roots, bound, shut_out, inways, inway_header, own_until, lists_until })
    }

    /// The same certificate of the service, and nobody is let in.
    pub(super) fn closed(&self) -> Self {
        Self {
            verifier: None,
            own: self.own.clone(),
            roots: Vec::new(),
            bound: Bound::default(),
            shut_out: Vec::new(),
            inways: Vec::new(),
            inway_header: String::new(),
            own_until: self.own_until,
            lists_until: self.lists_until,
        }
    }

    /// Whether revocation cannot be judged.
    pub(in crate::answer) fn is_closed(&self) -> bool {
        self.verifier.is_none()
    }

    /// Judges a chain as the handshake does, and finds the keys in it.
    ///
    /// # Errors
    /// The stable code of the refusal.
    pub(in crate::answer) fn judge(&self, shown: &Shown) -> Result<Pins, &'static str> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownRevocationStatus);
        let (Some(own), intermediates) = (shown.chain.first(), shown.chain.get(1..).unwrap_or_default()) else {
            return Err("tls_no_certificate");
        };
        let judged = match &self.verifier {
            Some(verifier) => verifier.verify_client_cert(own, intermediates, UnixTime::now()).map(drop),
            None => Err(unknown),
        };
        judged.map_err(|error| refusal(&error))?;
        self.pins(own, intermediates).ok_or("tls_certificate")
    }

    fn pins(&self, own: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Option<Pins> {
        let pin = |certificate: &X509Certificate<'_>| hex::encode(digest(&SHA256, certificate.public_key().raw));
        let (_, own) = X509Certificate::from_der(own).ok()?;
        // The name alone proves nothing: the issuer is who made the signature.
        let issuer = intermediates.iter().chain(&self.roots).find_map(|candidate| {
            let (_, candidate) = X509Certificate::from_der(candidate).ok()?;
            let named = candidate.subject().as_raw() == own.issuer().as_raw();
            let signed = named && own.verify_signature(Some(candidate.public_key())).is_ok();
            signed.then(|| pin(&candidate))
        });
        Some(Pins { key: pin(&own), issuer })
    }

    /// The header in which whoever has this key names the party that it speaks for; only an Inway does.
    pub(in crate::answer) fn speaks_for_others(&self, pins: &Pins) -> Option<&str> {
        let is_inway = self.inways.iter().any(|inway| inway.strip_prefix("key:") == Some(pins.key.as_str()));
        is_inway.then_some(self.inway_header.as_str())
    }

    /// Whether a certificate that the roots vouch for may speak for this OIN.
    ///
    /// # Errors
    /// The stable code of the refusal.
    pub(in crate::answer) fn admits(
        &self,
        oin: &Oin,
        fingerprint: &str,
        roles: &[Role],
        pins: &Pins,
    ) -> Result<(), &'static str> {
        if self.shut_out.iter().any(|out| out == oin.as_str() || out == fingerprint) {
            return Err("shut_out");
        }
        if self.bound.admits(oin, roles, pins) { Ok(()) } else { Err("other_key") }
    }
}
