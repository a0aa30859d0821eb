//! `trafficPolicy` of a DestinationRule and of its subsets.

use super::{
    destination, duration,
    findings::{Findings, Path},
    hosts, load_balancer, policy_blocks, tls_origination,
};
use crate::{
    istio::destination_rule as istio,
    model::traffic_policy::{PolicyBlocks, TrafficPolicy, Tunnel},
};
use std::sync::Arc;

/// Reads a policy, and reports what the webhook has against it (`validateTrafficPolicy` in
/// istio/pkg/config/validation/validation.go). A value that cannot be served is left at its default. `None` when there is
/// nothing to serve.
pub(super) fn read(
    policy: Option<&istio::TrafficPolicy>,
    namespace: &str,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<TrafficPolicy> {
    let policy = policy?;
    if *policy == istio::TrafficPolicy::default() {
        findings.invalid(path, "is empty: give it a field or remove it");
        return None;
    }
    if policy.tunnel.is_some() && policy.proxy_protocol.is_some() {
        findings.invalid(path, "has both tunnel and proxyProtocol: keep one");
    }
    let blocks = Blocks {
        load_balancer: policy.load_balancer.as_ref(),
        connection_pool: policy.connection_pool.as_ref(),
        outlier_detection: policy.outlier_detection.as_ref(),
        tls: policy.tls.as_ref(),
    };
    let mut served = TrafficPolicy { blocks: blocks.read(namespace, path, findings), ports: Vec::new(), tunnel: None };
    served.blocks.retry_budget = policy.retry_budget.as_ref().map(policy_blocks::retry_budget);
    served.blocks.proxy_protocol = policy.proxy_protocol.as_ref().map(policy_blocks::proxy_protocol);
    for (index, settings) in policy.port_level_settings.iter().flatten().enumerate() {
        let path = path.field("portLevelSettings");
        let blocks = read_port(settings, namespace, &path.index(index), findings);
        if let Some(number) = settings.port.as_ref().and_then(|port| u16::try_from(port.number).ok()) {
            served.ports.push((number, blocks));
        }
    }
    if let Some(tunnel) = &policy.tunnel {
        check_tunnel(tunnel, &path.field("tunnel"), findings);
        match tunnel.protocol.as_str() {
            "" | "CONNECT" => served.tunnel = Some(Arc::new(Tunnel { target: target(tunnel) })),
            "POST" => {
                let path = path.field("tunnel");
                findings.not_served(&path.field("protocol"), "streams go to their endpoints directly: use CONNECT");
            }
            _ => {}
        }
    }
    if let Some(budget) = &policy.retry_budget {
        let path = path.field("retryBudget");
        if let Some(percent) = budget.percent {
            check_range(percent, 0.0..=100.0, &path.field("percent"), findings);
        }
        // Any duration will do for the webhook; Envoy counts from a millisecond on.
        duration::parse(budget.budget_interval.as_deref(), &path.field("budgetInterval"), findings);
    }
    Some(served)
}

/// What the policy of a service and of one of its ports have in common.
struct Blocks<'a> {
    load_balancer: Option<&'a istio::LoadBalancer>,
    connection_pool: Option<&'a istio::ConnectionPool>,
    outlier_detection: Option<&'a istio::OutlierDetection>,
    tls: Option<&'a istio::ClientTlsSettings>,
}

impl Blocks<'_> {
    fn read(&self, namespace: &str, path: &Path<'_>, findings: &mut Findings<'_>) -> PolicyBlocks {
        if let Some(outlier) = self.outlier_detection {
            check_outlier_detection(outlier, &path.field("outlierDetection"), findings);
        }
        if let Some(pool) = self.connection_pool {
            check_connection_pool(pool, &path.field("connectionPool"), findings);
        }
        if let Some(balancer) = self.load_balancer {
            let ejects = self.outlier_detection.is_some();
            load_balancer::check(balancer, ejects, &path.field("loadBalancer"), findings);
        }
        let tls = self.tls.map(|tls| tls_origination::read(tls, namespace, &path.field("tls"), findings));
        PolicyBlocks {
            load_balancer: self.load_balancer.map(policy_blocks::load_balancer),
            connection_pool: self.connection_pool.map(policy_blocks::connection_pool),
            outlier_detection: self.outlier_detection.map(policy_blocks::outlier_detection),
            tls,
            retry_budget: None,
            proxy_protocol: None,
        }
    }
}

