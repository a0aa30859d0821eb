//! Requests through a daemon that somebody counts the instructions of: one client, one pod, one request at a time.

use super::{callgrind, collected};
use crate::{command::terminate, interrupt::Interrupt};
use anyhow::{Context, bail, ensure};
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// As a browser's, in numbers and length of fields.
const REQUEST: &[u8] = b"GET /v1/small HTTP/1.1\r\nhost: bench.test\r\nuser-agent: bench/1.0\r\naccept: */*\r\n\
    accept-encoding: gzip\r\ncookie: session=0123456789abcdef0123456789abcdef\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nserver: pod\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\ncontent-type: \
    text/plain\r\ncontent-length: 5\r\n\r\nhello";

/// Of a daemon that starts slowly, as everything does under callgrind.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts `gateway` under callgrind, sends `requests` and returns all instructions of its life.
pub(super) fn instructions(gateway: &Path, requests: u64, interrupt: &Interrupt) -> anyhow::Result<u64> {
    let directory = Directory::new()?;
    let (pod, port, admin) = (pod()?, free_port()?, free_port()?);
    let template = crate::workspace::root().join("tests/bench/ours.yaml");
    let mut objects = fs::read_to_string(&template).with_context(|| format!("read {}", template.display()))?;
    let address = Ipv4Addr::LOCALHOST.to_string();
    for (key, value) in
        [("PORT", port.to_string()), ("V1", pod.to_string()), ("V2", pod.to_string()), ("PODS", address)]
    {
        objects = objects.replace(&format!("@{key}@"), &value);
    }
    fs::write(directory.0.join("objects.yaml"), objects).context("write the objects")?;
    let log = directory.0.join("said");
    let mut daemon = Daemon(
        callgrind(gateway)
            .args(["run", "-f", &directory.0.join("objects.yaml").display().to_string(), "--workers", "1"])
            .args(["--listen-address", "127.0.0.1", "--admin", &format!("127.0.0.1:{admin}"), "--readiness", "off"])
            .args(["--metrics", "off", "--fastpath", "off", "--drain-announce-seconds", "0", "--drain-seconds", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).context("create the log")?)
            .spawn()
            .context("run valgrind")?,
    );
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let mut client = daemon.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), interrupt).with_context(said)?;
    for number in 0..requests {
        if number % 100 == 0 {
            interrupt.check()?;
        }
        exchange(&mut client).with_context(|| format!("request {number}: {}", said()))?;
    }
    drop(client);
    terminate(&mut daemon.0);
    collected(&said())
}

fn exchange(client: &mut TcpStream) -> anyhow::Result<()> {
    client.write_all(REQUEST).context("send")?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"\r\n\r\nhello") {
        let count = client.read(&mut chunk).context("receive")?;
        ensure!(count > 0, "the connection ended");
        answer.extend_from_slice(&chunk[..count]);
        ensure!(answer.len() < 4096, "an answer without an end");
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Answers every request with the same bytes, until this process ends.
fn pod() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
    let port = listener.local_addr().context("listen")?.port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut pending, mut chunk) = (Vec::new(), [0; 4096]);
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    pending.extend_from_slice(&chunk[..count]);
                    if pending.ends_with(b"\r\n\r\n") {
                        pending.clear();
                        if stream.write_all(RESPONSE).is_err() {
                            break;
                        }
                    }
                }
            });
        }
    });
    Ok(port)
}

/// A port that nobody has at this moment.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("look for a free port")?;
    Ok(listener.local_addr().context("look for a free port")?.port())
}

/// Ends with this value, however that goes.
struct Daemon(Child);

impl Daemon {
    /// A connection on which a first request has been answered.
    fn connect(&mut self, address: SocketAddr, interrupt: &Interrupt) -> anyhow::Result<TcpStream> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().context("ask for the daemon's end")? {
                bail!("the gateway has ended: {status}");
            }
            if let Ok(mut stream) = TcpStream::connect(address) {
                stream.set_read_timeout(Some(PATIENCE)).context("set a timeout")?;
                stream.set_nodelay(true).context("set nodelay")?;
                exchange(&mut stream)?;
                return Ok(stream);
            }
            ensure!(Instant::now() < deadline, "the gateway does not listen");
            interrupt.pause(Duration::from_millis(50))?;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that goes with this value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("node-gateway-instructions-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
