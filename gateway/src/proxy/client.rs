//! One client's connection: HTTP/1 served on it, its timeouts, its end; or HTTP/2, if that is what comes.

use super::{
    activity::{Activity, ClientSocket, Order, Phase},
    body::ResponseBody,
    exchange,
    handshake::{self, Begun, TlsFacts},
    http2,
    transport::Transport,
    tunnel::Tunnel,
    worker::Worker,
};
use crate::{
    routing::snapshot::{Listener, ListenerKey, Snapshot},
    upstream::socket::Socket,
};
use http::{HeaderValue, Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::Poll,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// The answer to a head that does not come to its end, written past hyper, which has nothing to say here.
const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 15\r\ncontent-type: text/plain\r\n\
server: istio-envoy\r\nconnection: close\r\n\r\nrequest timeout";

/// Read and write buffers hold this much beyond the head's limit.
const BUFFER_SLACK: usize = 4096;

/// What the exchanges of one connection share; with HTTP/2 every stream has one of its own.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) listener: ListenerKey,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    /// The peer's address without the port, for `x-forwarded-for`.
    pub(super) peer_text: HeaderValue,
    pub(super) activity: Rc<Activity>,
    /// `None` for a client that came in the clear.
    pub(super) tls: Option<Rc<TlsFacts>>,
    /// Set by the exchange that switches protocols; HTTP ends with it.
    pub(super) tunnel: RefCell<Option<Tunnel>>,
}

/// Why the HTTP part of a connection is over.
enum End {
    /// hyper is through with it, whatever the reason.
    Http(hyper::Result<()>),
    HeadTimeout,
}

impl Client {
    /// How the client came to us.
    pub(super) const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The table of the server that the connection is for, in `snapshot`.
    pub(super) fn table<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s Listener> {
        match &self.tls {
            Some(tls) => snapshot.table(self.listener, &tls.server),
            None => snapshot.listener(self.listener),
        }
    }

    /// What one stream of the connection has of its own.
    pub(super) fn stream(&self) -> Rc<Self> {
        Rc::new(Self {
            worker: Rc::clone(&self.worker),
            peer_text: self.peer_text.clone(),
            activity: Activity::of_stream(&self.activity),
            tls: self.tls.clone(),
            tunnel: RefCell::new(None),
            ..*self
        })
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(
    worker: Rc<Worker>,
    listener: ListenerKey,
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
) {
    let activity = Rc::new(Activity::new(Rc::clone(worker.clock())));
    let Ok(peer_text) = HeaderValue::try_from(plain(peer.ip()).to_string()) else { return };
    let Ok(socket) = Socket::new(stream, worker.settings().fastpath.as_ref()) else { return };
    let _registration = worker.register(&activity);
    let begun = if worker.published().load().speaks(listener).tls {
        // Boxed: what a handshake needs is not kept while the connection lives.
        match Box::pin(handshake::begin(&worker, listener, socket, &activity)).await {
            Ok(begun) => begun,
            Err(failed) => return worker.handshake_failed(listener, peer, &failed),
        }
    } else {
        Begun { transport: Transport::Plain(socket), tls: None, speaks_http2: false }
    };
    let Begun { transport, tls, speaks_http2 } = begun;
    if tls.is_some() {
        worker.telemetry().handshakes().count(listener.port, "ok");
    }
    let client = Client { worker, listener, peer, local, peer_text, activity, tls, tunnel: RefCell::new(None) };
    let client = Rc::new(client);
    if speaks_http2 {
        // Boxed, as below: nobody else keeps room for it.
        return Box::pin(http2::serve(&client, transport)).await;
    }

    let socket = ClientSocket::new(transport, Rc::clone(&client.activity));
    let is_first = Cell::new(true);
    let service = service_fn(|request: Request<Incoming>| {
        let client = Rc::clone(&client);
        is_first.set(false);
        async move { Ok::<http::Response<ResponseBody>, Infallible>(exchange::answer(client, request).await) }
    });
    let limits = &client.worker.settings().limits;
    let mut connection = http1::Builder::new()
        // Our sweep does this without a timer for every request.
        .header_read_timeout(None)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes + BUFFER_SLACK)
        .serve_connection(TokioIo::new(socket), service);

    let activity = &client.activity;
    let end = poll_fn(|cx| {
        activity.set_waker(cx.waker());
        match (activity.order(), activity.phase()) {
            (Order::Expire, Phase::Head) => return Poll::Ready(End::HeadTimeout),
            // A body's expiry is the exchange's business.
            (Order::Expire, Phase::Idle) | (Order::Close, _) => Pin::new(&mut connection).graceful_shutdown(),
            _ => {}
        }
        Pin::new(&mut connection).poll(cx).map(End::Http)
    })
    .await;

    match end {
        End::HeadTimeout => {
            let mut socket = connection.into_parts().io.into_inner().into_transport();
            // The client may be gone; then nobody misses the answer.
            let _written = socket.write_all(HEAD_TIMEOUT).await.is_ok() && socket.shutdown().await.is_ok();
        }
        // The bytes that no request of HTTP/1 begins with have come, and are still there.
        End::Http(Err(error)) if error.is_parse_version_h2() && is_first.get() => {
            let parts = connection.into_parts();
            let transport = Transport::Begun(parts.read_buf, Box::new(parts.io.into_inner().into_transport()));
            Box::pin(http2::serve(&client, transport)).await;
        }
        End::Http(result) => {
            if let Err(error) = &result {
                tracing::debug!(peer = %client.peer, %error, "connection ended");
            }
            let tunnel = client.tunnel.take();
            if let Some(tunnel) = tunnel
                && result.is_ok()
            {
                let parts = connection.into_parts();
                tunnel.run(parts.io.into_inner().into_transport(), parts.read_buf).await;
            }
        }
    }
}

/// The IPv4 address that a dual-stack socket shows as `::ffff:a.b.c.d`.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
