//! Servers of protocol TCP: what is passed on unread arrives in its place, to the end of each direction.

mod ends;
pub(crate) mod late;

use crate::{
    peers::{Backend, Content, PATIENCE, Read, Reader, WRITES, Write, connect, send},
    scale,
    world::{self, Fast, Gateway, MODES, WAYS, Way, World, streams_to},
};
use fastrand::Rng;
use harness::wait;
use parking_lot::Mutex;
use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    thread,
};

/// Readers that do not block.
const READS: [Read; 3] = [Read::Level, Read::Edge, Read::EdgeShort];
const CALLERS: u64 = 4;

/// Who sends when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turns {
    Both,
    /// The pod, when it has seen the caller's end.
    PodLast,
    /// The caller, when it has seen the pod's.
    CallerLast,
    /// A small message each, one after the other.
    Alternating,
}

const TURNS: [Turns; 4] = [Turns::Both, Turns::PodLast, Turns::CallerLast, Turns::Alternating];
/// The length of a small message.
const SMALL: usize = 300;

/// One connection: what each side sends until it ends its own.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    seed: u64,
    up: u64,
    down: u64,
    turns: Turns,
    /// How both write.
    write: Write,
}

#[test]
fn streams_arrive_whole_in_both_directions() {
    world::run("fastpath::streams_arrive_whole_in_both_directions", |world| {
        for fast in MODES {
            streams(world, fast);
        }
    });
}

fn streams(world: &World, fast: Fast) {
    let address = SocketAddr::new(World::pod(Way::V4), 9000);
    let faults = Arc::new(Mutex::new(Vec::new()));
    let pod = Backend::serving(&world.pods, address, {
        let faults = Arc::clone(&faults);
        move |stream, _| {
            let done = serve(stream);
            faults.lock().extend(done.err().map(|error| format!("the pod: {error}")));
        }
    });
    let gateway = Gateway::start(world, fast, &streams_to(address));
    let carried = Mutex::new((0, 0));
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (faults, carried) = (&faults, &carried);
            scope.spawn(move || {
                let mut random = Rng::with_seed(caller);
                for round in 0..scale::of(30, 300) {
                    let transfer = Transfer::draw(&mut random, round);
                    let entrance = World::entrance(WAYS[round % WAYS.len()], random.bool());
                    let how = READS[random.usize(..READS.len())];
                    let done = connect(&world.caller, entrance).and_then(|stream| call(stream, transfer, how));
                    faults.lock().extend(done.err().map(|error| format!("{how:?}, {transfer:?}: {error}")));
                    let mut carried = carried.lock();
                    carried.0 += transfer.up + Transfer::BYTES as u64;
                    carried.1 += transfer.down;
                }
            });
        }
    });
    turns_are_counted(world, &gateway, fast);
    {
        let faults = faults.lock();
        assert!(faults.is_empty(), "{} went wrong:\n{}", faults.len(), faults.join("\n"));
    }
    let (up, down) = carried.into_inner();
    // What TCP has carried is counted in full when a connection ends.
    wait::until("the connections to end", PATIENCE, || {
        let pairs = &gateway.status()["pairs"];
        [&pairs["callers"], &pairs["endpoints"]].iter().all(|count| count.as_u64().unwrap_or(0) == 0).then_some(())
    });
    for (counts, carried) in gateway.directions().iter().zip([up, down, up, down]) {
        println!("{fast:?}: {carried} bytes, {counts:?}");
        if fast.is_on() {
            assert!(counts.redirected > 0, "the kernel moved nothing of {carried} bytes: {counts:?}");
            let counted = counts.bytes + counts.passed_bytes;
            assert!(
                (carried - carried / 50..carried + carried / 50).contains(&counted),
                "{counted} of {carried} bytes are accounted for: {counts:?}"
            );
        } else {
            assert_eq!(counts.redirected, 0, "the kernel was to stay away");
        }
    }
    drop((gateway, pod));
}

/// Small messages by turns: nothing is on its way when the next one is sent, so the kernel moves them all, and says so.
fn turns_are_counted(world: &World, gateway: &Gateway<'_>, fast: Fast) {
    const ROUNDS: u64 = 100;
    const LENGTH: u64 = SMALL as u64;
    let transfer = Transfer {
        seed: 1,
        up: ROUNDS * LENGTH,
        down: ROUNDS * LENGTH,
        turns: Turns::Alternating,
        write: Write::Whole,
    };
    let before = gateway.directions();
    let stream = connect(&world.caller, World::entrance(Way::V4, true)).expect("the gateway");
    call(stream, transfer, Read::Edge).expect("every byte");
    for (now, before) in gateway.directions().iter().zip(before) {
        let counts = now.since(&before);
        // The first messages may come before the two ends are known to be each other's.
        let least = if fast.is_on() { (ROUNDS - 5) * LENGTH } else { 0 };
        assert!(counts.bytes >= least, "the kernel was to move {least} bytes: {counts:?}");
    }
}

