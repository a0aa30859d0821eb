//! What is said about odd objects, one case a line: `severity path`, and a word of the message.

mod service_entries;

use super::read;
use crate::model::problem::{ProblemKind, Severity};

/// A finding: kind, path, and text in the message.
type Finding<'a> = (ProblemKind, &'a str, &'a str);

use ProblemKind::{IneffectiveMatch, Invalid, NotServed, Reference, Schema, Suspicious, UnknownField, UnreachableRule};

/// Checks that `kind` with `spec` (YAML flow text) gives exactly `expected`, in their order.
#[track_caller]
fn check(kind: &str, spec: &str, expected: &[Finding<'_>]) {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: odd, namespace: ns}}\nspec: {spec}\n"
    );
    let (_, problems) = read(&text);
    let found: Vec<_> = problems.iter().map(|p| (p.kind, p.path.as_str(), p.message.as_str())).collect();
    let same = found.len() == expected.len()
        && found.iter().zip(expected).all(|(f, e)| f.0 == e.0 && f.1 == e.1 && f.2.contains(e.2));
    assert!(same, "{kind} {spec}\nfound    {found:#?}\nexpected {expected:#?}");
    for problem in &problems {
        let refused = matches!(problem.kind, Invalid | Schema);
        assert_eq!(problem.severity == Severity::Error, refused, "{problem}");
        assert!(!problem.message.ends_with('.') && !problem.message.contains('\n'), "{problem}");
        assert_eq!(problem.source.as_deref(), Some("test.yaml:1"));
        assert_eq!(problem.object.as_ref().map(ToString::to_string), Some(format!("{kind} ns/odd")));
    }
}

#[track_caller]
fn virtual_service(spec: &str, expected: &[Finding<'_>]) {
    check("VirtualService", spec, expected);
}

/// A rule of an otherwise sound VirtualService; paths are relative to the rule.
#[track_caller]
fn rule(rule: &str, expected: &[Finding<'_>]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(kind, path, text)| {
            let dot = if path.is_empty() { "" } else { "." };
            (*kind, format!("spec.http[0]{dot}{path}"), *text)
        })
        .collect();
    let expected: Vec<_> = expected.iter().map(|(kind, path, text)| (*kind, path.as_str(), *text)).collect();
    virtual_service(&format!("{{hosts: [a.com], gateways: [gw], http: [{rule}]}}"), &expected);
}

/// A match of an otherwise sound rule; paths are relative to the match.
#[track_caller]
fn request(request: &str, expected: &[Finding<'_>]) {
    let expected: Vec<_> =
        expected.iter().map(|(kind, path, text)| (*kind, format!("match[0].{path}"), *text)).collect();
    let expected: Vec<_> = expected.iter().map(|(kind, path, text)| (*kind, path.as_str(), *text)).collect();
    rule(&format!("{{match: [{request}], route: [{{destination: {{host: b}}}}]}}"), &expected);
}

const ROUTE: &str = "route: [{destination: {host: b}}]";

#[test]
fn virtual_service_frame() {
    let http = format!("http: [{{{ROUTE}}}]");
    virtual_service(&format!("{{hosts: [a.com, b], gateways: [gw, other/gw], {http}}}"), &[]);
    virtual_service(&format!("{{hosts: ['*.*.com'], {http}}}"), &[(Invalid, "spec.hosts[0]", "no host name")]);
    virtual_service(
        &format!("{{hosts: ['*'], gateways: [gw, mesh], {http}}}"),
        &[(Invalid, "spec.hosts[0]", "sidecars")],
    );
    virtual_service(&format!("{{hosts: ['*'], {http}}}"), &[(Invalid, "spec.hosts[0]", "sidecars")]);
    virtual_service(
        &format!("{{hosts: [a.com, A.com], gateways: [gw], {http}}}"),
        &[(Invalid, "spec.hosts[1]", "overlaps")],
    );
    virtual_service(
        &format!("{{hosts: ['*.com', a.com], gateways: [gw], {http}}}"),
        &[(Invalid, "spec.hosts[1]", "overlaps")],
    );
    virtual_service(&format!("{{hosts: [10.0.0.1], gateways: [gw], {http}}}"), &[]);
    virtual_service(&format!("{{hosts: [''], gateways: [gw], {http}}}"), &[(Invalid, "spec.hosts[0]", "empty")]);
    virtual_service(&format!("{{hosts: [a.1], gateways: [gw], {http}}}"), &[(Invalid, "spec.hosts[0]", "top-level")]);
    virtual_service("{hosts: [a.com], gateways: [gw]}", &[(Invalid, "spec", "no rules")]);
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [Gw_1], {http}}}"),
        &[(Invalid, "spec.gateways[0]", "no gateway name")],
    );
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [gw.ns.svc.cluster.local], {http}}}"),
        &[(Suspicious, "spec.gateways[0]", "ns/gw")],
    );
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [/gw], {http}}}"),
        &[(Invalid, "spec.gateways[0]", "no namespace")],
    );
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [ns/a.b], {http}}}"),
        &[(Invalid, "spec.gateways[0]", "no gateway name")],
    );
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [gw], exportTo: ['*', x], {http}}}"),
        &[(Invalid, "spec.exportTo", "beside")],
    );
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [gw], exportTo: [., ns], {http}}}"),
        &[(Invalid, "spec.exportTo[1]", "repeats")],
    );
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [gw], exportTo: ['~'], {http}}}"),
        &[(Invalid, "spec.exportTo[0]", "neither")],
    );
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [gw], nonsense: 1, {http}}}"),
        &[(UnknownField, "spec.nonsense", "spelling")],
    );
    virtual_service(&format!("{{hosts: a.com, {http}}}"), &[(Schema, "spec.hosts", "expected a sequence")]);
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [gw], tls: null, {http}}}"),
        &[(Suspicious, "spec.tls", "null")],
    );
    virtual_service("null", &[(Schema, "spec", "missing")]);
    virtual_service(&format!("{{gateways: [gw], {http}}}"), &[(Invalid, "spec.gateways", "delegate")]);
    virtual_service(
        &format!("{{hosts: [a.com], gateways: [gw], http: [{{{ROUTE}}}, {{{ROUTE}}}]}}"),
        &[(UnreachableRule, "spec.http[1]", "never reached")],
    );
}

