//! Which streams objects make: tables against Istio's code, and against edits.

use crate::{
    ingest::{IngestContext, ingest_all, manifest},
    model::{problem::ProblemKind, resource::Resource},
    routing::{
        chains::Chain,
        compiler::{Change, CompileSettings, Compiler, compile},
        snapshot::{ListenerKey, Snapshot},
        streams::Stream,
    },
};
use std::sync::Arc;

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {selector: {app: a}, ports: [{name: tcp, port: 90, targetPort: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: b}
spec: {selector: {app: b}, ports: [{name: tcp, port: 90, targetPort: 9000}]}
";

/// A Gateway `g` with these servers.
fn gateway(servers: &str) -> String {
    named_gateway("g", servers)
}

fn named_gateway(name: &str, servers: &str) -> String {
    format!(
        "\n---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\n\
         spec: {{selector: {{istio: ingressgateway}}, servers: {servers}}}\n"
    )
}

/// A VirtualService bound to `g`.
fn routes(name: &str, hosts: &str, rules: &str) -> String {
    format!(
        "\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n\
         spec: {{hosts: {hosts}, gateways: [g, other/h], {rules}}}\n"
    )
}

const TCP: &str = "[{port: {number: 7000, name: tcp, protocol: TCP}, hosts: ['*']}]";
const TO_A: &str = "[{destination: {host: a}}]";
const TO_B: &str = "[{destination: {host: b}}]";

fn passthrough(hosts: &str) -> String {
    format!("[{{port: {{number: 7443, name: tls, protocol: TLS}}, hosts: {hosts}, tls: {{mode: PASSTHROUGH}}}}]")
}

fn resources(objects: &str) -> Vec<Resource> {
    let parsed = manifest::parse(&format!("{SERVICES}{objects}"), "test.yaml", "default");
    assert_eq!(parsed.problems, []);
    let read = ingest_all(&parsed.manifests, &IngestContext { cluster_domain: "cluster.local".into() });
    read.into_iter().filter_map(|(resource, _)| resource).collect()
}

/// `7000 any → a:90*100`, one line a stream.
fn shown(snapshot: &Snapshot) -> Vec<String> {
    let line = |stream: &Arc<Stream>| {
        let names = match stream.names() {
            None => "any".to_owned(),
            Some(names) => names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(","),
        };
        let destinations = stream.route.destinations.iter().map(|destination| {
            let name = &snapshot.cluster(destination.cluster).name;
            format!("{}:{}*{}", name.host.split('.').next().unwrap_or_default(), name.port, destination.weight)
        });
        format!("{} {names} → {}", stream.key.port, destinations.collect::<Vec<_>>().join(" "))
    };
    snapshot.streams().iter().map(line).collect()
}

fn check(objects: &str, streams: &[&str]) {
    let (snapshot, _) = compile(resources(objects), CompileSettings::default());
    assert_eq!(shown(&snapshot), streams, "{objects}");
}

#[test]
fn tcp_rules_are_found_by_port_and_gateway() {
    let tcp = |rules: &str| gateway(TCP) + &routes("v", "['*']", &format!("tcp: [{rules}]"));
    check(&tcp(&format!("{{route: {TO_A}}}")), &["7000 any → a:90*100"]);
    check(&tcp(&format!("{{match: [{{port: 7000}}], route: {TO_A}}}")), &["7000 any → a:90*100"]);
    // No route, and no listener.
    check(&tcp(&format!("{{match: [{{port: 7001}}], route: {TO_A}}}")), &[]);
    check(&gateway(TCP), &[]);
    // The first that matches; nothing but port and gateways is looked at.
    let strange = "{sourceLabels: {x: z}, sourceNamespace: z, destinationSubnets: [1.2.3.4/32], sourceSubnet: 1.2.3.4}";
    check(&tcp(&format!("{{match: [{strange}], route: {TO_A}}}, {{route: {TO_B}}}")), &["7000 any → a:90*100"]);
    check(&tcp(&format!("{{match: [{{port: 1}}, {{port: 7000}}], route: {TO_B}}}")), &["7000 any → b:90*100"]);
    check(
        &tcp(&format!("{{match: [{{gateways: [other]}}], route: {TO_A}}}, {{route: {TO_B}}}")),
        &["7000 any → b:90*100"],
    );
    check(
        &tcp(&format!("{{match: [{{gateways: [mesh]}}], route: {TO_A}}}, {{route: {TO_B}}}")),
        &["7000 any → b:90*100"],
    );
    check(&tcp(&format!("{{match: [{{gateways: [default/g]}}], route: {TO_A}}}")), &["7000 any → a:90*100"]);
}

#[test]
fn weights_are_those_of_http() {
    let tcp = |route: &str| gateway(TCP) + &routes("v", "['*']", &format!("tcp: [{{route: {route}}}]"));
    let entry = |host: &str, weight: &str| format!("{{destination: {{host: {host}}}{weight}}}");
    check(&tcp(&format!("[{}]", entry("a", ", weight: 7"))), &["7000 any → a:90*100"]);
    let split = format!("[{}, {}]", entry("a", ", weight: 20"), entry("b", ", weight: 80"));
    check(&tcp(&split), &["7000 any → a:90*20 b:90*80"]);
    check(&tcp(&format!("[{}, {}]", entry("a", ""), entry("b", ", weight: 1"))), &["7000 any → b:90*1"]);
    check(&tcp(&format!("[{}, {}]", entry("a", ""), entry("b", ""))), &[]);
}

#[test]
fn of_several_objects_the_first_with_a_rule_counts() {
    let rules = |port: u16, to: &str| format!("tcp: [{{match: [{{port: {port}}}], route: {to}}}]");
    let objects = gateway(TCP)
        + &routes("v1", "['*']", &rules(1, TO_A))
        + &routes("v2", "[x.test]", &rules(7000, TO_B))
        + &routes("v3", "['*']", &rules(7000, TO_A));
    check(&objects, &["7000 any → b:90*100"]);
    // Hosts must have something in common, although nobody says one.
    let narrow = "[{port: {number: 7000, name: tcp, protocol: TCP}, hosts: [y.test]}]";
    let objects = gateway(narrow)
        + &routes("v2", "[x.test]", &rules(7000, TO_B))
        + &routes("v3", "['*.test']", &rules(7000, TO_A));
    check(&objects, &["7000 any → a:90*100"]);
    let foreign = "[{port: {number: 7000, name: tcp, protocol: TCP}, hosts: [other/*]}]";
    check(&(gateway(foreign) + &routes("v3", "['*']", &rules(7000, TO_A))), &[]);
}

#[test]
fn tls_is_passed_on_by_the_names_of_routes() {
    let tls = |hosts: &str, rules: &str| {
        gateway(&passthrough("['*.test']")) + &routes("v", hosts, &format!("tls: [{rules}]"))
    };
    let rule = |names: &str, to: &str| format!("{{match: [{{sniHosts: {names}}}], route: {to}}}");
    check(&tls("[x.test]", &rule("[x.test]", TO_A)), &["7443 x.test → a:90*100"]);
    check(
        &tls("['*.test']", &format!("{}, {}", rule("[y.test, x.test]", TO_A), rule("['*.test']", TO_B))),
        &["7443 x.test,y.test → a:90*100", "7443 *.test → b:90*100"],
    );
    // A name that is taken takes the whole match with it.
    let twice = format!("{}, {}", rule("[x.test]", TO_A), rule("[y.test, x.test]", TO_B));
    check(&tls("['*.test']", &twice), &["7443 x.test → a:90*100"]);
    let (_, problems) = compile(resources(&tls("['*.test']", &twice)), CompileSettings::default());
    let conflicts = problems.iter().filter(|problem| problem.kind == ProblemKind::Conflict);
    let said: Vec<_> = conflicts.map(|problem| (problem.kind, problem.path.as_str())).collect();
    assert_eq!(said, [(ProblemKind::Conflict, "spec.tls[1].match[0].sniHosts")]);
    // An object of other hosts is not for the server, and TCP rules are none of TLS that is passed on.
    check(&tls("[x.other]", &rule("[x.other]", TO_A)), &[]);
    check(&(gateway(&passthrough("['*']")) + &routes("v", "['*']", &format!("tcp: [{{route: {TO_A}}}]"))), &[]);
}

#[test]
fn tcp_shares_no_port_with_others_in_the_clear() {
    let http = "[{port: {number: 7000, name: http, protocol: HTTP}, hosts: ['*']}]";
    let objects =
        gateway(TCP) + &named_gateway("z", http) + &routes("v", "['*']", &format!("tcp: [{{route: {TO_A}}}]"));
    let (snapshot, problems) = compile(resources(&objects), CompileSettings::default());
    assert_eq!(shown(&snapshot), ["7000 any → a:90*100"]);
    assert_eq!(snapshot.listeners().len(), 0);
    assert_eq!(problems.iter().filter(|problem| problem.kind == ProblemKind::Conflict).count(), 1);
}

#[test]
fn the_closest_name_takes_the_handshake_whoever_ends_tls() {
    let servers = "[{port: {number: 7443, name: https, protocol: HTTPS}, hosts: [in.x.test], \
                    tls: {mode: SIMPLE, credentialName: c}}, \
                    {port: {number: 7443, name: tls, protocol: TLS}, hosts: [term.test], \
                    tls: {mode: SIMPLE, credentialName: c}}, \
                    {port: {number: 7443, name: pass, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}]";
    let rules = format!(
        "tls: [{{match: [{{sniHosts: ['*.x.test']}}], route: {TO_A}}}, {{match: [{{sniHosts: ['in.x.test']}}], route: {TO_B}}}], \
         tcp: [{{route: {TO_B}}}]"
    );
    let (snapshot, _) =
        compile(resources(&(gateway(servers) + &routes("v", "['*']", &rules))), CompileSettings::default());
    let key = ListenerKey { address: None, port: 7443 };
    let found = |name: Option<&str>| match snapshot.chain(key, name) {
        None => "nobody".to_owned(),
        Some(Chain::Http(..)) => "https".to_owned(),
        Some(Chain::Stream(stream)) => {
            format!("{:?}[{}]", stream.route.origin.section, stream.route.origin.rule)
        }
    };
    assert_eq!(found(Some("in.x.test")), "https", "where TLS ends, no route takes it away");
    assert_eq!(found(Some("other.x.test")), "Tls[0]");
    assert_eq!(found(Some("term.test")), "Tcp[0]");
    assert_eq!(found(Some("x.test")), "nobody");
    assert_eq!(found(None), "nobody");
    assert!(snapshot.passed_on(key).is_none());
    let speech = snapshot.speaks(key);
    assert!(speech.tls && speech.ends_tls && speech.passes_tls && !speech.plaintext);
    assert_eq!(snapshot.tls_servers().count(), 2);
}

#[test]
fn editing_streams_gives_what_compiling_from_nothing_gives() {
    let rule = |to: &str| format!("tcp: [{{route: {to}}}]");
    let base = resources(&gateway(TCP));
    let mut compiler = Compiler::new(CompileSettings::default());
    base.into_iter().for_each(|resource| compiler.apply(Change::Put(resource)));
    assert_eq!(shown(&compiler.snapshot()), [""; 0]);
    let mut put = |objects: &str| {
        resources(objects).into_iter().for_each(|resource| compiler.apply(Change::Put(resource)));
        shown(&compiler.snapshot())
    };
    assert_eq!(put(&routes("v2", "['*']", &rule(TO_B))), ["7000 any → b:90*100"]);
    assert_eq!(put(&routes("v1", "['*']", &rule(TO_A))), ["7000 any → a:90*100"]);
    assert_eq!(put(&routes("v1", "['*']", "http: [{directResponse: {status: 200}}]")), ["7000 any → b:90*100"]);
    assert_eq!(
        put(&gateway("[{port: {number: 7001, name: tcp, protocol: TCP}, hosts: ['*']}]")),
        ["7001 any → b:90*100"]
    );
    for resource in resources(&routes("v2", "['*']", &rule(TO_B))) {
        if let Resource::VirtualService(service) = resource {
            compiler.apply(Change::Remove(service.meta.id));
        }
    }
    assert_eq!(shown(&compiler.snapshot()), [""; 0]);
}
