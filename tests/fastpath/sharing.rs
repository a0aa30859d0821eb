//! One socket with several owners, one port for several connections.

use crate::{
    peers::{Backend, Backends, Client, Content, Exchange, Read, Reader, Write, connect_from, listen, send},
    scale,
    world::{self, Fast, Gateway, MODES, Way, World, everything_to},
};
use fastrand::Rng;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Two threads write whole requests into one connection; each must stay whole.
#[test]
fn two_threads_write_one_socket() {
    world::run("fastpath::two_threads_write_one_socket", |world| {
        for fast in MODES {
            let backends = Backends::start(world);
            let gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
            let service = Backends::service(Way::V4, Read::EdgeShort);
            let exchange = Exchange::new(&service, 200, 0);
            for round in 0..scale::of(10, 200) {
                let mut random = Rng::with_seed(round as u64);
                let entrance = World::entrance(Way::V4, round % 2 == 0);
                let mut client =
                    Client::connect(&world.caller, entrance, Read::Blocking, &mut random).expect("the gateway");
                let writer = client.reader().stream().try_clone().expect("a second handle");
                const EACH: usize = 100;
                thread::scope(|scope| {
                    for _ in 0..2 {
                        let mut random = random.fork();
                        let (writer, exchange) = (&writer, &exchange);
                        scope.spawn(move || {
                            for number in 0..EACH {
                                let request = exchange.request(number as u64, &mut random);
                                send(writer, Write::Whole, &request, &mut random).expect("the gateway reads");
                            }
                        });
                    }
                    for _ in 0..2 * EACH {
                        client.answer(&exchange, 0).unwrap_or_else(|wrong| panic!("{wrong}"));
                    }
                });
            }
            // It has compared every body with its seed.
            backends.assert_content();
            assert_moved(&gateway, fast);
        }
    });
}

/// Writes a file to its standard output, which does not block.
const CHILD: &str = "
import os, select, sys
left = open(sys.argv[1], 'rb').read()
while left:
    try:
        left = left[os.write(1, left):]
    except BlockingIOError:
        select.select([], [1], [])
";

/// A child process writes the middle of a request into the socket it has inherited, and ends.
#[test]
fn a_forked_child_writes_into_the_same_socket() {
    world::run("fastpath::a_forked_child_writes_into_the_same_socket", |world| {
        for fast in MODES {
            let backends = Backends::start(world);
            let gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
            let directory = tempfile::tempdir().expect("a directory");
            let file = directory.path().join("part");
            let service = Backends::service(Way::V4, Read::Level);
            let exchange = Exchange::new(&service, 200_000, 200_000);
            let mut random = Rng::with_seed(1);
            let mut client = Client::connect(&world.caller, World::entrance(Way::V4, true), Read::Edge, &mut random)
                .expect("the gateway");
            for seed in 0..scale::of(5, 100) as u64 {
                let request = exchange.request(seed, &mut random);
                let (first, rest) = request.split_at(random.usize(1..request.len()));
                let (middle, last) = rest.split_at(random.usize(0..rest.len()));
                let stream = client.reader().stream();
                send(stream, Write::Splits, first, &mut random).expect("the gateway reads");
                fs::write(&file, middle).expect("a file");
                let shared = Stdio::from(std::os::fd::OwnedFd::from(stream.try_clone().expect("a second handle")));
                let status =
                    Command::new("python3").args(["-c", CHILD]).arg(&file).stdout(shared).status().expect("python3");
                assert!(status.success(), "the child could not write");
                if !last.is_empty() {
                    send(client.reader().stream(), Write::Whole, last, &mut random).expect("the gateway reads");
                }
                client.answer(&exchange, seed).unwrap_or_else(|wrong| panic!("{wrong}"));
            }
            backends.assert_content();
            assert_moved(&gateway, fast);
        }
    });
}

/// A source port that was in use a moment ago, and one that is in use towards another address.
#[test]
fn ports_are_used_again() {
    world::run("fastpath::ports_are_used_again", |world| {
        for fast in MODES {
            let backends = Backends::start(world);
            let gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
            let mut random = Rng::with_seed(1);
            for round in 0..scale::of(100, 2000) {
                let port = 40_000 + u16::try_from(round % 3).expect("small");
                let exchange = Exchange::new(&Backends::service(Way::V4, Read::EdgeShort), 500, 500);
                // The Service's address and the gateway's own: one source port, two connections at the same time.
                let streams = [true, false].map(|service| from_port(world, port, World::entrance(Way::V4, service)));
                let mut clients =
                    streams.map(|stream| Client::new(stream, Read::Level, &mut random).expect("a client"));
                for _ in 0..2 {
                    for client in &mut clients {
                        client.exchange(&exchange).unwrap_or_else(|wrong| panic!("{wrong}"));
                    }
                }
                // Without TIME_WAIT, so that the port is free at once.
                for client in &mut clients {
                    let socket = socket2::SockRef::from(client.reader().stream());
                    socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
                }
            }
            backends.assert_content();
            assert_moved(&gateway, fast);
        }
    });
}

fn from_port(world: &World, port: u16, to: SocketAddr) -> TcpStream {
    let from = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let made = world.caller.enter(|| connect_from(Some(from), to));
    made.unwrap_or_else(|error| panic!("from port {port} to {to}: {error}"))
}

