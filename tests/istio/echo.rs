//! A backend that answers with what it is and with the request exactly as it arrived, in JSON. It speaks HTTP/1.1, and HTTP/2
//! to whoever begins with it.
//!
//! Request fields ask for more: `x-echo-status: 503` chooses the status, `x-echo-field: name=value` adds a field to the
//! answer, `x-echo-delay-ms: 500` makes it wait. `x-echo-fail: close`, `reset`, `half`, `stall` (half, and then nothing
//! for three seconds) or `noise` makes it fail in that way; in HTTP/2 `reset` and `refuse` reset the stream, and
//! `x-echo-trailer: name=value` adds a trailer. With `x-echo-until: 3` delays, failures, statuses and fields end with the attempt whose `x-envoy-attempt-count` is 3;
//! with `x-echo-at: a,b` only the pods a and b do any of it.

#[path = "echo_announced.rs"]
mod announced;
#[path = "echo_http2.rs"]
mod http2;

use announced::Announced;
use anyhow::Context;
use clap::Parser;
use harness::http::message::{self, Framing, Message};
use nix::sys::socket::{setsockopt, sockopt};
use rustls::{
    RootCertStore, ServerConfig, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read, Write},
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
    /// Address to listen on for TLS (repeatable)
    #[arg(long)]
    tls: Vec<SocketAddr>,
    /// The same, for clients with a certificate of ECHO_CLIENTS (repeatable)
    #[arg(long)]
    mutual: Vec<SocketAddr>,
    /// Address to listen on for connections that begin with a header of the PROXY protocol (repeatable)
    #[arg(long)]
    announced: Vec<SocketAddr>,
    /// PEM that is shown to clients
    #[arg(long, env = "ECHO_CERTIFICATE", default_value = "", hide_env_values = true)]
    certificate: String,
    #[arg(long, env = "ECHO_KEY", default_value = "", hide_env_values = true)]
    key: String,
    #[arg(long, env = "ECHO_CLIENTS", default_value = "", hide_env_values = true)]
    clients: String,
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
    let mut ports: Vec<(SocketAddr, Opening)> = Vec::new();
    ports.extend(arguments.listen.iter().map(|address| (*address, Opening::Any)));
    ports.extend(arguments.announced.iter().map(|address| (*address, Opening::Announced)));
    for (addresses, clients) in [(&arguments.tls, None), (&arguments.mutual, Some(&arguments.clients))] {
        if !addresses.is_empty() {
            let config = Arc::new(tls(&arguments.certificate, &arguments.key, clients)?);
            ports.extend(addresses.iter().map(|address| (*address, Opening::Tls(Arc::clone(&config)))));
        }
    }
    let mut acceptors = Vec::new();
    for (address, opening) in ports {
        let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
        let pod = Arc::clone(&pod);
        acceptors.push(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pod, opening) = (Arc::clone(&pod), opening.clone());
                thread::spawn(move || {
                    // Whoever goes away is no trouble of ours.
                    let _served = begin(stream, opening, &pod).is_ok();
                });
            }
        }));
    }
    for acceptor in acceptors {
        // Accepting never ends.
        let _ = acceptor.join();
    }
    Ok(())
}

/// How connections to a port begin.
#[derive(Clone)]
enum Opening {
    /// As the client likes.
    Any,
    /// With a header of the PROXY protocol.
    Announced,
    Tls(Arc<ServerConfig>),
}

/// The first byte of every TLS connection.
const HANDSHAKE_RECORD: u8 = 0x16;

/// How TLS is ended: with one certificate, for everybody or for the clients of an authority.
fn tls(certificate: &str, key: &str, clients: Option<&String>) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(authority.as_bytes()).context("ECHO_CLIENTS is no certificate")?)?;
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
            )
        }
    };
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).context("ECHO_CERTIFICATE is none")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("ECHO_KEY is none")?;
    let mut config = builder.with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Answers on one connection until the other side closes it.
