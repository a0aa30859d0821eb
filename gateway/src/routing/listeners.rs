//! Which sockets the gateway opens and which Gateway servers stand behind each: selection by label, port translation,
//! merging and conflicts (`mergeGateways` in istio/pilot/pkg/model/gateway.go).

use super::{
    chains::{ServerId, TlsServer},
    snapshot::ListenerKey,
    streams::Carries,
    world::{CompileSettings, World},
};
use crate::model::{
    gateway::{Gateway, Protocol, Server, ServerHost, TlsMode},
    host::HostPattern,
    object::{Labels, ObjectId, selects},
    problem::{Problem, ProblemKind, Severity},
    service::TargetPort,
    virtual_service::GatewayName,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// A listener with one route table, before any VirtualService: all plaintext HTTP of a port, or one HTTPS server.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListenerPlan {
    pub(super) key: ListenerKey,
    pub(super) protocol: Protocol,
    pub(super) tls: Option<Arc<TlsServer>>,
    /// In Istio's order.
    pub(super) servers: Vec<ServerPlan>,
}

/// What the Gateways want.
#[derive(Debug)]
pub(super) struct Plans {
    pub(super) http: Vec<ListenerPlan>,
    pub(super) streams: StreamPlans,
    /// What was in conflict.
    pub(super) problems: Vec<Problem>,
}

/// Servers whose connections are passed on unread, before any VirtualService.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StreamPlans {
    /// In Istio's order.
    pub(super) streams: Vec<StreamPlan>,
    /// The names for which TLS ends here, on each socket.
    pub(super) ended: BTreeMap<ListenerKey, BTreeSet<HostPattern>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct StreamPlan {
    pub(super) key: ListenerKey,
    pub(super) protocol: Protocol,
    /// The names of TLS that is passed on are those of the routes.
    pub(super) carries: Carries,
    pub(super) server: ServerPlan,
}

/// One Gateway server on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerPlan {
    pub(super) gateway: ObjectId,
    pub(super) name: GatewayName,
    pub(super) port: u16,
    pub(super) hosts: Vec<ServerHost>,
    pub(super) https_redirect: bool,
    /// The labels of the gateway that this one is for the server: what `sourceLabels` means.
    pub(super) role: Labels,
}

/// The listeners of all Gateways that select this gateway.
pub(super) fn plan(world: &World, settings: &CompileSettings) -> Plans {
    let mut gateways: Vec<&Arc<Gateway>> = world.gateways.values().collect();
    gateways.sort_by_cached_key(|gateway| gateway.meta.order());

    let mut merge = Merge::default();
    for gateway in gateways {
        let selected = |role: &&Labels| gateway.selector.as_ref().is_none_or(|selector| selects(selector, role));
        for server in &gateway.servers {
            // Two roles on one port are one listener.
            let mut taken = BTreeSet::new();
            for role in settings.all_roles().filter(selected) {
                let port = bound_port(server.port, role, world, settings);
                if taken.insert(port) {
                    merge.take(gateway, server, port, role);
                }
            }
        }
    }
    Plans { http: merge.http, streams: merge.streams, problems: merge.problems }
}

/// The port a Gateway's `number` is bound to: what `--port-map` says, else the target port of a Service in front of this
/// gateway, as the one with the labels `role`, that has the number as a port, else the number itself (`resolvePorts` in istio's gateway.go).
fn bound_port(number: u16, role: &Labels, world: &World, settings: &CompileSettings) -> u16 {
    if let Some(&port) = settings.port_map.get(&number) {
        return port;
    }
    let fronts = world.services.iter().filter(|(_, s)| settings.fronts_role(s, role) && !s.port_translation_disabled);
    for (key, service) in fronts {
        let Some(port) = service.ports.iter().find(|port| port.number == number) else { continue };
        match &port.target {
            TargetPort::Number(target) => return *target,
            // The number behind a name is in the Service's slices, or on the gateway's pods.
            TargetPort::Name(name) => {
                let slices =
                    world.slices.get(key).into_iter().flat_map(BTreeMap::values).flat_map(|slice| &slice.ports);
                let slice_port = slices.filter(|p| p.name == port.name).map(|p| p.number).next();
                let pods = world.pods.values().filter(|pod| selects(&service.selector, &pod.labels));
                let pod_ports = pods.filter_map(|pod| pod.address.as_ref()).flat_map(|address| &address.ports);
                let pod_port = || pod_ports.into_iter().find(|p| p.name == *name).map(|p| p.number);
                if let Some(target) = slice_port.or_else(pod_port) {
                    return target;
                }
            }
        }
    }
    number
}

/// The node ports of every Service in front of this gateway.
pub(super) fn node_ports(world: &World, settings: &CompileSettings) -> BTreeSet<u16> {
    let fronts = world.services.values().filter(|service| settings.fronts_gateway(service));
    fronts.flat_map(|service| &service.node_ports).copied().collect()
}

/// A `namespace/host` as text: Istio compares these strings.
type HostText = (Option<Arc<str>>, String);

/// What has the ports so far.
#[derive(Debug, Default)]
struct Merge {
    http: Vec<ListenerPlan>,
    streams: StreamPlans,
    /// The first plaintext server of each port: its bind and protocol.
    plaintext: BTreeMap<u16, (Option<IpAddr>, Protocol)>,
    /// Host strings of TLS servers by port and bind.
    tls_hosts: BTreeMap<(u16, Option<IpAddr>), BTreeSet<HostText>>,
    problems: Vec<Problem>,
}

