//! The handshake with an endpoint that is spoken to in TLS.

use super::{socket::Socket, stream::Stream};
use crate::{
    message::tls_failure::TlsFailure,
    model::origination::{ClientTls, Origination},
    tls::{ALPN_HTTP_2, ClientConfiguration, Configurations},
};
use rustls::pki_types::{IpAddr, Ipv4Addr, ServerName};
use std::{io, sync::Arc};
use tokio_rustls::TlsConnector;

/// What a handshake is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secure<'s> {
    pub(crate) configurations: &'s Configurations,
    pub(crate) origination: &'s Origination,
    /// The server name that is asked for, or an address, which is not.
    pub(crate) name: &'s Arc<str>,
}

/// What a connection is for, which decides what TLS offers the endpoint (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Http1,
    Http2,
    /// Bytes that nobody reads. Istio offers nothing then, unless the cluster is one of HTTP/2 (`ALPNH2Only` in its
    /// cluster_tls.go); Envoy has no request to take a host from, and asks for none.
    Unread {
        offers_http2: bool,
    },
}

/// Why there is no TLS: for the client, and for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoTls {
    pub(crate) failure: TlsFailure,
    pub(crate) why: String,
}

impl<'s> Secure<'s> {
    /// What a handshake is made with where `tls` asks for one, with `name`.
    pub(crate) fn of(
        configurations: &'s Configurations,
        tls: &'s ClientTls,
        name: Option<&'s Arc<str>>,
    ) -> Option<Self> {
        let (origination, name) = tls.origination().zip(name)?;
        Some(Self { configurations, origination, name })
    }

    /// Everything that a handshake needs, before there is a connection to make it on.
    ///
    /// # Errors
    /// When something of it is missing.
    pub(crate) async fn ready(self) -> Result<Ready<'s>, NoTls> {
        match self.configurations.find_client(self.origination).await {
            Some(configuration) => Ok(Ready { configuration, name: self.name }),
            None => {
                let why = "a certificate or an authority is missing: see the problem of the DestinationRule".to_owned();
                Err(NoTls { failure: TlsFailure::NoSecret, why })
            }
        }
    }
}

/// A handshake that can be made.
pub(crate) struct Ready<'s> {
    configuration: ClientConfiguration,
    pub(crate) name: &'s Arc<str>,
}

impl Ready<'_> {
    /// Begins TLS on `socket`, which is to be used so.
    ///
    /// # Errors
    /// When the handshake fails.
    pub(crate) async fn begin(self, socket: Socket, used: Use) -> Result<Stream, NoTls> {
        let ClientConfiguration { requests, unread } = self.configuration;
        let config = if matches!(used, Use::Unread { .. }) { unread } else { requests };
        let connecting = TlsConnector::from(config).with_alpn(used.protocols()).connect(server_name(self.name), socket);
        match connecting.await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(NoTls { failure: failure(&error), why: error.to_string() }),
        }
    }
}

impl Use {
    /// What is offered. Without a word of the rule Envoy's pools offer what they speak (`wrapTransportSocketOptions` in
    /// source/common/conn_pool/conn_pool_base.cc).
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Http2 | Self::Unread { offers_http2: true } => vec![ALPN_HTTP_2.to_vec()],
            Self::Unread { offers_http2: false } => Vec::new(),
        }
    }
}

/// `name` as it is asked for. What is no name is not sent, as addresses are not; no certificate is for this address.
fn server_name(name: &str) -> ServerName<'static> {
    let nobody = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0; 4])));
    ServerName::try_from(name.to_owned()).unwrap_or(nobody)
}

fn failure(error: &io::Error) -> TlsFailure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidCertRevocationList(_)) => {
            TlsFailure::Certificate
        }
        Some(rustls::Error::AlertReceived(alert)) => TlsFailure::Alert(u8::from(*alert)),
        Some(rustls::Error::InvalidMessage(_)) => TlsFailure::NotTls,
        Some(_) => TlsFailure::Protocol,
        None => TlsFailure::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        assert_eq!(server_name("a.test").to_str(), "a.test");
        assert_eq!(server_name("10.0.0.1").to_str(), "10.0.0.1");
        for name in ["", "a b", "..", &"a".repeat(300)] {
            assert_eq!(server_name(name).to_str(), "0.0.0.0", "{name}");
        }
    }
}
