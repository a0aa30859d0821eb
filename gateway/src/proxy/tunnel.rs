//! Bytes both ways after a protocol switch: WebSocket.

use super::{
    activity::Activity,
    lane::Lane,
    load_share::LoadShare,
    record::Record,
    relay::{End, Lifetime, Meter, relay},
};
use crate::upstream::stream::Stream;
use bytes::Bytes;
use std::{future::poll_fn, io, pin::pin, task::Poll};
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

    /// Carries bytes until both sides have ended, one has failed, or the client of `activity` has taken nothing of what is
    /// sent to it for too long. `early` is what it sent right behind its request.
    pub(super) async fn run(
        mut self,
        mut client: impl AsyncRead + AsyncWrite + Unpin,
        early: Bytes,
        lane: &Lane,
        activity: &Activity,
    ) {
        let both_ways = async {
            client.write_all(&self.greeting).await?;
            self.record.sent_body(self.greeting.len());
            self.upstream.write_all(&early).await?;
            // Both sides may think for as long as they like, as with Istio (`stream_idle_timeout` 0).
            let lifetime = Lifetime { idle: None, until: None };
            Ok::<End, io::Error>(relay(&mut client, &mut self.upstream, lane, lifetime, &mut self.record).await)
        };
        let ended = until_stuck(both_ways, activity).await;
        match ended {
            Ok(End::Finished) => {}
            Ok(end) => tracing::debug!(?end, "tunnel broke"),
            Err(error) => tracing::debug!(%error, "tunnel broke"),
        }
        // A tunnel has no other end than this one.
        self.record.complete();
    }
}

/// What comes of `both_ways`, unless the sweep finds that the client of `activity` has stood still for too long.
async fn until_stuck(both_ways: impl Future<Output = io::Result<End>>, activity: &Activity) -> io::Result<End> {
    let mut both_ways = pin!(both_ways);
    poll_fn(|cx| {
        activity.set_waker(cx.waker());
        if activity.answer_expired() {
            return Poll::Ready(Ok(End::Idle));
        }
        both_ways.as_mut().poll(cx)
    })
    .await
}

impl Meter for Record {
    fn to_endpoint(&mut self, _bytes: usize) {}

    fn to_client(&mut self, bytes: usize) {
        self.sent_body(bytes);
    }
}
