//! Exactly the connections between the gateway and programs of its node become pairs.

use crate::node::{self, Connection, connect, read};
use gateway::pairing::opt_out::Command;
use harness::{privilege, wait};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process, thread,
    time::Duration,
};

/// IPPROTO_MPTCP of linux/in.h.
const MPTCP: i32 = 262;

#[test]
fn callers_are_paired_whatever_their_address_family() {
    if !privilege::granted("ebpf::callers_are_paired_whatever_their_address_family") {
        return;
    }
    node::run(|node| {
        let (dual, _announced) = node.gateway("[::]:8080");
        let (v4, _announced_too) = node.gateway("127.0.0.1:8081");
        for (number, (gateway, to)) in (1..).zip([
            (&dual, "[::1]:8080"),
            (&dual, "127.0.0.1:8080"),
            (&dual, "[::ffff:127.0.0.1]:8080"),
            (&v4, "127.0.0.1:8081"),
            (&v4, "[::ffff:127.0.0.1]:8081"),
        ]) {
            let connection = node.call(gateway, to);
            assert_eq!(node.paired(), number, "{to} was not proven");
            let before = node.redirected();
            connection.echo(b"through the kernel");
            assert_eq!(node.redirected(), before + 2, "{to} was not redirected");
        }
    });
}

#[test]
fn endpoints_are_paired() {
    if !privilege::granted("ebpf::endpoints_are_paired") {
        return;
    }
    node::run(|node| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let endpoint = TcpListener::bind(address).expect("listen");
            let before = node.redirected();
            let connection = node.forward(&endpoint);
            connection.echo(b"through the kernel");
            assert_eq!(node.redirected(), before + 2, "{address} was not redirected");
        }
        let moved = node.fastpath.status().moved;
        assert_eq!(moved["gateway_to_endpoint"].redirected.messages, 2);
        assert_eq!(moved["endpoint_to_gateway"].redirected.messages, 2);
    });
}

#[test]
fn a_service_address_hides_nobody() {
    if !privilege::granted("ebpf::a_service_address_hides_nobody") {
        return;
    }
    node::run(|node| {
        // As kube-proxy does it: the caller never learns whom it talks to.
        let rule = "-t nat -A OUTPUT -d 10.96.0.10 -p tcp --dport 80 -j DNAT --to-destination 10.244.1.1:8080";
        let status = process::Command::new("iptables").args(rule.split(' ')).status().expect("iptables is installed");
        assert!(status.success(), "iptables {rule}");
        let routed =
            process::Command::new("ip").args("route add local 10.96.0.0/16 dev lo".split(' ')).status().expect("ip");
        assert!(routed.success());
        let (gateway, _announced) = node.gateway("10.244.1.1:8080");
        let connection = node.call(&gateway, "10.96.0.10:80");
        assert_eq!(connection.caller.peer_addr().expect("connected").to_string(), "10.96.0.10:80");
        assert_eq!(node.paired(), 1);
        connection.echo(b"through the kernel");
        assert_eq!(node.redirected(), 2);
    });
}

#[test]
fn connections_of_others_are_left_alone() {
    if !privilege::granted("ebpf::connections_of_others_are_left_alone") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let _ours = node.call(&gateway, "127.0.0.1:8080");
        let server = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = server.local_addr().expect("bound");
        let theirs = Connection::new(TcpStream::connect(address).expect("connect"), &server);
        theirs.echo(b"not ours");
        let status = node.fastpath.status();
        assert_eq!(node.paired(), 1);
        assert_eq!(node.redirected(), 0);
        let passed: u64 = status.moved.values().map(|moved| moved.passed.messages).sum();
        assert_eq!(passed, 0, "a socket that is not ours is in the map: {status:?}");
    });
}

#[test]
fn equal_loopback_addresses_are_told_apart() {
    if !privilege::granted("ebpf::equal_loopback_addresses_are_told_apart") {
        return;
    }
    node::run(|node| {
        // Two pods with the same addresses and ports at the same time; a gateway in each, as far as anybody can see.
        let here = in_this_namespace(node);
        let there = thread::scope(|scope| {
            let other = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
                let up = process::Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip");
                assert!(up.success());
                in_this_namespace(node)
            });
            other.join().expect("the other namespace")
        });
        assert_eq!(node.paired(), 2);
        for (connection, word) in [(&here, b"here "), (&there, b"there")] {
            connection.echo(word);
        }
        assert_eq!(node.redirected(), 4);
    });
}

fn in_this_namespace(node: &node::Node) -> Connection {
    let (gateway, announced) = node.gateway("127.0.0.1:8080");
    let caller = connect("127.0.0.1:8080", Some("127.0.0.1:40000"));
    let connection = Connection::new(caller.into(), &gateway);
    drop(announced);
    connection
}

