//! What hostile clients try over HTTP/2, frame by frame.

use crate::{
    target::{PATIENCE, Target},
    victim::Victim,
};
use harness::{
    http::backend::Backend,
    http2::frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
        SETTINGS, WINDOW_UPDATE, block,
    },
    scale, wait,
};
use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Connections of an attack at once, and of one by requests that are taken back.
const ATTACKERS: usize = 8;
const RESETTERS: usize = 50;

/// Frames, or pairs of them, on each connection that is not ended.
const ROUNDS: u32 = 20_000;

/// Requests that may come to the backend before it is known that they are taken back, on a connection in the mean.
const REACH: usize = 100;

/// KiB that one connection may cost, whatever it sends.
const KIB_EACH: usize = 320;

/// Error codes of GOAWAY (RFC 9113 §7).
const NO_ERROR: u32 = 0;
const ENHANCE_YOUR_CALM: u32 = 11;

fn head(path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")])
}

/// What one attacker sends in each round.
type Round = fn(&mut Frames, u32) -> io::Result<()>;

/// An attack on several connections at once.
struct Flood {
    name: &'static str,
    connections: usize,
    /// On each connection, unless it ends before.
    rounds: u32,
    round: Round,
}

/// What has come of it.
struct Outcome<T> {
    /// Of each connection.
    each: Vec<T>,
    /// Requests of the attackers that have come to the backend.
    reached: usize,
}

impl Flood {
    /// Sends the rounds; then the attack must have cost little, and the victim has had all its answers. What is left to be
    /// said on each connection is for `rest`.
    fn run<T: Send>(&self, rest: fn(&mut Frames) -> T) -> Outcome<T> {
        let Self { name, connections, .. } = *self;
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
        let mut open = self.on_all_connections(&target);
        // While those that are open still are.
        if !scale::is_full() {
            victim.the_attack_stands();
            victim.some_more();
        }
        let memory = target.memory().saturating_sub(before);
        println!("{name}: {memory} KiB for {connections} connections");
        assert!(memory <= connections * KIB_EACH, "{name}: {memory} KiB");
        let each = open.iter_mut().map(rest).collect();
        let reached = requests.load(Ordering::SeqCst);
        if scale::is_full() {
            victim.beside(|| drop(self.on_all_connections(&target)));
        }
        victim.stop();
        println!("{name}: {reached} requests came through");
        Outcome { each, reached }
    }

    /// Returns the connections as they are when all has been sent that is taken.
    fn on_all_connections(&self, target: &Target) -> Vec<Frames> {
        let attack = || {
            let mut frames = Frames::connect_impatiently(target.address);
            // The gateway has ended it, or does not read it any more, which ends the attack as well.
            let _broken = (0..self.rounds).find_map(|number| (self.round)(&mut frames, number).err());
            frames
        };
        thread::scope(|scope| {
            let attackers: Vec<_> = (0..self.connections).map(|_| scope.spawn(attack)).collect();
            attackers.into_iter().map(|attacker| attacker.join().expect("no panic")).collect()
        })
    }

    /// The rounds are too many: every connection must end by them, without another word of the attacker, and what is said
    /// of it is one of `codes`. Returns how many requests have come to the backend.
    fn is_ended(&self, codes: &[u32]) -> usize {
        let outcome = self.run(Frames::rest);
        assert_eq!(outcome.each.len(), self.connections);
        // What is on its way when a connection is reset is lost: not everybody has a goodbye.
        let said = outcome.each.iter().filter_map(|said| {
            let goodbye = said.iter().rfind(|frame| frame.kind == GOAWAY)?;
            Some(u32::from_be_bytes(goodbye.payload[4..8].try_into().expect("four bytes")))
        });
        let said: BTreeSet<u32> = said.collect();
        println!("{}: ended with {said:?}", self.name);
        let is_wanted = !said.is_empty() && said.iter().all(|code| codes.contains(code));
        assert!(is_wanted, "{}: ended with {said:?}", self.name);
        outcome.reached
    }
}

/// CVE-2023-44487.
#[test]
fn rapid_resets_end_the_connection() {
    let round: Round = |frames, round| {
        let stream = 2 * round + 1;
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &head("/attack"))?;
        frames.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
    };
    let flood = Flood { name: "rapid reset", connections: RESETTERS, rounds: 1000, round };
    let reached = flood.is_ended(&[NO_ERROR, ENHANCE_YOUR_CALM]);
    assert!(reached <= RESETTERS * REACH, "{reached} requests reached the backend");
}

