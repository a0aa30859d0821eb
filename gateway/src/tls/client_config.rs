//! From settings and material to what rustls makes handshakes with endpoints with.

use super::{
    configurations::ClientConfiguration, endpoint_verifier::EndpointVerifier, material::Material,
    server_config::provider,
};
use crate::model::origination::Origination;
use rustls::{
    ClientConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption, VerifierBuilderError},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use std::sync::Arc;

/// Endpoints, or hosts of requests, whose sessions are remembered; the oldest are forgotten.
const SESSIONS: usize = 256;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoClientConfiguration {
    #[error("the authority cannot verify endpoints: {0}")]
    Authority(#[from] VerifierBuilderError),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A configuration with sessions of its own: whoever resumes one was verified with the same authority. TLS 1.2 and 1.3, as
/// `defaultUpstreamCommonTLSContext` in istio's cluster_tls.go says.
pub(super) fn build(
    origination: &Origination,
    material: Material,
) -> Result<ClientConfiguration, NoClientConfiguration> {
    let pair = material.pairs.into_iter().next();
    let verifier = EndpointVerifier::new(&Arc::new(provider(&[])), material.authority, origination)?;
    let unread = Arc::new(verifier.of_no_host());
    Ok(ClientConfiguration { requests: config(Arc::new(verifier), pair.clone())?, unread: config(unread, pair)? })
}

fn config(
    verifier: Arc<EndpointVerifier>,
    pair: Option<Arc<CertifiedKey>>,
) -> Result<Arc<ClientConfig>, NoClientConfiguration> {
    let builder = ClientConfig::builder_with_provider(verifier.provider())
        .with_protocol_versions(&[&TLS12, &TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match pair {
        Some(pair) => builder.with_client_cert_resolver(Arc::new(Shown(pair))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

/// Shows its certificate to every endpoint that asks for one, whichever authorities it names, as Envoy does.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).is_some().then(|| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
