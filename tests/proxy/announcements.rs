//! `proxyProtocol` of a DestinationRule: endpoints are told whose connection it is, and no connection is two clients'.

use crate::{
    gateway::{Gateway, routes, service},
    streams::{self, Server},
};
use harness::http::{
    client::{Client, get},
    message::{self, Framing},
};
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

fn rule(policy: &str) -> String {
    format!(
        "\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: backend}}\n\
         spec: {{host: backend, trafficPolicy: {policy}}}\n"
    )
}

/// A backend that answers every request with the line its connection began with.
struct Told {
    server: Server,
    connections: Arc<AtomicUsize>,
}

impl Told {
    fn start() -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let server = Server::start({
            let connections = Arc::clone(&connections);
            move |stream| {
                connections.fetch_add(1, Ordering::SeqCst);
                answer_with_header(stream)
            }
        });
        Self { server, connections }
    }

    fn objects(&self, policy: &str) -> String {
        routes("  - route: [{destination: {host: backend}}]")
            + &service("backend", &[self.server.address])
            + &rule(policy)
    }
}

fn answer_with_header(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut header, mut stream) = (String::new(), stream);
    reader.read_line(&mut header)?;
    while message::read(&mut reader, Framing::Fields)?.is_some() {
        let header = header.trim_end();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{header}", header.len())?;
    }
    Ok(())
}

/// The header of version 1 for a client's connection.
fn line(client: SocketAddr, gateway: SocketAddr) -> String {
    format!("PROXY TCP4 {} {} {} {}", client.ip(), gateway.ip(), client.port(), gateway.port())
}

#[test]
fn connections_are_of_one_client_each() {
    let told = Told::start();
    let gateway = Gateway::start(&told.objects("{proxyProtocol: {version: V1}}"));
    let mut clients: Vec<Client> = (0..3).map(|_| gateway.connect()).collect();
    for _ in 0..4 {
        for client in &mut clients {
            let own = line(client.local_address(), gateway.address());
            assert_eq!(client.exchange(get("a", "/")).text(), own);
        }
    }
    assert_eq!(told.connections.load(Ordering::SeqCst), 3, "a client's next request finds its connection again");
}

#[test]
fn the_client_is_whom_the_balancer_before_us_names() {
    let told = Told::start();
    let objects = told.objects("{proxyProtocol: {}}");
    let gateway = Gateway::with(&objects, |settings| settings.proxy_protocol = true);
    let header = "PROXY TCP4 10.1.2.3 10.0.0.1 5555 80";
    let mut client = gateway.connect();
    assert_eq!(client.exchange(format!("{header}\r\n{}", get("a", "/"))).text(), header);
}

#[test]
fn a_subset_inherits_it_and_a_port_does_not() {
    let told = Told::start();
    let objects = |policy: &str| {
        told.objects(&format!("{{proxyProtocol: {{version: V1}}{policy}}}, subsets: [{{name: all}}]"))
            .replace("host: backend}}]", "host: backend, subset: all}}]")
    };
    let gateway = Gateway::start(&objects(""));
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", "/")).text(), line(client.local_address(), gateway.address()));
    let of_port = ", portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]";
    let gateway = Gateway::start(&objects(of_port));
    // The backend takes the request's own first line for the header, and waits for a request behind it.
    assert_eq!(gateway.connect().exchange(get("a", "/") + &get("a", "/second")).text(), "GET / HTTP/1.1");
}

/// Passed on unread, the header comes first and the rest as it was, whoever speaks first.
#[test]
fn streams_begin_with_it() {
    let speaks_first = Server::start(|mut stream| {
        stream.write_all(b"ready ")?;
        io::copy(&mut stream.try_clone()?, &mut stream).map(drop)
    });
    for (version, length) in [("V1", None), ("V2", Some(28))] {
        let objects =
            streams::all_to(speaks_first.address) + &rule(&format!("{{proxyProtocol: {{version: {version}}}}}"));
        let gateway = Gateway::start(&objects);
        let mut stream = streams::connect(&gateway);
        let client = stream.local_addr().expect("an address");
        let expected = match length {
            None => line(client, gateway.address()).into_bytes().into_iter().chain(*b"\r\n").collect(),
            Some(length) => {
                let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
                for address in [client, gateway.address()] {
                    let SocketAddr::V4(address) = address else { panic!("of IPv4") };
                    header.extend(address.ip().octets());
                }
                header.extend(client.port().to_be_bytes());
                header.extend(gateway.address().port().to_be_bytes());
                assert_eq!(header.len(), length);
                header
            }
        };
        // What the server has read so far comes back before a word of ours is sent.
        let all = [b"ready ", &expected[..]].concat();
        assert_eq!(streams::read_exactly(&stream, all.len()), all, "{version}");
        stream.write_all(b"hello").expect("sent");
        let mut said = [0; 5];
        stream.read_exact(&mut said).expect("five bytes");
        assert_eq!(&said, b"hello");
    }
}
