//! Where the gateway's own certificate and the backends' authority come from, change, break and go.

use super::{Lab, SIMPLE, ask, is_refused};
use crate::gateway::Gateway;
use gateway::{
    control::delta::Delta,
    model::object::{Kind, ObjectId},
};
use harness::{
    http::client::get,
    tls::certificates::{Authority, Wish, secret},
};
use std::fs;

const MUTUAL: &str = "{mode: MUTUAL, credentialName: own}";

fn only_problem(gateway: &Gateway) -> String {
    let problems = gateway.tls_problems();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].to_string()
}

#[test]
fn mutual_shows_the_certificate_of_the_secret() {
    let clients = Authority::new("clients");
    let lab = Lab::with(|authority| authority.sign(&Wish::named(&["a.test"])), Some(&clients));
    let own = clients.sign(&Wish::named(&["gateway.test"]));
    let objects = lab.objects(super::ONCE, MUTUAL) + &own.secret("own", &[("ca.crt", &lab.authority.certificate)]);
    let gateway = Gateway::start(&objects);
    assert_eq!(ask(&gateway, "a.test").status(), 200);
    assert_eq!(lab.front.met()[0].certificate.as_ref(), Some(&own.der));
    // The authority may be in a Secret of its own.
    let objects = lab.objects(super::ONCE, MUTUAL)
        + &own.secret("own", &[])
        + &secret("own-cacert", &[("cacert", &lab.authority.certificate)]);
    assert_eq!(ask(&Gateway::start(&objects), "a.test").status(), 200);
}

#[test]
fn a_backend_that_wants_another_certificate_gets_no_request() {
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    let lab = Lab::with(|authority| authority.sign(&Wish::named(&["a.test"])), Some(&clients));
    let own = strangers.sign(&Wish::named(&["gateway.test"]));
    let objects = lab.objects(super::ONCE, MUTUAL) + &own.secret("own", &[("ca.crt", &lab.authority.certificate)]);
    let gateway = Gateway::start(&objects);
    assert_eq!(ask(&gateway, "a.test").status(), 503);
    assert_eq!(ask(&lab.gateway(SIMPLE), "a.test").status(), 503, "no certificate at all");
    assert!(lab.backend.requests().is_empty());
}

#[test]
fn a_secret_that_is_not_there_is_waited_for_by_nobody() {
    let lab = Lab::new();
    let mut gateway = lab.gateway("{mode: SIMPLE, credentialName: missing}");
    is_refused(&ask(&gateway, "a.test"));
    assert_eq!(lab.front.met().len(), 0);
    let problem = only_problem(&gateway);
    assert!(problem.contains("DestinationRule default/backend spec.trafficPolicy.tls.credentialName"), "{problem}");
    assert!(problem.contains("Secret istio-system/missing does not exist: create it"), "{problem}");
    assert!(problem.contains("requests get 503 until then"), "{problem}");
    gateway.apply(&lab.trust().replace("name: trust", "name: missing"));
    assert_eq!(ask(&gateway, "a.test").status(), 200);
    assert!(gateway.tls_problems().is_empty());
}

#[test]
fn the_last_good_authority_stays_when_a_secret_breaks_or_vanishes() {
    let lab = Lab::new();
    let mut gateway = lab.gateway(SIMPLE);
    assert_eq!(ask(&gateway, "a.test").status(), 200);
    for (field, text, reason) in [
        ("ca.crt", "nonsense", "holds no certificate"),
        ("ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is no authority"),
        ("tls.crt", "x", "needs ca.crt, or cacert"),
    ] {
        gateway.apply(&secret("trust", &[(field, text)]));
        lab.backend.close_connections();
        assert_eq!(ask(&gateway, "a.test").status(), 200, "{reason}");
        let problem = only_problem(&gateway);
        assert!(problem.contains(reason) && problem.contains("stays in force"), "{problem}");
        assert!(problem.contains("spec.trafficPolicy.tls of DestinationRule default/backend"), "{problem}");
    }
    gateway.learn(Delta::Delete(ObjectId::new(Kind::Secret, "istio-system", "trust")));
    assert_eq!(ask(&gateway, "a.test").status(), 200);
    assert!(only_problem(&gateway).contains("does not exist"));
    // Another authority is in force at once, for new connections.
    gateway.apply(&secret("trust", &[("ca.crt", &Authority::new("strangers").certificate)]));
    let mut client = gateway.connect();
    lab.backend.close_connections();
    harness::wait::until("the old connections to be gone", std::time::Duration::from_secs(20), || {
        (client.exchange(get("a.test", "/")).status() == 503).then_some(())
    });
}

