//! Which clients' certificates are good.

use super::{material::Authority, peer};
use crate::model::tls::ClientChecks;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Whether a client has to have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Wanted,
    Needed,
}

/// The verifier of `authority` with the further `checks`.
///
/// # Errors
/// When the authority has no certificate, or a revocation list cannot be read.
pub(super) fn verifier(
    provider: &Arc<CryptoProvider>,
    authority: &Authority,
    checks: &ClientChecks,
    proof: Proof,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&authority.roots), Arc::clone(provider))
        .with_crls(authority.revoked.iter().cloned());
    let by_authority = match proof {
        Proof::Wanted => builder.allow_unauthenticated().build()?,
        Proof::Needed => builder.build()?,
    };
    Ok(if *checks == ClientChecks::default() {
        by_authority
    } else {
        Arc::new(Checked { by_authority, checks: checks.clone() })
    })
}

/// The authority's verdict, and then ours.
#[derive(Debug)]
struct Checked {
    by_authority: Arc<dyn ClientCertVerifier>,
    checks: ClientChecks,
}

impl Checked {
    /// Envoy's `DefaultCertValidator::verifyCertificate`: a name that is wanted, and a pin of either kind.
    fn passes(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
        let checks = &self.checks;
        if !checks.alternative_names.is_empty() {
            let names = peer::alternative_names(&parsed);
            if !names.iter().any(|name| checks.alternative_names.iter().any(|wanted| name == &**wanted)) {
                return false;
            }
        }
        if checks.public_keys.is_empty() && checks.certificates.is_empty() {
            return true;
        }
        let is_in = |pins: &[[u8; 32]], bytes: &[u8]| {
            let digest = digest(&SHA256, bytes);
            pins.iter().any(|pin| pin == digest.as_ref())
        };
        is_in(&checks.certificates, certificate) || is_in(&checks.public_keys, parsed.public_key().raw)
    }
}

impl ClientCertVerifier for Checked {
    fn client_auth_mandatory(&self) -> bool {
        self.by_authority.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.by_authority.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !self.checks.unverified {
            self.by_authority.verify_client_cert(end_entity, intermediates, now)?;
        }
        if self.passes(end_entity) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}
