//! What hostile clients try over HTTP/2, frame by frame.

use crate::{
    target::{PATIENCE, Target},
    victim::Victim,
};
use harness::{
    http::backend::Backend,
    http2::frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
        WINDOW_UPDATE, block,
    },
    scale, wait,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Connections of an attack at once.
const ATTACKERS: usize = 8;

/// Frames, or pairs of them, on each.
const ROUNDS: u32 = 20_000;

/// KiB that one connection may cost, whatever it sends.
const KIB_EACH: usize = 1024;

fn head(path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")])
}

/// What one attacker sends in each round.
type Round = fn(&mut Frames, u32) -> io::Result<()>;

/// Sends `round` on all connections until they are over or the rounds are; then the attack of `name` must have cost little,
/// and the victim has had all its answers. Returns how many of the connections the gateway has ended, and how many of the
/// attackers' requests have come to the backend.
fn flood(name: &'static str, round: Round) -> (usize, usize) {
    let requests = Arc::<AtomicUsize>::default();
    // So many that it would run out of descriptors if it remembered them.
    let backend = Backend::forgetful({
        let requests = Arc::clone(&requests);
        move |exchange| {
            requests.fetch_add(1, Ordering::SeqCst);
            exchange.read_body()?;
            exchange.respond("200 OK", &[], b"here")
        }
    });
    let target = Target::start(backend.address());
    let mut victim = Victim::start(name, &target);
    let before = target.memory();
    let ended = thread::scope(|scope| {
        let attack = || {
            let mut frames = Frames::connect_impatiently(target.address);
            let broken = (0..ROUNDS).find_map(|number| round(&mut frames, number).err());
            match broken {
                // It is not read any more, which ends the attack as well.
                Some(error) if error.kind() == io::ErrorKind::WouldBlock => (false, Some(frames)),
                Some(_) => (true, None),
                None => (false, Some(frames)),
            }
        };
        let attackers: Vec<_> = (0..ATTACKERS).map(|_| scope.spawn(attack)).collect();
        let over: Vec<_> = attackers.into_iter().map(|attacker| attacker.join().expect("no panic")).collect();
        // While those that are open still are.
        if !scale::is_full() {
            victim.the_attack_stands();
            victim.some_more();
        }
        let memory = target.memory().saturating_sub(before);
        println!("{name}: {memory} KiB for {ATTACKERS} connections");
        assert!(memory <= ATTACKERS * KIB_EACH, "{name}: {memory} KiB");
        let ends =
            |(ended, frames): (bool, Option<Frames>)| ended || frames.is_some_and(|mut frames| frames.says_goodbye());
        over.into_iter().filter_map(|one| ends(one).then_some(())).count()
    });
    let reached = requests.load(Ordering::SeqCst);
    if scale::is_full() {
        victim.beside(|| again(&target, round));
    }
    victim.stop();
    println!("{name}: {ended} of {ATTACKERS} connections ended, {reached} requests came through");
    (ended, reached)
}

/// All attackers once more, on new connections, which are over when they are not read any more.
fn again(target: &Target, round: Round) {
    thread::scope(|scope| {
        let attack = || {
            let mut frames = Frames::connect_impatiently(target.address);
            (0..ROUNDS).find_map(|number| round(&mut frames, number).err())
        };
        (0..ATTACKERS).for_each(|_| drop(scope.spawn(attack)));
    });
}

/// CVE-2023-44487.
#[test]
fn rapid_resets_end_the_connection() {
    let (ended, reached) = flood("rapid reset", |frames, round| {
        let stream = 2 * round + 1;
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &head("/attack"))?;
        frames.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
    });
    assert_eq!(ended, ATTACKERS);
    assert!(reached <= ATTACKERS * 1000, "{reached} requests reached the backend");
}

