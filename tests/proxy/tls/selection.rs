//! Which server, certificate, version and protocol a handshake comes to.

use super::{Lab, a_test, https};
use crate::gateway::{Gateway, routes, service};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    objects::PORT,
    tls::{
        certificates::{Authority, Pair, Wish},
        client::Dialect,
    },
    wait,
};
use rustls::{CipherSuite, ProtocolVersion, SignatureScheme, version};
use std::{io::ErrorKind, time::Duration};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_request_by_tls_arrives_as_istios_gateway_sends_it() {
    let lab = Lab::simple();
    let mut client = a_test().connect(lab.address()).expect("a handshake");
    assert_eq!(client.certificate(), lab.pair.der);
    assert_eq!(client.alpn(), Some(&b"http/1.1"[..]));
    assert_eq!(client.version(), Some(ProtocolVersion::TLSv1_3));
    for _ in 0..3 {
        let response = client.exchange(get("a.test", "/x")).expect("an answer");
        assert_eq!((response.status(), response.text()), (200, "hello"));
    }
    let requests = lab.backend.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].field("x-forwarded-proto"), Some("https"));
    assert_eq!(requests[0].field("x-forwarded-client-cert"), None);
    assert_eq!(lab.gateway.metric("gateway_tls_handshakes_total", &["outcome=\"ok\""]), 1.0);
}

#[test]
fn a_body_of_megabytes_passes_unchanged_both_ways() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], &body)
    });
    let authority = Authority::new("lab");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let objects = pair.secret("a", &[])
        + &https("a", "[a.test]", "{mode: SIMPLE, credentialName: a}")
        + &service("backend", &[backend.address()]);
    let gateway = Gateway::start(&objects);
    let body: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let mut request = format!("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    request.extend_from_slice(&body);
    let answer = a_test().connect(gateway.address()).expect("a handshake").exchange(request).expect("an answer");
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
}

#[test]
fn the_server_name_chooses_the_closest_server() {
    let authority = Authority::new("lab");
    let backend = Backend::saying("hello");
    let mut objects = service("backend", &[backend.address()]);
    let mut certificates = Vec::new();
    for (name, hosts) in
        [("any", "['*']"), ("wide", "['*.x.test']"), ("narrow", "['*.a.x.test']"), ("exact", "[b.x.test]")]
    {
        let pair = authority.sign(&Wish::named(&[&format!("{name}.example")]));
        objects += &pair.secret(name, &[]);
        objects += &https(name, hosts, &format!("{{mode: SIMPLE, credentialName: {name}}}"));
        certificates.push((name, pair.der));
    }
    let gateway = Gateway::start(&objects);
    for (asked, expected) in [
        (Some("b.x.test"), "exact"),
        (Some("B.X.Test"), "exact"),
        (Some("c.x.test"), "wide"),
        (Some("c.b.x.test"), "wide"),
        (Some("c.a.x.test"), "narrow"),
        (Some("a.x.test"), "wide"),
        (Some("x.test"), "any"),
        (Some("other.test"), "any"),
        (None, "any"),
    ] {
        let dialect = asked.map_or_else(Dialect::nameless, Dialect::asking);
        let met = dialect.connect(gateway.address()).expect("a handshake").certificate();
        let name = certificates.iter().find(|(_, der)| *der == met).map(|(name, _)| *name);
        assert_eq!(name, Some(expected), "{asked:?}");
    }
}

/// As Envoy does: no alert, the connection ends.
#[test]
fn a_name_that_no_server_is_for_ends_the_connection() {
    let lab = Lab::simple();
    for dialect in [Dialect::asking("b.test"), Dialect::nameless()] {
        let error = dialect.connect(lab.address()).expect_err("no server");
        assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
    }
    let failed = || lab.gateway.metric("gateway_tls_handshakes_total", &["outcome=\"no_server\""]);
    wait::until("both to be counted", PATIENCE, || (failed() == 2.0).then_some(()));
    assert_eq!(lab.ask(&a_test()).expect("others are served").status(), 200);
}

/// Every HTTPS server has a route table of its own: a Host of another server is 404 there.
#[test]
fn hosts_are_looked_for_in_the_servers_own_table() {
    let authority = Authority::new("lab");
    let backend = Backend::saying("hello");
    let pair = authority.sign(&Wish::named(&["a.test", "b.test"]));
    let objects = pair.secret("a", &[])
        + &https("a", "[a.test]", "{mode: SIMPLE, credentialName: a}")
        + &https("b", "[b.test]", "{mode: SIMPLE, credentialName: a}")
        + &service("backend", &[backend.address()]);
    let gateway = Gateway::start(&objects);
    let mut client = a_test().connect(gateway.address()).expect("a handshake");
    let mut status = |host: &str| client.exchange(get(host, "/")).expect("an answer").status();
    assert_eq!(status("a.test"), 200);
    assert_eq!(status("b.test"), 404);
    assert_eq!(status(&format!("a.test:{PORT}")), 200);
    let mut client = Dialect::asking("b.test").connect(gateway.address()).expect("a handshake");
    assert_eq!(client.exchange(get("b.test", "/")).expect("an answer").status(), 200);
}

