//! TLS that is told apart by its server name, and that ends at the endpoint or here.

use super::{Server, assert_refused, connect, objects};
use crate::gateway::{Gateway, service};
use harness::{
    http::client::get,
    tls::{
        certificates::{Authority, Pair, Wish},
        client::{Dialect, trusting},
    },
    wait,
};
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs, pki_types::ServerName};
use std::{
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(20);

/// A server that ends TLS with its own certificate and sends everything back.
fn tls_server(authority: &Authority, name: &str) -> (Server, Pair) {
    let pair = authority.sign(&Wish::named(&[name]));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![pair.der.clone()], pair.key_der.clone_key())
        .expect("a certificate");
    let config = Arc::new(config);
    let server = Server::start(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
        let mut tls = StreamOwned::new(connection, stream);
        let mut piece = [0; 16 * 1024];
        loop {
            let length = tls.read(&mut piece)?;
            if length == 0 {
                return Ok(());
            }
            tls.write_all(&piece[..length])?;
        }
    });
    (server, pair)
}

const TLS: &str = "{number: PORT, name: tls, protocol: TLS}";

/// TLS for `a.test` and `*.b.test` goes to `one` and `two`.
struct Lab {
    _servers: [Server; 2],
    pairs: [Pair; 2],
    gateway: Gateway,
}

impl Lab {
    fn new(more: &str) -> Self {
        Self::patient(more, Duration::from_secs(15))
    }

    /// Waits so long for the hello of a client.
    fn patient(more: &str, handshake_timeout: Duration) -> Self {
        let authority = Authority::new("lab");
        let (one, first) = tls_server(&authority, "a.test");
        let (two, second) = tls_server(&authority, "x.b.test");
        let rules = "tls: [{match: [{sniHosts: [a.test]}], route: [{destination: {host: one}}]}, \
                     {match: [{sniHosts: ['*.b.test']}], route: [{destination: {host: two}}]}]";
        let objects = objects(TLS, ", tls: {mode: PASSTHROUGH}", rules)
            + &service("one", &[one.address])
            + &service("two", &[two.address])
            + more;
        let gateway = Gateway::with(&objects, |settings| settings.limits.handshake_timeout = handshake_timeout);
        Self { _servers: [one, two], pairs: [first, second], gateway }
    }
}

#[test]
fn the_server_name_leads_to_the_endpoint_whose_certificate_is_met() {
    let lab = Lab::new("");
    for (name, pair) in [("a.test", 0), ("x.b.test", 1), ("y.x.b.test", 1), ("A.TEST", 0)] {
        let client = Dialect::asking(name).connect(lab.gateway.address()).expect("a handshake");
        assert_eq!(client.certificate(), lab.pairs[pair].der, "{name}");
    }
    let opened = |name: &str| {
        let service = format!("destination_service_name=\"{name}\"");
        lab.gateway.metric("istio_tcp_connections_opened_total", &[&service])
    };
    assert_eq!((opened("one"), opened("two")), (2.0, 2.0));
}

#[test]
fn a_name_that_no_route_is_for_meets_nobody() {
    let lab = Lab::new("");
    for dialect in [Dialect::asking("c.test"), Dialect::asking("b.test"), Dialect::nameless()] {
        assert!(dialect.connect(lab.gateway.address()).is_err(), "{:?}", dialect.server_name);
    }
    let mut plain = connect(&lab.gateway);
    plain.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").expect("sent");
    assert_refused(&plain);
    let refused = |why: &str| lab.gateway.metric("gateway_tls_handshakes_total", &[&format!("outcome=\"{why}\"")]);
    wait::until("all four to be counted", LIMIT, || {
        ((refused("no_server"), refused("plaintext")) == (3.0, 1.0)).then_some(())
    });
}

