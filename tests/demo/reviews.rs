//! Bookinfo's reviews service: the same answers, without the Java.
//!
//! v1 knows no ratings, v2 shows black stars, v3 red ones; the pod name in the answer says who answered.

use anyhow::Context;
use clap::{Parser, ValueEnum};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Bytes, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Bookinfo's reviews service.
#[derive(Parser)]
struct Arguments {
    /// Which version of the service to be.
    #[arg(long, value_enum)]
    version: Version,
    /// Address to listen on; with port 0 the kernel chooses one, and the first line of the output names it.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What the answers say as `podname`.
    #[arg(long, default_value = "reviews", env = "HOSTNAME")]
    podname: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Version {
    V1,
    V2,
    V3,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| format!("bind {}", arguments.listen))?;
    announce(listener.local_addr()?);
    let pod = Arc::new(arguments);
    let (ending, ended) = watch::channel(false);
    // Process 1 of a container gets only the signals it asks for.
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.context("accept")?.0,
            _ = terminate.recv() => break,
        };
        tokio::spawn(serve(stream, Arc::clone(&pod), ended.clone()));
    }
    // As servers commonly end: nothing new is accepted, and every connection ends with the answer it is at.
    drop((listener, ended));
    ending.send_replace(true);
    ending.closed().await;
    Ok(())
}

async fn serve(stream: TcpStream, pod: Arc<Arguments>, mut ended: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let response = answer(&request, &pod);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A client that goes away in the middle of a request is its own affair.
    tokio::select! {
        _ = &mut connection => return,
        _ = ended.wait_for(|ended| *ended) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

#[expect(clippy::print_stdout, reason = "whoever starts this program learns the port from this line")]
fn announce(address: SocketAddr) {
    println!("listening on {address}");
}

fn answer(request: &Request<Incoming>, pod: &Arguments) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let product = path.strip_prefix("/reviews/").and_then(|id| id.parse::<u32>().ok());
    match (request.method(), path, product) {
        (&Method::GET | &Method::HEAD, "/health", _) => json_response(&json!({"status": "Reviews is healthy"})),
        (&Method::GET | &Method::HEAD, _, Some(product)) => json_response(&reviews(product, pod)),
        _ => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

fn json_response(body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn reviews(product: u32, pod: &Arguments) -> Value {
    let review = |reviewer: &str, text: &str, stars: u8| {
        let mut review = json!({"reviewer": reviewer, "text": text});
        if let Some(color) = pod.version.star_color() {
            review["rating"] = json!({"stars": stars, "color": color});
        }
        review
    };
    json!({
        "id": product.to_string(),
        "podname": pod.podname,
        "clustername": "null",
        "reviews": [
            review(
                "Reviewer1",
                "An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!",
                5,
            ),
            review(
                "Reviewer2",
                "Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by Shakespeare.",
                4,
            ),
        ],
    })
}

impl Version {
    fn star_color(self) -> Option<&'static str> {
        match self {
            Self::V1 => None,
            Self::V2 => Some("black"),
            Self::V3 => Some("red"),
        }
    }
}
