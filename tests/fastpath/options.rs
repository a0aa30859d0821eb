//! Programs that use their sockets in ways a socket map does not honour: they are never given wrong bytes, and with the
//! annotation `node-gateway.io/fastpath: "off"` on their pods they see plain TCP.

use crate::{
    peers::{Backend, Client, Exchange, Fault, Read, WRITES, early_returns},
    scale,
    world::{self, Fast, Gateway, Way, World, everything_to},
};
use fastrand::Rng;
use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
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
            objects.push_str(&format!(
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
            ));
        }
    }
    (backends, objects)
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

/// Python's own client and server, whose sockets block: 8 MiB up and down.
#[test]
fn blocking_programs_see_no_error() {
    world::run("fastpath::blocking_programs_see_no_error", |world| {
        let address = SocketAddr::new(World::pod(Way::V4), 9005);
        let gateway = Gateway::start(world, Fast::Require, &everything_to(&[("python".to_owned(), address)]));
        let program = harness::daemon::workspace().join("tests/fastpath/programs/echo.py");
        let directory = tempfile::tempdir().expect("a directory");
        let arguments = [program.display().to_string(), "serve".to_owned(), "9005".to_owned()];
        let _server = world.pods.enter(|| {
            harness::process::Process::start("python", directory.path(), "python3".as_ref(), &arguments, &[])
        });
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
    });
}
