//! A certificate authority that does what an administrator of one does: other kinds of keys, authorities below it,
//! revocation lists.

use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PublicKeyData,
    RevocationReason, RevokedCertParams, SerialNumber,
};
use ring::digest::{SHA256, digest};
use time::{Duration, OffsetDateTime};
use voorrang::cli::pki::Issued;

pub struct Root {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Certificates between the root and what it issues.
    chain: String,
}

/// Keys of other kinds than P-256.
pub fn p384() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()
}

/// An RSA key, made by ssh-keygen: ring has no such thing.
pub fn rsa(folder: &Path, bits: u32) -> KeyPair {
    let path = folder.join(format!("rsa-{bits}"));
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "rsa", "-m", "PKCS8", "-N", "", "-b", &bits.to_string(), "-f"]).arg(&path);
    assert!(command.status().unwrap().success());
    KeyPair::from_pem(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - Duration::DAY, now + Duration::DAY);
    params
}

impl Root {
    pub fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap();
        Self { issuer, chain: String::new() }
    }

    /// An authority below this one.
    pub fn below(&self, name: &str) -> Self {
        let issuer = CertifiedIssuer::signed_by(authority(name), KeyPair::generate().unwrap(), &self.issuer).unwrap();
        let chain = issuer.pem() + &self.chain;
        Self { issuer, chain }
    }

    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// The pin of this authority's key.
    pub fn pin(&self) -> String {
        format!("issuer:{}", pin(self.issuer.key()))
    }

    /// A client certificate.
    pub fn issue(&self, oin: &str, number: u64, key: &KeyPair) -> Issued {
        self.sign(Some(oin), number, key)
    }

    /// A certificate for the service.
    pub fn issue_server(&self, number: u64) -> Issued {
        self.sign(None, number, &KeyPair::generate().unwrap())
    }

    fn sign(&self, oin: Option<&str>, number: u64, key: &KeyPair) -> Issued {
        let hosts = if oin.is_none() { vec!["localhost".to_owned()] } else { Vec::new() };
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Voorbeeld");
        if let Some(oin) = oin {
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), oin);
        }
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now - Duration::HOUR, now + Duration::HOUR);
        params.serial_number = Some(SerialNumber::from(number));
        let usage =
            if oin.is_some() { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth };
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Issued { certificate: certificate.pem() + &self.chain, key: key.serialize_pem() }
    }

    /// A revocation list with these numbers that ends after this time.
    pub fn list(&self, numbers: &[u64], ends: Duration) -> String {
        self.list_of(numbers, OffsetDateTime::now_utc() - Duration::HOUR, ends, 1)
    }

    /// The same, made at another time than an hour ago, and with a number of its own.
    pub fn list_of(&self, numbers: &[u64], made: OffsetDateTime, ends: Duration, number: u64) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = |number: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: now - Duration::MINUTE,
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: made,
            next_update: now + ends,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// SHA-256 of a public key as a pin has it.
pub fn pin(key: &KeyPair) -> String {
    hex::encode(digest(&SHA256, &key.subject_public_key_info()))
}
