//! Does this kernel do what the short-circuit relies on? Asked once, before the first connection is taken in.
//!
//! It concerns nobody else: only calls to a port that the programs were told about are looked at, and that is the port of a
//! listener on loopback made here. Where another daemon has left something, a private copy is attached to the cgroup for a
//! moment; otherwise what is tested is what stays.

use super::{
    Unavailable, heartbeat,
    load::{Keep, Loaded},
    maps::Maps,
    sockets::{SocketCookie, Sockets},
};
use gateway_ebpf::{Direction, Pair, QUEUE_BUDGET_OF_GATEWAY};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long a single answer may take before it counts as lost. Everything happens within this machine.
const PATIENCE: Duration = Duration::from_millis(500);

/// What did not go as it has to.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the gateway's own sockets are not in the cgroup, so that no connection of its could be found")]
    NotPaired,
    #[error("another program puts the sockets of this cgroup into a map of its own; detach it, or leave them to it")]
    Foreign,
    #[error("{0}")]
    Wrong(&'static str),
}

/// Runs every check on a private copy of `object`.
///
/// # Errors
/// [`Unavailable::SelfTest`] with the first check that failed, or what kept the copy from being loaded.
pub(super) fn run_apart(object: &[u8], cgroup: &Path) -> Result<(), Unavailable> {
    run(&Arc::new(Loaded::new(object, cgroup.to_owned(), Keep::Private)?))
}

/// Runs every check on what nobody uses yet, and leaves no trace of them.
///
/// # Errors
/// [`Unavailable::SelfTest`] with the first check that failed.
pub(super) fn run(loaded: &Arc<Loaded>) -> Result<(), Unavailable> {
    let _not_on_yet = heartbeat::beat(loaded);
    loaded.enable()?;
    let checked = check(loaded);
    if checked.is_err() && !loaded.is_latest() {
        // Another daemon has taken over in the meantime, and its own test has passed.
        loaded.enable()?;
    }
    checked.map_err(|source| Unavailable::SelfTest { source })
}

fn check(loaded: &Arc<Loaded>) -> Result<(), Mismatch> {
    let test = Test::new(loaded)?;
    let checked = test.all();
    let cookies = [SocketCookie::of(&test.caller)?, SocketCookie::of(&test.gateway)?];
    drop(test);
    let mut maps = loaded.maps();
    for cookie in cookies {
        maps.remove_pair(cookie.number());
    }
    maps.forget_counts().map_err(io::Error::other)?;
    checked
}

struct Test<'l> {
    loaded: &'l Loaded,
    caller: TcpStream,
    gateway: TcpStream,
}

