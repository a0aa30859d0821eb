//! A bad piece costs itself and nothing beside it.

use super::read;
use crate::model::{resource::Resource, virtual_service::VirtualService};

#[track_caller]
fn virtual_service(spec: &str) -> Option<VirtualService> {
    let text =
        format!("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec: {spec}\n");
    match read(&text).0.pop() {
        Some(Resource::VirtualService(routes)) => Some(routes),
        None => None,
        other => panic!("{other:?}"),
    }
}

/// Checks which rules of `http` are kept, by their index, with the indices of their matches.
#[track_caller]
fn check_rules(http: &str, expected: &[(usize, &[usize])]) {
    let routes = virtual_service(&format!("{{hosts: [a.com], gateways: [gw], http: [{http}]}}")).unwrap();
    let kept: Vec<_> =
        routes.http.iter().map(|r| (r.index, r.matches.iter().map(|m| m.index).collect::<Vec<_>>())).collect();
    let kept: Vec<_> = kept.iter().map(|(rule, matches)| (*rule, matches.as_slice())).collect();
    assert_eq!(kept, expected, "{http}");
}

const ROUTE: &str = "route: [{destination: {host: b}}]";

#[test]
fn a_bad_rule_costs_itself() {
    let good = format!("{{match: [{{uri: {{prefix: /a}}}}], {ROUTE}}}");
    for bad in [
        "{route: []}",
        "{redirect: {uri: /x, redirectCode: 304}}",
        "{directResponse: {status: 600}}",
        "{route: [{destination: {host: a}}, {destination: {host: b}}]}",
        "{route: [{destination: {host: a}, weight: -1}]}",
        "{route: [{}]}",
        "{route: [{destination: {host: a}}], rewrite: {}}",
        "{route: [{destination: {host: a}}], rewrite: {uri: \"/a\\n\"}}",
        "{delegate: {name: x}}",
        "{match: [{uri: {regex: '('}}], route: [{destination: {host: a}}]}",
    ] {
        check_rules(&format!("{good}, {bad}, {good}"), &[(0, &[0]), (2, &[0])]);
    }
}

#[test]
fn a_bad_match_costs_itself_and_never_widens_its_rule() {
    let rule = |matches: &str| format!("{{match: [{matches}], {ROUTE}}}");
    check_rules(&rule("{uri: {regex: '('}}, {uri: {exact: /b}}"), &[(0, &[1])]);
    check_rules(&rule("{uri: {prefix: /a}, headers: {x: {prefix: ''}}}"), &[]);
    check_rules(&rule("{headers: {'@request.auth.claims.a': {exact: b}}}"), &[]);
    check_rules(&rule("{queryParams: {'': {}}}"), &[]);
    check_rules(&rule("{port: 70000}"), &[]);
    check_rules(&rule("{gateways: [mesh]}, {gateways: [mesh, gw]}"), &[(0, &[1])]);
}

#[test]
fn unserved_parts_leave_their_rule() {
    check_rules(
        &format!("{{{ROUTE}, timeout: 1s, fault: {{}}, retries: {{attempts: -1}}, mirror: {{host: c}}}}"),
        &[(0, &[])],
    );
}

#[test]
fn a_bad_destination_keeps_its_share() {
    let routes = virtual_service(
        "{hosts: [a.com], gateways: [gw], http: [{route: [{destination: {host: a, subset: V_1}, weight: 9}, {destination: {host: b}, weight: 1}]}]}",
    );
    let text = format!("{:?}", routes.unwrap().http[0].action);
    assert!(text.contains("V_1") && text.contains("weight: 9") && text.contains("weight: 1"), "{text}");
}

#[test]
fn a_wrong_type_costs_the_object_and_no_other() {
    assert_eq!(virtual_service("{hosts: 3}"), None);
    let text = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: broken}
spec: {hosts: [a.com], http: 7}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: sound}
spec: {hosts: [a.com], gateways: [gw], http: [{route: [{destination: {host: b}}]}]}
";
    let (resources, problems) = read(text);
    assert_eq!(resources.len(), 1);
    assert_eq!(&*resources[0].meta().id.name, "sound");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].source.as_deref(), Some("test.yaml:2"));
}

#[test]
fn bad_servers_subsets_and_endpoints_cost_themselves() {
    let text = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  servers:
  - {port: {number: 0, name: a, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 80, name: b, protocol: HTTP}, hosts: ['a_b.com', c.com]}
  - {port: {number: 81, name: c, protocol: HTTP}, hosts: [short]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: dr}
spec: {host: a, subsets: [{name: 'A_B'}, {name: v1}, {name: v1, labels: {x: z}}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: se}
spec:
  hosts: [x_y.com, a.com]
  ports: [{number: 0, name: a, protocol: HTTP}, {number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: nowhere}, {address: 10.0.0.1}]
";
    let (resources, _) = read(text);
    let [Resource::Gateway(gateway), Resource::DestinationRule(rule), Resource::ServiceEntry(entry)] = &resources[..]
    else {
        panic!("{resources:?}");
    };
    let servers: Vec<_> = gateway.servers.iter().map(|s| (s.index, s.hosts[0].host.as_str())).collect();
    assert_eq!(servers, [(1, "c.com")]);
    assert_eq!(rule.subsets.iter().map(|s| (&*s.name, s.labels.len())).collect::<Vec<_>>(), [("v1", 0)]);
    assert_eq!(entry.hosts.iter().map(|h| h.as_str()).collect::<Vec<_>>(), ["a.com"]);
    assert_eq!(entry.ports.iter().map(|p| p.number).collect::<Vec<_>>(), [80]);
    assert_eq!(entry.endpoints.len(), 1);
}

/// What the command-line contract asks of `validate`.
#[test]
fn unknown_fields_warn_and_several_errors_are_all_found() {
    let text = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad, namespace: default}
spec: {hosts: ['a.example.com'], gateways: [nosuch], http: [{nonsense: 1, match: [{uri: {prefix: /}}], route: [{destination: {host: nosuch, subset: v9}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: worse, namespace: default}
spec: {hosts: ['*.*.com'], http: [{route: []}]}
";
    let (_, problems) = read(text);
    let found: Vec<_> = problems.iter().map(|p| (&*p.object.as_ref().unwrap().name, p.path.as_str())).collect();
    assert_eq!(found, [("bad", "spec.http[0].nonsense"), ("worse", "spec.hosts[0]"), ("worse", "spec.http[0]")]);
}
