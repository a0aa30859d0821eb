//! `tls` of a traffic policy: how TLS is begun to endpoints.

use super::{
    findings::{Findings, Path},
    tls_termination::secret_name,
};
use crate::{
    istio::destination_rule::{
        ClientTlsMode::{Disable, IstioMutual, Mutual, Simple},
        ClientTlsSettings,
    },
    model::{
        origination::{ClientTls, Origination, TlsUse},
        tls::{Certificates, FilePair},
    },
};
use std::sync::Arc;

/// What becomes of requests to endpoints that cannot be spoken to as the rule asks.
const INSTEAD: &str = "requests get 503: nothing is sent in plaintext instead";

/// Reads the settings (`buildUpstreamClusterTLSContext` in istio's cluster_tls.go), and reports what the webhook has
/// against them (`ValidateTLS` in istio's agent/validation.go).
pub(super) fn read(
    tls: &ClientTlsSettings,
    namespace: &str,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> ClientTls {
    check(tls, namespace, path, findings);
    match tls.mode {
        Disable => return ClientTls::Disable,
        IstioMutual => {
            findings.not_served(&path.field("mode"), format_args!("there are no certificates of a mesh; {INSTEAD}"));
            return ClientTls::NotServed;
        }
        Simple | Mutual => {}
    }
    let Some(certificates) = certificates(tls, path, findings) else { return ClientTls::NotServed };
    let verifies = tls.insecure_skip_verify != Some(true);
    let server_name = (!tls.sni.is_empty()).then(|| Arc::from(&*tls.sni));
    let origination = Origination {
        certificates,
        verifies,
        checks_host: verifies && server_name.is_none() && tls.subject_alt_names.is_empty(),
        server_name,
        alternative_names: if verifies {
            tls.subject_alt_names.iter().map(|name| name.as_str().into()).collect()
        } else {
            Vec::new()
        },
    };
    let (rule, path) = (findings.object().clone(), path.to_string().into());
    ClientTls::Begin(Arc::new(TlsUse { origination: Arc::new(origination), rule, path }))
}

fn certificates(tls: &ClientTlsSettings, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Certificates> {
    let proves = tls.mode == Mutual;
    if !tls.credential_name.is_empty() {
        let name = secret_name(&tls.credential_name, &path.field("credentialName"), INSTEAD, findings)?;
        let authority = format!("{name}-cacert").into();
        return Some(Certificates::Secrets { names: if proves { vec![name] } else { Vec::new() }, authority });
    }
    let file = |name: &str| (!name.is_empty()).then(|| Arc::from(name));
    let mut pairs = Vec::new();
    if proves {
        // What is missing has been found already.
        pairs.push(FilePair { certificate: file(&tls.client_certificate)?, key: file(&tls.private_key)? });
    }
    Some(Certificates::Files { pairs, authority: file(&tls.ca_certificates), revoked: file(&tls.ca_crl) })
}

fn check(tls: &ClientTlsSettings, namespace: &str, path: &Path<'_>, findings: &mut Findings<'_>) {
    let verifies_by = !tls.ca_certificates.is_empty() || !tls.subject_alt_names.is_empty();
    let credential = !tls.credential_name.is_empty();
    if let Some(config_map) = tls.credential_name.strip_prefix("configmap://")
        && config_map.split_once('/').is_some_and(|(other, _)| other != namespace)
    {
        findings.invalid(&path.field("credentialName"), "names a ConfigMap of another namespace");
    }
    let skips = tls.insecure_skip_verify == Some(true);
    if skips && ((tls.mode == Simple && (verifies_by || credential)) || (tls.mode == Mutual && verifies_by)) {
        findings.invalid(
            &path.field("insecureSkipVerify"),
            "contradicts caCertificates, credentialName or subjectAltNames: keep one",
        );
    }
    if !matches!(tls.mode, Simple | Mutual) {
        return;
    }
    let files = [&tls.client_certificate, &tls.ca_certificates, &tls.private_key, &tls.ca_crl];
    if credential && files.iter().any(|file| !file.is_empty()) {
        findings.invalid(&path.field("credentialName"), "stands beside certificate files: keep one");
    }
    if tls.mode == Mutual && !credential {
        for (field, value) in [("clientCertificate", &tls.client_certificate), ("privateKey", &tls.private_key)] {
            if value.is_empty() {
                findings
                    .invalid(&path.field(field), format!("is required with MUTUAL, or a credentialName; {INSTEAD}"));
            }
        }
    }
}
