//! Clients that have to prove who they are.

use super::{Lab, a_test};
use harness::{
    http::client::get,
    tls::{
        certificates::{Authority, Pair, Wish, secret},
        client::Dialect,
    },
    wait,
};
use rustls::version;
use std::{net::SocketAddr, time::Duration};

const PATIENCE: Duration = Duration::from_secs(10);

const MUTUAL: &str = "{mode: MUTUAL, credentialName: a}";

/// A lab whose server verifies clients with `authority`.
fn lab(tls: &str, authority: &Authority) -> Lab {
    Lab::new(tls, &[("ca.crt", &authority.certificate)])
}

pub(super) fn client(authority: &Authority) -> Pair {
    authority.sign(&Wish {
        uris: vec!["spiffe://cluster.local/ns/x/sa/y".to_owned()],
        organisation: Some("Lab, Inc.".to_owned()),
        ..Wish::named(&["client.test"])
    })
}

/// Whether a client that speaks so gets an answer, with either version.
pub(super) fn is_served(address: SocketAddr, dialect: &Dialect) -> bool {
    let answers = [&version::TLS12, &version::TLS13].map(|version| {
        let answer = dialect.clone().only(version).connect(address).and_then(|mut c| c.exchange(get("a.test", "/")));
        answer.is_ok_and(|answer| answer.status() == 200)
    });
    assert_eq!(answers[0], answers[1], "versions differ");
    answers[0]
}

#[test]
fn mutual_needs_a_certificate_of_the_authority() {
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    let lab = lab(MUTUAL, &clients);
    assert!(!is_served(lab.address(), &a_test()), "without a certificate");
    assert!(!is_served(lab.address(), &a_test().as_(&client(&strangers))), "of somebody else");
    let expired = clients.sign(&Wish { expired: true, ..Wish::named(&["client.test"]) });
    assert!(!is_served(lab.address(), &a_test().as_(&expired)), "expired");
    assert!(lab.backend.requests().is_empty());
    assert!(is_served(lab.address(), &a_test().as_(&client(&clients))));
    let refused = || lab.gateway.metric("gateway_tls_handshakes_total", &["outcome=\"client_certificate\""]);
    wait::until("the refusals to be counted", PATIENCE, || (refused() >= 6.0).then_some(()));
}

#[test]
fn optional_mutual_verifies_what_it_is_shown() {
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    let lab = lab("{mode: OPTIONAL_MUTUAL, credentialName: a}", &clients);
    assert!(is_served(lab.address(), &a_test()));
    assert!(is_served(lab.address(), &a_test().as_(&client(&clients))));
    assert!(!is_served(lab.address(), &a_test().as_(&client(&strangers))));
    let seen = lab.backend.requests();
    let has_certificate: Vec<bool> = seen.iter().map(|r| r.field("x-forwarded-client-cert").is_some()).collect();
    assert_eq!(has_certificate, [false, false, true, true]);
}

#[test]
fn the_backend_learns_who_the_client_is_and_only_from_us() {
    let clients = Authority::new("clients");
    let lab = lab(MUTUAL, &clients);
    let pair = client(&clients);
    let request = "GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-client-cert: Hash=forged\r\n\r\n";
    let mut connection = a_test().as_(&pair).connect(lab.address()).expect("a handshake");
    assert_eq!(connection.exchange(request).expect("an answer").status(), 200);
    let request = lab.backend.only_request();
    let said = request.field("x-forwarded-client-cert").expect("there");
    let parts: Vec<&str> = said.split(';').collect();
    assert!(parts[0].starts_with("Hash=") && parts[0].len() == "Hash=".len() + 64, "{said}");
    assert!(parts[1].starts_with("Cert=\"-----BEGIN%20CERTIFICATE-----%0A"), "{said}");
    assert!(parts[1].ends_with("%0A-----END%20CERTIFICATE-----%0A\""), "{said}");
    assert_eq!(
        parts[2..],
        ["Subject=\"CN=client.test,O=Lab\\, Inc.\"", "URI=spiffe://cluster.local/ns/x/sa/y", "DNS=client.test"]
    );
}

