//! Connections that do nothing, for as long as somebody measures what they cost.

use crate::{Target, connection::Connection, expected::Expected};
use anyhow::{Context, bail, ensure};
use harness::tls::client::{Dialect, TlsClient};
use std::{
    io::{Read, Write, stdin, stdout},
    time::{Duration, Instant},
};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens them, has one request answered on each, says how many stand, and ends with its input.
///
/// # Errors
/// When one of them is not served.
pub(crate) fn run(target: &Target, tls: bool) -> anyhow::Result<()> {
    if tls {
        let dialect = Dialect::nameless();
        stand(target, |expected| of_tls(target, &dialect, expected))
    } else {
        stand(target, |expected| in_the_clear(target, expected))
    }
}

fn stand<T>(target: &Target, open: impl Fn(&Expected) -> anyhow::Result<T>) -> anyhow::Result<()> {
    let mut connections = Vec::new();
    for number in 0..target.connections {
        let expected = &target.expected[number % target.expected.len()];
        connections.push(open(expected).with_context(|| format!("connection {number}"))?);
    }
    println!("{}", connections.len());
    stdout().flush().context("say how many connections stand")?;
    stdin().read_to_end(&mut Vec::new()).context("wait for the end of the input")?;
    Ok(())
}

fn in_the_clear(target: &Target, expected: &Expected) -> anyhow::Result<Connection> {
    let expected = std::slice::from_ref(expected);
    let mut connection = Connection::open(target.address)?;
    let sent = Instant::now();
    connection.send(expected, 0, sent)?;
    let answer = loop {
        if let Some(answer) = connection.poll(expected)? {
            break answer;
        }
        ensure!(sent.elapsed() < PATIENCE, "it is not served");
        std::thread::yield_now();
    };
    if let Some(complaint) = answer.complaint {
        bail!(complaint);
    }
    Ok(connection)
}

fn of_tls(target: &Target, dialect: &Dialect, expected: &Expected) -> anyhow::Result<TlsClient> {
    let mut client = dialect.connect(target.address).context("make a handshake")?;
    let answer = client.exchange(&expected.request)?;
    let fields = answer.fields.iter().map(|(name, value)| format!("\r\n{name}: {value}"));
    let head: String = std::iter::once(answer.start.clone()).chain(fields).collect();
    if let Some(complaint) = expected.complaint(&head, answer.body.len()) {
        bail!(complaint);
    }
    Ok(client)
}
