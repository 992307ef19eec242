//! Revocation lists as the files of `[tls]` have them. Of two lists of one authority the newer counts, whatever the order
//! of the files: rustls takes the first that is about a certificate, and looks at no other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use time::OffsetDateTime;
use x509_parser::oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::{TlsError, revocation_lists};

/// What a list is about: its issuer's name, and the part of its certificates where it has several lists (issuing
/// distribution point, RFC 5280, 5.2.5), both in DER.
type Scope = (Vec<u8>, Vec<u8>);

/// How new a list is: its `thisUpdate`; of two that are equal in that its number, by length and value.
type Age = (OffsetDateTime, (usize, Vec<u8>));

/// What there is to tell of the lists of a reading, and of those before it.
#[derive(Clone, Debug, Default)]
pub(in crate::answer) struct Standing {
    /// When the first list ends.
    pub(in crate::answer) until: Option<OffsetDateTime>,
    /// Roots that no list speaks for, where there are lists: nobody comes in whom they vouch for.
    pub(in crate::answer) unlisted: usize,
    /// Lists that gave way to a newer one about the same.
    pub(in crate::answer) doubled: usize,
    /// Authorities whose list is older than one that was read before: whom that one revoked may be in again.
    pub(in crate::answer) gone_back: usize,
    /// The newest that was read since the service started.
    newest: BTreeMap<Scope, Age>,
}

/// The lists that count.
#[derive(Default)]
pub(super) struct Lists {
    /// Newest first.
    pub(super) all: Vec<CertificateRevocationListDer<'static>>,
    standing: Standing,
}

struct List {
    der: CertificateRevocationListDer<'static>,
    scope: Scope,
    age: Age,
    until: OffsetDateTime,
}

impl Lists {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] for what is no list with an end, or of which no newer one is there and it has ended.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, TlsError> {
        let mut read = Vec::new();
        for path in paths {
            for der in revocation_lists(path)? {
                read.push((path, list(der).ok_or_else(|| TlsError::NoCrl { path: path.clone() })?));
            }
        }
        read.sort_by(|(_, a), (_, b)| b.age.cmp(&a.age));
        let mut lists = Self::default();
        for (path, list) in read {
            lists.take(path, list)?;
        }
        Ok(lists)
    }

    /// Takes the next one, none of which is newer than those that are there.
    fn take(&mut self, path: &Path, list: List) -> Result<(), TlsError> {
        let standing = &mut self.standing;
        if standing.newest.contains_key(&list.scope) {
            standing.doubled += 1;
            return Ok(());
        }
        if list.until <= OffsetDateTime::now_utc() {
            return Err(TlsError::CrlEnded { path: path.to_owned() });
        }
        standing.until = Some(standing.until.map_or(list.until, |first| first.min(list.until)));
        standing.newest.insert(list.scope, list.age);
        self.all.push(list.der);
        Ok(())
    }

    /// What there is to tell of them, with these roots, behind a reading that was told so.
    pub(super) fn standing(&self, roots: &[CertificateDer<'_>], before: &Standing) -> Standing {
        let mut standing = self.standing.clone();
        if !self.all.is_empty() {
            standing.unlisted = roots.iter().filter(|root| !self.speak_for(root)).count();
        }
        for (scope, then) in &before.newest {
            let newest = standing.newest.entry(scope.clone()).or_insert_with(|| then.clone());
            if *newest < *then {
                newest.clone_from(then);
                standing.gone_back += 1;
            }
        }
        standing
    }

    /// Whether one of them is this root's own.
    fn speak_for(&self, root: &CertificateDer<'_>) -> bool {
        let Ok((_, root)) = X509Certificate::from_der(root) else { return false };
        let is_its = |list: &CertificateRevocationListDer<'_>| {
            CertificateRevocationList::from_der(list).is_ok_and(|(_, list)| {
                list.issuer().as_raw() == root.subject().as_raw() && list.verify_signature(root.public_key()).is_ok()
            })
        };
        self.all.iter().any(is_its)
    }
}

/// A list that can be read and has an end: one without could be served for ever.
fn list(der: CertificateRevocationListDer<'static>) -> Option<List> {
    let (_, read) = CertificateRevocationList::from_der(&der).ok()?;
    let until = read.next_update()?.to_datetime();
    let part = read.extensions().iter().find(|extension| extension.oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT);
    let part = part.map_or_else(Vec::new, |extension| extension.value.to_vec());
    let number = read.crl_number().map_or_else(Vec::new, |number| number.to_bytes_be());
    let age = (read.last_update().to_datetime(), (number.len(), number));
    let scope = (read.issuer().as_raw().to_vec(), part);
    Some(List { scope, age, until, der })
}
