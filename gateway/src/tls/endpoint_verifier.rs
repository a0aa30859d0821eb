//! Which endpoints' certificates are good (Envoy's `DefaultCertValidator::verifyCertificate`): who signed them, and whose
//! they are, which are two questions there.

use super::{material::Authority, peer};
use crate::model::origination::Origination;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct EndpointVerifier {
    /// `None` where any certificate will do.
    chain: Option<Arc<WebPkiServerVerifier>>,
    alternative_names: Vec<Arc<str>>,
    checks_host: bool,
    provider: Arc<CryptoProvider>,
}

impl EndpointVerifier {
    /// # Errors
    /// When the authority has no certificate, or a revocation list cannot be read.
    pub(super) fn new(
        provider: &Arc<CryptoProvider>,
        authority: Option<Authority>,
        origination: &Origination,
    ) -> Result<Self, VerifierBuilderError> {
        let chain = match authority {
            Some(Authority { roots, revoked }) => Some(
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).with_crls(revoked).build()?,
            ),
            None => None,
        };
        Ok(Self {
            chain,
            alternative_names: origination.alternative_names.clone(),
            checks_host: origination.checks_host,
            provider: Arc::clone(provider),
        })
    }

    /// The same for connections of which no host is known.
    pub(super) fn of_no_host(&self) -> Self {
        Self { checks_host: false, ..self.clone() }
    }

    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }

    fn has_wanted_name(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
        let names = peer::alternative_names(&parsed);
        self.alternative_names.iter().any(|wanted| names.iter().any(|name| is_for(name, wanted)))
    }
}

/// Whether a certificate for `name`, which may begin with a wildcard, is one for `wanted` (`Utility::dnsNameMatch` in
/// envoy's source/common/tls/utility.cc; other names than those of DNS have no wildcards and are compared as they are).
fn is_for(name: &str, wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted)
        || name.strip_prefix("*.").is_some_and(|domain| {
            wanted.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain))
        })
}

impl ServerCertVerifier for EndpointVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The last thing it looks at is the name, which is ours to decide about.
            Ok(_)
            | Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => {}
            Err(error) => return Err(error),
        }
        if self.checks_host {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        if self.alternative_names.is_empty() || self.has_wanted_name(end_entity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::is_for;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (name, wanted, expected) in [
            ("a.test", "a.test", true),
            ("A.test", "a.TEST", true),
            ("*.a.test", "b.a.test", true),
            ("*.a.test", "a.test", false),
            ("*.a.test", "c.b.a.test", false),
            ("*.a.test", ".a.test", false),
            ("b*.a.test", "b1.a.test", false),
            ("spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/b", true),
        ] {
            assert_eq!(is_for(name, wanted), expected, "{name} for {wanted}");
        }
    }
}
