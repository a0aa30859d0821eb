//! Whatever a node lacks or its kernel refuses: the daemon finds out by itself, says so once in the log, in `status` and in a
//! metric, and serves every request without the kernel.
//!
//! Lockdown itself cannot be taken back before the next boot. Its two signs are shown to the daemon instead: the file that
//! says so, and (in `load.rs`) the words in which the verifier refuses the helper.
#![allow(clippy::panic, clippy::print_stdout, reason = "a test fails by panicking, and says what it measured")]

use crate::cgroup::TestCgroup;
use harness::{
    daemon, netns, privilege,
    process::Process,
    traffic::{Backend, Caller, Connections, get_once},
    wait,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

const PATIENCE: Duration = Duration::from_secs(60);
const ADMIN: &str = "127.0.0.1:15000";
const METRICS: &str = "127.0.0.1:15020";
const REQUESTS: usize = 50;

/// One way in which a node is not as one would like it.
struct Case {
    name: &'static str,
    /// What the daemon is run by: a program and its arguments.
    wrapper: Vec<String>,
    /// Changes the object before the daemon reads it.
    object: Option<fn(Vec<u8>) -> Vec<u8>>,
    /// Whether the daemon is told its cgroup, or has to find it.
    told: bool,
    mode: &'static str,
    /// In the log and, in userspace, in the reason.
    words: &'static str,
}

fn userspace(name: &'static str, wrapper: &[&str], words: &'static str) -> Case {
    let wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
    Case { name, wrapper, object: None, told: true, mode: "userspace", words }
}

/// A shell in a mount namespace of its own; `script` ends in `exec "$@"`.
fn mounts(script: &'static str) -> [&'static str; 6] {
    ["unshare", "--mount", "sh", "-ec", script, "sh"]
}

#[test]
fn what_a_node_lacks_is_said_and_fails_no_request() {
    run("ebpf::what_a_node_lacks_is_said_and_fails_no_request", || {
        let drop = |caps| ["setpriv", "--bounding-set", caps, "--inh-caps", caps, "--"];
        let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
        let no_cgroup = mounts("umount --all --lazy --types cgroup2; exec \"$@\"");
        vec![
            userspace("no root", &nobody, "without CAP_BPF and CAP_NET_ADMIN and CAP_PERFMON"),
            userspace("no CAP_BPF", &drop("-bpf,-sys_admin"), "cannot load BPF programs without CAP_BPF:"),
            userspace("no CAP_NET_ADMIN", &drop("-net_admin"), "cannot load BPF programs without CAP_NET_ADMIN:"),
            userspace("no CAP_PERFMON", &drop("-perfmon,-sys_admin"), "cannot load BPF programs without CAP_PERFMON:"),
            Case { told: false, ..userspace("no cgroup2", &no_cgroup, "no cgroup2 hierarchy is mounted") },
        ]
    });
}

#[test]
fn what_a_kernel_refuses_is_said_and_fails_no_request() {
    run("ebpf::what_a_kernel_refuses_is_said_and_fails_no_request", || {
        let no_btf = mounts("mount --bind /dev/null /sys/kernel/btf/vmlinux; exec \"$@\"");
        let locked = mounts(
            "mount -t tmpfs none /sys/kernel/security; \
             echo 'none integrity [confidentiality]' > /sys/kernel/security/lockdown; exec \"$@\"",
        );
        let forbidden = |errno| ["python3", "-c", WITHOUT_BPF, errno];
        // Who is not under a licence the kernel likes is refused the helpers, at the end of the verifier's log.
        let unlicensed = |object: Vec<u8>| replace(object, b"Dual MIT/GPL", b"Proprietary!");
        vec![
            userspace("bpf() is EPERM", &forbidden("1"), "is not permitted although the capabilities are there"),
            userspace("bpf() is ENOSYS", &forbidden("38"), "no bpf system call"),
            userspace("no BTF", &no_btf, "the header of its BTF cannot be read"),
            userspace("lockdown", &locked, "locked down (confidentiality)"),
            Case {
                object: Some(unlicensed),
                ..userspace("the verifier refuses", &[], "the kernel's verifier refused gw_")
            },
            Case {
                object: Some(|_| b"no object".to_vec()),
                ..userspace("no object", &[], "cannot load the BPF object")
            },
        ]
    });
}

#[test]
fn what_can_be_done_without_is_done_without() {
    run("ebpf::what_can_be_done_without_is_done_without", || {
        let kernel = |case: Case| Case { mode: "kernel", ..case };
        let found = |name, place: &'static str, words| {
            let wrapper: Vec<&str> = mounts(MOVED).into_iter().chain([place]).collect();
            Case { told: false, ..kernel(userspace(name, &wrapper, words)) }
        };
        let no_bpffs = mounts("umount --all --types bpf; exec \"$@\"");
        vec![
            kernel(userspace("no bpffs", &no_bpffs, "attached gw_sockops gw_msg")),
            kernel(userspace("no locked memory", &["prlimit", "--memlock=0"], "attached gw_sockops gw_msg")),
            found("cgroup2 alone", "/sys/fs/cgroup", "attached gw_sockops gw_msg to /sys/fs/cgroup"),
            found("cgroup2 beside v1", "/sys/fs/cgroup/unified", "gw_msg to /sys/fs/cgroup/unified"),
        ]
    });
}

