//! A client that costs little beside the service that it measures: one connection, bytes out, a status back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use voorrang::answer::wire::Question;

use crate::premises::Premises;

/// A party's certificate and key, and the port of the service.
#[derive(Clone)]
pub struct Card {
    tls: Arc<ClientConfig>,
    port: u16,
}

impl Card {
    pub fn of(premises: &Premises, party: &str, port: u16) -> anyhow::Result<Self> {
        let place = |name: &str| premises.keys.join(name);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(place("ca.pem"))?)?;
        let chain = |path: &Path| CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_file(place(&format!("{party}.key")))?;
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain(&place(&format!("{party}.pem")))?, key)?;
        Ok(Self { tls: Arc::new(tls), port })
    }

    pub fn open(&self) -> anyhow::Result<Line> {
        let tls = ClientConnection::new(self.tls.clone(), ServerName::try_from("localhost")?)?;
        let tcp = TcpStream::connect(("127.0.0.1", self.port))?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Line(BufReader::with_capacity(2048, StreamOwned::new(tls, tcp))))
    }
}

pub struct Line(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Line {
    /// Sends a request and reads its answer; the status.
    pub fn send(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.0.get_mut().write_all(request)?;
        self.0.get_mut().flush()?;
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            let text = line.trim_end();
            if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
                status = rest.get(..3).context("no status")?.parse()?;
            } else if let Some(rest) = text.strip_prefix("content-length: ") {
                length = rest.parse()?;
            } else if text.is_empty() {
                break;
            }
        }
        anyhow::ensure!(status > 0, "the connection was closed without an answer");
        std::io::copy(&mut self.0.by_ref().take(length), &mut std::io::sink())?;
        Ok(status)
    }
}

/// A no-op.
pub const PING: &[u8] = b"GET /v1/ping HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A question as it travels.
pub fn asking(question: &Question) -> Vec<u8> {
    let body = serde_json::to_vec(question).expect("plain data have a JSON form");
    with_body("POST", "priority-questions", "json", &body)
}

/// A request for this path with a body.
pub fn with_body(method: &str, path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} /v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/{kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
