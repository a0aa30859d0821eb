//! One client's connection: HTTP/1 served on it, its timeouts, its end; or HTTP/2, if that is what comes.

use super::{
    activity::{Activity, ClientSocket, Order, Phase},
    body::ResponseBody,
    complaints::NoHttp,
    exchange,
    handshake::{self, Begun, HANDSHAKE_RECORD, TlsFacts},
    http2, prologue, rest,
    slow_head::{self, Gathered},
    stream::{self, Bound, Caller},
    transport::Transport,
    tunnel::Tunnel,
    worker::Worker,
};
use crate::{
    message::proxy_header::Addresses,
    routing::snapshot::{Listener, ListenerKey, Snapshot},
    upstream::socket::Socket,
};
use bytes::Bytes;
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
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, timeout},
};

/// The answers to a head that does not come to its end, written past hyper, which has nothing to say here.
const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 15\r\ncontent-type: text/plain\r\n\
server: istio-envoy\r\nconnection: close\r\n\r\nrequest timeout";
const HEAD_TOO_LONG: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 31\r\n\
content-type: text/plain\r\nserver: istio-envoy\r\nconnection: close\r\n\r\nRequest Header Fields Too Large";

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
    /// Set by the exchange that switches protocols; HTTP ends with it. Boxed: few do.
    pub(super) tunnel: RefCell<Option<Box<Tunnel>>>,
}

/// What a connection goes on with.
enum Next {
    Http1(Rc<Client>, Transport),
    Http2(Rc<Client>, Transport),
    /// Bytes that nobody here reads.
    Stream(Pin<Box<dyn Future<Output = ()>>>),
    /// It is over.
    Nothing,
}

/// Why the HTTP part of a connection is over.
enum End {
    /// Nothing has come for a while. What HTTP needs has been given back; it is made anew for the next request.
    Rest(ClientSocket),
    /// A head has come in part: this, and what can be read.
    PartOfHead(ClientSocket, Bytes),
    /// What has come is the beginning of HTTP/2.
    Http2(Transport),
    /// There is nothing more to do.
    Over,
    /// The protocol has been switched. With what the client has sent behind its request.
    Switched(Box<Tunnel>, ClientSocket, Bytes),
    HeadTimeout(ClientSocket),
}

/// Why exchanges do not go on.
enum Pause {
    /// hyper is through with the connection, whatever the reason.
    Over(hyper::Result<()>),
    HeadTimeout,
    Rest,
    PartOfHead,
    AnswerTimeout,
}

/// How far a connection of HTTP/1 has come.
#[derive(Debug, Default)]
struct Progress {
    /// There has been a request.
    has_begun: Cell<bool>,
    /// When the head that has come in part must be whole.
    head_due: Cell<Option<Instant>>,
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
    let socket = Socket::new(stream, worker.settings().fastpath.as_ref());
    let _registration = worker.register(&activity);
    // Boxed, here and below: what one part of a connection needs is not kept while another lasts.
    match Box::pin(begin(worker, listener, socket, peer, local, activity)).await {
        Next::Http1(client, transport) => http1(&client, transport).await,
        Next::Http2(client, transport) => Box::pin(http2::serve(&client, transport)).await,
        Next::Stream(rest) => rest.await,
        Next::Nothing => {}
    }
}

/// Reads of `socket` what is needed to know what is spoken on it.
async fn begin(
    worker: Rc<Worker>,
    listener: ListenerKey,
    mut socket: Socket,
    mut peer: SocketAddr,
    mut local: SocketAddr,
    activity: Rc<Activity>,
) -> Next {
    let mut first = Bytes::new();
    if worker.settings().proxy_protocol {
        match prologue::read(&mut socket, &activity).await {
            Ok(prologue) => {
                if let Some(Addresses { source, destination }) = prologue.addresses {
                    (peer, local) = (source, destination);
                }
                first = prologue.first;
            }
            Err(why) => {
                worker.prologue_failed(listener, peer, &why);
                return Next::Nothing;
            }
        }
    }
    let Ok(peer_text) = HeaderValue::try_from(plain(peer.ip()).to_string()) else { return Next::Nothing };
    let begun = if worker.published().load().speaks(listener).tls {
        match handshake::begin(&worker, listener, first, socket, &activity).await {
            Ok(begun) => begun,
            Err(failed) => {
                worker.handshake_failed(listener, peer, local, &failed);
                return Next::Nothing;
            }
        }
    } else {
        let plain = Transport::Plain(socket);
        let transport = if first.is_empty() { plain } else { Transport::Begun(first, Box::new(plain)) };
        let snapshot = worker.published().load();
        let bound = snapshot.passed_on(listener).map(|stream| Bound::draw(&snapshot, stream));
        Begun { transport, tls: None, speaks_http2: false, server_name: None, bound }
    };
    let Begun { transport, tls, speaks_http2, server_name, bound } = begun;
    if tls.is_some() {
        worker.telemetry().handshakes().count(listener.port, "ok");
    }
    if let Some(bound) = bound {
        let caller = Caller { peer, local, server_name };
        return Next::Stream(Box::pin(
            async move { stream::serve(&worker, bound, transport, &caller, &activity).await },
        ));
    }
    let client = Client { worker, listener, peer, local, peer_text, activity, tls, tunnel: RefCell::new(None) };
    let client = Rc::new(client);
    if speaks_http2 { Next::Http2(client, transport) } else { Next::Http1(client, transport) }
}

