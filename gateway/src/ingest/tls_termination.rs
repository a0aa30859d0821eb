//! `tls` of a server that ends TLS: certificates, clients, versions, suites.

use super::{
    base64,
    findings::{Findings, Path},
};
use crate::{
    istio::gateway::{ServerTlsSettings, TlsMode, TlsProtocol},
    model::tls::{Certificates, CipherSuite, ClientChecks, Clients, FilePair, Termination, TlsVersion},
};
use std::sync::Arc;

/// More are ignored (`MaxCertificates` in istio's validation.go: one for each kind of key).
const MOST_CERTIFICATES: usize = 2;

/// What becomes of a server without certificates.
const CLOSED: &str = "the server stays closed";

/// Reads the settings of a server with mode SIMPLE, MUTUAL or OPTIONAL_MUTUAL (`BuildListenerTLSContext` in
/// istio/pilot/pkg/networking/core/listener.go). `None`, with a finding, when nothing could ever be served with them.
pub(super) fn read(tls: &ServerTlsSettings, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Termination> {
    let certificates = certificates(tls, path, findings)?;
    let clients = match tls.mode {
        TlsMode::Mutual => Clients::MustProve(checks(tls, path, findings)?),
        TlsMode::OptionalMutual => Clients::MayProve(checks(tls, path, findings)?),
        _ => Clients::Unknown,
    };
    let lowest = version(tls.min_protocol_version).unwrap_or(TlsVersion::V1_2);
    let highest = version(tls.max_protocol_version).unwrap_or(TlsVersion::V1_3);
    if highest < TlsVersion::V1_2 {
        findings.not_served(
            &path.field("maxProtocolVersion"),
            "versions before TLS 1.2 are not spoken; every handshake fails until it is TLSV1_2 or TLSV1_3",
        );
    } else if lowest < TlsVersion::V1_2 {
        findings
            .not_served(&path.field("minProtocolVersion"), "versions before TLS 1.2 are not spoken; 1.2 is the lowest");
    }
    if lowest > highest {
        findings.suspicious(
            &path.field("minProtocolVersion"),
            "is above maxProtocolVersion: every handshake fails until it is not",
        );
    }
    let (cipher_suites, chosen) = cipher_suites(tls, path, findings);
    // A choice of which nothing is spoken leaves TLS 1.3, whose suites cannot be chosen.
    let lowest = if chosen && cipher_suites.is_empty() { TlsVersion::V1_3 } else { lowest };
    Some(Termination { certificates, clients, lowest, highest, cipher_suites })
}

fn certificates(tls: &ServerTlsSettings, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Certificates> {
    // Istio looks at the list first.
    let (names, field) = if tls.credential_names.is_empty() {
        (std::slice::from_ref(&tls.credential_name), "credentialName")
    } else {
        (&tls.credential_names[..], "credentialNames")
    };
    if names.iter().all(|name| !name.is_empty()) {
        if names.len() > MOST_CERTIFICATES {
            findings.suspicious(&path.field(field), "has more than two names: the rest is ignored");
        }
        let names: Option<Vec<_>> = names
            .iter()
            .take(MOST_CERTIFICATES)
            .map(|name| secret_name(name, &path.field(field), CLOSED, findings))
            .collect();
        let names = names?;
        let own = || Some(format!("{}-cacert", names.first()?).into());
        let authority = match &*tls.ca_cert_credential_name {
            "" => own()?,
            name => secret_name(name, &path.field("caCertCredentialName"), CLOSED, findings)?,
        };
        return Some(Certificates::Secrets { names, authority });
    }
    let pair = |certificate: &str, key: &str| FilePair { certificate: certificate.into(), key: key.into() };
    let mut pairs = Vec::new();
    if !tls.server_certificate.is_empty() && !tls.private_key.is_empty() {
        pairs.push(pair(&tls.server_certificate, &tls.private_key));
    }
    pairs.extend(
        tls.tls_certificates
            .iter()
            .take(MOST_CERTIFICATES)
            .filter(|files| !files.server_certificate.is_empty() && !files.private_key.is_empty())
            .map(|files| pair(&files.server_certificate, &files.private_key)),
    );
    let file = |name: &str| (!name.is_empty()).then(|| Arc::from(name));
    let authority = file(&tls.ca_certificates);
    // What is missing has been found already.
    if pairs.is_empty() || (tls.mode != TlsMode::Simple && authority.is_none()) {
        return None;
    }
    Some(Certificates::Files { pairs, authority, revoked: file(&tls.ca_crl) })
}

/// The name of a Secret in the gateway's namespace, which `kubernetes://` may precede
/// (`ParseResourceName` in istio/pilot/pkg/model/credentials/resource.go). `instead` says what happens without one.
pub(super) fn secret_name(
    written: &str,
    path: &Path<'_>,
    instead: &str,
    findings: &mut Findings<'_>,
) -> Option<Arc<str>> {
    let name = written.strip_prefix("kubernetes://").unwrap_or(written);
    if name.contains("://") || name.is_empty() {
        findings.not_served(path, format_args!("{written:?} is no Secret's name; {instead}"));
        return None;
    }
    if name.contains('/') {
        findings.invalid(
            path,
            format!(
                "{written:?} has a namespace: a Secret is looked for in the gateway's own namespace only; name it alone"
            ),
        );
        return None;
    }
    Some(name.into())
}

fn checks(tls: &ServerTlsSettings, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<ClientChecks> {
    let mut digests = |field: &str, written: &[String], read: fn(&str) -> Option<Vec<u8>>, form: &str| {
        let path = path.field(field);
        let mut all = Vec::with_capacity(written.len());
        for (index, text) in written.iter().enumerate() {
            match read(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
                Some(digest) => all.push(digest),
                None => findings
                    .invalid(&path.index(index), format!("{text:?} is no SHA-256 in {form}; the server stays closed")),
            }
        }
        (all.len() == written.len()).then_some(all)
    };
    let public_keys = digests("verifyCertificateSpki", &tls.verify_certificate_spki, base64::decode, "base64");
    let certificates = digests("verifyCertificateHash", &tls.verify_certificate_hash, hexadecimal, "hexadecimal");
    Some(ClientChecks {
        alternative_names: tls.subject_alt_names.iter().map(|name| name.as_str().into()).collect(),
        // A pin that cannot be read must not let everybody in.
        public_keys: public_keys?,
        certificates: certificates?,
        unverified: tls.insecure_skip_verify == Some(true),
    })
}

/// Digits, in pairs that colons may part (Envoy's `verify_certificate_hash`).
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    digits.chunks(2).map(|pair| Some(pair.first()? << 4 | pair.get(1)?)).collect()
}

/// The suites of TLS 1.2 that are spoken, and whether the author has chosen any.
fn cipher_suites(tls: &ServerTlsSettings, path: &Path<'_>, findings: &mut Findings<'_>) -> (Vec<CipherSuite>, bool) {
    let path = path.field("cipherSuites");
    let mut spoken = Vec::new();
    let mut chosen = false;
    for (index, name) in tls.cipher_suites.iter().enumerate() {
        if name == "ALL" {
            return (Vec::new(), false);
        }
        // What is no suite at all, or repeated, has been found already.
        if !super::server_tls::is_cipher_suite(name) || tls.cipher_suites[..index].contains(name) {
            continue;
        }
        chosen = true;
        match CipherSuite::ALL.into_iter().find(|suite| suite.name() == name) {
            Some(suite) => spoken.push(suite),
            None => findings.not_served(
                &path.index(index),
                format_args!("{name:?} is not spoken: it has no forward secrecy, or no authenticated encryption"),
            ),
        }
    }
    (spoken, chosen)
}

const fn version(protocol: TlsProtocol) -> Option<TlsVersion> {
    match protocol {
        TlsProtocol::Auto => None,
        TlsProtocol::V1_0 => Some(TlsVersion::V1_0),
        TlsProtocol::V1_1 => Some(TlsVersion::V1_1),
        TlsProtocol::V1_2 => Some(TlsVersion::V1_2),
        TlsProtocol::V1_3 => Some(TlsVersion::V1_3),
    }
}
