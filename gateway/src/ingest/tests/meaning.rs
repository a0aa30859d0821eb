//! What sound objects mean: the defaults and expansions of Istio.

use super::read;
use crate::model::{
    cors::{Cors, Listed},
    export::Visibility,
    fault::{Abort, AbortStatus, Delay, Fault},
    headers::HeaderTemplate,
    resource::Resource,
    retries::{Retries, RetryOn},
    service::{ServiceKind, TargetPort},
    share::Share,
    string_match::StringMatch,
    virtual_service::{Action, GatewayName, HeaderField, PathRewrite, RedirectPath, RedirectPort, VirtualService},
};
use http::StatusCode;

#[track_caller]
fn object(kind: &str, spec: &str) -> Resource {
    let group = if matches!(kind, "Service" | "Pod") { "v1" } else { "networking.istio.io/v1alpha3" };
    let text = format!("apiVersion: {group}\nkind: {kind}\nmetadata: {{name: a, namespace: ns}}\nspec: {spec}\n");
    let (mut resources, problems) = read(&text);
    resources.pop().unwrap_or_else(|| panic!("{problems:#?}"))
}

#[track_caller]
fn virtual_service(spec: &str) -> VirtualService {
    match object("VirtualService", spec) {
        Resource::VirtualService(routes) => routes,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn rule(rule: &str) -> crate::model::virtual_service::HttpRule {
    virtual_service(&format!("{{hosts: [a.com], gateways: [gw], http: [{rule}]}}")).http.remove(0)
}

const ROUTE: &str = "route: [{destination: {host: b}}]";

#[test]
fn short_names_belong_to_the_namespace_of_the_rule() {
    let routes = virtual_service(&format!(
        "{{hosts: [Reviews, reviews.default, '*.x.com', 10.0.0.1], gateways: [gw], http: [{{{ROUTE}}}]}}"
    ));
    let hosts: Vec<_> = routes.hosts.iter().map(|host| host.as_str()).collect();
    assert_eq!(hosts, ["reviews.ns.svc.cluster.local", "reviews.default", "*.x.com", "10.0.0.1"]);
    let Action::Forward(forward) = &routes.http[0].action else { panic!() };
    assert_eq!(forward.destinations[0].host.as_str(), "b.ns.svc.cluster.local");
    assert_eq!((forward.destinations[0].weight, forward.destinations[0].port), (0, None));
}

#[test]
fn gateway_names_are_resolved() {
    let gateways = |names: &str| {
        let routes = virtual_service(&format!("{{hosts: [a.com], gateways: {names}, http: [{{{ROUTE}}}]}}"));
        routes.gateways.iter().map(|GatewayName { namespace, name }| format!("{namespace}/{name}")).collect::<Vec<_>>()
    };
    assert_eq!(gateways("[gw, other/gw, ./gw]"), ["ns/gw", "other/gw", "ns/gw"]);
    assert_eq!(gateways("[gw.other.svc.cluster.local, gw.other]"), ["other/gw", "other/gw"]);
    assert_eq!(gateways("[mesh]"), <[String; 0]>::default());
    assert_eq!(gateways("[]"), <[String; 0]>::default());
}

#[test]
fn visibility_is_read() {
    let visibility = |entries: &str| {
        virtual_service(&format!("{{hosts: [a.com], exportTo: {entries}, http: [{{{ROUTE}}}]}}")).visibility
    };
    let only = |names: &[&str]| Visibility::Namespaces(names.iter().map(|name| (*name).into()).collect());
    assert_eq!(visibility("[]"), Visibility::Public);
    assert_eq!(visibility("['*']"), Visibility::Public);
    assert_eq!(visibility("[., other]"), only(&["ns", "other"]));
    let Resource::DestinationRule(rule) =
        object("DestinationRule", "{host: a, workloadSelector: {matchLabels: {a: b}}}")
    else {
        panic!();
    };
    assert_eq!(rule.visibility, only(&["ns"]));
    let Resource::ServiceEntry(entry) = object("ServiceEntry", "{hosts: [a.com], exportTo: ['~']}") else { panic!() };
    assert_eq!(entry.visibility, only(&[]));
}

#[test]
fn matches_are_read() {
    let rule = rule(&format!(
        "{{name: rule, match: [{{name: first, uri: {{exact: /A}}, ignoreUriCase: true, headers: {{X-B: {{prefix: v}}, ':path': {{}}}}, \
         withoutHeaders: {{X-C: {{}}, X-D: {{regex: '*'}}}}, queryParams: {{q: {{}}}}, port: 80, gateways: [gw], \
         sourceLabels: {{app: x}}, sourceNamespace: ns}}], {ROUTE}}}"
    ));
    let request = &rule.matches[0];
    assert_eq!((&*rule.name, &*request.name, request.port), ("rule", "first", Some(80)));
    assert_eq!(request.uri, Some(StringMatch::Exact("/A".to_owned())));
    assert!(request.ignore_uri_case);
    let headers: Vec<_> = request.headers.iter().map(|h| (h.field.clone(), h.value.is_some(), h.invert)).collect();
    let name = |name| HeaderField::Name(http::HeaderName::from_static(name));
    assert_eq!(
        headers,
        [
            (HeaderField::Path, false, false),
            (name("x-b"), true, false),
            (name("x-c"), false, true),
            (name("x-d"), false, true),
        ]
    );
    assert_eq!((request.query[0].name.as_str(), request.query[0].value.is_some()), ("q", false));
    assert_eq!(request.source_namespace.as_deref(), Some("ns"));
    assert_eq!(&*request.source_labels["app"], "x");
}

#[test]
fn header_operations_are_sorted_and_the_host_is_a_rewrite() {
    let rule = rule(&format!(
        "{{{ROUTE}, headers: {{request: {{set: {{x-b: '1', X-A: 50%%, Host: set.com}}, add: {{x-c: '%PROTOCOL%'}}, remove: [x-d]}}}}}}"
    ));
    let request = &rule.headers.request;
    assert_eq!(rule.headers.authority.as_deref(), Some("set.com"));
    let set: Vec<_> = request.set.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(set, ["x-a", "x-b"]);
    assert_eq!(request.set[0].1, HeaderTemplate::Literal(http::HeaderValue::from_static("50%")));
    assert!(matches!(request.add[0].1, HeaderTemplate::Format(_)));
    assert_eq!(request.remove[0].as_str(), "x-d");
}

#[test]
fn redirects_are_read() {
    let redirect = |text: &str| match rule(&format!("{{redirect: {text}}}")).action {
        Action::Redirect(redirect) => redirect,
        other => panic!("{other:?}"),
    };
    let first = redirect("{uri: /x}");
    assert_eq!((first.status, first.path), (StatusCode::MOVED_PERMANENTLY, Some(RedirectPath::Uri("/x".into()))));
    assert_eq!(first.port, RedirectPort::Unchanged);
    assert_eq!(redirect("{derivePort: FROM_REQUEST_PORT, redirectCode: 308}").port, RedirectPort::GatewayPort);
    assert_eq!(redirect("{derivePort: FROM_PROTOCOL_DEFAULT}").port, RedirectPort::Unchanged);
    assert_eq!(redirect("{port: 8080}").port, RedirectPort::Number(8080));
    assert_eq!(redirect("{prefixRewrite: /n}").path, Some(RedirectPath::Prefix("/n".into())));
    assert_eq!(redirect("{scheme: https}").scheme, Some(http::uri::Scheme::HTTPS));
}

#[test]
fn responses_and_rewrites_are_read() {
    let Action::DirectResponse(response) = rule("{directResponse: {status: 418, body: {bytes: aGk=}}}").action else {
        panic!();
    };
    assert_eq!((response.status.as_u16(), &response.body[..]), (418, &b"hi"[..]));
    let Action::Forward(forward) = rule(&format!(
        "{{{ROUTE}, rewrite: {{uriRegexRewrite: {{match: '/(\\w+)/{{id}}', rewrite: '/$\\1\\\\\\0'}}}}}}"
    ))
    .action
    else {
        panic!();
    };
    let Some(PathRewrite::Regex(regex)) = forward.rewrite.unwrap().path else { panic!() };
    assert_eq!(regex.substitution, r"/$$${1}\${0}");
    let replaced = regex.compiled.replace_all(b"/a/{id}", regex.substitution.as_bytes());
    assert_eq!(&replaced[..], br"/$a\/a/{id}");
}

#[test]
fn servers_are_read() {
    let Resource::Gateway(gateway) = object(
        "Gateway",
        "{selector: {istio: x}, servers: [{port: {number: 80, name: h, protocol: http2}, bind: 127.0.0.1, hosts: [./A.com, '*/b.com', 'o/*'], tls: {httpsRedirect: true}}]}",
    ) else {
        panic!();
    };
    let server = &gateway.servers[0];
    let hosts: Vec<_> = server.hosts.iter().map(|h| (h.namespace.as_deref(), h.host.as_str())).collect();
    assert_eq!(hosts, [(Some("ns"), "a.com"), (None, "b.com"), (Some("o"), "*")]);
    assert!(server.tls.as_ref().unwrap().https_redirect);
    assert_eq!(server.bind, Some([127, 0, 0, 1].into()));
}

#[test]
fn service_entries_are_read() {
    let Resource::ServiceEntry(entry) = object(
        "ServiceEntry",
        "{hosts: [a.com], ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}], resolution: STATIC, \
         endpoints: [{address: 10.0.0.1, ports: {http: 81}, labels: {v: a}, weight: 3}, {address: '::1'}]}",
    ) else {
        panic!();
    };
    assert_eq!(entry.ports[0].target, TargetPort::Number(8080));
    let endpoints: Vec<_> =
        entry.endpoints.iter().map(|e| (e.address.unwrap().to_string(), e.ports.len(), e.weight)).collect();
    assert_eq!(endpoints, [("10.0.0.1".to_owned(), 1, 3), ("::1".to_owned(), 0, 1)]);
}

#[test]
fn services_are_read() {
    let service = |spec: &str| match object("Service", spec) {
        Resource::Service(service) => service,
        other => panic!("{other:?}"),
    };
    let ports = service(
        "{ports: [{port: 80, name: http-web, targetPort: web}, {port: 81, targetPort: 8081}, {port: 53, protocol: UDP}, \
         {port: 82, name: x, appProtocol: kubernetes.io/h2c}, {port: 83, name: grpc-web-a}]}",
    )
    .ports;
    let read: Vec<_> = ports.iter().map(|p| (p.number, p.target.clone(), &*p.protocol_hint)).collect();
    assert_eq!(
        read,
        [
            (80, TargetPort::Name("web".into()), "http"),
            (81, TargetPort::Number(8081), ""),
            (82, TargetPort::Number(82), "http2"),
            (83, TargetPort::Number(83), "grpc-web"),
        ]
    );
    let alias = service("{type: ExternalName, externalName: B.example.com, ports: null}");
    assert_eq!(alias.kind, ServiceKind::ExternalName("b.example.com".into()));
    assert_eq!(service("null").ports, []);
}

#[test]
fn service_metadata_is_read() {
    let text = "
apiVersion: v1
kind: Service
metadata:
  name: a
  namespace: ns
  labels: {experimental.istio.io/disable-gateway-port-translation: 'true'}
  annotations: {networking.istio.io/exportTo: '., other'}
";
    let (resources, problems) = read(text);
    assert_eq!(problems, []);
    let [Resource::Service(service)] = &resources[..] else { panic!("{resources:?}") };
    assert!(service.port_translation_disabled);
    assert!(service.visibility.includes("ns") && service.visibility.includes("other"));
    assert!(!service.visibility.includes("third"));
}

#[track_caller]
fn policy(parts: &str) -> crate::model::forward_policy::ForwardPolicy {
    match rule(&format!("{{{ROUTE}, {parts}}}")).action {
        Action::Forward(forward) => forward.policy.map(|policy| *policy).unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn time_limits_are_read() {
    let ms = |milliseconds| Some(std::time::Duration::from_millis(milliseconds));
    assert_eq!(policy("name: rule").timeout, None);
    assert_eq!(policy("timeout: 1.5s").timeout, ms(1500));
    assert_eq!(policy("timeout: 0s").timeout, None, "0 is no limit");
    assert_eq!(policy("timeout: -1s").timeout, None);
}

#[test]
fn retries_are_read() {
    let retries = |parts: &str| policy(&format!("retries: {parts}")).retries.expect("retries");
    let ms = std::time::Duration::from_millis;
    assert_eq!(policy("name: rule").retries, None, "Istio's default is the router's business");

    let default = Retries::default();
    assert_eq!(retries("{attempts: 5}"), Retries { attempts: 5, ..default.clone() });
    let off = retries("{attempts: 0, retryOn: 5xx, perTryTimeout: 1s}");
    assert_eq!((off.attempts, off.on, off.per_try_timeout), (0, RetryOn::NOTHING, None));
    assert_eq!(retries("{attempts: -1}").attempts, 0);

    let all = retries(
        "{attempts: 3, retryOn: '5xx,reset,418', perTryTimeout: 2s, backoff: 1s, retryIgnorePreviousHosts: false, \
         retryRemoteLocalities: true}",
    );
    assert_eq!(all.on, RetryOn::SERVER_ERRORS.and(RetryOn::RESET).and(RetryOn::STATUSES));
    assert_eq!((all.statuses, &*all.text), (vec![418], "5xx,reset,retriable-status-codes"));
    assert_eq!((all.per_try_timeout, all.back_off), (Some(ms(2000)), ms(1000)));
    assert_eq!((all.ignore_previous_hosts, all.remote_localities), (Some(false), true));
    assert_eq!(retries("{attempts: 1}").ignore_previous_hosts, None, "hashing decides");

    let codes = retries("{attempts: 1, retryOn: '503,504'}");
    assert_eq!((codes.statuses, &*codes.text), (vec![503, 504], ",retriable-status-codes"));
    let unknown = retries("{attempts: 1, retryOn: 'never, 5xx'}");
    assert_eq!((unknown.on, &*unknown.text), (RetryOn::SERVER_ERRORS, "never,5xx"));
}

#[test]
fn faults_are_read() {
    let fault = |parts: &str| policy(&format!("fault: {parts}")).fault;
    let ms = std::time::Duration::from_millis;
    let percent = Share::of_percent;
    assert_eq!(fault("{abort: {httpStatus: 503}}"), None, "without a percentage it never happens");
    assert_eq!(fault("{abort: {httpStatus: 503, percentage: {value: 0}}}"), None);
    assert_eq!(fault("{abort: {httpStatus: 600, percentage: {value: 100}}}"), None);
    assert_eq!(fault("{abort: {percentage: {value: 100}}}"), None);
    let abort = |status, share| Some(Fault { abort: Some(Abort { share, status }), delay: None });
    let http = AbortStatus::Http(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(fault("{abort: {httpStatus: 503, percentage: {value: 0.0001}}}"), abort(http, percent(0.0001)));
    let grpc = AbortStatus::Grpc(14);
    assert_eq!(fault("{abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}"), abort(grpc, Share::ALL));
    let delay = |time, share| Some(Fault { delay: Some(Delay { share, time }), abort: None });
    assert_eq!(fault("{delay: {fixedDelay: 5s, percentage: {value: 10}}}"), delay(ms(5000), percent(10.)));
    assert_eq!(fault("{delay: {fixedDelay: 5s, percent: 10}}"), delay(ms(5000), percent(10.)), "deprecated");
    assert_eq!(fault("{delay: {fixedDelay: 5s, percent: 10, percentage: {value: 20}}}"), delay(ms(5000), percent(20.)));
    assert_eq!(fault("{delay: {fixedDelay: 5s}}"), None);
    assert_eq!(fault("{delay: {percentage: {value: 20}}}"), None);
}

#[test]
fn mirrors_are_read() {
    let mirrors = |parts: &str| {
        let mirrors = policy(parts).mirrors;
        mirrors.iter().map(|m| (m.destination.host.to_string(), m.share.percent())).collect::<Vec<_>>()
    };
    let to = |host: &str, percent: f64| (format!("{host}.ns.svc.cluster.local"), percent);
    assert_eq!(mirrors("mirror: {host: c}"), [to("c", 100.)]);
    assert_eq!(mirrors("mirror: {host: c}, mirrorPercentage: {value: 0}"), []);
    assert_eq!(mirrors("mirror: {host: c}, mirrorPercentage: {value: 12.5}, mirrorPercent: 7"), [to("c", 12.5)]);
    assert_eq!(mirrors("mirror: {host: c}, mirrorPercent: 7"), [to("c", 7.)], "deprecated");
    assert_eq!(
        mirrors(
            "mirrors: [{destination: {host: c}}, {destination: {host: d}, percentage: {value: 5}}, \
                 {destination: {host: e}, percentage: {value: 0}}]"
        ),
        [to("c", 100.), to("d", 5.)]
    );
    let written = policy("mirror: {host: c, subset: v2, port: {number: 81}}").mirrors.remove(0).destination;
    assert_eq!((written.subset.as_deref(), written.port), (Some("v2"), Some(81)));
}

#[test]
fn cors_is_read() {
    let cors = |parts: &str| policy(&format!("corsPolicy: {parts}")).cors.expect("a policy");
    let value = http::HeaderValue::from_static;
    assert_eq!(cors("{}"), Cors::default());
    let all = cors(
        "{allowOrigins: [{exact: a}, {prefix: b}, {regex: '('}, {}], allowOrigin: [z], allowMethods: [GET, POST], \
         allowHeaders: ['*'], exposeHeaders: [x-a, x-b], maxAge: 1m, allowCredentials: true, unmatchedPreflights: IGNORE}",
    );
    assert_eq!(all.origins, [StringMatch::Exact("a".into()), StringMatch::Prefix("b".into())]);
    assert_eq!((all.methods, all.headers), (Listed::These(value("GET,POST")), Listed::Anything));
    assert_eq!((all.expose, all.max_age), (Some(value("x-a,x-b")), Some(60)));
    assert!(all.credentials && all.answers_others);
    assert_eq!(cors("{allowOrigin: ['*', b]}").origins.len(), 2, "deprecated, but served");
    assert!(!cors("{unmatchedPreflights: FORWARD}").answers_others);
}

#[test]
fn times_of_connections_are_read_as_istio_rounds_them() {
    let tcp = |settings: &str| {
        let spec = format!("{{host: a, trafficPolicy: {{connectionPool: {{tcp: {settings}}}}}}}");
        let Resource::DestinationRule(rule) = object("DestinationRule", &spec) else { panic!() };
        rule.traffic_policy.and_then(|policy| policy.blocks.connection_pool).expect("a pool")
    };
    let keepalive = tcp("{tcpKeepalive: {time: 1999ms, interval: 999ms}}").keepalive.expect("keepalive");
    assert_eq!((keepalive.time, keepalive.interval), (Some(std::time::Duration::from_secs(1)), None));
    let idle = |text: &str| tcp(&format!("{{idleTimeout: {text}}}")).idle_timeout.map(|time| time.as_millis());
    assert_eq!([idle("0s"), idle("999us"), idle("1ms")], [Some(0), Some(0), Some(1)]);
}
