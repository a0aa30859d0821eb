//! What our gateway says of itself, asked in its own namespace.

use super::place::Place;
use anyhow::{Context, ensure};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A page of the admin address.
pub(super) fn page(place: &Place, admin: &str, path: &str) -> anyhow::Result<String> {
    let address: SocketAddr = admin.parse().with_context(|| format!("{admin} is no address"))?;
    place.node.enter(|| {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).context("ask the gateway")?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).context("read the gateway's answer")?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").context("the gateway's answer has no end of its head")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {}", head.lines().next().unwrap_or_default());
        Ok(body.to_owned())
    })
}

/// Bytes that the kernel has moved past userspace so far; `None` where nobody counts them.
pub(super) fn bytes(place: &Place, admin: &str) -> Option<f64> {
    let metrics = page(place, admin, "/metrics").ok()?;
    let lines = metrics.lines().filter(|line| line.starts_with(BYTES) && line.contains(KERNEL));
    let values: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

const BYTES: &str = "gateway_fastpath_bytes_total{";
const KERNEL: &str = "way=\"kernel\"";

/// In words.
pub(super) fn said(before: Option<f64>, after: Option<f64>) -> String {
    match before.zip(after) {
        Some((before, after)) => format!("the kernel moved {:.1} MiB for ours_s", (after - before) / (1 << 20) as f64),
        None => "how much the kernel moved is not known".to_owned(),
    }
}