#[test]
fn virtual_service_tls_and_tcp() {
    let tls = |route: &str| format!("{{hosts: [a.com], gateways: [gw], tls: [{route}]}}");
    virtual_service(&tls(&format!("{{match: [{{sniHosts: [a.com]}}], {ROUTE}}}")), &[]);
    virtual_service(
        &tls(&format!("{{match: [{{}}], {ROUTE}}}")),
        &[(Invalid, "spec.tls[0].match[0].sniHosts", "required")],
    );
    virtual_service(&tls(&format!("{{{ROUTE}}}")), &[(Invalid, "spec.tls[0].match", "required")]);
    virtual_service(
        &tls(&format!("{{match: [{{sniHosts: [b.com]}}], {ROUTE}}}")),
        &[(Invalid, "spec.tls[0].match[0].sniHosts[0]", "none of")],
    );
    virtual_service(
        &tls("{match: [{sniHosts: [a.com], destinationSubnets: [10.0.0.0/33]}]}"),
        &[(Invalid, "spec.tls[0].match[0].destinationSubnets[0]", "CIDR"), (Invalid, "spec.tls[0].route", "required")],
    );
    let tcp = |route: &str| format!("{{hosts: [a.com], gateways: [gw], tcp: [{route}]}}");
    virtual_service(
        &tcp("{match: [{port: 70000}], route: [{destination: {host: a}}, {destination: {host: b}}]}"),
        &[(Invalid, "spec.tcp[0].match[0].port", "65535"), (Invalid, "spec.tcp[0].route", "total weight")],
    );
}

