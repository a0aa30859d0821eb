//! PEM that may hold a key: wiped when it is not needed any more, and never printed.

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// The largest certificate chain, as DER: what a handshake message may hold (`MAX_HANDSHAKE_SIZE` in rustls).
const LARGEST_CHAIN_BYTES: usize = 0xffff - 0x400;

/// The text of one Secret's field or of one file, and where it is.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pem {
    /// `data.tls.crt`, or the path of a file.
    pub(super) place: Arc<str>,
    pub(super) text: Arc<Zeroizing<Vec<u8>>>,
}

/// What is wrong with a field or a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub(super) struct Fault {
    pub(super) place: Arc<str>,
    pub(super) reason: String,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({}, {} bytes)", self.place, self.text.len())
    }
}

impl Pem {
    pub(super) fn new(place: &str, text: Vec<u8>) -> Self {
        Self { place: place.into(), text: Arc::new(Zeroizing::new(text)) }
    }

    pub(super) fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault { place: Arc::clone(&self.place), reason: reason.into() }
    }

    /// Every certificate; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Fault> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.text).collect();
        let all = all.map_err(|error| self.fault(format!("is no PEM: {}", reason(&error))))?;
        if all.is_empty() {
            return Err(self.fault("holds no certificate: it needs a BEGIN CERTIFICATE section"));
        }
        Ok(all)
    }

    /// A chain that fits into a handshake.
    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Fault> {
        let chain = self.certificates()?;
        let bytes: usize = chain.iter().map(|certificate| certificate.len()).sum();
        if bytes > LARGEST_CHAIN_BYTES {
            return Err(self.fault(format!(
                "has {bytes} bytes of certificates, more than a handshake can carry ({LARGEST_CHAIN_BYTES}): leave out what is no part of the chain"
            )));
        }
        Ok(chain)
    }

    /// The first private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, Fault> {
        PrivateKeyDer::from_pem_slice(&self.text).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                self.fault("holds no private key: it needs a BEGIN PRIVATE KEY section, not encrypted")
            }
            error => self.fault(format!("is no PEM: {}", reason(&error))),
        })
    }

    /// Every revocation list; at least one.
    pub(super) fn revoked(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, Fault> {
        let all: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&self.text).collect();
        let all = all.map_err(|error| self.fault(format!("is no PEM: {}", reason(&error))))?;
        if all.is_empty() {
            return Err(self.fault("holds no revocation list: it needs a BEGIN X509 CRL section"));
        }
        Ok(all)
    }
}

/// In words of ours: those of the library quote what they could not read, and that may be a key.
fn reason(error: &rustls::pki_types::pem::Error) -> &'static str {
    use rustls::pki_types::pem::Error;
    match error {
        Error::MissingSectionEnd { .. } => "a section has no end",
        Error::IllegalSectionStart { .. } => "a section does not begin as it should",
        Error::Base64Decode(_) => "a section is no base64",
        Error::SectionTooLarge => "a section is too large",
        _ => "it cannot be read",
    }
}
