//! From objects to answers: `compile` turns a [`World`](world::World) into an immutable [`Snapshot`](snapshot::Snapshot),
//! and [`Snapshot::lookup`](snapshot::Snapshot::lookup) tells what happens to a request.

mod attachments;
pub mod cluster;
mod cluster_table;
mod clusters;
pub mod compiler;
mod domains;
mod hosts;
mod index;
pub mod linear;
mod listeners;
pub mod lookup;
pub mod matching;
pub mod route;
mod rules;
pub mod snapshot;
pub mod traffic;
mod translate;
pub mod world;

#[cfg(test)]
mod tests;
