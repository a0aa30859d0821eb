//! A well-behaved HTTP/1.1 caller: it keeps its connection, and asks again on a new one when the server closed an idle one.

use super::client::{Answer, read_answer};
use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// What a caller does between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// Keeps its connection while the server lets it.
    Kept,
    /// Makes a new one, as `curl` in a loop does.
    New,
}

/// Longer than three tries to connect to an address that has vanished, of ten seconds each (Istio's defaults): a slow answer
/// is none that failed.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One caller.
#[derive(Debug)]
pub struct Caller {
    /// Host and port; resolved for every connection, as a client without a cache does.
    address: String,
    head: String,
    connections: Connections,
    timeout: Duration,
    idle: Option<BufReader<TcpStream>>,
    asked_again: u64,
}

impl Caller {
    pub fn new(address: &str, host: &str, path: &str, user_agent: &str, connections: Connections) -> Self {
        let close = if connections == Connections::New { "connection: close\r\n" } else { "" };
        Self {
            address: address.to_owned(),
            head: format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {user_agent}\r\n{close}\r\n"),
            connections,
            timeout: TIMEOUT,
            idle: None,
            asked_again: 0,
        }
    }

    /// Requests sent twice because the server had closed the connection while it was idle (RFC 9112, 9.3.1).
    pub fn asked_again(&self) -> u64 {
        self.asked_again
    }

    /// Sends the request and reads the answer.
    ///
    /// # Errors
    /// When no connection can be made, one breaks after the answer began, a new one breaks at all, or what arrives is no
    /// HTTP.
    pub fn ask(&mut self) -> io::Result<Answer> {
        if let Some(mut idle) = self.idle.take() {
            match self.exchange(&mut idle) {
                Ok((answer, kept)) => {
                    self.idle = kept.then_some(idle);
                    return Ok(answer);
                }
                Err(Broken::BeforeTheAnswer(error)) if was_closed(&error) => self.asked_again += 1,
                Err(Broken::BeforeTheAnswer(error) | Broken::InTheAnswer(error)) => return Err(error),
            }
        }
        let mut connection = BufReader::new(self.connect()?);
        let (answer, kept) = self.exchange(&mut connection).map_err(Broken::into_inner)?;
        self.idle = (kept && self.connections == Connections::Kept).then_some(connection);
        Ok(answer)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let named = |what: &str, error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
        let mut addresses = self.address.to_socket_addrs().map_err(|error| named("resolve", error))?;
        let address = addresses.next().ok_or_else(|| io::Error::other("the name has no address"))?;
        let stream = TcpStream::connect_timeout(&address, self.timeout).map_err(|error| named("connect", error))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        Ok(stream)
    }

    fn exchange(&self, connection: &mut BufReader<TcpStream>) -> Result<(Answer, bool), Broken> {
        connection.get_mut().write_all(self.head.as_bytes()).map_err(Broken::BeforeTheAnswer)?;
        if connection.fill_buf().map_err(Broken::BeforeTheAnswer)?.is_empty() {
            return Err(Broken::BeforeTheAnswer(io::ErrorKind::UnexpectedEof.into()));
        }
        read_answer(connection).map_err(Broken::InTheAnswer)
    }
}

/// Where an exchange broke: only before the answer may a request be sent again.
enum Broken {
    BeforeTheAnswer(io::Error),
    InTheAnswer(io::Error),
}

impl Broken {
    fn into_inner(self) -> io::Error {
        match self {
            Self::BeforeTheAnswer(error) => io::Error::new(error.kind(), format!("before the answer: {error}")),
            Self::InTheAnswer(error) => io::Error::new(error.kind(), format!("in the answer: {error}")),
        }
    }
}

fn was_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    /// Answers one request on each connection and closes it, although it said that it would stay open.
    fn impolite() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut reader = BufReader::new(stream.unwrap());
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
            }
        });
        address
    }

    #[test]
    fn a_connection_closed_while_idle_is_made_again() {
        let mut caller = Caller::new(&impolite(), "a", "/", "test", Connections::Kept);
        assert_eq!(caller.ask().unwrap().body, "hi");
        assert_eq!(caller.ask().unwrap().body, "hi");
        assert_eq!(caller.asked_again(), 1);
        assert!(caller.ask().is_err(), "nobody listens any more");
    }
}