/// In the gateway's namespace and in a pod's, a connection from 127.0.0.1:40000 to 127.0.0.1:8080. Only one of them is the
/// gateway's.
#[test]
fn equal_loopback_addresses_are_not_confused() {
    world::run("fastpath::equal_loopback_addresses_are_not_confused", |world| {
        for fast in MODES {
            let backends = Backends::start(world);
            let gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, world::PORT));
            let listener = listen(&world.pods, address);
            let mut random = Rng::with_seed(1);
            for round in 0..scale::of(20, 500) {
                let ours = world.node.enter(|| loopback(40_000, address));
                let theirs = world.pods.enter(|| loopback(40_000, address));
                let (other_end, _) = listener.accept().expect("the pod's own connection");
                let mut client = Client::new(ours, Read::EdgeShort, &mut random).expect("a client");
                let exchange = Exchange::new(&Backends::service(Way::V4, Read::Edge), 700, 700);
                for turn in 0..5 {
                    client.exchange(&exchange).unwrap_or_else(|wrong| panic!("round {round}: {wrong}"));
                    pass(&theirs, &other_end, turn);
                    pass(&other_end, &theirs, turn + 100);
                }
                for stream in [client.reader().stream(), &theirs] {
                    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
                }
            }
            backends.assert_content();
            assert_moved(&gateway, fast);
        }
    });
}

fn loopback(port: u16, to: SocketAddr) -> TcpStream {
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    connect_from(Some(from), to).expect("the port is free in this namespace")
}

/// Sends a body of its own from one end to the other.
fn pass(from: &TcpStream, to: &TcpStream, seed: u64) {
    let content = Content::new(seed);
    send(from, Write::Whole, &content.bytes(0..5000), &mut Rng::new()).expect("the other end reads");
    let mut reader = Reader::new(to.try_clone().expect("a second handle"), Read::Level, 512).expect("a reader");
    let mut at = 0;
    while at < 5000 {
        let bytes = reader.fill(None).expect("bytes").to_vec();
        assert!(!bytes.is_empty(), "the connection ended after {at} bytes");
        content.check(at, &bytes).unwrap_or_else(|wrong| panic!("{wrong}"));
        reader.consume(bytes.len());
        at += bytes.len() as u64;
    }
}

fn assert_moved(gateway: &Gateway<'_>, fast: Fast) {
    let counts = gateway.counts();
    assert_eq!(counts.redirected > 0, fast.is_on(), "{counts:?}");
}

/// A pod's connection that looks, by its addresses, like one of the gateway's that is still being made.
///
/// The gateway's last packet of a handshake never arrives, so that its end waits for the other. In a namespace that is a
/// twin of the cluster's network, somebody connects from the same address and port to the same address and port.
#[test]
fn a_connection_with_the_same_addresses_is_a_strangers() {
    world::run("fastpath::a_connection_with_the_same_addresses_is_a_strangers", |world| {
        a_stranger(world, Fast::Require);
    });
}

pub(crate) fn a_stranger(world: &World, fast: Fast) {
    let address = SocketAddr::new(World::pod(Way::V4), 9000);
    let backend = Backend::start(&world.pods, address, Read::Level);
    let gateway = Gateway::start(world, fast, &everything_to(&[("pod".to_owned(), address)]));
    let mut random = Rng::with_seed(1);

    // From here on, only SYNs get through to the pod.
    let rule = "FORWARD -p tcp -d 10.244.3.2 --dport 9000 ! --syn -j DROP";
    world.router().run(&format!("iptables -A {rule}"));
    let mut client =
        Client::connect(&world.caller, World::entrance(Way::V4, false), Read::Edge, &mut random).expect("the gateway");
    let exchange = Exchange::new("pod", 100, 100);
    let request = exchange.request(5, &mut random);
    send(client.reader().stream(), Write::Whole, &request, &mut random).expect("the gateway reads");
    let port = harness::wait::until("the gateway calls the pod", Duration::from_secs(10), || {
        let sockets = world.node.run("ss -Htn state established dst 10.244.3.2");
        sockets.split_whitespace().find_map(|word| word.strip_prefix("10.244.2.2:")?.parse::<u16>().ok())
    });

    let twin = crate::world::Namespace::new();
    twin.ip("link set lo up");
    twin.ip("addr add 10.244.2.2/32 dev lo");
    twin.ip("addr add 10.244.3.2/32 dev lo");
    let listener = listen(&twin, address);
    // Its caller is not in the cgroup: only the called end is seen.
    let script = "import socket, sys\ns = socket.socket()\ns.bind(('10.244.2.2', int(sys.argv[1])))\n\
                  s.connect(('10.244.3.2', 9000))\ns.settimeout(5)\nprint(s.recv(100).decode())";
    let outside = r#"echo $$ > "$0/cgroup.procs" && exec python3 -c "$@""#;
    let child = twin.enter(|| {
        Command::new("bash")
            .args(["-c", outside])
            .arg(world.cgroup.outside())
            .args([script, &port.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3")
    });
    let (stranger, from) = listener.accept().expect("the stranger's call");
    assert_eq!(from.port(), port);
    stranger.set_nonblocking(true).expect("O_NONBLOCK");
    send(&stranger, Write::Whole, b"for a stranger only", &mut random).expect("the stranger reads");
    let heard = child.wait_with_output().expect("python3");

    world.router().run(&format!("iptables -D {rule}"));
    let answered = client.answer(&exchange, 5);
    let heard = String::from_utf8_lossy(&heard.stdout).trim().to_owned();
    assert_eq!(heard, "for a stranger only", "a stranger's bytes went elsewhere");
    answered.unwrap_or_else(|wrong| panic!("a stranger's bytes came here: {wrong}"));
    backend.assert_content();
    drop(gateway);
}
