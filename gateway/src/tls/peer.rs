//! What a client's certificate says about it: `x-forwarded-client-cert` as Istio's gateway writes it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use std::fmt::Write as _;
use x509_parser::{
    der_parser::oid::Oid,
    extensions::GeneralName,
    oid_registry::OidRegistry,
    prelude::{FromDer, X509Certificate, X509Name},
};

/// The field for a client that has proved to own `certificate` (DER): hash, certificate, subject, URI and DNS names, which
/// is what Istio asks Envoy for (`buildHTTPConnectionManager` in istio's gateway.go, `mutateXfccRequestHeader` in envoy's
/// source/common/http/conn_manager_utility.cc). `None` when it is no certificate.
pub fn forwarded_client_cert(certificate: &[u8]) -> Option<HeaderValue> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut text = String::with_capacity(certificate.len() * 2);
    text.push_str("Hash=");
    for byte in digest(&SHA256, certificate).as_ref() {
        write!(text, "{byte:02x}").ok()?;
    }
    write!(text, ";Cert=\"{}\";Subject=\"{}\"", escaped_pem(certificate), subject(parsed.subject())).ok()?;
    let (mut uris, mut hosts) = (Vec::new(), Vec::new());
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        for name in &names.value.general_names {
            match name {
                GeneralName::URI(uri) => uris.push(*uri),
                GeneralName::DNSName(host) => hosts.push(*host),
                _ => {}
            }
        }
    }
    if uris.is_empty() {
        text.push_str(";URI=");
    }
    for uri in uris {
        write!(text, ";URI={uri}").ok()?;
    }
    for host in hosts {
        write!(text, ";DNS={host}").ok()?;
    }
    HeaderValue::try_from(text).ok()
}

/// The DNS names, URIs, addresses and e-mail addresses of a certificate, as text.
pub(super) fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| std::net::Ipv4Addr::from(b).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string()),
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(text).collect()
}

/// PEM with the characters escaped that Envoy escapes.
fn escaped_pem(certificate: &[u8]) -> String {
    let encoded = STANDARD.encode(certificate);
    let mut text = String::from("-----BEGIN%20CERTIFICATE-----%0A");
    for (index, character) in encoded.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push_str("%0A");
        }
        match character {
            '+' => text.push_str("%2B"),
            '/' => text.push_str("%2F"),
            '=' => text.push_str("%3D"),
            other => text.push(other),
        }
    }
    text.push_str("%0A-----END%20CERTIFICATE-----%0A");
    text
}

/// RFC 2253: the last part first.
fn subject(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut text = String::new();
    for (index, part) in parts.into_iter().rev().enumerate() {
        if index > 0 {
            text.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            text.push_str(&short_name(attribute.attr_type()));
            text.push('=');
            let value = attribute.as_slice();
            match attribute.as_str() {
                Ok(value) => escape(value, &mut text),
                Err(_) => escape(&String::from_utf8_lossy(value), &mut text),
            }
        }
    }
    text
}

fn short_name(oid: &Oid<'_>) -> String {
    // OpenSSL's names where the registry has others.
    match oid.to_id_string().as_str() {
        "1.2.840.113549.1.9.1" => return "emailAddress".to_owned(),
        "2.5.4.5" => return "serialNumber".to_owned(),
        "2.5.4.9" => return "street".to_owned(),
        "2.5.4.17" => return "postalCode".to_owned(),
        _ => {}
    }
    match OidRegistry::default().with_x509().get(oid) {
        Some(entry) => match entry.sn() {
            "commonName" => "CN".to_owned(),
            "countryName" => "C".to_owned(),
            "localityName" => "L".to_owned(),
            "stateOrProvinceName" => "ST".to_owned(),
            "organizationName" => "O".to_owned(),
            "organizationalUnit" | "organizationalUnitName" => "OU".to_owned(),
            "domainComponent" => "DC".to_owned(),
            other => other.to_owned(),
        },
        None => oid.to_id_string(),
    }
}

/// RFC 2253 §2.4, and bytes beyond ASCII as OpenSSL's `XN_FLAG_RFC2253` prints them.
fn escape(value: &str, text: &mut String) {
    let bytes = value.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        let at_an_end = index == 0 || index + 1 == bytes.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'#' if index == 0 => text.push_str("\\#"),
            b' ' if at_an_end => text.push_str("\\ "),
            b' '..=b'~' => text.push(char::from(byte)),
            other => {
                // Writing to a String does not fail.
                let _written = write!(text, "\\{other:02X}").is_ok();
            }
        }
    }
}
