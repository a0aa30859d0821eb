//! The guard, seen from the sockets; the full matrices are in tests/fastpath.

use crate::node::{self, read};
use gateway::fastpath::SocketCookie;
use harness::privilege;
use std::{
    io::{self, Write as _},
    net::Shutdown,
};

#[test]
fn a_reader_that_stands_still_is_left_to_tcp() {
    if !privilege::granted("ebpf::a_reader_that_stands_still_is_left_to_tcp") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let connection = node.call(&gateway, "127.0.0.1:8080");
        let pattern: Vec<u8> = (0..=255u8).cycle().take(64 * 1024).collect();
        let mut sent = 0;
        let blocked = loop {
            match (&connection.caller).write(&pattern[sent % 256..]) {
                Ok(bytes) => sent += bytes,
                Err(error) => break error.kind(),
            }
        };
        // TCP's own back-pressure is there again.
        assert_eq!(blocked, io::ErrorKind::WouldBlock);
        assert!(node.passed("over_budget") > 0);
        let redirected = node.fastpath.status().moved["caller_to_gateway"].redirected.bytes;
        assert!(redirected <= 1024 * 1024, "{redirected} bytes were queued");
        let received = read(&connection.called, sent);
        assert!(received.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 256), "bytes out of order");
    });
}

#[test]
fn what_waits_at_the_other_end_is_told() {
    if !privilege::granted("ebpf::what_waits_at_the_other_end_is_told") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let connection = node.call(&gateway, "127.0.0.1:8080");
        let queued = || node.sockets.queued(SocketCookie::of(&connection.called).expect("a socket"));
        assert_eq!(queued(), Some(0));
        (&connection.called).write_all(&[7; 1000]).expect("send");
        (&connection.called).write_all(&[7; 500]).expect("send");
        assert_eq!(queued(), Some(1500));
        read(&connection.caller, 1200);
        assert_eq!(queued(), Some(300));
        read(&connection.caller, 300);
        assert_eq!(queued(), Some(0));
    });
}

#[test]
fn a_closed_peer_is_as_gone_as_with_tcp() {
    if !privilege::granted("ebpf::a_closed_peer_is_as_gone_as_with_tcp") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let connection = node.call(&gateway, "127.0.0.1:8080");
        connection.echo(b"hello");
        (&connection.called).write_all(b"goodbye").expect("send");
        drop(connection.called);
        // The first write after the end goes nowhere, as with TCP, and the error comes after it.
        assert_eq!(read(&connection.caller, usize::MAX), b"goodbye");
        let errors = (0..100).find_map(|_| (&connection.caller).write_all(b"anybody?").err());
        let kind = errors.expect("an error").kind();
        assert!(matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{kind}");
    });
}

#[test]
fn nothing_can_be_sent_after_a_shutdown() {
    if !privilege::granted("ebpf::nothing_can_be_sent_after_a_shutdown") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let connection = node.call(&gateway, "127.0.0.1:8080");
        connection.echo(b"hello");
        (&connection.caller).write_all(b"last").expect("send");
        connection.caller.shutdown(Shutdown::Write).expect("shut down");
        let error = (&connection.caller).write_all(b"too late").expect_err("sent after the end");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(read(&connection.called, usize::MAX), b"last");
        // The other half goes on.
        (&connection.called).write_all(b"still here").expect("send");
        assert_eq!(read(&connection.caller, 10), b"still here");
    });
}
