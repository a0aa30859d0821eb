//! Giving back the spare room of lists that have stopped growing.
//!
//! A `Vec` that was pushed to has room for four, and most lists of an object have one entry. Thousands of objects stay in
//! memory as long as the cluster does.

use super::{
    resource::Resource,
    virtual_service::{Action, HttpMatch, HttpRule},
};

impl Resource {
    /// The same object in as little memory as it needs.
    pub fn compact(mut self) -> Self {
        match &mut self {
            Self::Gateway(gateway) => {
                gateway.servers.iter_mut().for_each(|server| server.hosts.shrink_to_fit());
                gateway.servers.shrink_to_fit();
            }
            Self::VirtualService(service) => {
                service.hosts.shrink_to_fit();
                service.gateways.shrink_to_fit();
                service.http.iter_mut().for_each(HttpRule::compact);
                service.http.shrink_to_fit();
                service.tls.shrink_to_fit();
                service.tcp.shrink_to_fit();
            }
            Self::DestinationRule(rule) => rule.subsets.shrink_to_fit(),
            Self::ServiceEntry(entry) => {
                entry.hosts.shrink_to_fit();
                entry.ports.shrink_to_fit();
                entry.endpoints.shrink_to_fit();
            }
            Self::Service(service) => service.ports.shrink_to_fit(),
            Self::EndpointSlice(slice) => {
                slice.ports.shrink_to_fit();
                slice.endpoints.iter_mut().for_each(|endpoint| endpoint.addresses.shrink_to_fit());
                slice.endpoints.shrink_to_fit();
            }
            Self::WorkloadEntry(_) | Self::Pod(_) | Self::Node(_) => {}
        }
        self
    }
}

impl HttpRule {
    fn compact(&mut self) {
        self.matches.iter_mut().for_each(HttpMatch::compact);
        self.matches.shrink_to_fit();
        if let Action::Forward(forward) = &mut self.action {
            forward.destinations.shrink_to_fit();
        }
    }
}

impl HttpMatch {
    fn compact(&mut self) {
        self.headers.shrink_to_fit();
        self.query.shrink_to_fit();
        self.gateways.shrink_to_fit();
    }
}