impl Merge {
    fn take(&mut self, gateway: &Gateway, server: &Server, port: u16, role: &Labels) {
        // Istio asks this of plaintext servers with httpsRedirect too.
        if server.tls.is_some() && !self.claim_tls_hosts(server, port) {
            self.conflict(
                gateway,
                server,
                "hosts",
                "another server on this port has one of the hosts already; remove it here or there",
            );
            return;
        }
        let is_tls = server.tls.is_some() && !server.protocol.is_http();
        match self.plaintext.get(&port).copied() {
            Some((bind, other)) if bind == server.bind && !(server.protocol.is_http() && other.is_http()) => {
                let (other, own) = (other.name(), server.protocol.name());
                let message =
                    format!("port {port} already speaks {other}, which cannot share it with {own}; use another port");
                self.conflict(gateway, server, "port", &message);
                return;
            }
            // TLS that came first is told apart from plaintext by its first bytes.
            None if !is_tls => _ = self.plaintext.insert(port, (server.bind, server.protocol)),
            Some(_) | None => {}
        }
        let id = &gateway.meta.id;
        let tls = TlsServer::of(ServerId::new(id, server), server).map(Arc::new);
        let key = ListenerKey { address: server.bind, port };
        if let Some(tls) = &tls {
            let any = tls.names.is_empty().then(|| HostPattern::new("*"));
            self.streams.ended.entry(key).or_default().extend(tls.names.iter().cloned().chain(any));
        }
        let plan = ServerPlan {
            gateway: id.clone(),
            name: GatewayName { namespace: Arc::clone(&id.namespace), name: Arc::clone(&id.name) },
            port: server.port,
            hosts: server.hosts.clone(),
            // Who has come by TLS is not sent to TLS.
            https_redirect: tls.is_none() && server.tls.as_ref().is_some_and(|tls| tls.https_redirect),
            role: role.clone(),
        };
        let is_http = server.protocol.is_http() || (server.protocol == Protocol::Https && tls.is_some());
        let carries = match (&server.tls, tls) {
            (_, tls) if is_http => return self.add_http(key, server.protocol, tls, plan),
            (None, _) => Carries::Anything,
            (Some(_), Some(tls)) => Carries::EndedTls(tls),
            (Some(tls), None) if tls.mode == TlsMode::Passthrough => Carries::Tls(Vec::new()),
            (Some(_), None) => return,
        };
        // UDP and what is no protocol is reported.
        if !matches!(server.protocol, Protocol::Udp | Protocol::Unsupported) {
            self.streams.streams.push(StreamPlan { key, protocol: server.protocol, carries, server: plan });
        }
    }

    /// `CheckDuplicates` in istio's gateway.go: `false` when a host string is taken already on the same bind.
    fn claim_tls_hosts(&mut self, server: &Server, port: u16) -> bool {
        let known = self.tls_hosts.entry((port, server.bind)).or_default();
        let hosts: Vec<_> = server.hosts.iter().map(|h| (h.namespace.clone(), h.host.as_str().to_owned())).collect();
        if hosts.iter().any(|host| known.contains(host)) {
            return false;
        }
        known.extend(hosts);
        true
    }

    fn add_http(&mut self, key: ListenerKey, protocol: Protocol, tls: Option<Arc<TlsServer>>, plan: ServerPlan) {
        // Every HTTPS server has a table of its own (`gatewayRDSRouteName` in istio's gateway.go).
        match self.http.iter_mut().find(|other| other.key == key && other.tls.is_none() && tls.is_none()) {
            Some(listener) => listener.servers.push(plan),
            None => self.http.push(ListenerPlan { key, protocol, tls, servers: vec![plan] }),
        }
    }

    fn conflict(&mut self, gateway: &Gateway, server: &Server, field: &str, message: &str) {
        self.problems.push(Problem {
            object: Some(gateway.meta.id.clone()),
            source: gateway.meta.source.clone(),
            path: format!("spec.servers[{}].{field}", server.index),
            severity: Severity::Warning,
            kind: ProblemKind::Conflict,
            message: format!("the server is not used: {message}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        ingest::{IngestContext, ingest_all, manifest},
        routing::compiler::{CompileSettings, compile},
    };

    const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: in, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: out, namespace: istio-system, labels: {app: out, istio: egressgateway}}
spec: {selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8081}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: in}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out}
spec: {selector: {istio: egressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v}
spec:
  hosts: ['*']
  gateways: [in, out]
  http:
  - {match: [{uri: {prefix: /x}, sourceLabels: {istio: egressgateway}}], directResponse: {status: 201}}
  - {directResponse: {status: 200}}
";

    /// Port and number of routes of every listener.
    fn listeners(roles: &[&str]) -> Vec<(u16, usize)> {
        let parsed = manifest::parse(OBJECTS, "test.yaml", "default");
        let read = ingest_all(&parsed.manifests, &IngestContext { cluster_domain: "cluster.local".into() });
        let roles = roles.iter().map(|role| [("istio".into(), (*role).into())].into()).collect();
        let settings = CompileSettings { roles, ..CompileSettings::default() };
        let (snapshot, problems) = compile(read.into_iter().filter_map(|(resource, _)| resource), settings);
        assert_eq!(problems, []);
        let routes = |listener: &super::super::snapshot::Listener| {
            listener.virtual_hosts().iter().map(|host| host.routes.len()).sum()
        };
        let mut listeners: Vec<_> = snapshot.listeners().iter().map(|l| (l.key.port, routes(l))).collect();
        listeners.sort_unstable();
        listeners
    }

    #[test]
    fn each_role_listens_behind_its_own_service() {
        assert_eq!(listeners(&[]), [(8080, 1)], "the other gateway is somebody else's");
        assert_eq!(listeners(&["egressgateway"]), [(8080, 1), (8081, 2)]);
    }
}
