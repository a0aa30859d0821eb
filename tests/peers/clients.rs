//! The clients, and how each is told what to do.

use crate::{
    backends::Backend,
    curl,
    objects::Door,
    outcomes::Outcomes,
    programs::{file, programs, text},
    stage::Stage,
};
use harness::{process::Process, scale};
use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// For everything that one client does.
fn patience() -> Duration {
    Duration::from_secs(if scale::is_full() { 1800 } else { 240 })
}

/// One program in one way of speaking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    kind: Kind,
    /// The protocol, as the programs call it.
    how: &'static str,
    pub(crate) door: Door,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Curl,
    Go,
    Node,
    /// With this library.
    Python(&'static str),
    Grpcio,
    Java,
}

const fn client(name: &'static str, kind: Kind, how: &'static str) -> Client {
    Client { name, kind, how, door: Door::Plain }
}

pub(crate) const GO_HTTP1: Client = client("Go 1.1", Kind::Go, "h1");
const GO_HTTP2: Client = client("Go 2", Kind::Go, "h2");
const NODE_HTTP1: Client = client("Node 1.1", Kind::Node, "h1");
pub(crate) const NODE_HTTP2: Client = client("Node 2", Kind::Node, "h2");
const AIOHTTP: Client = client("aiohttp 1.1", Kind::Python("aiohttp"), "h1");
pub(crate) const HTTPX_HTTP2: Client = client("Python httpx 2", Kind::Python("httpx"), "h2");
const JAVA_HTTP1: Client = client("Java 1.1", Kind::Java, "h1");

/// Those that speak HTTP/1.
pub(crate) const HTTP1: [Client; 7] = [
    client("curl 1.0", Kind::Curl, "--http1.0"),
    client("curl 1.1", Kind::Curl, "--http1.1"),
    GO_HTTP1,
    NODE_HTTP1,
    client("Python 1.1", Kind::Python("http.client"), "h1"),
    AIOHTTP,
    JAVA_HTTP1,
];

/// Those that speak HTTP/2 without TLS, or would like to.
pub(crate) const HTTP2: [Client; 5] = [
    client("curl 2", Kind::Curl, "--http2-prior-knowledge"),
    GO_HTTP2,
    NODE_HTTP2,
    HTTPX_HTTP2,
    client("Java upgrade", Kind::Java, "upgrade"),
];

/// Those that can send trailers and see them.
pub(crate) const TRAILERS: [Client; 4] = [GO_HTTP1, GO_HTTP2, NODE_HTTP1, NODE_HTTP2];

/// Those that can look at an answer while it comes.
pub(crate) const LISTENERS: [Client; 9] = [
    GO_HTTP1,
    GO_HTTP2,
    NODE_HTTP1,
    NODE_HTTP2,
    AIOHTTP,
    HTTPX_HTTP2,
    JAVA_HTTP1,
    with_tls("Go 2, TLS", Kind::Go, "tls-h2", Door::MutualTls),
    with_tls("Java 2, TLS", Kind::Java, "tls-h2", Door::MutualTls),
];

/// Those that speak WebSocket.
pub(crate) const WEBSOCKETS: [Client; 8] = [
    GO_HTTP1,
    NODE_HTTP1,
    AIOHTTP,
    JAVA_HTTP1,
    with_tls("Go 1.1, TLS", Kind::Go, "tls-h1", Door::MutualTls),
    with_tls("Node 1.1, TLS", Kind::Node, "tls-h1", Door::MutualTls),
    // On a stream of HTTP/2.
    NODE_HTTP2,
    with_tls("Node 2, TLS", Kind::Node, "tls-h2", Door::MutualTls),
];

/// Those that speak gRPC.
pub(crate) const CALLERS: [Client; 4] = [
    client("grpc-go", Kind::Go, "h2"),
    client("grpcio", Kind::Grpcio, "h2"),
    with_tls("grpc-go, TLS", Kind::Go, "tls-h2", Door::MutualTls),
    with_tls("grpcio, TLS", Kind::Grpcio, "tls-h2", Door::MutualTls),
];

const fn with_tls(name: &'static str, kind: Kind, how: &'static str, door: Door) -> Client {
    Client { name, kind, how, door }
}

