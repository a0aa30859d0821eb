//! Programs that use their sockets in ways a socket map does not honour: they are never given wrong bytes, and with the
//! annotation `node-gateway.io/fastpath: "off"` on their pods they see plain TCP.

use crate::{
    peers::{Backend, Client, Exchange, Fault, Read, WRITES, Write, early_returns, send},
    scale,
    world::{self, Fast, Gateway, Way, World, everything_to},
};
use fastrand::Rng;
use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    thread,
};

/// Readers that a socket map does not serve as TCP does.
const SPECIAL: [Read; 6] = [Read::Splice, Read::Fionread, Read::WaitAll, Read::LowWater, Read::Peek, Read::Blocking];

fn pod(how: Read) -> IpAddr {
    if matches!(how, Read::Blocking | Read::WaitAll | Read::Peek) {
        World::blocking_pod(Way::V4)
    } else {
        World::pod(Way::V4)
    }
}

/// A backend for each special reader, and the objects that lead to them; with `annotated`, pods that opt out.
fn start(world: &World, annotated: bool) -> (Vec<Backend>, String) {
    let places: Vec<(String, SocketAddr)> =
        (9001..).zip(SPECIAL).map(|(port, how)| (how.name(), SocketAddr::new(pod(how), port))).collect();
    let backends = places.iter().zip(SPECIAL).map(|((_, at), how)| Backend::start(&world.pods, *at, how)).collect();
    let mut objects = everything_to(&places);
    if annotated {
        for (name, address) in [("caller", "10.244.1.2"), ("pods", "10.244.3.2"), ("blocking-pods", "10.244.3.3")] {
            objects.push_str(&opt_out(name, address));
        }
    }
    (backends, objects)
}

/// A pod with this name and address that opts out.
pub(crate) fn opt_out(name: &str, address: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  annotations: {{node-gateway.io/fastpath: 'off'}}
status:
  phase: Running
  podIP: {address}
  podIPs: [{{ip: {address}}}]
"
    )
}

/// Every special reader on both sides; answers with what was not as it should be.
fn exchanges(world: &World, readers: &[Read]) -> Vec<String> {
    let mut random = Rng::with_seed(1);
    let mut odd = Vec::new();
    for &how in readers {
        for _ in 0..scale::of(5, 100) {
            let entrance = World::entrance(Way::V4, random.bool());
            let mut client = Client::connect(&world.caller, entrance, how, &mut random).expect("the gateway");
            let sizes = [1, 300, 16 << 10, 1 << 20];
            let exchange = Exchange {
                write: WRITES[random.usize(..WRITES.len())],
                answer: WRITES[random.usize(..WRITES.len())],
                ..Exchange::new(&how.name(), sizes[random.usize(..4)], sizes[random.usize(..4)])
            };
            match client.exchange(&exchange) {
                Ok(()) => {}
                Err(Fault::Wrong(wrong)) => panic!("{how:?}: {wrong}"),
                Err(fault) => odd.push(format!("{how:?}: {fault}")),
            }
        }
    }
    odd
}

#[test]
fn those_who_opt_out_see_plain_tcp() {
    world::run("fastpath::those_who_opt_out_see_plain_tcp", |world| {
        let (backends, objects) = start(world, true);
        let gateway = Gateway::start(world, Fast::Require, &objects);
        let early = early_returns();
        let odd = exchanges(world, &SPECIAL);
        assert!(odd.is_empty(), "{odd:?}");
        assert_eq!(early_returns(), early, "blocking reads came back early");
        backends.iter().for_each(Backend::assert_content);
        let counts = gateway.counts();
        assert_eq!(counts.redirected, 0, "they were to be left alone: {counts:?}");
    });
}

#[test]
fn those_who_do_not_opt_out_get_no_wrong_byte() {
    world::run("fastpath::those_who_do_not_opt_out_get_no_wrong_byte", |world| {
        let (backends, objects) = start(world, false);
        backends.iter().for_each(Backend::expect_broken_connections);
        let gateway = Gateway::start(world, Fast::Require, &objects);
        let early = early_returns();
        // Those that splice or ask FIONREAD may wait for ever: they have to opt out.
        let odd = exchanges(world, &SPECIAL[2..]);
        println!(
            "{} blocking reads came back early; {} exchanges ended otherwise: {odd:#?}",
            early_returns() - early,
            odd.len()
        );
        backends.iter().for_each(Backend::assert_content);
        println!("{:?}", gateway.counts());
        // Blocking ones are known by their sockets and left alone.
        assert!(odd.is_empty(), "{odd:?}");
    });
}

#[test]
fn blocking_reads_wait_for_bytes() {
    world::run("fastpath::blocking_reads_wait_for_bytes", |world| blocking_read(world, Fast::Require));
}

/// One thread waits for the answer while another sends the request, and is woken by room to write, as every thread that
/// waits for anything of that socket.
pub(crate) fn blocking_read(world: &World, fast: Fast) {
    let address = SocketAddr::new(World::pod(Way::V4), 9000);
    let backend = Backend::start(&world.pods, address, Read::Edge);
    let gateway = Gateway::start(world, fast, &everything_to(&[("pod".to_owned(), address)]));
    let mut random = Rng::with_seed(1);
    let mut client = Client::connect(&world.caller, World::entrance(Way::V4, true), Read::Blocking, &mut random)
        .expect("the gateway");
    // More than every buffer on the way holds, read late.
    let exchange = Exchange { slow: true, ..Exchange::new("pod", 32 << 20, 10) };
    let request = exchange.request(1, &mut random);
    let stream = client.reader().stream().try_clone().expect("a second handle");
    let came = thread::scope(|scope| {
        let waiting = scope.spawn(|| stream.peek(&mut [0]).map_err(|error| error.kind()));
        send(&stream, Write::Whole, &request, &mut random).expect("the gateway reads");
        waiting.join().expect("a thread")
    });
    assert_eq!(came, Ok(1), "a blocking read came back early");
    client.answer(&exchange, 1).unwrap_or_else(|wrong| panic!("{wrong}"));
    backend.assert_content();
    drop(gateway);
}

/// Python's own client and server, whose sockets block: 8 MiB up and down.
#[test]
fn blocking_programs_see_no_error() {
    world::run("fastpath::blocking_programs_see_no_error", blocking_programs);
}

fn blocking_programs(world: &World) {
    let address = SocketAddr::new(World::pod(Way::V4), 9005);
    let gateway = Gateway::start(world, Fast::Require, &everything_to(&[("python".to_owned(), address)]));
    let program = harness::daemon::workspace().join("tests/fastpath/programs/echo.py");
    let directory = tempfile::tempdir().expect("a directory");
    let arguments = [program.display().to_string(), "serve".to_owned(), "9005".to_owned()];
    let _server = world
        .pods
        .enter(|| harness::process::Process::start("python", directory.path(), "python3".as_ref(), &arguments, &[]));
    harness::wait::until("the server to listen", crate::peers::PATIENCE, || {
        world.pods.enter(|| std::net::TcpStream::connect("127.0.0.1:9005")).ok()
    });
    // No timeout anywhere: Python then leaves its sockets blocking.
    let script = "
import http.client
body = bytes((i * 7 + (i >> 8)) & 255 for i in range(65536)) * 128
for _ in range(5):
    connection = http.client.HTTPConnection('10.96.0.10', 80)
    for _ in range(3):
        connection.request('POST', '/python/x', body)
        assert connection.getresponse().read() == body
";
    let output = world.caller.enter(|| Command::new("python3").args(["-c", script]).output()).expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{:?} {}", gateway.directions(), gateway.events());
}
