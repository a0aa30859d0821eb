//! Choosing: which destination, which endpoint, and whether there is room for one more request. Randomness, time and load are
//! parameters.

pub mod balancer;
pub mod endpoint;
pub mod hash_key;
pub mod host;
pub mod levels;
pub mod limits;
pub mod load;
mod maglev;
pub mod memory;
pub mod outliers;
pub mod retry_budget;
mod ring;
mod slow_start;
pub mod weighted;
