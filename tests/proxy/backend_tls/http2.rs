//! Pods that are spoken to in HTTP/2 within TLS.

use super::{SIMPLE, ask, is_refused, rule};
use crate::{
    gateway::{Gateway, routes},
    http2::service_called,
};
use harness::{
    http2::{
        backend::Http2Backend,
        client::{Http2Client, request},
    },
    tls::{
        certificates::{Authority, Wish, secret},
        front::{Front, Manners},
    },
};

/// A pod of HTTP/2 behind TLS with a certificate for `*.a.test`.
struct Lab {
    backend: Http2Backend,
    front: Front,
    authority: Authority,
}

impl Lab {
    fn new() -> Self {
        Self::speaking(&["h2", "http/1.1"])
    }

    /// Its TLS agrees on one of `protocols`.
    fn speaking(protocols: &[&'static str]) -> Self {
        let authority = Authority::new("backends");
        let pair = authority.sign(&Wish::named(&["*.a.test"]));
        let backend = Http2Backend::start(Default::default(), |mut exchange| async move {
            let body = exchange.read_all().await;
            exchange.answer(200, &[], &body);
        });
        let manners = Manners { protocols: protocols.to_vec(), ..Manners::showing(&pair) };
        let front = Front::before(backend.address(), &manners);
        Self { backend, front, authority }
    }

    fn gateway(&self, tls: &str) -> Gateway {
        let trust = secret("trust", &[("ca.crt", &self.authority.certificate)]);
        let rules = routes("  - retries: {attempts: 0}\n    route: [{destination: {host: backend}}]");
        let service = service_called("backend", "http2-web", &[self.front.address()]);
        Gateway::start(&(rules + &service + &rule(tls) + &trust))
    }

    /// Name and protocol of every handshake.
    fn met(&self) -> Vec<(Option<String>, Option<Vec<u8>>)> {
        self.front.met().into_iter().map(|met| (met.server_name, met.alpn)).collect()
    }
}

fn asked_for(name: &str) -> (Option<String>, Option<Vec<u8>>) {
    (Some(name.to_owned()), Some(b"h2".to_vec()))
}

#[test]
fn http2_is_offered_and_spoken() {
    let lab = Lab::new();
    let gateway = lab.gateway(SIMPLE);
    assert_eq!(ask(&gateway, "x.a.test").status(), 200);
    let client = Http2Client::connect(gateway.address());
    for size in [0, 1, 300_000] {
        let sent = vec![b'x'; size];
        let answer = client.send(request("POST", "http://x.a.test/", &[]), &sent, None).expect("an answer");
        assert_eq!((answer.status(), answer.body == sent), (200, true));
    }
    assert_eq!(lab.met(), [asked_for("x.a.test")], "one connection for all of them");
    assert_eq!(lab.backend.requests().len(), 4);
}

/// A connection that was made for one host serves no other, although it could carry more requests.
#[test]
fn hosts_do_not_share_a_connection_of_http2() {
    let lab = Lab::new();
    let gateway = lab.gateway(SIMPLE);
    for host in ["x.a.test", "y.a.test", "x.a.test", "y.a.test"] {
        assert_eq!(ask(&gateway, host).status(), 200);
    }
    is_refused(&ask(&gateway, "elsewhere.test"));
    assert_eq!(lab.met(), [asked_for("x.a.test"), asked_for("y.a.test")]);
    // With a name in the rule they do.
    let gateway = lab.gateway("{mode: SIMPLE, credentialName: trust, sni: z.a.test}");
    for host in ["x.a.test", "elsewhere.test"] {
        assert_eq!(ask(&gateway, host).status(), 200);
    }
    assert_eq!(lab.met()[2..], [asked_for("z.a.test")]);
}

#[test]
fn changed_settings_never_use_a_connection_of_http2_of_before() {
    let lab = Lab::new();
    let mut gateway = lab.gateway(SIMPLE);
    assert_eq!(ask(&gateway, "x.a.test").status(), 200);
    gateway.apply(&rule("{mode: SIMPLE, credentialName: trust, subjectAltNames: [b.test]}"));
    is_refused(&ask(&gateway, "x.a.test"));
    assert_eq!(lab.backend.requests().len(), 1);
}

/// A pod whose TLS names no protocol is spoken to in HTTP/2 all the same, as by Envoy; one that knows only another refuses.
#[test]
fn what_the_pod_agrees_on_changes_nothing() {
    let lab = Lab::speaking(&[]);
    assert_eq!(ask(&lab.gateway(SIMPLE), "x.a.test").status(), 200);
    assert_eq!(lab.met(), [(Some("x.a.test".to_owned()), None)]);
    let lab = Lab::speaking(&["http/1.1"]);
    is_refused(&ask(&lab.gateway(SIMPLE), "x.a.test"));
    assert!(lab.backend.requests().is_empty());
}
