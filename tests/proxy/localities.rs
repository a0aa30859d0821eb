//! Endpoints at several places: which get requests, and which when the nearest fail.

use crate::gateway::Gateway;
use gateway::routing::{address_guard::AddressBlock, compiler::CompileSettings};
use harness::http::{backend::Backend, client::get};
use std::collections::BTreeMap;

/// A gateway in `r1/z1` before endpoints of one ServiceEntry, each at its place.
fn gateway(endpoints: &[(&Backend, &str)], retries: &str, policy: &str) -> Gateway {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|(backend, place)| {
            let address = backend.address();
            format!("  - {{address: {}, ports: {{http: {}}}, locality: {place}}}", address.ip(), address.port())
        })
        .collect();
    let yaml = format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: g}}
spec: {{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: 8080, name: http, protocol: HTTP}}, hosts: ['*']}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: v}}
spec:
  hosts: ['*']
  gateways: [g]
  http:
  - retries: {retries}
    route: [{{destination: {{host: s.test}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: s}}
spec:
  hosts: [s.test]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints:
{}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: s}}
spec: {{host: s.test, trafficPolicy: {policy}}}
",
        endpoints.join("\n")
    );
    let mut settings = CompileSettings::default();
    settings.address_guard.allowed.extend(AddressBlock::parse("127.0.0.0/8"));
    settings.gateway_labels.insert("istio-locality".into(), "r1.z1".into());
    Gateway::compiling(&yaml, settings)
}

fn answers(gateway: &Gateway, count: usize) -> BTreeMap<String, usize> {
    let mut client = gateway.connect();
    let mut answers = BTreeMap::new();
    for _ in 0..count {
        *answers.entry(client.exchange(get("a", "/")).text().to_owned()).or_insert(0) += 1;
    }
    answers
}

#[test]
fn the_nearest_are_asked_until_they_fail() {
    let near = Backend::start(|exchange| {
        let status = if exchange.request.target().contains("fail") { "500 Internal Server Error" } else { "200 OK" };
        exchange.respond(status, &[], b"near")
    });
    let (next, far) = (Backend::saying("next"), Backend::saying("far"));
    let policy = "{outlierDetection: {consecutive5xxErrors: 1, baseEjectionTime: 10m, maxEjectionPercent: 100}}";
    let gateway = gateway(&[(&far, "r2/z1"), (&near, "r1/z1"), (&next, "r1/z2")], "{attempts: 0}", policy);
    assert_eq!(answers(&gateway, 30), [("near".to_owned(), 30)].into());
    assert_eq!(gateway.connect().exchange(get("a", "/fail")).status(), 500);
    assert_eq!(answers(&gateway, 30), [("next".to_owned(), 30)].into());
    assert_eq!(far.connections(), 0, "nobody goes further than needed");
}

#[test]
fn without_outlier_detection_places_make_no_difference() {
    let (near, far) = (Backend::saying("near"), Backend::saying("far"));
    let policy = "{loadBalancer: {simple: ROUND_ROBIN}}";
    let gateway = gateway(&[(&near, "r1/z1"), (&far, "r2/z1")], "{attempts: 0}", policy);
    assert_eq!(answers(&gateway, 30), [("far".to_owned(), 15), ("near".to_owned(), 15)].into());
}

#[test]
fn retries_leave_a_locality_that_fails() {
    let near = Backend::start(|exchange| exchange.respond("503 Service Unavailable", &[], b"near"));
    let far = Backend::saying("far");
    let policy = "{outlierDetection: {consecutive5xxErrors: 0}}";
    let places = [(&near, "r1/z1"), (&far, "r2/z1")];
    let leaving = "{attempts: 2, retryOn: 5xx, backoff: 1ms, retryRemoteLocalities: true}";
    let gateway_that_leaves = gateway(&places, leaving, policy);
    assert_eq!(answers(&gateway_that_leaves, 5), [("far".to_owned(), 5)].into());
    assert_eq!(near.requests().len(), 10, "two attempts each before");
    let staying = gateway(&places, "{attempts: 2, retryOn: 5xx, backoff: 1ms}", policy);
    assert_eq!(answers(&staying, 5), [("near".to_owned(), 5)].into());
}
