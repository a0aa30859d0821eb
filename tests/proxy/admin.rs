//! What operators, the kubelet and Prometheus are told.

use crate::gateway::{Gateway, everything_to};
use gateway::{
    admin::{self, Admin, AdminSettings, AdminSources},
    control::publish,
    telemetry::{AccessLogTarget, TelemetrySettings},
};
use harness::http::{
    backend::Backend,
    client::{Client, get},
    message::Message,
};
use std::{net::SocketAddr, sync::Arc};

fn start(gateway: &Gateway) -> Admin {
    let free: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let settings = AdminSettings { admin: free, readiness: Some(free), metrics: Some(free) };
    let problems = gateway.problems.clone();
    let sources = AdminSources {
        published: publish::channel().1,
        telemetry: gateway.telemetry.clone(),
        readiness: gateway.readiness.clone(),
        about: Arc::new(|| serde_json::json!({"version": "1"})),
        problems: Arc::new(move || problems.list()),
        fastpath: Arc::new(|| serde_json::json!({"mode": "userspace", "reason": "no bpffs"})),
    };
    admin::start(&settings, sources).expect("free ports")
}

fn ask(address: SocketAddr, target: &str) -> Message {
    Client::connect(address).exchange(get("admin", target))
}

#[test]
fn every_audience_sees_its_own_pages() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let admin = start(&gateway);
    let (operator, kubelet) = (admin.bound.admin, admin.bound.readiness.expect("bound"));
    let prometheus = admin.bound.metrics.expect("bound");
    for (address, target, status) in [
        (operator, "/", 200),
        (operator, "/livez", 200),
        (operator, "/readyz", 200),
        (operator, "/metrics", 200),
        (kubelet, "/healthz/ready", 200),
        (kubelet, "/livez", 200),
        (kubelet, "/readyz", 200),
        (kubelet, "/livez", 200),
        (kubelet, "/config", 404),
        (kubelet, "/metrics", 404),
        (prometheus, "/metrics", 200),
        (prometheus, "/stats/prometheus", 200),
        (prometheus, "/config", 404),
    ] {
        assert_eq!(ask(address, target).status(), status, "{target}");
    }
    let config: serde_json::Value = serde_json::from_str(ask(operator, "/config").text()).expect("JSON");
    for field in ["generation", "gateway", "listeners", "routes", "clusters", "endpoints", "problems", "fastpath"] {
        assert!(!config[field].is_null(), "{field} is missing");
    }
    let refused = Client::connect(operator).exchange("POST /config HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(refused.status(), 405, "read-only");
    drop(admin);
    assert!(std::net::TcpStream::connect(operator).is_err(), "dropped is stopped");
}

#[test]
fn readiness_follows_the_checks_and_the_drain() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let admin = start(&gateway);
    let kubelet = admin.bound.readiness.expect("bound");
    assert!(ask(kubelet, "/readyz?verbose").text().contains("[+] listeners ok"));
    let check = gateway.readiness.check("configuration");
    let response = ask(kubelet, "/readyz?verbose");
    assert_eq!(response.status(), 503);
    assert!(response.text().contains("[-] configuration failed: not yet"), "{}", response.text());
    check.pass();
    assert_eq!(ask(kubelet, "/healthz/ready").status(), 200);
    check.pass_remarking(Some("an hour old".to_owned()));
    let response = ask(kubelet, "/readyz?verbose");
    for line in ["[+] configuration ok: an hour old\n", "[+] fastpath userspace: no bpffs\n", "\nready\n"] {
        assert!(response.text().contains(line), "{line:?} is not in {}", response.text());
    }
    gateway.readiness.begin_drain();
    assert_eq!(ask(kubelet, "/healthz/ready").status(), 503);
}

#[test]
fn metrics_carry_istios_names_and_labels() {
    let backend = Backend::saying("four");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab");
    }
    let labels = [
        "reporter=\"source\"",
        "source_workload=\"istio-ingressgateway\"",
        "destination_service=\"backend.default.svc.cluster.local\"",
        "destination_service_name=\"backend\"",
        "destination_service_namespace=\"default\"",
        "request_protocol=\"http\"",
        "response_code=\"200\"",
        "response_flags=\"-\"",
        "connection_security_policy=\"unknown\"",
    ];
    assert_eq!(gateway.metric("istio_requests_total", &labels), 3.);
    assert_eq!(gateway.metric("istio_request_duration_milliseconds_count", &labels), 3.);
    assert_eq!(gateway.metric("istio_request_bytes_sum", &labels), 6.);
    assert_eq!(gateway.metric("istio_response_bytes_sum", &labels), 12.);
    assert_eq!(gateway.metric("istio_response_bytes_bucket", &["le=\"100.0\""]), 3.);
    assert_eq!(gateway.metric("istio_build_info", &["component=\"proxy\""]), 1.);
    assert_eq!(gateway.metric("gateway_downstream_connections", &[]), 1.);
}

#[test]
fn the_access_log_tells_every_request() {
    let backend = Backend::saying("four");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("access.log");
    let telemetry =
        TelemetrySettings { access_log: AccessLogTarget::File(path.clone()), ..TelemetrySettings::default() };
    let gateway = Gateway::recording(&everything_to(backend.address()), telemetry, |_| {});
    let mut client = gateway.connect();
    client.exchange("GET /x?y HTTP/1.1\r\nhost: reviews\r\nuser-agent: test\r\n\r\n");
    let from = client.local_address();
    let to = gateway.address();
    drop(client);
    drop(gateway);
    let log = std::fs::read_to_string(path).expect("written");
    let id = backend.only_request().field("x-request-id").expect("there").to_owned();
    let line = log.trim_end();
    assert!(line.contains("] \"GET /x?y HTTP/1.1\" 200 - via_upstream - \"-\" 0 4 "), "{line}");
    let end = format!(
        "\"{}\" \"test\" \"{id}\" \"reviews\" \"{}\" outbound|80||backend.default.svc.cluster.local - {to} {from} - -",
        from.ip(),
        backend.address()
    );
    assert!(line.ends_with(&end), "{line}\nshould end in\n{end}");
}
