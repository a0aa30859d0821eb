//! How a connection begins where TLS is spoken: the server for its name, and the handshake.

use super::{
    activity::{Activity, Order, Phase},
    stream::Bound,
    transport::Transport,
    worker::Worker,
};
use crate::{
    message::client_hello::{self, Opening},
    routing::{
        chains::{Chain, ServerId, TlsServer},
        snapshot::ListenerKey,
        streams::Carries,
    },
    tls::{ALPN_HTTP_2, Configuration, peer},
    upstream::socket::Socket,
};
use bytes::Bytes;
use http::HeaderValue;
use rustls::{
    AlertDescription,
    server::{Accepted, Acceptor},
};
use std::{future::poll_fn, io, pin::pin, rc::Rc, sync::Arc, task::Poll};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::server::StartHandshake;

/// The first byte of every TLS connection: a record of type handshake (RFC 8446 §5.1).
pub(super) const HANDSHAKE_RECORD: u8 = 0x16;

/// What a read takes at most; a client's hello is mostly smaller.
const READ_BYTES: usize = 4096;

/// What is known of a client that came by TLS.
#[derive(Debug)]
pub(super) struct TlsFacts {
    pub(super) server: ServerId,
    /// The server name it asked for.
    pub(super) server_name: Option<Arc<str>>,
    /// `x-forwarded-client-cert`, for a client that has proved who it is.
    pub(super) certificate: Option<HeaderValue>,
}

/// Why a handshake did not come to its end. Each is counted under its name.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHandshake {
    #[error("the client has gone before it was over")]
    Gone,
    #[error("it took too long")]
    TimedOut,
    #[error("the client does not speak TLS")]
    Plaintext,
    #[error("no server is for the name the client asked for")]
    NoServer,
    #[error("the server has no certificate that can be used")]
    NoCertificate,
    #[error("the client has refused: {0:?}")]
    Refused(AlertDescription),
    #[error("the client's certificate is not good: {0}")]
    ClientCertificate(rustls::Error),
    #[error("{0}")]
    Protocol(rustls::Error),
}

impl NoHandshake {
    /// Under which it is counted.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::TimedOut => "timeout",
            Self::Plaintext => "plaintext",
            Self::NoServer => "no_server",
            Self::NoCertificate => "no_certificate",
            Self::Refused(_) => "refused_by_client",
            Self::ClientCertificate(_) => "client_certificate",
            Self::Protocol(_) => "protocol",
        }
    }

    /// Whether no server is for such a connection: what Envoy's listeners log.
    pub(super) const fn is_for_nobody(&self) -> bool {
        matches!(self, Self::Plaintext | Self::NoServer)
    }

    fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(alert)) => Self::Refused(*alert),
            Some(
                error @ (rustls::Error::NoCertificatesPresented
                | rustls::Error::InvalidCertificate(_)
                | rustls::Error::InvalidCertRevocationList(_)),
            ) => Self::ClientCertificate(error.clone()),
            Some(error) => Self::Protocol(error.clone()),
            None => Self::Gone,
        }
    }
}

/// A connection that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) transport: Transport,
    /// `None` for plaintext.
    pub(super) tls: Option<Rc<TlsFacts>>,
    /// Both sides have agreed on HTTP/2.
    pub(super) speaks_http2: bool,
    /// The server name of a hello that is passed on, or of TLS that ended here.
    pub(super) server_name: Option<Arc<str>>,
    /// Where it is passed on to; `None` for HTTP.
    pub(super) bound: Option<Bound>,
}

/// A handshake that failed, and what the client asked for.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: NoHandshake,
    pub(super) server_name: Option<Arc<str>>,
    /// Whom it was for, once that is known.
    pub(super) server: Option<Arc<TlsServer>>,
}

impl From<NoHandshake> for Failed {
    fn from(why: NoHandshake) -> Self {
        Self { why, server_name: None, server: None }
    }
}

