//! Tables of routes, as large as one likes.

use gateway::{
    ingest::{IngestContext, ingest, manifest},
    model::resource::Resource,
    routing::{
        compiler::{CompileSettings, compile},
        snapshot::Snapshot,
    },
};
use std::{fmt::Write, sync::Arc};

pub(crate) fn resources(yaml: &str) -> Vec<Resource> {
    let context = IngestContext { cluster_domain: "cluster.local".into() };
    let parsed = manifest::parse(yaml, "bench.yaml", "default");
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    parsed.manifests.iter().map(|manifest| ingest(manifest, &context).0.expect("a valid object")).collect()
}

const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {ports: [{name: http, port: 9080}]}
";

/// One VirtualService of `name` for `host` with the given prefixes, all to reviews.
pub(crate) fn virtual_service(
    yaml: &mut String,
    name: &str,
    host: &str,
    prefixes: impl Iterator<Item = String>,
    weight: u32,
) {
    write!(
        yaml,
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: default}}\n\
         spec:\n  hosts: ['{host}']\n  gateways: [g]\n  http:\n"
    )
    .expect("a string takes everything");
    for prefix in prefixes {
        writeln!(
            yaml,
            "  - {{match: [{{uri: {{prefix: {prefix}}}}}], route: [{{destination: {{host: reviews}}, weight: {weight}}}, {{destination: {{host: reviews, port: {{number: 9080}}}}, weight: 50}}]}}"
        )
        .expect("a string takes everything");
    }
}

/// One host with `prefixes` prefixes, 100 to a VirtualService, and `hosts` other hosts.
pub(crate) fn world(prefixes: usize, hosts: usize) -> Vec<Resource> {
    let mut yaml = GATEWAY.to_owned();
    let all: Vec<String> = (0..prefixes).map(prefix).collect();
    for (index, chunk) in all.chunks(100).enumerate() {
        virtual_service(&mut yaml, &format!("v{index}"), "big.example.com", chunk.iter().cloned(), 50);
    }
    for host in 0..hosts {
        virtual_service(
            &mut yaml,
            &format!("h{host}"),
            &format!("h{host}.example.com"),
            ["/".to_owned()].into_iter(),
            50,
        );
    }
    resources(&yaml)
}

pub(crate) fn prefix(number: usize) -> String {
    format!("/team-{:02}/service-{number:05}/", number % 97)
}

pub(crate) fn snapshot(prefixes: usize, hosts: usize) -> Arc<Snapshot> {
    compile(world(prefixes, hosts), CompileSettings::default()).0
}

/// Requests spread over the whole table, the same number whatever its size.
pub(crate) fn targets(prefixes: usize) -> Vec<String> {
    (0..1024).map(|n| format!("{}reviews/{n}", prefix(n * 7919 % prefixes))).collect()
}
