//! Clients that do not speak as they should, or not at all.

use super::{Lab, a_test, https};
use crate::gateway::{Gateway, service};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    tls::{
        certificates::{Authority, Wish},
        client::Dialect,
    },
    wait,
};
use std::{process::Command, time::Duration};

const PATIENCE: Duration = Duration::from_secs(20);

fn until_counted(lab: &Lab, outcome: &str) {
    let label = format!("outcome=\"{outcome}\"");
    wait::until("the failure to be counted", PATIENCE, || {
        (lab.gateway.metric("gateway_tls_handshakes_total", &[&label]) >= 1.0).then_some(())
    });
}

#[test]
fn plaintext_on_a_tls_port_ends_without_an_answer() {
    let lab = Lab::simple();
    let mut client = lab.gateway.connect();
    client.send(get("a.test", "/"));
    assert!(client.is_closed());
    until_counted(&lab, "plaintext");
    assert!(lab.backend.requests().is_empty());
}

#[test]
fn records_that_are_none_end_the_connection_and_nothing_else() {
    let lab = Lab::simple();
    let hello = [&[0x16, 3, 1, 0, 5][..], b"hello"].concat();
    let endless = [&[0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..], &[0; 70_000]].concat();
    let huge = [&[0x16, 3, 3, 0xff, 0xff][..], &[0; 100]].concat();
    for bytes in [hello, endless, huge] {
        let mut client = lab.gateway.connect();
        // It may be closed before everything was sent.
        let _sent = client.try_send(&bytes).is_ok();
        // An alert may come; then the end.
        let _end = client.rest().is_ok();
    }
    until_counted(&lab, "protocol");
    assert_eq!(lab.ask(&a_test()).expect("others are served").status(), 200);
}

#[test]
fn a_handshake_that_stands_still_is_ended() {
    let authority = Authority::new("lab");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let backend = Backend::saying("hello");
    let objects = pair.secret("a", &[])
        + &https("a", "[a.test]", "{mode: SIMPLE, credentialName: a}")
        + &service("backend", &[backend.address()]);
    let gateway = Gateway::with(&objects, |settings| settings.limits.handshake_timeout = Duration::from_millis(300));
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut client = gateway.connect();
        client.send(beginning);
        assert!(client.is_closed());
    }
    assert_eq!(gateway.metric("gateway_tls_handshakes_total", &["outcome=\"timeout\""]), 2.0);
    assert_eq!(gateway.metric("gateway_downstream_connections", &[]), 0.0);
}

#[test]
fn tls_on_a_plaintext_port_is_no_request() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&crate::gateway::everything_to(backend.address()));
    assert!(a_test().connect(gateway.address()).is_err());
    assert_eq!(Client::connect(gateway.address()).exchange(get("a", "/")).status(), 200);
    assert_eq!(backend.requests().len(), 1);
}

/// Other people's clients: curl and openssl.
#[test]
fn curl_and_openssl_are_served() {
    let lab = Lab::simple();
    let address = lab.address();
    let directory = tempfile::tempdir().expect("a directory");
    let authority = directory.path().join("ca.pem");
    std::fs::write(&authority, &lab.authority.certificate).expect("written");
    let authority = authority.to_string_lossy();
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"], &["--http1.1"], &[]] {
        let curl = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--cacert", &authority])
            .args(["--connect-to", &format!("a.test:443:{address}"), "https://a.test/"])
            .args(version)
            .output()
            .expect("curl is installed");
        assert_eq!(String::from_utf8_lossy(&curl.stdout), "hello", "{version:?}: {curl:?}");
    }
    let openssl = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-servername", "a.test", "-brief"])
        .args(["-verify_return_error", "-CAfile", &authority])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl is installed");
    let said = String::from_utf8_lossy(&openssl.stderr);
    assert!(said.contains("Verification: OK") && said.contains("TLSv1.3"), "{said}");
    assert!(Dialect::asking("a.test").connect(address).is_ok());
}
