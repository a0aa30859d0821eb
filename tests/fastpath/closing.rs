//! Every way in which a connection can end, on either side and at every point: what both peers see with the short-circuit is
//! what they see without, but for the differences the table names.

mod pod;
mod table;

use crate::{
    peers::{Backend, Content, Head, Read, Reader, Write, connect, send},
    scale,
    world::{self, Fast, Gateway, Way, World, everything_to},
};
use fastrand::Rng;
use harness::wait;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use std::{
    collections::BTreeMap,
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::mpsc,
    time::Duration,
};
use table::{CASES, Case};

const PATIENCE: Duration = Duration::from_secs(20);
/// A body that goes into no single message, and into every buffer.
const BODY: u64 = 100_000;

/// What the caller does with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// Sends a request and reads the answer to its end.
    Polite,
    /// Ends after half of the head.
    HalfHeadThenClose,
    HalfHeadThenReset,
    /// Ends after half of the body.
    HalfBodyThenClose,
    HalfBodyThenReset,
    HalfBodyThenShutdown,
    /// Says that it is through, and reads the answer.
    Shutdown,
    /// Ends as soon as the request is sent.
    CloseAtOnce,
    ResetAtOnce,
    /// Ends when the answer is there, without reading it.
    CloseUnread,
    /// Reads the first bytes of the answer only.
    CloseWhileReading,
    ResetWhileReading,
}

/// What the pod does once it has read the head of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pod {
    /// Reads the body and answers.
    Polite,
    /// Answers with much.
    Large,
    /// Reads the body and ends without an answer.
    CloseWithoutAnswer,
    ResetWithoutAnswer,
    /// Ends in the middle of the answer.
    CloseInAnswer,
    ResetInAnswer,
    /// Answers, and ends without having said so.
    CloseAfterAnswer,
    ResetAfterAnswer,
    ShutdownAfterAnswer,
    /// Answers before it has read the body, and ends.
    EarlyAnswer,
}

/// What became of it: what the caller saw, and what the pod saw.
type Outcome = String;

#[test]
fn connections_end_as_they_do_without_the_kernel() {
    world::run("fastpath::connections_end_as_they_do_without_the_kernel", |world| {
        let rounds = scale::of(10, 200);
        let userspace = outcomes(world, Fast::Off, rounds);
        let kernel = outcomes(world, Fast::Require, rounds);
        let mut findings = Vec::new();
        for (case, (userspace, kernel)) in CASES.iter().zip(userspace.iter().zip(&kernel)) {
            println!("{:?} and {:?}:\n  userspace {userspace:?}\n  kernel    {kernel:?}", case.caller, case.pod);
            for outcome in userspace.keys().filter(|outcome| !case.allows(Fast::Off, outcome)) {
                findings.push(format!("{:?} and {:?} gave {outcome:?} in userspace", case.caller, case.pod));
            }
            for outcome in kernel.keys().filter(|outcome| !case.allows(Fast::Require, outcome)) {
                findings.push(format!("{:?} and {:?} gave {outcome:?} with the kernel", case.caller, case.pod));
            }
        }
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    });
}

/// How often each outcome was seen, case by case.
fn outcomes(world: &World, fast: Fast, rounds: usize) -> Vec<BTreeMap<Outcome, usize>> {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let address = SocketAddr::new(World::pod(Way::V4), 9000);
    let backend = Backend::serving(&world.pods, address, move |stream, _| pod::serve(stream, &tell));
    let gateway = Gateway::start(world, fast, &everything_to(&[("pod".to_owned(), address)]));
    let one = |case: &Case, round: usize| {
        let mut seen = BTreeMap::new();
        for number in 0..round {
            let entrance = World::entrance(Way::V4, number % 2 == 0);
            let stream = connect(&world.caller, entrance).expect("the gateway");
            let caller = call(stream, case).unwrap_or_else(|error| format!("{error:?}"));
            let pod = if case.caller.reaches_the_pod() {
                told.recv_timeout(PATIENCE).unwrap_or_else(|_| "was not asked".to_owned())
            } else {
                "was not asked".to_owned()
            };
            *seen.entry(format!("caller {caller}; pod {pod}")).or_default() += 1;
            if case.pod.ends() {
                until_noticed(world);
            }
        }
        seen
    };
    let seen = CASES.iter().map(|case| one(case, rounds)).collect();
    let counts = gateway.counts();
    assert_eq!(counts.redirected > 0, fast.is_on(), "{counts:?}");
    drop((gateway, backend));
    seen
}

