//! A backend that answers with what it is and with the request exactly as it arrived, in JSON. It speaks HTTP/1.1, and HTTP/2
//! to whoever begins with it.
//!
//! Request fields ask for more: `x-echo-status: 503` chooses the status, `x-echo-field: name=value` adds a field to the
//! answer, `x-echo-delay-ms: 500` makes it wait. `x-echo-fail: close`, `reset`, `half`, `stall` (half, and then nothing
//! for three seconds) or `noise` makes it fail in that way; in HTTP/2 `reset` and `refuse` reset the stream, and
//! `x-echo-trailer: name=value` adds a trailer. With `x-echo-until: 3` delays, failures, statuses and fields end with the attempt whose `x-envoy-attempt-count` is 3;
//! with `x-echo-at: a,b` only the pods a and b do any of it.

#[path = "echo_http2.rs"]
mod http2;

use anyhow::Context;
use clap::Parser;
use harness::http::message::{self, Framing, Message};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::json;
use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// Answers every request with what arrived.
#[derive(Parser)]
struct Arguments {
    /// Address to listen on (repeatable)
    #[arg(long, required = true)]
    listen: Vec<SocketAddr>,
    /// What the answers say as `pod` [default: the host's name]
    #[arg(long)]
    pod: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let pod = match arguments.pod {
        Some(pod) => pod,
        None => fs::read_to_string("/proc/sys/kernel/hostname").context("read the host's name")?,
    };
    let pod: Arc<str> = pod.trim().into();
    let mut acceptors = Vec::new();
    for address in arguments.listen {
        let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
        let pod = Arc::clone(&pod);
        acceptors.push(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let pod = Arc::clone(&pod);
                thread::spawn(move || serve(stream, &pod));
            }
        }));
    }
    for acceptor in acceptors {
        // Accepting never ends.
        let _ = acceptor.join();
    }
    Ok(())
}

/// The first byte of every TLS connection.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Answers on one connection until the other side closes it. An unreadable request ends it too.
fn serve(stream: TcpStream, pod: &str) {
    let Ok(port) = stream.local_addr().map(|address| address.port()) else { return };
    if http2::is_spoken(&stream) {
        return http2::serve(stream, pod, port);
    }
    let Ok(mut writer) = stream.try_clone() else { return };
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    if reader.fill_buf().is_ok_and(|first| first.starts_with(&[HANDSHAKE_RECORD])) {
        // TLS that nobody has ended on the way: all there is to say is who has met it.
        let hello = Message { start: "TLS".to_owned(), ..Message::default() };
        let _ = writer.write_all(&answer(&hello, pod, port));
        // Closing with bytes unread would be a reset, which could overtake the answer.
        let _ = writer.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
        return;
    }
    while let Ok(Some(request)) = message::read(&mut reader, Framing::Fields) {
        let is_well = has_recovered(&request, pod);
        for milliseconds in request.values("x-echo-delay-ms").iter().filter(|_| !is_well) {
            pause(Duration::from_millis(milliseconds.parse().unwrap_or(0)));
        }
        if let Some(way) = request.values("x-echo-fail").first().filter(|_| !is_well) {
            // Whoever fails does not look whether anybody listens.
            let _ = fail(&mut writer, way);
            return;
        }
        if writer.write_all(&answer(&request, pod, port)).is_err() {
            return;
        }
    }
}

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nx-half: yes\r\n\r\nonly a part";

/// Whether `x-echo-until` says that this attempt is answered well, or `x-echo-at` that others are meant.
fn has_recovered(request: &Message, pod: &str) -> bool {
    if request.values("x-echo-at").first().is_some_and(|pods| pods.split(',').all(|other| other != pod)) {
        return true;
    }
    let number = |name: &str| request.values(name).first().and_then(|text| text.parse::<u32>().ok());
    number("x-echo-until").zip(number("x-envoy-attempt-count")).is_some_and(|(until, attempt)| attempt >= until)
}

/// Breaks the connection as `way` says.
fn fail(writer: &mut TcpStream, way: &str) -> std::io::Result<()> {
    match way {
        "half" => writer.write_all(HALF),
        "stall" => {
            writer.write_all(HALF)?;
            pause(Duration::from_secs(3));
            Ok(())
        }
        "noise" => writer.write_all(b"SSH-2.0-OpenSSH_9.2\r\n"),
        "reset" => {
            // With a linger time of 0 the end is a reset.
            let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            Ok(setsockopt(&*writer, sockopt::Linger, &at_once)?)
        }
        _ => Ok(()),
    }
}

fn answer(request: &Message, pod: &str, port: u16) -> Vec<u8> {
    let mut words = request.start.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body = json!({
        "pod": pod,
        "port": port,
        "method": method,
        "target": target,
        "protocol": words.next().unwrap_or_default(),
        "authority": request.values("host").join(","),
        "fields": request.fields,
        "body": String::from_utf8_lossy(&request.body),
    });
    let body = if method == "HEAD" { String::new() } else { body.to_string() };
    let status = request.values("x-echo-status").first().filter(|_| !has_recovered(request, pod)).map_or("200", |s| *s);
    let mut head = format!(
        "HTTP/1.1 {status} Echo\r\nx-echo: {pod}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    let fields = request.values("x-echo-field");
    for (name, value) in
        fields.iter().filter(|_| !has_recovered(request, pod)).filter_map(|field| field.split_once('='))
    {
        // Writing to a String cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// Nobody sends: the timeout is the pause.
fn pause(duration: Duration) {
    let (_sender, receiver) = mpsc::channel::<()>();
    let _ = receiver.recv_timeout(duration);
}
