//! A pod that verifies what it is sent and answers as the request asks.

use super::{Content, Fault, Head, READS, Read, Reader, Write, listen, message, send, socket::prepare};
use crate::world::{Namespace, WAYS, Way, World};
use fastrand::Rng;
use parking_lot::Mutex;
use rustix::net::{Shutdown, SocketFlags, accept_with};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A listening pod with a thread for each connection.
pub(crate) struct Backend {
    listener: TcpListener,
    accepting: Option<JoinHandle<()>>,
    seen: Arc<Seen>,
}

/// What a backend has seen.
#[derive(Default)]
pub(crate) struct Seen {
    faults: Mutex<Vec<String>>,
    /// Connections may end at any point.
    may_break: AtomicBool,
    /// The pod is being ended: the next request on each connection meets its end at some point.
    ending: AtomicBool,
    requests: AtomicU64,
}

impl Backend {
    /// A backend that reads in one way and speaks HTTP.
    pub(crate) fn start(namespace: &Namespace, address: SocketAddr, how: Read) -> Self {
        Self::listening(namespace, address, how.blocks(), move |stream, seen| match serve(stream, how, seen) {
            Err(Fault::Broken(_)) if seen.may_break.load(Ordering::Relaxed) => {}
            Err(fault) => seen.faults.lock().push(format!("backend {how:?}: {fault}")),
            Ok(()) => {}
        })
    }

    /// A backend that does what `connection` does, with sockets that do not block.
    pub(crate) fn serving(
        namespace: &Namespace,
        address: SocketAddr,
        connection: impl Fn(TcpStream, &Seen) + Send + Sync + 'static,
    ) -> Self {
        Self::listening(namespace, address, false, connection)
    }

