//! Asking a running daemon, at its admin address.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a daemon on this machine may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body of `GET path` from the admin server at `address`.
///
/// # Errors
/// When nobody answers there, or not with 200, in words that say so.
pub(super) fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| {
        format!("no gateway answers at {address}: {error}; is it running, and is --admin set so?")
    };
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    // HTTP/1.0: the body ends with the connection, so nothing need be parsed but the status.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{address} does not speak HTTP"))?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        status => Err(format!("{address}{path} answers {}", status.unwrap_or("nothing"))),
    }
}
