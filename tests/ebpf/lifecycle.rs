//! What is attached goes away with the one who attached it.

use crate::{cgroup::TestCgroup, inventory::Inventory};
use gateway::fastpath::{self, FastpathMode, Mode};
use harness::{privilege, wait};
use std::time::Duration;

#[test]
fn dropping_leaves_nothing_in_the_kernel() {
    if !privilege::granted("ebpf::dropping_leaves_nothing_in_the_kernel") {
        return;
    }
    let group = TestCgroup::new();
    let fastpath = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
    let programs: Vec<u32> = fastpath.status().programs.iter().map(|program| program.id).collect();
    let inventory = Inventory::of(&programs);
    assert_eq!((programs.len(), inventory.maps.len(), inventory.links.len()), (2, 13, 1), "{inventory:?}");

    drop(fastpath);
    // The kernel frees programs and maps after a grace period.
    let mut left = Vec::new();
    wait::until("nothing is left in the kernel", Duration::from_secs(10), || {
        left = inventory.remains();
        left.is_empty().then_some(())
    });
}

#[test]
fn two_gateways_share_a_cgroup() {
    if !privilege::granted("ebpf::two_gateways_share_a_cgroup") {
        return;
    }
    // An upgrade overlaps the old daemon and the new one.
    let group = TestCgroup::new();
    let old = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
    let new = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach beside the first");
    drop(old);
    assert_eq!(new.status().mode, Mode::Kernel);
    let programs: Vec<u32> = new.status().programs.iter().map(|program| program.id).collect();
    assert_eq!(Inventory::of(&programs).links.len(), 1, "the second attachment survives the first");
}