    fn listening(
        namespace: &Namespace,
        address: SocketAddr,
        blocks: bool,
        connection: impl Fn(TcpStream, &Seen) + Send + Sync + 'static,
    ) -> Self {
        let listener = listen(namespace, address);
        let seen = Arc::new(Seen::default());
        let connection = Arc::new(connection);
        let accepting = namespace.enter(|| {
            let (listener, seen) = (listener.try_clone().expect("a second handle"), Arc::clone(&seen));
            thread::spawn(move || {
                // In one step, as servers do that never block.
                let flags = if blocks { SocketFlags::CLOEXEC } else { SocketFlags::CLOEXEC | SocketFlags::NONBLOCK };
                while let Ok(stream) = accept_with(&listener, flags) {
                    let stream = TcpStream::from(stream);
                    let (seen, connection) = (Arc::clone(&seen), Arc::clone(&connection));
                    thread::spawn(move || connection(stream, &seen));
                }
            })
        });
        Self { listener, accepting: Some(accepting), seen }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// From now on a connection may end in the middle of a message.
    pub(crate) fn expect_broken_connections(&self) {
        self.seen.may_break.store(true, Ordering::Relaxed);
    }

    /// # Panics
    /// When it was sent something else than was meant.
    pub(crate) fn assert_content(&self) {
        let faults = self.seen.faults.lock();
        assert!(faults.is_empty(), "{} faults; the first: {}", faults.len(), faults[0]);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // Ends `accept`.
        let _ = rustix::net::shutdown(&self.listener, Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Answers request after request until the gateway ends the connection.
fn serve(stream: TcpStream, how: Read, seen: &Seen) -> Result<(), Fault> {
    let mut random = Rng::new();
    let piece = if random.bool() { 16 << 10 } else { 1024 };
    let opened = prepare(&stream, how.blocks()).and_then(|()| Reader::new(stream, how, piece));
    let mut reader = opened.map_err(|error| Fault::of("the connection", error))?;
    while reader.is_there_more().map_err(|error| Fault::of("waiting for a request", error))? {
        let head = Head::read(&mut reader).map_err(|error| Fault::of("reading a head", error))?;
        let close = exchange(&mut reader, &head, seen, &mut random);
        if close.map_err(|fault| fault.about(&format!("{head:?}")))? {
            break;
        }
    }
    Ok(())
}

/// Reads a request's body and answers it. True when the connection is to be closed.
fn exchange(reader: &mut Reader, head: &Head, seen: &Seen, random: &mut Rng) -> Result<bool, Fault> {
    let seed = head.number("x-seed").map_err(|error| Fault::of("its seed", error))?;
    if head.number("x-slow").is_ok_and(|slow| slow == 1) {
        reader.slow_down(random.fork());
    }
    let (content, mut wrong) = (Content::new(seed), None);
    let read = head.body(reader, |at, bytes| {
        if wrong.is_none() {
            wrong = content.check(at, bytes).err();
        }
    });
    read.map_err(|error| Fault::of("reading the body", error))?;
    if let Some(wrong) = wrong {
        return Err(Fault::Wrong(wrong));
    }
    seen.requests.fetch_add(1, Ordering::Relaxed);
    if seen.ending.load(Ordering::Relaxed) {
        return end_at_some_point(reader, head, seed, random).map_err(|error| Fault::of("ending", error));
    }
    answer(reader, head, seed, random).map_err(|error| Fault::of("answering", error))
}

/// A pod that ends does so before, in or after the head of its answer, or in its body, with or without a reset. Always true:
/// the connection closes.
fn end_at_some_point(reader: &Reader, head: &Head, seed: u64, random: &mut Rng) -> io::Result<bool> {
    let length = head.number("x-answer")?;
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    answer.extend(Content::new(seed.wrapping_add(1)).bytes(0..length / 2));
    answer.truncate(random.usize(..=answer.len()));
    // The gateway may have ended the connection as well.
    let _ = send(reader.stream(), Write::Whole, &answer, random);
    if random.bool() {
        let _ = socket2::SockRef::from(reader.stream()).set_linger(Some(Duration::ZERO));
    }
    Ok(true)
}

/// Answers whether the connection is to be closed.
fn answer(reader: &Reader, head: &Head, seed: u64, random: &mut Rng) -> io::Result<bool> {
    let body = Content::new(seed.wrapping_add(1)).bytes(0..head.number("x-answer")?);
    let how = head.field("x-write").and_then(Write::named).unwrap_or(Write::Whole);
    let (chunked, close) = (head.number("x-chunked")? == 1, head.number("x-close")? == 1);
    let framing =
        if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {}", body.len()) };
    let closing = if close { "connection: close\r\n" } else { "" };
    let mut message = format!("HTTP/1.1 200 OK\r\n{framing}\r\n{closing}\r\n").into_bytes();
    if chunked {
        message.extend_from_slice(&message::chunked(&body, random));
    } else {
        message.extend_from_slice(&body);
    }
    send(reader.stream(), how, &message, random)?;
    Ok(close)
}

/// One backend for each way to reach it and each way to read.
pub(crate) struct Backends {
    all: Vec<(String, SocketAddr, Backend)>,
}

impl Backends {
    pub(crate) fn start(world: &World) -> Self {
        let mut all = Vec::new();
        let mut port = 9000;
        for way in WAYS {
            for how in READS {
                port += 1;
                let address = if how.blocks() { World::blocking_pod(way) } else { World::pod(way) };
                let bind: IpAddr = match way {
                    Way::V4 => Ipv4Addr::UNSPECIFIED.into(),
                    // Takes IPv4 connections as IPv6 ones.
                    Way::Mapped => Ipv6Addr::UNSPECIFIED.into(),
                    Way::V6 => address,
                };
                let backend = Backend::start(&world.pods, SocketAddr::new(bind, port), how);
                all.push((Self::service(way, how), SocketAddr::new(address, port), backend));
            }
        }
        Self { all }
    }

    /// The name of a backend's Service.
    pub(crate) fn service(way: Way, how: Read) -> String {
        format!("{way:?}-{}", how.name()).to_lowercase()
    }

    pub(crate) fn services(&self) -> Vec<(String, SocketAddr)> {
        self.all.iter().map(|(name, address, _)| (name.clone(), *address)).collect()
    }

    pub(crate) fn assert_content(&self) {
        for (_, _, backend) in &self.all {
            backend.assert_content();
        }
    }

    /// From now on a connection may end in the middle of a message.
    pub(crate) fn expect_broken_connections(&self) {
        for (_, _, backend) in &self.all {
            backend.expect_broken_connections();
        }
    }

    /// Ends, or starts again, the pod with this number; there are as many as services.
    pub(crate) fn set_ending(&self, number: usize, ending: bool) {
        self.all[number % self.all.len()].2.seen.ending.store(ending, Ordering::Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.all.iter().map(|(_, _, backend)| backend.requests()).sum()
    }
}
