//! What hostile clients try over HTTP/1: heads, bodies and answers that stand still or do not end.

use crate::{
    target::{PATIENCE, Target, last_words},
    victim::Victim,
};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    wait,
};
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// Heads as long as they may be, and longer, on many connections.
#[test]
fn large_heads_cost_what_they_are() {
    const ATTACKERS: usize = 100;
    const LIMIT_KIB: usize = 60;
    let backend = Backend::saying("here");
    let target = Target::start(backend.address());
    let mut victim = Victim::start("large heads", &target);
    let before = target.memory();
    let part = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat((LIMIT_KIB - 2) << 10));
    victim.beside(|| {
        let attackers: Vec<TcpStream> = (0..ATTACKERS).map(|_| target.connect().expect("a connection")).collect();
        for mut attacker in &attackers {
            attacker.write_all(part.as_bytes()).expect("sent");
        }
        let memory = target.memory().saturating_sub(before);
        assert!(memory <= ATTACKERS * LIMIT_KIB * 4, "{memory} KiB for {ATTACKERS} heads of {LIMIT_KIB} KiB");
        for mut attacker in &attackers {
            let _sent = attacker.write_all(&[b'y'; 8 << 10]).is_ok();
            let said = last_words(attacker);
            assert!(said.starts_with("HTTP/1.1 431 "), "{said:?}");
        }
    });
    // Many small fields are a large head too.
    let many: String = (0..200).map(|number| format!("x{number}: 1\r\n")).collect();
    let mut attacker = target.connect().expect("a connection");
    attacker.write_all(format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n").as_bytes()).expect("sent");
    assert!(last_words(&attacker).starts_with("HTTP/1.1 431 "));
    victim.stop();
}

/// Uploads that stand still hold nobody up but themselves.
#[test]
fn bodies_that_stand_still_hold_nobody_up() {
    const ATTACKERS: usize = 200;
    let backend = Backend::saying("here");
    let target = Target::start(backend.address());
    let mut victim = Victim::start("bodies that stand still", &target);
    let before = target.memory();
    let attackers: Vec<TcpStream> = (0..ATTACKERS).map(|_| target.connect().expect("a connection")).collect();
    for mut attacker in &attackers {
        attacker.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nhalf").expect("sent");
    }
    wait::until("all of them at the backend", PATIENCE, || (backend.connections() >= ATTACKERS).then_some(()));
    victim.the_attack_stands();
    victim.some_more();
    let memory = target.memory().saturating_sub(before);
    assert!(memory <= ATTACKERS * 128, "{memory} KiB for {ATTACKERS} uploads that stand still");
    victim.stop();
}

/// Requests on one connection without waiting for answers: they are served in turn, and not gathered.
#[test]
fn endless_pipelines_are_taken_in_turn() {
    let backend = Backend::saying("here");
    let target = Target::start(backend.address());
    let mut victim = Victim::start("endless pipelines", &target);
    let before = target.memory();
    let attacker = target.connect().expect("a connection");
    attacker.set_nonblocking(true).expect("nonblocking");
    let requests = get("a", "/").repeat(1000);
    let mut sent = 0;
    // As much as is taken; nothing is read back.
    while sent < 64 << 20 {
        match (&attacker).write(&requests.as_bytes()[sent % requests.len()..]) {
            Ok(count) => sent += count,
            Err(_full) => break,
        }
    }
    victim.the_attack_stands();
    victim.some_more();
    let memory = target.memory().saturating_sub(before);
    assert!(memory <= 8 << 10, "{memory} KiB for one connection");
    // And with a reader, as fast as that goes.
    let rest = &requests[sent % requests.len()..];
    let mut reader = attacker.try_clone().expect("a second handle");
    attacker.set_nonblocking(false).expect("blocking");
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let _written = (&attacker).write_all(rest.as_bytes()).is_ok();
            while (&attacker).write_all(requests.as_bytes()).is_ok() {}
        });
        victim.beside(|| {
            let mut answers = vec![0; 1 << 20];
            assert_ne!(reader.read(&mut answers).expect("answers"), 0, "the attacker is served as well");
        });
        attacker.shutdown(Shutdown::Both).expect("an end");
        writing.join().expect("no panic");
    });
    victim.stop();
}

/// A client that is turned away in many ways in a row has no memory of it left behind.
#[test]
fn refused_requests_leave_nothing_behind() {
    let backend = Backend::saying("here");
    let target = Target::start(backend.address());
    let mut victim = Victim::start("refused requests", &target);
    let bad = [
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nx : 1\r\n\r\n",
        "\0\0\0\0",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
    ];
    let storm = |rounds: usize| {
        for text in bad.iter().cycle().take(rounds) {
            let _said = Client::of(target.connect().expect("a connection")).try_send(text).is_ok();
        }
    };
    storm(400);
    let before = target.memory();
    victim.beside(|| storm(2000));
    let memory = target.memory().saturating_sub(before);
    assert!(memory <= 4 << 10, "{memory} KiB after refused requests");
    victim.stop();
}

