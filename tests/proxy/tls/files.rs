//! Certificates, authorities and revocation lists in files of the gateway's pod.

use super::{
    a_test,
    clients::{certificate_hash, client, is_served},
    https,
    secrets::only_problem,
    selection::assert_each_gets_its_own,
};
use crate::gateway::{Gateway, service};
use harness::{
    http::backend::Backend,
    tls::certificates::{Authority, Pair, Wish},
};
use std::fs;
use tempfile::TempDir;

/// Files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// Writes `pair`; returns the fields that name its files.
    fn keep(&self, name: &str, pair: &Pair) -> String {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        self.write(&certificate, &pair.certificate);
        self.write(&key, &pair.key);
        format!("serverCertificate: '{}', privateKey: '{}'", self.path(&certificate), self.path(&key))
    }
}

#[test]
fn certificates_in_files_are_read_again_when_they_change() {
    let authority = Authority::new("lab");
    let files = Files::new();
    let first = authority.sign(&Wish::named(&["a.test"]));
    let tls = format!("{{mode: SIMPLE, {}}}", files.keep("a", &first));
    let backend = Backend::saying("hello");
    let mut gateway = Gateway::start(&(https("a", "[a.test]", &tls) + &service("backend", &[backend.address()])));
    let met = |gateway: &Gateway| a_test().connect(gateway.address()).expect("a handshake").certificate();
    assert_eq!(met(&gateway), first.der);
    // Half of the change: the key does not fit, and the old pair stays.
    let second = authority.sign(&Wish::named(&["a.test"]));
    files.write("a.crt", &second.certificate);
    gateway.look_at_files();
    assert_eq!(met(&gateway), first.der);
    assert!(only_problem(&gateway).contains("is not the key of the certificate"));
    files.write("a.key", &second.key);
    gateway.look_at_files();
    assert_eq!(met(&gateway), second.der);
    assert!(gateway.tls_problems().is_empty());
    fs::remove_file(files.path("a.key")).expect("removed");
    gateway.look_at_files();
    assert_eq!(met(&gateway), second.der);
    assert!(only_problem(&gateway).contains(&format!("the file {}: cannot be read", files.path("a.key"))));
}

/// The authority is that of the server: those of the single certificates are nobody's, as at Istio's gateway.
#[test]
fn files_may_hold_a_certificate_for_each_kind_of_key() {
    let (authority, strangers) = (Authority::new("lab"), Authority::new("strangers"));
    let files = Files::new();
    let ecdsa = authority.sign(&Wish::named(&["a.test"]));
    let rsa = authority.sign(&Wish { rsa: true, ..Wish::named(&["a.test"]) });
    let (first, second) = (files.keep("ecdsa", &ecdsa), files.keep("rsa", &rsa));
    files.write("strangers.crt", &strangers.certificate);
    let backend = Backend::saying("hello");
    let pairs = format!("[{{{first}, caCertificates: '{}'}}, {{{second}}}]", files.path("strangers.crt"));
    let start = |tls: &str| Gateway::start(&(https("a", "[a.test]", tls) + &service("backend", &[backend.address()])));
    assert_each_gets_its_own(&start(&format!("{{mode: SIMPLE, tlsCertificates: {pairs}}}")), &ecdsa, &rsa);

    files.write("ca.crt", &authority.certificate);
    let ca = files.path("ca.crt");
    let gateway = start(&format!("{{mode: MUTUAL, tlsCertificates: {pairs}, caCertificates: '{ca}'}}"));
    assert!(is_served(gateway.address(), &a_test().as_(&client(&authority))));
    assert!(!is_served(gateway.address(), &a_test().as_(&client(&strangers))));
}

#[test]
fn clients_are_checked_by_authorities_and_revocation_lists_in_files() {
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    let (good, revoked) = (client(&clients), client(&clients));
    let files = Files::new();
    files.write("ca.crt", &clients.certificate);
    files.write("ca.crl", &clients.revoke(&[&revoked]));
    let pair = files.keep("a", &strangers.sign(&Wish::named(&["a.test"])));
    let (ca, crl) = (files.path("ca.crt"), files.path("ca.crl"));
    let tls = format!("{{mode: MUTUAL, {pair}, caCertificates: '{ca}', caCrl: '{crl}'}}");
    let backend = Backend::saying("hello");
    let mut gateway = Gateway::start(&(https("a", "[a.test]", &tls) + &service("backend", &[backend.address()])));
    let served = |gateway: &Gateway, pair: &Pair| is_served(gateway.address(), &a_test().as_(pair));
    assert!(!is_served(gateway.address(), &a_test()), "without a certificate");
    assert!(served(&gateway, &good));
    assert!(!served(&gateway, &revoked));
    assert!(!served(&gateway, &client(&strangers)));

    files.write("ca.crl", &clients.revoke(&[&good]));
    gateway.look_at_files();
    assert!(!served(&gateway, &good));
    assert!(served(&gateway, &revoked));
    files.write("ca.crt", &strangers.certificate);
    files.write("ca.crl", &strangers.revoke(&[&revoked]));
    gateway.look_at_files();
    assert!(served(&gateway, &client(&strangers)));
    assert!(!served(&gateway, &revoked));
    assert!(gateway.tls_problems().is_empty());
}

/// Unlike at Istio's gateway, where they have no effect beside files.
#[test]
fn pins_hold_beside_files_too() {
    let clients = Authority::new("clients");
    let (good, other) = (client(&clients), client(&clients));
    let files = Files::new();
    files.write("ca.crt", &clients.certificate);
    let pair = files.keep("a", &clients.sign(&Wish::named(&["a.test"])));
    let (ca, pin) = (files.path("ca.crt"), certificate_hash(&good));
    let tls = format!("{{mode: MUTUAL, {pair}, caCertificates: '{ca}', verifyCertificateHash: ['{pin}']}}");
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&(https("a", "[a.test]", &tls) + &service("backend", &[backend.address()])));
    assert!(is_served(gateway.address(), &a_test().as_(&good)));
    assert!(!is_served(gateway.address(), &a_test().as_(&other)));
}