fn begin(mut stream: TcpStream, opening: Opening, pod: &str) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let raw = stream.try_clone()?;
    let port = raw.local_addr()?.port();
    let Opening::Tls(config) = opening else {
        if matches!(opening, Opening::Announced) {
            let announced = Announced::read(&mut stream)?;
            serve(BufReader::new(stream), &raw, pod, &Value::Null, Some(&announced));
            return Ok(());
        }
        if http2::is_spoken(&stream) {
            return http2::serve(stream, pod, port);
        }
        let mut stream = BufReader::new(stream);
        if stream.fill_buf().is_ok_and(|first| first.starts_with(&[HANDSHAKE_RECORD])) {
            // TLS that nobody has ended on the way: all there is to say is who has met it.
            let hello = Message { start: "TLS".to_owned(), ..Message::default() };
            stream.get_mut().write_all(&answer(&hello, pod, port, &Value::Null))?;
            // Closing with bytes unread would be a reset, which could overtake the answer.
            raw.shutdown(Shutdown::Write)?;
            std::io::copy(&mut stream, &mut std::io::sink())?;
            return Ok(());
        }
        serve(stream, &raw, pod, &Value::Null, None);
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    stream.set_nonblocking(true)?;
    let accepted = runtime.block_on(async {
        tokio_rustls::TlsAcceptor::from(config).accept(tokio::net::TcpStream::from_std(stream)?).await
    })?;
    let connection = accepted.get_ref().1;
    let facts = json!({
        "server_name": connection.server_name(),
        "alpn": connection.alpn_protocol().map(String::from_utf8_lossy),
        "has_certificate": connection.peer_certificates().is_some(),
    });
    if connection.alpn_protocol() == Some(b"h2") {
        return Ok(runtime.block_on(http2::answer_on(accepted, pod, port, &facts))?);
    }
    let (stream, connection) = accepted.into_inner();
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    serve(BufReader::new(StreamOwned::new(connection, stream)), &raw, pod, &facts, None);
    Ok(())
}

/// The same, with what is known of its TLS, or was announced. An unreadable request ends it too.
fn serve(
    mut stream: BufReader<impl Read + Write>,
    raw: &TcpStream,
    pod: &str,
    tls: &Value,
    announced: Option<&Announced>,
) {
    let Ok(port) = raw.local_addr().map(|address| address.port()) else { return };
    let mut tunnel = None;
    while let Ok(Some(mut request)) = message::read(&mut stream, Framing::Fields) {
        if request.start.starts_with("CONNECT ") {
            // Whom it leads to is here as well.
            tunnel = Some(("(tunnel)".to_owned(), format!("{} {:?}", request.start, request.fields)));
            if stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
                return;
            }
            continue;
        }
        request.fields.extend(tunnel.clone());
        if let Some(announced) = announced {
            let field = announced.as_field(&request);
            request.fields.push(field);
        }
        let writer = stream.get_mut();
        let is_well = has_recovered(&request, pod);
        for milliseconds in request.values("x-echo-delay-ms").iter().filter(|_| !is_well) {
            pause(Duration::from_millis(milliseconds.parse().unwrap_or(0)));
        }
        if let Some(way) = request.values("x-echo-fail").first().filter(|_| !is_well) {
            // Whoever fails does not look whether anybody listens.
            let _ = fail(writer, raw, way);
            return;
        }
        if writer.write_all(&answer(&request, pod, port, tls)).and_then(|()| writer.flush()).is_err() {
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
fn fail(writer: &mut impl Write, raw: &TcpStream, way: &str) -> std::io::Result<()> {
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
            Ok(setsockopt(raw, sockopt::Linger, &at_once)?)
        }
        _ => Ok(()),
    }
}

fn answer(request: &Message, pod: &str, port: u16, tls: &Value) -> Vec<u8> {
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
        "tls": tls,
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
