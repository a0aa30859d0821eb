//! A server of HTTP/2 that does what a test tells it, and remembers what it was asked.

use bytes::Bytes;
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, Response, StatusCode, request::Parts};
use parking_lot::Mutex;
use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, runtime::Runtime};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub head: Parts,
    /// There once it has been read to its end.
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

/// One request, and the way to answer it.
#[derive(Debug)]
pub struct Exchange {
    pub head: Parts,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    index: usize,
    requests: Arc<Mutex<Vec<Asked>>>,
}

/// What a backend allows, and how long it stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Requests at once on one connection.
    pub streams: Option<u32>,
    /// So many requests, and a connection is told that no more will be looked at.
    pub requests: Option<usize>,
    /// It takes an extended CONNECT (RFC 8441).
    pub connect: bool,
}

/// A listening backend; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Http2Backend {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Asked>>>,
    runtime: Option<Runtime>,
}

impl Http2Backend {
    /// A backend on a free port of 127.0.0.1 that answers with `answer`.
    pub fn start<F: Future<Output = ()> + Send + 'static>(
        manners: Manners,
        answer: impl Fn(Exchange) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), manners, answer)
    }

    /// The same at `address`, in the network namespace of the calling thread.
    pub fn at<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        manners: Manners,
        answer: impl Fn(Exchange) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind(address)).expect("bind");
        let address = listener.local_addr().expect("address");
        let (accepted, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        runtime.spawn({
            let (accepted, requests) = (Arc::clone(&accepted), Arc::clone(&requests));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::SeqCst);
                    let (requests, answer) = (Arc::clone(&requests), answer.clone());
                    tokio::spawn(async move {
                        let mut builder = h2::server::Builder::new();
                        if let Some(streams) = manners.streams {
                            builder.max_concurrent_streams(streams);
                        }
                        if manners.connect {
                            builder.enable_connect_protocol();
                        }
                        let Ok(mut connection) = builder.handshake(stream).await else { return };
                        let mut served = 0;
                        // A gateway that closes a connection is no error of the backend's.
                        while let Some(Ok((request, respond))) = connection.accept().await {
                            let (head, body) = request.into_parts();
                            let index = {
                                let mut requests = requests.lock();
                                requests.push(Asked { head: head.clone(), body: Vec::new(), trailers: None });
                                requests.len() - 1
                            };
                            let requests = Arc::clone(&requests);
                            tokio::spawn(answer(Exchange { head, body, respond, index, requests }));
                            served += 1;
                            if Some(served) == manners.requests {
                                connection.graceful_shutdown();
                            }
                        }
                    });
                }
            }
        });
        Self { address, accepted, requests, runtime: Some(runtime) }
    }

    /// A backend that reads every request to its end and answers 200 with `text`.
    pub fn saying(text: &'static str) -> Self {
        Self::start(Manners::default(), move |mut exchange| async move {
            exchange.read_all().await;
            exchange.answer(200, &[], text.as_bytes());
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in the order in which their heads were read.
    pub fn requests(&self) -> Vec<Asked> {
        self.requests.lock().clone()
    }

    /// The only request so far.
    pub fn only_request(&self) -> Asked {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests[0].clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Http2Backend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Exchange {
    /// Reads what is left of the request, and remembers it. Returns the body; half of it, where the request broke off.
    pub async fn read_all(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        while let Some(Ok(data)) = self.body.data().await {
            let _released = self.body.flow_control().release_capacity(data.len());
            whole.extend_from_slice(&data);
        }
        let trailers = self.body.trailers().await.ok().flatten();
        let asked = &mut self.requests.lock()[self.index];
        (asked.body, asked.trailers) = (whole.clone(), trailers);
        whole
    }

    /// Begins an answer.
    pub fn head(&mut self, status: u16, fields: &[(&'static str, &str)]) -> SendStream<Bytes> {
        self.send(status, fields, false)
    }

    /// The whole answer.
    pub fn answer(&mut self, status: u16, fields: &[(&'static str, &str)], body: &[u8]) {
        let mut stream = self.send(status, fields, body.is_empty());
        if !body.is_empty() {
            // The client may have gone.
            let _sent = stream.send_data(Bytes::copy_from_slice(body), true).is_ok();
        }
    }

    fn send(&mut self, status: u16, fields: &[(&'static str, &str)], is_last: bool) -> SendStream<Bytes> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        for (name, value) in fields {
            response.headers_mut().append(*name, value.parse().expect("a value"));
        }
        self.respond.send_response(response, is_last).expect("a stream that is open")
    }
}
