//! Connections that do nothing, for as long as somebody measures what they cost.

use crate::{Target, connection::Connection};
use anyhow::{Context, bail};
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
pub(crate) fn run(target: &Target) -> anyhow::Result<()> {
    let mut connections = Vec::new();
    for number in 0..target.connections {
        let mut connection = Connection::open(target.address)?;
        let which = number % target.expected.len();
        let sent = Instant::now();
        connection.send(&target.expected, which, sent)?;
        let answer = loop {
            if let Some(answer) = connection.poll(&target.expected)? {
                break answer;
            }
            if sent.elapsed() > PATIENCE {
                bail!("connection {number} is not served");
            }
            std::thread::yield_now();
        };
        if let Some(complaint) = answer.complaint {
            bail!("connection {number}: {complaint}");
        }
        connections.push(connection);
    }
    println!("{}", connections.len());
    stdout().flush().context("say how many connections stand")?;
    stdin().read_to_end(&mut Vec::new()).context("wait for the end of the input")?;
    Ok(())
}
