//! Balancers that say who the client is: headers of the PROXY protocol, and proxies that are believed.

use crate::{
    gateway::{Gateway, everything_to, service},
    streams::{self, Server},
};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    http2::backend::Http2Backend,
    tls::{
        certificates::{Authority, Wish},
        client::trusting,
    },
};
use rustls::{ClientConnection, pki_types::ServerName};
use std::{io::Write as _, process::Command, time::Duration};

const VERSION_1: &[u8] = b"PROXY TCP4 10.1.2.3 10.0.0.1 5555 80\r\n";

fn version_2() -> Vec<u8> {
    let addresses = [10, 1, 2, 3, 10, 0, 0, 1, 0x15, 0xb3, 0, 80];
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &addresses].concat()
}

fn behind_a_balancer(backend: &Backend) -> Gateway {
    Gateway::with(&everything_to(backend.address()), |settings| settings.proxy_protocol = true)
}

#[test]
fn the_client_is_who_the_balancer_says() {
    let backend = Backend::saying("hello");
    let gateway = behind_a_balancer(&backend);
    for header in [VERSION_1.to_vec(), version_2()] {
        let mut client = gateway.connect();
        // In one piece with the request, and byte by byte.
        assert_eq!(client.exchange([&header[..], get("a", "/").as_bytes()].concat()).status(), 200);
        assert_eq!(client.exchange(get("a", "/again")).status(), 200, "once a connection");
        let mut client = gateway.connect();
        for byte in &header {
            client.send([*byte]);
        }
        assert_eq!(client.exchange(get("a", "/")).status(), 200);
    }
    let requests = backend.requests();
    assert_eq!(requests.len(), 6);
    for request in requests {
        assert_eq!(request.field("x-forwarded-for"), Some("10.1.2.3"));
        assert_eq!(request.field("x-envoy-external-address"), Some("10.1.2.3"));
    }
}

#[test]
fn a_connection_of_the_balancers_own_is_its_own() {
    let backend = Backend::saying("hello");
    let gateway = behind_a_balancer(&backend);
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = gateway.connect();
        let own = client.local_address().ip().to_string();
        assert_eq!(client.exchange([header, get("a", "/").as_bytes()].concat()).status(), 200);
        let requests = backend.requests();
        assert_eq!(requests.last().expect("a request").field("x-forwarded-for"), Some(own.as_str()));
    }
}

#[test]
fn who_brings_no_header_is_not_answered() {
    let backend = Backend::saying("hello");
    let gateway = behind_a_balancer(&backend);
    for bytes in [
        get("a", "/").into_bytes(),
        b"PROXY TCP4 10.1.2.3 10.0.0.1 5555\r\n".to_vec(),
        [&b"PROXY "[..], &[b'x'; 200]].concat(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x01x".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c".to_vec(),
    ] {
        let mut client = gateway.connect();
        // It may be closed before everything was sent.
        let _sent = client.try_send(&bytes).is_ok();
        assert!(client.is_closed(), "{bytes:?}");
    }
    assert!(backend.requests().is_empty());
    let mut client = gateway.connect();
    assert_eq!(client.exchange([VERSION_1, get("a", "/").as_bytes()].concat()).status(), 200, "others are served");
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for_for_ever() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.proxy_protocol = true;
        settings.limits.handshake_timeout = Duration::from_millis(300);
    });
    for beginning in [&b""[..], b"PROXY TCP4"] {
        let mut client = gateway.connect();
        client.send(beginning);
        assert!(client.is_closed());
    }
}

