//! Every developer and CI verb.
fn main() {}
