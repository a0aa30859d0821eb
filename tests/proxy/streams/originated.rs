//! TCP in, TLS to the endpoints.

use super::{Server, all_to, assert_refused, connect, limits::closed, policy, read_all, read_exactly};
use crate::gateway::{Gateway, service};
use harness::tls::{
    certificates::{Authority, Pair, Wish, secret},
    front::{Front, Manners},
};
use std::{
    io::Write as _,
    net::{Shutdown, SocketAddr},
    thread,
};

/// A server that sends everything back, behind TLS.
struct Lab {
    _server: Server,
    front: Front,
    authority: Authority,
}

impl Lab {
    fn new() -> Self {
        Self::with(|authority| authority.sign(&Wish::named(&["a.test"])), None)
    }

    /// With the certificate that `sign` makes, for clients of `clients`.
    fn with(sign: impl FnOnce(&Authority) -> Pair, clients: Option<&Authority>) -> Self {
        let authority = Authority::new("backends");
        let pair = sign(&authority);
        let server = Server::echoing();
        let front = Front::before(server.address, &Manners { clients, ..Manners::showing(&pair) });
        Self { _server: server, front, authority }
    }

    fn gateway(&self, tls: &str) -> Gateway {
        self.gateway_to(&all_to(self.front.address()), tls, "")
    }

    fn gateway_to(&self, objects: &str, tls: &str, more: &str) -> Gateway {
        let trust = secret("trust", &[("ca.crt", &self.authority.certificate)]);
        Gateway::start(&(objects.to_owned() + &policy(&format!("{{tls: {tls}}}")) + &trust + more))
    }
}

fn echoes(gateway: &Gateway) {
    let mut stream = connect(gateway);
    stream.write_all(b"hello").expect("sent");
    assert_eq!(read_exactly(&stream, 5), b"hello");
    stream.shutdown(Shutdown::Write).expect("ended");
    let (rest, end) = read_all(&stream);
    assert_eq!((rest.as_slice(), end.is_ok()), (&b""[..], true), "the end is passed on, and comes back");
}

const SIMPLE: &str = "{mode: SIMPLE, credentialName: trust}";

/// There is no request whose host could be asked for, or which the certificate would have to be for.
#[test]
fn nobody_is_asked_for_but_the_name_of_the_rule() {
    let lab = Lab::new();
    for (tls, name) in [
        (SIMPLE, None),
        ("{mode: SIMPLE, credentialName: trust, sni: b.test}", Some("b.test")),
        ("{mode: SIMPLE, credentialName: trust, sni: b.test, subjectAltNames: [a.test]}", Some("b.test")),
        ("{mode: SIMPLE, insecureSkipVerify: true}", None),
    ] {
        echoes(&lab.gateway(tls));
        let met = lab.front.met().pop().expect("a handshake");
        assert_eq!((met.server_name.as_deref(), met.alpn), (name, None), "{tls}");
    }
    assert_eq!(lab.front.met().len(), 4);
}

#[test]
fn who_has_not_proved_to_be_an_endpoint_gets_no_byte() {
    let stranger = Authority::new("strangers");
    let bad = [
        (Lab::with(|_| stranger.sign(&Wish::named(&["a.test"])), None), SIMPLE),
        (Lab::with(|authority| authority.sign(&Wish { expired: true, ..Wish::named(&["a.test"]) }), None), SIMPLE),
        (Lab::new(), "{mode: SIMPLE, credentialName: trust, subjectAltNames: [b.test]}"),
    ];
    for (lab, tls) in bad {
        let gateway = lab.gateway(tls);
        assert_refused(&connect(&gateway));
        assert!(lab.front.met().is_empty());
        closed(&gateway, "UF,URX");
    }
}

#[test]
fn endpoints_learn_who_the_gateway_is() {
    let clients = Authority::new("clients");
    let lab = Lab::with(|authority| authority.sign(&Wish::named(&["a.test"])), Some(&clients));
    let own = clients.sign(&Wish::named(&["gateway.test"]));
    let more = own.secret("own", &[("ca.crt", &lab.authority.certificate)]);
    let gateway = lab.gateway_to(&all_to(lab.front.address()), "{mode: MUTUAL, credentialName: own}", &more);
    echoes(&gateway);
    assert_eq!(lab.front.met()[0].certificate.as_ref(), Some(&own.der));
}

/// As Istio's gateway says of every cluster of HTTP/2, whatever is carried to it.
#[test]
fn a_cluster_of_http2_says_so() {
    fn called(name: &str, addresses: &[SocketAddr]) -> String {
        crate::http2::service_called("backend", name, addresses)
    }
    let lab = Lab::new();
    let address = lab.front.address();
    let objects = all_to(address).replace(&service("backend", &[address]), &called("http2-web", &[address]));
    echoes(&lab.gateway_to(&objects, SIMPLE, ""));
    assert_eq!(lab.front.met()[0].alpn.as_deref(), Some(&b"h2"[..]));
}

#[test]
fn every_byte_arrives_through_tls() {
    let lab = Lab::new();
    let gateway = lab.gateway(SIMPLE);
    let sent: Vec<u8> = (0..3_000_000_usize).map(|index| index.to_le_bytes()[index % 2]).collect();
    let stream = connect(&gateway);
    let mut writing = stream.try_clone().expect("a clone");
    let writer = thread::spawn({
        let sent = sent.clone();
        move || writing.write_all(&sent).and_then(|()| writing.shutdown(Shutdown::Write)).expect("sent")
    });
    let (received, end) = read_all(&stream);
    writer.join().expect("no panic");
    assert!(end.is_ok() && received == sent);
}