/// CVE-2025-8671: a window that may not grow makes the server reset the stream.
#[test]
fn resets_by_our_own_hand_end_the_connection() {
    let (ended, reached) = flood("made you reset", |frames, round| {
        let stream = 2 * round + 1;
        frames.send(HEADERS, END_HEADERS, stream, &head("/attack"))?;
        frames.send(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes())
    });
    assert_eq!(ended, ATTACKERS);
    assert!(reached <= ATTACKERS * 1000, "{reached} requests reached the backend");
}

/// CVE-2024-27316 and its family.
#[test]
fn heads_without_an_end_end_the_connection() {
    let (ended, reached) = flood("continuation", |frames, round| match round {
        0 => frames.send(HEADERS, END_STREAM, 1, &head("/attack")),
        _ => frames.send(CONTINUATION, 0, 1, &block(&[("x-more", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")])),
    });
    assert_eq!((ended, reached), (ATTACKERS, 0));
    let (ended, reached) = flood("empty continuation", |frames, round| match round {
        0 => frames.send(HEADERS, END_STREAM, 1, &head("/attack")),
        _ => frames.send(CONTINUATION, 0, 1, &[]),
    });
    assert_eq!((ended, reached), (ATTACKERS, 0));
}

/// CVE-2019-9512 and 9515: questions whose answers nobody reads.
#[test]
fn questions_without_a_reader_do_not_pile_up() {
    flood("pings", |frames, round| frames.send(PING, 0, 0, &u64::from(round).to_be_bytes()));
    flood("settings", |frames, _| frames.send(SETTINGS, 0, 0, &[]));
}

/// CVE-2019-9513 and 9518: frames that say nothing.
#[test]
fn frames_that_say_nothing_cost_nothing() {
    flood("priorities", |frames, round| frames.send(PRIORITY, 0, 2 * (round % 50) + 1, &[0, 0, 0, 0, 1]));
    flood("empty data", |frames, round| match round {
        0 => frames.send(HEADERS, END_HEADERS, 1, &head("/attack")),
        _ => frames.send(DATA, 0, 1, &[]),
    });
}

/// One field in the table, named again and again: a few bytes each.
#[test]
fn small_heads_that_grow_are_refused() {
    let (_, reached) = flood("HPACK bomb", |frames, round| {
        let mut bomb = head("/attack");
        bomb.extend_from_slice(&[0x40, 1, b'x', 127, 0xa1, 0x1e]);
        bomb.extend_from_slice(&[b'y'; 4000]);
        bomb.extend_from_slice(&[0xbe; 10_000]);
        // A thousand of them are attack enough.
        if round % 20 == 0 { frames.send(HEADERS, END_HEADERS | END_STREAM, round / 10 + 1, &bomb) } else { Ok(()) }
    });
    assert_eq!(reached, 0);
}

/// CVE-2019-9511 and 9517: clients that ask for much and allow none of it.
#[test]
fn answers_without_a_window_stay_with_the_backend() {
    const STREAMS: u32 = 100;
    let answer = vec![b'x'; 1 << 20];
    let backend = Backend::start(move |exchange| {
        let body: &[u8] = if exchange.request.target() == "/attack" { &answer } else { b"here" };
        exchange.read_body()?;
        exchange.respond("200 OK", &[], body)
    });
    let target = Target::start(backend.address());
    let mut victim = Victim::start("zero windows", &target);
    let before = target.memory();
    let mut attackers: Vec<Frames> = (0..ATTACKERS).map(|_| Frames::connect(target.address)).collect();
    for frames in &mut attackers {
        // SETTINGS_INITIAL_WINDOW_SIZE is 0.
        frames.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).expect("sent");
        for number in 0..STREAMS {
            frames.send(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &head("/attack")).expect("sent");
        }
    }
    let wanted = ATTACKERS * usize::try_from(STREAMS).expect("a small number");
    wait::until("all requests at the backend", PATIENCE, || (backend.connections() >= wanted).then_some(()));
    victim.the_attack_stands();
    victim.some_more();
    let memory = target.memory().saturating_sub(before);
    println!("zero windows: {memory} KiB for {wanted} answers");
    assert!(memory <= wanted * 128, "{memory} KiB for {wanted} answers that nobody takes");
    victim.stop();
}
