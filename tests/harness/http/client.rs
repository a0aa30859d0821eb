//! A client that sends exactly the bytes it is given.

use super::message::{self, Framing, Message};
use std::{
    io::{self, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// No answer of a gateway on the same machine takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap_or_else(|error| panic!("connect to {address}: {error}")))
    }

    /// A client on a connection that stands.
    pub fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        Self { stream: BufReader::new(stream) }
    }

    /// Sends `bytes` as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("send");
    }

    /// Sends as much of `bytes` as the other side takes before it closes.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// The next response.
    pub fn response(&mut self) -> Message {
        self.read(Framing::Fields)
    }

    /// The next response, to a HEAD.
    pub fn response_to_head(&mut self) -> Message {
        self.read(Framing::NoBody)
    }

    /// The head of the next response; its body is left on the stream.
    pub fn head(&mut self) -> Message {
        message::read_head(&mut self.stream).expect("read").expect("a response, not the end of the connection")
    }

    /// Sends a request and returns its response.
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Message {
        self.send(bytes);
        self.response()
    }

    /// Reads until exactly `buffer` is filled.
    pub fn read_exact(&mut self, buffer: &mut [u8]) {
        self.stream.read_exact(buffer).expect("read");
    }

    /// Everything up to the end of the connection, which must come.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Whether the other side closes the connection within a few seconds without another byte.
    pub fn is_closed(&mut self) -> bool {
        match self.rest() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Whether nothing comes, not even the end, for `pause`.
    pub fn is_silent_for(&mut self, pause: Duration) -> bool {
        let began = Instant::now();
        self.stream.get_ref().set_read_timeout(Some(pause)).expect("read timeout");
        let silent = self.stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).expect("read timeout");
        silent && began.elapsed() >= pause / 2
    }

    /// Ends our side; the other may go on.
    pub fn finish_sending(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).expect("shutdown");
    }

    pub fn local_address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().expect("address")
    }

    fn read(&mut self, framing: Framing) -> Message {
        message::read(&mut self.stream, framing).expect("read").expect("a response, not the end of the connection")
    }
}

/// `GET target` with `host`, and nothing else.
pub fn get(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n")
}
