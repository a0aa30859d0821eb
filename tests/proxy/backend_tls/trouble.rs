//! Backends that do not speak TLS as they should.

use super::{Lab, ONCE, RULE, SIMPLE, ask, is_refused, rule};
use crate::gateway::{Gateway, routes, service};
use harness::{
    http::backend::{Backend, Then},
    tls::{
        certificates::{Authority, Wish, secret},
        front::{Front, Manners},
    },
};
use rustls::version::{TLS12, TLS13};
use std::{io::Read as _, net::TcpListener, process, thread, time::Duration};

#[test]
fn a_certificate_that_is_not_good_is_refused() {
    let stranger = Authority::new("strangers");
    let bad = [
        Lab::with(|_| stranger.sign(&Wish::named(&["a.test"])), None),
        Lab::with(|authority| authority.sign(&Wish { expired: true, ..Wish::named(&["a.test"]) }), None),
        Lab::with(|authority| authority.sign(&Wish::named(&["b.test"])), None),
    ];
    for lab in bad {
        is_refused(&ask(&lab.gateway(SIMPLE), "a.test"));
        assert!(lab.backend.requests().is_empty());
    }
}

#[test]
fn a_revoked_certificate_is_refused() {
    let authority = Authority::new("backends");
    let (good, bad) = (authority.sign(&Wish::named(&["a.test"])), authority.sign(&Wish::named(&["a.test"])));
    let backend = Backend::saying("hello");
    let trust = secret("trust", &[("ca.crt", &authority.certificate), ("ca.crl", &authority.revoke(&[&bad]))]);
    for (pair, status) in [(&good, 200), (&bad, 503)] {
        let front = Front::before(backend.address(), &Manners::showing(pair));
        let gateway =
            Gateway::start(&(routes(ONCE) + &service("backend", &[front.address()]) + &rule(SIMPLE) + &trust));
        assert_eq!(ask(&gateway, "a.test").status(), status);
    }
}

#[test]
fn either_version_is_spoken() {
    let authority = Authority::new("backends");
    let pair = authority.sign(&Wish { rsa: true, ..Wish::named(&["a.test"]) });
    let backend = Backend::saying("hello");
    for version in [&TLS12, &TLS13] {
        let front = Front::before(backend.address(), &Manners { versions: vec![version], ..Manners::showing(&pair) });
        let trust = secret("trust", &[("ca.crt", &authority.certificate)]);
        let gateway =
            Gateway::start(&(routes(ONCE) + &service("backend", &[front.address()]) + &rule(SIMPLE) + &trust));
        assert_eq!(ask(&gateway, "a.test").status(), 200);
        assert_eq!(front.met()[0].version, Some(version.version));
    }
}

/// What stands behind the port answers in plaintext, nonsense, or not at all.
#[test]
fn what_is_no_tls_is_refused_and_told_nothing() {
    let lab = Lab::new();
    let plaintext = Backend::start(|exchange| exchange.respond("200 OK", &[], b"plain"));
    let http = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let gone = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let addresses = [http.local_addr().expect("bound"), gone.local_addr().expect("bound")];
    let talking = thread::spawn(move || {
        let (mut stream, _) = http.accept().expect("a connection");
        let mut first = [0; 1];
        stream.read_exact(&mut first).expect("a hello");
        assert_eq!(first, [0x16], "a handshake, and no request");
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("sent");
        let mut rest = Vec::new();
        let _end = stream.read_to_end(&mut rest).is_ok();
    });
    let leaving = thread::spawn(move || {
        let (mut stream, _) = gone.accept().expect("a connection");
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).expect("a hello");
    });
    for address in addresses {
        let gateway = Gateway::start(&(routes(ONCE) + &service("backend", &[address]) + &rule(SIMPLE) + &lab.trust()));
        is_refused(&ask(&gateway, "a.test"));
    }
    talking.join().expect("no panic");
    leaving.join().expect("no panic");
    assert!(plaintext.requests().is_empty());
}

