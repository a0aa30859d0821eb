//! What RFC 9110 and RFC 9112 demand of a gateway that speaks HTTP/1: bytes in, bytes out, one row a rule. Each file of the
//! folder is a part of the table; what both sides of the gateway get is read by the letter (`harness::http::strict`).

mod connections;
mod content_length;
mod field_syntax;
mod fields;
mod framing;
mod interim;
mod methods;
mod origin;
mod responses;
mod row;
mod semantics;
mod targets;
mod transfer_coding;

use crate::gateway::{Gateway, routes, service};
use harness::http::strict;
use origin::Origin;
use row::{End, Row, wire};
use std::{
    io::{self, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// What shows that a connection can still be used.
const PROBE: &str = "GET /probe HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n";

/// Holds one gateway to every row. Each has an origin of its own, so that no row meets what another has left.
fn hold(rows: &[Row]) {
    let mut gateway = Gateway::start(&routes("  - route: [{destination: {host: backend}}]"));
    let mut wrong = Vec::new();
    let mut origins = Vec::new();
    for row in rows {
        let origin = Origin::start(row.answer.clone());
        gateway.apply(&service("backend", &[origin.address()]));
        if let Err(difference) = exchange(&gateway, row).and_then(|()| row.check_seen(&origin.seen())) {
            wrong.push(format!("{}\n    sent {:?}\n    {difference}", row.rule, row.sent));
        }
        origins.push(origin);
    }
    // Nothing has come later than it should have, either.
    for (row, origin) in rows.iter().zip(&origins) {
        if let Err(difference) = row.check_seen(&origin.seen()) {
            wrong.push(format!("{}, in the end\n    sent {:?}\n    {difference}", row.rule, row.sent));
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{} of {} rows are not held:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// What a client that sends the row gets.
fn exchange(gateway: &Gateway, row: &Row) -> Result<(), String> {
    let broken = |error: io::Error| format!("the connection: {error}");
    let stream = TcpStream::connect(gateway.address()).map_err(broken)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    // The gateway may have answered and closed before it has read everything.
    let _sent = (&stream).write_all(&wire(&row.sent)).is_ok();
    if row.finishes {
        stream.shutdown(Shutdown::Write).map_err(broken)?;
    }
    let mut reader = BufReader::new(&stream);
    for (number, expected) in row.back.iter().enumerate() {
        let answer = match strict::response(&mut reader, row.method(number)) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(format!("the end, not {expected:?}")),
            Err(error) => return Err(format!("{error}, not {expected:?}")),
        };
        row::check(&answer, expected, true)?;
        if answer.start.starts_with("HTTP/1.0") && !row.sent.contains(" HTTP/1.0\r\n") {
            return Err(format!("a version that the client has not spoken: {}", answer.start));
        }
    }
    let mut rest = Vec::new();
    match row.end {
        End::Open => {
            (&stream).write_all(PROBE.as_bytes()).map_err(broken)?;
            match strict::response(&mut reader, "GET") {
                Ok(Some(answer)) if answer.status() == 200 => {}
                other => return Err(format!("not open any more: {other:?}")),
            }
            let _end = reader.read_to_end(&mut rest).is_ok();
        }
        End::Closed | End::Cut => match reader.read_to_end(&mut rest) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                return Err(format!("no end: {error}, after {:?}", String::from_utf8_lossy(&rest)));
            }
            _ => {}
        },
    }
    match (row.end, &rest[..]) {
        (End::Cut, rest) => row.check_cut(rest),
        (_, []) => Ok(()),
        (_, rest) => Err(format!("more than was asked for: {:?}", String::from_utf8_lossy(rest))),
    }
}
