//! Secrets that come, change, break and go.

use super::{Lab, a_test, https};
use crate::gateway::{Gateway, service};
use gateway::{
    control::delta::Delta,
    ingest::manifest,
    model::object::{Kind, ObjectId},
};
use harness::{
    http::backend::Backend,
    tls::certificates::{Authority, Wish, secret},
};
use std::thread;

pub(super) fn only_problem(gateway: &Gateway) -> String {
    let problems = gateway.tls_problems();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].to_string()
}

#[test]
fn a_server_without_a_secret_refuses_handshakes_until_it_comes() {
    let authority = Authority::new("lab");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let backend = Backend::saying("hello");
    let objects =
        https("a", "[a.test]", "{mode: SIMPLE, credentialName: a}") + &service("backend", &[backend.address()]);
    let mut gateway = Gateway::start(&objects);
    assert!(a_test().connect(gateway.address()).is_err());
    let problem = only_problem(&gateway);
    assert!(problem.contains("Gateway default/a spec.servers[0].tls.credentialName"), "{problem}");
    assert!(problem.contains("Secret istio-system/a does not exist: create it"), "{problem}");
    // One in another namespace is another one.
    gateway.apply(&pair.secret("a", &[]).replace("namespace: istio-system", "namespace: default"));
    assert!(a_test().connect(gateway.address()).is_err());
    assert!(only_problem(&gateway).contains("the one in default is not looked at; put it into istio-system"));
    gateway.apply(&pair.secret("a", &[]));
    assert_eq!(a_test().connect(gateway.address()).expect("a handshake").certificate(), pair.der);
    assert!(gateway.tls_problems().is_empty());
}

#[test]
fn both_layouts_of_secrets_are_read() {
    let mut lab = Lab::simple();
    let pair = lab.authority.sign(&Wish::named(&["a.test"]));
    lab.gateway.apply(&secret("a", &[("cert", &pair.certificate), ("key", &pair.key)]));
    assert_eq!(a_test().connect(lab.address()).expect("a handshake").certificate(), pair.der);
}

#[test]
fn a_new_certificate_is_shown_and_no_handshake_is_lost() {
    let mut lab = Lab::simple();
    let address = lab.address();
    let load = thread::spawn(move || {
        (0..60).map(|_| a_test().connect(address).map(|client| client.certificate())).collect::<Vec<_>>()
    });
    let mut shown = vec![lab.pair.der.clone()];
    for _ in 0..10 {
        let pair = lab.authority.sign(&Wish::named(&["a.test"]));
        lab.gateway.apply(&pair.secret("a", &[]));
        assert_eq!(a_test().connect(address).expect("a handshake").certificate(), pair.der, "at once");
        shown.push(pair.der);
    }
    for met in load.join().expect("no panic") {
        assert!(shown.contains(&met.expect("a handshake")));
    }
}

#[test]
fn the_last_good_certificate_stays_when_a_secret_breaks_or_vanishes() {
    let mut lab = Lab::simple();
    let (other, rsa) = (
        lab.authority.sign(&Wish::named(&["a.test"])),
        lab.authority.sign(&Wish { rsa: true, ..Wish::named(&["a.test"]) }),
    );
    let many = lab.pair.certificate.repeat(300);
    let broken: &[(&str, &str, &str, &str)] = &[
        ("nonsense", &other.key, "data.tls.crt", "holds no certificate"),
        (&other.certificate, "nonsense", "data.tls.key", "holds no private key"),
        (&other.certificate, &rsa.key, "data.tls.key", "is not the key of the certificate"),
        (&rsa.certificate, &other.key, "data.tls.key", "is not the key of the certificate"),
        (&other.certificate, "", "data", "needs tls.crt and tls.key, or cert and key"),
        (&many, &lab.pair.key, "data.tls.crt", "more than a handshake can carry"),
        (
            &other.certificate,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "data.tls.key",
            "is no key that can be used",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &other.key,
            "data.tls.crt",
            "is no X.509 certificate",
        ),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", &other.key, "data.tls.crt", "a section has no end"),
        ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", &other.key, "data.tls.crt", "is no base64"),
    ];
    for (certificate, key, field, reason) in broken {
        let yaml = secret("a", &[("tls.crt", certificate), ("tls.key", key)]);
        lab.gateway.apply(&yaml);
        assert_eq!(a_test().connect(lab.address()).expect("a handshake").certificate(), lab.pair.der, "{reason}");
        let problem = only_problem(&lab.gateway);
        let field = field.replace("data.", "stringData.");
        assert!(problem.starts_with(&format!("Secret istio-system/a {field}: ")), "{problem}");
        assert!(problem.contains(reason), "{problem}");
        assert!(problem.contains("the last good certificate stays in force"), "{problem}");
    }
    lab.gateway.learn(Delta::Delete(ObjectId::new(Kind::Secret, "istio-system", "a")));
    assert_eq!(a_test().connect(lab.address()).expect("a handshake").certificate(), lab.pair.der);
    assert!(only_problem(&lab.gateway).contains("does not exist"));
    lab.gateway.apply(&other.secret("a", &[]));
    assert_eq!(a_test().connect(lab.address()).expect("a handshake").certificate(), other.der);
    assert!(lab.gateway.tls_problems().is_empty());
}

#[test]
fn a_certificate_that_has_expired_is_shown_and_reported() {
    let mut lab = Lab::simple();
    let expired = lab.authority.sign(&Wish { expired: true, ..Wish::named(&["a.test"]) });
    lab.gateway.apply(&expired.secret("a", &[]));
    assert_eq!(a_test().connect(lab.address()).expect("a handshake").certificate(), expired.der);
    assert!(only_problem(&lab.gateway).contains("has expired"));
}

/// A line of the key's text, in its own form and in that of `data`, is nowhere in what a gateway prints of itself.
#[test]
fn no_key_is_in_anything_that_is_shown() {
    let mut lab = Lab::simple();
    assert_eq!(lab.ask(&a_test()).expect("an answer").status(), 200);
    let yaml = lab.pair.secret("a", &[]);
    let parsed = manifest::parse(&yaml, "test.yaml", "default");
    let broken = secret("a", &[("tls.crt", &lab.pair.key), ("tls.key", &lab.pair.certificate)]);
    let mut shown = format!("{parsed:?} {:?}", Delta::Apply(parsed.manifests[0].clone()));
    shown += &lab.gateway.shown();
    lab.gateway.apply(&broken);
    shown += &lab.gateway.shown();
    // Text that is no YAML is reported without itself.
    let torn = yaml.replace("stringData:", "stringData: [");
    shown += &format!("{:?}", manifest::parse(&torn, "test.yaml", "default"));
    assert!(shown.contains("istio-system") && shown.contains("tls.key"), "there is something to look through");
    let canary = lab.pair.key.lines().nth(1).expect("a line of base64");
    assert!(!shown.contains(canary), "the key is shown");
}

#[test]
fn one_broken_secret_touches_no_other_server() {
    let mut lab = Lab::simple();
    let other = lab.authority.sign(&Wish::named(&["b.test"]));
    lab.gateway.apply(&(https("b", "[b.test]", "{mode: SIMPLE, credentialName: b}") + &other.secret("b", &[])));
    lab.gateway.apply(&secret("b", &[("tls.crt", "broken"), ("tls.key", "broken")]));
    assert_eq!(lab.ask(&a_test()).expect("an answer").status(), 200);
}
