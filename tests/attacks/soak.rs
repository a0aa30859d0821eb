//! Many kinds of attacks at once, for a while, in little memory: seconds on every change, ten minutes with
//! `NODE_GATEWAY_SCALE=full`.

use crate::{
    memory::MemoryGroup,
    target::{PATIENCE, Target},
    victim::Victim,
};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    http2::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, block},
    privilege, scale, wait,
};
use std::{
    collections::VecDeque,
    io::Write as _,
    net::TcpStream,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

const LIMIT: usize = 128 << 20;

/// Heads of so many bytes that never end, at once: half of the limit. What is refused beyond nine tenths is `memory`'s.
const HEADS: usize = 1000;
const HEAD: usize = 58 << 10;

/// Uploads that stand still, and large answers that nobody reads.
const STANDING: usize = 50;
const ANSWER: usize = 4 << 20;

/// Of an attacker between two connections, and of one that makes the gateway move megabytes each time: it is to be an
/// attack, and not the load of a benchmark.
const PACE: Duration = Duration::from_millis(5);
const SLOW_PACE: Duration = Duration::from_millis(200);

/// What may be left of it: the allocator keeps some of what it has had.
const LEFT_KIB: usize = 16 << 10;

fn duration() -> Duration {
    Duration::from_secs(if scale::is_full() { 600 } else { 8 })
}

#[test]
fn attacks_of_all_kinds_fail_nobody_and_leave_nothing() {
    if privilege::granted("attacks::soak::attacks_of_all_kinds_fail_nobody_and_leave_nothing") {
        endure();
    }
}

fn endure() {
    let group = MemoryGroup::new(LIMIT);
    let answer = vec![b'x'; ANSWER];
    let backend = Backend::forgetful(move |exchange| {
        let body: &[u8] = if exchange.request.target() == "/large" { &answer } else { b"here" };
        exchange.read_body()?;
        exchange.respond("200 OK", &[], body)
    });
    let launcher = group.launcher();
    let mut target = Target::within(backend.address(), &launcher.each_ref().map(String::as_str));
    let mut victim = Victim::start("attacks of all kinds", &target);
    let before = target.memory();
    victim.the_attack_stands();
    let attacks = AtomicUsize::new(0);
    let until = Instant::now() + duration();
    let attack = |pace: Duration, most: usize, once: &(dyn Fn(&Target) -> Option<TcpStream> + Sync)| {
        let (_sender, pause) = mpsc::channel::<()>();
        let mut held = VecDeque::new();
        while Instant::now() < until {
            held.extend(once(&target));
            attacks.fetch_add(1, Ordering::Relaxed);
            // The oldest makes room, whether the gateway has ended it or not.
            if held.len() > most {
                held.pop_front();
            }
            let _waited = pause.recv_timeout(pace);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| attack(PACE, HEADS, &endless_head));
        scope.spawn(|| attack(PACE, STANDING, &|target| say(target, UPLOAD)));
        scope.spawn(|| attack(SLOW_PACE, STANDING, &|target| say(target, &get("a", "/large"))));
        scope.spawn(|| attack(PACE, 0, &|target| say(target, "GET\r\n\r\n")));
        scope.spawn(|| attack(SLOW_PACE, 0, &resets));
        scope.spawn(|| {
            while Instant::now() < until {
                uploads(&target);
            }
        });
    });
    target.process.assert_running();
    println!(
        "{} attacks in {:?}: {} MiB at most of {}, {} KiB before",
        attacks.load(Ordering::Relaxed),
        duration(),
        group.peak() >> 20,
        LIMIT >> 20,
        before
    );
    assert_eq!(group.kills(), 0, "the kernel has killed");
    assert!(
        !target.process.output().contains("new requests get 503"),
        "there was room for all:\n{}",
        target.process.tail()
    );
    // Nobody is left who would make the gateway do anything.
    victim.stop();
    let mut least = usize::MAX;
    wait::until("the memory to be given back", PATIENCE * 2, || {
        least = least.min(target.memory());
        (least <= before + LEFT_KIB || Instant::now() > until + PATIENCE).then_some(())
    });
    println!("{least} KiB behind it");
    assert!(least <= before + LEFT_KIB, "{least} KiB are left of it, and there were {before} before");
}

const UPLOAD: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nhalf";

fn say(target: &Target, text: &str) -> Option<TcpStream> {
    let mut stream = target.connect().ok()?;
    stream.write_all(text.as_bytes()).is_ok().then_some(stream)
}

fn endless_head(target: &Target) -> Option<TcpStream> {
    say(target, &format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(HEAD)))
}

/// CVE-2023-44487, until the gateway has had enough.
fn resets(target: &Target) -> Option<TcpStream> {
    let mut frames = Frames::connect_impatiently(target.address);
    let head = block(&[(":method", "GET"), (":scheme", "http"), (":path", "/attack"), (":authority", "a")]);
    for number in 0..200 {
        let stream = 2 * number + 1;
        let sent = frames
            .send(HEADERS, END_HEADERS | END_STREAM, stream, &head)
            .and_then(|()| frames.send(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        if sent.is_err() {
            break;
        }
    }
    None
}

/// What others do meanwhile: a body there, an answer back, a few times on one connection.
fn uploads(target: &Target) {
    let mut client = Client::connect(target.address);
    let (_sender, pause) = mpsc::channel::<()>();
    for _ in 0..20 {
        let _waited = pause.recv_timeout(PACE);
        let head = "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 65536\r\n\r\n";
        let answer = client.exchange(head.to_owned() + &"z".repeat(65536));
        assert_eq!((answer.status(), answer.text()), (200, "here"));
    }
}
