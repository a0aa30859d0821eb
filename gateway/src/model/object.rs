//! Identity of a Kubernetes object, and where it came from.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// The kinds of object the gateway reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Gateway,
    VirtualService,
    DestinationRule,
    ServiceEntry,
    WorkloadEntry,
    Service,
    EndpointSlice,
    Pod,
    /// Of no namespace.
    Node,
    /// Holds certificates and keys. None of [`ALL`](Self::ALL): only those are read that a Gateway names, and nothing of
    /// them is ever shown or kept.
    Secret,
}

impl Kind {
    /// Every kind that is followed as a whole, in the order in which status output lists them.
    pub const ALL: [Self; 9] = [
        Self::Gateway,
        Self::VirtualService,
        Self::DestinationRule,
        Self::ServiceEntry,
        Self::WorkloadEntry,
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::Node,
    ];

    /// The `kind` as Kubernetes writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "Gateway",
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
            Self::ServiceEntry => "ServiceEntry",
            Self::WorkloadEntry => "WorkloadEntry",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::Secret => "Secret",
        }
    }

    /// The API group of the kind; the core group is empty.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Gateway | Self::VirtualService | Self::DestinationRule | Self::ServiceEntry | Self::WorkloadEntry => {
                "networking.istio.io"
            }
            Self::Service | Self::Pod | Self::Node | Self::Secret => "",
            Self::EndpointSlice => "discovery.k8s.io",
        }
    }

    /// The kind named `kind` in API group `group`, if the gateway reads it.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Secret]).find(|k| k.group() == group && k.name() == kind)
    }

    /// Whether its objects are in namespaces.
    pub fn is_namespaced(self) -> bool {
        self != Self::Node
    }

    /// Whether a gateway serves without: what came to the list later is worth no gateway that does not answer under the
    /// rights of before.
    pub fn is_dispensable(self) -> bool {
        matches!(self, Self::Node | Self::WorkloadEntry)
    }

    /// Whether the kind is one of Istio's.
    pub fn is_istio(self) -> bool {
        self.group() == "networking.istio.io"
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Kind, namespace and name: the key of an object. Displays as `VirtualService default/reviews`, and as `Node n1` where
/// there is no namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    pub kind: Kind,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ObjectId {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.is_namespaced() {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        } else {
            write!(f, "{} {}", self.kind, self.name)
        }
    }
}

/// What every object carries besides its spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub id: ObjectId,
    /// `creationTimestamp` in seconds since 1970; 0 when the source gives none (files).
    pub created: i64,
    /// `file:line` for objects that came from a file.
    pub source: Option<Arc<str>>,
}

impl Meta {
    /// Istio's order of objects of one kind: creation time, then name, then namespace
    /// (`sortConfigByCreationTime` in istio/pilot/pkg/model/push_context.go).
    pub fn order(&self) -> OrderKey {
        OrderKey { created: self.created, name: Arc::clone(&self.id.name), namespace: Arc::clone(&self.id.namespace) }
    }
}

/// See [`Meta::order`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    pub created: i64,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
}

/// Kubernetes labels, sorted.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// Whether every pair of `selector` is in `labels`; an empty selector selects everything.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