pub(crate) const TLS: [Client; 11] = [
    with_tls("curl 1.1", Kind::Curl, "--http1.1", Door::Tls),
    with_tls("curl 2", Kind::Curl, "--http2", Door::Tls),
    with_tls("curl 2 mutual", Kind::Curl, "--http2", Door::MutualTls),
    with_tls("Go 1.1", Kind::Go, "tls-h1", Door::MutualTls),
    with_tls("Go 2", Kind::Go, "tls-h2", Door::MutualTls),
    with_tls("Node 1.1", Kind::Node, "tls-h1", Door::MutualTls),
    with_tls("Node 2", Kind::Node, "tls-h2", Door::MutualTls),
    with_tls("Python 1.1", Kind::Python("http.client"), "tls-h1", Door::MutualTls),
    with_tls("Python httpx 2", Kind::Python("httpx"), "tls-h2", Door::MutualTls),
    with_tls("Java 1.1", Kind::Java, "tls-h1", Door::MutualTls),
    with_tls("Java 2", Kind::Java, "tls-h2", Door::MutualTls),
];

impl Client {
    /// Gets and puts bodies of each of `sizes` from and to each of `backends`.
    pub(crate) fn transfer(&self, stage: &Stage<'_>, backends: &[Backend], sizes: &[usize], outcomes: &mut Outcomes) {
        let mut expected = Vec::new();
        for size in sizes {
            // HTTP/1.0 has no bodies of unknown length.
            let verbs: &[&str] = if self.how == "--http1.0" { &["get", "put"] } else { &["get", "put", "stream"] };
            expected.extend(verbs.iter().map(|verb| format!("{verb} {size}")));
        }
        let said = if self.kind == Kind::Curl {
            curl::transfer(stage, self.door, self.how, backends, &expected)
        } else {
            self.run(stage, "call", sizes, backends)
        };
        outcomes.add(self.name, &said, backends, &expected);
    }

    /// Whether it moves a few megabytes in a second, whoever is at the other end: Python's HTTP/2.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self.kind, Kind::Python("httpx"))
    }

    /// Does what `verb` means with each of `backends`, and each of `expected` must go well.
    pub(crate) fn exercise(
        &self,
        stage: &Stage<'_>,
        verb: &str,
        backends: &[Backend],
        expected: &[&str],
        outcomes: &mut Outcomes,
    ) {
        let expected: Vec<String> = expected.iter().map(|&what| what.to_owned()).collect();
        let said = self.run(stage, verb, &[], backends);
        outcomes.add(self.name, &said, backends, &expected);
    }

    /// What its program says when it is to do this.
    fn run(&self, stage: &Stage<'_>, verb: &str, sizes: &[usize], backends: &[Backend]) -> String {
        let programs = programs();
        let (program, first): (String, Vec<String>) = match self.kind {
            Kind::Go => (text(&programs.go), vec![verb.to_owned()]),
            Kind::Node => ("node".to_owned(), vec![text(&file("node/peer.js")), verb.to_owned()]),
            Kind::Python(library) => {
                ("python3".to_owned(), vec![text(&file("python/client.py")), verb.to_owned(), library.to_owned()])
            }
            Kind::Grpcio => ("python3".to_owned(), vec![text(&file("python/rpc.py"))]),
            Kind::Java => {
                ("java".to_owned(), vec!["-cp".to_owned(), text(&programs.java), "Peer".to_owned(), verb.to_owned()])
            }
            Kind::Curl => panic!("curl is told by other means"),
        };
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = backends.iter().map(|backend| backend.name).collect();
        let mut arguments = first;
        arguments.extend([self.how.to_owned(), self.door.base(), text(&stage.content)]);
        if self.kind != Kind::Grpcio {
            arguments.push(sizes.join(","));
        }
        arguments.push(names.join(","));
        let environment = programs.environment();
        // What it prints is in a file of its own.
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{} {verb} {}", self.name, NEXT.fetch_add(1, Ordering::Relaxed));
        let start = || Process::start(&name, stage.directory.path(), Path::new(&program), &arguments, &environment);
        let mut process = stage.world.caller.enter(start);
        let status = process.wait(patience());
        assert!(status.success(), "{name}: {status}\n{}", process.tail());
        process.output()
    }
}
