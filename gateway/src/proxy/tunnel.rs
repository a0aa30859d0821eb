//! Bytes both ways after a protocol switch: WebSocket.

use super::{
    activity::Activity,
    lane::Lane,
    load_share::LoadShare,
    record::Record,
    relay::{End, Lifetime, Meter, relay},
};
use crate::upstream::carrier::{Duplex, Switched};
use bytes::Bytes;
use std::{future::poll_fn, io, pin::pin, task::Poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

/// The endpoint's half of an exchange that has been switched, waiting for the client's.
#[derive(Debug)]
pub(super) struct Tunnel {
    upstream: Box<dyn Duplex>,
    /// What the endpoint sent right behind its agreement.
    greeting: Bytes,
    /// The endpoint goes on when the client has ended its side.
    pub(super) knows_half_close: bool,
    record: Record,
    _load: LoadShare,
}

impl Tunnel {
    pub(super) fn new(switched: Switched, record: Record, load: LoadShare) -> Self {
        let Switched { bytes, greeting, lease, knows_half_close } = switched;
        load.keep(lease);
        Self { upstream: bytes, greeting, knows_half_close, record, _load: load }
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
