//! How connections end, and that the end of one is that of the other.

use super::{Server, all_to, connect, policy, read_all, read_exactly};
use crate::gateway::Gateway;
use gateway::{
    proxy::DrainTimes,
    telemetry::{AccessLogTarget, TelemetrySettings},
};
use harness::wait;
use socket2::SockRef;
use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::mpsc,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(20);

/// Closing it sends a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger");
    drop(stream);
}

#[test]
fn the_client_s_end_leaves_the_answer_its_way() {
    let server = Server::start(|mut stream| {
        let mut question = Vec::new();
        stream.read_to_end(&mut question)?;
        stream.write_all(b"after the end: ")?;
        stream.write_all(&question)
    });
    let gateway = Gateway::start(&all_to(server.address));
    let mut client = connect(&gateway);
    client.write_all(b"question").expect("sent");
    client.shutdown(Shutdown::Write).expect("the end");
    let (answer, end) = read_all(&client);
    assert_eq!(answer, b"after the end: question");
    end.expect("an end in order");
}

#[test]
fn the_server_s_end_leaves_the_client_its_way() {
    let (told, heard) = mpsc::channel();
    let server = Server::start(move |mut stream| {
        stream.write_all(b"that is all")?;
        stream.shutdown(Shutdown::Write)?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        told.send(rest).map_err(io::Error::other)
    });
    let gateway = Gateway::start(&all_to(server.address));
    let mut client = connect(&gateway);
    let (said, end) = read_all(&client);
    assert_eq!(said, b"that is all");
    end.expect("an end in order");
    client.write_all(b"and something more").expect("sent");
    drop(client);
    assert_eq!(heard.recv_timeout(LIMIT).expect("the server hears it"), b"and something more");
}

#[test]
fn a_reset_is_passed_on_both_ways() {
    let (told, heard) = mpsc::channel();
    let server = Server::start(move |mut stream| {
        stream.write_all(b"hello")?;
        let mut first = [0];
        match stream.read(&mut first) {
            // Asked to.
            Ok(1) => reset(stream),
            other => told.send(other.map_err(|error| error.kind())).map_err(io::Error::other)?,
        }
        Ok(())
    });
    let gateway = Gateway::start(&all_to(server.address));
    let client = connect(&gateway);
    assert_eq!(read_exactly(&client, 5), b"hello");
    reset(client);
    assert_eq!(heard.recv_timeout(LIMIT).expect("the server hears it"), Err(io::ErrorKind::ConnectionReset));

    let mut client = connect(&gateway);
    assert_eq!(read_exactly(&client, 5), b"hello");
    client.write_all(b"r").expect("sent");
    let (_, end) = read_all(&client);
    assert_eq!(end.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
}

#[test]
fn what_stands_still_is_ended() {
    let server = Server::saying("hello");
    let gateway = Gateway::start(&(all_to(server.address) + &policy("{connectionPool: {tcp: {idleTimeout: 0.4s}}}")));
    let began = Instant::now();
    let client = connect(&gateway);
    let (said, end) = read_all(&client);
    assert_eq!(said, b"hello");
    end.expect("an end in order");
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
}

#[test]
fn what_lasts_too_long_is_ended_whatever_it_does() {
    let server = Server::echoing();
    let pool = policy("{connectionPool: {tcp: {maxConnectionDuration: 0.6s}}}");
    let gateway = Gateway::start(&(all_to(server.address) + &pool));
    let began = Instant::now();
    let mut client = connect(&gateway);
    let mut echoed = [0; 1];
    while client.write_all(b"x").and_then(|()| client.read_exact(&mut echoed)).is_ok() {
        assert!(began.elapsed() < LIMIT, "it never ends");
    }
    assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
    wait::until("it to be counted", LIMIT, || {
        let closed = gateway.metric("istio_tcp_connections_closed_total", &["response_flags=\"DT\""]);
        (closed == 1.0).then_some(())
    });
}

#[test]
fn a_drain_leaves_connections_their_time_and_cuts_the_rest() {
    let server = Server::echoing();
    let mut gateway = Gateway::with(&all_to(server.address), |settings| {
        settings.drain = DrainTimes { announce: Duration::ZERO, deadline: Duration::from_secs(6) };
    });
    let mut client = connect(&gateway);
    client.write_all(b"a").expect("sent");
    assert_eq!(read_exactly(&client, 1), b"a");
    gateway.begin_drain();
    wait::until("the port to close", LIMIT, || TcpStream::connect(gateway.address()).err().map(drop));
    client.write_all(b"b").expect("sent");
    assert_eq!(read_exactly(&client, 1), b"b");
    gateway.ended();
    assert_eq!(read_all(&client).0, b"");
}

#[test]
fn a_line_of_the_access_log_tells_of_every_connection() {
    let log = std::env::temp_dir().join(format!("gateway-streams-{}.log", std::process::id()));
    let settings =
        TelemetrySettings { access_log: AccessLogTarget::File(log.clone()), gateway_namespace: "istio-system".into() };
    let server = Server::echoing();
    let lines = {
        let gateway = Gateway::recording(&all_to(server.address), settings, |_| {});
        let mut client = connect(&gateway);
        client.write_all(b"four").expect("sent");
        client.shutdown(Shutdown::Write).expect("the end");
        assert_eq!(read_all(&client).0, b"four");
        wait::until("the line", LIMIT, || Some(fs::read_to_string(&log).ok()?).filter(|text| text.ends_with('\n')))
    };
    fs::remove_file(&log).expect("removed");
    let words: Vec<&str> = lines.split_whitespace().skip(1).collect();
    assert_eq!(words[..9], ["\"-", "-", "-\"", "0", "-", "-", "-", "\"-\"", "4"], "{lines}");
    assert_eq!(words[9], "4", "{lines}");
    assert!(
        lines.contains(&format!("\"{}\" outbound|80||backend.default.svc.cluster.local", server.address)),
        "{lines}"
    );
}
