//! Who is asking: the client certificate, read at the handshake and judged again at every request.

use std::cell::RefCell;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::{Extensions, Payload};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use ring::digest::{Context, SHA256, digest};
use rustix::net::{Shutdown, shutdown};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::oid_registry::{OID_USERID, OID_X509_SERIALNUMBER};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::App;
use super::knocks::Refused;
use super::limits::{Beyond, Excess, Meters, Open, Place};
use super::problem::{Problem, trace_of};
use super::tls::{Door, Gate, Pins, Shown};
use crate::audit::{Latency, is_person};
use crate::ids::{Oin, TraceId};
use crate::regulate::Role;

/// How long a judgement of a chain counts for the requests of its connection.
const JUDGED_FOR: Duration = Duration::from_secs(10);

/// Before the Inway's key and the OIN, both of a fixed length, under SHA-256: no public key begins like this.
const BEHIND_INWAY: &str = "voorrang party behind an inway 1 ";

/// The caller, as the certificate names it. No header can say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `subject.serialNumber`, where PKIoverheid puts the OIN.
    pub oin: Oin,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// SHA-256 of its public key, hexadecimal: two certificates with one key are in one hand. Behind an Inway, whose key
    /// many share, of that key and the party.
    pub key: String,
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
        let key = hex::encode(digest(&SHA256, certificate.public_key().raw));
        let person = person_of(certificate.subject())?;
        let not_after = certificate.validity().not_after.to_datetime();
        Ok(Self { oin, fingerprint, key, person, arrived: Instant::now(), not_after })
    }

    /// A caller who is not there any more, as what it left behind names it.
    pub(super) fn remembered(oin: Oin, fingerprint: String, person: Option<String>) -> Self {
        let (key, not_after) = (String::new(), OffsetDateTime::UNIX_EPOCH);
        Self { oin, fingerprint, key, person, arrived: Instant::now(), not_after }
    }

    /// A party behind this Inway. Of its person and its own key nothing is known here; two parties are two hands as far
    /// as the Inway tells the truth.
    fn speaking_for(self, oin: Oin) -> Self {
        let mut hand = Context::new(&SHA256);
        [BEHIND_INWAY, &self.key, oin.as_str()].iter().for_each(|part| hand.update(part.as_bytes()));
        Self { key: hex::encode(hand.finish()), oin, person: None, ..self }
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

/// A connection, and what was last found of its certificate.
struct Line {
    shown: Shown,
    identity: Result<Identity, NoIdentity>,
    judged: RefCell<Option<Judged>>,
    /// From the end of the handshake on, if there was one.
    place: RefCell<Option<Rc<Place>>>,
    /// In its stead.
    beyond: RefCell<Option<Beyond>>,
    _open: Open,
}

/// A judgement of the certificate's chain: by which gate, and when.
struct Judged {
    gate: u64,
    at: Instant,
    pins: Result<Pins, &'static str>,
}

/// Keeps the certificate's identity with the connection, which counts as its party's from here on. Of those beyond the
/// share a few stay until they have heard why. All others are closed: nobody fills the listener by asking nothing.
pub(super) fn on_connect(
    connection: &TlsStream<TcpStream>,
    data: &mut Extensions,
    app: &App,
    door: &Door,
    meters: &Arc<Meters>,
) {
    let (tcp, tls) = connection.get_ref();
    let shown = Shown::new(tls.peer_certificates().unwrap_or_default());
    door.warn_of_short_keys(&shown);
    let identity = shown.chain.first().map_or(Err(NoIdentity::Unreadable), |der| Identity::from_der(der));
    let (judged, place, beyond) = Default::default();
    let line = Line { shown, identity, judged, place, beyond, _open: meters.open() };
    if !line.sit(app, door, meters) {
        let fingerprint = line.shown.fingerprint.clone();
        app.knocks.tell(Refused { code: Excess::Connections.code(), fingerprint });
        if let Err(error) = shutdown(tcp, Shutdown::Both) {
            tracing::debug!(%error, "a connection beyond its party's share was closed by the other side already");
        }
    }
    data.insert(Rc::new(line));
}

/// Who may send this request.
pub(super) struct Admitted {
    pub(super) identity: Identity,
    /// Whether it has a part in a regulation of today.
    pub(super) is_party: bool,
    /// Whether an Inway speaks for it, on a connection that many share.
    by_inway: bool,
    line: Rc<Line>,
}

impl Admitted {
    /// Whether it would still be let in: a body may take minutes, and a certificate be revoked in them.
    ///
    /// # Errors
    /// As [`admit`].
    pub(super) fn still(&self, app: &App, door: &Door, trace: TraceId) -> Result<(), Problem> {
        let judged = self.line.checked(app, door, |gate, pins| {
            let by_inway = gate.speaks_for_others(pins).is_some();
            if by_inway == self.by_inway { Ok(self.identity.clone()) } else { Err(refused("shut_out")) }
        });
        judged.map(drop).map_err(|refusal| self.line.refuse(refusal, app, trace))
    }
}

/// A stable code, and what to do.
type Why = (&'static str, String);

fn refused(code: &'static str) -> Why {
    (code, format!("the client certificate is not accepted ({code}); connect with another"))
}

/// Who sends this request: what the certificate says, if it still counts. A connection may outlive its certificate,
/// its root, its place in the regulation.
///
/// # Errors
/// A refusal, which the access log is told of.
pub(super) fn admit(request: &HttpRequest, app: &App, door: &Door) -> Result<Admitted, Problem> {
    let trace = trace_of(request);
    let Some(line) = request.conn_data::<Rc<Line>>() else {
        let detail = "no client certificate came with this connection";
        return Err(Problem::new(StatusCode::FORBIDDEN, "no_identity", detail).traced(trace));
    };
    line.speaker(request.headers(), app, door).map_err(|why| line.refuse(why, app, trace))
}

/// Whether an Inway sends this request.
pub(super) fn is_inway(request: &HttpRequest) -> bool {
    let (Some(line), Some(door)) = (request.conn_data::<Rc<Line>>(), request.app_data::<Data<Door>>()) else {
        return false;
    };
    let (number, gate) = door.gate();
    line.judge(number, &gate).is_ok_and(|pins| gate.speaks_for_others(&pins).is_some())
}

/// The certificates that the connection has shown, the client's own first.
pub(super) fn chain_of(request: &HttpRequest) -> Vec<CertificateDer<'static>> {
    request.conn_data::<Rc<Line>>().map(|line| line.shown.chain.clone()).unwrap_or_default()
}

/// The connection's place among those that the party of a request has open.
///
/// # Errors
/// There are too many.
pub(super) fn place(admitted: &Admitted, party: Option<&Oin>, meters: &Arc<Meters>) -> Result<Rc<Place>, Excess> {
    let connect = || meters.connect(party).map(Rc::new);
    // On an Inway's connection each request has its own.
    if admitted.by_inway {
        return connect();
    }
    let mut held = admitted.line.place.borrow_mut();
    if let Some(place) = held.as_ref().filter(|place| place.is_of(party)) {
        return Ok(place.clone());
    }
    let place = connect()?;
    admitted.line.beyond.take();
    Ok(held.insert(place).clone())
}

impl Line {
    /// Takes a place for the connection, or leave to hear that there is none. Whoever comes with a certificate that does
    /// not count takes none of the party whose name is in it.
    fn sit(&self, app: &App, door: &Door, meters: &Arc<Meters>) -> bool {
        let mut is_inway = false;
        let own = self.checked(app, door, |gate, pins| {
            is_inway = gate.speaks_for_others(pins).is_some();
            self.identity.clone().map_err(|why| ("no_identity", why.to_string()))
        });
        if is_inway {
            return true;
        }
        let party = own.ok().filter(|(_, roles)| !roles.is_empty()).map(|(identity, _)| identity.oin);
        match meters.connect(party.as_ref()) {
            Ok(place) => drop(self.place.replace(Some(Rc::new(place)))),
            Err(_) => drop(self.beyond.replace(meters.hear(party.as_ref()))),
        }
        self.place.borrow().is_some() || self.beyond.borrow().is_some()
    }

    /// Who sends a request with these headers.
    fn speaker(self: &Rc<Self>, headers: &HeaderMap, app: &App, door: &Door) -> Result<Admitted, Why> {
        let own = self.identity.as_ref().map_err(|why| ("no_identity", why.to_string()))?;
        let mut by_inway = false;
        let (identity, roles) = self.checked(app, door, |gate, pins| {
            let mut identity = Identity { arrived: Instant::now(), ..own.clone() };
            if let Some(header) = gate.speaks_for_others(pins) {
                let nobody = || ("no_identity", format!("the Inway names nobody: send one OIN in {header}"));
                identity = identity.speaking_for(only_oin(headers, header).ok_or_else(nobody)?);
                by_inway = true;
            }
            Ok(identity)
        })?;
        Ok(Admitted { identity, is_party: !roles.is_empty(), by_inway, line: self.clone() })
    }

    /// The identity that is made of the certificate, with its roles, if both still count.
    fn checked(
        &self,
        app: &App,
        door: &Door,
        speaker: impl FnOnce(&Gate, &Pins) -> Result<Identity, Why>,
    ) -> Result<(Identity, Vec<Role>), Why> {
        if self.identity.as_ref().is_ok_and(|own| own.not_after < OffsetDateTime::now_utc()) {
            return Err(("no_identity", "the client certificate has expired; connect with a new one".into()));
        }
        let (number, gate) = door.gate();
        let pins = self.judge(number, &gate).map_err(refused)?;
        let identity = speaker(&gate, &pins)?;
        let roles = app.roles(&identity.oin);
        gate.admits(&identity.oin, &identity.fingerprint, &roles, &pins).map_err(refused)?;
        // An Inway speaks for others, and has a name of its own.
        if let Ok(own) = self.identity.as_ref().map(|own| &own.oin)
            && *own != identity.oin
        {
            gate.admits(own, &identity.fingerprint, &app.roles(own), &pins).map_err(refused)?;
        }
        Ok((identity, roles))
    }

    /// The refusal, of which the access log is told.
    fn refuse(&self, (code, detail): Why, app: &App, trace: TraceId) -> Problem {
        let word = if code == "no_identity" { code } else { "certificate_refused" };
        app.knocks.tell(Refused { code, fingerprint: self.shown.fingerprint.clone() });
        Problem::new(StatusCode::FORBIDDEN, word, detail).traced(trace)
    }

    /// Signatures are checked again only for another gate, and now and then because revocation lists end.
    fn judge(&self, number: u64, gate: &Gate) -> Result<Pins, &'static str> {
        let mut judged = self.judged.borrow_mut();
        let counts = |known: &&mut Judged| known.gate == number && known.at.elapsed() < JUDGED_FOR;
        if let Some(known) = judged.as_mut().filter(counts) {
            return known.pins.clone();
        }
        let pins = gate.judge(&self.shown);
        *judged = Some(Judged { gate: number, at: Instant::now(), pins: pins.clone() });
        pins
    }
}

/// The OIN in a header that is there once.
fn only_oin(headers: &HeaderMap, name: &str) -> Option<Oin> {
    let mut values = headers.get_all(name);
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()?.parse().ok()
}

impl App {
    /// What somebody is, in all regulations of today.
    pub(super) fn roles(&self, oin: &Oin) -> Vec<Role> {
        let regulations = self.laws.all(self.today());
        regulations.iter().filter_map(|regulation| regulation.party(oin)).map(|party| party.role).collect()
    }
}

impl FromRequest for Identity {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    /// What [`admit`] found; a route that nobody guards knows nobody.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let nobody = || {
            let detail = "no client certificate came with this connection";
            Problem::new(StatusCode::FORBIDDEN, "no_identity", detail).traced(trace_of(request))
        };
        ready(request.extensions().get::<Self>().cloned().ok_or_else(nobody))
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
