//! The three objects of the article, and the Kubernetes objects under them.

use super::read;
use crate::model::{
    gateway::Protocol,
    object::{Kind, ObjectId},
    resource::Resource,
    service::{EndpointCondition, TargetPort},
    string_match::StringMatch,
    virtual_service::{Action, GatewayName},
};

const ARTICLE: &str = include_str!("../../../../deploy/samples/reviews.yaml");

const WORKLOADS: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: default, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 9080, protocol: TCP}]
endpoints:
- {addresses: [10.244.0.1], conditions: {ready: true}, nodeName: node1, targetRef: {kind: Pod, name: reviews-v1}}
- {addresses: [10.244.0.2], conditions: {ready: false, serving: true, terminating: true}}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, namespace: default, labels: {app: reviews, version: v1}}
spec: {nodeName: node1, containers: [{name: reviews, ports: [{name: web, containerPort: 9080}]}]}
status: {phase: Running, podIP: 10.244.0.1, podIPs: [{ip: 10.244.0.1}]}
";

#[test]
fn the_article_is_read_without_a_finding() {
    let (resources, problems) = read(ARTICLE);
    assert_eq!(problems, []);
    let [Resource::Gateway(gateway), Resource::VirtualService(routes), Resource::DestinationRule(rule)] =
        &resources[..]
    else {
        panic!("{resources:?}");
    };
    let server = &gateway.servers[0];
    assert_eq!((server.port, server.protocol, server.hosts[0].host.as_str()), (80, Protocol::Http, "*"));
    assert_eq!(gateway.selector.as_ref().unwrap()["istio"].as_ref(), "ingressgateway");

    assert_eq!(routes.gateways, [GatewayName { namespace: "default".into(), name: "reviews-gateway".into() }]);
    let http = &routes.http[0];
    assert_eq!(http.matches[0].uri, Some(StringMatch::Prefix("/reviews".to_owned())));
    let Action::Forward(forward) = &http.action else { panic!("{http:?}") };
    let shares: Vec<_> =
        forward.destinations.iter().map(|d| (d.host.as_str(), d.subset.as_deref(), d.weight)).collect();
    let host = "reviews.default.svc.cluster.local";
    assert_eq!(shares, [(host, Some("v1"), 50), (host, Some("v2"), 50)]);

    assert_eq!(rule.host.as_str(), host);
    let subsets: Vec<_> = rule.subsets.iter().map(|s| (&*s.name, &*s.labels["version"])).collect();
    assert_eq!(subsets, [("v1", "v1"), ("v2", "v2"), ("v3", "v3")]);
}

#[test]
fn workloads_are_read() {
    let (resources, problems) = read(WORKLOADS);
    assert_eq!(problems, []);
    let [Resource::Service(service), Resource::EndpointSlice(slice), Resource::Pod(pod)] = &resources[..] else {
        panic!("{resources:?}");
    };
    assert_eq!((service.ports[0].number, &service.ports[0].target), (9080, &TargetPort::Number(9080)));
    assert_eq!(&*service.ports[0].protocol_hint, "http");
    assert_eq!(&*slice.service, "reviews");
    assert_eq!(slice.endpoints[0].pod, Some(ObjectId::new(Kind::Pod, "default", "reviews-v1")));
    let conditions: Vec<_> = slice.endpoints.iter().map(|endpoint| endpoint.condition).collect();
    assert_eq!(conditions, [EndpointCondition::Ready, EndpointCondition::ServingTerminating]);
    let address = pod.address.as_ref().unwrap();
    assert!(address.ready);
    assert_eq!((&*address.ports[0].name, address.ports[0].number), ("web", 9080));
}
