//! A node with a gateway on it, without a daemon: this process plays the gateway, its callers and its endpoints, each with
//! sockets of its own, in a network namespace of its own.

use crate::cgroup::TestCgroup;
use gateway::fastpath::{self, Fastpath, FastpathMode, Sockets};
use harness::{netns, wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Node {
    pub(crate) fastpath: Fastpath,
    pub(crate) sockets: Sockets,
    _group: TestCgroup,
}

/// Two ends of one connection.
pub(crate) struct Connection {
    pub(crate) caller: TcpStream,
    pub(crate) called: TcpStream,
}

/// Runs `test` on a node of its own.
pub(crate) fn run(test: impl FnOnce(&Node) + Send + 'static) {
    netns::isolated(|| {
        let group = TestCgroup::enter();
        let fastpath = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
        let sockets = fastpath.sockets().expect("the programs are attached");
        test(&Node { fastpath, sockets, _group: group });
    });
}

impl Node {
    /// A listener of the gateway, and what keeps its port announced.
    pub(crate) fn gateway(&self, address: &str) -> (TcpListener, fastpath::Announced) {
        let address: SocketAddr = address.parse().expect("an address");
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        if address.is_ipv6() {
            socket.set_only_v6(false).expect("an option");
        }
        socket.bind(&address.into()).expect("a free address");
        let port = socket.local_addr().expect("bound").as_socket().expect("an address").port();
        let announced = self.sockets.announce(&socket, port).expect("announce the listener");
        socket.listen(16).expect("listen");
        (socket.into(), announced)
    }

    /// A caller's connection to the gateway, as it asks for `to`.
    pub(crate) fn call(&self, gateway: &TcpListener, to: &str) -> Connection {
        Connection::new(connect(to, None).into(), gateway)
    }

    /// The gateway's connection to an endpoint.
    pub(crate) fn forward(&self, endpoint: &TcpListener) -> Connection {
        let to = endpoint.local_addr().expect("bound");
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        self.sockets.claim(&socket).expect("claim the socket");
        socket.connect(&to.into()).expect("connect to the endpoint");
        Connection::new(socket.into(), endpoint)
    }

    /// Messages redirected so far in all directions.
    pub(crate) fn redirected(&self) -> u64 {
        self.fastpath.status().moved.values().map(|moved| moved.redirected.messages).sum()
    }

    /// Messages left to TCP for `reason` so far.
    pub(crate) fn passed(&self, reason: &str) -> u64 {
        self.fastpath.status().moved.values().map(|moved| moved.passed_because[reason]).sum()
    }

    /// Connections that were not taken in for `reason`.
    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.fastpath.status().refused[reason]
    }

    /// How many connections have been proven.
    pub(crate) fn paired(&self) -> u64 {
        self.fastpath.status().pairs.expect("counters").total
    }

    /// Waits until there are so many live pairs.
    pub(crate) fn until_pairs(&self, expected: u64) {
        let mut last = None;
        wait::until(&format!("{expected} pairs"), PATIENCE, || {
            last = self.fastpath.status().pairs.map(|pairs| pairs.callers + pairs.endpoints);
            (last == Some(expected)).then_some(())
        });
    }
}

impl Connection {
    pub(crate) fn new(caller: TcpStream, listener: &TcpListener) -> Self {
        let (called, _) = listener.accept().expect("accept");
        for stream in [&caller, &called] {
            stream.set_nodelay(true).expect("an option");
            stream.set_nonblocking(true).expect("an option");
        }
        Self { caller, called }
    }

    /// Sends `bytes` there and back, and asserts that they arrive.
    pub(crate) fn echo(&self, bytes: &[u8]) {
        (&self.caller).write_all(bytes).expect("send");
        assert_eq!(read(&self.called, bytes.len()), bytes);
        (&self.called).write_all(bytes).expect("send");
        assert_eq!(read(&self.caller, bytes.len()), bytes);
    }
}

/// Connects as event-driven programs do: with a socket that never blocks.
pub(crate) fn connect(to: &str, from: Option<&str>) -> Socket {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let socket = Socket::new(Domain::for_address(address(to)), Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    if let Some(from) = from {
        socket.bind(&address(from).into()).expect("a free port");
    }
    socket.set_nonblocking(true).expect("an option");
    if let Err(error) = socket.connect(&address(to).into()) {
        assert_eq!(error.raw_os_error(), Some(nix::libc::EINPROGRESS), "cannot connect to {to}: {error}");
    }
    socket
}

/// The next `length` bytes, or fewer when the stream ends before.
pub(crate) fn read(mut stream: &TcpStream, length: usize) -> Vec<u8> {
    let (mut received, mut piece) = (Vec::new(), [0; 64 * 1024]);
    while received.len() < length {
        let wanted = piece.len().min(length - received.len());
        let read = stream.read(&mut piece[..wanted]);
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            until_readable(stream);
            continue;
        }
        match read.expect("what was sent") {
            0 => break,
            bytes => received.extend_from_slice(&piece[..bytes]),
        }
    }
    received
}

fn until_readable(stream: &TcpStream) {
    let mut wanted = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(PATIENCE).expect("seconds");
    assert_eq!(poll(&mut wanted, patience).expect("poll"), 1, "nothing came");
}
