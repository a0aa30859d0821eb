//! Memory that runs out, in a cgroup with a limit: new work is refused before the kernel kills.

use crate::target::{PATIENCE, Target};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    privilege, wait,
};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

const LIMIT: usize = 128 << 20;

/// Heads that never end, each as long as it may be: more than the limit together.
const ATTACKERS: usize = 3000;
const HEAD: usize = 58 << 10;

/// Between two of them: the gateway looks at its memory twenty times a second, on a machine that has more to do, and they
/// must not take in half a second what is left then.
const PACE: Duration = Duration::from_millis(5);

#[test]
fn new_work_is_refused_before_the_kernel_kills() {
    if privilege::granted("attacks::memory::new_work_is_refused_before_the_kernel_kills") {
        starve();
    }
}

fn starve() {
    let group = MemoryGroup::new(LIMIT);
    let backend = Backend::saying("here");
    let launcher = group.launcher();
    let mut target = Target::within(backend.address(), &launcher.each_ref().map(String::as_str));
    assert_eq!(ask(&target).expect("an answer"), Said::Answer);

    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(HEAD));
    let (is_felt, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let refusals = thread::scope(|scope| {
        let under_way = scope.spawn(|| upload(&target, &is_over));
        let attack = scope.spawn(|| {
            // A channel nobody sends to: its timeout is the pause.
            let (_sender, pause) = mpsc::channel::<()>();
            let mut held: Vec<TcpStream> = Vec::new();
            let began = Instant::now();
            // And on, until somebody else has felt it.
            let is_enough =
                |number| number >= ATTACKERS && (is_felt.load(Ordering::SeqCst) || began.elapsed() > PATIENCE);
            for _ in (0..).take_while(|number| !is_enough(*number)) {
                // Turned away, or told that it takes too long: what is left to the attacker is to come again.
                if let Ok(mut stream) = target.connect()
                    && stream.write_all(head.as_bytes()).is_ok()
                {
                    held.push(stream);
                }
                let _waited = pause.recv_timeout(PACE);
            }
            is_over.store(true, Ordering::SeqCst);
        });
        let (mut refusals, mut resets, mut answers) = (0, 0, 0);
        while !attack.is_finished() {
            match ask(&target) {
                Ok(Said::Refusal) => {
                    is_felt.store(true, Ordering::SeqCst);
                    refusals += 1;
                }
                Ok(Said::Answer) => answers += 1,
                Err(_reset) => resets += 1,
            }
        }
        under_way.join().expect("what has begun before ends well");
        println!("{answers} answers, {refusals} times 503, {resets} resets; {} MiB at most", group.peak() >> 20);
        refusals
    });
    target.process.assert_running();
    assert_eq!(group.kills(), 0, "the kernel has killed");
    assert!(refusals > 0, "nothing was refused: {} bytes at most of {LIMIT}", group.peak());
    let output = target.process.output();
    assert!(output.contains("new requests get 503"), "it says so:\n{output}");

    wait::until("an answer again", PATIENCE, || {
        target.process.assert_running();
        ask(&target).ok().filter(|said| *said == Said::Answer)
    });
    wait::until("the end to be said", PATIENCE, || {
        target.process.output().contains("there is memory again").then_some(())
    });
    let metrics = Client::connect(target.admin()).exchange(get("localhost", "/metrics"));
    assert!(metrics.text().contains("gateway_memory_pressure 0"), "{}", metrics.text());
}

/// A request that has begun before memory runs out, and goes on, a little at a time, until `is_over`.
fn upload(target: &Target, is_over: &AtomicBool) {
    const LENGTH: usize = 1 << 20;
    const PIECE: [u8; 100] = [b'z'; 100];
    let (_sender, pause) = mpsc::channel::<()>();
    let mut client = Client::of(target.connect().expect("a connection"));
    client.send(format!("POST /upload HTTP/1.1\r\nhost: victim\r\ncontent-length: {LENGTH}\r\n\r\n"));
    let mut left = LENGTH;
    while !is_over.load(Ordering::SeqCst) && left > PIECE.len() {
        client.send(PIECE);
        left -= PIECE.len();
        let _waited = pause.recv_timeout(PACE * 10);
    }
    client.send(vec![b'z'; left]);
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (200, "here"));
}

/// What comes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Answer,
    Refusal,
}

/// # Errors
/// When there is no whole answer.
fn ask(target: &Target) -> io::Result<Said> {
    let mut stream = target.connect()?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    let is_refusal = said.starts_with("HTTP/1.1 503 ") && said.contains("x-envoy-local-overloaded: true\r\n");
    if is_refusal {
        return Ok(Said::Refusal);
    }
    if said.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("here"), "{said:?}");
    Ok(Said::Answer)
}

/// A cgroup of the test's own with a limit of its memory, of either version; removed on drop.
pub(crate) struct MemoryGroup {
    path: PathBuf,
    is_unified: bool,
}

/// Of the next group: tests run side by side in one process.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl MemoryGroup {
    pub(crate) fn new(limit: usize) -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
        let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let of_kind = |kind: &str, option: &str| {
            let mut mounts = mounts.lines().map(fields);
            let mount = mounts.find(|mount| mount[2] == kind && mount[3].split(',').any(|have| have == option));
            mount.map(|mount| PathBuf::from(&mount[1]))
        };
        let (root, is_unified) = match of_kind("cgroup", "memory") {
            Some(root) => (root, false),
            None => (of_kind("cgroup2", "rw").expect("a hierarchy of cgroups that can be written"), true),
        };
        if is_unified {
            fs::write(root.join("cgroup.subtree_control"), "+memory").expect("the memory controller");
        }
        let group = Self {
            path: root.join(format!("gwtest-memory-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))),
            is_unified,
        };
        fs::create_dir(&group.path).expect("create a cgroup");
        let file = if is_unified { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(group.path.join(file), limit.to_string()).expect("a limit");
        group
    }

    /// What starts a program in it.
    pub(crate) fn launcher(&self) -> [String; 4] {
        let enter = r#"echo $$ > "$0/cgroup.procs" && exec "$@""#;
        ["bash", "-c", enter, &self.path.display().to_string()].map(str::to_owned)
    }

    /// How often the kernel has killed in it.
    pub(crate) fn kills(&self) -> usize {
        let file = if self.is_unified { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.path.join(file)).expect("its events");
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.expect("a count").parse().expect("a number")
    }

    /// Bytes at most.
    pub(crate) fn peak(&self) -> usize {
        let file = if self.is_unified { "memory.peak" } else { "memory.max_usage_in_bytes" };
        let text = fs::read_to_string(self.path.join(file)).expect("its peak");
        text.trim().parse().expect("a number")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The kernel keeps a cgroup busy for a moment after its last process was reaped.
        wait::until("remove the cgroup", Duration::from_secs(30), || remove(&self.path));
    }
}

fn remove(path: &Path) -> Option<()> {
    fs::remove_dir(path).ok()
}
