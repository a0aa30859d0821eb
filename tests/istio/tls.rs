//! Requests over TLS: what of a handshake a case can ask for, and what came of it.

use super::{answer::Answer, certificates::Certificates, exchange::ask_on, request::Request};
use anyhow::{Context, bail};
use harness::{http2::client::Http2Client, tls::client::Dialect};
use rustls::{CipherSuite, ProtocolVersion, pki_types::CertificateDer, version};
use serde::Deserialize;
use std::{io, net::SocketAddr, sync::Arc};

/// How a client speaks, as it stands in `requests.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsLine {
    /// The server name; empty for none. The host of the URL when left out.
    sni: Option<String>,
    /// What is offered; what the request is spoken in when left out.
    alpn: Option<Vec<String>>,
    /// Whose certificate is shown when one is asked for: a name of `certificates.rs`.
    client: Option<String>,
    /// The only version that is spoken: `1.2` or `1.3`.
    version: Option<String>,
    /// The only suite that is offered, by its name in the registry of TLS.
    suite: Option<String>,
}

/// A client that is ready to speak.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    dialect: Dialect,
    certificates: Arc<Certificates>,
}

/// What is known after a handshake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handshake {
    /// The name of the certificate that was shown.
    pub(crate) certificate: String,
    pub(crate) alpn: String,
    version: String,
}

impl Client {
    /// The client that `line` describes, for requests to `host`, by HTTP/2 if `http2`.
    pub(crate) fn of(
        line: &TlsLine,
        host: &str,
        http2: bool,
        certificates: &Arc<Certificates>,
    ) -> anyhow::Result<Self> {
        let mut dialect = match line.sni.as_deref() {
            Some("") => Dialect::nameless(),
            Some(name) => Dialect::asking(name),
            None => Dialect::asking(host),
        };
        if let Some(alpn) = &line.alpn {
            dialect = dialect.offering(&alpn.iter().map(String::as_str).collect::<Vec<_>>());
        } else if http2 {
            dialect = dialect.offering(&["h2"]);
        }
        match line.version.as_deref() {
            None => {}
            Some("1.2") => dialect = dialect.only(&version::TLS12),
            Some("1.3") => dialect = dialect.only(&version::TLS13),
            Some(other) => bail!("version {other:?} is neither 1.2 nor 1.3"),
        }
        if let Some(name) = &line.suite {
            dialect.suites = vec![suite(name).with_context(|| format!("{name} is no suite that is known here"))?];
        }
        if let Some(name) = &line.client {
            let (certificate, key) = certificates.pair(name)?;
            dialect = dialect.showing(certificate, key);
        }
        Ok(Self { dialect, certificates: Arc::clone(certificates) })
    }

    /// Makes a handshake with `address`, and the request if there is more to it than `TLS`.
    pub(crate) fn ask(&self, address: SocketAddr, request: &Request) -> Answer {
        match self.try_ask(address, request) {
            Ok(answer) => answer,
            Err(error) => Answer::None(reason(&error)),
        }
    }

    fn try_ask(&self, address: SocketAddr, request: &Request) -> io::Result<Answer> {
        if request.http2 && request.method != "TLS" {
            return self.try_ask_by_http2(address, request);
        }
        let mut client = self.dialect.connect(address)?;
        let handshake = self.handshake(&client.certificate(), client.alpn(), client.version());
        if request.method == "TLS" {
            return Ok(Answer::Handshake(handshake));
        }
        let message = client.exchange(request.bytes())?;
        Ok(Answer::of(&message).over(handshake))
    }

    fn try_ask_by_http2(&self, address: SocketAddr, request: &Request) -> io::Result<Answer> {
        let mut handshake = None;
        let client = Http2Client::connect_by_tls(address, &self.dialect, |met| {
            let certificate = met.peer_certificates().and_then(|chain| chain.first());
            handshake = certificate.map(|shown| self.handshake(shown, met.alpn_protocol(), met.protocol_version()));
        })?;
        let answer = ask_on(&client, "https", request).map_err(io::Error::other)?;
        Ok(match handshake {
            Some(handshake) => answer.over(handshake),
            None => answer,
        })
    }

    fn handshake(
        &self,
        certificate: &CertificateDer<'_>,
        alpn: Option<&[u8]>,
        version: Option<ProtocolVersion>,
    ) -> Handshake {
        Handshake {
            certificate: self.certificates.name_of(certificate),
            alpn: alpn.map(|alpn| String::from_utf8_lossy(alpn).into_owned()).unwrap_or_default(),
            version: version.map(|version| format!("{version:?}")).unwrap_or_default(),
        }
    }
}

/// The suites that cases name.
fn suite(name: &str) -> Option<CipherSuite> {
    use CipherSuite as Suite;
    Some(match name {
        "ECDHE-ECDSA-AES128-GCM-SHA256" => Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256" => Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES256-GCM-SHA384" => Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        _ => return None,
    })
}

/// An alert is an answer, whichever it is: libraries choose different ones. Every other end is the same to a client.
fn reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(_)) => "an alert".to_owned(),
        Some(rustls::Error::InvalidMessage(_)) => "something that is no TLS".to_owned(),
        _ if error.kind() == io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ if error.kind() == io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        _ => "connection closed".to_owned(),
    }
}
