//! Certificates, keys and authorities, checked as far as they can be before a handshake.

use super::{
    pem::{Fault, Pem},
    roots,
};
use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, CertificateRevocationListDer},
    sign::CertifiedKey,
};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Everything one configuration is made of.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) pairs: Vec<Arc<CertifiedKey>>,
    pub(super) authority: Option<Authority>,
    /// When the first of the certificates ends, in seconds since 1970, and where it is.
    pub(super) ends: Option<(i64, Arc<str>)>,
}

/// Whose signatures under the peers' certificates are good, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trusted {
    Given(Pem),
    /// The system's bundle; `None` for what is built in.
    System(Option<Pem>),
}

/// Who signs the peers' certificates.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) revoked: Vec<CertificateRevocationListDer<'static>>,
}

impl Material {
    /// Reads what is in `pairs` (certificate, key) and `authority` (whom to trust, revocation lists).
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub(super) fn read(
        provider: &CryptoProvider,
        pairs: &[(Pem, Pem)],
        authority: Option<(&Trusted, Option<&Pem>)>,
    ) -> Result<Self, Fault> {
        let mut material = Self { pairs: Vec::with_capacity(pairs.len()), authority: None, ends: None };
        for (certificate, key) in pairs {
            let chain = certificate.chain()?;
            if let Some(leaf) = chain.first() {
                let end = end_of(leaf).ok_or_else(|| certificate.fault("its first section is no X.509 certificate"))?;
                if material.ends.as_ref().is_none_or(|(first, _)| end < *first) {
                    material.ends = Some((end, Arc::clone(&certificate.place)));
                }
            }
            material.pairs.push(Arc::new(certified_key(provider, chain, certificate, key)?));
        }
        if let Some((trusted, revoked)) = authority {
            material.authority = Some(Authority::read(trusted, revoked)?);
        }
        Ok(material)
    }
}

impl Authority {
    fn read(trusted: &Trusted, revoked: Option<&Pem>) -> Result<Self, Fault> {
        let roots = match trusted {
            Trusted::Given(certificates) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates.certificates()? {
                    roots.add(certificate).map_err(|error| certificates.fault(format!("is no authority: {error}")))?;
                }
                roots
            }
            Trusted::System(bundle) => roots::system(bundle.as_ref()),
        };
        let revoked = revoked.map(Pem::revoked).transpose()?.unwrap_or_default();
        Ok(Self { roots: Arc::new(roots), revoked })
    }
}

fn certified_key(
    provider: &CryptoProvider,
    chain: Vec<CertificateDer<'static>>,
    certificate: &Pem,
    key: &Pem,
) -> Result<CertifiedKey, Fault> {
    // The library owns the key from here on, and frees it with its memory wiped.
    let der = key.key()?;
    let signer = provider.key_provider.load_private_key(der).map_err(|_inner| {
        key.fault("is no key that can be used: RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519")
    })?;
    let pair = CertifiedKey::new(chain, signer);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(key.fault(format!("is not the key of the certificate in {}: replace one of them", certificate.place)))
        }
        Err(error) => Err(certificate.fault(format!("cannot be used: {error}"))),
    }
}

fn end_of(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