#[test]
fn mptcp_is_never_taken_in() {
    if !privilege::granted("ebpf::mptcp_is_never_taken_in") {
        return;
    }
    node::run(|node| {
        let mptcp = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(MPTCP))).expect("MPTCP is enabled");
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let caller = mptcp();
        let to: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        caller.connect(&to.into()).expect("connect");
        Connection::new(caller.into(), &gateway).echo(b"through TCP");

        // Go's listeners are such ones; what they accept from plain callers must stay outside too.
        let endpoint = mptcp();
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        endpoint.bind(&any.into()).expect("bind");
        endpoint.listen(1).expect("listen");
        node.forward(&endpoint.into()).echo(b"through TCP");
        assert_eq!(node.redirected(), 0);
        assert_eq!(node.paired(), 0, "{:?}", node.fastpath.status());
    });
}

#[test]
fn callers_that_block_stay_outside() {
    if !privilege::granted("ebpf::callers_that_block_stay_outside") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let caller = TcpStream::connect("127.0.0.1:8080").expect("connect");
        let (called, _) = gateway.accept().expect("accept");
        (&called).write_all(b"through TCP").expect("send");
        let mut received = [0; 11];
        (&caller).read_exact(&mut received).expect("receive");
        assert_eq!((node.refused("blocking"), node.paired(), node.redirected()), (1, 0, 0));
    });
}

#[test]
fn callers_that_block_after_connecting_leave_with_their_first_message() {
    if !privilege::granted("ebpf::callers_that_block_after_connecting_leave_with_their_first_message") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let to = "127.0.0.1:8080".parse().expect("an address");
        // Blocks again once it is connected, as everything with a timeout for the connect does.
        let caller = TcpStream::connect_timeout(&to, Duration::from_secs(10)).expect("connect");
        let (called, _) = gateway.accept().expect("accept");
        assert_eq!(node.paired(), 1);
        // More than the send buffer holds: room in it wakes the caller, who waits for the answer by then.
        let upload = vec![7; 8 << 20];
        let answering = thread::spawn(move || {
            let received = read(&called, 8 << 20);
            thread::yield_now();
            (&called).write_all(b"thanks").expect("send");
            (received, called)
        });
        (&caller).write_all(&upload).expect("send");
        let mut answer = [0; 6];
        (&caller).read_exact(&mut answer).expect("a blocking read that is woken without data goes on");
        assert_eq!(&answer, b"thanks");
        let (received, _called) = answering.join().expect("the gateway");
        assert_eq!(received, upload);
        assert_eq!((node.passed("blocking"), node.redirected()), (1, 0));
        let _second = node.call(&gateway, "127.0.0.1:8080");
        assert_eq!((node.refused("opt_out"), node.paired()), (1, 1));
    });
}

#[test]
fn endpoints_that_block_are_found_out_and_remembered() {
    if !privilege::granted("ebpf::endpoints_that_block_are_found_out_and_remembered") {
        return;
    }
    node::run(|node| {
        let endpoint = TcpListener::bind("127.0.0.1:0").expect("listen");
        let connection = node.forward(&endpoint);
        connection.called.set_nonblocking(false).expect("an option");
        (&connection.caller).write_all(b"request").expect("send");
        assert_eq!(read(&connection.called, 7), b"request");
        assert_eq!((node.passed("blocking"), node.redirected()), (1, 0));
        let _second = node.forward(&endpoint);
        assert_eq!((node.refused("opt_out"), node.paired()), (1, 1));
    });
}

#[test]
fn an_opt_out_is_followed_by_open_connections_and_new_ones() {
    if !privilege::granted("ebpf::an_opt_out_is_followed_by_open_connections_and_new_ones") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("10.244.1.1:8080");
        let address = "10.244.0.7";
        let call = || Connection::new(connect("10.244.1.1:8080", Some("10.244.0.7:0")).into(), &gateway);
        let open = call();
        open.echo(b"past TCP");
        assert_eq!(node.redirected(), 2);
        node.sockets.obey(&[Command::OptOut(address.parse().expect("an address"))]);
        open.echo(b"through TCP");
        assert_eq!((node.redirected(), node.passed("paused")), (2, 2));
        let second = call();
        second.echo(b"through TCP");
        assert_eq!((node.refused("opt_out"), node.paired(), node.redirected()), (1, 1, 2));
        node.sockets.obey(&[Command::OptIn(address.parse().expect("an address"))]);
        let third = call();
        third.echo(b"past TCP");
        assert_eq!((node.paired(), node.redirected()), (2, 4));
    });
}

#[test]
fn what_has_been_closed_leaves_no_pair() {
    if !privilege::granted("ebpf::what_has_been_closed_leaves_no_pair") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let connections: Vec<Connection> = (0..8).map(|_| node.call(&gateway, "127.0.0.1:8080")).collect();
        node.until_pairs(8);
        drop(connections);
        node.until_pairs(0);
        wait::until("no pair", Duration::from_secs(1), || (node.paired() == 8).then_some(()));
    });
}
