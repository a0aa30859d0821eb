//! Choosing: which destination, which endpoint. Randomness and load are parameters.

pub mod endpoint;
pub mod load;
pub mod weighted;
