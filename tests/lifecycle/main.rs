//! `cargo xtask cluster` comes up from whatever it finds, and leaves nothing when it goes: after a crash as well.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and what it prints is part of its result"
)]

mod inventory;
mod lab;

use harness::{privilege, wait};
use inventory::Inventory;
use lab::Lab;
use nix::sys::signal::Signal;
use std::time::Duration;

/// For what takes seconds on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn a_cluster_comes_up_again_and_goes_without_a_trace() {
    if !privilege::granted("a_cluster_comes_up_again_and_goes_without_a_trace") {
        return;
    }
    let lab = Lab::start();
    lab.succeeds(&["up", "--nodes", "2"]);
    let first = lab.state();
    assert_eq!(first["nodes"].as_array().map(Vec::len), Some(2));
    lab.succeeds(&["up", "--nodes", "2"]);
    assert_eq!(lab.state(), first, "what is up already is left alone");
    let refused = lab.fails(&["up", "--nodes", "1"]);
    assert!(refused.contains("up with 2 nodes, not 1"), "{refused}");

    lab.run_pod_and_pin();
    let found = Inventory::take(&lab);
    println!("up: {found}");
    assert!(found.is_a_cluster(), "the inventory sees what there is: {found}");
    found.assert_host_untouched(&lab);

    for agent in ["node1-kubelet", "node1-containerd"] {
        lab.kill(agent);
    }
    let said = lab.fails(&["status"]);
    assert!(said.contains("node1-kubelet has ended"), "{said}");
    lab.succeeds(&["up", "--nodes", "2"]);
    assert_ne!(lab.state(), first, "a cluster with dead parts is brought up anew");

    lab.run_pod_and_pin();
    // Somebody whose shell is still in a node's network is no reason to leave that network.
    let visitor = lab.visitor("node2");
    lab.succeeds(&["down"]);
    lab.succeeds(&["down"]);
    drop(visitor);
    Inventory::take(&lab).assert_empty();
}

#[test]
fn an_up_that_is_killed_leaves_what_the_next_verb_removes() {
    if !privilege::granted("an_up_that_is_killed_leaves_what_the_next_verb_removes") {
        return;
    }
    let lab = Lab::start();
    let up = lab.begins(&["up", "--nodes", "1"]);
    lab.until_a_runtime_answers();
    up.end(Signal::SIGKILL);
    let half = Inventory::take(&lab);
    println!("killed: {half}");
    assert!(half.is_a_cluster(), "there is something to remove: {half}");
    let said = lab.fails(&["status"]);
    assert!(said.contains("is not up"), "{said}");
    lab.succeeds(&["down"]);
    Inventory::take(&lab).assert_empty();
}

#[test]
fn an_up_that_is_interrupted_cleans_up_by_itself() {
    if !privilege::granted("an_up_that_is_interrupted_cleans_up_by_itself") {
        return;
    }
    let lab = Lab::start();
    let up = lab.begins(&["up", "--nodes", "1"]);
    lab.until_a_runtime_answers();
    let half = Inventory::take(&lab);
    assert!(half.is_a_cluster(), "there is something to remove: {half}");
    let status = up.end(Signal::SIGINT);
    assert_eq!(status.code(), Some(130), "interrupted, and it says so");
    wait::until("the inventory to be empty", PATIENCE, || Inventory::take(&lab).is_empty().then_some(()));
}
