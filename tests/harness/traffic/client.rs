//! One keep-alive connection.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Long enough for anything that works.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is made again when the server has closed it between two requests.
#[derive(Debug)]
pub struct Client {
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

/// An answer, read completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Who answered: the header `x-backend`; empty when the gateway did.
    pub backend: String,
    pub body: String,
}

/// One request on a connection of its own.
///
/// # Errors
/// When the server cannot be reached or does not speak HTTP/1.1.
pub fn get_once(address: &str, host: &str, path: &str) -> io::Result<Answer> {
    Client::new(address).get(host, path)
}

impl Client {
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), connection: None }
    }

    /// Sends a GET and reads the answer.
    ///
    /// # Errors
    /// When the connection cannot be made, breaks, or carries no valid answer.
    pub fn get(&mut self, host: &str, path: &str) -> io::Result<Answer> {
        let mut reader = match self.connection.take() {
            Some(reader) => reader,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                BufReader::new(stream)
            }
        };
        write!(reader.get_mut(), "GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")?;
        let (answer, keep_alive) = read_answer(&mut reader)?;
        self.connection = keep_alive.then_some(reader);
        Ok(answer)
    }
}

pub(super) fn read_answer(reader: &mut impl BufRead) -> io::Result<(Answer, bool)> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before an answer"));
    }
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| invalid(&line))?;
    let (mut length, mut chunked, mut keep_alive, mut backend) = (None, false, true, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(invalid("the head ends early"));
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse::<u64>().ok(),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keep_alive = !value.eq_ignore_ascii_case("close"),
            "x-backend" => value.clone_into(&mut backend),
            _ => {}
        }
    }
    let mut body = String::new();
    if chunked {
        read_chunks(reader, &mut body)?;
    } else if let Some(length) = length {
        let read = reader.take(length).read_to_string(&mut body)?;
        if read as u64 != length {
            return Err(invalid("the body ends early"));
        }
    } else {
        keep_alive = false;
        reader.read_to_string(&mut body)?;
    }
    Ok((Answer { status, backend, body }, keep_alive))
}

fn read_chunks(reader: &mut impl BufRead, body: &mut String) -> io::Result<()> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a chunk is not as it should be");
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let length = u64::from_str_radix(size.trim(), 16).map_err(|_| invalid())?;
        reader.by_ref().take(length).read_to_string(body)?;
        let mut end = String::new();
        reader.read_line(&mut end)?;
        if end != "\r\n" {
            return Err(invalid());
        }
        if length == 0 {
            return Ok(());
        }
    }
}