/// `validatePortTrafficPolicies`.
fn read_port(
    settings: &istio::PortTrafficPolicy,
    namespace: &str,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> PolicyBlocks {
    if settings.port.is_none() {
        findings.invalid(&path.field("port"), "is required: name a port number of the service");
    }
    let blocks = Blocks {
        load_balancer: settings.load_balancer.as_ref(),
        connection_pool: settings.connection_pool.as_ref(),
        outlier_detection: settings.outlier_detection.as_ref(),
        tls: settings.tls.as_ref(),
    };
    let is_empty = *settings == istio::PortTrafficPolicy { port: settings.port.clone(), ..Default::default() };
    if is_empty {
        findings.invalid(path, "sets nothing for its port: give it a field or remove it");
    }
    blocks.read(namespace, path, findings)
}

/// `validateOutlierDetection`.
fn check_outlier_detection(outlier: &istio::OutlierDetection, path: &Path<'_>, findings: &mut Findings<'_>) {
    duration::check(outlier.base_ejection_time.as_deref(), &path.field("baseEjectionTime"), findings);
    duration::check(outlier.interval.as_deref(), &path.field("interval"), findings);
    if outlier.consecutive_errors != 0 {
        findings.suspicious(
            &path.field("consecutiveErrors"),
            "is deprecated and has no effect: use consecutive5xxErrors or consecutiveGatewayErrors",
        );
    }
    let counts_local = outlier.consecutive_local_origin_failures.unwrap_or(0) > 0;
    if counts_local && !outlier.split_external_local_origin_errors {
        findings.invalid(&path.field("consecutiveLocalOriginFailures"), "needs splitExternalLocalOriginErrors: true");
    }
    let percents =
        [("maxEjectionPercent", outlier.max_ejection_percent), ("minHealthPercent", outlier.min_health_percent)];
    for (field, percent) in percents {
        check_range(f64::from(percent), 0.0..=100.0, &path.field(field), findings);
    }
    if !outlier.outlier_detection_http_error_codes.is_empty() {
        findings.not_served(
            &path.field("outlierDetectionHttpErrorCodes"),
            "Istio does not implement it either; every status of 500 and more counts",
        );
    }
}

/// `validateConnectionPool`.
fn check_connection_pool(pool: &istio::ConnectionPool, path: &Path<'_>, findings: &mut Findings<'_>) {
    if pool.tcp.is_none() && pool.http.is_none() {
        findings.invalid(path, "has neither tcp nor http: give one or remove it");
    }
    if let Some(http) = &pool.http {
        let path = path.field("http");
        let counts = [
            ("http1MaxPendingRequests", http.http1_max_pending_requests),
            ("http2MaxRequests", http.http2_max_requests),
            ("maxRequestsPerConnection", http.max_requests_per_connection),
            ("maxRetries", http.max_retries),
            ("maxConcurrentStreams", http.max_concurrent_streams),
        ];
        for (field, _) in counts.into_iter().filter(|(_, count)| *count < 0) {
            findings.invalid(&path.field(field), "is negative");
        }
        duration::check(http.idle_timeout.as_deref(), &path.field("idleTimeout"), findings);
        let upgrades = http.h2_upgrade_policy == istio::H2UpgradePolicy::Upgrade;
        // Istio sets them on a cluster that speaks HTTP/2 already, and looks at the name of the port only afterwards
        // (`applyConnectionPool`, `setUpstreamProtocol`).
        let of_http2 = [
            ("maxConcurrentStreams", http.max_concurrent_streams > 0),
            ("http2KeepAlive", http.http2_keep_alive.is_some()),
        ];
        for (field, _) in of_http2.into_iter().filter(|(_, given)| *given && !upgrades) {
            let remedy = "counts only beside h2UpgradePolicy: UPGRADE, as in Istio: add it for pods that speak HTTP/2";
            findings.suspicious(&path.field(field), remedy);
        }
        if upgrades && http.use_client_protocol {
            findings.invalid(&path.field("useClientProtocol"), "contradicts h2UpgradePolicy: UPGRADE: keep one");
        }
        if let Some(keepalive) = &http.http2_keep_alive {
            let path = path.field("http2KeepAlive");
            for (field, value) in [("interval", &keepalive.interval), ("timeout", &keepalive.timeout)] {
                if value.is_none() {
                    findings.invalid(&path.field(field), "is required");
                }
                duration::check(value.as_deref(), &path.field(field), findings);
            }
        }
    }
    if let Some(tcp) = &pool.tcp {
        let path = path.field("tcp");
        if tcp.max_connections < 0 {
            findings.invalid(&path.field("maxConnections"), "is negative");
        }
        duration::check(tcp.connect_timeout.as_deref(), &path.field("connectTimeout"), findings);
        duration::check(tcp.max_connection_duration.as_deref(), &path.field("maxConnectionDuration"), findings);
        // 0s turns the timeout off; Istio looks at whole milliseconds.
        let is_off = |text: &&str| duration::nanoseconds(text).is_some_and(|time| time / 1_000_000 == 0);
        let idle_timeout = tcp.idle_timeout.as_deref().filter(|text| !is_off(text));
        duration::check(idle_timeout, &path.field("idleTimeout"), findings);
        if let Some(keepalive) = &tcp.tcp_keepalive {
            let path = path.field("tcpKeepalive");
            duration::check(keepalive.time.as_deref(), &path.field("time"), findings);
            duration::check(keepalive.interval.as_deref(), &path.field("interval"), findings);
        }
    }
}

/// `validateTunnelSettings`.
fn check_tunnel(tunnel: &istio::Tunnel, path: &Path<'_>, findings: &mut Findings<'_>) {
    if !matches!(tunnel.protocol.as_str(), "" | "CONNECT" | "POST") {
        findings.invalid(&path.field("protocol"), "is neither CONNECT nor POST");
    }
    if hosts::check_fqdn(&tunnel.target_host).is_err() && !hosts::is_ip(&tunnel.target_host) {
        findings.invalid(&path.field("targetHost"), "is neither a complete host name nor an address");
    }
    destination::port(tunnel.target_port, &path.field("targetPort"), findings);
}

/// As `net.JoinHostPort` writes it.
fn target(tunnel: &istio::Tunnel) -> String {
    let (host, port) = (&tunnel.target_host, tunnel.target_port);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Reports a number out of `range`.
pub(super) fn check_range(
    number: f64,
    range: std::ops::RangeInclusive<f64>,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    if !range.contains(&number) {
        findings.invalid(path, format!("{number} is not from {} to {}", range.start(), range.end()));
    }
}
