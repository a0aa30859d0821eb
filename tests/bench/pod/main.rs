//! A pod that costs next to nothing: it finds the end of a request's head, and answers from memory. Load and pods share
//! a CPU, and what they take of it is what a gateway cannot be seen to be faster than.

mod connection;

use anyhow::{Context, anyhow, ensure};
use clap::Parser;
use connection::{Answer, Connection, Next};
use rustix::{
    buffer::spare_capacity,
    event::epoll,
    io::Errno,
    net::{AddressFamily, SocketType, bind, listen, socket, sockopt},
};
use std::{
    collections::HashMap,
    fs,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    thread,
};

/// As many connections as may wait to be accepted.
const BACKLOG: i32 = 8192;
/// Of the listener; descriptors of connections are never that.
const LISTENER: u64 = u64::MAX;

#[derive(Parser)]
struct Arguments {
    /// Where it listens
    #[arg(long)]
    listen: SocketAddr,
    /// A file with the answer to every request, from its status line to its last byte
    #[arg(long)]
    answer: PathBuf,
    /// Threads, each with a listener of its own
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.workers > 0, "--workers is 0: somebody must answer");
    let answer = fs::read(&arguments.answer).with_context(|| format!("read {}", arguments.answer.display()))?;
    let answer = Answer::new(answer).with_context(|| format!("{} is no answer", arguments.answer.display()))?;
    thread::scope(|scope| {
        let serve = || serve(&listener(arguments.listen)?, &answer);
        let workers: Vec<_> = (0..arguments.workers).map(|_| scope.spawn(serve)).collect();
        for worker in workers {
            worker.join().map_err(|panicked| anyhow!("a worker has panicked: {panicked:?}"))??;
        }
        Ok(())
    })
}

/// One of several for the same address: the kernel shares connections out among them.
fn listener(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None).context("open a socket")?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &address).with_context(|| format!("bind to {address}"))?;
    listen(&socket, BACKLOG).with_context(|| format!("listen on {address}"))?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers for as long as the process lives.
fn serve(listener: &TcpListener, answer: &Answer) -> anyhow::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).context("make an epoll")?;
    epoll::add(&poll, listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut connections = HashMap::new();
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        match epoll::wait(&poll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for events"),
        }
        for event in &events {
            let key = event.data.u64();
            if key == LISTENER {
                accept(listener, &poll, &mut connections)?;
            } else if let Some(connection) = connections.get_mut(&key)
                && connection.serve(answer) == Next::End
            {
                // Closed, it leaves the epoll too.
                connections.remove(&key);
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &OwnedFd, connections: &mut HashMap<u64, Connection>) -> anyhow::Result<()> {
    // Whoever cannot be accepted is gone already.
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let key = u64::try_from(stream.as_raw_fd()).context("a descriptor below 0")?;
        epoll::add(poll, &stream, epoll::EventData::new_u64(key), epoll::EventFlags::IN)?;
        connections.insert(key, Connection::new(stream));
    }
    Ok(())
}
