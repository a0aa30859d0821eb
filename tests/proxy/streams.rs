//! TCP and TLS that are passed on unread: real sockets on both sides.

mod carrying;
mod ends;
mod limits;
mod originated;
mod passthrough;
mod tunnels;

use crate::gateway::{Gateway, PORT, service};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server that does the same with every connection, each on a thread of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let is_over = Arc::new(AtomicBool::new(false));
        let accepting = thread::spawn({
            let (is_over, serve) = (Arc::clone(&is_over), Arc::new(serve));
            move || {
                for stream in listener.incoming().flatten() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let serve = Arc::clone(&serve);
                    // Ends with its connection; what it meets is the test's business.
                    let _own = thread::spawn(move || patient(&stream).and_then(|()| serve(stream)));
                }
            }
        });
        Self { address, is_over, accepting: Some(accepting) }
    }

    /// Sends everything back, and ends when the other side has.
    pub(crate) fn echoing() -> Self {
        Self::start(echo)
    }

    /// Says `name`, and waits for the other side's end.
    fn saying(name: &'static str) -> Self {
        Self::start(move |mut stream| {
            stream.write_all(name.as_bytes())?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the accept loop.
        let _woken = TcpStream::connect(self.address).is_ok();
        if let Some(accepting) = self.accepting.take() {
            let ended = accepting.join();
            assert!(ended.is_ok() || thread::panicking(), "no panic in the server");
        }
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut piece)? {
            0 => return stream.shutdown(Shutdown::Write),
            length => stream.write_all(&piece[..length])?,
        }
    }
}

fn patient(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

pub(crate) fn connect(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.address()).expect("the gateway listens");
    patient(&stream).expect("timeouts");
    stream
}

/// What comes until the end, however it comes.
pub(crate) fn read_all(mut stream: &TcpStream) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).map(drop);
    (bytes, end)
}

pub(crate) fn read_exactly(mut stream: &TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).expect("so many bytes");
    bytes
}

/// The connection ends without a byte, by a close or a reset.
fn assert_refused(stream: &TcpStream) {
    let (bytes, end) = read_all(stream);
    assert_eq!(bytes, b"");
    if let Err(error) = end {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

/// A TCP server on [`PORT`], and `tcp` for the rules of a VirtualService.
pub(crate) fn tcp(rules: &str) -> String {
    objects("{number: PORT, name: tcp, protocol: TCP}", "", &format!("tcp: [{rules}]"))
}

/// A server with this port, `more` of its fields, and `rules` for everybody.
fn objects(port: &str, more: &str, rules: &str) -> String {
    let port = port.replace("PORT", &PORT.to_string());
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: streams}}
spec: {{selector: {{istio: ingressgateway}}, servers: [{{port: {port}, hosts: ['*']{more}}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: streams}}
spec: {{hosts: ['*'], gateways: [streams], {rules}}}
"
    )
}

/// Everything to Service `backend` at `address`.
pub(crate) fn all_to(address: SocketAddr) -> String {
    tcp("{route: [{destination: {host: backend}}]}") + &service("backend", &[address])
}

/// TLS that asks for `name`, unread to Service `backend` at `address`.
pub(crate) fn passing(name: &str, address: SocketAddr) -> String {
    let rule = format!("tls: [{{match: [{{sniHosts: [{name}]}}], route: [{{destination: {{host: backend}}}}]}}]");
    objects("{number: PORT, name: tls, protocol: TLS}", ", tls: {mode: PASSTHROUGH}", &rule)
        + &service("backend", &[address])
}

/// A DestinationRule for `backend`.
fn policy(policy: &str) -> String {
    format!(
        "\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: backend}}\n\
         spec: {{host: backend, trafficPolicy: {policy}}}\n"
    )
}
