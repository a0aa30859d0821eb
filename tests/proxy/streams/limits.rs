//! What is not carried: closed at once, and counted with Envoy's flags.

use super::{Server, all_to, assert_refused, connect, policy, read_exactly, tcp};
use crate::gateway::{Gateway, service};
use harness::wait;
use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn closed(gateway: &Gateway, flags: &str) {
    let flags = format!("response_flags=\"{flags}\"");
    wait::until("a connection to be counted", LIMIT, || {
        (gateway.metric("istio_tcp_connections_closed_total", &[&flags]) == 1.0).then_some(())
    });
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

#[test]
fn without_an_endpoint_there_is_no_connection() {
    let gateway = Gateway::start(&(tcp("{route: [{destination: {host: backend}}]}") + &service("backend", &[])));
    assert_refused(&connect(&gateway));
    closed(&gateway, "UH");
}

#[test]
fn what_leads_nowhere_is_closed() {
    let gateway = Gateway::start(&tcp("{route: [{destination: {host: nobody}}]}"));
    assert_refused(&connect(&gateway));
    closed(&gateway, "NC");
    let problems = gateway.compile_problems();
    assert!(problems.iter().any(|text| text.contains("spec.tcp[0].route") && text.contains("nobody")), "{problems:?}");
}

#[test]
fn an_endpoint_that_refuses_closes_the_connection() {
    let gateway = Gateway::start(&all_to(free_address()));
    assert_refused(&connect(&gateway));
    closed(&gateway, "UF,URX");
}

#[test]
fn one_connection_too_many_is_closed_and_the_next_finds_room_again() {
    let server = Server::echoing();
    let gateway = Gateway::start(&(all_to(server.address) + &policy("{connectionPool: {tcp: {maxConnections: 1}}}")));
    let mut first = connect(&gateway);
    first.write_all(b"1").expect("sent");
    assert_eq!(read_exactly(&first, 1), b"1");
    assert_refused(&connect(&gateway));
    closed(&gateway, "UO");
    first.write_all(b"2").expect("sent");
    assert_eq!(read_exactly(&first, 1), b"2", "the first is not disturbed");
    drop(first);
    wait::until("room", LIMIT, || {
        let mut next = connect(&gateway);
        let mut echoed = [0];
        let sent = next.write_all(b"3").and_then(|()| std::io::Read::read_exact(&mut next, &mut echoed));
        sent.ok().filter(|()| echoed == *b"3")
    });
}

#[test]
fn connections_count_as_load_of_their_endpoint() {
    let (one, two) = (Server::saying("1"), Server::saying("2"));
    let routes = tcp("{route: [{destination: {host: backend}}]}") + &service("backend", &[one.address, two.address]);
    let mut gateway = Gateway::start(&routes);
    // Each stays open. Of two the less busy one is taken, whichever two are drawn: with two endpoints that is a draw of both
    // half the time, so that neither runs far ahead.
    let open: Vec<_> = (0..40).map(|_| connect(&gateway)).collect();
    let ones = open.iter().filter(|client| read_exactly(client, 1) == b"1").count();
    assert!((8..=32).contains(&ones), "{ones} of 40");
    assert_eq!(gateway.in_flight(), 40);
    drop(open);
    wait::until("the load to go", LIMIT, || (gateway.in_flight() == 0).then_some(()));
}

#[test]
fn a_client_s_address_keeps_to_its_endpoint_where_it_is_hashed() {
    let servers = [Server::saying("1"), Server::saying("2"), Server::saying("3")];
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    let objects = tcp("{route: [{destination: {host: backend}}]}")
        + &service("backend", &addresses)
        + &policy("{loadBalancer: {consistentHash: {useSourceIp: true}}}");
    let gateway = Gateway::start(&objects);
    let first = read_exactly(&connect(&gateway), 1);
    for _ in 0..30 {
        assert_eq!(read_exactly(&connect(&gateway), 1), first);
    }
}
