//! TLS to backends, as a DestinationRule asks for it: real handshakes with real servers.

mod carriers;
mod http2;
mod names;
mod secrets;
mod trouble;

use crate::gateway::{Gateway, routes, service};
use harness::{
    http::{backend::Backend, client::get, message::Message},
    tls::{
        certificates::{Authority, Pair, Wish, secret},
        front::{Front, Manners},
    },
};

/// A route for every host to the Service `backend`.
const RULE: &str = "  - route: [{destination: {host: backend}}]";

/// Tries once: what a retry changes is not what is looked at.
const ONCE: &str = "  - retries: {attempts: 0}\n    route: [{destination: {host: backend}}]";

/// A DestinationRule for `backend` with `tls`.
fn rule(tls: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: backend}}
spec:
  host: backend
  trafficPolicy: {{tls: {tls}}}
"
    )
}

/// A backend behind TLS with a certificate for `a.test`, and the Secret `trust` with its authority.
struct Lab {
    backend: Backend,
    authority: Authority,
    front: Front,
}

impl Lab {
    fn new() -> Self {
        Self::with(|authority| authority.sign(&Wish::named(&["a.test"])), None)
    }

    /// With the certificate that `sign` makes, for clients of `clients`.
    fn with(sign: impl FnOnce(&Authority) -> Pair, clients: Option<&Authority>) -> Self {
        let authority = Authority::new("backends");
        let backend = Backend::saying("hello");
        let pair = sign(&authority);
        let front = Front::before(backend.address(), &Manners { clients, ..Manners::showing(&pair) });
        Self { backend, authority, front }
    }

    /// The objects with `http` for the rules and `tls` for the settings.
    fn objects(&self, http: &str, tls: &str) -> String {
        routes(http) + &service("backend", &[self.front.address()]) + &rule(tls) + &self.trust()
    }

    fn trust(&self) -> String {
        secret("trust", &[("ca.crt", &self.authority.certificate)])
    }

    fn gateway(&self, tls: &str) -> Gateway {
        Gateway::start(&self.objects(ONCE, tls))
    }
}

const SIMPLE: &str = "{mode: SIMPLE, credentialName: trust}";

fn ask(gateway: &Gateway, host: &str) -> Message {
    gateway.connect().exchange(get(host, "/"))
}

/// What Istio's gateway says when there is no TLS.
fn is_refused(answer: &Message) {
    assert_eq!(answer.status(), 503, "{}", answer.text());
    let text = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
    assert_eq!(answer.text(), text, "as Istio's gateway, which keeps the reason to itself");
}

#[test]
fn a_backend_is_spoken_to_in_tls() {
    let lab = Lab::new();
    let gateway = lab.gateway(SIMPLE);
    let answer = ask(&gateway, "a.test");
    assert_eq!((answer.status(), answer.text()), (200, "hello"));
    let met = lab.front.met();
    assert_eq!(met.len(), 1);
    assert_eq!(met[0].server_name.as_deref(), Some("a.test"), "the host of the request");
    assert_eq!((met[0].alpn.as_deref(), &met[0].certificate), (Some(&b"http/1.1"[..]), &None));
    assert_eq!(lab.backend.only_request().field("x-forwarded-proto"), Some("http"));
}

#[test]
fn connections_are_kept_and_sessions_resumed() {
    let lab = Lab::new();
    let gateway = lab.gateway(SIMPLE);
    let mut client = gateway.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange(get("a.test", "/")).status(), 200);
    }
    assert_eq!(lab.front.met().len(), 1, "one connection for three requests");
    lab.backend.close_connections();
    harness::wait::until("a resumed session", std::time::Duration::from_secs(20), || {
        assert_eq!(client.exchange(get("a.test", "/")).status(), 200);
        lab.front.met().iter().any(|met| met.is_resumed).then_some(())
    });
}

#[test]
fn a_request_body_and_a_large_answer_pass() {
    let authority = Authority::new("backends");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.repeat(3);
        exchange.respond("200 OK", &[], &body)
    });
    let front = Front::before(backend.address(), &Manners::showing(&pair));
    let gateway = Gateway::start(
        &(routes(RULE)
            + &service("backend", &[front.address()])
            + &rule(SIMPLE)
            + &secret("trust", &[("cacert", &authority.certificate)])),
    );
    let body: Vec<u8> = (0..300_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    let mut client = gateway.connect();
    client.send(format!("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {}\r\n\r\n", body.len()));
    client.send(&body);
    let answer = client.response();
    assert_eq!(answer.status(), 200);
    assert!(answer.body == body.repeat(3));
}

#[test]
fn changed_settings_never_use_a_connection_of_before() {
    let lab = Lab::new();
    let mut gateway = lab.gateway(SIMPLE);
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a.test", "/")).status(), 200);
    // The connection of before would do, and was made for another name.
    gateway.apply(&rule("{mode: SIMPLE, credentialName: trust, sni: other.test}"));
    assert_eq!(client.exchange(get("a.test", "/")).status(), 200);
    gateway.apply(&rule("{mode: SIMPLE, credentialName: trust, subjectAltNames: [b.test]}"));
    is_refused(&client.exchange(get("a.test", "/")));
    let names: Vec<_> = lab.front.met().into_iter().map(|met| met.server_name).collect();
    assert_eq!(names, [Some("a.test".to_owned()), Some("other.test".to_owned())]);
    assert_eq!(lab.backend.requests().len(), 2);
}

#[test]
fn a_websocket_passes_through_tls() {
    use std::io::Read as _;
    let authority = Authority::new("backends");
    let pair = authority.sign(&Wish::named(&["a.test"]));
    let backend = Backend::start(|exchange| {
        exchange.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello")?;
        let mut piece = [0; 4];
        exchange.stream.read_exact(&mut piece)?;
        exchange.send(piece)?;
        Ok(harness::http::backend::Then::Close)
    });
    let front = Front::before(backend.address(), &Manners::showing(&pair));
    let trust = secret("trust", &[("ca.crt", &authority.certificate)]);
    let gateway = Gateway::start(&(routes(RULE) + &service("backend", &[front.address()]) + &rule(SIMPLE) + &trust));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(client.head().status(), 101);
    let mut greeting = [0; 5];
    client.read_exact(&mut greeting);
    assert_eq!(&greeting, b"hello");
    client.send("ping");
    let mut echoed = [0; 4];
    client.read_exact(&mut echoed);
    assert_eq!(&echoed, b"ping");
}