/// The caller's part.
fn call(stream: TcpStream, transfer: Transfer, how: Read) -> io::Result<()> {
    send(&stream, Write::Whole, &transfer.to_bytes(), &mut Rng::new())?;
    let reader = Reader::new(stream.try_clone()?, how, 32 << 10)?;
    let to_send = Content::new(transfer.seed).bytes(0..transfer.up);
    let expected = (Content::new(transfer.seed + 1), transfer.down);
    exchange(
        &stream,
        reader,
        transfer.write,
        &to_send,
        expected,
        match transfer.turns {
            Turns::CallerLast => Order::ReadFirst,
            Turns::Alternating => Order::SendByTurns,
            Turns::Both | Turns::PodLast => Order::AtOnce,
        },
    )
}

/// The pod's part.
fn serve(stream: TcpStream) -> io::Result<()> {
    let mut reader = Reader::new(stream.try_clone()?, Read::Edge, 16 << 10)?;
    let mut first = Vec::new();
    while first.len() < Transfer::BYTES {
        let bytes = reader.fill(None)?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = bytes.len().min(Transfer::BYTES - first.len());
        first.extend_from_slice(&bytes[..count]);
        reader.consume(count);
    }
    let transfer = Transfer::from_bytes(&first);
    let to_send = Content::new(transfer.seed + 1).bytes(0..transfer.down);
    let expected = (Content::new(transfer.seed), transfer.up);
    exchange(
        &stream,
        reader,
        transfer.write,
        &to_send,
        expected,
        match transfer.turns {
            Turns::PodLast => Order::ReadFirst,
            Turns::Alternating => Order::ReadByTurns,
            Turns::Both | Turns::CallerLast => Order::AtOnce,
        },
    )
}

/// What one side does first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    AtOnce,
    /// Reads to the end.
    ReadFirst,
    /// Sends one message, reads one, and so on.
    SendByTurns,
    /// Reads one message, sends one, and so on.
    ReadByTurns,
}

fn exchange(
    stream: &TcpStream,
    reader: Reader,
    write: Write,
    to_send: &[u8],
    (content, length): (Content, u64),
    order: Order,
) -> io::Result<()> {
    let mut arriving = Arriving { reader, content, at: 0 };
    let give = || {
        if !to_send.is_empty() {
            send(stream, write, to_send, &mut Rng::new())?;
        }
        stream.shutdown(Shutdown::Write)
    };
    match order {
        Order::AtOnce => thread::scope(|scope| {
            let giving = scope.spawn(give);
            let taken = arriving.take(u64::MAX);
            giving.join().map_err(|_panic| io::Error::other("the writer panicked"))?.and(taken)
        })?,
        Order::ReadFirst => {
            arriving.take(u64::MAX)?;
            give()?;
        }
        Order::SendByTurns | Order::ReadByTurns => {
            for message in to_send.chunks(SMALL) {
                let next = arriving.at + message.len() as u64;
                if order == Order::ReadByTurns {
                    arriving.take(next)?;
                }
                send(stream, write, message, &mut Rng::new())?;
                if order == Order::SendByTurns {
                    arriving.take(next)?;
                }
            }
            stream.shutdown(Shutdown::Write)?;
            arriving.take(u64::MAX)?;
        }
    }
    if arriving.at == length {
        Ok(())
    } else {
        Err(io::Error::other(format!("{} of {length} bytes came", arriving.at)))
    }
}

/// What comes, byte for byte.
struct Arriving {
    reader: Reader,
    content: Content,
    at: u64,
}

impl Arriving {
    /// Reads to the place `until`, or to the end.
    fn take(&mut self, until: u64) -> io::Result<()> {
        while self.at < until {
            let bytes = self.reader.fill(None)?;
            if bytes.is_empty() {
                break;
            }
            self.content.check(self.at, bytes).map_err(io::Error::other)?;
            let count = bytes.len();
            self.reader.consume(count);
            self.at += count as u64;
        }
        Ok(())
    }
}

impl Transfer {
    const BYTES: usize = 26;

    fn draw(random: &mut Rng, round: usize) -> Self {
        let large = scale::of(8 << 20, 64 << 20);
        let mut size = || {
            let sizes = [0, 1, 300, 16 << 10, 300_000, 1 << 20];
            sizes[random.usize(..sizes.len())]
        };
        // Now and then much more than everything on the way holds.
        let (up, down) = match round % 15 {
            0 => (large, size()),
            5 => (size(), large),
            10 => (large, large),
            _ => (size(), size()),
        };
        // By turns both send as much, which is what `turns_are_counted` does.
        let (turns, write) = (TURNS[random.usize(..3)], WRITES[random.usize(..WRITES.len())]);
        Self { seed: random.u64(..u64::MAX), up: up as u64, down: down as u64, turns, write }
    }

    fn to_bytes(self) -> Vec<u8> {
        let place = |found: Option<usize>| u8::try_from(found.expect("one of them")).expect("a few");
        let mut bytes: Vec<u8> = [self.seed, self.up, self.down].map(u64::to_le_bytes).concat();
        bytes.push(place(TURNS.iter().position(|turns| *turns == self.turns)));
        bytes.push(place(WRITES.iter().position(|write| *write == self.write)));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let (turns, write) = (TURNS[usize::from(bytes[24])], WRITES[usize::from(bytes[25])]);
        Self { seed: number(0), up: number(8), down: number(16), turns, write }
    }
}
