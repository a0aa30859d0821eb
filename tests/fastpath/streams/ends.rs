//! Every way in which a stream can end, from either side: what both see with the short-circuit is what they may see without.

use crate::{
    peers::{Backend, Content, PATIENCE, Read, Reader, Write, connect, send},
    scale,
    world::{self, Fast, Gateway, Way, World, streams_to},
};
use fastrand::Rng;
use harness::wait;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    collections::BTreeSet,
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

/// More than one message, and less than any buffer.
const BODY: u64 = 100_000;

/// What one side does; the other reads to the end, and writes where it is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// Sends, ends its own direction, and reads what the other sends after that.
    Ends,
    /// Sends, and resets once the other has begun to read.
    Resets,
    /// Ends the connection while bytes of the other's wait to be read.
    LeavesUnread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Caller,
    Pod,
}

/// A way to end, and what the two sides may see then.
struct Case {
    who: Who,
    first: First,
    outcomes: &'static [&'static str],
}

const fn case(who: Who, first: First, outcomes: &'static [&'static str]) -> Case {
    Case { who, first, outcomes }
}

const CASES: [Case; 6] = [
    case(Who::Caller, First::Ends, &["whole, the end; whole, the end"]),
    case(Who::Pod, First::Ends, &["whole, the end; whole, the end"]),
    case(Who::Caller, First::Resets, &["left; a reset"]),
    case(Who::Pod, First::Resets, &["left; a reset"]),
    // The reset comes with what is sent to who has left, and the end before it. What waits unread beside TCP is no reason for
    // a reset: with the kernel the connection ends in order, as docs/fastpath.md says.
    case(Who::Caller, First::LeavesUnread, &["left; a reset", "left; the end"]),
    case(Who::Pod, First::LeavesUnread, &["left; a reset", "left; the end"]),
];

#[test]
fn streams_end_as_they_do_without_the_kernel() {
    world::run("fastpath::streams_end_as_they_do_without_the_kernel", |world| {
        let mut findings = Vec::new();
        for fast in world::MODES {
            for (case, seen) in CASES.iter().zip(outcomes(world, fast)) {
                println!("{:?} {:?}, {fast:?}: {seen:?}", case.who, case.first);
                let strange = seen.iter().filter(|seen| !case.outcomes.contains(&seen.as_str()));
                findings.extend(strange.map(|seen| format!("{:?} {:?}, {fast:?}: {seen}", case.who, case.first)));
            }
        }
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    });
}

/// What is agreed on for one connection: the case, and whether the reader has begun.
struct Scene {
    who: Who,
    first: First,
    has_begun: AtomicBool,
}

/// Everything that was seen, case by case.
fn outcomes(world: &World, fast: Fast) -> Vec<BTreeSet<String>> {
    let address = SocketAddr::new(World::pod(Way::V4), 9000);
    let scene: Arc<Mutex<Option<Arc<Scene>>>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let pod = Backend::serving(&world.pods, address, {
        let scene = Arc::clone(&scene);
        move |stream, _| {
            let Some(scene) = scene.lock().clone() else { return };
            let seen = part(stream, &scene, scene.who == Who::Pod);
            // Nobody listens any more when the test has failed.
            let _ = tell.lock().send(seen);
        }
    });
    let gateway = Gateway::start(world, fast, &streams_to(address));
    let one = |case: &Case, number: usize| {
        let (who, first) = (case.who, case.first);
        let now = Arc::new(Scene { who, first, has_begun: AtomicBool::new(false) });
        *scene.lock() = Some(Arc::clone(&now));
        let stream = connect(&world.caller, World::entrance(Way::V4, number.is_multiple_of(2))).expect("the gateway");
        let caller = part(stream, &now, who == Who::Caller);
        let pod = told.recv_timeout(PATIENCE).unwrap_or_else(|_| "was not reached".to_owned());
        if who == Who::Caller { format!("{caller}; {pod}") } else { format!("{pod}; {caller}") }
    };
    let seen = CASES.iter().map(|case| (0..scale::of(10, 200)).map(|number| one(case, number)).collect()).collect();
    assert_eq!(gateway.counts().redirected > 0, fast.is_on());
    drop((gateway, pod));
    seen
}

/// One side's part, and what it saw.
fn part(stream: TcpStream, scene: &Scene, is_first: bool) -> String {
    let done = match (is_first, scene.first) {
        (true, First::Ends) => give(&stream, 1).and_then(|()| Ok(take(stream, scene, 2)?.said())),
        (true, First::Resets) => resets(&stream, scene).map(|()| "left".to_owned()),
        (true, First::LeavesUnread) => leaves(&stream).map(|()| "left".to_owned()),
        (false, First::Ends) => answers(stream, scene),
        (false, First::Resets) => take(stream, scene, 1).map(|taken| taken.end.to_owned()),
        // The other may have gone before everything was sent.
        (false, First::LeavesUnread) => send(&stream, Write::Whole, &content(2), &mut Rng::new())
            .and_then(|()| take(stream, scene, 1))
            .map(|taken| taken.end.to_owned()),
    };
    done.unwrap_or_else(|error| how(&error))
}

fn content(seed: u64) -> Vec<u8> {
    Content::new(seed).bytes(0..BODY)
}

fn give(stream: &TcpStream, seed: u64) -> io::Result<()> {
    send(stream, Write::Whole, &content(seed), &mut Rng::new())?;
    stream.shutdown(Shutdown::Write)
}

fn answers(stream: TcpStream, scene: &Scene) -> io::Result<String> {
    let back = stream.try_clone()?;
    let taken = take(stream, scene, 1)?;
    give(&back, 2)?;
    Ok(taken.said())
}

fn resets(stream: &TcpStream, scene: &Scene) -> io::Result<()> {
    send(stream, Write::Whole, &content(1), &mut Rng::new())?;
    // A reset throws away what is under way.
    wait::until("the other side to read", PATIENCE, || scene.has_begun.load(Ordering::SeqCst).then_some(()));
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

fn leaves(stream: &TcpStream) -> io::Result<()> {
    let limit = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).map_err(io::Error::other)?, tv_nsec: 0 };
    let came = poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&limit))?;
    if came == 0 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
}

/// What came until the end.
struct Taken {
    bytes: u64,
    end: &'static str,
}

impl Taken {
    fn said(&self) -> String {
        let amount = if self.bytes == BODY { "whole" } else { "a part" };
        format!("{amount}, {}", self.end)
    }
}

fn take(stream: TcpStream, scene: &Scene, seed: u64) -> io::Result<Taken> {
    let mut reader = Reader::new(stream, Read::Edge, 16 << 10)?;
    let mut at = 0;
    loop {
        let bytes = match reader.fill(None) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Ok(Taken { bytes: at, end: "a reset" });
            }
            other => other?,
        };
        if bytes.is_empty() {
            return Ok(Taken { bytes: at, end: "the end" });
        }
        Content::new(seed).check(at, bytes).map_err(io::Error::other)?;
        at += bytes.len() as u64;
        let count = bytes.len();
        reader.consume(count);
        scene.has_begun.store(true, Ordering::SeqCst);
    }
}

/// How a connection has failed, in a word.
fn how(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "a reset".to_owned(),
        _ => error.to_string(),
    }
}
