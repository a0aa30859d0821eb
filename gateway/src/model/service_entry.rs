//! Istio's ServiceEntry: services that Kubernetes does not know.

use super::{
    export::Visibility,
    host::HostPattern,
    object::{Labels, Meta},
    service::TargetPort,
};
use std::{net::IpAddr, sync::Arc};

#[derive(Clone, Debug, PartialEq)]
pub struct ServiceEntry {
    pub meta: Meta,
    pub hosts: Vec<HostPattern>,
    pub visibility: Visibility,
    pub ports: Vec<EntryPort>,
    pub resolution: Resolution,
    pub endpoints: Vec<EntryEndpoint>,
    /// Selects Pods in the entry's namespace.
    pub workload_selector: Option<Labels>,
    /// Names in the certificates of its endpoints.
    pub alternative_names: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPort {
    pub number: u16,
    pub name: Arc<str>,
    pub target: TargetPort,
    pub protocol_hint: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    None,
    Static,
    Dns,
    DnsRoundRobin,
    DynamicDns,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryEndpoint {
    /// Index in `spec.endpoints`.
    pub index: usize,
    /// An IP address; names (resolution DNS) are kept apart in `name`.
    pub address: Option<IpAddr>,
    pub name: Option<Arc<str>>,
    /// By port name.
    pub ports: Vec<(Arc<str>, u16)>,
    pub labels: Labels,
    pub weight: u32,
}
