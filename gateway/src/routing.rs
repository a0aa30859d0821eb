//! From objects to answers: `compile` turns a [`World`](world::World) into an immutable [`Snapshot`](snapshot::Snapshot),
//! and [`Snapshot::lookup`](snapshot::Snapshot::lookup) tells what happens to a request.

pub mod address_guard;
mod attachments;
pub mod chains;
pub mod cluster;
mod cluster_table;
mod clusters;
pub mod compiler;
mod domains;
pub mod dynamic;
mod entry_endpoints;
mod hosts;
mod index;
pub mod linear;
mod listeners;
mod locality;
pub mod lookup;
pub mod matching;
pub mod names;
mod place;
pub mod route;
pub mod route_policy;
mod rules;
pub mod snapshot;
mod stream_table;
pub mod streams;
pub mod traffic;
mod translate;
mod workloads;
pub mod world;

#[cfg(test)]
mod tests;
