//! Where a workload is and what it is called, as Istio's registries know it.

use super::world::{CompileSettings, World, key_of};
use crate::model::{
    locality::Locality,
    object::{Labels, selects},
    service::{Pod, SliceEndpoint},
    service_entry::EntryEndpoint,
};
use std::{borrow::Cow, sync::Arc};

/// Istio's name of the one cluster there is.
const CLUSTER: &str = "Kubernetes";

/// What an endpoint was made from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'w> {
    Slice(&'w SliceEndpoint),
    /// One that was read from a file, with its status.
    Pod(&'w Pod),
    Entry(&'w EntryEndpoint),
    /// A name that is an endpoint as a whole.
    Name,
}

/// A locality and labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Place<'w> {
    pub(super) locality: Cow<'w, Locality>,
    labels: Option<&'w Labels>,
    node: Option<&'w Arc<str>>,
}

impl<'w> Place<'w> {
    /// The gateway's own: where its labels say, else where its node is.
    pub(super) fn of_gateway(world: &'w World, settings: &'w CompileSettings) -> Self {
        Self::of_workload(&settings.gateway_labels, Some(&settings.node), world)
    }

    /// Of an endpoint that is a pod, where the pod's labels say, else where its node is; other endpoints of slices are
    /// nowhere (`NewEndpointBuilder` in istio's pilot/pkg/serviceregistry/kube/controller/endpoint_builder.go). Where nothing
    /// is known of the node, the zone in the slice counts.
    pub(super) fn of(origin: Origin<'w>, world: &'w World) -> Self {
        match origin {
            Origin::Slice(endpoint) => {
                let Some(pod) = endpoint.pod.as_ref().and_then(|id| world.pods.get(&key_of(id))) else {
                    return Self::default();
                };
                let place = Self::of_workload(&pod.labels, endpoint.node.as_ref(), world);
                let is_known = *place.locality != Locality::default();
                match endpoint.zone.as_ref().filter(|_| !is_known) {
                    Some(zone) if endpoint.node.as_ref().is_none_or(|node| !world.nodes.contains_key(node)) => {
                        let zone = Locality { zone: Arc::clone(zone), ..Locality::default() };
                        Self { locality: Cow::Owned(zone), ..place }
                    }
                    _ => place,
                }
            }
            Origin::Pod(pod) => {
                let node = pod.address.as_ref().and_then(|address| address.node.as_ref());
                Self::of_workload(&pod.labels, node, world)
            }
            Origin::Entry(endpoint) => {
                Self { locality: Cow::Borrowed(&endpoint.locality), labels: Some(&endpoint.labels), node: None }
            }
            Origin::Name => Self::default(),
        }
    }

    fn of_workload(labels: &'w Labels, node: Option<&'w Arc<str>>, world: &'w World) -> Self {
        let node = node.filter(|node| !node.is_empty());
        let of_node = || node.and_then(|node| world.nodes.get(node)).map(|node| Cow::Borrowed(&node.locality));
        let locality = Locality::of_workload(labels).map(Cow::Owned).or_else(of_node);
        Self { locality: locality.unwrap_or_default(), labels: Some(labels), node }
    }

    /// The value of a label, among which Istio counts where a workload is (`AugmentLabels` in
    /// pilot/pkg/serviceregistry/util/label/label.go); empty when it has none.
    pub(super) fn label(&self, name: &str) -> &str {
        let own = || self.labels.and_then(|labels| labels.get(name)).map_or("", |value| value);
        match name {
            "topology.istio.io/cluster" => CLUSTER,
            "kubernetes.io/hostname" => self.node.map_or_else(own, |node| &**node),
            _ => self.locality.label(name).map_or_else(own, |part| &**part),
        }
    }
}

/// The labels of a subset, and whether some of them say where endpoints are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'w> {
    labels: Option<&'w Labels>,
    asks_where: bool,
}

impl<'w> Wanted<'w> {
    /// `None` and no labels at all want every endpoint.
    pub(super) fn new(labels: Option<&'w Labels>) -> Self {
        let labels = labels.filter(|labels| !labels.is_empty());
        let is_of_place = |name: &Arc<str>| name.starts_with("topology.") || &**name == "kubernetes.io/hostname";
        Self { labels, asks_where: labels.is_some_and(|labels| labels.keys().any(is_of_place)) }
    }

    pub(super) fn wants_all(self) -> bool {
        self.labels.is_none()
    }

    /// Whether the endpoint carries all of the labels.
    pub(super) fn takes(self, origin: Origin<'_>, world: &World) -> bool {
        let Some(wanted) = self.labels else { return true };
        if self.asks_where {
            let place = Place::of(origin, world);
            return wanted.iter().all(|(name, value)| place.label(name) == &**value);
        }
        match origin {
            Origin::Slice(endpoint) => {
                let pod = endpoint.pod.as_ref().and_then(|id| world.pods.get(&key_of(id)));
                pod.is_some_and(|pod| selects(wanted, &pod.labels))
            }
            Origin::Pod(pod) => selects(wanted, &pod.labels),
            Origin::Entry(endpoint) => selects(wanted, &endpoint.labels),
            Origin::Name => false,
        }
    }
}
