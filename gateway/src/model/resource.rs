//! Any object the gateway understands.

use super::{
    destination_rule::DestinationRule,
    gateway::Gateway,
    object::Meta,
    service::{EndpointSlice, Node, Pod, Service},
    service_entry::{ServiceEntry, WorkloadEntry},
    virtual_service::VirtualService,
};

/// One object of one of the kinds in [`Kind::ALL`](super::object::Kind::ALL).
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    Gateway(Gateway),
    VirtualService(VirtualService),
    DestinationRule(DestinationRule),
    ServiceEntry(ServiceEntry),
    WorkloadEntry(WorkloadEntry),
    Service(Service),
    EndpointSlice(EndpointSlice),
    Pod(Pod),
    Node(Node),
}

impl Resource {
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Gateway(o) => &o.meta,
            Self::VirtualService(o) => &o.meta,
            Self::DestinationRule(o) => &o.meta,
            Self::ServiceEntry(o) => &o.meta,
            Self::WorkloadEntry(o) => &o.meta,
            Self::Service(o) => &o.meta,
            Self::EndpointSlice(o) => &o.meta,
            Self::Pod(o) => &o.meta,
            Self::Node(o) => &o.meta,
        }
    }
}