/// Serves HTTP/1, or what turns out to be HTTP/2 in the clear.
async fn http1(client: &Rc<Client>, transport: Transport) {
    let progress = Progress::default();
    let limits = &client.worker.settings().limits;
    let patience = limits.answer_idle_timeout;
    let mut socket = ClientSocket::new(transport, Rc::clone(&client.activity));
    while rest::until_readable(&socket, &client.activity).await {
        match Box::pin(exchanges(client, socket, &progress)).await {
            End::Rest(resting) => socket = resting,
            End::PartOfHead(waiting, part) => {
                socket = waiting;
                let due = progress.head_due.get().unwrap_or_else(|| Instant::now() + limits.head_timeout);
                progress.head_due.set(Some(due));
                let activity = &client.activity;
                match Box::pin(slow_head::until_whole(
                    &mut socket,
                    activity,
                    client.worker.lane(),
                    part,
                    limits.head_bytes,
                    due,
                ))
                .await
                {
                    Gathered::Head => {}
                    Gathered::TooLong => {
                        client.worker.http_failed(client, &NoHttp::HeadTooLong);
                        return Box::pin(last_words(socket, HEAD_TOO_LONG, patience)).await;
                    }
                    Gathered::TooLate => return Box::pin(last_words(socket, HEAD_TIMEOUT, patience)).await,
                }
            }
            End::Http2(transport) => return Box::pin(http2::serve(client, transport)).await,
            End::Over => return,
            End::Switched(tunnel, socket, early) => {
                return Box::pin(tunnel.run(socket, early, client.worker.lane(), &client.activity)).await;
            }
            End::HeadTimeout(socket) => return Box::pin(last_words(socket, HEAD_TIMEOUT, patience)).await,
        }
    }
    Box::pin(last_words(socket, b"", patience)).await;
}

/// Sends `answer`, and that there is no more. Whoever takes nothing of what it was sent before is left after `patience`.
async fn last_words(mut socket: ClientSocket, answer: &[u8], patience: Duration) {
    let said = async { socket.write_all(answer).await.is_ok() && socket.shutdown().await.is_ok() };
    // The client may be gone; then nobody misses the answer.
    let _said = timeout(patience, said).await;
}

