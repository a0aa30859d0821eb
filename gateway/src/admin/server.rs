//! The admin thread: one small HTTP server for all its addresses.

use super::{
    AdminSources,
    pages::{self, Audience},
};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::oneshot,
    time::sleep,
};

/// For a request's head, and so also between requests of one connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves `listeners` until `stopped` is dropped. Blocks the thread.
pub(super) fn run(
    listeners: Vec<(net::TcpListener, Audience)>,
    sources: Arc<AdminSources>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for (listener, audience) in listeners {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(accept(listener, audience, Arc::clone(&sources)));
        }
        // Never sent; the error is the sign.
        let _stopped: Result<(), oneshot::error::RecvError> = stopped.await;
        Ok(())
    })
}

async fn accept(listener: TcpListener, audience: Audience, sources: Arc<AdminSources>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, audience, Arc::clone(&sources)))),
            // Out of file descriptors, most likely: some will be free again.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(stream: TcpStream, audience: Audience, sources: Arc<AdminSources>) {
    let service = service_fn(|request: Request<Incoming>| {
        let uri = request.uri();
        let response = pages::answer(audience, &sources, request.method(), uri.path(), uri.query());
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection broke");
    }
}
