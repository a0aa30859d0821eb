//! The certificates of a cluster in which gateways are compared: made once, and kept in a Secret there, because pods that
//! stand cannot be given new ones.

use anyhow::Context;
use harness::{
    kubernetes::Objects,
    tls::certificates::{Authority, Pair, Wish},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where gateways look for Secrets.
const GATEWAYS: &str = "istio-system";

/// The Secret that keeps all of it.
const STORE: &str = "compare-certificates";

/// PEM, by what it is: `NAME.crt` and `NAME.key`, and `NAME.ca` and `NAME.crl` of authorities.
#[derive(Clone, Debug)]
pub(crate) struct Certificates(BTreeMap<String, String>);

/// Certificates of servers: the name that answers are told apart by, and more that is in them.
const SERVERS: [(&str, &[&str]); 4] = [
    ("server-one", &["*.test"]),
    ("server-two", &["*.test"]),
    ("server-mutual", &["*.test"]),
    ("server-mutual-crl", &["*.test"]),
];

impl Certificates {
    /// Those of the cluster, which are made when they are not there yet.
    pub(crate) fn of(objects: &Objects) -> anyhow::Result<Self> {
        if let Some(kept) = objects.get("v1", "Secret", "default", STORE) {
            let data = kept["data"].as_object().context("the Secret of certificates has no data")?;
            let decoded = data.iter().map(|(name, value)| {
                use base64::Engine as _;
                let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default())?;
                Ok((name.clone(), String::from_utf8(bytes)?))
            });
            return Ok(Self(decoded.collect::<anyhow::Result<_>>()?));
        }
        let made = Self::make();
        let refused = objects.try_apply_all(&[secret("default", STORE, &made.0)]);
        anyhow::ensure!(refused.is_empty(), "{}", refused.join("; "));
        Ok(made)
    }

    fn make() -> Self {
        let mut all = BTreeMap::new();
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let (backends, strangers) = (Authority::new("backends"), Authority::new("strangers"));
        let authorities =
            [("servers", &servers), ("clients", &clients), ("backends", &backends), ("strangers", &strangers)];
        for (name, authority) in authorities {
            all.insert(format!("{name}.ca"), authority.certificate.clone());
        }
        let mut keep = |name: &str, pair: &Pair| {
            all.insert(format!("{name}.crt"), pair.certificate.clone());
            all.insert(format!("{name}.key"), pair.key.clone());
        };
        for (name, names) in SERVERS {
            keep(name, &servers.sign(&Wish { organisation: Some(name.to_owned()), ..Wish::named(names) }));
        }
        let rsa = Wish { rsa: true, organisation: Some("server-rsa".to_owned()), ..Wish::named(&["*.test"]) };
        keep("server-rsa", &servers.sign(&rsa));
        let client = Wish {
            uris: vec!["spiffe://cluster.local/ns/x/sa/y".to_owned()],
            organisation: Some("Lab, Inc.".to_owned()),
            ..Wish::named(&["client.test", "other.client.test"])
        };
        keep("client", &clients.sign(&client));
        let revoked = clients.sign(&Wish::named(&["revoked.test"]));
        keep("revoked", &revoked);
        keep("expired", &clients.sign(&Wish { expired: true, ..Wish::named(&["expired.test"]) }));
        keep("stranger", &strangers.sign(&Wish::named(&["client.test"])));
        let backend = Wish {
            uris: vec!["spiffe://cluster.local/ns/default/sa/a".to_owned()],
            ..Wish::named(&["backend.test", "*.wild.test", "*.tls-to-hosts.test"])
        };
        keep("backend", &backends.sign(&backend));
        all.insert("clients.crl".to_owned(), clients.revoke(&[&revoked]));
        Self(all)
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The Secrets that cases name, in the namespace of the gateways.
    pub(crate) fn secrets(&self) -> Vec<Value> {
        let mut secrets = Vec::new();
        let mut add = |name: &str, fields: &[(&str, &str)]| {
            let fields = fields.iter().map(|(field, from)| ((*field).to_owned(), self.text(from).to_owned())).collect();
            secrets.push(secret(GATEWAYS, name, &fields));
        };
        for name in ["server-one", "server-two", "server-rsa"] {
            add(name, &[("tls.crt", &format!("{name}.crt")), ("tls.key", &format!("{name}.key"))]);
        }
        add("server-generic", &[("cert", "server-two.crt"), ("key", "server-two.key")]);
        add(
            "server-mutual",
            &[("tls.crt", "server-mutual.crt"), ("tls.key", "server-mutual.key"), ("ca.crt", "clients.ca")],
        );
        add(
            "server-mutual-crl",
            &[
                ("tls.crt", "server-mutual-crl.crt"),
                ("tls.key", "server-mutual-crl.key"),
                ("ca.crt", "clients.ca"),
                ("ca.crl", "clients.crl"),
            ],
        );
        add("server-apart", &[("tls.crt", "server-two.crt"), ("tls.key", "server-two.key")]);
        add("server-apart-cacert", &[("cacert", "clients.ca")]);
        add("trust-backends", &[("ca.crt", "backends.ca")]);
        add("trust-strangers", &[("cacert", "strangers.ca")]);
        add("client-good", &[("tls.crt", "client.crt"), ("tls.key", "client.key"), ("ca.crt", "backends.ca")]);
        add("client-stranger", &[("tls.crt", "stranger.crt"), ("tls.key", "stranger.key"), ("ca.crt", "backends.ca")]);
        add("client-expired", &[("tls.crt", "expired.crt"), ("tls.key", "expired.key"), ("ca.crt", "backends.ca")]);
        secrets
    }

    /// What pods that echo speak TLS with.
    pub(crate) fn environment(&self) -> Value {
        json!([
            {"name": "ECHO_CERTIFICATE", "value": self.text("backend.crt")},
            {"name": "ECHO_KEY", "value": self.text("backend.key")},
            {"name": "ECHO_CLIENTS", "value": self.text("clients.ca")},
        ])
    }

    /// The certificate and key of `name`, for a client.
    pub(crate) fn pair(&self, name: &str) -> anyhow::Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        let certificate = CertificateDer::from_pem_slice(self.text(&format!("{name}.crt")).as_bytes());
        let key = PrivateKeyDer::from_pem_slice(self.text(&format!("{name}.key")).as_bytes());
        let unknown = || format!("no certificate is named {name}");
        Ok((certificate.ok().with_context(unknown)?, key.ok().with_context(unknown)?))
    }

    /// The name of the server whose certificate `der` is.
    pub(crate) fn name_of(&self, der: &CertificateDer<'_>) -> String {
        let is_it = |name: &&String| {
            let pem = self.text(name);
            name.ends_with(".crt") && CertificateDer::from_pem_slice(pem.as_bytes()).is_ok_and(|known| known == *der)
        };
        let name = self.0.keys().find(is_it).map(|name| name.trim_end_matches(".crt").to_owned());
        name.unwrap_or_else(|| "an unknown certificate".to_owned())
    }
}

fn secret(namespace: &str, name: &str, fields: &BTreeMap<String, String>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": fields,
    })
}
