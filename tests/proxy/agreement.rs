//! `explain` tells what the data plane does: random tables, real requests, one comparison.

use super::gateway::{Gateway, everything_to};
use gateway::{
    explain::{Explanation, Failure, Outcome, Question, explain},
    ingest::{IngestContext, ingest, manifest},
    model::{resource::Resource, service::TargetPort},
    routing::{
        compiler::{Change, CompileSettings, Compiler},
        snapshot::Listener,
    },
};
use harness::{
    http::{backend::Backend, client::Client, message::Message},
    wait,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};
use worlds::{Choices, Request};

#[path = "../../gateway/fuzz/src/worlds.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the fuzzer")]
mod worlds;

const WORLDS: u64 = 200;
const REQUESTS: usize = 40;

#[test]
fn explain_and_the_data_plane_agree() {
    let backends = Backends::start();
    let gateway = Gateway::start(&everything_to(backends.of(0, 0)));
    let (mut forwarded, mut answered_here) = (0, 0);
    let mut compiler = Compiler::new(settings());
    let mut objects = Vec::new();
    // The data plane has seen generation 1.
    compiler.snapshot();
    for seed in 0..WORLDS {
        let mut bytes = noise(seed, 4_000);
        for id in std::mem::take(&mut objects) {
            compiler.apply(Change::Remove(id));
        }
        for change in base().into_iter().map(Change::Put).chain(worlds::changes(&mut Choices(&bytes), 24)) {
            if let Change::Put(resource) = &change {
                objects.push(resource.meta().id.clone());
            }
            compiler.apply(backends.place(change));
        }
        let snapshot = compiler.snapshot();
        gateway.publish(std::sync::Arc::clone(&snapshot));
        bytes.reverse();
        let mut choices = Choices(&bytes);
        for listener in snapshot.listeners() {
            let address = SocketAddr::new(gateway.address().ip(), listener.key.port);
            wait::until("the listener", Duration::from_secs(10), || TcpStream::connect(address).ok());
            for _ in 0..REQUESTS {
                let request = worlds::request(&mut choices);
                let explained = explain(&snapshot, &question(&request, listener));
                let answer = send(address, &request);
                let context = format!("seed {seed}, {request:?} on {:?}: {explained:#?}", listener.key);
                if compare(&explained, &answer, &context) { forwarded += 1 } else { answered_here += 1 }
            }
        }
    }
    // Both ways must have been taken often, or the comparison says little.
    assert!(forwarded > 300 && answered_here > 300, "{forwarded} forwarded, {answered_here} answered here");
}

/// Whether the request reached a backend, after checking that `answer` is what `explained` says.
fn compare(explained: &Explanation, answer: &Message, context: &str) -> bool {
    let status = answer.status();
    match explained.outcome {
        Outcome::Forward => {
            // Each broken destination of several answers for its share alone.
            let unknown = explained.clusters.iter().any(|cluster| cluster.unknown.is_some());
            let empty = explained.clusters.iter().any(|c| c.unknown.is_none() && c.endpoints.is_empty());
            if status == 503 {
                let asks_for_tls = explained.cluster_policy.values().any(|policy| policy.tls.is_some());
                let possible = match answer.text() {
                    "" => unknown,
                    text if text.contains("TLS") => asks_for_tls,
                    _ => empty,
                };
                assert!(possible, "{context}\n{answer:#?}");
                return false;
            }
            assert_eq!(status, 200, "{context}\n{answer:#?}");
            let upstream = explained.upstream.as_ref().expect("what goes upstream");
            let seen = answer.text().lines().collect::<Vec<_>>();
            let at = seen[0].to_owned();
            assert!(explained.clusters.iter().any(|c| c.endpoints.contains(&at)), "{at} {context}");
            assert_eq!(seen[1], format!("{} {} HTTP/1.1", upstream.method, upstream.path), "{context}");
            assert_eq!(seen[2], upstream.authority, "{context}");
            true
        }
        Outcome::Redirect | Outcome::DirectResponse | Outcome::TcpForward | Outcome::None => {
            assert_ne!(explained.outcome, Outcome::TcpForward, "HTTP is spoken there: {context}");
            assert_eq!(Some(status), explained.status, "{context}\n{answer:#?}");
            if explained.outcome == Outcome::Redirect {
                assert_eq!(answer.field("location"), explained.location.as_deref(), "{context}");
            }
            assert_ne!(explained.error, Some(Failure::NoListener), "{context}");
            false
        }
    }
}

