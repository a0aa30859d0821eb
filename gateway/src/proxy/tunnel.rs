//! Bytes both ways after a protocol switch: WebSocket.

use super::{load_share::LoadShare, record::Record};
use crate::upstream::stream::Stream;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};

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
    pub(super) async fn run(mut self, mut client: impl AsyncRead + AsyncWrite + Unpin, early: Bytes) {
        let moved = async {
            client.write_all(&self.greeting).await?;
            self.upstream.write_all(&early).await?;
            copy_bidirectional(&mut client, &mut self.upstream).await
        };
        match moved.await {
            Ok((_, to_client)) => {
                self.record.sent_body(usize::try_from(to_client).unwrap_or(usize::MAX));
            }
            Err(error) => tracing::debug!(%error, "tunnel broke"),
        }
        // A tunnel has no other end than this one.
        self.record.complete();
    }
}