#[test]
fn a_protocol_is_named_only_when_it_is_spoken() {
    let lab = Lab::simple();
    for (offered, chosen) in [(&["http/1.1"][..], Some(&b"http/1.1"[..])), (&["foo"], None), (&[], None)] {
        let mut client = a_test().offering(offered).connect(lab.address()).expect("a handshake");
        assert_eq!(client.alpn(), chosen, "{offered:?}");
        assert_eq!(client.exchange(get("a.test", "/")).expect("an answer").status(), 200);
    }
    for offered in [&["h2"][..], &["h2", "http/1.1"], &["http/1.1", "h2"]] {
        let client = a_test().offering(offered).connect(lab.address()).expect("a handshake");
        assert_eq!(client.alpn(), Some(&b"h2"[..]), "{offered:?}");
    }
}

#[test]
fn versions_are_those_that_are_allowed() {
    let lab = Lab::new("{mode: SIMPLE, credentialName: a, minProtocolVersion: TLSV1_3}", &[]);
    assert!(a_test().only(&version::TLS12).connect(lab.address()).is_err());
    assert_eq!(lab.ask(&a_test().only(&version::TLS13)).expect("an answer").status(), 200);
    let lab = Lab::new("{mode: SIMPLE, credentialName: a, maxProtocolVersion: TLSV1_2}", &[]);
    assert!(a_test().only(&version::TLS13).connect(lab.address()).is_err());
    assert_eq!(lab.ask(&a_test().only(&version::TLS12)).expect("an answer").status(), 200);
}

#[test]
fn suites_of_tls_1_2_are_those_that_are_named() {
    let lab = Lab::new("{mode: SIMPLE, credentialName: a, cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384]}", &[]);
    let client = a_test().only(&version::TLS12).connect(lab.address()).expect("a handshake");
    assert_eq!(client.suite(), Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384));
    let mut other = a_test().only(&version::TLS12);
    other.suites = vec![CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
    assert!(other.connect(lab.address()).is_err());
    assert!(a_test().only(&version::TLS13).connect(lab.address()).is_ok(), "those of TLS 1.3 cannot be chosen");
}

#[test]
fn a_client_gets_the_certificate_it_can_check() {
    let authority = Authority::new("lab");
    let backend = Backend::saying("hello");
    let ecdsa = authority.sign(&Wish::named(&["a.test"]));
    let rsa = authority.sign(&Wish { rsa: true, ..Wish::named(&["a.test"]) });
    let objects = rsa.secret("rsa", &[])
        + &ecdsa.secret("ecdsa", &[])
        + &https("a", "[a.test]", "{mode: SIMPLE, credentialNames: [ecdsa, rsa]}")
        + &service("backend", &[backend.address()]);
    assert_each_gets_its_own(&Gateway::start(&objects), &ecdsa, &rsa);
}

/// Clients that can check one kind of key alone, with either version, and those that can check both.
pub(super) fn assert_each_gets_its_own(gateway: &Gateway, ecdsa: &Pair, rsa: &Pair) {
    let met = |dialect: &Dialect| dialect.connect(gateway.address()).expect("a handshake").certificate();
    for version in [&version::TLS12, &version::TLS13] {
        let mut dialect = a_test().only(version);
        assert_eq!(met(&dialect), ecdsa.der, "the first that is named");
        dialect.schemes = vec![SignatureScheme::ECDSA_NISTP256_SHA256];
        assert_eq!(met(&dialect), ecdsa.der);
        dialect.schemes = vec![SignatureScheme::RSA_PSS_SHA256];
        assert_eq!(met(&dialect), rsa.der);
    }
}

#[test]
fn a_session_is_resumed() {
    let lab = Lab::simple();
    for version in [&version::TLS12, &version::TLS13] {
        let dialect = a_test().only(version).remembering();
        let mut first = dialect.connect(lab.address()).expect("a handshake");
        assert!(!first.is_resumed());
        // The tickets of TLS 1.3 come with the first answer.
        assert_eq!(first.exchange(get("a.test", "/")).expect("an answer").status(), 200);
        let mut second = dialect.connect(lab.address()).expect("a handshake");
        assert!(second.is_resumed(), "{version:?}");
        assert_eq!(second.exchange(get("a.test", "/")).expect("an answer").status(), 200);
    }
}

/// TLS that came first shares the port with plaintext that came later; first bytes tell them apart.
#[test]
fn plaintext_and_tls_share_a_port() {
    let authority = Authority::new("lab");
    let backend = Backend::saying("hello");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let objects = pair.secret("a", &[])
        + &https("a", "[a.test]", "{mode: SIMPLE, credentialName: a}")
        + "---"
        // Objects without a time are in the order of their names: `a` is before `gateway`.
        + &routes("  - route: [{destination: {host: backend}}]")
        + &service("backend", &[backend.address()]);
    let gateway = Gateway::start(&objects);
    assert_eq!(Client::connect(gateway.address()).exchange(get("any.test", "/")).status(), 200);
    let mut client = a_test().connect(gateway.address()).expect("a handshake");
    assert_eq!(client.exchange(get("a.test", "/")).expect("an answer").status(), 200);
    let requests = backend.requests();
    let schemes: Vec<_> = requests.iter().map(|request| request.field("x-forwarded-proto")).collect();
    assert_eq!(schemes, [Some("http"), Some("https")]);
}
