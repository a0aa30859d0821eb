//! The BPF object in a real kernel: every test here needs root.

mod cgroup;
mod inventory;

mod counting;
mod lifecycle;
mod refusals;
mod visibility;
