//! What the log says of peers that do not speak as they should: where, whose server it is, and why. Never what they have said:
//! that may be a secret of theirs.

use super::{client::Client, handshake::Failed, load_share::LoadShare, prologue::NoPrologue, worker::Worker};
use crate::{
    model::object::ObjectId,
    routing::{chains::ServerId, snapshot::ListenerKey},
    telemetry::streams::StreamFacts,
    upstream::secure::NoTls,
};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Gateways that one line names: enough to find the others by.
const NAMED: usize = 3;

/// Why a client's connection cannot go on with HTTP. One that only ends, or takes too long, is none of these.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHttp<'e> {
    #[error("the client speaks TLS to a port without it")]
    Tls,
    #[error("the head of a request is too long")]
    HeadTooLong,
    #[error("malformed HTTP/1: {0}")]
    Http1(&'e hyper::Error),
    #[error("malformed HTTP/2, or a flood: {0}")]
    Http2(&'e h2::Error),
    #[error("most requests are taken back at once")]
    TakenBack,
}

impl NoHttp<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::HeadTooLong => "head_too_long",
            Self::Http1(_) => "http1",
            Self::Http2(_) => "http2",
            Self::TakenBack => "taken_back",
        }
    }
}

impl Worker {
    /// Counts a handshake that failed, and says so in the log from time to time.
    pub(super) fn handshake_failed(&self, listener: ListenerKey, peer: SocketAddr, local: SocketAddr, failed: &Failed) {
        let (port, reason) = (listener.port, failed.why.name());
        self.telemetry().handshakes().count(port, reason);
        if self.telemetry().wants_facts() && failed.why.is_for_nobody() {
            let mut facts = StreamFacts::new(local, peer, failed.server_name.clone());
            facts.details = "filter_chain_not_found";
            self.telemetry().log_stream(&facts, "NR", (0, 0), Duration::ZERO, None);
        }
        if let Some(unsaid) = self.refusals().note(port, reason, Instant::now()) {
            let object = self.objects(listener, failed.server.as_ref().map(|server| &server.id));
            let server_name = failed.server_name.as_deref().unwrap_or("-");
            tracing::warn!(port, object, reason, %peer, server_name, unsaid, "no TLS handshake: {}", failed.why);
        }
    }

    /// Says from time to time that a connection began without the header that it should have begun with.
    pub(super) fn prologue_failed(&self, listener: ListenerKey, peer: SocketAddr, why: &NoPrologue) {
        let (port, reason) = (listener.port, "proxy_header");
        if let Some(unsaid) = self.refusals().note(port, reason, Instant::now()) {
            let object = self.objects(listener, None);
            tracing::warn!(port, object, reason, %peer, unsaid, "a connection is closed: {why}; see --proxy-protocol");
        }
    }

    /// Says from time to time that a client does not speak HTTP as it should.
    pub(super) fn http_failed(&self, client: &Client, why: &NoHttp<'_>) {
        let (port, reason, peer) = (client.listener.port, why.name(), client.peer);
        if let Some(unsaid) = self.refusals().note(port, reason, Instant::now()) {
            let object = self.objects(client.listener, client.tls.as_ref().map(|tls| &tls.server));
            tracing::warn!(port, object, reason, %peer, unsaid, "a connection is closed: {why}");
        }
    }

    /// Says from time to time that there is no TLS to an endpoint, and why.
    pub(super) fn endpoint_refused(&self, share: &LoadShare, no_tls: &NoTls) {
        let (endpoint, reason) = (share.address(), no_tls.failure.name());
        if let Some(unsaid) = self.refusals().note(endpoint.port(), reason, Instant::now()) {
            let cluster = share.cluster_label().unwrap_or("-");
            tracing::warn!(cluster, %endpoint, reason, unsaid, "no TLS to an endpoint: {}", no_tls.why);
        }
    }

    /// The Gateway of `server`, or as long as that is not known, those of the port.
    fn objects(&self, listener: ListenerKey, server: Option<&ServerId>) -> String {
        match server {
            Some(server) => server.gateway.to_string(),
            None => names(&self.published().load().gateways(listener)),
        }
    }
}

/// The first of `gateways`, and how many more there are.
fn names(gateways: &BTreeSet<&ObjectId>) -> String {
    let first: Vec<String> = gateways.iter().take(NAMED).map(ToString::to_string).collect();
    let more = gateways.len() - first.len();
    let names = first.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::Kind;

    #[test]
    fn a_few_gateways_are_named_and_the_rest_is_counted() {
        let all = ["a", "b", "c", "d", "e"].map(|name| ObjectId::new(Kind::Gateway, "default", name));
        let names = |count: usize| names(&all.iter().take(count).collect());
        assert_eq!(names(1), "Gateway default/a");
        assert_eq!(names(3), "Gateway default/a, Gateway default/b, Gateway default/c");
        assert_eq!(names(5), "Gateway default/a, Gateway default/b, Gateway default/c and 2 more");
    }
}