#[test]
fn names_and_pins_are_checked() {
    let clients = Authority::new("clients");
    let (good, other) = (client(&clients), clients.sign(&Wish::named(&["other.test"])));
    let by_certificate =
        format!("{{mode: MUTUAL, credentialName: a, verifyCertificateHash: ['{}']}}", certificate_hash(&good));
    let by_key = format!(
        "{{mode: MUTUAL, credentialName: a, verifyCertificateSpki: ['{}']}}",
        base64(&digest(&good.public_key))
    );
    let by_name = "{mode: MUTUAL, credentialName: a, subjectAltNames: [client.test]}".to_owned();
    let by_uri = "{mode: MUTUAL, credentialName: a, subjectAltNames: ['spiffe://cluster.local/ns/x/sa/y']}".to_owned();
    for tls in [by_certificate, by_key, by_name, by_uri] {
        let lab = lab(&tls, &clients);
        assert!(is_served(lab.address(), &a_test().as_(&good)), "{tls}");
        assert!(!is_served(lab.address(), &a_test().as_(&other)), "{tls}");
    }
}

#[test]
fn what_is_revoked_is_refused() {
    let clients = Authority::new("clients");
    let (good, revoked) = (client(&clients), client(&clients));
    let list = clients.revoke(&[&revoked]);
    let lab = Lab::new(MUTUAL, &[("ca.crt", &clients.certificate), ("ca.crl", &list)]);
    assert!(is_served(lab.address(), &a_test().as_(&good)));
    assert!(!is_served(lab.address(), &a_test().as_(&revoked)));
}

/// `NAME-cacert` wins over the authority in `NAME` itself.
#[test]
fn the_authority_may_be_in_a_secret_of_its_own() {
    let (own, companion) = (Authority::new("own"), Authority::new("companion"));
    let mut lab = lab(MUTUAL, &own);
    assert!(is_served(lab.address(), &a_test().as_(&client(&own))));
    lab.gateway.apply(&secret("a-cacert", &[("cacert", &companion.certificate)]));
    assert!(is_served(lab.address(), &a_test().as_(&client(&companion))));
    assert!(!is_served(lab.address(), &a_test().as_(&client(&own))));
}

/// `caCertCredentialName` wins over both.
#[test]
fn the_authority_may_be_in_a_secret_that_is_named() {
    let (own, companion, named) = (Authority::new("own"), Authority::new("companion"), Authority::new("named"));
    let mut lab = lab("{mode: MUTUAL, credentialName: a, caCertCredentialName: clients}", &own);
    assert!(!is_served(lab.address(), &a_test().as_(&client(&own))), "there is no such Secret yet");
    lab.gateway.apply(&secret("a-cacert", &[("cacert", &companion.certificate)]));
    lab.gateway.apply(&secret("clients", &[("ca.crt", &named.certificate)]));
    assert!(is_served(lab.address(), &a_test().as_(&client(&named))));
    assert!(!is_served(lab.address(), &a_test().as_(&client(&own))));
    assert!(!is_served(lab.address(), &a_test().as_(&client(&companion))));
}

#[test]
fn without_verification_any_certificate_will_do() {
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    for (mode, needs_one) in [("OPTIONAL_MUTUAL", false), ("MUTUAL", true)] {
        let lab = lab(&format!("{{mode: {mode}, credentialName: a, insecureSkipVerify: true}}"), &clients);
        assert_eq!(is_served(lab.address(), &a_test()), !needs_one, "{mode}");
        assert!(is_served(lab.address(), &a_test().as_(&client(&strangers))), "{mode}");
    }
}

/// Who was let in once is not let in for ever: sessions do not outlive a change of the authority.
#[test]
fn a_session_does_not_outlive_its_authority() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let mut lab = lab(MUTUAL, &before);
    let dialect = a_test().as_(&client(&before)).remembering();
    for _ in 0..2 {
        let mut client = dialect.connect(lab.address()).expect("a handshake");
        assert_eq!(client.exchange(get("a.test", "/")).expect("an answer").status(), 200);
    }
    let secret = lab.pair.secret("a", &[("ca.crt", &after.certificate)]);
    lab.gateway.apply(&secret);
    assert!(lab.ask(&dialect).is_err());
    assert!(lab.ask(&a_test().as_(&client(&after))).is_ok());
}

/// As `verifyCertificateHash` has it.
pub(super) fn certificate_hash(pair: &Pair) -> String {
    digest(&pair.der).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}
