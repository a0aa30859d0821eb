//! What hostile clients try over HTTP/1, each bounded, and each beside a client that only wants its answers: it gets all of
//! them (the table "denial of service" of what is promised). The daemon is a process of its own, whose memory and file
//! descriptors can be counted.

mod victim;

use crate::gateway::everything_to;
use harness::{
    daemon,
    http::{
        backend::Backend,
        client::{Client, get},
    },
    process::Process,
    wait,
};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};
use tempfile::TempDir;
use victim::Victim;

const PATIENCE: Duration = Duration::from_secs(60);

/// The real daemon, in front of `backend`.
struct Target {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl Target {
    fn start(backend: &Backend) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let objects = directory.path().join("objects.yaml");
        fs::write(&objects, everything_to(backend.address())).expect("a file");
        let address = own_address();
        let mut words: Vec<String> = Vec::new();
        words.push(daemon::binary().display().to_string());
        words.extend(["run", "-f"].map(str::to_owned));
        words.push(objects.display().to_string());
        let flags =
            "--workers 1 --fastpath off --admin 127.0.0.1:0 --readiness off --metrics off --drain-announce-seconds 0";
        words.extend(flags.split(' ').map(str::to_owned));
        words.extend(["--listen-address".to_owned(), address.ip().to_string()]);
        let program = PathBuf::from(words.remove(0));
        let mut process = Process::start("gateway", directory.path(), &program, &words, &[]);
        wait::until("the gateway to listen", PATIENCE, || {
            process.assert_running();
            TcpStream::connect(address).ok()
        });
        Self { process, address, _directory: directory }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Resident memory in KiB.
    fn memory(&self) -> usize {
        let path = Path::new("/proc").join(self.process.id().to_string()).join("status");
        let status = fs::read_to_string(path).expect("the status of a process of ours");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

/// An address of this machine that nobody else uses.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 1 + high % 250, low, 200 + NEXT.fetch_add(1, Ordering::Relaxed) % 50);
    SocketAddr::new(IpAddr::V4(address), harness::objects::PORT)
}

/// What `stream` says until its end, and then its end: the other side has closed it.
fn last_words(mut stream: &TcpStream) -> String {
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "it is not closed");
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Heads as long as they may be, and longer, on many connections.
#[test]
fn large_heads_cost_what_they_are() {
    const ATTACKERS: usize = 100;
    const LIMIT_KIB: usize = 60;
    let backend = Backend::saying("here");
    let target = Target::start(&backend);
    let victim = Victim::start(target.address);
    let before = target.memory();
    let part = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat((LIMIT_KIB - 2) << 10));
    let attackers: Vec<TcpStream> = (0..ATTACKERS).map(|_| target.connect().expect("a connection")).collect();
    for mut attacker in &attackers {
        attacker.write_all(part.as_bytes()).expect("sent");
    }
    let memory = target.memory().saturating_sub(before);
    assert!(memory <= ATTACKERS * LIMIT_KIB * 4, "{memory} KiB for {ATTACKERS} heads of {LIMIT_KIB} KiB");
    for mut attacker in &attackers {
        let _sent = attacker.write_all(&[b'y'; 8 << 10]).is_ok();
        let said = last_words(attacker);
        assert!(said.starts_with("HTTP/1.1 431 "), "{said:?}");
    }
    // Many small fields are a large head too.
    let many: String = (0..200).map(|number| format!("x{number}: 1\r\n")).collect();
    let mut attacker = target.connect().expect("a connection");
    attacker.write_all(format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n").as_bytes()).expect("sent");
    assert!(last_words(&attacker).starts_with("HTTP/1.1 431 "));
    victim.stop();
}

/// Uploads that stand still hold nobody up but themselves.
#[test]
fn bodies_that_stand_still_hold_nobody_up() {
    const ATTACKERS: usize = 200;
    let backend = Backend::saying("here");
    let target = Target::start(&backend);
    let victim = Victim::start(target.address);
    let before = target.memory();
    let attackers: Vec<TcpStream> = (0..ATTACKERS).map(|_| target.connect().expect("a connection")).collect();
    for mut attacker in &attackers {
        attacker.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nhalf").expect("sent");
    }
    wait::until("all of them at the backend", PATIENCE, || (backend.connections() >= ATTACKERS).then_some(()));
    victim.some_more();
    let memory = target.memory().saturating_sub(before);
    assert!(memory <= ATTACKERS * 128, "{memory} KiB for {ATTACKERS} uploads that stand still");
    victim.stop();
}

/// Requests on one connection without waiting for answers: they are served in turn, and not gathered.
#[test]
fn endless_pipelines_are_taken_in_turn() {
    let backend = Backend::saying("here");
    let target = Target::start(&backend);
    let victim = Victim::start(target.address);
    let before = target.memory();
    let attacker = target.connect().expect("a connection");
    attacker.set_nonblocking(true).expect("nonblocking");
    let requests = get("a", "/").repeat(1000);
    let mut sent = 0;
    // As much as is taken; nothing is read back.
    while sent < 64 << 20 {
        match (&attacker).write(requests.as_bytes()) {
            Ok(count) => sent += count,
            Err(_full) => break,
        }
    }
    victim.some_more();
    let memory = target.memory().saturating_sub(before);
    assert!(memory <= 8 << 10, "{memory} KiB for one connection");
    victim.stop();
}

/// A client that is turned away in many ways in a row has no memory of it left behind.
#[test]
fn refused_requests_leave_nothing_behind() {
    let backend = Backend::saying("here");
    let target = Target::start(&backend);
    let victim = Victim::start(target.address);
    let bad = [
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nx : 1\r\n\r\n",
        "\0\0\0\0",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
    ];
    let storm = |rounds: usize| {
        for text in bad.iter().cycle().take(rounds) {
            let _said = Client::of(target.connect().expect("a connection")).try_send(text).is_ok();
        }
    };
    storm(400);
    let before = target.memory();
    storm(2000);
    let memory = target.memory().saturating_sub(before);
    assert!(memory <= 4 << 10, "{memory} KiB after 2,000 refused requests");
    victim.stop();
}
