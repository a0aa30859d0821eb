//! Whom the attacks are for: the daemon as a process of its own, whose memory, processor time and file descriptors can be
//! counted.

use crate::{
    endpoint::{Endpoint, Waits},
    placement,
};
use harness::{
    daemon,
    objects::{PORT, routes, service},
    process::Process,
    wait,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::{Mutex, MutexGuard};
use std::{
    fs,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Clients and gateway of the largest crowd.
const DESCRIPTORS: u64 = 10_000;

const ROUTES: &str = "
  - match: [{authority: {exact: victim}}]
    route: [{destination: {host: victims}}]
  - route: [{destination: {host: backend}}]";

/// One attack at a time: what a victim gets is to be compared with what it gets in peace.
static ALONE: Mutex<()> = Mutex::new(());

/// The real daemon.
pub(crate) struct Target {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    endpoint: Endpoint,
    _directory: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Target {
    /// In front of the backend at `backend`.
    pub(crate) fn start(backend: SocketAddr) -> Self {
        Self::within(backend, &[])
    }

    /// The same, started by `launcher`, a program and its arguments.
    pub(crate) fn within(backend: SocketAddr, launcher: &[&str]) -> Self {
        // Built before anybody is kept waiting by it.
        let gateway = daemon::binary().display().to_string();
        let alone = ALONE.lock();
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        assert!(most >= DESCRIPTORS, "{most} file descriptors are too few: raise the hard limit to {DESCRIPTORS}");
        setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a soft limit");
        let directory = tempfile::tempdir().expect("a directory");
        let objects = directory.path().join("objects.yaml");
        placement::leave_the_gateway_alone();
        let endpoint = Endpoint::start();
        let yaml = routes(ROUTES) + &service("backend", &[backend]) + &service("victims", &[endpoint.address()]);
        fs::write(&objects, yaml).expect("a file");
        let address = own_address();
        let launcher = placement::launcher().iter().chain(launcher);
        let mut words: Vec<String> = launcher.map(|&word| word.to_owned()).collect();
        words.extend([gateway, "run".to_owned(), "-f".to_owned(), objects.display().to_string()]);
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
        Self { process, address, endpoint, _directory: directory, _alone: alone }
    }

    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// The address of the admin pages, which it has chosen itself.
    pub(crate) fn admin(&self) -> SocketAddr {
        let output = self.process.output();
        let address = output.split("admin=").nth(1).and_then(|rest| rest.split_whitespace().next());
        address.and_then(|address| address.parse().ok()).expect("the line that names the admin address")
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> usize {
        let status = fs::read_to_string(self.proc("status")).expect("the status of a process of ours");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Processor time so far (proc_pid_stat(5): the 14th and 15th field, in hundredths of a second).
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).expect("the times of a process of ours");
        let (_, fields) = stat.rsplit_once(')').expect("its name");
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Of the thread that all connections are on: where the kernel says how long it has waited for a CPU.
    pub(crate) fn worker(&self) -> PathBuf {
        let tasks = fs::read_dir(self.proc("task")).expect("the threads of a process of ours").flatten();
        let mut tasks = tasks.map(|task| task.path());
        let is_worker = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "worker-0\n");
        tasks.find(is_worker).expect("a worker").join("schedstat")
    }

    /// How long the victim's endpoint has waited for a CPU.
    pub(crate) fn waits_of_endpoint(&self) -> Waits {
        self.endpoint.waits()
    }

    fn proc(&self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.process.id().to_string()).join(file)
    }
}

/// An address of this machine that nobody else uses.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 1 + high % 250, low, 200 + NEXT.fetch_add(1, Ordering::Relaxed) % 50);
    SocketAddr::new(IpAddr::V4(address), PORT)
}

/// What `stream` says until its end, and then its end: the other side has closed it.
pub(crate) fn last_words(mut stream: &TcpStream) -> String {
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "it is not closed");
    }
    String::from_utf8_lossy(&said).into_owned()
}
