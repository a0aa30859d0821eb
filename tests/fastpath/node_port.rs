//! Calls to a node port, whose callers reach the gateway under another address and port.

use crate::{
    peers::{Backend, Backends, Client, Exchange, Read},
    scale,
    world::{self, Fast, Gateway, MODES, WAYS, Way, World, bpftool, everything_to},
};
use fastrand::Rng;
use harness::wait;
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

const NODE_PORT: u16 = 30080;

/// The Service in front of the gateway, as deploy/components/nodeport makes it.
const SERVICE: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec:
  type: NodePort
  selector: {istio: ingressgateway}
  ports: [{name: http, port: 8080, targetPort: 8080, nodePort: 30080}]
";

/// What kube-proxy does with them under `externalTrafficPolicy: Cluster`: another destination and, marked for it, another
/// source.
fn masquerade(world: &World) {
    for (tables, node, gateway) in [("iptables", "10.244.1.1", "10.244.2.2"), ("ip6tables", "fd00:1::1", "fd00:2::2")] {
        let to = if gateway.contains(':') {
            format!("[{gateway}]:{}", world::PORT)
        } else {
            format!("{gateway}:{}", world::PORT)
        };
        let router = world.router();
        router.run(&format!(
            "{tables} -t nat -A PREROUTING -p tcp -d {node} --dport {NODE_PORT} -j DNAT --to-destination {to}"
        ));
        router.run(&format!(
            "{tables} -t nat -A POSTROUTING -p tcp -d {gateway} -m conntrack --ctorigdstport {NODE_PORT} -j MASQUERADE --random-fully"
        ));
    }
}

fn node(way: Way) -> SocketAddr {
    match way {
        Way::V4 => (Ipv4Addr::new(10, 244, 1, 1), NODE_PORT).into(),
        Way::Mapped => (Ipv4Addr::new(10, 244, 1, 1).to_ipv6_mapped(), NODE_PORT).into(),
        Way::V6 => (Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1), NODE_PORT).into(),
    }
}

#[test]
fn masqueraded_callers_of_a_node_port_are_proven() {
    world::run("fastpath::masqueraded_callers_of_a_node_port_are_proven", |world| {
        masquerade(world);
        for fast in MODES {
            let backends = Backends::start(world);
            let gateway = Gateway::start(world, fast, &(everything_to(&backends.services()) + SERVICE));
            let mut random = Rng::with_seed(1);
            for round in 0..scale::of(60, 3000) {
                let way = WAYS[round % WAYS.len()];
                let mut client =
                    Client::connect(&world.caller, node(way), Read::EdgeShort, &mut random).expect("the gateway");
                for size in [1, 300, 16 << 10] {
                    let exchange = Exchange::new(&Backends::service(way, Read::Edge), size, size);
                    client.exchange(&exchange).unwrap_or_else(|wrong| panic!("{way:?}: {wrong}"));
                }
            }
            backends.assert_content();
            if fast.is_on() {
                let [asked, answered, ..] = gateway.directions()[..] else { panic!("four directions") };
                println!("{asked:?}\n{answered:?}\n{}", gateway.events());
                assert!(asked.redirected > 0 && answered.redirected > 0, "{asked:?} {answered:?}");
            }
        }
    });
}

/// The same port on another node: its gateway is not ours, and a socket in our map would only pay for being there.
#[test]
fn callers_of_another_node_leave_the_map() {
    world::run("fastpath::callers_of_another_node_leave_the_map", |world| {
        let address = SocketAddr::new(World::pod(Way::V4), NODE_PORT);
        let other = Backend::start(&world.pods, address, Read::Level);
        let gateway = Gateway::start(world, Fast::Require, SERVICE);
        let mut random = Rng::with_seed(1);
        let mut clients: Vec<Client> = (0..20)
            .map(|_| Client::connect(&world.caller, address, Read::Edge, &mut random).expect("the other gateway"))
            .collect();
        for client in &mut clients {
            for size in [1, 300, 100_000] {
                client.exchange(&Exchange::new("pod", size, size)).unwrap_or_else(|wrong| panic!("{wrong}"));
            }
        }
        other.assert_content();
        let map = gateway.map("gw_socks").to_string();
        let inside = || bpftool(&["map", "dump", "id", &map]).as_array().map_or(0, Vec::len);
        wait::until("they leave the map", Duration::from_secs(20), || (inside() == 0).then_some(()));
        let events = gateway.events();
        assert_eq!((&events["unproven"], &events["paired"]), (&20.into(), &0.into()), "{events}");
        assert_eq!(gateway.counts().redirected, 0);
    });
}
