//! Where the kernel cannot help, the reason names the thing to change.

use crate::cgroup::TestCgroup;
use gateway::fastpath::{self, FastpathMode, Mode};
use harness::{daemon, privilege};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

#[test]
fn off_touches_nothing() {
    let fastpath = fastpath::start(FastpathMode::Off, None).expect("off always starts");
    let status = fastpath.status();
    assert_eq!((status.mode, status.programs.len(), fastpath.is_active()), (Mode::Userspace, 0, false));
    assert_eq!(status.reason.as_deref(), Some("switched off by --fastpath off"));
}

#[test]
fn a_directory_that_is_no_cgroup_is_named() {
    if !privilege::granted("ebpf::a_directory_that_is_no_cgroup_is_named") {
        return;
    }
    let error = fastpath::start(FastpathMode::Require, Some(Path::new("/tmp"))).expect_err("no cgroup");
    assert_eq!(error.to_string(), "/tmp is no cgroup of the cgroup2 hierarchy");
}

#[test]
fn a_missing_cgroup_leaves_userspace() {
    if !privilege::granted("ebpf::a_missing_cgroup_leaves_userspace") {
        return;
    }
    let missing = Path::new("/sys/fs/cgroup/no-such-group");
    let fastpath = fastpath::start(FastpathMode::Auto, Some(missing)).expect("auto always starts");
    let reason = fastpath.status().reason.expect("a reason");
    assert!(reason.starts_with("cannot open the cgroup /sys/fs/cgroup/no-such-group: No such file"), "{reason}");
}

/// Runs the daemon through `wrapper` until it says what has become of the fast path; returns that line.
fn said_by_a_daemon(wrapper: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let group = TestCgroup::new();
    let (program, arguments) = wrapper.split_first().expect("a program");
    let mut daemon = Command::new(program)
        .args(arguments)
        .arg(daemon::binary())
        .args(["run", "--readiness", "off", "--metrics", "off", "--admin", "127.0.0.1:0"])
        .args(["--drain-announce-seconds", "0", "--drain-seconds", "0", "-f"])
        .arg(directory.path())
        .arg("--fastpath-cgroup")
        .arg(group.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the gateway");
    let lines = BufReader::new(daemon.stderr.take().expect("piped")).lines();
    let mut line = None;
    let mut all = Vec::new();
    for said in lines.map_while(Result::ok) {
        if said.contains("fast path: ") {
            line = Some(said);
        } else if said.contains("starts admin") {
            // It goes on without the kernel.
            break;
        } else {
            all.push(said);
        }
    }
    daemon.kill().expect("a child of ours");
    daemon.wait().expect("a child of ours");
    assert!(line.is_some(), "it says nothing of the fast path: {all:?}");
    line.unwrap_or_default()
}

#[test]
fn each_missing_capability_is_named() {
    if !privilege::granted("ebpf::each_missing_capability_is_named") {
        return;
    }
    for (dropped, named) in
        [("-bpf,-sys_admin", "CAP_BPF"), ("-net_admin", "CAP_NET_ADMIN"), ("-perfmon,-sys_admin", "CAP_PERFMON")]
    {
        let said = said_by_a_daemon(&["setpriv", "--bounding-set", dropped, "--inh-caps", dropped, "--"]);
        assert!(said.contains(&format!("cannot load BPF programs without {named}: ")), "{dropped}: {said}");
    }
}

#[test]
fn a_forbidden_system_call_is_told_from_a_missing_one() {
    if !privilege::granted("ebpf::a_forbidden_system_call_is_told_from_a_missing_one") {
        return;
    }
    for (errno, words) in [("1", "is not permitted although the capabilities are there"), ("38", "no bpf system call")]
    {
        let said = said_by_a_daemon(&["python3", "-c", WITHOUT_BPF, errno]);
        assert!(said.contains(words), "errno {errno}: {said}");
    }
}

#[test]
fn a_kernel_that_does_not_describe_itself_is_left_alone() {
    if !privilege::granted("ebpf::a_kernel_that_does_not_describe_itself_is_left_alone") {
        return;
    }
    let hidden = r#"mount --bind /dev/null /sys/kernel/btf/vmlinux && exec "$@""#;
    let said = said_by_a_daemon(&["unshare", "--mount", "sh", "-c", hidden, "sh"]);
    assert!(said.contains("the header of its BTF cannot be read"), "{said}");
}

#[test]
fn without_a_bpf_file_system_it_goes_with_the_process() {
    if !privilege::granted("ebpf::without_a_bpf_file_system_it_goes_with_the_process") {
        return;
    }
    let said = said_by_a_daemon(&["unshare", "--mount", "sh", "-c", r#"umount -a -t bpf && exec "$@""#, "sh"]);
    assert!(said.contains("attached gw_sockops gw_msg") && !said.contains("pinned in"), "{said}");
}

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
