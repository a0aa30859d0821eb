//! `tls` of a Gateway's server.

use super::{
    findings::{Findings, Path},
    protocol, tls_termination,
};
use crate::{
    istio::gateway::{self as istio, ServerTlsSettings, TlsProtocol},
    model::gateway::{Protocol, ServerTls, TlsMode},
};
use std::{collections::BTreeSet, sync::Arc};

/// Reads the TLS settings of a server for `protocol` (`validateTLSOptions` and the end of `validateServer` in
/// istio/pkg/config/validation/validation.go). `Err`, with a finding, when the server cannot listen without.
pub(super) fn read(
    tls: Option<&ServerTlsSettings>,
    protocol: Protocol,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Result<Option<ServerTls>, ()> {
    let Some(tls) = tls else {
        if protocol::is_tls(protocol) {
            findings.invalid(path, format!("is required with protocol {}", protocol.name()));
            return Err(());
        }
        return Ok(None);
    };
    check_ciphers(tls, path, findings);
    check_certificates(tls, path, findings);
    if protocol.is_http() {
        let passes_through = matches!(tls.mode, istio::TlsMode::Passthrough | istio::TlsMode::AutoPassthrough);
        let has_files = [&tls.server_certificate, &tls.private_key, &tls.ca_certificates].iter().any(|f| !f.is_empty());
        if !passes_through || has_files {
            findings.invalid(path, "beside a plain text HTTP port may have httpsRedirect only: use protocol HTTPS");
        }
    } else {
        if tls.https_redirect {
            findings.suspicious(&path.field("httpsRedirect"), "has an effect on plain text HTTP ports only");
        }
        if !protocol::is_tls(protocol) && protocol != Protocol::Unsupported {
            findings.invalid(path, format!("is not allowed with protocol {}: use HTTPS or TLS", protocol.name()));
        }
    }
    let mode = mode(tls.mode);
    let ends = !protocol.is_http() && matches!(mode, TlsMode::Simple | TlsMode::Mutual | TlsMode::OptionalMutual);
    let termination = ends.then(|| tls_termination::read(tls, path, findings)).flatten();
    Ok(Some(ServerTls { mode, https_redirect: tls.https_redirect, termination: termination.map(Arc::new) }))
}

fn mode(mode: istio::TlsMode) -> TlsMode {
    match mode {
        istio::TlsMode::Passthrough => TlsMode::Passthrough,
        istio::TlsMode::Simple => TlsMode::Simple,
        istio::TlsMode::Mutual => TlsMode::Mutual,
        istio::TlsMode::OptionalMutual => TlsMode::OptionalMutual,
        istio::TlsMode::AutoPassthrough => TlsMode::AutoPassthrough,
        istio::TlsMode::IstioMutual => TlsMode::IstioMutual,
    }
}

fn check_ciphers(tls: &ServerTlsSettings, path: &Path<'_>, findings: &mut Findings<'_>) {
    if matches!(tls.min_protocol_version, TlsProtocol::V1_0 | TlsProtocol::V1_1) && tls.cipher_suites.is_empty() {
        findings.suspicious(
            &path.field("minProtocolVersion"),
            "below TLSV1_2 needs compatible cipherSuites: the default ones no longer include any",
        );
    }
    let path = path.field("cipherSuites");
    let mut seen = BTreeSet::new();
    for (index, suite) in tls.cipher_suites.iter().enumerate() {
        if !is_cipher_suite(suite) {
            findings.suspicious(&path.index(index), format!("{suite:?} is no cipher suite: it is ignored"));
        } else if !seen.insert(suite) {
            findings.suspicious(&path.index(index), format!("{suite:?} is repeated: it is ignored"));
        }
    }
}

fn check_certificates(tls: &ServerTlsSettings, path: &Path<'_>, findings: &mut Findings<'_>) {
    // The CRD's schema allows no more.
    for (field, count) in
        [("tlsCertificates", tls.tls_certificates.len()), ("credentialNames", tls.credential_names.len())]
    {
        if count > 2 {
            findings.schema(&path.field(field), format!("has {count} entries, and 2 are allowed"));
        }
    }
    let has_credential = !tls.credential_name.is_empty();
    let has_credentials = !tls.credential_names.is_empty();
    if tls.mode == istio::TlsMode::IstioMutual {
        let given = [
            ("serverCertificate", !tls.server_certificate.is_empty()),
            ("privateKey", !tls.private_key.is_empty()),
            ("caCertificates", !tls.ca_certificates.is_empty()),
            ("tlsCertificates", !tls.tls_certificates.is_empty()),
            ("credentialName", has_credential),
            ("credentialNames", has_credentials),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            findings.invalid(&path.field(field), "is not allowed with ISTIO_MUTUAL, which brings its own certificates");
        }
        return;
    }
    let has_pair = !tls.server_certificate.is_empty() && !tls.private_key.is_empty();
    let files = [&tls.ca_crl, &tls.server_certificate, &tls.private_key, &tls.ca_certificates];
    let has_files = files.iter().any(|file| !file.is_empty()) || !tls.tls_certificates.is_empty();
    let passes_through = matches!(tls.mode, istio::TlsMode::Passthrough | istio::TlsMode::AutoPassthrough);
    if passes_through && (has_files || has_credential || has_credentials) {
        findings.suspicious(&path.field("mode"), "passes TLS through and uses no certificates: they are ignored");
    }
    let sources = [has_pair, has_credential, has_credentials, !tls.tls_certificates.is_empty()];
    if sources.iter().filter(|given| **given).count() > 1 {
        findings.invalid(path, "has more than one source of certificates: keep one of credentialName, credentialNames, serverCertificate with privateKey, and tlsCertificates");
    }
    if passes_through && has_credential && !tls.ca_crl.is_empty() {
        findings.invalid(&path.field("caCrl"), "is not supported with credentialName: put it into the credential");
    }
    if passes_through || has_credential || has_credentials {
        return;
    }
    check_files(tls, path, findings);
}

/// SIMPLE and both MUTUAL with certificates from files.
fn check_files(tls: &ServerTlsSettings, path: &Path<'_>, findings: &mut Findings<'_>) {
    if tls.mode != istio::TlsMode::Simple && tls.ca_certificates.is_empty() {
        findings.invalid(&path.field("caCertificates"), "is required to verify clients with MUTUAL");
    }
    let require = |value: &str, path: &Path<'_>, findings: &mut Findings<'_>| {
        if value.is_empty() {
            findings.invalid(path, "is required, or a credentialName");
        }
    };
    if tls.tls_certificates.is_empty() {
        require(&tls.server_certificate, &path.field("serverCertificate"), findings);
        require(&tls.private_key, &path.field("privateKey"), findings);
    }
    for (index, certificate) in tls.tls_certificates.iter().enumerate() {
        let path = path.field("tlsCertificates");
        let path = path.index(index);
        require(&certificate.server_certificate, &path.field("serverCertificate"), findings);
        require(&certificate.private_key, &path.field("privateKey"), findings);
    }
    if !tls.ca_crl.is_empty() && tls.mode == istio::TlsMode::Simple {
        findings.invalid(&path.field("caCrl"), "is not supported with SIMPLE, which verifies no clients");
    }
}

/// The names of `IsValidCipherSuite` in istio/pkg/config/security/security.go.
pub(super) fn is_cipher_suite(name: &str) -> bool {
    const SUITES: [&str; 15] = [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    ];
    // `-` and `+` begin an operation on the list, which nobody parses.
    let is_operation = !name.starts_with(|c: char| c.is_alphanumeric());
    name == "ALL" || is_operation || SUITES.contains(&name)
}
