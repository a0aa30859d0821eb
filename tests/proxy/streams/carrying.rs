//! What is carried, and where to.

use super::{Server, all_to, connect, echo, read_all, read_exactly, tcp};
use crate::gateway::{Gateway, service};
use harness::{
    http::client::{Client, get},
    wait,
};
use std::{
    collections::BTreeSet,
    io::Write,
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn every_byte_arrives_in_its_place_both_ways() {
    let server = Server::echoing();
    let gateway = Gateway::start(&all_to(server.address));
    for length in [0usize, 1, 100, 65_536, 65_537, 10_000_000] {
        let sent: Vec<u8> = (0..length).map(|index| (index ^ (index >> 8) ^ (index >> 16)).to_le_bytes()[0]).collect();
        let client = connect(&gateway);
        // Both ways at once, so that neither side waits for a reader.
        let (echoed, end) = thread::scope(|scope| {
            scope.spawn(|| {
                (&client).write_all(&sent).expect("sent");
                client.shutdown(Shutdown::Write).expect("the end");
            });
            read_all(&client)
        });
        end.expect("an end in order");
        assert!(echoed == sent, "{} of {length} bytes", echoed.len());
    }
    let carried = 1 + 100 + 65_536 + 65_537 + 10_000_000;
    let count =
        |name: &str| gateway.metric(name, &["destination_service_name=\"backend\"", "request_protocol=\"tcp\""]);
    wait::until("six connections to end", LIMIT, || (count("istio_tcp_connections_closed_total") == 6.0).then_some(()));
    assert_eq!(count("istio_tcp_connections_opened_total"), 6.0);
    assert_eq!(count("istio_tcp_received_bytes_total"), f64::from(carried));
    assert_eq!(count("istio_tcp_sent_bytes_total"), f64::from(carried));
}

#[test]
fn the_server_may_speak_first() {
    let server = Server::saying("220 welcome");
    let gateway = Gateway::start(&all_to(server.address));
    assert_eq!(read_exactly(&connect(&gateway), 11), b"220 welcome");
}

#[test]
fn a_reader_that_stands_still_stops_the_writer_and_loses_nothing() {
    let server = Server::echoing();
    let gateway = Gateway::start(&all_to(server.address));
    let mut client = connect(&gateway);
    client.set_nonblocking(true).expect("nonblocking");
    // As much as all the sockets and the gateway on the way will hold.
    let piece: Vec<u8> = (0..=250).collect();
    let mut sent = 0;
    wait::until("everything on the way to be full", LIMIT, || {
        let before = sent;
        while let Ok(bytes) = client.write(&piece[sent % piece.len()..]) {
            sent += bytes;
        }
        (sent == before).then_some(())
    });
    client.set_nonblocking(false).expect("blocking");
    client.shutdown(Shutdown::Write).expect("the end");
    let (echoed, end) = read_all(&client);
    end.expect("an end in order");
    assert_eq!(echoed.len(), sent);
    assert!(echoed.iter().enumerate().all(|(index, byte)| usize::from(*byte) == index % piece.len()));
}

#[test]
fn destinations_are_drawn_for_every_connection() {
    let (one, two, none) = (Server::saying("1"), Server::saying("2"), Server::saying("3"));
    let rules = "{route: [{destination: {host: one}, weight: 50}, {destination: {host: two}, weight: 50}, \
                 {destination: {host: none}}]}";
    let services = service("one", &[one.address]) + &service("two", &[two.address]) + &service("none", &[none.address]);
    let gateway = Gateway::start(&(tcp(rules) + &services));
    let drawn: BTreeSet<Vec<u8>> = (0..64).map(|_| read_exactly(&connect(&gateway), 1)).collect();
    assert_eq!(drawn, BTreeSet::from([b"1".to_vec(), b"2".to_vec()]));
}

#[test]
fn an_edit_is_for_new_connections_alone() {
    let (old, new) = (Server::echoing(), Server::saying("new"));
    let mut gateway = Gateway::start(&all_to(old.address));
    let mut client = connect(&gateway);
    client.write_all(b"a").expect("sent");
    assert_eq!(read_exactly(&client, 1), b"a");
    // The endpoint goes, another comes.
    gateway.apply(&service("backend", &[new.address]));
    wait::until("the new endpoint", LIMIT, || {
        let newcomer = connect(&gateway);
        newcomer.shutdown(Shutdown::Write).expect("the end");
        (read_all(&newcomer).0 == b"new").then_some(())
    });
    client.write_all(b"still").expect("sent");
    assert_eq!(read_exactly(&client, 5), b"still");
    // The route goes, and with it the port.
    gateway.delete(&tcp("{route: [{destination: {host: backend}}]}"));
    wait::until("the port to close", LIMIT, || TcpStream::connect(gateway.address()).err().map(drop));
    client.write_all(b"even now").expect("sent");
    assert_eq!(read_exactly(&client, 8), b"even now");
}

#[test]
fn a_tcp_port_and_an_http_port_stand_beside_each_other() {
    let server = Server::start(echo);
    let objects = all_to(server.address)
        + "\n---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: web}\nspec: {selector: {istio: ingressgateway}, \
           servers: [{port: {number: 8081, name: http, protocol: HTTP}, hosts: ['*']}]}\n\
           ---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web}\n\
           spec: {hosts: ['*'], gateways: [web], http: [{directResponse: {status: 204}}]}\n";
    let gateway = Gateway::start(&objects);
    let mut client = connect(&gateway);
    client.write_all(b"x").expect("sent");
    assert_eq!(read_exactly(&client, 1), b"x");
    let web = SocketAddr::new(gateway.address().ip(), 8081);
    let answer = Client::connect(web).exchange(get("a", "/"));
    assert_eq!(answer.status(), 204);
}
