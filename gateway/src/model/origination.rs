//! How TLS is begun to endpoints: `tls` of a DestinationRule with mode SIMPLE or MUTUAL.

use super::{object::ObjectId, tls::Certificates};
use std::sync::Arc;

/// What the gateway speaks to the endpoints of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientTls {
    #[default]
    Disable,
    /// TLS of a kind that this version does not speak: nothing is sent instead.
    NotServed,
    Begin(Arc<TlsUse>),
}

/// TLS that is begun, and where that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsUse {
    pub origination: Arc<Origination>,
    pub rule: ObjectId,
    /// Of the settings in the rule: `spec.trafficPolicy.tls`.
    pub path: Arc<str>,
}

/// Everything that decides about a handshake; equal values share one configuration, and sessions with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origination {
    /// The client's own, none or one, and the authority of the endpoints; without a file for it that of the system.
    pub certificates: Certificates,
    /// Whether endpoints have to prove who they are (no `insecureSkipVerify`).
    pub verifies: bool,
    /// The server name that is asked for; `None` for the host of each request.
    pub server_name: Option<Arc<str>>,
    /// One of these must be among the subject alternative names of the endpoint's certificate, if there are any here.
    pub alternative_names: Vec<Arc<str>>,
    /// The certificate must be for the host of the request.
    pub checks_host: bool,
}

impl ClientTls {
    /// How TLS is begun, if it is.
    pub fn origination(&self) -> Option<&Arc<Origination>> {
        match self {
            Self::Begin(tls) => Some(&tls.origination),
            Self::Disable | Self::NotServed => None,
        }
    }

    /// With the names of the service itself, where the rule names none (`constructUpstreamTLS` in istio's cluster_tls.go). They
    /// count beside the host of the request.
    #[must_use]
    pub fn for_service(self, names: &[Arc<str>]) -> Self {
        match self {
            Self::Begin(tls)
                if tls.origination.verifies && tls.origination.alternative_names.is_empty() && !names.is_empty() =>
            {
                let origination = Origination { alternative_names: names.to_vec(), ..(*tls.origination).clone() };
                Self::Begin(Arc::new(TlsUse { origination: Arc::new(origination), ..(*tls).clone() }))
            }
            other => other,
        }
    }
}

impl Origination {
    /// Whether the endpoints are shown a certificate (MUTUAL).
    pub fn proves(&self) -> bool {
        match &self.certificates {
            Certificates::Secrets { names, .. } => !names.is_empty(),
            Certificates::Files { pairs, .. } => !pairs.is_empty(),
        }
    }
}
