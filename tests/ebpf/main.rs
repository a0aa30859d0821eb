//! The BPF object in a real kernel: every test here needs root.
#![expect(clippy::expect_used, reason = "what a test cannot go on without is how it fails")]

mod cgroup;
mod inventory;
mod node;

mod bpftool;
mod counting;
mod degrades;
mod guard;
mod lifecycle;
mod pairing;
mod refusals;
mod trips;
mod visibility;
