//! The authorities that everybody trusts, for endpoints whose rule names none.

use super::pem::Pem;
use rustls::RootCertStore;
use std::{path::Path, sync::Arc};

/// Where systems keep them (`GetOSRootFilePath` in istio's pkg/security/security.go); the first that is there counts.
const FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file of this system; `None` in an image without any.
pub(super) fn file() -> Option<Arc<str>> {
    FILES.into_iter().find(|path| Path::new(path).is_file()).map(Arc::from)
}

/// Those in `bundle`, but for what is no authority; without a bundle those that Mozilla trusts, as of this build.
pub(super) fn system(bundle: Option<&Pem>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let given = bundle.and_then(|bundle| bundle.certificates().ok());
    match given {
        Some(certificates) => _ = roots.add_parsable_certificates(certificates),
        None => {
            let built_in = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
            _ = roots.add_parsable_certificates(built_in);
        }
    }
    roots
}
