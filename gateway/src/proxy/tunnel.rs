//! Bytes both ways after a protocol switch: WebSocket.

use super::{
    lane::Lane,
    load_share::LoadShare,
    record::Record,
    relay::{End, Lifetime, Meter, relay},
};
use crate::upstream::stream::Stream;
use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

/// The endpoint's half of a switched connection, waiting for the client's.
#[derive(Debug)]
pub(super) struct Tunnel {
    upstream: Stream,
    /// What the endpoint sent right behind its 101.
    greeting: Bytes,
    record: Record,
    _load: LoadShare,
}

impl Tunnel {
    pub(super) fn new(upstream: Stream, greeting: Bytes, record: Record, load: LoadShare) -> Self {
        Self { upstream, greeting, record, _load: load }
    }

    /// Carries bytes until both sides have ended, or one has failed. `early` is what the client sent right behind its
    /// request.
    pub(super) async fn run(mut self, mut client: impl AsyncRead + AsyncWrite + Unpin, early: Bytes, lane: &Lane) {
        let both_ways = async {
            client.write_all(&self.greeting).await?;
            self.record.sent_body(self.greeting.len());
            self.upstream.write_all(&early).await?;
            // Both sides may think for as long as they like, as with Istio (`stream_idle_timeout` 0).
            let lifetime = Lifetime { idle: None, until: None };
            Ok::<End, io::Error>(relay(&mut client, &mut self.upstream, lane, lifetime, &mut self.record).await)
        };
        match both_ways.await {
            Ok(End::Finished) => {}
            Ok(end) => tracing::debug!(?end, "tunnel broke"),
            Err(error) => tracing::debug!(%error, "tunnel broke"),
        }
        // A tunnel has no other end than this one.
        self.record.complete();
    }
}

impl Meter for Record {
    fn to_endpoint(&mut self, _bytes: usize) {}

    fn to_client(&mut self, bytes: usize) {
        self.sent_body(bytes);
    }
}
