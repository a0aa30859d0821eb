//! How a Gateway server ends TLS: with which certificates, for which clients, with which versions and suites.

use std::sync::Arc;

/// Everything that decides about a handshake; equal values share one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Termination {
    pub certificates: Certificates,
    pub clients: Clients,
    /// The lowest version that is spoken.
    pub lowest: TlsVersion,
    /// The highest version that is spoken; below `lowest` no handshake succeeds, as with Envoy.
    pub highest: TlsVersion,
    /// Suites of TLS 1.2; empty for all. Those of TLS 1.3 cannot be chosen (Envoy's `cipher_suites` says the same).
    pub cipher_suites: Vec<CipherSuite>,
}

/// Where certificates and keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Certificates {
    /// Secrets in the gateway's own namespace.
    Secrets {
        /// Certificate and key, one for each kind of key.
        names: Vec<Arc<str>>,
        /// Verifies clients; the same Secret without `-cacert` at its end stands in.
        authority: Arc<str>,
    },
    /// Files in the gateway's pod.
    Files { pairs: Vec<FilePair>, authority: Option<Arc<str>>, revoked: Option<Arc<str>> },
}

/// A certificate chain and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FilePair {
    pub certificate: Arc<str>,
    pub key: Arc<str>,
}

/// What is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Clients {
    /// SIMPLE: they are not asked for a certificate.
    Unknown,
    /// OPTIONAL_MUTUAL: a certificate is verified if there is one.
    MayProve(ClientChecks),
    /// MUTUAL.
    MustProve(ClientChecks),
}

/// What a client's certificate has to be, besides signed by the authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientChecks {
    /// One of these must be among its subject alternative names, if there are any here.
    pub alternative_names: Vec<Arc<str>>,
    /// SHA-256 of public keys (`verifyCertificateSpki`).
    pub public_keys: Vec<[u8; 32]>,
    /// SHA-256 of certificates (`verifyCertificateHash`); a certificate in either list passes.
    pub certificates: Vec<[u8; 32]>,
    /// Any certificate will do (`insecureSkipVerify`).
    pub unverified: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

/// The suites of TLS 1.2 that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CipherSuite {
    EcdheEcdsaAes128Gcm,
    EcdheEcdsaAes256Gcm,
    EcdheEcdsaChacha20,
    EcdheRsaAes128Gcm,
    EcdheRsaAes256Gcm,
    EcdheRsaChacha20,
}

impl CipherSuite {
    pub const ALL: [Self; 6] = [
        Self::EcdheEcdsaAes128Gcm,
        Self::EcdheEcdsaAes256Gcm,
        Self::EcdheEcdsaChacha20,
        Self::EcdheRsaAes128Gcm,
        Self::EcdheRsaAes256Gcm,
        Self::EcdheRsaChacha20,
    ];

    /// OpenSSL's name, which Istio uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdheEcdsaAes128Gcm => "ECDHE-ECDSA-AES128-GCM-SHA256",
            Self::EcdheEcdsaAes256Gcm => "ECDHE-ECDSA-AES256-GCM-SHA384",
            Self::EcdheEcdsaChacha20 => "ECDHE-ECDSA-CHACHA20-POLY1305",
            Self::EcdheRsaAes128Gcm => "ECDHE-RSA-AES128-GCM-SHA256",
            Self::EcdheRsaAes256Gcm => "ECDHE-RSA-AES256-GCM-SHA384",
            Self::EcdheRsaChacha20 => "ECDHE-RSA-CHACHA20-POLY1305",
        }
    }
}

impl Certificates {
    /// The Secrets that this needs or looks into: certificates, then the authority's two places.
    pub fn secrets(&self, verifies: bool) -> Vec<Arc<str>> {
        let Self::Secrets { names, authority } = self else { return Vec::new() };
        let mut all = names.clone();
        if verifies {
            all.push(Arc::clone(authority));
            all.push(fallback(authority));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Clients {
    /// The checks, where clients are verified.
    pub fn checks(&self) -> Option<&ClientChecks> {
        match self {
            Self::Unknown => None,
            Self::MayProve(checks) | Self::MustProve(checks) => Some(checks),
        }
    }
}

/// Where an authority is that is not in the Secret of its own (`GetCaCert` in istio's credentials/kube/secrets.go).
pub fn fallback(authority: &str) -> Arc<str> {
    authority.strip_suffix("-cacert").unwrap_or(authority).into()
}