#[test]
fn the_own_certificate_is_exchanged_without_a_failed_request() {
    let clients = Authority::new("clients");
    let lab = Lab::with(|authority| authority.sign(&Wish::named(&["a.test"])), Some(&clients));
    let authority = [("ca.crt", lab.authority.certificate.as_str())];
    let sign = || clients.sign(&Wish::named(&["gateway.test"]));
    let first = sign();
    let mut gateway = Gateway::start(&(lab.objects(super::RULE, MUTUAL) + &first.secret("own", &authority)));
    let mut shown = vec![first.der.clone()];
    for _ in 0..5 {
        assert_eq!(ask(&gateway, "a.test").status(), 200);
        let next = sign();
        gateway.apply(&next.secret("own", &authority));
        shown.push(next.der);
        lab.backend.close_connections();
    }
    assert_eq!(ask(&gateway, "a.test").status(), 200);
    let met = lab.front.met();
    assert!(met.len() > 1);
    assert!(met.iter().all(|met| met.certificate.as_ref().is_some_and(|met| shown.contains(met))));
}

#[test]
fn files_are_read_again_when_they_change() {
    let clients = Authority::new("clients");
    let lab = Lab::with(|authority| authority.sign(&Wish::named(&["a.test"])), Some(&clients));
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let own = clients.sign(&Wish::named(&["gateway.test"]));
    fs::write(path("crt"), &own.certificate).expect("written");
    fs::write(path("key"), &own.key).expect("written");
    let tls = format!(
        "{{mode: MUTUAL, clientCertificate: '{}', privateKey: '{}', caCertificates: '{}'}}",
        path("crt"),
        path("key"),
        path("ca")
    );
    let mut gateway = lab.gateway(&tls);
    is_refused(&ask(&gateway, "a.test"));
    assert!(only_problem(&gateway).contains(&format!("the file {}: cannot be read", path("ca"))));
    fs::write(path("ca"), &lab.authority.certificate).expect("written");
    gateway.look_at_files();
    assert_eq!(ask(&gateway, "a.test").status(), 200);
    assert!(gateway.tls_problems().is_empty());
}

#[test]
fn an_expired_certificate_of_our_own_is_reported() {
    let lab = Lab::new();
    let own = lab.authority.sign(&Wish { expired: true, ..Wish::named(&["gateway.test"]) });
    let objects = lab.objects(super::ONCE, MUTUAL) + &own.secret("own", &[("ca.crt", &lab.authority.certificate)]);
    let gateway = Gateway::start(&objects);
    assert_eq!(ask(&gateway, "a.test").status(), 200, "this backend does not ask for it");
    let problem = only_problem(&gateway);
    assert!(problem.contains("has expired: endpoints will refuse it"), "{problem}");
}

/// The key that is shown to backends is a secret as those of servers are.
#[test]
fn no_client_key_is_in_anything_that_is_shown() {
    let lab = Lab::new();
    let own = lab.authority.sign(&Wish::named(&["gateway.test"]));
    let objects = lab.objects(super::ONCE, MUTUAL) + &own.secret("own", &[("ca.crt", &lab.authority.certificate)]);
    let mut gateway = Gateway::start(&objects);
    assert_eq!(ask(&gateway, "a.test").status(), 200);
    let mut shown = gateway.shown();
    gateway.apply(&secret("own", &[("tls.crt", &own.key), ("tls.key", &own.certificate)]));
    shown += &gateway.shown();
    assert!(shown.contains("tls.key") && shown.contains("own"), "there is something to look through");
    let canary = own.key.lines().nth(1).expect("a line of base64");
    assert!(!shown.contains(canary), "the key is shown");
}