impl<'l> Test<'l> {
    fn new(loaded: &'l Arc<Loaded>) -> Result<Self, Mismatch> {
        let sockets = Sockets::new(Arc::clone(loaded));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
        let _announced = sockets.announce(&socket, port)?;
        socket.listen(1)?;
        let listener = TcpListener::from(socket);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let caller = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        caller.set_nonblocking(true)?;
        match caller.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error.into()),
            _ => {}
        }
        let (gateway, _) = listener.accept()?;
        let caller = TcpStream::from(caller);
        for stream in [&caller, &gateway] {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
        }
        let test = Self { loaded, caller, gateway };
        if test.pair().is_ok() {
            return Ok(test);
        }
        let events = test.maps(|maps| maps.events())?;
        Err(if events.refused_foreign > 0 { Mismatch::Foreign } else { Mismatch::NotPaired })
    }

    fn all(&self) -> Result<(), Mismatch> {
        self.bytes_arrive()?;
        self.tcp_goes_before_what_follows_it()?;
        self.what_was_redirected_goes_before_tcp()?;
        self.a_reader_that_stands_still_costs_little()?;
        self.the_end_comes_last()
    }

    fn bytes_arrive(&self) -> Result<(), Mismatch> {
        let before = self.redirected()?;
        self.send(b"request")?;
        demand(self.queued()? == Some(7), "the kernel does not tell how much is queued")?;
        self.expect(b"request", "what was redirected did not arrive as it was sent")?;
        (&self.gateway).write_all(b"response")?;
        demand(read(&self.caller, 8)? == b"response", "what was redirected did not arrive as it was sent")?;
        demand(self.redirected()? == before + 1, "a message that could be redirected was not")
    }

    /// Redirecting waits until everything that went through TCP has been read.
    fn tcp_goes_before_what_follows_it(&self) -> Result<(), Mismatch> {
        self.switch(false)?;
        self.send(b"first ")?;
        self.switch(true)?;
        let before = self.redirected()?;
        self.send(b"second")?;
        demand(self.redirected()? == before, "a message was redirected past one that TCP still had")?;
        self.expect(b"first second", "bytes arrived out of order")?;
        self.send(b"third")?;
        demand(self.redirected()? == before + 1, "nothing is redirected any more once TCP was used")?;
        self.expect(b"third", "what was redirected did not arrive as it was sent")
    }

    fn what_was_redirected_goes_before_tcp(&self) -> Result<(), Mismatch> {
        self.send(b"first ")?;
        self.switch(false)?;
        self.send(b"second")?;
        self.switch(true)?;
        self.expect(b"first second", "bytes arrived out of order")
    }

    fn a_reader_that_stands_still_costs_little(&self) -> Result<(), Mismatch> {
        const MESSAGE: usize = 32 * 1024;
        // Some more than there is room for.
        const MESSAGES: usize = QUEUE_BUDGET_OF_GATEWAY as usize / MESSAGE + 4;
        let over_budget =
            || self.maps(|maps| maps.stats(Direction::CALLER_TO_GATEWAY)).map(|all| all.passed_over_budget);
        let (before, over_before) = (self.pair()?, over_budget()?);
        let sent: Vec<u8> = (0..MESSAGES).flat_map(|number| [number.to_le_bytes()[0]; MESSAGE]).collect();
        for message in sent.chunks(MESSAGE) {
            self.send(message)?;
        }
        let redirected = self.pair()?.redirected_bytes - before.redirected_bytes;
        demand(redirected <= u64::from(QUEUE_BUDGET_OF_GATEWAY), "more was queued than the guard allows")?;
        demand(over_budget()? > over_before, "the queue's limit was not noticed")?;
        self.expect(&sent, "bytes arrived out of order")
    }

    /// The end of the stream comes after everything, and what came before it stays readable when both sides are closed.
    fn the_end_comes_last(&self) -> Result<(), Mismatch> {
        let before = self.redirected()?;
        self.send(b"last")?;
        demand(self.redirected()? == before + 1, "a message that could be redirected was not")?;
        self.caller.shutdown(Shutdown::Write)?;
        self.gateway.shutdown(Shutdown::Write)?;
        demand(read(&self.gateway, usize::MAX)? == b"last", "bytes were lost at the end of a connection")
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        Ok((&self.caller).write_all(bytes)?)
    }

    fn expect(&self, bytes: &[u8], otherwise: &'static str) -> Result<(), Mismatch> {
        demand(read(&self.gateway, bytes.len())? == bytes, otherwise)?;
        // What TCP delivered is off the guard's books only when its acknowledgement has come back.
        let deadline = Instant::now() + PATIENCE;
        while self.queued()? != Some(0) {
            demand(Instant::now() < deadline, "what has been read still counts as queued")?;
            thread::yield_now();
        }
        Ok(())
    }

    /// Bytes the gateway has not read yet; `None` while some of them are TCP's.
    fn queued(&self) -> Result<Option<u32>, Mismatch> {
        Ok(self.loaded.queued(SocketCookie::of(&self.caller)?.number()))
    }

    /// Messages redirected to the gateway so far.
    fn redirected(&self) -> Result<u64, Mismatch> {
        Ok(self.pair()?.redirected_messages)
    }

    /// What is known about the caller's end.
    fn pair(&self) -> Result<Pair, Mismatch> {
        let cookie = SocketCookie::of(&self.caller)?;
        self.maps(|maps| maps.pair(cookie.number()))
    }

    fn switch(&self, on: bool) -> Result<(), Mismatch> {
        let mut maps = self.loaded.maps();
        let mut settings = maps.settings().map_err(io::Error::other)?;
        settings.enabled = u32::from(on);
        Ok(maps.set_settings(settings).map_err(io::Error::other)?)
    }

    fn maps<T>(&self, read: impl FnOnce(&Maps) -> Result<T, aya::maps::MapError>) -> Result<T, Mismatch> {
        Ok(read(&self.loaded.maps()).map_err(io::Error::other)?)
    }
}

/// The next `length` bytes, or fewer at the end of the stream.
fn read(mut stream: &TcpStream, length: usize) -> io::Result<Vec<u8>> {
    let (mut received, mut piece) = (Vec::new(), [0; 16 * 1024]);
    let deadline = Instant::now() + PATIENCE;
    while received.len() < length {
        let wanted = piece.len().min(length - received.len());
        match stream.read(&mut piece[..wanted]) {
            Ok(0) => break,
            Ok(bytes) => received.extend_from_slice(&piece[..bytes]),
            // Nobody else is waited for than the kernel, which is about to deliver.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(received)
}

fn demand(holds: bool, otherwise: &'static str) -> Result<(), Mismatch> {
    if holds { Ok(()) } else { Err(Mismatch::Wrong(otherwise)) }
}
