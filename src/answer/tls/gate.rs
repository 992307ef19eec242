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
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::bound::{Bound, Pins};
use super::lists::{Lists, Standing};
use super::{TlsError, certificates, private_key, refusal};
use crate::answer::identity::Identity;
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
    pub(in crate::answer) lists: Standing,
    /// Whether it is meant that there is no list.
    pub(in crate::answer) without_lists: bool,
}

/// The service's own certificate and key, and when it ends.
type Own = (Arc<CertifiedKey>, OffsetDateTime);

/// What judges clients, where revocation can be judged, and what there is to tell of its lists.
type Judge = (Option<Arc<dyn ClientCertVerifier>>, Standing);

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
    /// [`TlsError`] names the first file that does not serve.
    pub(in crate::answer) fn open(tls: &Tls) -> Result<Self, TlsError> {
        let roots = roots_of(tls)?;
        let own = own_of(tls)?;
        let judge = judge_of(tls, &roots, &Standing::default())?;
        Ok(Self::of(tls, own, roots, judge, Bound::new(&tls.bound)?))
    }

    /// Reads the files again. What does not serve stays as it is here, so that it holds up nothing else; but without
    /// good revocation lists nobody is let in.
    pub(super) fn renewed(&self, tls: &Tls) -> (Self, Vec<TlsError>) {
        let mut faults = Vec::new();
        let own = or_old(own_of(tls), || (self.own.clone(), self.own_until), &mut faults);
        let roots = or_old(roots_of(tls), || self.roots.clone(), &mut faults);
        let bound = or_old(Bound::new(&tls.bound), || self.bound.clone(), &mut faults);
        let judge = or_old(judge_of(tls, &roots, &self.lists), || (None, self.lists.clone()), &mut faults);
        (Self::of(tls, own, roots, judge, bound), faults)
    }

    fn of(
        tls: &Tls,
        (own, own_until): Own,
        roots: Vec<CertificateDer<'static>>,
        (verifier, lists): Judge,
        bound: Bound,
    ) -> Self {
        let (shut_out, without_lists) = (tls.shut_out.clone(), tls.without_crls);
        let (inways, inway_header) = (tls.inways.clone(), tls.inway_header.clone());
        Self { verifier, own, roots, bound, shut_out, inways, inway_header, own_until, lists, without_lists }
    }

    /// How many roots there are.
    pub(in crate::answer) fn roots(&self) -> usize {
        self.roots.len()
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

    /// Whether what was asked with this certificate may be gone on with. That it ended since does not matter; that it was
    /// revoked or shut out, or that nobody can know, does.
    pub(in crate::answer) fn lets_go_on(&self, oin: &Oin, shown: &Shown) -> bool {
        let own = shown.chain.first().and_then(|own| Identity::from_der(own).ok()).map(|own| own.oin);
        let names = own.iter().chain([oin]);
        let is_out = names.into_iter().any(|name| self.is_shut_out(name, &shown.fingerprint));
        !is_out && matches!(self.judge(shown), Ok(_) | Err("tls_expired"))
    }

    fn is_shut_out(&self, oin: &Oin, fingerprint: &str) -> bool {
        self.shut_out.iter().any(|out| out == oin.as_str() || out == fingerprint)
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
        if self.is_shut_out(oin, fingerprint) {
            return Err("shut_out");
        }
        if self.bound.admits(oin, roles, pins) { Ok(()) } else { Err("other_key") }
    }
}

/// What was read, or what was there before, with the fault beside it.
fn or_old<T>(read: Result<T, TlsError>, old: impl FnOnce() -> T, faults: &mut Vec<TlsError>) -> T {
    read.unwrap_or_else(|fault| {
        faults.push(fault);
        old()
    })
}

fn own_of(tls: &Tls) -> Result<Own, TlsError> {
    let chain = certificates(&tls.certificate)?;
    let until = X509Certificate::from_der(&chain[0]).map(|(_, own)| own.validity().not_after.to_datetime());
    let until = until.map_err(|_| TlsError::Empty { path: tls.certificate.clone() })?;
    let unfit = |source| TlsError::Own { certificate: tls.certificate.clone(), key: tls.key.clone(), source };
    let own = CertifiedKey::from_der(chain, private_key(&tls.key)?, &default_provider()).map_err(unfit)?;
    Ok((Arc::new(own), until))
}

/// Roots that can be used, all of them.
fn roots_of(tls: &Tls) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let roots = certificates(&tls.client_roots)?;
    let unfit = |source| TlsError::Roots { path: tls.client_roots.clone(), source };
    store_of(&roots).map_err(unfit)?;
    Ok(roots)
}

fn store_of(roots: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    roots.iter().try_for_each(|root| store.add(root.clone()))?;
    Ok(store)
}

/// Judges clients by these roots and the revocation lists.
fn judge_of(tls: &Tls, roots: &[CertificateDer<'static>], before: &Standing) -> Result<Judge, TlsError> {
    let lists = Lists::read(&tls.crls)?;
    let standing = lists.standing(roots, before);
    let unfit = |source| TlsError::Roots { path: tls.client_roots.clone(), source };
    let (store, provider) = (Arc::new(store_of(roots).map_err(unfit)?), Arc::new(default_provider()));
    // No names of roots: those of a client would be outdated after a reload, and tell strangers whom we know.
    let mut verifier = WebPkiClientVerifier::builder_with_provider(store, provider).clear_root_hint_subjects();
    if !lists.all.is_empty() {
        verifier = verifier.with_crls(lists.all).enforce_revocation_expiration();
    }
    Ok((Some(verifier.build()?), standing))
}
