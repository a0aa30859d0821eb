//! Exactly the sockets of the cgroup are counted.

use crate::cgroup::{Backend, TestCgroup};
use gateway::fastpath::{self, Amount, Established, Fastpath, FastpathMode, PairCount};
use harness::{privilege, wait};
use std::{net::SocketAddr, process::Command, time::Duration};

const REVIEWS: &str = env!("CARGO_BIN_EXE_reviews");

/// Opens `connections` one after the other, each closed before the next.
fn connect(mut shell: Command, to: SocketAddr, connections: u32) {
    let script = r#"for ((i = 0; i < $2; i++)); do exec 3<>"/dev/tcp/127.0.0.1/$1" && exec 3>&- || exit 1; done"#;
    let status = shell.args(["-c", script, "bash", &to.port().to_string(), &connections.to_string()]).status();
    assert!(status.expect("run bash").success(), "the client could not connect");
}

/// Polls because the accepting side is established a moment after the connecting one.
fn counted(fastpath: &Fastpath, expected: Established) {
    let mut last = None;
    wait::until(&format!("{expected:?}"), Duration::from_secs(5), || {
        last = fastpath.status().established;
        (last == Some(expected)).then_some(())
    });
}

#[test]
fn connections_opened_inside_count_as_active() {
    if !privilege::granted("ebpf::connections_opened_inside_count_as_active") {
        return;
    }
    let group = TestCgroup::enter();
    let fastpath = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
    let outside = Backend::start(TestCgroup::outside(REVIEWS));
    connect(Command::new("bash"), outside.address, 7);
    counted(&fastpath, Established { active: 7, passive: 0 });
}

#[test]
fn connections_accepted_inside_count_as_passive() {
    if !privilege::granted("ebpf::connections_accepted_inside_count_as_passive") {
        return;
    }
    let group = TestCgroup::enter();
    let fastpath = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
    let inside = Backend::start(Command::new(REVIEWS));
    connect(TestCgroup::outside("bash"), inside.address, 5);
    counted(&fastpath, Established { active: 0, passive: 5 });
    // Closing is no event of interest.
    connect(Command::new("bash"), inside.address, 2);
    counted(&fastpath, Established { active: 2, passive: 7 });
}

#[test]
fn connections_elsewhere_do_not_count() {
    if !privilege::granted("ebpf::connections_elsewhere_do_not_count") {
        return;
    }
    let group = TestCgroup::enter();
    let fastpath = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
    let outside = Backend::start(TestCgroup::outside(REVIEWS));
    connect(TestCgroup::outside("bash"), outside.address, 3);
    // One connection inside, after the others: when it has been counted, theirs would have been.
    connect(Command::new("bash"), outside.address, 1);
    counted(&fastpath, Established { active: 1, passive: 0 });
}

/// What the self-test has done is nobody's traffic.
#[test]
fn the_self_test_leaves_nothing_behind() {
    if !privilege::granted("ebpf::the_self_test_leaves_nothing_behind") {
        return;
    }
    let group = TestCgroup::enter();
    let fastpath = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
    let status = fastpath.status();
    assert_eq!((status.established, status.pairs), (Some(Established::default()), Some(PairCount::default())));
    for (direction, moved) in status.moved {
        assert_eq!((moved.redirected, moved.passed), (Amount::default(), Amount::default()), "{direction}");
        assert!(moved.passed_because.values().all(|count| *count == 0), "{direction}: {:?}", moved.passed_because);
    }
}
