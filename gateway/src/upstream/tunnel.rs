//! A way through a proxy: an endpoint that is asked to connect a stream to somebody else (RFC 9110 §9.3.6), as Envoy's TCP
//! proxy does with a `tunneling_config` (`HttpUpstream` in its source/common/tcp_proxy/upstream.cc).

use super::stream::Stream;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header::HOST};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{
    fmt,
    future::{Future as _, poll_fn},
    pin::pin,
    task::Poll,
};

/// Why there is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTunnel {
    /// The answer was another than 200.
    Refused(StatusCode),
    /// There was none, or none of HTTP/1.
    Broken,
}

impl fmt::Display for NoTunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "tunnel_refused:_{}", status.as_u16()),
            Self::Broken => f.write_str("tunnel_broken"),
        }
    }
}

/// Asks whoever is at the other end of `stream` to connect it to `target`, a host with its port. Returns the stream to the
/// target.
pub(crate) async fn begin(stream: Stream, target: &str) -> Result<Stream, NoTunnel> {
    let (mut sender, mut connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_hyper| NoTunnel::Broken)?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::try_from(target).map_err(|_hyper| NoTunnel::Broken)?;
    request.headers_mut().insert(HOST, HeaderValue::try_from(target).map_err(|_hyper| NoTunnel::Broken)?);
    let mut answer = pin!(sender.send_request(request));
    let mut is_over = false;
    let response: Response<Incoming> = poll_fn(|cx| {
        is_over = is_over || connection.poll_without_shutdown(cx).is_ready();
        match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(|_hyper| NoTunnel::Broken)),
            Poll::Pending if is_over => Poll::Ready(Err(NoTunnel::Broken)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await?;
    if response.status() != StatusCode::OK {
        return Err(NoTunnel::Refused(response.status()));
    }
    drop(response);
    if !is_over {
        poll_fn(|cx| connection.poll_without_shutdown(cx)).await.map_err(|_hyper| NoTunnel::Broken)?;
    }
    let parts = connection.into_parts();
    Ok(parts.io.into_inner().after(parts.read_buf))
}