/// The only cgroup2 of the new mount namespace is this process's own group, at the place that is the first argument.
const MOVED: &str = r#"
place=$1; shift
root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
group=$root$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir -p /run/gateway-test; mount -t tmpfs none /run/gateway-test; mkdir /run/gateway-test/group
mount --bind "$group" /run/gateway-test/group
umount --lazy "$root"
mount -t tmpfs none /sys/fs/cgroup; mkdir -p "$place"
mount --move /run/gateway-test/group "$place"
exec "$@"
"#;

/// A seccomp filter, as container runtimes install it: bpf(2) fails with the number given, everything else works.
const WITHOUT_BPF: &str = r"
import ctypes, os, platform, struct, sys
number = {'x86_64': 321, 'aarch64': 280}[platform.machine()]
def step(code, true, false, value): return struct.pack('HBBI', code, true, false, value)
program = step(0x20, 0, 0, 0) + step(0x15, 0, 1, number) + step(6, 0, 0, 0x00050000 | int(sys.argv[1])) + step(6, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(program)
filter = struct.pack('HxxxxxxP', 4, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, filter, 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[2], sys.argv[2:])
";

fn replace(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("the object has it");
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

fn run(name: &str, cases: impl FnOnce() -> Vec<Case>) {
    if !privilege::granted(name) {
        return;
    }
    daemon::binary();
    let cases = cases();
    netns::isolated(move || cases.iter().for_each(check));
}

fn check(case: &Case) {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    let backend = Backend::start("pod", "10.244.1.1:9000");
    let group = TestCgroup::enter();
    let started = SystemTime::now();
    let mut gateway = start(case, directory.path(), &group);
    wait::until(&format!("{}: the gateway to be ready", case.name), PATIENCE, || {
        gateway.assert_running();
        get_once(ADMIN, "localhost", "/readyz").is_ok_and(|answer| answer.status == 200).then_some(())
    });

    let mut caller = Caller::new("127.0.0.1:8080", "pod", "/", "test", Connections::New);
    for number in 0..REQUESTS {
        let answer = caller.ask().unwrap_or_else(|error| panic!("{}: request {number}: {error}", case.name));
        assert_eq!((answer.status, answer.backend.as_str()), (200, "pod"), "{}: request {number}", case.name);
    }

    let log = gateway.output();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("fast path: ") && !line.contains(OBJECT)).collect();
    let [line] = lines[..] else { panic!("{}: not one line but {lines:#?}", case.name) };
    assert!(line.contains(case.words), "{}: {line}", case.name);
    println!("{:20} decided {:4} ms after the start", case.name, milliseconds_after(started, line));

    let status = status(case.name);
    assert_eq!(status["mode"], case.mode, "{}: {status}", case.name);
    let reason = status["reason"].as_str().unwrap_or_default();
    let metrics = get_once(METRICS, "localhost", "/metrics").expect("the metrics").body;
    let prefix = format!("gateway_fastpath{{mode=\"{}\",reason=\"", case.mode);
    let series = metrics.lines().find(|line| line.starts_with(&prefix));
    if case.mode == "userspace" {
        assert!(reason.contains(case.words), "{}: {status}", case.name);
        assert!(series.is_some_and(|line| line.contains(case.words)), "{}: {series:?}", case.name);
    } else {
        assert_eq!((reason, series.is_some()), ("", true), "{}: {status}", case.name);
        assert_eq!(status["pinned"].is_null(), case.name == "no bpffs", "{status}");
    }
    gateway.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = gateway.wait(PATIENCE);
    assert!(ended.success(), "{}: {ended}", case.name);
    drop(backend);
}

/// The variable that names another object.
const OBJECT: &str = "GATEWAY_TESTS_OBJECT";

fn start(case: &Case, directory: &Path, group: &TestCgroup) -> Process {
    let objects = directory.join("objects");
    fs::create_dir(&objects).expect("a directory");
    fs::write(objects.join("objects.yaml"), OBJECTS).expect("the objects");
    let mut environment = Vec::new();
    if let Some(change) = case.object {
        let original = daemon::binary().ancestors().nth(2).expect("<target>/quick/gateway").join("bpf/gateway-ebpf.o");
        let changed = directory.join("object.o");
        fs::write(&changed, change(fs::read(original).expect("the BPF object"))).expect("an object");
        environment.push((OBJECT, changed.display().to_string()));
    }
    let text = |path: &Path| path.display().to_string();
    let mut words = case.wrapper.clone();
    words.extend([text(daemon::binary()), "run".to_owned(), "-f".to_owned(), text(&objects)]);
    let rest = ["--readiness", "off", "--metrics", METRICS, "--admin", ADMIN, "--workers", "1"];
    words.extend(rest.map(str::to_owned));
    words.extend(["--drain-announce-seconds", "0", "--drain-seconds", "1"].map(str::to_owned));
    if case.told {
        words.extend(["--fastpath-cgroup".to_owned(), text(group.path())]);
    }
    let program = words.remove(0);
    Process::start("gateway", directory, Path::new(&program), &words, &environment)
}

/// What the command prints for programs.
fn status(case: &str) -> serde_json::Value {
    let output = Command::new(daemon::binary())
        .args(["fastpath", "status", "-o", "json", "--address", ADMIN])
        .output()
        .expect("run gateway fastpath status");
    let status = serde_json::from_slice(&output.stdout);
    let status: serde_json::Value = status.unwrap_or_else(|error| panic!("{case}: {error}: {output:?}"));
    assert_eq!(output.status.code(), Some(i32::from(status["mode"] != "kernel")), "{case}: {status}");
    status
}

/// From `start` to the time with which the line begins: `2026-01-31T23:59:59.123456Z`.
fn milliseconds_after(start: SystemTime, line: &str) -> u64 {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let time = line.split_once('T').and_then(|(_, rest)| rest.get(..12)).expect("a time");
    let number = |range: std::ops::Range<usize>| time[range].parse::<u64>().expect("a number");
    let line = ((number(0..2) * 60 + number(3..5)) * 60 + number(6..8)) * 1000 + number(9..12);
    let start = start.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    (DAY + line - u64::try_from(start % u128::from(DAY)).expect("less than a day")) % DAY
}

const OBJECTS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routes}
spec:
  hosts: ['*']
  gateways: [gateway]
  http:
  - route: [{destination: {host: pod}}]
---
apiVersion: v1
kind: Service
metadata: {name: pod}
spec:
  ports: [{port: 80, name: http}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: pod
  labels: {kubernetes.io/service-name: pod}
addressType: IPv4
ports: [{name: http, port: 9000}]
endpoints: [{addresses: ['10.244.1.1'], conditions: {ready: true}}]
";