/// Heads that come byte by byte: each client is told so after its time, and costs little until then.
#[test]
fn slow_heads_are_answered_in_their_time() {
    const ATTACKERS: usize = 4000;
    let backend = Backend::saying("here");
    let target = Target::start(backend.address());
    let mut victim = Victim::start("slow heads", &target);
    let before = target.memory();
    let mut attackers: Vec<TcpStream> = (0..ATTACKERS).map(|_| target.connect().expect("a connection")).collect();
    let began = Instant::now();
    for attacker in &mut attackers {
        attacker.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ").expect("sent");
    }
    victim.the_attack_stands();
    victim.some_more();
    let memory = target.memory().saturating_sub(before);
    println!("{ATTACKERS} slow heads: {memory} KiB");
    assert!(memory <= ATTACKERS * 16, "{memory} KiB for {ATTACKERS} slow heads");
    // Whoever sends a byte or a line now and then is no faster for that, and no dearer.
    let mut pieces = ["y", "y\r\nx: "].iter().cycle();
    wait::until("the end of the first", PATIENCE, || {
        let piece = pieces.next().expect("a cycle").as_bytes();
        let is_over = attackers[..100].iter_mut().any(|attacker| attacker.write_all(piece).is_err());
        (is_over || began.elapsed() > Duration::from_secs(10)).then_some(())
    });
    let memory = target.memory().saturating_sub(before);
    assert!(memory <= ATTACKERS * 16, "{memory} KiB for {ATTACKERS} slow heads after a while");
    for attacker in &attackers {
        let said = last_words(attacker);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said:?}");
    }
    println!("{ATTACKERS} slow heads: {memory} KiB after a while, all closed after {:?}", began.elapsed());
    victim.stop();
}

/// Clients that ask for much and read nothing: what waits for them stays with the backend.
#[test]
fn slow_readers_leave_their_answers_at_the_backend() {
    const ATTACKERS: usize = 100;
    const ANSWER: usize = 8 << 20;
    let answer = vec![b'x'; ANSWER];
    let backend = Backend::start(move |exchange| {
        let body: &[u8] = if exchange.request.target() == "/large" { &answer } else { b"here" };
        exchange.read_body()?;
        exchange.respond("200 OK", &[], body)
    });
    let target = Target::start(backend.address());
    let mut victim = Victim::start("slow readers", &target);
    let before = target.memory();
    let attackers: Vec<TcpStream> = (0..ATTACKERS).map(|_| target.connect().expect("a connection")).collect();
    for mut attacker in &attackers {
        attacker.write_all(get("a", "/large").as_bytes()).expect("sent");
    }
    wait::until("all of them at the backend", PATIENCE, || (backend.connections() >= ATTACKERS).then_some(()));
    victim.the_attack_stands();
    victim.some_more();
    let memory = target.memory().saturating_sub(before);
    println!("{ATTACKERS} slow readers: {memory} KiB");
    assert!(memory <= ATTACKERS * 1024, "{memory} KiB for {ATTACKERS} answers of {ANSWER} bytes");
    victim.stop();
}

/// Targets beyond the limit are refused, and nothing of them is kept.
#[test]
fn long_targets_are_refused() {
    const ATTACKERS: usize = 50;
    let backend = Backend::saying("here");
    let target = Target::start(backend.address());
    let mut victim = Victim::start("long targets", &target);
    victim.beside(|| {
        for _ in 0..ATTACKERS {
            let mut attacker = Client::of(target.connect().expect("a connection"));
            for _ in 0..10 {
                assert_eq!(attacker.exchange(get("a", &format!("/{}", "x".repeat(9000)))).status(), 414);
            }
        }
    });
    assert!(backend.requests().is_empty());
    victim.stop();
}

/// One tenant with all it has: another one's requests go on.
#[test]
fn a_noisy_neighbour_fails_no_request_of_others() {
    const ATTACKERS: usize = 32;
    let backend = Backend::forgetful(|exchange| {
        exchange.read_body()?;
        exchange.respond("200 OK", &[], b"here")
    });
    let target = Target::start(backend.address());
    // A connection to the endpoint for each request: those are what a neighbour could run out of.
    let mut victim = Victim::start_anew("noisy neighbour", &target);
    victim.beside(|| {
        thread::scope(|scope| {
            for _ in 0..ATTACKERS {
                scope.spawn(|| {
                    let mut attacker = Client::of(target.connect().expect("a connection"));
                    for _ in 0..20 {
                        attacker.send(get("noisy", "/noise").repeat(10));
                        (0..10).for_each(|_| assert_eq!(attacker.response().status(), 200));
                    }
                });
            }
        });
    });
    victim.stop();
}