/// As by Istio's gateway, whose filter chain for every name has no condition.
#[test]
fn every_name_is_also_what_is_no_tls() {
    let authority = Authority::new("lab");
    let (tls, pair) = tls_server(&authority, "a.test");
    let plain = Server::echoing();
    let objects = |endpoint| {
        let rules = "tls: [{match: [{sniHosts: ['*']}], route: [{destination: {host: one}}]}]";
        objects(TLS, ", tls: {mode: PASSTHROUGH}", rules) + &service("one", &[endpoint])
    };
    let gateway = Gateway::start(&objects(plain.address));
    let mut stream = connect(&gateway);
    for said in [&b"hello"[..], b"again"] {
        stream.write_all(said).expect("sent");
        assert_eq!(super::read_exactly(&stream, said.len()), said);
    }
    let gateway = Gateway::start(&objects(tls.address));
    let client = Dialect::asking("any.test").connect(gateway.address()).expect("a handshake");
    assert_eq!(client.certificate(), pair.der);
}

#[test]
fn a_client_that_says_nothing_is_not_waited_for() {
    let lab = Lab::patient("", Duration::from_millis(300));
    assert_refused(&connect(&lab.gateway));
    let mut slow = connect(&lab.gateway);
    slow.write_all(&[22, 3, 1]).expect("sent");
    assert_refused(&slow);
}

#[test]
fn a_hello_in_pieces_arrives_whole() {
    let lab = Lab::new("");
    let mut stream = connect(&lab.gateway);
    let config = trusting();
    let name = ServerName::try_from("a.test").expect("a name");
    let mut tls = ClientConnection::new(config, name).expect("a client");
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).expect("a hello");
    for piece in hello.chunks(37) {
        stream.write_all(piece).expect("sent");
    }
    let mut tls = StreamOwned::new(tls, stream);
    let sent: Vec<u8> = (0..200_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let mut echoed = vec![0; sent.len()];
    // In pieces that fit on the way: the server reads and writes in turn.
    for (piece, back) in sent.chunks(10_000).zip(echoed.chunks_mut(10_000)) {
        tls.write_all(piece).expect("sent");
        tls.read_exact(back).expect("echoed");
    }
    assert!(echoed == sent);
    assert_eq!(tls.conn.peer_certificates().map(|chain| chain[0].clone()), Some(lab.pairs[0].der.clone()));
}

#[test]
fn tls_that_ends_here_carries_what_comes_out_of_it() {
    let authority = Authority::new("lab");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let server = Server::echoing();
    let objects = pair.secret("c", &[])
        + "---"
        + &objects(TLS, ", tls: {mode: SIMPLE, credentialName: c}", "tcp: [{route: [{destination: {host: backend}}]}]")
        + &service("backend", &[server.address]);
    let gateway = Gateway::start(&objects);
    let stream = connect(&gateway);
    let name = ServerName::try_from("a.test").expect("a name");
    let connection = ClientConnection::new(trusting(), name).expect("a client");
    let mut tls = StreamOwned::new(connection, stream);
    tls.write_all(b"in the clear behind the gateway").expect("sent");
    let mut echoed = [0; 31];
    tls.read_exact(&mut echoed).expect("echoed");
    assert_eq!(&echoed, b"in the clear behind the gateway");
    // The end of the client's side is the server's end, and comes back.
    tls.conn.send_close_notify();
    tls.flush().expect("flushed");
    let mut rest = Vec::new();
    tls.read_to_end(&mut rest).expect("an end in order");
    assert_eq!(rest, b"");
}

#[test]
fn routes_by_name_stand_beside_a_server_that_ends_tls() {
    let authority = Authority::new("lab");
    let pair = authority.sign(&Wish::named(&["web.test"]));
    let web = pair.secret("web", &[])
        + "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: web, protocol: HTTPS}, hosts: [web.test], tls: {mode: SIMPLE, credentialName: web}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec: {hosts: [web.test], gateways: [web], http: [{directResponse: {status: 204}}]}
";
    let lab = Lab::new(&format!("\n{web}"));
    let mut client = Dialect::asking("web.test").connect(lab.gateway.address()).expect("a handshake");
    assert_eq!(client.certificate(), pair.der);
    let answer = client.exchange(get("web.test", "/")).expect("an answer");
    assert_eq!(answer.status(), 204);
    let client = Dialect::asking("a.test").connect(lab.gateway.address()).expect("a handshake");
    assert_eq!(client.certificate(), lab.pairs[0].der);
}
