//! What a connection to an endpoint begins with: whatever was said once on it holds for every request that it carries.

use crate::{
    message::proxy_header::{self, Addresses},
    model::traffic_policy::ProxyProtocol,
};
use std::{io, sync::Arc};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// Requests share a connection only where all of it is the same, as in Envoy (`hashKey` of its transport sockets).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Opening {
    /// Whom TLS is begun with; `None` for connections in the clear.
    pub(crate) name: Option<Arc<str>>,
    /// What is said before that.
    pub(crate) announcement: Option<Arc<Announcement>>,
}

/// Whose connection it is, as a header of the PROXY protocol says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Announcement {
    pub(crate) version: ProxyProtocol,
    /// Of the client's connection; `None` for a request of the gateway's own.
    pub(crate) addresses: Option<Addresses>,
}

impl Opening {
    /// Of connections in the clear on which nothing comes before the first request.
    pub(crate) const PLAIN: Self = Self { name: None, announcement: None };

    pub(crate) const fn is_plain(&self) -> bool {
        self.name.is_none() && self.announcement.is_none()
    }
}

impl Announcement {
    /// Says it on a connection that has just been made.
    ///
    /// # Errors
    /// When the endpoint has gone again.
    pub(super) async fn say(&self, stream: &mut TcpStream) -> io::Result<()> {
        let header = match (self.version, self.addresses) {
            (ProxyProtocol::V1, Some(addresses)) => proxy_header::text_of(addresses),
            // Version 1 has no word for it: Envoy names the connection itself (`generateHeaderV1` in
            // source/extensions/transport_sockets/proxy_protocol/proxy_protocol.cc).
            (ProxyProtocol::V1, None) => {
                let (source, destination) = (stream.local_addr()?, stream.peer_addr()?);
                proxy_header::text_of(Addresses { source, destination })
            }
            (ProxyProtocol::V2, addresses) => proxy_header::binary_of(addresses),
        };
        stream.write_all(&header).await
    }
}
