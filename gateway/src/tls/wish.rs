//! What a configuration is wanted for: to end TLS at a server, or to begin it to endpoints.

use super::{
    client_config,
    configurations::{ClientConfiguration, Configuration},
    material::Material,
    roots,
    server_config::{self, provider},
};
use crate::model::{
    object::ObjectId,
    origination::Origination,
    tls::{Certificates, Termination},
};
use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wish {
    End(Arc<Termination>),
    Begin(Arc<Origination>),
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum Built {
    Server(Configuration),
    Client(ClientConfiguration),
}

/// Who wants it: an object, and the path of its settings there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct User {
    pub(super) object: ObjectId,
    pub(super) path: Arc<str>,
}

impl Wish {
    pub(super) fn certificates(&self) -> &Certificates {
        match self {
            Self::End(termination) => &termination.certificates,
            Self::Begin(origination) => &origination.certificates,
        }
    }

    /// Whether the peer's certificate is verified.
    pub(super) fn verifies(&self) -> bool {
        match self {
            Self::End(termination) => termination.clients.checks().is_some(),
            Self::Begin(origination) => origination.verifies,
        }
    }

    /// Whether the system's authorities stand in for one that is not named (`constructUpstreamTLS` in istio's
    /// cluster_tls.go).
    pub(super) fn trusts_system(&self) -> bool {
        let names_none = matches!(self.certificates(), Certificates::Files { authority: None, .. });
        matches!(self, Self::Begin(_)) && self.verifies() && names_none
    }

    /// The Secrets that this looks into.
    pub(super) fn secrets(&self) -> Vec<Arc<str>> {
        self.certificates().secrets(self.verifies())
    }

    /// The files that this looks into.
    pub(super) fn file_paths(&self) -> Vec<Arc<str>> {
        let Certificates::Files { pairs, authority, revoked } = self.certificates() else { return Vec::new() };
        let system = if self.trusts_system() { roots::file() } else { None };
        let pairs = pairs.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        pairs.chain(authority).chain(revoked).cloned().chain(system).collect()
    }

    pub(super) fn provider(&self) -> CryptoProvider {
        match self {
            Self::End(termination) => provider(&termination.cipher_suites),
            Self::Begin(_) => provider(&[]),
        }
    }

    /// # Errors
    /// What of the settings cannot be.
    pub(super) fn build(&self, material: Material) -> Result<Built, String> {
        match self {
            Self::End(termination) => {
                server_config::build(termination, material).map(Built::Server).map_err(|error| error.to_string())
            }
            Self::Begin(origination) => {
                client_config::build(origination, material).map(Built::Client).map_err(|error| error.to_string())
            }
        }
    }

    /// What happens while there is nothing to make handshakes with.
    pub(super) fn without(&self) -> &'static str {
        match self {
            Self::End(_) => "every handshake is refused until then",
            Self::Begin(_) => "requests get 503 until then",
        }
    }

    /// Who sees its certificate.
    pub(super) fn peers(&self) -> &'static str {
        match self {
            Self::End(_) => "clients",
            Self::Begin(_) => "endpoints",
        }
    }
}
