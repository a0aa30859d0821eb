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
    scale, wait,
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
    // Of the gateway's 14 s, from the first byte, and what a busy machine takes to say it four thousand times.
    let most = Duration::from_secs(if scale::is_full() { 15 } else { 30 });
    let backend = Backend::saying("here");
    let target = Target::start(backend.address());
    let mut victim = Victim::start("slow heads", &target);
    let before = target.memory();
    let mut attackers: Vec<TcpStream> = (0..ATTACKERS).map(|_| target.connect().expect("a connection")).collect();
    let mut begun = Vec::new();
    for attacker in &mut attackers {
        attacker.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ").expect("sent");
        begun.push(Instant::now());
    }
    victim.the_attack_stands();
    victim.some_more();
    let memory = target.memory().saturating_sub(before);
    println!("{ATTACKERS} slow heads: {memory} KiB");
    assert!(memory <= ATTACKERS * 16, "{memory} KiB for {ATTACKERS} slow heads");
    // Whoever sends a byte or a line now and then is no faster for that, and no dearer.
    let mut pieces = ["y", "y\r\nx: "].iter().cycle();
    let now_and_then = 100;
    wait::until("most of the time of a head", PATIENCE, || {
        let piece = pieces.next().expect("a cycle").as_bytes();
        for attacker in &mut attackers[..now_and_then] {
            attacker.write_all(piece).expect("an end before its time");
        }
        (begun[0].elapsed() > Duration::from_secs(10)).then_some(())
    });
    let memory = target.memory().saturating_sub(before);
    assert!(memory <= ATTACKERS * 16, "{memory} KiB for {ATTACKERS} slow heads after a while");
    let mut longest = Duration::ZERO;
    for (attacker, begun) in attackers.iter().zip(&begun) {
        let said = last_words(attacker);
        longest = longest.max(begun.elapsed());
        assert!(said.starts_with("HTTP/1.1 408 "), "{said:?} after {:?}", begun.elapsed());
    }
    println!("{ATTACKERS} slow heads: {memory} KiB after a while, each answered 408 and closed within {longest:?}");
    assert!(longest <= most, "the last is told after {longest:?}");
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
    assert!(memory <= ATTACKERS * 384, "{memory} KiB for {ATTACKERS} answers of {ANSWER} bytes");
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

/// Names that nobody has heard of, each asked for once: they are no labels of metrics, and nothing of them is kept.
#[test]
fn names_out_of_the_air_leave_nothing_behind() {
    const ATTACKERS: usize = 4;
    const AT_ONCE: usize = 50;
    let backend = Backend::forgetful(|exchange| {
        exchange.read_body()?;
        exchange.respond("200 OK", &[], b"here")
    });
    let target = Target::start(backend.address());
    let mut victim = Victim::start("random names", &target);
    let metrics = || Client::connect(target.admin()).exchange(get("localhost", "/metrics")).text().to_owned();
    let storm = |round: usize, requests: usize| {
        thread::scope(|scope| {
            for attacker in 0..ATTACKERS {
                let mut client = Client::of(target.connect().expect("a connection"));
                scope.spawn(move || {
                    for first in (0..requests / ATTACKERS).step_by(AT_ONCE) {
                        let name = |number| format!("{round}-{attacker}-{number}-out-of-the-air");
                        let ask = |number| get(&name(number), &format!("/{}", name(number)));
                        client.send((first..first + AT_ONCE).map(ask).collect::<String>());
                        (0..AT_ONCE).for_each(|_| assert_eq!(client.response().status(), 200));
                    }
                });
            }
        });
    };
    // What any requests need, whoever they ask for.
    storm(0, ATTACKERS * AT_ONCE);
    let (before, lines) = (target.memory(), metrics().lines().count());
    let mut round = 0;
    victim.beside(|| {
        round += 1;
        storm(round, scale::of(20_000, 1_000_000));
    });
    victim.stop();
    let (memory, after) = (target.memory().saturating_sub(before), metrics());
    println!("random names: {memory} KiB, {lines} lines of metrics before and {} behind", after.lines().count());
    assert!(!after.contains("out-of-the-air"), "a client's words are labels:\n{after}");
    assert_eq!(after.lines().count(), lines, "{after}");
    assert!(memory <= 2 << 10, "{memory} KiB after names that nobody asks for again");
}
