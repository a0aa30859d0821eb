//! Whom the gateway asks for, and whom it takes a backend for.

use super::{Lab, ONCE, ask, is_refused};
use crate::gateway::{Gateway, routes};
use gateway::routing::{address_guard::AddressBlock, compiler::CompileSettings};
use harness::tls::certificates::{Authority, Wish};

fn asked(lab: &Lab) -> Vec<Option<String>> {
    lab.front.met().into_iter().map(|met| met.server_name).collect()
}

#[test]
fn without_a_name_in_the_rule_the_host_decides() {
    let lab = Lab::with(|authority| authority.sign(&Wish::named(&["*.a.test", "127.0.0.9"])), None);
    let gateway = lab.gateway(super::SIMPLE);
    for host in ["x.a.test", "y.a.test:8443", "127.0.0.9"] {
        assert_eq!(ask(&gateway, host).status(), 200, "{host}");
    }
    for host in ["a.test", "z.x.a.test", "127.0.0.8", "[::1]:80", "a_b"] {
        is_refused(&ask(&gateway, host));
    }
    let asked = asked(&lab);
    assert_eq!(asked, [Some("x.a.test".to_owned()), Some("y.a.test".to_owned()), None], "addresses are not asked for");
}

/// A connection that was made for one host serves no other.
#[test]
fn hosts_do_not_share_connections() {
    let lab = Lab::with(|authority| authority.sign(&Wish::named(&["*.a.test"])), None);
    let gateway = lab.gateway(super::SIMPLE);
    let mut client = gateway.connect();
    for host in ["x.a.test", "y.a.test", "x.a.test", "y.a.test"] {
        assert_eq!(client.exchange(harness::http::client::get(host, "/")).status(), 200);
    }
    assert_eq!(asked(&lab), [Some("x.a.test".to_owned()), Some("y.a.test".to_owned())]);
    is_refused(&client.exchange(harness::http::client::get("elsewhere.test", "/")));
}

#[test]
fn the_host_is_that_of_the_request_as_it_goes_out() {
    let lab = Lab::new();
    let objects = lab.objects(
        "  - rewrite: {authority: a.test}\n    retries: {attempts: 0}\n    route: [{destination: {host: backend}}]",
        super::SIMPLE,
    );
    assert_eq!(ask(&Gateway::start(&objects), "anything.test").status(), 200);
    assert_eq!(asked(&lab), [Some("a.test".to_owned())]);
}

/// With `sni` and without `subjectAltNames` Istio's gateway looks at the authority alone.
#[test]
fn a_name_in_the_rule_is_asked_for_and_not_checked() {
    let lab = Lab::new();
    let gateway = lab.gateway("{mode: SIMPLE, credentialName: trust, sni: other.test}");
    assert_eq!(ask(&gateway, "whatever.test").status(), 200);
    assert_eq!(asked(&lab), [Some("other.test".to_owned())]);
}

#[test]
fn one_of_the_alternative_names_must_be_there() {
    let wish = Wish { uris: vec!["spiffe://lab/x".to_owned()], ..Wish::named(&["a.test", "*.b.test", "127.0.0.9"]) };
    let lab = Lab::with(|authority| authority.sign(&wish), None);
    for (names, is_good) in [
        ("[a.test]", true),
        ("[nobody.test, x.b.test]", true),
        ("[spiffe://lab/x]", true),
        ("[127.0.0.9]", true),
        ("[b.test]", false),
        ("[spiffe://lab/y]", false),
    ] {
        let gateway = lab.gateway(&format!("{{mode: SIMPLE, credentialName: trust, subjectAltNames: {names}}}"));
        let answer = ask(&gateway, "unknown.test");
        if is_good {
            assert_eq!(answer.status(), 200, "{names}");
        } else {
            is_refused(&answer);
        }
    }
}

/// A ServiceEntry names who its endpoints are, where the rule does not.
#[test]
fn the_names_of_a_service_entry_stand_in() {
    for (names, is_good) in [("[a.test]", true), ("[b.test]", false)] {
        let lab = Lab::new();
        let address = lab.front.address();
        let objects = routes("  - retries: {attempts: 0}\n    route: [{destination: {host: ext.test}}]")
            + &super::rule("{mode: SIMPLE, credentialName: trust, sni: ext.test}")
                .replace("host: backend", "host: ext.test")
            + &lab.trust()
            + &format!(
                "
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: ext}}
spec:
  hosts: [ext.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 443, name: http, protocol: HTTP, targetPort: {port}}}]
  endpoints: [{{address: {ip}}}]
  subjectAltNames: {names}
",
                port = address.port(),
                ip = address.ip(),
            );
        let mut settings = CompileSettings::default();
        settings.address_guard.allowed.extend(AddressBlock::parse("127.0.0.0/8"));
        let answer = ask(&Gateway::compiling(&objects, settings), "ext.test");
        assert_eq!(answer.status(), if is_good { 200 } else { 503 }, "{names}");
    }
}

#[test]
fn who_skips_verification_takes_anybody() {
    let lab = Lab::with(|_| Authority::new("strangers").sign(&Wish { expired: true, ..Wish::named(&["x"]) }), None);
    let gateway = lab.gateway("{mode: SIMPLE, insecureSkipVerify: true}");
    assert_eq!(ask(&gateway, "a.test").status(), 200);
    assert_eq!(asked(&lab), [Some("a.test".to_owned())]);
}

/// Without an authority of its own a rule trusts whom everybody trusts (`file-root:system` in istio's cluster_tls.go), who
/// has not signed this.
#[test]
fn without_an_authority_the_system_s_are_trusted() {
    let lab = Lab::new();
    is_refused(&ask(&lab.gateway("{mode: SIMPLE}"), "a.test"));
    assert!(lab.backend.requests().is_empty());
}

#[test]
fn subsets_and_ports_have_settings_of_their_own() {
    let lab = Lab::new();
    let yaml = lab.objects(ONCE, super::SIMPLE).replace(
        "trafficPolicy: {tls: {mode: SIMPLE, credentialName: trust}}",
        "trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE, credentialName: trust}}]}",
    );
    let gateway = Gateway::start(&yaml);
    assert_eq!(ask(&gateway, "a.test").status(), 200);
}
