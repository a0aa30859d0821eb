//! A request of a case: what to send, byte for byte, and what must come of it.

use super::{
    certificates::Certificates,
    stream::Stream,
    tls::{Client, TlsLine},
};
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The port of a gateway's pod behind port 80 of its Service.
const HTTP: u16 = 8080;

/// The one behind port 443.
const HTTPS: u16 = 8443;

/// Draws from each gateway for a request with `shares`: ten per cent of either answer are missed once in 10⁹ runs.
const DRAWS: u32 = 200;

/// A request and the answer both gateways must give.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// As the case wrote it.
    pub(crate) text: String,
    pub(crate) method: String,
    pub(crate) authority: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// Name and value, without Host.
    pub(crate) fields: Vec<(String, String)>,
    /// The bytes, when they are not those that the parts above make.
    raw: Option<String>,
    pub(crate) body: String,
    /// How TLS is spoken, for `https`.
    pub(crate) tls: Option<TlsLine>,
    /// The same, ready to be spoken.
    pub(crate) client: Option<Client>,
    /// What goes on the wire where it is no HTTP.
    pub(crate) stream: Option<Stream>,
    /// By HTTP/2, with prior knowledge.
    pub(crate) http2: bool,
    /// Of the gateway's pod.
    pub(crate) port: u16,
    pub(crate) expected: Expected,
    /// The entry of docs/istio-differences.md that explains why our answer is another one; it must be another one.
    pub(crate) differs: Option<String>,
}

/// What is left out is not looked at; the two answers are compared in full anyway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// Whether anything is expected: random requests come without.
    pub(crate) is_given: bool,
    /// `None`: no answer at all.
    pub(crate) status: Option<u16>,
    /// The pod that answers.
    pub(crate) from: Option<String>,
    pub(crate) location: Option<String>,
    /// The name of the certificate that is shown.
    pub(crate) certificate: Option<String>,
    /// The protocol that is agreed on; empty for none.
    pub(crate) alpn: Option<String>,
    pub(crate) shares: Option<Shares>,
    /// How long the answer takes at least.
    pub(crate) takes: Option<Duration>,
}

/// Answers drawn by weight.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    pub(crate) draws: u32,
    /// By pod, or by status where no pod answers.
    pub(crate) weights: BTreeMap<String, u32>,
    /// Between draws that do not count and those that do, where there is such a time.
    pub(crate) settles: Duration,
}

/// What a request is spoken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Protocol {
    #[default]
    #[serde(rename = "http/1.1")]
    Http1,
    #[serde(rename = "h2")]
    H2,
}

/// As it stands in `requests.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestLine {
    /// `[METHOD] URL`; the method TLS is a handshake and nothing else.
    send: String,
    #[serde(default)]
    headers: Vec<String>,
    raw: Option<String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    protocol: Protocol,
    port: Option<u16>,
    /// 0: no answer, the connection is refused or closed.
    status: u16,
    from: Option<String>,
    location: Option<String>,
    /// For `https`: how it is spoken.
    #[serde(default)]
    tls: TlsLine,
    certificate: Option<String>,
    alpn: Option<String>,
    shares: Option<BTreeMap<String, u32>>,
    /// Milliseconds between the draws of `shares` and as many before, which are not counted: Envoy takes a second change of a
    /// cluster's endpoints into account a second after the first (`update_merge_window`), ejections too.
    #[serde(default)]
    settles: u64,
    /// Milliseconds until the answer, of either gateway: at least so many, and not much more.
    takes: Option<u64>,
    differs: Option<String>,
}

impl TryFrom<RequestLine> for Request {
    type Error = anyhow::Error;

    fn try_from(line: RequestLine) -> anyhow::Result<Self> {
        let (method, url) = line.send.split_once(' ').unwrap_or(("GET", &line.send));
        let (scheme, rest) = url.split_once("://").with_context(|| format!("{url} is no URL"))?;
        let stream = Stream::of_scheme(scheme);
        ensure!(stream.is_some() || ["http", "https"].contains(&scheme), "{url}: not http, https, tcp or tls");
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let mut request = Self::new(method, authority, if target.is_empty() { "/" } else { target });
        for header in &line.headers {
            let (name, value) = header.split_once(':').with_context(|| format!("{header:?} is no header"))?;
            request.fields.push((name.to_owned(), value.trim().to_owned()));
        }
        request.stream = stream;
        request.tls = (scheme == "https").then_some(line.tls);
        request.http2 = line.protocol == Protocol::H2;
        ensure!(!request.http2 || line.raw.is_none(), "{url}: bytes are of HTTP/1");
        request.text = line.send.clone();
        request.raw = line.raw;
        request.body = line.body;
        let usual = if request.tls.is_some() { HTTPS } else { HTTP };
        request.port = line.port.unwrap_or(usual);
        request.expected = Expected {
            is_given: true,
            status: (line.status != 0).then_some(line.status),
            from: line.from,
            location: line.location,
            certificate: line.certificate,
            alpn: line.alpn,
            shares: line.shares.map(|weights| Shares {
                draws: DRAWS,
                weights,
                settles: Duration::from_millis(line.settles),
            }),
            takes: line.takes.map(Duration::from_millis),
        };
        request.differs = line.differs;
        Ok(request)
    }
}

impl Request {
    /// A request without expectations: whatever Istio's gateway answers.
    pub(crate) fn new(method: &str, authority: &str, target: &str) -> Self {
        Self {
            text: format!("{method} http://{authority}{target}"),
            method: method.to_owned(),
            authority: authority.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            raw: None,
            body: String::new(),
            tls: None,
            client: None,
            stream: None,
            http2: false,
            port: HTTP,
            expected: Expected::default(),
            differs: None,
        }
    }

    /// Makes the client that the request speaks TLS with.
    pub(crate) fn prepare(&mut self, certificates: &Arc<Certificates>) -> anyhow::Result<()> {
        if let Some(tls) = &self.tls {
            let host = self.authority.split(':').next().unwrap_or_default();
            self.client = Some(Client::of(tls, host, self.http2, certificates)?);
        }
        Ok(())
    }

    /// Whether `explain` can be asked. It takes the parts of a request, not bytes that are none, and says what routing does:
    /// upgrades, the translation of answers for gRPC and limits of length are the proxy's.
    pub(crate) fn is_ordinary(&self) -> bool {
        let of_proxy = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("upgrade")
                || (name.eq_ignore_ascii_case("content-type") && value.starts_with("application/grpc"))
        };
        self.raw.is_none()
            && self.stream.is_none()
            && self.target.starts_with('/')
            && self.target.len() < 8000
            && self.tls.is_none()
            && !self.fields.iter().any(of_proxy)
    }

    /// What goes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone().into_bytes();
        }
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.authority);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}