#[test]
fn the_header_comes_before_tls() {
    let authority = Authority::new("lab");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let backend = Backend::saying("hello");
    let objects = pair.secret("a", &[])
        + &crate::tls::https("a", "[a.test]", "{mode: SIMPLE, credentialName: a}")
        + &service("backend", &[backend.address()]);
    let gateway = Gateway::with(&objects, |settings| settings.proxy_protocol = true);
    let directory = tempfile::tempdir().expect("a directory");
    let trusted = directory.path().join("ca.pem");
    std::fs::File::create(&trusted)
        .and_then(|mut file| file.write_all(authority.certificate.as_bytes()))
        .expect("written");
    // curl's own header, of version 1.
    let curl = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--haproxy-protocol"])
        .args(["--cacert", &trusted.to_string_lossy()])
        .args(["--connect-to", &format!("a.test:443:{}", gateway.address()), "https://a.test/"])
        .output()
        .expect("curl is installed");
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "hello", "{curl:?}");
    assert_eq!(backend.only_request().field("x-forwarded-proto"), Some("https"));
}

#[test]
fn trusted_proxies_name_the_client() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| settings.trusted_proxies = 2);
    let mut client = gateway.connect();
    let own = client.local_address().ip();
    let fields = "x-forwarded-for: 9.9.9.9, 8.8.8.8\r\nx-forwarded-for: 7.7.7.7\r\nx-forwarded-proto: https";
    let answer = client.exchange(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n"));
    assert_eq!(answer.status(), 200);
    let request = backend.only_request();
    assert_eq!(request.field("x-envoy-external-address"), Some("8.8.8.8"));
    assert_eq!(request.field("x-forwarded-for"), Some(format!("9.9.9.9, 8.8.8.8,7.7.7.7,{own}").as_str()));
    assert_eq!(request.field("x-forwarded-proto"), Some("https"));
}

/// HTTP/2 says the scheme beside the request.
#[test]
fn a_pod_of_http2_is_told_the_scheme_of_the_first_proxy() {
    let backend = Http2Backend::saying("hello");
    let objects = crate::http2::http2_to(&[backend.address()], "");
    let gateway = Gateway::with(&objects, |settings| settings.trusted_proxies = 1);
    let mut client = gateway.connect();
    for scheme in ["http", "https"] {
        let answer = client.exchange(format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: {scheme}\r\n\r\n"));
        assert_eq!(answer.status(), 200);
    }
    let schemes: Vec<String> = backend.requests().iter().map(|request| request.head.uri.to_string()).collect();
    assert_eq!(schemes, ["http://a/", "https://a/"]);
}

/// As Istio's gateway: a request that came by TLS to the first proxy is not sent to https once more.
#[test]
fn who_came_by_tls_to_a_trusted_proxy_is_not_redirected() {
    let backend = Backend::saying("hello");
    let objects = everything_to(backend.address())
        .replace("    hosts: ['*']\n---", "    hosts: ['*']\n    tls: {httpsRedirect: true}\n---");
    let ask = |trusted: usize| {
        let gateway = Gateway::with(&objects, |settings| settings.trusted_proxies = trusted);
        let mut client = Client::connect(gateway.address());
        ["http", "https"].map(|scheme| {
            client.exchange(format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: {scheme}\r\n\r\n")).status()
        })
    };
    assert_eq!(ask(0), [301, 301]);
    assert_eq!(ask(1), [301, 200]);
}

#[test]
fn the_header_comes_before_what_is_passed_on_unread() {
    let server = Server::echoing();
    let with_header = |objects: &str| Gateway::with(objects, |settings| settings.proxy_protocol = true);
    let gateway = with_header(&streams::all_to(server.address));
    let hello = client_hello("a.test");
    let passing = with_header(&streams::passing("a.test", server.address));
    for header in [VERSION_1.to_vec(), version_2()] {
        for (gateway, said) in [(&gateway, &b"hello"[..]), (&passing, &hello)] {
            // In one piece with what the client says, and by itself.
            for pieces in [vec![[&header, said].concat()], vec![header.clone(), said.to_vec()]] {
                let mut stream = streams::connect(gateway);
                for piece in pieces {
                    stream.write_all(&piece).expect("sent");
                }
                assert_eq!(streams::read_exactly(&stream, said.len()), said);
            }
        }
    }
}

/// What a client sends first that asks for `name`.
fn client_hello(name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(trusting(), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a hello");
    bytes
}
