//! What is sent where no HTTP is spoken to the gateway: `tcp://` is the bytes of a request and then the end of the client's
//! side, `open://` the same without the end, `tls://NAME` the hello of a TLS client that asks for NAME, and for no name `tls:///`. The pod behind answers both in
//! the clear, so that the answer says whom the bytes came to.

use super::{answer::Answer, request::Request};
use harness::{
    http::message::{self, Framing},
    tls::client::trusting,
};
use rustls::{ClientConnection, pki_types::ServerName};
use std::{
    io::{BufReader, ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

/// No answer takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the bytes of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Tcp,
    /// Before Envoy has looked whether a connection is TLS, it takes a half that is closed for the whole: what comes of that is
    /// a race. This leaves it open.
    Open,
    Tls,
}

impl Stream {
    /// The scheme of a case's URL, where it is one of these.
    pub(crate) fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "tcp" => Some(Self::Tcp),
            "open" => Some(Self::Open),
            "tls" => Some(Self::Tls),
            _ => None,
        }
    }

    /// Sends `request` to a gateway and returns what came back.
    pub(crate) fn ask(self, address: SocketAddr, request: &Request) -> Answer {
        self.try_ask(address, request).unwrap_or_else(|why| Answer::None(why.to_owned()))
    }

    fn try_ask(self, address: SocketAddr, request: &Request) -> Result<Answer, &'static str> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).or(Err("connection refused"))?;
        let patient = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_nodelay(true));
        patient.or(Err("connection closed"))?;
        let bytes = match self {
            Self::Tcp | Self::Open => request.bytes(),
            Self::Tls => hello(&request.authority)?,
        };
        // A gateway may close before it has read everything.
        let _ = stream.write_all(&bytes);
        if self == Self::Tcp {
            let _ = stream.shutdown(Shutdown::Write);
        }
        match message::read(&mut BufReader::new(stream), Framing::Fields) {
            Ok(Some(message)) if message.start.starts_with("HTTP/") => Ok(Answer::of(&message)),
            Ok(Some(_)) => Err("something that is no HTTP"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err("no answer in time"),
            // Whether a close becomes a reset depends on what had arrived by then; where the pod resets, it says so first.
            Ok(None) | Err(_) => Err("connection closed"),
        }
    }
}

/// What a client sends first that asks for `name`.
fn hello(name: &str) -> Result<Vec<u8>, &'static str> {
    let nobody = || ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    let name = match name {
        "" => nobody(),
        name => ServerName::try_from(name.to_owned()).or(Err("no server name"))?,
    };
    let mut client = ClientConnection::new(trusting(), name).or(Err("no TLS client"))?;
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).or(Err("no hello"))?;
    Ok(bytes)
}
