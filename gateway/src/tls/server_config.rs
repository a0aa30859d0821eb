//! From settings and material to what rustls makes handshakes with.

use super::{
    configurations::Configuration,
    material::Material,
    verifier::{self, Proof},
};
use crate::model::tls::{CipherSuite, Clients, Termination, TlsVersion};
use rustls::{
    CipherSuite as Suite, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WantsServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use std::sync::Arc;

/// What is spoken behind TLS, in the order of preference.
pub const ALPN_HTTP_2: &[u8] = b"h2";
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoConfiguration {
    #[error("no version of TLS is left to speak: raise maxProtocolVersion, or lower minProtocolVersion")]
    NoVersion,
    #[error("the authority cannot verify clients: {0}")]
    Authority(#[from] rustls::server::VerifierBuilderError),
    #[error("there is no certificate that could verify clients")]
    NoAuthority,
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A configuration with tickets of its own: who has resumed a session was verified with the same authority.
pub(super) fn build(termination: &Termination, material: Material) -> Result<Configuration, NoConfiguration> {
    let provider = Arc::new(provider(&termination.cipher_suites));
    let versions: Vec<&'static SupportedProtocolVersion> = [(TlsVersion::V1_2, &TLS12), (TlsVersion::V1_3, &TLS13)]
        .into_iter()
        .filter(|(version, _)| (termination.lowest..=termination.highest).contains(version))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        return Err(NoConfiguration::NoVersion);
    }
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions)?;
    let authority = || material.authority.as_ref().ok_or(NoConfiguration::NoAuthority);
    let builder: rustls::ConfigBuilder<ServerConfig, WantsServerCert> = match &termination.clients {
        Clients::Unknown => builder.with_no_client_auth(),
        Clients::MayProve(checks) => {
            builder.with_client_cert_verifier(verifier::verifier(&provider, authority()?, checks, Proof::Wanted)?)
        }
        Clients::MustProve(checks) => {
            builder.with_client_cert_verifier(verifier::verifier(&provider, authority()?, checks, Proof::Needed)?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByKey(material.pairs)));
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let without_alpn = Arc::new(config.clone());
    config.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), ALPN_HTTP_1_1.to_vec()];
    Ok(Configuration { with_alpn: Arc::new(config), without_alpn })
}

/// The library with the suites of TLS 1.2 that `wanted` names, or all, and all of TLS 1.3.
pub(super) fn provider(wanted: &[CipherSuite]) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !wanted.is_empty() {
        let wanted: Vec<Suite> = wanted.iter().map(|suite| number(*suite)).collect();
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || wanted.contains(&suite.suite()));
    }
    provider
}

const fn number(suite: CipherSuite) -> Suite {
    match suite {
        CipherSuite::EcdheEcdsaAes128Gcm => Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheEcdsaAes256Gcm => Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheEcdsaChacha20 => Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheRsaAes128Gcm => Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaAes256Gcm => Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaChacha20 => Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

/// The first certificate whose key can sign what the client can check; else the first.
#[derive(Debug)]
struct ByKey(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByKey {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |pair: &&Arc<CertifiedKey>| pair.key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.iter().find(fits).or_else(|| self.0.first()).cloned()
    }
}