#[test]
fn http_actions() {
    rule(&format!("{{{ROUTE}}}"), &[]);
    rule("{}", &[(Invalid, "", "does nothing")]);
    rule("{route: []}", &[(Invalid, "", "does nothing")]);
    rule(&format!("{{{ROUTE}, redirect: {{uri: /x}}}}"), &[(Invalid, "route", "redirect")]);
    rule(&format!("{{{ROUTE}, directResponse: {{status: 200}}}}"), &[(Invalid, "route", "directResponse")]);
    rule("{redirect: {uri: /x}, directResponse: {status: 200}}", &[(Invalid, "directResponse", "redirect")]);
    rule("{redirect: {uri: /x}, rewrite: {uri: /y}}", &[(Invalid, "rewrite", "redirect")]);
    rule("{redirect: {}}", &[(Invalid, "redirect", "changes nothing")]);
    rule("{redirect: {uri: /x, prefixRewrite: /y}}", &[(Invalid, "redirect", "both")]);
    rule(
        "{match: [{uri: {exact: /x}}], redirect: {prefixRewrite: /y}}",
        &[(Invalid, "redirect.prefixRewrite", "prefix")],
    );
    rule("{redirect: {uri: /x, redirectCode: 304}}", &[(Invalid, "redirect.redirectCode", "308")]);
    rule("{redirect: {uri: /x, redirectCode: 200}}", &[(Invalid, "redirect.redirectCode", "308")]);
    rule("{redirect: {scheme: ftp}}", &[(Invalid, "redirect.scheme", "neither")]);
    rule("{redirect: {port: 70000}}", &[(Invalid, "redirect.port", "65535")]);
    rule("{redirect: {port: 80, derivePort: FROM_REQUEST_PORT}}", &[(Schema, "redirect", "both")]);
    rule(r#"{redirect: {uri: "/a\nb"}}"#, &[(Invalid, "redirect.uri", "line feed")]);
    rule(r#"{redirect: {authority: "a\r"}}"#, &[(Invalid, "redirect.authority", "line feed")]);
    rule("{directResponse: {status: 600}}", &[(Invalid, "directResponse.status", "599")]);
    rule("{directResponse: {status: 199}}", &[(Invalid, "directResponse.status", "200")]);
    rule("{directResponse: {status: 200, body: {string: a, bytes: YQ==}}}", &[(Schema, "directResponse.body", "both")]);
    rule("{directResponse: {status: 200, body: {bytes: '?'}}}", &[(Schema, "directResponse.body.bytes", "base64")]);
    let large = format!("{{directResponse: {{status: 200, body: {{string: {}}}}}}}", "x".repeat(1024 * 1024 + 1));
    rule(&large, &[(Invalid, "directResponse.body", "1 MiB")]);
    let big = format!("{{directResponse: {{status: 200, body: {{string: {}}}}}}}", "x".repeat(101 * 1024));
    rule(&big, &[(Suspicious, "directResponse.body", "100 KiB")]);
    rule(&format!("{{{ROUTE}, rewrite: {{}}}}"), &[(Invalid, "rewrite", "changes nothing")]);
    rule(
        &format!("{{{ROUTE}, rewrite: {{uri: /a, uriRegexRewrite: {{match: a, rewrite: b}}}}}}"),
        &[(Invalid, "rewrite", "both")],
    );
    rule(
        &format!("{{{ROUTE}, rewrite: {{uriRegexRewrite: {{match: a}}}}}}"),
        &[(Invalid, "rewrite.uriRegexRewrite", "both match and rewrite")],
    );
    rule(
        &format!("{{{ROUTE}, rewrite: {{uriRegexRewrite: {{match: '(a', rewrite: b}}}}}}"),
        &[(Invalid, "rewrite.uriRegexRewrite.match", "RE2")],
    );
    rule(
        &format!("{{{ROUTE}, rewrite: {{uriRegexRewrite: {{match: '(a)', rewrite: '\\2'}}}}}}"),
        &[(Invalid, "rewrite.uriRegexRewrite.rewrite", "group")],
    );
    rule(
        &format!("{{{ROUTE}, rewrite: {{uriRegexRewrite: {{match: a, rewrite: '\\x'}}}}}}"),
        &[(Invalid, "rewrite.uriRegexRewrite.rewrite", "backslash")],
    );
    rule(&format!("{{{ROUTE}, rewrite: {{authority: \"a\\nb\"}}}}"), &[(Invalid, "rewrite.authority", "line feed")]);
    rule("{delegate: {name: x}}", &[(Reference, "delegate", "left out")]);
    rule(
        &format!("{{delegate: {{name: x}}, {ROUTE}}}"),
        &[(Invalid, "route", "delegate"), (Reference, "delegate", "left out")],
    );
}

#[test]
fn http_destinations() {
    let two =
        |a: &str, b: &str| format!("{{route: [{{destination: {{host: a}}{a}}}, {{destination: {{host: b}}{b}}}]}}");
    rule(&two(", weight: 1", ", weight: 3"), &[]);
    rule(&two("", ", weight: 3"), &[]);
    rule(&two("", ""), &[(Invalid, "route", "total weight of 0")]);
    rule(&two(", weight: -1", ", weight: 3"), &[(Invalid, "route[0].weight", "negative")]);
    rule(&two(", nonsense: 1", ", weight: 3"), &[(UnknownField, "route[0].nonsense", "no field")]);
    rule("{route: [{}]}", &[(Schema, "route[0].destination", "required")]);
    rule("{route: [{destination: {}}]}", &[(Schema, "route[0].destination.host", "required")]);
    rule("{route: [{destination: {host: '*'}}]}", &[(Invalid, "route[0].destination.host", "name a service")]);
    rule("{route: [{destination: {host: a_b}}]}", &[(Invalid, "route[0].destination.host", "no host name")]);
    rule("{route: [{destination: {host: b, subset: 'V 1'}}]}", &[(Invalid, "route[0].destination.subset", "subset")]);
    rule(
        "{route: [{destination: {host: b, port: {number: 0}}}]}",
        &[(Invalid, "route[0].destination.port.number", "0 is no port")],
    );
    rule(
        "{route: [{destination: {host: b, port: {number: 65536}}}]}",
        &[(Invalid, "route[0].destination.port.number", "65535")],
    );
}

#[test]
fn http_headers() {
    let with = |headers: &str| format!("{{{ROUTE}, headers: {{{headers}}}}}");
    rule(
        &with(
            "request: {set: {x-a: '%HOSTNAME%', Host: a.com}, add: {x-b: 1%%}, remove: [x-c]}, response: {set: {x: z}}",
        ),
        &[],
    );
    rule(&with("request: {set: {'': a}}"), &[(Invalid, "headers.request.set.", "empty")]);
    rule(&with("request: {set: {':path': a}}"), &[(Invalid, "headers.request.set.:path", "pseudo")]);
    rule(&with("request: {set: {'a b': a}}"), &[(Invalid, "headers.request.set.a b", "no header name")]);
    rule(&with("request: {remove: [host]}"), &[(Invalid, "headers.request.remove[0]", "Host")]);
    rule(&with("response: {set: {host: a}}"), &[(Invalid, "headers.response.set.host", "Host")]);
    rule(&with("response: {add: {x: '50%'}}"), &[(Invalid, "headers.response.add.x", "%%")]);
    rule(&with("response: {add: {x: '%FOO%'}}"), &[(Invalid, "headers.response.add.x", "no operator")]);
    rule(&with("response: {add: {x: '%TRAILER(x)%'}}"), &[(NotServed, "headers.response.add.x", "TRAILER")]);
    rule(&with(r#"response: {add: {x: "a\nb"}}"#), &[(Invalid, "headers.response.add.x", "control")]);
    rule(&with("request: {set: {host: a, ':authority': b}}"), &[(Invalid, "headers.request", "more than once")]);
    rule(
        &format!("{{{ROUTE}, rewrite: {{authority: a}}, headers: {{request: {{add: {{Host: b}}}}}}}}"),
        &[(Invalid, "headers.request", "more than once")],
    );
    rule(
        "{route: [{destination: {host: b}, headers: {request: {remove: ['']}}}]}",
        &[(Invalid, "route[0].headers.request.remove[0]", "empty")],
    );
}

#[test]
fn http_matches() {
    request(
        "{uri: {prefix: ''}, headers: {x: {}, ':method': {exact: GET}}, queryParams: {q: {exact: ''}}, port: 80}",
        &[],
    );
    request("{uri: {exact: /a, prefix: /b}}", &[(Schema, "uri", "more than one")]);
    request("{uri: {regex: '(?=a)'}}", &[(Invalid, "uri.regex", "look-around")]);
    request("{uri: {regex: ''}}", &[(Invalid, "uri.regex", "empty")]);
    request("{uri: []}", &[(Schema, "uri", "mapping")]);
    request("{uri: {suffix: a}}", &[(UnknownField, "uri.suffix", "no field")]);
    request("{method: {prefix: ''}}", &[(Invalid, "method.prefix", "empty")]);
    request("{scheme: {regex: '['}}", &[(Invalid, "scheme.regex", "not closed")]);
    request("{authority: {regex: 'a**'}}", &[(Invalid, "authority.regex", "repeats")]);
    request("{headers: {x: {prefix: ''}}}", &[(Invalid, "headers.x.prefix", "empty")]);
    request("{headers: {x: {regex: '*'}}}", &[(Invalid, "headers.x.regex", "no RE2 expression")]);
    request("{withoutHeaders: {x: {regex: '*'}}}", &[]);
    request("{headers: {'': {}}}", &[(Invalid, "headers.", "empty header name")]);
    request("{headers: {'a b': {}}}", &[(Invalid, "headers.a b", "no header name")]);
    request("{headers: {x: {exact: true}}}", &[(Schema, "headers.x.exact", "boolean")]);
    request("{headers: {x: null}}", &[(Suspicious, "headers.x", "null")]);
    request(
        "{headers: {'@request.auth.claims.sub': {exact: a}}}",
        &[(NotServed, "headers.@request.auth.claims.sub", "JWT")],
    );
    request("{headers: {':status': {exact: a}}}", &[(Suspicious, "headers.:status", "no request")]);
    request("{queryParams: {'': {}}}", &[(Invalid, "queryParams.", "empty parameter name")]);
    request("{queryParams: {q: {regex: '\\y'}}}", &[(Invalid, "queryParams.q.regex", "escape")]);
    request("{port: 65536}", &[(Invalid, "port", "65535")]);
    request("{sourceLabels: {a: 'b c'}}", &[(Invalid, "sourceLabels.a", "label value")]);
    request("{sourceNamespace: a.b}", &[(Invalid, "sourceNamespace", "namespace")]);
    request("{gateways: [a_b]}", &[(Invalid, "gateways[0]", "no gateway name")]);
    request("{statPrefix: x}", &[(NotServed, "statPrefix", "statistics")]);
    virtual_service(
        &format!("{{hosts: [a.com], http: [{{match: [{{headers: {{'@request.auth.claims[a]': {{}}}}}}], {ROUTE}}}]}}"),
        &[
            (Invalid, "spec.http[0].match[0]", "claim"),
            (NotServed, "spec.http[0].match[0].headers.@request.auth.claims[a]", "JWT"),
        ],
    );
}

#[test]
fn timeouts_and_retries() {
    let with = |part: &str| format!("{{{ROUTE}, {part}}}");
    rule(&with("timeout: 1s"), &[]);
    rule(&with("timeout: 0s"), &[(Invalid, "timeout", "shorter than 1ms")]);
    rule(&with("timeout: 1.0001s"), &[(Invalid, "timeout", "finer")]);
    rule(&with("timeout: soon"), &[(Schema, "timeout", "no duration")]);
    rule(&with("timeout: 1"), &[(Schema, "timeout", "expected a string")]);
    rule(&with("retries: {attempts: 3, retryOn: '5xx,reset,503', perTryTimeout: 1s, backoff: 10ms}"), &[]);
    rule(&with("retries: {attempts: -1}"), &[(Invalid, "retries.attempts", "negative")]);
    rule(&with("retries: {retryOn: 5xx}"), &[(Invalid, "retries.attempts", "turns retries off")]);
    rule(
        &with("retries: {attempts: 1, retryOn: 'never,999,5xx, reset'}"),
        &[
            (Invalid, "retries.retryOn", "never"),
            (Invalid, "retries.retryOn", "999"),
            (Invalid, "retries.retryOn", " reset"),
        ],
    );
    rule(&with("retries: {attempts: 1, perTryTimeout: 0ms}"), &[(Invalid, "retries.perTryTimeout", "1ms")]);
    rule(&with("retries: {attempts: 1, backoff: 1ns}"), &[(Invalid, "retries.backoff", "1ms")]);
}

#[test]
fn faults_mirrors_and_cors() {
    let with = |part: &str| format!("{{{ROUTE}, {part}}}");
    rule(&with("fault: {abort: {httpStatus: 503, percentage: {value: 10}}}"), &[]);
    rule(&with("fault: {}"), &[(Invalid, "fault", "neither delay nor abort")]);
    rule(&with("fault: {abort: {httpStatus: 600}}"), &[(Invalid, "fault.abort.httpStatus", "599")]);
    rule(
        &with("fault: {abort: {httpStatus: 500, percentage: {value: 101}}}"),
        &[(Invalid, "fault.abort.percentage.value", "100")],
    );
    rule(&with("fault: {abort: {http2Error: X}}"), &[(Invalid, "fault.abort.http2Error", "not supported")]);
    rule(&with("fault: {abort: {grpcStatus: BAD}}"), &[(Invalid, "fault.abort.grpcStatus", "gRPC")]);
    rule(&with("fault: {abort: {}}"), &[(Suspicious, "fault.abort", "nothing is aborted")]);
    rule(
        &with("fault: {delay: {exponentialDelay: 1s}}"),
        &[(Invalid, "fault.delay.exponentialDelay", "not supported")],
    );
    rule(&with("fault: {delay: {fixedDelay: 0s}}"), &[(Invalid, "fault.delay.fixedDelay", "1ms")]);
    rule(&with("mirror: {host: c}, mirrors: [{destination: {host: d}}]"), &[(Invalid, "mirror", "keep one")]);
    rule(&with("mirrorPercentage: {value: 101}"), &[(Invalid, "mirrorPercentage.value", "100")]);
    rule(
        &with("mirrorPercent: 101"),
        &[(Suspicious, "mirrorPercent", "deprecated"), (Invalid, "mirrorPercent", "100")],
    );
    rule(
        &with("mirrors: [{percentage: {value: -1}}]"),
        &[(Invalid, "mirrors[0].percentage.value", "100"), (Schema, "mirrors[0].destination", "required")],
    );
    rule(&with("corsPolicy: {allowOrigins: [{exact: a}], allowMethods: [GET], maxAge: 24h}"), &[]);
    rule(
        &with("corsPolicy: {allowOrigins: [{}, {exact: ''}, {regex: '('}]}"),
        &[
            (Invalid, "corsPolicy.allowOrigins[0]", "empty"),
            (Invalid, "corsPolicy.allowOrigins[1]", "empty"),
            (Invalid, "corsPolicy.allowOrigins[2].regex", "RE2"),
        ],
    );
    rule(
        &with("corsPolicy: {allowMethods: [get], allowHeaders: ['a b'], maxAge: 1.5s}"),
        &[
            (Invalid, "corsPolicy.allowMethods[0]", "method"),
            (Invalid, "corsPolicy.allowHeaders[0]", "header name"),
            (Invalid, "corsPolicy.maxAge", "whole seconds"),
        ],
    );
}

#[test]
fn gateways() {
    let check_server =
        |server: &str, expected: &[Finding<'_>]| check("Gateway", &format!("{{servers: [{server}]}}"), expected);
    let http = "port: {number: 80, name: http, protocol: HTTP}";
    check("Gateway", "{}", &[(Invalid, "spec.servers", "required")]);
    check_server(&format!("{{{http}, hosts: ['*', ns/a.com, ./b.com, '*/c.com', 'ns/*']}}"), &[]);
    check_server(&format!("{{{http}}}"), &[(Invalid, "spec.servers[0].hosts", "required")]);
    check_server("{hosts: ['*']}", &[(Schema, "spec.servers[0].port", "required")]);
    check_server(&format!("{{{http}, hosts: [short]}}"), &[(Invalid, "spec.servers[0].hosts[0]", "short name")]);
    check_server(&format!("{{{http}, hosts: ['a.*.com']}}"), &[(Invalid, "spec.servers[0].hosts[0]", "no DNS label")]);
    check_server(&format!("{{{http}, hosts: ['foo.*']}}"), &[(Invalid, "spec.servers[0].hosts[0]", "no DNS label")]);
    check_server(
        &format!("{{{http}, hosts: ['*-foo.com']}}"),
        &[(Invalid, "spec.servers[0].hosts[0]", "part of a label")],
    );
    check_server(&format!("{{{http}, hosts: [ns/]}}"), &[(Invalid, "spec.servers[0].hosts[0]", "empty")]);
    check_server(&format!("{{{http}, hosts: [/a.com]}}"), &[(Invalid, "spec.servers[0].hosts[0]", "empty namespace")]);
    check_server(&format!("{{{http}, hosts: [a/b/c.com]}}"), &[(Invalid, "spec.servers[0].hosts[0]", "no DNS label")]);
    check_server(
        "{port: {number: 0, name: a, protocol: HTTP}, hosts: ['*']}",
        &[(Invalid, "spec.servers[0].port.number", "0 is no port")],
    );
    check_server(
        "{port: {number: 80, name: a, protocol: GOPHER}, hosts: ['*']}",
        &[(Invalid, "spec.servers[0].port.protocol", "GOPHER")],
    );
    check_server(
        "{port: {number: 80, protocol: HTTP}, hosts: ['*']}",
        &[(Schema, "spec.servers[0].port.name", "required")],
    );
    check_server(
        "{port: {number: 80, name: a, protocol: HTTP, targetPort: 81}, hosts: ['*']}",
        &[(Invalid, "spec.servers[0].port.targetPort", "no effect")],
    );
    check_server(&format!("{{{http}, hosts: ['*'], bind: nowhere}}"), &[(Invalid, "spec.servers[0].bind", "neither")]);
    check_server(
        &format!("{{{http}, hosts: ['*'], bind: 'unix:///x'}}"),
        &[(Invalid, "spec.servers[0].bind", "must be 0"), (NotServed, "spec.servers[0].bind", "unix")],
    );
    check(
        "Gateway",
        &format!("{{servers: [{{{http}, hosts: ['*']}}, {{{http}, hosts: ['*']}}]}}"),
        &[(Invalid, "spec.servers[1].port.name", "another port")],
    );
}

#[test]
fn gateway_tls() {
    let mode = (NotServed, "spec.servers[0].tls.mode", "stays closed");
    let https =
        |tls: &str| format!("{{servers: [{{port: {{number: 443, name: a, protocol: HTTPS}}, hosts: ['*']{tls}}}]}}");
    let http = |tls: &str| {
        format!("{{servers: [{{port: {{number: 80, name: a, protocol: HTTP}}, hosts: ['*'], tls: {tls}}}]}}")
    };
    let tls = "spec.servers[0].tls";
    check("Gateway", &https(""), &[(Invalid, tls, "required")]);
    check("Gateway", &https(", tls: {mode: SIMPLE, credentialName: a}"), &[]);
    check(
        "Gateway",
        &https(", tls: {mode: SIMPLE}"),
        &[
            (Invalid, "spec.servers[0].tls.serverCertificate", "required"),
            (Invalid, "spec.servers[0].tls.privateKey", "required"),
        ],
    );
    check(
        "Gateway",
        &https(", tls: {mode: MUTUAL, serverCertificate: a, privateKey: b}"),
        &[(Invalid, "spec.servers[0].tls.caCertificates", "required")],
    );
    check(
        "Gateway",
        &https(", tls: {mode: SIMPLE, credentialName: a, credentialNames: [b]}"),
        &[(Invalid, tls, "more than one")],
    );
    check(
        "Gateway",
        &https(", tls: {mode: ISTIO_MUTUAL, credentialName: a}"),
        &[(Invalid, "spec.servers[0].tls.credentialName", "ISTIO_MUTUAL"), mode],
    );
    check("Gateway", &https(", tls: {credentialName: a}"), &[(Suspicious, "spec.servers[0].tls.mode", "ignored")]);
    check(
        "Gateway",
        &https(", tls: {mode: SIMPLE, serverCertificate: a, privateKey: b, caCrl: c}"),
        &[(Invalid, "spec.servers[0].tls.caCrl", "SIMPLE")],
    );
    check(
        "Gateway",
        &https(
            ", tls: {mode: SIMPLE, credentialName: a, httpsRedirect: true, cipherSuites: [NONE, AES128-SHA, AES128-SHA]}",
        ),
        &[
            (Suspicious, "spec.servers[0].tls.cipherSuites[0]", "no cipher"),
            (Suspicious, "spec.servers[0].tls.cipherSuites[2]", "repeated"),
            (Suspicious, "spec.servers[0].tls.httpsRedirect", "plain text"),
            (NotServed, "spec.servers[0].tls.cipherSuites[1]", "forward secrecy"),
        ],
    );
    check(
        "Gateway",
        &https(", tls: {mode: SIMPLE, credentialName: a, minProtocolVersion: TLSV1_1}"),
        &[
            (Suspicious, "spec.servers[0].tls.minProtocolVersion", "TLSV1_2"),
            (NotServed, "spec.servers[0].tls.minProtocolVersion", "1.2 is the lowest"),
        ],
    );
    let simple = |more: &str| https(&format!(", tls: {{mode: SIMPLE, credentialName: a, {more}}}"));
    check(
        "Gateway",
        &simple("maxProtocolVersion: TLSV1_1"),
        &[
            (NotServed, "spec.servers[0].tls.maxProtocolVersion", "not spoken"),
            (Suspicious, "spec.servers[0].tls.minProtocolVersion", "above"),
        ],
    );
    check(
        "Gateway",
        &simple("minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2"),
        &[(Suspicious, "spec.servers[0].tls.minProtocolVersion", "above maxProtocolVersion")],
    );
    let mutual = |more: &str| https(&format!(", tls: {{mode: MUTUAL, {more}}}"));
    check(
        "Gateway",
        &mutual("credentialName: a, verifyCertificateHash: [zz], verifyCertificateSpki: [AAAA]"),
        &[
            (Invalid, "spec.servers[0].tls.verifyCertificateSpki[0]", "no SHA-256 in base64"),
            (Invalid, "spec.servers[0].tls.verifyCertificateHash[0]", "no SHA-256 in hexadecimal"),
        ],
    );
    check(
        "Gateway",
        &mutual("credentialName: b/a"),
        &[(Invalid, "spec.servers[0].tls.credentialName", "own namespace")],
    );
    check(
        "Gateway",
        &mutual("credentialName: 'sds://a'"),
        &[(NotServed, "spec.servers[0].tls.credentialName", "no Secret")],
    );
    check("Gateway", &mutual("credentialName: 'kubernetes://a'"), &[]);
    check("Gateway", &https(", tls: {mode: AUTO_PASSTHROUGH}"), &[mode]);
    check("Gateway", &https(", tls: {mode: PASSTHROUGH}"), &[]);
    let of = |protocol: &str| {
        format!("{{servers: [{{port: {{number: 90, name: a, protocol: {protocol}}}, hosts: ['*']}}]}}")
    };
    check("Gateway", &of("TCP"), &[]);
    check("Gateway", &of("Mongo"), &[]);
    check("Gateway", &of("UDP"), &[(NotServed, "spec.servers[0].port.protocol", "stays closed")]);
    check("Gateway", &https(", tls: {mode: EASY}"), &[(Schema, "spec.servers[0].tls.mode", "EASY")]);
    check("Gateway", &http("{httpsRedirect: true}"), &[]);
    check("Gateway", &http("{mode: SIMPLE, credentialName: a}"), &[(Invalid, tls, "plain text")]);
    let tcp = "{servers: [{port: {number: 90, name: a, protocol: TCP}, hosts: ['*'], tls: {httpsRedirect: true}}]}";
    check(
        "Gateway",
        tcp,
        &[(Suspicious, "spec.servers[0].tls.httpsRedirect", "plain text"), (Invalid, tls, "not allowed")],
    );
}

#[test]
fn destination_rules() {
    let rule = |spec: &str, expected: &[Finding<'_>]| check("DestinationRule", spec, expected);
    rule("{host: a, subsets: [{name: v1, labels: {version: v1}}, {name: v2}]}", &[]);
    rule("{}", &[(Schema, "spec.host", "required")]);
    rule("{host: 'a b'}", &[(Invalid, "spec.host", "no host name")]);
    rule("{host: a, subsets: [{labels: {}}]}", &[(Schema, "spec.subsets[0].name", "required")]);
    rule("{host: a, subsets: [{name: v 1}]}", &[(Invalid, "spec.subsets[0].name", "DNS label")]);
    rule("{host: a, subsets: [{name: v1}, {name: v1}]}", &[(Invalid, "spec.subsets[1].name", "before it")]);
    rule(
        "{host: a, subsets: [{name: v1, labels: {'a/b/c': x}}]}",
        &[(Invalid, "spec.subsets[0].labels.a/b/c", "label key")],
    );
    rule(
        "{host: a, workloadSelector: {matchLabels: {a: b}}, exportTo: ['*']}",
        &[(Invalid, "spec.exportTo", "own namespace")],
    );
    rule(
        "{host: a, workloadSelector: {matchLabels: {a: '*'}}}",
        &[(Invalid, "spec.workloadSelector.matchLabels.a", "wildcard")],
    );
    rule("{host: a, workloadSelector: {}}", &[(Suspicious, "spec.workloadSelector", "every workload")]);
}

#[test]
fn traffic_policies() {
    let policy = |policy: &str, expected: &[Finding<'_>]| {
        check("DestinationRule", &format!("{{host: a, trafficPolicy: {policy}}}"), expected);
    };
    check("DestinationRule", "{host: a, trafficPolicy: {}}", &[(Invalid, "spec.trafficPolicy", "empty")]);
    check(
        "DestinationRule",
        "{host: a, subsets: [{name: v1, trafficPolicy: {}}]}",
        &[(Invalid, "spec.subsets[0].trafficPolicy", "empty")],
    );
    let at = "spec.trafficPolicy.connectionPool";
    policy("{connectionPool: {tcp: {maxConnections: 1, idleTimeout: 0s}, http: {http1MaxPendingRequests: 1}}}", &[]);
    policy("{connectionPool: {tcp: {idleTimeout: 500us}}}", &[]);
    policy("{retryBudget: {budgetInterval: 0s}}", &[]);
    policy("{connectionPool: {}}", &[(Invalid, at, "neither")]);
    policy(
        "{connectionPool: {tcp: {maxConnections: -1}}}",
        &[(Invalid, "spec.trafficPolicy.connectionPool.tcp.maxConnections", "negative")],
    );
    policy(
        "{connectionPool: {http: {maxRetries: -1}}}",
        &[(Invalid, "spec.trafficPolicy.connectionPool.http.maxRetries", "negative")],
    );
    policy(
        "{connectionPool: {tcp: {connectTimeout: 1us}}}",
        &[(Invalid, "spec.trafficPolicy.connectionPool.tcp.connectTimeout", "1ms")],
    );
    policy(
        "{connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}}",
        &[(Invalid, "spec.trafficPolicy.connectionPool.http.useClientProtocol", "contradicts")],
    );
    policy("{connectionPool: {http: {h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 2}}}", &[]);
    policy(
        "{connectionPool: {http: {maxConcurrentStreams: 2, http2KeepAlive: {interval: 1s, timeout: 1s}}}}",
        &[
            (Suspicious, "spec.trafficPolicy.connectionPool.http.maxConcurrentStreams", "h2UpgradePolicy"),
            (Suspicious, "spec.trafficPolicy.connectionPool.http.http2KeepAlive", "h2UpgradePolicy"),
        ],
    );
    policy("{outlierDetection: {}}", &[]);
    policy(
        "{outlierDetection: {maxEjectionPercent: 101, minHealthPercent: -1}}",
        &[
            (Invalid, "spec.trafficPolicy.outlierDetection.maxEjectionPercent", "100"),
            (Invalid, "spec.trafficPolicy.outlierDetection.minHealthPercent", "100"),
        ],
    );
    policy(
        "{outlierDetection: {consecutiveLocalOriginFailures: 1, consecutiveErrors: 1}}",
        &[
            (Suspicious, "spec.trafficPolicy.outlierDetection.consecutiveErrors", "deprecated"),
            (Invalid, "spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures", "split"),
        ],
    );
    let lb = "spec.trafficPolicy.loadBalancer";
    policy("{loadBalancer: {simple: RANDOM}}", &[]);
    policy("{loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}", &[(Schema, lb, "both")]);
    policy(
        "{loadBalancer: {consistentHash: {httpCookie: {ttl: 0s}}}}",
        &[(Invalid, "spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name", "required")],
    );
    policy(
        "{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 10}}}}",
        &[(Invalid, "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize", "prime")],
    );
    policy(
        "{loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 8388609}}}}",
        &[(Invalid, "spec.trafficPolicy.loadBalancer.consistentHash", "ring size")],
    );
    policy(
        "{loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 50}}]}}}",
        &[(Invalid, "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to", "50")],
    );
    policy(
        "{loadBalancer: {localityLbSetting: {distribute: [{from: a/*, to: {a: 100}}, {from: a/b, to: {a: 100}}]}}}",
        &[(Invalid, "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute", "overlaps")],
    );
    policy(
        "{outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: a, to: a}], distribute: [{from: a, to: {b: 100}}]}}}",
        &[
            (Invalid, "spec.trafficPolicy.loadBalancer.localityLbSetting", "both"),
            (Invalid, "spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0]", "same region"),
        ],
    );
    policy("{loadBalancer: {localityLbSetting: {}, zoneAwareLbSetting: {}}}", &[(Invalid, lb, "both")]);
    policy(
        "{loadBalancer: {simple: ROUND_ROBIN, warmup: {aggression: 0}}}",
        &[
            (Invalid, "spec.trafficPolicy.loadBalancer.warmup.duration", "required"),
            (Invalid, "spec.trafficPolicy.loadBalancer.warmup.aggression", "greater"),
        ],
    );
    policy(
        "{tls: {mode: MUTUAL}}",
        &[
            (Invalid, "spec.trafficPolicy.tls.clientCertificate", "required"),
            (Invalid, "spec.trafficPolicy.tls.privateKey", "required"),
        ],
    );
    policy(
        "{tls: {mode: SIMPLE, credentialName: a, caCertificates: b}}",
        &[(Invalid, "spec.trafficPolicy.tls.credentialName", "beside")],
    );
    policy("{tls: {mode: ISTIO_MUTUAL, clientCertificate: a}}", &[(NotServed, "spec.trafficPolicy.tls.mode", "503")]);
    for name in ["configmap://a", "sds://a"] {
        policy(
            &format!("{{tls: {{mode: SIMPLE, credentialName: \"{name}\"}}}}"),
            &[(NotServed, "spec.trafficPolicy.tls.credentialName", "503")],
        );
    }
    policy(
        "{tls: {mode: SIMPLE, credentialName: other/a}}",
        &[(Invalid, "spec.trafficPolicy.tls.credentialName", "namespace")],
    );
    policy("{tls: {mode: SIMPLE, credentialName: a, sni: b, subjectAltNames: [c]}}", &[]);
    policy("{tls: {mode: MUTUAL, clientCertificate: a, privateKey: b, caCertificates: c, caCrl: d}}", &[]);
    policy("{tls: {mode: DISABLE}}", &[]);
    policy(
        "{portLevelSettings: [{tls: {}}]}",
        &[(Invalid, "spec.trafficPolicy.portLevelSettings[0].port", "required")],
    );
    policy(
        "{portLevelSettings: [{port: {number: 80}}]}",
        &[(Invalid, "spec.trafficPolicy.portLevelSettings[0]", "sets nothing")],
    );
    policy(
        "{tunnel: {protocol: GET, targetHost: a.com, targetPort: 0}}",
        &[
            (Invalid, "spec.trafficPolicy.tunnel.protocol", "CONNECT"),
            (Invalid, "spec.trafficPolicy.tunnel.targetPort", "0 is no port"),
        ],
    );
    policy("{tunnel: {targetHost: a.com, targetPort: 1}}", &[]);
    policy(
        "{tunnel: {protocol: POST, targetHost: a.com, targetPort: 1}}",
        &[(NotServed, "spec.trafficPolicy.tunnel.protocol", "CONNECT")],
    );
}

#[test]
fn rules_and_matches_behind_others() {
    let rules = |rules: &str, expected: &[Finding<'_>]| {
        virtual_service(&format!("{{hosts: [a.com], gateways: [gw], http: [{rules}]}}"), expected);
    };
    let rule = |matches: &str| format!("{{match: [{matches}], {ROUTE}}}");
    let exact = rule("{uri: {exact: /a}}");
    rules(
        &format!("{exact}, {}", rule("{name: other, uri: {exact: /a}}")),
        &[
            (IneffectiveMatch, "spec.http[1].match[0]", "rule 0 has the same"),
            (UnreachableRule, "spec.http[1]", "all of its matches"),
        ],
    );
    rules(
        &format!("{exact}, {}", rule("{uri: {exact: /a}}, {uri: {exact: /b}}")),
        &[(IneffectiveMatch, "spec.http[1].match[0]", "rule 0 has the same")],
    );
    rules(&format!("{{{ROUTE}}}, {exact}"), &[(UnreachableRule, "spec.http[1]", "takes every request")]);
    let wide = rule("{uri: {prefix: /a}}");
    for (narrow, covered) in [
        ("{uri: {prefix: /a/b}}", true),
        ("{uri: {prefix: /a/b}, method: {exact: GET}}", true),
        ("{uri: {prefix: /a/b}, method: {exact: POST}}", false),
        ("{uri: {prefix: /a/b}, headers: {x: {exact: z}}}", false),
        ("{uri: {prefix: /a/b}, port: 80}", false),
        ("{uri: {exact: /a/b}}", false),
        ("{uri: {prefix: /b}}", false),
    ] {
        let finding = [(IneffectiveMatch, "spec.http[1].match[0]", "is inside of")];
        rules(&format!("{wide}, {}", rule(narrow)), if covered { &finding } else { &[] });
    }
}
