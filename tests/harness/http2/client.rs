//! A client of HTTP/2 that does what a test tells it.

use crate::tls::client::Dialect;
use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, response::Parts};
use rustls::ClientConnection;
use std::{future::Future, io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Runtime,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Everything that is waited for comes within this, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that stands.
#[derive(Debug)]
pub struct Http2Client {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
    runtime: Runtime,
}

/// An answer that has come to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Parts,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

/// An answer on its way, and the request's body.
#[derive(Debug)]
pub struct Begun {
    pub response: ResponseFuture,
    pub upload: SendStream<Bytes>,
}

impl Http2Client {
    /// With prior knowledge.
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = runtime();
        let stream = runtime.block_on(TcpStream::connect(address)).expect("a connection");
        Self::on(runtime, stream)
    }

    /// Over TLS, spoken as `dialect` says, which should offer it. Tells `met` of the handshake.
    ///
    /// # Errors
    /// When there is no TLS.
    pub fn connect_by_tls(
        address: SocketAddr,
        dialect: &Dialect,
        met: impl FnOnce(&ClientConnection),
    ) -> io::Result<Self> {
        let runtime = runtime();
        let (config, name) = dialect.spoken();
        let stream = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            timeout(PATIENCE, TlsConnector::from(config).connect(name, stream)).await?
        })?;
        met(stream.get_ref().1);
        Ok(Self::on(runtime, stream))
    }

    fn on(runtime: Runtime, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, driver) = runtime.block_on(async {
            let (sender, connection) = h2::client::handshake(stream).await.expect("a handshake");
            (sender, tokio::spawn(connection))
        });
        Self { sender, driver, runtime }
    }

    /// What `future` comes to.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(async { timeout(PATIENCE, future).await.expect("in time") })
    }

    /// Whether the server has said that it takes an extended CONNECT (RFC 8441 §3).
    pub fn allows_extended_connect(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// Begins a request; its body is still to come.
    pub fn begin(&self, request: Request<()>) -> Begun {
        let sender = self.sender.clone();
        let mut sender = self.wait(sender.ready()).expect("an open connection");
        let (response, upload) = sender.send_request(request, false).expect("a request");
        Begun { response, upload }
    }

    /// Sends `request` without a body and reads its answer.
    ///
    /// # Errors
    /// How the stream or its connection ended.
    pub fn ask(&self, request: Request<()>) -> Result<Answer, h2::Error> {
        let mut sender = self.wait(self.sender.clone().ready())?;
        let (response, _) = sender.send_request(request, true)?;
        self.wait(read(response))
    }

    /// The same with `body`.
    ///
    /// # Errors
    /// How the stream or its connection ended.
    pub fn send(&self, request: Request<()>, body: &[u8], trailers: Option<HeaderMap>) -> Result<Answer, h2::Error> {
        let Begun { response, mut upload } = self.begin(request);
        // Whoever has answered before all of it has come may have closed the stream; the answer says what became of it.
        let is_open = upload.send_data(Bytes::copy_from_slice(body), trailers.is_none()).is_ok();
        if let Some(trailers) = trailers.filter(|_| is_open) {
            let _sent = upload.send_trailers(trailers).is_ok();
        }
        self.wait(read(response))
    }

    /// Waits until the connection has ended.
    ///
    /// # Errors
    /// When it does not end in order.
    pub fn ended(self) -> Result<(), h2::Error> {
        let Self { sender, driver, runtime } = self;
        let ended = runtime.block_on(async { timeout(PATIENCE, driver).await.expect("in time") });
        drop(sender);
        ended.expect("no panic")
    }
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime")
}

/// Reads an answer to its end.
///
/// # Errors
/// How the stream or its connection ended.
pub async fn read(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut stream) = response.await?.into_parts();
    let body = read_body(&mut stream).await?;
    let trailers = stream.trailers().await?;
    Ok(Answer { head, body, trailers })
}

/// Reads a body to its end.
///
/// # Errors
/// How the stream or its connection ended.
pub async fn read_body(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(body)
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request for `url` with `method` and `fields`.
pub fn request(method: &str, url: &str, fields: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(url).version(http::Version::HTTP_2);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}
