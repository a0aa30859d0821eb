//! One request to one gateway, on a connection of its own.

use super::{answer::Answer, request::Request};
use harness::{
    http::message::{self, Framing, Message},
    http2::client::Http2Client,
};
use std::{
    io::{BufReader, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

/// No answer takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway's pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gateway {
    pub(crate) address: IpAddr,
}

impl Gateway {
    /// Sends `request`; what goes wrong on the way is an answer too.
    pub(crate) fn ask(self, request: &Request) -> Answer {
        if let Some(stream) = request.stream {
            return stream.ask(SocketAddr::new(self.address, request.port), request);
        }
        if let Some(client) = &request.client {
            return client.ask(SocketAddr::new(self.address, request.port), request);
        }
        if request.http2 {
            return self.ask_over_http2(request).unwrap_or_else(|why| Answer::None(why.to_owned()));
        }
        self.try_ask(request).unwrap_or_else(|why| Answer::None(why.to_owned()))
    }

    fn try_ask(self, request: &Request) -> Result<Answer, &'static str> {
        let address = SocketAddr::new(self.address, request.port);
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).or(Err("connection refused"))?;
        let patient = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_nodelay(true));
        patient.or(Err("connection closed"))?;
        // A gateway may answer before it has read everything, and close.
        let _ = stream.write_all(&request.bytes());
        let framing = if request.method == "HEAD" { Framing::NoBody } else { Framing::Fields };
        match message::read(&mut BufReader::new(stream), framing) {
            Ok(Some(message)) if message.start.starts_with("HTTP/") => Ok(Answer::of(&message)),
            Ok(Some(_)) => Err("something that is no HTTP"),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err("no answer in time"),
            Ok(None) | Err(_) => Err("connection closed"),
        }
    }

    fn ask_over_http2(self, asked: &Request) -> Result<Answer, &'static str> {
        let address = SocketAddr::new(self.address, asked.port);
        TcpStream::connect_timeout(&address, PATIENCE).or(Err("connection refused"))?;
        ask_on(&Http2Client::connect(address), "http", asked)
    }
}

/// Asks on a connection of HTTP/2. Trailers are compared as fields.
pub(crate) fn ask_on(client: &Http2Client, scheme: &str, asked: &Request) -> Result<Answer, &'static str> {
    let uri = format!("{scheme}://{}{}", asked.authority, asked.target);
    let mut request = http::Request::builder().method(&*asked.method).uri(uri).version(http::Version::HTTP_2);
    for (name, value) in &asked.fields {
        request = request.header(name, value);
    }
    let request = request.body(()).or(Err("no request of HTTP/2"))?;
    let answer = match asked.body.as_bytes() {
        [] => client.ask(request),
        body => client.send(request, body, None),
    };
    let answer = answer.map_err(|error| if error.is_reset() { "stream reset" } else { "connection closed" })?;
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let mut fields: Vec<(String, String)> = answer.head.headers.iter().map(text).collect();
    let trailers = answer.trailers.iter().flatten().map(text);
    fields.extend(trailers.map(|(name, value)| (format!("(trailer) {name}"), value)));
    let start = format!("HTTP/2 {}", answer.status());
    Ok(Answer::of(&Message { start, fields, body: answer.body, trailers: Vec::new() }))
}
