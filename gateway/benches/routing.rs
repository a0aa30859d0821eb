//! What a lookup, a draw, a compilation and an edit cost. `cargo bench -p gateway --bench routing`.

#![allow(clippy::expect_used, reason = "a benchmark ends when its own input is wrong")]

use divan::{Bencher, black_box, counter::ItemsCount};
use gateway::{
    ingest::{IngestContext, ingest, manifest},
    model::resource::Resource,
    routing::{
        compiler::{Change, CompileSettings, Compiler, compile},
        lookup::{Found, RequestHead},
        snapshot::Snapshot,
    },
};
use http::{HeaderMap, Method};
use std::{fmt::Write, sync::Arc};

#[global_allocator]
static DAEMONS_ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn resources(yaml: &str) -> Vec<Resource> {
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
fn virtual_service(yaml: &mut String, name: &str, host: &str, prefixes: impl Iterator<Item = String>, weight: u32) {
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
fn world(prefixes: usize, hosts: usize) -> Vec<Resource> {
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

fn prefix(number: usize) -> String {
    format!("/team-{:02}/service-{number:05}/", number % 97)
}

fn snapshot(prefixes: usize, hosts: usize) -> Arc<Snapshot> {
    compile(world(prefixes, hosts), CompileSettings::default()).0
}

/// Requests spread over the whole table, the same number whatever its size.
fn targets(prefixes: usize) -> Vec<String> {
    (0..1024).map(|n| format!("{}reviews/{n}", prefix(n * 7919 % prefixes))).collect()
}

/// One thousand and twenty-four lookups of random prefixes on the big host.
#[divan::bench(args = [10, 10_000], sample_count = 200)]
fn lookup(bencher: Bencher<'_, '_>, prefixes: usize) {
    let snapshot = snapshot(prefixes, 1_000);
    let targets = targets(prefixes);
    let headers = HeaderMap::new();
    bencher.counter(ItemsCount::new(targets.len())).bench_local(|| {
        for path in &targets {
            let listener = &snapshot.listeners()[0];
            let request = RequestHead {
                method: &Method::GET,
                scheme: "http",
                authority: "big.example.com",
                path: black_box(path),
                query: None,
                headers: &headers,
            };
            let found = snapshot.lookup(listener, &request);
            debug_assert!(matches!(found, Found::Route { .. }));
            black_box(&found);
        }
    });
}

/// Weighted draws, a thousand at a time.
#[divan::bench(sample_count = 200)]
fn draw(bencher: Bencher<'_, '_>) {
    let draw = gateway::balance::weighted::WeightedDraw::new([50, 50]).expect("weights");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    bencher.counter(ItemsCount::new(1_000_usize)).bench_local(|| {
        for _ in 0..1_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            black_box(draw.draw(black_box(random)));
        }
    });
}

/// 10,000 routes, each in a VirtualService of its own on a host of its own, from nothing.
#[divan::bench(sample_count = 20)]
fn full_compile_10000_hosts(bencher: Bencher<'_, '_>) {
    let resources = world(0, 10_000);
    bencher
        .with_inputs(|| resources.clone())
        .bench_local_values(|resources| compile(resources, CompileSettings::default()));
}

/// 10,000 routes on one host, 100 VirtualServices, from nothing.
#[divan::bench(sample_count = 20)]
fn full_compile_10000_prefixes(bencher: Bencher<'_, '_>) {
    let resources = world(10_000, 0);
    bencher
        .with_inputs(|| resources.clone())
        .bench_local_values(|resources| compile(resources, CompileSettings::default()));
}

/// A weight of one VirtualService among 10,000 hosts changes.
#[divan::bench(sample_count = 100)]
fn edit_one_of_10000_hosts(bencher: Bencher<'_, '_>) {
    edit(bencher, world(0, 10_000), |weight| {
        let mut yaml = String::new();
        virtual_service(&mut yaml, "h77", "h77.example.com", ["/".to_owned()].into_iter(), weight);
        yaml
    });
}

/// A weight of one VirtualService among those that share a host with 10,000 prefixes changes.
#[divan::bench(sample_count = 100)]
fn edit_weight_on_a_host_of_10000_prefixes(bencher: Bencher<'_, '_>) {
    edit(bencher, world(10_000, 0), |weight| {
        let mut yaml = String::new();
        virtual_service(&mut yaml, "v7", "big.example.com", (700..800).map(prefix), weight);
        yaml
    });
}

/// A prefix of one VirtualService among those that share a host with 10,000 prefixes changes.
#[divan::bench(sample_count = 100)]
fn edit_prefix_on_a_host_of_10000_prefixes(bencher: Bencher<'_, '_>) {
    edit(bencher, world(10_000, 0), |weight| {
        let mut yaml = String::new();
        virtual_service(&mut yaml, "v7", "big.example.com", (700..800).map(|n| format!("{}{weight}/", prefix(n))), 50);
        yaml
    });
}

/// Applies two versions of an object in turn, and compiles after each.
fn edit(bencher: Bencher<'_, '_>, world: Vec<Resource>, version: impl Fn(u32) -> String) {
    let mut compiler = Compiler::new(CompileSettings::default());
    for resource in world {
        compiler.apply(Change::Put(resource));
    }
    compiler.snapshot();
    let versions = [version(10), version(20)].map(|yaml| resources(&yaml).remove(0));
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        compiler.apply(Change::Put(versions[turn % 2].clone()));
        compiler.snapshot()
    });
}
