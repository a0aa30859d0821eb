//! Where the kernel cannot help, the reason names the thing to change.

use gateway::fastpath::{self, FastpathMode, Mode};
use harness::privilege;
use std::path::Path;

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
