//! The servers: how each is started, and where it then listens.

use crate::{
    programs::{file, programs, text},
    world::World,
};
use harness::{process::Process, servers, wait};
use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(120);

/// What the gateway speaks to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
    Grpc,
}

/// One way to reach a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backend {
    /// Also the first part of the paths that lead there, and its Service.
    pub(crate) name: &'static str,
    pub(crate) server: &'static str,
    /// Which of the server's ports.
    port: Port,
    pub(crate) speaks: Speaks,
}

/// Programs of ours listen where there is room and say where. The others cannot say, and the namespace is theirs alone.
#[derive(Clone, Copy, Debug)]
enum Port {
    Said(&'static str),
    Fixed(u16),
}

const fn said(name: &'static str, server: &'static str, port: &'static str, speaks: Speaks) -> Backend {
    Backend { name, server, port: Port::Said(port), speaks }
}

const fn fixed(name: &'static str, server: &'static str, port: u16, speaks: Speaks) -> Backend {
    Backend { name, server, port: Port::Fixed(port), speaks }
}

/// Every server in every protocol of HTTP that it speaks.
pub(crate) const BACKENDS: [Backend; 16] = [
    fixed("nginx", "nginx", 9001, Speaks::Http1),
    fixed("nginx2", "nginx", 9011, Speaks::Http2),
    fixed("haproxy", "haproxy", 9002, Speaks::Http1),
    fixed("haproxy2", "haproxy", 9012, Speaks::Http2),
    fixed("apache", "apache", 9003, Speaks::Http1),
    fixed("apache2", "apache", 9003, Speaks::Http2),
    fixed("envoy", "envoy", 9004, Speaks::Http1),
    fixed("envoy2", "envoy", 9004, Speaks::Http2),
    said("node", "node", "http", Speaks::Http1),
    said("node2", "node", "http2", Speaks::Http2),
    said("go", "go", "http", Speaks::Http1),
    said("go2", "go", "http", Speaks::Http2),
    said("uvicorn", "uvicorn", "http", Speaks::Http1),
    said("hypercorn", "hypercorn", "http", Speaks::Http1),
    said("hypercorn2", "hypercorn", "http", Speaks::Http2),
    said("java", "java", "http", Speaks::Http1),
];

/// Servers of gRPC: in both implementations, and passed on by others.
pub(crate) const CALLED: [Backend; 6] = [
    said("grpc-go", "go", "grpc", Speaks::Grpc),
    said("grpcio", "grpcio", "grpc", Speaks::Grpc),
    said("nethttp", "go", "http", Speaks::Grpc),
    fixed("nginx", "nginx", 9011, Speaks::Grpc),
    fixed("haproxy", "haproxy", 9012, Speaks::Grpc),
    fixed("envoy", "envoy", 9004, Speaks::Grpc),
];

/// The backends with these names.
pub(crate) fn named(names: &[&str]) -> Vec<Backend> {
    BACKENDS.into_iter().filter(|backend| names.contains(&backend.name)).collect()
}

/// Running servers in the pods' namespace.
pub(crate) struct Servers {
    running: BTreeMap<&'static str, Server>,
}

struct Server {
    _process: Process,
    /// Its pod's own: the gateway treats all programs of a pod alike.
    address: Ipv4Addr,
    ports: BTreeMap<String, u16>,
}

impl Servers {
    /// Starts what `backends` need, Go first, for the others pass on to it.
    pub(crate) fn start(world: &World, directory: &Path, content: &Path, backends: &[Backend]) -> Self {
        let mut servers = Self { running: BTreeMap::new() };
        for name in ["go"].into_iter().chain(backends.iter().map(|backend| backend.server)) {
            if !servers.running.contains_key(name) {
                let number = u8::try_from(servers.running.len()).expect("few servers");
                let address = Ipv4Addr::new(10, 244, 3, 10 + number);
                world.pods.ip(&format!("addr add {address}/24 dev eth0"));
                let origins =
                    servers.running.get("go").map(|go| Origins { http: go.ports["http"], grpc: go.ports["grpc"] });
                servers.running.insert(name, start(world, name, address, origins, directory, content));
            }
        }
        for backend in backends {
            let address = servers.address(backend);
            wait::until(&format!("{} to listen", backend.name), PATIENCE, || {
                world.caller.enter(|| TcpStream::connect(address)).ok()
            });
        }
        servers
    }

    pub(crate) fn address(&self, backend: &Backend) -> SocketAddr {
        let server = &self.running[backend.server];
        let port = match backend.port {
            Port::Said(name) => server.ports[name],
            Port::Fixed(port) => port,
        };
        SocketAddr::new(server.address.into(), port)
    }
}

/// Where those who pass on find Go.
#[derive(Clone, Copy, Debug)]
struct Origins {
    http: u16,
    /// Of grpc-go.
    grpc: u16,
}

fn start(
    world: &World,
    name: &'static str,
    address: Ipv4Addr,
    origins: Option<Origins>,
    directory: &Path,
    content: &Path,
) -> Server {
    let programs = programs();
    let directory = directory.join(name);
    fs::create_dir(&directory).expect("a directory");
    let configured = |name: &str| {
        let port = |of: fn(Origins) -> u16| origins.map_or(0, of).to_string();
        let words = [
            ("DIRECTORY", text(&directory)),
            ("CONTENT", text(content)),
            ("ORIGIN", port(|origins| origins.http)),
            ("CALLEE", port(|origins| origins.grpc)),
        ];
        servers::configured(&file("configs").join(name), &directory, &words)
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let content = text(content);
    let (program, arguments) = match name {
        "go" => (text(&programs.go), words(&format!("serve {content}"))),
        "node" => ("node".to_owned(), words(&format!("{} serve {content}", text(&file("node/peer.js"))))),
        "uvicorn" | "hypercorn" => {
            ("python3".to_owned(), words(&format!("{} {name} {content}", text(&file("python/app.py")))))
        }
        "grpcio" => ("python3".to_owned(), words(&format!("{} serve", text(&file("python/rpc.py"))))),
        "java" => ("java".to_owned(), words(&format!("-cp {} Peer serve {content}", text(&programs.java)))),
        "nginx" => ("nginx".to_owned(), words(&format!("-c {}", text(&configured("nginx.conf"))))),
        "haproxy" => ("haproxy".to_owned(), words(&format!("-f {}", text(&configured("haproxy.cfg"))))),
        "apache" => ("apache2".to_owned(), words(&format!("-X -f {}", text(&configured("apache.conf"))))),
        "envoy" => (text(&programs.envoy), servers::envoy_arguments(&configured("envoy.yaml"))),
        name => panic!("there is no server {name}"),
    };
    let environment = programs.environment();
    let mut process =
        world.pods.enter(|| Process::start(name, &directory, Path::new(&program), &arguments, &environment));
    let speaks = !matches!(name, "nginx" | "haproxy" | "apache" | "envoy");
    let ports = if speaks { ports(name, &mut process) } else { BTreeMap::new() };
    Server { _process: process, address, ports }
}

/// What follows "ready" in the first whole line that a program prints.
fn ports(name: &str, process: &mut Process) -> BTreeMap<String, u16> {
    let line = wait::until(&format!("{name} to be ready"), PATIENCE, || {
        process.assert_running();
        let output = process.output();
        let line = output.split_inclusive('\n').find_map(|line| line.strip_prefix("ready ")?.strip_suffix('\n'));
        line.map(str::to_owned)
    });
    let port = |word: &str| {
        let (name, port) = word.split_once('=').expect("a name and a port");
        (name.to_owned(), port.parse().expect("a port"))
    };
    line.split(' ').map(port).collect()
}