/// CVE-2025-8671: whoever is allowed to send more than there is must reset the stream.
#[test]
fn resets_by_our_own_hand_end_the_connection() {
    let round: Round = |frames, round| {
        let stream = 2 * round + 1;
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &head("/attack"))?;
        frames.send(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())
    };
    let flood = Flood { name: "made you reset", connections: RESETTERS, rounds: 1000, round };
    let reached = flood.is_ended(&[NO_ERROR, ENHANCE_YOUR_CALM]);
    assert!(reached <= RESETTERS * REACH, "{reached} requests reached the backend");
}

/// CVE-2024-27316 and its family: less than 100 KiB, in the largest frames there are and in empty ones.
#[test]
fn heads_without_an_end_end_the_connection() {
    let round: Round = |frames, round| match round {
        0 => frames.send(HEADERS, END_STREAM, 1, &head("/attack")),
        _ => frames.send(CONTINUATION, 0, 1, &block(&[("x-more", &"y".repeat(16_000))])),
    };
    let flood = Flood { name: "continuation", connections: ATTACKERS, rounds: 7, round };
    assert_eq!(flood.is_ended(&[ENHANCE_YOUR_CALM]), 0);
    let round: Round = |frames, round| match round {
        0 => frames.send(HEADERS, END_STREAM, 1, &head("/attack")),
        _ => frames.send(CONTINUATION, 0, 1, &[]),
    };
    let flood = Flood { name: "empty continuation", connections: ATTACKERS, rounds: 100, round };
    assert_eq!(flood.is_ended(&[ENHANCE_YOUR_CALM]), 0);
}

/// CVE-2019-9512 and 9515: questions whose answers nobody reads. Each is answered.
#[test]
fn questions_without_a_reader_do_not_pile_up() {
    let round: Round = |frames, round| frames.send(PING, 0, 0, &u64::from(round).to_be_bytes());
    answered(&Flood { name: "pings", connections: ATTACKERS, rounds: ROUNDS, round }, PING);
    let round: Round = |frames, _| frames.send(SETTINGS, 0, 0, &[]);
    answered(&Flood { name: "settings", connections: ATTACKERS, rounds: ROUNDS, round }, SETTINGS);
}

/// Where the connection stands; where it does not, nothing piles up either.
fn answered(flood: &Flood, kind: u8) {
    let outcome = flood.run(Frames::answers);
    assert_eq!(outcome.reached, 0);
    let standing: Vec<Vec<Frame>> = outcome.each.into_iter().flatten().collect();
    assert!(!standing.is_empty(), "{}: nobody was answered", flood.name);
    for said in standing {
        let answers = said.iter().filter(|frame| frame.kind == kind && frame.flags == ACK).count();
        // The hello has its answer too.
        let wanted = ROUNDS + u32::from(kind == SETTINGS);
        assert_eq!(u32::try_from(answers).expect("a small number"), wanted, "{}", flood.name);
    }
}

/// CVE-2019-9513: frames that say nothing, and are not answered either.
#[test]
fn priorities_cost_nothing() {
    const HELLO: usize = 10;
    let round: Round = |frames, round| frames.send(PRIORITY, 0, 2 * (round % 50) + 1, &[0, 0, 0, 0, 1]);
    let flood = Flood { name: "priorities", connections: ATTACKERS, rounds: ROUNDS, round };
    let outcome = flood.run(Frames::answers);
    assert_eq!(outcome.reached, 0);
    let most = outcome.each.iter().flatten().map(Vec::len).max();
    assert!(most <= Some(HELLO), "they are answered, with {most:?} frames");
}

/// CVE-2019-9518.
#[test]
fn bodies_of_nothing_end_the_connection() {
    let round: Round = |frames, round| match round {
        0 => frames.send(HEADERS, END_HEADERS, 1, &head("/attack")),
        _ => frames.send(DATA, 0, 1, &[]),
    };
    let flood = Flood { name: "empty data", connections: ATTACKERS, rounds: 200, round };
    assert!(flood.is_ended(&[ENHANCE_YOUR_CALM]) <= ATTACKERS);
}

/// One field in the table, named again and again: a few bytes each.
#[test]
fn small_heads_that_grow_are_refused() {
    let round: Round = |frames, round| {
        let mut bomb = head("/attack");
        bomb.extend_from_slice(&[0x40, 1, b'x', 127, 0xa1, 0x1e]);
        bomb.extend_from_slice(&[b'y'; 4000]);
        bomb.extend_from_slice(&[0xbe; 10_000]);
        frames.send(HEADERS, END_HEADERS | END_STREAM, 2 * round + 1, &bomb)
    };
    let flood = Flood { name: "HPACK bomb", connections: ATTACKERS, rounds: 1, round };
    assert_eq!(flood.is_ended(&[ENHANCE_YOUR_CALM]), 0);
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
    assert!(memory <= wanted * 64, "{memory} KiB for {wanted} answers that nobody takes");
    victim.stop();
}
