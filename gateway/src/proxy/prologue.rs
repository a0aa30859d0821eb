//! What a balancer in front of us says before its client speaks: the PROXY protocol's header.

use super::activity::{Activity, Order, Phase};
use crate::{
    message::proxy_header::{self, Addresses, InvalidProxyHeader},
    upstream::socket::Socket,
};
use bytes::{Bytes, BytesMut};
use std::{future::poll_fn, io, pin::pin, task::Poll};
use tokio::io::AsyncReadExt as _;

/// A header is mostly far smaller, and the client's first words come with it.
const READ_BYTES: usize = 1024;

/// A connection whose balancer has spoken.
#[derive(Debug)]
pub(super) struct Prologue {
    /// Where the client is, if the balancer says so.
    pub(super) addresses: Option<Addresses>,
    /// What the client has said already.
    pub(super) first: Bytes,
}

/// Why there is no connection to serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPrologue {
    #[error(transparent)]
    Header(#[from] InvalidProxyHeader),
    #[error("it ended within its PROXY header: {0}")]
    Gone(io::Error),
    #[error("its PROXY header took too long")]
    TimedOut,
}

/// Reads the header from `socket`, within the time that the sweep gives a handshake.
///
/// # Errors
/// When there is none: as by Envoy, nothing is answered then.
pub(super) async fn read(socket: &mut Socket, activity: &Activity) -> Result<Prologue, NoPrologue> {
    activity.enter(Phase::Handshake);
    let mut reading = pin!(read_header(socket));
    let prologue = poll_fn(|cx| {
        activity.set_waker(cx.waker());
        if activity.order() == Order::Expire {
            return Poll::Ready(Err(NoPrologue::TimedOut));
        }
        reading.as_mut().poll(cx)
    })
    .await;
    activity.enter(Phase::Idle);
    prologue
}

async fn read_header(socket: &mut Socket) -> Result<Prologue, NoPrologue> {
    let mut bytes = BytesMut::with_capacity(READ_BYTES);
    loop {
        bytes.reserve(READ_BYTES);
        if socket.read_buf(&mut bytes).await.map_err(NoPrologue::Gone)? == 0 {
            return Err(NoPrologue::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        if let Some(header) = proxy_header::parse(&bytes)? {
            let first = bytes.split_off(header.length).freeze();
            return Ok(Prologue { addresses: header.addresses, first });
        }
    }
}