/// Sees what `socket` speaks, of which `first` has been read already, and makes its handshake, within the time that the sweep
/// gives it.
///
/// # Errors
/// Why there is no connection to serve. Whatever TLS has to say about it has been said to the client; one that meets no
/// server, or no certificate, is told nothing, as by Envoy.
pub(super) async fn begin(
    worker: &Worker,
    listener: ListenerKey,
    first: Bytes,
    socket: Socket,
    activity: &Rc<Activity>,
) -> Result<Begun, Failed> {
    activity.enter(Phase::Handshake);
    let mut making = pin!(make(worker, listener, first, socket));
    let begun = poll_fn(|cx| {
        activity.set_waker(cx.waker());
        if activity.order() == Order::Expire {
            return Poll::Ready(Err(NoHandshake::TimedOut.into()));
        }
        making.as_mut().poll(cx)
    })
    .await;
    activity.enter(Phase::Idle);
    begun
}

async fn make(worker: &Worker, listener: ListenerKey, first: Bytes, mut socket: Socket) -> Result<Begun, Failed> {
    let speech = worker.published().load().speaks(listener);
    let mut first = Vec::from(first);
    if speech.passes_tls {
        let opening = opening(&mut socket, &mut first).await?;
        if let Some(PassedOn { bound, server_name }) = pass_on(worker, listener, opening)? {
            let transport = Transport::Begun(first.into(), Box::new(Transport::Plain(socket)));
            return Ok(Begun { transport, tls: None, speaks_http2: false, server_name, bound: Some(bound) });
        }
    }
    let accepted = match hello(&mut socket, &first).await? {
        Hello::Plaintext(first) => {
            // Envoy has no filter chain for it, unless there are plaintext servers on the port.
            if !speech.plaintext {
                return Err(NoHandshake::Plaintext.into());
            }
            let transport = Transport::Begun(first, Box::new(Transport::Plain(socket)));
            return Ok(Begun { transport, tls: None, speaks_http2: false, server_name: None, bound: None });
        }
        Hello::Tls(accepted) => accepted,
    };
    let server_name: Option<Arc<str>> =
        accepted.client_hello().server_name().map(|name| name.to_ascii_lowercase().into());
    let failed = |why| Failed { why, server_name: server_name.clone(), server: None };
    let (server, bound) = {
        let snapshot = worker.published().load();
        match snapshot.chain(listener, server_name.as_deref()) {
            Some(Chain::Http(_, server)) => (Arc::clone(server), None),
            Some(Chain::Stream(stream)) => match &stream.carries {
                Carries::EndedTls(server) => (Arc::clone(server), Some(Bound::draw(&snapshot, stream))),
                // It came after the hello had been taken apart.
                Carries::Anything | Carries::Tls(_) => return Err(failed(NoHandshake::NoServer)),
            },
            None => return Err(failed(NoHandshake::NoServer)),
        }
    };
    let failed = |why| Failed { server: Some(Arc::clone(&server)), ..failed(why) };
    let configuration = worker.settings().tls.find(&server.termination).await;
    let configuration = configuration.ok_or_else(|| failed(NoHandshake::NoCertificate))?;
    let config = choose(&accepted, &configuration);
    let stream = StartHandshake::from_parts(*accepted, socket).into_stream(config).await;
    let stream = stream.map_err(|error| failed(NoHandshake::of(&error)))?;
    let connection = stream.get_ref().1;
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let tls = TlsFacts {
        server: server.id.clone(),
        certificate: certificate.and_then(|certificate| peer::forwarded_client_cert(certificate)),
        server_name: server_name.clone(),
    };
    let speaks_http2 = connection.alpn_protocol() == Some(ALPN_HTTP_2);
    Ok(Begun { transport: Transport::secured(stream), tls: Some(Rc::new(tls)), speaks_http2, server_name, bound })
}

