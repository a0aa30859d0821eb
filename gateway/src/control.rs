//! The one owner of the current inputs: takes deltas from a source, compiles off the traffic threads, publishes.

pub mod delta;
pub mod publish;
