//! An authority, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevokedCertParams, SanType,
    SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// PEM.
    pub certificate: String,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Pair {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
    pub der: CertificateDer<'static>,
    pub key_der: PrivateKeyDer<'static>,
    /// DER of the public key, as `verifyCertificateSpki` means it.
    pub public_key: Vec<u8>,
    serial: SerialNumber,
}

/// What a certificate is to be.
#[derive(Clone, Debug)]
pub struct Wish {
    /// DNS names and addresses.
    pub names: Vec<String>,
    pub uris: Vec<String>,
    /// Of the subject, besides the first name.
    pub organisation: Option<String>,
    pub expired: bool,
    pub rsa: bool,
}

impl Wish {
    /// A certificate for `names`, with an ECDSA key.
    pub fn named(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            uris: Vec::new(),
            organisation: None,
            expired: false,
            rsa: false,
        }
    }
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for servers and clients.
    pub fn sign(&self, wish: &Wish) -> Pair {
        let algorithm: &'static SignatureAlgorithm = if wish.rsa { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut params = CertificateParams::new(wish.names.clone()).expect("names");
        params
            .subject_alt_names
            .extend(wish.uris.iter().map(|uri| SanType::URI(uri.as_str().try_into().expect("ASCII"))));
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(organisation) = &wish.organisation {
            params.distinguished_name.push(DnType::OrganizationName, organisation);
        }
        params.distinguished_name.push(DnType::CommonName, wish.names.first().map_or("nobody", |name| name));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let serial = SerialNumber::from_slice(&key.public_key_raw()[..8]);
        params.serial_number = Some(serial.clone());
        if wish.expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let key_der = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            key_der,
            public_key: rcgen::PublicKeyData::subject_public_key_info(&key),
            serial,
        }
    }

    /// A revocation list with `revoked` in it, as PEM.
    pub fn revoke(&self, revoked: &[&Pair]) -> String {
        let entry = |pair: &&Pair| RevokedCertParams {
            serial_number: pair.serial.clone(),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("signed").pem().expect("PEM")
    }
}

impl Pair {
    /// A Secret in the gateway's namespace, as `kubectl create secret tls` makes it, with `more` fields of `stringData`.
    pub fn secret(&self, name: &str, more: &[(&str, &str)]) -> String {
        let mut fields = vec![("tls.crt", self.certificate.as_str()), ("tls.key", self.key.as_str())];
        fields.extend_from_slice(more);
        secret(name, &fields)
    }
}

/// A Secret in the gateway's namespace with these fields.
pub fn secret(name: &str, fields: &[(&str, &str)]) -> String {
    let mut yaml = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: istio-system}}\nstringData:\n"
    );
    for (field, text) in fields {
        yaml.push_str(&format!("  {field}: {text:?}\n"));
    }
    yaml
}