/// The time for a connection includes its handshake, as in Envoy.
#[test]
fn a_handshake_that_stands_still_is_given_up() {
    let lab = Lab::new();
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = silent.local_addr().expect("bound");
    let objects = routes(ONCE) + &service("backend", &[address]) + &rule(SIMPLE) + &lab.trust();
    let gateway = Gateway::with(&objects, |settings| settings.limits.connect_timeout = Duration::from_millis(300));
    let answer = ask(&gateway, "a.test");
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("reset reason: connection timeout"), "{}", answer.text());
}

/// No TLS is as good as no connection: it is tried elsewhere.
#[test]
fn a_retry_finds_a_backend_that_is_good() {
    let lab = Lab::new();
    let bad = Lab::with(|_| Authority::new("strangers").sign(&Wish::named(&["a.test"])), None);
    let addresses = [lab.front.address(), bad.front.address()];
    let objects = routes(RULE) + &service("backend", &addresses) + &rule(SIMPLE) + &lab.trust();
    let gateway = Gateway::start(&objects);
    for _ in 0..20 {
        assert_eq!(ask(&gateway, "a.test").status(), 200);
    }
    assert!(bad.backend.requests().is_empty());
}

/// Other people's servers.
#[test]
fn openssl_is_a_backend() {
    let authority = Authority::new("backends");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("crt"), &pair.certificate).expect("written");
    std::fs::write(path("key"), &pair.key).expect("written");
    for version in ["-tls1_2", "-tls1_3"] {
        let port = {
            let free = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
            free.local_addr().expect("bound").port()
        };
        let server = process::Command::new("openssl")
            .args(["s_server", "-quiet", "-www", version, "-accept", &format!("127.0.0.1:{port}")])
            .args(["-cert", &path("crt"), "-key", &path("key")])
            .stdin(process::Stdio::null())
            .stdout(process::Stdio::null())
            .stderr(process::Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let _server = Ended(server);
        let address = ([127, 0, 0, 1], port).into();
        let trust = secret("trust", &[("ca.crt", &authority.certificate)]);
        let gateway = Gateway::start(&(routes(ONCE) + &service("backend", &[address]) + &rule(SIMPLE) + &trust));
        harness::wait::until("openssl to answer", Duration::from_secs(20), || {
            (ask(&gateway, "a.test").status() == 200).then_some(())
        });
    }
}

/// A process that does not outlive its test.
struct Ended(process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _killed = self.0.kill().is_ok();
        let _reaped = self.0.wait().is_ok();
    }
}

/// A backend that takes the request and ends the connection, as one in the clear would.
#[test]
fn a_connection_that_ends_is_no_answer() {
    let authority = Authority::new("backends");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let backend = Backend::start(|_| Ok(Then::Close));
    let front = Front::before(backend.address(), &Manners::showing(&pair));
    let trust = secret("trust", &[("ca.crt", &authority.certificate)]);
    let gateway = Gateway::start(&(routes(ONCE) + &service("backend", &[front.address()]) + &rule(SIMPLE) + &trust));
    let answer = ask(&gateway, "a.test");
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("connection termination"), "{}", answer.text());
}

/// Whose connection is closed without the word of TLS has ended, as for Envoy (`SslSocket::doRead`). What is cut off is seen by
/// the framing, where there is any.
#[test]
fn without_the_word_of_tls_only_what_has_no_length_is_whole() {
    let authority = Authority::new("backends");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let trust = secret("trust", &[("ca.crt", &authority.certificate)]);
    for (head, is_whole) in [
        ("connection: close", true),
        ("content-length: 5", true),
        ("content-length: 6", false),
        ("transfer-encoding: chunked", false),
    ] {
        let backend = Backend::start(move |exchange| {
            let body = if head.ends_with("chunked") { "5\r\nhello\r\n" } else { "hello" };
            exchange.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}"))?;
            Ok(Then::Close)
        });
        let front = Front::before(backend.address(), &Manners { is_abrupt: true, ..Manners::showing(&pair) });
        let gateway =
            Gateway::start(&(routes(ONCE) + &service("backend", &[front.address()]) + &rule(SIMPLE) + &trust));
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
        let answer = client.rest().unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer);
        let looks_whole = answer.ends_with("\r\n\r\nhello") && answer.contains("content-length: 5\r\n")
            || answer.ends_with("5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(looks_whole, is_whole, "{head}: {answer:?}");
    }
}
