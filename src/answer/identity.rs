//! Who is asking: the client certificate, read at the handshake and judged again at every request.

use std::any::Any;
use std::future::{Ready, ready};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::{Extensions, Payload};
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;
use x509_parser::oid_registry::{OID_USERID, OID_X509_SERIALNUMBER};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::problem::{Problem, trace_of};
use super::tls::Refused;
use crate::audit::{Latency, is_person};
use crate::ids::Oin;

/// The caller, as the certificate names it. No header can say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `subject.serialNumber`, where PKIoverheid puts the OIN.
    pub oin: Oin,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// `subject.UID`, where an organisation puts the number of the person to whom it gave the certificate.
    pub person: Option<String>,
    /// When this request's caller was read from the connection.
    arrived: Instant,
    not_after: OffsetDateTime,
}

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    #[error("the certificate cannot be read")]
    Unreadable,
    #[error("the certificate's subject has no serialNumber with an OIN of 20 digits")]
    NoOin,
    /// A name or an e-mail address would stand in the log for ever.
    #[error("the certificate's subject has a UID that is no staff number, such as po-0042")]
    Person,
}

impl Identity {
    /// Reads a certificate that the handshake has verified.
    ///
    /// # Errors
    /// [`NoIdentity`].
    pub fn from_der(der: &[u8]) -> Result<Self, NoIdentity> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| NoIdentity::Unreadable)?;
        let mut numbers = certificate.subject().iter_by_oid(&OID_X509_SERIALNUMBER);
        // Two serial numbers would let a reader choose: then it names nobody.
        let (Some(number), None) = (numbers.next(), numbers.next()) else { return Err(NoIdentity::NoOin) };
        let oin = number.as_str().ok().and_then(|text| text.parse().ok()).ok_or(NoIdentity::NoOin)?;
        let fingerprint = hex::encode(digest(&SHA256, der));
        let person = person_of(certificate.subject())?;
        let not_after = certificate.validity().not_after.to_datetime();
        Ok(Self { oin, fingerprint, person, arrived: Instant::now(), not_after })
    }

    /// How long the caller has waited.
    pub fn latency(&self) -> Latency {
        Latency::of(self.arrived.elapsed())
    }
}

/// The person whom the subject names, if it names one.
fn person_of(subject: &X509Name<'_>) -> Result<Option<String>, NoIdentity> {
    let mut numbers = subject.iter_by_oid(&OID_USERID);
    let Some(number) = numbers.next() else { return Ok(None) };
    let text = number.as_str().ok().filter(|text| is_person(text) && numbers.next().is_none());
    text.map(|text| Some(text.to_owned())).ok_or(NoIdentity::Person)
}

/// Keeps the certificate's identity with the connection.
pub fn on_connect(connection: &dyn Any, data: &mut Extensions) {
    if let Some(tls) = connection.downcast_ref::<TlsStream<TcpStream>>() {
        let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        data.insert(Shown(certificate.map_or_else(String::new, |der| hex::encode(digest(&SHA256, der)))));
        data.insert(certificate.map_or(Err(NoIdentity::Unreadable), |der| Identity::from_der(der)));
    }
}

/// SHA-256 of the connection's certificate, hexadecimal.
struct Shown(String);

/// Has the access log told that a certificate named nobody.
fn knock(request: &HttpRequest) {
    let shown = request.conn_data::<Shown>().map_or_else(String::new, |Shown(fingerprint)| fingerprint.clone());
    if let Some(door) = request.app_data::<Data<SyncSender<Refused>>>() {
        // Full: somebody knocks without end, and a thousand entries say so.
        drop(door.try_send(Refused { code: "no_identity", fingerprint: shown }));
    }
}

impl FromRequest for Identity {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let refuse =
            |detail: String| Problem::new(StatusCode::FORBIDDEN, "no_identity", detail).traced(trace_of(request));
        let found = match request.conn_data::<Result<Self, NoIdentity>>() {
            None => Err(refuse("no client certificate came with this connection".into())),
            Some(Err(why)) => Err(refuse(why.to_string())),
            // A connection may outlive its certificate.
            Some(Ok(identity)) if identity.not_after < OffsetDateTime::now_utc() => {
                Err(refuse("the client certificate has expired; connect with a new one".into()))
            }
            Some(Ok(identity)) => Ok(Self { arrived: Instant::now(), ..identity.clone() }),
        };
        if found.is_err() {
            knock(request);
        }
        ready(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    fn certificate(numbers: &[&str]) -> Vec<u8> {
        certificate_of(numbers, &[])
    }

    fn certificate_of(numbers: &[&str], persons: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Voorbeeld");
        for number in numbers {
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), *number);
        }
        for person in persons {
            params.distinguished_name.push(DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]), *person);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_oin_is_the_subjects_serial_number() {
        let identity = Identity::from_der(&certificate(&["00000099000000004001"])).unwrap();
        assert_eq!(identity.oin.as_str(), "00000099000000004001");
        assert_eq!(identity.fingerprint.len(), 64);
    }

    #[test]
    fn the_person_is_the_subjects_uid_and_never_a_name() {
        let person = |persons: &[&str]| {
            Identity::from_der(&certificate_of(&["00000099000000004001"], persons)).map(|identity| identity.person)
        };
        assert_eq!(person(&[]), Ok(None));
        assert_eq!(person(&["po-0042"]), Ok(Some("po-0042".into())));
        assert_eq!(person(&["j.jansen"]), Err(NoIdentity::Person));
    }

    #[test]
    fn a_certificate_without_an_oin_names_nobody() {
        for numbers in [&[][..], &["12345"], &["0000009900000000400x"]] {
            assert_eq!(Identity::from_der(&certificate(numbers)), Err(NoIdentity::NoOin));
        }
        assert_eq!(Identity::from_der(b"no certificate"), Err(NoIdentity::Unreadable));
    }
}
