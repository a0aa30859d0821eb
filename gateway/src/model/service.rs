//! Kubernetes Services, EndpointSlices, Pods and Nodes, as far as routing needs them.

use super::{
    export::Visibility,
    locality::Locality,
    locality_policy::TrafficDistribution,
    object::{Labels, Meta, ObjectId},
};
use std::{net::IpAddr, sync::Arc};

#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub meta: Meta,
    pub kind: ServiceKind,
    pub ports: Vec<ServicePort>,
    /// `spec.selector`; empty for a Service without one.
    pub selector: Labels,
    /// Its own labels: which role of the gateway it leads to.
    pub labels: Labels,
    /// Annotation `networking.istio.io/exportTo`.
    pub visibility: Visibility,
    /// Annotation or `spec.trafficDistribution`.
    pub distribution: TrafficDistribution,
    /// `spec.internalTrafficPolicy: Local`: only endpoints on the gateway's own node.
    pub node_local: bool,
    /// `spec.clusterIP: None`.
    pub is_headless: bool,
    /// `nodePort` of every port that has one.
    pub node_ports: Vec<u16>,
    /// Label `experimental.istio.io/disable-gateway-port-translation: "true"`.
    pub port_translation_disabled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// ClusterIP, NodePort, LoadBalancer, headless: endpoints come from EndpointSlices.
    Endpoints,
    /// ExternalName: an alias of another host.
    ExternalName(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub number: u16,
    /// Joins the Service's port with the EndpointSlice's; may be empty.
    pub name: Arc<str>,
    pub target: TargetPort,
    /// `appProtocol`, else the prefix of the name before `-`; empty when neither says anything.
    pub protocol_hint: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    Number(u16),
    Name(Arc<str>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSlice {
    pub meta: Meta,
    /// Label `kubernetes.io/service-name`.
    pub service: Arc<str>,
    pub ports: Vec<SlicePort>,
    pub endpoints: Vec<SliceEndpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    pub name: Arc<str>,
    pub number: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    pub addresses: Vec<IpAddr>,
    pub condition: EndpointCondition,
    pub node: Option<Arc<str>>,
    pub zone: Option<Arc<str>>,
    /// `targetRef`, when it is a Pod: where the labels come from.
    pub pod: Option<ObjectId>,
}

/// `conditions` of an endpoint, folded (KEP-1672).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointCondition {
    Ready,
    /// Terminating but still serving: used when nothing is ready.
    ServingTerminating,
    NotReady,
    /// Neither, and on its way out.
    Terminating,
}

impl EndpointCondition {
    /// Whether requests may be sent there.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Ready | Self::ServingTerminating)
    }
}

/// Pod metadata: labels for subsets. The status is only there for objects read from files, where no EndpointSlice
/// controller runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    pub meta: Meta,
    pub labels: Labels,
    pub address: Option<PodAddress>,
}

/// What an EndpointSlice controller would read from a Pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodAddress {
    pub addresses: Vec<IpAddr>,
    pub ready: bool,
    pub node: Option<Arc<str>>,
    /// Named container ports, for a Service's named `targetPort`.
    pub ports: Vec<SlicePort>,
}

/// A node of the cluster: where the pods on it are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub meta: Meta,
    pub locality: Locality,
}
