//! From objects to answers: `compile` turns a [`World`](world::World) into an immutable [`Snapshot`](snapshot::Snapshot),
//! and [`Snapshot::lookup`](snapshot::Snapshot::lookup) tells what happens to a request.

pub mod cluster;
pub mod compiler;
pub mod lookup;
pub mod route;
pub mod snapshot;