/// Reads on behind `first` until it is clear how the connection begins.
async fn opening(socket: &mut Socket, first: &mut Vec<u8>) -> Result<Opening, NoHandshake> {
    let mut is_new = !first.is_empty();
    loop {
        first.reserve(READ_BYTES);
        if !std::mem::take(&mut is_new) && !matches!(socket.read_buf(first).await, Ok(1..)) {
            return Err(NoHandshake::Gone);
        }
        match client_hello::look(first) {
            // Records may be so small that their heads are most of it.
            Opening::Incomplete if first.len() > 2 * client_hello::LONGEST => return Ok(Opening::Other),
            Opening::Incomplete => {}
            opening => return Ok(opening),
        }
    }
}

/// Where a connection that begins so is passed on to; `None` when TLS is to end here, or HTTP is spoken.
fn pass_on(worker: &Worker, listener: ListenerKey, opening: Opening) -> Result<Option<PassedOn>, Failed> {
    let snapshot = worker.published().load();
    let speech = snapshot.speaks(listener);
    let (stream, server_name) = match opening {
        Opening::Hello { server_name } => {
            let server_name: Option<Arc<str>> = server_name.map(Into::into);
            match snapshot.chain(listener, server_name.as_deref()) {
                Some(Chain::Stream(stream)) if !matches!(stream.carries, Carries::EndedTls(_)) => (stream, server_name),
                Some(_) => return Ok(None),
                None => return Err(Failed { why: NoHandshake::NoServer, server_name, server: None }),
            }
        }
        Opening::Other | Opening::Incomplete if speech.plaintext => return Ok(None),
        Opening::Other | Opening::Incomplete => (snapshot.passed_on(listener).ok_or(NoHandshake::Plaintext)?, None),
    };
    Ok(Some(PassedOn { bound: Bound::draw(&snapshot, stream), server_name }))
}

/// A connection that is not ours to speak on.
struct PassedOn {
    bound: Bound,
    /// Of its hello.
    server_name: Option<Arc<str>>,
}

/// The beginning of a connection.
enum Hello {
    Plaintext(Bytes),
    Tls(Box<Accepted>),
}

/// Reads until the client's hello is complete, behind what has been read of it already.
async fn hello(socket: &mut Socket, already: &[u8]) -> Result<Hello, NoHandshake> {
    let mut acceptor = Acceptor::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut is_first = true;
    loop {
        let mut bytes = already;
        if !is_first || already.is_empty() {
            let read = socket.read(&mut buffer).await.map_err(|_io| NoHandshake::Gone)?;
            bytes = &buffer[..read];
        }
        match bytes.first() {
            None => return Err(NoHandshake::Gone),
            Some(&first) if is_first && first != HANDSHAKE_RECORD => {
                return Ok(Hello::Plaintext(Bytes::copy_from_slice(bytes)));
            }
            Some(_) => is_first = false,
        }
        while !bytes.is_empty() {
            if let Err(_full) = acceptor.read_tls(&mut bytes) {
                return Err(NoHandshake::Protocol(rustls::Error::General("the hello is too large".to_owned())));
            }
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(Hello::Tls(Box::new(accepted))),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut message = Vec::new();
                if alert.write_all(&mut message).is_ok() {
                    // The client may be gone; then nobody misses the alert.
                    let _sent = socket.write_all(&message).await.is_ok();
                }
                return Err(NoHandshake::Protocol(error));
            }
        }
    }
}

/// A client that offers only protocols we do not speak gets none, and is served: what Envoy does.
fn choose(accepted: &Accepted, configuration: &Configuration) -> Arc<rustls::ServerConfig> {
    let spoken = &configuration.with_alpn.alpn_protocols;
    let common =
        accepted.client_hello().alpn().is_some_and(|mut offered| offered.any(|o| spoken.iter().any(|s| s == o)));
    Arc::clone(if common { &configuration.with_alpn } else { &configuration.without_alpn })
}