/// Serves one exchange after the other, until there are no more or none for a while.
async fn exchanges(client: &Rc<Client>, socket: ClientSocket, progress: &Progress) -> End {
    let service = service_fn(|request: Request<Incoming>| {
        let client = Rc::clone(client);
        progress.has_begun.set(true);
        progress.head_due.set(None);
        let is_pipelined = client.activity.is_pipelined();
        if is_pipelined {
            // What comes while it waits is its body.
            client.activity.enter(Phase::Exchange);
        }
        async move {
            if is_pipelined {
                // Whoever sends many requests at once has one in a round.
                Box::pin(client.worker.lane().round()).await;
            }
            Ok::<http::Response<ResponseBody>, Infallible>(exchange::answer(client, request).await)
        }
    });
    let limits = &client.worker.settings().limits;
    let mut connection = http1::Builder::new()
        // Our sweep does this without a timer for every request.
        .header_read_timeout(None)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes + BUFFER_SLACK)
        .serve_connection(TokioIo::new(socket), service);

    let activity = &client.activity;
    let pause = poll_fn(|cx| {
        activity.set_waker(cx.waker());
        match (activity.order(), activity.phase()) {
            // First: nothing may be said in the middle of an answer.
            _ if activity.answer_expired() => return Poll::Ready(Pause::AnswerTimeout),
            (Order::Expire, Phase::Head) => return Poll::Ready(Pause::HeadTimeout),
            // A body's expiry is the exchange's business.
            (Order::Expire, Phase::Idle) | (Order::Close, _) => Pin::new(&mut connection).graceful_shutdown(),
            _ => {}
        }
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(result) => Poll::Ready(Pause::Over(result)),
            Poll::Pending if activity.waits_for_head() => Poll::Ready(Pause::PartOfHead),
            Poll::Pending if activity.takes_rest() => Poll::Ready(Pause::Rest),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;

    let result = match pause {
        Pause::HeadTimeout => return End::HeadTimeout(connection.into_parts().io.into_inner()),
        Pause::PartOfHead => {
            let parts = connection.into_parts();
            if parts.read_buf.is_empty() {
                // It was the rest of a body that nobody has asked for.
                activity.has_read_body();
                activity.enter(Phase::Idle);
                return End::Rest(parts.io.into_inner());
            }
            return End::PartOfHead(parts.io.into_inner(), Bytes::copy_from_slice(&parts.read_buf));
        }
        // The bytes that no request of HTTP/1 begins with have come, and are still there.
        Pause::Over(Err(error)) if error.is_parse_version_h2() && !progress.has_begun.get() => {
            let parts = connection.into_parts();
            return End::Http2(parts.io.into_inner().into_transport(parts.read_buf));
        }
        Pause::Over(Err(error)) if error.is_parse() => {
            let first = connection.into_parts().read_buf;
            let is_hello = client.tls.is_none() && first.first() == Some(&HANDSHAKE_RECORD);
            let why = if is_hello && !progress.has_begun.get() {
                NoHttp::Tls
            } else if error.is_parse_too_large() {
                NoHttp::HeadTooLong
            } else {
                NoHttp::Http1(&error)
            };
            client.worker.http_failed(client, &why);
            return End::Over;
        }
        Pause::AnswerTimeout => {
            tracing::debug!(peer = %client.peer, "the client takes nothing of its answer");
            return End::Over;
        }
        Pause::Over(result) => {
            if result.is_ok()
                && let Some(tunnel) = client.tunnel.take()
            {
                let parts = connection.into_parts();
                return End::Switched(tunnel, parts.io.into_inner(), parts.read_buf);
            }
            result
        }
        Pause::Rest => {
            // Between two exchanges hyper is done at once, and says so by that.
            Pin::new(&mut connection).graceful_shutdown();
            match connection.without_shutdown().await {
                Ok(parts) => {
                    let mut socket = parts.io.into_inner();
                    // The buffer that it is a part of has kilobytes, even where nothing is left in it.
                    socket.give_back(Bytes::copy_from_slice(&parts.read_buf));
                    return End::Rest(socket);
                }
                Err(error) => Err(error),
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(peer = %client.peer, %error, "connection ended");
    }
    End::Over
}

/// The IPv4 address that a dual-stack socket shows as `::ffff:a.b.c.d`.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::activity::Clock;
    use tokio::net::TcpListener;

    /// The memory of `future(..)`, which is not called.
    fn size<A, B, C, D, E, F: Future>(_future: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands of connections do nothing: each of them costs this, a kilobyte with what tokio keeps beside it.
    #[test]
    fn what_every_connection_keeps_is_small() {
        assert!(size(serve) <= 704, "{} bytes of state", size(serve));
        assert!(size_of::<Client>() <= 176, "{} bytes that exchanges share", size_of::<Client>());
        assert!(size_of::<ClientSocket>() <= 88, "{} bytes of a socket", size_of::<ClientSocket>());
    }

    #[tokio::test]
    async fn who_takes_nothing_is_not_waited_for_to_hear_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _deaf = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        stream.writable().await.unwrap();
        while stream.try_write(&[b'y'; 1 << 20]).is_ok() {}
        let activity = Rc::new(Activity::new(Rc::new(Clock::new())));
        let socket = ClientSocket::new(Transport::Plain(Socket::new(stream, None)), activity);
        let said = last_words(socket, HEAD_TIMEOUT, Duration::from_millis(50));
        assert_eq!(timeout(Duration::from_secs(60), said).await, Ok(()));
    }
}
