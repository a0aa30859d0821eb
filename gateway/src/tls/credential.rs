//! Whether a Secret could be the credential of a server: for `analyze`, which makes no configuration of it.

use super::{material::Material, secret::Secret};
use crate::ingest::manifest::Manifest;
use rustls::crypto::aws_lc_rs;
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What is wrong at `now` with the certificate or key in `secret`, which is wiped; `None` for one that would do
/// (`ValidateCertificate` in istio's pilot/pkg/xds/sds.go).
pub fn fault(secret: Manifest, now: SystemTime) -> Option<String> {
    let secret = Secret::take(secret);
    let pair = match secret.pair() {
        Ok(pair) => (pair.certificate.clone(), pair.key.clone()),
        Err(fault) => return Some(fault.to_string()),
    };
    let place = &pair.0.place;
    let material = match Material::read(&aws_lc_rs::default_provider(), std::slice::from_ref(&pair), None) {
        Ok(material) => material,
        Err(fault) => return Some(fault.to_string()),
    };
    let leaf = material.pairs.first().and_then(|pair| pair.cert.first())?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let validity = certificate.validity();
    let now = now.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())?;
    if now > validity.not_after.timestamp() {
        return Some(format!("{place}: the certificate ended at {}", validity.not_after));
    }
    let begins = now < validity.not_before.timestamp();
    begins.then(|| format!("{place}: the certificate is not valid before {}", validity.not_before))
}