fn send(address: SocketAddr, request: &Request) -> Message {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut text = format!("{} {}{query} HTTP/1.1\r\nhost: {}\r\n", request.method, request.path, request.authority);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().expect("text")));
    }
    text.push_str("connection: close\r\n\r\n");
    Client::connect(address).exchange(text)
}

fn question(request: &Request, listener: &Listener) -> Question {
    Question {
        tls: None,
        method: request.method.clone(),
        authority: request.authority.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.headers.clone(),
        source: None,
        port: listener.server_port,
        samples: 0,
        seed: 0,
    }
}

/// What most routes of a world lead to; the world's own changes may replace it.
fn base() -> Vec<Resource> {
    const YAML: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: p9080, port: 9080, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-9, namespace: default, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: p9080, port: 8080}]
endpoints:
- {addresses: [10.0.0.0], conditions: {ready: true}, targetRef: {kind: Pod, name: p0, namespace: default}}
- {addresses: [10.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: p1, namespace: default}}
---
apiVersion: v1
kind: Pod
metadata: {name: p0, namespace: default, labels: {version: '1'}}
---
apiVersion: v1
kind: Pod
metadata: {name: p1, namespace: default, labels: {version: '2'}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d9, namespace: default}
spec: {host: reviews, subsets: [{name: s1, labels: {version: '1'}}, {name: s2, labels: {version: '2'}}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e9, namespace: default}
spec:
  hosts: [api.example.com, ratings.team.svc.cluster.local]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.1.0.0}, {address: 10.1.0.3}]
";
    let context = IngestContext { cluster_domain: "cluster.local".into() };
    let parsed = manifest::parse(YAML, "base.yaml", "default");
    parsed.manifests.iter().map(|manifest| ingest(manifest, &context).0.expect("a good object")).collect()
}

/// Every Gateway port is bound to one of two high ones.
fn settings() -> CompileSettings {
    CompileSettings { port_map: [(80, 8080), (81, 8181), (8080, 8080)].into(), ..worlds::settings() }
}

/// Reproducible bytes (xorshift64*).
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    };
    std::iter::repeat_with(byte).take(count).collect()
}

/// One real server for every address that a world may name, all on one port.
struct Backends {
    port: u16,
    _running: Vec<Backend>,
}

impl Backends {
    fn start() -> Self {
        let mut running = Vec::new();
        let mut port = 0;
        for (net, host) in (0..2).flat_map(|net| (0..4).map(move |host| (net, host))) {
            let backend = Backend::start_at(SocketAddr::new(Self::ip(net, host), port), move |exchange| {
                exchange.read_body()?;
                let at = exchange.stream.get_ref().local_addr()?;
                let host = exchange.request.field("host").unwrap_or_default();
                let seen = format!("{at}\n{}\n{host}\n", exchange.request.start);
                exchange.respond("200 OK", &[], seen.as_bytes())
            });
            port = backend.address().port();
            running.push(backend);
        }
        Self { port, _running: running }
    }

    fn ip(net: u8, host: u8) -> IpAddr {
        let [.., own] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, 251 + net, own, host + 1).into()
    }

    fn of(&self, net: u8, host: u8) -> SocketAddr {
        SocketAddr::new(Self::ip(net, host), self.port)
    }

    /// The same change with every endpoint at one of our servers.
    fn place(&self, change: Change) -> Change {
        let ours = |address: &mut IpAddr| {
            if let IpAddr::V4(v4) = address {
                let [_, net, _, host] = v4.octets();
                *address = Self::ip(net, host);
            }
        };
        let Change::Put(mut resource) = change else { return change };
        match &mut resource {
            Resource::EndpointSlice(slice) => {
                slice.ports.iter_mut().for_each(|port| port.number = self.port);
                slice.endpoints.iter_mut().flat_map(|endpoint| &mut endpoint.addresses).for_each(ours);
            }
            Resource::ServiceEntry(entry) => {
                entry.ports.iter_mut().for_each(|port| port.target = TargetPort::Number(self.port));
                entry.endpoints.iter_mut().filter_map(|endpoint| endpoint.address.as_mut()).for_each(ours);
            }
            _ => {}
        }
        Change::Put(resource)
    }
}