impl Caller {
    fn reaches_the_pod(self) -> bool {
        !matches!(self, Self::HalfHeadThenClose | Self::HalfHeadThenReset)
    }
}

impl Pod {
    /// The connection ends with the exchange, and its answer does not say so.
    fn ends(self) -> bool {
        !matches!(self, Self::Polite | Self::Large)
    }
}

/// Waits until the gateway's kernel has heard that the pod ended the connection. A request that is not safe to repeat gets
/// 503 when it goes out on a connection that the pod is about to end (RFC 9110 §9.2.2), with the short-circuit and without;
/// that race is not looked at here.
fn until_noticed(world: &World) {
    let open = || world.node.run("ss -Htan state established dst 10.244.3.2");
    wait::until("the pod's end to arrive", PATIENCE, || open().is_empty().then_some(()));
}

/// Plays the caller's part; answers with what it saw.
fn call(stream: TcpStream, case: &Case) -> io::Result<String> {
    let head = format!("POST /pod/x HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY}\r\nx-do: {:?}\r\n\r\n", case.pod);
    let body = Content::new(1).bytes(0..BODY);
    let half = body.len() / 2;
    let begun = pod::begun();
    match case.caller {
        Caller::HalfHeadThenClose | Caller::HalfHeadThenReset => {
            write(&stream, &head.as_bytes()[..30])?;
            if case.caller == Caller::HalfHeadThenReset {
                reset(&stream)?;
            }
            return Ok("left".to_owned());
        }
        Caller::HalfBodyThenClose | Caller::HalfBodyThenReset | Caller::HalfBodyThenShutdown => {
            write(&stream, head.as_bytes())?;
            write(&stream, &body[..half])?;
            match case.caller {
                Caller::HalfBodyThenShutdown => {
                    stream.shutdown(Shutdown::Write)?;
                    return Ok(read_answer(stream));
                }
                Caller::HalfBodyThenReset => {
                    // Not before the pod has begun to read: a reset throws away what is under way.
                    pod::until_begun(begun);
                    reset(&stream)?;
                }
                _ => {}
            }
            return Ok("left".to_owned());
        }
        _ => {}
    }
    let sent = write(&stream, head.as_bytes()).and_then(|()| write(&stream, &body));
    if case.pod != Pod::EarlyAnswer {
        sent?;
    }
    match case.caller {
        Caller::Polite => return Ok(read_answer(stream)),
        Caller::Shutdown => {
            stream.shutdown(Shutdown::Write)?;
            return Ok(read_answer(stream));
        }
        Caller::ResetAtOnce => {
            pod::until_begun(begun);
            reset(&stream)?;
        }
        Caller::CloseUnread => {
            let mut fds = [PollFd::new(&stream, PollFlags::IN)];
            poll(&mut fds, None)?;
        }
        Caller::CloseWhileReading | Caller::ResetWhileReading => {
            let mut reader = Reader::new(stream.try_clone()?, Read::Level, 200)?;
            reader.fill(None)?;
            if case.caller == Caller::ResetWhileReading {
                reset(&stream)?;
            }
        }
        _ => {}
    }
    Ok("left".to_owned())
}

fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    send(stream, Write::Whole, bytes, &mut Rng::with_seed(1))
}

/// Closing this socket sends RST.
fn reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// What a caller sees that reads to the end of the answer.
fn read_answer(stream: TcpStream) -> String {
    let answer = || -> io::Result<String> {
        let mut reader = Reader::new(stream, Read::Edge, 16 << 10)?;
        let head = Head::read(&mut reader)?;
        let status = head.start.split(' ').nth(1).unwrap_or("no status").to_owned();
        if status != "200" && status != "413" {
            return Ok(status);
        }
        let mut wrong = None;
        let body =
            head.body(&mut reader, |at, bytes| wrong = wrong.take().or_else(|| Content::new(2).check(at, bytes).err()));
        Ok(match (wrong, body) {
            (Some(wrong), _) => format!("{status} with wrong bytes: {wrong}"),
            (None, Ok(_)) => status,
            (None, Err(error)) => format!("{status} cut by {}", end(&error)),
        })
    };
    answer().unwrap_or_else(|error| end(&error).to_owned())
}

/// In a word.
fn end(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the end".to_owned(),
        io::ErrorKind::ConnectionReset => "a reset".to_owned(),
        _ => error.to_string(),
    }
}
