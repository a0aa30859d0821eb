//! HAProxy behind us, which takes a header of the PROXY protocol at the beginning of every connection and nothing else.

use crate::gateway::{Gateway, routes, service};
use harness::{
    http::client::get,
    http2::client::{Http2Client, request},
    process::Process,
    tls::certificates::{Authority, Wish},
    wait,
};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
    time::Duration,
};
use tempfile::TempDir;

/// Answers with both ends of the client's connection, as the header says them, and the protocol of the request.
const ANSWER: &str =
    "http-request return status 200 content-type text/plain lf-string \"%[src]:%[src_port] %[dst]:%[dst_port] %HV\"";

/// HAProxy in the clear and behind TLS.
struct Told {
    _process: Process,
    _directory: TempDir,
    plain: SocketAddr,
    tls: SocketAddr,
}

/// A listening socket that a child inherits: nobody else can take the port in between.
fn inherited() -> (SocketAddr, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    (address, nix::unistd::dup(&listener).expect("a descriptor for a child"))
}

impl Told {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let pair = Authority::new("backends").sign(&Wish::named(&["a.test"]));
        let pem = directory.path().join("pair.pem");
        fs::write(&pem, pair.certificate.clone() + &pair.key).expect("written");
        let ((plain, for_plain), (tls, for_tls)) = (inherited(), inherited());
        let configuration = format!(
            "defaults\n  mode http\n  timeout connect 30s\n  timeout client 60s\n  timeout server 60s\n\
             frontend told\n  bind fd@{} accept-proxy\n  bind fd@{} accept-proxy ssl crt {} alpn h2,http/1.1\n  {ANSWER}\n",
            for_plain.as_raw_fd(),
            for_tls.as_raw_fd(),
            pem.display(),
        );
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, configuration).expect("written");
        let arguments = ["-f".to_owned(), file.display().to_string()];
        let mut process = Process::start("haproxy", directory.path(), Path::new("haproxy"), &arguments, &[]);
        drop((for_plain, for_tls));
        // Once only HAProxy has the sockets, and reads from them, a stranger is sent away.
        wait::until("HAProxy to serve", Duration::from_secs(30), || {
            process.assert_running();
            let stream = TcpStream::connect(plain).ok()?;
            turns_away(stream).then_some(())
        });
        Self { _process: process, _directory: directory, plain, tls }
    }
}

/// Whether a request without the header gets the connection closed.
fn turns_away(mut stream: TcpStream) -> bool {
    let patience = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let sent = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut bytes = Vec::new();
    patience.and(sent).is_ok()
        && stream.read_to_end(&mut bytes).map_or_else(|error| !is_timeout(&error), |read| read == 0)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn objects(endpoint: SocketAddr, policy: &str) -> String {
    routes("  - route: [{destination: {host: backend}}]")
        + &service("backend", &[endpoint])
        + &format!(
            "\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: backend}}\n\
             spec: {{host: backend, trafficPolicy: {{{policy}}}}}\n"
        )
}

#[test]
fn haproxy_is_told_whose_connection_it_is() {
    let told = Told::start();
    let http2 = "connectionPool: {http: {h2UpgradePolicy: UPGRADE}}, ";
    // Istio's gateway checks no certificate that it is given no authority for, and neither is the name of interest here.
    let tls = "tls: {mode: SIMPLE, insecureSkipVerify: true, sni: a.test}, ";
    for version in ["V1", "V2"] {
        let policy = |more: &str| format!("{more}proxyProtocol: {{version: {version}}}");
        let both = format!("{http2}{tls}");
        for (endpoint, more, spoken) in [
            (told.plain, "", "HTTP/1.1"),
            (told.plain, http2, "HTTP/2.0"),
            (told.tls, tls, "HTTP/1.1"),
            (told.tls, &both, "HTTP/2.0"),
        ] {
            let gateway = Gateway::start(&objects(endpoint, &policy(more)));
            let own = |client: SocketAddr| format!("{client} {} {spoken}", gateway.address());
            let (mut first, mut second) = (gateway.connect(), gateway.connect());
            for _ in 0..3 {
                for client in [&mut first, &mut second] {
                    let answer = client.exchange(get("a.test", "/"));
                    assert_eq!(answer.text(), own(client.local_address()), "{version} {more}");
                }
            }
        }
    }
}

/// Each client of HTTP/2 has connections of its own too, with as many requests at once as it likes.
#[test]
fn requests_of_one_http2_client_share_a_connection() {
    let told = Told::start();
    let policy = "proxyProtocol: {version: V2}, connectionPool: {http: {useClientProtocol: true}}";
    let gateway = Gateway::start(&objects(told.plain, policy));
    let clients = [Http2Client::connect(gateway.address()), Http2Client::connect(gateway.address())];
    let seen = clients.each_ref().map(|client| {
        let url = format!("http://{}/", gateway.address());
        let answers: Vec<String> = (0..5)
            .map(|_| client.ask(request("GET", &url, &[])).expect("an answer"))
            .map(|answer| String::from_utf8_lossy(&answer.body).into_owned())
            .collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert!(answers[0].ends_with(&format!(" {} HTTP/2.0", gateway.address())), "{answers:?}");
        answers[0].clone()
    });
    assert_ne!(seen[0], seen[1], "two clients, two connections");
}
