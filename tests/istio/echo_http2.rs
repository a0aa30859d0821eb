//! The same of HTTP/2: requests and answers are those of HTTP/1.1, in other words.

use super::{Framing, Message, answer, has_recovered, message};
use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use serde_json::Value;
use std::{io, net::TcpStream};
use tokio::io::{AsyncRead, AsyncWrite};

/// Whether the other side begins with the preface of HTTP/2. Waits for its first bytes.
pub(super) fn is_spoken(stream: &TcpStream) -> bool {
    let mut first = [0; 4];
    // No method of HTTP/1 begins like it, and the preface comes in one piece.
    matches!(stream.peek(&mut first), Ok(4)) && &first == b"PRI "
}

/// Answers until the other side closes the connection.
pub(super) fn serve(stream: TcpStream, pod: &str, port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    stream.set_nonblocking(true)?;
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        answer_on(stream, pod, port, &Value::Null).await.map_err(anyhow::Error::from)
    })
}

/// The same, with what is known of its TLS.
pub(super) async fn answer_on(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    pod: &str,
    port: u16,
    tls: &Value,
) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        let (pod, tls) = (pod.to_owned(), tls.clone());
        tokio::spawn(async move { serve_one(request, respond, &pod, port, &tls).await.is_ok() });
    }
    Ok(())
}

async fn serve_one(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    pod: &str,
    port: u16,
    tls: &Value,
) -> Result<(), h2::Error> {
    let request = read(request).await?;
    match request.values("x-echo-fail").first().filter(|_| !has_recovered(&request)) {
        Some(&"refuse") => {
            respond.send_reset(Reason::REFUSED_STREAM);
            return Ok(());
        }
        Some(_) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return Ok(());
        }
        None => {}
    }
    let bytes = answer(&request, pod, port, tls);
    let said = message::read(&mut bytes.as_slice(), Framing::Fields);
    let said = said.and_then(|said| said.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()));
    let Ok(said) = said else { return Ok(()) };
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(said.status()).unwrap_or_default();
    response.headers_mut().extend(said.fields.iter().filter_map(|(name, value)| field(name, value)));
    let trailers: HeaderMap = request
        .values("x-echo-trailer")
        .iter()
        .filter_map(|trailer| trailer.split_once('='))
        .filter_map(|(name, value)| field(name, value))
        .collect();
    let is_last = said.body.is_empty() && trailers.is_empty();
    let mut stream = respond.send_response(response, is_last)?;
    if !is_last {
        stream.send_data(said.body.into(), trailers.is_empty())?;
    }
    if !trailers.is_empty() {
        stream.send_trailers(trailers)?;
    }
    Ok(())
}

/// The request to its end, in the words of HTTP/1.1.
async fn read(request: Request<RecvStream>) -> Result<Message, h2::Error> {
    let (head, mut stream) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut read = Message { start: format!("{} {target} HTTP/2", head.method), ..Message::default() };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    if let Some(authority) = head.uri.authority() {
        read.fields.push(("host".to_owned(), authority.to_string()));
    }
    if let Some(scheme) = head.uri.scheme_str() {
        read.fields.push((":scheme".to_owned(), scheme.to_owned()));
    }
    read.fields.extend(head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))));
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        read.body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await?.unwrap_or_default();
    read.fields.extend(trailers.iter().map(|(name, value)| (format!("(trailer) {name}"), text(value.as_bytes()))));
    Ok(read)
}

fn field(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
}
