//! Whatever carries a request or its bytes to a pod: where TLS is asked for, nothing leaves without it.

use super::rule;
use crate::{
    gateway::{Gateway, routes, service},
    http2::service_called,
    streams::{self, Server},
};
use harness::{
    http::{backend::Backend, client::get},
    http2::client::{Http2Client, request},
    tls::certificates::{Authority, secret},
    wait,
};
use parking_lot::Mutex;
use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    sync::Arc,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The first byte of every TLS connection.
const HANDSHAKE_RECORD: u8 = 0x16;

/// A server that says nothing, and remembers the first byte of every connection.
struct Wary {
    server: Server,
    first: Arc<Mutex<Vec<u8>>>,
}

impl Wary {
    fn new() -> Self {
        let first = Arc::new(Mutex::new(Vec::new()));
        let server = Server::start({
            let first = Arc::clone(&first);
            move |mut stream| {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                first.lock().push(byte[0]);
                Ok(())
            }
        });
        Self { server, first }
    }
}

/// How a request, or bytes, come to the pods of the Service `backend`.
#[derive(Clone, Copy, Debug)]
enum Carrier {
    Http1,
    Upgrade,
    /// The port says so.
    Http2,
    /// The client decides.
    AsClient,
    Retry,
    Mirror,
    Stream,
}

const CARRIERS: [Carrier; 7] = [
    Carrier::Http1,
    Carrier::Upgrade,
    Carrier::Http2,
    Carrier::AsClient,
    Carrier::Retry,
    Carrier::Mirror,
    Carrier::Stream,
];

impl Carrier {
    /// Gateway and routes; `main` is where the requests go that are copied.
    fn routes(self, main: &Backend) -> String {
        let to = |more: &str| routes(&format!("  - {{{more}, route: [{{destination: {{host: backend}}}}]}}"));
        match self {
            Self::Http1 | Self::Upgrade | Self::AsClient | Self::Http2 => to("retries: {attempts: 0}"),
            Self::Retry => to("retries: {attempts: 3, retryOn: 5xx}"),
            Self::Mirror => {
                routes("  - {mirror: {host: backend}, route: [{destination: {host: main}}]}")
                    + &service("main", &[main.address()])
            }
            Self::Stream => streams::tcp("{route: [{destination: {host: backend}}]}"),
        }
    }

    /// The Service `backend`.
    fn service(self, pods: &Wary) -> String {
        let port = if matches!(self, Self::Http2) { "http2-web" } else { "http" };
        service_called("backend", port, &[pods.server.address])
    }

    /// The DestinationRule with `tls`.
    fn rule(self, tls: &str) -> String {
        let speech = "connectionPool: {http: {useClientProtocol: true}}, tls:";
        if matches!(self, Self::AsClient) { rule(tls).replace("tls:", speech) } else { rule(tls) }
    }

    /// Makes the gateway carry something.
    fn use_once(self, gateway: &Gateway) {
        match self {
            Self::Http1 | Self::Http2 | Self::Retry => {
                assert_eq!(gateway.connect().exchange(get("a.test", "/")).status(), 503);
            }
            Self::Upgrade => {
                let upgrade = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                assert_eq!(gateway.connect().exchange(upgrade).status(), 503);
            }
            Self::AsClient => {
                let client = Http2Client::connect(gateway.address());
                let answer = client.ask(request("GET", "http://a.test/", &[])).expect("an answer");
                assert_eq!(answer.status(), 503);
            }
            // What becomes of the request itself is nothing to its copy.
            Self::Mirror => _ = gateway.connect().exchange(get("a.test", "/")).status(),
            Self::Stream => {
                let mut stream = streams::connect(gateway);
                // The gateway may have closed it by now.
                let _sent =
                    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").is_ok() && stream.shutdown(Shutdown::Write).is_ok();
                assert_eq!(streams::read_all(&stream).0, b"");
            }
        }
    }
}

#[test]
fn no_carrier_sends_anything_but_a_hello() {
    let trust = secret("trust", &[("ca.crt", &Authority::new("backends").certificate)]);
    for carrier in CARRIERS {
        let (main, pods) = (Backend::saying("main"), Wary::new());
        let rule = carrier.rule("{mode: SIMPLE, credentialName: trust}");
        let gateway = Gateway::start(&(carrier.routes(&main) + &carrier.service(&pods) + &rule + &trust));
        carrier.use_once(&gateway);
        wait::until(&format!("{carrier:?} to reach a pod"), PATIENCE, || (!pods.first.lock().is_empty()).then_some(()));
        drop(gateway);
        let first = pods.first.lock().clone();
        assert!(first.iter().all(|byte| *byte == HANDSHAKE_RECORD), "{carrier:?}: {first:?}");
    }
}

#[test]
fn what_cannot_be_sent_in_tls_is_not_sent() {
    for carrier in CARRIERS {
        for tls in ["{mode: SIMPLE, credentialName: missing}", "{mode: ISTIO_MUTUAL}", "{mode: MUTUAL}"] {
            let (main, pods) = (Backend::saying("main"), Wary::new());
            let mut gateway = Gateway::start(&carrier.routes(&main));
            // A rule that asks for what cannot be is reported, and taken for as much as it says. The pods come after it.
            gateway.apply_despite_problems(&carrier.rule(tls));
            gateway.apply(&carrier.service(&pods));
            carrier.use_once(&gateway);
            carrier.use_once(&gateway);
            drop(gateway);
            assert_eq!(*pods.first.lock(), Vec::<u8>::new(), "{carrier:?} with {tls}");
        }
    }
}
