//! A Secret in Istio's layouts (`ExtractCertInfo` and `ExtractRoot` in istio/pilot/pkg/credentials/kube/secrets.go).

use super::pem::{Fault, Pem};
use crate::ingest::{base64, manifest::Manifest};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};
use zeroize::Zeroize;

/// What a Secret holds, decoded.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secret {
    fields: BTreeMap<String, Pem>,
    /// Fields that are no base64.
    broken: Vec<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?})", self.fields.keys())
    }
}

/// Certificate and key.
pub(super) struct PairText<'a> {
    pub(super) certificate: &'a Pem,
    pub(super) key: &'a Pem,
}

/// Certificates of an authority, and what it has revoked.
pub(super) struct AuthorityText<'a> {
    pub(super) certificates: &'a Pem,
    pub(super) revoked: Option<&'a Pem>,
}

impl Secret {
    /// Takes the fields out of `manifest`, and wipes them there.
    pub(super) fn take(manifest: Manifest) -> Self {
        let mut secret = Self::default();
        let Value::Object(mut object) = manifest.object else { return secret };
        for (part, encoded) in [("data", true), ("stringData", false)] {
            let Some(Value::Object(fields)) = object.remove(part) else { continue };
            for (name, value) in fields {
                let Value::String(mut text) = value else { continue };
                let place = format!("{part}.{name}");
                let bytes = if encoded { base64::decode(text.trim()) } else { Some(text.clone().into_bytes()) };
                text.zeroize();
                match bytes {
                    // `stringData` comes second, and wins, as in the API server.
                    Some(bytes) => _ = secret.fields.insert(name, Pem::new(&place, bytes)),
                    None => secret.broken.push(place),
                }
            }
        }
        secret
    }

    fn value(&self, name: &str) -> Option<&Pem> {
        self.fields.get(name).filter(|pem| !pem.text.is_empty())
    }

    /// # Errors
    /// Names the fields that are missing, and those that are there.
    pub(super) fn pair(&self) -> Result<PairText<'_>, Fault> {
        for (certificate, key) in [("cert", "key"), ("tls.crt", "tls.key")] {
            if let (Some(certificate), Some(key)) = (self.value(certificate), self.value(key)) {
                return Ok(PairText { certificate, key });
            }
        }
        Err(self.lacks("tls.crt and tls.key, or cert and key"))
    }

    /// # Errors
    /// The same for the certificates that verify clients.
    pub(super) fn authority(&self) -> Result<AuthorityText<'_>, Fault> {
        for (certificates, revoked) in [("cacert", "crl"), ("ca.crt", "ca.crl")] {
            if let Some(certificates) = self.value(certificates) {
                return Ok(AuthorityText { certificates, revoked: self.value(revoked) });
            }
        }
        Err(self.lacks("ca.crt, or cacert"))
    }

    fn lacks(&self, wanted: &str) -> Fault {
        if let Some(place) = self.broken.first() {
            return Fault { place: place.as_str().into(), reason: "is no base64".to_owned() };
        }
        let there: Vec<&str> = self.fields.keys().map(String::as_str).take(5).collect();
        let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
        Fault { place: "data".into(), reason: format!("needs {wanted}, and not empty; it has {there}") }
    }
}
